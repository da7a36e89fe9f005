"""Accounting 核销, archive and erasure: what closes numbers, periods and bodies.

Invariant: an account is accepted only where both sides state the same counts, sums and root; an
erasure takes a term that is over or a legal order, and changes no root.
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.contracts.bills.records.bills import BillId
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.row import Row
from tallystick.protocol.values import Amount, Count, Currency, Digest, Instant, OrgId, Word

CURRENCIES_MAX = 20
COPIES_MAX = 16
RETURNED_MAX = 100

Month = Annotated[str, Meta(pattern=r"\A20[0-9]{2}-(0[1-9]|1[0-2])\Z")]
"""A calendar month at the network's fixed offset."""
AccountId = Annotated[str, Meta(pattern=r"\A[!-~]{1,90}\Z")]


class Sum(Record):
    """Money of one currency: of blue bills, and what red ones took off."""

    currency: Currency
    issued: Amount
    reversed: Amount = 0


class Tally(Record):
    """What one side counted; the root is over exactly these bills: `views.accounts`."""

    blue: Count
    red: Count = 0
    void: Count = 0
    sums: Annotated[list[Sum], Meta(max_length=CURRENCIES_MAX)] = []
    """By currency, ascending."""
    root: Digest


class Account(Row, kw_only=True):
    """An account of a block (id: the allotment's) or of a month (id: `period_id`).

    State ``submitted``, ``returned``, ``accepted``. `good`: accepted.
    """

    KIND = "bills.account"

    org: OrgId
    reviewer: OrgId
    tally: Tally
    includes: Count = 0
    """Accounts of the level below whose sums these are; 0: bills themselves."""
    reason: Word | None = None
    numbers: Annotated[list[BillId], Meta(max_length=RETURNED_MAX)] = []
    """Returned: which numbers are in question."""


class Collected(Row, kw_only=True):
    """Sums of all accounts of a month that one reviewer accepted; id: its own `period_id`."""

    KIND = "bills.collected"

    blue: Count = 0
    red: Count = 0
    void: Count = 0
    sums: Annotated[list[Sum], Meta(max_length=CURRENCIES_MAX)] = []
    digest: Digest
    """H(context ‖ digest before ‖ account id ‖ its root), from 32 zero bytes on."""
    accounts: Count = 0


def period_id(org: str, type_id: int, month: str) -> str:
    """The id of a month's `Account`."""
    return f"{org}/{type_id}/{month}"


class Stock(Row, kw_only=True):
    """Numbers of a type that one holder has not accounted for; id ``<holder>/<type>``."""

    KIND = "bills.stock"

    numbers: Count = 0
    blocks: Count = 0


class Manifest(Row, kw_only=True):
    """An archive's promise to keep the bodies of an account; id ``<archive>/<account id>``."""

    KIND = "bills.manifest"

    archive: OrgId
    account: AccountId
    root: Digest
    bills: Count
    retain_until: Instant


class Hold(Row, kw_only=True):
    """A legal hold; id ``<bill>/hold``, or an account's id. State ``held``, ``lifted``."""

    KIND = "bills.hold"

    by: OrgId
    order: Digest
    reason: Word


class Copy(Record):
    """One vault's answer to an order to erase."""

    org: OrgId
    done: Instant | None = None


class Erasure(Row, kw_only=True):
    """A body is to be erased; id ``<bill>/erasure``. State ``ordered``, ``done`` (all copies)."""

    KIND = "bills.erasure"

    by: OrgId
    basis: Literal["term", "legal_order"]
    order: Digest
    reason: Word
    copies: Annotated[list[Copy], Meta(min_length=1, max_length=COPIES_MAX)]
    """k of m: who is known to have the body, and who has said that it is gone there."""
