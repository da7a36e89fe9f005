"""A small founded network to break: two hospitals that issue, blocks with known ends, an audit.

Invariant: the same seed gives the same genesis and the same blocks; `contents` is everything that
a ledger's file says, so that two equal ones answer alike. See docs/spec/storage.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import apsw
from bodies import OUTPATIENT
from leaves import block_leaves

from tallystick.contracts.bills.items.bills import Allot, Block, DefineType, Issue
from tallystick.keyring import signer_from_seed
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.records import Head
from tallystick.ledger.sqlite import FILE
from tallystick.node import rules
from tallystick.protocol import merkle
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.genesis import (
    FoundingGrant,
    FoundingKeeper,
    FoundingKey,
    FoundingOrg,
    Genesis,
    read_genesis,
)
from tallystick.protocol.keys import Signer
from tallystick.protocol.transaction import Item, sign_transaction
from tallystick.protocol.values import format_instant

CODE = 33060126
LAST = 1_000_000_000
FOUNDED_AT = 1_767_585_600
"""2026-01-05T04:00:00Z."""
HOSPITALS = ("north", "south")
KEEPER = "k/finance"
RULES = replace(OUTPATIENT, issue_past_seconds_max=86_400 * 400)

FaultBlock = tuple[int, list[bytes]]
"""A block to come: its time and its transactions."""


def signer(name: str) -> Signer:
    """The same key for the same name."""
    return signer_from_seed(sha256(name.encode()).digest())


class Ground:
    """Makes the genesis and transactions of the network, by seed."""

    def __init__(
        self, seed: int = 0, *, founded_at: int = FOUNDED_AT, genesis: bytes | None = None
    ) -> None:
        self.chance = Random(seed)
        self.founded_at = founded_at
        self.numbers = dict.fromkeys(HOSPITALS, 0)
        self.genesis = genesis or self._make_genesis()
        self.network = read_genesis(self.genesis)[1]

    def _make_genesis(self) -> bytes:
        founders = [_founder("finance", "*")] + [_founder(name, "bills.*") for name in HOSPITALS]
        keeper = FoundingKeeper(name=KEEPER, org="finance", key=signer(KEEPER).public_key)
        return encode(
            Genesis(
                format="tallystick/genesis/v1",
                name="example/faults",
                region=33,
                utc_offset_seconds=28_800,
                founded_at=format_instant(self.founded_at),
                nonce=self.chance.randbytes(16),
                log_keys=[signer("log").public_key],
                organisations=founders,
                keepers=[keeper],
            )
        )

    def sign(self, sender: str, action: str, items: Sequence[Item], until: int) -> bytes:
        """A transaction of this network."""
        return sign_transaction(
            signer(sender),
            network=self.network,
            sender=sender,
            action=action,
            items=items,
            idempotency=self.chance.randbytes(16),
            valid_until=format_instant(until),
        )

    def opening(self) -> list[FaultBlock]:
        """The blocks that let the hospitals issue."""
        at = self.founded_at + 10
        define = DefineType(
            nonce=self.chance.randbytes(16),
            type=CODE // 100,
            type_version=1,
            catalogue=bytes(32),
            rules=RULES,
            valid_from=format_instant(at + 10),
        )
        blocks = [
            Allot(nonce=self._nonce(), code=CODE, level=0, first=1, last=LAST * 2, holder="finance")
        ]
        for n, name in enumerate(HOSPITALS):
            first = 1 + n * LAST
            blocks.append(
                Allot(
                    nonce=self._nonce(),
                    code=CODE,
                    level=3,
                    first=first,
                    last=first + LAST - 1,
                    holder=name,
                    parent=Block(level=0, first=1),
                )
            )
        found = [(at, [self.sign("finance", "bills.define_type/1", [define], at + 3600)])]
        for n, one in enumerate(blocks):
            found.append((at + 20 + n, [self.sign("finance", "bills.allot/1", [one], at + 3600)]))
        return found

    def issue(self, hospital: str, count: int, at: int, *, number: int | None = None) -> bytes:
        """The hospital's next bills, or those from `number` on."""
        first = 1 + HOSPITALS.index(hospital) * LAST
        if number is None:
            number = self.numbers[hospital]
            self.numbers[hospital] += count
        items = [
            Issue(
                nonce=self._nonce(),
                total=35_000 + n,
                account=100,
                cash=34_900 + n,
                self_pay=35_000 + n,
                code=CODE,
                level=3,
                first=first,
                number=first + number + n,
                type_version=1,
                issued_at=format_instant(at),
                currency="CNY",
                root=self.chance.randbytes(32),
                holder=self.chance.randbytes(32),
            )
            for n in range(count)
        ]
        return self.sign(hospital, "bills.issue/1", items, at + 3600)

    def blocks(self, count: int) -> list[FaultBlock]:
        """Blocks of some bills, one of them refused, hours apart: days of keys come and go."""
        found = []
        for n in range(count):
            at = self.founded_at + 3600 + n * 7 * 3600
            north = self.issue("north", self.chance.randrange(1, 6), at)
            taken = self.issue("south", 1, at, number=0)
            found.append((at, [north, self.issue("south", 1, at), taken]))
        return found

    def _nonce(self) -> bytes:
        return self.chance.randbytes(16)


def _founder(org: str, actions: str) -> FoundingOrg:
    return FoundingOrg(
        org=org,
        root_key=signer(f"{org}/root").public_key,
        keys=[FoundingKey(key=signer(org).public_key, actions=[actions])],
        grants=[FoundingGrant(actions=[actions], depth=8)],
    )


def make_block(ledger: Ledger, block: FaultBlock) -> Head:
    """Check, admit, execute and commit one block."""
    at, data = block
    transactions = [ledger.check(each) for each in data]
    assert ledger.admit(at, transactions) == [None] * len(data)
    ledger.execute(at, transactions)
    return ledger.commit()


def replayed(folder: Path, into: Path, genesis: bytes) -> Head:
    """Another ledger out of the segments of this one."""
    with Ledger.open(folder, rules()) as ledger, Ledger.found(into, genesis, rules()) as other:
        other.store.db.execute("PRAGMA synchronous = OFF")  # it is compared and thrown away
        with ledger.view() as view:
            for number in range(1, view.head.block + 1):
                record = view.block(number)
                assert record is not None
                segments = list(view.segments(record.first, record.size))
                make_block(other, (record.at, [each.data for each in segments]))
        return other.head


def log_root(ledger: Ledger) -> bytes:
    """The root of the log, from its leaves alone."""
    leaves: list[bytes] = []
    with ledger.store.snapshot() as store:
        for number in range(1, store.head().block + 1):
            leaves += block_leaves(store, ledger.network, store.record(number))
    return merkle.root(leaves)


def contents(folder: Path) -> dict[str, list[Any]]:
    """Every row of every table."""
    db = apsw.Connection(str(folder / FILE), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema ORDER BY name")]
        return {
            name: sorted(db.execute(f"SELECT * FROM {name}"))
            for name in names
            if not name.startswith("sqlite_")
        }
    finally:
        db.close()


def digest(folder: Path) -> str:
    """One word for all that the file says."""
    return sha256(repr(contents(folder)).encode()).hexdigest()


def copy(folder: Path, to: Path) -> Path:
    """A copy of a ledger that nobody has open."""
    shutil.copytree(folder, to)
    return to


def found(ground: Ground, folder: Path) -> Path:
    """The ledger of the ground after its opening blocks."""
    with Ledger.found(folder, ground.genesis, rules()) as ledger:
        for block in ground.opening():
            make_block(ledger, block)
    return folder


def reference(opening: Path, folder: Path, blocks: Sequence[FaultBlock]) -> Iterator[str]:
    """What the file says after the opening, and after each of these blocks."""
    copy(opening, folder)
    yield digest(folder)
    for block in blocks:
        with Ledger.open(folder, rules()) as ledger:
            make_block(ledger, block)
        yield digest(folder)
