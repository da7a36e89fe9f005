"""Reimbursement: locks and settlements under mandates, bills at random; consents one by one.

Invariant: every wallet's key is a real one, every mandate and consent is signed and verified.
See docs/benchmarks.md.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import TypeVar

from benchmarks import load, references
from benchmarks.figures import Figure, Figures
from tallystick.apps.bills.holders import BillKey
from tallystick.contracts.bills.items.claims import Lock, Settle
from tallystick.contracts.bills.items.holders import (
    Act,
    GiveConsent,
    GiveMandate,
    SaidConsent,
    SaidMandate,
)
from tallystick.contracts.bills.records.bills import BillId, format_bill_id
from tallystick.contracts.bills.records.claims import Terms
from tallystick.contracts.kit.acts import act_id, act_message
from tallystick.engines.embedded import EmbeddedEngine
from tallystick.keyring import KeySigner, signer_from_seed
from tallystick.ledger.sqlite import WAL_BYTES_SOFT_MAX
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import format_instant

BATCH = 1_000
BLOCK = 4
ACTS_TOGETHER = 500
"""A block's work divided by that of an item with a signature within."""
BILLS_EACH = 20
"""Of a wallet: one mandate covers them."""
WINDOWS = 5
WARM = 2
"""Transactions of consents before the clock starts."""
HOUR = 3_600

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Held:
    """A bill, its holder's key, and the mandate that covers it."""

    bill: BillId
    key: BillKey
    mandate: str


class Market:
    """A ledger whose bills belong to wallets that gave the insurer a mandate."""

    def __init__(self, folder: Path, bills: int) -> None:
        self.now = int(time.time())
        self.until = format_instant(self.now + 6 * HOUR)
        self.ledger, self.load = load.found(folder, self.now)
        self.held: list[Held] = []
        wallets = [
            signer_from_seed(secrets.token_bytes(32)) for _ in range(-(-bills // BILLS_EACH))
        ]
        mandates = self._give_mandates(wallets)
        for start in range(0, bills, BATCH):
            keys = [
                BillKey(
                    secrets.token_bytes(32),
                    secrets.token_bytes(16),
                    wallets[n // BILLS_EACH].public_key,
                )
                for n in range(start, start + BATCH)
            ]
            self._issue(keys, mandates[start // BILLS_EACH :])

    def run(self, transactions: Sequence[bytes]) -> float:
        """Authenticate, admit, execute, commit, as the engine does: CPU-seconds."""
        start = time.process_time()
        block = [self.ledger.check(data) for data in transactions]
        refused = [each for each in self.ledger.admit(self.now, block) if each is not None]
        outcomes = self.ledger.execute(self.now, block).outcomes
        self.ledger.commit()
        if self.ledger.store.wal_bytes() > WAL_BYTES_SOFT_MAX:
            self.ledger.store.checkpoint()
        took = time.process_time() - start
        words = {each for some in outcomes for each in some}
        if refused or words != {ACCEPTED}:
            raise RuntimeError(f"an act of the load was refused: {refused or words}")
        return took

    def signed(self, action: str, items: Sequence[Item]) -> bytes:
        """One transaction of the insurer's."""
        return self.load.transaction("insurer", "insurer", action, items, self.now)

    def _give_mandates(self, wallets: Sequence[KeySigner]) -> list[str]:
        given, items = [], []
        for wallet in wallets:
            said = SaidMandate(
                nonce=secrets.token_bytes(16),
                reader="insurer",
                purpose="claim",
                fields=bytes(32),
                until=self.until,
            )
            message = act_message(self.ledger.network, "bills.mandate/1", said)
            act = Act(key=wallet.public_key, signature=wallet.sign(message))
            items.append(GiveMandate(nonce=secrets.token_bytes(16), said=said, act=act))
            given.append(act_id(message))
        for some in _parts(items, ACTS_TOGETHER):
            self.run([self.signed("bills.mandate/1", some)])
        return given

    def _issue(self, keys: Sequence[BillKey], mandates: Sequence[str]) -> None:
        commitments = [each.commitment for each in keys]
        data = self.load.bills(BATCH, self.now, commitments)
        items = self.ledger.check(data).items
        self.run([data])
        for n, (key, item) in enumerate(zip(keys, items, strict=True)):
            bill = format_bill_id(item.code, item.number)
            self.held.append(Held(bill, key, mandates[n // BILLS_EACH]))


def claiming(folder: Path, figures: Figures, bills: int) -> None:
    """`claims`: half locks, half settlements. `consent`: each with its holder's signature."""
    market = Market(folder, bills)
    figures.say(f"{bills:,} bills, {bills // BILLS_EACH:,} mandates")
    _claims(market, figures)
    _consents(market, figures)
    market.ledger.close()


def _claims(market: Market, figures: Figures) -> None:
    chosen = Random(7).sample(market.held, len(market.held) // 4)
    windows, reference = [], references.Decoding()
    for some in _parts(chosen, len(chosen) // WINDOWS):
        took = 0.0
        claims = [(one, secrets.token_bytes(16)) for one in some]
        for block in _parts(claims, BATCH * BLOCK):
            for name in ("bills.lock/1", "bills.settle/1"):
                items = [_claim(market, name, one, claim) for one, claim in block]
                took += market.run([market.signed(name, part) for part in _parts(items, BATCH)])
                reference.take()
        rate = 2 * len(some) / took
        windows.append((rate, rate / reference.rate()))
    rates, ratios = zip(*windows, strict=True)
    figures.add(Figure("claims", median(rates), "items/CPU-s", median(ratios), "R2", 0.03, 0.06))


def _claim(market: Market, action: str, one: Held, claim: bytes) -> Item:
    terms = Terms(
        purpose="claim",
        basis="cash_account",
        benefit="indemnity",
        right="mandate",
        right_id=one.mandate,
    )
    if action == "bills.lock/1":
        return Lock(
            nonce=secrets.token_bytes(16),
            bill=one.bill,
            claim=claim,
            terms=terms,
            amount=10_000,
            until=market.until,
            opening=one.key.opening,
        )
    return Settle(
        nonce=secrets.token_bytes(16),
        bill=one.bill,
        claim=claim,
        terms=terms,
        amount=9_000,
        decision=bytes(32),
    )


def _consents(market: Market, figures: Figures) -> None:
    chosen = Random(8).sample(market.held, min(len(market.held), 40_000))
    items = []
    for one in chosen:
        said = SaidConsent(
            nonce=secrets.token_bytes(16),
            bill=one.bill,
            bound=0,
            reader="insurer",
            purpose="claim",
            fields=bytes(32),
            until=market.until,
        )
        message = act_message(market.ledger.network, "bills.consent/1", said)
        signature = signer_from_seed(one.key.seed).sign(message)
        act = Act(key=one.key.public_key, salt=one.key.salt, signature=signature)
        items.append(GiveConsent(nonce=secrets.token_bytes(16), said=said, act=act))
    signed = [market.signed("bills.consent/1", some) for some in _parts(items, ACTS_TOGETHER)]
    verifying = references.verifying()
    with EmbeddedEngine(market.ledger) as engine:
        _accepted(engine, signed[:WARM])  # the child process starts with the first
        start = time.perf_counter()
        _accepted(engine, signed[WARM:])
        rate = (len(items) - WARM * ACTS_TOGETHER) / (time.perf_counter() - start)
    figures.add(Figure("consent", rate, "items/s", rate / verifying, "R3", 0.5))


def _accepted(engine: EmbeddedEngine, signed: Sequence[bytes]) -> None:
    for answer in [engine.submit(data) for data in signed]:
        if set(answer.result(120).outcomes) != {ACCEPTED}:
            raise RuntimeError("a consent of the load was refused")


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), max(size, 1)):
        yield items[start : start + size]
