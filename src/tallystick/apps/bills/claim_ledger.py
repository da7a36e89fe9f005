"""What the ledger says of a reimburser's own claims: its locks, its answers, what is due back.

Invariant: a state that the book takes over from here follows from rows that were checked against
the ledger's head. See docs/guides/reimburser.md.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tallystick.apps.bills.claim_book import Kept
from tallystick.contracts.bills.actions.claiming import STATUTE_ACTION
from tallystick.contracts.bills.records.bills import (
    Bill,
    ClaimRules,
    live_lock,
    parse_bill_id,
    room,
)
from tallystick.contracts.bills.records.claims import (
    Claim,
    claim_id,
    claimant,
)
from tallystick.contracts.bills.views.bills import find_bill, find_type
from tallystick.contracts.bills.views.claims import find_plan
from tallystick.contracts.kit.context import Reader
from tallystick.contracts.kit.grants import find_grant
from tallystick.protocol.errors import Rejected
from tallystick.protocol.row import row_key

ANSWERED = ("settled", "rejected")


def find_own(reader: Reader, org: str, bill: Bill, purpose: str) -> tuple[int, Claim] | None:
    """The claim that `org` answered for a purpose, and its ordinal."""
    for ordinal in range(bill.claims):
        row = _find_readable(reader, claim_id(bill.id, ordinal))
        if row is not None and (row.reimburser, row.terms.purpose) == (org, purpose):
            return ordinal, row
    return None


def _find_readable(reader: Reader, name: str) -> Claim | None:
    """A claim; of a ledger far away None for another's, which it does not show us."""
    try:
        return reader.get(row_key(Claim.KIND, name), Claim)
    except Rejected:
        return None


def as_answered(ordinal: int, row: Claim) -> dict[str, Any]:
    """Columns of the book, as a claim's row on the ledger has them."""
    amounts = row.amounts
    return {
        "state": "rejected" if row.state == "rejected" else "settled",
        "ordinal": ordinal,
        "decision": row.decision,
        "reason": row.reason,
        **{
            name: amounts.get(name, 0)
            for name in ("settled", "fixed", "due", "recovered", "waived")
        },
    }


def is_ours(bill: Bill, org: str, kept: Kept) -> bool:
    """Whether the lock that a bill has is this claim's, live or not."""
    return (
        bill.lock is not None
        and kept.claim is not None
        and bill.lock.who == claimant(kept.claim, org, kept.terms)
    )


def position(
    reader: Reader, org: str, kept: Kept, now: int, *, others: Collection[bytes] = ()
) -> dict[str, Any]:
    """What of a claim the ledger says otherwise than the book: columns to change.

    `others`: decisions of older claims of ours on the same bill, whose row a new claim shares.
    """
    bill = find_bill(reader, kept.bill)
    if bill is None:
        return {}
    if kept.ordinal is not None and kept.state in ANSWERED:
        row = reader.get(row_key(Claim.KIND, claim_id(kept.bill, kept.ordinal)), Claim)
        found = as_answered(kept.ordinal, row) if row is not None else {}
        return found if found.get("state") == kept.state else {}
    if is_ours(bill, org, kept):
        live = live_lock(bill, now)
        return {"state": "locked", "until": live.until} if live else {"state": "expired"}
    own = find_own(reader, org, bill, kept.terms.purpose)
    if own is not None and own[1].terms == kept.terms and own[1].decision not in others:
        return as_answered(*own)
    if kept.state == "ready":
        return _of_share(reader, org, kept, now)
    return {"state": "expired"} if kept.state == "locked" else {}


def _of_share(reader: Reader, org: str, kept: Kept, now: int) -> dict[str, Any]:
    """A share that is ready waits for the others, unless its plan is over."""
    bill, plan = find_bill(reader, kept.bill), find_plan(reader, kept.bill)
    waits = plan is not None and any(
        (each.reimburser, each.purpose, each.state) == (org, kept.terms.purpose, "ready")
        for each in plan.shares
    )
    if plan is None or bill is None or plan.state != "open" or not waits:
        return {"state": "released"}
    return {} if live_lock(bill, now) else {"state": "expired"}


def left_of(bill: Bill, basis: str, now: int) -> tuple[int, str | None]:
    """What can still be claimed on a basis, and when a lock that stands ends by itself."""
    lock = live_lock(bill, now)
    return room(bill, now)[basis], lock.until if lock else None


def claim_rules(reader: Reader, bill_id: str) -> ClaimRules | None:
    """How bills like this one are claimed; None: not at all, or there is none."""
    bill = find_bill(reader, bill_id)
    if bill is None or bill.bill_kind != "blue":
        return None
    kind = find_type(reader, parse_bill_id(bill_id)[0] // 100, bill.type_version)
    return kind.rules.claims if kind else None


def find_statute(reader: Reader, org: str, bill_id: str, now: int) -> str:
    """The id of a live grant by which `org` claims this bill by law, or ``""``."""
    grant = find_grant(reader, org, STATUTE_ACTION, now, parse_bill_id(bill_id)[0])
    return grant.grant_id if grant else ""
