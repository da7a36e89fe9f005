"""What may be asked: bills, ranges, the accounting of a block, the record's side of a body."""

from __future__ import annotations

from typing import Any

import pytest
from bodies import OUTPATIENT, make_body
from province import BLOCK, CODE, Province

from tallystick.contracts.bills.content import check_against_record, check_body, open_fields
from tallystick.contracts.bills.items.bills import Block, GiveBack, VoidNumbers
from tallystick.contracts.bills.views.bills import (
    account,
    find_bill,
    find_bills,
    list_allotments,
    record_view,
)
from tallystick.contracts.kit.context import slot_key
from tallystick.contracts.kit.intervals import Interval
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Damaged, Rejected


def test_bills_are_found_by_number_and_by_issuer() -> None:
    world = Province()
    world.allot(level=3, first=2_001, last=2_010, holder="clinic", parent=Block(level=0, first=1))
    for number in (3, 1, 7):
        world.issue(number)
    world.issue(2_001, sender="clinic", first=2_001)
    assert find_bill(world.rows, f"{CODE}:0000000002") is None
    all_ = [each.id[-4:] for each in find_bills(world.rows, CODE, 2, 5_000)]
    assert all_ == ["0003", "0007", "2001"]
    mine = [each.id[-4:] for each in find_bills(world.rows, CODE, 1, 5_000, "clinic")]
    assert mine == ["2001"]
    assert len(list(list_allotments(world.rows))) == 7


def test_N4_each_number_of_a_block_has_one_fate_and_they_add_up() -> None:
    world = Province()
    world.allot("hospital", level=4, first=501, last=510, parent=Block(level=3, first=1))
    for number in (1, 2, 4, 520):
        world.issue(number)
    world.issue(505, level=4, first=501)
    fields: dict[str, Any] = {
        "nonce": world.nonce(),
        "code": CODE,
        "level": 3,
        "first": 1,
        "reason": "spoiled",
    }
    world.do("hospital", "bills.void_numbers", VoidNumbers(**fields, start=5, end=6))
    world.do("hospital", "bills.give_back", GiveBack(**fields, start=901, end=BLOCK))
    book = account(world.rows, world.block_of())
    assert (book.size, book.issued, book.void, book.gone) == (BLOCK, 4, 2, 110)
    assert book.remaining == BLOCK - 116
    assert [(each.first, each.last, each.fate) for each in book.ranges] == [
        (1, 2, "issued"),
        (3, 3, "remaining"),
        (4, 4, "issued"),
        (5, 6, "void"),
        (7, 500, "remaining"),
        (501, 510, "granted"),
        (511, 519, "remaining"),
        (520, 520, "issued"),
        (521, 900, "remaining"),
        (901, BLOCK, "returned"),
    ]
    top = account(world.rows, world.block_of(level=0))
    assert (top.issued, top.gone, top.ranges[0]) == (
        0,
        BLOCK,
        Interval(first=1, last=BLOCK, fate="granted"),
    )
    world.audit()


def test_an_accounting_notices_a_row_that_was_taken_out() -> None:
    world = Province()
    for number in (1, 2, 3):
        world.issue(number)
    del world.rows.data[slot_key(CODE, 2)]
    with pytest.raises(Damaged, match="3 numbers are issued and 0 void, but 2 and 0 are there"):
        account(world.rows, world.block_of())


def test_a_body_is_compared_with_the_record_that_was_made_of_it() -> None:
    world = Province()
    body = make_body(1)
    body = replace(body, network=world.network, code=CODE, type=CODE // 100, number=5)
    body = replace(body, issuer="hospital", issued_at=world.instant())
    check_body(body, OUTPATIENT)
    sources, liability = body.payment.sources, body.payment.liability
    assert liability is not None
    bill = world.issue(
        5,
        total=body.total,
        account=sources.account,
        cash=sources.cash,
        self_pay=liability.self_pay,
        self_expense=liability.self_expense,
    )
    check_against_record(open_fields(body), record_view(bill, world.network))
    for other in (
        record_view(bill, bytes(32)),
        record_view(replace(bill, amounts=bill.amounts | {"cash": 1}), world.network),
        record_view(replace(bill, replaces=f"{CODE}:0000000001"), world.network),
    ):
        with pytest.raises(Rejected):
            check_against_record(open_fields(body), other)


def test_a_red_record_is_compared_too_and_a_void_number_has_none() -> None:
    world = Province()
    world.reverse(world.issue(1), 2)
    shown = record_view(world.bill(CODE, 2), world.network)
    assert (shown["kind"], shown["reversal_of"]) == ("red", f"{CODE}:0000000001")
    fields: dict[str, Any] = {
        "nonce": world.nonce(),
        "code": CODE,
        "level": 3,
        "first": 1,
        "reason": "spoiled",
    }
    world.do("hospital", "bills.void_numbers", VoidNumbers(**fields, start=5, end=5))
    with pytest.raises(ValueError, match="is void"):
        record_view(world.bill(CODE, 5), world.network)
