"""The soak of a served ledger: its network, who follows what, and each bill by its number.

Invariant: what a bill is follows from the seed and its number alone, so that whoever reads it over
HTTP can say whether the answer is right.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import NamedTuple

from soak.planned import (
    BLUE_EACH,
    BLUE_LEVEL,
    HOSPITALS,
    INSURERS,
    Members,
    Planned,
    Step,
    blue_first,
    code_at,
    make_genesis,
    seed_of,
    signer,
    type_rules,
)

from tallystick.contracts.bills.items.bills import Issue
from tallystick.durable import write_new
from tallystick.keyring import KeyFile
from tallystick.ledger.ledger import Ledger
from tallystick.node import Node, rules
from tallystick.protocol.canonical import Record, decode, encode
from tallystick.protocol.event import Filter
from tallystick.protocol.genesis import FoundingKeeper
from tallystick.protocol.trust import TrustedKeeper, TrustPolicy
from tallystick.protocol.values import Digest

KEEPERS = {"keeper/finance": "finance", "keeper/insurer": INSURERS[0]}
"""Name and organisation; the first is required, the second may be away."""
DAY = 86_400


class Setting(Record):
    """What the processes of a run are told, in one file."""

    url: str
    seed: int
    network: Digest
    trust: TrustPolicy
    begins: int
    """Size of the log before the first bill."""
    mandates_until: int
    """Unix seconds; their ids follow from it."""
    rate: int
    """Bills a second."""
    seconds: int
    """For so long."""
    reads: int
    """Questions a second."""
    reversal_wait: int
    """Seconds; some refunds wait for an insurer that never answers. 0: there is no time for it."""
    dead_every: int
    """The receiver of hooks is dead for a while, once in so many seconds."""


class Feed(Record):
    """A stream or a hook: who asks, for what."""

    name: str
    org: str
    wanted: Filter


STREAMS = (
    Feed(name="all", org="finance", wanted=Filter()),
    Feed(name="issuer", org="finance", wanted=Filter(ids={"issuer": HOSPITALS[1]})),
    Feed(name="own", org=HOSPITALS[0], wanted=Filter()),
    Feed(name="issued", org=HOSPITALS[2], wanted=Filter(types=["bill.issued"])),
    Feed(name="locked", org=INSURERS[0], wanted=Filter(types=["claim.locked"])),
    Feed(name="settled", org=INSURERS[1], wanted=Filter(types=["claim.settled"])),
)
HOOKS = (
    Feed(name="hook", org=HOSPITALS[3], wanted=Filter(types=["bill.issued"])),
    Feed(name="hook-reversed", org="finance", wanted=Filter(types=["bill.reversed"])),
)


class Opened(NamedTuple):
    """A founded ledger."""

    trust: TrustPolicy
    size: int


def now() -> int:
    """Unix seconds of this machine."""
    return int(time.time())  # noqa: TID251  # requests are judged by the clock of real processes


def read_setting(path: Path) -> Setting:
    """Out of the file of a run."""
    return decode(path.read_bytes(), Setting)


class Book(Members):
    """Bills by number, for members and for readers alike."""

    def bill(self, hospital: int, number: int, at: int) -> tuple[Planned, Issue]:
        """The bill that is issued at `at`."""
        chance = Random(f"{self.seed}/{number}")
        place = hospital, code_at(at), blue_first(hospital)
        planned = self.draw(chance, place, number, at)
        return planned, self.issue(chance, planned)

    def total(self, number: int) -> int:
        """What a number's bill is over."""
        return self.draw(Random(f"{self.seed}/{number}"), (0, 0, 0), number, 0).total


def hospital_of(number: int) -> int:
    """Whose block a blue number is in."""
    return (number - 1) // BLUE_EACH


def found(folder: Path, seed: int, at: int, reversal_wait: int) -> Opened:
    """A ledger with its type, numbers, mandates; keys and trust beside it."""
    keepers = [
        FoundingKeeper(name=name, org=org, key=signer(name).public_key)
        for name, org in KEEPERS.items()
    ]
    Ledger.found(folder, make_genesis(at - DAY, keepers), rules()).close()
    for name in ("log", *KEEPERS):
        key = KeyFile(
            format="tallystick/key/v1",
            name=name,
            public=signer(name).public_key,
            secret=seed_of(name),
        )
        write_new(key_file(folder, name), encode(key))
    with Node.open(folder, signer("log")) as node:
        book = Book(seed, node.network)
        for step in _opening(book, at, reversal_wait):
            outcomes = node.submit(step.data).result(30).outcomes
            assert set(outcomes) == {"accepted"}, outcomes
        policy = trust(node)
        (folder / "trust.json").write_bytes(encode(policy))
        return Opened(policy, node.ledger.head.size)


def _opening(book: Book, at: int, reversal_wait: int) -> list[Step]:
    chance = Random(f"{book.seed}/opening")
    steps = [book.define(chance, at, at - DAY, type_rules(reversal_wait))]
    for code in sorted({code_at(at), code_at(at + DAY)}):
        steps += book.numbers(chance, at, code)
        blocks = [
            book.allot(chance, (code, BLUE_LEVEL, blue_first(n)), BLUE_EACH, n)
            for n in range(len(HOSPITALS))
        ]
        steps.append(book.step(chance, at, "finance", "bills.allot/1", blocks))
    return [*steps, *book.give(at, mandates_until(at))]


def mandates_until(at: int) -> int:
    """Of a ledger that was founded for `at`."""
    return at + 90 * DAY


def key_file(folder: Path, name: str) -> Path:
    """Of the log or a keeper: ``keys/log.json``."""
    keys = folder / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    return keys / f"{name.replace('/', '-')}.json"


def trust(node: Node) -> TrustPolicy:
    """Finance's keeper is required; the other may be away."""
    return TrustPolicy(
        format="tallystick/trust/v1",
        version=1,
        network=node.network,
        origin=node.ledger.origin,
        log_keys=[signer("log").public_key],
        keepers=[
            TrustedKeeper(name=name, org=org, key=signer(name).public_key)
            for name, org in KEEPERS.items()
        ],
        threshold=1,
        required=["finance"],
        status_max_age_seconds=3_600,
    )
