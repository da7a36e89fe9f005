"""What the supervisor's actions on one bill, and everybody's findings, are told.

Invariant: no field can hold a name, a text or anything else that is about a person.
See docs/spec/contracts/bills-supervision.md.
"""

from __future__ import annotations

from typing import Annotated

from tallystick.contracts.bills.items.bills import OfBill
from tallystick.contracts.bills.records.bills import BillId
from tallystick.protocol.canonical import Meta
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import Digest, Word

FindingId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\.(0|[1-9][0-9]{0,2})\Z")]


class Freeze(OfBill):
    """``bills.freeze/1``, by the supervisor: no new lock or reversal; running times pause."""

    evidence: Digest


class Lift(OfBill):
    """``bills.lift/1``, by the supervisor: times run on for what remained."""

    cancel_lock: bool = False
    """The lock is void: the exit for a legal refund."""


class Dispute(Item):
    """``bills.dispute/1``, by any member with the grant: marks the bill, blocks nothing."""

    bill: BillId
    what: Word
    evidence: Digest


class Answer(Item):
    """``bills.answer/1``, by the bill's issuer or the supervisor."""

    finding: FindingId
    answer: Digest
    reason: Word
