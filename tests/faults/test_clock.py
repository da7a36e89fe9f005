"""A clock that jumps: the node stops or does not start, and nothing gets a time that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.ground import Ground, found, log_root, signer

from tallystick.engines.clock import (
    AHEAD_SECONDS_MAX,
    BEHIND_SECONDS_MAX,
    JUMP_SECONDS_MAX,
    Clock,
    ClockDoubt,
    confirm,
)
from tallystick.ledger.engine import Stopped
from tallystick.node import Node

START = Ground().founded_at + 3600


class Hands:
    """A clock on the wall and one that only counts; both are moved by hand."""

    def __init__(self, wall: int) -> None:
        self.wall, self.counted = float(wall), 0.0

    def clock(self) -> Clock:
        return Clock(now=lambda: self.wall, monotonic=lambda: self.counted)

    def wait(self, seconds: int) -> None:
        self.wall += seconds
        self.counted += seconds


@pytest.fixture
def ground() -> Ground:
    return Ground(30)


@pytest.fixture
def folder(ground: Ground, tmp_path: Path) -> Path:
    return found(ground, tmp_path / "node")


@pytest.mark.parametrize("jump", [JUMP_SECONDS_MAX + 60, -JUMP_SECONDS_MAX - 60, 10**9])
def test_a_jump_while_running_stops_the_engine(ground: Ground, folder: Path, jump: int) -> None:
    hands = Hands(START)
    with Node.open(folder, signer("log"), clock=hands.clock()) as node:
        before = node.submit(ground.issue("north", 1, START)).result(60)
        hands.wall += jump
        lost = ground.issue("north", 1, START)
        with pytest.raises(Stopped, match="jumped"):
            node.submit(lost).result(60)
        with pytest.raises(Stopped):
            node.submit(lost)
        assert node.ledger.head.at == before.at
    hands.wall -= jump
    hands.wait(30)
    with Node.open(folder, signer("log"), clock=hands.clock()) as node:
        after = node.submit(lost).result(60)
        assert (after.repeated, after.at) == (False, START + 30)
        assert log_root(node.ledger) == node.ledger.head.root


@pytest.mark.parametrize("jump", [JUMP_SECONDS_MAX - 60, 60 - JUMP_SECONDS_MAX])
def test_a_small_jump_moves_nothing_backward(ground: Ground, folder: Path, jump: int) -> None:
    hands = Hands(START)
    with Node.open(folder, signer("log"), clock=hands.clock()) as node:
        before = node.submit(ground.issue("north", 1, START)).result(60)
        hands.wall += jump
        after = node.submit(ground.issue("north", 1, START)).result(60)
        assert after.outcomes == ["accepted"]
        assert after.at == max(before.at, START + jump)


@pytest.mark.parametrize(
    ("jump", "what"),
    [(-BEHIND_SECONDS_MAX - 60, "behind"), (AHEAD_SECONDS_MAX + 60, "ahead"), (10**9, "ahead")],
)
def test_a_clock_that_is_wrong_at_the_start(
    ground: Ground, folder: Path, jump: int, what: str
) -> None:
    hands = Hands(START)
    with Node.open(folder, signer("log"), clock=hands.clock()) as node:
        node.submit(ground.issue("north", 1, START)).result(60)
    hands.wall += jump
    for _ in range(2):
        with pytest.raises(ClockDoubt, match=what):
            Node.open(folder, signer("log"), clock=hands.clock())
    confirm(folder, int(hands.wall))
    with Node.open(folder, signer("log"), clock=hands.clock()) as node:
        done = node.submit(ground.issue("north", 1, max(START, int(hands.wall)))).result(60)
        assert done.at == max(START, int(hands.wall))


def test_a_word_about_the_clock_holds_once_and_not_for_long(folder: Path) -> None:
    hands = Hands(START + AHEAD_SECONDS_MAX * 2)
    confirm(folder, START)
    with pytest.raises(ClockDoubt):
        Node.open(folder, signer("log"), clock=hands.clock())
    confirm(folder, int(hands.wall))
    Node.open(folder, signer("log"), clock=hands.clock()).close()
