"""The founding file has one encoding and no contradictions. See docs/spec/genesis.md."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.chain import Key, founding

from tallystick.protocol.canonical import builtins, decode, encode
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.genesis import (
    GENESIS_BYTES_MAX,
    KeyName,
    log_origin,
    read_genesis,
)

GOOD = founding()


def changed(**members: Any) -> bytes:
    return encode(json.loads(GOOD) | members)


def test_the_network_is_the_hash_of_the_bytes() -> None:
    genesis, network = read_genesis(GOOD)
    assert network == sha256(GOOD).digest()
    assert encode(genesis) == GOOD
    origin = log_origin(genesis.name, network)
    assert origin == f"example.org/vectors/{network.hex()[:16]}"


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused_or_another_network(at: int, flip: int) -> None:
    other = bytearray(GOOD)
    other[at] ^= flip
    try:
        _, network = read_genesis(bytes(other))
    except (Malformed, VerificationFailed):
        return
    assert network != read_genesis(GOOD)[1]


def test_the_longest_name_still_gives_an_origin() -> None:
    genesis, network = read_genesis(changed(name="a" * 100))
    assert decode(encode(log_origin(genesis.name, network)), KeyName)
    with pytest.raises(Malformed):
        read_genesis(changed(name="a" * 101))


def orgs(**members: Any) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(GOOD)["organisations"]
    return [listed[0] | members, *listed[1:]]


def keepers(**members: Any) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(GOOD)["keepers"]
    return [listed[0] | members, *listed[1:]]


KEY = builtins(Key("another").public_key)
BAD_DAY = "2026-02-30T00:00:00Z"


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (changed(format="tallystick/genesis/v2"), "Invalid enum"),
        (changed(founded_at=BAD_DAY), "not an instant"),
        (changed(region=9), ">= 10"),
        (changed(utc_offset_seconds=50_401), "<= 50400"),
        (changed(organisations=[]), "length >= 1"),
        (changed(log_keys=[]), "length >= 1"),
        (changed(extra=1), "unknown field"),
        (changed(organisations=orgs(org="hospital-01")), "stands twice"),
        (changed(organisations=orgs(root_key=builtins(Key("log").public_key))), "stands twice"),
        (changed(organisations=orgs(keys=[{"actions": ["*"], "key": KEY}] * 2)), "stands twice"),
        (changed(organisations=orgs(keys=[{"actions": [], "key": KEY}])), "length >= 1"),
        (changed(organisations=orgs(keys=[{"actions": ["a.b/1"], "key": KEY}])), "regex"),
        (
            changed(organisations=orgs(keys=[{"actions": ["*"], "key": KEY, "until": BAD_DAY}])),
            "not an instant",
        ),
        (changed(organisations=orgs(grants=[{"actions": ["*"], "until": BAD_DAY}])), "an instant"),
        (changed(keepers=keepers(org="nobody-01")), "no founder"),
        (changed(keepers=keepers(name="hospital-01/keeper")), "key name stands twice"),
        (changed(keepers=keepers(key=builtins(Key("log").public_key))), "stands twice"),
        (GOOD + b"\n", "canonical"),
        (bytes(GENESIS_BYTES_MAX + 1), "more than"),
    ],
)
def test_what_no_network_can_be_founded_on(data: bytes, match: str) -> None:
    with pytest.raises(Malformed, match=match):
        read_genesis(data)


def test_weak_keys_found_nothing() -> None:
    with pytest.raises(VerificationFailed, match="small order"):
        read_genesis(changed(log_keys=["AQ" + "A" * 41 + "="]))
