"""What locks, supplements and shares of a plan ask in the same words, and how a claim is entered.

Invariant: whoever lacks the right learns nothing of the claims of others; nobody learns a name.
See docs/spec/contracts/bills-claims.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.contracts.bills.actions.checks import acts_for, fetch_blue, rules_of
from tallystick.contracts.bills.amounts import format_amount
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    Bill,
    BillId,
    ClaimRules,
    Issuer,
    Lock,
    TypeRules,
    holder_now,
    live_lock,
    live_paper,
    parse_bill_id,
    room,
)
from tallystick.contracts.bills.records.claims import (
    CLAIMS_EACH_MAX,
    CLAIMS_MAX,
    Claim,
    Plan,
    Share,
    Terms,
    claim_id,
    plan_id,
)
from tallystick.contracts.bills.records.holders import (
    Consent,
    Mandate,
    Opening,
    consent_holds,
    mandate_holds,
)
from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.grants import codes_cover, pattern_allows
from tallystick.contracts.kit.keys import authorise, own_grant, read_instant
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import DAY_SECONDS, parse_instant

STATUTE_ACTION = "bills.statute"
"""The action that a grant names which lets its subject claim without a holder's consent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one reimburser answers to one claim."""

    reimburser: str
    terms: Terms
    amount: int
    decision: bytes
    reason: str | None
    state: str = "settled"


def read_bill(ctx: Context, bill_id: str) -> Bill:
    """The blue bill that a reimburser acts on, by a grant on its code."""
    authorise(ctx, parse_bill_id(bill_id)[0])
    return fetch_blue(ctx, bill_id)


def put_claimed(ctx: Context, bill: Bill, **changes: object) -> None:
    """Stage a bill whose claims changed: neither its state nor `good` depends on them."""
    ctx.put_slot(*parse_bill_id(bill.id), bill, **changes)


def read_claims(ctx: Context, bill: Bill) -> list[Claim]:
    """The claims of a bill, by ordinal."""
    found = []
    for ordinal in range(bill.claims):
        claim = ctx.find(Claim, claim_id(bill.id, ordinal))
        if claim is None:
            raise LookupError(claim_id(bill.id, ordinal))  # `Bill.claims` counts them
        found.append(claim)
    return found


# ------------------------------------------------------------------------------- of the bill


def check_claimable(ctx: Context, bill: Bill) -> tuple[TypeRules, ClaimRules]:
    """C1: what stands is issued, circulates, and is young enough."""
    rules = rules_of(ctx, bill)
    if rules.claims is None:
        raise Rejected(BillsReason.CLAIM_STATE, "the type is not claimed", path="bill")
    if bill.state not in ("issued", "partly_reversed"):
        _refuse_state(bill)
    if rules.ack == "archived" and not _is_archived(ctx, bill):
        raise Rejected(BillsReason.CLAIM_STATE, f"{bill.id} is not archived yet", path="bill")
    if not bill.circulable:
        raise Rejected(BillsReason.CLAIM_NOT_CIRCULABLE, f"for {bill.reason}", path="bill")
    if ctx.block_time >= parse_instant(bill.issued_at) + rules.claims.term_days * DAY_SECONDS:
        raise Rejected(
            BillsReason.CLAIM_TERM,
            f"{rules.claims.term_days} days from {bill.issued_at}",
            path="bill",
        )
    return rules, rules.claims


def _refuse_state(bill: Bill) -> None:
    if bill.state == "frozen":
        raise Rejected(BillsReason.BILL_FROZEN, f"for {bill.frozen}", path="bill")
    if bill.state == "reversing":
        raise Rejected(BillsReason.BILL_REVERSING, f"since {bill.reversing_since}", path="bill")
    raise Rejected(BillsReason.CLAIM_STATE, f"{bill.id} is {bill.state}", path="bill")


def _is_archived(ctx: Context, bill: Bill) -> bool:
    """Whether finance said so; what it said of an issuer is read once a transaction."""
    name = f"archived/{bill.issuer}"
    if name not in ctx.memo:
        row = ctx.find(Issuer, bill.issuer)
        named = row.exceptions if row else []
        ctx.memo[name] = (
            row.below if row else 0,
            {each.code: frozenset(each.numbers) for each in named},
        )
    below, exceptions = ctx.memo[name]
    if bill.entry is None or bill.entry >= below:
        return False
    code, number = parse_bill_id(bill.id)
    return number not in exceptions.get(code, ())


def check_until(ctx: Context, rules: ClaimRules, until: str, path: str = "until") -> int:
    """The end of a lock: to come, and no further off than the type allows."""
    at = read_instant(until, path)
    if not ctx.block_time < at <= ctx.block_time + rules.lock_seconds_max:
        raise Rejected(
            BillsReason.LOCK_TERM, f"at most {rules.lock_seconds_max} s from now", path=path
        )
    return at


# ------------------------------------------------------------------------------ of the right


def check_right(
    ctx: Context, bill: Bill, rules: TypeRules, terms: Terms, opening: Opening | None
) -> int:
    """C8: the holder's consent or mandate, or a law. The most that it allows; 0: no limit."""
    if terms.right == "statute":
        _check_statute(ctx, parse_bill_id(bill.id)[0], terms.right_id)
        return 0
    now = ctx.block_time
    if rules.claims is not None and rules.claims.bind_required and not holder_now(bill, now)[1]:
        raise _no_right("the holder has not bound the bill", "bill")
    if terms.right == "consent":
        consent = ctx.find(Consent, terms.right_id)
        if consent is not None and consent_holds(consent, bill, now):
            return _check_reader(ctx, consent, terms)
    else:
        mandate = ctx.find(Mandate, terms.right_id)
        if mandate is not None and mandate_holds(
            mandate, bill, opening, now, sensitive=rules.sensitive
        ):
            _check_reader(ctx, mandate, terms)
            return mandate.cap
    raise _no_right(f"no live {terms.right} on {bill.id}")


def _check_reader(ctx: Context, row: Consent | Mandate, terms: Terms) -> int:
    if (row.reader, row.purpose) != (ctx.sender, terms.purpose):
        raise _no_right("it is for another reader, or another purpose")
    return 0


def _check_statute(ctx: Context, code: int, grant_id: str) -> None:
    name = f"statute/{code}/{grant_id}"
    if name not in ctx.memo:
        grant = own_grant(ctx, grant_id)
        ctx.memo[name] = (
            grant is not None
            and any(pattern_allows(each, STATUTE_ACTION) for each in grant.actions)
            and codes_cover(grant.codes, code)
        )
    if not ctx.memo[name]:
        raise _no_right(f"no live grant of {STATUTE_ACTION} for {ctx.sender} and code {code}")


def _no_right(detail: str, path: str = "terms/right_id") -> Rejected:
    return Rejected(BillsReason.CLAIM_CONSENT, detail, path=path)


# ------------------------------------------------------------------------ of others' claims


def check_new(ctx: Context, claims: Sequence[Claim], terms: Terms, coming: int = 0) -> None:
    """C4: once for each purpose; and the bill has room for one more row, after `coming` others.

    What was answered by one whose duties the sender took over counts as its own.
    """
    for each in claims:
        same = each.terms.purpose == terms.purpose and each.state != "rejected"
        if same and acts_for(ctx, each.reimburser):
            raise Rejected(BillsReason.CLAIM_DUPLICATE, f"claim {each.id}", path="terms/purpose")
    known = _find_own(claims, ctx.sender, terms.purpose)
    own = sum(each.reimburser == ctx.sender for each in claims)
    if known is None and own >= CLAIMS_EACH_MAX:
        raise Rejected(
            BillsReason.CLAIM_LIMIT, f"{CLAIMS_EACH_MAX} of one reimburser", path="terms/purpose"
        )
    if known is None and len(claims) + coming >= CLAIMS_MAX:
        raise Rejected(BillsReason.CLAIM_LIMIT, f"{CLAIMS_MAX} of one bill", path="bill")


def _find_own(claims: Sequence[Claim], org: str, purpose: str) -> Claim | None:
    for each in claims:
        if each.reimburser == org and each.terms.purpose == purpose:
            return each
    return None


def check_paper(ctx: Context, bill: Bill, rules: ClaimRules, paper: BillId | None) -> None:
    """P3: while a paper form stands for the bill, whoever claims has it in hand."""
    form = live_paper(bill, ctx.block_time)
    if not rules.paper_presented or form is None:
        return
    if form.state != "live" or form.id != paper:
        raise Rejected(BillsReason.CLAIM_PAPER, f"the form is {form.state}", path="paper")


def check_free(ctx: Context, bill: Bill, basis: str, own: bytes | None = None) -> Lock | None:
    """C2: no lock but `own` stands; who is refused learns until when, and what is left."""
    lock = live_lock(bill, ctx.block_time)
    if lock is not None and lock.who != own:
        left = format_amount(room(bill, ctx.block_time)[basis])
        raise Rejected(BillsReason.CLAIM_LOCKED, f"left {left} until {lock.until}", path="bill")
    return lock


def check_room(ctx: Context, bill: Bill, terms: Terms, amount: int, most: int = 0) -> None:
    """C2, C3: within what is left of the bill, by basis and overall, and of what the holder allows.

    A fixed sum counts against neither.
    """
    if terms.benefit == "fixed":
        return
    left = room(bill, ctx.block_time)[terms.basis]
    if amount > left:
        raise Rejected(
            BillsReason.CLAIM_CAP,
            f"{format_amount(amount)} of {format_amount(left)} left",
            path="amount",
        )
    if most and amount > most:
        raise Rejected(
            BillsReason.CLAIM_CAP, f"the holder allows {format_amount(most)}", path="amount"
        )


# ------------------------------------------------------------------------------ of the plan


def find_share(plan: Plan, org: str, purpose: str) -> Share | None:
    """The place of one reimburser in a plan, or None."""
    for each in plan.shares:
        if each.reimburser == org and each.purpose == purpose:
            return each
    return None


def is_over(plan: Plan, now: int) -> bool:
    """Whether a plan counts no more."""
    return plan.state != "open" or (plan.until is not None and now >= parse_instant(plan.until))


def check_rank(ctx: Context, bill: Bill, claims: Sequence[Claim], purpose: str) -> None:
    """C5: who accepted a rank waits until each earlier one that was accepted is answered."""
    plan = ctx.find(Plan, plan_id(bill.id)) if bill.plan else None
    if plan is None or plan.mode != "sequential" or is_over(plan, ctx.block_time):
        return
    own = find_share(plan, ctx.sender, purpose)
    if own is None or own.state != "accepted":
        return
    for each in plan.shares:
        if (
            each.state == "accepted"
            and each.rank < own.rank
            and _find_own(claims, each.reimburser, each.purpose) is None
        ):
            raise Rejected(
                BillsReason.CLAIM_RANK,
                f"rank {own.rank} waits for rank {each.rank}",
                path="terms/purpose",
            )


# ------------------------------------------------------------------------------- the answer


def check_reason(terms: Terms, amount: int, reason: str | None) -> None:
    """Nothing is paid only for a reason: a deductible that is not used up is one."""
    if not amount and reason is None:
        raise Rejected(BillsReason.CLAIM_REASON, f"nothing for {terms.purpose}", path="reason")


def held(terms: Terms, amount: int) -> tuple[int, int]:
    """What of an amount counts against the bill, and against its cash alone."""
    if terms.benefit == "fixed":
        return 0, 0
    return amount, amount if terms.basis == "cash" else 0


def plus(amounts: dict[str, int], **more: int) -> dict[str, int]:
    """Amounts with more added to some of them."""
    changed = {name: amounts.get(name, 0) + amount for name, amount in more.items() if amount}
    return {**amounts, **changed} if changed else amounts


def enter_claim(ctx: Context, bill: Bill, claims: Sequence[Claim], answer: Answer) -> Bill:
    """Write the row of an answered claim; the bill with its new sums, to be put by the caller.

    A claim that was rejected before is answered in its own row.
    """
    terms, settled = answer.terms, answer.state == "settled"
    known = _find_own(claims, answer.reimburser, terms.purpose) if claims else None
    amounts: dict[str, int] = {}
    if settled:
        amounts["fixed" if terms.benefit == "fixed" else "settled"] = answer.amount
    claim = Claim(
        kind=Claim.KIND,
        id=known.id if known else claim_id(bill.id, bill.claims),
        state=answer.state,
        good=settled,
        amounts=amounts,
        entry=known.entry if known else None,
        version=known.version if known else 0,
        reimburser=answer.reimburser,
        terms=terms,
        decision=answer.decision,
        reason=answer.reason,
        settled_index=ctx.index if settled else 0,
    )
    ctx.put(claim)
    counts, of_cash = held(terms, answer.amount)
    return replace(
        bill,
        claims=bill.claims if known else bill.claims + 1,
        amounts=plus(bill.amounts, settled=counts, settled_cash=of_cash),
    )
