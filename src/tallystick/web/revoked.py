"""Passes that their organisations have ended at this server before their time.

Revoking the key that signed a pass ends it at every server of the network; this list ends one pass
here, at once. It is durable, shared by all workers, and kept for good: an id is 16 bytes.
See docs/spec/requests.md.

Invariant: once `revoke` has returned, no worker takes that pass again, also after a power cut; no
organisation can end another's.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import apsw

from tallystick.durable import Naming, sync_folder
from tallystick.protocol.errors import Rejected
from tallystick.web.reasons import WebReason

REVOKED_MAX = 10_000
"""Of one organisation; who has more revokes the key that made them."""
_BUSY_MILLISECONDS = 10_000
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS revoked (
        org TEXT NOT NULL, id BLOB NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (org, id)
    ) WITHOUT ROWID
"""


class Revoked:
    """One worker's connection; for any of its threads."""

    def __init__(self, path: Path) -> None:
        """Open the file, making it if there is none; `Damaged` when it is none of ours."""
        self.path = path
        self._lock = threading.Lock()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with Naming(path):
            self._db = apsw.Connection(str(path), statementcachesize=16)
            self._db.set_busy_timeout(_BUSY_MILLISECONDS)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA cell_size_check = ON")
            self._db.execute(_SCHEMA)
        sync_folder(path.parent)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def revoke(self, org: str, pass_id: bytes, at: int) -> None:
        """End a pass of `org`'s, known here or not; `at` is in Unix seconds."""
        with self._lock, Naming(self.path):
            count = self._db.execute("SELECT count(*) FROM revoked WHERE org = ?", (org,)).get
            if count >= REVOKED_MAX and not self._has(org, pass_id):
                raise Rejected(WebReason.CROWDED, f"more than {REVOKED_MAX} passes; end their key")
            self._db.execute("INSERT OR IGNORE INTO revoked VALUES (?, ?, ?)", (org, pass_id, at))

    def is_revoked(self, org: str, pass_id: bytes) -> bool:
        """Whether this pass was ended here."""
        with self._lock, Naming(self.path):
            return self._has(org, pass_id)

    def _has(self, org: str, pass_id: bytes) -> bool:
        found = self._db.execute("SELECT 1 FROM revoked WHERE org = ? AND id = ?", (org, pass_id))
        return found.get is not None
