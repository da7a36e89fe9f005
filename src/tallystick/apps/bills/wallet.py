"""A patient's wallet: one folder with a seed, the bills that came, and all that was allowed.

It gives each hospital or city app a delivery address; from then on bills come by themselves, held
by keys of the wallet, without an act of the patient. What the holder says is in `wallet_acts.py`.

Invariant: a bill is kept only once the ledger's record commits to its body and to a key of the
wallet. See docs/spec/wallet.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from tallystick.apps.bills.address import Address
from tallystick.apps.bills.handover import PaperClaim
from tallystick.apps.bills.holders import BillKey
from tallystick.apps.bills.presenting import Private
from tallystick.apps.bills.wallet_acts import WalletActs
from tallystick.apps.bills.wallet_keys import WalletKeys
from tallystick.apps.bills.wallet_letters import Received, Receiving, find_key
from tallystick.apps.bills.wallet_store import Held, WalletStore
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.kit.context import Reader
from tallystick.keyring import generate_vault_key, load_vault_key

SEED_FILE = "seed.key"
STORE_FOLDER = "bills"


class Wallet:
    """One person's bills in one network. Use as a context."""

    def __init__(self, folder: Path, seed: bytes, network: bytes) -> None:
        self.network = network
        self.keys = WalletKeys(seed, network)
        self.store = WalletStore.open(folder / STORE_FOLDER, self.keys.store_key, network)
        self.acts = WalletActs(self.store, self.keys, network, self.key)

    @classmethod
    def create(cls, folder: Path, network: bytes, passphrase: str | None = None) -> Self:
        """A new wallet with a new seed, which is worth as much as all its bills."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seed = generate_vault_key(folder / SEED_FILE, name="wallet", passphrase=passphrase)
        return cls(folder, seed.secret, network)

    @classmethod
    def open(cls, folder: Path, network: bytes, passphrase: str | None = None) -> Self:
        """The wallet in a folder. After a loss its seed file, alone in a folder, is enough."""
        return cls(folder, load_vault_key(folder / SEED_FILE, passphrase).secret, network)

    def close(self) -> None:
        """Close the files; what was written is safe without it."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --------------------------------------------------------------------------- addresses

    def address(self, via: str, *, at: int) -> Address:
        """The address for a hospital or a city app: the same each time."""
        known = [generation for each, generation in self.store.addresses() if each == via]
        generation = max(known, default=0)
        self.store.add_address(via, generation, at=at)
        return self.keys.address(via, generation)

    def new_address(self, via: str, *, at: int) -> Address:
        """Another one, to register in the place of the last; letters to that are still read."""
        known = [generation for each, generation in self.store.addresses() if each == via]
        self.store.add_address(via, max(known, default=-1) + 1, at=at)
        return self.address(via, at=at)

    def addresses(self) -> list[Address]:
        """All that were given out."""
        return [self.keys.address(*each) for each in self.store.addresses()]

    def claim(self, bill_id: str, code: str, digits: str, via: str, *, at: int) -> PaperClaim:
        """What to say to the office `via` about a bill that is on paper."""
        return PaperClaim(
            format="tallystick/paper-claim/v1",
            bill=bill_id,
            code=code,
            digits=digits,
            address=self.address(via, at=at),
        )

    # ------------------------------------------------------------------------------- bills

    def receive(self, boxes: Path, reader: Reader, *, at: int) -> Received:
        """Take the letters to this wallet out of the folder that has the boxes of all addresses."""
        return Receiving(self.network, self.keys, self.store, reader, at).receive(boxes)

    def bills(self) -> list[Held]:
        """All bills, in the order in which they came."""
        return self.store.bills()

    def find(self, bill_id: str) -> Held | None:
        """A bill, or None."""
        return self.store.find(bill_id)

    def private(self, bill_id: str) -> Private:
        """Body and secret, to be shown in part. `KeyError`: no bill of this wallet."""
        return Private(*self.store.body(bill_id))

    def key(self, bill: Bill, now: int) -> BillKey | None:
        """The key of the binding that counts now; None: it is not this wallet's (any more)."""
        held = self.store.find(bill.id)
        return None if held is None else find_key(self.keys, held.source, bill, now)
