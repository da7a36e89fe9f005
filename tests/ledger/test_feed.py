"""The feed's files: they can be read while they grow, and what is torn is not there yet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from world import World

from tallystick.ledger import feed
from tallystick.ledger.feed import (
    FeedBlock,
    FeedReader,
    FeedWriter,
    Frame,
    pack_frame,
    read_blocks,
    read_frame,
    write_tiles,
)
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Damaged
from tallystick.protocol.tiles import TILE_WIDTH, root_at, tile_path


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "ledger")
    world.prepare()
    world.issue(1, 2, 2)
    world.issue(3)
    return world


def write(world: World, folder: Path) -> int:
    writer = FeedWriter(folder, world.genesis)
    try:
        with world.ledger.store.snapshot() as snapshot:
            added = writer.append(snapshot)
        writer.sync()
        return added
    finally:
        writer.close()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "blocks").iterdir()}


def test_what_is_written_is_what_is_read(world: World, tmp_path: Path) -> None:
    assert write(world, tmp_path / "feed") == world.ledger.head.block
    (tmp_path / "feed" / "blocks" / "\u00b2").touch()  # a digit, but no number
    reader = FeedReader(tmp_path / "feed")
    with world.ledger.store.snapshot() as snapshot:
        blocks = list(read_blocks(snapshot, 1))
    assert list(reader.blocks(0)) == blocks
    assert list(reader.blocks(3)) == blocks[3:]
    assert list(reader.blocks(99)) == []
    assert blocks[-2].refused == [{"2": "bills.number_used"}]
    assert reader.genesis() == world.genesis
    assert reader.checkpoint() is None
    assert list(FeedReader(tmp_path / "nowhere").blocks(0)) == []


def test_a_writer_goes_on_where_the_last_one_stopped(world: World, tmp_path: Path) -> None:
    write(world, tmp_path / "feed")
    before = files(tmp_path / "feed")
    assert write(world, tmp_path / "feed") == 0
    assert files(tmp_path / "feed") == before
    world.issue(4)
    assert write(world, tmp_path / "feed") == 1
    after = files(tmp_path / "feed")
    assert after.keys() == before.keys()
    assert after["0000000001"].startswith(before["0000000001"])


def test_a_torn_end_is_not_there_yet_and_is_cut_off(world: World, tmp_path: Path) -> None:
    write(world, tmp_path / "feed")
    path = tmp_path / "feed" / "blocks" / "0000000001"
    whole = path.read_bytes()
    last = len(pack_frame(list(FeedReader(tmp_path / "feed").blocks(0))[-1]))
    for cut in (1, 2, last // 2, last - 1, last):
        path.write_bytes(whole[:-cut])
        assert len(list(FeedReader(tmp_path / "feed").blocks(0))) == world.ledger.head.block - 1
        assert write(world, tmp_path / "feed") == 1
        assert path.read_bytes() == whole


def test_a_large_file_is_followed_by_a_next(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "FILE_BYTES_MAX", 1_500)
    write(world, tmp_path / "feed")
    world.issue(4)
    write(world, tmp_path / "feed")
    names = sorted(files(tmp_path / "feed"))
    assert len(names) > 2
    with world.ledger.store.snapshot() as snapshot:
        blocks = list(read_blocks(snapshot, 1))
    reader = FeedReader(tmp_path / "feed")
    for after in range(len(blocks) + 1):
        assert list(reader.blocks(after)) == blocks[after:]
    assert all(int(name) in range(1, len(blocks) + 1) for name in names)


def test_a_reader_sees_what_is_added_while_it_reads(world: World, tmp_path: Path) -> None:
    write(world, tmp_path / "feed")
    blocks = FeedReader(tmp_path / "feed").blocks(world.ledger.head.block - 1)
    assert next(blocks).block == world.ledger.head.block
    world.issue(5)
    write(world, tmp_path / "feed")
    assert [block.block for block in blocks] == [world.ledger.head.block]


def test_a_reader_goes_on_where_it_stopped_and_reads_nothing_twice(
    world: World, tmp_path: Path
) -> None:
    write(world, tmp_path / "feed")
    reader, head = FeedReader(tmp_path / "feed"), world.ledger.head.block
    assert len(list(reader.blocks(0))) == head
    world.issue(5)
    write(world, tmp_path / "feed")
    (path,) = (tmp_path / "feed" / "blocks").iterdir()
    with path.open("r+b") as file:
        file.write(b"no frame any more")
    assert [block.block for block in reader.blocks(head)] == [head + 1]
    assert list(reader.blocks(head + 1)) == []
    with pytest.raises(Damaged):
        list(reader.blocks(head - 1))


def test_a_block_that_is_left_out_is_damage(world: World, tmp_path: Path) -> None:
    write(world, tmp_path / "feed")
    path = tmp_path / "feed" / "blocks" / "0000000001"
    frames = [pack_frame(block) for block in FeedReader(tmp_path / "feed").blocks(0)]
    path.write_bytes(b"".join(frames[:2] + frames[3:]))
    with pytest.raises(Damaged, match="block 4 where 3 was expected"):
        list(FeedReader(tmp_path / "feed").blocks(0))


def test_an_older_ledger_does_not_go_on_behind_what_was_published(
    world: World, tmp_path: Path
) -> None:
    """A restored backup would fork the history that others have read."""
    other = World(tmp_path / "older")
    other.prepare()
    write(world, tmp_path / "feed")
    with pytest.raises(Damaged, match="older than what was published"):
        write(other, tmp_path / "feed")


def frame(**changes: Any) -> bytes:
    block = FeedBlock(1, 5, 2, bytes(32), bytes(32), [b"abc"], [{}])
    line = {name: getattr(block, name) for name in ("block", "at", "size", "root", "state")}
    line |= {"lengths": [3], "refused": [{}]}
    return encode(line | changes) + b"\nabc\n"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{}\nabc\n", "missing"),
        (frame(block=0), "block"),
        (frame(lengths=[]), "lengths"),
        (frame(lengths=[0]), "lengths"),
        (frame(lengths=[524_289]), "lengths"),
        (frame(lengths=[524_288] * 300, refused=[{}] * 300), "more than"),
        (frame(refused=[]), "not one outcome a transaction"),
        (frame(extra=1), "unknown"),
        (frame().replace(b'"at":5', b'"at": 5'), "not the canonical"),
        (frame().replace(b"abc\n", b"abcd\n"), "does not end where its line says"),
        (b"x" * (1024 * 1024 + 10), "a line of more than"),
    ],
)
def test_what_is_no_frame_is_damage_with_its_place(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "0000000001"
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises(Damaged, match=says) as raised:
        read_frame(file)
    assert str(path) in str(raised.value)


def test_a_frame_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    data = frame()
    assert Frame.__struct_fields__[0] == "block"
    for end in range(len(data)):
        assert read_frame(io.BytesIO(data[:end])) is None
    found = read_frame(io.BytesIO(data + data))
    assert found is not None
    assert found.transactions == [b"abc"]
    assert pack_frame(found) == data


def test_tiles_give_the_root_and_a_torn_one_is_written_anew(world: World, tmp_path: Path) -> None:
    for start in range(100, 700, 100):
        items = [world.issue_item(number) for number in range(start, start + 100)]
        world.put(world.transaction("hospital", "bills.issue", *items))
    with world.ledger.store.snapshot() as snapshot:
        written = write_tiles(snapshot, tmp_path)
        paths = [path for path in tmp_path.glob("tile/**/*") if path.is_file()]
        assert written == len(paths) >= 4
        paths[0].write_bytes(b"torn")
        assert write_tiles(snapshot, tmp_path) == 1
        assert write_tiles(snapshot, tmp_path) == 0

    class Folder:
        def read(self, level: int, index: int, width: int) -> bytes:
            for wide in range(width, TILE_WIDTH + 1):
                path = tmp_path / tile_path(level, index, wide)
                if path.exists():
                    return path.read_bytes()
            raise AssertionError((level, index, width))

    assert root_at(Folder(), world.ledger.head.size) == world.ledger.head.root


def test_what_others_put_into_the_folder_stops_no_reader(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").symlink_to("/dev/zero")
    with pytest.raises(OSError):
        FeedReader(tmp_path).checkpoint()
