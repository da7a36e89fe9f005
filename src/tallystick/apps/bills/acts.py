"""What an office is asked to do and answers, and one act made ready: its item and its bodies.

Invariant: an act holds all that its answer needs, so that nothing is read again in between.
See docs/guides/office.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tallystick.apps.bills.checks import business_keys
from tallystick.apps.bills.sending import Sent
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.content import check_body
from tallystick.contracts.bills.items.bills import Issue, Release, Replace, Reverse, Withhold
from tallystick.contracts.bills.records.bills import Bill, TypeRules, parse_bill_id
from tallystick.contracts.bills.views.bills import is_acknowledged
from tallystick.contracts.kit.context import Reader
from tallystick.ledger.engine import Committed
from tallystick.protocol.body import encoded_root
from tallystick.protocol.canonical import encode, parse
from tallystick.protocol.transaction import Item
from tallystick.vault import Prepared

BillId = tuple[int, int]
"""Code and number."""
Word = Literal["issuing", "issued", "refused", "unknown"]

WORDS: dict[Word, tuple[str, str]] = {
    "issuing": ("开具中", "being issued"),
    "issued": ("已开具", "issued"),
    "refused": ("未开具", "refused"),
    "unknown": ("无此票", "no such bill"),
}
"""What people are told: (zh, en). Section 7 of the protocol's decisions: a bill is called issued
once its type's `ack` is met."""

SCHEMAS: dict[str, type[Item]] = {
    "bills.issue/1": Issue,
    "bills.issue_offline/1": Issue,
    "bills.reverse/1": Reverse,
    "bills.replace/1": Replace,
    "bills.withhold/1": Withhold,
    "bills.release/1": Release,
}


def said_of(reader: Reader, bill: Bill) -> Word:
    """What people are told of a bill on the ledger."""
    return "issued" if is_acknowledged(reader, bill) else "issuing"


@dataclass(frozen=True, slots=True)
class Reversal:
    """A red bill to be made: of all that was issued, or as its own draft says."""

    code: int
    number: int
    reason: str
    draft: Body | None = None
    """What the red bill takes off, where that is not the whole bill as issued."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """A bill to be reversed whole, and the draft of what stands in its place."""

    code: int
    number: int
    reason: str
    draft: Body


@dataclass(frozen=True, slots=True)
class Issued:
    """What became of one act of the office."""

    outcome: str
    """``accepted``, or the reason why not."""
    code: int = 0
    number: int = 0
    """Of the new bill; of a reversal, the red one. 0 where it got no number."""
    entry: int | None = None
    tx_id: str = ""
    n: int = 0
    path: str = ""
    """Which field was at fault, where the office itself refused."""
    detail: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it is on the ledger."""
        return self.outcome == "accepted"


@dataclass(frozen=True, slots=True)
class Status:
    """How a bill of this office stands."""

    word: Word
    state: str | None = None
    """On the ledger: ``issued``, ``reversed``, …"""
    entry: int | None = None
    archived: bool = False
    """Finance has checked and stored the body."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SealedBill:
    """A body that passed, its secret, and the root that its record will hold."""

    bill: Body
    data: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    root: bytes
    type_version: int
    """Which version of its type it was checked under."""

    def prepared(self, replaces: BillId | None = None) -> Prepared:
        """As the vault takes it."""
        bill = self.bill
        return Prepared(
            network=bill.network,
            code=bill.code,
            number=bill.number,
            issuer=bill.issuer,
            kind=bill.kind,
            body=self.data,
            secret=self.secret,
            business=business_keys(bill),
            replaces=replaces,
        )


@dataclass(slots=True)
class Act:
    """One item with the bodies that it commits to, for the place `position` of the answer."""

    position: int
    item: Item
    bodies: list[SealedBill]
    size: int
    """Bytes of the item."""
    replaces: BillId | None = None

    def prepared(self) -> Iterator[Prepared]:
        """What the vault must have before the item is sent."""
        for body in self.bodies:
            yield body.prepared(self.replaces if body.bill.kind == "blue" else None)


def seal(bill: Body, rules: TypeRules, type_version: int, secret: bytes) -> SealedBill:
    """Check a body's shape and sense, and commit to it: `Malformed` or `Rejected` name the field.

    It is read back from its own bytes: what was put together in Python has no bounds yet.
    """
    data = encode(bill)
    bill = parse(data, Body)
    check_body(bill, rules)
    return SealedBill(bill, data, secret, encoded_root(data, secret), type_version)


def bills_of(item: Item) -> list[BillId]:
    """The numbers that an item takes, each with a body of its own; the one it is about first."""
    match item:
        case Replace():
            return [(item.code, item.number), (item.code, item.red_number)]
        case Issue() | Reverse():
            return [(item.code, item.number)]
    return []


def undone_by(item: Item) -> BillId | None:
    """The bill that an item reverses, wholly or in part."""
    match item:
        case Replace() | Reverse():
            return parse_bill_id(item.bill)
    return None


class UnderWay(NamedTuple):
    """Bills that were sent and not waited for."""

    refused: dict[int, Issued]
    """By position: what was refused before anything was sent."""
    sent: list[tuple[Sent, list[Act]]]

    @property
    def answers(self) -> list[Future[Committed]]:
        """Done when `Office.finish` need not wait."""
        return [sent.answer for sent, _ in self.sent]
