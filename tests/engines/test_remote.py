"""A keeper that follows over HTTP: answer by answer, and nothing of it believed.

Invariant tested: nothing that comes from there is believed; the keeper executes it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from puppet import Puppet, note_of
from world import KEEPER, World, signer

from tallystick.client.failures import WrongAnswer
from tallystick.engines.keeper import Contradiction, Keeper
from tallystick.engines.remote import RemoteSource, clock_of
from tallystick.ledger.feed import pack_frame
from tallystick.node import live_keepers
from tallystick.protocol.canonical import decode
from tallystick.protocol.checkpoint import (
    Checkpoint,
    parse_checkpoint,
    parse_note,
    verify_cosignature,
)
from tallystick.protocol.errors import Busy, Rejected, VerificationFailed


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "node")
    world.prepare()
    world.issue(1, 2)
    return world


@pytest.fixture
def operator(world: World, tmp_path: Path) -> Iterator[Puppet]:
    with Puppet(tmp_path / "operator") as puppet:
        yield puppet.tell(world)


@contextmanager
def keeping(world: World, operator: Puppet) -> Iterator[Keeper]:
    with (
        operator.client() as client,
        Keeper.open(
            world.folder.with_name("keeper"),
            RemoteSource(client),
            signer("keeper"),
            world.rules,
            find_keepers=live_keepers,
            network=world.ledger.network,
            clock=world.clock(),
        ) as keeper,
    ):
        yield keeper


def signed(note: bytes) -> tuple[int, int]:
    """Size and time of the keeper's line, once it holds."""
    parsed = parse_note(note)
    at = verify_cosignature(parsed, KEEPER, signer("keeper").public_key)
    return parse_checkpoint(parsed.text).size, at


def test_it_takes_one_answer_a_step_and_signs_once_it_has_all(
    world: World, operator: Puppet
) -> None:
    operator.answer_blocks = 2
    with keeping(world, operator) as keeper:
        assert [keeper.step() for _ in range(3)] == [2, 2, 1]
        assert [after for after, _ in operator.asked] == [0, 2, 4]
        assert keeper.ledger.head == world.ledger.head
        assert [signed(each) for each in operator.cosigned] == [(world.ledger.head.size, world.at)]
        assert keeper.note is not None and signed(keeper.note) == (keeper.note_size, world.at)
        assert keeper.step() == 0
        assert len(operator.cosigned) == 1


def test_it_goes_no_further_than_the_operator_has_signed(world: World, operator: Puppet) -> None:
    note, size = operator.note, world.ledger.head.size
    world.issue(3)
    operator.tell(world)
    operator.note = note
    with keeping(world, operator) as keeper:
        assert keeper.step() == 5
        assert keeper.ledger.head.size == size


def test_a_line_that_nobody_took_is_handed_in_again(world: World, operator: Puppet) -> None:
    operator.cosign_status = 503
    with keeping(world, operator) as keeper:
        with pytest.raises(Busy):
            keeper.step()
        assert keeper.signed == (world.ledger.head.size, world.at)
        operator.cosign_status = 200
        assert keeper.step() == 0
        assert [signed(each) for each in operator.cosigned] == [keeper.signed]
    operator.cosigned.clear()
    with keeping(world, operator) as keeper:  # whether it was seen, a restart cannot know
        keeper.step()
        assert [signed(each) for each in operator.cosigned] == [keeper.signed]


def test_who_does_not_take_our_line_is_followed_all_the_same(
    world: World, operator: Puppet
) -> None:
    operator.cosign_status = 422
    with keeping(world, operator) as keeper:
        assert keeper.step() == 5
        world.issue(3)
        operator.tell(world)
        assert keeper.step() == 1
        operator.status = 403
        world.issue(4)
        operator.tell(world)
        with pytest.raises(Rejected):
            keeper.step()


def test_what_is_not_the_operators_word_makes_it_execute_nothing(
    world: World, operator: Puppet
) -> None:
    operator.note = note_of(world.ledger.checkpoint, world.at, log="stranger")
    with keeping(world, operator) as keeper:
        with pytest.raises(VerificationFailed):
            keeper.step()
        operator.note = b"<html>It works!</html>"
        with pytest.raises(WrongAnswer, match="shows no checkpoint"):
            keeper.step()
        assert keeper.ledger.head.block == 0
        assert operator.asked == []


@pytest.mark.parametrize("what", ["torn", "junk", "order", "beyond", "nothing"])
def test_frames_that_are_none_change_nothing(world: World, operator: Puppet, what: str) -> None:
    frames = [pack_frame(each) for each in operator.blocks]
    operator.frames = {
        "torn": frames[0] + frames[1][:-9],
        "junk": frames[0] + b"{}\n",
        "order": frames[0] + frames[2],
        "beyond": frames[0] + pack_frame(replace(operator.blocks[1], size=10**6)),
        "nothing": b"",
    }[what]
    with keeping(world, operator) as keeper:
        if what in ("torn", "nothing"):
            assert keeper.step() == (1 if what == "torn" else 0)
        else:
            with pytest.raises(WrongAnswer):
                keeper.step()
        assert operator.cosigned == []
        operator.frames = None
        keeper.step()
        assert keeper.ledger.head == world.ledger.head
        assert len(operator.cosigned) == 1


@pytest.mark.parametrize("what", ["state", "outcome", "root"])
def test_a_server_that_lies_stops_it_with_evidence(
    world: World, operator: Puppet, what: str
) -> None:
    last = operator.blocks[-1]
    if what == "root":
        here = world.ledger.checkpoint
        operator.note = note_of(Checkpoint(here.origin, here.size, bytes(32)), world.at)
    else:
        lie: dict[str, Any] = (
            {"state": bytes(32)} if what == "state" else {"refused": [{"0": "a.b"}]}
        )
        operator.blocks[-1] = replace(last, **lie)
    with keeping(world, operator) as keeper:
        with pytest.raises(Contradiction) as raised:
            keeper.step()
        assert operator.cosigned == [] and keeper.note is None
    evidence = decode(raised.value.evidence.read_bytes(), dict[str, Any])
    assert evidence["what"] == {"root": "checkpoint"}.get(what, what)
    assert evidence["checkpoint"].encode() == operator.note
    assert evidence["keeper"] == KEEPER


def test_evidence_is_written_though_the_operator_says_no_more(
    world: World, operator: Puppet
) -> None:
    operator.blocks[-1] = replace(operator.blocks[-1], state=bytes(32))
    operator.shy, note = True, operator.note
    with keeping(world, operator) as keeper, pytest.raises(Contradiction) as raised:
        keeper.step()
    evidence = decode(raised.value.evidence.read_bytes(), dict[str, Any])
    assert evidence["checkpoint"].encode() == note


def test_keepers_say_what_time_it_is(world: World, operator: Puppet, tmp_path: Path) -> None:
    with Puppet(tmp_path / "late") as late, Puppet(tmp_path / "none") as silent:
        late.health, silent.health = {"clock": 5}, {}
        with operator.client() as one, late.client() as two, silent.client() as three:
            assert clock_of([one, three]) == world.at
            assert clock_of([two]) == 5
            assert clock_of([two, one, three]) == world.at
            assert clock_of([three]) is None
    with late.client() as gone:
        assert clock_of([gone]) is None
