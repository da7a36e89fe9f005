"""Load for the benchmarks: a province of eleven hospitals and signed batches of their bills.

Invariant: everything is signed before the clock of a case starts. See docs/benchmarks.md.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from tallystick.contracts.bills.items.bills import Allot, Block, DefineType, Issue
from tallystick.contracts.bills.records.bills import ClaimRules, TypeRules
from tallystick.keyring import KeySigner, signer_from_seed
from tallystick.ledger.ledger import Ledger
from tallystick.node import rules
from tallystick.protocol.canonical import encode
from tallystick.protocol.genesis import (
    FoundingGrant,
    FoundingKeeper,
    FoundingKey,
    FoundingOrg,
    Genesis,
)
from tallystick.protocol.transaction import Item, sign_transaction
from tallystick.protocol.trust import TrustedKeeper, TrustPolicy
from tallystick.protocol.values import format_instant

HOSPITALS = 11
NUMBERS_EACH = 10_000_000
CODE = 33060100 + int(time.strftime("%y", time.gmtime(time.time() + 28_800)))
TYPE_RULES = TypeRules(
    currencies=("CNY",),
    max_items=12,
    max_details=5_000,
    item_codes=tuple(f"{n:02d}" for n in range(1, 15)),
    liability="required",
    ack="record",
    issue_past_seconds_max=86_400,
    issue_future_seconds_max=120,
    archive_within_seconds=0,
    claims=ClaimRules(term_days=1_095, lock_seconds_max=86_400, reversal_wait_seconds=86_400),
)


def signer(name: str) -> KeySigner:
    """The key of a name."""
    return signer_from_seed(sha256(b"benchmark key of " + name.encode()).digest())


class Load:
    """Eleven hospitals that issue in turn."""

    def __init__(self, network: bytes, founded_at: int) -> None:
        self.network = network
        self.founded_at = founded_at
        self._next = [1 + at * NUMBERS_EACH for at in range(HOSPITALS)]
        self._turn = 0

    def transaction(
        self, name: str, sender: str, action: str, items: Sequence[Item], at: int
    ) -> bytes:
        """One signed transaction."""
        return sign_transaction(
            signer(name),
            network=self.network,
            sender=sender,
            action=action,
            items=items,
            idempotency=secrets.token_bytes(16),
            valid_until=format_instant(at + 3_600),
        )

    def bills(self, count: int, at: int, holders: Sequence[bytes] = ()) -> bytes:
        """One signed transaction of `count` bills, of the next hospital in turn.

        `holders`: the commitments to their bill keys, else random.
        """
        hospital = self._turn % HOSPITALS
        self._turn += 1
        return self.bills_of(hospital, count, at, holders)

    def bills_of(self, hospital: int, count: int, at: int, holders: Sequence[bytes] = ()) -> bytes:
        """The same of one hospital."""
        first, start = 1 + hospital * NUMBERS_EACH, self._next[hospital]
        self._next[hospital] += count
        chance, issued_at = secrets.token_bytes(80 * count), format_instant(at)
        items = [
            Issue(
                nonce=chance[80 * n : 80 * n + 16],
                code=CODE,
                level=3,
                first=first,
                number=start + n,
                type_version=1,
                issued_at=issued_at,
                currency="CNY",
                total=35_000 + n,
                account=100,
                cash=20_000 + n,
                self_pay=20_100 + n,
                root=chance[80 * n + 16 : 80 * n + 48],
                holder=holders[n] if holders else chance[80 * n + 48 : 80 * n + 80],
            )
            for n in range(count)
        ]
        name = hospital_name(hospital)
        return self.transaction(name, name, "bills.issue/1", items, at)


def hospital_name(at: int) -> str:
    """The organisation of a hospital."""
    return f"hospital-{at:02d}"


def make_genesis(now: int) -> bytes:
    """Finance, a keeper of it, and the hospitals."""
    finance = FoundingOrg(
        org="finance",
        root_key=signer("finance root").public_key,
        keys=[FoundingKey(key=signer("finance").public_key, actions=["*"])],
        grants=[FoundingGrant(actions=["*"], depth=8)],
    )
    hospitals = [
        FoundingOrg(
            org=hospital_name(at),
            root_key=signer(f"root {at}").public_key,
            keys=[FoundingKey(key=signer(hospital_name(at)).public_key, actions=["bills.*"])],
            grants=[
                FoundingGrant(
                    actions=[
                        "bills.issue",
                        "bills.reverse",
                        "bills.give_back",
                        "bills.account_block",
                    ]
                )
            ],
        )
        for at in range(HOSPITALS)
    ]
    insurer = FoundingOrg(
        org="insurer",
        root_key=signer("insurer root").public_key,
        keys=[FoundingKey(key=signer("insurer").public_key, actions=["bills.*"])],
        grants=[FoundingGrant(actions=["bills.lock", "bills.settle"])],
    )
    keeper = FoundingKeeper(name="keeper/finance", org="finance", key=signer("keeper").public_key)
    return encode(
        Genesis(
            format="tallystick/genesis/v1",
            name="example.org/bench",
            region=33,
            utc_offset_seconds=28_800,
            founded_at=format_instant(now - 10),
            nonce=secrets.token_bytes(16),
            log_keys=[signer("log").public_key],
            organisations=[finance, *hospitals, insurer],
            keepers=[keeper],
        )
    )


def found(folder: Path, now: int) -> tuple[Ledger, Load]:
    """A ledger with a type and an allotment for each hospital."""
    ledger = Ledger.found(folder, make_genesis(now), rules())
    load = Load(ledger.network, now)
    define = DefineType(
        nonce=secrets.token_bytes(16),
        type=CODE // 100,
        type_version=1,
        catalogue=bytes(32),
        rules=TYPE_RULES,
        valid_from=format_instant(now - 5),
    )
    last = HOSPITALS * NUMBERS_EACH
    whole = Allot(
        nonce=secrets.token_bytes(16), code=CODE, level=0, first=1, last=last, holder="finance"
    )
    parts = [
        Allot(
            nonce=secrets.token_bytes(16),
            code=CODE,
            level=3,
            first=1 + at * NUMBERS_EACH,
            last=(at + 1) * NUMBERS_EACH,
            holder=hospital_name(at),
            parent=Block(level=0, first=1),
        )
        for at in range(HOSPITALS)
    ]
    steps: list[tuple[str, Sequence[Item], int]] = [
        ("bills.define_type/1", [define], now - 8),
        ("bills.allot/1", [whole], now - 2),
        ("bills.allot/1", parts, now - 1),
    ]
    for action, items, at in steps:
        data = load.transaction("finance", "finance", action, items, at)
        executed = ledger.execute(at, [ledger.check(data)])
        refused = [each for each in executed.outcomes[0] if each != "accepted"]
        if refused:
            raise RuntimeError(f"{action}: {refused}")
        ledger.commit()
    return ledger, load


def trust(ledger: Ledger) -> TrustPolicy:
    """A policy that the benchmark's own keeper satisfies."""
    return TrustPolicy(
        format="tallystick/trust/v1",
        version=1,
        network=ledger.network,
        origin=ledger.origin,
        log_keys=[signer("log").public_key],
        keepers=[
            TrustedKeeper(name="keeper/finance", org="finance", key=signer("keeper").public_key)
        ],
        threshold=1,
        required=["finance"],
        status_max_age_seconds=3_600,
    )
