"""Statuses verified: what they prove, and that any changed byte is refused.

See docs/spec/status.md.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.chain import KEEPERS, policy
from vectors.world import NOW, bill, build

from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.status import STATUS_BYTES_MAX
from tallystick.verify import FailedStep, Verdict, Verifier, verify_state, verify_status

WORLD = build()
POLICY = policy()
SPARE = replace(POLICY, threshold=3, required=list(KEEPERS))
CHAIN, NOTE = WORLD.chain, WORLD.note()
STATUS = encode(CHAIN.status(bill(200_500), NOTE))
ABSENT = encode(CHAIN.status(bill(100_003), NOTE))


def test_what_a_status_proves() -> None:
    found = verify_status(STATUS, POLICY, now=NOW)
    index = WORLD.at["thousand 500"]
    assert (found.index, found.entry) == (index, CHAIN.leaves[index])
    assert found.tx_id == getattr(found.entry, "tx")  # noqa: B009  # it is there
    assert (found.item, found.header) == (None, None)
    assert (found.row, found.absent) == (CHAIN.rows[bill(200_500)], False)
    assert (found.verdict, found.as_of, found.orgs) == (Verdict.GOOD, NOW - 6, KEEPERS)
    assert [step.number for step in found.steps] == list(range(6, 16))


def test_of_what_is_not_there_it_is_a_state_proof() -> None:
    found = verify_status(ABSENT, POLICY, now=NOW)
    document = encode(CHAIN.document(bill(100_003), NOTE))
    assert found == verify_state(document, POLICY, now=NOW)
    assert (found.absent, found.verdict) == (True, Verdict.ABSENT)


def test_an_entry_is_neither_hidden_nor_shown_in_vain() -> None:
    for status, entry in ((STATUS, None), (ABSENT, CHAIN.status(bill(200_500), NOTE).entry)):
        key = bill(200_500) if status is STATUS else bill(100_003)
        changed = replace(CHAIN.status(key, NOTE), entry=entry)
        with pytest.raises(FailedStep) as caught:
            verify_status(encode(changed), POLICY)
        assert caught.value.step == 14


@given(st.sampled_from([STATUS, ABSENT]), st.data())
def test_any_changed_byte_of_a_status_is_refused(good: bytes, data: st.DataObject) -> None:
    changed = bytearray(good)
    changed[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((Malformed, VerificationFailed)):
        verify_status(bytes(changed), SPARE)


def test_every_byte_of_a_status_changed_once_is_refused() -> None:
    verifier = Verifier(SPARE)
    for at in range(len(STATUS)):
        changed = STATUS[:at] + bytes([STATUS[at] ^ 1]) + STATUS[at + 1 :]
        with pytest.raises((Malformed, VerificationFailed)):
            verifier.status(changed)


@given(st.binary(max_size=200))
def test_noise_is_no_status(noise: bytes) -> None:
    with pytest.raises(Malformed):
        verify_status(noise, POLICY)


def test_a_status_is_short() -> None:
    assert len(STATUS) < 8_000
    with pytest.raises(Malformed, match="more than"):
        verify_status(bytes(STATUS_BYTES_MAX + 1), POLICY)
