"""What finance's archive knows of the ledger: the records out of the blocks it follows.

A process of its own without a ledger: it reads the published blocks that finance's keeper executes
and vouches for, takes the accepted items and works out what the ledger holds of each bill. Taking a
block again changes nothing.

Invariant: a record here is what `contracts.bills.views.record_view` says of the same bill (tested).
See docs/spec/archive.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import apsw

from tallystick.apps.bills.checks import RecordHalf
from tallystick.contracts.bills.content import OpenFields
from tallystick.contracts.bills.items import Archived, DefineType, Issue, NewBill, Replace, Reverse
from tallystick.contracts.bills.records import (
    PARTS,
    BillId,
    Exceptions,
    TypeRules,
    TypeVersion,
    format_bill_id,
    parse_bill_id,
)
from tallystick.contracts.kit.context import slot_key
from tallystick.ledger.feed import FeedBlock
from tallystick.ledger.receipts import SignedParts
from tallystick.ledger.sqlite import Naming
from tallystick.protocol.canonical import Record, builtins, decode, encode, parse, replace
from tallystick.protocol.errors import Damaged, Malformed
from tallystick.protocol.transaction import Item, signing_bytes, transaction_id
from tallystick.vault import Expected

FILE = "records.db"

R = TypeVar("R")

_SCHEMAS: dict[str, type[Item]] = {
    "bills.define_type/1": DefineType,
    "bills.issue/1": Issue,
    "bills.reverse/1": Reverse,
    "bills.replace/1": Replace,
    "bills.archived/1": Archived,
}
_SCHEMA = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS bills (key INTEGER PRIMARY KEY, record BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS types (
        type INTEGER, version INTEGER, rules BLOB NOT NULL, PRIMARY KEY (type, version)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS issuers (
        org TEXT PRIMARY KEY, newest INTEGER NOT NULL, below INTEGER NOT NULL DEFAULT 0,
        exceptions BLOB NOT NULL DEFAULT x'5b5d'
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS position (one INTEGER PRIMARY KEY, block INTEGER NOT NULL);
"""


class Known(Record):
    """What is known of one bill."""

    open: OpenFields
    type_version: TypeVersion
    reversed_by: list[BillId] = []
    """Its red bills, in order."""


@dataclass(frozen=True, slots=True)
class IssuerKnown:
    """What the ledger says of an issuer's bodies, and whether there are newer ones."""

    org: str
    newest: int
    """Log index of its newest bill."""
    below: int
    exceptions: list[Exceptions]


@dataclass(slots=True)
class News:
    """What some blocks brought."""

    expected: list[Expected] = field(default_factory=list)
    reversed: list[tuple[int, int]] = field(default_factory=list)
    size: int = 0
    block: int = 0


class Followed:
    """The records that the archive has been told of. For one thread."""

    def __init__(self, folder: Path, network: bytes) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._network = network
        self._path = folder / FILE
        self._naming = Naming(self._path)
        with self._naming:
            self._db = apsw.Connection(str(self._path))
            self._db.execute(_SCHEMA).fetchall()

    def close(self) -> None:
        """Close the file; what was taken is safe without it."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def block(self) -> int:
        """The last block that is done with; 0 before the first."""
        with self._naming:
            rows = list(self._db.execute("SELECT block FROM position"))
        return int(rows[0][0]) if rows else 0

    def take(self, blocks: Sequence[FeedBlock]) -> News:
        """Learn what the blocks say; `done` says that all who had to know know it."""
        news = News()
        with self._naming, self._db:
            for block in blocks:
                self._take(block, news)
                news.size, news.block = block.size, block.block
        return news

    def done(self, news: News) -> None:
        """Go on behind these blocks from now on, after a restart too."""
        with self._naming:
            self._db.execute("INSERT OR REPLACE INTO position VALUES (1, ?)", (news.block,))

    def record(self, expected: Expected) -> RecordHalf:
        """What a body is held against."""
        with self._naming:
            known = self._find(slot_key(expected.code, expected.number))
            if known is None:
                raise Damaged(f"{self._path} lacks the record of entry {expected.entry}")
            rows = self._db.execute(
                "SELECT rules FROM types WHERE type = ? AND version = ?",
                (expected.code // 100, known.type_version),
            )
            for (rules,) in rows:
                return RecordHalf(self._read(rules, TypeRules), builtins(known.open))
        raise Damaged(f"{self._path} lacks version {known.type_version} of {expected.code // 100}")

    def issuers(self) -> list[IssuerKnown]:
        """Every issuer of a bill."""
        with self._naming:
            rows = list(
                self._db.execute(
                    "SELECT org, newest, below, exceptions FROM issuers WHERE newest >= 0 "
                    "ORDER BY org"
                )
            )
        return [
            IssuerKnown(org, newest, below, self._read(exceptions, list[Exceptions]))
            for org, newest, below, exceptions in rows
        ]

    def _take(self, block: FeedBlock, news: News) -> None:
        parsed = [_parts(block, data) for data in block.transactions]
        index = block.size - 1 - sum(parts.header.count for parts in parsed)
        for parts, refused in zip(parsed, block.refused, strict=True):
            schema = _SCHEMAS.get(parts.header.action)
            if schema is not None:
                tx_id = transaction_id(signing_bytes(parts.header))
                for n, data in enumerate(parts.items):
                    if str(n) not in refused:
                        entry = _Entry(index + n, tx_id, n, parts.header.sender)
                        self._take_item(decode(bytes(data), schema), entry, news)
            index += parts.header.count

    def _take_item(self, item: Item, entry: _Entry, news: News) -> None:
        match item:
            case DefineType():
                values = (item.type, item.type_version, encode(item.rules))
                self._db.execute("INSERT OR REPLACE INTO types VALUES (?, ?, ?)", values)
            case Archived():
                self._db.execute(
                    "INSERT INTO issuers VALUES (?, -1, ?, ?) ON CONFLICT (org) "
                    "DO UPDATE SET below = excluded.below, exceptions = excluded.exceptions",
                    (item.issuer, item.below, encode(item.exceptions)),
                )
            case Issue():
                self._take_bill(_blue(item, entry, self._network), item, entry, item.root, news)
            case Reverse():
                blue = self._blue_of(item.bill)
                amounts = {part: getattr(item, part) for part in PARTS}
                red = _red(item, item.number, blue, amounts)
                self._take_bill(red, item, entry, item.root, news)
                self._take_off(blue, red, news)
            case Replace():
                blue = self._blue_of(item.bill)
                red = _red(item, item.red_number, blue, self._rest(blue, item.red_number))
                self._take_bill(red, item, entry, item.red_root, news)
                self._take_off(blue, red, news)
                self._take_bill(_blue(item, entry, self._network), item, entry, item.root, news)

    def _take_bill(
        self, shown: OpenFields, item: Reverse | NewBill, entry: _Entry, root: bytes, news: News
    ) -> None:
        key = slot_key(shown.code, shown.number)
        if self._find(key) is None:
            self._put(key, Known(open=shown, type_version=item.type_version))
        self._db.execute(
            "INSERT INTO issuers (org, newest) VALUES (?, ?) ON CONFLICT (org) "
            "DO UPDATE SET newest = max(newest, excluded.newest)",
            (shown.issuer, entry.index),
        )
        news.expected.append(
            Expected(
                entry=entry.index,
                network=self._network,
                issuer=shown.issuer,
                tx_id=entry.tx_id,
                n=entry.n,
                code=shown.code,
                number=shown.number,
                root=root,
            )
        )

    def _take_off(self, blue: Known, red: OpenFields, news: News) -> None:
        shown, red_id = blue.open, format_bill_id(red.code, red.number)
        if red_id not in blue.reversed_by:
            blue = replace(blue, reversed_by=[*blue.reversed_by, red_id])
            self._put(slot_key(shown.code, shown.number), blue)
        if not any(self._rest(blue, 0).values()):
            news.reversed.append((shown.code, shown.number))

    def _rest(self, blue: Known, but_for: int) -> dict[str, int]:
        """What red bills have left of each part, not counting the one with the number `but_for`."""
        left = {part: int(getattr(blue.open, part)) for part in PARTS}
        for red_id in blue.reversed_by:
            red = self._find(slot_key(*parse_bill_id(red_id)))
            if red is not None and red.open.number != but_for:
                for part in PARTS:
                    left[part] -= getattr(red.open, part)
        return left

    def _blue_of(self, bill_id: str) -> Known:
        known = self._find(slot_key(*parse_bill_id(bill_id)))
        if known is None:
            raise Damaged(f"{self._path} lacks {bill_id}, which is reversed")
        return known

    def _find(self, key: int) -> Known | None:
        for (data,) in self._db.execute("SELECT record FROM bills WHERE key = ?", (key,)):
            return self._read(data, Known)
        return None

    def _read(self, data: bytes, kind: type[R]) -> R:
        """What we wrote ourselves: if it cannot be read, no issuer is to blame."""
        try:
            return decode(data, kind)
        except Malformed as error:
            raise Damaged(f"{self._path}: {error}") from error

    def _put(self, key: int, known: Known) -> None:
        self._db.execute("INSERT OR REPLACE INTO bills VALUES (?, ?)", (key, encode(known)))


@dataclass(frozen=True, slots=True)
class _Entry:
    index: int
    tx_id: str
    n: int
    sender: str


def _parts(block: FeedBlock, data: bytes) -> SignedParts:
    try:
        return parse(data, SignedParts)
    except Malformed as error:
        raise Damaged(f"a transaction of block {block.block}: {error}") from error


def _blue(item: NewBill, entry: _Entry, network: bytes) -> OpenFields:
    return OpenFields(
        network=network,
        code=item.code,
        number=item.number,
        issuer=entry.sender,
        type=item.code // 100,
        issued_at=item.issued_at,
        kind="blue",
        currency=item.currency,
        reversal_of=None,
        replaces=item.bill if isinstance(item, Replace) else None,
        settles=tuple(item.settles),
        **{part: getattr(item, part) for part in PARTS},
    )


def _red(item: Reverse | Replace, number: int, blue: Known, amounts: dict[str, int]) -> OpenFields:
    return OpenFields(
        network=blue.open.network,
        code=item.code,
        number=number,
        issuer=blue.open.issuer,
        type=item.code // 100,
        issued_at=item.issued_at,
        kind="red",
        currency=blue.open.currency,
        reversal_of=item.bill,
        replaces=None,
        settles=(),
        **amounts,
    )
