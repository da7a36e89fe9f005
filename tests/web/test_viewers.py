"""Whom a caller stands for when it asks for events."""

from __future__ import annotations

import pytest

from tallystick.ledger.events import Viewer
from tallystick.protocol.errors import Rejected
from tallystick.web.callers import Caller, Limit
from tallystick.web.viewers import follower, hook_owner

KEY = Limit(("*",))
BY_KEY = Caller("member", "hospital", b"k" * 32, limits=(KEY,))
PASS = Limit(("bills.read",), (3306,), strict=True)
BY_PASS = Caller("member", "hospital", b"k" * 32, b"p" * 16, (KEY, PASS))


def test_members_follow_by_key_and_by_pass_and_have_hooks_by_key() -> None:
    assert follower(BY_KEY) == hook_owner(BY_KEY) == Viewer("hospital", b"k" * 32)
    assert follower(BY_PASS) == Viewer("hospital", b"k" * 32, (3306,), ("bills.read",))
    with pytest.raises(Rejected, match="by a key"):
        hook_owner(BY_PASS)


@pytest.mark.parametrize(
    "caller",
    [
        Caller("holder", None, b"h" * 32, bill="33060126:0000000001"),
        Caller("member", "hospital", b"k", b"p", (KEY, Limit(("ledger.read",), strict=True))),
    ],
)
def test_others_follow_nothing(caller: Caller) -> None:
    for ask in (follower, hook_owner):
        with pytest.raises(Rejected):
            ask(caller)
