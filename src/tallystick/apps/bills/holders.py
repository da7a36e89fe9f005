"""The key of each bill, and the commitment to it that its record holds.

Each is derived out of a secret that the issuer shares with the bill's holder: the derivation key of
the holder's delivery address, or, where the payer has registered none, a holder key of the issuer's
own, which lies beside the vault's. Not out of the body's secret, because finance's archive has
that, and would then be able to act as every holder. Until `bind` the issuer could act as holder
too, which is shown as "unbound".

    seed       = HMAC-SHA256(derivation, "tallystick/bill-seed/v1\n" || body root)
    nonce      = HMAC-SHA256(derivation, "tallystick/holder-nonce/v1\n" || body root)[:16]
    salt       = SHA-256("tallystick/holder-salt/v1\n" || nonce || mandate key)
    commitment = SHA-256("tallystick/holder/v1\n" || salt || Ed25519 public key of the seed)

The mandate key is the address's; a bill without an address has its own bill key in its place.

Invariant: a seed is no part of a body, and nothing on the ledger tells whether two bills are one
person's, until a mandate or a helper's act is used on them. See docs/spec/body.md.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Self

from nacl.bindings import crypto_sign_seed_keypair

from tallystick.contracts.bills.records.holders import Opening, commit_holder, holder_salt
from tallystick.protocol.values import NONCE_BYTES

_DERIVE_CONTEXT = b"tallystick/holders/v1\n"
_SEED_CONTEXT = b"tallystick/bill-seed/v1\n"
_NONCE_CONTEXT = b"tallystick/holder-nonce/v1\n"


@dataclass(frozen=True, slots=True)
class BillKey:
    """What the holder of one bill is given: whoever has it acts as its holder."""

    seed: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    mandate_key: bytes = field(repr=False)
    """Public; the bill's own public key where no wallet's is known."""

    @classmethod
    def own(cls, seed: bytes, nonce: bytes) -> Self:
        """The key of a bill that no wallet's address was known for."""
        return cls(seed, nonce, crypto_sign_seed_keypair(seed)[0])

    @property
    def public_key(self) -> bytes:
        """Of the seed."""
        key: bytes = crypto_sign_seed_keypair(self.seed)[0]
        return key

    @property
    def salt(self) -> bytes:
        """Opens the commitment for the bill key, and shows no mandate key."""
        return holder_salt(self.nonce, self.mandate_key)

    @property
    def opening(self) -> Opening:
        """Opens the commitment down to the mandate key."""
        return Opening(key=self.public_key, nonce=self.nonce)

    @property
    def commitment(self) -> bytes:
        """What the record says of it."""
        return commit_holder(self.public_key, self.salt)


def derive_holder_key(vault_key: bytes) -> bytes:
    """An issuer's holder key, for whoever keeps no second key file."""
    return hmac.digest(vault_key, _DERIVE_CONTEXT, "sha256")


def bill_key(derivation: bytes, root: bytes, mandate_key: bytes | None = None) -> BillKey:
    """The key of the bill whose body has this root."""
    seed = hmac.digest(derivation, _SEED_CONTEXT + root, "sha256")
    nonce = hmac.digest(derivation, _NONCE_CONTEXT + root, "sha256")[:NONCE_BYTES]
    return BillKey(seed, nonce, mandate_key) if mandate_key else BillKey.own(seed, nonce)
