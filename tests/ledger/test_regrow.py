"""A ledger grown again: whole and as signed, or not there; gone on with where it was cut off.

Invariant tested: a folder that was grown has exactly the log that was signed; what is false leaves
none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from world import World, genesis_file

from tallystick.ledger.feed import FeedBlock, FeedReader, pack_frame, read_blocks
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.portable import export_ledger
from tallystick.ledger.regrow import catch_up, growing, grown
from tallystick.ledger.replay import Difference
from tallystick.protocol.checkpoint import Checkpoint
from tallystick.protocol.errors import VerificationFailed


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "ledger")
    world.prepare()
    world.issue(1, 2)
    world.issue(3)
    return world


def told(world: World) -> list[FeedBlock]:
    with world.ledger.store.snapshot() as snapshot:
        return list(read_blocks(snapshot, 1))


def source(blocks: list[FeedBlock], at_once: int = 100) -> Callable[[int], Iterator[FeedBlock]]:
    return lambda after: iter(blocks[after : after + at_once])


def grow(
    world: World,
    folder: Path,
    blocks: Callable[[int], Iterator[FeedBlock]],
    target: Checkpoint | None = None,
) -> None:
    with (
        growing(folder) as beside,
        grown(
            *(beside, world.genesis, world.rules, blocks),
            target=target or world.ledger.checkpoint,
        ) as ledger,
    ):
        assert not folder.exists()
        assert ledger.head == world.ledger.head


class Cut(Exception):
    """The process ends here."""


def test_it_is_there_whole_and_only_then(world: World, tmp_path: Path) -> None:
    grow(world, tmp_path / "new", source(told(world), at_once=2))
    with Ledger.open(tmp_path / "new", world.rules) as ledger:
        assert ledger.head == world.ledger.head
    with pytest.raises(FileExistsError, match="is not empty"):
        grow(world, tmp_path / "new", source(told(world)))


def test_what_was_cut_off_is_gone_on_with(world: World, tmp_path: Path) -> None:
    blocks, asked = told(world), list[int]()

    def cut(after: int) -> Iterator[FeedBlock]:
        asked.append(after)
        yield from blocks[after : after + 2]
        if len(asked) == 2:
            raise Cut

    with pytest.raises(Cut):
        grow(world, tmp_path / "new", cut)
    assert not (tmp_path / "new").exists()
    asked.clear()
    asked += [0, 0]  # cut off no more
    grow(world, tmp_path / "new", cut)
    assert asked[2:] == [4]


@pytest.mark.parametrize("what", ["state", "early", "root", "network"])
def test_what_is_false_leaves_nothing(world: World, tmp_path: Path, what: str) -> None:
    blocks, target = told(world), world.ledger.checkpoint
    if what == "state":
        blocks[3] = replace(blocks[3], state=bytes(32))
    if what == "early":
        blocks.pop()
    if what == "root":
        target = Checkpoint(target.origin, target.size, bytes(32))
    if what == "network":
        other = World(tmp_path / "other", genesis=genesis_file(seed=5))
        with growing(tmp_path / "begun") as beside:
            Ledger.found(beside, other.genesis, other.rules).close()
        (tmp_path / "begun").rename(tmp_path / ".new.growing")
    with pytest.raises(VerificationFailed) as raised:
        grow(world, tmp_path / "new", source(blocks), target)
    assert isinstance(raised.value, Difference) == (what == "state")
    assert not (tmp_path / "new").exists() and not (tmp_path / ".new.growing").exists()


def test_an_export_is_believed_as_far_as_it_is_signed(world: World, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export_ledger(world.folder, export, note=world.note())
    signed = world.ledger.head
    world.issue(4)
    export_ledger(world.folder, export)  # further, and nobody has signed that
    assert len(list(FeedReader(export).blocks(0))) == 7
    head = catch_up(export, tmp_path / "new", world.rules, network=world.ledger.network)
    assert head == signed
    with pytest.raises(VerificationFailed, match="is of network"):
        catch_up(export, tmp_path / "b", world.rules, network=bytes(32))


def test_an_export_that_nobody_signed_or_that_lies_is_not_begun_with(
    world: World, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    export_ledger(world.folder, export)
    with pytest.raises(VerificationFailed, match="has no checkpoint"):
        catch_up(export, tmp_path / "new", world.rules)
    other = World(tmp_path / "other", genesis=genesis_file(seed=5))
    (export / "checkpoint").write_bytes(other.note())
    with pytest.raises(VerificationFailed, match="a checkpoint of"):
        catch_up(export, tmp_path / "new", world.rules)
    (export / "checkpoint").write_bytes(world.note())
    blocks = told(world)
    lie = [*blocks[:-1], replace(blocks[-1], root=bytes(32))]
    (export / "blocks" / "0000000001").write_bytes(b"".join(map(pack_frame, lie)))
    with pytest.raises(Difference, match="log of block 6"):
        catch_up(export, tmp_path / "new", world.rules)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["export", "ledger", "other"]
