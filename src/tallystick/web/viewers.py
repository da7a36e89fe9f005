"""Whom a caller stands for when it asks for events.

Invariant: who follows by a pass follows no longer than a stream lives, and has no hooks: a hook
outlives what was written on a pass. See docs/spec/events.md.
"""

from __future__ import annotations

from tallystick.client.passes import BILLS_READ
from tallystick.ledger.events import Viewer
from tallystick.protocol.errors import Rejected
from tallystick.web.callers import Caller
from tallystick.web.reasons import WebReason


def follower(caller: Caller) -> Viewer:
    """Who may follow a stream: a member or a keeper, by a key or by a pass that reads bills."""
    if caller.org is None:
        raise Rejected(WebReason.FORBIDDEN, "events are told to members")
    passes = [each for each in caller.limits if each.strict]
    if any(not each.allows(BILLS_READ) for each in passes):
        raise Rejected(WebReason.FORBIDDEN, f"the pass is not for {BILLS_READ}")
    codes = tuple(code for each in passes for code in each.codes)
    words = tuple(word for each in passes for word in each.actions)
    return Viewer(caller.org, caller.key, codes, words)


def hook_owner(caller: Caller) -> Viewer:
    """Who may have hooks: a member or a keeper, by a key of its own."""
    if caller.pass_id:
        raise Rejected(WebReason.FORBIDDEN, "hooks are asked for by a key, not by a pass")
    return follower(caller)
