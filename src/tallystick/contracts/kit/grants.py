"""Grants: issuer to subject, actions, codes, term, depth. The authority of every command.

All grants that one organisation holds lie in one row, so that its authority is one look-up and one
proof. A grant is live while its own term runs, nobody ended it, and the grant that it came from is
live: ending one ends its children without touching them. What is dead stays dead.

Invariant: every live grant has a live chain to a grant of the founding file, each no wider than the
one before. See docs/spec/contracts/kit.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from tallystick.contracts.kit.context import Reader, State
from tallystick.protocol.canonical import Meta, Record, encode, replace
from tallystick.protocol.genesis import ActionPattern
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.values import Instant, OrgId, Word, parse_instant

DEPTH_MAX = 8
"""Province, city, county, issuer, till and three in reserve: bounds the walk to the founding."""
GRANTS_MAX = 48
AUTHORITY_BYTES_MAX = 7 * 1024
"""Of the grants of one organisation: some 25 of them. Leaves its row 1 KiB for the envelope."""

GrantId = Annotated[
    str,
    Meta(
        pattern=r"\A(founding\.(0|[1-9][0-9]{0,3})|[0-9a-f]{64}\.(0|[1-9][0-9]{0,2})(\.[0-7])?)\Z"
    ),
]
"""The item that gave it; with one digit more where an item gives several."""
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
    depth: Annotated[int, Meta(ge=0, le=DEPTH_MAX)] = 0
    """How many times it may be passed on."""
    until: Instant | None = None
    ended: Instant | None = None
    end_reason: Word | None = None
    parent: Parent | None = None
    """None: from the founding file."""


class Authority(Row):
    """All grants of one organisation; id = the organisation. Not `good`: it may do nothing."""

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


def wider(grant: Grant, parent: Grant) -> str | None:
    """The first field in which a grant would go beyond the one it comes from, or None."""
    if any(not any(pattern_within(each, own) for own in parent.actions) for each in grant.actions):
        return "actions"
    if parent.codes and not (
        grant.codes and all(codes_cover(parent.codes, code) for code in grant.codes)
    ):
        return "codes"
    if parent.until is not None and (
        grant.until is None or parse_instant(grant.until) > parse_instant(parent.until)
    ):
        return "until"
    return None if grant.depth < parent.depth else "depth"


def is_live(state: State | Reader, grant: Grant, now: int) -> bool:
    """Whether a grant and all that it came from are live at `now` (unix seconds)."""
    for _ in range(DEPTH_MAX + 1):
        if grant.ended is not None or (
            grant.until is not None and now >= parse_instant(grant.until)
        ):
            return False
        if grant.parent is None:
            return True
        parent = held_grant(state, grant.parent.org, grant.parent.grant_id)
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


def held_grant(state: State | Reader, org: str, grant_id: str) -> Grant | None:
    """The grant of this id that `org` holds, live or not, or None."""
    held = state.get(row_key(Authority.KIND, org), Authority)
    for grant in held.grants if held else ():
        if grant.grant_id == grant_id:
            return grant
    return None


def issuers(state: State | Reader, grant: Grant) -> list[str]:
    """Whom a grant comes from: its giver first, then whom that one has it from."""
    above: list[str] = []
    step: Grant | None = grant
    while step is not None and step.parent is not None and len(above) <= DEPTH_MAX:
        above.append(step.parent.org)
        step = held_grant(state, step.parent.org, step.parent.grant_id)
    return above


def with_grants(
    state: State | Reader, org: str, new: Sequence[Grant], now: int
) -> Authority | None:
    """The authority of `org` with `new` added, to be put; None when it is too much for one row.

    Dead grants make room when it is needed, and only then: their fate is in the log anyway.
    """
    held = state.get(row_key(Authority.KIND, org), Authority) or Authority(
        kind=Authority.KIND, id=org, state="held", good=True
    )
    grants = [*held.grants, *new]
    if not _fits(grants):
        grants = [*(each for each in held.grants if is_live(state, each, now)), *new]
    return replace(held, grants=grants) if _fits(grants) else None


def without_grant(
    state: State | Reader, held: Authority, grant_id: str, now: str, reason: str
) -> Authority:
    """What is held once one grant of it has ended, to be put.

    A mark takes room: where it does not fit, the dead grants go, this one among them.
    """
    grants = [
        replace(each, ended=now, end_reason=reason) if each.grant_id == grant_id else each
        for each in held.grants
    ]
    if not _fits(grants):
        at = parse_instant(now)
        grants = [each for each in grants if is_live(state, each, at)]
    return replace(held, grants=grants)


def _fits(grants: list[Grant]) -> bool:
    return len(grants) <= GRANTS_MAX and len(encode(grants)) <= AUTHORITY_BYTES_MAX
