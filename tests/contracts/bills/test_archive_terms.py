"""Manifests, legal holds and erasure: A1, A2, who said that a body is gone."""

from __future__ import annotations

from typing import Any

import pytest
from accounts_acts import DAY, HOSPITAL_MONTH, TYPE, Books
from bodies import OUTPATIENT
from province import CODE

from tallystick.contracts.bills.records.accounts import COPIES_MAX, HOLDS_MAX, Account
from tallystick.contracts.bills.views.accounts import (
    erased_copies,
    find_erasure,
    find_hold,
    list_erasures,
    overdue_manifests,
    tally_period,
)
from tallystick.protocol.canonical import replace
from tallystick.protocol.values import parse_instant

TERM = replace(OUTPATIENT, retention_days=30)
BILL = f"{CODE}:0000000001"


class Archive(Books):
    """The type's bodies are kept for thirty days."""

    def __init__(self) -> None:
        super().__init__()
        start = self.instant(3_600)
        self.define(TYPE, 2, rules=TERM, valid_from=start)
        self.at += 3_600
        self.issue(1, type_version=2)
        self.issue(2, type_version=2)
        self.void(3, 3)
        self.archive_bodies()

    def accepted(self) -> Account:
        self.end_month()
        return self.accept(self.account_period())

    def over(self) -> None:
        """The term of both bills is over."""
        self.at = parse_instant(self.bill(BILL).issued_at) + 30 * DAY


# -------------------------------------------------------------------------------------- archive


def test_A1_an_archive_promises_exactly_what_was_accepted() -> None:
    world = Archive()
    account = world.accepted()
    for changes in ({"root": bytes(32)}, {"bills": 3}, {"bills": 1}):
        item = world.archive_item(account, **changes)
        refusal = ("bills.manifest_mismatch", "root")
        assert world.refused("finance", "bills.archive_period", item) == refusal
    world.do("finance", "bills.archive_period", world.archive_item(account))
    kept = world.account(HOSPITAL_MONTH)
    assert kept.retain_until == "2036-01-31T16:00:00Z"
    counted = tally_period(world.rows, "hospital", TYPE, "2026-01", 28_800)
    assert counted.root == kept.tally.root
    assert (counted.blue, counted.void) == (2, 1)


def test_a_manifest_takes_an_accepted_month_and_its_whole_term() -> None:
    world = Archive()
    world.end_month()
    account = world.account_period()
    item = world.archive_item(account)
    refusal = ("bills.account_state", "account")
    assert world.refused("finance", "bills.archive_period", item) == refusal
    account = world.accept(account)
    short = world.archive_item(account, retain_until="2026-03-02T15:59:59Z")
    refusal = ("bills.retention", "retain_until")
    assert world.refused("finance", "bills.archive_period", short) == refusal
    world.do(
        *("finance", "bills.archive_period"),
        world.archive_item(account, retain_until="2026-03-02T16:00:00Z"),
    )
    world.do("finance", "bills.archive_period", world.archive_item(account))
    assert world.refused("finance", "bills.archive_period", short) == refusal
    assert "2036" in world.refusals[0].detail
    for name in ("x", world.block_of().id, f"clinic/{TYPE}/2026-01"):
        unknown = world.archive_item(account, account=name)
        assert world.refused("finance", "bills.archive_period", unknown) == (
            *("bills.account_unknown", "account"),
        )


def test_a_sum_of_accounts_has_no_bodies_of_its_own() -> None:
    world = Archive()
    world.accepted()
    world.do("city", "bills.account_period", world.upper_item("city", "finance"))
    upper = world.accept(world.account(f"city/{TYPE}/2026-01"))
    item = world.archive_item(upper)
    refusal = ("bills.manifest_mismatch", "root")
    assert world.refused("finance", "bills.archive_period", item) == refusal


def test_manifests_whose_retention_is_over_and_which_nobody_holds() -> None:
    world = Archive()
    account = world.accepted()
    until = "2026-03-02T16:00:00Z"
    world.do(*("finance", "bills.archive_period"), world.archive_item(account, retain_until=until))
    end = parse_instant(until)
    assert list(overdue_manifests(world.rows, end - 1)) == []
    assert [each.account for each in overdue_manifests(world.rows, end)] == [HOSPITAL_MONTH]
    world.do("finance", "bills.hold", world.hold_item(account=HOSPITAL_MONTH))
    assert list(overdue_manifests(world.rows, end)) == []


# ---------------------------------------------------------------------------------------- erasure


def test_A2_erasure_waits_for_the_term_and_changes_no_bill() -> None:
    world = Archive()
    item = world.erasure_item(BILL)
    refusal = ("bills.retention", "bill")
    world.over()
    world.at -= 1
    assert world.refused("hospital", "bills.order_erasure", item) == refusal
    world.at += 1
    before, block = world.bill(BILL), world.block_of()
    root = world.tally().root
    world.do("hospital", "bills.order_erasure", item)
    row = find_erasure(world.rows, BILL)
    assert row is not None
    assert (row.state, row.good, row.by, row.basis, row.reason) == (
        *("ordered", False, "hospital", "term", "term_over"),
    )
    assert [each.org for each in row.copies] == ["hospital", "finance"]
    for n, org in enumerate(("hospital", "finance"), 1):
        assert [each.id for each in list_erasures(world.rows, org=org)] == [row.id]
        world.do(org, "bills.erased", world.erased_item(BILL))
        row = find_erasure(world.rows, BILL)
        assert row is not None
        assert erased_copies(row) == (n, 2)
        assert list(list_erasures(world.rows, org=org)) == []
    assert (row.state, row.good) == ("done", True)
    assert (world.bill(BILL), world.block_of(), world.tally().root) == (before, block, root)


def test_A2_what_an_archive_promised_counts_too() -> None:
    world = Archive()
    account = world.accepted()
    world.do("finance", "bills.archive_period", world.archive_item(account))
    world.over()
    item = world.erasure_item(BILL)
    assert world.refused("hospital", "bills.order_erasure", item) == ("bills.retention", "bill")
    assert world.refusals[0].detail == "kept until 2036-01-31T16:00:00Z"


@pytest.mark.parametrize("what", [{"bill": BILL}, {"account": HOSPITAL_MONTH}])
def test_A2_a_hold_on_the_bill_or_on_its_month_stops_erasure(what: dict[str, Any]) -> None:
    world = Archive()
    world.give("city", "bills.hold", "bills.lift_hold")
    for org in ("finance", "city"):
        world.do(org, "bills.hold", world.hold_item(**what))
    world.over()
    item = world.erasure_item(BILL)
    for org in ("finance", "city"):
        assert world.refused("hospital", "bills.order_erasure", item) == ("bills.held", "bill")
        assert f"by {org}: audit" in world.refusals[0].detail
        world.do(org, "bills.lift_hold", world.lift_item(**what))
    held = find_hold(world.rows, next(iter(what.values())))
    assert held is not None
    assert (held.state, held.good, held.orders) == ("lifted", True, [])
    other = world.erasure_item(f"{CODE}:0000000002")
    world.do("hospital", "bills.order_erasure", other)
    world.do("hospital", "bills.order_erasure", item)


def test_A2_a_legal_order_takes_its_own_grant_and_minds_no_term() -> None:
    world = Archive()
    world.do("finance", "bills.hold", world.hold_item(bill=BILL))
    item = world.erasure_item(BILL, "legal_order", reason="court_order")
    assert world.refused("hospital", "bills.order_erasure", item) == ("kit.no_grant", "basis")
    world.give("city", "bills.legal_order")
    world.do("city", "bills.order_erasure", item)
    row = find_erasure(world.rows, BILL)
    assert row is not None
    assert (row.by, row.basis, row.reason, row.order) == (
        *("city", "legal_order", "court_order", item.order),
    )


def test_erasure_by_term_is_the_issuers_and_of_bills_with_a_body() -> None:
    world = Archive()
    world.over()
    item = world.erasure_item(BILL)
    assert world.refused("clinic", "bills.order_erasure", item) == ("bills.other_issuer", "bill")
    for number in (3, 9):
        void = world.erasure_item(f"{CODE}:{number:010d}")
        assert world.refused("hospital", "bills.order_erasure", void) == (
            *("bills.bill_unknown", "bill"),
        )


def test_a_type_that_keeps_for_ever_is_erased_by_no_term() -> None:
    world = Archive()
    start = world.instant(3_600)
    world.define(TYPE, 3, rules=replace(TERM, retention_days=0), valid_from=start)
    world.at += 3_600
    world.issue(4, type_version=3)
    world.at += 40_000 * DAY
    item = world.erasure_item(f"{CODE}:0000000004")
    assert world.refused("hospital", "bills.order_erasure", item) == ("bills.retention", "bill")
    assert world.refusals[0].detail == "the type keeps bodies for ever"


def test_a_later_order_adds_copies_and_forgets_none() -> None:
    world = Archive()
    world.over()
    refused = world.erasure_item(BILL, copies=["hospital", "hospital"])
    assert world.refused("hospital", "bills.order_erasure", refused) == (
        *("bills.erasure_copies", "copies"),
    )
    unknown = world.erasure_item(BILL, copies=["nobody"])
    assert world.refused("hospital", "bills.order_erasure", unknown) == (
        *("bills.org_unknown", "copies/0"),
    )
    world.do("hospital", "bills.order_erasure", world.erasure_item(BILL, copies=["hospital"]))
    world.do("hospital", "bills.erased", world.erased_item(BILL))
    again = world.erasure_item(BILL, copies=["hospital"])
    assert world.refused("hospital", "bills.order_erasure", again) == ("bills.unchanged", "copies")
    world.do("hospital", "bills.order_erasure", world.erasure_item(BILL, copies=["insurer"]))
    row = find_erasure(world.rows, BILL)
    assert row is not None
    assert (row.state, row.good, erased_copies(row)) == ("ordered", False, (1, 2))
    full = replace(row, copies=row.copies * (COPIES_MAX // 2))
    world.rows.set(f"{row.kind}/{row.id}", full, bytes(32))
    more = world.erasure_item(BILL, copies=["mutual"])
    assert world.refused("hospital", "bills.order_erasure", more) == (
        *("bills.erasure_copies", "copies"),
    )


def test_only_a_vault_that_is_named_says_that_a_body_is_gone_and_says_it_once() -> None:
    world = Archive()
    world.over()
    said = world.erased_item(BILL)
    refusal = ("bills.erasure_unknown", "bill")
    assert world.refused("hospital", "bills.erased", said) == refusal
    world.do("hospital", "bills.order_erasure", world.erasure_item(BILL))
    assert world.refused("insurer", "bills.erased", said) == refusal
    world.do("hospital", "bills.erased", said)
    assert world.refused("hospital", "bills.erased", said) == ("bills.unchanged", "bill")


def test_a_successor_answers_for_the_vault_that_it_took_over() -> None:
    world = Archive()
    world.over()
    world.do("hospital", "bills.order_erasure", world.erasure_item(BILL))
    world.do("finance", "bills.succeed", world.succeed_item(duties=True))
    world.do("clinic", "bills.erased", world.erased_item(BILL))
    row = find_erasure(world.rows, BILL)
    assert row is not None
    assert [each.done is not None for each in row.copies] == [True, False]


# ------------------------------------------------------------------------------------------ holds


def test_a_hold_names_one_thing_and_each_holder_has_one() -> None:
    world = Archive()
    for fields, refusal in (
        ({}, ("bills.account_unknown", "account")),
        ({"bill": BILL, "account": HOSPITAL_MONTH}, ("bills.account_unknown", "account")),
        ({"account": world.block_of().id}, ("bills.account_unknown", "account")),
        ({"account": f"nobody/{TYPE}/2026-01"}, ("bills.org_unknown", "account")),
        ({"account": "hospital/320601/2026-01"}, ("bills.code_type_mismatch", "code")),
        ({"bill": f"{CODE}:0000000009"}, ("bills.bill_unknown", "bill")),
    ):
        assert world.refused("finance", "bills.hold", world.hold_item(**fields)) == refusal
    item = world.hold_item(bill=BILL)
    lift = world.lift_item(bill=BILL)
    assert world.refused("finance", "bills.lift_hold", lift) == ("bills.unchanged", "bill")
    world.do("finance", "bills.hold", item)
    assert world.refused("finance", "bills.hold", item) == ("bills.unchanged", "bill")


def test_there_is_room_for_so_many_holds() -> None:
    world = Archive()
    orgs = ["finance", "city", "hospital", "clinic", "insurer", "mutual", "fund"]
    for org in orgs[1:]:
        world.give(org, "bills.hold")
    for org in orgs[:HOLDS_MAX]:
        world.do(org, "bills.hold", world.hold_item(bill=BILL))
    last = world.hold_item(bill=BILL)
    assert world.refused(orgs[HOLDS_MAX], "bills.hold", last) == ("bills.held", "bill")
