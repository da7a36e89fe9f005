"""How we open SQLite: WAL, synchronous=FULL, and what is damaged in it with the file's name.

Invariant: a commit that returned is on the disk. See docs/spec/storage.md.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from tallystick.durable import Naming
from tallystick.protocol.errors import Damaged

FILE = "ledger.db"
NEW = "ledger.db.new"
"""A ledger whose founding is not complete: what a crash left of one is of no use."""
BESIDE = ("", "-wal", "-shm", "-journal")
"""What SQLite has beside a file, and the file."""
APPLICATION_ID = 0x7A11_0002
"""Marks the file as ours; the last digits are the version of its tables."""
CACHE_KIBIBYTES = 65_536
MAPPED_BYTES_MAX = 1 << 40
"""Of the file; of address space, not of memory."""
PAGE_BYTES = 8_192
"""Sixteen rows of bills; with SQLite's own 4,096 an insert costs half as much again."""
BUSY_MILLISECONDS = 10_000
WAL_BYTES_SOFT_MAX = 64 * 1024 * 1024
"""From this size on the WAL is moved into the file in the background."""

_log = logging.getLogger("tallystick.store")


def connect(
    path: Path, *, make: bool, vfs: str | None = None, read: bool = False, mapped: bool = False
) -> apsw.Connection:
    """A connection to a ledger's file; what it reads with is the same for writer and readers.

    `mapped`: for a process that only reads and may end at an unreadable sector: a page is then no
    call into the kernel, which halves what a random row costs.
    """
    flags = apsw.SQLITE_OPEN_READONLY if read else apsw.SQLITE_OPEN_READWRITE
    if make:
        flags |= apsw.SQLITE_OPEN_CREATE
    with Naming(path):
        db = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=256)
        db.set_busy_timeout(BUSY_MILLISECONDS)
        db.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
        if mapped:
            db.execute(f"PRAGMA mmap_size = {MAPPED_BYTES_MAX}")
        if make:
            db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        if not read:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("PRAGMA journal_size_limit = 134217728")
    return db


def check_version(path: Path, application_id: Any) -> None:
    """The tables are those that this program reads and writes, or `Damaged`, with what to do."""
    if application_id == APPLICATION_ID:
        return
    if isinstance(application_id, int) and application_id >> 16 == APPLICATION_ID >> 16:
        raise Damaged(
            f"{path} is a ledger of version {application_id & 0xFFFF}, this program has version "
            f"{APPLICATION_ID & 0xFFFF}: import its feed or export into a new folder"
        )
    raise Damaged(f"{path} is no ledger of ours")


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
