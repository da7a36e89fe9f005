"""Four weeks of a two-hundredth of a province, around New Year's night: who does what and when.

Everything follows from the seed: a day that was cut off is simply done again, byte for byte, and
what is on the ledger already has its old answer.

Invariant: the plan knows every fen and every number before the ledger does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from random import Random

from soak.planned import (
    BLUE_LEVEL,
    COMING,
    HOSPITALS,
    OFFSET,
    Members,
    Planned,
    Step,
    blue_first,
    code_at,
    type_rules,
)

from tallystick.protocol.transaction import Item
from tallystick.protocol.values import parse_instant

NEW_YEAR = parse_instant("2027-01-01T00:00:00Z") - OFFSET
"""Local midnight, in the middle of every run."""
RULES = type_rules(30 * 3_600)
"""Who holds a lock may answer on the next day, and no more on the day after."""
WEEK = 7
"""Blocks of blue bills are of a week."""
TOGETHER = 200

HOURS = (1, 1, 1, 1, 1, 1, 2, 5, 14, 18, 14, 8, 4, 6, 10, 7, 4, 2, 1, 1, 1, 1, 1, 1)
"""Shares of a day's bills by local hour: the busiest has 18 of a hundred."""


def first_day(days: int) -> int:
    """When a run of so many days begins."""
    return NEW_YEAR - days // 2 * 86_400


def founded_at(days: int) -> int:
    """Some days before; in December, when next year's numbers are granted."""
    return first_day(days) - 10 * 86_400


class Calendar(Members):
    """The days of one run, by seed."""

    def __init__(self, seed: int, network: bytes, bills: int, days: int) -> None:
        super().__init__(seed, network)
        self.days = days
        self.first_day, self.founded_at = first_day(days), founded_at(days)
        self._each = max(1, bills // days // len(HOSPITALS))
        """Bills of a hospital and a day."""
        self._next: dict[tuple[int, int], int] = {}
        self._later: dict[int, list[tuple[str, Planned]]] = defaultdict(list)

    def opening(self) -> Iterator[Step]:
        """The type, the numbers of both years by week, and the wallets' mandates."""
        chance, at = Random(f"{self.seed}/opening"), self.founded_at + 3_600
        yield self.define(chance, at, self.founded_at, RULES)
        at = self.first_day - 7_200
        for code in (code_at(self.first_day), code_at(self.first_day + 30 * 86_400)):
            yield from self.numbers(chance, at, code)
        yield from self.give(at, self.first_day + 90 * 86_400)

    # ---------------------------------------------------------------------------------- the days

    def day(self, n: int) -> list[Step]:
        """All of one day, in the order of time; days are asked for one after the other."""
        chance = Random(f"{self.seed}/{n}")
        midnight = self.first_day + n * 86_400
        steps: list[Step] = []
        if n % WEEK == 0 or code_at(midnight) != code_at(midnight - 86_400):
            steps.extend(self._week(chance, n, midnight))
        for hospital in range(len(HOSPITALS)):
            steps.extend(self._bills(chance, n, hospital, midnight))
        steps.extend(self._events(chance, n, midnight))
        steps.sort(key=lambda step: step.at)
        return steps

    def _week(self, chance: Random, n: int, midnight: int) -> Iterator[Step]:
        """The numbers until the next block: a block is as large as what will be used of it."""
        code = code_at(midnight)
        length = 1
        while (
            n + length < self.days
            and (n + length) % WEEK
            and code_at(midnight + length * 86_400) == code
        ):
            length += 1
        size = self._each * length
        blocks = []
        for hospital in range(len(HOSPITALS)):
            first = blue_first(hospital) + n * self._each
            self._next[hospital, code] = first
            blocks.append(self.allot(chance, (code, BLUE_LEVEL, first), size, hospital))
        yield self.step(chance, midnight + 1, "finance", "bills.allot/1", blocks)

    def _bills(self, chance: Random, n: int, hospital: int, midnight: int) -> Iterator[Step]:
        code = code_at(midnight)
        start = self._next[hospital, code]
        done, shares = 0, sum(HOURS)
        for hour, share in enumerate(HOURS):
            last = hour == len(HOURS) - 1
            count = self._each - done if last else self._each * share // shares
            for begin in range(0, count, TOGETHER):
                at = midnight + hour * 3_600 + 60 + chance.randrange(3_000)
                some = [
                    self._plan(chance, hospital, code, start + done + begin + k, at)
                    for k in range(min(TOGETHER, count - begin))
                ]
                items = [self.issue(chance, each) for each in some]
                yield self.step(chance, at, HOSPITALS[hospital], "bills.issue/1", items)
                for each in some:
                    self._follow(chance, n, each)
            done += count
        self._next[hospital, code] = start + self._each

    def _plan(self, chance: Random, hospital: int, code: int, number: int, at: int) -> Planned:
        return self.draw(chance, (hospital, code, self._week_first(hospital, number)), number, at)

    def _week_first(self, hospital: int, number: int) -> int:
        """The first number of the block that `number` is in."""
        base = blue_first(hospital)
        for begin in reversed(self._block_days()):
            if number >= base + begin * self._each:
                return base + begin * self._each
        raise LookupError(number)

    def _block_days(self) -> list[int]:
        """The days on which blocks begin."""
        return [
            n
            for n in range(self.days)
            if n % WEEK == 0
            or code_at(self.first_day + n * 86_400) != code_at(self.first_day + (n - 1) * 86_400)
        ]

    def _follow(self, chance: Random, n: int, each: Planned) -> None:
        """What is to come of a bill, day by day; what would come after the last day never does."""
        names = COMING[each.fate]
        start = n + 1 + chance.randrange(2)
        if start + len(names) > self.days:
            return  # all of it or nothing: the sums at the end are whole
        for k, name in enumerate(names):
            if not name:
                continue  # a day on which nobody answers
            self._later[start + k].append((name, each))

    # -------------------------------------------------------------------------------- the events

    def _events(self, chance: Random, n: int, midnight: int) -> Iterator[Step]:
        """Insurers at night, hospitals by day: in batches, in the order that they need."""
        groups: dict[tuple[str, str], list[Item]] = defaultdict(list)
        at = midnight + 2 * 3_600
        for name, each in self._later.pop(n, []):
            sender, action, item = self.event(chance, name, each, at)
            groups[sender, action].append(item)
        for (sender, action), items in groups.items():
            for begin in range(0, len(items), TOGETHER):
                yield self.step(chance, at, sender, action, items[begin : begin + TOGETHER])

    # ---------------------------------------------------------------------------------- the ends

    def blocks(self) -> list[tuple[int, int, str]]:
        """Code, first number and holder of each week's block."""
        return [
            (
                code_at(self.first_day + n * 86_400),
                blue_first(hospital) + n * self._each,
                HOSPITALS[hospital],
            )
            for n in self._block_days()
            for hospital in range(len(HOSPITALS))
        ]
