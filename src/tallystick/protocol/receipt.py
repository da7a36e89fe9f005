"""A receipt: one item, and everything that proves what became of it.

Item, path to the items root, header, sender's signature, leaf, path to the log root, co-signed
checkpoint, and on request the proof of a row's state. Path lengths follow from (index, size);
nothing in a receipt chooses an algorithm. See docs/spec/receipt.md.

Invariant: no receipt contains another item or row, nor lets a dictionary find one.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from tallystick.protocol import page, statemap
from tallystick.protocol.canonical import Meta, Record, check_plain, decode, encode
from tallystick.protocol.entry import BlockLeaf, Entry
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.row import Row, read_envelope, row_hash, row_key
from tallystick.protocol.statemap import MapProof
from tallystick.protocol.transaction import Header
from tallystick.protocol.values import Count, Digest, Signature

RECEIPT_BYTES_MAX = 32 * 1024
"""Parsed whole before anything is believed. A bill's receipt has at most 4 kB, with status 8 kB."""
LOG_PATH_MAX = 64

_NUMBERED_ID = re.compile(r"[1-9][0-9]{7}:[0-9]{10}")

LogPath = Annotated[list[Digest], Meta(max_length=LOG_PATH_MAX)]


class PagePath(Record):
    """Where a numbered thing lies: the path from its slot to the page's root."""

    code: Annotated[int, Meta(ge=10_000_000, le=99_999_999)]
    number: Annotated[int, Meta(ge=0, le=9_999_999_999)]
    path: Annotated[list[Digest], Meta(max_length=12)]
    """Twelve hashes; none where the page itself is absent from the map."""


class StateProof(Record):
    """One row as it stood at the checkpoint, or its absence."""

    block_leaf: BlockLeaf
    """The leaf at index size - 1 of this very checkpoint; any other index is refused."""
    block_path: LogPath
    key: Annotated[str, Meta(pattern=r"\A[a-z]{1,16}\.[a-z_]{1,24}/[!-~]{1,140}\Z")]
    """``<kind>/<id>`` of the row."""
    row: dict[str, Any] | None = None
    """The row's JSON; absent when there is none: a proof of absence."""
    page: PagePath | None = None
    """Present for numbered things."""
    map: MapProof


class StateDocument(Record):
    """A state proof by itself: of a thing whose receipt one does not have, or of its absence."""

    format: Literal["tallystick/state-proof/v1"]
    checkpoint: Annotated[str, Meta(max_length=16_384)]
    state: StateProof


class Receipt(Record):
    """What one keeps."""

    format: Literal["tallystick/receipt/v1"]
    item: dict[str, Any]
    item_path: Annotated[list[Digest], Meta(max_length=10)]
    header: Header
    signature: Signature
    entry: Entry
    index: Count
    """Index of the entry in the log."""
    log_path: LogPath
    checkpoint: Annotated[str, Meta(max_length=16_384)]
    """The co-signed checkpoint, as C2SP writes it."""
    state: StateProof | None = None


def read_receipt(data: bytes) -> Receipt:
    """Read a receipt's one encoding; `Malformed` otherwise. Nothing is verified yet."""
    if len(data) > RECEIPT_BYTES_MAX:
        raise Malformed(f"receipt has {len(data)} bytes, more than {RECEIPT_BYTES_MAX}")
    receipt = decode(data, Receipt)
    check_plain(receipt.item)
    if receipt.state is not None:
        check_plain(receipt.state.row)
    return receipt


def read_state(data: bytes) -> StateDocument:
    """Read a state proof's one encoding; `Malformed` otherwise. Nothing is verified yet."""
    if len(data) > RECEIPT_BYTES_MAX:
        raise Malformed(f"state proof has {len(data)} bytes, more than {RECEIPT_BYTES_MAX}")
    document = decode(data, StateDocument)
    check_plain(document.state.row)
    return document


def bill_number(code: int, number: int) -> str:
    """The id of a numbered thing, as people read it: ``33060126:0000100001``."""
    return f"{code}:{number:010d}"


def is_numbered(row_id: str) -> bool:
    """Whether rows of this id lie in pages: the id alone says so, hence no proof can choose."""
    return _NUMBERED_ID.fullmatch(row_id) is not None


def verify_row_key(proof: StateProof) -> Row | None:
    """The row bears the key that was asked for, and the key alone says where a row must lie.

    The row's envelope, or None where the proof is one of absence. Says nothing of the paths.
    """
    kind, _, row_id = proof.key.partition("/")
    if is_numbered(row_id) != (proof.page is not None):
        raise VerificationFailed("numbers, and nothing else, are proven by a page", path="page")
    if proof.page is not None and bill_number(proof.page.code, proof.page.number) != row_id:
        raise VerificationFailed("the page path is that of another number", path="page")
    if proof.row is None:
        return None
    envelope = read_envelope(proof.row)
    if (envelope.kind, envelope.id) != (kind, row_id):
        raise VerificationFailed(f"the row is {row_key(envelope.kind, envelope.id)}", path="row")
    return envelope


def verify_row(proof: StateProof) -> None:
    """The state root of the block leaf has this row, or has none; the key is checked before."""
    where = proof.page
    if where is None:
        digest = None if proof.row is None else row_hash(encode(proof.row))
        _verify_in_map(proof, proof.key, digest)
        return
    number, slot = divmod(where.number, page.SLOTS)
    key = page.page_key(where.code, number)
    if proof.row is None and not where.path:  # the whole page is absent
        _verify_in_map(proof, key, None)
        return
    held = page.EMPTY_SLOT if proof.row is None else page.slot_hash(encode(proof.row))
    _verify_in_map(proof, key, page.page_hash(page.root_from_path(slot, held, where.path)))


def _verify_in_map(proof: StateProof, key: str, digest: bytes | None) -> None:
    root, key_hash = proof.block_leaf.state, statemap.key_hash(key)
    if digest is None:
        statemap.verify_absent(root, key_hash, proof.map)
    else:
        statemap.verify_present(root, key_hash, digest, proof.map)
