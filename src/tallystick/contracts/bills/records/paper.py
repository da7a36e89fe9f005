"""Booking of settled claims by units. A paper form is a `records.bills.Bill` in its own slot.

Invariant: a claim is booked once at a time, for at most what it settled.
See docs/spec/contracts/bills-paper.md.
"""

from __future__ import annotations

from tallystick.protocol.row import Row
from tallystick.protocol.values import Day, Digest, OrgId, Word


class Booking(Row, kw_only=True):
    """A claim in the books of its reimburser; id `booking_id`. State ``booked``, ``unbooked``."""

    KIND = "bills.booking"

    unit: OrgId
    on: Day
    voucher: Digest
    reason: Word | None = None
    """Why it was taken out of the books."""


def booking_id(bill_id: str, ordinal: int) -> str:
    """The id of the `Booking` of one claim."""
    return f"{bill_id}/{ordinal}"
