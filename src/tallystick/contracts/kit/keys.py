"""Keys of organisations: an offline root key, and operating keys that sign transactions.

`admit` judges the signing key before ordering, against the state at the block's start: a change of
keys holds from the next block, old signatures stay valid. `authorise` judges the sender's authority
as each transaction is executed. A key is live while at < until. See docs/spec/contracts/kit.md.

Invariant: an operating key neither adds nor revokes a key that signs, a root key does nothing but
change keys.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.contracts.kit.context import VALID_SECONDS_MAX, Context, Reader, State
from tallystick.contracts.kit.grants import (
    Authority,
    CodePrefix,
    Grant,
    codes_cover,
    find_grant,
    held_grant,
    is_live,
    pattern_allows,
)
from tallystick.contracts.kit.reasons import KitReason, LedgerReason
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.genesis import ActionPattern
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.transaction import Header
from tallystick.protocol.values import OrgId, Word, parse_instant

ROOT_ACTIONS = ("members.add_key", "members.revoke_key", "members.rotate_root")
"""What a root key signs, and no operating key."""
SHARED_ACTIONS = ("members.set_delivery_key",)
"""What a root key signs too: routine for an operating key, and the way out when that was stolen."""


class BlockScope(Record):
    """The allotment that a till's key is for."""

    code: Annotated[int, Meta(ge=10_000_000, le=99_999_999)]
    level: Annotated[int, Meta(ge=0, le=7)]
    first: Annotated[int, Meta(ge=1, le=9_999_999_999)]


class KeyRow(Row):
    """A key; id = its 64 hex digits. The row stays for ever: no key is taken into use twice."""

    KIND = "kit.key"

    org: OrgId | None = None
    """Whose it is; a log key of the founding file is nobody's."""
    role: Literal["root", "operating", "keeper", "log", "delivery"]
    """All sign but ``delivery``, an X25519 key to which bodies are sealed."""
    actions: Annotated[list[ActionPattern], Meta(max_length=32)] = []
    codes: Annotated[list[CodePrefix], Meta(max_length=32)] = []
    """Which bill codes an operating key is for, by leading digits; none: all."""
    block: BlockScope | None = None
    reason: Word | None = None
    """Why it was revoked."""


def find_key(state: State | Reader, key: bytes) -> KeyRow | None:
    """The row of a public key, or None."""
    return state.get(row_key(KeyRow.KIND, key.hex()), KeyRow)


def admit(
    state: State | Reader, header: Header, at: int, valid_seconds_max: int = VALID_SECONDS_MAX
) -> None:
    """Raise `Rejected` unless the header's key may sign this action for the sender at `at`.

    `valid_seconds_max` is the action's: its transactions may live so long.
    """
    row = find_key(state, header.key)
    if row is None or row.role not in ("root", "operating"):
        raise Rejected(LedgerReason.KEY_UNKNOWN, path="header/key")
    if row.org != header.sender:
        raise Rejected(
            LedgerReason.KEY_NOT_SENDERS, f"the key is {row.org}'s", path="header/sender"
        )
    if not row.good or (row.until is not None and at >= parse_instant(row.until)):
        raise Rejected(LedgerReason.KEY_ENDED, path="header/key")
    name = header.action.partition("/")[0]
    if row.role == "root":
        allowed = name in (*ROOT_ACTIONS, *SHARED_ACTIONS)
    else:
        allowed = name not in ROOT_ACTIONS and any(
            pattern_allows(each, name) for each in row.actions
        )
    if not allowed:
        raise Rejected(LedgerReason.KEY_ACTION, f"{row.role} key for {name}", path="header/action")
    valid_until = parse_instant(header.valid_until)
    if at >= valid_until:
        raise Rejected(LedgerReason.EXPIRED, path="header/valid_until")
    if valid_until > at + valid_seconds_max:
        raise Rejected(LedgerReason.VALID_TOO_LONG, path="header/valid_until")


def authorise(ctx: Context, code: int | None = None) -> Grant:
    """The sender's live grant for this action, on `code` if given; refuses the item without one.

    Remembered for the rest of the transaction. An action that uses this must not end its sender's
    own authority or key: what an item changes there would hold from the next transaction only.
    """
    memo: Grant | None = ctx.memo.get(f"grant/{code}")
    if memo is not None:
        return memo
    check_sender(ctx, code)
    name = ctx.action.partition("/")[0]
    grant = find_grant(ctx.state, ctx.sender, name, ctx.block_time, code)
    if grant is None:
        raise Rejected(KitReason.NO_GRANT, f"{ctx.sender} holds no live grant for {name}")
    ctx.memo[f"grant/{code}"] = grant
    return grant


def check_sender(ctx: Context, code: int | None = None) -> None:
    """Refuse the item when the sender is suspended or its key is for other codes.

    A key that is bound to codes or to a block does nothing that has no code. Remembered for the
    rest of the transaction, as `authorise` is.
    """
    if f"sender/{code}" in ctx.memo:
        return
    held = ctx.find(Authority, ctx.sender)
    if held is not None and not held.good:
        raise Rejected(KitReason.SUSPENDED, f"{ctx.sender} is suspended")
    row = ctx.fetch(KeyRow, ctx.key.hex(), LedgerReason.KEY_UNKNOWN)
    if row.codes and (code is None or not codes_cover(row.codes, code)):
        raise Rejected(KitReason.KEY_SCOPE, f"the key is for codes {row.codes}, not for {code}")
    if row.block is not None and code != row.block.code:
        raise Rejected(KitReason.KEY_SCOPE, f"the key is for code {row.block.code}, not for {code}")
    ctx.memo[f"sender/{code}"] = True


def own_grant(ctx: Context, grant_id: str) -> Grant | None:
    """The sender's grant of this id, if it is live."""
    grant = held_grant(ctx.state, ctx.sender, grant_id)
    return grant if grant is not None and is_live(ctx.state, grant, ctx.block_time) else None


def check_block_scope(ctx: Context, code: int, level: int, first: int) -> None:
    """Refuse the item when the signing key is bound to another number block."""
    if "scope" not in ctx.memo:
        row = find_key(ctx.state, ctx.key)
        ctx.memo["scope"] = row.block if row else None
    scope: BlockScope | None = ctx.memo["scope"]
    if scope is not None and (scope.code, scope.level, scope.first) != (code, level, first):
        raise Rejected(
            KitReason.KEY_SCOPE, f"the key is for block {scope.code}/{scope.level}/{scope.first}"
        )


def check_unbound(ctx: Context) -> None:
    """Refuse the item when the signing key is bound to one number block: it is about more."""
    row = find_key(ctx.state, ctx.key)
    if row is not None and row.block is not None:
        block = row.block
        raise Rejected(
            KitReason.KEY_SCOPE, f"the key is for block {block.code}/{block.level}/{block.first}"
        )


def read_instant(text: str, path: str) -> int:
    """Unix seconds of an instant out of an item; refuses the 31st of February."""
    try:
        return parse_instant(text)
    except Malformed as error:
        raise Rejected(KitReason.INSTANT_INVALID, error.detail, path=path) from None


def check_version(row: Row, seen: int) -> None:
    """Refuse the item when the row is no longer the version on which the sender decided."""
    if row.version != seen:
        raise Rejected(
            KitReason.VERSION_CONFLICT,
            f"{row.kind} {row.id} is at version {row.version}, not {seen}",
            path="version",
        )
