"""What may be asked about holders' acts: what stands by its id, and whether it holds now.

Invariant: a right that is over by time, by revocation or by a new binding is never called live.
See docs/spec/contracts/bills-holders.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.contracts.bills.records.bills import Bill, parse_bill_id
from tallystick.contracts.bills.records.holders import (
    Consent,
    Helper,
    Mandate,
    Opening,
    consent_holds,
    mandate_holds,
)
from tallystick.contracts.bills.views.bills import find_bill, find_type, list_bills
from tallystick.contracts.kit.context import Reader
from tallystick.protocol.row import row_key
from tallystick.protocol.values import parse_instant


def find_consent(reader: Reader, act_id: str) -> Consent | None:
    """The consent that an act gave, or None."""
    return reader.get(row_key(Consent.KIND, act_id), Consent)


def find_mandate(reader: Reader, act_id: str) -> Mandate | None:
    """The mandate that an act gave, or None."""
    return reader.get(row_key(Mandate.KIND, act_id), Mandate)


def find_helper(reader: Reader, act_id: str) -> Helper | None:
    """The helper whom an act appointed, or None."""
    return reader.get(row_key(Helper.KIND, act_id), Helper)


def is_consent_live(reader: Reader, row: Consent, now: int) -> bool:
    """Whether its reader may read its bill at `now` (unix seconds)."""
    bill = find_bill(reader, row.bill)
    return bill is not None and consent_holds(row, bill, now)


def is_mandate_live(
    reader: Reader, row: Mandate, bill: Bill, opening: Opening | None, now: int
) -> bool:
    """Whether its reader may read `bill` at `now`; `opening` shows that it is the wallet's."""
    kind = find_type(reader, parse_bill_id(bill.id)[0] // 100, bill.type_version)
    return kind is not None and mandate_holds(
        row, bill, opening, now, sensitive=kind.rules.sensitive
    )


def list_consents(reader: Reader, bill_id: str) -> Iterator[Consent]:
    """All that was ever consented to about a bill, by the id of the act."""
    return (row for row in reader.scan(Consent, "") if row.bill == bill_id)


def list_disputes(reader: Reader, code: int) -> Iterator[Bill]:
    """Bills of a code whose new binding the old holder objected to: the arbiter's desk."""
    for bill in list_bills(reader, code):
        if bill.pending is not None and bill.pending.disputed:
            yield bill


def list_pending(reader: Reader, code: int, now: int) -> Iterator[Bill]:
    """Bills of a code whose new binding waits at `now`, and was not objected to."""
    for bill in list_bills(reader, code):
        pending = bill.pending
        if pending is not None and not pending.disputed and now < parse_instant(pending.due):
            yield bill
