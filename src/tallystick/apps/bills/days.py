"""Which bills were made on which business day, at which place and in which shift: an index.

A vault finds a body by its number alone. The index is made of the bodies, as far as they are on the
ledger, and can be thrown away. Place and shift are names of a house's own, and no person's.

Invariant: what the index names is looked up in the vault before it is believed.
See docs/spec/reconciliation.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

import apsw

from tallystick.contracts.bills.body import Body
from tallystick.durable import Naming
from tallystick.protocol.canonical import decode
from tallystick.protocol.values import local_day, parse_instant
from tallystick.vault import Standing, Vault

FILE = "days.db"
BUSY_MILLISECONDS = 10_000
CHUNK = 500
_SCHEMA = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS bills (
        code INTEGER NOT NULL, number INTEGER NOT NULL, day TEXT NOT NULL, place TEXT, shift TEXT,
        PRIMARY KEY (code, number)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS of_days ON bills (day, place, shift);
    CREATE TABLE IF NOT EXISTS mark (id INTEGER PRIMARY KEY, seen INTEGER NOT NULL);
"""
BillId = tuple[int, int]


class Days:
    """The index beside a vault; for one thread. Use as a context."""

    def __init__(self, folder: Path, vault: Vault, offset_seconds: int) -> None:
        """`offset_seconds`: of the network's days from UTC."""
        self.path = folder / FILE
        self._vault = vault
        self._offset = offset_seconds
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        with Naming(self.path):
            self._db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
            self._db.set_busy_timeout(BUSY_MILLISECONDS)
            self._db.execute(_SCHEMA).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def refresh(self) -> None:
        """Take in what has come to the ledger since. Those without an end are met again."""
        after = seen = self._seen()
        settled = True
        while some := self._vault.listed(after, limit=CHUNK):
            after = some[-1][0]
            rows = [row for _, one in some if (row := self._row(one)) is not None]
            with Naming(self.path), self._db:
                self._db.executemany("INSERT OR REPLACE INTO bills VALUES (?, ?, ?, ?, ?)", rows)
            for body, one in some:
                settled = settled and one.state in ("recorded", "erased")
                seen = body if settled else seen
        with Naming(self.path), self._db:
            self._db.execute("INSERT OR REPLACE INTO mark VALUES (0, ?)", (seen,))

    def bills(self, day: str, place: str | None, shift: str | None) -> list[BillId]:
        """Those of a day, of one place and shift or of all."""
        sql, values = "SELECT code, number FROM bills WHERE day = ?", [day]
        for name, value in (("place", place), ("shift", shift)):
            if value is not None:
                sql += f" AND {name} = ?"
                values.append(value)
        with Naming(self.path):
            found: list[Any] = list(self._db.execute(sql + " ORDER BY code, number", values))
        return [(code, number) for code, number in found]

    def day_of(self, body: Body) -> str:
        """The business day that a bill is of."""
        return local_day(parse_instant(body.issued_at), self._offset)

    def _seen(self) -> int:
        with Naming(self.path):
            rows = list(self._db.execute("SELECT seen FROM mark WHERE id = 0"))
        return int(rows[0][0]) if rows else 0

    def _row(self, one: Standing) -> tuple[int, int, str, str | None, str | None] | None:
        if one.state != "recorded" or self._has(one):
            return None
        try:
            body = decode(self._vault.get(one.code, one.number)[0], Body)
        except KeyError:  # erased meanwhile
            return None
        named = body.place_code, body.cashier_shift
        return one.code, one.number, self.day_of(body), *named

    def _has(self, one: Standing) -> bool:
        with Naming(self.path):
            sql = "SELECT 1 FROM bills WHERE code = ? AND number = ?"
            return bool(list(self._db.execute(sql, (one.code, one.number))))
