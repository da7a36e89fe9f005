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

from tallystick.durable import read_file, sync_folder, write_file
from tallystick.ledger.store import Snapshot
from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.protocol.checkpoint import NOTE_BYTES_MAX
from tallystick.protocol.errors import Damaged, Malformed
from tallystick.protocol.genesis import GENESIS_BYTES_MAX
from tallystick.protocol.tiles import TILE_WIDTH, tile_path
from tallystick.protocol.transaction import TRANSACTION_BYTES_MAX
from tallystick.protocol.values import Count, Digest

FILE_BYTES_MAX = 16 * 1024 * 1024
"""From this size on a next file is begun: what a copy or a download repeats at most, and what a
start compares with the ledger."""
LINE_BYTES_MAX = 1024 * 1024
FRAME_BYTES_MAX = 128 * 1024 * 1024
"""Of a block's transactions: what a reader must hold in memory; twice what an engine queues."""
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
        self.block = 0
        """The last block in the files, once something was appended."""
        self._file: BinaryIO | None = None
        self._bytes = 0
        self._resumed = False

    def append(self, snapshot: Snapshot, progress: Callable[[int], None] | None = None) -> int:
        """Add every block that the snapshot has and the files have not: how many."""
        if not self._resumed:
            self._resume(snapshot)
            self._resumed = True
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
            sync_folder(self.folder / "blocks")

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

    def _resume(self, snapshot: Snapshot) -> None:
        """Go on after the last frame that says what the ledger says; cut off what a crash left.

        The files are not synced with each block, so a power cut may leave any bytes in the last.
        """
        names = _block_files(self.folder)
        if not names:
            return
        path, end = self.folder / "blocks" / names[-1], 0
        self.block = int(names[-1]) - 1
        self._file = file = path.open("r+b")
        for block in read_blocks(snapshot, self.block + 1):
            data = pack_frame(block)
            if file.read(len(data)) != data:
                break
            self.block, end = block.block, end + len(data)
        file.seek(end)
        _check_unpublished(snapshot, self.block, _frame_or_none(file), path)
        file.truncate(end)
        file.seek(end)
        self._bytes = end


class FeedReader:
    """Reads what a `FeedWriter` writes, while it writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reached = (folder, 0, 0)
        """File, the last block that was read of it, and where that ends."""

    def genesis(self) -> bytes:
        """The founding file."""
        return read_file(self.folder / "genesis.json", GENESIS_BYTES_MAX)

    def checkpoint(self) -> bytes | None:
        """The operator's newest signed checkpoint, or None."""
        try:
            return read_file(self.folder / "checkpoint", NOTE_BYTES_MAX)
        except FileNotFoundError:
            return None

    def blocks(self, after: int) -> Iterator[FeedBlock]:
        """The blocks after block `after` that are there now, in order, none left out.

        Whoever asks again from where it stopped is not made to read the file from its beginning.
        """
        expected = after + 1
        while (path := self._file_of(expected)) is not None:
            before = expected
            with path.open("rb") as file:
                if self._reached[:2] == (path, expected - 1):
                    file.seek(self._reached[2])
                while (block := read_frame(file)) is not None:
                    if block.block < expected:
                        continue
                    if block.block != expected:
                        raise Damaged(f"{path}: block {block.block} where {expected} was expected")
                    self._reached = path, expected, file.tell()
                    yield block
                    expected += 1
            if expected == before:
                return

    def _file_of(self, block: int) -> Path | None:
        """The file that has this block, or will have it."""
        try:
            at = [name for name in _block_files(self.folder) if int(name) <= block]
        except FileNotFoundError:
            return None
        return self.folder / "blocks" / at[-1] if at else None


def _block_files(folder: Path) -> list[str]:
    """Names of the files of blocks, in order; whatever else lies there is left aside."""
    return sorted(
        path.name
        for path in (folder / "blocks").iterdir()
        if path.name.isascii() and path.name.isdigit()
    )


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
    if sum(frame.lengths) > FRAME_BYTES_MAX:
        raise Damaged(f"{file.name}: block {frame.block} has more than {FRAME_BYTES_MAX} bytes")
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


def _frame_or_none(file: BinaryIO) -> FeedBlock | None:
    """The next frame, or None where there is none or what a crash left of one."""
    try:
        return read_frame(file)
    except Damaged:
        return None


def _check_unpublished(
    snapshot: Snapshot, agreed: int, published: FeedBlock | None, path: Path
) -> None:
    """Nothing after block `agreed` was published otherwise than the ledger has it."""
    if agreed > snapshot.head().block or (published and agreed == snapshot.head().block):
        raise Damaged(f"{snapshot.path} is older than what was published of it in {path}")
    ours = snapshot.block(agreed + 1)
    if published and ours and (published.size, published.root) != (ours.size, ours.root):
        raise Damaged(
            f"{snapshot.path}: block {ours.block} is not what was published of it in {path}"
        )


def read_blocks(snapshot: Snapshot, first: int) -> Iterator[FeedBlock]:
    """The blocks from `first` on that a ledger has."""
    last = snapshot.head().block
    for number in range(first, last + 1):
        record = snapshot.record(number)
        segments = list(snapshot.segments(record.first, record.size - 1))
        try:
            refused = [decode(segment.refused, dict[str, str]) for segment in segments]
        except Malformed as error:
            raise Damaged(f"{snapshot.path}: outcomes in block {number}: {error}") from error
        yield FeedBlock(
            block=number,
            at=record.at,
            size=record.size,
            root=record.root,
            state=record.state,
            transactions=[segment.data for segment in segments],
            refused=refused,
        )


def write_tiles(snapshot: Snapshot, folder: Path) -> int:
    """The hash tiles of the whole log, as C2SP's static logs have them: how many."""
    size, written, level = snapshot.head().size, 0, 0
    while width := size >> 8 * level:
        for index in range(-(-width // TILE_WIDTH)):
            there = min(TILE_WIDTH, width - index * TILE_WIDTH)
            path = folder / tile_path(level, index, there)
            data = snapshot.read(level, index, there)[: there * 32]
            if not path.exists() or path.read_bytes() != data:  # one of a crash may be torn
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                written += 1
        level += 1
    return written
