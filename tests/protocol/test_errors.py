"""Failures say what failed and where, and are of few kinds. See docs/spec/errors.md."""

from __future__ import annotations

from tallystick.protocol.errors import (
    Busy,
    Damaged,
    Malformed,
    Reason,
    Rejected,
    TallystickError,
    VerificationFailed,
)


class DemoReason(Reason):
    TAKEN = "demo.taken"


def test_they_name_the_field() -> None:
    assert str(Malformed("too long", path="items/3/number")) == "items/3/number: too long"
    assert str(VerificationFailed("does not hold")) == "does not hold"


def test_a_refusal_has_a_reason_that_nodes_agree_on() -> None:
    refused = Rejected(DemoReason.TAKEN, path="items/0")
    assert (refused.reason, refused.detail) == (DemoReason.TAKEN, "demo.taken")
    assert str(Rejected(DemoReason.TAKEN, "number 7 is taken")) == "number 7 is taken"
    assert f"{refused.reason}" == "demo.taken"


def test_who_is_busy_says_for_how_long() -> None:
    busy = Busy(2)
    assert busy.retry_after_seconds == 2
    assert str(busy) == "busy, retry after 2 s; nothing was taken"


def test_the_kinds() -> None:
    kinds = {Malformed, VerificationFailed, Rejected, Busy, Damaged}
    here = TallystickError.__module__  # rooms above have kinds of their own
    assert {each for each in TallystickError.__subclasses__() if each.__module__ == here} == kinds
