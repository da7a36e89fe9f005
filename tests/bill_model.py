"""A model of one bill that a child could follow: money in a list, a lock, and who said what.

It knows nothing of rows, commitments or sums that are carried along: it adds up anew each time, and
takes back fen by fen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from claims_acts import Held
from holders_acts import Holder, holder

DAY = 86_400
LOSS_WAIT = 30 * DAY


@dataclass
class Answered:
    """A claim that was answered."""

    org: str
    purpose: str
    cash: bool
    fixed: bool
    paid: int
    when: int
    """Which settlement it was, in the order of all."""
    due: int = 0
    back: int = 0
    rejected: bool = False

    @property
    def counts(self) -> int:
        """How much of the bill's money it stands for."""
        return 0 if self.fixed else self.paid - self.due - self.back


@dataclass
class Hold:
    """Money that a reimburser holds, or a plan: then `held` is None."""

    held: Held | None
    amount: int
    cash: int
    """Of the amount, what only cash covers."""
    until: int
    renewals: int = 0


@dataclass
class Order:
    """Who is to reimburse a bill, first to last."""

    ranks: list[str]
    atomic: bool
    until: int
    open: bool = True
    accepted: list[str] = field(default_factory=list)
    waived: list[str] = field(default_factory=list)
    ready: dict[str, Answered] = field(default_factory=dict)


@dataclass
class Face:
    """What befell one blue bill."""

    number: int
    entry: int
    total: int
    account: int
    cash: int
    """Of these three, what reversals have left."""
    reversed: bool = False
    claims: list[Answered] = field(default_factory=list)
    lock: Hold | None = None
    asked: int | None = None
    """When its issuer asked to reverse it, and until when it waits."""
    waits: int = 0
    frozen: int | None = None
    """Since when."""
    paper: str = ""
    lost_until: int = 0
    withheld: bool = False
    bound: int = 0
    wallet: str = "ann"
    consents: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Of the mutual: for what purpose, under which binding; what is revoked is gone."""
    plan: Order | None = None

    @property
    def ended(self) -> bool:
        return self.reversed and not self.total

    def holder(self) -> Holder:
        """Whose it is: its key by number and binding."""
        return key_of(self.number, self.bound, self.wallet)

    # -------------------------------------------------------------------------------- time

    def live(self, now: int) -> Hold | None:
        """The lock that stands: its time, and that of a request to reverse, not over."""
        lock = self.lock
        if lock is None or self.frozen is not None:
            return lock
        return lock if now < lock.until and (self.asked is None or now < self.waits) else None

    def ask(self, now: int) -> None:
        """While it is frozen, the whole wait lies ahead."""
        self.asked = now
        self.waits = (now if self.frozen is None else self.frozen) + DAY

    def freeze(self, now: int) -> None:
        self.lock = self.live(now)
        self.frozen = now
        self.waits = max(self.waits, now) if self.asked is not None else 0

    def lift(self, now: int) -> None:
        """The time that it was frozen does not count."""
        assert self.frozen is not None
        stood = now - self.frozen
        if self.lock is not None:
            self.lock.until += stood
        if self.asked is not None:
            self.waits += stood
        self.frozen = None

    def on_paper(self, now: int) -> bool:
        return bool(self.paper) and not (self.paper == "lost" and now >= self.lost_until)

    # ------------------------------------------------------------------------------- money

    def room(self, now: int, *, cash: bool) -> int:
        """What the next may claim."""
        lock = self.live(now)
        held = lock.amount if lock else 0
        held_cash = lock.cash if lock else 0
        free = self.account + self.cash - sum(each.counts for each in self.claims) - held
        of_cash = self.cash - sum(each.counts for each in self.claims if each.cash) - held_cash
        return min(of_cash, free) if cash else free

    def own(self, org: str, purpose: str) -> Answered | None:
        return next((c for c in self.claims if (c.org, c.purpose) == (org, purpose)), None)

    def reverse(self, total: int, account: int, cash: int) -> None:
        """Take off what is taken off; then take back, fen by fen, from the last settled on."""
        self.total, self.account, self.cash = (
            self.total - total,
            self.account - account,
            self.cash - cash,
        )
        self.reversed, self.lock, self.asked = True, None, None
        while True:
            of_cash = sum(each.counts for each in self.claims if each.cash) > self.cash
            over = sum(each.counts for each in self.claims) > self.account + self.cash
            if not of_cash and not over:
                return
            last = max(
                (c for c in self.claims if c.counts and (c.cash or not of_cash)),
                key=lambda each: each.when,
            )
            last.due += 1

    def answer(self, answered: Answered) -> None:
        """In its own place, if it was rejected before."""
        self.lock = None
        known = self.own(answered.org, answered.purpose)
        if known is None:
            self.claims.append(answered)
        else:
            self.claims[self.claims.index(known)] = answered

    # ------------------------------------------------------------------------------- words

    def claimable(self) -> bool:
        return not (self.ended or self.frozen is not None or self.asked is not None)

    def plan_holds(self, now: int) -> bool:
        lock = self.live(now)
        return lock is not None and lock.held is None

    def waits_in_line(self, org: str, now: int) -> bool:
        """Whether somebody with an earlier rank, who keeps to it as `org` does, is to answer."""
        plan = self.plan
        if plan is None or plan.atomic or now >= plan.until or org not in plan.accepted:
            return False
        before = plan.ranks[: plan.ranks.index(org)]
        return any(each in plan.accepted and self.own(each, "claim") is None for each in before)

    def planned(self, now: int) -> bool:
        """Whether somebody relies on the plan."""
        if self.plan is None:
            return False
        if self.plan.atomic:
            return self.plan_holds(now)
        return now < self.plan.until and bool(self.plan.accepted)


def key_of(number: int, bound: int, wallet: str) -> Holder:
    """The key of a bill after so many bindings."""
    return holder(f"bill {number}" if not bound else f"bill {number}/{bound}", wallet)
