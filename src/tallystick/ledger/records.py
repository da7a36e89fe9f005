"""What a ledger keeps beside its state: the head, where a block lies in the log, transactions.

Invariant: everything here follows from the blocks; only the head says which block is the last.
See docs/spec/storage.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tallystick.protocol.canonical import Record, decode, encode
from tallystick.protocol.entry import ACCEPTED, Outcome
from tallystick.protocol.errors import Malformed
from tallystick.protocol.values import Count, Digest


class Head(Record):
    """The ledger after its last block; block 0 is the founding, before any entry."""

    network: Digest
    block: Count
    at: Count
    """Unix seconds of the last block; of the founding before any."""
    size: Count
    root: Digest
    """Of the log."""
    state: Digest


class BlockRecord(Record):
    """Where a block lies in the log; its last leaf is the block leaf."""

    block: Count
    at: Count
    first: Count
    size: Count
    """Of the log after the block."""
    root: Digest
    state: Digest


class Place(NamedTuple):
    """Where a transaction lies, and what became of its items."""

    first: int
    """Log index of its first entry."""
    items: int
    """How many it has."""
    block: int
    tx: bytes
    """Its id, not in hex."""
    refused: bytes
    """Canonical JSON of ``{n: reason}``; what is not named was accepted."""


class Segment(NamedTuple):
    """The same, and the transaction as it came."""

    first: int
    items: int
    """How many it has."""
    block: int
    tx: bytes
    refused: bytes
    data: bytes


LEAF_BYTES = 64
"""A leaf's hash and the hash of its item; of a block's leaf zeros in its place."""
GROUP_LEAVES = 16


def leaf_groups(
    first: int, leaf_hashes: Sequence[bytes], item_hashes: Sequence[bytes]
) -> list[tuple[int, bytes]]:
    """Leaves from `first` on by the group of sixteen that they lie in: its number, their bytes."""
    data = b"".join([part for pair in zip(leaf_hashes, item_hashes, strict=True) for part in pair])
    whole = GROUP_LEAVES * LEAF_BYTES
    start = -(first % GROUP_LEAVES) * LEAF_BYTES
    return [
        (first // GROUP_LEAVES + n, data[max(at, 0) : at + whole])
        for n, at in enumerate(range(start, len(data), whole))
    ]


def pack_outcomes(outcomes: Sequence[str]) -> bytes:
    """Outcomes as a segment keeps them: nearly all are ``accepted``."""
    return encode({str(n): each for n, each in enumerate(outcomes) if each != ACCEPTED})


def unpack_outcomes(refused: bytes, count: int) -> list[str]:
    """The inverse of `pack_outcomes`, for a transaction of `count` items; or `Malformed`."""
    outcomes = [ACCEPTED] * count
    for n, reason in decode(refused, dict[str, Outcome]).items():
        known = n.isascii() and n.isdigit() and len(n) <= len(str(count))
        if not (known and str(int(n)) == n and int(n) < count):
            raise Malformed(f"outcomes name item {n[:20]!r} of {count}")
        outcomes[int(n)] = reason
    return outcomes
