"""What may be asked of a ledger at one moment: rows, entries, blocks, and what proves them.

Invariant: everything that a view gives was checked against the head of its moment; what was changed
in the file gives `Damaged`, never an answer. Whether a scan left a row out only the doctor sees, or
whoever knows how many there are. See docs/spec/storage.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, TypeVar

from tallystick.contracts.kit.context import Key, Reader
from tallystick.ledger.receipts import (
    PageProof,
    check_block,
    check_seen,
    check_segment,
    prove_batch,
    prove_entry,
    prove_page,
    prove_row,
    read_segment,
)
from tallystick.ledger.records import BlockRecord, Head, Segment
from tallystick.ledger.sqlite import naming_the_file
from tallystick.ledger.staged import VerifiedRows
from tallystick.ledger.store import Snapshot
from tallystick.protocol.batch import BatchReceipt
from tallystick.protocol.canonical import decoder
from tallystick.protocol.errors import Damaged
from tallystick.protocol.genesis import Genesis
from tallystick.protocol.page import Range
from tallystick.protocol.receipt import Receipt, StateProof
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.transaction import Header, signing_bytes, transaction_id
from tallystick.protocol.values import parse_instant

R = TypeVar("R", bound=Row)


class Entered(NamedTuple):
    """A transaction that is on the ledger."""

    first: int
    outcomes: list[str]


class Reading(Reader, Protocol):
    """What a member's own programs ask of a ledger: a `View` at hand, or one over the network."""

    @property
    def genesis(self) -> Genesis:
        """What the network was founded with."""

    @property
    def network(self) -> bytes:
        """Its id."""

    @property
    def head(self) -> Head:
        """The ledger after its last block."""

    def prefetch(self, keys: Iterable[Key], kind: type[Row]) -> None:
        """These rows will be asked for, one by one: what is far away may be fetched at once."""

    def segment(self, index: int) -> Segment:
        """The transaction that has the entry at this log index."""

    def entered(self, header: Header, valid_seconds: int) -> Entered | None:
        """What became of a transaction that the engine may have forgotten; None: not known."""


class View:
    """One moment of a ledger; fulfils `kit.Reader`. For one thread."""

    def __init__(self, snapshot: Snapshot, genesis: Genesis, network: bytes) -> None:
        self._snapshot = snapshot
        self.genesis = genesis
        self.network = network
        self.head: Head = snapshot.head()
        self._rows = VerifiedRows(snapshot, self.head.state)

    @property
    def store(self) -> Snapshot:
        """What it reads from, unchecked: for those who check themselves."""
        return self._snapshot

    @property
    def rows(self) -> VerifiedRows:
        """Rows and hashes of the state, checked when they are read."""
        return self._rows

    def get(self, key: Key, kind: type[R]) -> R | None:
        """The row under `key`, typed as `kind`, or None."""
        try:
            return self._rows.get(key, kind)
        except Damaged as error:
            with self._naming():
                raise error

    def scan(self, kind: type[R], prefix: str, after: str = "") -> Iterator[R]:
        """Rows of the map whose id starts with `prefix`, by id, those behind id `after`."""
        read = decoder(kind).decode
        for key, data in self._snapshot.scan(
            row_key(kind.KIND, prefix), row_key(kind.KIND, after) if after else ""
        ):
            with self._naming():
                self._rows.check(key, data)
            yield read(data)

    def scan_slots(self, kind: type[R], code: int, first: int, last: int) -> Iterator[R]:
        """Numbered rows in [first, last], by number."""
        read = decoder(kind).decode
        for key, data in self._snapshot.scan_slots(code, first, last):
            with self._naming():
                self._rows.check(key, data)
            yield read(data)

    def prefetch(self, keys: Iterable[Key], kind: type[Row]) -> None:
        """Nothing to do: they are at hand."""

    def seen(self, sender: str, idempotency: bytes) -> tuple[str, int] | None:
        """(tx_id, first entry) of the transaction that took this key, while it is remembered."""
        seen = self._snapshot.seen(sender, idempotency)
        if seen is not None:
            check_seen(self._snapshot, sender, idempotency, seen)
        return seen

    def entered(self, header: Header, valid_seconds: int) -> Entered | None:
        """What became of a transaction that the engine may have forgotten; None: it never came.

        1. its idempotency key is remembered    2. or it stands in a block of the time in which it
        was valid. Only for one that can come no more: else it may still come after this.
        """
        tx_id = transaction_id(signing_bytes(header))
        seen = self.seen(header.sender, header.idempotency)  # 1
        if seen is not None:
            return self._entered(seen[1]) if seen[0] == tx_id else None
        ends = parse_instant(header.valid_until)
        block = self.first_block(ends - valid_seconds)  # 2
        while (record := self.block(block)) is not None and record.at < ends:
            for segment in self.segments(record.first, record.size):
                parts, _, outcomes = read_segment(segment)
                if transaction_id(signing_bytes(parts.header)) == tx_id:
                    return Entered(segment.first, list(outcomes))
            block += 1
        return None

    def _entered(self, first: int) -> Entered:
        return Entered(first, list(read_segment(self.segment(first))[2]))

    def block(self, block: int) -> BlockRecord | None:
        """Where a block lies in the log, or None where there is no such block yet."""
        if not 1 <= block <= self.head.block:
            return None
        record = self._snapshot.record(block)
        check_block(self._snapshot, self.head, record)
        return record

    def first_block(self, at: int) -> int:
        """The first block that is no older than `at` (unix seconds); one past the last: none is."""
        low, high = 1, self.head.block + 1
        while low < high:
            middle = (low + high) // 2
            record = self.block(middle)
            if record is not None and record.at < at:
                low = middle + 1
            else:
                high = middle
        return low

    def segment(self, index: int) -> Segment:
        """The transaction that has the entry at this log index; of a block's leaf its last one."""
        segment = self._snapshot.segment(index)
        if segment is None or index >= self.head.size:
            raise Damaged(f"{self._snapshot.path} lacks the transaction of entry {index}")
        end = check_segment(self._snapshot, self.head, segment)
        if index >= end:
            record = self.block(segment.block)
            if index != end or record is None or record.size != end + 1:
                raise Damaged(f"{self._snapshot.path} lacks the transaction of entry {index}")
        return segment

    def segments(self, first: int, end: int) -> Iterator[Segment]:
        """Transactions whose first entry lies in [first, end), by index, none left out."""
        end = min(end, self.head.size)
        if not 0 <= first < end:
            return
        block, reached, proven = 0, -1, dict[int, bytes]()
        if first:
            before = self.segment(first - 1)
            block, reached = before.block, check_segment(self._snapshot, self.head, before)
        for segment in self._snapshot.segments(first, end):
            after = check_segment(self._snapshot, self.head, segment, proven)
            follows = (block, reached), (block + 1, reached + 1)  # a block's leaf lies between
            if (segment.block, segment.first) not in follows:
                raise Damaged(f"{self._snapshot.path} lacks transactions before {segment.first}")
            yield segment
            block, reached = segment.block, after
        if reached < end:
            record = self.block(block)
            if record is None or not reached + 1 == record.size >= end:
                raise Damaged(f"{self._snapshot.path} lacks transactions from entry {reached} on")

    def time_of(self, segment: Segment) -> int:
        """When a transaction was entered that this view gave: its leaves were checked with it."""
        return self._snapshot.record(segment.block).at

    def receipt(self, index: int, note: bytes, *, row: Key | None = None) -> Receipt:
        """The receipt of an entry under a checkpoint note; with the state of `row` if given.

        A state proof is of this moment, so its note must be of the head's size.
        """
        with self._naming():
            return prove_entry(self._snapshot, self._rows, self.network, index, note, row=row)

    def batch_receipt(self, index: int, note: bytes) -> BatchReceipt:
        """The batch receipt of the transaction that has this entry, under a checkpoint note."""
        with self._naming():
            return prove_batch(self._snapshot, index, note)

    def state_proof(self, key: Key, row_key_text: str) -> StateProof:
        """The proof of a row, or of its absence, at the head."""
        with self._naming():
            return prove_row(self._snapshot, self._rows, self.network, key, row_key_text)

    def page_proof(self, code: int, at: int, ranges: Sequence[Range]) -> PageProof:
        """That what these slots of a page hold is all there is in them, at the head."""
        with self._naming():
            return prove_page(self._rows, code, at, ranges)

    def _naming(self) -> AbstractContextManager[None]:
        return naming_the_file(self._snapshot.path)
