"""What each action of this domain is told: one record an action, all of them bounded.

Invariant: no field can hold a name, a text or anything else that is about a person.
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from typing import Annotated

from tallystick.contracts.bills.records.bills import (
    EXCEPTION_CODES_MAX,
    SETTLES_MAX,
    BillCode,
    BillId,
    BillNumber,
    BillTypeId,
    Exceptions,
    Level,
    OfflineDays,
    TypeRules,
    TypeVersion,
)
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import Amount, Count, Currency, Digest, Instant, OrgId, Word

# ------------------------------------------------------------------------------------ catalogue


class DefineType(Item):
    """``bills.define_type/1``: version n + 1 of a type, in force from an instant to come."""

    type: BillTypeId
    type_version: TypeVersion
    """1, or one more than the newest."""
    catalogue: Digest
    """Of the public catalogue entry."""
    rules: TypeRules
    valid_from: Instant


# -------------------------------------------------------------------------------------- numbers


class Block(Record):
    """An allotment of the same code."""

    level: Level
    first: BillNumber


class Allot(Item):
    """``bills.allot/1``: the range [first, last] becomes an allotment of `holder`."""

    code: BillCode
    level: Level
    first: BillNumber
    last: BillNumber
    """Equal to `first`: a single number."""
    holder: OrgId
    parent: Block | None = None
    """The sender's own allotment that it comes out of; none at level 0."""
    offline_days: OfflineDays = 0
    """An offline reserve: its bills may reach the ledger so many days after they were made."""


class OfAllotment(Item):
    """Base: names one allotment."""

    code: BillCode
    level: Level
    first: BillNumber


class RangeOfAllotment(OfAllotment):
    """Base: names the numbers [start, end] of one allotment, and why."""

    start: BillNumber
    end: BillNumber
    reason: Word


class GiveBack(RangeOfAllotment):
    """``bills.give_back/1``, by the holder."""


class Recall(RangeOfAllotment):
    """``bills.recall/1``, by the grantor."""


class Opening(RangeOfAllotment):
    """``bills.opening/1``, by the grantor: used on another platform before cut-over."""


class VoidNumbers(RangeOfAllotment):
    """``bills.void_numbers/1``, by the holder: unissued numbers that never will be."""


class SuspendAllotment(OfAllotment):
    """``bills.suspend_allotment/1``, by the grantor; holds for all that came out of it too."""

    reason: Word


class ResumeAllotment(OfAllotment):
    """``bills.resume_allotment/1``, by the grantor."""

    reason: Word


# ---------------------------------------------------------------------------------------- bills


class Money(Item):
    """Base: the five amounts of a bill that caps need; none stated is zero."""

    total: Amount
    account: Amount = 0
    cash: Amount = 0
    self_pay: Amount = 0
    self_expense: Amount = 0


class NewBill(Money):
    """Base: a blue bill out of an allotment of the sender."""

    code: BillCode
    level: Level
    first: BillNumber
    number: BillNumber
    type_version: TypeVersion
    issued_at: Instant
    currency: Currency
    root: Digest
    """Commitment to the body."""
    holder: Digest
    """Commitment to the bill key."""
    settles: Annotated[list[BillId], Meta(max_length=SETTLES_MAX)] = []
    """Deposits of the sender that this bill uses up."""


class Issue(NewBill):
    """``bills.issue/1``; ``bills.issue_offline/1``: out of an offline reserve."""


class Reverse(Money):
    """``bills.reverse/1``: a red bill takes amounts off a blue one, all that is left or a part."""

    code: BillCode
    level: Level
    first: BillNumber
    number: BillNumber
    """Of the red bill."""
    type_version: TypeVersion
    issued_at: Instant
    root: Digest
    bill: BillId
    """The blue bill."""
    version: Count
    """Of the blue bill's row, as the sender saw it."""
    reason: Word


class Replace(NewBill):
    """``bills.replace/1``: reverses all that is left of a bill and issues another in its place."""

    red_number: BillNumber
    """Out of the same allotment."""
    red_root: Digest
    bill: BillId
    version: Count
    reason: Word


class OfBill(Item):
    """Base: names one bill, as the sender saw it, and why."""

    bill: BillId
    version: Count
    reason: Word


class Withhold(OfBill):
    """``bills.withhold/1``, by the issuer: the bill may not be claimed."""


class Release(OfBill):
    """``bills.release/1``, by the issuer: it may be claimed after all."""


# ---------------------------------------------------------------------------------- supervision


class OfIssuer(Item):
    """Base: names one issuer, and why."""

    issuer: OrgId
    reason: Word


class SuspendIssuer(OfIssuer):
    """``bills.suspend_issuer/1``: it issues no more; what it owes, reversals, it still may do."""


class ResumeIssuer(OfIssuer):
    """``bills.resume_issuer/1``."""


class Archived(Item):
    """``bills.archived/1``: the bodies below a log index are checked and stored, but for some."""

    issuer: OrgId
    below: Count
    exceptions: Annotated[list[Exceptions], Meta(max_length=EXCEPTION_CODES_MAX)] = []
    """All that are open, by ascending code and number: replaces what the row has."""
