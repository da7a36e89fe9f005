"""A small ledger made by protocol functions alone: no contracts, no store, no clock, no chance.

It enters whatever it is told, with the outcome it is told: so it can also make what no honest
ledger would. Keys come from names, nonces from counters; see docs/spec/README.md.

Invariant: the same calls give the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256, sha512
from typing import Any

from nacl.signing import SigningKey

from tallystick.protocol import merkle, page, statemap
from tallystick.protocol.batch import BatchReceipt
from tallystick.protocol.canonical import Record, builtins, encode
from tallystick.protocol.checkpoint import (
    Checkpoint,
    cosign,
    format_checkpoint,
    format_note,
    sign_note,
)
from tallystick.protocol.entry import ACCEPTED, BlockLeaf, Entry
from tallystick.protocol.genesis import (
    FoundingGrant,
    FoundingKeeper,
    FoundingKey,
    FoundingOrg,
    Genesis,
    log_origin,
    read_genesis,
)
from tallystick.protocol.multiproof import prove_some
from tallystick.protocol.receipt import (
    PagePath,
    Receipt,
    StateDocument,
    StateProof,
    is_numbered,
)
from tallystick.protocol.row import row_hash, row_key, row_salt
from tallystick.protocol.status import EntryProof, StatusDocument
from tallystick.protocol.transaction import (
    Header,
    Item,
    item_hash,
    items_path,
    items_root,
    signing_bytes,
    transaction_id,
)
from tallystick.protocol.trust import TrustedKeeper, TrustPolicy
from tallystick.protocol.values import Count, format_instant, parse_instant

START = parse_instant("2026-03-02T01:00:00Z")
CODE = 33_060_126
KEEPERS = ("finance-33", "hospital-01", "insurer-01")


class Key:
    """A signer whose key follows from its name."""

    def __init__(self, name: str) -> None:
        self._seed = sha256(b"tallystick vectors, key of " + name.encode()).digest()
        self._key = SigningKey(self._seed)

    @property
    def public_key(self) -> bytes:
        return bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        return bytes(self._key.sign(message).signature)

    def expanded(self) -> bytes:
        """Scalar and prefix before clamping (RFC 8032 section 5.1.5)."""
        return sha512(self._seed).digest()


class Make(Item):
    """The one action's arguments."""

    code: Count
    number: Count
    amount: Count


@dataclass(frozen=True)
class Sent:
    """An item of the log, with what a receipt of it needs."""

    item: dict[str, Any]
    path: list[bytes]
    header: Header
    signature: bytes


def keeper_name(org: str) -> str:
    return f"{org}/keeper"


def founding() -> bytes:
    """The founding file of the vectors' network."""
    organisations = [
        FoundingOrg(
            org=org,
            root_key=Key(f"root {org}").public_key,
            keys=[FoundingKey(key=Key(org).public_key, actions=["*"])],
            grants=[FoundingGrant(actions=["demo.*"], depth=2)] if org == "finance-33" else [],
        )
        for org in KEEPERS
    ]
    keepers = [
        FoundingKeeper(name=keeper_name(org), org=org, key=Key(f"keeper {org}").public_key)
        for org in KEEPERS
    ]
    return encode(
        Genesis(
            format="tallystick/genesis/v1",
            name="example.org/vectors",
            region=33,
            utc_offset_seconds=28_800,
            founded_at=format_instant(START),
            nonce=bytes(range(16)),
            log_keys=[Key("log").public_key],
            organisations=organisations,
            keepers=keepers,
        )
    )


def policy(**changed: Any) -> TrustPolicy:
    """Two of three keepers, finance among them; a status holds for ten minutes."""
    genesis, network = read_genesis(founding())
    keepers = [TrustedKeeper(name=k.name, org=k.org, key=k.key) for k in genesis.keepers]
    members: dict[str, Any] = {
        "format": "tallystick/trust/v1",
        "version": 1,
        "network": network,
        "origin": log_origin(genesis.name, network),
        "log_keys": genesis.log_keys,
        "keepers": keepers,
        "threshold": 2,
        "required": ["finance-33"],
        "status_max_age_seconds": 600,
    }
    return TrustPolicy(**(members | changed))


def note_of(
    checkpoint: Checkpoint,
    times: Mapping[str, int],
    *,
    log: Key | None = None,
    keys: Mapping[str, Key] | None = None,
) -> str:
    """A checkpoint signed by the log and co-signed by these keepers at these times."""
    text = format_checkpoint(checkpoint)
    lines = [sign_note(text, checkpoint.origin, log or Key("log"))]
    for org, at_seconds in times.items():
        key = (keys or {}).get(org) or Key(f"keeper {org}")
        lines.append(cosign(text, keeper_name(org), key, at_seconds))
    return format_note(text, lines)


class Chain:
    """The log, the rows, and what receipts need. `block` adds a block, nothing else changes it."""

    def __init__(self, network: bytes | None = None) -> None:
        genesis, founded = read_genesis(founding())
        self.network = network or founded
        self.origin = log_origin(genesis.name, founded)
        self.leaves: list[Entry | BlockLeaf] = []
        self.sent: dict[int, Sent] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        self.state_root = statemap.EMPTY
        self._hashes: list[bytes] = []
        self._nodes: dict[bytes, bytes] = {}
        self._pages: dict[tuple[int, int], dict[int, bytes]] = {}
        self._blocks = self._nonces = 0
        self._waiting: list[tuple[Header, list[Make], bytes, Sequence[str]]] = []
        self._changes: list[dict[str, Any] | str] = []

    @property
    def size(self) -> int:
        return len(self.leaves)

    @property
    def next_index(self) -> int:
        """Where the next item will be entered."""
        return self.size + sum(len(items) for _, items, _, _ in self._waiting)

    def send(
        self,
        items: Sequence[tuple[int, int]],
        outcomes: Sequence[str] | None = None,
        *,
        sender: str = "hospital-01",
        atomic: bool = False,
        code: int = CODE,
    ) -> int:
        """Add a transaction of (number, amount) to the next block: the index of its first item."""
        first = self.next_index
        made = [
            Make(nonce=self._nonce(), code=code, number=number, amount=amount)
            for number, amount in items
        ]
        key = Key(sender)
        header = Header(
            network=self.network,
            key=key.public_key,
            sender=sender,
            action="demo.make/1",
            count=len(made),
            root=items_root([item_hash(encode(item)) for item in made]),
            idempotency=self._nonce(),
            valid_until=format_instant(START + 86_400),
            atomic=atomic,
        )
        signature = key.sign(signing_bytes(header))
        self._waiting.append((header, made, signature, outcomes or [ACCEPTED] * len(made)))
        return first

    def put(self, kind: str, row_id: str, **members: Any) -> None:
        """Write a row with the next block."""
        self._changes.append({"kind": kind, "id": row_id, "state": "live", "good": True} | members)

    def drop(self, key: str) -> None:
        """Delete a row of the map with the next block."""
        self._changes.append(key)

    def block(self, at: int) -> Checkpoint:
        """Enter what waits, seal the rows, append the block leaf."""
        self._blocks += 1
        instant, first = format_instant(at), self.size
        digest = bytes(32)
        for header, items, signature, outcomes in self._waiting:
            digest = self._enter(instant, header, items, signature, outcomes)
        self._seal(digest)
        self._append(
            BlockLeaf(
                kind="block",
                network=self.network,
                block=self._blocks,
                at=instant,
                first=first,
                state=self.state_root,
            )
        )
        self._waiting, self._changes = [], []
        return self.checkpoint()

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        size = self.size if size is None else size
        return Checkpoint(self.origin, size, merkle.root(self._hashes[:size]))

    def log_path(self, index: int, size: int | None = None) -> list[bytes]:
        return merkle.path(self._hashes[: self.size if size is None else size], index)

    def hashes(self) -> list[bytes]:
        """The leaf hashes so far."""
        return list(self._hashes)

    def receipt(self, index: int, note: str, key: str | None = None) -> Receipt:
        """The receipt of the item at `index` under the newest checkpoint, with a row on request."""
        sent, entry = self.sent[index], self.leaves[index]
        assert isinstance(entry, Entry)
        return Receipt(
            format="tallystick/receipt/v1",
            item=sent.item,
            item_path=sent.path,
            header=sent.header,
            signature=sent.signature,
            entry=entry,
            index=index,
            log_path=self.log_path(index),
            checkpoint=note,
            state=None if key is None else self.state(key),
        )

    def transaction(self, first: int) -> bytes:
        """The bytes of the transaction whose first item is at `first`."""
        header, signature = self.sent[first].header, self.sent[first].signature
        items = [self.sent[first + n].item for n in range(header.count)]
        return encode({"header": header, "items": items, "signature": signature})

    def batch(self, first: int, note: str) -> BatchReceipt:
        """The batch receipt of the transaction whose first item is at `first`."""
        end = first + self.sent[first].header.count
        entries = [leaf for leaf in self.leaves[first:end] if isinstance(leaf, Entry)]
        return BatchReceipt(
            format="tallystick/batch-receipt/v1",
            first=first,
            block=entries[0].block,
            at=entries[0].at,
            refused={str(e.n): e.outcome for e in entries if e.outcome != ACCEPTED},
            path=prove_some(self._hashes, range(first, end)),
            checkpoint=note,
        )

    def state(self, key: str) -> StateProof:
        """The proof of a row as it stands, or that there is none."""
        last = self.leaves[-1]
        assert isinstance(last, BlockLeaf)
        where, map_key = self._place(key)
        return StateProof(
            block_leaf=last,
            block_path=self.log_path(self.size - 1),
            key=key,
            row=self.rows.get(key),
            page=where,
            map=statemap.prove(self._nodes.get, statemap.key_hash(map_key)),
        )

    def document(self, key: str, note: str) -> StateDocument:
        """A state proof by itself."""
        return StateDocument(
            format="tallystick/state-proof/v1", checkpoint=note, state=self.state(key)
        )

    def status(self, key: str, note: str) -> StatusDocument:
        """The row under a key, and the entry that made it, if there is a row that one made."""
        index = self.rows.get(key, {}).get("entry")
        made = None
        if index is not None:
            leaf = self.leaves[index]
            assert isinstance(leaf, Entry)
            made = EntryProof(leaf=leaf, index=index, path=self.log_path(index))
        return StatusDocument(
            format="tallystick/status/v1", entry=made, state=self.state(key), checkpoint=note
        )

    def _place(self, key: str) -> tuple[PagePath | None, str]:
        row_id = key.partition("/")[2]
        if not is_numbered(row_id):
            return None, key
        code, number = map(int, row_id.split(":"))
        at, slot = divmod(number, page.SLOTS)
        groups = self._pages.get((code, at))
        path = [] if groups is None else page.path(groups.get, slot)
        return PagePath(code=code, number=number, path=path), page.page_key(code, at)

    def _enter(
        self,
        at: str,
        header: Header,
        items: Sequence[Make],
        signature: bytes,
        outcomes: Sequence[str],
    ) -> bytes:
        tx_id = transaction_id(signing_bytes(header))
        hashes = [item_hash(encode(item)) for item in items]
        for n, (item, digest) in enumerate(zip(items, hashes, strict=True)):
            path = items_path(hashes, n) if len(items) <= 64 or n in (0, 500, 999) else []
            self.sent[self.size] = Sent(builtins(item), path, header, signature)
            self._append(
                Entry(
                    kind="entry",
                    block=self._blocks,
                    at=at,
                    tx=tx_id,
                    n=n,
                    item=digest,
                    outcome=outcomes[n],
                )
            )
        return hashes[-1]

    def _seal(self, writer: bytes) -> None:
        """Salt the rows, write slots into pages, then everything else and the pages' roots."""
        slots: dict[tuple[int, int], dict[int, bytes]] = {}
        changes: dict[bytes, bytes | None] = {}
        for change in self._changes:
            if isinstance(change, str):
                del self.rows[change]
                changes[statemap.key_hash(change)] = None
                continue
            key = row_key(change["kind"], change["id"])
            row = change | {"salt": builtins(row_salt(writer, key))}
            self.rows[key] = row
            if is_numbered(change["id"]):
                code, number = map(int, change["id"].split(":"))
                at, slot = divmod(number, page.SLOTS)
                slots.setdefault((code, at), {})[slot] = page.slot_hash(encode(row))
            else:
                changes[statemap.key_hash(key)] = row_hash(encode(row))
        for (code, at), changed in slots.items():
            groups = self._pages.setdefault((code, at), {})
            root, writes = page.update(groups.get, changed)
            groups.update(writes)
            changes[statemap.key_hash(page.page_key(code, at))] = page.page_hash(root)
        if changes:
            self.state_root, nodes = statemap.update(self._nodes.get, changes)
            self._nodes.update(nodes)

    def _append(self, leaf: Entry | BlockLeaf) -> None:
        self.leaves.append(leaf)
        self._hashes.append(merkle.leaf_hash(encode(leaf)))

    def _nonce(self) -> bytes:
        self._nonces += 1
        return sha256(b"tallystick vectors, nonce %d" % self._nonces).digest()[:16]


def plain(record: Record) -> dict[str, Any]:
    """A record as the members of its JSON text, free to be changed."""
    members: dict[str, Any] = builtins(record)
    return members
