"""A batch receipt: what became of all items of one transaction, for whoever has its bytes.

The sender has the items, so they are not told again: where its entries lie, which were refused, the
hashes left and right of them in the log, and the checkpoint. With the transaction it proves what a
receipt of each item proves, and each of those can be made out of it. See docs/spec/batch.md.

Invariant: with the transaction's bytes a batch receipt determines every receipt of it, byte for
byte; nothing in it chooses anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from tallystick.protocol.canonical import (
    INTEGER_MAX,
    Meta,
    Record,
    check_plain,
    decode,
    encode,
    parse,
)
from tallystick.protocol.checkpoint import parse_checkpoint, parse_note
from tallystick.protocol.entry import ACCEPTED, Entry, entry_leaf_hashes
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.merkle import leaf_hashes
from tallystick.protocol.multiproof import Levels, levels_over, path_over
from tallystick.protocol.receipt import Receipt
from tallystick.protocol.transaction import (
    ITEM_BYTES_MAX,
    ITEMS_MAX,
    Header,
    item_hash,
    signing_bytes,
    split_transaction,
    transaction_id,
)
from tallystick.protocol.values import Count, Digest, Instant

BATCH_BYTES_MAX = 128 * 1024
"""A thousand refusals, a range of the largest log and a note; usually it has a kilobyte."""
RANGE_PATH_MAX = 128

Place = Annotated[str, Meta(pattern=r"\A(0|[1-9][0-9]{0,2})\Z")]
Refusal = Annotated[str, Meta(pattern=r"\A[a-z]{1,16}\.[a-z0-9_]{1,40}\Z")]

_Value = (
    Annotated[int, Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]
    | str
    | bool
    | list[Any]
    | dict[str, Any]
    | None
)
_Items = Annotated[list[dict[str, _Value]], Meta(min_length=1, max_length=ITEMS_MAX)]


class BatchReceipt(Record):
    """What the sender of a transaction keeps beside its bytes."""

    format: Literal["tallystick/batch-receipt/v1"]
    first: Count
    """Log index of the transaction's first entry; the others follow it."""
    block: Count
    at: Instant
    refused: Annotated[dict[Place, Refusal], Meta(max_length=ITEMS_MAX)] = {}
    """Reasons by the item's place; what is not named was accepted."""
    path: Annotated[list[Digest], Meta(max_length=RANGE_PATH_MAX)]
    """The hashes beside the entries, level by level from the leaves, left before right."""
    checkpoint: Annotated[str, Meta(max_length=16_384)]


class Sent(NamedTuple):
    """A transaction read without knowing its action; nothing of it is verified yet."""

    header: Header
    message: bytes
    tx_id: str
    items: Sequence[dict[str, Any]]
    item_hashes: Sequence[bytes]
    signature: bytes


def read_batch(data: bytes) -> BatchReceipt:
    """Read a batch receipt's one encoding; `Malformed` otherwise. Nothing is verified yet."""
    if len(data) > BATCH_BYTES_MAX:
        raise Malformed(f"batch receipt has {len(data)} bytes, more than {BATCH_BYTES_MAX}")
    return decode(data, BatchReceipt)


def read_sent(data: bytes) -> Sent:
    """Read a transaction's one encoding, whatever its action; `Malformed` otherwise."""
    header, raw, signature = split_transaction(data)
    items, encoded = _read_items(raw)
    message = signing_bytes(header)
    hashes = [item_hash(item) for item in encoded]
    return Sent(header, message, transaction_id(message), items, hashes, signature)


def outcomes_of(batch: BatchReceipt, count: int) -> list[str]:
    """What became of each of the transaction's items; a refusal of none `VerificationFailed`."""
    found = [ACCEPTED] * count
    for place, reason in batch.refused.items():
        if int(place) >= count:
            raise VerificationFailed(f"item {place} of {count} was refused", path="refused")
        found[int(place)] = reason
    return found


class Receipts:
    """The receipt of each item of a transaction, made without asking anybody; not verified here.

    If the batch verifies, so does each receipt, and the ledger would give the same bytes.
    """

    def __init__(self, transaction: bytes, data: bytes) -> None:
        self._sent, self._batch = read_sent(transaction), read_batch(data)
        count = len(self._sent.items)
        self._outcomes = outcomes_of(self._batch, count)
        self._size = parse_checkpoint(parse_note(self._batch.checkpoint.encode()).text).size
        self._log: Levels = levels_over(
            entry_leaf_hashes(
                self._batch.block,
                self._batch.at,
                self._sent.tx_id,
                self._sent.item_hashes,
                self._outcomes,
            ),
            self._batch.first,
            self._size,
            self._batch.path,
        )
        self._items: Levels = levels_over(leaf_hashes(self._sent.item_hashes), 0, count, [])

    def __len__(self) -> int:
        return len(self._sent.items)

    def receipt(self, n: int) -> Receipt:
        """The receipt of item `n`."""
        sent, batch = self._sent, self._batch
        if not 0 <= n < len(sent.items):
            raise LookupError(f"there is no item {n} of {len(sent.items)}")
        return Receipt(
            format="tallystick/receipt/v1",
            item=sent.items[n],
            item_path=path_over(self._items, n, len(sent.items)),
            header=sent.header,
            signature=sent.signature,
            entry=Entry(
                kind="entry",
                block=batch.block,
                at=batch.at,
                tx=sent.tx_id,
                n=n,
                item=sent.item_hashes[n],
                outcome=self._outcomes[n],
            ),
            index=batch.first + n,
            log_path=path_over(self._log, batch.first + n, self._size),
            checkpoint=batch.checkpoint,
        )


def single_receipt(transaction: bytes, batch: bytes, n: int) -> Receipt:
    """The receipt of item `n` alone; of many items `Receipts` reads the transaction once."""
    return Receipts(transaction, batch).receipt(n)


def _read_items(data: bytes) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Items as plain values, and their bytes; `decode` of each, without looking at each member.

    Where no item has an object, a list or a letter beyond ASCII in it, the type says it all.
    """
    try:
        items: list[dict[str, Any]] = parse(data, _Items)
    except Malformed as error:
        raise Malformed(error.detail, path=f"items/{error.path}".rstrip("/")) from None
    encoded = [encode(item) for item in items]
    if b"[" + b",".join(encoded) + b"]" != data:
        raise Malformed("not the canonical encoding of the items", path="items")
    longest = max(map(len, encoded))
    if longest > ITEM_BYTES_MAX:
        raise Malformed(f"an item has {longest} bytes, more than {ITEM_BYTES_MAX}", path="items")
    if not (data.isascii() and data.count(b"{") == len(items) and data.count(b"[") == 1):
        for item in items:
            check_plain(item)
    return items, encoded
