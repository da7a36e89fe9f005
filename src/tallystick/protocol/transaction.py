"""A transaction: one organisation, one key, one action, one or many items, one signature.

The signature covers the header, and by the header's `root` every item: so each item can be shown
and proven by itself. See docs/spec/transaction.md.

Invariant: the same transaction has one byte string, hence one `tx_id`; nothing in it is free text.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, NamedTuple

from tallystick.protocol import merkle
from tallystick.protocol.canonical import Meta, Raw, Record, decode, encode, parse
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.keys import Signer, verify_signature
from tallystick.protocol.values import (
    ActionName,
    Digest,
    Instant,
    Nonce,
    OrgId,
    PublicKey,
    Signature,
    parse_instant,
)

TRANSACTION_BYTES_MAX = 512 * 1024
"""A node holds some hundreds of them in memory; CometBFT by default takes at most 1 MiB each."""
ITEMS_MAX = 1_000
"""Bounds the work between two checks of the clock and the path of an item to ten hashes."""
ITEM_BYTES_MAX = 8 * 1024
"""An item is a record of states and amounts; what is longer is a body, which stays elsewhere."""

_SIGNING_CONTEXT = b"tallystick/transaction/v1\n"
_ITEM_CONTEXT = b"tallystick/item/v1\n"


class Item(Record):
    """Base of each action's arguments."""

    nonce: Nonce
    """128 random bits: the item's hash, which others see as a sibling, must not be guessable."""


class Header(Record):
    """What the signature covers."""

    network: Digest
    """Hash of the founding genesis bytes, for ever; never a name."""
    key: PublicKey
    sender: OrgId
    action: ActionName
    count: Annotated[int, Meta(ge=1, le=ITEMS_MAX)]
    root: Digest
    """RFC 9162 root whose leaf data are the items' hashes, in order."""
    idempotency: Nonce
    """Chosen once for each act; the same key with other content is refused."""
    valid_until: Instant
    """The transaction is void from this instant of ledger time on."""
    atomic: bool = False
    """All items or none."""


class _Wire(Record):
    header: Raw
    items: Raw
    signature: Signature


class Transaction(NamedTuple):
    """A transaction, every item decoded as its action's record; authentic once it was verified."""

    data: bytes
    header: Header
    message: bytes
    """The signing bytes."""
    tx_id: str
    items: Sequence[Any]
    item_hashes: Sequence[bytes]
    signature: bytes
    valid_until: int

    def signed(self) -> tuple[bytes, bytes, bytes]:
        """Key, message and signature: all that `verify` looks at."""
        return self.header.key, self.message, self.signature

    def verify(self) -> None:
        """Raise `VerificationFailed` unless the header's key signed this transaction."""
        verify_signature(*self.signed())


def signing_bytes(header: Header) -> bytes:
    """The message that is signed; its hash is the `tx_id`."""
    return _SIGNING_CONTEXT + encode(header)


def transaction_id(message: bytes) -> str:
    """The `tx_id` of these signing bytes."""
    return sha256(message).hexdigest()


def item_hash(item: bytes) -> bytes:
    """Hash of an item's canonical bytes."""
    return sha256(_ITEM_CONTEXT + item).digest()


def items_root(hashes: Sequence[bytes]) -> bytes:
    """Root over the items; the leaf *data* are their hashes, so a sibling never shows one."""
    return merkle.root(merkle.leaf_hashes(hashes))


def items_path(hashes: Sequence[bytes], n: int) -> list[bytes]:
    """Path from item `n` to the items root."""
    return merkle.path([merkle.leaf_hash(digest) for digest in hashes], n)


def check_item(item: Item) -> None:
    """Raise `Malformed` unless others can read this item: for whoever is about to sign it.

    What is made in a program was typed by someone; only what is read has passed its record.
    """
    data = encode(item)
    parse(data, type(item))
    if len(data) > ITEM_BYTES_MAX:
        raise Malformed(f"an item has {len(data)} bytes, more than {ITEM_BYTES_MAX}")


def sign_transaction(
    signer: Signer,
    *,
    network: bytes,
    sender: str,
    action: str,
    items: Sequence[Item],
    idempotency: bytes,
    valid_until: str,
    atomic: bool = False,
) -> bytes:
    """Make a transaction's bytes. `idempotency` and the items' nonces are the caller's chance."""
    encoded = [encode(item) for item in items]
    header = Header(
        network=network,
        key=signer.public_key,
        sender=sender,
        action=action,
        count=len(items),
        root=items_root([item_hash(item) for item in encoded]),
        idempotency=idempotency,
        valid_until=valid_until,
        atomic=atomic,
    )
    return _assemble(
        encode(header), b"[" + b",".join(encoded) + b"]", signer.sign(signing_bytes(header))
    )


def read_transaction(data: bytes, network: bytes, schemas: Mapping[str, type[Item]]) -> Transaction:
    """Read and authenticate a transaction; nothing here depends on the ledger's state.

    1. size and shape    2. header canonical, this network    3. action known
    4. every item canonical and of its action's record    5. count and root    6. signature
    """
    transaction = parse_transaction(data, network, schemas)  # 1 to 5
    transaction.verify()  # 6
    return transaction


def parse_transaction(
    data: bytes, network: bytes, schemas: Mapping[str, type[Item]]
) -> Transaction:
    """Steps 1 to 5 of `read_transaction`, for whoever verifies many signatures beside each other.

    Nothing that this gives may be executed before `Transaction.verify`.
    """
    header, raw, signature = split_transaction(data)  # 1, 2
    if header.network != network:
        raise VerificationFailed("this transaction is for another network", path="header/network")
    schema = schemas.get(header.action)  # 3
    if schema is None:
        raise Malformed(f"no action {header.action} here", path="header/action")
    items, encoded = _read_items(raw, schema)  # 4
    prefix = _ITEM_CONTEXT
    hashes = [sha256(prefix + item).digest() for item in encoded]  # `item_hash`, a thousand times
    if header.count != len(items):  # 5
        raise VerificationFailed(
            f"header counts {header.count} items, there are {len(items)}", path="header/count"
        )
    if header.root != items_root(hashes):
        raise VerificationFailed("items differ from the signed root", path="header/root")
    message = signing_bytes(header)
    return Transaction(
        data=data,
        header=header,
        message=message,
        tx_id=transaction_id(message),
        items=items,
        item_hashes=hashes,
        signature=signature,
        valid_until=parse_instant(header.valid_until),
    )


def split_transaction(data: bytes) -> tuple[Header, bytes, bytes]:
    """Header, the items' bytes and the signature of a transaction spelled in its one way.

    The items are any JSON so far: whoever calls this reads them himself.
    """
    if len(data) > TRANSACTION_BYTES_MAX:
        raise Malformed(f"transaction has {len(data)} bytes, more than {TRANSACTION_BYTES_MAX}")
    wire = parse(data, _Wire)
    if _assemble(bytes(wire.header), bytes(wire.items), wire.signature) != data:
        raise Malformed("not the canonical encoding of a transaction")
    try:
        header = decode(bytes(wire.header), Header)
    except Malformed as error:
        raise Malformed(error.detail, path=f"header/{error.path}".rstrip("/")) from None
    return header, bytes(wire.items), wire.signature


def _read_items(data: bytes, schema: type[Item]) -> tuple[list[Any], list[bytes]]:
    try:
        items: list[Any] = parse(data, list[schema])  # type: ignore[valid-type]  # a runtime type
    except Malformed as error:
        raise Malformed(error.detail, path=f"items/{error.path}".rstrip("/")) from None
    encoded = [encode(item) for item in items]
    if b"[" + b",".join(encoded) + b"]" != data:
        raise Malformed("not the canonical encoding of the items", path="items")
    longest = max(map(len, encoded), default=0)
    if longest > ITEM_BYTES_MAX:
        raise Malformed(f"an item has {longest} bytes, more than {ITEM_BYTES_MAX}", path="items")
    return items, encoded


def _assemble(header: bytes, items: bytes, signature: bytes) -> bytes:
    return (
        b'{"header":'
        + header
        + b',"items":'
        + items
        + b',"signature":"'
        + b64encode(signature)
        + b'"}'
    )
