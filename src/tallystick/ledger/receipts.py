"""Making receipts and state proofs out of what the ledger keeps.

Invariant: whatever is made here verifies, or `Damaged` is raised: paths are made from tiles whose
root is the checkpoint's. See docs/spec/receipt.md.
"""

from __future__ import annotations

from typing import Any

from tallystick.contracts.kit.context import NUMBERS_PER_CODE, Key
from tallystick.ledger.records import Segment, unpack_outcomes
from tallystick.ledger.staged import VerifiedRows, slot_place
from tallystick.ledger.store import Connection
from tallystick.protocol import merkle, page, statemap, tiles
from tallystick.protocol.canonical import Raw, Record, decode, encode, parse
from tallystick.protocol.checkpoint import parse_checkpoint, parse_note
from tallystick.protocol.entry import BlockLeaf, Entry
from tallystick.protocol.errors import Damaged, Malformed
from tallystick.protocol.receipt import PagePath, Receipt, StateDocument, StateProof
from tallystick.protocol.transaction import (
    Header,
    item_hash,
    items_path,
    signing_bytes,
    transaction_id,
)
from tallystick.protocol.values import Signature, format_instant


class SignedParts(Record):
    """A transaction, its items not typed: enough to show each of them."""

    header: Header
    items: list[Raw]
    signature: Signature


def read_segment(segment: Segment) -> tuple[SignedParts, list[bytes], list[str]]:
    """A kept transaction: its parts, its items' hashes, and what became of each."""
    try:
        parts = parse(segment.data, SignedParts)
    except Malformed as error:
        raise Damaged(f"the transaction of entry {segment.first}: {error}") from error
    hashes = [item_hash(bytes(item)) for item in parts.items]
    return parts, hashes, unpack_outcomes(segment.refused, len(hashes))


def entries_of(store: Connection, segment: Segment) -> list[Entry]:
    """The log's entries of a kept transaction."""
    parts, hashes, outcomes = read_segment(segment)
    tx_id = transaction_id(signing_bytes(parts.header))
    block, at = segment.block, _time_of(store, segment.block)
    return [
        Entry(kind="entry", block=block, at=at, tx=tx_id, n=n, item=digest, outcome=outcome)
        for n, (digest, outcome) in enumerate(zip(hashes, outcomes, strict=True))
    ]


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
    if not 0 <= index < checkpoint.size:
        raise LookupError(f"entry {index} is not under a checkpoint of size {checkpoint.size}")
    segment = store.segment(index)
    if segment is None:
        raise Damaged(f"{store.path} lacks the transaction of entry {index}")
    parts, hashes, outcomes = read_segment(segment)
    n = index - segment.first
    if n >= len(hashes):
        raise LookupError(f"index {index} is a block's leaf, no entry")
    entry = Entry(
        kind="entry",
        block=segment.block,
        at=_time_of(store, segment.block),
        tx=transaction_id(signing_bytes(parts.header)),
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


def prove_row(
    store: Connection, rows: VerifiedRows, network: bytes, key: Key, text: str
) -> StateProof:
    """The row under `key` at the head, or its absence; `text` is its ``<kind>/<id>``."""
    head, data = store.head(), rows.row(key)
    record = store.block(head.block)
    if record is None or record.size != head.size:
        raise LookupError("there is no block yet")
    leaf = BlockLeaf(
        kind="block",
        network=network,
        block=head.block,
        at=format_instant(head.at),
        first=record.first,
        state=head.state,
    )
    where, found = None, key
    if isinstance(key, int):
        code, at, slot = slot_place(key)
        found = page.page_key(code, at)
        held = statemap.find(rows.map_group, statemap.key_hash(found))
        path = [] if held is None else page.path(lambda g: rows.page_group(code, at, g), slot)
        where = PagePath(code=code, number=key % NUMBERS_PER_CODE, path=path)
    return StateProof(
        block_leaf=leaf,
        block_path=tiles.inclusion_path(store, head.size - 1, head.size),
        key=text,
        row=None if data is None else decode(data, dict[str, Any]),
        page=where,
        map=statemap.prove(rows.map_group, statemap.key_hash(str(found))),
    )


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
    record = store.block(block)
    if record is None:
        raise Damaged(f"{store.path} lacks block {block}")
    return format_instant(record.at)
