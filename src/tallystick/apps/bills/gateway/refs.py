"""The table of refs: which bill was made for which of a caller's own numbers.

1. a ref is taken, durably, before anything is sealed    2. the bill's number is noted, with a mark
of its body, before its transaction is signed    3. what became of it is noted. So whoever asks
again with the same ref hears of the same bill, whatever happened in between.

Invariant: a ref has one bill as long as that bill may be on the ledger, or somebody was told of it.
See docs/guides/gateway.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import apsw

from tallystick.durable import Naming, sync_folder

FILE = "refs.db"
BUSY_MILLISECONDS = 10_000
State = Literal["taken", "sent", "done", "refused"]

_PRAGMAS = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
"""
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS refs (
        ref TEXT PRIMARY KEY, digest BLOB NOT NULL, kind TEXT NOT NULL, at INTEGER NOT NULL,
        by TEXT NOT NULL, about TEXT, state TEXT NOT NULL, bill TEXT, red TEXT, mark BLOB,
        tx TEXT, entry INTEGER, word TEXT, offline INTEGER NOT NULL DEFAULT 0,
        told INTEGER NOT NULL DEFAULT 0, reason TEXT
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS of_bills ON refs (bill) WHERE bill IS NOT NULL;
    CREATE INDEX IF NOT EXISTS unfinished ON refs (state, at) WHERE state IN ('taken', 'sent');
    CREATE INDEX IF NOT EXISTS refused ON refs (at) WHERE state = 'refused';
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one ref."""

    ref: str
    digest: bytes
    """Keyed: of what was asked for, so that nobody guesses content from it."""
    kind: str
    """``issue``, ``reverse``, ``replace``."""
    at: int
    by: str
    """Whose token."""
    about: str | None
    """The bill that is undone."""
    state: State
    bill: str | None = None
    """The new one; of a reversal the red one."""
    red: str | None = None
    """Of a replacement."""
    mark: bytes | None = None
    tx: str | None = None
    entry: int | None = None
    word: str | None = None
    offline: int = 0
    told: int = 0
    """Somebody knows the number: it is not another bill's any more."""
    reason: str | None = None


_COLUMNS = ", ".join(Row.__slots__)


class Numbered(NamedTuple):
    """Which bill a ref has got."""

    ref: str
    bill: str
    red: str | None
    mark: bytes
    """Hash of body and secret: whether a body of this number is this one."""


class Final(NamedTuple):
    """What became of it on the ledger."""

    ref: str
    tx: str
    entry: int
    word: str


class Refs:
    """The table in a folder; from any thread, in one process at a time."""

    def __init__(self, path: Path, db: apsw.Connection) -> None:
        self.path = path
        self._db = db
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The table of a folder, made if there is none."""
        path = folder / FILE
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        with Naming(path):
            db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            db.set_busy_timeout(BUSY_MILLISECONDS)
            db.execute(_PRAGMAS).fetchall()
            db.execute(_SCHEMA)
        sync_folder(folder)
        return cls(path, db)

    def close(self) -> None:
        """Close the file; what was written is safe without it."""
        with self._lock:
            self._db.close()

    # ---------------------------------------------------------------------------- writing

    def take(self, rows: Iterable[Row]) -> None:
        """These refs are being worked on."""
        marks = ", ".join("?" * len(Row.__slots__))
        values = [tuple(getattr(row, name) for name in Row.__slots__) for row in rows]
        self._write(f"INSERT INTO refs ({_COLUMNS}) VALUES ({marks})", values)

    def free(self, refs: Iterable[str]) -> None:
        """Nothing was made for these."""
        self._write("DELETE FROM refs WHERE ref = ?", [(ref,) for ref in refs])

    def number(self, numbered: Sequence[Numbered], *, offline: bool = False) -> None:
        """These bills are about to be signed; an offline one is told of at once."""
        self._write(
            "UPDATE refs SET state = 'sent', bill = ?, red = ?, mark = ?, offline = ?, "
            "told = max(told, ?) WHERE ref = ?",
            [(each.bill, each.red, each.mark, offline, offline, each.ref) for each in numbered],
        )

    def finish(self, finals: Iterable[Final]) -> None:
        """These are on the ledger."""
        self._write(
            "UPDATE refs SET state = 'done', tx = ?, entry = ?, word = ?, reason = NULL "
            "WHERE ref = ?",
            [(each.tx, each.entry, each.word, each.ref) for each in finals],
        )

    def say(self, ref: str, word: str) -> None:
        """What people are told of a bill has changed."""
        self._write("UPDATE refs SET word = ? WHERE ref = ?", [(word, ref)])

    def refuse(self, ref: str, reason: str) -> Row | None:
        """The ledger took it not: the row where somebody was told of its number, else None.

        Then the ref is free again.
        """
        with self._lock, Naming(self.path), self._db:
            self._db.execute("DELETE FROM refs WHERE ref = ? AND NOT told", (ref,))
            self._db.execute(
                "UPDATE refs SET state = 'refused', reason = ? WHERE ref = ?", (reason, ref)
            )
        return self.get(ref)

    def tell(self, ref: str) -> Row | None:
        """Somebody is about to hear of the number: the row, or None where it has none."""
        self._write("UPDATE refs SET told = 1 WHERE ref = ? AND state = 'sent'", [(ref,)])
        row = self.get(ref)
        return row if row is not None and row.bill is not None else None

    def tell_all(self) -> None:
        """After a crash nobody knows who was told."""
        self._write("UPDATE refs SET told = 1 WHERE state = 'sent'", [()])

    # ---------------------------------------------------------------------------- reading

    def get(self, ref: str) -> Row | None:
        """What is known of a ref."""
        return self._one("ref = ?", ref)

    def of_bill(self, bill: str) -> Row | None:
        """The ref whose bill this is; of several (a refused one before) the live one."""
        return self._one("bill = ? ORDER BY state = 'refused' LIMIT 1", bill)

    def in_state(self, state: State, limit: int = 1_000_000) -> list[Row]:
        """Those in a state, the oldest first."""
        return self._many("state = ? ORDER BY at, ref LIMIT ?", state, limit)

    def is_told(self, bill: str) -> bool:
        """Whether a refused bill's number was told to somebody."""
        return self._one("bill = ? AND state = 'refused'", bill) is not None

    def count(self) -> dict[str, int]:
        """How many of each state that is not done."""
        rows = self._query(
            "SELECT 'taken', count(*) FROM refs WHERE state = 'taken' UNION ALL "
            "SELECT 'sent', count(*) FROM refs WHERE state = 'sent' UNION ALL "
            "SELECT 'refused', count(*) FROM refs WHERE state = 'refused'"
        )
        return dict(rows)

    def _one(self, where: str, *values: Any) -> Row | None:
        found = self._many(where, *values)
        return found[0] if found else None

    def _many(self, where: str, *values: Any) -> list[Row]:
        return [
            Row(*row) for row in self._query(f"SELECT {_COLUMNS} FROM refs WHERE {where}", *values)
        ]

    def _query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock, Naming(self.path):
            return list(self._db.execute(sql, values))

    def _write(self, sql: str, values: Sequence[tuple[Any, ...]]) -> None:
        if not values:
            return
        with self._lock, Naming(self.path), self._db:
            self._db.executemany(sql, values)
