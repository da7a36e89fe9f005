"""The state: rows read against their proofs, rows staged by a block, and the root over all.

`VerifiedRows` reads committed rows and believes no file: whatever it reads for the first time must
lead to the state root. `StagedState` is what the actions of one block write to; sealing it gives
the new root and everything that must become durable. See docs/spec/state.md.

Invariant: a row that was read is under the root of the block before, or `Damaged` was raised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple, Protocol, TypeVar

from tallystick.contracts.kit.context import NUMBERS_PER_CODE, Key
from tallystick.ledger.rules import SEEN_ID, SeenDigest
from tallystick.protocol import page, statemap
from tallystick.protocol.canonical import decoder, encode, replace
from tallystick.protocol.errors import Damaged
from tallystick.protocol.row import Row, row_hash, row_key, row_salt
from tallystick.protocol.transaction import Transaction
from tallystick.protocol.values import DAY_SECONDS

R = TypeVar("R", bound=Row)

GROUPS_CACHED_MAX = 32_768
"""Groups of hashes, at most 1 KiB each; the cache is emptied when full."""
ROWS_CACHED_MAX = 8_192
"""Rows of the map, at most 8 KiB each: authorities, types, allotments; and that there is none.
Numbers are not cached."""

_SEEN_CONTEXT = b"tallystick/seen/v1\n"
_SEEN_KEY = row_key(SeenDigest.KIND, SEEN_ID)


class RowStore(Protocol):
    """Where rows and hashes come from: one moment of a file, which may be damaged."""

    def row(self, key: Key) -> bytes | None:
        """A row's bytes by its key."""

    def map_group(self, prefix: bytes) -> bytes | None:
        """A group of the map, see `protocol.statemap`."""

    def page_group(self, key: int) -> bytes | None:
        """A group of a page by `group_key`, see `protocol.page`."""


class Seen(NamedTuple):
    """A transaction that was ordered: its idempotency key is taken until `day` has passed."""

    day: int
    """Days since 1970 of its valid-until, UTC."""
    sender: str
    key: bytes
    tx_id: str
    first: int


@dataclass(slots=True)
class Writes:
    """All of the state that a block changes."""

    root: bytes
    rows: list[tuple[Key, bytes]] = field(default_factory=list)
    map_groups: dict[bytes, bytes] = field(default_factory=dict)
    page_groups: dict[int, bytes] = field(default_factory=dict)
    pages: dict[tuple[int, int], bytes] = field(default_factory=dict)
    """Roots of the pages that changed, by code and page."""
    seen: list[Seen] = field(default_factory=list)


def group_key(code: int, at: int, group: int) -> int:
    """One integer for a group of a page: 27 bits of code, 22 of the page's number, 9 of group."""
    return (code << 31) | (at << 9) | group


def slot_place(key: int) -> tuple[int, int, int]:
    """Code, page and slot of a numbered row's key."""
    code, number = divmod(key, NUMBERS_PER_CODE)
    at, slot = divmod(number, page.SLOTS)
    return code, at, slot


class VerifiedRows:
    """Rows under one root, each checked when it is read. For one thread at a time."""

    def __init__(self, store: RowStore, root: bytes) -> None:
        self._store = store
        self.root = root
        self._groups: dict[Any, bytes | None] = {}
        self._pages: dict[tuple[int, int], bytes] = {}
        self._rows: dict[Key, Row | None] = {}

    def get(self, key: Key, kind: type[R]) -> R | None:
        """The row under `key`, typed as `kind`, or None."""
        by_text = isinstance(key, str)
        if by_text and key in self._rows:
            return self._rows[key]  # type: ignore[return-value]  # a key has one kind
        data = self.row(key)
        row: R | None = None if data is None else decoder(kind).decode(data)
        if by_text:
            self._remember(str(key), row)
        return row

    def row(self, key: Key) -> bytes | None:
        """A row's bytes, once they are what the proofs say."""
        data = self._store.row(key)
        self.check(key, data)
        return data

    def check(self, key: Key, data: bytes | None) -> None:
        """Raise `Damaged` unless these bytes, or none, are what lies under `key`."""
        if isinstance(key, str):
            held = statemap.find(self.map_group, statemap.key_hash(key))
            there = None if data is None else row_hash(data)
        else:
            code, at, slot = slot_place(key)
            group = self.page_group(code, at, slot >> 4)
            held = (group or page.EMPTY_GROUP)[(slot & 15) * 32 :][:32]
            there = page.EMPTY_SLOT if data is None else page.slot_hash(data)
        if held != there:
            what = "is missing" if data is None else "is not what the state root commits to"
            raise Damaged(f"row {key} {what}")

    def map_group(self, prefix: bytes) -> bytes | None:
        """A group of the map, once it leads to the root."""
        if prefix in self._groups:
            return self._groups[prefix]

        def read(wanted: bytes) -> bytes | None:
            return self._store.map_group(wanted) if wanted == prefix else self.map_group(wanted)

        return self._keep(prefix, statemap.check_group(read, self.root, prefix))

    def page_group(self, code: int, at: int, group: int) -> bytes | None:
        """A group of a page, once it leads to the root; None where the page does not exist."""
        key = group_key(code, at, group)
        if key in self._groups:
            return self._groups[key]
        top = self._page_root(code, at)
        if top is None:
            return None

        def read(wanted: int) -> bytes | None:
            if wanted == group:
                return self._store.page_group(key)
            return self.page_group(code, at, wanted)

        return self._keep(key, page.check_group(read, top, group))

    def apply(self, writes: Writes) -> None:
        """What was staged has become durable: read it from here on."""
        self.root = writes.root
        if len(self._groups) > GROUPS_CACHED_MAX:
            self._groups.clear()
        self._groups |= writes.map_groups
        self._groups |= writes.page_groups
        self._pages |= writes.pages

    def remember(self, rows: dict[str, Row]) -> None:
        """Rows that have just become durable."""
        for key, row in rows.items():
            self._remember(key, row)

    def _page_root(self, code: int, at: int) -> bytes | None:
        """The page's root: the map holds a hash of it, the page's top group makes it."""
        known = self._pages.get((code, at))
        if known is not None:
            return known
        held = statemap.find(self.map_group, statemap.key_hash(page.page_key(code, at)))
        if held is None:
            return None
        data = self._store.page_group(group_key(code, at, page.TOP_GROUP))
        top = page.group_root(data) if data else page.EMPTY_ROOT
        if page.page_hash(top) != held:
            raise Damaged(f"page {at} of code {code} is not what the state root commits to")
        if len(self._pages) >= GROUPS_CACHED_MAX:
            self._pages.clear()
        self._pages[code, at] = top
        return top

    def _remember(self, key: str, row: Row | None) -> None:
        if len(self._rows) >= ROWS_CACHED_MAX:
            self._rows.clear()
        self._rows[key] = row

    def _keep(self, key: bytes | int, group: bytes | None) -> bytes | None:
        if len(self._groups) >= GROUPS_CACHED_MAX:
            self._groups.clear()
        self._groups[key] = group
        return group


class StagedState:
    """What one block's actions read and write; fulfils `kit.State`."""

    def __init__(self, committed: VerifiedRows) -> None:
        self._committed = committed
        self._rows: dict[Key, tuple[Row, bytes]] = {}
        self._undo: list[tuple[Key, tuple[Row, bytes] | None]] = []
        self.sealed: dict[str, Row] = {}
        self.writes = Writes(root=committed.root)

    def get(self, key: Key, kind: type[R]) -> R | None:
        """The row as this block has it so far."""
        staged = self._rows.get(key)
        if staged is not None:
            return staged[0]  # type: ignore[return-value]  # a key has one kind
        return self._committed.get(key, kind)

    def set(self, key: Key, row: Row, item_hash: bytes) -> None:
        """Stage a row; its salt comes of the last item that wrote it, no item hash: it has none."""
        self._undo.append((key, self._rows.get(key)))
        self._rows[key] = (row, item_hash)

    def mark(self) -> int:
        """A point to roll back to."""
        return len(self._undo)

    def rollback(self, mark: int) -> None:
        """Undo every `set` since the mark."""
        while len(self._undo) > mark:
            key, before = self._undo.pop()
            if before is None:
                del self._rows[key]
            else:
                self._rows[key] = before

    def see(self, transaction: Transaction, first: int) -> None:
        """Take the transaction's idempotency key."""
        header = transaction.header
        seen = Seen(
            transaction.valid_until // DAY_SECONDS,
            header.sender,
            header.idempotency,
            transaction.tx_id,
            first,
        )
        self.writes.seen.append(seen)

    def _seal_seen(self) -> None:
        """The running digest over all transactions, once a block."""
        seen = self.writes.seen
        if not seen:
            return
        before = self.get(_SEEN_KEY, SeenDigest)
        digest = before.digest if before else bytes(32)
        for one in seen:
            digest = seen_digest(digest, one)
        row = SeenDigest(
            kind=SeenDigest.KIND,
            id=SEEN_ID,
            state="running",
            good=True,
            version=(before.version if before else 0) + len(seen),
            digest=digest,
        )
        self.set(_SEEN_KEY, row, bytes.fromhex(seen[-1].tx_id))

    def seal(self) -> bytes:
        """Salt and hash what is staged: the state root, and in `writes` all that it takes."""
        self._seal_seen()
        changes: dict[bytes, bytes | None] = {}
        slots: dict[int, dict[int, bytes]] = {}
        rows = self.writes.rows
        for key, (staged, item_hash) in self._rows.items():
            row = staged
            if item_hash:
                row = replace(staged, salt=row_salt(item_hash, row_key(staged.kind, staged.id)))
            data = encode(row)
            rows.append((key, data))
            if isinstance(key, str):
                changes[statemap.key_hash(key)] = row_hash(data)
                self.sealed[key] = row
            else:
                code, number = divmod(key, NUMBERS_PER_CODE)
                place = group_key(code, number >> page.HEIGHT, 0)
                changed = slots.get(place)
                if changed is None:
                    changed = slots[place] = {}
                changed[number & page.SLOTS - 1] = page.slot_hash(data)
        for place, changed in slots.items():
            self._seal_page(place, changed, changes)
        root, map_groups = statemap.update(self._committed.map_group, changes)
        self.writes.root, self.writes.map_groups = root, map_groups
        return root

    def _seal_page(
        self, place: int, changed: dict[int, bytes], changes: dict[bytes, bytes | None]
    ) -> None:
        code, at = place >> 31, place >> 9 & 0x3FFFFF
        root, groups = page.update(self._page_reader(code, at), changed)
        for group, data in groups.items():
            self.writes.page_groups[place | group] = data
        self.writes.pages[code, at] = root
        changes[statemap.key_hash(page.page_key(code, at))] = page.page_hash(root)

    def _page_reader(self, code: int, at: int) -> Callable[[int], bytes | None]:
        return lambda group: self._committed.page_group(code, at, group)


def seen_digest(before: bytes, seen: Seen) -> bytes:
    """The running digest after one more transaction."""
    row = encode([seen.day, seen.sender, seen.key, seen.tx_id, seen.first])
    return sha256(_SEEN_CONTEXT + before + sha256(row).digest()).digest()
