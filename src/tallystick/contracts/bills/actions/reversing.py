"""A reversal that meets locks, settlements, paper and a freeze.

Invariant: a lock never stops a legal refund, it only makes it wait (V5); what a reversal takes away
under a settlement is due in the same step, from the last settled first (C11).
See docs/spec/contracts/bills-claims.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallystick.contracts.bills.actions.checks import (
    check_bill_scope,
    check_issuer,
    check_not_ahead,
    check_not_frozen,
    fetch_blue,
    put_bill,
    rules_of,
)
from tallystick.contracts.bills.actions.claiming import plus, read_claims
from tallystick.contracts.bills.items.bills import OfBill
from tallystick.contracts.bills.items.claims import CancelReversal, RequestReversal
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    Bill,
    TypeRules,
    live_lock,
    live_paper,
    parse_bill_id,
    rest,
)
from tallystick.contracts.bills.records.claims import Claim, counted
from tallystick.contracts.kit.context import Action, Context
from tallystick.contracts.kit.keys import authorise, check_version
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import format_instant, parse_instant

NOT_REVERSING: dict[str, Any] = {
    "reversing": None,
    "reversing_since": None,
    "reversing_version": 0,
}


def request_reversal(ctx: Context, item: RequestReversal) -> None:
    """The issuer wants to reverse a bill that may be locked: from here on nothing is settled.

    On a frozen bill too: the time is noted, and the wait begins when the freeze is lifted.
    """
    # READ
    bill = _read_own(ctx, item)
    # CHECK
    if bill.state in ("reversed", "settled"):
        raise Rejected(BillsReason.BILL_STATE, f"{bill.id} is {bill.state}", path="bill")
    if bill.reversing is not None:
        raise Rejected(BillsReason.UNCHANGED, f"since {bill.reversing_since}", path="bill")
    rules = rules_of(ctx, bill)
    check_in_time(ctx, bill, rules)
    check_not_ahead(bill, item.version)
    # WRITE
    wait = rules.claims.reversal_wait_seconds if rules.claims else 0
    put_bill(
        ctx,
        bill,
        reversing=format_instant(ctx.block_time + wait),
        reversing_since=format_instant(ctx.block_time),
        reversing_version=bill.version + 1,
        reversing_left=wait if bill.frozen is not None else 0,
    )


def cancel_reversal(ctx: Context, item: CancelReversal) -> None:
    """The issuer takes its request back; a lock that ended by its silence stays ended."""
    # READ
    bill = _read_own(ctx, item)
    # CHECK
    check_not_frozen(bill)
    if bill.reversing is None:
        raise Rejected(BillsReason.NOT_REVERSING, f"{bill.id} is {bill.state}", path="bill")
    check_version(bill, item.version)
    # WRITE
    lock = live_lock(bill, ctx.block_time)
    put_bill(ctx, bill, **NOT_REVERSING, lock=lock)


def _read_own(ctx: Context, item: OfBill) -> Bill:
    code, number = parse_bill_id(item.bill)
    authorise(ctx, code)
    check_bill_scope(ctx, number)
    bill = fetch_blue(ctx, item.bill)
    check_issuer(ctx, bill)
    return bill


def check_in_time(ctx: Context, bill: Bill, rules: TypeRules) -> None:
    """A type's limit of time; who had to wait for a lock asked in time."""
    within = rules.reverse_within_seconds
    asked = ctx.block_time
    if bill.reversing_since is not None:
        asked = parse_instant(bill.reversing_since)
    if within and asked > parse_instant(bill.issued_at) + within:
        raise Rejected(BillsReason.REV_TOO_LATE, f"{within} s after {bill.issued_at}", path="bill")


def check_unhindered(ctx: Context, bill: Bill) -> None:
    """V4, V5: no freeze, no live lock, no live paper."""
    check_not_frozen(bill)
    lock = live_lock(bill, ctx.block_time)
    if lock is not None:
        ends = bill.reversing or "bills.reversal_request"
        raise Rejected(
            BillsReason.REV_LOCKED, f"locked until {lock.until}; ends by {ends}", path="bill"
        )
    paper = live_paper(bill, ctx.block_time)
    if paper is not None:
        raise Rejected(BillsReason.REV_PAPER_LIVE, f"{paper.id} is {paper.state}", path="bill")


def check_seen(bill: Bill, seen: int) -> None:
    """As `check_version`; while the issuer asks to reverse, all that it saw since it asked holds.

    Findings, bindings and the end of a lock change nothing that it decides on; were they to make
    what it saw stale, whoever may write them could stop a refund (V5).
    """
    if bill.reversing is None or not bill.reversing_version <= seen <= bill.version:
        check_version(bill, seen)


def make_due(ctx: Context, bill: Bill) -> dict[str, int]:
    """C11: a bill's amounts once what reversals took from under settlements is due back.

    First what exceeds the cash that is left, of claims on cash alone; then what exceeds all that is
    left: no more is due than has to be, each time from the last settled on.
    """
    left, amounts = rest(bill), bill.amounts
    over_cash = max(amounts.get("settled_cash", 0) - left["cash"], 0)
    over = max(amounts.get("settled", 0) - left["account"] - left["cash"], over_cash)
    if not over:
        return amounts
    last_first = sorted(read_claims(ctx, bill), key=lambda each: each.settled_index)[::-1]
    due = dict.fromkeys((each.id for each in last_first), 0)
    _spread(over_cash, [each for each in last_first if each.terms.basis == "cash"], due)
    _spread(over - over_cash, last_first, due)
    of_cash = 0
    for claim in last_first:
        if due[claim.id]:
            of_cash += due[claim.id] if claim.terms.basis == "cash" else 0
            ctx.put(claim, amounts=plus(claim.amounts, due=due[claim.id]), state="due", good=False)
    return plus(amounts, settled=-over, settled_cash=-of_cash, due=over)


def _spread(over: int, claims: Sequence[Claim], due: dict[str, int]) -> None:
    for claim in claims:
        part = min(over, counted(claim) - due[claim.id])
        due[claim.id] += part
        over -= part


ACTIONS: dict[str, Action] = {
    "bills.reversal_request/1": Action(RequestReversal, request_reversal),
    "bills.cancel_reversal/1": Action(CancelReversal, cancel_reversal),
}
