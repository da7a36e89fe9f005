"""Plans: who reimburses a bill in which order, and shares that settle together.

Invariant: a plan binds only who accepted it; the shares of an atomic one settle all, or none (C6).
See docs/spec/contracts/bills-claims.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.contracts.bills.actions.checks import (
    check_bill_scope,
    check_issuer,
    fetch_blue,
)
from tallystick.contracts.bills.actions.claiming import (
    Answer,
    check_claimable,
    check_free,
    check_new,
    check_paper,
    check_reason,
    check_right,
    check_room,
    check_until,
    enter_claim,
    find_share,
    held,
    is_over,
    put_claimed,
    read_bill,
    read_claims,
)
from tallystick.contracts.bills.actions.holders import check_holder_act
from tallystick.contracts.bills.items import claims as items
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    Bill,
    ClaimRules,
    Lock,
    holder_now,
    live_lock,
    parse_bill_id,
)
from tallystick.contracts.bills.records.claims import (
    Claim,
    Plan,
    Share,
    plan_claimant,
    plan_id,
)
from tallystick.contracts.kit.acts import ACT_WORK, signed_within
from tallystick.contracts.kit.context import Action, Context
from tallystick.contracts.kit.keys import authorise, check_sender, check_version
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import format_instant


def plan(ctx: Context, item: items.MakePlan) -> None:
    """The holder, or the issuer at the counter, says who reimburses in which order."""
    # READ
    said = item.said
    code, number = parse_bill_id(said.bill)
    if item.act is None:
        authorise(ctx, code)
        check_bill_scope(ctx, number)
    else:
        check_sender(ctx, code)
    bill = fetch_blue(ctx, said.bill)
    former = ctx.find(Plan, plan_id(bill.id))
    # CHECK
    if item.act is None:
        check_issuer(ctx, bill)
        _check_bound(ctx, bill, said)
    else:
        check_holder_act(ctx, bill, said, item.act)
    _, rules = check_claimable(ctx, bill)
    if former is not None and _is_busy(ctx, bill, former):
        raise Rejected(BillsReason.PLAN_STATE, "there is a plan that binds", path="said")
    row = former or Plan(
        kind=Plan.KIND, id=plan_id(bill.id), state="open", good=True, mode=said.mode, shares=[]
    )
    check_version(row, said.version)
    until = _check_plan(ctx, rules, said)
    # WRITE
    shares = [
        Share(reimburser=each.reimburser, purpose=each.purpose, rank=each.rank, state="named")
        for each in said.shares
    ]
    ctx.put(row, state="open", good=True, until=until, mode=said.mode, shares=shares)
    put_claimed(ctx, bill, plan=True)


def _check_bound(ctx: Context, bill: Bill, said: items.SaidPlan) -> None:
    _, bound = holder_now(bill, ctx.block_time)
    if said.bound != bound:
        raise Rejected(BillsReason.BOUND_STALE, f"now binding {bound}", path="said/bound")


def _is_busy(ctx: Context, bill: Bill, row: Plan) -> bool:
    """Whether somebody relies on a plan: it accepted its rank, or holds money under it."""
    if row.mode == "atomic":
        return _own_lock(ctx, bill) is not None
    return not is_over(row, ctx.block_time) and any(each.state == "accepted" for each in row.shares)


def _own_lock(ctx: Context, bill: Bill) -> Lock | None:
    """What the plan's ready shares hold together, while it stands."""
    lock = live_lock(bill, ctx.block_time)
    return lock if lock is not None and lock.who == plan_claimant(bill.id) else None


def _check_plan(ctx: Context, rules: ClaimRules, said: items.SaidPlan) -> str:
    """The plan's end: who accepted a rank and falls silent holds the others up no longer."""
    named = [(each.reimburser, each.purpose) for each in said.shares]
    if len(dict.fromkeys(named)) != len(named):
        raise Rejected(BillsReason.PLAN_INVALID, "a share is named twice", path="said/shares")
    if said.until is None:
        if said.mode == "atomic":
            raise Rejected(BillsReason.PLAN_INVALID, "it has no end", path="said/until")
        return format_instant(ctx.block_time + rules.lock_seconds_max)
    check_until(ctx, rules, said.until, "said/until")
    return said.until


# ------------------------------------------------------------------------------- the shares


def accept_plan(ctx: Context, item: items.AcceptPlan) -> None:
    """The sender keeps to its rank."""
    # READ
    _, row, share = _read_share(ctx, item)
    # CHECK
    if share.state != "named" or is_over(row, ctx.block_time):
        raise _wrong_state(row, share)
    # WRITE
    ctx.put(row, shares=_changed(row, share, state="accepted"))


def waive_share(ctx: Context, item: items.WaiveShare) -> None:
    """The sender takes no part: nobody waits for it, and an atomic plan is over."""
    # READ
    bill, row, share = _read_share(ctx, item)
    # CHECK
    if share.state == "waived" or row.state != "open":
        raise _wrong_state(row, share)
    # WRITE
    shares = _changed(row, share, state="waived")
    if row.mode == "sequential":
        ctx.put(row, shares=shares)
        return
    ctx.put(row, shares=shares, state="ended", good=False)
    lock = None if _own_lock(ctx, bill) else bill.lock
    put_claimed(ctx, bill, plan=False, lock=lock)


def ready(ctx: Context, item: items.ReadyShare) -> None:
    """The sender is ready to settle its share of an atomic plan; the last one settles all."""
    # READ
    bill, row, share = _read_share(ctx, item)
    # CHECK
    terms = item.terms
    own = _own_lock(ctx, bill)
    _check_open(ctx, row, share, own)
    if terms.purpose != item.purpose:
        raise Rejected(BillsReason.PLAN_UNKNOWN, f"for {item.purpose}", path="terms/purpose")
    rules, claim_rules = check_claimable(ctx, bill)
    most = check_right(ctx, bill, rules, terms, item.opening)
    check_free(ctx, bill, terms.basis, own.who if own else None)
    claims = read_claims(ctx, bill)
    check_new(ctx, claims, terms, coming=_count_ready(row))
    check_paper(ctx, bill, claim_rules, item.paper)
    check_room(ctx, bill, terms, item.amount, most)
    check_reason(terms, item.amount, item.reason)
    # WRITE
    shares = _changed(
        row,
        share,
        state="ready",
        amount=item.amount,
        terms=terms,
        decision=item.decision,
        reason=item.reason,
    )
    row = replace(row, shares=shares)
    if _count_ready(row) < len(shares):
        ctx.put(row)
        put_claimed(ctx, bill, lock=_hold(bill, row, own, held(terms, item.amount)))
        return
    ctx.put(row, state="settled", good=False)
    _settle_all(ctx, bill, claims, shares)


def _check_open(ctx: Context, row: Plan, share: Share, own: Lock | None) -> None:
    """An atomic plan, in time, this share not ready, and what the others hold still held.

    The plan's lock keeps the time: a freeze stops it, and a lock that is gone ends the plan.
    """
    over = own is None and (_count_ready(row) or is_over(row, ctx.block_time))
    if row.mode != "atomic" or row.state != "open" or over or share.state == "ready":
        raise _wrong_state(row, share)


def _count_ready(row: Plan) -> int:
    return sum(each.state == "ready" for each in row.shares)


def _hold(bill: Bill, row: Plan, own: Lock | None, more: tuple[int, int]) -> Lock:
    if own is not None:
        return replace(own, amount=own.amount + more[0], cash=own.cash + more[1])
    if row.until is None:
        raise LookupError(row.id)  # an atomic plan has an end
    return Lock(who=plan_claimant(bill.id), amount=more[0], cash=more[1], until=row.until)


def _settle_all(ctx: Context, bill: Bill, claims: Sequence[Claim], shares: list[Share]) -> None:
    """C6: one step, in the order of the ranks."""
    for each in sorted(shares, key=lambda share: share.rank):
        if each.terms is None or each.decision is None:
            raise LookupError(each.purpose)  # a share that is ready has both
        answer = Answer(each.reimburser, each.terms, each.amount, each.decision, each.reason)
        bill = enter_claim(ctx, bill, claims, answer)
    put_claimed(ctx, bill, plan=False, lock=None)


def _read_share(ctx: Context, item: items.OfShare) -> tuple[Bill, Plan, Share]:
    """The bill, its plan, and the sender's place in it."""
    bill = read_bill(ctx, item.bill)
    row = ctx.find(Plan, plan_id(bill.id))
    share = find_share(row, ctx.sender, item.purpose) if row else None
    if row is None or share is None:
        raise Rejected(BillsReason.PLAN_UNKNOWN, f"none with {ctx.sender}", path="purpose")
    return bill, row, share


def _changed(row: Plan, share: Share, **changes: object) -> list[Share]:
    return [replace(each, **changes) if each is share else each for each in row.shares]


def _wrong_state(row: Plan, share: Share) -> Rejected:
    return Rejected(
        BillsReason.PLAN_STATE,
        f"{row.mode}, {row.state} until {row.until}; the share is {share.state}",
        path="purpose",
    )


ACTIONS: dict[str, Action] = {
    "bills.plan/1": Action(items.MakePlan, plan, work=ACT_WORK, signed=signed_within),
    "bills.accept_plan/1": Action(items.AcceptPlan, accept_plan),
    "bills.waive_share/1": Action(items.WaiveShare, waive_share),
    "bills.ready/1": Action(items.ReadyShare, ready, work=4),
}
