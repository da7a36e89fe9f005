"""Booking of settled claims: once, by who settled, for no more than what stands of it."""

from __future__ import annotations

from paper_acts import Desk, audit_bookings

from tallystick.contracts.bills.items.accounts import Succeed
from tallystick.contracts.bills.views.paper import (
    find_booking,
    list_bookings,
    reversed_bookings,
)


def test_a_settled_claim_is_booked_and_taken_out_again() -> None:
    desk = Desk()
    bill = desk.claim("insurer", desk.issue(), 2_000)
    assert find_booking(desk.world.rows, bill.id, 0) is None
    booking = desk.book("insurer", bill, 2_000)
    assert (booking.state, booking.good, booking.unit, booking.on) == (
        *("booked", True, "insurer", "2026-01-05"),
    )
    assert booking.amounts == {"booked": 2_000}
    assert desk.now(bill) == bill
    booking = desk.unbook("insurer", bill)
    assert (booking.state, booking.good, booking.reason) == ("unbooked", False, "wrong_account")
    booking = desk.book("insurer", bill, 1_500, on="2026-01-06")
    assert (booking.state, booking.good, booking.reason, booking.on) == (
        *("booked", True, None, "2026-01-06"),
    )
    assert booking.amounts == {"booked": 1_500}
    assert booking.version == 3
    audit_bookings(desk)


def test_B1_a_unit_books_a_claim_once() -> None:
    desk = Desk()
    bill = desk.claim("insurer", desk.issue(), 2_000)
    desk.book("insurer", bill, 500)
    again = desk.book_item(bill, 1_500)
    refusal = ("bills.book_duplicate", "ordinal")
    assert desk.refused("insurer", "bills.book", again) == refusal


def test_B1_at_most_what_was_settled_is_booked() -> None:
    desk = Desk()
    bill = desk.claim("insurer", desk.issue(), 2_000)
    refusal = ("bills.book_exceeds", "amount")
    for amount in (0, 2_001):
        item = desk.book_item(bill, amount)
        assert desk.refused("insurer", "bills.book", item) == refusal
    desk.do("insurer", "bills.supplement", desk.supplement_item("insurer", bill, 0, 100))
    desk.book("insurer", bill, 2_100)
    audit_bookings(desk)


def test_B1_what_is_due_back_is_not_booked() -> None:
    desk = Desk()
    bill = desk.claim("insurer", desk.issue(1), 3_000)
    desk.reverse(bill, 2, total=9_000)
    assert desk.amounts(bill) == [{"settled": 3_000, "due": 2_500}]
    over = desk.book_item(bill, 501)
    assert desk.refused("insurer", "bills.book", over) == ("bills.book_exceeds", "amount")
    desk.book("insurer", bill, 500)


def test_B1_nothing_settled_is_nothing_to_book() -> None:
    desk = Desk()
    bill = desk.issue()
    desk.do("insurer", "bills.reject", desk.reject_item(desk.lock("insurer", bill)))
    item = desk.book_item(bill, 1)
    assert desk.refused("insurer", "bills.book", item) == ("bills.book_exceeds", "amount")
    desk.settle(desk.lock("mutual", bill), 0, "deductible")
    item = desk.book_item(bill, 1, ordinal=1)
    assert desk.refused("mutual", "bills.book", item) == ("bills.book_exceeds", "amount")


def test_B1_a_fixed_benefit_is_booked_as_it_was_paid() -> None:
    desk = Desk()
    bill = desk.claim("insurer", desk.issue(), 90_000, benefit="fixed")
    item = desk.book_item(bill, 90_001)
    assert desk.refused("insurer", "bills.book", item) == ("bills.book_exceeds", "amount")
    desk.book("insurer", bill, 90_000)
    audit_bookings(desk)


def test_only_who_settled_a_claim_books_it() -> None:
    desk = Desk()
    bill = desk.claim("insurer", desk.issue(1), 1_000)
    refusal = ("bills.book_unknown", "ordinal")
    assert desk.refused("mutual", "bills.book", desk.book_item(bill, 1_000)) == refusal
    assert desk.refused("insurer", "bills.book", desk.book_item(bill, 1_000, 1)) == refusal
    assert desk.refused("insurer", "bills.book", desk.book_item(desk.issue(2), 1)) == refusal
    assert desk.refused("insurer", "bills.unbook", desk.unbook_item(bill)) == refusal
    desk.book("insurer", bill, 1_000)
    assert desk.refused("mutual", "bills.unbook", desk.unbook_item(bill)) == refusal
    desk.unbook("insurer", bill)
    assert desk.refused("insurer", "bills.unbook", desk.unbook_item(bill)) == refusal
    item = desk.book_item(bill, 1_000)
    assert desk.refused("hospital", "bills.book", item) == ("kit.no_grant", "")


def test_the_day_of_a_booking_exists() -> None:
    desk = Desk()
    bill = desk.claim("insurer", desk.issue(), 1_000)
    item = desk.book_item(bill, 1_000, on="2026-02-31")
    assert desk.refused("insurer", "bills.book", item) == ("kit.instant_invalid", "on")


def test_a_successor_books_what_it_took_over() -> None:
    desk = Desk()
    bill = desk.claim("insurer", desk.issue(), 1_000)
    item = Succeed(
        nonce=desk.world.nonce(),
        org="insurer",
        successor="mutual",
        duties=True,
        reason="merged",
    )
    desk.world.do("finance", "bills.succeed", item)
    assert desk.book("mutual", bill, 1_000).unit == "mutual"


def test_each_claim_of_a_bill_has_a_booking_of_its_own() -> None:
    desk = Desk()
    bill = desk.claim("insurer", desk.issue(), 1_000)
    desk.claim("mutual", bill, 2_000)
    desk.claim("insurer", bill, 500, purpose="supplementary")
    desk.book("insurer", bill, 1_000)
    desk.book("insurer", bill, 500, 2)
    listed = [(each.id[-1], each.unit) for each in list_bookings(desk.world.rows, bill.id)]
    assert listed == [("0", "insurer"), ("2", "insurer")]


def test_a_booked_bill_that_is_reversed_is_told_to_its_unit() -> None:
    desk = Desk()
    whole, part = desk.issue(1), desk.issue(2)
    for bill in (whole, part, desk.issue(3)):
        desk.claim("insurer", bill, 3_000)
        desk.book("insurer", bill, 3_000)
    desk.claim("mutual", whole, 1_000)
    desk.book("mutual", whole, 1_000, 1)
    assert not list(reversed_bookings(desk.world.rows, "insurer"))
    desk.reverse(whole, 11)
    desk.reverse(part, 12, total=8_000)
    told = [
        (each.bill, each.state, each.stands)
        for each in reversed_bookings(desk.world.rows, "insurer")
    ]
    assert told == [(whole.id, "reversed", 0), (part.id, "partly_reversed", 1_000)]
    assert len(list(reversed_bookings(desk.world.rows, "mutual"))) == 1
    desk.unbook("insurer", whole)
    assert [each.bill for each in reversed_bookings(desk.world.rows, "insurer")] == [part.id]
