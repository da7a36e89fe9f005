"""Delivery keys: to which X25519 key bodies for an organisation are sealed; set and exchanged.

An operating key signs it, so that a machine can do it every week: the private half of an old key
must be destroyed for an erasure to reach what was captured on the way. The root key may too: it
takes the receiving end back from whoever stole that operating key. No grant is asked, as for all
keys: whoever is sent a body is named by the sender's right, never by the receiver's key.

Invariant: an organisation has one delivery key at a time, and no key, of whatever kind, is ever
taken into use twice. See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from typing import Annotated

from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.keys import KeyRow, check_sender, check_version, find_key
from tallystick.contracts.kit.reasons import KitReason, LedgerReason
from tallystick.contracts.members.actions.checks import check_new_delivery_key, check_root
from tallystick.contracts.members.records import Delivery, PreviousKey, plain_key
from tallystick.protocol.canonical import Meta
from tallystick.protocol.errors import Rejected
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import Count, PublicKey, format_instant

OVERLAP_SECONDS_MAX = 31 * 86_400


class SetDeliveryKey(Item):
    """The X25519 key that takes the place of the sender's present one, if there is one."""

    key: PublicKey
    overlap_seconds: Annotated[int, Meta(ge=0, le=OVERLAP_SECONDS_MAX)] = 0
    """How long letters to the key before are still opened; 0: it was lost or stolen."""
    version: Count = 0
    """Of the sender's row that this was decided on; 0: there is none."""


def set_delivery_key(ctx: Context, item: SetDeliveryKey) -> None:
    """Take a delivery key into use, and say when the one before ends."""
    # READ
    signing = ctx.fetch(KeyRow, ctx.key.hex(), LedgerReason.KEY_UNKNOWN)
    row = ctx.find(Delivery, ctx.sender)
    # CHECK
    if signing.role == "root":
        check_root(ctx)
    else:
        check_sender(ctx)
    if row is not None:
        check_version(row, item.version)
    elif item.version:
        detail = f"{ctx.sender} has no delivery key"
        raise Rejected(KitReason.VERSION_CONFLICT, detail, path="version")
    check_new_delivery_key(ctx, item.key, "key")
    # WRITE
    ctx.put(plain_key(ctx.sender, "delivery", item.key))
    since = format_instant(ctx.block_time)
    if row is None:
        new = Delivery(
            kind=Delivery.KIND, id=ctx.sender, state="live", good=True, key=item.key, since=since
        )
        ctx.put(new)
        return
    until = format_instant(ctx.block_time + item.overlap_seconds)
    old = find_key(ctx.state, row.key)
    if old is not None:
        ctx.put(old, state="rotated", good=item.overlap_seconds > 0, until=until)
    previous = PreviousKey(key=row.key, until=until)
    ctx.put(row, key=item.key, since=since, previous=previous)
