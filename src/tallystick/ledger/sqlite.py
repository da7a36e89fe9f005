"""How we open SQLite: one writer by a lock, WAL, synchronous=FULL, and its errors in our words.

Invariant: a commit that returned is on the disk; whatever SQLite says of a broken file is `Damaged`
and names the file. See docs/spec/storage.md.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from tallystick.protocol.errors import Damaged, TallystickError

FILE = "ledger.db"
NEW = "ledger.db.new"
"""A ledger whose founding is not complete: what a crash left of one is of no use."""
BESIDE = ("", "-wal", "-shm", "-journal")
"""What SQLite has beside a file, and the file."""
LOCK = "lock"
APPLICATION_ID = 0x7A11_0001
"""Marks the file as ours; the last digit is the version of its tables."""
CACHE_KIBIBYTES = 65_536
PAGE_BYTES = 8_192
"""Sixteen rows of bills; with SQLite's own 4,096 an insert costs half as much again."""
BUSY_MILLISECONDS = 10_000
WAL_BYTES_SOFT_MAX = 64 * 1024 * 1024
"""From this size on the WAL is moved into the file in the background."""

_log = logging.getLogger("tallystick.store")


_DAMAGE = (
    *(apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.SQLError, apsw.ConstraintError),
    *(apsw.MismatchError, apsw.SchemaChangeError, apsw.TooBigError),
)
"""What SQLite says when the file is not what we wrote; our statements are the same every time."""
_TROUBLE = (
    *(apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.ProtocolError),
    apsw.PermissionsError,
)


class Locked(TallystickError):
    """Another process has this ledger open for writing."""


class DiskFull(TallystickError):
    """There was no room for a write: nothing is damaged; make room and start again."""


def connect(
    path: Path, *, make: bool, vfs: str | None = None, read: bool = False
) -> apsw.Connection:
    """A connection to a ledger's file; what it reads with is the same for writer and readers."""
    flags = apsw.SQLITE_OPEN_READONLY if read else apsw.SQLITE_OPEN_READWRITE
    if make:
        flags |= apsw.SQLITE_OPEN_CREATE
    with Naming(path):
        db = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=256)
        db.set_busy_timeout(BUSY_MILLISECONDS)
        db.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
        if make:
            db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        if not read:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("PRAGMA journal_size_limit = 134217728")
    return db


def move_wal(path: Path, db: apsw.Connection) -> None:
    """Move what the WAL has into the file, as far as readers allow."""
    with Naming(path):
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


@contextmanager
def naming_the_file(path: Path) -> Iterator[None]:
    """What is found damaged in rows and hashes, with the name of the file that they lie in."""
    try:
        yield
    except Damaged as error:
        if path.name in str(error):
            raise
        raise Damaged(f"{path}: {error}") from error


def let_go(db: apsw.Connection) -> None:
    """Close; what SQLite could not tidy up is tidied at the next start."""
    try:
        db.close()
    except apsw.Error as error:
        _log.warning("a file was not closed in order: %s", error)


class Naming:
    """What SQLite says of a broken file, as our error that names it; entered at every read."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        path = self._path
        if isinstance(error, apsw.FullError):
            detail = f"there is no room to write {path}: make room and start again"
            raise DiskFull(detail) from error
        if isinstance(error, _DAMAGE):
            raise Damaged(f"{path}: {error}") from error
        if isinstance(error, UnicodeDecodeError):
            raise Damaged(f"{path}: a text that is none: {error}") from error
        if isinstance(error, _TROUBLE):
            raise Damaged(f"{path} cannot be read or written: {error}") from error
        if isinstance(error, apsw.BusyError | apsw.LockedError):
            raise Locked(f"{path} is held by another process") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: what was made, renamed or removed in it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def take_lock(folder: Path) -> int:
    """Be the one process that writes, until the descriptor is closed; else `Locked`."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise Locked(f"{folder} is open in another process; stop that one first") from None
    return handle
