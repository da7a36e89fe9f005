"""What the actions of accounting, archive, erasure and succession are told.

Invariant: no field can hold a name, a text or anything else that is about a person.
See docs/spec/contracts/bills-accounts.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.contracts.bills.items.bills import Block, OfAllotment
from tallystick.contracts.bills.records.accounts import (
    COPIES_MAX,
    RETURNED_MAX,
    AccountId,
    Month,
    Tally,
)
from tallystick.contracts.bills.records.bills import BillCode, BillId, BillTypeId
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import Count, Digest, Instant, OrgId, Word

MOVES_MAX = 20


class AccountBlock(OfAllotment):
    """``bills.account_block/1``, by the holder of a block whose every number is explained."""

    tally: Tally


class AccountPeriod(Item):
    """``bills.account_period/1``: of a month, by an issuer, or by who accepted the level below."""

    type: BillTypeId
    month: Month
    reviewer: OrgId
    tally: Tally
    includes: Count = 0
    """The accounts of the level below that it adds up; 0: bills themselves."""
    issuer: OrgId | None = None
    """Whose month it is, where the sender took over that organisation's duties."""


class OfAccount(Item):
    """Base: names an account, of a block or of a month."""

    account: AccountId
    version: Count


class AcceptAccount(OfAccount):
    """``bills.accept_account/1``, by its reviewer, who counted too."""

    tally: Tally


class ReturnAccount(OfAccount):
    """``bills.return_account/1``, by its reviewer, naming the numbers in question."""

    reason: Word
    numbers: Annotated[list[BillId], Meta(max_length=RETURNED_MAX)] = []


class ArchivePeriod(Item):
    """``bills.archive_period/1``: the sender keeps all bodies of an accepted month."""

    account: AccountId
    root: Digest
    bills: Count
    retain_until: Instant


class HoldBodies(Item):
    """``bills.hold/1``: a legal order keeps a bill's body, or all of a month, from erasure."""

    bill: BillId | None = None
    account: AccountId | None = None
    """Of a month, which need not be accounted for yet."""
    order: Digest
    reason: Word


class LiftHold(HoldBodies):
    """``bills.lift_hold/1``, by who stated the hold; `order` is that to lift it."""


class OrderErasure(Item):
    """``bills.order_erasure/1``: by the issuer when the term is over, or on a legal order."""

    bill: BillId
    basis: Literal["term", "legal_order"]
    order: Digest
    reason: Word
    copies: Annotated[list[OrgId], Meta(min_length=1, max_length=COPIES_MAX)]


class Erased(Item):
    """``bills.erased/1``, by a vault: keys and body are gone here."""

    bill: BillId


class Moved(Record):
    """An allotment that changes hands with its organisation."""

    code: BillCode
    block: Block


class Succeed(Item):
    """``bills.succeed/1``, by finance: allotments move; with `duties` all that `org` owes too."""

    org: OrgId
    successor: OrgId
    duties: bool = False
    allotments: Annotated[list[Moved], Meta(max_length=MOVES_MAX)] = []
    reason: Word
