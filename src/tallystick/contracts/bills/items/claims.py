"""What the actions of reimbursers are told, and the two steps of a reversal that meets a lock.

Invariant: no field can hold a name, a text or anything else that is about a person.
See docs/spec/contracts/bills-claims.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.contracts.bills.items.bills import OfBill
from tallystick.contracts.bills.items.holders import Act, SaidOfBill
from tallystick.contracts.bills.records.bills import BillId
from tallystick.contracts.bills.records.claims import CLAIMS_MAX, SHARES_MAX, Terms
from tallystick.contracts.bills.records.holders import Opening
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import Amount, Count, Digest, Instant, Nonce, OrgId, Word

Ordinal = Annotated[int, Meta(ge=0, lt=CLAIMS_MAX)]


class OfClaim(Item):
    """Base: names a lock of the sender's."""

    bill: BillId
    claim: Nonce
    """The reimburser's own random number for this claim: who has it owns the lock."""
    terms: Terms


class Lock(OfClaim):
    """``bills.lock/1``, by a reimburser."""

    amount: Amount
    until: Instant
    opening: Opening | None = None
    """With a mandate: shows that the bill is covered."""
    paper: BillId | None = None
    """The live paper form that was presented, where the type asks for it."""


class Renew(OfClaim):
    """``bills.renew/1``: the lock stands until a later instant, if its right still does."""

    until: Instant
    opening: Opening | None = None


class ReleaseLock(OfClaim):
    """``bills.release_lock/1``: nothing is settled, the money is free again."""

    reason: Word


class Reject(OfClaim):
    """``bills.reject/1``: the claim is answered with no."""

    decision: Digest
    reason: Word


class Settle(OfClaim):
    """``bills.settle/1``: the claim is answered with an amount, 0 with a reason; ends the lock."""

    amount: Amount
    decision: Digest
    reason: Word | None = None


class SettledBefore(Settle):
    """``bills.settled_before/1``: while a bill is reversing, proves an earlier payment."""

    paid_at: Instant


class Supplement(Item):
    """``bills.supplement/1``: more on a claim that is settled, under the same caps."""

    bill: BillId
    ordinal: Ordinal
    amount: Amount
    decision: Digest
    terms: Terms
    opening: Opening | None = None


class ClawBack(Item):
    """``bills.claw_back/1``: what was due back came back, or is waived."""

    bill: BillId
    ordinal: Ordinal
    amount: Amount
    how: Literal["recovered", "waived"]
    decision: Digest


class PlannedShare(Record):
    """A place in a plan that is proposed."""

    reimburser: OrgId
    purpose: Word
    rank: Annotated[int, Meta(ge=1, le=SHARES_MAX)]


class SaidPlan(SaidOfBill):
    """The order in which a bill is to be reimbursed."""

    version: Count = 0
    """Of the plan that it replaces, as the sender saw it; 0: there is none. So no relay can bring
    an old plan back."""
    mode: Literal["sequential", "atomic"]
    shares: Annotated[list[PlannedShare], Meta(min_length=1, max_length=SHARES_MAX)]
    until: Instant | None = None
    """Atomic: all are ready before it, or nothing is settled. Sequential: no rank counts from here
    on; None: as late as a lock could end."""


class MakePlan(Item):
    """``bills.plan/1``, by the holder, or without `act` by the issuer; replaces an idle one."""

    said: SaidPlan
    act: Act | None = None


class OfShare(Item):
    """Base: names the sender's place in a bill's plan."""

    bill: BillId
    purpose: Word


class AcceptPlan(OfShare):
    """``bills.accept_plan/1``: the sender keeps to its rank."""


class WaiveShare(OfShare):
    """``bills.waive_share/1``: the others need not wait; ends an atomic plan."""

    reason: Word


class ReadyShare(OfShare):
    """``bills.ready/1``: of an atomic plan; the last one settles all."""

    amount: Amount
    terms: Terms
    decision: Digest
    reason: Word | None = None
    opening: Opening | None = None
    paper: BillId | None = None


class RequestReversal(OfBill):
    """``bills.reversal_request/1``, by the issuer: nothing is settled or locked from here on."""


class CancelReversal(OfBill):
    """``bills.cancel_reversal/1``, by the issuer."""
