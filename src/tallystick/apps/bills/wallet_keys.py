"""All keys of a wallet, out of its one seed: whoever has the seed has the wallet again.

    key = HMAC-SHA256(seed, "tallystick/wallet/v1\\n" || canonical JSON of [use, network, …])

Invariant: no two uses, networks, offices or bindings share a key; nothing of the seed leaves here.
See docs/spec/wallet.md.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tallystick.apps.bills.address import Address
from tallystick.apps.bills.holders import BillKey, bill_key
from tallystick.keyring import (
    DeliveryKey,
    KeySigner,
    delivery_key_from_seed,
    signer_from_seed,
)
from tallystick.protocol.canonical import encode

_CONTEXT = b"tallystick/wallet/v1\n"


class WalletKeys:
    """The keys of one seed in one network; shows nothing of them."""

    __slots__ = ("_network", "_seed", "helper", "mandate")

    def __init__(self, seed: bytes, network: bytes) -> None:
        self._seed = seed
        self._network = network
        self.mandate: KeySigner = signer_from_seed(self._derive("mandate"), name="mandate")
        """Gives mandates; each bill's commitment leads to its public part."""
        self.helper: KeySigner = signer_from_seed(self._derive("helper"), name="helper")
        """Signs for others who have appointed this wallet."""

    @property
    def store_key(self) -> bytes:
        """Of the wallet's files."""
        return self._derive("store")

    def address(self, via: str, generation: int) -> Address:
        """The address for one office; a later generation is unlinked to the one before."""
        return Address(
            format="tallystick/address/v1",
            network=self._network,
            via=via,
            derivation=self._derive("derivation", via, generation),
            mandate_key=self.mandate.public_key,
            delivery_key=self._delivery(via, generation).public_key,
        )

    def private_keys(self, addresses: list[tuple[str, int]]) -> Mapping[bytes, X25519PrivateKey]:
        """By public key, what letters to these addresses are opened with."""
        keys = [self._delivery(*each) for each in addresses]
        return {key.public_key: key.private_key for key in keys}

    def collect(self, via: str, generation: int) -> KeySigner:
        """Asks for the letters of one address; no two boxes have the same owner."""
        return signer_from_seed(self._derive("collect", via, generation), name="collect")

    def own_key(self, root: bytes, bound: int) -> BillKey:
        """The key that a bill is taken to in its binding `bound`: no issuer can know it."""
        return bill_key(self._derive("own", bound), root, self.mandate.public_key)

    def _delivery(self, via: str, generation: int) -> DeliveryKey:
        return delivery_key_from_seed(self._derive("delivery", via, generation), name=via)

    def _derive(self, *use: str | int) -> bytes:
        said = encode([use[0], self._network, *use[1:]])
        return hmac.digest(self._seed, _CONTEXT + said, "sha256")
