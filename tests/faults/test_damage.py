"""One byte changed, or an end cut off: the right answer or a diagnosis that names the file."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from faults.damage import BLOCKS, Patient, cuts, flips, read_feed, read_frames
from faults.ground import Ground, contents, copy, digest, found, make_block, signer

from tallystick.engines.clock import Clock
from tallystick.ledger.feed import FeedWriter, read_frame
from tallystick.ledger.ledger import GENESIS_FILE, Ledger
from tallystick.ledger.sqlite import FILE
from tallystick.node import Node, rules
from tallystick.protocol.errors import Damaged

FLIPS = 80
CUTS = 15


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient(tmp_path / "ledger", seed=1)


@pytest.mark.parametrize("name", [FILE, GENESIS_FILE])
def test_a_flipped_byte(patient: Patient, name: str) -> None:
    path, chance = patient.folder / name, Random(7)
    found_out = sum(
        patient.hurt(path, data) > 0 for _, data in flips(patient.files[path], chance, FLIPS)
    )
    assert found_out > FLIPS // 2


@pytest.mark.parametrize("name", [FILE, GENESIS_FILE])
def test_a_file_without_its_end(patient: Patient, name: str) -> None:
    path = patient.folder / name
    hurt = [patient.hurt(path, data) > 0 for _, data in cuts(patient.files[path], Random(8), CUTS)]
    assert sum(hurt) > CUTS // 2, "the last page may be one that nobody asks for"


def test_a_missing_founding_file(patient: Patient) -> None:
    (patient.folder / GENESIS_FILE).unlink()
    with pytest.raises(Damaged, match=GENESIS_FILE):
        Ledger.open(patient.folder, rules())


def test_a_flipped_or_torn_feed_is_read_right_or_named(patient: Patient) -> None:
    """What is read is either what was written or not there; a lie in it is the keepers' to find."""
    path = patient.folder / "feed" / "blocks" / "0000000001"
    data, right, chance = path.read_bytes(), read_feed(path.parents[1]), Random(9)
    for what, hurt in [*flips(data, chance, 300), *cuts(data, chance, 50)]:
        path.write_bytes(hurt)
        try:
            read = read_feed(path.parents[1])
        except Damaged as error:
            assert path.name in str(error), what
            continue
        assert len(read) <= len(right)
        if hurt == data[: len(hurt)]:
            assert read == right[: len(read)]


def test_random_bytes_are_no_frames() -> None:
    chance = Random(10)
    for _ in range(300):
        data = chance.randbytes(chance.randrange(200)) + b"\n" * chance.randrange(2)
        with suppress(Damaged):
            assert read_frame(read_frames(data)) is None


def test_what_a_power_cut_left_of_the_feed_is_written_again(patient: Patient) -> None:
    """The feed is not synced with each block: any part of its end may be zeros, or missing."""
    feed = patient.folder / "feed"
    path = feed / "blocks" / "0000000001"
    data, chance = path.read_bytes(), Random(11)
    with Ledger.open(patient.folder, rules()) as ledger:
        for _ in range(60):
            start = chance.randrange(len(data))
            end = min(len(data), start + chance.randrange(1, 4_000))
            torn = data[:start] + bytes(end - start) + data[end:]
            path.write_bytes(torn[: chance.randrange(start, len(data) + 1)])
            writer = FeedWriter(feed, patient.ground.genesis)
            with ledger.store.snapshot() as snapshot:
                writer.append(snapshot)
            writer.close()
            assert path.read_bytes() == data


def test_a_ledger_older_than_what_was_published_of_it_does_not_publish(tmp_path: Path) -> None:
    ground = Ground(12)
    older = found(ground, tmp_path / "older")
    newer = copy(older, tmp_path / "newer")
    block, other = ground.blocks(2)
    with Ledger.open(newer, rules()) as ledger, ledger.store.snapshot():
        make_block(ledger, block)
    with Ledger.open(newer, rules()) as ledger, ledger.store.snapshot() as snapshot:
        writer = FeedWriter(newer / "feed", ground.genesis)
        writer.append(snapshot)
        writer.close()
    before = (newer / "feed" / "blocks" / "0000000001").read_bytes()
    with Ledger.open(older, rules()) as ledger:
        for step in range(2):
            writer = FeedWriter(newer / "feed", ground.genesis)
            with ledger.store.snapshot() as snapshot, pytest.raises(Damaged, match="published"):
                writer.append(snapshot)
            writer.close()
            if step == 0:
                make_block(ledger, other)
    assert (newer / "feed" / "blocks" / "0000000001").read_bytes() == before


def test_a_node_whose_ledger_is_older_than_what_it_signed_does_not_start(tmp_path: Path) -> None:
    ground = Ground(13)
    folder = found(ground, tmp_path / "ledger")
    at = ground.founded_at + 3600
    clock = Clock(now=lambda: float(at), monotonic=lambda: 0.0)
    Node.open(folder, signer("log"), clock=clock).close()
    older = copy(folder, tmp_path / "older")
    with Node.open(folder, signer("log"), clock=clock) as node:
        node.submit(ground.issue("north", 1, at)).result(60)
    shutil.copy(folder / "feed" / "checkpoint", older / "feed" / "checkpoint")
    with pytest.raises(Damaged, match="older than what was signed"):
        Node.open(older, signer("log"), clock=clock)


def test_a_flipped_byte_in_the_wal_gives_whole_blocks_or_a_diagnosis(tmp_path: Path) -> None:
    """SQLite forgets what follows a broken frame; what is left are the blocks before, whole."""
    ground = Ground(14)
    opening = found(ground, tmp_path / "opening")
    blocks = ground.blocks(BLOCKS)
    live, image = copy(opening, tmp_path / "live"), tmp_path / "image"
    wanted = [digest(opening)]
    chance = Random(15)
    with Ledger.open(live, rules()) as ledger:
        for n, block in enumerate(blocks):
            make_block(ledger, block)
            step = copy(live, tmp_path / f"step-{n}")
            wanted.append(digest(step))
        shutil.copytree(live, tmp_path / "full")
    wal = tmp_path / "full" / f"{FILE}-wal"
    for _, data in flips(wal.read_bytes(), chance, 60):
        shutil.rmtree(image, ignore_errors=True)
        shutil.copytree(tmp_path / "full", image)
        (image / f"{FILE}-wal").write_bytes(data)
        try:
            with Ledger.open(image, rules()) as ledger:
                there = ledger.head.block
        except Damaged as error:
            assert FILE in str(error)
            continue
        assert digest(image) == wanted[there - len(contents(opening)["blocks"])]
