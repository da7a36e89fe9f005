"""Acts on what stands: whether a bill circulates, whether an issuer issues, what is archived.

Invariant: what finance said to be archived stays said; only the exceptions that it named then may
shrink. See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions.checks import (
    check_bill_scope,
    check_issuer,
    check_org,
    find_bill,
    put_bill,
    rules_of,
)
from tallystick.contracts.bills.items.bills import (
    Archived,
    OfBill,
    Release,
    ResumeIssuer,
    SuspendIssuer,
    Withhold,
)
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    EXCEPTIONS_MAX,
    Bill,
    Exceptions,
    Issuer,
    parse_bill_id,
)
from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.keys import authorise, check_version
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import format_instant, parse_instant


def withhold(ctx: Context, item: Withhold) -> None:
    """The issuer keeps a bill from being claimed, as of a patient in arrears."""
    # READ
    bill = _read_bill(ctx, item)
    # CHECK
    _check_live(ctx, bill, item)
    if not bill.circulable:
        raise Rejected(BillsReason.UNCHANGED, f"withheld for {bill.reason}", path="bill")
    # WRITE
    put_bill(ctx, bill, circulable=False, reason=item.reason)


def release(ctx: Context, item: Release) -> None:
    """The issuer lets a withheld bill circulate."""
    # READ
    bill = _read_bill(ctx, item)
    # CHECK
    _check_live(ctx, bill, item)
    if bill.circulable:
        raise Rejected(BillsReason.UNCHANGED, "it circulates", path="bill")
    # WRITE
    put_bill(ctx, bill, circulable=True, reason=item.reason)


def _read_bill(ctx: Context, item: OfBill) -> Bill:
    code, number = parse_bill_id(item.bill)
    authorise(ctx, code)
    check_bill_scope(ctx, number)
    bill = find_bill(ctx, item.bill)
    if bill is None or bill.bill_kind != "blue":
        raise Rejected(BillsReason.BILL_UNKNOWN, f"no blue bill {item.bill}", path="bill")
    return bill


def _check_live(ctx: Context, bill: Bill, item: OfBill) -> None:
    check_issuer(ctx, bill)
    if bill.state not in ("issued", "partly_reversed"):
        raise Rejected(BillsReason.BILL_STATE, f"{bill.id} is {bill.state}", path="bill")
    check_version(bill, item.version)


def suspend_issuer(ctx: Context, item: SuspendIssuer) -> None:
    """Finance stops an organisation from issuing; it may still reverse what it owes."""
    # READ
    authorise(ctx)
    issuer = _read_issuer(ctx, item.issuer)
    # CHECK
    check_org(ctx, item.issuer, "issuer")
    if issuer.state == "suspended":
        raise Rejected(BillsReason.UNCHANGED, f"for {issuer.reason}", path="issuer")
    # WRITE
    ctx.put(issuer, state="suspended", good=False, reason=item.reason)


def resume_issuer(ctx: Context, item: ResumeIssuer) -> None:
    """Finance lets it go on."""
    # READ
    authorise(ctx)
    issuer = _read_issuer(ctx, item.issuer)
    # CHECK
    check_org(ctx, item.issuer, "issuer")
    if issuer.state == "active":
        raise Rejected(BillsReason.UNCHANGED, "it is active", path="issuer")
    # WRITE
    ctx.put(issuer, state="active", good=True, reason=item.reason)


def _read_issuer(ctx: Context, org: str) -> Issuer:
    return ctx.find(Issuer, org) or Issuer(kind=Issuer.KIND, id=org, state="active", good=True)


def archived(ctx: Context, item: Archived) -> None:
    """Finance's archive has checked and stored an issuer's bodies up to a log index."""
    # READ
    authorise(ctx)
    issuer = _read_issuer(ctx, item.issuer)
    # CHECK
    check_org(ctx, item.issuer, "issuer")
    if item.below < issuer.below:
        raise Rejected(BillsReason.ARCHIVED_BACK, f"now {issuer.below}", path="below")
    if item.below > ctx.index:
        raise Rejected(
            BillsReason.EXCEPTION_INVALID, f"the log has {ctx.index} entries", path="below"
        )
    bills = _check_exceptions(ctx, item, issuer)
    # WRITE
    ctx.put(
        issuer,
        below=item.below,
        exceptions=item.exceptions,
        overdue_from=_overdue_from(ctx, bills),
    )


def _check_exceptions(ctx: Context, item: Archived, issuer: Issuer) -> list[Bill]:
    """The bills named: ascending, each once, the issuer's, and none that was archived before."""
    codes = [each.code for each in item.exceptions]
    if codes != sorted(dict.fromkeys(codes)):
        raise Rejected(BillsReason.EXCEPTION_INVALID, "codes ascend", path="exceptions")
    total = sum(len(each.numbers) for each in item.exceptions)
    if total > EXCEPTIONS_MAX:
        raise Rejected(
            BillsReason.EXCEPTION_INVALID, f"{total}, at most {EXCEPTIONS_MAX}", path="exceptions"
        )
    open_before = {each.code: frozenset(each.numbers) for each in issuer.exceptions}
    bills = []
    for n, each in enumerate(item.exceptions):
        path = f"exceptions/{n}/numbers"
        for bill in _find_named(ctx, item, each, path):
            _, number = parse_bill_id(bill.id)
            known = number in open_before.get(each.code, ())
            if (bill.entry or 0) < issuer.below and not known:
                raise Rejected(BillsReason.ARCHIVED_BACK, f"{number} was archived", path=path)
            bills.append(bill)
    return bills


def _find_named(ctx: Context, item: Archived, named: Exceptions, path: str) -> list[Bill]:
    if named.numbers != sorted(dict.fromkeys(named.numbers)):
        raise Rejected(BillsReason.EXCEPTION_INVALID, "numbers ascend", path=path)
    bills = []
    for number in named.numbers:
        bill = ctx.find_slot(Bill, named.code, number)
        if bill is None or bill.root is None or bill.issuer != item.issuer:
            raise Rejected(BillsReason.EXCEPTION_INVALID, f"{number}: not the issuer's", path=path)
        if (bill.entry or 0) >= item.below:
            raise Rejected(BillsReason.EXCEPTION_INVALID, f"{number} comes later", path=path)
        bills.append(bill)
    return bills


def _overdue_from(ctx: Context, bills: list[Bill]) -> str | None:
    """When the first of the bills passes its type's limit; None without a limit."""
    limits = []
    for bill in bills:
        within = rules_of(ctx, bill).archive_within_seconds
        if within:
            limits.append(parse_instant(bill.issued_at) + within)
    return format_instant(min(limits)) if limits else None
