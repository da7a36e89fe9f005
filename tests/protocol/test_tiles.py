"""Tiles against the examples of C2SP tlog-tiles, then against the plain tree."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.protocol import merkle, tiles
from tallystick.protocol.errors import Malformed
from tallystick.protocol.tiles import Edge, TileId, TileWrite

LEAVES = [merkle.leaf_hash(str(n).encode()) for n in range(1_400)]
LARGE = 70_000
"""The example of tlog-tiles: three levels of tiles, every right edge ragged."""


class Store:
    """What a ledger keeps: the newest tile under each (level, index). Counts what is read."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.reads: list[TileId] = []

    def write(self, writes: Iterable[TileWrite]) -> None:
        for write in writes:
            before = self.tiles.get((write.level, write.index), b"")
            assert write.data.startswith(before)
            assert len(write.data) > len(before)
            self.tiles[write.level, write.index] = write.data

    def read(self, level: int, index: int, width: int) -> bytes:
        self.reads.append(TileId(level, index, width))
        return self.tiles[level, index]


class Exact(Store):
    """What a directory of static files keeps: each tile at the width that was asked for."""

    def read(self, level: int, index: int, width: int) -> bytes:
        return super().read(level, index, width)[: width * 32]


class Cut(Store):
    """A store whose answers are changed on the way."""

    def __init__(self, suffix: bytes, cut: int) -> None:
        super().__init__()
        self.suffix, self.cut = suffix, cut

    def read(self, level: int, index: int, width: int) -> bytes:
        data = super().read(level, index, width)
        return data[: len(data) - self.cut] + self.suffix


def grown(size: int, batch: int = 1_000) -> tuple[Edge, Store]:
    edge, store = Edge(), Store()
    for start in range(0, size, batch):
        store.write(edge.extend(LEAVES[start : min(start + batch, size)]))
    return edge, store


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        ((0, 1_234_067, 256), "tile/0/x001/x234/067"),
        ((0, 0, 256), "tile/0/000"),
        ((0, 273, 112), "tile/0/273.p/112"),
        ((1, 1, 17), "tile/1/001.p/17"),
        ((2, 0, 1), "tile/2/000.p/1"),
        ((0, 999, 256), "tile/0/999"),
        ((0, 1_000, 256), "tile/0/x001/000"),
        ((6, 0, 31), "tile/6/000.p/31"),
    ],
)
def test_paths_of_the_specification(tile: tuple[int, int, int], path: str) -> None:
    assert tiles.tile_path(*tile) == path
    assert TileId(*tile).path == path


@pytest.mark.parametrize(
    "tile", [(-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257), (7, 0, 1), (6, 0, 32), (0, 2**53, 1)]
)
def test_impossible_tiles_have_no_path(tile: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no log has"):
        tiles.tile_path(*tile)


def test_the_tiles_of_a_log_of_70_000_leaves() -> None:
    """273 full and one of 112, one full and one of 17, one of 1 (tlog-tiles, "Partial Tiles")."""
    edge, store = Edge(), Store()
    leaf_hashes = [merkle.leaf_hash(n.to_bytes(4, "big")) for n in range(LARGE)]
    for start in range(0, LARGE, 999):
        store.write(edge.extend(leaf_hashes[start : start + 999]))
    widths = {where: len(data) // 32 for where, data in store.tiles.items()}
    expected = {(0, n): 256 for n in range(273)} | {(1, 0): 256}
    assert widths == expected | {(0, 273): 112, (1, 1): 17, (2, 0): 1}
    assert tiles.edge_tiles(LARGE) == [TileId(0, 273, 112), TileId(1, 1, 17), TileId(2, 0, 1)]
    assert edge.root() == merkle.root(leaf_hashes) == tiles.root_at(store, LARGE)
    for index, size in ((0, LARGE), (69_999, LARGE), (65_535, 65_536), (65_536, 65_537)):
        top = merkle.root(leaf_hashes[:size])
        path = tiles.inclusion_path(store, index, size)
        merkle.verify_path(leaf_hashes[index], index, size, path, top)
    for old in (1, 255, 256, 65_535, 65_536, 65_537, 69_999):
        proof = tiles.consistency_path(store, old, LARGE)
        merkle.verify_consistency(old, merkle.root(leaf_hashes[:old]), LARGE, edge.root(), proof)


def test_a_full_tile_has_no_partial_one_beside_it() -> None:
    """A tree of 256 is a full tile and one of width 1 above it (tlog-tiles, same place)."""
    edge, store = grown(256)
    assert {where: len(data) for where, data in store.tiles.items()} == {(0, 0): 8_192, (1, 0): 32}
    assert tiles.edge_tiles(256) == [TileId(1, 0, 1)]
    assert edge.root() == store.tiles[1, 0]


def test_the_empty_log() -> None:
    edge, store = grown(0)
    assert edge.size == 0
    assert edge.extend([]) == []
    assert edge.root() == merkle.EMPTY_ROOT == tiles.root_at(store, 0)
    assert Edge.restore(0, store).root() == merkle.EMPTY_ROOT
    assert tiles.edge_tiles(0) == []
    assert tiles.consistency_path(store, 0, 0) == []


def test_writes_come_in_order_and_say_what_they_are() -> None:
    writes = Edge().extend(LEAVES[:600])
    assert [(write.level, write.index, len(write.data) // 32) for write in writes] == [
        (0, 0, 256),
        (0, 1, 256),
        (0, 2, 88),
        (1, 0, 2),
    ]


def test_impossible_proofs() -> None:
    _, store = grown(300)
    with pytest.raises(ValueError, match="no leaf"):
        tiles.inclusion_path(store, 300, 300)
    with pytest.raises(ValueError, match="no prefix"):
        tiles.consistency_path(store, 301, 300)


@pytest.mark.parametrize(("suffix", "cut"), [(b"", 32), (b"", 1), (b"x", 0), (b"x" * 32 * 256, 0)])
def test_a_tile_of_another_size_is_refused(suffix: bytes, cut: int) -> None:
    _, store = grown(300)
    reader = Cut(suffix, cut)
    reader.tiles = store.tiles
    with pytest.raises(Malformed):
        tiles.root_at(reader, 300)


def test_every_tile_is_read_once_for_many_paths() -> None:
    _, store = grown(1_400)
    found = tiles.inclusion_paths(store, range(1_400), 1_400)
    assert found == merkle.paths(LEAVES)
    assert len(store.reads) == len(store.tiles) == 7


@settings(max_examples=50)
@given(st.lists(st.integers(0, 300), max_size=6), st.data())
def test_any_batches_give_the_plain_tree(batches: list[int], data: st.DataObject) -> None:
    """Growing, restoring and proving, at every size a log has had, from the newest tiles."""
    edge, store = Edge(), Exact()
    sizes = [0]
    for batch in batches:
        store.write(edge.extend(LEAVES[edge.size : edge.size + batch]))
        sizes.append(edge.size)
        assert edge.root() == merkle.root(LEAVES[: edge.size])
        if data.draw(st.booleans()):
            edge = Edge.restore(edge.size, store)
    size = data.draw(st.integers(0, edge.size) | st.sampled_from(sizes))
    assert tiles.root_at(store, size) == merkle.root(LEAVES[:size])
    assert Edge.restore(size, store).root() == merkle.root(LEAVES[:size])
    assert store.tiles == grown(edge.size)[1].tiles
    if size:
        index = data.draw(st.integers(0, size - 1))
        assert tiles.inclusion_path(store, index, size) == merkle.path(LEAVES[:size], index)
        proof = tiles.consistency_path(store, size, edge.size)
        merkle.verify_consistency(size, merkle.root(LEAVES[:size]), edge.size, edge.root(), proof)
