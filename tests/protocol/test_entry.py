"""Leaves of the log: the fast path writes the same bytes as the encoder.

See docs/spec/block.md.
"""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.protocol import merkle
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.entry import ACCEPTED, BlockLeaf, Entry, app_hash, entry_leaf_hashes
from tallystick.protocol.errors import Malformed
from tallystick.protocol.values import format_instant

OUTCOMES = st.sampled_from([ACCEPTED, "ledger.atomic", "bills.number_taken"])


@given(
    st.integers(0, 2**53 - 1),
    st.integers(0, 253_402_300_799),
    st.binary(min_size=32, max_size=32),
    st.lists(st.tuples(st.binary(min_size=32, max_size=32), OUTCOMES), max_size=12),
)
def test_the_fast_path_writes_what_the_encoder_writes(
    block: int, seconds: int, tx: bytes, items: list[tuple[bytes, str]]
) -> None:
    at, tx_id = format_instant(seconds), tx.hex()
    hashes = [digest for digest, _ in items]
    outcomes = [outcome for _, outcome in items]
    entries = [
        Entry(kind="entry", at=at, block=block, tx=tx_id, n=n, item=digest, outcome=outcome)
        for n, (digest, outcome) in enumerate(items)
    ]
    slow = [merkle.leaf_hash(encode(entry)) for entry in entries]
    assert entry_leaf_hashes(block, at, tx_id, hashes, outcomes) == slow
    assert [decode(encode(entry), Entry) for entry in entries] == entries


def test_items_and_outcomes_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        entry_leaf_hashes(1, "2026-01-01T00:00:00Z", "0" * 64, [bytes(32)], [])


@pytest.mark.parametrize("outcome", ["", "Accepted", "accepted\n", "bills.", "refused", "a.b.c"])
def test_outcomes_are_of_a_closed_form(outcome: str) -> None:
    entry = {
        "kind": "entry",
        "at": "2026-01-01T00:00:00Z",
        "block": 1,
        "tx": "0" * 64,
        "n": 0,
        "item": "A" * 43 + "=",
        "outcome": outcome,
    }
    decode(encode(entry | {"outcome": "bills.number_taken"}), Entry)
    with pytest.raises(Malformed):
        decode(encode(entry), Entry)


def test_a_block_leaf_is_never_an_entry() -> None:
    leaf = BlockLeaf(
        kind="block",
        network=bytes(32),
        block=1,
        at="2026-01-01T00:00:00Z",
        first=0,
        state=bytes(32),
    )
    assert decode(encode(leaf), BlockLeaf) == leaf
    with pytest.raises(Malformed):
        decode(encode(leaf), Entry)


def test_the_app_hash_covers_network_size_and_root() -> None:
    one = app_hash(bytes(32), 1, bytes(32))
    assert (
        one
        == sha256(b"tallystick/app-hash/v1\n" + bytes(32) + b"\0" * 7 + b"\1" + bytes(32)).digest()
    )
    others = [app_hash(b"\1" * 32, 1, bytes(32)), app_hash(bytes(32), 2, bytes(32))]
    assert one not in [*others, app_hash(bytes(32), 1, b"\1" * 32)]
