"""Claims on bills: rights that are given as they are needed, items by shorthand, and an audit."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from bodies import OUTPATIENT
from holders_acts import Acting, Holder, holder
from province import Province

from tallystick.contracts.bills.items.bills import Block
from tallystick.contracts.bills.items.claims import (
    AcceptPlan,
    CancelReversal,
    ClawBack,
    Lock,
    MakePlan,
    PlannedShare,
    ReadyShare,
    Reject,
    ReleaseLock,
    Renew,
    RequestReversal,
    SaidPlan,
    Settle,
    SettledBefore,
    Supplement,
    WaiveShare,
)
from tallystick.contracts.bills.records.bills import (
    Bill,
    ClaimRules,
    Series,
    holder_now,
    live_lock,
    rest,
)
from tallystick.contracts.bills.records.claims import Claim, Plan, Terms, counted, plan_claimant
from tallystick.contracts.bills.views.claims import find_claims, find_plan, standing_of
from tallystick.contracts.kit.grants import find_grant
from tallystick.protocol.canonical import replace
from tallystick.protocol.transaction import Item

CLAIMED = 33060726
"""Bills of a type that is acknowledged by the record, and may be reversed in part."""
HOUR = 3_600
DAY = 24 * HOUR
CLAIM_RULES = ClaimRules(
    term_days=365,
    lock_seconds_max=10 * DAY,
    renewals_max=2,
    reversal_wait_seconds=DAY,
    paper_presented=True,
)
CLAIMED_RULES = replace(
    OUTPATIENT, ack="record", partial_reversal=True, liability="optional", claims=CLAIM_RULES
)


@dataclass(frozen=True)
class Held:
    """A lock as its owner knows it."""

    org: str
    bill: str
    claim: bytes
    terms: Terms


@dataclass
class Claims:
    """A province with bills to claim: of 10,000 fen 2,000 are account and 3,000 cash."""

    world: Province = field(default_factory=Province)
    rights: dict[tuple[str, str, str, int], str] = field(default_factory=dict)
    """Consents that were given: by reader, bill, purpose and binding."""

    def __post_init__(self) -> None:
        self.acting = Acting(self.world)
        self.define(CLAIMED)

    def define(self, code: int, **rules: Any) -> int:
        """Another type with a block in the hospital's hand."""
        self.world.define(code // 100, rules=replace(CLAIMED_RULES, **rules))
        self.world.allot(code=code, level=0, first=1, last=10_000, holder="finance")
        parent = Block(level=0, first=1)
        self.world.allot(code=code, level=3, first=1, last=1_000, holder="hospital", parent=parent)
        return code

    # ------------------------------------------------------------------------------- bills

    def issue(self, number: int = 1, code: int = CLAIMED, **fields: Any) -> Bill:
        named: dict[str, Any] = {"holder": self.holder(number).commitment}
        return self.world.issue(number, code=code, **(named | fields))

    def holder(self, number: int) -> Holder:
        return holder(f"bill {number}")

    def holder_of(self, bill: Bill) -> Holder:
        return self.holder(int(bill.id[-10:]))

    def reverse(self, bill: Bill, number: int, total: int | None = None, **fields: Any) -> Bill:
        return self.world.reverse(self.now(bill), number, total=total, **fields)

    def now(self, bill: Bill | str) -> Bill:
        return self.world.bill(bill if isinstance(bill, str) else bill.id)

    # ------------------------------------------------------------------------------ rights

    def consent(self, org: str, bill: Bill, purpose: str = "claim", **fields: Any) -> str:
        """A consent for this reader and purpose; the act's id. Given once, then the same."""
        bound = holder_now(self.now(bill), self.world.at)[1]
        key = (org, bill.id, purpose, bound)
        if fields or key not in self.rights:
            item = self.acting.consent(
                self.now(bill), self.holder_of(bill), reader=org, purpose=purpose, **fields
            )
            self.rights[key] = self.acting.give(item)
        return self.rights[key]

    def mandate(self, org: str = "insurer", **fields: Any) -> str:
        item = self.acting.mandate(reader=org, **fields)
        self.world.do("mutual", "bills.mandate", item)
        return self.acting.id_of("bills.mandate", item.said)

    def statute(self, org: str = "fund") -> str:
        grant = find_grant(self.world.rows, org, "bills.statute", self.world.at)
        assert grant is not None
        return grant.grant_id

    def terms(self, org: str, bill: Bill, **fields: Any) -> Terms:
        """Of the fund by statute, of others by a consent."""
        named: dict[str, Any] = {"purpose": "claim", "basis": "cash_account"}
        named |= {"benefit": "indemnity"} | fields
        if "right" not in fields and org == "fund":
            named |= {"right": "statute", "right_id": self.statute()}
        elif "right" not in fields:
            named |= {"right": "consent", "right_id": self.consent(org, bill, named["purpose"])}
        return Terms(**named)

    # ------------------------------------------------------------------------------- locks

    def lock_item(self, org: str, bill: Bill, amount: int, **fields: Any) -> Lock:
        """With `terms`, or what differs of them, and fields of the item."""
        own = {name: fields.pop(name) for name in ("until", "opening", "paper") if name in fields}
        terms = fields.pop("terms", None) or self.terms(org, bill, **fields)
        named: dict[str, Any] = {"until": self.world.instant(DAY)} | own
        return Lock(
            nonce=self.world.nonce(),
            bill=bill.id,
            claim=self.world.nonce(),
            terms=terms,
            amount=amount,
            **named,
        )

    def lock(self, org: str, bill: Bill, amount: int = 1_000, **fields: Any) -> Held:
        item = self.lock_item(org, bill, amount, **fields)
        self.world.do(org, "bills.lock", item)
        audit_claims(self.world)
        return Held(org, bill.id, item.claim, item.terms)

    def refused_lock(
        self, org: str, bill: Bill, amount: int = 1_000, **fields: Any
    ) -> tuple[str, str]:
        return self.refused(org, "bills.lock", self.lock_item(org, bill, amount, **fields))

    def _of(self, held: Held) -> dict[str, Any]:
        named = {"bill": held.bill, "claim": held.claim, "terms": held.terms}
        return {"nonce": self.world.nonce(), **named}

    def renew_item(self, held: Held, until: str, **fields: Any) -> Renew:
        return Renew(**self._of(held), until=until, **fields)

    def release_item(self, held: Held) -> ReleaseLock:
        return ReleaseLock(**self._of(held), reason="withdrawn")

    def reject_item(self, held: Held) -> Reject:
        return Reject(**self._of(held), decision=digest("no"), reason="not_covered")

    def settle_item(self, held: Held, amount: int, reason: str | None = None) -> Settle:
        return Settle(**self._of(held), amount=amount, decision=digest("yes"), reason=reason)

    def settled_before_item(
        self, held: Held, amount: int, paid_at: str, reason: str | None = None
    ) -> SettledBefore:
        named = self._of(held) | {"amount": amount, "decision": digest("paid")}
        return SettledBefore(**named, paid_at=paid_at, reason=reason)

    def settle(self, held: Held, amount: int, reason: str | None = None) -> Bill:
        return self.do(held.org, "bills.settle", self.settle_item(held, amount, reason))

    def claim(self, org: str, bill: Bill, amount: int, **fields: Any) -> Bill:
        """Locked and settled in full."""
        return self.settle(self.lock(org, bill, amount, **fields), amount)

    # ------------------------------------------------------------------------------- later

    def supplement_item(
        self, org: str, bill: Bill, ordinal: int, amount: int, **fields: Any
    ) -> Supplement:
        terms = fields.pop("terms", None) or self.claims(bill)[ordinal].terms
        return Supplement(
            nonce=self.world.nonce(),
            bill=bill.id,
            ordinal=ordinal,
            amount=amount,
            decision=digest("more"),
            terms=terms,
            **fields,
        )

    def claw_back_item(self, bill: Bill, ordinal: int, amount: int, how: Any) -> ClawBack:
        return ClawBack(
            nonce=self.world.nonce(),
            bill=bill.id,
            ordinal=ordinal,
            amount=amount,
            how=how,
            decision=digest(how),
        )

    def request_item(self, bill: Bill, **fields: Any) -> RequestReversal:
        return RequestReversal(**self._of_bill(bill, fields))

    def cancel_item(self, bill: Bill, **fields: Any) -> CancelReversal:
        return CancelReversal(**self._of_bill(bill, fields))

    def request(self, bill: Bill) -> Bill:
        return self.do("hospital", "bills.reversal_request", self.request_item(bill))

    def _of_bill(self, bill: Bill, fields: dict[str, Any]) -> dict[str, Any]:
        named: dict[str, Any] = {"bill": bill.id, "version": self.now(bill).version}
        return {"nonce": self.world.nonce(), "reason": "refund"} | named | fields

    # ------------------------------------------------------------------------------- plans

    def said_plan(self, bill: Bill, *orgs: str, **fields: Any) -> SaidPlan:
        """Ranks in the order of `orgs`, unless `shares` are given."""
        bill, former = self.now(bill), find_plan(self.world.rows, bill.id)
        named: dict[str, Any] = {
            "bill": bill.id,
            "bound": holder_now(bill, self.world.at)[1],
            "version": former.version if former else 0,
            "mode": "sequential",
            "shares": [
                PlannedShare(reimburser=org, purpose="claim", rank=n + 1)
                for n, org in enumerate(orgs)
            ],
        }
        return SaidPlan(nonce=self.world.nonce(), **(named | fields))

    def plan_item(self, bill: Bill, *orgs: str, **fields: Any) -> MakePlan:
        """By the issuer."""
        said = self.said_plan(bill, *orgs, **fields)
        return MakePlan(nonce=self.world.nonce(), said=said)

    def holder_plan_item(self, said: SaidPlan) -> MakePlan:
        who = self.holder_of(self.now(said.bill))
        act = self.acting.in_person("bills.plan", said, who)
        return MakePlan(nonce=self.world.nonce(), said=said, act=act)

    def plan(self, bill: Bill, *orgs: str, **fields: Any) -> Plan:
        self.do("hospital", "bills.plan", self.plan_item(bill, *orgs, **fields))
        return self.plan_of(bill)

    def atomic(self, bill: Bill, *orgs: str, seconds: int = HOUR) -> Plan:
        return self.plan(bill, *orgs, mode="atomic", until=self.world.instant(seconds))

    def plan_of(self, bill: Bill) -> Plan:
        found = find_plan(self.world.rows, bill.id)
        assert found is not None
        return found

    def accept_item(self, bill: Bill, purpose: str = "claim") -> AcceptPlan:
        return AcceptPlan(nonce=self.world.nonce(), bill=bill.id, purpose=purpose)

    def accept(self, org: str, bill: Bill) -> Bill:
        return self.do(org, "bills.accept_plan", self.accept_item(bill))

    def waive_item(self, bill: Bill, purpose: str = "claim") -> WaiveShare:
        nonce = self.world.nonce()
        return WaiveShare(nonce=nonce, bill=bill.id, purpose=purpose, reason="nothing_due")

    def waive(self, org: str, bill: Bill) -> Bill:
        return self.do(org, "bills.waive_share", self.waive_item(bill))

    def ready_item(self, org: str, bill: Bill, amount: int, **fields: Any) -> ReadyShare:
        own: dict[str, Any] = {"purpose": "claim"}
        for name in ("purpose", "reason", "opening", "paper"):
            if name in fields:
                own[name] = fields.pop(name)
        terms = fields.pop("terms", None) or self.terms(org, bill, **fields)
        return ReadyShare(
            nonce=self.world.nonce(),
            bill=bill.id,
            **own,
            amount=amount,
            terms=terms,
            decision=digest(org),
        )

    def ready(self, org: str, bill: Bill, amount: int, **fields: Any) -> Bill:
        return self.do(org, "bills.ready", self.ready_item(org, bill, amount, **fields))

    # -------------------------------------------------------------------------------- acts

    def do(self, org: str, action: str, item: Item) -> Bill:
        """Accepted, and every fen is where it should be; the bill that it is about."""
        self.world.do(org, action, item)
        audit_claims(self.world)
        named: Any = getattr(item, "said", item)
        return self.now(named.bill)

    def refused(self, org: str, action: str, item: Item) -> tuple[str, str]:
        refusal = self.world.refused(org, action, item)
        audit_claims(self.world)
        return refusal

    def claims(self, bill: Bill) -> list[Claim]:
        return find_claims(self.world.rows, self.now(bill))

    def amounts(self, bill: Bill) -> list[dict[str, int]]:
        """Of each claim, by ordinal."""
        return [each.amounts for each in self.claims(bill)]


def started(**fields: Any) -> tuple[Claims, Bill]:
    """A province with one bill to claim."""
    claims = Claims()
    return claims, claims.issue(**fields)


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


# ---------------------------------------------------------------------------------------- audit


def audit_claims(world: Province) -> None:
    """C2, C4, C11: every fen that was ever claimed, over every bill there is."""
    for series in world.rows.scan(Series, ""):
        for bill in world.rows.scan_slots(Bill, int(series.id), 1, 9_999_999_999):
            audit_bill_claims(world, bill)


def audit_bill_claims(world: Province, bill: Bill) -> None:
    """Settled and due are what the claims say; settled and locked stay within the bill."""
    claims = find_claims(world.rows, bill)
    stored = [each.id for each in world.rows.scan(Claim, f"{bill.id}/")]
    assert sorted(stored) == sorted(each.id for each in claims)
    if bill.bill_kind != "blue":
        assert not claims
        return
    for claim in claims:
        audit_claim(claim)
    owners = [(each.reimburser, each.terms.purpose) for each in claims]
    assert len(set(owners)) == len(owners)
    left, amounts, lock = rest(bill), bill.amounts, live_lock(bill, world.at)
    settled, of_cash = amounts.get("settled", 0), amounts.get("settled_cash", 0)
    assert settled == sum(map(counted, claims))
    assert of_cash == sum(counted(each) for each in claims if each.terms.basis == "cash")
    assert amounts.get("due", 0) == sum(each.amounts.get("due", 0) for each in claims)
    locked, locked_cash = (lock.amount, lock.cash) if lock else (0, 0)
    assert 0 <= settled + locked <= left["account"] + left["cash"]
    assert 0 <= of_cash + locked_cash <= left["cash"]
    assert locked_cash <= locked
    if bill.state == "reversed":
        assert (settled, bill.lock, bill.reversing) == (0, None, None)
    now = standing_of(world.rows, bill, world.at)
    assert now.original == now.reversed + now.reimbursed + now.locked + now.left
    assert min(now.left, now.left_cash) >= 0
    audit_plan(world, bill)


def audit_claim(claim: Claim) -> None:
    amounts = claim.amounts
    assert min(amounts.values(), default=0) >= 0
    assert counted(claim) >= 0
    due = amounts.get("due", 0)
    states = {"rejected": not amounts, "due": due > 0, "settled": not due}
    assert states[claim.state]
    assert claim.good == (claim.state == "settled")
    assert (claim.terms.benefit == "fixed") == ("fixed" in amounts) or claim.state == "rejected"


def audit_plan(world: Province, bill: Bill) -> None:
    """C6: shares that are ready hold exactly what they will settle."""
    plan, lock = find_plan(world.rows, bill.id), live_lock(bill, world.at)
    assert plan is not None or not bill.plan
    if lock is None or lock.who != plan_claimant(bill.id):
        return
    assert plan is not None
    ready = [each for each in plan.shares if each.state == "ready" and each.terms is not None]
    assert 0 < len(ready) < len(plan.shares)
    counted_ = [each for each in ready if each.terms and each.terms.benefit == "indemnity"]
    assert lock.amount == sum(each.amount for each in counted_)
