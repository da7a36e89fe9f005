"""How often somebody tried lately: counts by hour, shared by all workers of a server.

Who tried is kept as a keyed hash alone, under a key that is made anew each time the file is made:
no address of a client and no number of a bill lies here. Without fsync: a machine that goes down
forgets an hour's attempts. See docs/spec/check.md.

Invariant: what is kept is bounded by time, and one name's count never by another's.
"""

from __future__ import annotations

import os
import secrets
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
    """One worker's connection."""

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

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def check(self, name: str, at: int, most: int) -> None:
        """Refuse whoever has tried `most` times within this hour; `at`: Unix seconds."""
        hour = at // HOUR_SECONDS
        with self._naming:
            for (count,) in self._db.execute(
                "SELECT count FROM tried WHERE name = ? AND hour = ?", (self._hidden(name), hour)
            ):
                if count >= most:
                    raise Rejected(WebReason.CROWDED, f"{most} an hour")

    def count(self, name: str, at: int) -> None:
        """One attempt more."""
        hour = at // HOUR_SECONDS
        with self._naming, self._db:
            if hour != self._hour:
                self._db.execute("DELETE FROM tried WHERE hour < ?", (hour,))
                self._hour = hour
            self._db.execute(
                "INSERT INTO tried VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
                (self._hidden(name), hour),
            )

    def _hidden(self, name: str) -> bytes:
        return blake2b(name.encode(), digest_size=16, key=self._salt).digest()
