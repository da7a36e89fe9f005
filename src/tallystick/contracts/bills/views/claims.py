"""What may be asked about reimbursement: claims, locks, plans, and what is due back.

Invariant: what a bill's row says is settled and due is what its claims add up to.
See docs/spec/contracts/bills-claims.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.contracts.bills.records.bills import (
    Bill,
    BillId,
    live_lock,
    rest,
    room,
)
from tallystick.contracts.bills.records.claims import Claim, Plan, claim_id, counted, plan_id
from tallystick.contracts.bills.views.bills import find_bill, list_bills
from tallystick.contracts.kit.context import Reader
from tallystick.protocol.canonical import Record
from tallystick.protocol.errors import Damaged
from tallystick.protocol.row import row_key
from tallystick.protocol.values import Amount, Count, Instant


class Standing(Record, kw_only=True):
    """A bill's numbers 分割单: what was borne, what came back so far, what is left. No names."""

    bill: BillId
    original: Amount
    """Borne by the holder as issued: account and cash."""
    original_cash: Amount
    reversed: Amount = 0
    """Of that, what red bills took off."""
    reimbursed: Amount = 0
    due: Amount = 0
    """Reimbursed, and due back after a reversal: no part of `reimbursed`."""
    locked: Amount = 0
    locked_until: Instant | None = None
    left: Amount = 0
    """What the next may claim, out of cash and account."""
    left_cash: Amount = 0
    """And out of cash alone."""


class Outstanding(Record):
    """What one reimburser has to get back, over all its claims."""

    reimburser: str
    claims: Count = 0
    due: Amount = 0
    recovered: Amount = 0
    waived: Amount = 0


def find_claims(reader: Reader, bill: Bill) -> list[Claim]:
    """The claims of a bill, by ordinal."""
    found = []
    for ordinal in range(bill.claims):
        name = claim_id(bill.id, ordinal)
        claim = reader.get(row_key(Claim.KIND, name), Claim)
        if claim is None:
            raise Damaged(f"bill {bill.id} has {bill.claims} claims, but there is no {name}")
        found.append(claim)
    return found


def find_plan(reader: Reader, bill_id: str) -> Plan | None:
    """The plan of a bill, whether it still counts or not; None: there was never one."""
    return reader.get(row_key(Plan.KIND, plan_id(bill_id)), Plan)


def find_case(reader: Reader, org: str, case: bytes) -> Iterator[tuple[Bill, Claim]]:
    """The bills and claims of one case of a reimburser's, by bill."""
    for claim in list_claims(reader, org):
        if claim.terms.case == case:
            bill = find_bill(reader, bill_of(claim))
            if bill is None:
                raise Damaged(f"claim {claim.id} is of no bill")
            yield bill, claim


def list_claims(reader: Reader, org: str | None = None, code: int | None = None) -> Iterator[Claim]:
    """Claims of a reimburser or of all, on bills of a code or of all, by bill."""
    for claim in reader.scan(Claim, "" if code is None else f"{code}:"):
        if org in (None, claim.reimburser):
            yield claim


def bill_of(claim: Claim) -> BillId:
    """The bill that a claim is on."""
    return claim.id.partition("/")[0]


def list_locked(reader: Reader, code: int, now: int) -> Iterator[Bill]:
    """Bills of a code on which a lock stands at `now` (unix seconds), by number."""
    for bill in list_bills(reader, code):
        if live_lock(bill, now) is not None:
            yield bill


def list_outstanding(reader: Reader) -> list[Outstanding]:
    """What is due back, or was, for each reimburser, by name."""
    found: dict[str, Outstanding] = {}
    for claim in list_claims(reader):
        amounts = claim.amounts
        if not any(amounts.get(name) for name in ("due", "recovered", "waived")):
            continue
        org = claim.reimburser
        so_far = found.get(org, Outstanding(reimburser=org))
        found[org] = Outstanding(
            reimburser=org,
            claims=so_far.claims + 1,
            due=so_far.due + amounts.get("due", 0),
            recovered=so_far.recovered + amounts.get("recovered", 0),
            waived=so_far.waived + amounts.get("waived", 0),
        )
    return [found[org] for org in sorted(found)]


def standing_of(reader: Reader, bill: Bill, now: int) -> Standing:
    """A bill's numbers at `now`, checked against its claims."""
    amounts, left, lock = bill.amounts, rest(bill), live_lock(bill, now)
    claims = find_claims(reader, bill)
    settled, due = sum(map(counted, claims)), sum(each.amounts.get("due", 0) for each in claims)
    if (settled, due) != (amounts.get("settled", 0), amounts.get("due", 0)):
        raise Damaged(f"of bill {bill.id} the claims are {settled} settled and {due} due")
    free = room(bill, now)
    borne = amounts["account"] + amounts["cash"]
    return Standing(
        bill=bill.id,
        original=borne,
        original_cash=amounts["cash"],
        reversed=borne - left["account"] - left["cash"],
        reimbursed=amounts.get("settled", 0),
        due=due,
        locked=lock.amount if lock else 0,
        locked_until=lock.until if lock else None,
        left=free["cash_account"],
        left_cash=free["cash"],
    )
