"""What finance's archive reads out of its keeper's ledger: accepted records, and whom they are of.

The ledger is one that we executed ourselves, a keeper's of ours or the operator's own, and another
process may be writing it: it is read beside that, one moment at a time, without its lock.

Invariant: nothing comes from here that the ledger's own rules did not accept and its roots do not
cover. See docs/spec/archive.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.apps.bills.checks import RecordHalf
from tallystick.contracts.bills.items.bills import Issue, Replace, Reverse
from tallystick.contracts.bills.records.bills import Bill, format_bill_id, parse_bill_id
from tallystick.contracts.bills.views.bills import find_bill, find_type, record_view
from tallystick.ledger.ledger import GENESIS_FILE
from tallystick.ledger.receipts import read_segment
from tallystick.ledger.records import Segment
from tallystick.ledger.store import Snapshot, read_beside
from tallystick.ledger.view import View
from tallystick.protocol import tiles
from tallystick.protocol.canonical import decode
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Damaged, VerificationFailed
from tallystick.protocol.genesis import read_genesis
from tallystick.protocol.transaction import signing_bytes, transaction_id
from tallystick.vault import Expected

RECORDS_AT_ONCE = 5_000
"""Of one durable step of the archive."""

_SCHEMAS: dict[str, type[Issue | Reverse | Replace]] = {
    "bills.issue/1": Issue,
    "bills.reverse/1": Reverse,
    "bills.replace/1": Replace,
}


@dataclass(slots=True)
class News:
    """What a stretch of the log says, and where it ends."""

    expected: list[Expected] = field(default_factory=list)
    reversed: list[tuple[int, int]] = field(default_factory=list)
    """(code, number) of bills of which nothing is left."""
    size: int = 0
    root: bytes = b""
    """Of the log at that size."""


class KeptLedger:
    """The ledger of a keeper of ours, or the operator's. For one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._genesis, self.network = read_genesis((folder / GENESIS_FILE).read_bytes())
        self._moment: Moment | None = None

    @contextmanager
    def moment(self) -> Iterator[Moment]:
        """The ledger as it is now, for as long as the `with` lasts; `record` reads it too."""
        with read_beside(self.folder) as snapshot:
            self._moment = Moment(snapshot, View(snapshot, self._genesis, self.network))
            try:
                if self._moment.view.head.network != self.network:
                    raise Damaged(f"{snapshot.path} is of another network than {GENESIS_FILE}")
                yield self._moment
            finally:
                self._moment = None

    def record(self, expected: Expected) -> RecordHalf:
        """What a body is held against; within a moment that has the record."""
        if self._moment is None:
            raise RuntimeError("no moment of the ledger is being read")
        view = self._moment.view
        bill = _bill(view, format_bill_id(expected.code, expected.number))
        kind = find_type(view, expected.code // 100, bill.type_version)
        if kind is None:
            raise Damaged(f"{self.folder} lacks version {bill.type_version} of {expected.code}")
        return RecordHalf(kind.rules, record_view(bill, self.network))


class Moment:
    """One moment of the ledger."""

    def __init__(self, snapshot: Snapshot, view: View) -> None:
        self._snapshot = snapshot
        self.view = view

    def check_history(self, size: int, root: bytes) -> None:
        """Raise `VerificationFailed` unless the log had this root at this size."""
        if size and tiles.root_at(self._snapshot, size) != root:
            raise VerificationFailed(
                f"{self._snapshot.path} is not the log that was read before: "
                f"another root at size {size}",
                path="ledger",
            )

    def news(self, after: int) -> Iterator[News]:
        """All from log size `after` on, in steps; the last one ends at the ledger's size."""
        head = self.view.head
        some = News()
        for segment in self.view.segments(after, head.size):
            if len(some.expected) >= RECORDS_AT_ONCE:
                some.size = segment.first
                some.root = tiles.root_at(self._snapshot, segment.first)
                yield some
                some = News()
            _take(self.view, segment, some)
        some.size, some.root = head.size, head.root
        yield some


def _take(view: View, segment: Segment, news: News) -> None:
    parts, _, outcomes = read_segment(segment)
    header = parts.header
    schema = _SCHEMAS.get(header.action)
    if schema is None:
        return
    tx_id = transaction_id(signing_bytes(header))
    for n, (data, outcome) in enumerate(zip(parts.items, outcomes, strict=True)):
        if outcome != ACCEPTED:
            continue
        item = decode(bytes(data), schema)
        owed = [(item.number, item.root)]
        if isinstance(item, Replace):
            owed.insert(0, (item.red_number, item.red_root))
        news.expected += [
            Expected(
                entry=segment.first + n,
                network=view.network,
                issuer=header.sender,
                tx_id=tx_id,
                n=n,
                code=item.code,
                number=number,
                root=root,
            )
            for number, root in owed
        ]
        # As the row is now: it may have been ended since, but a bill that has ended stays so.
        if not isinstance(item, Issue) and _bill(view, item.bill).state == "reversed":
            news.reversed.append(parse_bill_id(item.bill))


def _bill(view: View, bill_id: str) -> Bill:
    bill = find_bill(view, bill_id)
    if bill is None:
        raise Damaged(f"the ledger lacks {bill_id}, which it accepted")
    return bill
