"""Accounting 核销, archive and erasure: what closes numbers, periods and bodies.

Invariant: an account is accepted only where both sides state the same counts, sums and root; an
erasure takes a term that is over or a legal order, and changes no root.
See docs/spec/contracts/bills-accounts.md.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Annotated, Literal, NamedTuple

from tallystick.contracts.bills.records.bills import BillId
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.row import Row
from tallystick.protocol.values import (
    Amount,
    Count,
    Currency,
    Digest,
    Instant,
    OrgId,
    Word,
    format_instant,
    parse_instant,
    tagged_hash,
)

CURRENCIES_MAX = 20
COPIES_MAX = 16
RETURNED_MAX = 100
HOLDS_MAX = 6

_COLLECTED_CONTEXT = b"tallystick/collected/v1\n"
_PERIOD = re.compile(r"([a-z][a-z0-9-]{0,39})/([1-9][0-9]{5})/(20[0-9]{2}-(?:0[1-9]|1[0-2]))")
_BLOCK = re.compile(r"([1-9][0-9]{7})/([0-7])/([0-9]{10})")

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
    paper: Count = 0
    """Paper forms: their money is the bill's that they show, and is not counted again."""
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
    retain_until: Instant | None = None
    """Up to when some archive has promised to keep the bodies."""
    reason: Word | None = None
    numbers: Annotated[list[BillId], Meta(max_length=RETURNED_MAX)] = []
    """Returned: which numbers are in question."""


class Collected(Row, kw_only=True):
    """Sums of all accounts of a month that one reviewer accepted; id: its own `period_id`.

    State ``open``, ``closed`` (the reviewer's own account of them is under way or accepted).
    """

    KIND = "bills.collected"

    blue: Count = 0
    red: Count = 0
    paper: Count = 0
    void: Count = 0
    sums: Annotated[list[Sum], Meta(max_length=CURRENCIES_MAX)] = []
    digest: Digest
    """H(context ‖ digest before ‖ SHA-256 of the account's id ‖ its root), from zero bytes on."""
    accounts: Count = 0


class Period(NamedTuple):
    """What a month's account is about."""

    org: str
    type: int
    month: str

    @property
    def code(self) -> int:
        """The type's code of the month's year."""
        return self.type * 100 + int(self.month[2:4])


def period_id(org: str, type_id: int, month: str) -> str:
    """The id of a month's `Account`."""
    return f"{org}/{type_id}/{month}"


def parse_period(account_id: str) -> Period | None:
    """What a month's account is about; None: the id is not of that form."""
    found = _PERIOD.fullmatch(account_id)
    return None if found is None else Period(found[1], int(found[2]), found[3])


def parse_block_id(account_id: str) -> tuple[int, int, int] | None:
    """Code, level and first number of the allotment with this id; None: it is not of that form."""
    found = _BLOCK.fullmatch(account_id)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def month_span(month: str, offset_seconds: int) -> tuple[int, int]:
    """First second of a month and of the next, at the network's fixed offset from UTC."""
    year, of_year = int(month[:4]), int(month[5:])
    after = f"{year}-{of_year + 1:02d}" if of_year < 12 else f"{year + 1}-01"
    first = parse_instant(f"{month}-01T00:00:00Z") - offset_seconds
    return first, parse_instant(f"{after}-01T00:00:00Z") - offset_seconds


def month_of(at: int, offset_seconds: int) -> str:
    """The month of an instant (unix seconds), at the network's fixed offset from UTC."""
    return format_instant(at + offset_seconds)[:7]


def collect(digest: bytes, account: Account) -> bytes:
    """`Collected.digest` after one more account."""
    name = sha256(account.id.encode()).digest()
    return tagged_hash(_COLLECTED_CONTEXT, digest, name, account.tally.root)


class Stock(Row, kw_only=True):
    """Numbers of a type that one holder has not accounted for; id ``<holder>/<type>``."""

    KIND = "bills.stock"

    numbers: Count = 0
    blocks: Count = 0


class Manifest(Row, kw_only=True):
    """An archive's promise to keep the bodies of a month; id ``<archive>/<account id>``."""

    KIND = "bills.manifest"

    archive: OrgId
    account: AccountId
    root: Digest
    bills: Count
    retain_until: Instant


class Order(Record):
    """A legal order to keep something, and who stated it."""

    by: OrgId
    order: Digest
    reason: Word


class Hold(Row, kw_only=True):
    """Legal holds on one bill's body, or on a month's; id `hold_id`. State ``held``, ``lifted``.

    `good`: nothing is held any more.
    """

    KIND = "bills.hold"

    orders: Annotated[list[Order], Meta(max_length=HOLDS_MAX)] = []
    """Those that stand: one of each organisation."""


def hold_id(what: str) -> str:
    """The id of the `Hold` of a bill, or of a month's account."""
    return f"{what}/hold"


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


def erasure_id(bill_id: str) -> str:
    """The id of the one `Erasure` of a bill."""
    return f"{bill_id}/erasure"
