"""The key of each bill, and the commitment to it that its record holds.

The issuer derives both out of one holder key of its own, which lies beside the vault's and is
never delivered: not out of the body's secret, because finance's archive has that, and would then
be able to act as every holder. The holder is given the seed; until `bind` the issuer could act as
holder too, which is shown as "unbound".

    seed       = HMAC-SHA256(holder key, "tallystick/bill-seed/v1\n" || body root)
    salt       = HMAC-SHA256(holder key, "tallystick/holder-salt/v1\n" || body root)[:16]
    commitment = SHA-256("tallystick/holder/v1\n" || salt || Ed25519 public key of the seed)

Invariant: a seed is no part of a body, and nothing on the ledger tells whether two bills are one
person's. See docs/spec/body.md.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from nacl.bindings import crypto_sign_seed_keypair

from tallystick.protocol.values import tagged_hash

SALT_BYTES = 16

_DERIVE_CONTEXT = b"tallystick/holders/v1\n"
_SEED_CONTEXT = b"tallystick/bill-seed/v1\n"
_SALT_CONTEXT = b"tallystick/holder-salt/v1\n"
_CONTEXT = b"tallystick/holder/v1\n"


@dataclass(frozen=True, slots=True)
class BillKey:
    """What the holder of one bill is given: whoever has it acts as its holder."""

    seed: bytes = field(repr=False)
    salt: bytes = field(repr=False)

    @property
    def commitment(self) -> bytes:
        """What the record says of it."""
        public_key = crypto_sign_seed_keypair(self.seed)[0]
        return commit_holder(public_key, self.salt)


def derive_holder_key(vault_key: bytes) -> bytes:
    """An issuer's holder key, for whoever keeps no second key file."""
    return hmac.digest(vault_key, _DERIVE_CONTEXT, "sha256")


def bill_key(holder_key: bytes, root: bytes) -> BillKey:
    """The key of the bill whose body has this root."""
    return BillKey(
        hmac.digest(holder_key, _SEED_CONTEXT + root, "sha256"),
        hmac.digest(holder_key, _SALT_CONTEXT + root, "sha256")[:SALT_BYTES],
    )


def commit_holder(public_key: bytes, salt: bytes) -> bytes:
    """The commitment to a bill key: `NewBill.holder`."""
    return tagged_hash(_CONTEXT, salt, public_key)
