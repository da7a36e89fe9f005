"""What becomes of a reimburser's claims without an act of its own: read, and written into its book.

Needs no key: it sends nothing.

Invariant: the book follows the ledger, never the other way. See docs/guides/reimburser.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace as changed
from typing import Any

from tallystick.apps.bills import claim_ledger
from tallystick.apps.bills.claim_book import OPEN, ClaimBook, Kept, NewClaim, State
from tallystick.apps.bills.claim_noting import Noting
from tallystick.apps.bills.claim_orders import BillSeen, Reversing
from tallystick.contracts.bills.records.bills import live_lock
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.contracts.bills.views.claims import list_claims, standing_of
from tallystick.ledger.view import Reading

ViewFactory = Callable[[], AbstractContextManager[Reading]]


class Watch:
    """One reimburser's book beside a ledger."""

    def __init__(self, book: ClaimBook, *, view: ViewFactory, clock: Callable[[], int]) -> None:
        """`clock`: Unix seconds."""
        self.book = book
        self.org = book.org
        self._view = view
        self._clock = clock
        self._noting = Noting(book)

    def refresh(self, states: Sequence[State] = (*OPEN, "settled")) -> list[Kept]:
        """Take over what the ledger says of the claims in these states: those that changed."""
        found: list[tuple[Kept, dict[str, Any]]] = []
        with self._view() as view:
            now = max(self._clock(), view.head.at)
            for kept in self.book.each_in(states):
                said = self._noting.position(view, now, kept)
                new = {name: value for name, value in said.items() if getattr(kept, name) != value}
                if new:
                    found.append((kept, new))
        if found:
            with self.book.transaction():
                for kept, new in found:
                    self.book.change(kept.id, new)
        return [changed(kept, **new) for kept, new in found]

    def recover(self) -> list[Kept]:
        """Take answered claims of ours into the book that it lacks: after a loss of the book."""
        found: list[int] = []
        with self._view() as view, self.book.transaction():
            for row in list_claims(view, self.org):
                bill, _, ordinal = row.id.rpartition("/")
                if self.book.by_ordinal(bill, int(ordinal)) is not None:
                    continue
                said = claim_ledger.as_answered(int(ordinal), row) | {"entry": row.entry}
                new = NewClaim(
                    claim=None,
                    bill=bill,
                    terms=row.terms,
                    ref="",
                    amount=said["settled"] + said["fixed"],
                    until=None,
                    opening=None,
                    paper=None,
                )
                found.append(self.book.add(new, said["state"]))
                self.book.change(found[-1], said)
        return [kept for each in found if (kept := self.book.get(each)) is not None]

    def due(self) -> list[Kept]:
        """Settled claims of which reversals made something due back."""
        self.refresh(("settled",))
        return self.book.owing()

    def answer_reversals(self) -> list[Reversing]:
        """Locks of ours on bills that their issuers want to reverse, the most urgent first."""
        found = []
        with self._view() as view:
            now = max(self._clock(), view.head.at)
            for kept in self.book.each_in(("locked",)):
                bill = find_bill(view, kept.bill)
                if bill is None or bill.reversing is None or live_lock(bill, now) is None:
                    continue
                if claim_ledger.is_ours(bill, self.org, kept):
                    asked = bill.reversing_since or ""
                    found.append(Reversing(kept=kept, asked_at=asked, deadline=bill.reversing))
        return sorted(found, key=lambda each: (each.deadline, each.kept.id))

    def show(self, bill: str) -> BillSeen:
        """A bill's money, and one's own claims on it. `KeyError`: there is no such bill."""
        with self._view() as view:
            row = find_bill(view, bill)
            if row is None or row.bill_kind != "blue":
                raise KeyError(f"there is no bill {bill}")
            standing = standing_of(view, row, max(self._clock(), view.head.at))
        return BillSeen(
            state=row.state,
            currency=row.currency or "",
            reversing=row.reversing,
            standing=standing,
            claims=self.book.of_bill(bill),
        )
