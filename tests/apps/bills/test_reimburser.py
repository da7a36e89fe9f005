"""A reimburser's desk on a real ledger: nothing is lost in a crash, and nothing is done twice."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from desks import CODE, Desks, decision, order, settle_whole
from offices import signer

from tallystick.apps.bills.acts import Reversal
from tallystick.apps.bills.claim_book import FILE
from tallystick.apps.bills.claim_orders import (
    CASE_SIZE,
    OPEN,
    STATE,
    TWICE,
    UNKNOWN,
    Addition,
    ReadyOrder,
    Rejection,
    Release,
    Renewal,
    Return,
    Settlement,
    ShareOrder,
)
from tallystick.contracts.bills.records.bills import Bill
from tallystick.protocol.values import format_instant


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Desks]:
    with Desks(tmp_path) as made:
        yield made


def free(bill: Bill) -> int:
    """What can be claimed of a fresh bill."""
    return bill.amounts["account"] + bill.amounts["cash"]


def partly(bill: Bill, parts: int) -> int:
    return free(bill) // parts


# ---------------------------------------------------------------------------------- the round


def test_a_bill_is_locked_and_settled_and_the_book_says_so(city: Desks) -> None:
    (bill,) = city.bills(1)
    with city.reimburser() as desk:
        (locked,) = desk.lock([order(bill, free(bill), ref="A-17")])
        assert (locked.outcome, locked.state, locked.bill) == ("accepted", "locked", bill.id)
        assert locked.claim is not None
        (kept,) = desk.book.of_ref("A-17")
        assert (kept.id, kept.state, kept.entry) == (locked.claim, "locked", locked.entry)
        assert city.again(bill).lock is not None
        (settled,) = desk.settle([Settlement(kept.id, free(bill) - 5, decision("A-17"))])
        assert (settled.outcome, settled.state) == ("accepted", "settled")
        kept = desk.book.of_ref("A-17")[0]
        assert (kept.ordinal, kept.settled, kept.decision) == (0, free(bill) - 5, decision("A-17"))
        assert [step.act for step in desk.book.steps(kept.id)] == ["bills.lock/1", "bills.settle/1"]
        seen = desk.show(bill.id)
        assert (seen.standing.reimbursed, seen.standing.left) == (free(bill) - 5, 5)
        assert seen.claims == [kept]
    folder = city.folder / "fund"
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert list((folder / "pending").iterdir()) == []


def test_settle_nothing_needs_a_reason_and_is_an_answer(city: Desks) -> None:
    (bill,) = city.bills(1)
    with city.reimburser() as desk:
        claim = desk.lock([order(bill, 100)])[0].claim or 0
        (refused,) = desk.settle([Settlement(claim, 0, decision("x"))])
        assert (refused.outcome, refused.state) == ("bills.claim_reason", "locked")
        answer = Settlement(claim, 0, decision("x"), "deductible")
        (settled,) = desk.settle([answer])
        assert settled.accepted and settled.state == "settled"
        kept = desk.book.get(claim)
        assert kept is not None and (kept.settled, kept.reason) == (0, "deductible")
        (again,) = desk.settle([answer])
        assert again.repeated and again.amount == 0, "what was settled, not what was locked"
        assert desk.settle([Settlement(claim, 1, decision("x"))])[0].outcome == STATE


def test_release_reject_renew_and_a_second_try(city: Desks) -> None:
    (bill,) = city.bills(1)
    with city.reimburser() as desk:
        first = desk.lock([order(bill, 100, until=format_instant(city.now + 600))])[0].claim or 0
        later = format_instant(city.now + 1_200)
        assert desk.renew([Renewal(first, later)])[0].accepted
        assert desk.renew([Renewal(first, later)])[0].repeated
        kept = desk.book.get(first)
        assert kept is not None and kept.until == later
        assert desk.release([Release(first, "duplicate")])[0].state == "released"
        assert city.again(bill).lock is None
        assert desk.release([Release(first, "duplicate")])[0].repeated
        second = desk.lock([order(bill, 100)])[0].claim or 0
        assert second != first
        rejected = Rejection(second, "not_covered", decision("no"))
        assert desk.reject([rejected])[0].state == "rejected"
        assert desk.settle([Settlement(second, 1, decision("no"))])[0].outcome == STATE
        third = settle_whole(desk, bill, 100)  # the rejected claim's row is used again
        kept = desk.book.get(third)
        assert kept is not None and (kept.ordinal, kept.state) == (0, "settled")
        assert desk.refresh() == []
        assert desk.release([Release(99, "x")])[0].outcome == UNKNOWN


def test_a_lock_that_ran_out_is_said_to_have(city: Desks) -> None:
    a, b = city.bills(1, 2)
    soon = format_instant(city.now + 60)
    with city.reimburser() as desk:
        first, second = desk.lock([order(a, 100, until=soon), order(b, 100, until=soon)])
        city.now += 61
        (late,) = desk.settle([Settlement(first.claim or 0, 100, decision("a"))])
        assert (late.outcome, late.state) == ("bills.lock_expired", "expired")
        assert [(each.id, each.state) for each in desk.refresh()] == [(second.claim, "expired")]
        assert desk.lock([order(a, 100)])[0].accepted, "the money is free again"


def test_a_supplement_is_paid_once_a_decision(city: Desks) -> None:
    (bill,) = city.bills(1)
    with city.reimburser() as desk:
        claim = settle_whole(desk, bill, 1_000)
        more = Addition(claim, 200, decision("appeal"))
        under_the_same_paper = Addition(claim, 200, decision(f"fund {bill.id}"))
        assert desk.supplement([under_the_same_paper])[0].outcome == STATE
        assert desk.supplement([more])[0].accepted
        (again,) = desk.supplement([more])
        assert again.repeated and again.amount == 200
        assert desk.supplement([Addition(claim, 201, decision("appeal"))])[0].outcome == STATE
        kept = desk.book.get(claim)
        assert kept is not None and (kept.settled, kept.decision) == (1_200, decision("appeal"))
        too_much = Addition(claim, free(bill), decision("greed"))
        assert desk.supplement([too_much])[0].outcome == "bills.claim_cap"


def test_a_mandate_needs_no_act_of_the_patient_and_has_its_cap(city: Desks) -> None:
    (bill,) = city.bills(1)
    right = city.mandate(bill, "insurer", cap=500)
    with city.reimburser("insurer") as desk:
        (over,) = desk.lock([order(bill, 501, **right)])
        assert (over.outcome, over.state) == ("bills.claim_cap", "refused")
        (locked,) = desk.lock([order(bill, 500, **right)])
        assert locked.accepted
        renewed = desk.renew([Renewal(locked.claim or 0, format_instant(city.now + 29 * 86_400))])
        assert renewed[0].outcome == "bills.lock_term", "it stands longer already"
    with city.reimburser("insurer") as desk:
        (statute,) = desk.lock([order(bill, 500, right="statute", purpose="other")])
        assert statute.outcome == "bills.claim_consent", "there is no law for an insurer"
        stranger = order(bill, 500, right="consent", right_id="0" * 64, purpose="other")
        assert desk.lock([stranger])[0].outcome == "bills.claim_consent"


# -------------------------------------------------------------------------- batches and cases


def test_many_are_locked_in_batches_each_failing_alone(city: Desks) -> None:
    bills = city.bills(*range(1, 31))
    wanted = [order(each, 100) for each in bills]
    wanted[7] = order(bills[7], free(bills[7]) + 1)
    wanted[8] = order(12_345, 100)
    wanted[9] = order(bills[9], -1)
    wanted[10] = order(bills[11], 100)
    with city.reimburser() as desk:
        done = desk.lock(wanted)
        assert [each.outcome for each in done[7:12]] == [
            "bills.claim_cap",
            "bills.bill_unknown",
            "desk.malformed",
            "accepted",
            TWICE,
        ]
        assert sum(each.accepted for each in done) == 26
        assert (done[9].path, done[7].left) == ("amount", free(bills[7]))
        claims = [each.claim or 0 for each in done if each.accepted]
        answers = [Settlement(claim, 60, decision(str(claim))) for claim in claims]
        assert all(each.accepted for each in desk.settle(answers))
        assert all(each.repeated for each in desk.settle(answers)), "paid once"
        sums = desk.book.sums()
        assert sums["settled"] == (26, 2_600, 1_560, 0)
        assert sums["refused"][0] == 2


def test_the_bills_of_a_case_are_locked_and_settled_all_or_none(city: Desks) -> None:
    a, b, c = city.bills(1, 2, 3)
    with city.reimburser() as desk:
        wanted = [
            order(a, 100, case="stay 7"),
            order(b, free(b) + 1, case="stay 7"),
            order(c, 100),
        ]
        done = desk.lock(wanted)
        assert [each.outcome for each in done] == ["ledger.atomic", "bills.claim_cap", "accepted"]
        assert city.again(a).lock is None
        done = desk.lock([order(a, 100, case="stay 7"), order(b, 100, case="stay 7")])
        assert [each.outcome for each in done] == ["accepted", "accepted"]
        held = [each for each in desk.book.of_case("stay 7") if each.state == "locked"]
        tags = {each.terms.case for each in held}
        assert len(held) == 2 and len(tags) == 1 and None not in tags
        some = [Settlement(each.id, 100 + n, decision("7")) for n, each in enumerate(held)]
        assert [each.outcome for each in desk.settle(some)] == [
            "ledger.atomic",
            "bills.settle_exceeds_lock",
        ]
        assert city.again(a).amounts.get("settled", 0) == 0
        some = [Settlement(each.id, 100, decision("7")) for each in held]
        assert all(each.accepted for each in desk.settle(some))
        too_many = [order(n, 1, case="all") for n in range(2_000, 3_001)]
        assert {each.outcome for each in desk.lock(too_many)} == {CASE_SIZE}


def test_the_bills_of_a_case_are_let_go_each_for_itself(city: Desks) -> None:
    a, b = city.bills(1, 2)
    soon = format_instant(city.now + 60)
    with city.reimburser() as desk:
        done = desk.lock([order(a, 1, case="7", until=soon), order(b, 1, case="7")])
        city.now += 61
        gone = desk.release([Release(each.claim or 0, "withdrawn") for each in done])
        assert [(each.outcome, each.state) for each in gone] == [
            ("bills.lock_expired", "expired"),
            ("accepted", "released"),
        ]


def test_a_rehearsal_keeps_and_sends_nothing(city: Desks) -> None:
    a, b = city.bills(1, 2)

    def rehearse(action: str, items: object, atomic: bool) -> tuple[list[str], dict[int, str]]:
        data = city.node.sign(signer("fund/key"), "fund", action, items, atomic=atomic)  # type: ignore[arg-type]
        why: dict[int, str] = {}
        return city.node.dry_run(data, why), why

    with city.reimburser(rehearse=rehearse) as desk:
        done = desk.lock([order(a, 100), order(b, free(b) + 1)])
        assert [each.outcome for each in done] == ["accepted", "bills.claim_cap"]
        assert desk.book.sums() == {}
    assert city.again(a).lock is None
    assert list((city.folder / "fund" / "pending").iterdir()) == []


def test_an_open_claim_is_not_asked_for_otherwise(city: Desks) -> None:
    (bill,) = city.bills(1)
    with city.reimburser() as desk:
        assert desk.lock([order(bill, 100)])[0].accepted
        assert desk.lock([order(bill, 200)])[0].outcome == OPEN
        assert desk.lock([order(bill, 100, basis="cash")])[0].outcome == OPEN


# --------------------------------------------------------------------------- several reimbursers


def test_a_second_insurer_is_refused_and_told_what_is_left_but_no_name(city: Desks) -> None:
    (bill,) = city.bills(1)
    until = format_instant(city.now + 3_600)
    with city.reimburser() as fund:
        assert fund.lock([order(bill, free(bill) - 300, until=until)])[0].accepted
    right = city.mandate(bill, "insurer")
    with city.reimburser("insurer") as insurer:
        (refused,) = insurer.lock([order(bill, 1_000, **right)])
        assert (refused.outcome, refused.state) == ("bills.claim_locked", "refused")
        assert (refused.left, refused.locked_until) == (300, until)
        assert until in refused.detail and "3.00" in refused.detail
        assert "fund" not in repr(refused) and "fund" not in repr(insurer.show(bill.id))


def test_two_reimbursers_in_sequence_settle_what_is_left(city: Desks) -> None:
    (bill,) = city.bills(1)
    right = city.mandate(bill, "insurer")
    city.plan(bill, "sequential", "fund", "insurer")
    share = ShareOrder(bill.id, "claim")
    with city.reimburser() as fund, city.reimburser("insurer") as insurer:
        assert fund.accept_plan([share])[0].accepted
        assert insurer.accept_plan([share])[0].accepted
        assert insurer.lock([order(bill, 500, **right)])[0].outcome == "bills.claim_rank"
        settle_whole(fund, bill, partly(bill, 2))
        left = insurer.show(bill.id).standing.left
        assert left == free(bill) - partly(bill, 2)
        claim = settle_whole(insurer, bill, left, **right)
        kept = insurer.book.get(claim)
        assert kept is not None and kept.ordinal == 1
        assert insurer.show(bill.id).standing.left == 0
        assert fund.lock([order(bill, 1)])[0].outcome == "bills.claim_duplicate"
        assert insurer.waive([ShareOrder(bill.id, "claim", "not_covered")])[0].accepted


def test_an_atomic_plan_settles_all_shares_with_the_last(city: Desks) -> None:
    (bill,) = city.bills(1)
    right = city.mandate(bill, "insurer")
    city.plan(bill, "atomic", "fund", "insurer")

    def share(amount: int, who: str, **fields: object) -> ReadyOrder:
        made = order(bill, amount, **fields)
        named = {name: getattr(made, name) for name in made.__slots__}
        return ReadyOrder(**named, decision=decision(who))

    with city.reimburser() as fund, city.reimburser("insurer") as insurer:
        (first,) = fund.ready([share(700, "fund")])
        assert (first.outcome, first.state) == ("accepted", "ready")
        assert fund.ready([share(700, "fund")])[0].repeated
        (second,) = insurer.ready([share(300, "insurer", **right)])
        assert (second.outcome, second.state) == ("accepted", "settled")
        assert [(each.state, each.settled) for each in fund.refresh()] == [("settled", 700)]
        kept = insurer.book.get(second.claim or 0)
        assert kept is not None and (kept.settled, kept.claim) == (300, None)


def test_a_share_that_waits_in_vain_is_over(city: Desks) -> None:
    (bill,) = city.bills(1)
    city.plan(bill, "atomic", "fund", "insurer")
    made = order(bill, 700)
    named = {name: getattr(made, name) for name in made.__slots__}
    with city.reimburser() as fund:
        assert fund.ready([ReadyOrder(**named, decision=decision("x"))])[0].state == "ready"
        assert fund.refresh() == []
        city.now += 3_601
        assert [each.state for each in fund.refresh()] == ["expired"]


# ------------------------------------------------------------------------ reversal meets claims


def test_a_refund_on_a_locked_bill_is_answered_in_time(city: Desks) -> None:
    a, b, c = city.bills(1, 2, 3)
    with city.reimburser() as desk, city.office() as office:
        locked = desk.lock([order(each, 400) for each in (a, b, c)])
        ids = [each.claim or 0 for each in locked]
        paid_at = format_instant(city.now)
        refused = office.reverse([Reversal(CODE, 1, "refund")])[0]
        assert refused.outcome == "bills.rev_locked"
        city.now += 60
        for bill in (a, b, c):
            city.ask_to_reverse(bill)
        asked = desk.answer_reversals()
        assert {each.kept.id for each in asked} == set(ids)
        assert {each.deadline for each in asked} == {format_instant(city.now + 86_400)}
        assert desk.show(a.id).reversing == asked[0].deadline
        assert desk.release([Release(ids[0], "reversal")])[0].accepted
        late = Settlement(ids[1], 400, decision("b"))
        assert desk.settle([late])[0].outcome == "bills.bill_reversing"
        before = Settlement(ids[1], 400, decision("b"), paid_at=paid_at)
        assert desk.settle([before])[0].state == "settled"
        assert [each.kept.id for each in desk.answer_reversals()] == [ids[2]]
        city.now += 86_400  # and nobody answered for the third
        done = office.reverse([Reversal(CODE, n, "refund") for n in (1, 2, 3)])
        assert all(each.accepted for each in done), done
        changed = desk.refresh()
        assert {each.id: (each.state, each.due) for each in changed} == {
            ids[1]: ("settled", 400),
            ids[2]: ("expired", 0),
        }
        assert desk.answer_reversals() == []


def test_what_a_reversal_makes_due_is_tracked_to_zero(city: Desks) -> None:
    a, b = city.bills(1, 2)
    with city.reimburser() as desk, city.office() as office:
        claim, other = settle_whole(desk, a, 900), settle_whole(desk, b, 100)
        assert desk.due() == []
        assert office.reverse([Reversal(CODE, 1, "refund")])[0].accepted
        (owing,) = desk.due()
        assert (owing.id, owing.due) == (claim, 900)
        parts = (Return(claim, 500, "recovered", decision("c1")), 400)
        assert desk.claw_back([parts[0]])[0].accepted
        (again,) = desk.claw_back([parts[0]])
        assert again.repeated and again.amount == parts[0].amount
        assert desk.due()[0].due == 400
        (over,) = desk.claw_back([Return(claim, 401, "waived", decision("c2"))])
        assert over.outcome == "bills.claw_exceeds"
        assert desk.claw_back([Return(claim, 400, "waived", decision("c2"))])[0].accepted
        assert desk.due() == []
        kept = desk.book.get(claim)
        assert kept is not None
        assert (kept.due, kept.recovered, kept.waived) == (0, 500, 400)
        assert desk.claw_back([Return(other, 1, "waived", decision("c3"))])[0].outcome == (
            "bills.claw_exceeds"
        )


def test_a_cancelled_reversal_leaves_the_lock(city: Desks) -> None:
    (bill,) = city.bills(1)
    with city.reimburser() as desk:
        claim = desk.lock([order(bill, 400)])[0].claim or 0
        city.ask_to_reverse(bill)
        city.reverse_no_more(bill)
        assert desk.answer_reversals() == []
        assert desk.settle([Settlement(claim, 400, decision("a"))])[0].accepted


def test_there_is_no_bill_to_show(city: Desks) -> None:
    with city.reimburser() as desk, pytest.raises(KeyError):
        desk.show(f"{CODE}:0000009999")


def test_an_order_that_is_none_fails_alone(city: Desks) -> None:
    (bill,) = city.bills(1)
    with city.reimburser() as desk:
        done = desk.lock([order(bill, 1, purpose="Claim 7"), order(bill, 1), order(7, 1)])
        (long,) = desk.lock([order(bill, 1, purpose="other", ref="x" * 81)])
        assert (long.outcome, long.path) == ("desk.malformed", "ref")
        assert [each.outcome for each in done] == [
            "desk.malformed",
            "accepted",
            "bills.bill_unknown",
        ]
