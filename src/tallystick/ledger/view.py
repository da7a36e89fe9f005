"""What may be asked of a ledger at one moment: rows, entries, blocks, and what proves them.

Invariant: everything that a view gives was checked against the head of its moment; a file that was
changed gives `Damaged`, never an answer. See docs/spec/storage.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from tallystick.contracts.kit.context import Key
from tallystick.ledger.receipts import prove_entry, prove_row
from tallystick.ledger.records import BlockRecord, Head, Segment
from tallystick.ledger.staged import VerifiedRows
from tallystick.ledger.store import Snapshot
from tallystick.protocol.canonical import decoder
from tallystick.protocol.errors import Damaged
from tallystick.protocol.genesis import Genesis
from tallystick.protocol.receipt import Receipt, StateProof
from tallystick.protocol.row import Row, row_key

R = TypeVar("R", bound=Row)


class View:
    """One moment of a ledger; fulfils `kit.Reader`. For one thread."""

    def __init__(self, snapshot: Snapshot, genesis: Genesis, network: bytes) -> None:
        self._snapshot = snapshot
        self.genesis = genesis
        self.network = network
        self.head: Head = snapshot.head()
        self._rows = VerifiedRows(snapshot, self.head.state)

    def get(self, key: Key, kind: type[R]) -> R | None:
        """The row under `key`, typed as `kind`, or None."""
        return self._rows.get(key, kind)

    def scan(self, kind: type[R], prefix: str) -> Iterator[R]:
        """Rows of the map whose id starts with `prefix`, by id."""
        read = decoder(kind).decode
        for key, data in self._snapshot.scan(row_key(kind.KIND, prefix)):
            self._rows.check(key, data)
            yield read(data)

    def scan_slots(self, kind: type[R], code: int, first: int, last: int) -> Iterator[R]:
        """Numbered rows in [first, last], by number."""
        read = decoder(kind).decode
        for key, data in self._snapshot.scan_slots(code, first, last):
            self._rows.check(key, data)
            yield read(data)

    def seen(self, sender: str, idempotency: bytes) -> tuple[str, int] | None:
        """(tx_id, first entry) of the transaction that took this key, while it is remembered."""
        return self._snapshot.seen(sender, idempotency)

    def block(self, block: int) -> BlockRecord | None:
        """Where a block lies in the log."""
        return self._snapshot.block(block)

    def segment(self, index: int) -> Segment:
        """The transaction that has the entry at this log index."""
        segment = self._snapshot.segment(index)
        if segment is None or index >= self.head.size:
            raise Damaged(f"{self._snapshot.path} lacks the transaction of entry {index}")
        return segment

    def segments(self, first: int, end: int) -> Iterator[Segment]:
        """Transactions whose first entry lies in [first, end), by index."""
        return self._snapshot.segments(first, end)

    def receipt(self, index: int, note: bytes, *, row: Key | None = None) -> Receipt:
        """The receipt of an entry under a checkpoint note; with the state of `row` if given.

        A state proof is of this moment, so its note must be of the head's size.
        """
        return prove_entry(self._snapshot, self._rows, self.network, index, note, row=row)

    def state_proof(self, key: Key, row_key_text: str) -> StateProof:
        """The proof of a row, or of its absence, at the head."""
        return prove_row(self._snapshot, self._rows, self.network, key, row_key_text)
