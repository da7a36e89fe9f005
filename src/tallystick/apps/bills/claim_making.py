"""Orders of a reimburser made into items, each with the claim of the book that it belongs to.

Invariant: an open claim is asked for again with its own nonce, never with a second one.
See docs/guides/reimburser.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tallystick.apps.bills.claim_book import REF_CHARS_MAX, ClaimBook, Kept, NewClaim
from tallystick.apps.bills.claim_ledger import claim_rules, find_statute
from tallystick.apps.bills.claim_orders import (
    MALFORMED,
    OPEN,
    STATE,
    UNKNOWN,
    Addition,
    Answer,
    LockOrder,
    ReadyOrder,
    Rejection,
    Release,
    Renewal,
    Return,
    Settlement,
    ShareOrder,
    terms_of,
)
from tallystick.apps.bills.sending import new_nonce
from tallystick.contracts.bills.items import claims as items
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import BillId
from tallystick.ledger.view import Reading
from tallystick.protocol.canonical import narrow, replace
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Malformed
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import format_instant

CLOCK_SECONDS = 60
"""How far our clock may be ahead of the ledger's when the longest lock is asked for."""


@dataclass(slots=True)
class Made:
    """An item, and the claim that it is about."""

    item: Item
    kept: Kept | None = None
    new: NewClaim | None = None
    """To be kept before the item is sent, in the place of `kept` if there is one."""
    case: bytes | None = None
    position: int = 0
    size: int = 0
    claim: int | None = None
    """The id of the claim in the book."""

    @property
    def about(self) -> tuple[str, str, int]:
        """What no two items of one batch may be about."""
        if self.kept is not None:
            return "claim", "", self.kept.id
        purpose = self.new.terms.purpose if self.new else getattr(self.item, "purpose", "")
        return self.new.bill if self.new else getattr(self.item, "bill", ""), purpose, 0


class Making:
    """Makes items for one organisation out of its book and the ledger."""

    def __init__(self, book: ClaimBook, clock: Callable[[], int]) -> None:
        self._book = book
        self._org = book.org
        self._clock = clock

    # ------------------------------------------------------------------------ new claims

    def lock(self, view: Reading, order: LockOrder) -> Made | Answer:
        """A lock under a new claim, or under the one that was kept and never sent."""
        made = self._new(view, order, new_nonce())
        if isinstance(made, Answer) or made.new is None or made.new.claim is None:
            return made
        new = made.new
        made.item = items.Lock(
            nonce=new_nonce(),
            bill=new.bill,
            claim=new.claim or b"",
            terms=new.terms,
            amount=new.amount,
            until=new.until or "",
            opening=new.opening,
            paper=new.paper,
        )
        return made

    def ready(self, view: Reading, order: ReadyOrder) -> Made | Answer:
        """A share of an atomic plan; the plan holds the lock, so it has no nonce."""
        made = self._new(view, order, None)
        if isinstance(made, Answer) or made.new is None:
            return made
        new = made.new
        made.item = items.ReadyShare(
            nonce=new_nonce(),
            bill=new.bill,
            purpose=new.terms.purpose,
            amount=new.amount,
            terms=new.terms,
            decision=order.decision,
            reason=order.reason,
            opening=new.opening,
            paper=new.paper,
        )
        return made

    def _new(self, view: Reading, order: LockOrder, nonce: bytes | None) -> Made | Answer:
        try:
            bill = narrow(order.bill, BillId)
        except Malformed as error:
            return Answer(outcome=MALFORMED, bill=order.bill, path="bill", detail=error.detail)
        if len(order.ref) > REF_CHARS_MAX:
            detail = f"more than {REF_CHARS_MAX} characters"
            return Answer(outcome=MALFORMED, bill=bill, path="ref", detail=detail)
        now = max(self._clock(), view.head.at)
        known = self._book.open_of(bill, order.purpose)
        right_id = order.right_id
        if not right_id and order.right == "statute":
            under_way = known if known and known.state != "prepared" else None
            right_id = (
                under_way.terms.right_id if under_way else find_statute(view, self._org, bill, now)
            )
        if not right_id:
            return Answer(
                outcome=BillsReason.CLAIM_CONSENT.value,
                bill=bill,
                path="right_id",
                detail=f"which {order.right}?",
            )
        terms = terms_of(order, right_id, self._book.case_tag(order.case) if order.case else None)
        if known is not None and known.state != "prepared":
            return _again(known, (known.terms, known.amount) == (terms, order.amount))
        claim = known.claim if known is not None and known.claim is not None else nonce
        new = NewClaim(
            claim=claim if nonce is not None else None,
            bill=bill,
            terms=terms,
            ref=order.ref,
            amount=order.amount,
            until=None if nonce is None else order.until or self._longest(view, bill, now),
            opening=order.opening,
            paper=order.paper,
        )
        return Made(Item(nonce=new_nonce()), known, new, terms.case)

    def _longest(self, view: Reading, bill: str, now: int) -> str:
        """The end of the longest lock that the bill's type allows."""
        rules = claim_rules(view, bill)
        seconds = rules.lock_seconds_max if rules else CLOCK_SECONDS
        return format_instant(now + max(seconds - CLOCK_SECONDS, seconds // 2, 1))

    # ------------------------------------------------------------------ on claims at hand

    def renew(self, view: Reading, order: Renewal) -> Made | Answer:
        """A later end of a lock."""
        kept = self._held(order.claim)
        if isinstance(kept, Answer):
            return kept
        now = max(self._clock(), view.head.at)
        until = order.until or self._longest(view, kept.bill, now)
        if kept.until is not None and kept.until == until:
            return _again(kept, True)
        return self._on(kept, items.Renew, until=until, opening=kept.opening)

    def release(self, view: Reading, order: Release) -> Made | Answer:
        """The end of a lock."""
        kept = self._held(order.claim, done="released")
        return (
            kept
            if isinstance(kept, Answer)
            else self._on(kept, items.ReleaseLock, reason=order.reason)
        )

    def reject(self, view: Reading, order: Rejection) -> Made | Answer:
        """The answer no."""
        kept = self._held(order.claim, done="rejected", decision=order.decision)
        if isinstance(kept, Answer):
            return kept
        return self._on(kept, items.Reject, decision=order.decision, reason=order.reason)

    def settle(self, view: Reading, order: Settlement) -> Made | Answer:
        """The answer with an amount."""
        kept = self._held(order.claim, done="settled", decision=order.decision, amount=order.amount)
        if isinstance(kept, Answer):
            return kept
        said = {"amount": order.amount, "decision": order.decision, "reason": order.reason}
        if order.paid_at is None:
            return self._on(kept, items.Settle, **said)
        return self._on(kept, items.SettledBefore, **said, paid_at=order.paid_at)

    def supplement(self, view: Reading, order: Addition) -> Made | Answer:
        """More on a claim that is settled; the same decision is not paid for twice."""
        kept = self._answered(order.claim)
        if isinstance(kept, Answer):
            return kept
        if kept.decision == order.decision or self._is_done(kept, "supplement", order):
            done = self._is_done(kept, "supplement", order)
            return _again(kept, done, STATE, order.amount)
        terms, opening = kept.terms, kept.opening
        if order.right is not None:
            right_id = order.right_id
            if not right_id and order.right == "statute":
                right_id = find_statute(view, self._org, kept.bill, self._clock())
            terms = replace(terms, right=order.right, right_id=right_id)
            opening = order.opening
        item = items.Supplement(
            nonce=new_nonce(),
            bill=kept.bill,
            ordinal=kept.ordinal or 0,
            amount=order.amount,
            decision=order.decision,
            terms=terms,
            opening=opening,
        )
        return Made(item, kept)

    def claw_back(self, view: Reading, order: Return) -> Made | Answer:
        """What was due came back, or is waived; the same decision is not entered twice."""
        kept = self._answered(order.claim)
        if isinstance(kept, Answer):
            return kept
        if self._is_done(kept, "claw_back", order):
            return _again(kept, True, amount=order.amount)
        item = items.ClawBack(
            nonce=new_nonce(),
            bill=kept.bill,
            ordinal=kept.ordinal or 0,
            amount=order.amount,
            how=order.how,
            decision=order.decision,
        )
        return Made(item, kept)

    def accept_plan(self, view: Reading, order: ShareOrder) -> Made | Answer:
        """Keep to one's rank."""
        return Made(items.AcceptPlan(nonce=new_nonce(), bill=order.bill, purpose=order.purpose))

    def waive_share(self, view: Reading, order: ShareOrder) -> Made | Answer:
        """Take no part."""
        return Made(
            items.WaiveShare(
                nonce=new_nonce(), bill=order.bill, purpose=order.purpose, reason=order.reason
            )
        )

    def _held(
        self,
        claim: int,
        *,
        done: str = "",
        decision: bytes | None = None,
        amount: int | None = None,
    ) -> Kept | Answer:
        """A claim that is locked; the old answer where it was answered just so before."""
        kept = self._book.get(claim)
        if kept is None:
            return Answer(outcome=UNKNOWN, claim=claim)
        if kept.state == "locked" and kept.claim is not None:
            return kept
        same = (
            kept.state == done
            and decision in (None, kept.decision)
            and amount in (None, kept.settled + kept.fixed)
        )
        return _again(kept, same, STATE, amount)

    def _answered(self, claim: int) -> Kept | Answer:
        kept = self._book.get(claim)
        if kept is None:
            return Answer(outcome=UNKNOWN, claim=claim)
        if kept.state != "settled" or kept.ordinal is None:
            return _again(kept, False, STATE)
        return kept

    def _is_done(self, kept: Kept, act: str, order: Addition | Return) -> bool:
        """Whether this very decision was entered: for a file that is handed in again."""
        return any(
            (step.act, step.outcome, step.amount, step.decision)
            == (f"bills.{act}/1", ACCEPTED, order.amount, order.decision)
            for step in self._book.steps(kept.id)
        )

    def _on(self, kept: Kept, kind: type[items.OfClaim], **said: object) -> Made:
        item = kind(
            nonce=new_nonce(), bill=kept.bill, claim=kept.claim or b"", terms=kept.terms, **said
        )
        together = kind in (items.Settle, items.SettledBefore)
        return Made(item, kept, case=kept.terms.case if together else None)


def _again(kept: Kept, same: bool, otherwise: str = OPEN, amount: int | None = None) -> Answer:
    """It was done before, just so; or it cannot be done any more.

    `amount` is that of the order: what is paid out goes by the answer, and the lock's may be more.
    """
    return Answer(
        outcome="accepted" if same else otherwise,
        bill=kept.bill,
        claim=kept.id,
        state=kept.state,
        amount=kept.amount if amount is None else amount,
        entry=kept.entry,
        detail="" if same else f"it is {kept.state}",
        repeated=same,
    )
