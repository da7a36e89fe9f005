"""What a reimburser's desk is asked to do, and what it answers.

Invariant: an order says all that its item needs, or names a claim of the book that does.
See docs/guides/reimburser.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tallystick.apps.bills.claim_book import Kept
from tallystick.contracts.bills.items import claims as items
from tallystick.contracts.bills.records.claims import Basis, Benefit, Right, Terms
from tallystick.contracts.bills.records.holders import Opening
from tallystick.contracts.bills.views.claims import Standing
from tallystick.protocol.transaction import Item

SCHEMAS: dict[str, type[Item]] = {
    "bills.lock/1": items.Lock,
    "bills.renew/1": items.Renew,
    "bills.release_lock/1": items.ReleaseLock,
    "bills.reject/1": items.Reject,
    "bills.settle/1": items.Settle,
    "bills.settled_before/1": items.SettledBefore,
    "bills.supplement/1": items.Supplement,
    "bills.claw_back/1": items.ClawBack,
    "bills.accept_plan/1": items.AcceptPlan,
    "bills.waive_share/1": items.WaiveShare,
    "bills.ready/1": items.ReadyShare,
}

UNKNOWN = "desk.claim_unknown"
"""The book has no such claim."""
STATE = "desk.claim_state"
"""The claim is not in a state in which this can be done."""
OPEN = "desk.claim_open"
"""The book has an open claim on this bill for this purpose, for another amount or other terms."""
TWICE = "desk.claim_twice"
"""It stands twice in what was handed in together."""
CASE_SIZE = "desk.case_size"
"""A case has more bills than one transaction holds, so it cannot be done all or nothing."""
MALFORMED = "desk.malformed"
"""A field is out of bounds or has no such form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOrder:
    """Take hold of money of a bill. Minor units."""

    bill: str
    purpose: str
    amount: int
    right: Right
    right_id: str = ""
    """The consent, the mandate, or one's own grant; with a statute the desk finds it."""
    basis: Basis = "cash"
    benefit: Benefit = "indemnity"
    until: str | None = None
    """None: as long as the type of the bill allows."""
    opening: Opening | None = None
    """With a mandate: as the holder's wallet or the issuer delivered it."""
    paper: str | None = None
    case: str = ""
    """One's own name of a case; bills of a case are locked all or none."""
    ref: str = ""
    """One's own name of this claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyOrder(LockOrder):
    """Be ready to settle a share of an atomic plan."""

    decision: bytes
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Renewal:
    """Let a lock stand longer."""

    claim: int
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Let a lock go."""

    claim: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """Answer a claim with no."""

    claim: int
    reason: str
    decision: bytes


@dataclass(frozen=True, slots=True)
class Settlement:
    """Answer a claim with an amount; nothing needs a reason."""

    claim: int
    amount: int
    decision: bytes
    reason: str | None = None
    paid_at: str | None = None
    """While a bill is reversing: when it was paid, before its issuer asked to reverse."""


@dataclass(frozen=True, slots=True)
class Addition:
    """Pay more on a claim that is settled."""

    claim: int
    amount: int
    decision: bytes
    right: Right | None = None
    """None: under the right of the claim."""
    right_id: str = ""
    opening: Opening | None = None


@dataclass(frozen=True, slots=True)
class Return:
    """Money that was due back came, or is waived."""

    claim: int
    amount: int
    how: Literal["recovered", "waived"]
    decision: bytes


@dataclass(frozen=True, slots=True)
class ShareOrder:
    """One's own place in a bill's plan."""

    bill: str
    purpose: str
    reason: str = ""
    """Why it is waived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one order."""

    outcome: str
    """``accepted``, or the reason why not."""
    bill: str = ""
    claim: int | None = None
    """Its id in the book."""
    state: str = ""
    """As the book has it now."""
    amount: int | None = None
    until: str | None = None
    """Of a lock that stands: its end."""
    entry: int | None = None
    tx_id: str = ""
    n: int = 0
    path: str = ""
    detail: str = ""
    left: int | None = None
    """Of a refused lock: what can still be claimed on its basis."""
    locked_until: str | None = None
    """Of a refused lock: when another's lock ends by itself. Whose it is, nobody is told."""
    repeated: bool = False
    """It was done before; nothing was sent."""

    @property
    def accepted(self) -> bool:
        """Whether the ledger has it."""
        return self.outcome == "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversing:
    """A lock of ours on a bill that its issuer wants to reverse."""

    kept: Kept
    asked_at: str
    deadline: str
    """Release it, or prove an earlier payment, before then; after it the lock is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillSeen:
    """A bill as who reimburses may know it: its money in sums, no lines and no names."""

    state: str
    currency: str
    reversing: str | None
    """Its issuer wants to reverse it: until then locks may be answered for."""
    standing: Standing
    claims: list[Kept] = field(default_factory=list)
    """One's own."""


def amount_of(item: Item) -> int | None:
    """The money that an item speaks of."""
    amount = getattr(item, "amount", None)
    return amount if isinstance(amount, int) else None


def decision_of(item: Item) -> bytes | None:
    """The decision that an item rests on."""
    decision = getattr(item, "decision", None)
    return decision if isinstance(decision, bytes) else None


def terms_of(order: LockOrder, right_id: str, case_tag: bytes | None) -> Terms:
    """The terms of a lock."""
    return Terms(
        purpose=order.purpose,
        basis=order.basis,
        benefit=order.benefit,
        right=order.right,
        right_id=right_id,
        case=case_tag,
    )
