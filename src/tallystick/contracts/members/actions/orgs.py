"""Organisations: admitted, suspended, resumed.

Suspending stops what an organisation does itself. Its keys can still be exchanged by its root key,
and what it has given to others stands until someone ends it.

Invariant: nobody suspends itself or an organisation from which it has the authority to suspend,
and nobody who is suspended has itself resumed by an authority that it gave.
See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from typing import Annotated

from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.grants import Authority, issuers, with_grants
from tallystick.contracts.kit.keys import authorise, check_version
from tallystick.contracts.members.actions.checks import (
    check_new_grant,
    check_new_keys,
    check_until,
    fetch_member,
)
from tallystick.contracts.members.reasons import MembersReason
from tallystick.contracts.members.records import (
    GRANTS_MAX,
    KEYS_MAX,
    Member,
    NewGrant,
    NewKey,
    ResumeReason,
    SuspendReason,
    new_member,
    operating_key,
    plain_key,
)
from tallystick.protocol.canonical import Meta
from tallystick.protocol.errors import Rejected
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import Count, OrgId, PublicKey


class Admit(Item):
    """A new organisation, with its keys and what it may do."""

    org: OrgId
    root_key: PublicKey
    keys: Annotated[list[NewKey], Meta(max_length=KEYS_MAX)] = []
    grants: Annotated[list[NewGrant], Meta(max_length=GRANTS_MAX)] = []


def admit(ctx: Context, item: Admit) -> None:
    """Make an organisation a member."""
    # CHECK
    authorise(ctx)
    if ctx.find(Member, item.org) is not None:
        raise Rejected(MembersReason.ORG_TAKEN, f"{item.org} is a member", path="org")
    named = [(new.key, f"keys/{n}/key") for n, new in enumerate(item.keys)]
    check_new_keys(ctx, [(item.root_key, "root_key"), *named])
    for n, new in enumerate(item.keys):
        check_until(ctx, new.until, f"keys/{n}/until")
    grants = [
        check_new_grant(ctx, new, f"{ctx.item_id}.{n}", f"grants/{n}/")
        for n, new in enumerate(item.grants)
    ]
    authority = with_grants(ctx.state, item.org, grants, ctx.block_time)
    if authority is None:
        raise Rejected(MembersReason.GRANTS_FULL, path="grants")
    # WRITE
    ctx.put(new_member(item.org, item.root_key, ctx.sender))
    ctx.put(plain_key(item.org, "root", item.root_key))
    for new in item.keys:
        ctx.put(operating_key(item.org, new))
    ctx.put(authority)


class Suspend(Item):
    """Stop what an organisation does."""

    org: OrgId
    version: Count
    """Of the member's row, on which the sender decided."""
    reason: SuspendReason


def suspend(ctx: Context, item: Suspend) -> None:
    """Suspend a member."""
    # READ
    grant = authorise(ctx)
    member = fetch_member(ctx, item.org)
    # CHECK
    if item.org in (ctx.sender, *issuers(ctx.state, grant)):
        raise Rejected(
            MembersReason.ORG_SUPERIOR, f"{ctx.sender} has its authority from there", path="org"
        )
    if not member.good:
        raise Rejected(MembersReason.ORG_SUSPENDED, path="org")
    check_version(member, item.version)
    # WRITE
    _set(ctx, member, "suspended", item.reason)


class Resume(Item):
    """Let a suspended organisation act again."""

    org: OrgId
    version: Count
    """Of the member's row, on which the sender decided: this suspension, not a later one."""
    reason: ResumeReason


def resume(ctx: Context, item: Resume) -> None:
    """End a suspension."""
    # READ
    grant = authorise(ctx)
    member = fetch_member(ctx, item.org)
    # CHECK
    if item.org in issuers(ctx.state, grant):  # else it would have itself resumed
        raise Rejected(
            MembersReason.ORG_SUPERIOR, f"{ctx.sender} has its authority from there", path="org"
        )
    if member.good:
        raise Rejected(MembersReason.ORG_NOT_SUSPENDED, path="org")
    check_version(member, item.version)
    # WRITE
    _set(ctx, member, "active", None)


def _set(ctx: Context, member: Member, state: str, reason: str | None) -> None:
    """The member's row is what people ask; its authority's is what each of its acts asks."""
    held = ctx.fetch(Authority, member.id, MembersReason.ORG_UNKNOWN, "org")
    good = state == "active"
    ctx.put(member, state=state, good=good, reason=reason)
    ctx.put(held, state="held" if good else "suspended", good=good)
