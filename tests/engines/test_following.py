"""A keeper over months: an operator that is away is waited for, one that lies is not.

Invariant tested: a contradiction is never taken for an absence.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from puppet import Puppet
from world import World, signer

from tallystick.client.failures import Away
from tallystick.engines.following import PAUSE_SECONDS_MAX, POLL_SECONDS, Following
from tallystick.engines.keeper import Contradiction, Keeper
from tallystick.engines.remote import RemoteSource
from tallystick.node import live_keepers


@contextmanager
def scene(tmp_path: Path) -> Iterator[tuple[World, Puppet, Keeper, list[str], Following]]:
    """A keeper that has caught up with its operator, which is still there."""
    world = World(tmp_path / "node")
    world.prepare()
    told: list[str] = []
    with Puppet(tmp_path / "operator") as operator, operator.client() as client:
        operator.tell(world)
        with Keeper.open(
            tmp_path / "keeper",
            RemoteSource(client),
            signer("keeper"),
            world.rules,
            find_keepers=live_keepers,
            clock=world.clock(),
        ) as keeper:
            following = Following(world.clock(), told.append)
            assert following.step(keeper) == 0.0
            assert following.step(keeper) == POLL_SECONDS
            yield world, operator, keeper, told, following


def test_who_is_away_is_asked_again_with_longer_pauses_and_it_is_said_once(tmp_path: Path) -> None:
    with scene(tmp_path) as (world, operator, keeper, told, following):
        operator.__exit__()
        pauses = [following.step(keeper) for _ in range(8)]
        assert pauses == sorted(pauses) and pauses[0] < 1 < pauses[-1] == PAUSE_SECONDS_MAX
        assert following.absence is not None and following.absence.since == world.at
        assert len(told) == 1 and "does not answer: Away" in told[0]
        world.at += 100
        world.issue(1)
        operator.tell(world).__enter__()
        assert following.step(keeper) == 0.0
        assert following.reached_at == world.at
        assert told[1:] == ["the operator answers again, after 100 s"]
        assert keeper.signed == (world.ledger.head.size, world.at)
        assert following.blocks == 5


@pytest.mark.parametrize(("status", "kind"), [(503, "Busy"), (403, "Rejected"), (500, "Server")])
def test_who_answers_with_trouble_is_waited_for(tmp_path: Path, status: int, kind: str) -> None:
    with scene(tmp_path) as (world, operator, keeper, told, following):
        world.issue(1)
        operator.tell(world)
        operator.status = status
        assert following.step(keeper) > 0
        assert len(told) == 1 and kind in told[0]
        operator.status = 200
        assert following.step(keeper) == 0.0
        operator.note = b"<html>"
        assert following.step(keeper) > 0
        assert "WrongAnswer" in told[2]


def test_who_lies_is_not_waited_for(tmp_path: Path) -> None:
    with scene(tmp_path) as (world, operator, keeper, _, following):
        world.issue(1)
        operator.tell(world)
        operator.blocks[-1] = replace(operator.blocks[-1], state=bytes(32))
        with pytest.raises(Contradiction):
            following.step(keeper)


def test_without_patience_the_first_absence_is_the_last(tmp_path: Path) -> None:
    with scene(tmp_path) as (world, operator, keeper, _, _):
        impatient = Following(world.clock(), patient=False)
        operator.__exit__()
        with pytest.raises(Away):
            impatient.step(keeper)
        operator.__enter__()
