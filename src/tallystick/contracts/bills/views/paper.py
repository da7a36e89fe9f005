"""What may be asked about paper forms and bookings.

Invariant: a form that is not live is never shown as valid; whose bill it shows is no part of the
public list. See docs/spec/contracts/bills-paper.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tallystick.contracts.bills.records.bills import (
    Allotment,
    Bill,
    BillId,
    PaperLink,
    live_paper,
    parse_bill_id,
)
from tallystick.contracts.bills.records.claims import CLAIMS_MAX, Claim, claim_id, counted
from tallystick.contracts.bills.records.paper import Booking, booking_id
from tallystick.contracts.bills.views.bills import count_skipped, find_bill, list_bills, own_ranges
from tallystick.contracts.kit import intervals
from tallystick.contracts.kit.context import Reader
from tallystick.protocol.canonical import Record
from tallystick.protocol.row import row_key
from tallystick.protocol.values import Amount, Instant, Word

INVALID = ("lost", "cancelled", "void")
"""States of a form that somebody may still hold in hand, or that never was one."""


class InvalidForm(Record):
    """One number of the public list of invalid forms."""

    id: BillId
    state: Word
    dated: Instant
    """When it was printed, or its number declared void."""
    reason: Word | None = None


class ReversedBooking(Record):
    """A booked claim of whose bill something was taken since: the unit's books are to be mended."""

    booking: Booking
    bill: BillId
    state: Word
    """Of the bill."""
    stands: Amount
    """What is left of the settlement; more than that is booked."""


def paper_of(reader: Reader, bill_id: str, now: int) -> PaperLink | None:
    """The form that stands for a bill at `now` (unix seconds), or None: the bill stands alone."""
    bill = find_bill(reader, bill_id)
    return None if bill is None else live_paper(bill, now)


def list_forms(reader: Reader, code: int, bill_id: str) -> Iterator[Bill]:
    """All forms of one paper code that a bill was ever printed on, by number."""
    for form in list_bills(reader, code):
        if form.paper_of == bill_id:
            yield form


def next_form(reader: Reader, row: Allotment) -> int | None:
    """The first unused number of an allotment, or None: it is used up.

    As long as the forms are used in order this reads nothing.
    """
    number = row.first
    if not count_skipped(row):
        number = row.next
    else:
        for first, last in own_ranges(row):
            number = max(number, first)
            for form in reader.scan_slots(Bill, row.code, first, last):
                if parse_bill_id(form.id)[1] != number:
                    break
                number += 1
            if number <= last:
                return number
        number = max(number, row.next)
    while number <= row.last:
        gone = intervals.find(row.gone, number)
        if gone is None:
            return number
        number = gone.last + 1
    return None


def list_invalid(
    reader: Reader, code: int, states: Sequence[str] = INVALID
) -> Iterator[InvalidForm]:
    """The public list of the invalid forms of one paper code, by number."""
    for form in list_bills(reader, code):
        if form.state in states:
            yield InvalidForm(
                id=form.id, state=form.state, dated=form.issued_at, reason=form.reason
            )


def find_booking(reader: Reader, bill_id: str, ordinal: int) -> Booking | None:
    """The booking of one claim, or None: it never was in the books."""
    return reader.get(row_key(Booking.KIND, booking_id(bill_id, ordinal)), Booking)


def list_bookings(reader: Reader, bill_id: str) -> Iterator[Booking]:
    """The bookings of a bill, in the order of its claims."""
    for ordinal in range(CLAIMS_MAX):
        booking = find_booking(reader, bill_id, ordinal)
        if booking is not None:
            yield booking


def reversed_bookings(reader: Reader, unit: str) -> Iterator[ReversedBooking]:
    """What a unit booked on bills of which something was taken since, by id: to be mended."""
    for booking in reader.scan(Booking, ""):
        if booking.unit != unit or booking.state != "booked":
            continue
        bill_id, _, ordinal = booking.id.partition("/")
        bill = find_bill(reader, bill_id)
        claim = reader.get(row_key(Claim.KIND, claim_id(bill_id, int(ordinal))), Claim)
        if bill is None or claim is None:
            raise LookupError(booking.id)  # it was booked by a claim on a bill
        stands = counted(claim) + claim.amounts.get("fixed", 0)
        if booking.amounts["booked"] > stands or bill.state in ("reversed", "partly_reversed"):
            yield ReversedBooking(booking=booking, bill=bill_id, state=bill.state, stands=stands)
