"""The supervisor's archive: every bill's body, checked against its record, and what is still owed.

It is told of the records in the order of the log (`expect`) and given sealed deliveries, in any
order (`receive`). A body that the record commits to and that breaks a rule is a finding; what the
record does not commit to proves nothing against anyone and is turned away. It proposes no
transaction: `watermark` is what the supervisor's own act then says. See docs/spec/archive.md.

Invariant: an entry below the watermark is checked and kept, or it is among the exceptions.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tallystick.protocol.body import body_root
from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.protocol.errors import Busy, Malformed, Rejected, VerificationFailed
from tallystick.protocol.values import Count, Nonce
from tallystick.vault import post, reads
from tallystick.vault.ciphers import Ciphers
from tallystick.vault.delivery import Head, Letter, open_delivery
from tallystick.vault.erasure import Erased
from tallystick.vault.files import Files
from tallystick.vault.kept import Business, BusinessKey, Kept, restoring
from tallystick.vault.post import Inbox
from tallystick.vault.store import ContentCheck, blind_key

PURPOSE = "archive"
"""What a delivery to an archive is sealed for."""
EXCEPTIONS_MAX = 1_000

_SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS entries (
        id INTEGER PRIMARY KEY, entry INTEGER NOT NULL, issuer TEXT NOT NULL,
        network BLOB NOT NULL, tx BLOB NOT NULL, n INTEGER NOT NULL,
        code INTEGER NOT NULL, number INTEGER NOT NULL, root BLOB NOT NULL,
        state TEXT NOT NULL DEFAULT 'awaited', cell INTEGER, reversed INTEGER NOT NULL DEFAULT 0,
        UNIQUE (code, number)
    );
    CREATE INDEX IF NOT EXISTS unchecked ON entries (issuer, entry) WHERE state <> 'archived';
    CREATE TABLE IF NOT EXISTS business (
        key BLOB NOT NULL, bill INTEGER NOT NULL, before BLOB, PRIMARY KEY (key, bill)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS business_of ON business (bill);
    CREATE INDEX IF NOT EXISTS business_after ON business (before) WHERE before IS NOT NULL;
    CREATE TABLE IF NOT EXISTS findings (id INTEGER PRIMARY KEY, finding BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS issuers (
        issuer TEXT PRIMARY KEY, newest INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS told (
        one INTEGER PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL
    );
    {post.SCHEMA}
    {reads.SCHEMA}
"""
_FINDING_CONTEXT = b"tallystick/finding/v1\n"
_FINDING_LABEL = b"finding"

R = TypeVar("R")
Status = Literal["archived", "already", "wrong", "waiting", "turned_away"]


@dataclass(frozen=True, slots=True)
class Expected:
    """An accepted record that owes a body, as the log says."""

    entry: int
    """Log index; a replacement makes two records in one entry."""
    network: bytes
    issuer: str
    tx_id: str
    n: int
    code: int
    number: int
    root: bytes


class Finding(Record, kw_only=True):
    """What does not fit. It stays here; the ledger has its digest."""

    kind: Literal["content", "repeated", "unreversed"]
    """Broke a rule; is for the same as others; is the next for what a live bill is for."""
    issuer: str
    code: Count
    number: Count
    others: Annotated[list[tuple[int, int]], Meta(max_length=100)] = []
    """(code, number) of the other bills that it is about."""
    reason: str = ""
    path: str = ""
    detail: str = ""
    nonce: Nonce
    """Keeps the digest from being guessed."""

    @property
    def digest(self) -> bytes:
        """What may stand on the ledger."""
        return sha256(_FINDING_CONTEXT + encode(self)).digest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one delivery."""

    status: Status
    code: int = 0
    number: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Watermark:
    """All of an issuer's entries below `below` are archived, except these (code, number)."""

    below: int
    exceptions: tuple[tuple[int, int], ...]


class Archive(Kept, Generic[R]):
    """The bodies of many issuers. May be used by many threads; each call that writes is durable."""

    KIND = "archive"
    SCHEMA = _SCHEMA

    def __init__(
        self,
        files: Files,
        delivery_keys: Mapping[bytes, X25519PrivateKey],
        fetch_record: Callable[[Expected], R],
        check: ContentCheck[R],
        business: Business,
    ) -> None:
        self._inbox = Inbox(files)
        self._keys = delivery_keys
        self._fetch_record = fetch_record
        self._check = check
        self._business = business
        super().__init__(files)

    @classmethod
    def open(
        cls,
        folder: Path,
        key: bytes,
        *,
        delivery_keys: Mapping[bytes, X25519PrivateKey],
        fetch_record: Callable[[Expected], R],
        check: ContentCheck[R],
        business: Business,
        vfs: str | None = None,
    ) -> Self:
        """Open the archive in `folder` under its 32-byte key, making it if there is none.

        `delivery_keys` are its own, by public key, the retired ones while deliveries to them are
        under way. `check` raises `Rejected` for a body that breaks a rule or differs from its
        record; `business` reads the keys that no two live bills of an issuer may share out of a
        body that passed, none for a red bill.
        """
        files = Files(folder, Ciphers(key), cls.KIND, cls.SCHEMA, vfs=vfs)
        return cls(files, delivery_keys, fetch_record, check, business)

    @classmethod
    def restore(
        cls,
        folder: Path,
        key: bytes,
        *,
        backup: Path,
        keys: Path,
        business: Business,
        erased: Sequence[Erased] = (),
    ) -> None:
        """Make an archive in the new `folder` out of a backup and the keys, or none."""
        with restoring(backup, keys, folder) as beside:
            files = Files(beside, Ciphers(key), cls.KIND, cls.SCHEMA, restoring=True)
            with cls(files, {}, _not_here, _not_here, business) as archive:
                archive.restored(erased, business)

    @classmethod
    def keeping(cls, folder: Path, key: bytes) -> Self:
        """Open what is there to log reads, to erase and to copy; it judges no delivery."""
        files = Files(folder, Ciphers(key), cls.KIND, cls.SCHEMA)
        return cls(files, {}, _not_here, _not_here, lambda _: ())

    def expect(
        self,
        entries: Sequence[Expected],
        *,
        size: int,
        root: bytes = b"",
        reversed: Sequence[tuple[int, int]] = (),
    ) -> None:
        """These are all the records that owe a body up to log size `size`, since the last call.

        `root` is the log's at that size; `reversed` names by (code, number) the bills of which the
        ledger says that they were fully reversed. Saying it again changes nothing. Deliveries that
        came too early wait for `retry`.
        """
        with self._files.transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO entries (entry, issuer, network, tx, n, code, number, root) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(one.entry, one.issuer, one.network, bytes.fromhex(one.tx_id), one.n),
                        *(one.code, one.number, one.root),
                    )
                    for one in entries
                ],
            )
            db.executemany(  # what is gone is not waited for
                "UPDATE entries SET state = 'archived' WHERE code = ? AND number = ?",
                [(o.code, o.number) for o in entries if (o.code, o.number) in self.erasures],
            )
            db.executemany(
                "UPDATE entries SET reversed = 1 WHERE code = ? AND number = ?", reversed
            )
            db.executemany(
                "INSERT INTO issuers VALUES (?, ?) ON CONFLICT (issuer) "
                "DO UPDATE SET newest = max(newest, excluded.newest)",
                {one.issuer: one.entry for one in entries}.items(),
            )
            db.execute(
                "INSERT INTO told VALUES (1, ?, ?) ON CONFLICT (one) "
                "DO UPDATE SET size = excluded.size, root = excluded.root "
                "WHERE excluded.size > size",
                (size, root),
            )

    @property
    def told(self) -> tuple[int, bytes]:
        """Up to which log size the records are known, and the log's root there."""
        rows = self._files.query("SELECT size, root FROM told")
        return next(((size, root) for size, root in rows), (0, b""))

    def issuers(self) -> list[tuple[str, int]]:
        """Every issuer of a record that owes a body, and the entry of its newest one."""
        rows = self._files.query("SELECT issuer, newest FROM issuers ORDER BY issuer")
        return [(issuer, newest) for issuer, newest in rows]

    def receive(self, deliveries: Sequence[bytes], *, at: int) -> list[Outcome]:
        """Judge each delivery and keep what is good; the answer is given once that is durable."""
        with self._files.transaction(with_keys=True):
            return [self._receive(data, at) for data in deliveries]

    def retry(self, *, limit: int = 1_000) -> list[Outcome]:
        """Judge again what waits for its record; those that wait on are not in the answer."""
        outcomes: list[Outcome] = []
        after = 0
        while len(outcomes) < limit and (some := self._inbox.waiting(after=after, limit=100)):
            after = some[-1][0]
            with self._files.transaction(with_keys=True):
                judged = [(row, self._judge(data)) for row, data in some]
                done = [(row, outcome) for row, outcome in judged if outcome.status != "waiting"]
                self._inbox.done_within([row for row, _ in done])
            outcomes += [outcome for _, outcome in done]
        return outcomes

    def get(self, code: int, number: int) -> tuple[bytes, bytes]:
        """Body and secret. `KeyError`: not here, or erased; `Damaged`: not what was put."""
        self.erasures.check(code, number)
        rows = self._files.query(
            "SELECT network, issuer, cell FROM entries "
            "WHERE code = ? AND number = ? AND cell IS NOT NULL",
            (code, number),
        )
        if not rows:
            raise KeyError(f"no body of {code}:{number} in this archive")
        network, issuer, cell = rows[0]
        return self._files.read_cell(cell, _label(network, code, number, issuer))

    def watermark(
        self, issuer: str, *, exceptions_max: int = EXCEPTIONS_MAX, codes_max: int | None = None
    ) -> Watermark:
        """How far an issuer's bodies are checked; it stops where the exceptions would be too many.

        It never goes back: what is missing below it can only become less.
        """
        size, _ = self.told
        exceptions: list[tuple[tuple[int, int], int]] = []
        codes: set[int] = set()
        for entry, code, number in self._files.query(
            "SELECT entry, code, number FROM entries INDEXED BY unchecked "
            "WHERE issuer = ? AND state <> 'archived' ORDER BY entry LIMIT ?",
            (issuer, exceptions_max + 1),
        ):
            codes.add(code)
            if len(exceptions) == exceptions_max or (
                codes_max is not None and len(codes) > codes_max
            ):
                below = [bill for bill, its_entry in exceptions if its_entry < entry]
                return Watermark(entry, tuple(below))
            exceptions.append(((code, number), entry))
        return Watermark(size, tuple(bill for bill, _ in exceptions))

    def findings(self, *, after: int = 0, limit: int = 1_000) -> list[tuple[int, Finding]]:
        """(position, finding) from the oldest on."""
        rows = self._files.query(
            "SELECT id, finding FROM findings WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
        )
        reveal = self._files.ciphers.reveal
        return [
            (row, decode(reveal(hidden, _FINDING_LABEL, f"finding {row}"), Finding))
            for row, hidden in rows
        ]

    def find_unreversed(self) -> list[Finding]:
        """Bills that are the next for a purpose while the one before is live, as of the log told.

        Asked for, not noted on arrival: bodies come in any order, and before their reversals.
        """
        rows = self._files.query(
            "SELECT DISTINCT e.issuer, e.code, e.number, p.code, p.number FROM business b "
            "JOIN business q ON q.key = b.before JOIN entries p ON p.id = q.bill "
            "JOIN entries e ON e.id = b.bill WHERE p.reversed = 0 ORDER BY e.entry"
        )
        return [
            _finding("unreversed", issuer, code, number, others=[(before_code, before_number)])
            for issuer, code, number, before_code, before_number in rows
        ]

    def _receive(self, data: bytes, at: int) -> Outcome:
        outcome = self._judge(data)
        if outcome.status == "waiting":
            try:
                self._inbox.put_within(data, at=at)
            except Busy as error:
                return Outcome("turned_away", outcome.code, outcome.number, error.detail)
        return outcome

    def _judge(self, data: bytes) -> Outcome:
        """1. opens for us    2. for an archive    3. its record is known    4. and the one it names
        5. new here    6. the record commits to this body    7. the body passes    8. once only
        """
        try:
            head, letter = open_delivery(data, self._keys)  # 1
            if head.purpose != PURPOSE:  # 2
                raise VerificationFailed(f"sealed for {head.purpose}", path="purpose")
            if (letter.code, letter.number) in self.erasures:
                return Outcome("turned_away", letter.code, letter.number, "its body was erased")
            found = self._find(letter.code, letter.number)
            if found is None:  # 3
                return Outcome("waiting", letter.code, letter.number)
            bill, expected, state = found
            _check_head(head, expected)  # 4
            if state != "awaited":  # 5
                return Outcome("already", letter.code, letter.number)
            body = decode(letter.body, dict[str, Any])
            if body_root(body, letter.secret) != expected.root:  # 6
                raise VerificationFailed("not the body that the record commits to", path="root")
        except (Malformed, VerificationFailed) as error:
            return Outcome("turned_away", detail=str(error))
        try:
            self._check(letter.body, self._fetch_record(expected))  # 7
        except (Malformed, Rejected) as error:
            self._keep(bill, expected, letter, "wrong")
            reason = error.reason.value if isinstance(error, Rejected) else ""
            self._note(
                _finding(
                    *("content", expected.issuer, expected.code, expected.number),
                    reason=reason,
                    path=error.path,
                    detail=error.detail,
                )
            )
            return Outcome("wrong", letter.code, letter.number, str(error))
        self._keep(bill, expected, letter, "archived")
        self._note_repeats(bill, expected, self._business(letter.body))  # 8
        return Outcome("archived", letter.code, letter.number)

    def _find(self, code: int, number: int) -> tuple[int, Expected, str] | None:
        for bill, entry, network, issuer, tx, n, root, state in self._files.query(
            "SELECT id, entry, network, issuer, tx, n, root, state FROM entries "
            "WHERE code = ? AND number = ?",
            (code, number),
        ):
            expected = Expected(entry, network, issuer, tx.hex(), n, code, number, root)
            return bill, expected, state
        return None

    def _keep(self, bill: int, expected: Expected, letter: Letter, state: Status) -> None:
        label = _label(expected.network, expected.code, expected.number, expected.issuer)
        cell = self._files.add_cell(letter.body, letter.secret, label)
        self._files.db.execute(
            "UPDATE entries SET state = ?, cell = ? WHERE id = ?", (state, cell, bill)
        )

    def _note_repeats(self, bill: int, expected: Expected, keys: Sequence[BusinessKey]) -> None:
        others = set()
        for blinded in self._index(bill, expected.network, expected.issuer, keys):
            others.update(
                self._files.query(
                    "SELECT e.code, e.number FROM business b JOIN entries e ON e.id = b.bill "
                    "WHERE b.key = ? AND b.bill <> ?",
                    (blinded, bill),
                )
            )
        if others:
            numbers = sorted((code, number) for code, number in others)[:100]
            self._note(
                _finding(
                    *("repeated", expected.issuer, expected.code, expected.number), others=numbers
                )
            )

    def _index(
        self, bill: int, network: bytes, issuer: str, keys: Sequence[BusinessKey]
    ) -> list[bytes]:
        """Put a bill into the index; its blind keys."""
        named = (self._files.ciphers, network, issuer)
        rows = []
        for key in keys:
            before = key._replace(ordinal=key.ordinal - 1) if key.ordinal > 1 else None
            rows.append((blind_key(*named, key), before and blind_key(*named, before)))
        self._files.db.executemany(
            "INSERT OR IGNORE INTO business VALUES (?, ?, ?)",
            [(blinded, bill, before) for blinded, before in rows],
        )
        return [blinded for blinded, _ in rows]

    def _erase_within(self, code: int, number: int) -> tuple[list[int], list[bytes]]:
        """Its entry counts as archived from now on: nobody owes what nobody may have."""
        db, cells, removed = self._files.db, list[int](), list[bytes]()
        for bill, cell, tx, n in self._files.query(
            "SELECT id, cell, tx, n FROM entries WHERE code = ? AND number = ?", (code, number)
        ):
            if cell is not None:
                cells.append(cell)
            blinded = self._files.query("SELECT key FROM business WHERE bill = ?", (bill,))
            db.execute("DELETE FROM business WHERE bill = ?", (bill,))
            removed += [key for (key,) in blinded if not self._is_indexed(key)]
            db.execute("UPDATE entries SET state = 'archived', cell = NULL WHERE id = ?", (bill,))
            removed += self._inbox.erase_within(tx.hex(), n)
        return cells, removed

    def _is_indexed(self, key: bytes) -> bool:
        """Another bill is for the same, or the next for it."""
        return any(
            self._files.query(f"SELECT 1 FROM business WHERE {column} = ? LIMIT 1", (key,))
            for column in ("key", "before")
        )

    def _delivered(self, code: int, number: int) -> list[int]:
        return []  # an archive sends nothing

    def _index_again(self, business: Business) -> None:
        for bill, cell, state, *named in self._files.query(
            "SELECT id, cell, state, network, code, number, issuer FROM entries "
            "WHERE cell IS NOT NULL"
        ):
            body, _ = self._files.read_cell(cell, _label(*named))
            if state == "archived":
                self._index(bill, named[0], named[3], business(body))

    def _note(self, finding: Finding) -> None:
        hidden = self._files.ciphers.hide(encode(finding), _FINDING_LABEL)
        self._files.db.execute("INSERT INTO findings (finding) VALUES (?)", (hidden,))


def _finding(
    kind: Literal["content", "repeated", "unreversed"],
    issuer: str,
    code: int,
    number: int,
    **more: Any,
) -> Finding:
    return Finding(
        kind=kind,
        issuer=issuer,
        code=code,
        number=number,
        nonce=secrets.token_bytes(16),
        **more,
    )


def _check_head(head: Head, expected: Expected) -> None:
    for name, stated, recorded in (
        ("network", head.network, expected.network),
        ("tx", head.tx, expected.tx_id),
        ("n", head.n, expected.n),
    ):
        if stated != recorded:
            raise VerificationFailed("sealed for another record", path=name)


def _label(network: bytes, code: int, number: int, issuer: str) -> bytes:
    return encode([network, code, number, issuer])


def _not_here(*_: object) -> Any:
    raise RuntimeError("this archive was opened to keep, not to judge")
