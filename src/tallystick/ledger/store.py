"""Where a ledger lies: one SQLite file, one durable transaction a block, readers that never wait.

The seam is narrow on purpose. `Store.commit` is the only writer: when it returns, all of a block is
on the disk (WAL, synchronous=FULL); when it raises, nothing of it is. A `Snapshot` sees one moment
and blocks nobody. WAL pages are moved into the file by `checkpoint`, off the way of the blocks.
One process writes at a time, by a lock on a file beside. See docs/spec/storage.md.

Invariant: rows, hashes, log and head of a block become durable together or not at all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import apsw

from tallystick.contracts.kit.context import NUMBERS_PER_CODE, Key
from tallystick.durable import Naming, sync_folder, take_lock
from tallystick.ledger.records import LEAF_BYTES, BlockRecord, Head, Place, Segment
from tallystick.ledger.sqlite import (
    APPLICATION_ID,
    BESIDE,
    FILE,
    NEW,
    PAGE_BYTES,
    check_version,
    connect,
    let_go,
    move_wal,
)
from tallystick.ledger.staged import Writes
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Damaged, TallystickError
from tallystick.protocol.tiles import TILE_WIDTH, TileWrite
from tallystick.protocol.values import DAY_SECONDS

_SCHEMA = """
    CREATE TABLE head (one INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE blocks (block INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE segments (
        first INTEGER PRIMARY KEY, count INTEGER NOT NULL, block INTEGER NOT NULL,
        tx BLOB NOT NULL, refused BLOB NOT NULL, data BLOB NOT NULL
    );
    CREATE TABLE leaves (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE branches (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE slots (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE rows (key TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE page_groups (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE map_groups (prefix BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE tiles (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE days (day INTEGER PRIMARY KEY);
"""
_SEGMENT = "first, count, block, tx, refused"
_SEGMENT_KINDS = (int, int, int, bytes, bytes)
_PUT_LEAVES = (
    "INSERT INTO leaves VALUES (?, ?) "
    "ON CONFLICT DO UPDATE SET data = CAST(data || excluded.data AS BLOB)"
)
_READERS_KEPT = 4


def tile_key(level: int, index: int) -> int:
    """One integer for a tile."""
    return (level << 56) | index


class Connection:
    """What both sides read with; statements are prepared once by apsw itself."""

    def __init__(self, path: Path, db: apsw.Connection) -> None:
        self.path = path
        self.db = db
        self._naming = Naming(path)

    def one(self, sql: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        with self._naming:
            for row in self.db.execute(sql, values):
                return row[0]
        return None

    def all(self, sql: str, *values: Any) -> list[Any]:
        """All rows."""
        with self._naming:
            return list(self.db.execute(sql, values))

    def iterate(self, sql: str, *values: Any) -> Iterator[Any]:
        """Rows as they come."""
        with self._naming:
            yield from self.db.execute(sql, values)

    def data(self, sql: str, *values: Any) -> bytes | None:
        """The bytes in the first column of the first row, or None."""
        data = self.one(sql, *values)
        if data is not None and not isinstance(data, bytes):
            raise Damaged(f"{self.path}: {data!r:.80} stands where bytes were written")
        return data

    def two(self, sql: str, *values: Any) -> tuple[bytes | None, bytes | None]:
        """The bytes in both columns of the only row, or None."""
        with self._naming:
            for row in self.db.execute(sql, values):
                for data in row:
                    if data is not None and not isinstance(data, bytes):
                        raise Damaged(f"{self.path}: {data!r:.80} stands where bytes were written")
                first, second = row
                return first, second
        return None, None

    def head(self) -> Head:
        """What the last block left."""
        data = self.data("SELECT data FROM head WHERE one = 1")
        if data is None:
            raise Damaged(f"{self.path} has no head")
        head: Head = _decode(self.path, "the head", data, Head)
        return head

    def row(self, key: Key) -> bytes | None:
        """A row's bytes: a number's by its integer, another's by its text."""
        if isinstance(key, int):
            return self.data("SELECT data FROM slots WHERE key = ?", key)
        return self.data("SELECT data FROM rows WHERE key = ?", key)

    def map_group(self, prefix: bytes) -> bytes | None:
        """A group of the map."""
        return self.data("SELECT data FROM map_groups WHERE prefix = ?", prefix)

    def page_group(self, key: int) -> bytes | None:
        """A group of a page."""
        return self.data("SELECT data FROM page_groups WHERE key = ?", key)

    def scan(self, prefix: str, after: str = "") -> Iterator[tuple[str, bytes]]:
        """Rows of the map by key, those behind `after`."""
        rows = self.iterate(
            "SELECT key, data FROM rows WHERE key >= ? AND key < ? AND key > ? ORDER BY key",
            *(prefix, prefix + "\U0010ffff", after),
        )
        return (self._typed(row, str, bytes) for row in rows)

    def scan_slots(self, code: int, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Numbered rows by number."""
        base = code * NUMBERS_PER_CODE
        rows = self.iterate(
            "SELECT key, data FROM slots WHERE key BETWEEN ? AND ? ORDER BY key",
            *(base + first, base + last),
        )
        return (self._typed(row, int, bytes) for row in rows)

    def read(self, level: int, index: int, width: int) -> bytes:
        """A tile, at least `width` hashes wide; fulfils `protocol.tiles.TileReader`."""
        data = self.data("SELECT data FROM tiles WHERE key = ?", tile_key(level, index))
        if data is None or not width * 32 <= len(data) <= TILE_WIDTH * 32 or len(data) % 32:
            raise Damaged(f"{self.path} lacks tile {level}/{index} of {width} hashes")
        return data

    def block(self, block: int) -> BlockRecord | None:
        """A block's place in the log, or None."""
        data = self.data("SELECT data FROM blocks WHERE block = ?", block)
        return None if data is None else _decode(self.path, f"block {block}", data, BlockRecord)

    def record(self, block: int) -> BlockRecord:
        """The place of a block that must be there."""
        record = self.block(block)
        if record is None:
            raise Damaged(f"{self.path} lacks the record of block {block}")
        if record.block != block:
            raise Damaged(f"{self.path}: the record of block {block} calls itself {record.block}")
        return record

    def segment(self, index: int) -> Segment | None:
        """The transaction that has the entry at this log index, or None."""
        rows = self.all(
            f"SELECT {_SEGMENT}, data FROM segments WHERE first <= ? ORDER BY first DESC LIMIT 1",
            index,
        )
        return Segment(*self._typed(rows[0], *_SEGMENT_KINDS, bytes)) if rows else None

    def place(self, index: int) -> Place | None:
        """The same without the transaction's bytes, which are long."""
        rows = self.all(
            f"SELECT {_SEGMENT} FROM segments WHERE first <= ? ORDER BY first DESC LIMIT 1", index
        )
        return Place(*self._typed(rows[0], *_SEGMENT_KINDS)) if rows else None

    def segments(self, first: int, end: int) -> Iterator[Segment]:
        """Transactions whose first entry lies in [first, end)."""
        rows = self.iterate(
            f"SELECT {_SEGMENT}, data FROM segments WHERE first >= ? AND first < ? ORDER BY first",
            *(first, end),
        )
        return (Segment(*self._typed(row, *_SEGMENT_KINDS, bytes)) for row in rows)

    def leaves(self, first: int, end: int) -> bytes:
        """Of each leaf in [first, end) its hash and its item's, as `records.leaf_groups` has them.

        As many as there are.
        """
        rows = self.all(
            "SELECT data FROM leaves WHERE key BETWEEN ? AND ? ORDER BY key",
            *(first >> 4, end - 1 >> 4),
        )
        data = b"".join([self._typed(row, bytes)[0] for row in rows])
        start = (first & 15) * LEAF_BYTES
        return data[start : start + (end - first) * LEAF_BYTES]

    def leaf_group(self, group: int) -> bytes:
        """Sixteen leaves of `leaves`, the last fewer; nothing where there are none."""
        return self.data("SELECT data FROM leaves WHERE key = ?", group) or b""

    def branch(self, tile: int) -> bytes | None:
        """The roots of sixteen leaves each below a whole tile, or None."""
        return self.data("SELECT data FROM branches WHERE key = ?", tile)

    def days(self) -> list[int]:
        """Days whose idempotency keys are kept."""
        rows = self.all("SELECT day FROM days ORDER BY day")
        return [self._typed(row, int)[0] for row in rows]

    def seen(self, sender: str, key: bytes) -> tuple[str, int] | None:
        """(tx_id, first entry) of the transaction that took this idempotency key, or None."""
        for day in self.days():
            for row in self.all(
                f"SELECT tx, first FROM seen_{day:d} WHERE sender = ? AND key = ?", sender, key
            ):
                tx, first = self._typed(row, bytes, int)
                return tx.hex(), first
        return None

    def _typed(self, row: Any, *kinds: type[Any]) -> Any:
        """The row as it is, if its columns are what we write: SQLite itself believes the file."""
        if [type(each) for each in row] != list(kinds):
            raise Damaged(f"{self.path}: {row!r:.80} is no row of ours")
        return row


class Store(Connection):
    """The writing side. For one thread, but for `checkpoint_beside` and `snapshot`."""

    def __init__(self, folder: Path, *, make: bool, vfs: str | None = None) -> None:
        self._lock = take_lock(folder)
        self._days: list[int] | None = None
        self._wal_pages = 0
        path, self._vfs = folder / (NEW if make else FILE), vfs
        try:
            for ending in BESIDE if make else ():
                (folder / (NEW + ending)).unlink(missing_ok=True)
            super().__init__(path, connect(path, make=make, vfs=vfs))
            with self._naming:
                if make:
                    self.db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    self.db.execute(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT")
                else:
                    check_version(path, self.one("PRAGMA application_id"))
            self.db.set_wal_hook(self._note_wal)
        except BaseException:
            os.close(self._lock)
            raise
        self._readers: list[Snapshot] = []
        self._readers_lock = threading.Lock()

    @classmethod
    def make(cls, folder: Path, head: Head, writes: Writes, *, vfs: str | None = None) -> None:
        """A new ledger, whole or not at all; `FileExistsError` when there is one."""
        if any((folder / (FILE + ending)).exists() for ending in BESIDE):
            raise FileExistsError(f"{folder} holds a ledger already")
        folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder, make=True, vfs=vfs)
        try:
            store.commit(head, writes)
        finally:
            store.close()
        (folder / NEW).rename(folder / FILE)
        sync_folder(folder)
        sync_folder(folder.parent)

    @classmethod
    def open(cls, folder: Path, *, vfs: str | None = None) -> Self:
        """An existing ledger; `FileNotFoundError` when there is none."""
        if not (folder / FILE).exists():
            raise FileNotFoundError(f"{folder} holds no ledger")
        return cls(folder, make=False, vfs=vfs)

    def close(self) -> None:
        """Let go of the file; what was committed is safe without it."""
        with self._readers_lock:
            for reader in self._readers:
                let_go(reader.db)
            self._readers.clear()
        let_go(self.db)
        if self._lock >= 0:  # closing twice must not close what has the number since
            os.close(self._lock)
            self._lock = -1

    def commit(
        self,
        head: Head,
        writes: Writes,
        *,
        block: BlockRecord | None = None,
        segments: Sequence[Segment] = (),
        leaves: Sequence[tuple[int, bytes]] = (),
        tiles: Sequence[TileWrite] = (),
    ) -> None:
        """Make a block durable, or raise and leave everything as it was."""
        with self._transaction():
            self._put_state(writes)
            if block is not None:
                self.db.execute("INSERT INTO blocks VALUES (?, ?)", (block.block, encode(block)))
                self._drop_days(block.at)
            put = self.db.executemany
            put("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?)", segments)
            put(_PUT_LEAVES, leaves[:1])  # may go on where the block before ended
            put("INSERT INTO leaves VALUES (?, ?)", leaves[1:])
            put(
                "INSERT OR REPLACE INTO tiles VALUES (?, ?)",
                ((tile_key(tile.level, tile.index), tile.data) for tile in tiles),
            )
            put(
                "INSERT INTO branches VALUES (?, ?)",
                ((tile.index, tile.branches) for tile in tiles if tile.branches),
            )
            self.db.execute("INSERT OR REPLACE INTO head VALUES (1, ?)", (encode(head),))

    def wal_bytes(self) -> int:
        """What the WAL held after the last commit; its file does not shrink when it begins anew."""
        return self._wal_pages * PAGE_BYTES

    def checkpoint(self) -> None:
        """Move the WAL into the file as far as readers allow; for the writer, between blocks."""
        move_wal(self.path, self.db)

    def checkpoint_beside(self) -> None:
        """The same from another thread, on a connection of its own, while blocks are committed."""
        db = connect(self.path, make=False, vfs=self._vfs)
        try:
            move_wal(self.path, db)
        finally:
            let_go(db)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One moment of the ledger, as long as the `with` lasts."""
        with self._readers_lock:
            reader = self._readers.pop() if self._readers else None
        if reader is None:
            reader = Snapshot(self.path, connect(self.path, make=False, vfs=self._vfs, read=True))
        try:
            reader.begin()
            yield reader
        finally:
            reader.end()
            with self._readers_lock:
                keep = len(self._readers) < _READERS_KEPT
                if keep:
                    self._readers.append(reader)
            if not keep:
                let_go(reader.db)

    def _note_wal(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _put_state(self, writes: Writes) -> None:
        put = self.db.executemany
        by_number = [row for row in writes.rows if isinstance(row[0], int)]
        by_text = [row for row in writes.rows if isinstance(row[0], str)]
        put("INSERT OR REPLACE INTO slots VALUES (?, ?)", by_number)
        put("INSERT OR REPLACE INTO rows VALUES (?, ?)", by_text)
        put("INSERT OR REPLACE INTO page_groups VALUES (?, ?)", writes.page_groups.items())
        full = [(prefix, data) for prefix, data in writes.map_groups.items() if data]
        put("INSERT OR REPLACE INTO map_groups VALUES (?, ?)", full)
        gone = [(prefix,) for prefix, data in writes.map_groups.items() if not data]
        put("DELETE FROM map_groups WHERE prefix = ?", gone)
        for day in sorted({one.day for one in writes.seen}):
            self._keep_day(day)
            put(
                f"INSERT INTO seen_{day:d} VALUES (?, ?, ?, ?)",
                (
                    (one.sender, one.key, bytes.fromhex(one.tx_id), one.first)
                    for one in writes.seen
                    if one.day == day
                ),
            )

    def days(self) -> list[int]:
        """As for every reader; the one writer knows them without asking each time."""
        if self._days is None:
            self._days = super().days()
        return self._days

    def _keep_day(self, day: int) -> None:
        if day in self.days():
            return
        self._days = None
        self.db.execute("INSERT INTO days VALUES (?)", (day,))
        self.db.execute(
            f"CREATE TABLE seen_{day:d} (sender TEXT NOT NULL, key BLOB NOT NULL, tx BLOB NOT NULL,"
            " first INTEGER NOT NULL, PRIMARY KEY (sender, key)) WITHOUT ROWID"
        )

    def _drop_days(self, at: int) -> None:
        """Forget the keys of days that have passed: nothing valid until then can come again."""
        for day in self.days():
            if (day + 1) * DAY_SECONDS <= at:
                self._days = None
                self.db.execute(f"DROP TABLE seen_{day:d}")
                self.db.execute("DELETE FROM days WHERE day = ?", (day,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._naming:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                self._days = None
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise


class Snapshot(Connection):
    """A reader of one moment. For one thread at a time."""

    def begin(self) -> None:
        """The moment is now."""
        with self._naming:
            self.db.execute("BEGIN")
            self.one("SELECT 1 FROM head")  # a moment begins with its first read

    def end(self) -> None:
        """Let the moment go."""
        if self.db.in_transaction:
            with self._naming:
                self.db.execute("ROLLBACK")


@contextmanager
def read_beside(folder: Path) -> Iterator[Snapshot]:
    """One moment of a ledger that another process may be writing; takes no lock.

    `FileNotFoundError` when there is none.
    """
    path = folder / FILE
    if not path.exists():
        raise FileNotFoundError(f"{folder} holds no ledger")
    reader = Snapshot(path, connect(path, make=False, read=True))
    try:
        check_version(path, reader.one("PRAGMA application_id"))
        reader.begin()
        yield reader
    finally:
        reader.end()
        let_go(reader.db)


def _decode(path: Path, what: str, data: bytes, kind: type[Any]) -> Any:
    try:
        return decode(data, kind)
    except TallystickError as error:
        raise Damaged(f"{path}: {what} is not what was written: {error}") from error
