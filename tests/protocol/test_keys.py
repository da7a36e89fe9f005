"""One strict rule for Ed25519: what libraries disagree about is decided by our own code.

Valid signatures are cross-checked against another library; the edge cases are those of "Taming the
many EdDSAs" (Chalkias et al., 2020), built by our own arithmetic. See docs/spec/keys.md.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from vectors import curve

from tallystick.protocol.errors import VerificationFailed
from tallystick.protocol.keys import (
    _SMALL_ORDER_U,
    check_delivery_key,
    check_point,
    verify_signature,
)

MESSAGE = b"tallystick/test/v1\nhello"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
SIGNED = KEY.sign(MESSAGE)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_agrees_with_another_library(seed: bytes, message: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    verify_signature(public, message, key.sign(message))


@given(st.integers(0, 64 * 8 - 1))
def test_any_changed_bit_of_the_signature_is_refused(bit: int) -> None:
    changed = bytearray(SIGNED)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VerificationFailed):
        verify_signature(PUBLIC, MESSAGE, bytes(changed))


@given(st.integers(0, 32 * 8 - 1))
def test_any_changed_bit_of_the_key_is_refused(bit: int) -> None:
    changed = bytearray(PUBLIC)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VerificationFailed):
        verify_signature(bytes(changed), MESSAGE, SIGNED)


def test_another_message() -> None:
    verify_signature(PUBLIC, MESSAGE, SIGNED)
    for message in (b"", MESSAGE + b"\0", MESSAGE[:-1]):
        with pytest.raises(VerificationFailed, match="does not verify"):
            verify_signature(PUBLIC, message, SIGNED)


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65, 128])
def test_lengths(length: int) -> None:
    with pytest.raises(VerificationFailed, match="bytes, not"):
        verify_signature(PUBLIC, MESSAGE, bytes(length))
    with pytest.raises(VerificationFailed, match="bytes, not"):
        verify_signature(bytes(length), MESSAGE, SIGNED)


def test_s_is_below_the_group_order() -> None:
    s = int.from_bytes(SIGNED[32:], "little")
    for larger in (s + curve.ORDER, s + 2 * curve.ORDER, curve.ORDER, 2**256 - 1):
        forged = SIGNED[:32] + larger.to_bytes(32, "little")
        with pytest.raises(VerificationFailed, match="group order"):
            verify_signature(PUBLIC, MESSAGE, forged)


@pytest.mark.parametrize("point", curve.SMALL_ORDER)
def test_points_of_small_order(point: curve.Point) -> None:
    encoding = curve.compress(point)
    for flipped in (encoding, encoding[:31] + bytes([encoding[31] ^ 0x80])):
        with pytest.raises(VerificationFailed, match="small order"):
            check_point(flipped, "it")
        with pytest.raises(VerificationFailed, match="small order"):
            verify_signature(PUBLIC, MESSAGE, flipped + SIGNED[32:])
        with pytest.raises(VerificationFailed, match="small order"):
            verify_signature(flipped, MESSAGE, SIGNED)


@pytest.mark.parametrize("y", [curve.PRIME, curve.PRIME + 1, curve.PRIME + 18, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_encodings_that_are_not_canonical(y: int, sign: int) -> None:
    encoding = (y | sign).to_bytes(32, "little")
    for key, signature in ((encoding, SIGNED), (PUBLIC, encoding + SIGNED[32:])):
        with pytest.raises(VerificationFailed, match="canonical"):
            verify_signature(key, MESSAGE, signature)


def test_points_that_are_not_on_the_curve() -> None:
    off = 2
    with pytest.raises(ValueError, match="no such point"):
        curve.decompress(off, 0)
    encoding = off.to_bytes(32, "little")
    for key, signature in ((encoding, SIGNED), (PUBLIC, encoding + SIGNED[32:])):
        with pytest.raises(VerificationFailed):
            verify_signature(key, MESSAGE, signature)


@given(st.integers(1, 2**64), st.integers(1, 2**64), st.integers(1, 7), st.integers(0, 7))
def test_the_equation_is_cofactorless(secret: int, nonce: int, in_key: int, in_r: int) -> None:
    """With a part of small order in key or R, a cofactored rule accepts all of these."""
    torsion, r_torsion = curve.SMALL_ORDER[in_key], curve.SMALL_ORDER[in_r]
    key, signature = curve.sign(secret, nonce, MESSAGE, key_torsion=torsion, r_torsion=r_torsion)
    k = curve.challenge(signature[:32], key, MESSAGE)
    if curve.add(r_torsion, curve.times(k, torsion)) == curve.IDENTITY:
        verify_signature(key, MESSAGE, signature)
        Ed25519PublicKey.from_public_bytes(key).verify(signature, MESSAGE)
        return
    with pytest.raises(VerificationFailed, match="does not verify"):
        verify_signature(key, MESSAGE, signature)


@given(st.binary(min_size=32, max_size=32))
def test_every_delivery_key_that_is_made_is_taken(seed: bytes) -> None:
    public = X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    check_delivery_key(public, "key")


@pytest.mark.parametrize("u", sorted(_SMALL_ORDER_U))
def test_a_delivery_key_of_small_order_is_refused_as_by_another_library(u: int) -> None:
    weak = u.to_bytes(32, "little")
    with pytest.raises(VerificationFailed, match="small order"):
        check_delivery_key(weak, "key")
    with pytest.raises(ValueError, match="shared key"):
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(weak))


@pytest.mark.parametrize(
    "encoding", [bytes(31), bytes(33), b"\xff" * 32, b"\x09" + bytes(30) + b"\x80"]
)
def test_a_delivery_key_has_one_spelling(encoding: bytes) -> None:
    with pytest.raises(VerificationFailed):
        check_delivery_key(encoding, "key")
