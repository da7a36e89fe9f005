"""Reimbursement: what was settled on a bill, by whom, and who agreed to which order.

A bill's own row has sums alone, and a lock under which nobody but its owner and the keepers can
find a name; who reimbursed stands in rows of their own, one a reimburser and purpose.

Invariant: settled + locked never exceeds what is left of a bill, by basis and overall; what a
reversal takes away under a settlement is due from the last settled first, and tracked to zero.
See docs/spec/contracts/bills-claims.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.protocol.canonical import Meta, Record, encode
from tallystick.protocol.row import Row
from tallystick.protocol.values import Amount, Count, Digest, OrgId, Word, tagged_hash

CLAIMS_MAX = 16
"""Reimbursers and purposes of one bill."""
CLAIMS_EACH_MAX = 6
"""Of one reimburser: none keeps the others out by asking for many purposes."""
SHARES_MAX = 8

Basis = Literal["cash", "cash_account"]
"""Out of which of the holder's money: cash alone, or cash and personal account."""
Benefit = Literal["indemnity", "fixed"]
"""Capped by the bill; or a sum that the policy fixes 定额给付, recorded and not capped."""
Right = Literal["consent", "mandate", "statute"]
RightId = Annotated[
    str,
    Meta(
        pattern=r"\A(founding\.(0|[1-9][0-9]{0,3})"
        r"|[0-9a-f]{64}(\.(0|[1-9][0-9]{0,2})(\.[0-7])?)?)\Z"
    ),
]
"""A `kit.acts.ActId` or a `kit.grants.GrantId`."""

_CLAIMANT_CONTEXT = b"tallystick/claimant/v1\n"
_PLAN_CONTEXT = b"tallystick/plan-lock/v1\n"


class Terms(Record):
    """What a reimburser locks under; repeated in each act on the lock, hidden in `Lock.who`."""

    purpose: Word
    basis: Basis
    benefit: Benefit
    right: Right
    right_id: RightId
    """The consent, the mandate, or the reimburser's grant."""
    case: Digest | None = None
    """A tag of the reimburser's own that many bills of one case share."""


def claimant(claim: bytes, org: str, terms: Terms) -> bytes:
    """`Lock.who`; `claim` is the reimburser's 16 random bytes for this claim."""
    return tagged_hash(_CLAIMANT_CONTEXT, claim, encode([org, terms]))


def plan_claimant(bill_id: str) -> bytes:
    """`Lock.who` where the shares of a bill's plan hold the money."""
    return tagged_hash(_PLAN_CONTEXT, bill_id.encode())


class Claim(Row, kw_only=True):
    """What one reimburser settled on one bill for one purpose; id `claim_id`.

    Amounts: `settled` in all, `due` back, `recovered`, `waived`, `fixed`. State ``settled``,
    ``due`` (something is due back), ``rejected``. `good`: settled, and nothing due.
    """

    KIND = "bills.claim"

    reimburser: OrgId
    terms: Terms
    decision: Digest
    """Of the reimburser's own papers."""
    reason: Word | None = None
    """Why nothing, or not all, was paid; why it was rejected."""
    supplements: Count = 0
    settled_index: Count = 0
    """Log index of its first settlement: what a reversal takes away is due from the last first."""


def counted(claim: Claim) -> int:
    """How much of the bill's money a claim stands for: settled, less all that was taken back."""
    amounts = claim.amounts
    settled = amounts.get("settled", 0)
    return settled - sum(amounts.get(name, 0) for name in ("due", "recovered", "waived"))


def claim_id(bill_id: str, ordinal: int) -> str:
    """The id of a `Claim`: ordinals ascend in the order of the first answers."""
    return f"{bill_id}/{ordinal}"


class Share(Record):
    """One reimburser's place in a plan."""

    reimburser: OrgId
    purpose: Word
    rank: Annotated[int, Meta(ge=1, le=SHARES_MAX)]
    state: Literal["named", "accepted", "waived", "ready"]
    amount: Amount = 0
    terms: Terms | None = None
    decision: Digest | None = None
    """Ready: what will be settled together."""
    reason: Word | None = None
    """Ready: why nothing is paid."""


class Plan(Row, kw_only=True):
    """The order of those who reimburse one bill; id `plan_id`. `until`: when it is over.

    A rank counts only for who accepted it. Atomic: the last share that is ready settles all.
    State ``open``, ``settled``, ``ended`` (a share of an atomic one was waived).
    """

    KIND = "bills.plan"

    mode: Literal["sequential", "atomic"]
    shares: Annotated[list[Share], Meta(min_length=1, max_length=SHARES_MAX)]


def plan_id(bill_id: str) -> str:
    """The id of the one `Plan` of a bill."""
    return f"{bill_id}/plan"
