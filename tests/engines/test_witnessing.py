"""Witnesses of a ledger: their lines come to the notes, and none of them delays anything.

See docs/spec/witness.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import pytest
from world import KEEPER, World, signer, until

from tallystick.engines import witnessing as module
from tallystick.engines.publisher import KeeperKey, Publisher
from tallystick.engines.witnessing import AskWitness, Prove, Witnessing
from tallystick.protocol import merkle
from tallystick.protocol.checkpoint import (
    Checkpoint,
    cosign,
    parse_checkpoint,
    parse_note,
    verify_cosignature,
)
from tallystick.protocol.errors import Busy, VerificationFailed


class Local:
    """Asks a witness in this very process, which checks as any other does."""

    def __init__(self, name: str = "witness.example/w1") -> None:
        self.name = name
        self.known: Checkpoint | None = None

    def __call__(self, prove: Prove, note: bytes) -> list[str]:
        text = parse_note(note).text
        new, known = parse_checkpoint(text), self.known
        if known is not None:
            path = prove(known.size)
            merkle.verify_consistency(known.size, known.root, new.size, new.root, path)
        self.known = new
        return [cosign(text, self.name, signer("witness"), 1_800_000_000)]


@contextmanager
def publishing(world: World, asks: Sequence[AskWitness]) -> Iterator[Publisher]:
    keys = [KeeperKey(KEEPER, signer("keeper").public_key)]
    folder = world.folder / "feed"
    made = Publisher(
        world.ledger, signer("log"), folder, lambda: keys, world.clock(), witnesses=asks
    )
    made.start()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("node") / "node")
    world.prepare()
    yield world
    world.ledger.close()


def witnessed(publisher: Publisher, size: int, name: str) -> bool:
    try:
        note, _ = publisher.note_for(-1, size=size)
    except LookupError:
        return False
    return any(each.name == name for each in parse_note(note).signatures)


def test_its_line_comes_to_the_note_of_each_size(world: World) -> None:
    local = Local()
    with publishing(world, [local]) as publisher:
        first = world.ledger.head.size
        until(lambda: witnessed(publisher, first, local.name))
        note, count = publisher.note_for(-1, size=first)
        assert count == 0  # it is no keeper
        verify_cosignature(parse_note(note), local.name, signer("witness").public_key)
        world.act("hospital", "bills.issue", world.issue_item(1))
        publisher.wake()
        until(lambda: witnessed(publisher, world.ledger.head.size, local.name))
        assert local.known is not None
        assert first < local.known.size == world.ledger.head.size


def test_a_dead_one_delays_nobody(world: World) -> None:
    asked, release = threading.Event(), threading.Event()

    def silent(prove: Prove, note: bytes) -> list[str]:
        asked.set()
        release.wait(30)
        prove(0)
        raise AssertionError("the ledger was read after it was closed")

    def failing(prove: Prove, note: bytes) -> list[str]:
        raise Busy(1)

    local = Local()
    with publishing(world, [silent, failing, local]) as publisher:
        until(lambda: witnessed(publisher, world.ledger.head.size, local.name))
        assert asked.is_set()
        world.act("hospital", "bills.issue", world.issue_item(1))
        publisher.wake()
        until(lambda: witnessed(publisher, world.ledger.head.size, local.name))
        started = time.monotonic()
    assert time.monotonic() - started < 2 * module.CLOSE_SECONDS
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("tallystick-witness"):
            thread.join(5)
            assert not thread.is_alive()


def test_one_that_failed_is_asked_again(world: World) -> None:
    local, left = Local(), [3]

    def flaky(prove: Prove, note: bytes) -> list[str]:
        if left[0]:
            left[0] -= 1
            raise VerificationFailed("not now")
        return local(prove, note)

    def moved(before: int) -> bool:
        return left[0] < before or local.known is not None

    with publishing(world, [flaky]) as publisher:
        for number in range(1, 5):
            world.act("hospital", "bills.issue", world.issue_item(number))
            publisher.wake()
            before = left[0]
            until(partial(moved, before))
        until(lambda: witnessed(publisher, world.ledger.head.size, local.name))


@pytest.mark.parametrize("name", [KEEPER, "origin"])
def test_a_name_stands_once_in_a_note(world: World, name: str) -> None:
    """A witness that bears a keeper's name, or the log's, does not spoil the note."""
    local = Local(world.ledger.origin if name == "origin" else name)
    with publishing(world, [local, Local("other"), Local("other")]) as publisher:
        size = world.ledger.head.size
        until(lambda: witnessed(publisher, size, "other") and local.known is not None)
        keepers = cosign(
            parse_note(publisher.note_for(-1, size=size)[0]).text,
            KEEPER,
            signer("keeper"),
            world.at,
        )
        text = parse_note(publisher.note_for(-1, size=size)[0]).text
        publisher.offer(f"{text}\n{keepers}".encode())
        note, count = publisher.note_for(-1, size=size)
        names = [each.name for each in parse_note(note).signatures]
        assert count == 1
        assert sorted(names) == sorted([world.ledger.origin, KEEPER, "other"])
        verify_cosignature(parse_note(note), KEEPER, signer("keeper").public_key)


def test_no_growth_is_proven_backwards_or_after_the_end(world: World) -> None:
    proofs: list[Prove] = []

    def keep(prove: Prove, note: bytes) -> list[str]:
        proofs.append(prove)
        return []

    told: list[int] = []
    asking = Witnessing(world.ledger, [keep], told.append)
    asking.start()
    size = world.ledger.head.size
    asking.offer(size, b"a note")
    until(lambda: told == [size])
    (prove,) = proofs
    assert len(prove(1)) > 1
    with pytest.raises(VerificationFailed, match="no growth"):
        prove(size + 1)
    asking.close()
    with pytest.raises(VerificationFailed, match="being closed"):
        prove(1)
    assert asking.lines(size) == []


def test_only_the_newest_sizes_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIZES_KEPT", 2)
    told: list[int] = []
    asking = Witnessing(world.ledger, [lambda prove, note: [note.decode()]], told.append)
    asking.start()
    for size in (1, 2, 3):
        asking.offer(size, b"line %d" % size)
        until(partial(told.__contains__, size))
    assert [asking.lines(size) for size in (1, 2, 3)] == [[], ["line 2"], ["line 3"]]
    asking.close()
