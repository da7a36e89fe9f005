"""How often somebody tried lately: counts by hour, shared by all workers of a server.

Who tried is kept as a keyed hash alone, under a key that is made anew each time the file is made:
no address of a client and no number of a bill lies here. Without fsync: a machine that goes down
forgets an hour's attempts. See docs/spec/check.md.

Invariant: what is kept is bounded by time, and one name's count never by another's.
"""

from __future__ import annotations

import os
import secrets
import threading
from hashlib import blake2b
from pathlib import Path

import apsw

from tallystick.durable import Naming
from tallystick.protocol.errors import Rejected
from tallystick.web.reasons import WebReason

HOUR_SECONDS = 3_600
_BUSY_MILLISECONDS = 2_000
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS salt (id INTEGER PRIMARY KEY CHECK (id = 1), value BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS tried (
        name BLOB NOT NULL, hour INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (name, hour)
    ) WITHOUT ROWID;
"""


class Attempts:
    """One worker's connection, for any thread."""

    def __init__(self, path: Path) -> None:
        """Open the file, making it if there is none."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._naming = Naming(path)
        with self._naming:
            self._db = apsw.Connection(str(path), statementcachesize=16)
            self._db.set_busy_timeout(_BUSY_MILLISECONDS)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute(_SCHEMA)
            self._db.execute("INSERT OR IGNORE INTO salt VALUES (1, ?)", (secrets.token_bytes(32),))
            for (salt,) in self._db.execute("SELECT value FROM salt"):
                self._salt: bytes = salt
        self._hour = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @property
    def kept(self) -> int:
        """How many names are known of this hour or one before."""
        with self._lock, self._naming:
            ((count,),) = self._db.execute("SELECT count(*) FROM tried")
        return int(count)

    def take(self, name: str, at: int, most: int) -> None:
        """One attempt more, or `Rejected`: there were `most` within this hour. `at`: Unix seconds.

        Taken before anybody knows how it ends, so many at a moment are no more than one by one.
        """
        hour = at // HOUR_SECONDS
        with self._lock, self._naming, self._db:
            if hour != self._hour:
                self._db.execute("DELETE FROM tried WHERE hour < ?", (hour,))
                self._hour = hour
            self._db.execute(
                "INSERT INTO tried VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1 "
                "WHERE count < ?",
                (self._hidden(name), hour, most),
            )
            if not self._db.changes():
                raise Rejected(WebReason.CROWDED, f"{most} an hour")

    def give_back(self, name: str, at: int) -> None:
        """That one does not count after all."""
        with self._lock, self._naming, self._db:
            self._db.execute(
                "UPDATE tried SET count = count - 1 WHERE name = ? AND hour = ?",
                (self._hidden(name), at // HOUR_SECONDS),
            )

    def _hidden(self, name: str) -> bytes:
        return blake2b(name.encode(), digest_size=16, key=self._salt).digest()
