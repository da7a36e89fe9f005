"""What both sides of an account count: bills as lines, a root over them, their sums.

A line holds only what never changes once a number was used, so that whoever counts later counts the
same. The root is RFC 9162's over the lines in the order of their ids, made while they pass by.

Invariant: the same bills give the same `Tally`, whatever befell them since.
See docs/spec/contracts/bills-accounts.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tallystick.contracts.bills.records.accounts import Sum, Tally
from tallystick.contracts.bills.records.bills import Bill, BillId
from tallystick.protocol import merkle
from tallystick.protocol.canonical import Record, encode
from tallystick.protocol.values import Amount, Currency, Digest, Instant


class Line(Record):
    """One number in a manifest."""

    id: BillId
    kind: Literal["blue", "red", "void", "paper"]
    issued_at: Instant
    """Of a void number: when it was declared so."""
    currency: Currency | None = None
    total: Amount = 0
    root: Digest | None = None


def make_line(bill: Bill) -> Line:
    """The immutable facts of one number."""
    return Line(
        id=bill.id,
        kind=bill.bill_kind,
        issued_at=bill.issued_at,
        currency=bill.currency,
        total=bill.amounts.get("total", 0),
        root=bill.root,
    )


class RootBuilder:
    """The root of RFC 9162 over leaves that come one by one; keeps one hash a level."""

    def __init__(self) -> None:
        self._peaks: list[bytes] = []
        self.size = 0

    def add(self, data: bytes) -> None:
        """One more leaf."""
        node, size = merkle.leaf_hash(data), self.size
        while size & 1:
            node = merkle.node_hash(self._peaks.pop(), node)
            size >>= 1
        self._peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Over all leaves so far."""
        return merkle.fold_right(self._peaks) if self._peaks else merkle.EMPTY_ROOT


def manifest_root(lines: Iterable[Line]) -> bytes:
    """The root over lines in the order of their ids."""
    builder = RootBuilder()
    for line in lines:
        builder.add(encode(line))
    return builder.root()


class Counter:
    """Counts bills into a `Tally`, in the order of their ids."""

    def __init__(self) -> None:
        self._builder = RootBuilder()
        self._counts = {"blue": 0, "red": 0, "paper": 0, "void": 0}
        self._sums: dict[str, list[int]] = {}

    def add(self, bill: Bill) -> None:
        """One more number."""
        line = make_line(bill)
        self._builder.add(encode(line))
        self._counts[line.kind] += 1
        if line.currency is not None and line.kind in ("blue", "red"):
            sums = self._sums.setdefault(line.currency, [0, 0])
            sums[line.kind == "red"] += line.total

    def include(self, tally: Tally) -> None:
        """What somebody counted before: its counts and sums, not its root."""
        for kind in self._counts:
            self._counts[kind] += getattr(tally, kind)
        for each in tally.sums:
            sums = self._sums.setdefault(each.currency, [0, 0])
            sums[0] += each.issued
            sums[1] += each.reversed

    def tally(self, root: bytes | None = None) -> Tally:
        """All that was counted; `root` stands for what was included."""
        counts, sums = self._counts, sorted(self._sums.items())
        return Tally(
            blue=counts["blue"],
            red=counts["red"],
            paper=counts["paper"],
            void=counts["void"],
            sums=[Sum(currency=name, issued=each[0], reversed=each[1]) for name, each in sums],
            root=self._builder.root() if root is None else root,
        )


def tally_of(bills: Iterable[Bill]) -> Tally:
    """The tally of bills in the order of their ids."""
    counter = Counter()
    for bill in bills:
        counter.add(bill)
    return counter.tally()
