"""The two files of a vault: `bodies.db` has the ciphertexts, `keys.db` each one's wrapped secret.

They lie apart so that a secret can be destroyed for good while its ciphertext is in every backup.
A transaction over both commits the keys first: a crash between leaves keys of no body, which open
nothing, never a body without its key that was not erased. See docs/spec/vault.md.

Invariant: when a `transaction` returns, what it wrote survives kill -9 and power cut.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from tallystick.durable import Locked, Naming, sync_folder
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed
from tallystick.vault.ciphers import Ciphers, decrypt_body, encrypt_body

FORMAT = b"tallystick/vault/v1"
BUSY_MILLISECONDS = 10_000
BODIES_FILE = "bodies.db"
KEYS_FILE = "keys.db"
BACKUP_MARK = "backup"
"""Stands in `meta` of a copy that lacks its index: it must be restored, not opened."""

_PRAGMAS = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA secure_delete = ON;
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
"""
_META = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
_KEYS_SCHEMA = f"""
    {_META};
    CREATE TABLE IF NOT EXISTS wrapped (id INTEGER PRIMARY KEY AUTOINCREMENT, secret BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS erased (
        id INTEGER PRIMARY KEY, code INTEGER NOT NULL, number INTEGER NOT NULL,
        legal_order BLOB NOT NULL, at INTEGER NOT NULL, tag BLOB NOT NULL,
        done INTEGER NOT NULL DEFAULT 0, UNIQUE (code, number)
    );
    CREATE INDEX IF NOT EXISTS unfinished ON erased (id) WHERE NOT done;
    CREATE TABLE IF NOT EXISTS copies (place TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_BODIES_SCHEMA = f"""
    {_META};
    CREATE TABLE IF NOT EXISTS cells (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS doomed (id INTEGER PRIMARY KEY);
"""

Row = tuple[Any, ...]


class Files:
    """The connections to both files, and the cells in them; one lock for all threads."""

    def __init__(
        self,
        folder: Path,
        ciphers: Ciphers,
        kind: str,
        schema: str,
        *,
        restoring: bool = False,
        vfs: str | None = None,
    ) -> None:
        """Open the vault of this kind in `folder`, making it if there is none.

        `restoring`: it is a backup to be made a vault again. `vfs`: SQLite's name of another disk.
        """
        self.ciphers = ciphers
        self.lock = threading.RLock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.bodies_path, self.keys_path = folder / BODIES_FILE, folder / KEYS_FILE
        with Naming(self.keys_path):
            self.keys = _connect(self.keys_path, vfs)
        try:
            with Naming(self.bodies_path):
                self.db = _connect(self.bodies_path, vfs)
            sync_folder(folder)
            self._pair(FORMAT + b" " + kind.encode(), _BODIES_SCHEMA + schema, restoring)
            self._check_ages()
            self.destroy_doomed()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close both files; what was written is safe without it."""
        with self.lock:
            self.keys.close()
            if hasattr(self, "db"):
                self.db.close()

    @contextmanager
    def transaction(self, *, with_keys: bool = False) -> Iterator[apsw.Connection]:
        """All that is written to `bodies.db` (and `keys.db`) inside, or nothing, durably."""
        with self.lock, Naming(self.folder):
            self.db.execute("BEGIN IMMEDIATE")  # this one first, always: no deadlock
            try:
                if with_keys:
                    self.keys.execute("BEGIN IMMEDIATE")
                yield self.db
                if with_keys:
                    self.keys.execute("COMMIT")
                self.db.execute("COMMIT")
            except BaseException:
                for connection in (self.keys, self.db):
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                raise

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a question to `bodies.db`."""
        with self.lock, Naming(self.bodies_path):
            return list(self.db.execute(sql, values))

    def add_cell(self, body: bytes, secret: bytes, label: bytes) -> int:
        """Encrypt a body into a cell of its own; only inside a transaction `with_keys`."""
        wrapped = self.ciphers.wrap(secret, label)
        self.keys.execute("INSERT INTO wrapped (secret) VALUES (?)", (wrapped,))
        cell = self.keys.last_insert_rowid()
        encrypted = encrypt_body(body, secret, label)
        self.db.execute("INSERT INTO cells VALUES (?, ?)", (cell, encrypted))
        return cell

    def read_cell(self, cell: int, label: bytes) -> tuple[bytes, bytes]:
        """Body and secret of a cell, or `Damaged`, naming the file that is at fault."""
        what = f"cell {cell} of {{}}"
        with self.lock:
            keys = self.query_keys("SELECT secret FROM wrapped WHERE id = ?", (cell,))
            bodies = self.query("SELECT body FROM cells WHERE id = ?", (cell,))
        for rows, path in ((keys, self.keys_path), (bodies, self.bodies_path)):
            if not rows:
                raise Damaged(f"{what.format(path)} is gone")
        secret = self.ciphers.unwrap(keys[0][0], label, what.format(self.keys_path))
        return decrypt_body(bodies[0][0], secret, label, what.format(self.bodies_path)), secret

    def has_key(self, cell: int) -> bool:
        """Whether the key of a cell is there; what it opens, `read_cell` says."""
        return bool(self.query_keys("SELECT 1 FROM wrapped WHERE id = ?", (cell,)))

    def doom_cell(self, cell: int) -> None:
        """Remove a body, and its key once that is durable; only inside a transaction."""
        self.db.execute("DELETE FROM cells WHERE id = ?", (cell,))
        self.db.execute("INSERT INTO doomed VALUES (?)", (cell,))

    def destroy_doomed(self) -> None:
        """Destroy the keys of removed bodies, out of the write-ahead log too.

        Later, while another process reads.
        """
        with self.lock, Naming(self.keys_path), suppress(Locked):
            doomed = self.query("SELECT id FROM doomed")
            if doomed:
                with self.keys:
                    self.keys.executemany("DELETE FROM wrapped WHERE id = ?", doomed)
                self._empty_log(self.keys, self.keys_path)
                with self.transaction() as db:
                    db.executemany("DELETE FROM doomed WHERE id = ?", doomed)

    def empty_logs(self) -> None:
        """Move the write-ahead logs into their files; `Locked` while another process reads."""
        with self.lock:
            self._empty_log(self.keys, self.keys_path)
            self._empty_log(self.db, self.bodies_path)

    def _empty_log(self, connection: apsw.Connection, path: Path) -> None:
        with Naming(path):
            blocked = next(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)"))[0]
        if blocked:
            raise Locked(f"{path} is being read by another process", self.folder)

    def meta(self, name: str) -> bytes | None:
        """What `bodies.db` says under a name."""
        rows = self.query("SELECT value FROM meta WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def set_meta(self, name: str, value: bytes | None) -> None:
        """Say it, or no more; only inside a transaction."""
        self.db.execute("DELETE FROM meta WHERE name = ?", (name,))
        if value is not None:
            _write_meta(self.db, {name: value})

    def query_keys(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a question to `keys.db`."""
        with self.lock, Naming(self.keys_path):
            return list(self.keys.execute(sql, values))

    def _pair(self, kind: bytes, schema: str, restoring: bool) -> None:
        """Check that both files are of one vault of this kind under this key, or make them so.

        1. `bodies.db` says whether there is a vault    2. then `keys.db` is its other half
        3. of this kind    4. under this key    5. if there is none, nothing is lost by making it
        """
        with Naming(self.bodies_path):
            made = _read_meta(self.db)
        with Naming(self.keys_path):
            keys = _read_meta(self.keys)
            if made:  # 1
                if not keys or keys.get("pair") != made.get("pair"):  # 2
                    raise Damaged(f"{self.keys_path} is not the other half of this vault")
                if made.get("kind") != kind:  # 3
                    raise Malformed(f"{self.bodies_path} is no {kind.decode()}", path="kind")
                if made.get("fingerprint") != self.ciphers.fingerprint:  # 4
                    raise VerificationFailed(f"wrong key for the vault of {self.bodies_path}")
                if BACKUP_MARK in made and not restoring:
                    raise Damaged(f"{self.bodies_path} is a backup: restore it before it is used")
                self.keys.execute(_KEYS_SCHEMA)  # of a vault that an earlier version made
                with Naming(self.bodies_path):
                    self.db.execute(schema)
                return
            if keys and list(self.keys.execute("SELECT 1 FROM wrapped LIMIT 1")):  # 5
                raise Damaged(f"{self.bodies_path} is gone, and {self.keys_path} has its keys")
            pair = secrets.token_bytes(16)
            with self.keys:
                self.keys.execute(_KEYS_SCHEMA)
                _write_meta(self.keys, {"pair": pair})
        with self.transaction():
            self.db.execute(schema)
            said = {"pair": pair, "kind": kind, "fingerprint": self.ciphers.fingerprint}
            _write_meta(self.db, said)

    def _check_ages(self) -> None:
        """Keys older than bodies are a restored backup, which must not pass for a vault.

        Bodies older than keys look like a crash between two commits; nothing is removed on that.
        """
        newest = self.query("SELECT ifnull(max(id), 0) FROM cells")[0][0]
        said = self.query_keys("SELECT seq FROM sqlite_sequence WHERE name = 'wrapped'")
        if newest > (said[0][0] if said else 0):
            raise Damaged(f"{self.keys_path} is older than {self.bodies_path}")


def _connect(path: Path, vfs: str | None) -> apsw.Connection:
    """SQLite makes its side files as readable as the file itself: so that is made first."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    try:
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        connection.execute(_PRAGMAS).fetchall()  # apsw pauses at each row that a pragma answers
    except BaseException:
        connection.close()
        raise
    return connection


def _read_meta(connection: apsw.Connection) -> dict[str, bytes]:
    if not list(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'")):
        return {}
    return dict(connection.execute("SELECT name, value FROM meta"))


def _write_meta(connection: apsw.Connection, values: dict[str, bytes]) -> None:
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())
