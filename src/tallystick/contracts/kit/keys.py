"""Keys of organisations: an offline root key, and operating keys that sign transactions.

Admission is judged against the state at the block's start, so a change of keys holds from the next
block; old signatures stay valid. A key is live while at < until. See docs/spec/keys.md.

Invariant: an operating key can neither add nor revoke a key, a root key can do nothing else.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.contracts.kit.context import Context, Reader, State
from tallystick.contracts.kit.grants import (
    Authority,
    Grant,
    codes_cover,
    find_grant,
    pattern_allows,
)
from tallystick.contracts.kit.reasons import KitReason, LedgerReason
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.errors import Rejected
from tallystick.protocol.genesis import ActionPattern
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.transaction import Header
from tallystick.protocol.values import OrgId, parse_instant

ROOT_ACTIONS = ("members.add_key", "members.revoke_key", "members.rotate_root")
"""What a root key signs, and no operating key."""

VALID_SECONDS_MAX = 72 * 3600
"""Seen idempotency keys are kept so long; a transaction may not live longer."""


class BlockScope(Record):
    """The allotment that a till's key is for."""

    code: Annotated[int, Meta(ge=10_000_000, le=99_999_999)]
    level: Annotated[int, Meta(ge=0, le=7)]
    first: Annotated[int, Meta(ge=1, le=9_999_999_999)]


class KeyRow(Row):
    """A key; id = its 64 hex digits. A key id is never used twice, by whomever."""

    KIND = "kit.key"

    org: OrgId
    role: Literal["root", "operating", "keeper", "log"]
    actions: Annotated[list[ActionPattern], Meta(max_length=32)] = []
    codes: Annotated[list[int], Meta(max_length=32)] = []
    block: BlockScope | None = None


def find_key(state: State | Reader, key: bytes) -> KeyRow | None:
    """The row of a public key, or None."""
    return state.get(row_key(KeyRow.KIND, key.hex()), KeyRow)


def admit(state: State | Reader, header: Header, at: int) -> None:
    """Raise `Rejected` unless the header's key may sign this action for the sender at `at`."""
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
        allowed = name in ROOT_ACTIONS
    else:
        allowed = name not in ROOT_ACTIONS and any(
            pattern_allows(each, name) for each in row.actions
        )
    if not allowed:
        raise Rejected(LedgerReason.KEY_ACTION, f"{row.role} key for {name}", path="header/action")
    if at >= parse_instant(header.valid_until):
        raise Rejected(LedgerReason.EXPIRED, path="header/valid_until")
    if parse_instant(header.valid_until) > at + VALID_SECONDS_MAX:
        raise Rejected(LedgerReason.VALID_TOO_LONG, path="header/valid_until")


def authorise(ctx: Context, code: int | None = None) -> Grant:
    """The sender's live grant for this action, on `code` if given; refuses the item without one.

    Remembered for the rest of the transaction: an item that ends the sender's own authority holds
    from the next transaction.
    """
    memo: Grant | None = ctx.memo.get(f"grant/{code}")
    if memo is not None:
        return memo
    held = ctx.find(Authority, ctx.sender)
    if held is not None and not held.good:
        raise Rejected(KitReason.SUSPENDED)
    name = ctx.action.partition("/")[0]
    grant = find_grant(ctx.state, ctx.sender, name, ctx.block_time, code)
    if grant is None:
        raise Rejected(KitReason.NO_GRANT, f"{ctx.sender} holds no live grant for {name}")
    row = find_key(ctx.state, ctx.key)
    if code is not None and row is not None and not codes_cover(row.codes, code):
        raise Rejected(KitReason.KEY_SCOPE, f"the key is not for code {code}")
    ctx.memo[f"grant/{code}"] = grant
    return grant


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
