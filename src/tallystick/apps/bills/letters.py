"""What is in letters to wallets: a bill, a bill with its key, a share for a helper.

All travel as deliveries (docs/spec/delivery.md), sealed to an address's key; `purpose` tells them
apart and is bound by the seal.

Invariant: a bill key leaves its office only sealed to one wallet. See docs/spec/wallet.md.
"""

from __future__ import annotations

from typing import Annotated, Any

from tallystick.contracts.bills.records.bills import BillId
from tallystick.contracts.bills.records.holders import Opening
from tallystick.contracts.kit.acts import ActId
from tallystick.protocol.canonical import Meta, Raw, Record, decode, encode
from tallystick.protocol.values import Nonce
from tallystick.vault import Head, Letter, seal_delivery

WALLET = "wallet"
"""A body, of a bill whose key the address derives."""
HANDOVER = "handover"
"""A body with the key that its office had kept for whoever holds the paper."""
SHARE = "share"
"""What a helper needs to act on a person's bills."""
SHARED_MAX = 1_000


class Handed(Record):
    """The letter of `HANDOVER`."""

    body: Raw
    seed: Annotated[bytes, Meta(min_length=32, max_length=32)]
    nonce: Nonce

    def __repr__(self) -> str:
        return "Handed()"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Tracebacks that show locals ask for this instead."""
        return []


class SharedBill(Record):
    """One bill that a helper may act on."""

    bill: BillId
    opening: Opening


class Share(Record):
    """The letter of `SHARE`: by which appointment, on which bills."""

    act: ActId
    bills: Annotated[list[SharedBill], Meta(max_length=SHARED_MAX)]


def seal_handed(head: Head, letter: Letter, seed: bytes, nonce: bytes) -> bytes:
    """A bill and its key, sealed to a wallet."""
    inside = encode(Handed(body=Raw(letter.body), seed=seed, nonce=nonce))
    return seal_delivery(head, Letter(letter.code, letter.number, inside, letter.secret))


def open_handed(letter: Letter) -> tuple[Letter, bytes, bytes]:
    """The bill's own letter, seed and nonce."""
    handed = decode(letter.body, Handed)
    body = bytes(handed.body)
    decode(body, dict[str, object])
    return Letter(letter.code, letter.number, body, letter.secret), handed.seed, handed.nonce
