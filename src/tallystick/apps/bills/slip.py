"""The split slip 分割单: what of a bill is reimbursed and what is left, for whoever comes next.

It is the proof of the bill's row, with its sums in plain words beside it. It names no line of the
bill and nobody who reimbursed. See docs/spec/presentation.md.

Invariant: what a slip says follows from the row that it proves, to the fen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tallystick.apps.bills.rights import Against, bill_against, stale_against, typed_row
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    Bill,
    BillId,
    live_lock,
    parse_bill_id,
    rest,
    room,
)
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.contracts.kit.context import slot_key
from tallystick.ledger.receipts import state_document
from tallystick.ledger.view import View
from tallystick.protocol.canonical import Record, decode, encode
from tallystick.protocol.errors import Malformed, Rejected, VerificationFailed
from tallystick.protocol.receipt import RECEIPT_BYTES_MAX, StateDocument
from tallystick.protocol.row import row_key
from tallystick.protocol.trust import TrustPolicy
from tallystick.protocol.values import Amount, Currency, Instant, SignedAmount, parse_instant
from tallystick.verify import Verdict, Verified, Verifier


class Sums(Record):
    """A bill's money in minor units, at the time of the block that the slip proves."""

    currency: Currency
    total: Amount
    account: Amount = 0
    cash: Amount = 0
    """As issued; the holder's own part is account and cash."""
    reversed: Amount = 0
    """Of the total."""
    settled: Amount = 0
    """Reimbursed out of account and cash, by all together."""
    settled_cash: Amount = 0
    """Of that, what only cash covers."""
    due: Amount = 0
    """Still to come back after a reversal."""
    locked: Amount = 0
    """Held for a claim that is not answered yet."""
    locked_until: Instant | None = None
    left_cash: SignedAmount = 0
    """What the next one may claim on the basis of cash."""
    left_cash_account: SignedAmount = 0
    """And on that of cash and account, which includes it."""


class SplitSlip(Record):
    """The file."""

    format: Literal["tallystick/split-slip/v1"]
    bill: BillId
    sums: Sums
    state: StateDocument


@dataclass(frozen=True, slots=True)
class Slip:
    """A slip that is true; `against`: why nothing should be settled on it, the first counts."""

    bill: Bill
    sums: Sums
    verified: Verified
    against: tuple[Against, ...]

    @property
    def verdict(self) -> Verdict:
        """Good, or what speaks against it."""
        return self.against[0].verdict if self.against else Verdict.GOOD


def make_slip(view: View, note: bytes, bill_id: str) -> bytes:
    """The slip of a bill at the head, whose checkpoint `note` is."""
    bill = find_bill(view, bill_id)
    if bill is None or bill.bill_kind != "blue":
        raise Rejected(BillsReason.BILL_UNKNOWN, f"no blue bill {bill_id}", path="bill")
    key = slot_key(*parse_bill_id(bill_id))
    document = state_document(view.state_proof(key, row_key(Bill.KIND, bill_id)), note)
    sums = sums_of(bill, view.head.at)
    return encode(
        SplitSlip(format="tallystick/split-slip/v1", bill=bill_id, sums=sums, state=document)
    )


def sums_of(bill: Bill, at: int) -> Sums:
    """What a blue bill's row says of its money at `at` (Unix seconds)."""
    amounts, left, lock = bill.amounts, room(bill, at), live_lock(bill, at)
    return Sums(
        currency=bill.currency or "",
        total=amounts["total"],
        account=amounts["account"],
        cash=amounts["cash"],
        reversed=amounts["total"] - rest(bill)["total"],
        settled=amounts.get("settled", 0),
        settled_cash=amounts.get("settled_cash", 0),
        due=amounts.get("due", 0),
        locked=lock.amount if lock else 0,
        locked_until=lock.until if lock else None,
        left_cash=left["cash"],
        left_cash_account=left["cash_account"],
    )


def read_slip(data: bytes) -> SplitSlip:
    """Read a slip's one encoding; `Malformed` otherwise. Nothing is verified yet."""
    if len(data) > RECEIPT_BYTES_MAX:
        raise Malformed(f"slip has {len(data)} bytes, more than {RECEIPT_BYTES_MAX}")
    return decode(data, SplitSlip)


def verify_slip(
    data: bytes, policy: TrustPolicy, *, now: int, checkpoint: bytes | None = None
) -> Slip:
    """What a slip proves: `Malformed`, `VerificationFailed`, or the sums and how good they are."""
    slip = read_slip(data)
    found = Verifier(policy, checkpoint).state(encode(slip.state), now=now)
    bill = typed_row(found, Bill, slip.bill, "state")
    if bill.bill_kind != "blue":
        raise VerificationFailed(f"a {bill.bill_kind} number is not reimbursed", path="bill")
    sums = sums_of(bill, parse_instant(slip.state.state.block_leaf.at))
    if sums != slip.sums:
        raise VerificationFailed("the sums are not those of the row", path="sums")
    against = bill_against(found, bill) + stale_against(found, policy, now)
    return Slip(bill, sums, found, tuple(against))
