"""The private store of one member: the bodies it issued or was given, each under its own key.

A body is put here, durably, before its record is submitted: ``prepared``. What the ledger says then
makes it ``recorded`` or ``refused``. The content check is handed in: a vault keeps any kind of
body and knows the rules of none. See docs/spec/vault.md.

Invariant: no private value lies in clear in any file; business codes are found by HMAC alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import apsw

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.protocol.body import SECRET_BYTES, seal_body
from tallystick.protocol.canonical import DOCUMENT_BYTES_MAX, decode, encode
from tallystick.protocol.errors import Malformed, Rejected, VerificationFailed
from tallystick.vault import post, reads
from tallystick.vault.ciphers import Ciphers
from tallystick.vault.erasure import Erased
from tallystick.vault.files import Files, Row
from tallystick.vault.kept import Business, BusinessKey, Kept, restoring
from tallystick.vault.post import Inbox, Message, Outbox

EXPORT_FORMAT = "tallystick/body/v1"
BUSINESS_KEYS_MAX = 50
"""As many business codes as a merged bill names."""

_SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS bodies (
        id INTEGER PRIMARY KEY, network BLOB NOT NULL, code INTEGER NOT NULL,
        number INTEGER NOT NULL, issuer TEXT NOT NULL, kind TEXT NOT NULL, cell INTEGER NOT NULL,
        state TEXT NOT NULL, entry INTEGER, tx BLOB, n INTEGER, reason TEXT,
        reversed INTEGER NOT NULL DEFAULT 0, business BLOB NOT NULL, UNIQUE (code, number)
    );
    CREATE INDEX IF NOT EXISTS prepared ON bodies (id) WHERE state = 'prepared';
    CREATE TABLE IF NOT EXISTS business (key BLOB PRIMARY KEY, body INTEGER NOT NULL) WITHOUT ROWID;
    {post.SCHEMA}
    {reads.SCHEMA}
"""
_COLUMNS = "network, code, number, issuer, kind, state, entry, tx, n, reason, reversed"
_BLIND_BYTES = 32

R = TypeVar("R")
State = Literal["prepared", "recorded", "refused", "erased"]
ContentCheck = Callable[[bytes, R], None]
"""Raises, naming the field, unless a body's canonical bytes are sound and fit the record."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A body to be kept before its record is submitted."""

    network: bytes
    code: int
    number: int
    issuer: str
    kind: str
    body: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    business: tuple[BusinessKey, ...] = field(default=(), repr=False)
    """What no other live bill may be for; a red bill, which undoes one, names none."""
    replaces: tuple[int, int] | None = None
    """Code and number of the bill that the same item reverses: the one before by ordinal."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where the ledger accepted a record."""

    code: int
    number: int
    entry: int
    tx_id: str
    n: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What a vault knows of a body without opening it."""

    network: bytes
    code: int
    number: int
    issuer: str
    kind: str
    state: State
    entry: int | None
    tx_id: str | None
    n: int | None
    reason: str | None
    reversed: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A body that is what its record commits to, and passed its content check."""

    body: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    disclosures: tuple[str, ...] = field(repr=False)


class Vault(Kept):
    """One member's bodies. May be used by many threads; each call that writes is durable."""

    KIND = "member"
    SCHEMA = _SCHEMA
    STRIP = "UPDATE bodies SET business = x'';"

    def __init__(self, files: Files) -> None:
        self.outbox = Outbox(files)
        self.inbox = Inbox(files)
        super().__init__(files)

    @classmethod
    def open(cls, folder: Path, key: bytes, *, vfs: str | None = None) -> Self:
        """Open the vault in `folder` under its 32-byte key, making it if there is none."""
        return cls(Files(folder, Ciphers(key), cls.KIND, cls.SCHEMA, vfs=vfs))

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
        """Make a vault in the new `folder` out of a backup and the keys, or none.

        `business` reads the business keys out of a body; `erased` is what the ledger has ordered.
        """
        with restoring(backup, keys, folder) as beside:
            files = Files(beside, Ciphers(key), cls.KIND, cls.SCHEMA, restoring=True)
            with cls(files) as vault:
                vault.restored(erased, business)

    def put_many(self, bodies: Sequence[Prepared]) -> None:
        """Keep all of them durably, or none: then `Rejected` names the first that cannot be.

        The same body under the same number, put again while it is prepared, changes nothing; a
        refused one makes room for another.
        """
        replaced = False
        with self._files.transaction(with_keys=True):
            for index, one in enumerate(bodies):
                replaced |= self._put(one, f"bodies/{index}")
        if replaced:
            self._files.destroy_doomed()

    def mark_recorded(
        self, recorded: Sequence[Recorded], messages: Sequence[Message] = (), *, at: int
    ) -> None:
        """The ledger accepted these; `messages` are owed from this very moment.

        Saying it again changes nothing. `KeyError`: no such body here.
        """
        with self._files.transaction() as db:
            for one in recorded:
                state, entry, body, business = self._row(one.code, one.number)
                if state == "recorded" and entry != one.entry:
                    raise ValueError(f"{one.code}:{one.number} was recorded in entry {entry}")
                if state == "refused":  # the ledger decides, whatever was thought before
                    keys = [(key, body) for key in _split(business)]
                    db.executemany("INSERT OR IGNORE INTO business VALUES (?, ?)", keys)
                    state = "recorded"
                db.execute(
                    "UPDATE bodies SET state = ?, entry = ?, tx = ?, n = ?, reason = NULL "
                    "WHERE id = ?",
                    (
                        "erased" if state == "erased" else "recorded",
                        one.entry,
                        bytes.fromhex(one.tx_id),
                        one.n,
                        body,
                    ),
                )
            self.outbox.put_within(messages, at=at)

    def mark_refused(self, refused: Sequence[tuple[int, int, str]]) -> None:
        """(code, number, reason): these are no bills, and their business codes are free again.

        Only for what can no longer be recorded: refused in the log, or its transaction expired.
        """
        with self._files.transaction() as db:
            for code, number, reason in refused:
                state, entry, body, business = self._row(code, number)
                if state == "recorded":
                    raise ValueError(f"{code}:{number} was recorded in entry {entry}")
                if state == "erased":
                    continue
                keys = [(key, body) for key in _split(business)]
                db.executemany("DELETE FROM business WHERE key = ? AND body = ?", keys)
                db.execute(
                    "UPDATE bodies SET state = 'refused', reason = ? WHERE id = ?", (reason, body)
                )

    def mark_reversed(self, bills: Sequence[tuple[int, int]]) -> None:
        """(code, number): these were fully reversed, so the next ordinal may be issued."""
        with self._files.transaction() as db:
            for code, number in bills:
                body = self._row(code, number)[2]
                db.execute("UPDATE bodies SET reversed = 1 WHERE id = ?", (body,))

    def find(self, code: int, number: int) -> Standing | None:
        """What is known of a body, or None."""
        rows = self._files.query(
            f"SELECT {_COLUMNS} FROM bodies WHERE code = ? AND number = ?", (code, number)
        )
        return _standing(rows[0]) if rows else None

    def prepared(self, *, limit: int = 1_000) -> list[Standing]:
        """The oldest bodies of which it is not known yet what became of their records."""
        rows = self._files.query(
            f"SELECT {_COLUMNS} FROM bodies WHERE state = 'prepared' ORDER BY id LIMIT ?", (limit,)
        )
        return [_standing(row) for row in rows]

    def listed(self, after: int, *, limit: int) -> list[tuple[int, Standing]]:
        """The bodies that were put after the one with this id, in order, each with its id."""
        rows = self._files.query(
            f"SELECT {_COLUMNS}, id FROM bodies WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
        )
        return [(int(row[-1]), _standing(row[:-1])) for row in rows]

    def get(self, code: int, number: int) -> tuple[bytes, bytes]:
        """Body and secret. `KeyError`: never put here, or erased; `Damaged`: not what was put."""
        self.erasures.check(code, number)
        rows = self._files.query(
            "SELECT network, code, number, issuer, kind, cell FROM bodies "
            "WHERE code = ? AND number = ?",
            (code, number),
        )
        if not rows:
            raise KeyError(f"no body of {code}:{number} in this vault")
        *named, cell = rows[0]
        return self._files.read_cell(cell, _label(*named))

    def show(
        self, code: int, number: int, *, root: bytes, record: R, check: ContentCheck[R]
    ) -> Opened:
        """Open a body against its record.

        1. it is in its one spelling    2. the record's `root` commits to it    3. `check` passes
        """
        body, secret = self.get(code, number)
        sealed = seal_body(decode(body, dict[str, Any]), secret)  # 1
        if sealed.root != root:  # 2
            raise VerificationFailed(
                "the body is not the one that the record commits to", path="root"
            )
        check(body, record)  # 3
        return Opened(body, secret, sealed.disclosures)

    def export(self, code: int, number: int) -> bytes:
        """A file for the holder: the disclosures, which open without the vault or its secret."""
        standing = self.find(code, number)
        body, secret = self.get(code, number)
        sealed = seal_body(decode(body, dict[str, Any]), secret)
        return encode(
            {
                "format": EXPORT_FORMAT,
                "network": standing.network if standing else b"",
                "code": code,
                "number": number,
                "disclosures": sealed.disclosures,
            }
        )

    def _row(self, code: int, number: int) -> tuple[State, int | None, int, bytes]:
        rows = self._files.query(
            "SELECT state, entry, id, business FROM bodies WHERE code = ? AND number = ?",
            (code, number),
        )
        if not rows:
            raise KeyError(f"no body of {code}:{number} in this vault")
        state, entry, body, business = rows[0]
        return state, entry, body, business

    def _erase_within(self, code: int, number: int) -> tuple[list[int], list[bytes]]:
        db, cells = self._files.db, list[int]()
        removed = self.outbox.erase_within(code, number)
        for body, cell, business, tx, n in self._files.query(
            "SELECT id, cell, business, tx, n FROM bodies WHERE code = ? AND number = ?",
            (code, number),
        ):
            cells.append(cell)
            blinded = _split(business)
            removed += blinded
            db.executemany(
                "DELETE FROM business WHERE key = ? AND body = ?", [(key, body) for key in blinded]
            )
            db.execute(
                "UPDATE bodies SET state = 'erased', cell = 0, business = x'' WHERE id = ?", (body,)
            )
            if tx is not None:
                removed += self.inbox.erase_within(tx.hex(), n)
        return cells, removed

    def _delivered(self, code: int, number: int) -> list[int]:
        return self.outbox.delivered(code, number)

    def _index_again(self, business: Business) -> None:
        """A body whose key is gone and that is not on the list was replaced since: it goes too."""
        db = self._files.db
        for body, cell, state, *named in self._files.query(
            "SELECT id, cell, state, network, code, number, issuer, kind FROM bodies "
            "WHERE state <> 'erased'"
        ):
            if not self._files.has_key(cell):
                db.execute("DELETE FROM bodies WHERE id = ?", (body,))
                db.execute("DELETE FROM cells WHERE id = ?", (cell,))
                continue
            data, _ = self._files.read_cell(cell, _label(*named))
            network, _, _, issuer, _ = named
            keys = [blind_key(self._files.ciphers, network, issuer, key) for key in business(data)]
            db.execute("UPDATE bodies SET business = ? WHERE id = ?", (b"".join(keys), body))
            if state != "refused":
                rows = [(key, body) for key in keys]
                db.executemany("INSERT OR IGNORE INTO business VALUES (?, ?)", rows)

    def _put(self, one: Prepared, path: str) -> bool:
        """Whether it took the place of a refused one."""
        check_sizes(one.body, one.secret, path)
        db, label = self._files.db, _label(one.network, one.code, one.number, one.issuer, one.kind)
        replaced = False
        for old, cell, state in self._files.query(
            "SELECT id, cell, state FROM bodies WHERE code = ? AND number = ?",
            (one.code, one.number),
        ):
            if state == "prepared" and self._is_same(cell, label, one):
                return False
            if state != "refused":
                detail = f"{one.code}:{one.number} has a body already"
                raise Rejected(BillsReason.NUMBER_USED, detail, path=f"{path}/number")
            db.execute("DELETE FROM bodies WHERE id = ?", (old,))
            self._files.doom_cell(cell)
            replaced = True
        if (one.code, one.number) in self.erasures:
            detail = f"the body of {one.code}:{one.number} was erased"
            raise Rejected(BillsReason.NUMBER_USED, detail, path=f"{path}/number")
        keys = self._business_keys(one, path)
        cell = self._files.add_cell(one.body, one.secret, label)
        db.execute(
            "INSERT INTO bodies (network, code, number, issuer, kind, cell, state, business) "
            "VALUES (?, ?, ?, ?, ?, ?, 'prepared', ?)",
            (one.network, one.code, one.number, one.issuer, one.kind, cell, b"".join(keys)),
        )
        body = db.last_insert_rowid()
        for index, key in enumerate(keys):
            try:
                db.execute("INSERT INTO business VALUES (?, ?)", (key, body))
            except apsw.ConstraintError:
                raise _conflict("has a bill already", path, index) from None
        return replaced

    def _is_same(self, cell: int, label: bytes, one: Prepared) -> bool:
        body, secret = self._files.read_cell(cell, label)
        return body == one.body and secret == one.secret

    def _business_keys(self, one: Prepared, path: str) -> list[bytes]:
        """The blind indices of a body, once the bill before by ordinal is known to be undone."""
        if len(one.business) > BUSINESS_KEYS_MAX:
            raise Malformed(f"more than {BUSINESS_KEYS_MAX} business codes", path=path)
        blind = partial(blind_key, self._files.ciphers, one.network, one.issuer)
        keys = []
        for index, key in enumerate(one.business):
            if key.ordinal > 1:
                before = blind(key._replace(ordinal=key.ordinal - 1))
                if not self._is_undone(before, one.replaces):
                    raise _conflict("has no bill before that is reversed", path, index)
            keys.append(blind(key))
        return keys

    def _is_undone(self, before: bytes, replaces: tuple[int, int] | None) -> bool:
        rows = self._files.query(
            "SELECT code, number, reversed FROM bodies "
            "WHERE id = (SELECT body FROM business WHERE key = ?)",
            (before,),
        )
        return any(is_reversed or (code, number) == replaces for code, number, is_reversed in rows)


def blind_key(ciphers: Ciphers, network: bytes, issuer: str, key: BusinessKey) -> bytes:
    """Under what a business key is found again."""
    return ciphers.blind("business", network, issuer, *key)


def check_sizes(body: bytes, secret: bytes, path: str) -> None:
    """Refuse what could not be opened again."""
    if len(body) > DOCUMENT_BYTES_MAX:
        raise Malformed(f"{len(body)} bytes, more than {DOCUMENT_BYTES_MAX}", path=f"{path}/body")
    if len(secret) != SECRET_BYTES:
        raise Malformed(f"{len(secret)} bytes, not {SECRET_BYTES}", path=f"{path}/secret")


def _conflict(what: str, path: str, index: int) -> Rejected:
    """Names the place, not the business code: messages end up in logs."""
    return Rejected(
        BillsReason.BIZCODE_CONFLICT,
        f"this business code, purpose and part {what}",
        path=f"{path}/business_codes/{index}",
    )


def _label(network: bytes, code: int, number: int, issuer: str, kind: str) -> bytes:
    """What a ciphertext is bound to: a row's plain columns cannot be put to another's body."""
    return encode([network, code, number, issuer, kind])


def _split(business: bytes) -> list[bytes]:
    return [business[at : at + _BLIND_BYTES] for at in range(0, len(business), _BLIND_BYTES)]


def _standing(row: Row) -> Standing:
    network, code, number, issuer, kind, state, entry, tx, n, reason, is_reversed = row
    return Standing(
        network=network,
        code=code,
        number=number,
        issuer=issuer,
        kind=kind,
        state=state,
        entry=entry,
        tx_id=None if tx is None else tx.hex(),
        n=n,
        reason=reason,
        reversed=bool(is_reversed),
    )
