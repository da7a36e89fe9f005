"""An issuer's side of delivery addresses: whose wallet a bill goes to, and by which key it is held.

A payer's id is never stored: it is found by HMAC under the vault's key. An address that was used
stays, hidden, so that a bill that was made for it is sent to it, whatever was registered since.

Invariant: a bill is delivered only to the address that its own commitment was derived from; a red
bill, which has none, to the newest of its payer. See docs/spec/wallet.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tallystick.apps.bills.address import Address
from tallystick.apps.bills.holders import BillKey, bill_key
from tallystick.apps.bills.letters import WALLET
from tallystick.contracts.bills.body import Body, Payer
from tallystick.contracts.bills.identifiers import check_payer_id
from tallystick.protocol.body import encoded_root
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import VerificationFailed
from tallystick.vault import Head, Letter, Message, seal_delivery
from tallystick.vault.ciphers import Ciphers
from tallystick.vault.files import Files

FOLDER = "addresses"
RECEIVER = "wallet:"
"""In front of an address's id in the outbox: no organisation is named so."""
TRIES_MAX = 5

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS addresses (
        id INTEGER PRIMARY KEY, payer BLOB NOT NULL, name BLOB NOT NULL, address BLOB NOT NULL,
        at INTEGER NOT NULL, ended_at INTEGER, UNIQUE (payer, name)
    );
    CREATE TABLE IF NOT EXISTS tries (bill BLOB PRIMARY KEY, used INTEGER NOT NULL) WITHOUT ROWID;
"""


class Addresses:
    """The addresses that payers have registered with one issuer, and failed tries at its bills."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._count: int = files.query("SELECT count(*) FROM addresses")[0][0]

    @classmethod
    def open(cls, folder: Path, key: bytes) -> Self:
        """Open them in `folder` under the vault's 32-byte key, making the files if need be."""
        return cls(Files(folder, Ciphers(key), FOLDER, _SCHEMA))

    def close(self) -> None:
        """Close the files; what was written is safe without it."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def empty(self) -> bool:
        """Whether nobody ever registered: then no bill need be looked at."""
        return not self._count

    def register(self, payer: Payer, address: Address, *, at: int) -> None:
        """Bills of this payer go to `address` from now on. Again: it is the newest again."""
        blind = self._blind(payer)
        if blind is None:
            raise ValueError("a payer without an identity number has no address")
        name = self._files.ciphers.blind("address", address.address_id)
        hidden = self._files.ciphers.hide(encode(address), name)
        with self._files.transaction() as db:
            db.execute("DELETE FROM addresses WHERE payer = ? AND name = ?", (blind, name))
            db.execute(
                "INSERT INTO addresses (payer, name, address, at) VALUES (?, ?, ?, ?)",
                (blind, name, hidden, at),
            )
        self._count = self._files.query("SELECT count(*) FROM addresses")[0][0]

    def end(self, payer: Payer, *, at: int) -> None:
        """No new bill goes to an address of this payer; what was made for one still does."""
        with self._files.transaction() as db:
            db.execute(
                "UPDATE addresses SET ended_at = ? WHERE payer = ? AND ended_at IS NULL",
                (at, self._blind(payer)),
            )

    def newest(self, payer: Payer) -> Address | None:
        """Where the payer's next bill goes."""
        found = self._find(payer, "AND ended_at IS NULL ORDER BY id DESC LIMIT 1")
        return found[0] if found else None

    def all_of(self, payer: Payer) -> list[Address]:
        """All that the payer ever registered, the newest first."""
        return self._find(payer, "ORDER BY id DESC")

    def use_try(self, bill_id: str) -> bool:
        """Count a try at a bill, durably, before it is judged; False: none is left."""
        name = self._files.ciphers.blind("try", bill_id)
        with self._files.transaction() as db:
            if self.tries_left(bill_id) <= 0:
                return False
            db.execute(
                "INSERT INTO tries VALUES (?, 1) ON CONFLICT (bill) DO UPDATE SET used = used + 1",
                (name,),
            )
        return True

    def give_back_try(self, bill_id: str) -> None:
        """The try was right: it does not count."""
        name = self._files.ciphers.blind("try", bill_id)
        with self._files.transaction() as db:
            db.execute("UPDATE tries SET used = used - 1 WHERE bill = ? AND used > 0", (name,))

    def reopen(self, bill_id: str) -> None:
        """All tries are there again: the issuer has seen who asks."""
        name = self._files.ciphers.blind("try", bill_id)
        with self._files.transaction() as db:
            db.execute("DELETE FROM tries WHERE bill = ?", (name,))

    def tries_left(self, bill_id: str) -> int:
        """How many tries at a bill remain."""
        name = self._files.ciphers.blind("try", bill_id)
        rows = self._files.query("SELECT used FROM tries WHERE bill = ?", (name,))
        return TRIES_MAX - (int(rows[0][0]) if rows else 0)

    def _blind(self, payer: Payer) -> bytes | None:
        if not payer.id_number:
            return None
        return self._files.ciphers.blind("payer", payer.id_type or "", payer.id_number)

    def _find(self, payer: Payer, which: str) -> list[Address]:
        if self.empty:
            return []
        rows = self._files.query(
            f"SELECT id, name, address FROM addresses WHERE payer = ? {which}",
            (self._blind(payer),),
        )
        reveal = self._files.ciphers.reveal
        return [
            decode(reveal(address, name, f"address {row}"), Address) for row, name, address in rows
        ]


class Holders:
    """By which key each bill of one issuer is held, and what is sent to wallets."""

    def __init__(self, network: bytes, holder_key: bytes, addresses: Addresses | None) -> None:
        self._network = network
        self._holder_key = holder_key
        self._addresses = addresses

    def register(self, payer: Payer, address: Address, *, at: int) -> None:
        """Bills of this payer go to `address` from now on; refuses one of another network.

        And an identity number that is none: a typing error would be noticed by nobody.
        """
        check_payer_id(payer)
        if address.network != self._network:
            raise VerificationFailed("the address is of another network", path="network")
        if self._addresses is None:
            raise ValueError("this office keeps no addresses")
        self._addresses.register(payer, address, at=at)

    def new_key(self, payer: Payer, root: bytes) -> BillKey:
        """The key of a bill that is being made: of the payer's address, or the issuer's own."""
        address = self._addresses.newest(payer) if self._addresses else None
        return address.bill_key(root) if address else self.own_key(root)

    def own_key(self, root: bytes) -> BillKey:
        """The key of a bill whose payer had no address."""
        return bill_key(self._holder_key, root)

    def find_key(self, payer: Payer, root: bytes, commitment: bytes | None) -> BillKey | None:
        """The key that a record commits to; None: its holder has bound it since."""
        keys = [self.own_key(root), *(each.bill_key(root) for each in self._all_of(payer))]
        return next((key for key in keys if key.commitment == commitment), None)

    def letter(
        self, tx_id: str, n: int, body: bytes, secret: bytes, commitment: bytes | None
    ) -> Message | None:
        """What is owed to a wallet for a body that is on the ledger; None: nothing.

        `commitment`: of a blue bill's record.
        """
        if self._addresses is None or self._addresses.empty:
            return None
        bill = decode(body, Body)
        address = self._receiver(bill, body, secret, commitment)
        if address is None:
            return None
        head = Head(network=self._network, tx=tx_id, n=n, to=address.delivery_key, purpose=WALLET)
        data = seal_delivery(head, Letter(bill.code, bill.number, body, secret))
        return Message(bill.code, bill.number, RECEIVER + address.address_id, data)

    def _receiver(
        self, bill: Body, body: bytes, secret: bytes, commitment: bytes | None
    ) -> Address | None:
        found = self._all_of(bill.payer)
        if not found:
            return None
        if bill.kind == "red":
            return found[0]
        root = encoded_root(body, secret)
        return next((each for each in found if each.bill_key(root).commitment == commitment), None)

    def _all_of(self, payer: Payer) -> Sequence[Address]:
        return self._addresses.all_of(payer) if self._addresses else []
