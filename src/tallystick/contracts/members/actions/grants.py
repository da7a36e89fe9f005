"""Grants: given out of a grant that the sender holds, ended by whoever stands above them.

Both look at the state anew for each item, not at what was remembered of the transaction: they are
the actions that change what is remembered.

Invariant: a grant is never wider than the one it comes from. See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.grants import (
    Authority,
    GrantId,
    held_grant,
    is_live,
    issuers,
    with_grants,
    without_grant,
)
from tallystick.contracts.kit.keys import check_sender
from tallystick.contracts.members.actions.checks import check_new_grant, fetch_member
from tallystick.contracts.members.reasons import MembersReason
from tallystick.contracts.members.records import EndReason, NewGrant
from tallystick.protocol.errors import Rejected
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import OrgId, format_instant


class GiveGrant(Item):
    """Who may do what from now on."""

    subject: OrgId
    grant: NewGrant


def give_grant(ctx: Context, item: GiveGrant) -> None:
    """Pass authority on."""
    # CHECK
    check_sender(ctx)
    fetch_member(ctx, item.subject, "subject")
    grant = check_new_grant(ctx, item.grant, ctx.item_id, "grant/")
    authority = with_grants(ctx.state, item.subject, [grant], ctx.block_time)
    if authority is None:
        raise Rejected(
            MembersReason.GRANTS_FULL, f"{item.subject} holds as many as fit", path="subject"
        )
    # WRITE
    ctx.put(authority)


class EndGrant(Item):
    """A grant that holds no more, and with it all that came out of it."""

    org: OrgId
    """Who holds it."""
    grant_id: GrantId
    reason: EndReason


def end_grant(ctx: Context, item: EndGrant) -> None:
    """End a grant: by its giver, by whom that one has it from, or by its holder."""
    # READ
    check_sender(ctx)
    held = ctx.find(Authority, item.org)
    grant = held_grant(ctx.state, item.org, item.grant_id)
    # CHECK
    if held is None or grant is None:
        raise Rejected(MembersReason.GRANT_NOT_FOUND, f"{item.org} holds it not", path="grant_id")
    if grant.parent is None:
        raise Rejected(MembersReason.GRANT_FOUNDING, path="grant_id")
    if not is_live(ctx.state, grant, ctx.block_time):
        raise Rejected(MembersReason.GRANT_ENDED, path="grant_id")
    if ctx.sender not in (item.org, *issuers(ctx.state, grant)):
        raise Rejected(MembersReason.GRANT_NOT_YOURS, path="grant_id")
    # WRITE
    now = format_instant(ctx.block_time)
    ctx.put(without_grant(ctx.state, held, item.grant_id, now, item.reason))
