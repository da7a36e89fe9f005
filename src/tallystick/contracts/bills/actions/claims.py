"""Reimbursement: lock, renew, release, reject, settle, supplement, claw back.

Invariant: in every state settled + locked stays within what is left of the bill, by basis and
overall (C2). See docs/spec/contracts/bills-claims.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions import plans, reversing
from tallystick.contracts.bills.actions.checks import (
    acts_for,
    check_not_frozen,
)
from tallystick.contracts.bills.actions.claiming import (
    Answer,
    check_claimable,
    check_free,
    check_new,
    check_paper,
    check_rank,
    check_reason,
    check_right,
    check_room,
    check_until,
    enter_claim,
    held,
    plus,
    put_claimed,
    read_bill,
    read_claims,
)
from tallystick.contracts.bills.amounts import format_amount
from tallystick.contracts.bills.items import claims as items
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records import bills as records
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.bills.records.claims import Claim, claim_id, claimant, counted
from tallystick.contracts.kit.context import Action, Context
from tallystick.contracts.kit.keys import read_instant
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import AMOUNT_MAX, parse_instant

# ---------------------------------------------------------------------------------- the lock


def lock(ctx: Context, item: items.Lock) -> None:
    """A reimburser takes hold of money of a bill, under a right that it names."""
    # READ
    bill = read_bill(ctx, item.bill)
    # CHECK
    terms = item.terms
    rules, claim_rules = check_claimable(ctx, bill)
    check_until(ctx, claim_rules, item.until)
    most = check_right(ctx, bill, rules, terms, item.opening)
    check_free(ctx, bill, terms.basis)
    claims = read_claims(ctx, bill)
    check_new(ctx, claims, terms)
    check_paper(ctx, bill, claim_rules, item.paper)
    check_rank(ctx, bill, claims, terms.purpose)
    check_room(ctx, bill, terms, item.amount, most)
    # WRITE
    amount, cash = held(terms, item.amount)
    who = claimant(item.claim, ctx.sender, terms)
    put_claimed(ctx, bill, lock=records.Lock(who=who, amount=amount, cash=cash, until=item.until))


def renew(ctx: Context, item: items.Renew) -> None:
    """A lock of the sender's stands until a later instant, while its right does."""
    # READ
    bill, own = _read_lock(ctx, item)
    # CHECK
    rules, claim_rules = check_claimable(ctx, bill)
    until = check_until(ctx, claim_rules, item.until)
    if own.renewals >= claim_rules.renewals_max or until <= parse_instant(own.until):
        raise Rejected(
            BillsReason.LOCK_TERM,
            f"{own.renewals} of {claim_rules.renewals_max} renewals, now until {own.until}",
            path="until",
        )
    check_right(ctx, bill, rules, item.terms, item.opening)
    # WRITE
    put_claimed(ctx, bill, lock=replace(own, until=item.until, renewals=own.renewals + 1))


def release_lock(ctx: Context, item: items.ReleaseLock) -> None:
    """The sender lets its lock go: nothing is settled."""
    # READ
    bill, _ = _read_lock(ctx, item)
    # WRITE
    put_claimed(ctx, bill, lock=None)


def _read_lock(ctx: Context, item: items.OfClaim) -> tuple[Bill, records.Lock]:
    """The bill, and the sender's own lock on it; refuses when that is another's, or is over."""
    bill = read_bill(ctx, item.bill)
    held_by = bill.lock
    if held_by is None or held_by.who != claimant(item.claim, ctx.sender, item.terms):
        raise Rejected(BillsReason.LOCK_NOT_OWNER, "no lock of this claim", path="claim")
    if records.live_lock(bill, ctx.block_time) is None:
        ended = min(held_by.until, bill.reversing or held_by.until)  # instants sort as text
        raise Rejected(BillsReason.LOCK_EXPIRED, f"it stood until {ended}", path="bill")
    return bill, held_by


# -------------------------------------------------------------------------------- the answer


def reject(ctx: Context, item: items.Reject) -> None:
    """The claim is answered with no."""
    # READ
    bill, _ = _read_lock(ctx, item)
    # WRITE
    _answer(ctx, bill, Answer(ctx.sender, item.terms, 0, item.decision, item.reason, "rejected"))


def settle(ctx: Context, item: items.Settle) -> None:
    """The claim is answered with an amount, at most what is locked."""
    # READ
    bill, own = _read_lock(ctx, item)
    # CHECK
    check_not_frozen(bill)
    if bill.reversing is not None:
        raise Rejected(BillsReason.BILL_REVERSING, f"since {bill.reversing_since}", path="bill")
    _check_within(own, item)
    # WRITE
    _settle(ctx, bill, item)


def settled_before(ctx: Context, item: items.SettledBefore) -> None:
    """While a bill is reversing: what the sender had paid before its issuer asked to reverse."""
    # READ
    bill, own = _read_lock(ctx, item)
    # CHECK
    check_not_frozen(bill)
    paid_at = read_instant(item.paid_at, "paid_at")
    if bill.reversing_since is None:
        raise Rejected(BillsReason.NOT_REVERSING, f"{bill.id} is {bill.state}", path="bill")
    if paid_at > parse_instant(bill.reversing_since):
        raise Rejected(BillsReason.BILL_REVERSING, f"since {bill.reversing_since}", path="paid_at")
    _check_within(own, item)
    # WRITE
    _settle(ctx, replace(bill, reversing_version=bill.version + 1), item)


def _check_within(own: records.Lock, item: items.Settle) -> None:
    """C9: at most what this claim locked; nothing only for a reason."""
    amount, _ = held(item.terms, item.amount)
    if amount > own.amount:
        raise Rejected(
            BillsReason.SETTLE_EXCEEDS_LOCK,
            f"{format_amount(amount)} of {format_amount(own.amount)} locked",
            path="amount",
        )
    check_reason(item.terms, item.amount, item.reason)


def _settle(ctx: Context, bill: Bill, item: items.Settle) -> None:
    answer = Answer(ctx.sender, item.terms, item.amount, item.decision, item.reason)
    _answer(ctx, bill, answer)


def _answer(ctx: Context, bill: Bill, answer: Answer) -> None:
    """C10: the answer and the end of the lock are one step."""
    put_claimed(ctx, enter_claim(ctx, bill, read_claims(ctx, bill), answer), lock=None)


# --------------------------------------------------------------------------- after the answer


def supplement(ctx: Context, item: items.Supplement) -> None:
    """More is paid on a claim that is settled, within what is left of the bill."""
    # READ
    bill = read_bill(ctx, item.bill)
    claim = _fetch_claim(ctx, bill, item.ordinal)
    # CHECK
    terms, was = item.terms, claim.terms
    if (terms.purpose, terms.basis, terms.benefit) != (was.purpose, was.basis, was.benefit):
        raise Rejected(BillsReason.CLAIM_UNKNOWN, f"{claim.id} has other terms", path="terms")
    if claim.state != "settled":
        raise Rejected(BillsReason.CLAIM_STATE, f"{claim.id} is {claim.state}", path="ordinal")
    rules, _ = check_claimable(ctx, bill)
    most = check_right(ctx, bill, rules, terms, item.opening)
    check_reason(terms, item.amount, None)
    left = max(most - counted(claim), 0) if most else 0
    if most and not left:
        raise Rejected(BillsReason.CLAIM_CAP, "the holder allows no more", path="amount")
    check_room(ctx, bill, terms, item.amount, left)
    name = "fixed" if terms.benefit == "fixed" else "settled"
    if claim.amounts.get(name, 0) + item.amount > AMOUNT_MAX:  # a fixed sum has no other cap
        raise Rejected(BillsReason.CLAIM_CAP, "more than an amount can be", path="amount")
    # WRITE
    ctx.put(
        claim,
        amounts=plus(claim.amounts, **{name: item.amount}),
        terms=terms,
        decision=item.decision,
        supplements=claim.supplements + 1,
    )
    counts, of_cash = held(terms, item.amount)
    put_claimed(ctx, bill, amounts=plus(bill.amounts, settled=counts, settled_cash=of_cash))


def claw_back(ctx: Context, item: items.ClawBack) -> None:
    """C11: what a reversal made due came back, or is waived."""
    # READ
    bill = read_bill(ctx, item.bill)
    claim = _fetch_claim(ctx, bill, item.ordinal)
    # CHECK
    due = claim.amounts.get("due", 0)
    if not 0 < item.amount <= due:
        raise Rejected(
            BillsReason.CLAW_EXCEEDS,
            f"{format_amount(item.amount)} of {format_amount(due)} due",
            path="amount",
        )
    # WRITE
    still = due - item.amount
    ctx.put(
        claim,
        amounts=plus(claim.amounts, due=-item.amount, **{item.how: item.amount}),
        state="due" if still else "settled",
        good=not still,
    )
    put_claimed(ctx, bill, amounts=plus(bill.amounts, due=-item.amount))


def _fetch_claim(ctx: Context, bill: Bill, ordinal: int) -> Claim:
    """A claim of the sender's, or of one whose duties it took over; another's is not told of."""
    claim = ctx.find(Claim, claim_id(bill.id, ordinal))
    if claim is None or not acts_for(ctx, claim.reimburser):
        raise Rejected(BillsReason.CLAIM_UNKNOWN, f"no {ordinal} of yours", path="ordinal")
    return claim


ACTIONS: dict[str, Action] = {
    "bills.lock/1": Action(items.Lock, lock),
    "bills.renew/1": Action(items.Renew, renew),
    "bills.release_lock/1": Action(items.ReleaseLock, release_lock),
    "bills.reject/1": Action(items.Reject, reject),
    "bills.settle/1": Action(items.Settle, settle),
    "bills.settled_before/1": Action(items.SettledBefore, settled_before),
    "bills.supplement/1": Action(items.Supplement, supplement),
    "bills.claw_back/1": Action(items.ClawBack, claw_back),
    **plans.ACTIONS,
    **reversing.ACTIONS,
}
