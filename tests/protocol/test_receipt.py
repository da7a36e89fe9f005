"""Receipts and state proofs as documents: one encoding, and a place that follows from the key.

The paths themselves are tested in tests/test_verify.py and by the vectors.
See docs/spec/receipt.md.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.chain import CODE
from vectors.world import bill, build

from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.receipt import (
    RECEIPT_BYTES_MAX,
    bill_number,
    is_numbered,
    read_receipt,
    read_state,
    verify_row,
    verify_row_key,
)

WORLD = build()
NOTE = WORLD.note()
RECEIPT = WORLD.chain.receipt(WORLD.at["first"], NOTE, bill(100_001))
DOCUMENT = WORLD.chain.document("demo.pass/card-1", NOTE)


def test_documents_come_back() -> None:
    assert read_receipt(encode(RECEIPT)) == RECEIPT
    assert read_state(encode(DOCUMENT)) == DOCUMENT


@given(st.integers(0, len(encode(RECEIPT)) - 1), st.integers(1, 255))
def test_a_changed_byte_is_another_receipt_or_none(at: int, flip: int) -> None:
    changed = bytearray(encode(RECEIPT))
    changed[at] ^= flip
    try:
        other = read_receipt(bytes(changed))
    except Malformed:
        return
    assert other != RECEIPT
    assert encode(other) == bytes(changed)


@pytest.mark.parametrize("bad", [1.5, 2**53, [[]] * 1, {"é": 1}])
def test_untyped_parts_obey_the_profile(bad: Any) -> None:
    for _ in range(40):
        bad = [bad] if isinstance(bad, list) else bad
    receipt, document = json.loads(encode(RECEIPT)), json.loads(encode(DOCUMENT))
    receipt["item"]["more"] = bad
    with pytest.raises(Malformed):
        read_receipt(encode(receipt))
    receipt = json.loads(encode(RECEIPT))
    receipt["state"]["row"]["more"] = document["state"]["row"]["more"] = bad
    with pytest.raises(Malformed):
        read_receipt(encode(receipt))
    with pytest.raises(Malformed):
        read_state(encode(document))


def test_limits() -> None:
    for read in (read_receipt, read_state):
        with pytest.raises(Malformed, match="more than"):
            read(b" " * (RECEIPT_BYTES_MAX + 1))


@given(st.integers(10_000_000, 99_999_999), st.integers(0, 9_999_999_999))
def test_numbers_are_known_by_their_form(code: int, number: int) -> None:
    assert is_numbered(bill_number(code, number))


@pytest.mark.parametrize(
    "row_id",
    [
        "33060126:000010000",
        "33060126:00001000010",
        "03060126:0000100001",
        "3306012:0000100001",
        "33060126:0000100001/1",
        "33060126:0000100001\n",
        "x33060126:0000100001",
        "33060126-0000100001",
        "３３060126:0000100001",
        "",
    ],
)
def test_what_is_no_number_lies_in_the_map(row_id: str) -> None:
    assert not is_numbered(row_id)


def test_the_place_follows_from_the_key() -> None:
    chain = WORLD.chain
    numbered, mapped = chain.state(bill(100_001)), chain.state("demo.pass/card-1")
    for proof in (numbered, mapped):
        envelope = verify_row_key(proof)
        assert envelope is not None
        assert f"{envelope.kind}/{envelope.id}" == proof.key
        verify_row(proof)
    assert verify_row_key(replace(numbered, row=None)) is None
    other_page = chain.state(bill(100_001, CODE + 100)).page
    for wrong, match in (
        (replace(numbered, page=None), "nothing else"),
        (replace(mapped, page=numbered.page), "nothing else"),
        (replace(numbered, page=other_page), "another number"),
        (replace(numbered, row=mapped.row), "the row is demo.pass/card-1"),
        (replace(mapped, key="demo.pass/card-2"), "the row is demo.pass/card-1"),
        (replace(mapped, key="demo.other/card-1"), "the row is demo.pass/card-1"),
    ):
        with pytest.raises(VerificationFailed, match=match):
            verify_row_key(wrong)


def test_absence_is_of_the_slot_the_page_or_the_key() -> None:
    chain = WORLD.chain
    for key in (bill(100_003), bill(77_777_777), "demo.pass/card-4"):
        proof = chain.state(key)
        assert proof.row is None
        verify_row(proof)
        with pytest.raises(VerificationFailed):
            verify_row(replace(proof, row=chain.rows[bill(100_001)]))
    for key in (bill(100_001), "demo.pass/card-1"):
        with pytest.raises(VerificationFailed):
            verify_row(replace(chain.state(key), row=None))
