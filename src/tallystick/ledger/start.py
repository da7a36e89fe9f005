"""Does the log follow from what is stored? The last blocks at each start, all of them for a doctor.

A block's leaves are made again out of its transactions, their outcomes and its record, and put
behind the log as it was before: that must give the stored tiles and the recorded roots. `Damaged`
names the file and the first difference. See docs/spec/storage.md.

Invariant: what a start looks at is bounded by numbers of blocks and leaves, whatever the size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tallystick.ledger.ledger import Ledger
from tallystick.ledger.receipts import (
    SignedParts,
    block_leaf,
    check_head,
    read_segment,
    transaction_of,
)
from tallystick.ledger.records import GROUP_LEAVES, BlockRecord, Head, Segment, leaf_groups
from tallystick.ledger.store import Connection
from tallystick.protocol import merkle
from tallystick.protocol.canonical import encode
from tallystick.protocol.entry import entry_leaf_hashes
from tallystick.protocol.errors import Damaged
from tallystick.protocol.tiles import Edge, TileWrite
from tallystick.protocol.transaction import signing_bytes
from tallystick.protocol.values import format_instant, parse_instant

Made = TypeVar("Made")

BLOCKS_MAX = 64
"""A crash tears at most what was written last; the rest is checked when it is read."""
LEAVES_MAX = 32_768
"""A tenth of a second; the newest block is looked at in any case."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a start looked at."""

    blocks: int
    leaves: int


@dataclass(frozen=True, slots=True)
class CheckedBlock:
    """A block whose leaves are those of the log."""

    record: BlockRecord
    transactions: Sequence[tuple[Segment, SignedParts, str]]
    """As kept, as read, and its id."""


def check_recent(ledger: Ledger) -> Checked:
    """Look at the last blocks, as many as the bounds allow; raises `Damaged`."""
    with ledger.store.snapshot() as snapshot:
        return check_recent_of(snapshot, parse_instant(ledger.genesis.founded_at))


def checked(ledger: Ledger, make: Callable[[Ledger], Made]) -> Made:
    """What is made around a ledger whose last blocks are sound; closes the ledger if that fails."""
    try:
        check_recent(ledger)
        return make(ledger)
    except BaseException:
        ledger.close()
        raise


def check_recent_of(store: Connection, founded_at: int) -> Checked:
    """The same for whoever only reads."""
    head = store.head()
    first, leaves = head.block + 1, 0
    while first > 1 and head.block - first + 1 < BLOCKS_MAX:
        record = store.record(first - 1)
        size = record.size - record.first
        if leaves and leaves + size > LEAVES_MAX:
            break
        first, leaves = first - 1, leaves + size
    blocks = sum(1 for _ in checked_blocks(store, founded_at, first))
    return Checked(blocks, leaves)


def checked_blocks(store: Connection, founded_at: int, first: int) -> Iterator[CheckedBlock]:
    """The blocks from `first` to the head, each once its leaves are what the log commits to."""
    head = store.head()
    before = _founding(head.network, founded_at) if first == 1 else store.record(first - 1)
    edge = Edge.restore(before.size, store)
    if edge.root() != before.root:
        raise Damaged(f"{store.path}: the tiles do not give the root of block {before.block}")
    for number in range(first, head.block + 1):
        record = store.record(number)
        _check_place(store, before, record)
        block, leaves, items = _read_block(store, head.network, record)
        for tile in edge.extend(leaves):
            _check_tile(store, tile, record)
        _check_leaves(store, record, leaf_groups(record.first, leaves, items), head)
        if edge.root() != record.root:
            raise Damaged(f"{store.path}: the recorded root of block {number} is not its log's")
        before = record
        yield block
    check_head(store, head)


def _founding(network: bytes, at: int) -> BlockRecord:
    """The founding as if it were a block: it left an empty log."""
    return BlockRecord(block=0, at=at, first=0, size=0, root=merkle.EMPTY_ROOT, state=network)


def _check_place(store: Connection, before: BlockRecord, record: BlockRecord) -> None:
    where = f"{store.path}: the record of block {before.block + 1}"
    if record.first != before.size:
        raise Damaged(f"{where} begins at {record.first}, not at {before.size}")
    if record.size < record.first + 2:
        raise Damaged(f"{where} ends at {record.size}: a block has an entry and a leaf")
    if record.at < before.at:
        raise Damaged(f"{where} is of {record.at}, before {before.at}: time went back")


def _read_block(
    store: Connection, network: bytes, record: BlockRecord
) -> tuple[CheckedBlock, list[bytes], list[bytes]]:
    """A block, the hashes of its leaves (of each entry and, last, its block leaf), and of items."""
    at, leaves = format_instant(record.at), list[bytes]()
    transactions, items = [], list[bytes]()
    for segment in store.segments(record.first, record.size):
        if (segment.first, segment.block) != (record.first + len(leaves), record.block):
            raise Damaged(
                f"{store.path}: a transaction of block {segment.block} begins at entry "
                f"{segment.first}, where entry {record.first + len(leaves)} of block "
                f"{record.block} is wanted"
            )
        parts, hashes, outcomes = read_segment(segment, store.path)
        tx_id = transaction_of(segment, signing_bytes(parts.header), store.path)
        transactions.append((segment, parts, tx_id))
        leaves += entry_leaf_hashes(record.block, at, tx_id, hashes, outcomes)
        items += hashes
    leaves.append(merkle.leaf_hash(encode(block_leaf(network, record))))
    if record.first + len(leaves) != record.size:
        raise Damaged(
            f"{store.path}: block {record.block} has {len(leaves)} leaves, "
            f"its record says {record.size - record.first}"
        )
    return CheckedBlock(record, transactions), leaves, [*items, bytes(32)]


def _check_leaves(
    store: Connection, record: BlockRecord, groups: list[tuple[int, bytes]], head: Head
) -> None:
    """The hashes kept by sixteen are those of the block, and behind the last there is none."""
    made = b"".join([data for _, data in groups])
    kept = store.leaves(record.first, record.size + GROUP_LEAVES)
    behind = len(kept) > len(made) and record.size == head.size
    if behind or not kept.startswith(made):
        raise Damaged(f"{store.path}: table leaves has not the hashes of block {record.block}")


def _check_tile(store: Connection, made: TileWrite, record: BlockRecord) -> None:
    """A stored tile begins with what was made again; the first hash that differs is named."""
    if made.branches and store.branch(made.index) != made.branches:
        raise Damaged(f"{store.path}: table branches has not the hashes above tile {made.index}")
    stored = store.read(made.level, made.index, len(made.data) // merkle.HASH_BYTES)
    if stored.startswith(made.data):
        return
    at = next(at for at, byte in enumerate(made.data) if stored[at] != byte) // merkle.HASH_BYTES
    name = f"{store.path}: tile {made.level}/{made.index}, hash {at}"
    if made.level:
        raise Damaged(f"{name} is not the root of the tile below it (block {record.block})")
    entry = made.index * 256 + at
    what = "the block leaf" if entry == record.size - 1 else "the transaction and outcome"
    raise Damaged(f"{name} is not what {what} of entry {entry} (block {record.block}) gives")
