"""The clock: which second a block gets, and when there is rather none.

Invariant tested: block times never decrease, and a clock that is not believed makes no block.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.engines.clock import CONFIRMED_FILE, Clock, ClockDoubt, confirm, take_confirmation

DAY = 86_400
NOON = 1_767_600_000


class Hands:
    """A wall clock and a monotonic one, set by hand."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now
        self.monotonic = 1000.0

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, monotonic=lambda: self.monotonic)

    def run(self, seconds: float, jump: float = 0) -> None:
        self.now += seconds + jump
        self.monotonic += seconds


@pytest.mark.parametrize(
    ("last_at", "keeper_at", "doubt"),
    [
        (NOON, None, None),
        (NOON + 300, None, None),
        (NOON + 301, None, "behind the last block"),
        (NOON - 30 * DAY, None, None),
        (NOON - 30 * DAY - 1, None, "far ahead of the last block"),
        (NOON - 300 * DAY, NOON - 60, None),  # a keeper that can be reached says more
        (NOON - 300 * DAY, NOON + 9999, None),
        (NOON - 300 * DAY, NOON - 61, "ahead of a keeper's clock"),
        (NOON + 301, NOON + 301, "behind the last block"),
    ],
)
def test_a_start_believes_the_clock_or_says_why_not(
    tmp_path: Path, last_at: int, keeper_at: int | None, doubt: str | None
) -> None:
    clock = Hands().clock()
    if doubt is None:
        clock.start(last_at, tmp_path, keeper_at=keeper_at)
        assert clock.at(last_at) == max(last_at, NOON)
    else:
        with pytest.raises(ClockDoubt, match=doubt) as raised:
            clock.start(last_at, tmp_path, keeper_at=keeper_at)
        assert "tally clock confirm" in str(raised.value)


def test_a_start_is_not_before_what_was_co_signed(tmp_path: Path) -> None:
    """An idle operator signs the time each minute, though there is no block."""
    clock = Hands().clock()
    clock.signed(NOON + 400)
    with pytest.raises(ClockDoubt, match="behind the last block"):
        clock.start(NOON - 5 * DAY, tmp_path)
    clock = Hands().clock()
    clock.signed(NOON - DAY)
    clock.start(NOON - 40 * DAY, tmp_path)


def test_a_persons_word_holds_once_and_for_ten_minutes(tmp_path: Path) -> None:
    for late, believed in ((0, True), (600, True), (601, False), (-600, True), (-601, False)):
        confirm(tmp_path, NOON)
        hands = Hands(NOON + late)
        if believed:
            hands.clock().start(NOON + 5000, tmp_path)
        with pytest.raises(ClockDoubt):
            hands.clock().start(NOON + 5000, tmp_path)
        assert not (tmp_path / CONFIRMED_FILE).exists()


@pytest.mark.parametrize("text", ["", "2026", "yes\nno\n", "\n\n"])
def test_a_word_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / CONFIRMED_FILE).write_text(text)
    assert not take_confirmation(tmp_path, NOON)


def test_time_stands_still_rather_than_go_back(tmp_path: Path) -> None:
    hands = Hands()
    clock = hands.clock()
    clock.start(NOON, tmp_path)
    assert clock.at(NOON) == NOON
    hands.run(10.9)
    assert clock.at(NOON) == NOON + 10
    assert clock.at(NOON + 200) == NOON + 200  # the last block was ahead
    hands.run(1, jump=-200)
    assert clock.at(NOON + 10) == NOON + 10
    clock.signed(NOON + 100)
    clock.signed(NOON + 50)
    assert clock.at(NOON + 10) == NOON + 100
    assert clock.now() == int(hands.now)


@pytest.mark.parametrize("jump", [301, -301])
def test_a_jump_while_running_stops(tmp_path: Path, jump: int) -> None:
    hands = Hands()
    clock = hands.clock()
    clock.start(NOON, tmp_path)
    hands.run(DAY, jump=jump - jump // 301)
    clock.at(NOON)
    hands.run(1, jump=jump // 301 * 2)
    with pytest.raises(ClockDoubt, match="jumped by"):
        clock.at(NOON)
    clock.start(NOON, tmp_path)  # a new start judges anew
    assert clock.at(NOON) >= NOON


def test_the_machines_own_clock_is_the_default(tmp_path: Path) -> None:
    clock = Clock()
    now = clock.now()
    clock.start(now, tmp_path)
    assert abs(clock.at(0) - now) <= 5


def test_nobody_says_that_there_is_nothing_newer_while_a_block_is_being_made(
    tmp_path: Path,
) -> None:
    hands = Hands()
    clock = hands.clock()
    clock.start(NOON, tmp_path)
    at = clock.at(NOON)
    hands.run(90)  # a disk that takes its time: longer than the slack of a proof
    assert clock.sign_at() == at
    clock.made()
    assert clock.sign_at() == NOON + 90
    assert clock.at(at) == NOON + 90
