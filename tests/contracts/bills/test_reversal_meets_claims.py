"""A legal refund is never stopped by a lock, and takes back what was settled on it."""

from __future__ import annotations

from typing import Any

import pytest
from claims_acts import CLAIM_RULES, CLAIMED, DAY, HOUR, Claims, Held, started
from paper_acts import Desk
from province import left, parts

from tallystick.contracts.bills.items.bills import Block
from tallystick.contracts.bills.items.paper import DeclareLost, Recover
from tallystick.contracts.bills.items.supervision import Dispute
from tallystick.contracts.bills.records.bills import Bill, PaperLink
from tallystick.contracts.bills.views.claims import list_outstanding, standing_of
from tallystick.contracts.kit.context import slot_key
from tallystick.protocol.canonical import encode, replace

LOCKED = ("bills.rev_locked", "bill")


def refused_reverse(claims: Claims, bill: Bill, **fields: Any) -> tuple[str, str]:
    item = claims.world.reverse_item(claims.now(bill), 50, **fields)
    return claims.refused("hospital", "bills.reverse", item)


def doubt(claims: Claims, bill: Bill) -> Dispute:
    named: dict[str, Any] = {"what": "altered", "evidence": bytes(32)}
    return Dispute(nonce=claims.world.nonce(), bill=bill.id, **named)


def locked(amount: int = 4_000, **fields: Any) -> tuple[Claims, Bill, Held]:
    claims, bill = started()
    return claims, bill, claims.lock("fund", bill, amount, **fields)


# ------------------------------------------------------------------------------- the waiting


def test_V5_a_locked_bill_is_not_reversed_at_once() -> None:
    claims, bill, held = locked()
    assert refused_reverse(claims, bill) == LOCKED
    item = claims.world.replace_item(claims.now(bill), 50, 51, code=CLAIMED)
    assert claims.refused("hospital", "bills.replace", item) == LOCKED
    claims.do("fund", "bills.release_lock", claims.release_item(held))
    assert claims.reverse(bill, 2).state == "reversed"


def test_V5_who_is_asked_and_silent_makes_room_after_the_wait() -> None:
    claims, bill, held = locked(until=claims_end())
    bill = claims.request(bill)
    assert (bill.state, bill.good) == ("reversing", False)
    refusal = ("bills.bill_reversing", "bill")
    assert claims.refused("fund", "bills.settle", claims.settle_item(held, 1)) == refusal
    renew = claims.renew_item(held, claims.world.instant(9 * DAY))
    assert claims.refused("fund", "bills.renew", renew) == refusal
    claims.world.at += DAY - 1
    assert refused_reverse(claims, bill) == LOCKED
    claims.world.at += 1
    release = claims.release_item(held)
    assert claims.refused("fund", "bills.release_lock", release) == ("bills.lock_expired", "bill")
    bill = claims.reverse(bill, 2)
    assert (bill.state, bill.lock, bill.reversing) == ("reversed", None, None)
    claims.world.audit()


def claims_end() -> str:
    return "2026-01-14T00:00:00Z"


def test_V5_a_lock_that_is_released_makes_room_at_once() -> None:
    claims, bill, held = locked()
    claims.request(bill)
    claims.do("fund", "bills.release_lock", claims.release_item(held))
    assert claims.refused_lock("insurer", bill) == ("bills.bill_reversing", "bill")
    bill = claims.reverse(bill, 2, total=1_000)
    assert (bill.state, bill.reversing, bill.reversing_since) == ("partly_reversed", None, None)
    claims.lock("insurer", bill)


def test_V5_an_answer_of_no_makes_room_too() -> None:
    claims, bill, held = locked()
    claims.request(bill)
    claims.do("fund", "bills.reject", claims.reject_item(held))
    claims.reverse(bill, 2)


def test_V5_what_was_paid_before_the_request_is_proven_and_due_back() -> None:
    claims, bill, held = locked(4_000)
    proof = claims.settled_before_item(held, 3_000, claims.world.instant())
    before = ("bills.not_reversing", "bill")
    assert claims.refused("fund", "bills.settled_before", proof) == before
    claims.world.at += HOUR
    bill = claims.request(bill)
    asked = bill.reversing_since
    assert asked is not None
    claims.world.at += HOUR
    late = claims.settled_before_item(held, 3_000, claims.world.instant())
    refusal = ("bills.bill_reversing", "paid_at")
    assert claims.refused("fund", "bills.settled_before", late) == refusal
    never = claims.settled_before_item(held, 3_000, "2026-02-31T00:00:00Z")
    invalid = ("kit.instant_invalid", "paid_at")
    assert claims.refused("fund", "bills.settled_before", never) == invalid
    much = claims.settled_before_item(held, 4_001, asked)
    exceeds = ("bills.settle_exceeds_lock", "amount")
    assert claims.refused("fund", "bills.settled_before", much) == exceeds
    proof = claims.settled_before_item(held, 3_000, asked)
    bill = claims.do("fund", "bills.settled_before", proof)
    assert (bill.state, bill.amounts["settled"]) == ("reversing", 3_000)
    bill = claims.reverse(bill, 2)
    assert (bill.amounts["settled"], bill.amounts["due"]) == (0, 3_000)


def test_V5_a_proof_after_the_wait_is_too_late() -> None:
    claims, bill, held = locked(until=claims_end())
    paid_at = claims.world.instant()
    claims.request(bill)
    claims.world.at += DAY
    proof = claims.settled_before_item(held, 1, paid_at)
    assert claims.refused("fund", "bills.settled_before", proof) == ("bills.lock_expired", "bill")


def test_V5_whoever_writes_to_the_bill_in_between_stops_no_refund() -> None:
    """A lock and its release, or a finding, each block: no version is seen before it is stale."""
    claims, bill = started()
    asks = claims.request_item(bill)
    held = claims.lock("insurer", bill, 100)
    claims.do("insurer", "bills.release_lock", claims.release_item(held))
    claims.lock("fund", bill, 100)
    claims.do("hospital", "bills.reversal_request", asks)
    claims.world.at += DAY
    refund = claims.world.reverse_item(claims.now(bill), 2)
    for _ in range(3):
        claims.do("mutual", "bills.dispute", doubt(claims, bill))
    assert claims.do("hospital", "bills.reverse", refund).state == "reversed"


def test_V5_a_version_before_the_request_is_stale_and_so_is_one_to_come() -> None:
    claims, bill, held = locked()
    early = claims.world.reverse_item(bill, 2)
    claims.do("fund", "bills.release_lock", claims.release_item(held))
    claims.request(bill)
    stale = ("kit.version_conflict", "version")
    assert claims.refused("hospital", "bills.reverse", early) == stale
    ahead = claims.world.reverse_item(claims.now(bill), 2, version=99)
    assert claims.refused("hospital", "bills.reverse", ahead) == stale


def test_V5_a_part_that_was_refunded_is_not_refunded_twice_by_what_was_seen_before() -> None:
    claims, bill = started()
    bill = claims.request(bill)
    one, two = (claims.world.reverse_item(bill, number, total=1_000) for number in (2, 3))
    claims.do("hospital", "bills.reverse", one)
    stale = ("kit.version_conflict", "version")
    assert claims.refused("hospital", "bills.reverse", two) == stale


def test_V5_who_asked_to_reverse_sees_what_was_paid_before() -> None:
    claims, bill, held = locked()
    paid_at = claims.world.instant()
    bill = claims.request(bill)
    refund = claims.world.reverse_item(bill, 2)
    proof = claims.settled_before_item(held, 4_000, paid_at)
    claims.do("fund", "bills.settled_before", proof)
    stale = ("kit.version_conflict", "version")
    assert claims.refused("hospital", "bills.reverse", refund) == stale
    claims.reverse(bill, 2)


def test_V5_a_freeze_takes_no_time_from_who_wants_to_refund() -> None:
    desk = Desk()
    code = desk.define(33061226, reverse_within_seconds=HOUR)
    bill = desk.issue(code=code)
    desk.lock("fund", bill)
    desk.freeze(bill)
    bill = desk.request(bill)
    assert (bill.state, bill.reversing_since) == ("frozen", desk.world.instant())
    desk.world.at += 9 * DAY
    bill = desk.lift(bill)
    assert (bill.state, bill.reversing) == ("reversing", desk.world.instant(DAY))
    assert refused_reverse(desk, bill, code=code) == LOCKED
    desk.world.at += DAY
    assert desk.reverse(bill, 2, code=code).state == "reversed"


def test_V5_whoever_doubts_a_bill_does_not_keep_its_form_from_being_taken_back() -> None:
    """A refund waits for the form; each finding would make what the issuer saw stale."""
    desk = Desk()
    bill = desk.printed(desk.issue(1), 1)
    desk.request(bill)
    lost, back = desk.of(DeclareLost, bill, reason="lost"), desk.of(Recover, bill)
    desk.dispute(bill)
    desk.paper("declare_lost", lost)
    desk.dispute(bill)
    desk.paper("recover", back)
    assert desk.reverse(bill, 2).state == "reversed"


def test_a_request_is_taken_back() -> None:
    claims, bill, held = locked()
    claims.request(bill)
    bill = claims.do("hospital", "bills.cancel_reversal", claims.cancel_item(bill))
    assert (bill.state, bill.good, bill.reversing) == ("issued", True, None)
    claims.settle(held, 4_000)


def test_a_lock_that_ended_by_silence_stays_ended_when_the_request_is_taken_back() -> None:
    claims, bill, held = locked(until=claims_end())
    claims.request(bill)
    claims.world.at += DAY
    bill = claims.do("hospital", "bills.cancel_reversal", claims.cancel_item(bill))
    assert bill.lock is None
    settle = claims.settle_item(held, 1)
    assert claims.refused("fund", "bills.settle", settle) == ("bills.lock_not_owner", "claim")


def test_who_may_ask_when_for_what() -> None:
    claims, bill = started()
    ask, cancel = "bills.reversal_request", "bills.cancel_reversal"
    none = claims.cancel_item(bill)
    assert claims.refused("hospital", cancel, none) == ("bills.not_reversing", "bill")
    assert claims.refused("clinic", ask, claims.request_item(bill)) == (
        "bills.other_issuer",
        "bill",
    )
    stale = claims.request_item(bill, version=9)
    assert claims.refused("hospital", ask, stale) == ("kit.version_conflict", "version")
    claims.request(bill)
    again = claims.request_item(bill)
    assert claims.refused("hospital", ask, again) == ("bills.unchanged", "bill")
    late = claims.cancel_item(bill, version=9)
    assert claims.refused("hospital", cancel, late) == ("kit.version_conflict", "version")
    missing = replace(again, bill=f"{CLAIMED}:0000000077")
    assert claims.refused("hospital", ask, missing) == ("bills.bill_unknown", "bill")
    claims.reverse(bill, 2)
    ended = claims.request_item(bill)
    assert claims.refused("hospital", ask, ended) == ("bills.bill_state", "bill")


def test_who_had_to_wait_for_a_lock_asked_in_time() -> None:
    claims = Claims()
    code = claims.define(33061126, reverse_within_seconds=HOUR)
    bill, other = claims.issue(1, code=code), claims.issue(2, code=code)
    claims.lock("fund", bill)
    claims.world.at += HOUR
    claims.request(bill)
    claims.world.at += DAY
    item = claims.request_item(other)
    refusal = ("bills.rev_too_late", "bill")
    assert claims.refused("hospital", "bills.reversal_request", item) == refusal
    claims.reverse(bill, 3, code=code)
    late = claims.world.reverse_item(other, 4, code=code)
    assert claims.refused("hospital", "bills.reverse", late) == refusal


def test_a_type_that_is_not_claimed_waits_for_nothing() -> None:
    claims = Claims()
    code = claims.define(33061226, claims=None)
    bill = claims.request(claims.issue(code=code))
    assert bill.reversing == bill.reversing_since
    claims.reverse(bill, 2, code=code)


def test_V5_a_plans_lock_makes_a_reversal_wait_as_well() -> None:
    claims, bill = started()
    claims.atomic(bill, "fund", "insurer", seconds=2 * DAY)
    claims.ready("fund", bill, 100)
    assert refused_reverse(claims, bill) == LOCKED
    claims.request(bill)
    item = claims.ready_item("insurer", bill, 100)
    assert claims.refused("insurer", "bills.ready", item) == ("bills.bill_reversing", "bill")
    claims.world.at += DAY
    claims.reverse(bill, 2, total=1_000)
    item = claims.ready_item("insurer", bill, 100)
    assert claims.refused("insurer", "bills.ready", item) == ("bills.plan_state", "purpose")


# ------------------------------------------------------------------------------ what is due


def test_C11_what_is_no_longer_covered_is_due_from_the_last_settled_on() -> None:
    claims, bill = started()
    for org, amount in (("fund", 2_000), ("insurer", 1_500), ("mutual", 1_000)):
        claims.claim(org, bill, amount)
    bill = claims.reverse(bill, 2, total=5_000)
    assert claims.amounts(bill) == [
        {"settled": 2_000},
        {"settled": 1_500, "due": 1_000},
        {"settled": 1_000, "due": 1_000},
    ]
    assert [each.state for each in claims.claims(bill)] == ["settled", "due", "due"]
    assert (bill.amounts["settled"], bill.amounts["due"]) == (2_500, 2_000)
    bill = claims.reverse(bill, 3)
    assert [each.get("due", 0) for each in claims.amounts(bill)] == [2_000, 1_500, 1_000]
    assert (bill.amounts["settled"], bill.amounts["due"]) == (0, 4_500)


def test_C11_no_more_is_due_than_has_to_be_when_cash_runs_short() -> None:
    """The cash claim gives first what only cash covered; that counts for the whole as well."""
    claims, bill = started()
    claims.claim("fund", bill, 3_000, basis="cash")
    claims.claim("insurer", bill, 1_500)
    red: dict[str, int] = {"account": 0, "cash": 1_000, "self_pay": 0, "self_expense": 0}
    red |= {"total": 1_000}
    item = claims.world.reverse_item(claims.now(bill), 2, **(red | {"self_pay": 1_000}))
    bill = claims.do("hospital", "bills.reverse", item)
    assert claims.amounts(bill) == [{"settled": 3_000, "due": 1_000}, {"settled": 1_500}]
    assert bill.amounts["settled_cash"] == 2_000


def test_C11_the_last_settled_is_not_the_last_named() -> None:
    """A claim that was rejected first and settled last has an early row, and gives back first."""
    claims, bill = started()
    held = claims.lock("insurer", bill)
    claims.do("insurer", "bills.reject", claims.reject_item(held))
    claims.claim("fund", bill, 2_000)
    claims.claim("insurer", bill, 2_000)
    bill = claims.reverse(bill, 2, total=4_000)
    assert claims.amounts(bill) == [{"settled": 2_000, "due": 1_000}, {"settled": 2_000}]


def test_C11_a_fixed_benefit_owes_nothing() -> None:
    claims, bill = started()
    claims.claim("insurer", bill, 80_000, benefit="fixed")
    bill = claims.reverse(bill, 2)
    assert claims.amounts(bill) == [{"fixed": 80_000}]


def test_C11_what_is_due_is_tracked_to_zero_and_never_below() -> None:
    claims, bill = started()
    claims.claim("fund", bill, 3_000)
    claims.claim("insurer", bill, 2_000)
    bill = claims.reverse(bill, 2)
    exceeds, action = ("bills.claw_exceeds", "amount"), "bills.claw_back"
    for amount in (0, 2_001):
        item = claims.claw_back_item(bill, 1, amount, "recovered")
        assert claims.refused("insurer", action, item) == exceeds
    other = claims.claw_back_item(bill, 1, 1, "recovered")
    assert claims.refused("fund", action, other) == ("bills.claim_unknown", "ordinal")
    bill = claims.do("insurer", action, claims.claw_back_item(bill, 1, 1_200, "recovered"))
    assert bill.amounts["due"] == 3_800
    assert claims.claims(bill)[1].state == "due"
    bill = claims.do("insurer", action, claims.claw_back_item(bill, 1, 800, "waived"))
    claim = claims.claims(bill)[1]
    assert (claim.state, claim.good) == ("settled", True)
    assert claim.amounts == {"settled": 2_000, "due": 0, "recovered": 1_200, "waived": 800}
    item = claims.claw_back_item(bill, 1, 1, "recovered")
    assert claims.refused("insurer", action, item) == exceeds
    [fund, insurer] = list_outstanding(claims.world.rows)
    assert (fund.reimburser, fund.claims, fund.due) == ("fund", 1, 3_000)
    assert (insurer.due, insurer.recovered, insurer.waived) == (0, 1_200, 800)
    shown = standing_of(claims.world.rows, bill, claims.world.at)
    assert (shown.original, shown.reversed, shown.due, shown.left) == (5_000, 5_000, 3_000, 0)


def test_C11_a_claim_with_something_due_is_not_supplemented() -> None:
    claims, bill = started()
    claims.claim("fund", bill, 5_000)
    bill = claims.reverse(bill, 2, total=2_000)
    item = claims.supplement_item("fund", bill, 0, 1)
    assert claims.refused("fund", "bills.supplement", item) == ("bills.claim_state", "ordinal")
    bill = claims.do("fund", "bills.claw_back", claims.claw_back_item(bill, 0, 1_000, "recovered"))
    item = claims.supplement_item("fund", bill, 0, 1)
    assert claims.refused("fund", "bills.supplement", item) == ("bills.claim_cap", "amount")


def test_C11_a_replaced_bill_owes_back_and_the_new_one_starts_afresh() -> None:
    claims, bill = started()
    claims.claim("fund", bill, 5_000)
    item = claims.world.replace_item(
        claims.now(bill), 2, 3, code=CLAIMED, holder=claims.holder(3).commitment
    )
    old = claims.do("hospital", "bills.replace", item)
    assert (old.state, old.amounts["due"]) == ("reversed", 5_000)
    new = claims.world.bill(CLAIMED, 3)
    claims.claim("fund", new, 4_000)
    claims.world.audit()


def test_C11_shares_that_settled_together_give_back_from_the_last_rank_on() -> None:
    claims, bill = started()
    claims.atomic(bill, "insurer", "fund")
    claims.ready("fund", bill, 2_500)
    claims.ready("insurer", bill, 2_500)
    bill = claims.reverse(bill, 2, total=4_000)
    assert [each.reimburser for each in claims.claims(bill)] == ["insurer", "fund"]
    assert claims.amounts(bill) == [{"settled": 2_500}, {"settled": 2_500, "due": 2_000}]


# ----------------------------------------------------------------------- freezes, paper, issuers


def put(claims: Claims, bill: Bill, **changes: Any) -> Bill:
    """The row as another side of the contract leaves it."""
    code, number = bill.id.split(":")
    row = replace(claims.now(bill), **changes)
    claims.world.rows.data[slot_key(int(code), int(number))] = encode(row)
    return row


def test_a_frozen_bill_is_neither_locked_nor_settled_nor_reversed() -> None:
    claims, bill, held = locked()
    put(claims, bill, frozen="suspicion", state="frozen", good=False)
    frozen = ("bills.bill_frozen", "bill")
    assert claims.refused_lock("insurer", bill) == frozen
    assert claims.refused("fund", "bills.settle", claims.settle_item(held, 1)) == frozen
    paid = claims.settled_before_item(held, 1, claims.world.instant())
    assert claims.refused("fund", "bills.settled_before", paid) == frozen
    renew = claims.renew_item(held, claims.world.instant(2 * DAY))
    assert claims.refused("fund", "bills.renew", renew) == frozen
    assert refused_reverse(claims, bill) == frozen
    cancel = claims.cancel_item(bill)
    assert claims.refused("hospital", "bills.cancel_reversal", cancel) == frozen
    claims.world.at += 2 * DAY
    assert claims.now(bill).lock is not None
    claims.do("fund", "bills.release_lock", claims.release_item(held))


@pytest.mark.parametrize("state", ["printing", "live", "lost"])
def test_V4_while_a_paper_form_is_live_nothing_is_reversed(state: Any) -> None:
    claims, bill = started()
    until = claims.world.instant(HOUR) if state == "lost" else None
    form = PaperLink(id="33061126:0000000001", state=state, until=until)
    bill = put(claims, bill, paper=form)
    assert refused_reverse(claims, bill) == ("bills.rev_paper_live", "bill")
    if state == "lost":
        claims.world.at += HOUR
        claims.reverse(bill, 2)


def test_P3_while_a_paper_form_is_live_whoever_claims_has_it_in_hand() -> None:
    claims, bill = started()
    form = PaperLink(id="33061126:0000000001", state="live")
    put(claims, bill, paper=form)
    refusal = ("bills.claim_paper", "paper")
    assert claims.refused_lock("fund", bill) == refusal
    assert claims.refused_lock("fund", bill, paper="33061126:0000000002") == refusal
    claims.lock("fund", bill, paper=form.id)
    claims.world.at += DAY
    lost = PaperLink(id=form.id, state="lost", until=claims.world.instant(HOUR))
    put(claims, bill, paper=lost)
    assert claims.refused_lock("fund", bill, paper=form.id) == refusal
    claims.world.at += HOUR
    claims.lock("fund", bill)


def test_P3_where_the_type_does_not_ask_for_the_form_none_is_shown() -> None:
    claims = Claims()
    code = claims.define(33061326, claims=replace(CLAIM_RULES, paper_presented=False))
    bill = claims.issue(code=code)
    put(claims, bill, paper=PaperLink(id="33061126:0000000001", state="live"))
    claims.lock("fund", bill)


def test_a_paper_form_is_no_bill_to_reverse() -> None:
    claims, bill = started()
    bill = put(claims, bill, bill_kind="paper", state="live", good=False)
    item = claims.world.reverse_item(bill, 50)
    refusal = claims.world.refused("hospital", "bills.reverse", item)
    assert refusal == ("bills.rev_not_found", "bill")


def test_a_bill_of_another_issuer_stays_its_own() -> None:
    claims, bill = started()
    parent = Block(level=0, first=1)
    claims.world.allot(
        code=CLAIMED, level=3, first=5_001, last=5_010, holder="clinic", parent=parent
    )
    item = claims.world.reverse_item(bill, 5_001, first=5_001)
    refusal = ("bills.rev_other_issuer", "bill")
    assert claims.refused("clinic", "bills.reverse", item) == refusal
    assert left(claims.now(bill)) == parts(10_000)
