"""Paths from entries to the log's root at one moment, made of few and small reads.

The sixteen leaves beside an entry, the sixteen hashes above, then tiles: each part is checked
against the one above it, and the uppermost tiles against the root. See docs/spec/storage.md.

Invariant: every hash that is given, or that a path has, leads to the root of the head.
"""

from __future__ import annotations

from struct import Struct

from tallystick.ledger.kept import (
    SIBLINGS,
    STEP,
    Kept,
    Steps,
    four_steps,
    is_step,
    step,
    steps_of,
    steps_over,
)
from tallystick.ledger.records import GROUP_LEAVES, LEAF_BYTES, Head
from tallystick.ledger.store import Connection
from tallystick.protocol import merkle
from tallystick.protocol.errors import Damaged
from tallystick.protocol.page import group_levels
from tallystick.protocol.tiles import TILE_HEIGHT, TILE_WIDTH, Edge, Nodes

_GROUP = GROUP_LEAVES * LEAF_BYTES
_LEAVES = Struct("32s32x" * GROUP_LEAVES)
_UPPER = TILE_HEIGHT * 2
"""From this level on a path's steps are the same for all leaves below a tile of tiles."""
_STARTS = [2 * TILE_WIDTH - (2 * TILE_WIDTH >> height) for height in range(TILE_HEIGHT)]
_IN_TILE = [
    [
        slice(place * STEP, place * STEP + STEP)
        for place in [start + (at >> height ^ 1) for height, start in enumerate(_STARTS)]
    ]
    for at in range(TILE_WIDTH)
]
"""Where the siblings of each hash of a tile stand in its text."""


class LogPaths:
    """The log at one moment; fulfils `protocol.tiles.TileReader`, each tile checked."""

    def __init__(self, store: Connection, head: Head, kept: Kept) -> None:
        self._store = store
        self._size = head.size
        self._kept = kept
        self._edge: dict[tuple[int, int], bytes] = {}
        self._above: dict[int, tuple[bytes, bytes]] = {}
        self._last: dict[int, tuple[bytes, bytes]] = {}
        if Edge.restore(head.size, self).root() != head.root:
            raise Damaged(f"{store.path}: the right edge of the log does not give its root")
        self.nodes = Nodes(self, head.size)
        """For few leaves: it keeps what it has read."""

    def read(self, level: int, index: int, width: int) -> bytes:
        """A tile, once it leads to the root."""
        if self._is_whole(level, index):
            data = self._store.read(level, index, TILE_WIDTH)
            self._check(level, index, _root_of(data))
            return data
        data = self._edge.get((level, index), b"")
        if not data:  # checked as a whole when this object is made
            data = self._store.read(level, index, width)[: width * merkle.HASH_BYTES]
            self._edge[level, index] = data
        return data

    def path(self, index: int) -> tuple[bytes, bytes, bytes]:
        """The hash of a leaf, the hash of its item, and the steps from the leaf to the root."""
        tile, at = index >> TILE_HEIGHT, index % GROUP_LEAVES
        data = self._store.leaf_group(index >> 4)
        start = at * LEAF_BYTES
        leaf, item = data[start : start + 32], data[start + 32 : start + LEAF_BYTES]
        if not self._is_whole(0, tile):
            return leaf, item, self._path_at_the_edge(index, leaf)
        if len(data) != _GROUP:
            raise Damaged(f"{self._store.path}: table leaves lacks hashes beside entry {index}")
        root, above = self._tile(tile)
        branches = self._kept.branches.parts.get(tile)
        if branches is None or step(branches.root) != root:
            branches = self._read_branches(tile, root)
        levels, text = group_levels(b"".join(_LEAVES.unpack(data))), branches.text
        branch = (index >> 4) % GROUP_LEAVES
        if not is_step(levels[4], text, branch):
            raise Damaged(f"{self._store.path}: table leaves is not what the log commits to")
        a, b, c, d = SIBLINGS[branch]
        low = four_steps(levels, at)
        return leaf, item, low + text[a] + text[b] + text[c] + text[d] + above

    def _is_whole(self, level: int, index: int) -> bool:
        return index < self._size >> TILE_HEIGHT * (level + 1)

    def _tile(self, tile: int) -> tuple[bytes, bytes]:
        """The root of a whole tile as a step, and the steps above it."""
        upper, at = tile >> TILE_HEIGHT, tile % TILE_WIDTH
        if not self._is_whole(1, upper):
            found = self._last.get(tile)
            if found is None:
                root = step(self.nodes.node(TILE_HEIGHT, tile))
                found = self._last[tile] = root, self._steps_from(TILE_HEIGHT, tile)
            return found
        text, above = self._above.get(upper) or self._open(upper)
        a, b, c, d, e, f, g, h = _IN_TILE[at]
        steps = text[a] + text[b] + text[c] + text[d] + text[e] + text[f] + text[g] + text[h]
        return text[at * STEP : at * STEP + STEP], steps + above

    def _open(self, upper: int) -> tuple[bytes, bytes]:
        """The text of a whole tile of tiles, and the steps above it."""
        kept = self._kept.tiles.parts.get((1, upper))
        if kept is None or kept[0] != self.nodes.node(_UPPER, upper):
            data = self.read(1, upper, TILE_WIDTH)
            levels = _levels(data)
            text = b"".join([steps_of(level) for level in levels[:-1]])
            kept = self._kept.tiles.put((1, upper), (levels[-1], text), len(text))
        found = self._above[upper] = kept[1], self._steps_from(_UPPER, upper)
        return found

    def _steps_from(self, level: int, at: int) -> bytes:
        """The steps of a path from this level on."""
        nodes = merkle.path_nodes(at << level, self._size)
        return b"".join([step(self.nodes.node(*each)) for each in nodes if each[0] >= level])

    def _path_at_the_edge(self, index: int, leaf: bytes) -> bytes:
        """Of a leaf below a tile that is not whole yet."""
        if self.nodes.node(0, index) != leaf:
            raise Damaged(f"{self._store.path}: table leaves is not what the log commits to")
        return self._steps_from(0, index)

    def _read_branches(self, tile: int, root: bytes) -> Steps:
        data = self._store.branch(tile)
        if data is None or len(data) != GROUP_LEAVES * merkle.HASH_BYTES:
            raise Damaged(f"{self._store.path} lacks the hashes above tile {tile}")
        steps = steps_over(data)
        if step(steps.root) != root:
            raise Damaged(f"{self._store.path}: table branches is not what the log commits to")
        return self._kept.branches.put(tile, steps, len(steps.text))

    def _check(self, level: int, index: int, root: bytes) -> None:
        """The root of a whole tile is what the tile above says."""
        above, at = level + 1, index >> TILE_HEIGHT
        width = min(TILE_WIDTH, (self._size >> TILE_HEIGHT * above) - (at << TILE_HEIGHT))
        start = index % TILE_WIDTH * merkle.HASH_BYTES
        if self.read(above, at, width)[start : start + merkle.HASH_BYTES] != root:
            raise Damaged(
                f"{self._store.path}: tile {level}/{index} is not what the log commits to"
            )


def _levels(data: bytes) -> list[bytes]:
    """The hashes of a whole tile and all levels above them; the last is its root."""
    hashes = [data[at : at + merkle.HASH_BYTES] for at in range(0, len(data), merkle.HASH_BYTES)]
    levels = [data]
    while len(hashes) > 1:
        hashes = merkle.pair_up(hashes)
        levels.append(b"".join(hashes))
    return levels


def _root_of(data: bytes) -> bytes:
    return _levels(data)[-1]
