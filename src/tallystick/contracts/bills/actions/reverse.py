"""``bills.reverse`` and ``bills.replace``: red bills, and a new one in the place of an old.

Invariant: red number, red bill and the change of the blue bill are one step (V6), and what red
bills took off a blue one never exceeds it in any part (V2). See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions.checks import (
    acts_for,
    find_bill,
    put_bill,
    rules_of,
)
from tallystick.contracts.bills.actions.issue import (
    amounts_of,
    check_money,
    check_split,
    find_deposits,
    new_bill,
    settle,
)
from tallystick.contracts.bills.actions.numbers import (
    check_number,
    check_time,
    find_place,
    read_allotment,
    take_number,
)
from tallystick.contracts.bills.actions.reversing import (
    NOT_REVERSING,
    check_in_time,
    check_seen,
    check_unhindered,
    make_due,
)
from tallystick.contracts.bills.amounts import format_amount
from tallystick.contracts.bills.items.bills import Replace, Reverse
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    PARTS,
    REVERSALS_MAX,
    Bill,
    TypeRules,
    format_bill_id,
    rest,
)
from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.keys import read_instant
from tallystick.protocol.canonical import replace as changed
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import parse_instant


def reverse(ctx: Context, item: Reverse) -> None:
    """A red bill takes all that is left off a blue one, or a part where the type allows it."""
    # READ
    place = find_place(ctx, item.code, item.level, item.first, item.type_version, issuing=False)
    allotment = read_allotment(ctx, place)
    blue = _find_reversible(ctx, item)
    rules = rules_of(ctx, blue)
    # CHECK
    _check_when(ctx, item, blue, rules)
    check_time(place, item.issued_at)
    check_number(ctx, allotment, item.number)
    _check_red_amounts(item, blue, rules)
    # WRITE
    amounts = amounts_of(item)
    red = _red_bill(ctx, item, blue, number=item.number, root=item.root, amounts=amounts)
    take_number(ctx, place, allotment, item.number, red)
    _take_off(ctx, blue, red)
    if amounts == rest(blue):
        _free(ctx, blue.settles)


def replace(ctx: Context, item: Replace) -> None:
    """A red bill ends the old bill and a new blue one stands in its place: all or nothing.

    V7: the new number was never used, so nothing that exists can lead back to it.
    """
    # READ
    place = find_place(ctx, item.code, item.level, item.first, item.type_version, issuing=True)
    allotment = read_allotment(ctx, place)
    blue = _find_reversible(ctx, item)
    # CHECK
    _check_when(ctx, item, blue, rules_of(ctx, blue))
    check_time(place, item.issued_at)
    check_number(ctx, allotment, item.red_number, "red_number")
    check_number(ctx, allotment, item.number)
    if item.number == item.red_number:
        raise Rejected(BillsReason.NUMBER_USED, "the red bill has it", path="number")
    check_money(place, item)
    deposits = find_deposits(ctx, place, item, freed_by=item.bill) if item.settles else []
    # WRITE
    red = _red_bill(ctx, item, blue, number=item.red_number, root=item.red_root, amounts=rest(blue))
    allotment = take_number(ctx, place, allotment, item.red_number, red)
    bill = new_bill(ctx, item, replaces=item.bill)
    take_number(ctx, place, allotment, item.number, bill)
    _take_off(ctx, blue, red, replaced_by=bill.id)
    _free(ctx, [each for each in blue.settles if each not in item.settles])
    settle(ctx, deposits, bill.id)


def _find_reversible(ctx: Context, item: Reverse | Replace) -> Bill:
    """V1, V3: the bill is there, blue, the sender's, not ended, and as the sender saw it."""
    blue = find_bill(ctx, item.bill)
    if blue is None or blue.bill_kind in ("void", "paper"):
        raise Rejected(BillsReason.REV_NOT_FOUND, f"no bill {item.bill}", path="bill")
    if blue.bill_kind == "red":
        raise Rejected(BillsReason.REV_OF_RED, f"{item.bill} is red", path="bill")
    if not acts_for(ctx, blue.issuer):
        raise Rejected(BillsReason.REV_OTHER_ISSUER, f"{blue.issuer} issued it", path="bill")
    if blue.state == "reversed":
        raise Rejected(BillsReason.REV_ENDED, f"{item.bill} is reversed", path="bill")
    if blue.state == "settled":
        raise Rejected(BillsReason.REV_SETTLED, f"settled by {blue.settled_by}", path="bill")
    check_unhindered(ctx, blue)
    check_seen(blue, item.version)
    return blue


def _check_when(ctx: Context, item: Reverse | Replace, blue: Bill, rules: TypeRules) -> None:
    """Same type; within the time that the blue bill's rules give; not before the blue bill."""
    if not blue.id.startswith(f"{item.code // 100}"):
        raise Rejected(BillsReason.CODE_TYPE_MISMATCH, f"{blue.id} is of another type", path="code")
    check_in_time(ctx, blue, rules)
    if read_instant(item.issued_at, "issued_at") < parse_instant(blue.issued_at):
        raise Rejected(
            BillsReason.TIME_TOO_OLD, f"the bill is of {blue.issued_at}", path="issued_at"
        )


def _check_red_amounts(item: Reverse, blue: Bill, rules: TypeRules) -> None:
    """V2: something, at most what is left of each part, and a rest that a bill can have."""
    left, red = rest(blue), amounts_of(item)
    for part, amount in red.items():
        if amount > left[part]:
            raise Rejected(
                BillsReason.REV_EXCEEDS,
                f"{format_amount(amount)} of {format_amount(left[part])} left",
                path=part,
            )
    if red == left:
        return
    if not item.total:
        raise Rejected(BillsReason.ZERO_TOTAL, "a red bill takes something off", path="total")
    if not rules.partial_reversal:
        raise Rejected(
            BillsReason.REV_PARTIAL_NOT_ALLOWED,
            f"all of {format_amount(left['total'])} or nothing",
            path="total",
        )
    if len(blue.reversed_by) + 1 >= REVERSALS_MAX:
        raise Rejected(
            BillsReason.REV_PARTIAL_NOT_ALLOWED,
            f"the {REVERSALS_MAX}th red bill takes all that is left",
            path="total",
        )
    check_split(rules, item)
    _check_rest(left, red)


def _check_rest(left: dict[str, int], red: dict[str, int]) -> None:
    """A total of zero ends a bill, and no part may outlive its whole."""
    keeps = {part: left[part] - red[part] for part in PARTS}
    own, borne = keeps["account"] + keeps["cash"], keeps["self_pay"] + keeps["self_expense"]
    if not keeps["total"] or own > keeps["total"]:
        raise Rejected(
            BillsReason.REV_EXCEEDS,
            f"leaves {format_amount(keeps['total'])}, of which account + cash {format_amount(own)}",
            path="total",
        )
    if borne and borne != own:
        raise Rejected(
            BillsReason.SUM_LIABILITY,
            f"leaves {format_amount(borne)} borne of {format_amount(own)}",
            path="self_pay",
        )


def _red_bill(
    ctx: Context,
    item: Reverse | Replace,
    blue: Bill,
    *,
    number: int,
    root: bytes,
    amounts: dict[str, int],
) -> Bill:
    return Bill(
        kind=Bill.KIND,
        id=format_bill_id(item.code, number),
        state="red",
        good=False,
        amounts=amounts,
        entry=ctx.index,
        version=1,
        issuer=ctx.sender,
        bill_kind="red",
        type_version=item.type_version,
        issued_at=item.issued_at,
        currency=blue.currency,
        root=root,
        reason=item.reason,
        reversal_of=blue.id,
    )


def _take_off(ctx: Context, blue: Bill, red: Bill, replaced_by: str | None = None) -> None:
    amounts = dict(blue.amounts)
    for part, taken in PARTS.items():
        amounts[taken] = amounts.get(taken, 0) + red.amounts[part]
    blue = changed(blue, amounts=amounts, reversed_by=[*blue.reversed_by, red.id])
    put_bill(
        ctx,
        blue,
        amounts=make_due(ctx, blue),
        replaced_by=replaced_by,
        lock=None,
        **NOT_REVERSING,
    )


def _free(ctx: Context, deposits: list[str]) -> None:
    """What a reversed bill had used up is prepaid money again."""
    for bill_id in deposits:
        deposit = find_bill(ctx, bill_id)
        if deposit is None:
            raise LookupError(bill_id)  # the bill that settled it has found it
        put_bill(ctx, deposit, settled_by=None)
