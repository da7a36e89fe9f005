"""``bills.issue``: a blue bill takes a number. The province's hot path.

Invariant: a bill that is issued satisfies its type's rules as far as the record shows them; its
commitments and amounts never change afterwards (I11). See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions.checks import acts_for, find_bill, put_bill, rules_of
from tallystick.contracts.bills.actions.numbers import (
    Place,
    check_number,
    check_time,
    find_place,
    read_allotment,
    take_number,
)
from tallystick.contracts.bills.amounts import format_amount
from tallystick.contracts.bills.items.bills import Issue, Money, NewBill
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    Bill,
    TypeRules,
    format_bill_id,
)
from tallystick.contracts.kit.context import Context
from tallystick.protocol.errors import Rejected


def issue(ctx: Context, item: Issue) -> None:
    """A blue bill takes a number of the sender's."""
    _issue(ctx, item, offline=False)


def issue_offline(ctx: Context, item: Issue) -> None:
    """A bill that was made before the ledger knew of it takes a number of an offline reserve."""
    _issue(ctx, item, offline=True)


def _issue(ctx: Context, item: Issue, *, offline: bool) -> None:
    # READ
    place = find_place(
        *(ctx, item.code, item.level, item.first, item.type_version), issuing=True, offline=offline
    )
    allotment = read_allotment(ctx, place)
    # CHECK
    check_time(place, item.issued_at)
    check_number(ctx, allotment, item.number)
    check_money(place, item)
    deposits = find_deposits(ctx, place, item) if item.settles else []
    # WRITE
    bill = new_bill(ctx, item, offline=offline)
    take_number(ctx, place, allotment, item.number, bill)
    settle(ctx, deposits, bill.id)


def new_bill(
    ctx: Context, item: NewBill, replaces: str | None = None, *, offline: bool = False
) -> Bill:
    """The row of a blue bill, with what `Context.put` would add: one copy less for each bill."""
    return Bill(
        kind=Bill.KIND,
        id=format_bill_id(item.code, item.number),
        state="issued",
        good=True,
        amounts=amounts_of(item),
        entry=ctx.index,
        version=1,
        issuer=ctx.sender,
        bill_kind="blue",
        type_version=item.type_version,
        issued_at=item.issued_at,
        currency=item.currency,
        root=item.root,
        holder=item.holder,
        replaces=replaces,
        settles=item.settles,
        offline=offline,
    )


def amounts_of(item: Money) -> dict[str, int]:
    """An item's amounts under the names of `PARTS`."""
    return {
        "total": item.total,
        "account": item.account,
        "cash": item.cash,
        "self_pay": item.self_pay,
        "self_expense": item.self_expense,
    }


def check_money(place: Place, item: NewBill) -> None:
    """Checks 12 to 14: currency, and amounts that a bill of this type can have (I5, I6, I9)."""
    rules = place.rules
    if item.currency not in rules.currencies:  # 12
        raise Rejected(
            BillsReason.CURRENCY_NOT_ALLOWED,
            f"{item.currency}, allowed {', '.join(rules.currencies)}",
            path="currency",
        )
    if not item.total and not rules.zero_total:  # 13
        raise Rejected(BillsReason.ZERO_TOTAL, "the type has no bills of zero", path="total")
    check_split(rules, item)  # 14


def check_split(rules: TypeRules, item: Money) -> None:
    """Account and cash fit into the total, self-pay and self-expense are their split if stated."""
    own, borne = item.account + item.cash, item.self_pay + item.self_expense
    if own > item.total:
        raise Rejected(
            BillsReason.SUM_SOURCES,
            f"account + cash {format_amount(own)}, total {format_amount(item.total)}",
            path="account",
        )
    if rules.liability == "absent" and borne:
        raise Rejected(BillsReason.SUM_LIABILITY, "the type has no such split", path="self_pay")
    if borne != own and (borne or rules.liability == "required"):
        raise Rejected(
            BillsReason.SUM_LIABILITY,
            f"self-pay + self-expense {format_amount(borne)}, account + cash {format_amount(own)}",
            path="self_pay",
        )


def find_deposits(
    ctx: Context, place: Place, item: NewBill, freed_by: str | None = None
) -> list[Bill]:
    """Check 15: the deposits that the bill uses up are the sender's, and free.

    Those that `freed_by` used up count as free: it is reversed in the same step.
    """
    if place.rules.deposit:
        raise Rejected(BillsReason.RELATION_INVALID, "a deposit settles nothing", path="settles")
    if len(dict.fromkeys(item.settles)) != len(item.settles):
        raise Rejected(BillsReason.RELATION_INVALID, "a deposit is named twice", path="settles")
    if freed_by in item.settles:  # a type can begin or cease to be one of deposits
        raise Rejected(BillsReason.RELATION_INVALID, "it is reversed here", path="settles")
    found = []
    for n, bill_id in enumerate(item.settles):
        deposit = find_bill(ctx, bill_id)
        path = f"settles/{n}"
        if (
            deposit is None
            or deposit.bill_kind != "blue"
            or not acts_for(ctx, deposit.issuer)
            or deposit.currency != item.currency
            or not rules_of(ctx, deposit).deposit
        ):
            raise Rejected(BillsReason.DEPOSIT_UNKNOWN, f"{bill_id} is none of yours", path=path)
        free = deposit.state in ("issued", "partly_reversed")
        if not free and (freed_by is None or deposit.settled_by != freed_by):
            raise Rejected(BillsReason.DEPOSIT_ENDED, f"{bill_id} is {deposit.state}", path=path)
        found.append(deposit)
    return found


def settle(ctx: Context, deposits: list[Bill], bill_id: str) -> None:
    """Mark the deposits as used up by the bill."""
    for deposit in deposits:
        put_bill(ctx, deposit, settled_by=bill_id)
