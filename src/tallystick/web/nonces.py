"""Each signed request once: the nonces that were seen, shared by all workers of a server.

One small SQLite file without fsync: what a process has written, every other one sees, and a restart
or kill -9 of all of them keeps it. Only a machine that goes down may lose it; therefore nothing
counts that was signed before this machine was up. See docs/spec/requests.md.

Invariant: of two requests with one key and nonce at most one is taken, by whichever worker, also
when the clock is set back; what is kept is bounded, for each key and by time.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from tallystick.client.signing import LIFE_SECONDS_MAX
from tallystick.durable import Naming
from tallystick.protocol.errors import Busy, Damaged, Rejected
from tallystick.web.reasons import WebReason
from tallystick.web.requests import AHEAD_SECONDS_MAX, SignedBy

MEMBER_REQUESTS_MAX = 100_000
"""Of one member's key in a window, at one worker: 1,600 a second, 8 MB of file."""
STRANGER_REQUESTS_MAX = 200
"""Of one bill's key likewise: there may be as many such keys as bills."""
WINDOW_SECONDS = LIFE_SECONDS_MAX + AHEAD_SECONDS_MAX
"""Nothing that is taken now is valid any longer than this."""
KEYS_COUNTED_MAX = 100_000
"""A worker's own memory of a window; more keys than that are busy."""

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS seen (
        key BLOB NOT NULL, nonce BLOB NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY (key, nonce)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS seen_until ON seen (expires);
    CREATE TABLE IF NOT EXISTS mark (
        id INTEGER PRIMARY KEY CHECK (id = 1), forgotten INTEGER NOT NULL, since INTEGER NOT NULL
    );
    INSERT OR IGNORE INTO mark VALUES (1, 0, 0);
"""
_TAKE = """
    INSERT OR IGNORE INTO seen SELECT ?1, ?2, ?3 FROM mark WHERE ?3 > forgotten AND ?4 >= since
"""
"""Marks and nonce in one statement: no other worker forgets in between."""
_WAIT_SECONDS = 0.0001
_WAITS_MAX = 20_000
"""Two seconds in all: another worker's insert takes microseconds."""

_log = logging.getLogger("tallystick.web")


class NonceStore:
    """One worker's connection."""

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        """Open the file, making it if there is none; `clock` gives Unix seconds.

        A damaged one is made anew when nobody else has it open; what was signed before counts not.
        """
        self.path = path
        self._clock = clock
        self._counts: dict[bytes, int] = {}
        self._window = 0
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._db = self._open()
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        except BaseException:
            os.close(self._lock)
            raise
        up_since = clock() - int(time.monotonic())
        self._count_from(up_since + AHEAD_SECONDS_MAX + 1)
        self.forget()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        os.close(self._lock)

    def take(self, signed: SignedBy, most: int = MEMBER_REQUESTS_MAX) -> None:
        """This request is being answered: the same one never again, by nobody.

        `Rejected` when it was before, or when this key has had `most` within a window.
        """
        self._count(signed.key, most)
        with Naming(self.path):
            self._db.execute(_TAKE, (signed.key, signed.nonce, signed.expires, signed.created))
            if self._db.changes():
                return
            forgotten, since = self._db.execute("SELECT forgotten, since FROM mark").get
        if forgotten > self._clock() + WINDOW_SECONDS:
            self.forget()
        if signed.created < since or signed.expires <= forgotten:
            raise Rejected(WebReason.CLOCK, "signed before this server remembers", path="created")
        raise Rejected(WebReason.REPLAYED, path="nonce")

    def forget(self) -> None:
        """Drop what can be refused by its time alone; called once in a while by `take` itself.

        A clock that had been far ahead heals within a window.
        """
        now = self._clock()
        with Naming(self.path):
            self._db.execute(
                "UPDATE mark SET forgotten = min(max(forgotten, ?), ?)", (now, now + WINDOW_SECONDS)
            )
            self._db.execute("DELETE FROM seen WHERE expires <= ?", (now,))

    def _open(self) -> apsw.Connection:
        """1. alone, or beside others    2. as it is    3. made anew, if we are alone."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # 1
        except BlockingIOError:
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            return _connect(self.path)
        try:
            return _connect(self.path)  # 2
        except Damaged as error:
            _log.warning("the nonces are kept anew: %s", error)
        for end in ("", "-wal", "-shm", "-journal"):  # 3
            Path(f"{self.path}{end}").unlink(missing_ok=True)
        db = _connect(self.path)
        db.execute("UPDATE mark SET since = ?", (self._clock() + AHEAD_SECONDS_MAX + 1,))
        return db

    def _count(self, key: bytes, most: int) -> None:
        window = self._clock() // WINDOW_SECONDS
        if window != self._window:
            self._window = window
            self._counts.clear()
            self.forget()
        count = self._counts.get(key, 0) + 1
        if count > most:
            raise Rejected(WebReason.CROWDED, f"more than {most} in {WINDOW_SECONDS} s")
        if len(self._counts) >= KEYS_COUNTED_MAX and key not in self._counts:
            raise Busy(1)
        self._counts[key] = count

    def _count_from(self, since: int) -> None:
        """Nothing that was signed before counts from here on."""
        with Naming(self.path):
            self._db.execute("UPDATE mark SET since = max(since, ?)", (since,))


def _connect(path: Path) -> apsw.Connection:
    """A connection to a sound file; `Damaged` when it is none."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with Naming(path):
        db = apsw.Connection(str(path), statementcachesize=16)
        try:
            db.set_busy_handler(_wait)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")
            db.execute("PRAGMA cell_size_check = ON")
            if db.execute("PRAGMA quick_check").get != "ok":
                raise Damaged(f"{path} is not what was written")
            db.execute(_SCHEMA)
            if db.execute("SELECT count(*) FROM mark").get != 1:
                raise Damaged(f"{path} has no marks")
        except BaseException:
            db.close()
            raise
    return db


def _wait(times: int) -> bool:
    """Another worker writes: try again in a moment."""
    time.sleep(_WAIT_SECONDS)
    return times < _WAITS_MAX
