"""What the log holds: one leaf an item, one leaf a block.

An entry's leaf says which item befell what: {kind, block, at, tx, n, item hash, outcome}, never the
item itself. The block leaf closes the block with its state root; a checkpoint is signed only there.
See docs/spec/block.md and docs/spec/log.md.

Invariant: leaves are a function of the block's time, its transactions and the state before it.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Literal

from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.values import Count, Digest, Instant, TxId, tagged_hash

ACCEPTED = "accepted"
Outcome = Annotated[str, Meta(pattern=r"\A(accepted|[a-z]{1,16}\.[a-z0-9_]{1,40})\Z")]

_APP_HASH_CONTEXT = b"tallystick/app-hash/v1\n"


class Entry(Record):
    """Leaf of one item of an authentic transaction."""

    kind: Literal["entry"]
    block: Count
    at: Instant
    tx: TxId
    n: Count
    item: Digest
    outcome: Outcome


class BlockLeaf(Record):
    """Last leaf of a block."""

    kind: Literal["block"]
    network: Digest
    block: Count
    at: Instant
    first: Count
    """Log index of the block's first leaf."""
    state: Digest
    """Root of the state map after the block."""


def entry_leaf_hashes(
    block: int, at: str, tx_id: str, item_hashes: Sequence[bytes], outcomes: Sequence[str]
) -> list[bytes]:
    """RFC 9162 leaf hashes of a transaction's entries; the same bytes as ``encode(Entry(...))``."""
    head = b'\x00{"at":"%s","block":%d,"item":"' % (at.encode(), block)
    tail = b'","tx":"%s"}' % tx_id.encode()
    return [
        sha256(
            head
            + b2a_base64(digest, newline=False)
            + b'","kind":"entry","n":%d,"outcome":"%s' % (n, outcome.encode())
            + tail
        ).digest()
        for n, (digest, outcome) in enumerate(zip(item_hashes, outcomes, strict=True))
    ]


def app_hash(network: bytes, size: int, root: bytes) -> bytes:
    """What consensus agrees on after a block: the whole log and, by its last leaf, the state."""
    return tagged_hash(_APP_HASH_CONTEXT, network, size.to_bytes(8, "big"), root)
