"""Keys: added, revoked, the root rotated. Signed by the root key, and by it alone.

No grant is asked: an organisation's keys are its own business, suspended or not, and a key can do
no more than its organisation may. What happens here holds from the next block.

Invariant: an organisation has exactly one live root key; a revoked key never becomes live again.
See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.keys import KeyRow, find_key
from tallystick.contracts.members.actions.checks import check_new_keys, check_root, check_until
from tallystick.contracts.members.reasons import MembersReason
from tallystick.contracts.members.records import KeyReason, NewKey, operating_key, plain_key
from tallystick.protocol.errors import Rejected
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import PublicKey


class AddKey(Item):
    """A new operating key of the sender's."""

    new: NewKey


def add_key(ctx: Context, item: AddKey) -> None:
    """Take an operating key into use."""
    # CHECK
    check_root(ctx)
    check_new_keys(ctx, [(item.new.key, "new/key")])
    check_until(ctx, item.new.until, "new/until")
    # WRITE
    ctx.put(operating_key(ctx.sender, item.new))


class RevokeKey(Item):
    """One of the sender's operating keys that signs no more."""

    key: PublicKey
    reason: KeyReason


def revoke_key(ctx: Context, item: RevokeKey) -> None:
    """End an operating key for ever."""
    # READ
    check_root(ctx)
    row = find_key(ctx.state, item.key)
    # CHECK
    if row is None or row.org != ctx.sender or row.role != "operating":
        raise Rejected(MembersReason.KEY_NOT_FOUND, f"no such key of {ctx.sender}'s", path="key")
    if not row.good:
        raise Rejected(MembersReason.KEY_ENDED, "the key was revoked before", path="key")
    # WRITE
    ctx.put(row, state="revoked", good=False, reason=item.reason)


class RotateRoot(Item):
    """The root key that takes the place of the one that signs this."""

    root_key: PublicKey
    reason: KeyReason


def rotate_root(ctx: Context, item: RotateRoot) -> None:
    """Exchange the root key."""
    # READ
    member = check_root(ctx)
    old = ctx.fetch(KeyRow, ctx.key.hex(), MembersReason.KEY_NOT_FOUND)
    # CHECK
    check_new_keys(ctx, [(item.root_key, "root_key")])
    # WRITE
    ctx.put(old, state="rotated", good=False, reason=item.reason)
    ctx.put(plain_key(ctx.sender, "root", item.root_key))
    ctx.put(member, root_key=item.root_key)
