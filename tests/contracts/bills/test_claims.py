"""Reimbursement: locks and answers, and every fen counted after each step."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from claims_acts import CLAIMED, DAY, Claims, Held, started
from province import CODE, Province

from tallystick.contracts.bills.items.accounts import Succeed
from tallystick.contracts.bills.items.bills import Archived, Release, Withhold
from tallystick.contracts.bills.records.claims import CLAIMS_EACH_MAX, CLAIMS_MAX, Terms
from tallystick.contracts.bills.views.claims import (
    find_case,
    find_plan,
    list_claims,
    list_locked,
    list_outstanding,
    standing_of,
)
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import AMOUNT_MAX

# ------------------------------------------------------------------------ what may be claimed


ORGS = ("fund", "insurer", "mutual")


def test_C1_only_what_is_issued_and_circulates_is_claimed() -> None:
    claims, bill = started()
    missing = replace(bill, id=f"{CLAIMED}:0000000099")
    item = claims.lock_item("fund", missing, 1)
    assert claims.refused("fund", "bills.lock", item) == ("bills.bill_unknown", "bill")
    fields: dict[str, Any] = {"nonce": claims.world.nonce(), "reason": "arrears"}
    withhold = Withhold(bill=bill.id, version=bill.version, **fields)
    claims.do("hospital", "bills.withhold", withhold)
    assert claims.refused_lock("fund", bill) == ("bills.claim_not_circulable", "bill")
    release = Release(bill=bill.id, version=bill.version + 1, **fields)
    claims.do("hospital", "bills.release", release)
    claims.lock("fund", bill)


def test_C1_what_is_reversed_is_claimed_no_more() -> None:
    claims, bill = started()
    claims.reverse(bill, 2, total=4_000)
    assert claims.claim("fund", bill, 3_000).amounts["settled"] == 3_000
    bill = claims.reverse(bill, 3)
    assert claims.refused_lock("insurer", bill) == ("bills.claim_state", "bill")
    red = claims.world.bill(CLAIMED, 3)
    assert claims.refused_lock("fund", red) == ("bills.bill_unknown", "bill")


def test_C1_a_type_without_rules_for_claims_is_not_claimed() -> None:
    claims = Claims()
    code = claims.define(33060826, claims=None)
    assert claims.refused_lock("fund", claims.issue(code=code)) == ("bills.claim_state", "bill")


def test_C1_the_claim_term_runs_from_the_issue() -> None:
    claims, bill = started()
    claims.world.at += 365 * DAY - 1
    claims.lock("fund", bill)
    claims.world.at += 1
    assert claims.refused_lock("insurer", bill) == ("bills.claim_term", "bill")


def test_C1_where_finance_must_have_the_body_first_it_must() -> None:
    claims = Claims()
    first, second = claims.issue(1, code=CODE), claims.issue(2, code=CODE)
    assert claims.refused_lock("fund", first) == ("bills.claim_state", "bill")
    named: Any = [{"code": CODE, "numbers": [2]}]
    item = Archived(nonce=claims.world.nonce(), issuer="hospital", below=claims.world.index)
    claims.world.do("finance", "bills.archived", replace(item, exceptions=named))
    claims.lock("fund", first)
    assert claims.refused_lock("fund", second) == ("bills.claim_state", "bill")
    third = claims.issue(3, code=CODE)
    assert claims.refused_lock("fund", third) == ("bills.claim_state", "bill")


# --------------------------------------------------------------------------------- the caps


def test_C2_settled_and_locked_stay_within_the_bill_by_basis_and_overall() -> None:
    claims, bill = started()
    assert claims.refused_lock("fund", bill, 3_001, basis="cash") == ("bills.claim_cap", "amount")
    assert claims.refused_lock("fund", bill, 5_001) == ("bills.claim_cap", "amount")
    claims.claim("fund", bill, 2_500, basis="cash")
    assert claims.refused_lock("insurer", bill, 501, basis="cash") == ("bills.claim_cap", "amount")
    assert claims.refused_lock("insurer", bill, 2_501) == ("bills.claim_cap", "amount")
    claims.claim("insurer", bill, 2_300)
    assert claims.refused_lock("mutual", bill, 201, basis="cash") == ("bills.claim_cap", "amount")
    bill = claims.claim("mutual", bill, 200, basis="cash")
    assert (bill.amounts["settled"], bill.amounts["settled_cash"]) == (5_000, 2_700)
    assert (bill.state, bill.good) == ("issued", True)


def test_C2_one_lock_at_a_time_and_who_is_refused_learns_what_is_left() -> None:
    claims, bill = started()
    claims.lock("fund", bill, 1_200)
    assert claims.refused_lock("insurer", bill, 1) == ("bills.claim_locked", "bill")
    detail = claims.world.refusals[0].detail
    assert detail == f"left 38.00 until {claims.world.instant(DAY)}"
    assert claims.refused_lock("fund", bill, 1) == ("bills.claim_locked", "bill")
    shown = standing_of(claims.world.rows, claims.now(bill), claims.world.at)
    assert (shown.locked, shown.left, shown.left_cash) == (1_200, 3_800, 3_000)
    assert "fund" not in repr(claims.now(bill))


def test_C3_no_claim_touches_what_was_paid_at_the_counter() -> None:
    claims = Claims()
    bill = claims.issue(total=10_000, account=0, cash=0, self_pay=0, self_expense=0)
    assert claims.refused_lock("fund", bill, 1) == ("bills.claim_cap", "amount")


def test_a_fixed_benefit_is_recorded_and_counts_against_nothing() -> None:
    claims, bill = started()
    claims.claim("fund", bill, 5_000)
    held = claims.lock("insurer", bill, 80_000, benefit="fixed")
    assert claims.now(bill).lock is not None
    bill = claims.settle(held, 99_000)
    assert bill.amounts["settled"] == 5_000
    assert claims.amounts(bill)[1] == {"fixed": 99_000}


# -------------------------------------------------------------------------- once, and in order


def test_C4_a_reimburser_settles_a_bill_once_for_each_purpose() -> None:
    claims, bill = started()
    claims.claim("insurer", bill, 1_000)
    refusal = ("bills.claim_duplicate", "terms/purpose")
    assert claims.refused_lock("insurer", bill) == refusal
    claims.claim("insurer", bill, 1_000, purpose="accident")
    claims.claim("mutual", bill, 1_000)
    assert [each.terms.purpose for each in claims.claims(bill)] == ["claim", "accident", "claim"]


def test_C4_who_took_over_a_reimburser_does_not_pay_what_that_one_paid() -> None:
    claims, bill = started()
    claims.claim("insurer", bill, 1_000, benefit="fixed")
    succeed = Succeed(
        nonce=claims.world.nonce(), org="insurer", successor="mutual", duties=True, reason="merged"
    )
    claims.world.do("finance", "bills.succeed", succeed)
    refusal = ("bills.claim_duplicate", "terms/purpose")
    assert claims.refused_lock("mutual", bill, benefit="fixed") == refusal
    claims.claim("mutual", bill, 1_000, purpose="second_policy")
    claims.claim("fund", bill, 1_000)


def test_C4_a_rejected_claim_is_answered_anew_in_its_own_row() -> None:
    claims, bill = started()
    held = claims.lock("insurer", bill)
    bill = claims.do("insurer", "bills.reject", claims.reject_item(held))
    assert (bill.lock, bill.claims) == (None, 1)
    [claim] = claims.claims(bill)
    assert (claim.state, claim.good, claim.reason) == ("rejected", False, "not_covered")
    claims.claim("fund", bill, 500)
    bill = claims.claim("insurer", bill, 700)
    assert bill.claims == 2
    first, _ = claims.claims(bill)
    assert (first.state, first.amounts, first.reason) == ("settled", {"settled": 700}, None)


def test_a_bill_has_so_many_claims() -> None:
    claims, bill = started()
    for n in range(CLAIMS_MAX):
        org = ORGS[n // CLAIMS_EACH_MAX]
        held = claims.lock(org, bill, 1, purpose=f"purpose_{n}")
        claims.do(org, "bills.reject", claims.reject_item(held))
    refusal = ("bills.claim_limit", "bill")
    assert claims.refused_lock(ORGS[2], bill, 1, purpose="one_more") == refusal
    claims.claim("fund", bill, 1, purpose="purpose_3")


def test_no_reimburser_keeps_the_others_out_by_asking_for_many_purposes() -> None:
    claims, bill = started()
    for n in range(CLAIMS_EACH_MAX):
        held = claims.lock("fund", bill, 1, purpose=f"purpose_{n}")
        claims.do("fund", "bills.reject", claims.reject_item(held))
    refusal = ("bills.claim_limit", "terms/purpose")
    assert claims.refused_lock("fund", bill, 1, purpose="one_more") == refusal
    claims.claim("insurer", bill, 1)


# ----------------------------------------------------------------------------------- the lock


def test_C7_a_lock_ends_by_ledger_time_and_the_next_takes_its_place() -> None:
    claims, bill = started()
    held = claims.lock("fund", bill, 5_000, until=claims.world.instant(100))
    claims.world.at += 99
    assert claims.refused_lock("insurer", bill) == ("bills.claim_locked", "bill")
    claims.world.at += 1
    settle = claims.settle_item(held, 1)
    assert claims.refused("fund", "bills.settle", settle) == ("bills.lock_expired", "bill")
    other = claims.lock("insurer", bill, 4_000)
    assert claims.refused("fund", "bills.settle", settle) == ("bills.lock_not_owner", "claim")
    claims.settle(other, 4_000)


@pytest.mark.parametrize("first", ["settle", "lock"])
def test_C7_in_one_block_the_order_of_the_transactions_decides(first: str) -> None:
    """At the very second of the end: the settlement is late, whichever comes first."""
    claims, bill = started()
    held = claims.lock("fund", bill, until=claims.world.instant(100))
    lock, settle = claims.lock_item("insurer", bill, 1), claims.settle_item(held, 1)
    claims.world.at += 100
    world = claims.world
    if first == "settle":
        assert world.act("fund", "bills.settle", settle) == ["bills.lock_expired"]
        assert world.act("insurer", "bills.lock", lock, same_block=True) == ["accepted"]
    else:
        assert world.act("insurer", "bills.lock", lock) == ["accepted"]
        refusal = ["bills.lock_not_owner"]
        assert world.act("fund", "bills.settle", settle, same_block=True) == refusal


def test_C7_only_its_owner_answers_a_lock() -> None:
    claims, bill = started()
    held = claims.lock("insurer", bill)
    settle = claims.settle_item(held, 1)
    assert claims.refused("mutual", "bills.settle", settle) == ("bills.lock_not_owner", "claim")
    for wrong in (
        dataclasses.replace(held, claim=bytes(16)),
        replace_terms(held, purpose="accident"),
        replace_terms(held, basis="cash"),
        replace_terms(held, benefit="fixed"),
    ):
        for action, item in answers(claims, wrong).items():
            refusal = claims.refused("insurer", action, item)
            assert refusal == ("bills.lock_not_owner", "claim"), action
    bill = claims.do("insurer", "bills.release_lock", claims.release_item(held))
    assert (bill.lock, bill.claims) == (None, 0)
    for action, item in answers(claims, held).items():
        assert claims.refused("insurer", action, item) == ("bills.lock_not_owner", "claim")


def replace_terms(held: Held, **changes: Any) -> Held:
    return dataclasses.replace(held, terms=replace(held.terms, **changes))


def answers(claims: Claims, held: Held) -> dict[str, Any]:
    return {
        "bills.renew": claims.renew_item(held, claims.world.instant(5 * DAY)),
        "bills.release_lock": claims.release_item(held),
        "bills.reject": claims.reject_item(held),
        "bills.settle": claims.settle_item(held, 1),
        "bills.settled_before": claims.settled_before_item(held, 1, claims.world.instant()),
    }


def test_C7_how_long_a_lock_stands_and_how_often_it_is_renewed() -> None:
    claims, bill = started()
    for until in (claims.world.instant(), claims.world.instant(10 * DAY + 1)):
        assert claims.refused_lock("fund", bill, until=until) == ("bills.lock_term", "until")
    never = "2026-02-31T00:00:00Z"
    assert claims.refused_lock("fund", bill, until=never) == ("kit.instant_invalid", "until")
    held = claims.lock("fund", bill)
    for days in (1, 11):
        item = claims.renew_item(held, claims.world.instant(days * DAY))
        assert claims.refused("fund", "bills.renew", item) == ("bills.lock_term", "until")
    for days in (2, 3):
        until = claims.world.instant(days * DAY)
        bill = claims.do("fund", "bills.renew", claims.renew_item(held, until))
        assert bill.lock is not None
        assert bill.lock.until == until
    item = claims.renew_item(held, claims.world.instant(4 * DAY))
    assert claims.refused("fund", "bills.renew", item) == ("bills.lock_term", "until")


# --------------------------------------------------------------------------------- the answer


def test_C9_a_settlement_is_at_most_the_lock() -> None:
    claims, bill = started()
    held = claims.lock("fund", bill, 1_000)
    item = claims.settle_item(held, 1_001)
    assert claims.refused("fund", "bills.settle", item) == ("bills.settle_exceeds_lock", "amount")
    bill = claims.settle(held, 999)
    assert (bill.amounts["settled"], bill.lock) == (999, None)
    assert "settled_cash" not in bill.amounts


def test_C10_each_answer_closes_the_lock() -> None:
    claims, bill = started()
    for action in ("settle", "reject", "release_lock"):
        held = claims.lock("insurer", bill, purpose=action)
        item = answers(claims, held)[f"bills.{action}"]
        assert claims.do("insurer", f"bills.{action}", item).lock is None


def test_nothing_is_paid_only_for_a_reason() -> None:
    claims, bill = started()
    held = claims.lock("fund", bill)
    nothing = claims.settle_item(held, 0)
    assert claims.refused("fund", "bills.settle", nothing) == ("bills.claim_reason", "reason")
    bill = claims.settle(held, 0, "deductible")
    [claim] = claims.claims(bill)
    assert (claim.state, claim.good, claim.reason) == ("settled", True, "deductible")
    more = claims.supplement_item("fund", bill, 0, 0)
    assert claims.refused("fund", "bills.supplement", more) == ("bills.claim_reason", "reason")


def test_a_supplement_is_under_the_same_caps() -> None:
    claims, bill = started()
    bill = claims.claim("fund", bill, 2_000, basis="cash")
    claims.lock("insurer", bill, 2_500)
    more = claims.supplement_item("fund", bill, 0, 501)
    assert claims.refused("fund", "bills.supplement", more) == ("bills.claim_cap", "amount")
    bill = claims.do("fund", "bills.supplement", claims.supplement_item("fund", bill, 0, 500))
    [claim] = claims.claims(bill)
    assert (claim.amounts, claim.supplements) == ({"settled": 2_500}, 1)
    assert bill.amounts["settled_cash"] == 2_500


def test_a_supplement_is_of_ones_own_claim_on_its_own_terms() -> None:
    claims, bill = started()
    bill = claims.claim("fund", bill, 100)
    unknown = ("bills.claim_unknown", "ordinal")
    item = claims.supplement_item("insurer", bill, 0, 1)
    assert claims.refused("insurer", "bills.supplement", item) == unknown
    beyond = replace(item, ordinal=1)
    assert claims.refused("fund", "bills.supplement", beyond) == unknown
    for changes in ({"purpose": "other"}, {"basis": "cash"}, {"benefit": "fixed"}):
        terms: Terms = replace(item.terms, **changes)
        refusal = claims.refused("fund", "bills.supplement", replace(item, terms=terms))
        assert refusal == ("bills.claim_unknown", "terms")
    held = claims.lock("insurer", bill)
    bill = claims.do("insurer", "bills.reject", claims.reject_item(held))
    item = claims.supplement_item("insurer", bill, 1, 1)
    assert claims.refused("insurer", "bills.supplement", item) == ("bills.claim_state", "ordinal")


def test_a_fixed_benefit_is_supplemented_beyond_the_bill() -> None:
    claims, bill = started()
    bill = claims.claim("insurer", bill, 9_000, benefit="fixed")
    item = claims.supplement_item("insurer", bill, 0, 9_000)
    claims.do("insurer", "bills.supplement", item)
    assert claims.amounts(bill) == [{"fixed": 18_000}]


# ------------------------------------------------------------------------------ batches, views


def test_no_supplements_add_up_to_more_than_an_amount_can_be() -> None:
    claims, bill = started()
    claims.settle(claims.lock("insurer", bill, 5, benefit="fixed"), AMOUNT_MAX - 1)
    item = claims.supplement_item("insurer", bill, 0, 2)
    assert claims.refused("insurer", "bills.supplement", item) == ("bills.claim_cap", "amount")
    claims.do("insurer", "bills.supplement", claims.supplement_item("insurer", bill, 0, 1))
    assert claims.amounts(bill) == [{"fixed": AMOUNT_MAX}]


def test_a_case_of_many_bills_is_locked_and_settled_in_one_transaction() -> None:
    claims = Claims()
    bills = [claims.issue(n) for n in (1, 2, 3)]
    tag = b"c" * 32
    locks = [claims.lock_item("fund", bill, 1_000, case=tag) for bill in bills]
    claims.world.do("fund", "bills.lock", *locks)
    held = [Held("fund", each.bill, each.claim, each.terms) for each in locks]
    outcomes = claims.world.act(
        "fund",
        "bills.settle",
        *(claims.settle_item(each, 1_000 if n else 1_001) for n, each in enumerate(held)),
        atomic=True,
    )
    assert outcomes == ["bills.settle_exceeds_lock", "ledger.atomic", "ledger.atomic"]
    claims.world.do("fund", "bills.settle", *(claims.settle_item(each, 900) for each in held))
    rows = claims.world.rows
    found = [bill.id for bill, _ in find_case(rows, "fund", tag)]
    assert found == [bill.id for bill in bills]
    assert not list(find_case(rows, "fund", b"d" * 32))
    assert len(list(list_claims(rows, "fund", CLAIMED))) == 3
    assert not list(list_claims(rows, "insurer"))


def test_what_is_locked_now_is_listed() -> None:
    claims = Claims()
    first, second = claims.issue(1), claims.issue(2)
    claims.lock("fund", first, until=claims.world.instant(10))
    claims.lock("fund", second)
    rows, at = claims.world.rows, claims.world.at
    assert [each.id for each in list_locked(rows, CLAIMED, at)] == [first.id, second.id]
    assert [each.id for each in list_locked(rows, CLAIMED, at + 10)] == [second.id]
    assert not list_outstanding(rows)
    assert find_plan(rows, first.id) is None


def test_who_may_not_claim_on_a_code_is_told_so_before_all_else() -> None:
    claims, bill = started()
    item = claims.lock_item("fund", bill, 1)
    assert claims.refused("hospital", "bills.lock", item) == ("kit.no_grant", "")


def test_a_refusal_names_no_other_reimburser() -> None:
    claims, bill = started()
    held = claims.lock("fund", bill, 5_000)
    claims.refused_lock("insurer", bill)
    claims.refused("insurer", "bills.settle", claims.settle_item(held, 1))
    claims.settle(held, 5_000)
    claims.refused_lock("insurer", bill)
    claims.refused("insurer", "bills.supplement", claims.supplement_item("insurer", bill, 0, 1))
    seen: list[Rejected] = claims.world.refusals
    assert all("fund" not in each.detail for each in seen)


def test_the_province_keeps_its_own_audit() -> None:
    claims, bill = started()
    claims.claim("fund", bill, 100)
    world: Province = claims.world
    world.audit()
