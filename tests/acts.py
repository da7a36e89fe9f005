"""A state in memory and the acts on it: drives contracts without a ledger around them.

Every row that is put is encoded and read again, every item decoded as its action's record, every
key admitted; after each accepted item, what the transaction remembers is looked up anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

from nacl.bindings import crypto_sign_seed_keypair

from tallystick.contracts.kit.context import (
    FOUNDING_INDEX,
    Action,
    Context,
    Domain,
    Environment,
    Key,
    slot_key,
)
from tallystick.contracts.kit.keys import admit, authorise, check_sender
from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Rejected
from tallystick.protocol.genesis import (
    FoundingGrant,
    FoundingKeeper,
    FoundingKey,
    FoundingOrg,
    Genesis,
    read_genesis,
)
from tallystick.protocol.row import ROW_BYTES_MAX, Row, row_key
from tallystick.protocol.transaction import Header, Item, item_hash, signing_bytes, transaction_id
from tallystick.protocol.values import format_instant, parse_instant

R = TypeVar("R", bound=Row)

FOUNDED_AT = "2026-01-05T00:00:00Z"
REGION = 33


def public_key(name: str) -> bytes:
    """A sound public key, the same for the same name."""
    return crypto_sign_seed_keypair(sha256(name.encode()).digest())[0]


def nonce(n: int) -> bytes:
    """A nonce by number."""
    return n.to_bytes(16, "big")


def founder(
    org: str, *actions: str, depth: int = 8, until: str | None = None, grants: int = 1
) -> FoundingOrg:
    """A founder whose root key is ``<org>/root`` and whose one operating key is ``<org>/key``."""
    given = [FoundingGrant(actions=list(actions), depth=depth, until=until)] * grants
    return FoundingOrg(
        org=org,
        root_key=public_key(f"{org}/root"),
        keys=[FoundingKey(key=public_key(f"{org}/key"), actions=["*"])],
        grants=given if actions else [],
    )


class Rows:
    """Rows in memory, with undo. Fulfils the kit's `State` and `Reader`."""

    def __init__(self) -> None:
        self.data: dict[Key, bytes] = {}
        self._undo: list[tuple[Key, bytes | None]] = []

    def get(self, key: Key, kind: type[R]) -> R | None:
        data = self.data.get(key)
        return None if data is None else decode(data, kind)

    def set(self, key: Key, row: Row, item_hash: bytes) -> None:
        assert len(item_hash) in (0, 32)  # none: the row needs no salt
        data = encode(row)
        assert len(data) <= ROW_BYTES_MAX - 64, f"{key} has {len(data)} bytes without its salt"
        assert decode(data, type(row)) == row
        assert not isinstance(key, str) or key == row_key(row.kind, row.id)
        self._undo.append((key, self.data.get(key)))
        self.data[key] = data

    def scan(self, kind: type[R], prefix: str) -> Iterator[R]:
        start = row_key(kind.KIND, prefix)
        found = (key for key in self.data if isinstance(key, str) and key.startswith(start))
        for key in sorted(found):
            yield decode(self.data[key], kind)

    def scan_slots(self, kind: type[R], code: int, first: int, last: int) -> Iterator[R]:
        low, high = slot_key(code, first), slot_key(code, last)
        for key in sorted(key for key in self.data if isinstance(key, int) and low <= key <= high):
            yield decode(self.data[key], kind)

    def mark(self) -> int:
        return len(self._undo)

    def rollback(self, mark: int) -> None:
        while len(self._undo) > mark:
            key, before = self._undo.pop()
            if before is None:
                del self.data[key]
            else:
                self.data[key] = before

    def copy(self) -> Rows:
        other = Rows()
        other.data = dict(self.data)
        return other


@dataclass
class Acts:
    """A founded network without a ledger. One act is one transaction, and by default one block."""

    domains: Sequence[Domain]
    organisations: Sequence[FoundingOrg]
    keepers: Sequence[FoundingKeeper] = ()
    at: int = parse_instant(FOUNDED_AT)
    rows: Rows = field(default_factory=Rows)
    block: int = 0
    index: int = 0
    refusals: list[Rejected] = field(default_factory=list)
    """Of the items of the last act."""

    def __post_init__(self) -> None:
        self.actions: dict[str, Action] = {
            name: action for domain in self.domains for name, action in domain.actions.items()
        }
        data = encode(
            Genesis(
                format="tallystick/genesis/v1",
                name="example/acts",
                region=REGION,
                utc_offset_seconds=28_800,
                founded_at=FOUNDED_AT,
                nonce=nonce(0),
                log_keys=[public_key("log")],
                organisations=list(self.organisations),
                keepers=list(self.keepers),
            )
        )
        genesis, self.network = read_genesis(data)
        ctx = self._context(genesis.organisations[0].org, bytes(32), "", "")
        ctx.index = FOUNDING_INDEX
        ctx.item_hash = self.network
        for domain in self.domains:
            if domain.found is not None:
                domain.found(ctx, genesis)
        self._start = self.rows.copy()

    def act(
        self,
        sender: str,
        action: str,
        *items: Item,
        key: str | None = None,
        atomic: bool = False,
        same_block: bool = False,
    ) -> list[str]:
        """What becomes of each item. Raises `Rejected` where the transaction is not admitted.

        `key` is the name of the signing key. `same_block`: admitted as of the last act's start.
        """
        if not same_block:
            self._start = self.rows.copy()
            self.block += 1
        name = action if "/" in action else f"{action}/1"
        header = self._header(sender, name, len(items), key or f"{sender}/key", atomic)
        admit(self._start, header, self.at, self.actions[name].valid_seconds_max)
        tx_id = transaction_id(signing_bytes(header))
        ctx = self._context(sender, header.key, name, tx_id)
        start, outcomes = self.rows.mark(), list[str]()
        self.refusals = []
        for n, item in enumerate(items):
            outcomes.append(self._item(ctx, self.actions[name], n, item))
            if atomic and outcomes[-1] != "accepted":
                self.rows.rollback(start)
                outcomes = [LedgerReason.ATOMIC.value] * n + [outcomes[-1]]
                outcomes += [LedgerReason.ATOMIC.value] * (len(items) - n - 1)
                break
        self.index += len(items)
        return outcomes

    def do(self, sender: str, action: str, *items: Item, key: str | None = None) -> str:
        """An act that must be accepted whole; its transaction's id is in `last_id`."""
        outcomes = self.act(sender, action, *items, key=key)
        assert outcomes == ["accepted"] * len(items), [str(each) for each in self.refusals]
        return self.last_id

    def refused(
        self, sender: str, action: str, item: Item, key: str | None = None
    ) -> tuple[str, str]:
        """Reason and path of an item that must be refused and must change nothing."""
        before = dict(self.rows.data)
        outcomes = self.act(sender, action, item, key=key)
        assert outcomes != ["accepted"]
        assert self.rows.data == before
        return outcomes[0], self.refusals[0].path

    def _item(self, ctx: Context, action: Action, n: int, item: Item) -> str:
        data = encode(item)
        ctx.n, ctx.index, ctx.item_hash = n, self.index + n, item_hash(data)
        mark = self.rows.mark()
        try:
            action.run(ctx, decode(data, action.item))
        except Rejected as refusal:
            self.rows.rollback(mark)
            self.refusals.append(refusal)
            return refusal.reason.value
        self._check_memo(ctx)
        return "accepted"

    def _check_memo(self, ctx: Context) -> None:
        """Nothing that the transaction remembers of its authority was changed by its own item."""
        for name, held in ctx.memo.items():
            what, _, code = name.partition("/")
            if what not in ("grant", "sender"):
                continue
            fresh = self._context(ctx.sender, ctx.key, ctx.action, ctx.tx_id)
            number = None if code == "None" else int(code)
            if what == "grant":
                assert authorise(fresh, number) == held
            else:
                check_sender(fresh, number)

    def _header(self, sender: str, action: str, count: int, key: str, atomic: bool) -> Header:
        return Header(
            network=self.network,
            key=public_key(key),
            sender=sender,
            action=action,
            count=count,
            root=bytes(32),
            idempotency=nonce(self.index),
            valid_until=format_instant(self.at + 3600),
            atomic=atomic,
        )

    def _context(self, sender: str, key: bytes, action: str, tx_id: str) -> Context:
        self.last_id = tx_id
        env = Environment(
            network=self.network,
            region=REGION,
            utc_offset_seconds=28_800,
            block=self.block,
            block_time=self.at,
        )
        return Context(state=self.rows, env=env, sender=sender, key=key, action=action, tx_id=tx_id)
