"""The log's leaves as the specification says them: one by one, by no short cut of the product.

Invariant: what is made here comes of the kept transactions and outcomes alone.
"""

from __future__ import annotations

from tallystick.ledger.receipts import read_segment
from tallystick.ledger.records import BlockRecord
from tallystick.ledger.store import Connection
from tallystick.protocol import merkle
from tallystick.protocol.canonical import encode
from tallystick.protocol.entry import BlockLeaf, Entry
from tallystick.protocol.transaction import signing_bytes, transaction_id
from tallystick.protocol.values import format_instant


def block_leaves(store: Connection, network: bytes, record: BlockRecord) -> list[bytes]:
    """Hashes of a block's entries and, last, of its block leaf."""
    at, found = format_instant(record.at), list[Entry]()
    for segment in store.segments(record.first, record.size):
        assert (segment.block, segment.first) == (record.block, record.first + len(found))
        parts, hashes, outcomes = read_segment(segment)
        tx = transaction_id(signing_bytes(parts.header))
        for n, (item, outcome) in enumerate(zip(hashes, outcomes, strict=True)):
            entry = Entry(
                kind="entry", block=record.block, at=at, tx=tx, n=n, item=item, outcome=outcome
            )
            found.append(entry)
    leaf = BlockLeaf(
        kind="block",
        network=network,
        block=record.block,
        at=at,
        first=record.first,
        state=record.state,
    )
    return [merkle.leaf_hash(encode(each)) for each in (*found, leaf)]
