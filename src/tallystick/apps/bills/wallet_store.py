"""What a wallet keeps on its disk: bills, the addresses it gave out, and all that it ever allowed.

The two files are a vault's (docs/spec/vault.md): each body under its own key, small values hidden.
The vault's key is derived from the wallet's seed.

Invariant: an act is written here before anybody else sees it; what was allowed to whom is never
forgotten. See docs/spec/wallet.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from tallystick.apps.bills.fields import Fields
from tallystick.contracts.bills.records.bills import BillId, format_bill_id, parse_bill_id
from tallystick.contracts.bills.records.holders import Opening
from tallystick.contracts.kit.acts import ActId
from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.protocol.errors import VerificationFailed
from tallystick.protocol.values import Count, Instant, Nonce, OrgId, PublicKey, Word
from tallystick.vault.ciphers import Ciphers
from tallystick.vault.files import Files

KIND = "wallet"

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS bills (
        id INTEGER PRIMARY KEY, code INTEGER NOT NULL, number INTEGER NOT NULL,
        issuer TEXT NOT NULL, kind TEXT NOT NULL, cell INTEGER NOT NULL, tx BLOB NOT NULL,
        n INTEGER NOT NULL, source BLOB NOT NULL, at INTEGER NOT NULL, UNIQUE (code, number)
    );
    CREATE TABLE IF NOT EXISTS taken (message BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS addresses (
        id INTEGER PRIMARY KEY, via TEXT NOT NULL, generation INTEGER NOT NULL,
        at INTEGER NOT NULL, UNIQUE (via, generation)
    );
    CREATE TABLE IF NOT EXISTS gave (
        id INTEGER PRIMARY KEY, act TEXT NOT NULL UNIQUE, gift BLOB NOT NULL, at INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS shares (act TEXT PRIMARY KEY, share BLOB NOT NULL) WITHOUT ROWID;
"""


class Source(Record):
    """Where a bill's key comes from: an address of the wallet, or its former holder's hand."""

    via: OrgId | None = None
    generation: Count = 0
    seed: Annotated[bytes, Meta(min_length=32, max_length=32)] | None = None
    nonce: Nonce | None = None

    def __repr__(self) -> str:
        return "Source()"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Tracebacks that show locals ask for this instead."""
        return []


class Gift(Record):
    """One act of the wallet: what it allowed, to whom, until when."""

    what: Literal["consent", "mandate", "helper", "bind", "object", "revoke"]
    act: ActId
    bill: BillId | None = None
    reader: OrgId | None = None
    purpose: Word | None = None
    fields: Fields | None = None
    """Opens what the ledger has of them: whoever shows the bill needs it."""
    helper: PublicKey | None = None
    until: Instant | None = None
    of: ActId | None = None
    """What it revokes."""
    by: ActId | None = None
    """The appointment by which it was said for somebody else."""


@dataclass(frozen=True, slots=True)
class Held:
    """A bill of the wallet, without its body."""

    bill: str
    issuer: str
    kind: Literal["blue", "red"]
    tx_id: str
    n: int
    """With `tx_id` where its receipt is to be had, as its issuer says."""
    at: int
    """When it came, Unix seconds."""
    source: Source = field(repr=False)


class WalletStore:
    """A wallet's files. May be used by many threads; each call that writes is durable."""

    def __init__(self, files: Files, network: bytes) -> None:
        self._files = files
        self._network = network
        with files.transaction() as db:
            db.execute("INSERT OR IGNORE INTO about VALUES ('network', ?)", (network,))
        if files.query("SELECT value FROM about WHERE name = 'network'")[0][0] != network:
            raise VerificationFailed("the wallet is of another network", path="network")

    @classmethod
    def open(cls, folder: Path, key: bytes, network: bytes) -> Self:
        """Open the files in `folder` under their 32-byte key, making them if there are none."""
        files = Files(folder, Ciphers(key), KIND, _SCHEMA)
        try:
            return cls(files, network)
        except BaseException:
            files.close()
            raise

    def close(self) -> None:
        """Close the files; what was written is safe without it."""
        self._files.close()

    # ------------------------------------------------------------------------------- bills

    def put_bill(self, held: Held, body: bytes, secret: bytes, message: bytes) -> bool:
        """Keep a bill, and that its message was taken; whether it is new here."""
        code, number = parse_bill_id(held.bill)
        hide = self._files.ciphers.hide
        with self._files.transaction(with_keys=True) as db:
            db.execute("INSERT OR IGNORE INTO taken VALUES (?)", (message,))
            if self._files.query(
                "SELECT 1 FROM bills WHERE code = ? AND number = ?", (code, number)
            ):
                return False
            label = self._label(held.bill)
            cell = self._files.add_cell(body, secret, label)
            db.execute(
                "INSERT INTO bills (code, number, issuer, kind, cell, tx, n, source, at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(code, number, held.issuer, held.kind, cell, bytes.fromhex(held.tx_id)),
                    *(held.n, hide(encode(held.source), label), held.at),
                ),
            )
        return True

    def bills(self) -> list[Held]:
        """All bills, in the order in which they came."""
        return self._held("ORDER BY id", ())

    def find(self, bill_id: str) -> Held | None:
        """A bill, or None."""
        found = self._held("WHERE code = ? AND number = ?", parse_bill_id(bill_id))
        return found[0] if found else None

    def body(self, bill_id: str) -> tuple[bytes, bytes]:
        """Body and secret. `KeyError`: no bill of this wallet."""
        rows = self._files.query(
            "SELECT cell FROM bills WHERE code = ? AND number = ?", parse_bill_id(bill_id)
        )
        if not rows:
            raise KeyError(f"{bill_id} is no bill of this wallet")
        return self._files.read_cell(rows[0][0], self._label(bill_id))

    def _held(self, which: str, values: Sequence[Any]) -> list[Held]:
        rows = self._files.query(
            f"SELECT code, number, issuer, kind, tx, n, source, at FROM bills {which}", values
        )
        found = []
        for code, number, issuer, kind, tx, n, source, at in rows:
            bill = format_bill_id(code, number)
            opened = self._files.ciphers.reveal(source, self._label(bill), f"the key of {bill}")
            found.append(Held(bill, issuer, kind, tx.hex(), n, at, decode(opened, Source)))
        return found

    def _label(self, bill_id: str) -> bytes:
        return encode([self._network, bill_id])

    # ----------------------------------------------------------------------------- letters

    def is_taken(self, message: bytes) -> bool:
        """Whether a message was judged before."""
        return bool(self._files.query("SELECT 1 FROM taken WHERE message = ?", (message,)))

    def take(self, message: bytes) -> None:
        """A message was judged; nothing of it is kept."""
        with self._files.transaction() as db:
            db.execute("INSERT OR IGNORE INTO taken VALUES (?)", (message,))

    # --------------------------------------------------------------------------- addresses

    def addresses(self) -> list[tuple[str, int]]:
        """(via, generation) of all addresses that were given out, the oldest first."""
        return [
            (via, generation)
            for via, generation in self._files.query(
                "SELECT via, generation FROM addresses ORDER BY id"
            )
        ]

    def add_address(self, via: str, generation: int, *, at: int) -> None:
        """An address is about to be given out."""
        with self._files.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO addresses (via, generation, at) VALUES (?, ?, ?)",
                (via, generation, at),
            )

    # -------------------------------------------------------------------------------- acts

    def add_gift(self, gift: Gift, *, at: int) -> None:
        """An act is about to be handed to a relay."""
        hidden = self._files.ciphers.hide(encode(gift), gift.act.encode())
        with self._files.transaction() as db:
            db.execute("INSERT INTO gave (act, gift, at) VALUES (?, ?, ?)", (gift.act, hidden, at))

    def gifts(self) -> list[tuple[int, Gift]]:
        """(when, what) of all acts, the oldest first."""
        rows = self._files.query("SELECT act, gift, at FROM gave ORDER BY id")
        return [(at, self._gift(act, hidden)) for act, hidden, at in rows]

    def gift(self, act: str) -> Gift:
        """One act. `KeyError`: none of this wallet's."""
        rows = self._files.query("SELECT gift FROM gave WHERE act = ?", (act,))
        if not rows:
            raise KeyError(f"{act} is no act of this wallet")
        return self._gift(act, rows[0][0])

    def _gift(self, act: str, hidden: bytes) -> Gift:
        return decode(self._files.ciphers.reveal(hidden, act.encode(), f"act {act}"), Gift)

    # ----------------------------------------------------------------------- helped others

    def put_share(self, act: str, openings: dict[str, Opening], message: bytes) -> None:
        """What a helper may act on, by an appointment; adds to what was shared before."""
        known = self.share(act) | openings
        hidden = self._files.ciphers.hide(encode(known), act.encode())
        with self._files.transaction() as db:
            db.execute("INSERT OR IGNORE INTO taken VALUES (?)", (message,))
            db.execute("INSERT OR REPLACE INTO shares VALUES (?, ?)", (act, hidden))

    def share(self, act: str) -> dict[str, Opening]:
        """The bills that were shared under an appointment, with their openings."""
        rows = self._files.query("SELECT share FROM shares WHERE act = ?", (act,))
        if not rows:
            return {}
        opened = self._files.ciphers.reveal(rows[0][0], act.encode(), f"the share of {act}")
        return decode(opened, dict[str, Opening])
