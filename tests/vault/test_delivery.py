"""Deliveries open for one key, one record and one purpose."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from vaults import prepare, secret_of, send, tx_of

from tallystick.keyring import delivery_key_from_seed
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.vault import delivery
from tallystick.vault.delivery import (
    DELIVERY_BYTES_MAX,
    Letter,
    message_id,
    open_delivery,
    seal_delivery,
)

KEY = delivery_key_from_seed(secret_of(-1))
OTHER = delivery_key_from_seed(secret_of(-2))
KEYS = {KEY.public_key: KEY.private_key}
ONE = prepare(1)
DATA = send(ONE, 1, KEY.public_key)


def test_what_is_sealed_is_opened() -> None:
    head, letter = open_delivery(DATA, KEYS)
    assert (letter.code, letter.number) == (ONE.code, ONE.number)
    assert (letter.body, letter.secret) == (ONE.body, ONE.secret)
    assert (head.network, head.tx, head.n, head.purpose) == (ONE.network, tx_of(1), 0, "archive")


def test_nothing_of_the_body_shows() -> None:
    assert ONE.body[:40] not in DATA
    assert ONE.secret not in DATA
    assert "HIS-" not in repr(open_delivery(DATA, KEYS))
    assert send(ONE, 1, KEY.public_key) != DATA
    assert message_id(send(ONE, 1, KEY.public_key)) != message_id(DATA)


@pytest.mark.parametrize(
    "changed",
    [{"network": bytes(32)}, {"tx": tx_of(2)}, {"n": 1}, {"purpose": "reimburse"}],
)
def test_it_is_bound_to_record_and_purpose(changed: dict[str, Any]) -> None:
    """The sealed part under another head: a relay that turns a letter to another use."""
    other = send(ONE, 1, KEY.public_key, **changed)
    head, sealed = other.partition(b"\n")[0], DATA.partition(b"\n")[2]
    with pytest.raises(VerificationFailed, match="not sealed to this key for this record"):
        open_delivery(head + b"\n" + sealed, KEYS)


def test_it_is_bound_to_the_receivers_key() -> None:
    with pytest.raises(VerificationFailed, match="not ours"):
        open_delivery(DATA, {OTHER.public_key: OTHER.private_key})
    with pytest.raises(VerificationFailed, match="not sealed"):
        open_delivery(DATA, {KEY.public_key: OTHER.private_key})


@given(st.integers(0, len(DATA) - 1), st.integers(0, 7))
def test_any_flipped_bit_is_refused(at: int, bit: int) -> None:
    changed = bytearray(DATA)
    changed[at] ^= 1 << bit
    with pytest.raises((Malformed, VerificationFailed)):
        open_delivery(bytes(changed), KEYS)


@given(st.binary(max_size=200))
def test_hostile_bytes_are_refused(data: bytes) -> None:
    with pytest.raises((Malformed, VerificationFailed)):
        open_delivery(data, KEYS)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 47])
def test_a_cut_ciphertext_is_refused(length: int) -> None:
    head, sealed = DATA.split(b"\n", 1)
    with pytest.raises(VerificationFailed):
        open_delivery(head + b"\n" + sealed[:length], KEYS)


def test_a_delivery_has_a_limit() -> None:
    with pytest.raises(Malformed, match="more than"):
        open_delivery(b"{" * (DELIVERY_BYTES_MAX + 1), KEYS)
    with pytest.raises(Malformed, match="a newline"):
        open_delivery(b"{}", KEYS)


@pytest.mark.parametrize("body", [b'{"a": 1}', b'{"b":1,"a":1}', b"[]", b'{"a":1.5}', b'{"a":1'])
def test_a_body_in_another_spelling_is_refused(body: bytes) -> None:
    head = open_delivery(DATA, KEYS)[0]
    with pytest.raises(Malformed):
        open_delivery(seal_delivery(head, Letter(1, 2, body, bytes(32))), KEYS)


def test_a_letter_in_another_spelling_is_refused() -> None:
    head = encode(open_delivery(DATA, KEYS)[0])
    receiver = X25519PublicKey.from_public_bytes(KEY.public_key)
    for inside in (b"", b"{}", b'{"body":{},"code":1,"number":2,"secret":"AA=="}', b"\xff"):
        sealed = delivery._SUITE.encrypt(inside, receiver, delivery._CONTEXT + head)
        with pytest.raises(Malformed):
            open_delivery(head + b"\n" + sealed, KEYS)


def test_a_useless_receivers_key_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="shared key"):
        send(ONE, 1, bytes(32))
