"""The ledger as portable files: what an export is, and what keepers follow.

``genesis.json``, ``checkpoint`` (a signed note), ``blocks/<first block>`` (frames, one a block, in
files that only grow), ``cosigned/`` (keepers' words) and in exports ``tile/…`` as C2SP lays them
out. A frame is a line of canonical JSON and the bytes of the block's transactions; one that is not
whole yet is not there yet. Served over HTTP later, byte for byte. See docs/spec/feed.md.

Invariant: whoever reads it believes nothing of it before executing it again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

from tallystick.ledger.store import Snapshot
from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.protocol.errors import Damaged, Malformed
from tallystick.protocol.tiles import TILE_WIDTH, tile_path
from tallystick.protocol.transaction import TRANSACTION_BYTES_MAX
from tallystick.protocol.values import Count, Digest

FILE_BYTES_MAX = 64 * 1024 * 1024
"""From this size on a next file is begun: what a copy or a download repeats at most."""
LINE_BYTES_MAX = 1024 * 1024
TRANSACTIONS_MAX = 10_000
"""Of a block: one unit of work each."""


class Frame(Record):
    """The line before a block's transactions."""

    block: Annotated[int, Meta(ge=1)]
    at: Count
    size: Count
    """Of the log after the block."""
    root: Digest
    state: Digest
    lengths: Annotated[
        list[Annotated[int, Meta(ge=1, le=TRANSACTION_BYTES_MAX)]],
        Meta(min_length=1, max_length=TRANSACTIONS_MAX),
    ]
    refused: list[dict[str, str]]
    """Of each transaction: ``{n: reason}``; items that are not named were accepted."""


@dataclass(frozen=True, slots=True)
class FeedBlock:
    """A block as its operator tells it; nothing of it is proven."""

    block: int
    at: int
    size: int
    root: bytes
    state: bytes
    transactions: list[bytes]
    refused: list[dict[str, str]]


class FeedWriter:
    """Writes blocks behind those that are there. One process at a time."""

    def __init__(self, folder: Path, genesis: bytes) -> None:
        self.folder = folder
        (folder / "blocks").mkdir(parents=True, exist_ok=True)
        write_file(folder / "genesis.json", genesis)
        self._file, self._bytes, self.block = self._resume()

    def append(self, snapshot: Snapshot, progress: Callable[[int], None] | None = None) -> int:
        """Add every block that the snapshot has and the files have not: how many."""
        added = 0
        for block in read_blocks(snapshot, self.block + 1):
            self._write(block)
            added += 1
            if progress is not None:
                progress(block.block)
        if self._file is not None:
            self._file.flush()
        return added

    def sync(self) -> None:
        """Make what was written durable: an export is used when the ledger is gone."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, block: FeedBlock) -> None:
        if self._file is None or self._bytes > FILE_BYTES_MAX:
            self.sync()
            self.close()
            self._file, self._bytes = (self._path(block.block)).open("ab"), 0
        data = pack_frame(block)
        self._file.write(data)
        self._bytes += len(data)
        self.block = block.block

    def _path(self, block: int) -> Path:
        return self.folder / "blocks" / f"{block:010d}"

    def _resume(self) -> tuple[BinaryIO | None, int, int]:
        """Go on after the last whole frame; what a crash left behind it is cut off."""
        names = sorted(path.name for path in (self.folder / "blocks").iterdir())
        if not names:
            return None, 0, 0
        path = self.folder / "blocks" / names[-1]
        block, end = int(names[-1]) - 1, 0
        with path.open("rb") as file:
            while (frame := read_frame(file)) is not None:
                block, end = frame.block, file.tell()
        opened = path.open("r+b")
        opened.truncate(end)
        opened.seek(end)
        return opened, end, block


class FeedReader:
    """Reads what a `FeedWriter` writes, while it writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def genesis(self) -> bytes:
        """The founding file."""
        return (self.folder / "genesis.json").read_bytes()

    def checkpoint(self) -> bytes | None:
        """The operator's newest signed checkpoint, or None."""
        try:
            return (self.folder / "checkpoint").read_bytes()
        except FileNotFoundError:
            return None

    def blocks(self, after: int) -> Iterator[FeedBlock]:
        """The blocks after block `after` that are there now, in order, none left out."""
        expected = after + 1
        while (path := self._file_of(expected)) is not None:
            before = expected
            with path.open("rb") as file:
                while (block := read_frame(file)) is not None:
                    if block.block < expected:
                        continue
                    if block.block != expected:
                        raise Damaged(f"{path}: block {block.block} where {expected} was expected")
                    yield block
                    expected += 1
            if expected == before:
                return

    def _file_of(self, block: int) -> Path | None:
        """The file that has this block, or will have it."""
        try:
            names = sorted(path.name for path in (self.folder / "blocks").iterdir())
        except FileNotFoundError:
            return None
        at = [name for name in names if name.isdigit() and int(name) <= block]
        return self.folder / "blocks" / at[-1] if at else None


def pack_frame(block: FeedBlock) -> bytes:
    """A block as it stands in a file."""
    frame = Frame(
        block=block.block,
        at=block.at,
        size=block.size,
        root=block.root,
        state=block.state,
        lengths=[len(data) for data in block.transactions],
        refused=block.refused,
    )
    return b"".join((encode(frame), b"\n", *block.transactions, b"\n"))


def read_frame(file: BinaryIO) -> FeedBlock | None:
    """The next frame, or None where it is not there whole; `Damaged` when it is none."""
    line = file.readline(LINE_BYTES_MAX)
    if not line.endswith(b"\n"):
        if len(line) == LINE_BYTES_MAX:
            raise Damaged(f"{file.name}: a line of more than {LINE_BYTES_MAX} bytes")
        return None
    try:
        frame = decode(line[:-1], Frame)
    except Malformed as error:
        raise Damaged(f"{file.name} at byte {file.tell() - len(line)}: {error}") from error
    if len(frame.refused) != len(frame.lengths):
        raise Damaged(f"{file.name}: block {frame.block} has not one outcome a transaction")
    transactions = [file.read(length) for length in frame.lengths]
    end = file.read(1)
    if [len(data) for data in transactions] != frame.lengths or not end:
        return None
    if end != b"\n":
        raise Damaged(f"{file.name}: block {frame.block} does not end where its line says")
    return FeedBlock(
        block=frame.block,
        at=frame.at,
        size=frame.size,
        root=frame.root,
        state=frame.state,
        transactions=transactions,
        refused=frame.refused,
    )


def read_blocks(snapshot: Snapshot, first: int) -> Iterator[FeedBlock]:
    """The blocks from `first` on that a ledger has."""
    last = snapshot.head().block
    for number in range(first, last + 1):
        record = snapshot.block(number)
        if record is None:
            raise Damaged(f"{snapshot.path} lacks block {number}")
        segments = list(snapshot.segments(record.first, record.size - 1))
        yield FeedBlock(
            block=number,
            at=record.at,
            size=record.size,
            root=record.root,
            state=record.state,
            transactions=[segment.data for segment in segments],
            refused=[decode(segment.refused, dict[str, str]) for segment in segments],
        )


def write_tiles(snapshot: Snapshot, folder: Path) -> int:
    """The hash tiles of the whole log, as C2SP's static logs have them: how many."""
    size, written, level = snapshot.head().size, 0, 0
    while width := size >> 8 * level:
        for index in range(-(-width // TILE_WIDTH)):
            there = min(TILE_WIDTH, width - index * TILE_WIDTH)
            path = folder / tile_path(level, index, there)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(snapshot.read(level, index, there)[: there * 32])
                written += 1
        level += 1
    return written


def write_file(path: Path, data: bytes) -> None:
    """Put a whole file in place of another, durably."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
