"""Where a ledger lies: one SQLite file, one durable transaction a block, readers that never wait.

The seam is narrow on purpose. `Store.commit` is the only writer: when it returns, all of a block is
on the disk (WAL, synchronous=FULL); when it raises, nothing of it is. A `Snapshot` sees one moment
and blocks nobody. WAL pages are moved into the file by `checkpoint`, off the way of the blocks.
One process writes at a time, by a lock on a file beside. See docs/spec/storage.md.

Invariant: rows, hashes, log and head of a block become durable together or not at all.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import apsw

from tallystick.contracts.kit.context import NUMBERS_PER_CODE, Key
from tallystick.ledger.records import BlockRecord, Head, Segment
from tallystick.ledger.staged import Writes
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Damaged, TallystickError
from tallystick.protocol.tiles import TileWrite

FILE = "ledger.db"
LOCK = "lock"
APPLICATION_ID = 0x7A11_0001
"""Marks the file as ours; the last digit is the version of its tables."""
CACHE_KIBIBYTES = 65_536
BUSY_MILLISECONDS = 10_000
WAL_BYTES_SOFT_MAX = 64 * 1024 * 1024
"""From this size on the WAL is moved into the file in the background."""

_SCHEMA = """
    CREATE TABLE head (one INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE blocks (block INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE segments (
        first INTEGER PRIMARY KEY, block INTEGER NOT NULL, data BLOB NOT NULL,
        refused BLOB NOT NULL
    );
    CREATE TABLE slots (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE rows (key TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE page_groups (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE map_groups (prefix BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE tiles (key INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE days (day INTEGER PRIMARY KEY);
"""
_READ_PAGES_KEPT = 4


class Locked(TallystickError):
    """Another process has this ledger open for writing."""


def tile_key(level: int, index: int) -> int:
    """One integer for a tile."""
    return (level << 56) | index


class Connection:
    """What both sides read with; statements are prepared once by apsw itself."""

    def __init__(self, path: Path, db: apsw.Connection) -> None:
        self.path = path
        self.db = db

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        """What SQLite says of a broken file, as our error that names it."""
        try:
            yield
        except (apsw.CorruptError, apsw.NotADBError, apsw.FormatError) as error:
            raise Damaged(f"{self.path}: {error}") from error
        except apsw.IOError as error:
            raise Damaged(f"{self.path} cannot be read: {error}") from error

    def one(self, sql: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        with self._naming_the_file():
            for row in self.db.execute(sql, values):
                return row[0]
        return None

    def all(self, sql: str, *values: Any) -> list[Any]:
        """All rows."""
        with self._naming_the_file():
            return list(self.db.execute(sql, values))

    def iterate(self, sql: str, *values: Any) -> Iterator[Any]:
        """Rows as they come."""
        with self._naming_the_file():
            yield from self.db.execute(sql, values)

    def head(self) -> Head:
        """What the last block left."""
        data = self.one("SELECT data FROM head WHERE one = 1")
        if data is None:
            raise Damaged(f"{self.path} has no head")
        head: Head = _decode(self.path, "the head", data, Head)
        return head

    def row(self, key: Key) -> bytes | None:
        """A row's bytes: a number's by its integer, another's by its text."""
        if isinstance(key, int):
            data: bytes | None = self.one("SELECT data FROM slots WHERE key = ?", key)
        else:
            data = self.one("SELECT data FROM rows WHERE key = ?", key)
        return data

    def map_group(self, prefix: bytes) -> bytes | None:
        """A group of the map."""
        data: bytes | None = self.one("SELECT data FROM map_groups WHERE prefix = ?", prefix)
        return data

    def page_group(self, key: int) -> bytes | None:
        """A group of a page."""
        data: bytes | None = self.one("SELECT data FROM page_groups WHERE key = ?", key)
        return data

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Rows of the map by key."""
        return self.iterate(
            "SELECT key, data FROM rows WHERE key >= ? AND key < ? ORDER BY key",
            *(prefix, prefix + "\U0010ffff"),
        )

    def scan_slots(self, code: int, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Numbered rows by number."""
        base = code * NUMBERS_PER_CODE
        return self.iterate(
            "SELECT key, data FROM slots WHERE key BETWEEN ? AND ? ORDER BY key",
            *(base + first, base + last),
        )

    def read(self, level: int, index: int, width: int) -> bytes:
        """A tile, at least `width` hashes wide; fulfils `protocol.tiles.TileReader`."""
        data: bytes | None = self.one(
            "SELECT data FROM tiles WHERE key = ?", tile_key(level, index)
        )
        if data is None or len(data) < width * 32:
            raise Damaged(f"{self.path} lacks tile {level}/{index} of {width} hashes")
        return data

    def block(self, block: int) -> BlockRecord | None:
        """A block's place in the log, or None."""
        data = self.one("SELECT data FROM blocks WHERE block = ?", block)
        return None if data is None else _decode(self.path, f"block {block}", data, BlockRecord)

    def segment(self, index: int) -> Segment | None:
        """The transaction that has the entry at this log index, or None."""
        rows = self.all(
            "SELECT first, block, data, refused FROM segments WHERE first <= ? "
            "ORDER BY first DESC LIMIT 1",
            index,
        )
        return Segment(*rows[0]) if rows else None

    def segments(self, first: int, end: int) -> Iterator[Segment]:
        """Transactions whose first entry lies in [first, end)."""
        rows = self.iterate(
            "SELECT first, block, data, refused FROM segments WHERE first >= ? AND first < ? "
            "ORDER BY first",
            *(first, end),
        )
        return (Segment(*row) for row in rows)

    def days(self) -> list[int]:
        """Days whose idempotency keys are kept."""
        return [day for (day,) in self.all("SELECT day FROM days ORDER BY day")]

    def seen(self, sender: str, key: bytes) -> tuple[str, int] | None:
        """(tx_id, first entry) of the transaction that took this idempotency key, or None."""
        for day in self.days():
            for tx, first in self.all(
                f"SELECT tx, first FROM seen_{day:d} WHERE sender = ? AND key = ?", sender, key
            ):
                return tx.hex(), first
        return None


class Store(Connection):
    """The writing side. For one thread, but for `checkpoint_beside` and `snapshot`."""

    def __init__(self, folder: Path, *, make: bool, vfs: str | None = None) -> None:
        self._lock = _take_lock(folder)
        path, self._vfs = folder / FILE, vfs
        try:
            super().__init__(path, _connect(path, make=make, vfs=vfs))
            with self._naming_the_file():
                if make:
                    self.db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    self.db.execute(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT")
                elif self.one("PRAGMA application_id") != APPLICATION_ID:
                    raise Damaged(f"{path} is no ledger of this version")
        except BaseException:
            os.close(self._lock)
            raise
        self._readers: list[Snapshot] = []
        self._readers_lock = threading.Lock()

    @classmethod
    def make(cls, folder: Path, head: Head, writes: Writes, *, vfs: str | None = None) -> Self:
        """A new ledger; `FileExistsError` when there is one."""
        if (folder / FILE).exists():
            raise FileExistsError(f"{folder} holds a ledger already")
        folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder, make=True, vfs=vfs)
        store.commit(head, writes)
        return store

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
                reader.db.close()
            self._readers.clear()
        self.db.close()
        os.close(self._lock)

    def commit(
        self,
        head: Head,
        writes: Writes,
        *,
        block: BlockRecord | None = None,
        segments: Sequence[Segment] = (),
        tiles: Sequence[TileWrite] = (),
    ) -> None:
        """Make a block durable, or raise and leave everything as it was."""
        with self._transaction():
            self._put_state(writes)
            if block is not None:
                self.db.execute("INSERT INTO blocks VALUES (?, ?)", (block.block, encode(block)))
                self._drop_days(block.at)
            put = self.db.executemany
            put("INSERT INTO segments VALUES (?, ?, ?, ?)", segments)
            put(
                "INSERT OR REPLACE INTO tiles VALUES (?, ?)",
                ((tile_key(tile.level, tile.index), tile.data) for tile in tiles),
            )
            self.db.execute("INSERT OR REPLACE INTO head VALUES (1, ?)", (encode(head),))

    def wal_bytes(self) -> int:
        """How large the WAL is."""
        path = self.path.with_name(self.path.name + "-wal")
        return path.stat().st_size if path.exists() else 0

    def checkpoint(self) -> None:
        """Move the WAL into the file as far as readers allow; for the writer, between blocks."""
        _move_wal(self.path, self.db)

    def checkpoint_beside(self) -> None:
        """The same from another thread, on a connection of its own, while blocks are committed."""
        db = _connect(self.path, make=False, vfs=self._vfs)
        try:
            _move_wal(self.path, db)
        finally:
            db.close()

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One moment of the ledger, as long as the `with` lasts."""
        with self._readers_lock:
            reader = self._readers.pop() if self._readers else None
        if reader is None:
            reader = Snapshot(self.path, _connect(self.path, make=False, vfs=self._vfs, read=True))
        reader.begin()
        try:
            yield reader
        finally:
            reader.end()
            with self._readers_lock:
                keep = len(self._readers) < _READ_PAGES_KEPT
                if keep:
                    self._readers.append(reader)
            if not keep:
                reader.db.close()

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
        for one in writes.seen:
            self._keep_day(one.day)
            self.db.execute(
                f"INSERT INTO seen_{one.day:d} VALUES (?, ?, ?, ?)",
                (one.sender, one.key, bytes.fromhex(one.tx_id), one.first),
            )

    def _keep_day(self, day: int) -> None:
        if day in self.days():
            return
        self.db.execute("INSERT INTO days VALUES (?)", (day,))
        self.db.execute(
            f"CREATE TABLE seen_{day:d} (sender TEXT NOT NULL, key BLOB NOT NULL, tx BLOB NOT NULL,"
            " first INTEGER NOT NULL, PRIMARY KEY (sender, key)) WITHOUT ROWID"
        )

    def _drop_days(self, at: int) -> None:
        """Forget the keys of days that have passed: nothing valid until then can come again."""
        for day in self.days():
            if (day + 1) * 86_400 <= at:
                self.db.execute(f"DROP TABLE seen_{day:d}")
                self.db.execute("DELETE FROM days WHERE day = ?", (day,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._naming_the_file():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise


class Snapshot(Connection):
    """A reader of one moment. For one thread at a time."""

    def begin(self) -> None:
        """The moment is now."""
        with self._naming_the_file():
            self.db.execute("BEGIN")
            self.one("SELECT 1 FROM head")  # a moment begins with its first read

    def end(self) -> None:
        """Let the moment go."""
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")


def _connect(
    path: Path, *, make: bool, vfs: str | None = None, read: bool = False
) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY if read else apsw.SQLITE_OPEN_READWRITE
    if make:
        flags |= apsw.SQLITE_OPEN_CREATE
    try:
        db = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=256)
        db.set_busy_timeout(BUSY_MILLISECONDS)
        db.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
        if not read:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("PRAGMA journal_size_limit = 134217728")
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise Damaged(f"{path}: {error}") from error
    return db


def _move_wal(path: Path, db: apsw.Connection) -> None:
    try:
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except apsw.IOError as error:
        raise Damaged(f"{path} cannot be written: {error}") from error


def _take_lock(folder: Path) -> int:
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise Locked(f"{folder} is open in another process; stop that one first") from None
    return handle


def _decode(path: Path, what: str, data: bytes, kind: type[Any]) -> Any:
    try:
        return decode(data, kind)
    except TallystickError as error:
        raise Damaged(f"{path}: {what} is not what was written: {error}") from error
