"""What the ledger stores about bills: identifiers and the rules of a bill type.

Invariant: nothing here is personal or free text; a bill's other half is in `body.py`.
See docs/spec/bills.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.values import Amount, Count, Currency, Word

BillCode = Annotated[int, Meta(ge=10_000_000, le=99_999_999)]
"""Eight digits: supervising region, class, kind and year, two each."""
BillNumber = Annotated[int, Meta(ge=1, le=9_999_999_999)]
"""Ten digits, running within its code."""
BillTypeId = Annotated[int, Meta(ge=100_000, le=999_999)]
"""A bill code without its year."""
BillId = Annotated[str, Meta(pattern=r"\A[1-9][0-9]{7}:[0-9]{10}\Z")]
"""Code and number as people read them: ``33060126:0000100001``."""

CatalogueCode = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,39}\Z")]
"""A code out of a catalogue: of charge items, templates, places, funds."""
Presence = Literal["required", "optional", "absent"]

ITEMS_MAX = 200
DETAILS_MAX = 20_000
"""A year in intensive care has some ten thousand list lines."""
ITEM_CODES_MAX = 1_000
"""Charge categories of a type: 14 in the national list, some hundred with local ones."""


class TypeRules(Record, kw_only=True):
    """What the catalogue demands of the bills of one type. All its currencies have two decimals."""

    currencies: Annotated[tuple[Currency, ...], Meta(min_length=1, max_length=20)]
    max_items: Annotated[int, Meta(ge=1, le=ITEMS_MAX)]
    """Lines on the face: 12 outpatient, 18 inpatient in the fiscal form."""
    max_details: Annotated[int, Meta(ge=0, le=DETAILS_MAX)]
    """Lines of the list behind the face."""
    item_codes: Annotated[tuple[CatalogueCode, ...], Meta(min_length=1, max_length=ITEM_CODES_MAX)]
    extension_keys: Annotated[tuple[Word, ...], Meta(max_length=100)] = ()
    liability: Presence
    ack: Literal["record", "archived"]
    """When a bill counts as issued: on the ledger, or once finance has checked its body too."""

    detail_tolerance_e4: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """How far an item may lie from its rounded list lines, in 1/10000 of the currency unit."""
    rounding_max: Amount = 0
    """Largest `total_rounding`, either way, in minor units."""
    details_required: bool = False
    classes_required: bool = False
    """Each charged line names its insurance class."""
    inpatient_sums: bool = False
    """Blue bills state prepaid, recharged and refunded money."""
    credit_code_required: bool = False
    partial_reversal: bool = False
    zero_total: bool = False
    zero_lines: bool = False
    claimable: bool = False
    bind_required: bool = False

    year_grace_days: Count = 0
    issue_past_seconds_max: Count
    issue_future_seconds_max: Count
    archive_within_seconds: Count


def format_bill_id(code: int, number: int) -> str:
    """The `BillId` of a code and a number."""
    return f"{code:08d}:{number:010d}"


def parse_bill_id(bill_id: str) -> tuple[int, int]:
    """Code and number of a well-formed `BillId`."""
    code, _, number = bill_id.partition(":")
    return int(code), int(number)
