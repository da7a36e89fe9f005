"""A body on its way from vault to vault: sealed to the receiver's key, bound to its bill.

HPKE (RFC 9180, base mode: X25519, HKDF-SHA256, AES-256-GCM). The head says in clear what the
receiver must know to open it, and `info` binds it. Who sent it is not proven here: the record's
root proves the body, whoever brings it. See docs/spec/delivery.md.

Invariant: a delivery opens for one key, one record and one purpose, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tallystick.protocol.body import SECRET_BYTES
from tallystick.protocol.canonical import DOCUMENT_BYTES_MAX, Meta, Raw, Record, decode, encode
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.values import Count, Digest, TxId, Word

DELIVERY_BYTES_MAX = DOCUMENT_BYTES_MAX + 8 * 1024
"""The largest body, its head and HPKE's 48 bytes."""

_CONTEXT = b"tallystick/delivery/v1\n"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Head(Record):
    """What binds a delivery; its canonical bytes are HPKE's `info`, after a context line."""

    network: Digest
    tx: TxId
    n: Count
    to: Annotated[bytes, Meta(min_length=32, max_length=32)]
    """The receiver's X25519 key."""
    purpose: Word


class _Letter(Record):
    code: Count
    number: Count
    body: Raw
    secret: Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]


@dataclass(frozen=True, slots=True)
class Letter:
    """What is inside: a whole body and its secret."""

    code: int
    number: int
    body: bytes = field(repr=False)
    secret: bytes = field(repr=False)


def seal_delivery(head: Head, letter: Letter) -> bytes:
    """The bytes to send; each call gives others."""
    inside = _Letter(
        code=letter.code, number=letter.number, body=Raw(letter.body), secret=letter.secret
    )
    written = encode(head)
    receiver = X25519PublicKey.from_public_bytes(head.to)
    return written + b"\n" + _SUITE.encrypt(encode(inside), receiver, _CONTEXT + written)


def open_delivery(data: bytes, keys: Mapping[bytes, X25519PrivateKey]) -> tuple[Head, Letter]:
    """Open with the one of `keys` (by public key) that the head names.

    1. a head in its one spelling    2. a key of ours    3. sealed to it under this head
    4. a letter in its one spelling, with a body in its own
    """
    head, written, sealed = _split(data)  # 1
    private_key = keys.get(head.to)
    if private_key is None:  # 2
        raise VerificationFailed("sealed to a key that is not ours, or no longer", path="to")
    try:
        opened = _SUITE.decrypt(sealed, private_key, _CONTEXT + written)  # 3
    except InvalidTag:
        raise VerificationFailed("not sealed to this key for this record and purpose") from None
    inside = decode(opened, _Letter)  # 4
    body = bytes(inside.body)
    decode(body, dict[str, object])
    return head, Letter(inside.code, inside.number, body, inside.secret)


def read_head(data: bytes) -> Head:
    """What a delivery says in clear; nothing is opened."""
    return _split(data)[0]


def message_id(data: bytes) -> bytes:
    """Names a delivery in outbox and inbox, so that it is taken once."""
    return sha256(data).digest()


def _split(data: bytes) -> tuple[Head, bytes, bytes]:
    if len(data) > DELIVERY_BYTES_MAX:
        raise Malformed(f"delivery has {len(data)} bytes, more than {DELIVERY_BYTES_MAX}")
    written, newline, sealed = data.partition(b"\n")
    if not newline:
        raise Malformed("a delivery is a head, a newline and what is sealed")
    return decode(written, Head), written, sealed
