"""Paths out of small reads: those of the log's tree at every size, or `Damaged`.

See docs/spec/storage.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from tallystick.ledger.kept import Kept
from tallystick.ledger.log_paths import LogPaths
from tallystick.ledger.records import Head, leaf_groups
from tallystick.ledger.staged import Writes
from tallystick.ledger.store import Store
from tallystick.protocol import merkle
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Damaged
from tallystick.protocol.tiles import Edge
from tallystick.protocol.values import Digest

SIZES = [1, 2, 15, 16, 17, 255, 256, 257, 300, 512, 4_095, 65_535, 65_536, 65_537, 66_000, 66_560]
LEAVES = [sha256(b"leaf %d" % n).digest() for n in range(SIZES[-1])]
ITEMS = [sha256(b"item %d" % n).digest() for n in range(SIZES[-1])]


def head_of(size: int, root: bytes) -> Head:
    return Head(network=bytes(32), block=size, at=0, size=size, root=root, state=bytes(32))


@contextmanager
def log(folder: Path) -> Iterator[tuple[Store, Edge]]:
    Store.make(folder, head_of(0, merkle.EMPTY_ROOT), Writes(root=bytes(32)))
    store = Store.open(folder)
    try:
        yield store, Edge()
    finally:
        store.close()


def grow(store: Store, edge: Edge, size: int) -> Head:
    """As a block's commit does."""
    first = edge.size
    tiles = edge.extend(LEAVES[first:size])
    head = head_of(size, edge.root())
    groups = leaf_groups(first, LEAVES[first:size], ITEMS[first:size])
    store.commit(head, Writes(root=bytes(32)), leaves=groups, tiles=tiles)
    return head


def root_of(paths: LogPaths, index: int, size: int) -> bytes:
    leaf, item, steps = paths.path(index)
    assert (leaf, item) == (LEAVES[index], ITEMS[index])
    path = decode(b"[" + steps[:-1] + b"]", list[Digest])
    assert encode(path) == b"[" + steps[:-1] + b"]"
    return merkle.root_from_path(leaf, index, size, path)


@pytest.mark.parametrize("bytes_max", [None, 2_000])
def test_every_path_at_every_size_of_a_growing_log(tmp_path: Path, bytes_max: int | None) -> None:
    """What is kept of earlier sizes serves the later ones, also if it is little."""
    kept = Kept() if bytes_max is None else Kept(bytes_max)
    random = Random(11)
    with log(tmp_path) as (store, edge):
        for size in SIZES:
            head = grow(store, edge, size)
            paths = LogPaths(store, head, kept)
            edges = {0, size - 1, size // 2, max(size - 256, 0), max(size - 17, 0)}
            for index in sorted(edges | {random.randrange(size) for _ in range(60)}):
                assert root_of(paths, index, size) == head.root


def test_tiles_are_read_once_they_lead_to_the_root(tmp_path: Path) -> None:
    with log(tmp_path) as (store, edge):
        paths = LogPaths(store, grow(store, edge, 66_000), Kept())
        assert paths.read(0, 3, 256) == b"".join(LEAVES[768:1_024])
        assert paths.read(1, 0, 256)[:32] == merkle.root(LEAVES[:256])
        assert len(paths.read(0, 257, 208)) == 208 * 32


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE leaves SET data = zeroblob(length(data))",
        "UPDATE leaves SET data = CAST(data || zeroblob(64) AS BLOB)",
        "UPDATE leaves SET data = CAST(substr(data, 65) AS BLOB)",
        "DELETE FROM leaves",
        "UPDATE branches SET data = zeroblob(512)",
        "UPDATE branches SET data = x'00'",
        "DELETE FROM branches",
        "UPDATE tiles SET data = zeroblob(8192) WHERE key > 1 << 55 AND length(data) = 8192",
        "UPDATE tiles SET data = zeroblob(length(data)) WHERE length(data) < 8192",
        "DELETE FROM tiles",
    ],
)
def test_what_was_changed_gives_no_path(tmp_path: Path, sql: str) -> None:
    with log(tmp_path) as (store, edge):
        head = grow(store, edge, 66_000)
        store.db.execute(sql)
        with pytest.raises(Damaged, match=r"ledger\.db"):
            LogPaths(store, head, Kept()).path(1_000)


def test_of_the_newest_leaves_too(tmp_path: Path) -> None:
    with log(tmp_path) as (store, edge):
        head = grow(store, edge, 300)
        store.db.execute("UPDATE leaves SET data = zeroblob(64) WHERE key = 18")
        with pytest.raises(Damaged, match="table leaves"):
            LogPaths(store, head, Kept()).path(290)


def test_what_another_ledger_left_behind_is_not_believed(tmp_path: Path) -> None:
    """Parts are taken by their hashes, so that one of another log is read again."""
    kept = Kept()
    with log(tmp_path / "one") as (store, edge):
        head = grow(store, edge, 66_000)
        assert root_of(LogPaths(store, head, kept), 1_000, 66_000) == head.root
    with log(tmp_path / "other") as (store, edge):
        tiles = edge.extend(LEAVES[:66_000][::-1])
        groups = leaf_groups(0, LEAVES[:66_000][::-1], ITEMS[:66_000])
        head = head_of(66_000, edge.root())
        store.commit(head, Writes(root=bytes(32)), leaves=groups, tiles=tiles)
        leaf, _, steps = LogPaths(store, head, kept).path(1_000)
        path = decode(b"[" + steps[:-1] + b"]", list[Digest])
        assert merkle.root_from_path(leaf, 1_000, 66_000, path) == head.root
