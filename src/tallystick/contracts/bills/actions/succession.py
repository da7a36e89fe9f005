"""Succession: organisations merge or split, and numbers and duties change hands.

Invariant: what moves keeps its numbers, its fates and its place; what was issued keeps its issuer's
name. See docs/spec/contracts/bills-accounts.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions.checks import check_org
from tallystick.contracts.bills.actions.stock import in_stock, put_stock, read_stock, stocked
from tallystick.contracts.bills.items.accounts import Moved, Succeed
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    SUCCESSIONS_MAX,
    Allotment,
    Issuer,
    allotment_id,
)
from tallystick.contracts.kit.context import Action, Context
from tallystick.contracts.kit.keys import authorise, check_unbound
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected


def succeed(ctx: Context, item: Succeed) -> None:
    """Allotments of one organisation become another's; with `duties` all that it still owes too."""
    # READ
    authorise(ctx)
    for each in item.allotments:
        authorise(ctx, each.code)
    check_unbound(ctx)
    issuer, heir = _read_issuer(ctx, item.org), _read_issuer(ctx, item.successor)
    # CHECK
    check_org(ctx, item.org, "org")
    check_org(ctx, item.successor, "successor")
    _check_line(item, issuer, heir)
    moved = [_check_moved(ctx, item, each, n) for n, each in enumerate(item.allotments)]
    # WRITE
    if item.duties:
        ctx.put(issuer, successor=item.successor, state="suspended", good=False, reason=item.reason)
        ctx.put(heir, line=max(heir.line, issuer.line + 1))
    for allotment in moved:
        _move(ctx, allotment, item.successor)


def _check_line(item: Succeed, issuer: Issuer, heir: Issuer) -> None:
    """Something moves, to somebody else; duties once, and never in a circle or a long line.

    Who was succeeded succeeds nobody: so there is no circle, and a line grows at its end alone.
    """
    if item.org == item.successor:
        raise Rejected(BillsReason.SUCCESSION_INVALID, "it is the same", path="successor")
    if not item.duties and not item.allotments:
        raise Rejected(BillsReason.SUCCESSION_INVALID, "nothing moves", path="allotments")
    if not item.duties:
        return
    for row, path in ((issuer, "org"), (heir, "successor")):
        if row.successor is not None:
            raise Rejected(
                BillsReason.SUCCESSION_INVALID, f"{row.successor} succeeded {row.id}", path=path
            )
    if issuer.line == SUCCESSIONS_MAX:
        raise Rejected(
            BillsReason.SUCCESSION_INVALID, f"{SUCCESSIONS_MAX} steps lead to it", path="org"
        )


def _read_issuer(ctx: Context, org: str) -> Issuer:
    return ctx.find(Issuer, org) or Issuer(kind=Issuer.KIND, id=org, state="active", good=True)


def _check_moved(ctx: Context, item: Succeed, moved: Moved, n: int) -> Allotment:
    path, block = f"allotments/{n}", moved.block
    if moved in item.allotments[:n]:
        raise Rejected(BillsReason.SUCCESSION_INVALID, "it is named twice", path=path)
    row_id = allotment_id(moved.code, block.level, block.first)
    allotment = ctx.fetch(Allotment, row_id, BillsReason.NUMBER_NOT_ALLOCATED, path)
    if allotment.holder != item.org:
        raise Rejected(
            BillsReason.NUMBER_NOT_ALLOCATED, f"the range is {allotment.holder}'s", path=path
        )
    if len(allotment.former) == SUCCESSIONS_MAX:
        raise Rejected(
            BillsReason.SUCCESSION_INVALID, f"it moved {SUCCESSIONS_MAX} times", path=path
        )
    return allotment


def _move(ctx: Context, allotment: Allotment, successor: str) -> None:
    after = replace(allotment, holder=successor, former=[*allotment.former, allotment.holder])
    for row, sign in ((allotment, -1), (after, 1)):
        if in_stock(row):
            stock = read_stock(ctx, row.code, row.holder)
            put_stock(ctx, stock, numbers=sign * stocked(row), blocks=sign)
    ctx.put(after)


ACTIONS: dict[str, Action] = {"bills.succeed/1": Action(Succeed, succeed, work=8)}
