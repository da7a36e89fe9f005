"""The log's hashes as tiles of 256 (C2SP tlog-tiles): growing the right edge, proving from tiles.

Tile (level, index) holds the roots of up to 256 complete subtrees of 256**level leaves each. It
only ever grows to the right, so tiles of the newest size prove for every earlier size as well.
See docs/spec/log.md.

Invariant: what a proof contains depends on (index, size) alone, not on when or by whom the tiles
were written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tallystick.protocol import merkle, multiproof
from tallystick.protocol.canonical import INTEGER_MAX
from tallystick.protocol.errors import Malformed
from tallystick.protocol.merkle import HASH_BYTES

TILE_HEIGHT = 8
TILE_WIDTH = 256
SIZE_MAX = INTEGER_MAX
"""Most leaves of a log: an index stays an exact integer in every JSON reader."""


@dataclass(frozen=True, slots=True)
class TileId:
    """A tile and how many hashes it has; below `TILE_WIDTH` it is partial and will grow."""

    level: int
    index: int
    width: int

    @property
    def path(self) -> str:
        """Its name in C2SP's tree of files."""
        return tile_path(self.level, self.index, self.width)


@dataclass(frozen=True, slots=True)
class TileWrite:
    """A tile as it stands after an extension; replaces what was there under (level, index)."""

    level: int
    index: int
    data: bytes
    branches: bytes = b""
    """Of a whole tile of the lowest level: the roots over sixteen of its hashes each."""


class TileReader(Protocol):
    """Where tiles come from: a store, a directory, a mirror."""

    def read(self, level: int, index: int, width: int) -> bytes:
        """The tile's first `width` hashes, or more of them: a wider tile begins with the narrower.

        Reads nothing else than committed tiles; raises what its medium raises when there is none.
        May be called more than once for one tile, from one thread at a time.
        """


def tile_path(level: int, index: int, width: int) -> str:
    """``tile/0/x001/234``, with ``.p/<width>`` where the tile is partial."""
    if not _exists(level, index, width):
        raise ValueError(f"no log has a tile {level}/{index} of {width} hashes")
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    number = "".join(f"x{group}/" for group in groups[:-1]) + groups[-1]
    return f"tile/{level}/{number}" + (f".p/{width}" if width < TILE_WIDTH else "")


def edge_tiles(size: int) -> list[TileId]:
    """The partial tiles of a log of `size` leaves, lowest level first: all an `Edge` must know."""
    return [
        TileId(level, (size >> TILE_HEIGHT * level) >> TILE_HEIGHT, width)
        for level, width in enumerate(_widths(size))
        if width
    ]


class Edge:
    """The right edge of a growing log: at most 255 hashes a level, whatever the size."""

    def __init__(self) -> None:
        self._size = 0
        self._pending: list[list[bytes]] = []

    @classmethod
    def restore(cls, size: int, reader: TileReader) -> Edge:
        """The edge of a log of `size` leaves, from its partial tiles; compare `root()` yourself."""
        edge = cls()
        edge._size = size
        edge._pending = [[] for _ in _widths(size)]
        for tile in edge_tiles(size):
            edge._pending[tile.level] = _read_hashes(reader, tile)
        return edge

    @property
    def size(self) -> int:
        """How many leaves the log has."""
        return self._size

    def root(self) -> bytes:
        """Root over all leaves so far."""
        peaks: list[bytes] = []
        for hashes in reversed(self._pending):
            peaks += _peaks(hashes)
        return merkle.fold_right(peaks) if peaks else merkle.EMPTY_ROOT

    def extend(self, leaf_hashes: Sequence[bytes]) -> list[TileWrite]:
        """Append leaf hashes; every tile that changed, lowest level first, left to right.

        The caller makes the writes durable before anything vouches for the new root.
        """
        writes: list[TileWrite] = []
        level, added, first = 0, list(leaf_hashes), self._size >> TILE_HEIGHT
        while added:
            if level == len(self._pending):
                self._pending.append([])
            hashes = self._pending[level] + added
            whole = len(hashes) - len(hashes) % TILE_WIDTH
            added = []
            for start in range(0, len(hashes), TILE_WIDTH):
                tile = hashes[start : start + TILE_WIDTH]
                branches = _branches(tile) if start < whole else []
                if branches:
                    added.append(merkle.root(branches))
                kept = b"" if level else b"".join(branches)
                index = first + (start >> TILE_HEIGHT)
                writes.append(TileWrite(level, index, b"".join(tile), kept))
            self._pending[level] = hashes[whole:]
            level, first = level + 1, first >> TILE_HEIGHT
        self._size += len(leaf_hashes)
        return writes


def root_at(reader: TileReader, size: int) -> bytes:
    """Root over the first `size` leaves."""
    return Nodes(reader, size).range_root(0, size)


def inclusion_path(reader: TileReader, index: int, size: int) -> list[bytes]:
    """Path from leaf `index` to the root over the first `size` leaves, as `merkle.path` has it."""
    return inclusion_paths(reader, [index], size)[0]


def inclusion_paths(reader: TileReader, indexes: Sequence[int], size: int) -> list[list[bytes]]:
    """Paths of many leaves under one root, reading and hashing each tile once."""
    nodes = Nodes(reader, size)
    return [[nodes.node(*node) for node in merkle.path_nodes(index, size)] for index in indexes]


def range_path(reader: TileReader, first: int, end: int, size: int) -> list[bytes]:
    """The hashes that prove the leaves [first, end) side by side, see `multiproof.around`."""
    nodes = Nodes(reader, size)
    return [nodes.node(*node) for node in multiproof.around(first, end, size)]


def consistency_path(reader: TileReader, old_size: int, new_size: int) -> list[bytes]:
    """Proof that the first `old_size` of `new_size` leaves are the log of that size."""
    nodes = Nodes(reader, new_size)
    return [nodes.node(*node) for node in merkle.consistency_nodes(old_size, new_size)]


class Nodes:
    """Nodes of the tree of one size, each tile read and hashed once."""

    def __init__(self, reader: TileReader, size: int) -> None:
        self._reader = reader
        self._size = size
        self._pyramids: dict[tuple[int, int], list[list[bytes]]] = {}

    def node(self, level: int, index: int) -> bytes:
        """Root of the leaves [index << level, (index + 1) << level), cut off at the size."""
        end = (index + 1) << level
        if end > self._size:
            return self.range_root(index << level, self._size)
        tile_level, height = divmod(level, TILE_HEIGHT)
        below = TILE_HEIGHT - height
        pyramid = self._pyramid(tile_level, index >> below)
        return pyramid[height][index & (1 << below) - 1]

    def range_root(self, start: int, end: int) -> bytes:
        """Root of a ragged range, from its largest complete subtrees."""
        hashes = [self.node(*node) for node in merkle.range_nodes(start, end)]
        return merkle.fold_right(hashes) if hashes else merkle.EMPTY_ROOT

    def _pyramid(self, level: int, index: int) -> list[list[bytes]]:
        """A tile's hashes and above them the roots of all complete subtrees within it."""
        found = self._pyramids.get((level, index))
        if found is None:
            there = (self._size >> TILE_HEIGHT * level) - (index << TILE_HEIGHT)
            hashes = _read_hashes(self._reader, TileId(level, index, min(there, TILE_WIDTH)))
            found = self._pyramids[level, index] = list(_levels(hashes))
        return found


def _branches(hashes: list[bytes]) -> list[bytes]:
    """Halfway up a whole tile."""
    while len(hashes) > TILE_WIDTH >> TILE_HEIGHT // 2:
        hashes = merkle.pair_up(hashes)
    return hashes


def _levels(hashes: list[bytes]) -> Iterator[list[bytes]]:
    """The levels of a tile, of complete subtrees only."""
    while hashes:
        yield hashes
        hashes = merkle.pair_up(hashes)


def _peaks(hashes: list[bytes]) -> list[bytes]:
    """Roots of the largest complete subtrees of a partial tile, left to right."""
    return [
        merkle.root(hashes[at << level : (at + 1) << level])
        for level, at in merkle.range_nodes(0, len(hashes))
    ]


def _widths(size: int) -> list[int]:
    """Widths of the partial tiles of each level; zero where the last tile is full."""
    return [size >> shift & TILE_WIDTH - 1 for shift in range(0, size.bit_length(), TILE_HEIGHT)]


def _read_hashes(reader: TileReader, tile: TileId) -> list[bytes]:
    data = reader.read(tile.level, tile.index, tile.width)
    if len(data) % HASH_BYTES or not tile.width <= len(data) // HASH_BYTES <= TILE_WIDTH:
        raise Malformed(f"{len(data)} bytes are not {tile.width} hashes", path=tile.path)
    return [data[at : at + HASH_BYTES] for at in range(0, tile.width * HASH_BYTES, HASH_BYTES)]


def _exists(level: int, index: int, width: int) -> bool:
    """Whether a log of at most `SIZE_MAX` leaves has such a tile."""
    if not (0 <= level <= SIZE_MAX.bit_length() // TILE_HEIGHT and 0 <= index <= SIZE_MAX):
        return False
    leaves = (index * TILE_WIDTH + width) << TILE_HEIGHT * level
    return 1 <= width <= TILE_WIDTH and leaves <= SIZE_MAX
