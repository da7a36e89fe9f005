"""Batch receipts verified: any changed byte is refused, and what holds of one holds of each item.

See docs/spec/batch.md.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.chain import KEEPERS, policy
from vectors.world import NOW, build

from tallystick.protocol.batch import Receipts
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.verify import Verdict, Verifier, verdict, verify_batch, verify_receipt

WORLD = build()
POLICY = policy()
SPARE = replace(POLICY, threshold=3, required=list(KEEPERS))
"""All three keepers are asked for: no line of the note may be spoilt."""
CHAIN, NOTE = WORLD.chain, WORLD.note()
FIRST = WORLD.at["reversed"]
TRANSACTION = CHAIN.transaction(FIRST)
BATCH = encode(CHAIN.batch(FIRST, NOTE))


def test_what_a_batch_receipt_proves() -> None:
    found = verify_batch(TRANSACTION, BATCH, POLICY)
    assert found.header == CHAIN.sent[FIRST].header
    assert found.outcomes == ("accepted", "demo.number_taken", "accepted")
    assert (found.first, found.size, found.as_of) == (FIRST, CHAIN.size, NOW - 6)
    assert (found.orgs, found.verdict, verdict(found)) == (KEEPERS, Verdict.REFUSED, found.verdict)
    assert [step.number for step in found.steps] == list(range(1, 11))
    entry = CHAIN.leaves[FIRST]
    assert (found.block, found.at, found.tx_id) == (entry.block, entry.at, getattr(entry, "tx"))  # noqa: B009  # a union of leaves


def test_each_receipt_made_of_it_proves_the_same() -> None:
    found = verify_batch(TRANSACTION, BATCH, POLICY)
    receipts = Receipts(TRANSACTION, BATCH)
    for n, outcome in enumerate(found.outcomes):
        single = verify_receipt(encode(receipts.receipt(n)), POLICY)
        assert single.entry is not None
        assert (single.entry.outcome, single.index) == (outcome, FIRST + n)
        assert (single.tx_id, single.size, single.as_of) == (found.tx_id, found.size, found.as_of)
        assert single.steps[2:5] == found.steps[2:5]


@given(st.sampled_from(["batch", "transaction"]), st.data())
def test_any_changed_byte_is_refused(which: str, data: st.DataObject) -> None:
    documents = {"transaction": TRANSACTION, "batch": BATCH}
    changed = bytearray(documents[which])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    documents[which] = bytes(changed)
    with pytest.raises((Malformed, VerificationFailed)):
        verify_batch(documents["transaction"], documents["batch"], SPARE)


def test_every_byte_changed_once_is_refused() -> None:
    verifier = Verifier(SPARE)
    for at in range(len(BATCH)):
        with pytest.raises((Malformed, VerificationFailed)):
            verifier.batch(TRANSACTION, BATCH[:at] + bytes([BATCH[at] ^ 1]) + BATCH[at + 1 :])
    for at in range(len(TRANSACTION)):
        spoilt = TRANSACTION[:at] + bytes([TRANSACTION[at] ^ 1]) + TRANSACTION[at + 1 :]
        with pytest.raises((Malformed, VerificationFailed)):
            verifier.batch(spoilt, BATCH)
    assert verifier.batch(TRANSACTION, BATCH).verdict is Verdict.REFUSED


@given(st.binary(max_size=200))
def test_noise_is_unreadable(noise: bytes) -> None:
    for transaction, batch in ((TRANSACTION, noise), (noise, BATCH)):
        with pytest.raises(Malformed):
            verify_batch(transaction, batch, POLICY)
