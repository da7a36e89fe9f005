"""Intervals against a plain set of numbers."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tallystick.contracts.kit import intervals
from tallystick.contracts.kit.intervals import Interval

FATES = ("granted", "returned")
RANGE = 60

numbers = st.integers(1, RANGE)
steps = st.lists(st.tuples(numbers, numbers, st.sampled_from(FATES)), max_size=30)


def build(wanted: list[tuple[int, int, str]]) -> tuple[list[Interval], dict[int, str]]:
    """The list and the plain model after every step that meets nothing taken before."""
    gone: list[Interval] = []
    model: dict[int, str] = {}
    for one, other, fate in wanted:
        first, last = min(one, other), max(one, other)
        free = not any(number in model for number in range(first, last + 1))
        assert (intervals.overlap(gone, first, last) is None) == free
        if free:
            gone = intervals.take(gone, first, last, fate)
            model |= dict.fromkeys(range(first, last + 1), fate)
    return gone, model


@given(steps)
def test_intervals_say_what_the_plain_model_says(wanted: list[tuple[int, int, str]]) -> None:
    gone, model = build(wanted)
    for number in range(1, RANGE + 1):
        held = intervals.find(gone, number)
        assert (held.fate if held else None) == model.get(number)
    assert intervals.count(gone) == len(model)
    for fate in FATES:
        assert intervals.count(gone, fate) == list(model.values()).count(fate)


@given(steps)
def test_intervals_stay_sorted_disjoint_and_as_few_as_can_be(
    wanted: list[tuple[int, int, str]],
) -> None:
    gone, _ = build(wanted)
    for each in gone:
        assert each.first <= each.last
    for before, after in itertools.pairwise(gone):
        assert before.last < after.first
        assert before.fate != after.fate or before.last + 1 < after.first


@given(st.permutations(range(1, 13)))
def test_in_whatever_order_numbers_go_the_list_is_the_same(order: list[int]) -> None:
    gone: list[Interval] = []
    for number in order:
        gone = intervals.take(gone, number, number, "granted")
    assert gone == [Interval(first=1, last=12, fate="granted")]


def test_overlap_names_the_interval_that_is_met() -> None:
    gone = intervals.take(intervals.take([], 10, 19, "granted"), 30, 39, "returned")
    assert intervals.overlap(gone, 20, 29) is None
    assert intervals.overlap(gone, 1, 10) == gone[0]
    assert intervals.overlap(gone, 15, 16) == gone[0]
    assert intervals.overlap(gone, 1, 99) == gone[1]
