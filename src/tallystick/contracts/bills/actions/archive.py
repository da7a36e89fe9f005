"""Archive manifests, legal holds and erasure of bodies. The ledger has no body: it says who must.

Invariant: a body's erasure is ordered when its term is over and nobody holds it, or on a legal
order, and changes nothing of its bill (A2); an archive promises only what was accepted (A1).
See docs/spec/contracts/bills-accounts.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions.checks import (
    acts_for,
    check_issuer,
    check_org,
    check_region,
    find_bill,
    newest_rules,
    rules_of,
)
from tallystick.contracts.bills.items.accounts import (
    ArchivePeriod,
    Erased,
    HoldBodies,
    LiftHold,
    OrderErasure,
)
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.accounts import (
    COPIES_MAX,
    HOLDS_MAX,
    Account,
    Copy,
    Erasure,
    Hold,
    Manifest,
    Order,
    Period,
    erasure_id,
    hold_id,
    month_of,
    month_span,
    parse_period,
    period_id,
)
from tallystick.contracts.bills.records.bills import Bill, parse_bill_id
from tallystick.contracts.kit.context import Action, Context
from tallystick.contracts.kit.grants import find_grant
from tallystick.contracts.kit.keys import authorise, check_unbound, read_instant
from tallystick.contracts.kit.reasons import KitReason
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import DAY_SECONDS, format_instant, parse_instant

LEGAL_ORDER_ACTION = "bills.legal_order"
"""Who holds a grant for it may have bodies erased before their term is over."""


def archive_period(ctx: Context, item: ArchivePeriod) -> None:
    """An archive promises to keep all bodies of an accepted month until a date, or longer."""
    # READ
    period = _parse_period(item.account)
    authorise(ctx, period.code)
    check_unbound(ctx)
    account = ctx.fetch(Account, item.account, BillsReason.ACCOUNT_UNKNOWN, "account")
    row_id = f"{ctx.sender}/{item.account}"
    former = ctx.find(Manifest, row_id)
    # CHECK
    if account.state != "accepted":
        raise Rejected(BillsReason.ACCOUNT_STATE, f"it is {account.state}", path="account")
    bills = account.tally.blue + account.tally.red
    if account.includes or (item.root, item.bills) != (account.tally.root, bills):
        raise Rejected(
            BillsReason.MANIFEST_MISMATCH,
            f"accepted were {bills} bills under {account.tally.root.hex()}, "
            f"in {account.includes} accounts of the level below",
            path="root",
        )
    least = _least(ctx, period, former)
    until = read_instant(item.retain_until, "retain_until")
    if until < least:
        raise Rejected(
            BillsReason.RETENTION, f"not before {format_instant(least)}", path="retain_until"
        )
    # WRITE
    blank = Manifest(
        kind=Manifest.KIND,
        id=row_id,
        state="kept",
        good=True,
        archive=ctx.sender,
        account=item.account,
        root=item.root,
        bills=item.bills,
        retain_until=item.retain_until,
    )
    ctx.put(former or blank, retain_until=item.retain_until)
    if account.retain_until is None or until > parse_instant(account.retain_until):
        ctx.put(account, retain_until=item.retain_until)


def _parse_period(account_id: str) -> Period:
    period = parse_period(account_id)
    if period is None:
        raise Rejected(BillsReason.ACCOUNT_UNKNOWN, "no month's account", path="account")
    return period


def _least(ctx: Context, period: Period, former: Manifest | None) -> int:
    """The end of the type's term for the last bill of the month; never less than was promised."""
    days = newest_rules(ctx, period.code).retention_days
    _, end = month_span(period.month, ctx.env.utc_offset_seconds)
    least = end + days * DAY_SECONDS
    return least if former is None else max(least, parse_instant(former.retain_until))


# ----------------------------------------------------------------------------------------- holds


def hold(ctx: Context, item: HoldBodies) -> None:
    """A legal order keeps a bill's body, or all of a month, from being erased at its term."""
    # READ
    row = _read_hold(ctx, item)
    # CHECK
    _check_held_thing(ctx, item)
    if any(each.by == ctx.sender for each in row.orders):
        raise Rejected(BillsReason.UNCHANGED, "it is held on your order", path=_named(item))
    if len(row.orders) == HOLDS_MAX:
        raise Rejected(BillsReason.HELD, f"by {HOLDS_MAX} organisations", path=_named(item))
    # WRITE
    order = Order(by=ctx.sender, order=item.order, reason=item.reason)
    ctx.put(row, state="held", good=False, orders=[*row.orders, order])


def lift_hold(ctx: Context, item: LiftHold) -> None:
    """Who stated a hold lifts it; those of others stand."""
    # READ
    row = _read_hold(ctx, item)
    # CHECK
    left = [each for each in row.orders if each.by != ctx.sender]
    if len(left) == len(row.orders):
        raise Rejected(BillsReason.UNCHANGED, "no hold of yours", path=_named(item))
    # WRITE
    ctx.put(row, state="held" if left else "lifted", good=not left, orders=left)


def _named(item: HoldBodies) -> str:
    return "account" if item.bill is None else "bill"


def _read_hold(ctx: Context, item: HoldBodies) -> Hold:
    if (item.bill is None) == (item.account is None):
        raise Rejected(BillsReason.ACCOUNT_UNKNOWN, "name a bill or a month", path="account")
    if item.bill is not None:
        code, _ = parse_bill_id(item.bill)
    else:
        code = _parse_period(item.account or "").code
    authorise(ctx, code)
    check_unbound(ctx)
    row_id = hold_id(item.bill or item.account or "")
    return ctx.find(Hold, row_id) or Hold(kind=Hold.KIND, id=row_id, state="lifted", good=True)


def _check_held_thing(ctx: Context, item: HoldBodies) -> None:
    if item.bill is not None:
        _fetch_with_body(ctx, item.bill)
        return
    period = _parse_period(item.account or "")
    check_region(ctx, period.code)
    check_org(ctx, period.org, "account")


# --------------------------------------------------------------------------------------- erasure


def order_erasure(ctx: Context, item: OrderErasure) -> None:
    """Every vault that is known to have a bill's body shall erase it and say so."""
    # READ
    authorise(ctx, parse_bill_id(item.bill)[0])
    check_unbound(ctx)
    bill = _fetch_with_body(ctx, item.bill)
    former = ctx.find(Erasure, erasure_id(bill.id))
    # CHECK
    if item.basis == "term":
        check_issuer(ctx, bill)
        _check_term(ctx, bill)
    else:
        _check_legal_order(ctx, bill)
    copies = _check_copies(ctx, item, former)
    # WRITE
    blank = Erasure(
        kind=Erasure.KIND,
        id=erasure_id(bill.id),
        state="ordered",
        good=False,
        by=ctx.sender,
        basis=item.basis,
        order=item.order,
        reason=item.reason,
        copies=copies,
    )
    ctx.put(
        former or blank,
        state="ordered",
        good=False,
        by=ctx.sender,
        basis=item.basis,
        order=item.order,
        reason=item.reason,
        copies=copies,
    )


def erased(ctx: Context, item: Erased) -> None:
    """A vault says that keys and body are gone from it; the last one ends the order."""
    # READ
    authorise(ctx, parse_bill_id(item.bill)[0])
    check_unbound(ctx)
    row = ctx.fetch(Erasure, erasure_id(item.bill), BillsReason.ERASURE_UNKNOWN, "bill")
    # CHECK
    mine = [each for each in row.copies if acts_for(ctx, each.org)]
    if not mine:
        raise Rejected(BillsReason.ERASURE_UNKNOWN, "it names no copy of yours", path="bill")
    if all(each.done is not None for each in mine):
        raise Rejected(BillsReason.UNCHANGED, f"you said so at {mine[0].done}", path="bill")
    # WRITE
    at = format_instant(ctx.block_time)
    copies = [
        replace(each, done=at) if each in mine and each.done is None else each
        for each in row.copies
    ]
    done = all(each.done is not None for each in copies)
    ctx.put(row, state="done" if done else "ordered", good=done, copies=copies)


def _fetch_with_body(ctx: Context, bill_id: str) -> Bill:
    bill = find_bill(ctx, bill_id)
    if bill is None or bill.bill_kind not in ("blue", "red"):
        raise Rejected(BillsReason.BILL_UNKNOWN, f"no bill {bill_id} with a body", path="bill")
    return bill


def _check_term(ctx: Context, bill: Bill) -> None:
    """A2: the type's term is over, and what any archive promised; and nobody holds it."""
    days = rules_of(ctx, bill).retention_days
    if not days:
        raise Rejected(BillsReason.RETENTION, "the type keeps bodies for ever", path="bill")
    issued_at = parse_instant(bill.issued_at)
    ends = issued_at + days * DAY_SECONDS
    month = period_id(
        bill.issuer,
        parse_bill_id(bill.id)[0] // 100,
        month_of(issued_at, ctx.env.utc_offset_seconds),
    )
    account = ctx.find(Account, month)
    if account is not None and account.retain_until is not None:
        ends = max(ends, parse_instant(account.retain_until))
    if ctx.block_time < ends:
        raise Rejected(BillsReason.RETENTION, f"kept until {format_instant(ends)}", path="bill")
    for what in (bill.id, month):
        held = ctx.find(Hold, hold_id(what))
        if held is not None and held.orders:
            order = held.orders[0]
            raise Rejected(BillsReason.HELD, f"by {order.by}: {order.reason}", path="bill")


def _check_legal_order(ctx: Context, bill: Bill) -> None:
    code, _ = parse_bill_id(bill.id)
    if find_grant(ctx.state, ctx.sender, LEGAL_ORDER_ACTION, ctx.block_time, code) is None:
        raise Rejected(
            KitReason.NO_GRANT, f"a legal order takes {LEGAL_ORDER_ACTION}", path="basis"
        )


def _check_copies(ctx: Context, item: OrderErasure, former: Erasure | None) -> list[Copy]:
    """The copies that are known, those of an earlier order first: a later one can only add."""
    if len(dict.fromkeys(item.copies)) != len(item.copies):
        raise Rejected(BillsReason.ERASURE_COPIES, "a copy is named twice", path="copies")
    for n, org in enumerate(item.copies):
        check_org(ctx, org, f"copies/{n}")
    copies = list(former.copies) if former else []
    known = [each.org for each in copies]
    new = [Copy(org=org) for org in item.copies if org not in known]
    if not new:
        raise Rejected(BillsReason.UNCHANGED, "the order stands already", path="copies")
    if len(copies) + len(new) > COPIES_MAX:
        raise Rejected(BillsReason.ERASURE_COPIES, f"more than {COPIES_MAX}", path="copies")
    return copies + new


ACTIONS: dict[str, Action] = {
    "bills.archive_period/1": Action(ArchivePeriod, archive_period),
    "bills.hold/1": Action(HoldBodies, hold),
    "bills.lift_hold/1": Action(LiftHold, lift_hold),
    "bills.order_erasure/1": Action(OrderErasure, order_erasure),
    "bills.erased/1": Action(Erased, erased),
}
