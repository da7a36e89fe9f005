"""Numbers in order out of allotments: gaps, ranges that are gone, several blocks of one code."""

from __future__ import annotations

import pytest
from acts import FOUNDED_AT, Rows

from tallystick.apps.bills.numbers import Numbers, Place
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import Allotment, Bill, allotment_id, format_bill_id
from tallystick.contracts.kit.context import slot_key
from tallystick.contracts.kit.intervals import Interval
from tallystick.protocol.errors import Rejected
from tallystick.protocol.row import row_key
from tallystick.protocol.values import parse_instant

CODE = 33060126
ORG = "hospital"
AT = parse_instant(FOUNDED_AT)


def allotment(first: int, last: int, **fields: object) -> Allotment:
    named = {"state": "open", "holder": ORG, "next": first} | fields
    return Allotment(
        kind=Allotment.KIND,
        id=allotment_id(CODE, 3, first),
        good=True,
        code=CODE,
        level=3,
        first=first,
        last=last,
        grantor="finance",
        active_from="2025-12-31T16:00:00Z",
        **named,  # type: ignore[arg-type]  # each test names what it changes
    )


def numbers(
    *rows: Allotment,
    used: tuple[int, ...] = (),
    taken: tuple[int, ...] = (),
    places: list[Place] | None = None,
) -> Numbers:
    state = Rows()
    for row in rows:
        state.set(row_key(row.kind, row.id), row, bytes(32))
    for number in used:
        bill = Bill(
            kind=Bill.KIND,
            id=format_bill_id(CODE, number),
            state="issued",
            good=True,
            issuer=ORG,
            bill_kind="blue",
            issued_at=FOUNDED_AT,
        )
        state.set(slot_key(CODE, number), bill, bytes(32))
    return Numbers(state, ORG, AT, taken=[(CODE, n) for n in taken], places=places)


def take_all(of: Numbers) -> list[int]:
    found: list[int] = []
    while True:
        try:
            found += of.take(CODE)[1]
        except Rejected as error:
            assert error.reason == BillsReason.NUMBER_NOT_ALLOCATED
            return found


def test_what_was_not_used_comes_in_order() -> None:
    assert take_all(numbers(allotment(1, 5))) == [1, 2, 3, 4, 5]
    assert take_all(numbers(allotment(1, 5, next=3, issued=2), used=(1, 2))) == [3, 4, 5]
    assert take_all(numbers(allotment(1, 3), taken=(2,))) == [1, 3]


def test_a_gap_below_the_next_is_used_first() -> None:
    assert take_all(numbers(allotment(1, 5, next=4, issued=2), used=(1, 3))) == [2, 4, 5]


def test_ranges_that_are_gone_are_left_out() -> None:
    gone = [
        Interval(first=2, last=3, fate="granted"),
        Interval(first=6, last=7, fate="returned"),
    ]
    assert take_all(numbers(allotment(1, 8, gone=gone))) == [1, 4, 5, 8]
    assert take_all(numbers(allotment(1, 8, gone=gone, next=5, issued=2), used=(1, 4))) == [5, 8]
    assert take_all(numbers(allotment(1, 8, gone=gone, next=5, issued=1), used=(4,))) == [1, 5, 8]


def test_blocks_follow_each_other_and_numbers_that_belong_together_stay_together() -> None:
    supply = numbers(allotment(1, 3), allotment(11, 13))
    assert supply.take(CODE, 2) == ((CODE, 3, 1), [1, 2])
    assert supply.take(CODE, 2) == ((CODE, 3, 11), [11, 12])
    supply.give_back((CODE, 3, 1), 2)
    assert take_all(supply) == [2, 3, 13]


def test_only_open_blocks_of_ones_own_count() -> None:
    rows = (
        allotment(1, 1, state="suspended"),
        allotment(2, 2, holder="clinic"),
        allotment(3, 3, until=FOUNDED_AT),
        allotment(4, 4),
        allotment(5, 5),
    )
    assert take_all(numbers(*rows)) == [4, 5]
    assert take_all(numbers(*rows, places=[(CODE, 3, 5)])) == [5]
    with pytest.raises(Rejected):
        numbers(*rows).take(33060127)
