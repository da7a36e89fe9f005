"""What passes through the node's socket: whole frames, bounded, and every failure as what it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.contracts.kit.reasons import KitReason, LedgerReason
from tallystick.ledger.engine import Committed, Stopped
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import (
    Busy,
    Damaged,
    Malformed,
    Reason,
    Rejected,
    TallystickError,
    VerificationFailed,
)
from tallystick.web.frames import (
    PAYLOAD_BYTES_MAX,
    Failed,
    Frame,
    Kind,
    Told,
    Unpacker,
    fail,
    failure,
    pack,
    tell,
)

REASONS: dict[str, Reason] = {
    each.value: each for kind in (KitReason, LedgerReason) for each in kind
}


@given(
    st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 2**64 - 1), st.binary(max_size=80))),
    st.lists(st.integers(1, 50)),
)
def test_frames_come_whole_however_they_were_cut(
    sent: list[tuple[Kind, int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(pack(*each) for each in sent)
    unpacker, found = Unpacker(), list[Frame]()
    for length in cuts:
        found += unpacker.feed(data[:length])
        data = data[length:]
    found += unpacker.feed(data)
    assert [tuple(each) for each in found] == [(int(kind), *rest) for kind, *rest in sent]


def test_a_frame_that_is_too_long_is_refused_by_its_head() -> None:
    head = pack(Kind.SUBMIT, 1, b"")
    longest = (PAYLOAD_BYTES_MAX).to_bytes(4, "big") + head[4:]
    assert list(Unpacker().feed(longest)) == []
    with pytest.raises(Malformed, match="a frame of"):
        list(Unpacker().feed((PAYLOAD_BYTES_MAX + 1).to_bytes(4, "big") + head[4:]))


@pytest.mark.parametrize(
    "error",
    [
        Malformed("no note", path="items/0"),
        VerificationFailed("false", path="signature"),
        Damaged("a file"),
        Stopped("stopped"),
        Busy(0.5),
        Rejected(KitReason.NO_GRANT, "bills.issue", path="action"),
        Rejected(LedgerReason.IDEMPOTENCY_CONFLICT),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_failure_is_the_same_on_the_other_side(error: TallystickError) -> None:
    again = failure(decode(encode(fail(error)), Failed), REASONS)
    assert type(again) is type(error)
    if isinstance(error, Busy) and isinstance(again, Busy):
        assert again.retry_after_seconds == error.retry_after_seconds
        return
    assert (again.detail, again.path) == (error.detail, error.path)
    if isinstance(error, Rejected) and isinstance(again, Rejected):
        assert again.reason is error.reason


def test_what_is_not_known_means_that_the_node_has_stopped() -> None:
    assert isinstance(failure(Failed(name="KeyError", detail="x"), REASONS), Stopped)


def test_an_answer_names_what_was_refused_alone() -> None:
    outcomes = ("accepted", "kit.no_grant", "accepted")
    why = {1: "action bills.issue"}
    told = tell(Committed("ab" * 32, 7, outcomes, 3, 99, repeated=True, why=why))
    again = decode(encode(told), Told)
    assert (again.first, again.count, again.block, again.at, again.repeated) == (7, 3, 3, 99, True)
    assert again.refused == {"1": "kit.no_grant"} and again.why == {"1": "action bills.issue"}
