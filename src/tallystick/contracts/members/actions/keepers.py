"""Keepers: members' nodes that execute every block again and co-sign; added and retired.

The rows say who keeps and since when; whom a reader trusts is in the reader's own policy.

Invariant: a keeper's name and key are never given to another. See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.keys import KeyRow, authorise
from tallystick.contracts.members.actions.checks import check_new_keys, fetch_member
from tallystick.contracts.members.reasons import MembersReason
from tallystick.contracts.members.records import Keeper, RetireReason, new_keeper, plain_key
from tallystick.protocol.errors import Rejected
from tallystick.protocol.genesis import KeyName
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import OrgId, PublicKey


class AddKeeper(Item):
    """A member's node that will co-sign."""

    name: KeyName
    org: OrgId
    key: PublicKey


def add_keeper(ctx: Context, item: AddKeeper) -> None:
    """Take a keeper into service; it counts for sizes that hold this entry."""
    # CHECK
    authorise(ctx)
    fetch_member(ctx, item.org)
    if ctx.find(Keeper, item.name) is not None or _is_origin(ctx, item.name):
        raise Rejected(MembersReason.NAME_TAKEN, f"{item.name} has its bearer", path="name")
    check_new_keys(ctx, [(item.key, "key")])
    # WRITE
    ctx.put(new_keeper(item.name, item.org, item.key, ctx.index + 1))
    ctx.put(plain_key(item.org, "keeper", item.key))


class RetireKeeper(Item):
    """A keeper that co-signs no more."""

    name: KeyName
    reason: RetireReason


def retire_keeper(ctx: Context, item: RetireKeeper) -> None:
    """End a keeper's service; one whose key fell into other hands is revoked: it never counts."""
    # READ
    authorise(ctx)
    keeper = ctx.fetch(Keeper, item.name, MembersReason.KEEPER_NOT_FOUND, "name")
    row = ctx.fetch(KeyRow, keeper.key.hex(), MembersReason.KEY_NOT_FOUND)
    # CHECK
    if not keeper.good:
        raise Rejected(MembersReason.KEEPER_ENDED, path="name")
    # WRITE
    state = "revoked" if item.reason == "compromised" else "retired"
    changes = {"state": state, "good": False, "reason": item.reason}
    ctx.put(keeper, until_size=ctx.index + 1, **changes)
    ctx.put(row, **changes)


def _is_origin(ctx: Context, name: str) -> bool:
    """Whether a name could be the log's own: it ends in the network's id."""
    return name.endswith(f"/{ctx.env.network.hex()[:16]}")
