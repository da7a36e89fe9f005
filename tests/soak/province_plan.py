"""Four weeks of a two-hundredth of a province, around New Year's night: who does what and when.

Everything follows from the seed: a day that was cut off is simply done again, byte for byte, and
what is on the ledger already has its old answer.

Invariant: the plan knows every fen and every number before the ledger does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any, Literal, NamedTuple

from bodies import OUTPATIENT

from tallystick.contracts.bills.items.bills import Allot, Block, DefineType, Issue, Reverse
from tallystick.contracts.bills.items.claims import (
    ClawBack,
    Lock,
    ReleaseLock,
    RequestReversal,
    Settle,
)
from tallystick.contracts.bills.items.holders import Act, GiveMandate, SaidMandate
from tallystick.contracts.bills.items.paper import Book
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.contracts.bills.records.claims import Terms
from tallystick.contracts.bills.records.holders import Opening, commit_holder, holder_salt
from tallystick.contracts.kit.acts import act_id, act_message
from tallystick.keyring import signer_from_seed
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.genesis import FoundingGrant, FoundingKey, FoundingOrg, Genesis
from tallystick.protocol.keys import Signer
from tallystick.protocol.transaction import Item, sign_transaction
from tallystick.protocol.values import format_instant, local_day, parse_instant

OFFSET = 28_800
NEW_YEAR = parse_instant("2027-01-01T00:00:00Z") - OFFSET
"""Local midnight, in the middle of every run."""
TYPE = 330601
HOSPITALS = tuple(f"hospital-{n}" for n in range(5))
INSURERS = ("insurer-a", "insurer-b")
WALLETS = 400
assert OUTPATIENT.claims is not None
RULES = replace(
    OUTPATIENT,
    ack="record",
    archive_within_seconds=0,
    liability="optional",
    claims=replace(OUTPATIENT.claims, reversal_wait_seconds=30 * 3_600),
)
"""Who holds a lock may answer on the next day, and no more on the day after."""
BLUE_LEVEL, RED_LEVEL = 3, 4
"""Blocks of a week for blue bills, and one a year for the red ones: no row is both."""
WEEK = 7
TOGETHER = 200
RED_FIRST = 5_000_000_000
RED_EACH = 100_000_000

HOURS = (1, 1, 1, 1, 1, 1, 2, 5, 14, 18, 14, 8, 4, 6, 10, 7, 4, 2, 1, 1, 1, 1, 1, 1)
"""Shares of a day's bills by local hour: the busiest has 18 of a hundred."""

Fate = Literal["plain", "reversed", "claimed", "claimed_twice", "clawed", "refunded", "silent"]


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


def signer(name: str) -> Signer:
    """The same key for the same name."""
    return signer_from_seed(sha256(b"soak " + name.encode()).digest())


def first_day(days: int) -> int:
    """When a run of so many days begins."""
    return NEW_YEAR - days // 2 * 86_400


def founded_at(days: int) -> int:
    """Some days before; in December, when next year's numbers are granted."""
    return first_day(days) - 10 * 86_400


def make_genesis(days: int) -> bytes:
    """Finance, hospitals, insurers; the clock of the plan."""
    granted = [("finance", ["*"]), *((each, ["bills.*"]) for each in (*HOSPITALS, *INSURERS))]
    return encode(
        Genesis(
            format="tallystick/genesis/v1",
            name="example/soak",
            region=33,
            utc_offset_seconds=OFFSET,
            founded_at=format_instant(founded_at(days)),
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
            keepers=[],
        )
    )


class Calendar:
    """The days of one run, by seed."""

    def __init__(self, seed: int, network: bytes, bills: int, days: int) -> None:
        self.seed, self.network, self.days = seed, network, days
        self.first_day, self.founded_at = first_day(days), founded_at(days)
        self.expected = Expected()
        self._each = max(1, bills // days // len(HOSPITALS))
        """Bills of a hospital and a day."""
        self._next: dict[tuple[int, int], int] = {}
        self._reds: dict[tuple[int, int], int] = {}
        self._later: dict[int, list[tuple[str, Planned]]] = defaultdict(list)
        self._mandates: dict[tuple[int, str], str] = {}
        self._wallets = [signer(f"wallet {seed} {n}") for n in range(WALLETS)]

    # ------------------------------------------------------------------------------ the opening

    def opening(self) -> Iterator[Step]:
        """The type, the numbers of both years by week, and the wallets' mandates."""
        chance, at = Random(f"{self.seed}/opening"), self.founded_at + 3_600
        define = DefineType(
            nonce=chance.randbytes(16),
            type=TYPE,
            type_version=1,
            catalogue=bytes(32),
            rules=RULES,
            valid_from=format_instant(self.founded_at),
        )
        yield self._step(chance, at, "finance", "bills.define_type/1", [define])
        at = self.first_day - 7_200
        for code in (self._code(self.first_day), self._code(self.first_day + 30 * 86_400)):
            whole = Allot(
                nonce=chance.randbytes(16), code=code, level=0, first=1, last=9_999_999_999,
                holder="finance",
            )  # fmt: skip
            yield self._step(chance, at, "finance", "bills.allot/1", [whole])
            reds = [
                self._allot(chance, (code, RED_LEVEL, first), RED_EACH, n)
                for n, first in enumerate(self._red_first(n) for n in range(len(HOSPITALS)))
            ]
            yield self._step(chance, at, "finance", "bills.allot/1", reds)
        for n, wallet in enumerate(self._wallets):
            yield self._give(chance, at, n, wallet)

    def _give(self, chance: Random, at: int, n: int, wallet: Signer) -> Step:
        items = []
        for insurer in INSURERS:
            said = SaidMandate(
                nonce=chance.randbytes(16),
                reader=insurer,
                purpose="claim",
                fields=bytes(32),
                until=format_instant(self.first_day + 90 * 86_400),
            )
            message = act_message(self.network, "bills.mandate/1", said)
            act = Act(key=wallet.public_key, signature=wallet.sign(message))
            items.append(GiveMandate(nonce=chance.randbytes(16), said=said, act=act))
            self._mandates[n, insurer] = act_id(message)
        return self._step(chance, at, HOSPITALS[0], "bills.mandate/1", items)

    # ---------------------------------------------------------------------------------- the days

    def day(self, n: int) -> list[Step]:
        """All of one day, in the order of time; days are asked for one after the other."""
        chance = Random(f"{self.seed}/{n}")
        midnight = self.first_day + n * 86_400
        steps: list[Step] = []
        if n % WEEK == 0 or self._code(midnight) != self._code(midnight - 86_400):
            steps.extend(self._week(chance, n, midnight))
        for hospital in range(len(HOSPITALS)):
            steps.extend(self._bills(chance, n, hospital, midnight))
        steps.extend(self._events(chance, n, midnight))
        steps.sort(key=lambda step: step.at)
        return steps

    def _week(self, chance: Random, n: int, midnight: int) -> Iterator[Step]:
        """The numbers until the next block: a block is as large as what will be used of it."""
        code = self._code(midnight)
        length = 1
        while (
            n + length < self.days
            and (n + length) % WEEK
            and self._code(midnight + length * 86_400) == code
        ):
            length += 1
        size = self._each * length
        blocks = []
        for hospital in range(len(HOSPITALS)):
            first = 1 + hospital * 100_000_000 + n * self._each
            self._next[hospital, code] = first
            blocks.append(self._allot(chance, (code, BLUE_LEVEL, first), size, hospital))
        yield self._step(chance, midnight + 1, "finance", "bills.allot/1", blocks)

    def _bills(self, chance: Random, n: int, hospital: int, midnight: int) -> Iterator[Step]:
        code = self._code(midnight)
        start = self._next[hospital, code]
        done, shares = 0, sum(HOURS)
        for hour, share in enumerate(HOURS):
            last = hour == len(HOURS) - 1
            count = self._each - done if last else self._each * share // shares
            for begin in range(0, count, TOGETHER):
                at = midnight + hour * 3_600 + 60 + chance.randrange(3_000)
                some = [
                    self._plan(chance, hospital, code, start + done + begin + k, at)
                    for k in range(min(TOGETHER, count - begin))
                ]
                items = [self._issue(chance, each) for each in some]
                yield self._step(chance, at, HOSPITALS[hospital], "bills.issue/1", items)
                for each in some:
                    self._follow(chance, n, each)
            done += count
        self._next[hospital, code] = start + self._each

    def _plan(self, chance: Random, hospital: int, code: int, number: int, at: int) -> Planned:
        kind = chance.random()
        fate: Fate = "plain"
        for share, each in (
            (0.03, "reversed"),
            (0.13, "claimed"),
            (0.03, "claimed_twice"),
            (0.01, "clawed"),
            (0.01, "refunded"),
            (0.005, "silent"),
        ):
            if kind < share:
                fate = each  # type: ignore[assignment]  # they are the fates
                break
            kind -= share
        total = chance.randrange(1_000, 90_000)
        account, cash = total // 4, total // 2
        return Planned(
            hospital, code, self._week_first(hospital, number), number, total, account, cash,
            fate, chance.randrange(WALLETS), at,
        )  # fmt: skip

    def _week_first(self, hospital: int, number: int) -> int:
        """The first number of the block that `number` is in."""
        base = 1 + hospital * 100_000_000
        for begin in reversed(self._block_days()):
            if number >= base + begin * self._each:
                return base + begin * self._each
        raise LookupError(number)

    def _block_days(self) -> list[int]:
        """The days on which blocks begin."""
        return [
            n
            for n in range(self.days)
            if n % WEEK == 0
            or self._code(self.first_day + n * 86_400)
            != self._code(self.first_day + (n - 1) * 86_400)
        ]

    def _issue(self, chance: Random, each: Planned) -> Issue:
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

    def _follow(self, chance: Random, n: int, each: Planned) -> None:
        """What is to come of a bill, day by day; what would come after the last day never does."""
        coming: dict[Fate, tuple[str, ...]] = {
            "plain": (),
            "reversed": ("reverse",),
            "claimed": ("lock a", "settle a", "book a"),
            "claimed_twice": ("lock a", "settle a", "lock b", "settle b"),
            "clawed": ("lock a", "settle a", "reverse", "recover a"),
            "refunded": ("lock a", "request", "release a", "reverse"),
            "silent": ("lock a", "request", "", "reverse"),
        }
        names = coming[each.fate]
        start = n + 1 + chance.randrange(2)
        if start + len(names) > self.days:
            return  # all of it or nothing: the sums at the end are whole
        for k, name in enumerate(names):
            if not name:
                continue  # a day on which nobody answers
            self._later[start + k].append((name, each))

    # -------------------------------------------------------------------------------- the events

    def _events(self, chance: Random, n: int, midnight: int) -> Iterator[Step]:
        """Insurers at night, hospitals by day: in batches, in the order that they need."""
        groups: dict[tuple[str, str], list[Item]] = defaultdict(list)
        at = midnight + 2 * 3_600
        for name, each in self._later.pop(n, []):
            sender, action, item = self._event(chance, name, each, at)
            groups[sender, action].append(item)
        for (sender, action), items in groups.items():
            for begin in range(0, len(items), TOGETHER):
                yield self._step(chance, at, sender, action, items[begin : begin + TOGETHER])

    def _event(self, chance: Random, name: str, each: Planned, at: int) -> tuple[str, str, Item]:
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
        code = self._code(at)
        key = (each.hospital, code)
        number = self._reds.get(key, self._red_first(each.hospital))
        self._reds[key] = number + 1
        self.expected.reversed += 1
        self.expected.reversed_sum += each.total
        return Reverse(
            nonce=chance.randbytes(16),
            code=code,
            level=RED_LEVEL,
            first=self._red_first(each.hospital),
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

    # ---------------------------------------------------------------------------------- the ends

    def blocks(self) -> list[tuple[int, int, str]]:
        """Code, first number and holder of each week's block."""
        return [
            (
                self._code(self.first_day + n * 86_400),
                1 + hospital * 100_000_000 + n * self._each,
                HOSPITALS[hospital],
            )
            for n in self._block_days()
            for hospital in range(len(HOSPITALS))
        ]

    def sign(self, at: int, sender: str, action: str, items: Sequence[Item], name: str) -> bytes:
        """One more transaction of the same calendar: `name` is its idempotency key."""
        return sign_transaction(
            signer(sender),
            network=self.network,
            sender=sender,
            action=action,
            items=items,
            idempotency=sha256(name.encode()).digest()[:16],
            valid_until=format_instant(at + 2 * 86_400),
        )

    def _step(
        self, chance: Random, at: int, sender: str, action: str, items: Sequence[Item]
    ) -> Step:
        return Step(at, self.sign(at, sender, action, items, chance.randbytes(16).hex()))

    def _allot(
        self, chance: Random, place: tuple[int, int, int], size: int, hospital: int
    ) -> Allot:
        code, level, first = place
        return Allot(
            nonce=chance.randbytes(16), code=code, level=level, first=first,
            last=first + size - 1, holder=HOSPITALS[hospital], parent=Block(level=0, first=1),
        )  # fmt: skip

    def _red_first(self, hospital: int) -> int:
        return RED_FIRST + hospital * RED_EACH

    def _code(self, at: int) -> int:
        """The bill code of the local year."""
        return TYPE * 100 + int(local_day(at, OFFSET)[2:4])
