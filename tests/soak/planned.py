"""What the members of a soak do with a bill, and what the ledger must say of it in the end.

Five hospitals, two insurers, four hundred wallets that have given both a mandate. When all of it
happens is said by `province_plan` (simulated weeks) or `served_plan` (real seconds).

Invariant: every fen is added to `Expected` when its item is made, before the ledger knows of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any, Literal, NamedTuple

from bodies import OUTPATIENT
from province import ISSUER_ACTIONS, REIMBURSER_ACTIONS

from tallystick.contracts.bills.items.bills import Allot, Block, DefineType, Issue, Reverse
from tallystick.contracts.bills.items.claims import (
    ClawBack,
    Lock,
    Reject,
    ReleaseLock,
    RequestReversal,
    Settle,
)
from tallystick.contracts.bills.items.holders import Act, GiveMandate, SaidMandate
from tallystick.contracts.bills.items.paper import Book
from tallystick.contracts.bills.records.bills import TypeRules, format_bill_id
from tallystick.contracts.bills.records.claims import Terms
from tallystick.contracts.bills.records.holders import Opening, commit_holder, holder_salt
from tallystick.contracts.kit.acts import act_id, act_message
from tallystick.keyring import KeySigner, signer_from_seed
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.genesis import (
    FoundingGrant,
    FoundingKeeper,
    FoundingKey,
    FoundingOrg,
    Genesis,
)
from tallystick.protocol.transaction import Item, sign_transaction
from tallystick.protocol.values import format_instant, local_day

OFFSET = 28_800
TYPE = 330601
HOSPITALS = tuple(f"hospital-{n}" for n in range(5))
INSURERS = ("insurer-a", "insurer-b")
WALLETS = 400
BLUE_LEVEL, RED_LEVEL = 3, 4
"""Blocks for blue bills, and one a hospital and year for the red ones: no row is both."""
BLUE_EACH = 100_000_000
RED_FIRST = 5_000_000_000
RED_EACH = 100_000_000

Fate = Literal[
    "plain", "reversed", "claimed", "claimed_twice", "rejected", "clawed", "refunded", "silent"
]
FATES: tuple[tuple[float, Fate], ...] = (
    (0.03, "reversed"),
    (0.12, "claimed"),
    (0.03, "claimed_twice"),
    (0.01, "rejected"),
    (0.01, "clawed"),
    (0.01, "refunded"),
    (0.005, "silent"),
)
"""Shares of all bills; of the rest nothing more is heard."""
COMING: dict[Fate, tuple[str, ...]] = {
    "plain": (),
    "reversed": ("reverse",),
    "claimed": ("lock a", "settle a", "book a"),
    "claimed_twice": ("lock a", "settle a", "lock b", "settle b"),
    "rejected": ("lock a", "reject a"),
    "clawed": ("lock a", "settle a", "reverse", "recover a"),
    "refunded": ("lock a", "request", "release a", "reverse"),
    "silent": ("lock a", "request", "", "reverse"),
}
"""What befalls a bill after it is issued; "": nobody answers for as long as the rules allow."""


class Step(NamedTuple):
    """One transaction and the second at which it is handed in."""

    at: int
    data: bytes


@dataclass(slots=True)
class Planned:
    """One bill: what becomes of it, and what its row's version is by now."""

    hospital: int
    code: int
    first: int
    number: int
    total: int
    account: int
    cash: int
    fate: Fate
    wallet: int
    at: int
    version: int = 1
    opening: Opening | None = None

    @property
    def id(self) -> str:
        """As people read it."""
        return format_bill_id(self.code, self.number)


@dataclass
class Expected:
    """What the ledger must say at the end."""

    issued: int = 0
    issued_sum: int = 0
    reversed: int = 0
    reversed_sum: int = 0
    settled: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    recovered: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    booked: int = 0


def signer(name: str) -> KeySigner:
    """The same key for the same name."""
    return signer_from_seed(seed_of(name))


def seed_of(name: str) -> bytes:
    """Of that key, for a file of it."""
    return sha256(b"soak " + name.encode()).digest()


def type_rules(reversal_wait_seconds: int) -> TypeRules:
    """Of the bills; the wait is for a lock's owner to answer a request to reverse."""
    assert OUTPATIENT.claims is not None
    return replace(
        OUTPATIENT,
        ack="record",
        archive_within_seconds=0,
        liability="optional",
        claims=replace(OUTPATIENT.claims, reversal_wait_seconds=reversal_wait_seconds),
    )


def make_genesis(founded_at: int, keepers: Sequence[FoundingKeeper] = ()) -> bytes:
    """Finance, hospitals, insurers; the clock of the plan."""
    granted = [("finance", ["*"])]
    granted += [(each, list(ISSUER_ACTIONS)) for each in HOSPITALS]
    granted += [(each, list(REIMBURSER_ACTIONS)) for each in INSURERS]
    return encode(
        Genesis(
            format="tallystick/genesis/v1",
            name="example/soak",
            region=33,
            utc_offset_seconds=OFFSET,
            founded_at=format_instant(founded_at),
            nonce=bytes(16),
            log_keys=[signer("log").public_key],
            organisations=[
                FoundingOrg(
                    org=org,
                    root_key=signer(f"{org}/root").public_key,
                    keys=[FoundingKey(key=signer(org).public_key, actions=["*"])],
                    grants=[FoundingGrant(actions=actions, depth=8)],
                )
                for org, actions in granted
            ],
            keepers=list(keepers),
        )
    )


class Members:
    """Signs what members do with planned bills, and counts it."""

    def __init__(self, seed: int, network: bytes) -> None:
        self.seed, self.network = seed, network
        self.expected = Expected()
        self._reds: dict[tuple[int, int], int] = {}
        self._wallets = [signer(f"wallet {seed} {n}") for n in range(WALLETS)]
        self._mandates: dict[tuple[int, str], str] = {}

    # ------------------------------------------------------------------------------ the opening

    def define(self, chance: Random, at: int, founded_at: int, rules: TypeRules) -> Step:
        """The type."""
        define = DefineType(
            nonce=chance.randbytes(16),
            type=TYPE,
            type_version=1,
            catalogue=bytes(32),
            rules=rules,
            valid_from=format_instant(founded_at),
        )
        return self.step(chance, at, "finance", "bills.define_type/1", [define])

    def numbers(self, chance: Random, at: int, code: int) -> Iterator[Step]:
        """All of a code for finance, and of that the red ones for the hospitals."""
        whole = Allot(
            nonce=chance.randbytes(16), code=code, level=0, first=1, last=9_999_999_999,
            holder="finance",
        )  # fmt: skip
        yield self.step(chance, at, "finance", "bills.allot/1", [whole])
        reds = [
            self.allot(chance, (code, RED_LEVEL, red_first(n)), RED_EACH, n)
            for n in range(len(HOSPITALS))
        ]
        yield self.step(chance, at, "finance", "bills.allot/1", reds)

    def allot(self, chance: Random, place: tuple[int, int, int], size: int, hospital: int) -> Allot:
        """A block for a hospital; `place`: code, level, first number."""
        code, level, first = place
        return Allot(
            nonce=chance.randbytes(16), code=code, level=level, first=first,
            last=first + size - 1, holder=HOSPITALS[hospital], parent=Block(level=0, first=1),
        )  # fmt: skip

    def give(self, at: int, until: int) -> Iterator[Step]:
        """Each wallet's mandates for both insurers; the same for the same seed and `until`."""
        chance = Random(f"{self.seed}/mandates")
        for n, wallet in enumerate(self._wallets):
            items = []
            for insurer in INSURERS:
                said = SaidMandate(
                    nonce=chance.randbytes(16),
                    reader=insurer,
                    purpose="claim",
                    fields=bytes(32),
                    until=format_instant(until),
                )
                message = act_message(self.network, "bills.mandate/1", said)
                act = Act(key=wallet.public_key, signature=wallet.sign(message))
                items.append(GiveMandate(nonce=chance.randbytes(16), said=said, act=act))
                self._mandates[n, insurer] = act_id(message)
            yield self.step(chance, at, HOSPITALS[0], "bills.mandate/1", items)

    # -------------------------------------------------------------------------------- one bill

    def draw(self, chance: Random, place: tuple[int, int, int], number: int, at: int) -> Planned:
        """A bill by chance; `place`: hospital, code, first number of the block."""
        kind = chance.random()
        fate: Fate = "plain"
        for share, each in FATES:
            if kind < share:
                fate = each
                break
            kind -= share
        total = chance.randrange(1_000, 90_000)
        account, cash = total // 4, total // 2
        hospital, code, first = place
        return Planned(
            hospital, code, first, number, total, account, cash, fate,
            chance.randrange(WALLETS), at,
        )  # fmt: skip

    def issue(self, chance: Random, each: Planned) -> Issue:
        """The bill itself."""
        wallet = self._wallets[each.wallet].public_key
        each.opening = Opening(key=chance.randbytes(32), nonce=chance.randbytes(16))
        self.expected.issued += 1
        self.expected.issued_sum += each.total
        return Issue(
            nonce=chance.randbytes(16),
            code=each.code,
            level=BLUE_LEVEL,
            first=each.first,
            number=each.number,
            type_version=1,
            issued_at=format_instant(each.at),
            currency="CNY",
            total=each.total,
            account=each.account,
            cash=each.cash,
            root=chance.randbytes(32),
            holder=commit_holder(each.opening.key, holder_salt(each.opening.nonce, wallet)),
        )

    def event(self, chance: Random, name: str, each: Planned, at: int) -> tuple[str, str, Item]:
        """Sender, action and item of what is named in `COMING`."""
        what, _, letter = name.partition(" ")
        hospital = HOSPITALS[each.hospital]
        if what == "reverse":
            return hospital, "bills.reverse/1", self._reverse(chance, each, at)
        if what == "request":
            item: Item = RequestReversal(
                nonce=chance.randbytes(16), bill=each.id, version=each.version, reason="refund"
            )
            each.version += 1
            return hospital, "bills.reversal_request/1", item
        insurer = INSURERS[ord(letter) - ord("a")]
        action, item = self._insured(chance, what, insurer, each, at)
        return insurer, action, item

    def _insured(
        self, chance: Random, what: str, insurer: str, each: Planned, at: int
    ) -> tuple[str, Item]:
        claim = sha256(f"{insurer}{each.id}{self.seed}".encode()).digest()[:16]
        terms = Terms(
            purpose="claim",
            basis="cash_account",
            benefit="indemnity",
            right="mandate",
            right_id=self._mandates[each.wallet, insurer],
        )
        amount = each.total // 4 + (insurer == INSURERS[1])
        named: dict[str, Any] = {"nonce": chance.randbytes(16), "bill": each.id}
        ordinal = INSURERS.index(insurer)
        if what not in ("book", "recover"):
            each.version += 1
        if what == "lock":
            until = format_instant(at + 5 * 86_400)
            return "bills.lock/1", Lock(
                **named, claim=claim, terms=terms, amount=amount, until=until,
                opening=each.opening,
            )  # fmt: skip
        if what == "settle":
            self.expected.settled[insurer] += amount - 1
            return "bills.settle/1", Settle(
                **named, claim=claim, terms=terms, amount=amount - 1, decision=bytes(32)
            )
        if what == "reject":
            return "bills.reject/1", Reject(
                **named, claim=claim, terms=terms, decision=bytes(32), reason="not_covered"
            )
        if what == "release":
            return "bills.release_lock/1", ReleaseLock(
                **named, claim=claim, terms=terms, reason="refund"
            )
        if what == "book":
            self.expected.booked += 1
            return "bills.book/1", Book(
                **named, ordinal=ordinal, amount=amount - 1, on=local_day(at, OFFSET),
                voucher=bytes(32),
            )  # fmt: skip
        self.expected.recovered[insurer] += amount - 1
        return "bills.claw_back/1", ClawBack(
            **named, ordinal=ordinal, amount=amount - 1, how="recovered", decision=bytes(32)
        )

    def _reverse(self, chance: Random, each: Planned, at: int) -> Reverse:
        code = code_at(at)
        key = (each.hospital, code)
        number = self._reds.get(key, red_first(each.hospital))
        self._reds[key] = number + 1
        self.expected.reversed += 1
        self.expected.reversed_sum += each.total
        return Reverse(
            nonce=chance.randbytes(16),
            code=code,
            level=RED_LEVEL,
            first=red_first(each.hospital),
            number=number,
            type_version=1,
            issued_at=format_instant(at),
            root=chance.randbytes(32),
            bill=each.id,
            version=each.version,
            reason="refund",
            total=each.total,
            account=each.account,
            cash=each.cash,
        )

    # --------------------------------------------------------------------------------- signing

    def sign(self, at: int, sender: str, action: str, items: Sequence[Item], name: str) -> bytes:
        """One more transaction: `name` is its idempotency key."""
        return sign_transaction(
            signer(sender),
            network=self.network,
            sender=sender,
            action=action,
            items=items,
            idempotency=sha256(name.encode()).digest()[:16],
            valid_until=format_instant(at + 2 * 86_400),
        )

    def step(
        self, chance: Random, at: int, sender: str, action: str, items: Sequence[Item]
    ) -> Step:
        """The same, under a name by chance, to be handed in at `at`."""
        return Step(at, self.sign(at, sender, action, items, chance.randbytes(16).hex()))


def red_first(hospital: int) -> int:
    """First number of a hospital's block of red bills."""
    return RED_FIRST + hospital * RED_EACH


def blue_first(hospital: int) -> int:
    """First number of a hospital's own."""
    return 1 + hospital * BLUE_EACH


def code_at(at: int) -> int:
    """The bill code of the local year."""
    return TYPE * 100 + int(local_day(at, OFFSET)[2:4])
