"""Ed25519 under one strict rule, the same in every verifier of every language.

A signature (R, S) by key A over M is valid if: A and R are canonical encodings of points that are
not of small order, S < L, and the encoding of [S]B - [k]A equals R byte for byte (cofactorless).
The encodings are checked by our own code first, so that no library's leniency decides
(libraries differ: Chalkias et al., "Taming the many EdDSAs", 2020). See docs/spec/keys.md.

Invariant: two nodes never disagree about a signature.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from tallystick.protocol.errors import VerificationFailed

_FIELD_PRIME = 2**255 - 19
_GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
_SIGN_BIT_OFF = 2**255 - 1
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        int.from_bytes(
            bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
            "little",
        ),
        int.from_bytes(
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
            "little",
        ),
    }
)
"""The y coordinates of the eight points of small order, whatever their sign bit."""


_SMALL_ORDER_U = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        int.from_bytes(
            bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            "little",
        ),
        int.from_bytes(
            bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
            "little",
        ),
    }
)
"""The u coordinates of small order, on the curve and its twist: sealed to them is sealed to all."""


class Signed(NamedTuple):
    """One signature, to be verified."""

    key: bytes
    message: bytes
    signature: bytes


class Signer(Protocol):
    """Whoever can sign: a key file, a token, a test's key. Keys never leave it."""

    @property
    def public_key(self) -> bytes:
        """The raw 32-byte public key."""

    def sign(self, message: bytes) -> bytes:
        """The raw 64-byte signature over `message`, which starts with its context line."""


def check_point(encoding: bytes, what: str) -> None:
    """Refuse what is not the one encoding of a point, and the points of small order."""
    if len(encoding) != 32:
        raise VerificationFailed(f"{what} has {len(encoding)} bytes, not 32")
    y = int.from_bytes(encoding, "little") & _SIGN_BIT_OFF
    if y >= _FIELD_PRIME:
        raise VerificationFailed(f"{what} is not a canonical point")
    if y in _SMALL_ORDER_Y:
        raise VerificationFailed(f"{what} is a point of small order")


def check_delivery_key(encoding: bytes, what: str) -> None:
    """Refuse what is not the one encoding of an X25519 key, and the keys of small order."""
    if len(encoding) != 32:
        raise VerificationFailed(f"{what} has {len(encoding)} bytes, not 32")
    u = int.from_bytes(encoding, "little")
    if u >= _FIELD_PRIME:
        raise VerificationFailed(f"{what} is not a canonical X25519 key")
    if u in _SMALL_ORDER_U:
        raise VerificationFailed(f"{what} is an X25519 key of small order")


def verify_signature(key: bytes, message: bytes, signature: bytes) -> None:
    """Raise `VerificationFailed` unless `signature` is `key`'s over `message`."""
    if len(signature) != 64:
        raise VerificationFailed(f"signature has {len(signature)} bytes, not 64")
    check_point(key, "public key")
    check_point(signature[:32], "signature's R")
    if int.from_bytes(signature[32:], "little") >= _GROUP_ORDER:
        raise VerificationFailed("signature's S is not below the group order")
    try:
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        raise VerificationFailed("signature does not verify") from None
