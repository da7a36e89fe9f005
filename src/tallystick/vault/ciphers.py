"""What a vault's key is used for: wrapping secrets, hiding small values, blind indices.

Each use has a key of its own, derived from the vault's; each body has one derived from its secret.
AES-256-GCM throughout, with random nonces: one vault key is good for 2^32 bodies, which is 40 years
at a hundred million a year.

Invariant: nothing leaves here for a file but ciphertexts and HMACs. See docs/spec/vault.md.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Damaged

KEY_BYTES = 32
NONCE_BYTES = 12

_DERIVE_CONTEXT = b"tallystick/vault/v1\n"
_BODY_KEY_CONTEXT = b"tallystick/body-key/v1\n"


class Ciphers:
    """All that one vault key can do; shows nothing of it."""

    __slots__ = ("_hide", "_index", "_wrap", "fingerprint")

    def __init__(self, vault_key: bytes) -> None:
        if len(vault_key) != KEY_BYTES:
            raise ValueError(f"a vault's key has {KEY_BYTES} bytes, not {len(vault_key)}")
        self._wrap = AESGCM(_derive(vault_key, b"wrap"))
        self._hide = AESGCM(_derive(vault_key, b"hide"))
        self._index = _derive(vault_key, b"index")
        self.fingerprint = _derive(vault_key, b"fingerprint")
        """Stands in the files, so that a wrong key is told from a damaged file."""

    def wrap(self, secret: bytes, label: bytes) -> bytes:
        """A body's secret, as it lies in the file of keys."""
        return _encrypt(self._wrap, secret, label)

    def unwrap(self, wrapped: bytes, label: bytes, what: str) -> bytes:
        """The secret that was wrapped under this label, or `Damaged`, naming `what`."""
        return _decrypt(self._wrap, wrapped, label, what)

    def hide(self, value: bytes, label: bytes) -> bytes:
        """A private value that is no body: a receiver, a message, a finding."""
        return _encrypt(self._hide, value, label)

    def reveal(self, hidden: bytes, label: bytes, what: str) -> bytes:
        """The value that was hidden under this label, or `Damaged`, naming `what`."""
        return _decrypt(self._hide, hidden, label, what)

    def blind(self, *value: Any) -> bytes:
        """Equal for equal values, and nothing else to whoever lacks the vault's key."""
        return hmac.digest(self._index, encode(value), "sha256")


def encrypt_body(body: bytes, secret: bytes, label: bytes) -> bytes:
    """A body under the key that its own secret gives: without the secret nobody reads it again."""
    return _encrypt(_body_cipher(secret), body, label)


def decrypt_body(encrypted: bytes, secret: bytes, label: bytes, what: str) -> bytes:
    """The body that was encrypted under this label, or `Damaged`, naming `what`."""
    return _decrypt(_body_cipher(secret), encrypted, label, what)


def _body_cipher(secret: bytes) -> AESGCM:
    return AESGCM(hmac.digest(secret, _BODY_KEY_CONTEXT, "sha256"))


def _derive(vault_key: bytes, use: bytes) -> bytes:
    return hmac.digest(vault_key, _DERIVE_CONTEXT + use, "sha256")


def _encrypt(cipher: AESGCM, value: bytes, label: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, value, label)


def _decrypt(cipher: AESGCM, encrypted: bytes, label: bytes, what: str) -> bytes:
    try:
        return cipher.decrypt(encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:], label)
    except (InvalidTag, TypeError, ValueError):  # cut shorter than a nonce, or no bytes any more
        raise Damaged(f"{what} is not what was written") from None
