"""Acts on one bill by the supervisor and by whoever doubts it: freeze, lift, dispute, answer.

Invariant: a finding blocks nothing; a freeze pauses the times of lock and reversal and loses none.
See docs/spec/contracts/bills-supervision.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions.checks import (
    acts_for,
    check_bill_scope,
    check_not_ahead,
    fetch_blue,
    put_bill,
)
from tallystick.contracts.bills.items.supervision import Answer, Dispute, Freeze, Lift
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import Bill, Lock, live_lock, parse_bill_id
from tallystick.contracts.bills.records.supervision import Finding
from tallystick.contracts.kit.context import Action, Context
from tallystick.contracts.kit.grants import find_grant
from tallystick.contracts.kit.keys import authorise, check_version
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import format_instant, parse_instant

FREEZE_ACTION = "bills.freeze"
"""Who may freeze a bill is its supervisor, and may answer for its issuer."""


def freeze(ctx: Context, item: Freeze) -> None:
    """The supervisor stops all that can be claimed of, settled on or taken off a bill."""
    # READ
    bill = _read_bill(ctx, item.bill)
    # CHECK
    if bill.frozen is not None:
        raise Rejected(BillsReason.UNCHANGED, f"frozen for {bill.frozen}", path="bill")
    if bill.state in ("reversed", "settled"):
        raise Rejected(BillsReason.BILL_STATE, f"{bill.id} is {bill.state}", path="bill")
    check_not_ahead(bill, item.version)
    # WRITE
    lock = live_lock(bill, ctx.block_time)
    put_bill(
        ctx,
        bill,
        frozen=item.reason,
        lock=replace(lock, left=_left(ctx, lock.until)) if lock else None,
        reversing_left=_left(ctx, bill.reversing) if bill.reversing else 0,
    )


def lift(ctx: Context, item: Lift) -> None:
    """The supervisor lets it go on: what remained of each time remains."""
    # READ
    bill = _read_bill(ctx, item.bill)
    # CHECK
    if bill.frozen is None:
        raise Rejected(BillsReason.UNCHANGED, f"{bill.id} is not frozen", path="bill")
    check_version(bill, item.version)
    # WRITE
    lock = None if item.cancel_lock else bill.lock
    put_bill(
        ctx,
        bill,
        frozen=None,
        lock=_resumed(ctx, lock) if lock else None,
        reversing=_after(ctx, bill.reversing_left) if bill.reversing else None,
        reversing_left=0,
    )


def dispute(ctx: Context, item: Dispute) -> None:
    """A member doubts a bill: the bill says that somebody does, and goes on."""
    # READ
    bill = _read_bill(ctx, item.bill)
    # WRITE
    ctx.put(
        Finding(
            kind=Finding.KIND,
            id=ctx.item_id,
            state="open",
            good=False,
            bill=bill.id,
            by=ctx.sender,
            what=item.what,
            evidence=item.evidence,
        )
    )
    put_bill(ctx, bill, disputed=bill.disputed + 1)


def answer(ctx: Context, item: Answer) -> None:
    """Its issuer or the supervisor answers a finding, once."""
    # READ
    finding = ctx.fetch(Finding, item.finding, BillsReason.FINDING_UNKNOWN, "finding")
    bill = _read_bill(ctx, finding.bill)
    # CHECK
    if not acts_for(ctx, bill.issuer) and not _supervises(ctx, bill):
        raise Rejected(BillsReason.OTHER_ISSUER, f"{bill.issuer} issued it", path="finding")
    if finding.state != "open":
        raise Rejected(BillsReason.UNCHANGED, f"{finding.answered_by} answered", path="finding")
    # WRITE
    ctx.put(
        finding,
        state="answered",
        good=True,
        answer=item.answer,
        answered_by=ctx.sender,
        reason=item.reason,
    )
    put_bill(ctx, bill, disputed=bill.disputed - 1)


def _read_bill(ctx: Context, bill_id: str) -> Bill:
    code, number = parse_bill_id(bill_id)
    authorise(ctx, code)
    check_bill_scope(ctx, number)
    return fetch_blue(ctx, bill_id)


def _supervises(ctx: Context, bill: Bill) -> bool:
    code, _ = parse_bill_id(bill.id)
    return find_grant(ctx.state, ctx.sender, FREEZE_ACTION, ctx.block_time, code) is not None


def _left(ctx: Context, end: str) -> int:
    return max(parse_instant(end) - ctx.block_time, 0)


def _after(ctx: Context, seconds: int) -> str:
    return format_instant(ctx.block_time + seconds)


def _resumed(ctx: Context, lock: Lock) -> Lock:
    return replace(lock, until=_after(ctx, lock.left), left=0)


ACTIONS: dict[str, Action] = {
    "bills.freeze/1": Action(Freeze, freeze),
    "bills.lift/1": Action(Lift, lift),
    "bills.dispute/1": Action(Dispute, dispute),
    "bills.answer/1": Action(Answer, answer),
}
