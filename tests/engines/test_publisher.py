"""The operator's mouth: what it signs is durable and the newest; co-signatures are gathered."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from world import KEEPER, World, signer

from tallystick.engines import publisher as module
from tallystick.engines.clock import Clock
from tallystick.engines.publisher import COSIGNED, REFRESH_SECONDS, KeeperKey, Publisher
from tallystick.ledger.feed import FeedReader
from tallystick.ledger.sqlite import FILE
from tallystick.protocol.checkpoint import (
    Checkpoint,
    NoteSignature,
    cosign,
    format_checkpoint,
    format_note,
    parse_checkpoint,
    parse_note,
    verify_cosignature,
    verify_note_signature,
)
from tallystick.protocol.errors import Damaged, VerificationFailed
from tallystick.protocol.keys import Signer
from tallystick.protocol.trust import verify_checkpoint

OWN = sha256(KEEPER.encode()).hexdigest()[:16]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "node")
    world.prepare()
    return world


@contextmanager
def publishing(world: World, clock: Clock | None = None) -> Iterator[Publisher]:
    """A publisher whose rounds the test makes itself."""
    keys = [KeeperKey(KEEPER, signer("keeper").public_key)]
    made = Publisher(world.ledger, signer("log"), feed(world), lambda: keys, clock or world.clock())
    try:
        yield made
    finally:
        made.close()


def feed(world: World) -> Path:
    return world.folder / "feed"


def newest(world: World) -> tuple[int, int]:
    """Size and time of what is published, once its signatures hold."""
    data = FeedReader(feed(world)).checkpoint()
    assert data is not None
    note = parse_note(data)
    verify_note_signature(note, world.ledger.origin, signer("log").public_key)
    at = verify_cosignature(note, world.ledger.origin, signer("log").public_key)
    return parse_checkpoint(note.text).size, at


def line(
    world: World, who: Signer, name: str = KEEPER, checkpoint: Checkpoint | None = None
) -> bytes:
    text = format_checkpoint(checkpoint or world.ledger.checkpoint)
    return format_note(text, [cosign(text, name, who, world.at)]).encode()


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_a_round_publishes_all_blocks_and_signs_the_newest(world: World) -> None:
    with publishing(world) as publisher:
        publisher.publish()
        assert newest(world) == (world.ledger.head.size, world.at)
        world.issue(1)
        publisher.publish()
        assert newest(world) == (world.ledger.head.size, world.at)
        blocks = list(FeedReader(feed(world)).blocks(0))
        assert [block.block for block in blocks] == [1, 2, 3, 4, 5]


def test_an_unchanged_checkpoint_is_said_to_be_the_newest_again(world: World) -> None:
    with publishing(world) as publisher:
        publisher.publish()
        signed_at = world.at
        world.at += REFRESH_SECONDS - 1
        publisher.publish()
        assert newest(world)[1] == signed_at
        world.at += 1
        publisher.publish()
        assert newest(world)[1] == world.at


def test_an_empty_log_is_not_signed(tmp_path: Path) -> None:
    world = World(tmp_path)
    with publishing(world) as publisher:
        publisher.publish()
        assert FeedReader(feed(world)).checkpoint() is None
        with pytest.raises(LookupError, match="not under a published checkpoint"):
            publisher.note_for(0)


def test_the_thread_publishes_when_it_is_woken(world: World) -> None:
    with publishing(world) as publisher:
        publisher.start()
        publisher.wake()
        until(lambda: FeedReader(feed(world)).checkpoint() is not None)
    world.issue(1)
    with publishing(world) as publisher:
        publisher.start()  # closing publishes what is committed
    assert newest(world)[0] == world.ledger.head.size


def test_co_signatures_of_known_keepers_over_our_own_log_are_taken(world: World) -> None:
    with publishing(world) as publisher:
        publisher.publish()
        folder = feed(world) / COSIGNED
        (folder / "junk").write_bytes(b"\xff" * 100)
        (folder / "long").write_bytes(b"x" * 10_000_000)
        (folder / ".hidden").write_bytes(line(world, signer("keeper")))
        (folder / "stranger").write_bytes(line(world, signer("stranger")))
        (folder / "other").write_bytes(line(world, signer("keeper"), "keeper/other"))
        other = Checkpoint(world.ledger.origin, world.ledger.head.size, bytes(32))
        (folder / "forked").write_bytes(line(world, signer("keeper"), checkpoint=other))
        publisher.collect()
        assert publisher.note_for(0)[1] == 0
        (folder / OWN).write_bytes(line(world, signer("keeper")))
        publisher.collect()
        note, count = publisher.note_for(0)
        assert count == 1
        at = verify_cosignature(parse_note(note), KEEPER, signer("keeper").public_key)
        assert at == world.at


def test_who_writes_beside_a_keeper_takes_nothing_back(world: World) -> None:
    with publishing(world) as publisher:
        publisher.publish()
        folder, text = feed(world) / COSIGNED, format_checkpoint(world.ledger.checkpoint)
        said = cosign(text, KEEPER, signer("keeper"), world.at)
        older = cosign(text, KEEPER, signer("keeper"), world.at - 40)
        false = NoteSignature(KEEPER, b"else", b"x" * 72).line
        (folder / OWN).write_bytes(format_note(text, [said]).encode())
        (folder / f"{OWN}0").write_bytes(format_note(text, [said, false]).encode())
        (folder / f"{OWN}1").write_bytes(format_note(text, [older]).encode())
        os.mkfifo(folder / f"{OWN}2")
        (folder / f"{OWN}3").symlink_to(folder / f"{OWN}2")
        publisher.collect()
        vouched = verify_checkpoint(world.policy(), parse_note(publisher.note_for(0)[0]))
        assert (vouched.keepers, vouched.as_of) == ((KEEPER,), world.at)


def test_the_note_that_most_keepers_signed_is_preferred_to_a_newer_one(world: World) -> None:
    with publishing(world) as publisher:
        publisher.publish()
        old = world.ledger.head.size
        (feed(world) / COSIGNED / OWN).write_bytes(line(world, signer("keeper")))
        world.issue(1)
        publisher.publish()
        assert parse_checkpoint(parse_note(publisher.note_for(0)[0]).text).size == old
        newer = parse_note(publisher.note_for(old)[0])
        assert parse_checkpoint(newer.text).size == world.ledger.head.size
        exact = parse_note(publisher.note_for(0, size=world.ledger.head.size)[0])
        assert exact.text == newer.text
        with pytest.raises(LookupError):
            publisher.note_for(0, size=old - 1)
        with pytest.raises(LookupError):
            publisher.note_for(world.ledger.head.size)


def test_few_notes_are_kept_and_the_best_signed_is_among_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOTES_KEPT", 3)
    with publishing(world) as publisher:
        publisher.publish()
        (feed(world) / COSIGNED / OWN).write_bytes(line(world, signer("keeper")))
        publisher.collect()
        signed = world.ledger.head.size
        for number in range(1, 8):
            world.put(world.transaction("hospital", "bills.issue", world.issue_item(number)))
            publisher.publish(patient=False)
        assert publisher.note_for(0)[1] == 1
        assert parse_checkpoint(parse_note(publisher.note_for(0)[0]).text).size == signed
        with pytest.raises(LookupError):
            publisher.note_for(0, size=signed + 2)


def test_the_next_checkpoint_waits_for_a_keeper_that_is_there_but_not_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with publishing(world) as publisher:
        publisher.publish()
        publisher.offer(line(world, signer("keeper")))
        world.issue(1)
        publisher.publish()
        second = world.ledger.head.size
        world.issue(2)
        publisher.publish()
        assert publisher.sizes()[-1] == second  # the keeper has not signed that one yet
        monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
        publisher.publish()
        assert publisher.sizes()[-1] == world.ledger.head.size


def test_a_co_signature_that_is_handed_in_proves_itself_and_outlives_a_restart(
    world: World,
) -> None:
    with publishing(world) as publisher:
        publisher.publish()
        with pytest.raises(VerificationFailed, match="no line of a live keeper"):
            publisher.offer(line(world, signer("else")))
        good = line(world, signer("keeper"))
        publisher.offer(good)
        assert publisher.note_for(0)[1] == 1
        assert publisher.lines() == {KEEPER: (world.ledger.head.size, world.at)}
        world.issue(1)
        with pytest.raises(VerificationFailed, match="not a checkpoint"):
            publisher.offer(line(world, signer("keeper")))
    with publishing(world) as publisher:
        publisher.collect()
        assert publisher.note_for(0)[1] == 1


def test_after_a_restart_time_does_not_fall_behind_what_was_signed(world: World) -> None:
    with publishing(world) as publisher:
        world.at += 100
        publisher.publish()
    world.restart()
    world.at -= 100
    clock = world.clock()
    with publishing(world, clock) as publisher:
        assert clock.at(0) == world.at + 100
        assert publisher.note_for(0)[1] == 0


def test_a_ledger_older_than_what_was_published_does_not_go_on(
    world: World, tmp_path: Path
) -> None:
    """A restored backup: its next block would be a second history."""
    world.ledger.close()
    old = (world.folder / FILE).read_bytes()
    world.restart()
    world.issue(1)
    with publishing(world) as publisher:
        publisher.publish()
    world.ledger.close()
    (world.folder / FILE).write_bytes(old)
    world.ledger = type(world.ledger).open(world.folder, world.rules)
    with pytest.raises(Damaged, match="older than what was"), publishing(world):
        raise AssertionError
    (feed(world) / "checkpoint").unlink()
    with pytest.raises(Damaged, match="older than what was"), publishing(world):
        raise AssertionError


def test_a_failure_is_told_and_ends_the_publishing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with publishing(world) as publisher:
        publisher.publish()
        (feed(world) / COSIGNED).rename(feed(world) / "elsewhere")
        publisher.start()
        publisher.wake()
        until(lambda: publisher.failure is not None)
        assert isinstance(publisher.failure, FileNotFoundError)
