"""Paper forms: one at a time, with the bill's own root, and what is printed of which bill."""

from __future__ import annotations

import random

import pytest
from claims_acts import CLAIM_RULES, CLAIMED
from paper_acts import FORMS, LOSS_WAIT, PAPER, Desk, audit_paper, spoil

from tallystick.apps.bills.catalogue import TYPES
from tallystick.contracts.bills.items.paper import CancelExchange, DeclareLost, Recover
from tallystick.contracts.bills.items.supervision import Freeze
from tallystick.contracts.bills.records.bills import Bill, format_bill_id, live_paper
from tallystick.contracts.bills.views.paper import (
    list_forms,
    list_invalid,
    paper_of,
)
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected


def states(desk: Desk) -> list[str]:
    return [form.state for form in desk.world.rows.scan_slots(Bill, PAPER, 1, FORMS)]


# --------------------------------------------------------------------------- one form at a time


def test_a_bill_is_exchanged_confirmed_and_recovered() -> None:
    desk = Desk()
    bill = desk.exchange(desk.issue(), 1)
    assert bill.paper is not None
    assert (bill.paper.id, bill.paper.state) == (format_bill_id(PAPER, 1), "printing")
    assert (bill.state, bill.good) == ("issued", True)
    assert (desk.form(1).state, desk.form(1).good) == ("printing", False)
    desk.confirm(bill)
    form = desk.form(1)
    assert (form.state, form.good, form.paper_of, form.amounts) == ("live", True, bill.id, {})
    assert (form.entry, form.version) == (desk.world.index - 2, 2)
    assert paper_of(desk.world.rows, bill.id, desk.world.at) == desk.now(bill).paper
    bill = desk.recover(bill)
    assert bill.paper is None
    assert paper_of(desk.world.rows, bill.id, desk.world.at) is None
    assert (desk.form(1).state, desk.form(1).good, desk.form(1).reason) == (
        *("recovered", False, "stated"),
    )


def test_P1_at_most_one_form_stands_for_a_bill() -> None:
    desk = Desk()
    bill = desk.exchange(desk.issue(), 1)
    again = desk.exchange_item(bill, 2)
    assert desk.refused_paper("exchange", again) == ("bills.paper_live", "bill")
    desk.confirm(bill)
    again = desk.exchange_item(bill, 2)
    assert desk.refused_paper("exchange", again) == ("bills.paper_live", "bill")
    desk.lose(bill)
    again = desk.exchange_item(bill, 2)
    assert desk.refused_paper("exchange", again) == ("bills.paper_live", "bill")
    desk.recover(bill)
    desk.printed(bill, 2)
    assert states(desk) == ["recovered", "live"]


def test_P1_forms_come_out_of_a_paper_block_of_the_issuer() -> None:
    desk = Desk()
    bill = desk.issue()
    desk.allot_forms(201, 300, holder="clinic")
    other = desk.exchange_item(bill, 201, first=201)
    refusal = ("bills.number_not_allocated", "first")
    assert desk.refused_paper("exchange", other) == refusal
    refusal = ("bills.other_issuer", "bill")
    assert desk.refused_paper("exchange", other, sender="clinic") == refusal
    for outside in (FORMS + 1, 201):
        item = desk.exchange_item(bill, outside)
        assert desk.refused_paper("exchange", item) == ("bills.number_not_allocated", "number")


def test_P1_a_form_is_used_once() -> None:
    desk = Desk()
    bill, other = desk.issue(1), desk.issue(2)
    desk.cancel(desk.exchange(bill, 1))
    assert desk.form(1).state == "cancelled"
    item = desk.exchange_item(other, 1)
    assert desk.refused_paper("exchange", item) == ("bills.number_used", "number")
    spoil(desk, 2, 2)
    item = desk.exchange_item(other, 2)
    assert desk.refused_paper("exchange", item) == ("bills.number_void", "number")


def test_P2_the_form_has_the_root_of_the_bill_and_the_sender_cannot_say_otherwise() -> None:
    desk = Desk()
    bill = desk.printed(desk.issue(1, root=b"a" * 32), 1)
    desk.reprint(bill, 2)
    desk.printed(desk.issue(2, root=b"b" * 32), 3)
    assert [desk.form(n).root for n in (1, 2, 3)] == [b"a" * 32, b"a" * 32, b"b" * 32]
    assert "root" not in type(desk.exchange_item(bill, 4)).__struct_fields__


@pytest.mark.parametrize("state", ["printing", "live"])
def test_P4_reprint_voids_the_old_form_and_makes_the_new_one_in_one_step(state: str) -> None:
    desk = Desk()
    bill = desk.exchange(desk.issue(), 1) if state == "printing" else desk.printed(desk.issue(), 1)
    entries = desk.world.index
    bill = desk.reprint(bill, 2)
    assert desk.world.index == entries + 1
    assert states(desk) == ["cancelled", "printing"]
    assert desk.form(1).reason == "damaged"
    assert bill.paper is not None
    assert bill.paper.id == format_bill_id(PAPER, 2)
    desk.confirm(bill)
    assert states(desk) == ["cancelled", "live"]


def test_P4_a_refused_reprint_leaves_the_old_form_live() -> None:
    desk = Desk()
    bill = desk.printed(desk.issue(), 1)
    item = desk.reprint_item(bill, 1)
    assert desk.refused_paper("reprint", item) == ("bills.number_used", "number")
    assert states(desk) == ["live"]


def test_without_a_form_there_is_nothing_to_reprint_confirm_recover_or_lose() -> None:
    desk = Desk()
    bill = desk.issue()
    none = ("bills.paper_none", "bill")

    def refuse_all(*actions: str) -> None:
        items = {
            "reprint": desk.reprint_item(bill, 9),
            "confirm_printed": desk.confirm_item(bill, format_bill_id(PAPER, 1)),
            "cancel_exchange": desk.of(CancelExchange, bill),
            "recover": desk.of(Recover, bill),
            "declare_lost": desk.of(DeclareLost, bill),
        }
        for action in actions:
            assert desk.refused_paper(action, items[action]) == none, action

    refuse_all("reprint", "confirm_printed", "cancel_exchange", "recover", "declare_lost")
    desk.exchange(bill, 1)
    refuse_all("recover", "declare_lost")
    wrong = desk.confirm_item(bill, format_bill_id(PAPER, 2))
    assert desk.refused_paper("confirm_printed", wrong) == ("bills.paper_none", "paper")
    desk.confirm(bill)
    refuse_all("confirm_printed", "cancel_exchange")
    desk.lose(bill)
    refuse_all("reprint", "confirm_printed", "cancel_exchange", "declare_lost")
    desk.world.at += LOSS_WAIT
    refuse_all("recover")


def test_only_the_issuer_handles_its_forms_and_only_as_it_saw_the_bill() -> None:
    desk = Desk()
    bill = desk.exchange(desk.issue(), 1)
    refusal = ("bills.other_issuer", "bill")
    cancel = desk.of(CancelExchange, bill)
    assert desk.refused_paper("cancel_exchange", cancel, sender="clinic") == refusal
    back = desk.of(Recover, bill)
    assert desk.refused_paper("recover", back, sender="clinic") == refusal
    confirm = desk.confirm_item(bill, format_bill_id(PAPER, 1))
    assert desk.refused_paper("confirm_printed", confirm, sender="clinic") == refusal
    assert desk.refused_paper("recover", back, sender="insurer") == ("kit.no_grant", "")
    stale = ("kit.version_conflict", "version")
    item = desk.of(CancelExchange, bill, version=bill.version - 1)
    assert desk.refused_paper("cancel_exchange", item) == stale
    desk.confirm(bill)
    late = desk.of(Recover, bill, version=bill.version)
    assert desk.refused_paper("recover", late) == stale
    lost = desk.of(DeclareLost, bill, version=bill.version)
    assert desk.refused_paper("declare_lost", lost) == stale
    renewed = desk.reprint_item(bill, 2, version=bill.version)
    assert desk.refused_paper("reprint", renewed) == stale
    fresh = desk.issue(2)
    early = desk.exchange_item(fresh, 2, version=0)
    assert desk.refused_paper("exchange", early) == stale


# -------------------------------------------------------------------------------- what is printed


def test_a_form_is_of_the_type_that_the_bills_rules_name() -> None:
    desk = Desk()
    bill = desk.issue()
    item = desk.exchange_item(bill, 1, code=33060126)
    assert desk.refused_paper("exchange", item) == ("bills.paper_type", "code")
    plain = desk.define(33060826, paper=None)
    item = desk.exchange_item(desk.issue(1, code=plain), 1)
    assert desk.refused_paper("exchange", item) == ("bills.paper_type", "bill")
    alike = desk.define(33060926)
    desk.paper("exchange", desk.exchange_item(desk.issue(1, code=alike), 1))
    desk.world.define(330617, rules=TYPES["paper"].rules)
    desk.world.allot(code=33061726, level=0, first=1, last=9, holder="hospital")
    item = desk.exchange_item(bill, 1, code=33061726, level=0)
    assert desk.refused_paper("exchange", item) == ("bills.paper_type", "code")


def test_forms_are_never_issued_as_bills() -> None:
    desk = Desk()
    item = desk.world.issue_item(1, code=PAPER)
    assert desk.refused_paper("issue", item) == ("bills.paper_type", "code")


def test_a_form_is_of_the_year_and_of_the_version_in_which_it_is_printed() -> None:
    desk = Desk(grace_days=10)
    bill = desk.issue()
    start, desk.world.at = desk.world.at, 1_798_732_800 - 1
    assert desk.world.instant(1) == "2026-12-31T16:00:00Z"  # the year ends, local time
    desk.exchange(bill, 1)
    desk.world.at += 1
    item = desk.reprint_item(bill, 2)
    assert desk.refused_paper("reprint", item) == ("bills.code_type_mismatch", "code")
    desk.world.at = start
    rules = replace(TYPES["paper"].rules, year_grace_days=10)
    later = desk.world.instant(86_400)
    desk.world.define(PAPER // 100, 2, rules=rules, valid_from=later)
    item = desk.reprint_item(bill, 2, type_version=2)
    assert desk.refused_paper("reprint", item) == ("bills.type_expired", "type_version")


def test_only_what_stands_whole_is_printed() -> None:
    desk = Desk()
    part = desk.reverse(desk.issue(1), 2, total=1_000)
    item = desk.exchange_item(part, 1)
    assert desk.refused_paper("exchange", item) == ("bills.bill_state", "bill")
    whole = desk.reverse(desk.issue(3), 4)
    item = desk.exchange_item(whole, 1)
    assert desk.refused_paper("exchange", item) == ("bills.bill_state", "bill")
    red = desk.exchange_item(desk.world.bill(whole.reversed_by[0]), 1)
    assert desk.refused_paper("exchange", red) == ("bills.bill_unknown", "bill")
    asked = desk.request(desk.issue(5))
    item = desk.exchange_item(asked, 1)
    assert desk.refused_paper("exchange", item) == ("bills.bill_reversing", "bill")
    frozen = desk.issue(6)
    desk.do("finance", "bills.freeze", desk.of(Freeze, frozen, evidence=b"e" * 32))
    item = desk.exchange_item(frozen, 1)
    assert desk.refused_paper("exchange", item) == ("bills.bill_frozen", "bill")
    reprinted = desk.printed(desk.issue(7), 1)
    desk.freeze(reprinted)
    renewed = desk.reprint_item(reprinted, 2)
    assert desk.refused_paper("reprint", renewed) == ("bills.bill_frozen", "bill")


def test_money_that_is_locked_is_not_printed_and_claimed_elsewhere() -> None:
    desk = Desk()
    bill = desk.issue()
    held = desk.lock("insurer", bill, 1_000)
    item = desk.exchange_item(bill, 1)
    assert desk.refused_paper("exchange", item) == ("bills.claim_locked", "bill")
    desk.settle(held, 1_000)
    desk.printed(bill, 1)


# -------------------------------------------------------------------------------- P3, V4, losses


def test_P3_while_a_form_is_live_a_claim_presents_it() -> None:
    desk = Desk()
    bill = desk.exchange(desk.issue(), 1)
    missing = ("bills.claim_paper", "paper")
    form = format_bill_id(PAPER, 1)
    assert desk.refused_lock("insurer", bill, paper=form) == missing  # not yet live
    desk.confirm(bill)
    assert desk.refused_lock("insurer", bill) == missing
    assert desk.refused_lock("insurer", bill, paper=format_bill_id(PAPER, 2)) == missing
    held = desk.lock("insurer", bill, paper=form)
    desk.settle(held, 500)
    bill = desk.reprint(bill, 2)
    assert desk.refused_lock("mutual", bill, paper=form) == missing
    desk.confirm(bill)
    assert desk.refused_lock("mutual", bill, paper=form) == missing
    desk.lock("mutual", bill, paper=format_bill_id(PAPER, 2))


def test_P3_recovered_or_lost_long_ago_a_bill_is_claimed_alone() -> None:
    desk = Desk()
    bill = desk.recover(desk.printed(desk.issue(1), 1))
    desk.lock("insurer", bill)
    lost = desk.lose(desk.printed(desk.issue(2), 2))
    form = format_bill_id(PAPER, 2)
    for paper in (None, form):
        assert desk.refused_lock("insurer", lost, paper=paper) == ("bills.claim_paper", "paper")
    desk.world.at += LOSS_WAIT - 1
    assert desk.refused_lock("insurer", lost) == ("bills.claim_paper", "paper")
    desk.world.at += 1
    desk.lock("fund", lost)


def test_P3_is_a_rule_of_the_type() -> None:
    desk = Desk()
    free = desk.define(33060926, claims=replace(CLAIM_RULES, paper_presented=False))
    bill = desk.printed(desk.issue(1, code=free), 1)
    desk.lock("insurer", bill)


@pytest.mark.parametrize("kind", ["reverse", "replace"])
def test_V4_live_paper_is_recovered_before_a_reversal(kind: str) -> None:
    desk = Desk()
    bill = desk.exchange(desk.issue(1), 1)

    def attempt() -> Rejected | None:
        now = desk.now(bill)
        item = (
            desk.world.reverse_item(now, 2)
            if kind == "reverse"
            else desk.world.replace_item(now, 2, 3)
        )
        outcome = desk.world.act("hospital", f"bills.{kind}", item)
        return None if outcome == ["accepted"] else desk.world.refusals[0]

    def refused() -> bool:
        refusal = attempt()
        return refusal is not None and str(refusal.reason) == "bills.rev_paper_live"

    assert refused()
    desk.confirm(bill)
    assert refused()
    desk.lose(bill)
    desk.world.at += 60
    assert refused()
    desk.recover(bill)
    assert attempt() is None
    assert desk.now(bill).state == "reversed"
    audit_paper(desk)


def test_V4_once_the_loss_wait_is_over_a_bill_is_reversed_without_its_paper() -> None:
    desk = Desk()
    bill = desk.lose(desk.printed(desk.issue(1), 1))
    desk.world.at += LOSS_WAIT - 1
    item = desk.world.reverse_item(bill, 2)
    assert desk.refused_paper("reverse", item) == ("bills.rev_paper_live", "bill")
    desk.world.at += 1
    assert live_paper(desk.now(bill), desk.world.at) is None
    assert desk.reverse(bill, 2).state == "reversed"


def test_a_form_is_good_only_while_its_bill_is() -> None:
    desk = Desk()
    bill = desk.printed(desk.issue(1), 1)
    assert desk.form(1).good
    desk.freeze(bill)
    assert (desk.form(1).state, desk.form(1).good) == ("live", False)
    audit_paper(desk)
    desk.lift(bill)
    assert desk.form(1).good
    desk.request(bill)
    assert not desk.form(1).good
    desk.do("hospital", "bills.cancel_reversal", desk.cancel_item(bill))
    assert desk.form(1).good
    late = desk.exchange(desk.issue(2), 2)
    desk.freeze(late)
    desk.confirm(late)
    assert (desk.form(2).state, desk.form(2).good) == ("live", False)
    desk.lift(late)
    assert desk.form(2).good
    desk.lose(late)
    desk.freeze(late)
    desk.lift(late)
    assert not desk.form(2).good
    audit_paper(desk)


def test_the_form_of_a_deposit_ends_with_it() -> None:
    desk = Desk()
    deposit = desk.define(33060826, deposit=True, claims=None, liability="absent")
    paid = desk.printed(desk.issue(1, code=deposit, self_pay=0, self_expense=0), 1)
    item = desk.world.issue_item(2, code=CLAIMED, settles=[paid.id])
    desk.world.do("hospital", "bills.issue", item)
    assert (desk.now(paid).state, desk.form(1).good) == ("settled", False)
    audit_paper(desk)
    desk.recover(paid)
    assert desk.form(1).state == "recovered"


def test_after_a_loss_the_number_is_public_and_the_bill_is_exchanged_anew() -> None:
    desk = Desk()
    bill = desk.lose(desk.printed(desk.issue(), 1))
    assert bill.paper is not None
    assert (bill.paper.state, bill.paper.until) == ("lost", desk.world.instant(LOSS_WAIT))
    assert [(form.id, form.state) for form in list_invalid(desk.world.rows, PAPER)] == [
        (format_bill_id(PAPER, 1), "lost")
    ]
    desk.world.at += LOSS_WAIT
    desk.printed(bill, 2)
    assert states(desk) == ["lost", "live"]
    forms = [form.id for form in list_forms(desk.world.rows, PAPER, bill.id)]
    assert forms == [format_bill_id(PAPER, 1), format_bill_id(PAPER, 2)]


def test_P1_P2_hold_whatever_is_tried() -> None:
    """Two hundred acts at random: each is accepted or changes nothing, and the audit holds."""
    chance = random.Random(20261125)
    desk = Desk()
    bills = [desk.issue(n) for n in range(1, 5)]
    accepted = 0
    for _ in range(200):
        bill, number = chance.choice(bills), chance.randint(1, FORMS)
        link = desk.now(bill).paper
        items = {
            "exchange": desk.exchange_item(bill, number),
            "reprint": desk.reprint_item(bill, number),
            "confirm_printed": desk.confirm_item(
                bill, link.id if link else format_bill_id(PAPER, number)
            ),
            "cancel_exchange": desk.of(CancelExchange, bill),
            "recover": desk.of(Recover, bill),
            "declare_lost": desk.of(DeclareLost, bill),
        }
        action = chance.choice(sorted(items))
        before = dict(desk.world.rows.data)
        outcome = desk.world.act("hospital", f"bills.{action}", items[action])
        accepted += outcome == ["accepted"]
        if outcome != ["accepted"]:
            assert desk.world.rows.data == before
        audit_paper(desk)
        desk.world.at += chance.choice([0, 60, LOSS_WAIT // 10])
    assert accepted > 30
