"""What the outcome of an item changes in a reimburser's book.

Invariant: what was accepted is written down as the ledger's rows have it. See
docs/guides/reimburser.md.
"""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

from tallystick.apps.bills import claim_ledger
from tallystick.apps.bills.claim_book import ClaimBook, Kept, NewClaim
from tallystick.apps.bills.claim_orders import Answer, amount_of
from tallystick.contracts.bills.items import claims as items
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.ledger.view import Reading
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.transaction import Item

_LOCK_IS_GONE = (BillsReason.LOCK_EXPIRED.value, BillsReason.LOCK_NOT_OWNER.value)


class Noting:
    """Says what is to be written, for one book."""

    def __init__(self, book: ClaimBook) -> None:
        self._book = book

    def claim_of(self, item: Item) -> int | None:
        """The claim that an item is about; of a book that was restored it may be new."""
        kept: Kept | None = None
        if isinstance(item, items.OfClaim):
            kept = self._book.by_nonce(item.claim)
            if kept is None:
                kept = self._book.open_of(item.bill, item.terms.purpose)
                if kept is None:
                    return self._book.add(_claimed(item))
                if kept.state == "prepared":  # its nonce was never sent, this one was
                    self._book.change(kept.id, {"claim": item.claim, "terms": item.terms})
        elif isinstance(item, items.Supplement | items.ClawBack):
            kept = self._book.by_ordinal(item.bill, item.ordinal)
        elif isinstance(item, items.ReadyShare):
            kept = self._book.open_of(item.bill, item.purpose)
        return kept.id if kept else None

    def changes(
        self, view: Reading, now: int, item: Item, kept: Kept, outcome: str
    ) -> dict[str, Any]:
        """The columns of the claim that an item's outcome changes."""
        if outcome != ACCEPTED:
            return self._of_refusal(view, now, item, kept, outcome)
        said: dict[str, Any] = {}
        match item:
            case items.Lock():
                amount, until = item.amount, item.until
                said = {"state": "locked", "amount": amount, "until": until, "reason": None}
            case items.Renew():
                said = {"until": item.until}
            case items.ReleaseLock():
                said = {"state": "released", "reason": item.reason}
            case items.ReadyShare():
                said = {"state": "ready", "decision": item.decision}
                said |= self._answered(view, kept, item.decision)
            case items.Supplement():
                said = {"terms": item.terms} | self._answered(view, kept, None)
            case items.Reject() | items.Settle() | items.ClawBack():
                said = self._answered(view, kept, None)
        return said

    def position(self, view: Reading, now: int, kept: Kept) -> dict[str, Any]:
        """What the ledger says of a claim."""
        others = [
            each.decision
            for each in (self._book.of_bill(kept.bill) if kept.ordinal is None else ())
            if each.id != kept.id
            and each.decision is not None
            and each.terms.purpose == kept.terms.purpose
        ]
        return claim_ledger.position(view, self._book.org, kept, now, others=others)

    def _answered(self, view: Reading, kept: Kept, decision: bytes | None) -> dict[str, Any]:
        """The claim's row on the ledger; with `decision` only where it is that one."""
        bill = find_bill(view, kept.bill)
        own = (
            claim_ledger.find_own(view, self._book.org, bill, kept.terms.purpose) if bill else None
        )
        if own is None or decision not in (None, own[1].decision):
            return {}
        return claim_ledger.as_answered(*own)

    def _of_refusal(
        self, view: Reading, now: int, item: Item, kept: Kept, outcome: str
    ) -> dict[str, Any]:
        if not isinstance(item, items.Lock | items.ReadyShare):
            return self.position(view, now, kept) if outcome in _LOCK_IS_GONE else {}
        if kept.state not in ("prepared", "refused"):
            return {}
        said = self.position(view, now, kept)
        if said.get("state") == "locked":  # it is there already: by an earlier transaction
            return said
        return {"state": "refused", "reason": outcome}


def with_left(view: Reading, now: int, item: Item, answer: Answer) -> Answer:
    """A lock that is refused is told what is left and until when; never whose the lock is."""
    if not isinstance(item, items.Lock | items.ReadyShare):
        return answer
    bill = find_bill(view, item.bill)
    if bill is None or bill.bill_kind != "blue":
        return answer
    left, until = claim_ledger.left_of(bill, item.terms.basis, now)
    return changed(answer, left=left, locked_until=until)


def _claimed(item: items.OfClaim) -> NewClaim:
    """A claim that the book lacks, as its own pending item has it."""
    return NewClaim(
        claim=item.claim,
        bill=item.bill,
        terms=item.terms,
        ref="",
        amount=amount_of(item) or 0,
        until=getattr(item, "until", None),
        opening=getattr(item, "opening", None),
        paper=getattr(item, "paper", None),
    )
