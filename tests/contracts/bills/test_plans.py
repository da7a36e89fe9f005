"""Plans: ranks among those who accepted them, and shares that settle all together or not at all."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from claims_acts import CLAIM_RULES, DAY, HOUR, Claims, started
from holders_acts import signing_key

from tallystick.contracts.bills.items.claims import PlannedShare
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.bills.records.claims import CLAIMS_MAX
from tallystick.protocol.canonical import replace

RANK = ("bills.claim_rank", "terms/purpose")


def share(org: str, rank: int, purpose: str = "claim") -> PlannedShare:
    return PlannedShare(reimburser=org, purpose=purpose, rank=rank)


# ------------------------------------------------------------------------------- sequential


def test_C5_a_later_rank_waits_for_each_earlier_one_that_accepted() -> None:
    claims, bill = started()
    claims.plan(bill, "fund", "insurer", "mutual")
    for org in ("fund", "insurer"):
        claims.accept(org, bill)
    assert claims.refused_lock("insurer", bill) == RANK
    assert claims.world.refusals[0].detail == "rank 2 waits for rank 1"
    claims.claim("fund", bill, 1_000)
    claims.claim("insurer", bill, 1_000)


def test_C5_a_rank_counts_only_for_who_accepted_it() -> None:
    claims, bill = started()
    claims.plan(bill, "fund", "insurer", "mutual")
    claims.accept("insurer", bill)
    claims.claim("insurer", bill, 100)
    claims.accept("fund", bill)
    claims.claim("mutual", bill, 100)


@pytest.mark.parametrize("how", ["waive", "reject", "settle 0", "end"])
def test_C5_who_waits_goes_on_when_the_earlier_rank_is_answered(how: str) -> None:
    claims, bill = started()
    claims.plan(bill, "fund", "insurer", until=claims.world.instant(HOUR))
    claims.accept("fund", bill)
    claims.accept("insurer", bill)
    held = claims.lock("fund", bill, until=claims.world.instant(HOUR))
    if how == "waive":
        claims.do("fund", "bills.release_lock", claims.release_item(held))
        assert claims.refused_lock("insurer", bill) == RANK
        claims.waive("fund", bill)
    elif how == "reject":
        claims.do("fund", "bills.reject", claims.reject_item(held))
    elif how == "settle 0":
        claims.settle(held, 0, "deductible")
    else:
        claims.world.at += HOUR
    claims.claim("insurer", bill, 100)


def test_C5_equal_ranks_do_not_wait_for_one_another() -> None:
    claims, bill = started()
    shares = [share("fund", 1), share("fund", 1, "extra"), share("insurer", 2)]
    claims.plan(bill, shares=shares)
    for org, purpose in (("fund", "claim"), ("fund", "extra"), ("insurer", "claim")):
        claims.do(org, "bills.accept_plan", claims.accept_item(bill, purpose))
    claims.claim("fund", bill, 100, purpose="extra")
    assert claims.refused_lock("insurer", bill) == RANK
    claims.claim("fund", bill, 100)
    claims.claim("insurer", bill, 100)


def test_a_plan_is_the_holders_or_the_issuers() -> None:
    claims, bill = started()
    claims.do("mutual", "bills.plan", claims.holder_plan_item(claims.said_plan(bill, "fund")))
    assert claims.now(bill).plan
    theirs = claims.plan_item(bill, "fund")
    assert claims.refused("clinic", "bills.plan", theirs) == ("bills.other_issuer", "bill")
    assert claims.refused("insurer", "bills.plan", theirs) == ("kit.no_grant", "")
    said = claims.said_plan(bill, "insurer")
    forged = claims.acting.sign("bills.plan", said, signing_key("thief"), salt=bytes(32))
    item = replace(claims.holder_plan_item(said), act=forged)
    assert claims.refused("mutual", "bills.plan", item) == ("bills.holder_key", "act/key")
    stale = claims.plan_item(bill, "fund", bound=1)
    assert claims.refused("hospital", "bills.plan", stale) == ("bills.bound_stale", "said/bound")


def test_an_idle_plan_is_replaced_and_no_relay_brings_it_back() -> None:
    claims, bill = started()
    first = claims.holder_plan_item(claims.said_plan(bill, "fund", "insurer"))
    claims.do("mutual", "bills.plan", first)
    claims.do("mutual", "bills.plan", claims.holder_plan_item(claims.said_plan(bill, "mutual")))
    conflict = ("kit.version_conflict", "version")
    again = replace(first, nonce=claims.world.nonce())
    assert claims.refused("mutual", "bills.plan", again) == conflict
    claims.accept("mutual", bill)
    late = claims.plan_item(bill, "fund")
    assert claims.refused("hospital", "bills.plan", late) == ("bills.plan_state", "said")
    claims.waive("mutual", bill)
    claims.plan(bill, "fund", until=claims.world.instant(HOUR))
    claims.accept("fund", bill)
    claims.world.at += HOUR
    claims.plan(bill, "insurer")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"shares": [share("fund", 1), share("fund", 2)]}, "said/shares"),
        ({"mode": "atomic"}, "said/until"),
    ],
)
def test_a_plan_that_contradicts_itself(fields: dict[str, Any], path: str) -> None:
    claims, bill = started()
    item = claims.plan_item(bill, "fund", **fields)
    assert claims.refused("hospital", "bills.plan", item) == ("bills.plan_invalid", path)


def test_the_end_of_a_plan_is_an_instant_within_what_a_lock_may_last() -> None:
    claims, bill = started()
    for mode in ("atomic", "sequential"):
        item = claims.plan_item(bill, "fund", mode=mode, until="2026-02-31T00:00:00Z")
        refusal = claims.refused("hospital", "bills.plan", item)
        assert refusal == ("kit.instant_invalid", "said/until")
        for seconds in (0, 11 * DAY):
            item = claims.plan_item(bill, "fund", mode=mode, until=claims.world.instant(seconds))
            refusal = claims.refused("hospital", "bills.plan", item)
            assert refusal == ("bills.lock_term", "said/until")


def test_C5_who_accepts_and_falls_silent_holds_others_up_no_longer_than_a_lock() -> None:
    claims, bill = started()
    claims.plan(bill, "fund", "insurer")
    claims.accept("fund", bill)
    claims.accept("insurer", bill)
    assert claims.refused_lock("insurer", bill)[0] == "bills.claim_rank"
    claims.world.at += CLAIM_RULES.lock_seconds_max
    claims.claim("insurer", bill, 100)


def test_a_share_is_accepted_and_waived_by_whom_the_plan_names() -> None:
    claims, bill = started()
    unknown = ("bills.plan_unknown", "purpose")
    accept, waive = claims.accept_item(bill), claims.waive_item(bill)
    assert claims.refused("fund", "bills.accept_plan", accept) == unknown
    claims.plan(bill, "fund", until=claims.world.instant(HOUR))
    assert claims.refused("insurer", "bills.accept_plan", accept) == unknown
    assert claims.refused("insurer", "bills.waive_share", waive) == unknown
    other = claims.accept_item(bill, "other")
    assert claims.refused("fund", "bills.accept_plan", other) == unknown
    claims.accept("fund", bill)
    state = ("bills.plan_state", "purpose")
    assert claims.refused("fund", "bills.accept_plan", claims.accept_item(bill)) == state
    claims.waive("fund", bill)
    assert claims.refused("fund", "bills.waive_share", claims.waive_item(bill)) == state
    ready = claims.ready_item("fund", bill, 1)
    assert claims.refused("fund", "bills.ready", ready) == state
    claims.plan(bill, "fund", until=claims.world.instant(HOUR))
    claims.world.at += HOUR
    assert claims.refused("fund", "bills.accept_plan", claims.accept_item(bill)) == state


# ----------------------------------------------------------------------------------- atomic


def at_the_counter(*orgs: str) -> tuple[Claims, Bill]:
    claims, bill = started()
    claims.atomic(bill, *orgs)
    return claims, bill


def test_C6_the_last_share_that_is_ready_settles_all() -> None:
    claims, bill = at_the_counter("fund", "insurer", "mutual")
    bill = claims.ready("insurer", bill, 1_500, basis="cash")
    bill = claims.ready("fund", bill, 2_000)
    assert bill.lock is not None
    assert (bill.lock.amount, bill.lock.cash, bill.claims) == (3_500, 1_500, 0)
    bill = claims.ready("mutual", bill, 1_500)
    assert (bill.lock, bill.plan, bill.claims) == (None, False, 3)
    assert (bill.amounts["settled"], bill.amounts["settled_cash"]) == (5_000, 1_500)
    assert [each.reimburser for each in claims.claims(bill)] == ["fund", "insurer", "mutual"]
    plan = claims.plan_of(bill)
    assert (plan.state, plan.good) == ("settled", False)
    assert claims.refused_lock("insurer", bill) == ("bills.claim_duplicate", "terms/purpose")


def test_C6_a_passed_deadline_releases_all() -> None:
    claims, bill = at_the_counter("fund", "insurer")
    claims.ready("fund", bill, 3_000)
    claims.world.at += HOUR
    late = claims.ready_item("insurer", bill, 1_000)
    state = ("bills.plan_state", "purpose")
    assert claims.refused("insurer", "bills.ready", late) == state
    bill = claims.claim("insurer", bill, 5_000)
    again = claims.ready_item("fund", bill, 0, reason="deductible")
    assert claims.refused("fund", "bills.ready", again) == state
    claims.atomic(bill, "fund", "mutual")


def test_C6_nothing_came_in_time() -> None:
    claims, bill = at_the_counter("fund", "insurer")
    claims.world.at += HOUR
    late = claims.ready_item("insurer", bill, 1_000)
    refusal = ("bills.plan_state", "purpose")
    assert claims.refused("insurer", "bills.ready", late) == refusal


def test_C6_who_waives_ends_the_plan_for_all() -> None:
    claims, bill = at_the_counter("fund", "insurer")
    claims.ready("fund", bill, 3_000)
    busy = claims.plan_item(bill, "mutual")
    assert claims.refused("hospital", "bills.plan", busy) == ("bills.plan_state", "said")
    bill = claims.waive("insurer", bill)
    assert (bill.lock, bill.plan, bill.claims) == (None, False, 0)
    state = ("bills.plan_state", "purpose")
    again = claims.ready_item("fund", bill, 1)
    assert claims.refused("fund", "bills.ready", again) == state
    assert claims.refused("fund", "bills.waive_share", claims.waive_item(bill)) == state
    claims.claim("fund", bill, 5_000)


def test_C6_a_plan_that_ends_leaves_the_lock_of_another() -> None:
    claims, bill = at_the_counter("fund", "insurer")
    held = claims.lock("mutual", bill)
    bill = claims.waive("insurer", bill)
    assert bill.lock is not None
    claims.settle(held, 1_000)


def test_C2_shares_that_are_ready_count_against_the_bill() -> None:
    claims, bill = at_the_counter("fund", "insurer", "mutual")
    claims.ready("fund", bill, 2_900, basis="cash")
    cap = ("bills.claim_cap", "amount")
    for amount, basis in ((101, "cash"), (2_101, "cash_account")):
        item = claims.ready_item("insurer", bill, amount, basis=basis)
        assert claims.refused("insurer", "bills.ready", item) == cap
    assert claims.refused_lock("insurer", bill) == ("bills.claim_locked", "bill")
    claims.ready("mutual", bill, 90_000, benefit="fixed")
    bill = claims.ready("insurer", bill, 2_100)
    assert claims.amounts(bill) == [{"settled": 2_900}, {"settled": 2_100}, {"fixed": 90_000}]


def test_a_ready_share_asks_what_a_lock_asks() -> None:
    claims, bill = at_the_counter("fund", "insurer")
    ready = claims.ready_item("fund", bill, 100)
    other = replace(ready, terms=replace(ready.terms, purpose="other"))
    unknown = ("bills.plan_unknown", "terms/purpose")
    assert claims.refused("fund", "bills.ready", other) == unknown
    nothing = claims.ready_item("fund", bill, 0)
    assert claims.refused("fund", "bills.ready", nothing) == ("bills.claim_reason", "reason")
    no_right = replace(ready, terms=replace(ready.terms, right="consent", right_id="0" * 64))
    refusal = ("bills.claim_consent", "terms/right_id")
    assert claims.refused("fund", "bills.ready", no_right) == refusal
    held = claims.lock("mutual", bill)
    assert claims.refused("fund", "bills.ready", ready) == ("bills.claim_locked", "bill")
    claims.settle(held, 100)
    claims.do("fund", "bills.ready", replace(ready, nonce=claims.world.nonce()))
    twice = claims.ready_item("fund", bill, 200)
    assert claims.refused("fund", "bills.ready", twice) == ("bills.plan_state", "purpose")
    bill = claims.ready("insurer", bill, 0, reason="deductible")
    assert [each.reason for each in claims.claims(bill)] == [None, None, "deductible"]


def test_a_reimburser_with_a_claim_has_no_share_any_more() -> None:
    claims, bill = at_the_counter("fund", "insurer")
    claims.claim("fund", bill, 100)
    item = claims.ready_item("fund", bill, 100)
    refusal = ("bills.claim_duplicate", "terms/purpose")
    assert claims.refused("fund", "bills.ready", item) == refusal


def test_shares_that_settle_together_find_room_for_their_rows() -> None:
    claims, bill = started()
    for n in range(CLAIMS_MAX - 1):
        org = ("mutual", "fund", "insurer")[n % 3]
        held = claims.lock(org, bill, 1, purpose=f"purpose_{n}")
        claims.do(org, "bills.reject", claims.reject_item(held))
    claims.atomic(bill, "fund", "insurer")
    claims.ready("fund", bill, 1)
    item = claims.ready_item("insurer", bill, 1)
    assert claims.refused("insurer", "bills.ready", item) == ("bills.claim_limit", "bill")


def test_a_plans_lock_is_nobodys_to_answer() -> None:
    claims, bill = at_the_counter("fund", "insurer")
    held = claims.lock("mutual", bill)
    claims.do("mutual", "bills.release_lock", claims.release_item(held))
    claims.ready("fund", bill, 100)
    own = dataclasses.replace(held, org="fund", terms=claims.terms("fund", bill))
    refusal = ("bills.lock_not_owner", "claim")
    assert claims.refused("fund", "bills.settle", claims.settle_item(own, 100)) == refusal


def test_no_plan_for_what_cannot_be_claimed() -> None:
    claims, bill = started()
    bill = claims.reverse(bill, 2)
    item = claims.plan_item(bill, "fund")
    assert claims.refused("hospital", "bills.plan", item) == ("bills.claim_state", "bill")
