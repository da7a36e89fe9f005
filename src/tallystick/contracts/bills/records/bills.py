"""What the ledger stores about bills: types and their rules, allotments, bills, issuers.

Invariant: nothing here is personal or free text; a bill's other half is in `body.py`.
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.contracts.kit import intervals
from tallystick.contracts.kit.intervals import Gone
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.row import Row, RowId
from tallystick.protocol.values import (
    Amount,
    Count,
    Currency,
    Digest,
    Instant,
    OrgId,
    Word,
    parse_instant,
)

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
TypeVersion = Annotated[int, Meta(ge=1, le=9_999)]
Level = Annotated[int, Meta(ge=0, le=7)]
"""Province 0, city 1, county 2, issuer 3, till 4, three in reserve; what they mean is display."""

ITEMS_MAX = 200
DETAILS_MAX = 20_000
"""A year in intensive care has some ten thousand list lines."""
ITEM_CODES_MAX = 1_000
"""Charge categories of a type: 14 in the national list, some hundred with local ones."""
TYPE_RULES_BYTES_MAX = 6 * 1024
"""The row of a type holds its rules and stays below the limit of a row."""
MARKS_MAX = 32
"""Seventeen stand in a row while the type's limit stays the same."""
REVERSALS_MAX = 16
"""A bill names each red bill of it: the sixteenth must take all that is left."""
SETTLES_MAX = 16
VOID_MAX = 20
"""Numbers that one item may declare void: each writes a row, and an item's work is bounded."""
EXCEPTIONS_MAX = 500
"""Of one issuer; eleven characters each, so that item and row stay below 8 KiB."""
EXCEPTION_CODES_MAX = 16
CLOSED_TYPES_MAX = 32
SUCCESSIONS_MAX = 4
"""Mergers of mergers that are followed."""
OFFLINE_DAYS_MAX = 31
"""How long a bill out of an offline reserve may be under way."""
OfflineDays = Annotated[int, Meta(ge=0, le=OFFLINE_DAYS_MAX)]

PARTS = {
    "total": "reversed",
    "account": "reversed_account",
    "cash": "reversed_cash",
    "self_pay": "reversed_self_pay",
    "self_expense": "reversed_self_expense",
}
"""A bill's amounts, each with the name under which its row counts what red bills took off it."""


class ClaimRules(Record, kw_only=True):
    """How bills of a type are reimbursed."""

    term_days: Annotated[int, Meta(ge=1, le=36_500)]
    """From the time of issue on."""
    lock_seconds_max: Annotated[int, Meta(ge=1, le=31_536_000)]
    renewals_max: Annotated[int, Meta(ge=0, le=100)] = 0
    reversal_wait_seconds: Annotated[int, Meta(ge=0, le=31_536_000)]
    """How long who holds a lock may take to answer a request to reverse."""
    bind_required: bool = False
    """The holder must have bound the bill before consenting."""
    paper_presented: bool = False
    """While a paper form is live, a lock names it."""


class PaperRules(Record, kw_only=True):
    """How bills of a type are exchanged to paper."""

    type: BillTypeId
    """Of the paper forms."""
    loss_wait_seconds: Annotated[int, Meta(ge=0, le=31_536_000)]
    """How long after a declared loss the electronic bill stays tied to the paper."""


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
    claims: ClaimRules | None = None
    """None: bills of the type are not claimed."""
    paper: PaperRules | None = None
    """None: bills of the type are not exchanged to paper 换开."""
    is_paper: bool = False
    """The numbers are those of paper forms 纸质票据: exchanged for, never issued."""
    sensitive: bool = False
    """A standing mandate covers the type only where it names it."""
    rebind_wait_seconds: Count = 0
    """How long the holder may object to a new binding by the issuer."""
    retention_days: Count = 0
    """How long the body must be kept; 0: for ever, but for a legal order."""
    stock_numbers_max: Count = 0
    """Unaccounted numbers that one holder may have; 0: no limit."""
    stock_blocks_max: Annotated[int, Meta(ge=0, le=1_000)] = 0
    """Unaccounted blocks likewise; 1: account for the old before the new 核旧领新."""
    deposit: bool = False
    """Prepaid money 预交金: refundable, not claimable, used up by the bill that settles it."""
    reverse_within_seconds: Count = 0
    """How long after its time of issue a bill may be reversed; 0: without limit."""

    year_grace_days: Count = 0
    issue_past_seconds_max: Count
    issue_future_seconds_max: Count
    archive_within_seconds: Count
    """How long a body may be missing from finance's archive before issuing stops; 0: no limit."""


def format_bill_id(code: int, number: int) -> str:
    """The `BillId` of a code and a number."""
    return f"{code}:{number:010d}"


def parse_bill_id(bill_id: str) -> tuple[int, int]:
    """Code and number of a well-formed `BillId`."""
    code, _, number = bill_id.partition(":")
    return int(code), int(number)


class BillType(Row, kw_only=True):
    """One version of a bill type; id ``<type>/<version>``. Its rules never change (G6).

    A bill dated in [valid_from, until) may name it; the next version's `valid_from` is its `until`.
    """

    KIND = "bills.type"

    type: BillTypeId
    type_version: TypeVersion
    catalogue: Digest
    """Of the public catalogue entry, which has the names and the face template."""
    rules: TypeRules
    valid_from: Instant


class TypePointer(Row, kw_only=True):
    """Which version of a type is the newest; id = the type."""

    KIND = "bills.catalogue"

    newest: TypeVersion


Fate = Literal["granted", "returned", "recalled", "elsewhere"]
"""How a number left the allotment that it was in: to a child, back, taken back, used before."""


class Series(Row):
    """The whole number space of one code; id = the code. Allotments of level 0 leave it."""

    KIND = "bills.series"

    gone: Gone = []


class Mark(Record):
    """Some bills that wait for finance's archive: the first has entry `index`, was entered `at`."""

    index: Count
    at: Instant
    through: Count = 0
    """Entry of the last of them; 0 while the mark is the newest: `Allotment.last_index`."""


class Allotment(Row, kw_only=True):
    """A range of numbers in one hand; id ``<code>/<level>/<first>``, the first with ten digits.

    N4: size = issued + void + count(gone) + remaining, where remaining is what can still be used.
    """

    KIND = "bills.allotment"

    code: BillCode
    level: Level
    first: BillNumber
    last: BillNumber
    parent: RowId | None = None
    """The allotment it came out of; none at level 0."""
    holder: OrgId
    grantor: OrgId
    next: Annotated[int, Meta(ge=1, le=10_000_000_000)]
    """Every own use lies below; so a number from here on was never used and needs no look."""
    gone: Gone = []
    """`Fate` says how: no more this allotment's to use, whatever becomes of them."""
    issued: Count = 0
    void: Count = 0
    active_from: Instant
    """1 January of the code's year; the row's `until` is the end of the days of grace."""
    marks: Annotated[list[Mark], Meta(max_length=MARKS_MAX)] = []
    """Bills not known to be archived, oldest first, in steps of a sixteenth of the type's limit."""
    last_index: Count = 0
    """Log index of the newest bill out of it."""
    reason: Word | None = None
    """Why it is suspended."""
    offline_days: OfflineDays = 0
    """An offline reserve: its bills may reach the ledger so many days after they were made."""
    accounted: Count = 0
    """Numbers of children whose accounts are accepted."""
    account: Literal["", "submitted", "returned", "accepted"] = ""
    """Where its own account 核销 stands; submitted and accepted, it takes no more use."""
    former: Annotated[list[OrgId], Meta(max_length=SUCCESSIONS_MAX)] = []
    """Who held it before successions moved it, the first holder first."""


class Lock(Record, kw_only=True):
    """Money of a bill that one reimburser, or one plan, holds; live while at < `until`."""

    who: Digest
    """`records.claims.claimant`: hides the reimburser from whoever may see the bill's row."""
    amount: Amount
    cash: Amount = 0
    """The part of `amount` that only cash covers: basis ``cash``."""
    until: Instant
    renewals: Count = 0
    left: Count = 0
    """Seconds that remained when the bill was frozen; counts only while it is."""


class Pending(Record, kw_only=True):
    """A new binding by the issuer, in its waiting time: valid from `due` on unless disputed."""

    holder: Digest
    due: Instant
    disputed: bool = False
    since: Count = 0
    """Log index of the binding: what the old wallet allowed later does not hold while it waits."""


class PaperLink(Record, kw_only=True):
    """The one paper form that stands for a bill now."""

    id: BillId
    state: Literal["printing", "live", "lost"]
    until: Instant | None = None
    """Lost: the electronic bill stands alone again from here on."""


class Bill(Row, kw_only=True):
    """What befell one number; id = `BillId`. `good`: the face holds as issued, nothing is off it.

    State of a blue bill: see `standing`. Else ``red``, ``void``; of a paper form ``printing``,
    ``live``, ``recovered``, ``lost``, ``cancelled``.
    """

    KIND = "bills.bill"

    issuer: OrgId
    bill_kind: Literal["blue", "red", "void", "paper"]
    type_version: Count = 0
    """The rules it was made under, for ever (G6); 0 for a void number, which has none."""
    issued_at: Instant
    """For a void number: when it was declared so."""
    currency: Currency | None = None
    root: Digest | None = None
    """Commitment to the body; a void number has none."""
    holder: Digest | None = None
    """Commitment to the bill key; a red bill has none, whoever holds the blue one reads it."""
    circulable: bool = True
    """Whether it may be claimed: withheld while a patient is in arrears."""
    reason: Word | None = None
    """Why it is withheld, void, or reverses another."""
    reversal_of: BillId | None = None
    reversed_by: Annotated[list[BillId], Meta(max_length=REVERSALS_MAX)] = []
    replaces: BillId | None = None
    replaced_by: BillId | None = None
    settles: Annotated[list[BillId], Meta(max_length=SETTLES_MAX)] = []
    settled_by: BillId | None = None
    offline: bool = False
    """Made out of an offline reserve, before the ledger knew of it."""

    bound: Count = 0
    """How often it was bound; 0: nobody but its issuer has chosen its key. See `holder_now`."""
    pending: Pending | None = None
    claims: Count = 0
    """How many `records.claims.Claim` rows there are of it: `claim_id` 0, 1, …"""
    lock: Lock | None = None
    plan: bool = False
    """There is a row of `records.claims.Plan` whose ranks count."""
    reversing: Instant | None = None
    """Its issuer asked to reverse it 待冲红: nothing is settled; from here on no lock stands."""
    reversing_since: Instant | None = None
    """When its issuer asked: what was paid before counts, and a limit of time is kept."""
    reversing_version: Count = 0
    """From this version on, who acts for the reversal has seen enough: `reversing.check_seen`."""
    reversing_left: Count = 0
    """Seconds that remained when it was frozen."""
    frozen: Word | None = None
    """Why the supervisor froze it."""
    disputed: Count = 0
    """Findings of others that wait for an answer."""
    paper: PaperLink | None = None
    paper_of: BillId | None = None
    """Of a paper form: the bill that it shows."""


class Exceptions(Record):
    """Bills of one code whose bodies finance's archive lacks or found wrong."""

    code: BillCode
    numbers: Annotated[list[BillNumber], Meta(min_length=1, max_length=EXCEPTIONS_MAX)]


class ClosedPeriod(Record):
    """Bills of a type that are dated before an instant are closed: W2."""

    type: BillTypeId
    before: Instant


class Issuer(Row):
    """What the supervisor says of an issuer; id = the organisation. No row: nothing was said."""

    KIND = "bills.issuer"

    reason: Word | None = None
    """Why it is suspended."""
    below: Count = 0
    """The bodies of all its entries below this log index are archived, except `exceptions`."""
    exceptions: Annotated[list[Exceptions], Meta(max_length=EXCEPTION_CODES_MAX)] = []
    overdue_from: Instant | None = None
    """When the first of the exceptions passes its type's limit."""
    closed: Annotated[list[ClosedPeriod], Meta(max_length=CLOSED_TYPES_MAX)] = []
    """Up to where the periods of its types are closed."""
    successor: OrgId | None = None
    """Who acts for it since it was merged: on its bills, and for what it still owes."""
    line: Annotated[int, Meta(ge=0, le=SUCCESSIONS_MAX)] = 0
    """Steps of the longest line of successions that ends here: all of it is followed."""


def type_row_id(type_id: int, version: int) -> str:
    """The id of a `BillType`."""
    return f"{type_id}/{version}"


def allotment_id(code: int, level: int, first: int) -> str:
    """The id of an `Allotment`."""
    return f"{code}/{level}/{first:010d}"


def remaining(row: Allotment) -> int:
    """How many numbers of an allotment can still be used, granted or given back."""
    return row.last - row.first + 1 - row.issued - row.void - intervals.count(row.gone)


def rest(bill: Bill) -> dict[str, int]:
    """What reversals have left of each of a bill's `PARTS`."""
    amounts = bill.amounts
    return {part: amounts[part] - amounts.get(gone, 0) for part, gone in PARTS.items()}


def standing(bill: Bill) -> tuple[str, bool]:
    """State and `good` of a blue bill, as they follow from its fields."""
    if bill.reversed_by and not rest(bill)["total"]:
        return "reversed", False
    if bill.settled_by is not None:
        return "settled", False
    if bill.frozen is not None:
        return "frozen", False
    if bill.reversing is not None:
        return "reversing", False
    return ("partly_reversed", False) if bill.reversed_by else ("issued", True)


def holder_now(bill: Bill, now: int) -> tuple[bytes | None, int]:
    """The commitment that counts at `now` (unix seconds), and which binding it is."""
    pending = bill.pending
    if pending is None or pending.disputed or now < parse_instant(pending.due):
        return bill.holder, bill.bound
    return pending.holder, bill.bound + 1


def live_lock(bill: Bill, now: int) -> Lock | None:
    """The lock that stands at `now`: not past its end, nor past the wait of a reversal.

    While the bill is frozen, both wait with it.
    """
    lock = bill.lock
    if lock is None or bill.frozen is not None:
        return lock
    if bill.reversing is not None and now >= parse_instant(bill.reversing):
        return None
    return lock if now < parse_instant(lock.until) else None


def live_paper(bill: Bill, now: int) -> PaperLink | None:
    """The paper form to which the bill is tied at `now`: not past the wait after its loss."""
    paper = bill.paper
    if paper is None or paper.until is None or now < parse_instant(paper.until):
        return paper
    return None


def room(bill: Bill, now: int) -> dict[str, int]:
    """What can still be claimed at `now`, by basis; overdrawn never, so nothing is negative."""
    left, amounts, lock = rest(bill), bill.amounts, live_lock(bill, now)
    held, held_cash = (lock.amount, lock.cash) if lock else (0, 0)
    free = left["account"] + left["cash"] - amounts.get("settled", 0) - held
    cash = left["cash"] - amounts.get("settled_cash", 0) - held_cash
    return {"cash": min(cash, free), "cash_account": free}
