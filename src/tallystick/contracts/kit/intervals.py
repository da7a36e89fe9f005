"""Holding of number ranges: disjoint intervals of one series, each with a fate.

Allotting a range is transferring an interval; using number n is retiring [n, n] in the step that
opens unit n. What has left a range lies in a short sorted list; neighbours of one fate merge.

Invariant: the intervals of a list are sorted, disjoint, inside the range, and at most
`INTERVALS_MAX`. See docs/spec/contracts/kit.md.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Annotated

from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.values import Word

INTERVALS_MAX = 64
"""Keeps an allotment's row within a receipt; ranges that are handed out in order merge to one."""

Number = Annotated[int, Meta(ge=1, le=9_999_999_999)]
"""Ten digits; number 0 is never issued."""


class Interval(Record):
    """[first, last], both included, and what became of it."""

    first: Number
    last: Number
    fate: Word


Gone = Annotated[list[Interval], Meta(max_length=INTERVALS_MAX)]


def count(gone: list[Interval], fate: str | None = None) -> int:
    """How many numbers lie in the intervals, of one fate or of all."""
    return sum(each.last - each.first + 1 for each in gone if fate is None or each.fate == fate)


def find(gone: list[Interval], number: int) -> Interval | None:
    """The interval that holds `number`, or None."""
    at = bisect_right(gone, number, key=_first) - 1
    return gone[at] if at >= 0 and number <= gone[at].last else None


def overlap(gone: list[Interval], first: int, last: int) -> Interval | None:
    """Some interval that meets [first, last], or None."""
    at = bisect_right(gone, last, key=_first) - 1
    return gone[at] if at >= 0 and first <= gone[at].last else None


def take(gone: list[Interval], first: int, last: int, fate: str) -> list[Interval]:
    """The list with [first, last] added; the caller has checked that nothing overlaps.

    The result may be longer than `INTERVALS_MAX`: the caller refuses then.
    """
    merged = [*gone, Interval(first=first, last=last, fate=fate)]
    merged.sort(key=_first)
    result = [merged[0]]
    for each in merged[1:]:
        before = result[-1]
        if before.fate == each.fate and before.last + 1 == each.first:
            result[-1] = Interval(first=before.first, last=each.last, fate=each.fate)
        else:
            result.append(each)
    return result


def _first(interval: Interval) -> int:
    return interval.first
