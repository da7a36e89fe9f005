"""Letters to a wallet: opened, held against the ledger, kept or thrown away.

Invariant: a bill is kept only once the ledger's record commits to its body and to a key of the
wallet; a letter leaves its box only once it was judged, durably. See docs/spec/wallet.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tallystick.apps.bills.holders import BillKey
from tallystick.apps.bills.letters import HANDOVER, SHARE, WALLET, Share, open_handed
from tallystick.apps.bills.wallet_keys import WalletKeys
from tallystick.apps.bills.wallet_store import Held, Source, WalletStore
from tallystick.contracts.bills.records.bills import Bill, format_bill_id, holder_now
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.contracts.kit.context import Reader
from tallystick.protocol.body import encoded_root
from tallystick.protocol.canonical import decode
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.vault import Head, Letter, mail, open_delivery
from tallystick.vault.delivery import message_id


@dataclass(slots=True)
class Received:
    """What one look into the letter boxes brought."""

    bills: list[str] = field(default_factory=list)
    """New here."""
    shares: list[str] = field(default_factory=list)
    """Appointments under which somebody shared bills with this wallet as a helper."""
    waiting: int = 0
    """Letters about bills that the ledger, as far as we see, does not have yet."""
    refused: list[str] = field(default_factory=list)
    """Why letters were thrown away."""


def find_key(keys: WalletKeys, source: Source, bill: Bill, now: int) -> BillKey | None:
    """The wallet's key of the binding that counts now; None: it has none."""
    commitment, bound = holder_now(bill, now)
    if bill.root is None:
        return None
    known = [keys.own_key(bill.root, bound)]
    if source.via is not None:
        known.append(keys.address(source.via, source.generation).bill_key(bill.root))
    if source.seed is not None and source.nonce is not None:
        known.append(BillKey.own(source.seed, source.nonce))
    return next((key for key in known if key.commitment == commitment), None)


class Receiving:
    """One look into the letter boxes of a wallet, at one moment of a ledger."""

    def __init__(
        self, network: bytes, keys: WalletKeys, store: WalletStore, reader: Reader, at: int
    ) -> None:
        self._network = network
        self._keys = keys
        self._store = store
        self._reader = reader
        self._at = at
        self._sources: dict[bytes, Source] = {}
        self._boxes: list[str] = []
        for via, generation in store.addresses():
            address = keys.address(via, generation)
            self._sources[address.delivery_key] = Source(via=via, generation=generation)
            self._boxes.append(address.address_id)
        self._told = Received()

    def receive(self, boxes: Path) -> Received:
        """Judge what lies in the boxes of all addresses; what was judged is taken out."""
        private_keys = self._keys.private_keys(self._store.addresses())
        for each in self._boxes:
            box = boxes / each
            judged = []
            for letter in mail.collect(box) if box.is_dir() else ():
                before = self._told.waiting
                for data in mail.unpack(letter.data):
                    self._judge(data, private_keys)
                if self._told.waiting == before:
                    judged.append(letter)
            mail.remove(box, judged)
        return self._told

    def _judge(self, data: bytes, private_keys: Mapping[bytes, X25519PrivateKey]) -> None:
        name = message_id(data)
        if self._store.is_taken(name):
            return
        try:
            head, letter = open_delivery(data, private_keys)
            if head.network != self._network:
                raise VerificationFailed("it is of another network", path="network")
            if head.purpose == SHARE:
                share = decode(letter.body, Share)
                openings = {each.bill: each.opening for each in share.bills}
                self._store.put_share(share.act, openings, name)
                self._told.shares.append(share.act)
            else:
                self._take_bill(head, letter, name)
        except (Malformed, VerificationFailed) as error:
            self._told.refused.append(str(error))
            self._store.take(name)

    def _take_bill(self, head: Head, letter: Letter, name: bytes) -> None:
        """Keep a bill that is ours.

        1. a purpose of ours    2. a known record    3. that commits to the body    4. a key of
        ours, or of a red bill: its blue one is ours
        """
        source = self._sources[head.to]
        if head.purpose == HANDOVER:  # 1
            letter, seed, nonce = open_handed(letter)
            source = Source(seed=seed, nonce=nonce)
        elif head.purpose != WALLET:
            raise VerificationFailed(f"sent for {head.purpose}", path="purpose")
        bill = find_bill(self._reader, format_bill_id(letter.code, letter.number))
        if bill is None:  # 2
            self._told.waiting += 1
            return
        if bill.root != encoded_root(letter.body, letter.secret):  # 3
            raise VerificationFailed(f"{bill.id} has another body", path="root")
        kind: Literal["blue", "red"] = "blue" if bill.reversal_of is None else "red"
        if bill.reversal_of is not None:  # 4
            if self._store.find(bill.reversal_of) is None:
                self._told.waiting += 1
                return
        elif find_key(self._keys, source, bill, self._at) is None:
            raise VerificationFailed(f"{bill.id} is bound to another key", path="holder")
        held = Held(bill.id, bill.issuer, kind, head.tx, head.n, self._at, source)
        if self._store.put_bill(held, letter.body, letter.secret, name):
            self._told.bills.append(bill.id)
