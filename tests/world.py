"""A world without mocks: a real ledger in a folder, seeded keys, a clock that is set by hand.

After each act the whole world is audited by other means than the product's: the log's root from the
stored transactions, every hash that is kept from the rows alone, each row against its proof, the
digest of what was seen, and the conservation of numbers.

Invariant: whatever a test does to it, `check` holds afterwards, or the test says why not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from acts import FOUNDED_AT, founder, nonce
from bodies import OUTPATIENT
from leaves import block_leaves
from province import CODE, FIELDS, ISSUER_ACTIONS, Province, parts

from tallystick.contracts import bills, members
from tallystick.contracts.bills.items.bills import Allot, Block, DefineType, Issue
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.kit.context import Key
from tallystick.engines.clock import Clock
from tallystick.keyring import KeySigner, signer_from_seed
from tallystick.ledger.execute import Executed
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.receipts import read_segment
from tallystick.ledger.rules import SEEN_ID, Rules, SeenDigest, make_rules
from tallystick.ledger.staged import (
    Seen,
    VerifiedRows,
    group_key,
    seen_digest,
    slot_place,
)
from tallystick.ledger.store import tile_key
from tallystick.protocol import merkle, page, statemap
from tallystick.protocol.canonical import encode
from tallystick.protocol.checkpoint import cosign, format_checkpoint, format_note, sign_note
from tallystick.protocol.genesis import FoundingKeeper, FoundingOrg, Genesis
from tallystick.protocol.row import row_hash, row_key
from tallystick.protocol.tiles import Edge
from tallystick.protocol.transaction import (
    Item,
    Transaction,
    sign_transaction,
    signing_bytes,
    transaction_id,
)
from tallystick.protocol.trust import TrustedKeeper, TrustPolicy
from tallystick.protocol.values import DAY_SECONDS, format_instant, parse_instant

KEEPER = "keeper/finance"
NUMBERS = 1_000
"""In the block of each hospital."""


@cache
def signer(name: str) -> KeySigner:
    """The signer of a name; its public key is `acts.public_key` of the same name."""
    return signer_from_seed(sha256(name.encode()).digest(), name=name)


def province_rules() -> Rules:
    """Members and bills, as a node has them."""
    return make_rules([members.DOMAIN, bills.DOMAIN])


def organisations() -> list[FoundingOrg]:
    """Finance, two hospitals, an insurer. The key of each is ``<org>/key``."""
    return [
        founder("finance", "*"),
        founder("hospital", *ISSUER_ACTIONS),
        founder("clinic", *ISSUER_ACTIONS),
        founder("insurer"),
    ]


def genesis_file(
    founders: Sequence[FoundingOrg] | None = None, *, founded_at: str = FOUNDED_AT, seed: int = 0
) -> bytes:
    """A founding file; the log key is ``log``, finance's keeper has the key ``keeper``."""
    keeper = FoundingKeeper(name=KEEPER, org="finance", key=signer("keeper").public_key)
    return encode(
        Genesis(
            format="tallystick/genesis/v1",
            name="example/world",
            region=33,
            utc_offset_seconds=28_800,
            founded_at=founded_at,
            nonce=nonce(seed),
            log_keys=[signer("log").public_key],
            organisations=list(founders or organisations()),
            keepers=[keeper],
        )
    )


class World:
    """One network in `folder`; `at` is what its clock says."""

    def __init__(
        self, folder: Path, rules: Rules | None = None, genesis: bytes | None = None
    ) -> None:
        self.folder = folder
        self.rules = rules or province_rules()
        self.genesis = genesis or genesis_file()
        self.ledger = Ledger.found(folder, self.genesis, self.rules)
        self.at = self.ledger.head.at + 4 * 3600
        self.acts = 0

    # ------------------------------------------------------------------------------ making

    def nonce(self) -> bytes:
        self.acts += 1
        return nonce(self.acts)

    def clock(self) -> Clock:
        """The world's clock, which no machine's clock disturbs."""
        return Clock(now=lambda: float(self.at), monotonic=lambda: float(self.at))

    def transaction(
        self,
        sender: str,
        action: str,
        *items: Item,
        key: str | None = None,
        atomic: bool = False,
        idempotency: bytes | None = None,
        valid_seconds: int = 3600,
    ) -> bytes:
        """A signed transaction of this network."""
        return sign_transaction(
            signer(key or f"{sender}/key"),
            network=self.ledger.network,
            sender=sender,
            action=action if "/" in action else f"{action}/1",
            items=items,
            idempotency=idempotency or self.nonce(),
            valid_until=format_instant(self.at + valid_seconds),
            atomic=atomic,
        )

    def define_item(self, **fields: Any) -> DefineType:
        named: dict[str, Any] = {"type": CODE // 100, "type_version": 1, "catalogue": bytes(32)}
        named |= {"rules": OUTPATIENT, "valid_from": "2025-12-31T16:00:00Z"}
        return DefineType(nonce=self.nonce(), **(named | fields))

    def issue_item(self, number: int, **fields: Any) -> Issue:
        """A bill of the hospital's block; `first=1001` for one of the clinic's."""
        named: dict[str, Any] = {"code": CODE, "level": 3, "first": 1, "number": number}
        named |= {"type_version": 1, "issued_at": format_instant(self.at), "currency": "CNY"}
        return Issue(nonce=self.nonce(), **(named | parts(10_000) | FIELDS | fields))

    # ------------------------------------------------------------------------------ acting

    def prepare(self) -> None:
        """A type, and a block of numbers in each hospital's hand."""
        self.accept("finance", "bills.define_type", self.define_item())
        top = Allot(nonce=self.nonce(), code=CODE, level=0, first=1, last=10**6, holder="finance")
        self.accept("finance", "bills.allot", top)
        for n, org in enumerate(("hospital", "clinic")):
            first, parent = 1 + n * NUMBERS, Block(level=0, first=1)
            item = Allot(
                nonce=self.nonce(),
                code=CODE,
                level=3,
                first=first,
                last=first + NUMBERS - 1,
                holder=org,
                parent=parent,
            )
            self.accept("finance", "bills.allot", item)

    def act(self, sender: str, action: str, *items: Item, **options: Any) -> list[str]:
        """A block of one transaction: what became of each item. The world is audited after it."""
        return list(self.block(self.transaction(sender, action, *items, **options)).outcomes[0])

    def accept(self, sender: str, action: str, *items: Item, **options: Any) -> None:
        """An act of which every item must be accepted."""
        assert self.act(sender, action, *items, **options) == ["accepted"] * len(items)

    def issue(self, *numbers: int, sender: str = "hospital") -> list[str]:
        """One transaction that issues these numbers."""
        first = 1 if sender == "hospital" else 1 + NUMBERS
        items = [self.issue_item(number, first=first) for number in numbers]
        return self.act(sender, "bills.issue", *items)

    def block(self, *transactions: bytes) -> Executed:
        """One block; each transaction must be admitted."""
        executed = self.put(*transactions)
        self.check()
        return executed

    def put(self, *transactions: bytes) -> Executed:
        """The same without the audit."""
        checked: list[Transaction] = [self.ledger.check(data) for data in transactions]
        admitted = self.ledger.admit(self.at, checked)
        assert admitted == [None] * len(checked), [str(each) for each in admitted]
        executed = self.ledger.execute(self.at, checked)
        self.ledger.commit()
        return executed

    def restart(self) -> None:
        """As after the end of the process."""
        self.ledger.close()
        self.ledger = Ledger.open(self.folder, self.rules)

    # --------------------------------------------------------------------------- vouching

    def note(self, *, keeper: bool = True, at: int | None = None) -> bytes:
        """The head's checkpoint, signed by the log and co-signed by the keeper."""
        checkpoint, when = self.ledger.checkpoint, self.at if at is None else at
        text = format_checkpoint(checkpoint)
        lines = [sign_note(text, checkpoint.origin, signer("log"))]
        lines += [cosign(text, KEEPER, signer("keeper"), when)] if keeper else []
        return format_note(text, lines).encode()

    def policy(self) -> TrustPolicy:
        """A reader who wants finance's keeper."""
        keeper = TrustedKeeper(name=KEEPER, org="finance", key=signer("keeper").public_key)
        return TrustPolicy(
            format="tallystick/trust/v1",
            version=1,
            network=self.ledger.network,
            origin=self.ledger.origin,
            log_keys=[signer("log").public_key],
            keepers=[keeper],
            threshold=1,
            required=["finance"],
            status_max_age_seconds=3600,
        )

    # ---------------------------------------------------------------------------- auditing

    def rows(self) -> dict[Key, bytes]:
        """Every row as it is stored."""
        store = self.ledger.store
        found: dict[Key, bytes] = dict(store.all("SELECT key, data FROM slots"))
        return found | dict(store.all("SELECT key, data FROM rows"))

    def check(self) -> None:
        """Audit everything that there is."""
        self._check_log()
        self._check_rows()
        self._check_seen()
        with self.ledger.view() as view:
            audit = Province.__new__(Province)
            audit.rows = view  # type: ignore[assignment]  # its audit only reads
            audit.audit()

    def _check_log(self) -> None:
        store, head = self.ledger.store, self.ledger.head
        leaves: list[bytes] = []
        last_at = parse_instant(self.ledger.genesis.founded_at)
        for number in range(1, head.block + 1):
            record = store.record(number)
            assert record.first == len(leaves)
            assert record.at >= last_at
            leaves += block_leaves(store, head.network, record)
            assert record.size == len(leaves)
            assert record.root == merkle.root(leaves)
            last_at = record.at
        assert (head.size, head.at, head.root) == (len(leaves), last_at, merkle.root(leaves))
        tiles = {tile_key(each.level, each.index): each.data for each in Edge().extend(leaves)}
        assert dict(store.all("SELECT key, data FROM tiles")) == tiles
        assert store.one("SELECT count(*) FROM blocks") == head.block

    def _check_rows(self) -> None:
        """All hashes follow from the rows; each row alone leads to the root."""
        store, rows = self.ledger.store, self.rows()
        groups: dict[int, bytes] = {}
        changes: dict[bytes, bytes | None] = {}
        pages: dict[tuple[int, int], dict[int, bytes]] = {}
        proofs = VerifiedRows(store, self.ledger.head.state)
        for key, data in rows.items():
            proofs.check(key, data)
            if isinstance(key, str):
                changes[statemap.key_hash(key)] = row_hash(data)
            else:
                code, at, slot = slot_place(key)
                pages.setdefault((code, at), {})[slot] = page.slot_hash(data)
        for (code, at), slots in pages.items():
            root, made = page.update(lambda group: None, slots)
            groups |= {group_key(code, at, group): data for group, data in made.items()}
            changes[statemap.key_hash(page.page_key(code, at))] = page.page_hash(root)
        root, map_groups = statemap.update(lambda prefix: None, changes)
        assert root == self.ledger.head.state
        assert dict(store.all("SELECT prefix, data FROM map_groups")) == map_groups
        assert dict(store.all("SELECT key, data FROM page_groups")) == groups

    def _check_seen(self) -> None:
        """The digest follows from the log; the tables have what may come again, and no more."""
        store, digest = self.ledger.store, bytes(32)
        kept: dict[int, set[tuple[str, bytes, bytes, int]]] = {}
        for segment in store.segments(0, self.ledger.head.size):
            header = read_segment(segment)[0].header
            day = parse_instant(header.valid_until) // DAY_SECONDS
            tx_id = transaction_id(signing_bytes(header))
            seen = Seen(day, header.sender, header.idempotency, tx_id, segment.first)
            digest = seen_digest(digest, seen)
            if (day + 1) * DAY_SECONDS > self.ledger.head.at:
                row = (seen.sender, seen.key, bytes.fromhex(tx_id), seen.first)
                kept.setdefault(day, set()).add(row)
        with self.ledger.view() as view:
            row_there = view.get(row_key(SeenDigest.KIND, SEEN_ID), SeenDigest)
        assert (row_there.digest if row_there else bytes(32)) == digest
        assert store.days() == sorted(kept)
        for day, rows in kept.items():
            assert set(store.all(f"SELECT sender, key, tx, first FROM seen_{day:d}")) == rows


def bill_of(world: World, number: int) -> Bill | None:
    """What befell a number of the world's code."""
    with world.ledger.view() as view:
        return view.get(CODE * 10**10 + number, Bill)


def until(condition: Callable[[], Any]) -> Any:
    """What a condition gives once it holds: waits for other threads, at most some seconds."""
    for _ in range(500):
        try:
            found = condition()
        except LookupError:
            found = None
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen")
