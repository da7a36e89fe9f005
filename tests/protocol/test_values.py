"""Instants, days, patterns: every value has one spelling, and its limits hold.

See docs/spec/encoding.md.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Malformed
from tallystick.protocol.values import (
    ActionName,
    Amount,
    Currency,
    Day,
    Digest,
    Instant,
    OrgId,
    SignedAmount,
    TxId,
    Word,
    format_instant,
    local_day,
    parse_day,
    parse_instant,
    tagged_hash,
)

LAST = 253_402_300_799


@given(st.integers(0, LAST))
def test_instants_come_back(seconds: int) -> None:
    text = format_instant(seconds)
    assert parse_instant(text) == seconds
    assert datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z") == text
    assert decode(encode(text), Instant) == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T09:00:00",
        "2026-01-31T09:00:00z",
        "2026-01-31 09:00:00Z",
        "2026-01-31T09:00:00.0Z",
        "2026-01-31T09:00:00+00:00",
        "2026-02-30T09:00:00Z",
        "2026-02-31T09:00:00Z",
        "2026-13-01T09:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T09:60:00Z",
        "2026-01-31T09:00:60Z",
        "2026-01- 1T09:00:00Z",
        "2026-1-031T09:00:00Z",
        "２０２６-01-31T09:00:00Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "",
        "x" * 1000,
    ],
)
def test_other_spellings_of_an_instant(text: str) -> None:
    with pytest.raises(Malformed):
        parse_instant(text)


def test_days_are_counted_at_the_offset() -> None:
    assert local_day(parse_instant("2026-01-31T16:00:00Z"), 28_800) == "2026-02-01"
    assert local_day(parse_instant("2026-01-31T15:59:59Z"), 28_800) == "2026-01-31"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Currency, ["CNY"], ["cny", "CN", "CNY\n", "ＣＮＹ"]),
        (OrgId, ["finance-33", "a"], ["Finance", "-a", "a" * 41, "a_b", "a\n"]),
        (ActionName, ["bills.issue/1"], ["bills.issue", "bills.issue/0", "bills.issue/1000"]),
        (Word, ["paid_2"], ["2paid", "Paid", "paid-2", ""]),
        (TxId, ["0" * 64], ["0" * 63, "A" * 64, "0" * 64 + "\n"]),
        (Day, ["2026-01-31"], ["2026-1-31", "2026-41-31"]),
        (Amount, [0, 999_999_999_999_999], [-1, 10**15, 1.5, True, "1"]),
        (SignedAmount, [-999_999_999_999_999], [-(10**15)]),
    ],
)
def test_patterns_and_limits(kind: Any, good: list[object], bad: list[object]) -> None:
    for value in good:
        assert decode(encode(value), kind) == value
    for value in bad:
        with pytest.raises(Malformed):
            decode(encode(value), kind)


def test_bytes_have_one_length() -> None:
    for length in (0, 31, 33):
        with pytest.raises(Malformed):
            decode(encode(bytes(length)), Digest)


def test_hashes_name_their_use() -> None:
    assert tagged_hash(b"use\n", b"a", b"b") == sha256(b"use\nab").digest()


@pytest.mark.parametrize(
    ("text", "days"), [("1970-01-01", 0), ("2026-01-31", 20_484), ("1968-02-29", -672)]
)
def test_days_count_from_1970(text: str, days: int) -> None:
    assert parse_day(text) == days


@pytest.mark.parametrize("text", ["2026-02-30", "2026-1-31", "20260131", "2026-W05-6", "", "x"])
def test_a_day_has_one_spelling(text: str) -> None:
    with pytest.raises(Malformed):
        parse_day(text)
