"""Making receipts and state proofs out of what the ledger keeps.

Invariant: whatever is made here verifies, or `Damaged` is raised: paths are made from tiles whose
root is the checkpoint's. See docs/spec/receipt.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.contracts.kit.context import NUMBERS_PER_CODE, Key
from tallystick.ledger.records import BlockRecord, Head, Segment, unpack_outcomes
from tallystick.ledger.sqlite import FILE
from tallystick.ledger.staged import VerifiedRows, slot_place
from tallystick.ledger.store import Connection
from tallystick.protocol import merkle, page, statemap, tiles
from tallystick.protocol.batch import BatchReceipt
from tallystick.protocol.canonical import Raw, Record, decode, encode, parse
from tallystick.protocol.checkpoint import parse_checkpoint, parse_note
from tallystick.protocol.entry import ACCEPTED, BlockLeaf, Entry, entry_leaf_hashes
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed
from tallystick.protocol.keys import verify_signature
from tallystick.protocol.multiproof import levels_over
from tallystick.protocol.receipt import PagePath, Receipt, StateDocument, StateProof
from tallystick.protocol.statemap import MapProof
from tallystick.protocol.transaction import (
    Header,
    item_hash,
    items_path,
    items_root,
    signing_bytes,
    transaction_id,
)
from tallystick.protocol.values import Signature, format_instant


class SignedParts(Record):
    """A transaction, its items not typed: enough to show each of them."""

    header: Header
    items: list[Raw]
    signature: Signature


def read_segment(
    segment: Segment, path: Path | str = FILE
) -> tuple[SignedParts, list[bytes], list[str]]:
    """A kept transaction: its parts, its items' hashes, and what became of each."""
    try:
        parts = parse(segment.data, SignedParts)
        hashes = [item_hash(bytes(item)) for item in parts.items]
        outcomes = unpack_outcomes(segment.refused, len(hashes))
    except Malformed as error:
        raise Damaged(f"{path}: the transaction of entry {segment.first}: {error}") from error
    if segment.items != len(hashes):
        raise Damaged(f"{path}: the transaction of entry {segment.first} has {len(hashes)} items")
    return parts, hashes, outcomes


def prove_entry(
    store: Connection,
    rows: VerifiedRows,
    network: bytes,
    index: int,
    note: bytes,
    *,
    row: Key | None,
) -> Receipt:
    """The receipt of entry `index` under `note`."""
    checkpoint = parse_checkpoint(parse_note(note).text)
    segment = _segment_of(store, index, checkpoint.size)
    parts, hashes, outcomes = read_segment(segment, store.path)
    n = index - segment.first
    _check_within(store, segment, index, len(hashes))
    entry = Entry(
        kind="entry",
        block=segment.block,
        at=_time_of(store, segment.block),
        tx=check_signed(store, segment, parts, hashes),
        n=n,
        item=hashes[n],
        outcome=outcomes[n],
    )
    path = tiles.inclusion_path(store, index, checkpoint.size)
    leaf = merkle.leaf_hash(encode(entry))
    if merkle.root_from_path(leaf, index, checkpoint.size, path) != checkpoint.root:
        raise Damaged(f"{store.path}: entry {index} is not what the log commits to")
    state = None
    if row is not None:
        if store.head().size != checkpoint.size:
            raise LookupError("the state is newer than the checkpoint")
        state = prove_row(store, rows, network, row, _key_text(row, rows))
    return Receipt(
        format="tallystick/receipt/v1",
        item=decode(bytes(parts.items[n]), dict[str, Any]),
        item_path=items_path(hashes, n),
        header=parts.header,
        signature=parts.signature,
        entry=entry,
        index=index,
        log_path=path,
        checkpoint=note.decode(),
        state=state,
    )


def prove_batch(store: Connection, index: int, note: bytes) -> BatchReceipt:
    """The batch receipt, under `note`, of the transaction that has entry `index`."""
    checkpoint = parse_checkpoint(parse_note(note).text)
    segment = _segment_of(store, index, checkpoint.size)
    parts, hashes, outcomes = read_segment(segment, store.path)
    _check_within(store, segment, index, len(hashes))
    tx_id = check_signed(store, segment, parts, hashes)
    at, first, end = _time_of(store, segment.block), segment.first, segment.first + len(hashes)
    if end > checkpoint.size:
        raise Damaged(f"{store.path}: a checkpoint of {checkpoint.size} ends within a transaction")
    leaves = entry_leaf_hashes(segment.block, at, tx_id, hashes, outcomes)
    path = tiles.range_path(store, first, end, checkpoint.size)
    if levels_over(leaves, first, checkpoint.size, path)[-1][1] != [checkpoint.root]:
        raise Damaged(f"{store.path}: the entries from {first} on are not what the log commits to")
    return BatchReceipt(
        format="tallystick/batch-receipt/v1",
        first=first,
        block=segment.block,
        at=at,
        refused={str(n): each for n, each in enumerate(outcomes) if each != ACCEPTED},
        path=path,
        checkpoint=note.decode(),
    )


def _segment_of(store: Connection, index: int, size: int) -> Segment:
    if not 0 <= index < size:
        raise LookupError(f"entry {index} is not under a checkpoint of size {size}")
    segment = store.segment(index)
    if segment is None:
        raise Damaged(f"{store.path} lacks the transaction of entry {index}")
    return segment


def _check_within(store: Connection, segment: Segment, index: int, count: int) -> None:
    """The transaction found for an index has it: of a block's leaf it is the one before."""
    n = index - segment.first
    if n >= count:
        record = store.record(segment.block)
        if index != record.size - 1 or n > count:
            raise Damaged(f"{store.path} lacks the transaction of entry {index}")
        raise LookupError(f"index {index} is a block's leaf, no entry")


def prove_row(
    store: Connection, rows: VerifiedRows, network: bytes, key: Key, text: str
) -> StateProof:
    """The row under `key` at the head, or its absence; `text` is its ``<kind>/<id>``."""
    head, data = store.head(), rows.row(key)
    if not head.block:
        raise LookupError("there is no block yet")
    record = store.record(head.block)
    check_head(store, head)
    leaf = block_leaf(network, record)
    block_path = tiles.inclusion_path(store, head.size - 1, head.size)
    if _root_of(leaf, head.size - 1, head.size, block_path) != head.root:
        raise Damaged(f"{store.path}: block {head.block} is not what the log commits to")
    where, found = None, key
    if isinstance(key, int):
        code, at, slot = slot_place(key)
        found = page.page_key(code, at)
        held = statemap.find(rows.map_group, statemap.key_hash(found))
        path = [] if held is None else page.path(lambda g: rows.page_group(code, at, g), slot)
        where = PagePath(code=code, number=key % NUMBERS_PER_CODE, path=path)
    return StateProof(
        block_leaf=leaf,
        block_path=block_path,
        key=text,
        row=None if data is None else decode(data, dict[str, Any]),
        page=where,
        map=statemap.prove(rows.map_group, statemap.key_hash(str(found))),
    )


@dataclass(frozen=True, slots=True)
class PageProof:
    """That the rows which go with it are all there is in some ranges of a page."""

    absent: bool
    """Nothing ever befell a number of the page: the map has no such row."""
    siblings: list[bytes]
    map: MapProof


def prove_page(rows: VerifiedRows, code: int, at: int, ranges: Sequence[page.Range]) -> PageProof:
    """A complete range proof over slots of page `at` of a code, at the head."""
    key_hash = statemap.key_hash(page.page_key(code, at))
    absent = statemap.find(rows.map_group, key_hash) is None
    siblings = []
    if not absent:
        siblings = page.ranges_path(lambda group: rows.page_group(code, at, group), ranges)
    return PageProof(absent, siblings, statemap.prove(rows.map_group, key_hash))


def check_head(store: Connection, head: Head) -> None:
    """The head is what the last block left, or `Damaged`."""
    if not head.block and not head.size:
        return
    record = store.record(head.block)
    left = (record.at, record.size, record.root, record.state)
    if left != (head.at, head.size, head.root, head.state):
        raise Damaged(f"{store.path}: the head is not what block {head.block} left")


def check_segment(
    store: Connection, head: Head, segment: Segment, proven: dict[int, bytes] | None = None
) -> int:
    """A kept transaction is what the log commits to, or `Damaged`; the index after its last entry.

    Its hashes must be those of the tiles, and of each tile the path of one hash must lead to the
    root: that path is made of all the others. `proven` is the caller's, for one head: the last tile
    of which that was seen, so that it is seen once for all transactions in it.
    """
    parts, hashes, outcomes = read_segment(segment, store.path)
    tx_id = check_signed(store, segment, parts, hashes)
    at = _time_of(store, segment.block)
    leaves = entry_leaf_hashes(segment.block, at, tx_id, hashes, outcomes)
    end = segment.first + len(leaves)
    if segment.first < 0 or end >= head.size:
        raise Damaged(f"{store.path}: the transaction of entry {segment.first} is not of the log")
    for number in range(segment.first // tiles.TILE_WIDTH, (end - 1) // tiles.TILE_WIDTH + 1):
        start = number * tiles.TILE_WIDTH
        tile = store.read(0, number, min(tiles.TILE_WIDTH, head.size - start))
        first, last = max(start, segment.first), min(start + tiles.TILE_WIDTH, end) - 1
        for index in range(first, last + 1):
            if tile[(index - start) * 32 :][:32] != leaves[index - segment.first]:
                raise Damaged(f"{store.path}: entry {index} is not what the log commits to")
        if proven is not None and proven.get(number) == tile:
            continue
        path = tiles.inclusion_path(store, first, head.size)
        leaf = leaves[first - segment.first]
        if merkle.root_from_path(leaf, first, head.size, path) != head.root:
            raise Damaged(f"{store.path}: tile 0/{number} does not lead to the root of the log")
        if proven is not None:
            proven.clear()
            proven[number] = tile
    return end


def check_signed(
    store: Connection,
    segment: Segment,
    parts: SignedParts,
    hashes: list[bytes],
    root: bytes | None = None,
) -> str:
    """The bytes are as they came: spelled so, and all of them signed; the transaction's id.

    `root` is the one over the items, if it is known.
    """
    message = signing_bytes(parts.header)
    root = items_root(hashes) if root is None else root
    try:
        if encode(parts) != segment.data or root != parts.header.root:
            raise VerificationFailed("these are not the bytes that were signed")
        verify_signature(parts.header.key, message, parts.signature)
    except (Malformed, VerificationFailed) as error:
        raise Damaged(f"{store.path}: the transaction of entry {segment.first}: {error}") from error
    return transaction_of(segment, message, store.path)


def transaction_of(segment: Segment, message: bytes, path: Path | str) -> str:
    """The id of a kept transaction, given its signing bytes; it must be the one that is kept."""
    tx_id = transaction_id(message)
    if segment.tx.hex() != tx_id:
        raise Damaged(f"{path}: the transaction of entry {segment.first} is {tx_id}")
    return tx_id


def check_block(store: Connection, head: Head, record: BlockRecord) -> None:
    """A block's record is what the log commits to, or `Damaged`."""
    if not 0 <= record.first < record.size <= head.size:
        raise Damaged(f"{store.path}: block {record.block} is not within the log")
    path = tiles.inclusion_path(store, record.size - 1, head.size)
    leaf = block_leaf(head.network, record)
    if _root_of(leaf, record.size - 1, head.size, path) != head.root:
        raise Damaged(f"{store.path}: block {record.block} is not what the log commits to")
    if tiles.root_at(store, record.size) != record.root:
        raise Damaged(f"{store.path}: block {record.block} has not the root of the log")


def check_seen(store: Connection, sender: str, idempotency: bytes, seen: tuple[str, int]) -> None:
    """What is kept of an idempotency key is of the transaction that it names, or `Damaged`."""
    tx_id, first = seen
    segment = store.segment(first)
    if segment is not None and segment.first == first:
        header = read_segment(segment, store.path)[0].header
        found = header.sender, header.idempotency, transaction_id(signing_bytes(header))
        if found == (sender, idempotency, tx_id):
            return
    raise Damaged(f"{store.path}: an idempotency key of {sender} names another transaction")


def state_document(proof: StateProof, note: bytes) -> StateDocument:
    """A state proof as a document of its own."""
    return StateDocument(format="tallystick/state-proof/v1", checkpoint=note.decode(), state=proof)


def _key_text(key: Key, rows: VerifiedRows) -> str:
    if isinstance(key, str):
        return key
    data = rows.row(key)
    if data is None:
        raise LookupError(f"number {key} has no row")
    row = decode(data, dict[str, Any])
    return f"{row['kind']}/{row['id']}"


def _time_of(store: Connection, block: int) -> str:
    return format_instant(store.record(block).at)


def block_leaf(network: bytes, record: BlockRecord) -> BlockLeaf:
    """The last leaf of a block."""
    return BlockLeaf(
        kind="block",
        network=network,
        block=record.block,
        at=format_instant(record.at),
        first=record.first,
        state=record.state,
    )


def _root_of(leaf: Entry | BlockLeaf, index: int, size: int, path: list[bytes]) -> bytes:
    return merkle.root_from_path(merkle.leaf_hash(encode(leaf)), index, size, path)
