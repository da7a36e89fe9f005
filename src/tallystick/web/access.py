"""Who was shown a bill over the web, by which right, and when: for the bill's holder to see.

Written by batches, once a second, so that no answer waits for it. A kill -9 loses what was noted
within the last second, a stop nothing. Where the disk takes nothing more, reading ends before the
log does: a note that could not be kept refuses what it was about. See docs/spec/requests.md.

Invariant: what is logged names an organisation or the kind of a key, and an id; never a person, a
content or a whole pass.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import apsw

from tallystick.durable import Naming, sync_folder
from tallystick.protocol.errors import Busy, TallystickError
from tallystick.protocol.values import DAY_SECONDS
from tallystick.web.callers import Caller

FLUSH_SECONDS = 1.0
WAITING_MAX = 100_000
"""Notes that wait for the disk: some 30 MB, and a minute of a busy server."""
RETENTION_DAYS = 1_096
"""Three years: as long as a claim may be disputed."""
_FORGET_EVERY = 600
"""Flushes from one look for old entries to the next."""
_FORGET_ROWS = 10_000
"""At once: the others wait so long."""
_BUSY_MILLISECONDS = 10_000
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS reads (
        id INTEGER PRIMARY KEY, bill TEXT NOT NULL, at INTEGER NOT NULL,
        who TEXT NOT NULL, means TEXT NOT NULL, why TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS reads_of ON reads (bill);
    CREATE INDEX IF NOT EXISTS reads_at ON reads (at);
"""

_log = logging.getLogger("tallystick.web")


class Access(NamedTuple):
    """One read."""

    bill: str
    at: int
    """Unix seconds."""
    who: str
    """An organisation; of a bill's key ``holder`` or ``helper``."""
    means: str
    """``key:`` or ``pass:`` and its id."""
    why: str
    """Which right, in a word or two: ``issuer``, ``consent/claim``, ``bills.read``."""


class AccessLog:
    """One worker's part of the log; all workers write to one file."""

    def __init__(
        self, path: Path, clock: Callable[[], int], *, retention_days: int = RETENTION_DAYS
    ) -> None:
        """Open the file, making it if there is none; `clock` gives Unix seconds."""
        self.path = path
        self._clock = clock
        self._retention_seconds = retention_days * DAY_SECONDS
        self._waiting: list[Access] = []
        self._lock = threading.Lock()
        self._trouble: TallystickError | None = None
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with Naming(path):
            self._db = apsw.Connection(str(path), statementcachesize=16)
            self._db.set_busy_timeout(_BUSY_MILLISECONDS)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA cell_size_check = ON")
            self._db.execute(_SCHEMA)
        sync_folder(path.parent)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        self._stop.set()
        self._thread.join()
        self.flush()
        self._db.close()

    def note(self, bill: str, caller: Caller, why: str) -> None:
        """A bill is about to be shown; `Busy` when that could not be logged."""
        if self._trouble is not None or len(self._waiting) >= WAITING_MAX:
            raise Busy(FLUSH_SECONDS)
        self._waiting.append(Access(bill, self._clock(), caller.name, caller.by, why))

    def of_bill(self, bill: str) -> list[Access]:
        """All reads of a bill that are still kept, the oldest first."""
        self.flush()
        with self._lock, Naming(self.path):
            found = self._db.execute(
                "SELECT bill, at, who, means, why FROM reads WHERE bill = ? ORDER BY at, id",
                (bill,),
            )
            return [Access(*row) for row in found]

    def flush(self) -> None:
        """Write what waits; durable when this returns."""
        with self._lock:
            count = len(self._waiting)
            if not count:
                return
            self._write(self._waiting[:count])
            del self._waiting[:count]  # appends meanwhile went behind them
        self._trouble = None

    def forget(self) -> int:
        """Drop some of what is older than it has to be; how many."""
        with self._lock, Naming(self.path):
            self._db.execute(
                "DELETE FROM reads WHERE id IN (SELECT id FROM reads WHERE at < ? LIMIT ?)",
                (self._clock() - self._retention_seconds, _FORGET_ROWS),
            )
            return self._db.changes()

    def _write(self, batch: list[Access]) -> None:
        with Naming(self.path):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(
                    "INSERT INTO reads (bill, at, who, means, why) VALUES (?, ?, ?, ?, ?)",
                    sorted(batch, key=attrgetter("bill")),  # as their index has them
                )
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise

    def _run(self) -> None:
        flushes = 0
        while not self._stop.wait(FLUSH_SECONDS):
            try:
                self.flush()
                if flushes % _FORGET_EVERY == 0 and self.forget() == _FORGET_ROWS:
                    continue  # there are more
                flushes += 1
            except TallystickError as error:
                if self._trouble is None:
                    _log.error("the log of reads: %s", error)
                self._trouble = error
