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
    issuer = ctx.find(Issuer, item.org) or Issuer(
        kind=Issuer.KIND, id=item.org, state="active", good=True
    )
    # CHECK
    check_org(ctx, item.org, "org")
    check_org(ctx, item.successor, "successor")
    _check_line(ctx, item, issuer)
    moved = [_check_moved(ctx, item, each, n) for n, each in enumerate(item.allotments)]
    # WRITE
    if item.duties:
        ctx.put(issuer, successor=item.successor, state="suspended", good=False, reason=item.reason)
    for allotment in moved:
        _move(ctx, allotment, item.successor)


def _check_line(ctx: Context, item: Succeed, issuer: Issuer) -> None:
    """Something moves, to somebody else; duties once, and never in a circle or a long line."""
    if item.org == item.successor:
        raise Rejected(BillsReason.SUCCESSION_INVALID, "it is the same", path="successor")
    if not item.duties and not item.allotments:
        raise Rejected(BillsReason.SUCCESSION_INVALID, "nothing moves", path="allotments")
    if not item.duties:
        return
    if issuer.successor is not None:
        raise Rejected(
            BillsReason.SUCCESSION_INVALID, f"{issuer.successor} succeeded it", path="org"
        )
    row, steps = ctx.find(Issuer, item.successor), 1
    while row is not None and row.successor is not None:
        if row.successor == item.org or steps == SUCCESSIONS_MAX:
            raise Rejected(
                BillsReason.SUCCESSION_INVALID,
                f"a circle, or more than {SUCCESSIONS_MAX} steps",
                path="successor",
            )
        row, steps = ctx.find(Issuer, row.successor), steps + 1


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


ACTIONS: dict[str, Action] = {"bills.succeed/1": Action(Succeed, succeed)}
