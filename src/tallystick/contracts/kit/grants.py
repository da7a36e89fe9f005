"""Grants: issuer to subject, actions, resources, term, depth. The authority of every command.

All grants that one organisation holds lie in one row, so that its authority is one look-up and one
proof. A grant is live while its own term runs, nobody ended it, and the grant that it came from is
live: ending one ends its children without touching them.

Invariant: every live grant has a live chain to a grant of the founding file.
See docs/spec/contracts/kit.md.
"""

from __future__ import annotations

from typing import Annotated

from tallystick.contracts.kit.context import Context, Reader, State
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.genesis import ActionPattern
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.values import Instant, OrgId, Word, parse_instant

DEPTH_MAX = 8
"""Province, city, county, issuer, till and three in reserve: bounds the walk to the founding."""
GRANTS_MAX = 48
"""Grants that one organisation may hold; its row stays below the limit of a row."""

GrantId = Annotated[str, Meta(pattern=r"\A(founding\.[0-9]{1,3}|[0-9a-f]{64}\.[0-9]{1,3})\Z")]
CodePrefix = Annotated[int, Meta(ge=10, le=99_999_999)]
"""Leading digits of bill codes: a region (2), a type (6), a whole code (8)."""


class Parent(Record):
    """The grant that a grant came from."""

    org: OrgId
    grant_id: GrantId


class Grant(Record):
    """One authority of one subject."""

    grant_id: GrantId
    actions: Annotated[list[ActionPattern], Meta(min_length=1, max_length=32)]
    codes: Annotated[list[CodePrefix], Meta(max_length=32)] = []
    """Which bill codes it is for, by leading digits; none: all."""
    purpose: Word | None = None
    depth: Annotated[int, Meta(ge=0, le=DEPTH_MAX)] = 0
    """How many times it may be passed on."""
    until: Instant | None = None
    ended: Instant | None = None
    parent: Parent | None = None
    """None: from the founding file."""


class Authority(Row):
    """All grants of one organisation; id = the organisation."""

    KIND = "kit.authority"

    grants: Annotated[list[Grant], Meta(max_length=GRANTS_MAX)] = []


def pattern_allows(pattern: str, action: str) -> bool:
    """Whether ``bills.issue``, ``bills.*`` or ``*`` covers the name ``bills.issue``."""
    return pattern in ("*", action) or (pattern.endswith(".*") and action.startswith(pattern[:-1]))


def pattern_within(inner: str, outer: str) -> bool:
    """Whether everything that `inner` covers `outer` covers too."""
    if outer in ("*", inner):
        return True
    return outer.endswith(".*") and inner.startswith(outer[:-1])


def codes_cover(prefixes: list[int], code: int) -> bool:
    """Whether a code (or a longer prefix) starts with one of the prefixes; no prefix covers all."""
    text = str(code)
    return not prefixes or any(text.startswith(str(prefix)) for prefix in prefixes)


def is_live(state: State | Reader, grant: Grant, now: int) -> bool:
    """Whether a grant and all that it came from are live at `now` (unix seconds)."""
    for _ in range(DEPTH_MAX + 1):
        if grant.ended is not None or (
            grant.until is not None and now >= parse_instant(grant.until)
        ):
            return False
        if grant.parent is None:
            return True
        parent = _find(state, grant.parent)
        if parent is None:
            return False
        grant = parent
    return False


def find_grant(
    state: State | Reader, org: str, action: str, now: int, code: int | None = None
) -> Grant | None:
    """A live grant by which `org` may do `action` (name without version), on `code` if given."""
    held = state.get(row_key(Authority.KIND, org), Authority)
    for grant in held.grants if held else ():
        if (
            any(pattern_allows(pattern, action) for pattern in grant.actions)
            and (code is None or codes_cover(grant.codes, code))
            and is_live(state, grant, now)
        ):
            return grant
    return None


def give(ctx: Context, org: str, grant: Grant) -> bool:
    """Add a grant to what `org` holds; False when it holds too many (ended ones make room)."""
    held = ctx.find(Authority, org) or Authority(
        kind=Authority.KIND, id=org, state="held", good=True
    )
    kept = held.grants
    if len(kept) >= GRANTS_MAX:
        kept = [each for each in kept if is_live(ctx.state, each, ctx.block_time)]
    if len(kept) >= GRANTS_MAX:
        return False
    ctx.put(held, grants=[*kept, grant])
    return True


def _find(state: State | Reader, parent: Parent) -> Grant | None:
    held = state.get(row_key(Authority.KIND, parent.org), Authority)
    for grant in held.grants if held else ():
        if grant.grant_id == parent.grant_id:
            return grant
    return None
