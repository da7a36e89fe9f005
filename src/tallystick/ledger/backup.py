"""A copy of the ledger's folder while it runs: the founding file and one moment of the database.

Keys are never in it: they lie elsewhere and are kept in another way. Who went on from a copy older
than what was published would fork the history, so a node refuses. See docs/spec/storage.md.

Invariant: a copy was opened and its last blocks were checked, or it is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw

from tallystick.durable import DiskFull, Naming, write_file
from tallystick.ledger.ledger import GENESIS_FILE
from tallystick.ledger.portable import built_beside
from tallystick.ledger.records import Head
from tallystick.ledger.sqlite import FILE
from tallystick.ledger.start import check_recent_of
from tallystick.ledger.store import Snapshot, read_beside
from tallystick.protocol.errors import Damaged
from tallystick.protocol.genesis import read_genesis
from tallystick.protocol.values import parse_instant

PAGES_A_STEP = 1_024
"""Some megabytes between two reports of progress."""


def backup(folder: Path, target: Path, progress: Callable[[int, int], None] | None = None) -> Head:
    """Copy the ledger of `folder` into `target`, which is empty or not there; the copy's head.

    Whoever has it open goes on meanwhile; its WAL keeps the blocks until the copy is done.
    `progress` is told pages that are done, and all pages. From any thread or process.
    """
    genesis = (folder / GENESIS_FILE).read_bytes()
    parsed, network = read_genesis(genesis)
    with built_beside(target) as beside:
        write_file(beside / GENESIS_FILE, genesis)
        with read_beside(folder) as snapshot:
            _copy(snapshot, beside / FILE, progress)
        with read_beside(beside) as copy:
            head = copy.head()
            if head.network != network:
                raise Damaged(f"{folder / FILE} is not the ledger of {folder / GENESIS_FILE}")
            check_recent_of(copy, parse_instant(parsed.founded_at))
        for left in ("-wal", "-shm"):  # of looking at it; nothing was written
            (beside / (FILE + left)).unlink(missing_ok=True)
        return head


def _copy(snapshot: Snapshot, path: Path, progress: Callable[[int, int], None] | None) -> None:
    """Page by page; since the snapshot holds its moment, no block makes it begin again."""
    db = apsw.Connection(str(path))
    try:
        with Naming(snapshot.path):
            # What was written is made durable as a whole, later.
            db.execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF")
            with db.backup("main", snapshot.db, "main") as copying:
                while not copying.done:
                    copying.step(PAGES_A_STEP)
                    if progress is not None:
                        progress(copying.page_count - copying.remaining, copying.page_count)
    except DiskFull as error:
        raise DiskFull(f"there is no room for {path}: make room and try again") from error
    finally:
        db.close()
