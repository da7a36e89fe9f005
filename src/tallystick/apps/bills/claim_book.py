"""A reimburser's own book of claims: one SQLite file, for its owner alone.

A claim is written here, durably, before its item is sent: the nonce by which its lock is owned
stands nowhere else. A bill and a purpose have one open claim at a time, so that what is asked for
twice, or again after a crash, is the same claim. For one thread.

Invariant: a claim nonce that may be on the ledger is in the book. See docs/guides/reimburser.md.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import apsw

from tallystick.contracts.bills.records.claims import Terms
from tallystick.contracts.bills.records.holders import Opening
from tallystick.durable import Naming, sync_folder
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Damaged, Malformed
from tallystick.protocol.values import tagged_hash

FILE = "claims.db"
FORMAT = b"tallystick/claims/v1"
BUSY_MILLISECONDS = 10_000
REF_CHARS_MAX = 80

State = Literal[
    "prepared", "locked", "ready", "settled", "rejected", "released", "expired", "refused"
]
"""``prepared``: not known to have reached the ledger; ``ready``: a share of an atomic plan."""
OPEN: tuple[State, ...] = ("prepared", "locked", "ready")

_CASE_CONTEXT = b"tallystick/case/v1\n"
_PRAGMAS = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
"""
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS claims (
        id INTEGER PRIMARY KEY, claim BLOB UNIQUE, bill TEXT NOT NULL, purpose TEXT NOT NULL,
        terms BLOB NOT NULL, case_tag BLOB, ref TEXT NOT NULL, state TEXT NOT NULL,
        amount INTEGER NOT NULL, until TEXT, opening BLOB, paper TEXT, ordinal INTEGER,
        settled INTEGER NOT NULL DEFAULT 0, fixed INTEGER NOT NULL DEFAULT 0,
        due INTEGER NOT NULL DEFAULT 0, recovered INTEGER NOT NULL DEFAULT 0,
        waived INTEGER NOT NULL DEFAULT 0, decision BLOB, reason TEXT, entry INTEGER
    );
    CREATE UNIQUE INDEX IF NOT EXISTS open_claims ON claims (bill, purpose)
        WHERE state IN ('prepared', 'locked', 'ready');
    CREATE INDEX IF NOT EXISTS of_bills ON claims (bill);
    CREATE INDEX IF NOT EXISTS of_states ON claims (state, id);
    CREATE INDEX IF NOT EXISTS of_cases ON claims (case_tag) WHERE case_tag IS NOT NULL;
    CREATE INDEX IF NOT EXISTS of_refs ON claims (ref) WHERE ref <> '';
    CREATE INDEX IF NOT EXISTS owing ON claims (id) WHERE due > 0;
    CREATE TABLE IF NOT EXISTS steps (
        tx BLOB NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, act TEXT NOT NULL,
        bill TEXT NOT NULL, claim INTEGER, amount INTEGER, decision BLOB, outcome TEXT NOT NULL,
        entry INTEGER,
        PRIMARY KEY (tx, n)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS of_claims ON steps (claim, at);
"""
_NAMES = (
    *("id", "claim", "bill", "terms", "ref", "state", "amount", "until", "opening", "paper"),
    *("ordinal", "settled", "fixed", "due", "recovered", "waived", "decision", "reason", "entry"),
)
_COLUMNS = ", ".join(_NAMES)
_CHANGEABLE = frozenset(_NAMES) - {"id", "bill"} | {"purpose", "case_tag"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A claim as the book has it. Money in minor units."""

    id: int
    claim: bytes | None
    """Its nonce; a share of an atomic plan has none, nor has what was found on the ledger."""
    bill: str
    terms: Terms
    ref: str
    """The reimburser's own name for it."""
    state: State
    amount: int
    """Locked, or asked for."""
    until: str | None
    opening: Opening | None
    paper: str | None
    ordinal: int | None
    """Of its row on the ledger, once it was answered."""
    settled: int
    fixed: int
    due: int
    recovered: int
    waived: int
    decision: bytes | None
    reason: str | None
    entry: int | None
    """Of the last act that the ledger accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClaim:
    """A claim to be kept."""

    claim: bytes | None
    bill: str
    terms: Terms
    ref: str
    amount: int
    until: str | None
    opening: Opening | None
    paper: str | None


class Step(NamedTuple):
    """What became of one act."""

    tx_id: str
    n: int
    at: int
    act: str
    bill: str
    claim: int | None
    """Its id in the book."""
    amount: int | None
    decision: bytes | None
    outcome: str
    entry: int | None


class ClaimBook:
    """The book in a folder."""

    def __init__(self, path: Path, db: apsw.Connection) -> None:
        self.path = path
        self._db = db
        meta = dict(self._query("SELECT name, value FROM meta"))
        if meta.get("format") != FORMAT:
            raise Malformed(f"{path} is no book of claims", path="format")
        self.org = bytes(meta["org"]).decode()
        self.network = bytes(meta["network"])
        self._case_key = bytes(meta["case_key"])

    @classmethod
    def make(cls, folder: Path, *, org: str, network: bytes) -> Self:
        """A new book of this organisation; `FileExistsError` when there is one."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / FILE
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        db = _connect(path)
        said = {"org": org.encode(), "network": network, "case_key": secrets.token_bytes(32)}
        with Naming(path):
            with db:
                db.execute(_SCHEMA)
                values = (said | {"format": FORMAT}).items()
                db.executemany("INSERT INTO meta VALUES (?, ?)", values)
            db.wal_checkpoint()
        sync_folder(folder)
        return cls(path, db)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The book of a folder; `FileNotFoundError` when there is none."""
        path = folder / FILE
        if not path.is_file():
            raise FileNotFoundError(2, "no such file", str(path))
        db = _connect(path)
        try:
            return cls(path, db)
        except BaseException:
            db.close()
            raise

    def close(self) -> None:
        """Close the file; what was written is safe without it."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def case_tag(self, case: str) -> bytes:
        """What bills of one case share on the ledger; nobody else can guess it from the name."""
        return tagged_hash(_CASE_CONTEXT, self._case_key, case.encode())

    # ---------------------------------------------------------------------------- writing

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside, or nothing, durably."""
        with Naming(self.path), self._db:
            yield

    def add(self, new: NewClaim, state: State = "prepared") -> int:
        """Keep a claim: its id. Only inside a `transaction`."""
        self._db.execute(
            "INSERT INTO claims (claim, bill, purpose, terms, case_tag, ref, state, amount, until, "
            "opening, paper) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(new.claim, new.bill, new.terms.purpose, encode(new.terms), new.terms.case),
                *(new.ref, state, new.amount, new.until),
                *(encode(new.opening) if new.opening else None, new.paper),
            ),
        )
        return self._db.last_insert_rowid()

    def change(self, claim: int, changes: Mapping[str, Any]) -> None:
        """Write columns of a claim. Only inside a `transaction`."""
        if not changes:
            return
        if not changes.keys() <= _CHANGEABLE:
            raise ValueError(f"{sorted(changes)} are not all columns of a claim")
        values = [
            encode(value) if isinstance(value, Terms | Opening) else value
            for value in changes.values()
        ]
        named = ", ".join(f"{name} = ?" for name in changes)
        self._db.execute(f"UPDATE claims SET {named} WHERE id = ?", (*values, claim))

    def note(self, steps: Iterable[Step]) -> None:
        """Write what became of acts; the same again changes nothing. Inside a `transaction`."""
        self._db.executemany(
            "INSERT OR IGNORE INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(bytes.fromhex(step.tx_id), *step[1:]) for step in steps],
        )

    # ---------------------------------------------------------------------------- reading

    def get(self, claim: int) -> Kept | None:
        """A claim by its id."""
        return self._one("id = ?", claim)

    def by_nonce(self, claim: bytes) -> Kept | None:
        """A claim by its nonce."""
        return self._one("claim = ?", claim)

    def open_of(self, bill: str, purpose: str) -> Kept | None:
        """The open claim on a bill for a purpose."""
        return self._one(
            "bill = ? AND purpose = ? AND state IN ('prepared', 'locked', 'ready')", bill, purpose
        )

    def by_ordinal(self, bill: str, ordinal: int) -> Kept | None:
        """The last claim that was answered under this ordinal of a bill."""
        return self._one("bill = ? AND ordinal = ? ORDER BY id DESC LIMIT 1", bill, ordinal)

    def of_bill(self, bill: str) -> list[Kept]:
        """All claims on a bill, oldest first."""
        return self._many("bill = ? ORDER BY id", bill)

    def of_ref(self, ref: str) -> list[Kept]:
        """All claims under one own name."""
        return self._many("ref = ? ORDER BY id", ref)

    def of_case(self, case: str) -> list[Kept]:
        """All claims of a case."""
        return self._many("case_tag = ? ORDER BY id", self.case_tag(case))

    def in_states(self, states: Sequence[State], *, after: int = 0, limit: int) -> list[Kept]:
        """Claims in these states, by id, from the one after `after` on."""
        marks = ", ".join("?" * len(states))
        return self._many(
            f"state IN ({marks}) AND id > ? ORDER BY id LIMIT ?", *states, after, limit
        )

    def each_in(self, states: Sequence[State]) -> Iterator[Kept]:
        """All claims in these states as they are met, by id."""
        after = 0
        while some := self.in_states(states, after=after, limit=1_000):
            yield from some
            after = some[-1].id

    def owing(self) -> list[Kept]:
        """Claims of which something is due back."""
        return self._many("due > 0 ORDER BY id")

    def steps(self, claim: int) -> list[Step]:
        """What befell a claim, in order."""
        rows = self._query(
            "SELECT tx, n, at, act, bill, claim, amount, decision, outcome, entry FROM steps "
            "WHERE claim = ? ORDER BY at, entry",
            claim,
        )
        return [Step(bytes(tx).hex(), *rest) for tx, *rest in rows]

    def sums(self) -> dict[str, tuple[int, int, int, int]]:
        """By state: how many, and what is locked or asked for, settled, due back."""
        rows = self._query(
            "SELECT state, count(*), sum(amount), sum(settled), sum(due) FROM claims GROUP BY state"
        )
        return {state: (count, amount, settled, due) for state, count, amount, settled, due in rows}

    def _one(self, where: str, *values: Any) -> Kept | None:
        found = self._many(where, *values)
        return found[0] if found else None

    def _many(self, where: str, *values: Any) -> list[Kept]:
        return [
            self._kept(row)
            for row in self._query(f"SELECT {_COLUMNS} FROM claims WHERE {where}", *values)
        ]

    def _kept(self, row: Sequence[Any]) -> Kept:
        named = dict(zip(_NAMES, row, strict=True))
        try:
            named["terms"] = decode(bytes(named["terms"]), Terms)
            if named["opening"] is not None:
                named["opening"] = decode(bytes(named["opening"]), Opening)
        except Malformed as error:
            raise Damaged(f"{self.path}: claim {named['id']}: {error}") from error
        return Kept(**named)

    def _query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with Naming(self.path):
            return list(self._db.execute(sql, values))


def _connect(path: Path) -> apsw.Connection:
    """SQLite makes its side files as readable as the file itself, which is there by now."""
    os.close(os.open(path, os.O_RDWR | os.O_NOFOLLOW))
    with Naming(path):
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        db.set_busy_timeout(BUSY_MILLISECONDS)
        db.execute(_PRAGMAS).fetchall()
    return db
