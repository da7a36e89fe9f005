"""What issuer and archive alike ask of a body: its rules, its record, and what it is for.

Invariant: office and archive run the same check, so a body that the office let out is no finding.
See docs/spec/archive.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.content import check_against_record, check_body, open_fields
from tallystick.contracts.bills.records.bills import TypeRules
from tallystick.protocol.canonical import decode
from tallystick.vault import BusinessKey


class RecordHalf(NamedTuple):
    """What a body is held against."""

    rules: TypeRules
    open: Mapping[str, object]
    """Its open fields as the ledger has them."""


def check_content(body: bytes, record: RecordHalf) -> None:
    """`Malformed` or `Rejected`, naming the field, unless the body is sound and the record's."""
    bill = decode(body, Body)
    check_body(bill, record.rules)
    check_against_record(open_fields(bill), record.open)


def business_keys(bill: Body) -> tuple[BusinessKey, ...]:
    """What no two live bills of an issuer may be for; a red bill, which undoes one, names none."""
    if bill.kind == "red":
        return ()
    part = bill.settlement.part if bill.settlement else 1
    return tuple(
        BusinessKey(code, bill.purpose, part, bill.ordinal) for code in bill.business_codes
    )


def business_keys_of(body: bytes) -> tuple[BusinessKey, ...]:
    """The same of a body's bytes."""
    return business_keys(decode(body, Body))
