"""The offline verifier beyond its vectors: any changed byte, what is remembered, what is judged.

See docs/spec/receipt.md.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.cases import notes, replace_root
from vectors.chain import KEEPERS, Key, keeper_name, note_of, plain, policy
from vectors.world import NOW, bill, build, fresh_times

from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.keys import verify_signature
from tallystick.protocol.receipt import RECEIPT_BYTES_MAX
from tallystick.verify import (
    FailedStep,
    Verdict,
    Verified,
    Verifier,
    verdict,
    verify_receipt,
    verify_state,
    worst,
)
from tallystick.verify import verifier as verifier_module

WORLD = build()
POLICY = policy()
NOTE = WORLD.note()
CHAIN = WORLD.chain


def receipt(name: str, key: str | None = None, note: str = NOTE) -> bytes:
    return encode(CHAIN.receipt(WORLD.at[name], note, key))


GOOD = receipt("third", bill(100_004))
LONG = receipt("thousand 500", bill(200_500))
STATE = encode(CHAIN.document("demo.pass/card-4", NOTE))


def test_what_a_receipt_proves() -> None:
    found = verify_receipt(LONG, POLICY, status=True, now=NOW)
    sent, index = CHAIN.sent[WORLD.at["thousand 500"]], WORLD.at["thousand 500"]
    assert (found.item, found.header, found.entry) == (sent.item, sent.header, CHAIN.leaves[index])
    assert (found.index, found.size, found.tx_id) == (
        index,
        CHAIN.size,
        found.entry and found.entry.tx,
    )
    assert found.keepers == tuple(keeper_name(org) for org in KEEPERS)
    assert (found.orgs, found.as_of, found.absent) == (KEEPERS, NOW - 6, False)
    assert found.row == CHAIN.rows[bill(200_500)]
    assert found.state is not None
    assert found.state.envelope is not None
    assert found.state.envelope.entry == index
    assert [step.number for step in found.steps] == list(range(1, 16))
    assert found.verdict is Verdict.GOOD


def test_what_a_state_proof_proves() -> None:
    found = verify_state(STATE, POLICY, now=NOW)
    assert (found.item, found.header, found.entry, found.index) == (None, None, None, None)
    assert (found.row, found.absent, found.verdict) == (None, True, Verdict.ABSENT)
    assert [step.number for step in found.steps] == [8, 9, 10, 11, 12, 13, 15]


@given(st.sampled_from([GOOD, LONG]), st.data())
def test_any_changed_byte_of_a_receipt_is_refused(good: bytes, data: st.DataObject) -> None:
    """One keeper of three may be spoilt, and an untied signature: two of three still vouch."""
    changed = bytearray(good)
    at = data.draw(st.integers(0, len(good) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    spare = replace(POLICY, threshold=3, required=list(KEEPERS))
    with pytest.raises((Malformed, VerificationFailed)):
        verify_receipt(bytes(changed), spare)


@given(st.integers(0, len(STATE) - 1), st.integers(1, 255))
def test_any_changed_byte_of_a_state_proof_is_refused(at: int, flip: int) -> None:
    changed = bytearray(STATE)
    changed[at] ^= flip
    spare = replace(POLICY, threshold=3, required=list(KEEPERS))
    with pytest.raises((Malformed, VerificationFailed)):
        verify_state(bytes(changed), spare)


@given(st.binary(max_size=200))
def test_noise_is_unreadable(noise: bytes) -> None:
    for call in (verify_receipt, verify_state):
        with pytest.raises(Malformed):
            call(noise, POLICY)


def test_limits_and_depth() -> None:
    for data in (bytes(RECEIPT_BYTES_MAX + 1), b"[" * 100_000, b'{"item":' * 4_000):
        with pytest.raises(Malformed):
            verify_receipt(data, POLICY)
        with pytest.raises(Malformed):
            verify_state(data, POLICY)


def test_a_failure_names_its_step() -> None:
    other = plain(CHAIN.receipt(WORLD.at["first"], NOTE))
    other["signature"] = plain(CHAIN.receipt(WORLD.at["third"], NOTE))["signature"]
    with pytest.raises(FailedStep) as caught:
        verify_receipt(encode(other), POLICY)
    assert caught.value.step == 5
    assert str(caught.value) == "step 5, signature: signature does not verify"


def test_receipts_stay_small() -> None:
    assert len(receipt("thousand 500")) < 4_000
    assert len(LONG) < 8_000


def test_no_receipt_shows_another_item_or_row() -> None:
    """Neither the bytes of a sibling, nor its hash without a level of hashing in between."""
    shown = LONG
    for index, sent in CHAIN.sent.items():
        if index != WORLD.at["thousand 500"]:
            assert str(sent.item["nonce"]).encode() not in shown
            entry = CHAIN.leaves[index]
            assert encode(entry) not in shown
            assert encode(getattr(entry, "item")) not in shown  # noqa: B009  # a union of leaves
    for key, row in CHAIN.rows.items():
        assert key == bill(200_500) or encode(row) not in shown


def test_signatures_are_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    real = verify_signature

    def counted(key: bytes, message: bytes, signature: bytes) -> None:
        calls.append(key)
        real(key, message, signature)

    monkeypatch.setattr(verifier_module, "verify_signature", counted)
    verifier = Verifier(POLICY)
    for name in ("thousand 0", "thousand 500", "thousand 999", "thousand 0"):
        assert verifier.receipt(receipt(name)).verdict is Verdict.ACCEPTED
    assert len(calls) == 1


def test_nothing_false_is_remembered_and_nothing_true_excuses_it() -> None:
    verifier = Verifier(POLICY)
    good = receipt("first")
    verifier.receipt(good)
    forged = plain(CHAIN.receipt(WORLD.at["first"], NOTE))
    forged["signature"] = plain(CHAIN.receipt(WORLD.at["third"], NOTE))["signature"]
    stranger = note_of(CHAIN.checkpoint(), fresh_times(), log=Key("thief"))
    for bad in (encode(forged), receipt("first", note=stranger)):
        for _ in range(2):
            with pytest.raises(VerificationFailed):
                verifier.receipt(bad)
    assert verifier.receipt(good).verdict is Verdict.ACCEPTED


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier_module, "CHECKPOINTS_CACHED_MAX", 2)
    verifier = Verifier(POLICY)
    for later in range(5):
        times = {org: time + later for org, time in fresh_times().items()}
        note = note_of(CHAIN.checkpoint(), times)
        assert verifier.receipt(receipt("first", note=note)).as_of == NOW - 6 + later
        assert len(verifier._vouched) <= 2


def test_one_verifier_gives_what_a_new_one_gives() -> None:
    verifier = Verifier(POLICY)
    for name in WORLD.at:
        if CHAIN.sent[WORLD.at[name]].path or name in ("first", "reversing", "freezing"):
            data = receipt(name)
            assert verifier.receipt(data) == verify_receipt(data, POLICY)


def test_a_note_at_hand_must_be_a_checkpoint() -> None:
    with pytest.raises(Malformed):
        Verifier(POLICY, b"nonsense")


def test_a_note_at_hand_refutes_a_fork() -> None:
    at_hand = notes(WORLD)["forked"].encode()
    assert replace_root(CHAIN.checkpoint()) != CHAIN.checkpoint()
    with pytest.raises(FailedStep, match="another root at this size") as caught:
        verify_receipt(receipt("first"), POLICY, checkpoint=at_hand)
    assert caught.value.step == 8


def test_verdicts_and_exit_codes() -> None:
    assert verdict(Malformed()) is Verdict.UNREADABLE
    assert verdict(VerificationFailed()) is Verdict.FALSE
    found = verify_receipt(receipt("refused"), POLICY)
    assert verdict(found) is found.verdict is Verdict.REFUSED
    codes = {kind.name: kind.exit_code for kind in Verdict}
    assert [name for name, code in codes.items() if code == 0] == ["GOOD", "ACCEPTED"]
    assert (codes["FALSE"], codes["UNREADABLE"]) == (1, 2)
    assert len({kind.text for kind in Verdict}) == len(Verdict)


def test_of_many_the_worst_counts() -> None:
    ranked = [Verdict.GOOD, Verdict.STALE, Verdict.UNREADABLE, Verdict.FALSE]
    for at, kind in enumerate(ranked):
        assert worst(ranked[: at + 1]) == worst(reversed(ranked[: at + 1])) == kind.exit_code
    assert worst([]) == 2, "nothing was verified"


def test_the_verifier_stands_on_the_protocol_alone() -> None:
    nodes = [
        node
        for path in sorted(Path(verifier_module.__file__).parent.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]
    modules: set[Any] = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    modules |= {
        alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
    }
    stdlib = {"__future__", "collections.abc", "dataclasses", "enum", "functools", "typing"}
    ours = ("tallystick.protocol", "tallystick.verify")
    assert {name for name in modules if not name.startswith(ours)} == stdlib


def test_verified_is_frozen() -> None:
    found = verify_receipt(receipt("first"), POLICY)
    assert isinstance(found, Verified)
    with pytest.raises(AttributeError):
        found.row = {}  # type: ignore[misc]  # that is the point
