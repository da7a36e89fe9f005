"""Organisations merge: numbers move, duties move, names of what was issued stay."""

from __future__ import annotations

from itertools import pairwise

import pytest
from accounts_acts import MONTH, TYPE, Books, moved
from province import BLOCK, CODE, DEPOSIT, PARTIAL

from tallystick.contracts.bills.items.bills import Block, GiveBack, Recall, Withhold
from tallystick.contracts.bills.records.bills import SUCCESSIONS_MAX
from tallystick.contracts.bills.views.accounts import find_stock
from tallystick.contracts.bills.views.bills import find_issuer

TOP = Block(level=0, first=1)
MINE = Block(level=3, first=1)


def stock(world: Books, org: str) -> tuple[int, int]:
    row = find_stock(world.rows, org, TYPE)
    return (row.numbers, row.blocks) if row else (0, 0)


def test_allotments_move_in_one_atomic_transaction_with_all_that_is_in_them() -> None:
    world = Books()
    world.issue(1)
    item = world.succeed_item(allotments=[moved(), moved(PARTIAL)])
    missing = world.succeed_item(allotments=[moved(DEPOSIT), moved(CODE, 3, 5)])
    before = dict(world.rows.data)
    outcomes = world.act("finance", "bills.succeed", item, missing, atomic=True)
    assert outcomes == ["ledger.atomic", "bills.number_not_allocated"]
    assert world.rows.data == before
    rest = world.succeed_item(allotments=[moved(DEPOSIT)])
    assert world.act("finance", "bills.succeed", item, rest, atomic=True) == ["accepted"] * 2
    block = world.block_of()
    assert (block.holder, block.former, block.issued, block.next) == ("clinic", ["hospital"], 1, 2)
    refusal = ("bills.number_not_allocated", "first")
    assert world.refused("hospital", "bills.issue", world.issue_item(2)) == refusal
    world.issue(2, "clinic")
    assert world.bill(CODE, 1).issuer == "hospital"
    assert world.bill(CODE, 2).issuer == "clinic"
    assert (stock(world, "hospital"), stock(world, "clinic")) == ((0, 0), (BLOCK, 1))
    world.audit()


def test_the_successor_reverses_what_the_former_issued() -> None:
    world = Books()
    bill = world.issue(1)
    world.do("finance", "bills.succeed", world.succeed_item(allotments=[moved()]))
    item = world.reverse_item(bill, 2)
    refusal = ("bills.rev_other_issuer", "bill")
    assert world.refused("clinic", "bills.reverse", item) == refusal
    world.do("finance", "bills.succeed", world.succeed_item(duties=True))
    world.do("clinic", "bills.reverse", item)
    assert world.bill(CODE, 1).state == "reversed"
    assert world.bill(CODE, 2).issuer == "clinic"
    deposit = world.bill(CODE, 1)
    withheld = Withhold(
        nonce=world.nonce(), bill=deposit.id, version=deposit.version, reason="arrears"
    )
    assert world.refused("clinic", "bills.withhold", withheld) == ("bills.bill_state", "bill")


def test_who_was_succeeded_issues_no_more_and_its_months_are_its_successors_to_state() -> None:
    world = Books()
    world.issue(1)
    item = world.succeed_item(duties=True)
    world.do("finance", "bills.succeed", item)
    refused = world.issue_item(2)
    assert world.refused("hospital", "bills.issue", refused)[0] == "bills.issuer_suspended"
    issuer = find_issuer(world.rows, "hospital")
    assert issuer is not None
    assert (issuer.successor, issuer.reason) == ("clinic", "merged")
    world.do("finance", "bills.succeed", world.succeed_item(allotments=[moved()]))
    world.issue(2, "clinic")
    world.end_month()
    account = world.account_period("clinic", issuer="hospital")
    assert (account.org, account.tally.blue) == ("hospital", 1)
    own = world.account_period("clinic")
    assert (own.org, own.tally.blue) == ("clinic", 1)
    assert account.id == f"hospital/{TYPE}/{MONTH}"
    for each in (account, own):
        world.accept(each)


def test_the_successor_of_a_grantor_reviews_and_recalls() -> None:
    world = Books()
    world.allot(level=1, first=2_001, last=9_000, holder="city", parent=TOP)
    world.allot(
        "city",
        level=3,
        first=2_001,
        last=2_100,
        holder="hospital",
        parent=Block(level=1, first=2_001),
    )
    recalled = Recall(
        nonce=world.nonce(), code=CODE, level=3, first=2_001, start=2_100, end=2_100, reason="end"
    )
    refusal = ("bills.not_grantor", "first")
    assert world.refused("clinic", "bills.recall", recalled) == refusal
    world.do("finance", "bills.succeed", world.succeed_item("city", duties=True))
    world.do("clinic", "bills.recall", recalled)
    rest = GiveBack(
        nonce=world.nonce(), code=CODE, level=3, first=2_001, start=2_001, end=2_099, reason="end"
    )
    world.do("hospital", "bills.give_back", rest)
    assert stock(world, "hospital") == (BLOCK, 2)
    account = world.account_block(world.block_of(first=2_001))
    assert account.reviewer == "city"
    world.do("clinic", "bills.accept_account", world.accept_item(account))
    assert stock(world, "hospital") == (BLOCK, 1)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"org": "nobody", "duties": True}, ("bills.org_unknown", "org")),
        ({"successor": "nobody", "duties": True}, ("bills.org_unknown", "successor")),
        ({"successor": "hospital", "duties": True}, ("bills.succession_invalid", "successor")),
        ({}, ("bills.succession_invalid", "allotments")),
        ({"allotments": [moved(), moved()]}, ("bills.succession_invalid", "allotments/1")),
        ({"org": "city", "allotments": [moved()]}, ("bills.number_not_allocated", "allotments/0")),
    ],
)
def test_what_is_no_succession(fields: dict[str, object], refusal: tuple[str, str]) -> None:
    world = Books()
    item = world.succeed_item(**fields)  # type: ignore[arg-type]  # of the cases above
    assert world.refused("finance", "bills.succeed", item) == refusal


def test_successions_come_once_and_never_in_a_circle() -> None:
    world = Books()
    world.do("finance", "bills.succeed", world.succeed_item(duties=True))
    again = world.succeed_item(successor="city", duties=True)
    assert world.refused("finance", "bills.succeed", again) == ("bills.succession_invalid", "org")
    world.do("finance", "bills.succeed", world.succeed_item("clinic", "city", duties=True))
    back = world.succeed_item("city", "hospital", duties=True)
    refusal = ("bills.succession_invalid", "successor")
    assert world.refused("finance", "bills.succeed", back) == refusal


def test_a_line_of_successions_is_followed_to_its_end() -> None:
    world = Books()
    bill = world.issue(1)
    line = ["hospital", "clinic", "city", "insurer", "mutual", "fund"]
    steps = list(pairwise(line[: SUCCESSIONS_MAX + 1]))
    for org, successor in steps:
        world.do("finance", "bills.succeed", world.succeed_item(org, successor, duties=True))
    last, beyond = line[SUCCESSIONS_MAX], line[SUCCESSIONS_MAX + 1]
    longer = world.succeed_item(last, beyond, duties=True)
    assert world.refused("finance", "bills.succeed", longer) == ("bills.succession_invalid", "org")
    into_the_middle = world.succeed_item(beyond, "city", duties=True)
    refusal = ("bills.succession_invalid", "successor")
    assert world.refused("finance", "bills.succeed", into_the_middle) == refusal
    world.give(last, "bills.reverse")
    for holder, successor in steps:
        item = world.succeed_item(holder, successor, allotments=[moved()])
        world.do("finance", "bills.succeed", item)
    world.do(last, "bills.reverse", world.reverse_item(bill, 2))
    once_more = world.succeed_item(last, "finance", allotments=[moved()])
    assert world.refused("finance", "bills.succeed", once_more) == (
        *("bills.succession_invalid", "allotments/0"),
    )
