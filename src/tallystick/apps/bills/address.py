"""A delivery address: what a wallet gives to one hospital or city app, once, for all bills to come.

It lets whoever has it derive the key of each bill of its owner, and seal the bill to the wallet: so
the patient does nothing at a visit. It is a secret between the two, and never on the ledger.

Invariant: two addresses of one wallet have in common its mandate key alone.
See docs/spec/wallet.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from tallystick.apps.bills.holders import BillKey, bill_key
from tallystick.durable import read_file
from tallystick.protocol.canonical import Meta, Record, decode
from tallystick.protocol.errors import Malformed
from tallystick.protocol.values import Digest, OrgId, PublicKey
from tallystick.vault import letterbox

FILE_BYTES_MAX = 4 * 1024

Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]


class Address(Record):
    """One wallet's address with one office."""

    format: Literal["tallystick/address/v1"]
    network: Digest
    via: OrgId
    """The hospital, or the city app, that it is given to."""
    derivation: Bytes32
    """Out of it the key of each bill comes: shared with that office alone."""
    mandate_key: PublicKey
    delivery_key: Bytes32
    """X25519: letters are sealed to it."""

    def __repr__(self) -> str:
        return f"Address({self.via}, {self.address_id})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Tracebacks that show locals ask for this instead."""
        return [("via", self.via), ("address_id", self.address_id)]

    @property
    def address_id(self) -> str:
        """Names the wallet's letter box, and tells nothing else."""
        return letterbox.address_id(self.delivery_key)

    def bill_key(self, root: bytes) -> BillKey:
        """The key of the bill whose body has this root."""
        return bill_key(self.derivation, root, self.mandate_key)


def read_address(data: bytes) -> Address:
    """An address out of a file's bytes, in its one spelling."""
    if len(data) > FILE_BYTES_MAX:
        raise Malformed(f"an address has no more than {FILE_BYTES_MAX} bytes")
    return decode(data.removesuffix(b"\n"), Address)


def load_address(path: Path) -> Address:
    """The address in a file."""
    return read_address(read_file(path, FILE_BYTES_MAX))
