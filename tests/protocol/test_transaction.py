"""A transaction has one byte string; whatever is changed in it is refused.

See docs/spec/transaction.md.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.chain import Key

from tallystick.protocol import merkle
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Malformed, TallystickError, VerificationFailed
from tallystick.protocol.transaction import (
    ITEM_BYTES_MAX,
    ITEMS_MAX,
    TRANSACTION_BYTES_MAX,
    Item,
    item_hash,
    items_path,
    items_root,
    read_transaction,
    sign_transaction,
    signing_bytes,
    transaction_id,
)
from tallystick.protocol.values import Count

NETWORK = sha256(b"a network").digest()


class Thing(Item):
    number: Count
    words: list[str] = []


SCHEMAS = {"demo.make/1": Thing}


def thing(number: int, *words: str) -> Thing:
    nonce = sha256(b"%d" % number).digest()[:16]
    return Thing(nonce=nonce, number=number, words=list(words))


def make(*items: Thing, key: Key | None = None, **more: Any) -> bytes:
    given = {
        "network": NETWORK,
        "sender": "hospital-01",
        "action": "demo.make/1",
        "items": items,
        "idempotency": bytes(16),
        "valid_until": "2026-02-01T00:00:00Z",
    }
    return sign_transaction(key or Key("sender"), **(given | more))


GOOD = make(thing(1), thing(2), thing(3))


def read(data: bytes) -> Any:
    return read_transaction(data, NETWORK, SCHEMAS)


@given(st.lists(st.integers(0, 2**53 - 1), min_size=1, max_size=20), st.booleans())
def test_what_was_signed_is_read(numbers: list[int], atomic: bool) -> None:
    items = [thing(number) for number in numbers]
    data = make(*items, atomic=atomic)
    transaction = read(data)
    assert transaction.items == items
    assert transaction.data == data
    assert transaction.header.atomic is atomic
    assert transaction.tx_id == sha256(signing_bytes(transaction.header)).hexdigest()
    assert transaction.tx_id == transaction_id(signing_bytes(transaction.header))
    assert transaction.valid_until == 1_769_904_000
    for n, item in enumerate(items):
        digest = item_hash(encode(item))
        assert transaction.item_hashes[n] == digest
        path = items_path(transaction.item_hashes, n)
        merkle.verify_path(merkle.leaf_hash(digest), n, len(items), path, transaction.header.root)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, flip: int) -> None:
    changed = bytearray(GOOD)
    changed[at] ^= flip
    with pytest.raises((Malformed, VerificationFailed)):
        read(bytes(changed))


@given(st.integers(0, len(GOOD) - 1))
def test_any_shortened_one_is_refused(length: int) -> None:
    with pytest.raises(Malformed):
        read(GOOD[:length])


@given(st.binary(max_size=100))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(TallystickError):
        read(noise)


def reordered(**members: object) -> bytes:
    return encode(json.loads(GOOD) | members)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (GOOD + b"\n", ""),
        (b" " + GOOD, ""),
        (GOOD.replace(b'{"header":{', b'{"header":{ '), "header"),
        (GOOD.replace(b"[{", b"[ {"), "items"),
        (reordered(items=[]), "header/count"),
        (reordered(items={}), "items"),
        (reordered(signature=""), "signature"),
        (reordered(header={}), "header"),
        (reordered(header=None), "header"),
        (reordered(items=[{"nonce": "A" * 22 + "==", "number": 1, "extra": 1}]), "items/0"),
        (reordered(items=[{"nonce": "A" * 22 + "==", "number": -1}]), "items/0/number"),
        (reordered(items=[{"nonce": "A" * 22 + "==", "number": 1, "words": []}]), "items"),
        (b'{"header":' + b"[" * 100_000 + b"]" * 100_000 + b"}", ""),
        (b'{"header":{},"items":' + b"[" * 100_000 + b"]" * 100_000 + b',"signature":""}', None),
    ],
)
def test_shapes(data: bytes, path: str | None) -> None:
    with pytest.raises((Malformed, VerificationFailed)) as caught:
        read(data)
    assert path in (None, caught.value.path)


def test_header_must_fit() -> None:
    with pytest.raises(VerificationFailed, match="another network"):
        read_transaction(GOOD, bytes(32), SCHEMAS)
    with pytest.raises(Malformed, match="no action"):
        read_transaction(GOOD, NETWORK, {})
    wire = json.loads(GOOD)
    with pytest.raises(VerificationFailed, match="counts 2 items"):
        read(encode(wire | {"header": wire["header"] | {"count": 2}}))
    swapped = [wire["items"][1], wire["items"][0], wire["items"][2]]
    with pytest.raises(VerificationFailed, match="signed root"):
        read(encode(wire | {"items": swapped}))
    with pytest.raises(VerificationFailed, match="does not verify"):
        read(encode(wire | {"header": wire["header"] | {"sender": "hospital-02"}}))
    with pytest.raises(VerificationFailed, match="does not verify"):
        other = json.loads(make(thing(1), thing(2), thing(3), key=Key("other")))["signature"]
        read(encode(wire | {"signature": other}))
    with pytest.raises(Malformed, match="not an instant"):
        read(make(thing(1), valid_until="2026-02-31T00:00:00Z"))


def test_limits() -> None:
    with pytest.raises(Malformed, match="more than"):
        read(bytes(TRANSACTION_BYTES_MAX + 1))
    with pytest.raises(Malformed, match="more than"):
        read(make(thing(1, "x" * ITEM_BYTES_MAX)))
    with pytest.raises(Malformed) as caught:
        read(make(*[thing(n) for n in range(ITEMS_MAX + 1)]))
    assert caught.value.path == "header/count"
    assert len(read(make(*[thing(n) for n in range(ITEMS_MAX)])).items) == ITEMS_MAX


def test_a_sibling_hash_is_not_the_hash_of_an_item() -> None:
    hashes = [item_hash(encode(thing(n))) for n in range(4)]
    assert not set(items_path(hashes, 0)) & set(hashes)
    assert items_root(hashes) != merkle.root(hashes)
