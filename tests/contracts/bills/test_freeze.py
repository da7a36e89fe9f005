"""Freeze, lift, disputes, answers: times pause and none is lost, a finding blocks nothing."""

from __future__ import annotations

import pytest
from acts import nonce
from claims_acts import DAY, HOUR
from paper_acts import Desk

from tallystick.contracts.bills.items.supervision import Dispute, Freeze, Lift
from tallystick.contracts.bills.records.bills import live_lock, room
from tallystick.contracts.bills.views.supervision import list_findings, list_frozen


def test_a_frozen_bill_is_not_locked_settled_or_reversed_and_settlements_stand() -> None:
    desk = Desk()
    bill = desk.claim("insurer", desk.issue(1), 1_000)
    held = desk.lock("mutual", bill, 500)
    bill = desk.freeze(bill)
    assert (bill.state, bill.good, bill.frozen) == ("frozen", False, "suspected_forgery")
    assert [row.id for row in list_frozen(desk.world.rows, int(bill.id[:8]))] == [bill.id]
    assert not list(list_frozen(desk.world.rows, int(bill.id[:8]), issuer="clinic"))
    refusal = ("bills.bill_frozen", "bill")
    assert desk.refused_lock("fund", bill) == refusal
    settle = desk.settle_item(held, 500)
    assert desk.refused("mutual", "bills.settle", settle) == refusal
    reverse = desk.world.reverse_item(bill, 2)
    assert desk.refused("hospital", "bills.reverse", reverse) == refusal
    replace = desk.world.replace_item(bill, 2, 3)
    assert desk.refused("hospital", "bills.replace", replace) == refusal
    assert desk.amounts(bill) == [{"settled": 1_000}]
    desk.book("insurer", bill, 1_000)
    desk.do("mutual", "bills.release_lock", desk.release_item(held))
    assert desk.now(bill).lock is None


def test_whoever_writes_to_a_bill_in_between_does_not_keep_it_from_being_frozen() -> None:
    desk = Desk()
    bill = desk.issue()
    freeze = desk.of(Freeze, bill, evidence=b"e" * 32)
    held = desk.lock("insurer", bill, 1_000)
    desk.do("finance", "bills.freeze", freeze)
    settle = desk.settle_item(held, 1_000)
    assert desk.refused("insurer", "bills.settle", settle) == ("bills.bill_frozen", "bill")


def test_the_time_of_a_lock_pauses_and_none_is_lost() -> None:
    desk = Desk()
    bill = desk.issue()
    held = desk.lock("insurer", bill, 1_000, until=desk.world.instant(10 * HOUR))
    desk.world.at += 4 * HOUR
    desk.freeze(bill)
    desk.world.at += 30 * DAY
    now = desk.now(bill)
    assert live_lock(now, desk.world.at) is not None
    assert room(now, desk.world.at)["cash_account"] == 4_000
    bill = desk.lift(bill)
    assert (bill.state, bill.good, bill.frozen) == ("issued", True, None)
    assert bill.lock is not None
    assert (bill.lock.until, bill.lock.left) == (desk.world.instant(6 * HOUR), 0)
    desk.world.at += 6 * HOUR - 1
    desk.settle(held, 1_000)
    assert desk.amounts(bill) == [{"settled": 1_000}]


def test_a_lock_that_was_over_before_the_freeze_is_over_after_it() -> None:
    desk = Desk()
    bill = desk.issue()
    held = desk.lock("insurer", bill, until=desk.world.instant(HOUR))
    desk.world.at += HOUR
    assert desk.freeze(bill).lock is None
    desk.lift(bill)
    late = desk.settle_item(held, 1)
    assert desk.refused("insurer", "bills.settle", late) == ("bills.lock_not_owner", "claim")


def test_the_time_of_a_reversal_pauses_with_the_lock_that_it_ends() -> None:
    desk = Desk()
    bill = desk.issue(1)
    desk.lock("insurer", bill, until=desk.world.instant(5 * DAY))
    desk.request(bill)
    desk.world.at += DAY - HOUR
    bill = desk.freeze(bill)
    assert bill.state == "frozen"
    desk.world.at += 9 * DAY
    assert live_lock(bill, desk.world.at) is not None
    bill = desk.lift(bill)
    assert (bill.state, bill.reversing) == ("reversing", desk.world.instant(HOUR))
    assert bill.reversing_left == 0
    desk.world.at += HOUR - 1
    item = desk.world.reverse_item(bill, 2)
    assert desk.refused("hospital", "bills.reverse", item) == ("bills.rev_locked", "bill")
    desk.world.at += 1
    desk.do("hospital", "bills.reverse", desk.world.reverse_item(desk.now(bill), 2))
    assert desk.now(bill).state == "reversed"


def test_a_reversal_whose_wait_was_over_goes_on_at_once() -> None:
    desk = Desk()
    bill = desk.issue(1)
    desk.lock("insurer", bill, until=desk.world.instant(5 * DAY))
    desk.request(bill)
    desk.world.at += DAY
    assert desk.freeze(bill).lock is None
    desk.world.at += DAY
    bill = desk.lift(bill)
    assert bill.reversing == desk.world.instant()
    desk.do("hospital", "bills.reverse", desk.world.reverse_item(bill, 2))


def test_lifting_may_end_the_lock_so_that_a_legal_refund_has_an_exit() -> None:
    desk = Desk()
    bill = desk.issue(1)
    held = desk.lock("insurer", bill)
    desk.freeze(bill)
    bill = desk.lift(bill, cancel_lock=True)
    assert bill.lock is None
    item = desk.settle_item(held, 1)
    assert desk.refused("insurer", "bills.settle", item) == ("bills.lock_not_owner", "claim")
    desk.do("hospital", "bills.reverse", desk.world.reverse_item(bill, 2))


def test_a_freeze_is_said_once_and_of_what_stands() -> None:
    desk = Desk()
    bill = desk.issue(1)
    early = desk.of(Lift, bill)
    assert desk.refused("finance", "bills.lift", early) == ("bills.unchanged", "bill")
    ahead = desk.of(Freeze, bill, version=9, evidence=b"e" * 32)
    assert desk.refused("finance", "bills.freeze", ahead) == ("kit.version_conflict", "version")
    desk.freeze(bill)
    again = desk.of(Freeze, bill, evidence=b"e" * 32)
    assert desk.refused("finance", "bills.freeze", again) == ("bills.unchanged", "bill")
    stale_lift = desk.of(Lift, bill, version=1)
    assert desk.refused("finance", "bills.lift", stale_lift) == ("kit.version_conflict", "version")
    ended = desk.reverse(desk.issue(2), 3)
    item = desk.of(Freeze, ended, evidence=b"e" * 32)
    assert desk.refused("finance", "bills.freeze", item) == ("bills.bill_state", "bill")
    red = desk.of(Freeze, desk.world.bill(ended.reversed_by[0]), evidence=b"e" * 32)
    assert desk.refused("finance", "bills.freeze", red) == ("bills.bill_unknown", "bill")


@pytest.mark.parametrize("sender", ["hospital", "insurer"])
def test_only_the_supervisor_freezes_and_lifts(sender: str) -> None:
    desk = Desk()
    bill = desk.issue()
    refusal = ("kit.no_grant", "")
    item = desk.of(Freeze, bill, evidence=b"e" * 32)
    assert desk.refused(sender, "bills.freeze", item) == refusal
    desk.freeze(bill)
    assert desk.refused(sender, "bills.lift", desk.of(Lift, bill)) == refusal


# -------------------------------------------------------------------------------------- findings


def test_a_dispute_marks_the_bill_and_blocks_nothing() -> None:
    desk = Desk()
    bill = desk.issue(1)
    finding = desk.dispute(bill)
    assert (finding.state, finding.good, finding.by, finding.bill) == (
        *("open", False, "insurer", bill.id),
    )
    now = desk.now(bill)
    assert (now.disputed, now.state, now.good) == (1, "issued", True)
    desk.claim("mutual", now, 1_000)
    desk.printed(now, 1)
    desk.recover(now)
    desk.reverse(now, 2)


def test_the_issuer_or_the_supervisor_answers_each_finding_once() -> None:
    desk = Desk()
    bill = desk.issue()
    first, second = desk.dispute(bill), desk.dispute(bill, by="mutual")
    assert desk.now(bill).disputed == 2
    rows = desk.world.rows
    assert [each.id for each in list_findings(rows, bill=bill.id, state="open")] == sorted(
        [first.id, second.id]
    )
    assert [each.id for each in list_findings(rows, by="mutual")] == [second.id]
    desk.world.do("hospital", "bills.answer", desk.answer_item(first))
    answered = desk.finding(first.id)
    assert (answered.state, answered.good, answered.answered_by, answered.reason) == (
        *("answered", True, "hospital", "genuine"),
    )
    assert desk.now(bill).disputed == 1
    again = desk.answer_item(first)
    assert desk.refused_paper("answer", again) == ("bills.unchanged", "finding")
    desk.world.do("finance", "bills.answer", desk.answer_item(second))
    assert desk.now(bill).disputed == 0
    assert not list(list_findings(rows, state="open"))
    assert not list(list_findings(rows, bill="33060726:0000000009"))


def test_nobody_else_answers_and_nothing_that_is_not_there() -> None:
    desk = Desk()
    finding = desk.dispute(desk.issue())
    item = desk.answer_item(finding)
    refusal = ("bills.other_issuer", "finding")
    assert desk.refused_paper("answer", item, sender="clinic") == refusal
    assert desk.refused_paper("answer", item, sender="insurer") == ("kit.no_grant", "")
    unknown = desk.answer_item(f"{'0' * 64}.0")
    assert desk.refused_paper("answer", unknown) == ("bills.finding_unknown", "finding")


def test_only_blue_bills_are_disputed_and_only_by_who_may() -> None:
    desk = Desk()
    bill = desk.issue(1)
    whole = desk.reverse(bill, 2)
    red = Dispute(nonce=nonce(9), bill=whole.reversed_by[0], what="altered", evidence=b"e" * 32)
    assert desk.refused("insurer", "bills.dispute", red) == ("bills.bill_unknown", "bill")
    item = Dispute(nonce=nonce(9), bill=bill.id, what="altered", evidence=b"e" * 32)
    assert desk.refused("hospital", "bills.dispute", item) == ("kit.no_grant", "")
    desk.world.do("insurer", "bills.dispute", item)
    assert desk.now(bill).disputed == 1
