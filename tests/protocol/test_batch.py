"""Batch receipts: the receipts made out of one are those that the ledger gives.

See docs/spec/batch.md.
"""

from __future__ import annotations

import json

import pytest
from vectors.batches import OF
from vectors.world import build

from tallystick.protocol.batch import (
    BATCH_BYTES_MAX,
    Receipts,
    read_batch,
    read_sent,
    single_receipt,
)
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.transaction import ITEM_BYTES_MAX

WORLD = build()
CHAIN, NOTE = WORLD.chain, WORLD.note()


def made(name: str) -> tuple[int, bytes, bytes]:
    first = WORLD.at[OF[name]]
    return first, CHAIN.transaction(first), encode(CHAIN.batch(first, NOTE))


@pytest.mark.parametrize("name", ["one", "three", "atomic"])
def test_the_receipt_of_each_item_is_the_ledgers(name: str) -> None:
    first, transaction, batch = made(name)
    receipts = Receipts(transaction, batch)
    assert len(receipts) == CHAIN.sent[first].header.count
    for n in range(len(receipts)):
        assert encode(receipts.receipt(n)) == encode(CHAIN.receipt(first + n, NOTE))
        assert single_receipt(transaction, batch, n) == receipts.receipt(n)


def test_also_of_a_thousand() -> None:
    first, transaction, batch = made("thousand")
    receipts = Receipts(transaction, batch)
    for n in (0, 500, 999):
        assert encode(receipts.receipt(n)) == encode(CHAIN.receipt(first + n, NOTE))


@pytest.mark.parametrize("n", [-1, 3])
def test_there_is_no_other_item(n: int) -> None:
    _, transaction, batch = made("three")
    with pytest.raises(LookupError, match=f"no item {n} of 3"):
        single_receipt(transaction, batch, n)


def test_a_batch_receipt_of_many_accepted_bills_is_short() -> None:
    assert len(made("thousand")[2]) < 2_000


def test_what_was_read_is_the_transaction() -> None:
    first, transaction, _ = made("three")
    sent = read_sent(transaction)
    assert sent.header == CHAIN.sent[first].header
    assert list(sent.items) == [CHAIN.sent[first + n].item for n in range(3)]
    assert sent.signature == CHAIN.sent[first].signature


def test_limits() -> None:
    _, transaction, batch = made("three")
    with pytest.raises(Malformed, match="more than"):
        read_batch(bytes(BATCH_BYTES_MAX + 1))
    members = json.loads(transaction)
    members["items"][1]["long"] = "x" * ITEM_BYTES_MAX
    with pytest.raises(Malformed, match="an item has"):
        read_sent(encode(members))
    refused = replace(read_batch(batch), refused={"3": "demo.number_taken"})
    with pytest.raises(VerificationFailed, match="item 3 of 3"):
        Receipts(transaction, encode(refused))
