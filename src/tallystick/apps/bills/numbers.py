"""The numbers that an issuer may still use, in order, out of the allotments that it holds.

Read from the ledger once; from then on the office counts itself. A number whose bill was refused
is the next to be used, so that no number stays unexplained.

Invariant: a number is handed out once, until it is given back. See docs/guides/office.md.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from typing import Self

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import Allotment
from tallystick.contracts.bills.views.bills import account, list_allotments, remaining_ranges
from tallystick.contracts.kit.context import Reader
from tallystick.contracts.kit.intervals import Interval
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import parse_instant

Place = tuple[int, int, int]
"""Code, level and first number: names an allotment."""


class Supply:
    """What is left of one allotment."""

    def __init__(self, row: Allotment, free: Iterable[Interval], taken: Collection[int]) -> None:
        self.place: Place = (row.code, row.level, row.first)
        self._ranges = [(each.first, each.last) for each in free]
        self._ranges.reverse()
        self._taken = taken
        self._returned: list[int] = []

    def take(self) -> int | None:
        """The lowest number that is left, or None."""
        if self._returned:
            return heapq.heappop(self._returned)
        while self._ranges:
            first, last = self._ranges.pop()
            if first < last:
                self._ranges.append((first + 1, last))
            if first not in self._taken:
                return first
        return None

    def give_back(self, number: int) -> None:
        """It was not used after all."""
        heapq.heappush(self._returned, number)


class Numbers:
    """The allotments of one issuer, by code; the lowest is used up first."""

    def __init__(
        self,
        reader: Reader,
        org: str,
        at: int,
        *,
        taken: Collection[tuple[int, int]],
        places: Collection[Place] | None = None,
    ) -> None:
        """`taken`: (code, number) that the ledger does not know of yet; `places`: only these."""
        self._supplies: dict[int, list[Supply]] = {}
        for row in list_allotments(reader, holder=org):
            if not _is_usable(row, at, places):
                continue
            used = {number for code, number in taken if code == row.code}
            supply = Supply(row, _free(reader, row), used)
            self._supplies.setdefault(row.code, []).append(supply)

    @classmethod
    def of(cls, supply: Supply) -> Self:
        """The numbers of one allotment, known from elsewhere than a ledger at hand."""
        numbers = cls.__new__(cls)
        numbers._supplies = {supply.place[0]: [supply]}
        return numbers

    def take(self, code: int, count: int = 1) -> tuple[Place, list[int]]:
        """The next numbers of a code, all of one allotment, and which it is."""
        for supply in self._supplies.get(code, ()):
            numbers: list[int] = []
            while len(numbers) < count and (number := supply.take()) is not None:
                numbers.append(number)
            if len(numbers) == count:
                return supply.place, numbers
            for number in numbers:
                supply.give_back(number)
        raise Rejected(
            BillsReason.NUMBER_NOT_ALLOCATED, f"no number of {code} is left here", path="code"
        )

    def give_back(self, place: Place, number: int) -> None:
        """A number that an act named and that was not used after all."""
        for supply in self._supplies.get(place[0], ()):
            if supply.place == place:
                supply.give_back(number)


def _is_usable(row: Allotment, at: int, places: Collection[Place] | None) -> bool:
    if places is not None and (row.code, row.level, row.first) not in places:
        return False
    ended = row.until is not None and parse_instant(row.until) <= at
    closed = row.account in ("submitted", "accepted")
    return row.state == "open" and not (ended or closed or row.offline_days)


def _free(reader: Reader, row: Allotment) -> list[Interval]:
    """The free numbers; the slots below `next` are read only where there is a gap among them."""
    gone_below = sum(
        min(each.last, row.next - 1) - each.first + 1 for each in row.gone if each.first < row.next
    )
    if row.issued + row.void + gone_below < row.next - row.first:
        return [each for each in account(reader, row).ranges if each.fate == "remaining"]
    taken = [each for each in row.gone if each.last >= row.next]
    if row.next > row.first:
        taken.insert(0, Interval(first=row.first, last=row.next - 1, fate="used"))
    return remaining_ranges(row, taken)
