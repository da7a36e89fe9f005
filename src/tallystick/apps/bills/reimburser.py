"""A reimburser's desk: locks bills, answers claims, and never loses one or does it twice.

The order is what makes a crash harmless: 1. a claim, with the nonce that owns its lock, is written
into the book 2. the signed transaction lies in ``pending/`` 3. it is submitted 4. what became of
each item is noted in the book 5. the transaction leaves ``pending/``. So a claim without a
transaction was never sent, and is asked for again under its own nonce; a transaction that still
lies there is submitted again, byte for byte. For one thread and one process.

Invariant: the book says "settled" only of what is durably on the ledger.
See docs/guides/reimburser.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from tallystick.apps.bills.claim_book import ClaimBook, NewClaim, Step
from tallystick.apps.bills.claim_making import Made, Making
from tallystick.apps.bills.claim_noting import with_left
from tallystick.apps.bills.claim_orders import (
    CASE_SIZE,
    MALFORMED,
    SCHEMAS,
    TWICE,
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
    amount_of,
    decision_of,
)
from tallystick.apps.bills.claim_watch import ViewFactory, Watch
from tallystick.apps.bills.sending import VALID_SECONDS, Sending, Sent, Submit
from tallystick.contracts.bills.items import claims as items
from tallystick.contracts.bills.records.bills import Bill, parse_bill_id
from tallystick.contracts.kit.context import slot_key
from tallystick.ledger.receipts import SignedParts
from tallystick.ledger.view import Reading
from tallystick.protocol.canonical import encode, parse
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.keys import Signer
from tallystick.protocol.receipt import is_numbered
from tallystick.protocol.transaction import (
    ITEM_BYTES_MAX,
    ITEMS_MAX,
    TRANSACTION_BYTES_MAX,
    Item,
    check_item,
)

PENDING = "pending"
ITEMS_BYTES_MAX = TRANSACTION_BYTES_MAX - ITEM_BYTES_MAX - 4 * 1024
"""A batch that has come so far takes no further item: room for one, and for the header."""

T = TypeVar("T")
Make = Callable[[Reading, T], Made | Answer]
Rehearse = Callable[[str, Sequence[Item], bool], tuple[Sequence[str], Mapping[int, str]]]
"""Action, items, atomic: what would become of each item, and why."""


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """What became of a transaction."""

    each: Sequence[str]
    first: int | None
    """Its first entry; None: it is not on the ledger."""
    why: Mapping[int, str]


class Reimburser(Watch):
    """One insurer's or fund's side. Begin with `resolve()`."""

    def __init__(
        self,
        folder: Path,
        book: ClaimBook,
        *,
        signer: Signer,
        submit: Submit,
        view: ViewFactory,
        clock: Callable[[], int],
        answer_seconds_max: float | None = None,
        pause: Callable[[float], None] = time.sleep,
        rehearse: Rehearse | None = None,
    ) -> None:
        """`clock`: Unix seconds. With `rehearse` nothing is kept and nothing is sent."""
        super().__init__(book, view=view, clock=clock)
        self._answer_seconds_max = answer_seconds_max
        self._rehearse = rehearse
        self._making = Making(book, clock)
        self._sending = Sending(
            folder / PENDING,
            org=book.org,
            network=book.network,
            signer=signer,
            submit=submit,
            clock=clock,
            pause=pause,
        )

    # ------------------------------------------------------------------------------- acts

    def lock(self, orders: Iterable[LockOrder]) -> list[Answer]:
        """Take hold of money of bills. Each fails alone, but those of one case together.

        One `Answer` an order, in order. The same order again is the same claim. After an exception
        or a crash `resolve()` says what became of those that were under way.
        """
        return self._act("bills.lock/1", orders, self._making.lock)

    def renew(self, orders: Iterable[Renewal]) -> list[Answer]:
        """Let locks stand until later."""
        return self._act("bills.renew/1", orders, self._making.renew)

    def release(self, orders: Iterable[Release]) -> list[Answer]:
        """Let locks go; nothing is settled."""
        return self._act("bills.release_lock/1", orders, self._making.release)

    def reject(self, orders: Iterable[Rejection]) -> list[Answer]:
        """Answer claims with no."""
        return self._act("bills.reject/1", orders, self._making.reject)

    def settle(self, orders: Iterable[Settlement]) -> list[Answer]:
        """Answer claims with amounts. Pay only what this says is accepted."""
        listed = list(orders)
        before = [n for n, each in enumerate(listed) if each.paid_at is not None]
        if not before:
            return self._act("bills.settle/1", listed, self._making.settle)
        some = {n: listed[n] for n in before}
        others = [each for n, each in enumerate(listed) if n not in some]
        done = iter(self._act("bills.settled_before/1", some.values(), self._making.settle))
        rest = iter(self._act("bills.settle/1", others, self._making.settle))
        return [next(done if n in some else rest) for n in range(len(listed))]

    def supplement(self, orders: Iterable[Addition]) -> list[Answer]:
        """Pay more on claims that are settled."""
        return self._act("bills.supplement/1", orders, self._making.supplement)

    def claw_back(self, orders: Iterable[Return]) -> list[Answer]:
        """Record what came back of what a reversal made due, or what is waived of it."""
        return self._act("bills.claw_back/1", orders, self._making.claw_back)

    def accept_plan(self, orders: Iterable[ShareOrder]) -> list[Answer]:
        """Keep to one's rank in the plans of bills."""
        return self._act("bills.accept_plan/1", orders, self._making.accept_plan)

    def waive(self, orders: Iterable[ShareOrder]) -> list[Answer]:
        """Take no part in plans: the others need not wait."""
        return self._act("bills.waive_share/1", orders, self._making.waive_share)

    def ready(self, orders: Iterable[ReadyOrder]) -> list[Answer]:
        """Be ready to settle shares of atomic plans; the last one that is ready settles all."""
        return self._act("bills.ready/1", orders, self._making.ready)

    def resolve(self) -> list[Answer]:
        """Find out what became of everything that was under way when this desk last stopped.

        1. what is pending is submitted again: the old answer, or a first one    2. what was kept
        and is not pending is looked up: after a restored backup the ledger may have it
        """
        done: list[Answer] = []
        for sent in self._sending.send_again(SCHEMAS):  # 1
            done += self._note(sent, [], again=True)
        self.refresh(("prepared",))  # 2
        return done

    # ---------------------------------------------------------------------------- sending

    def _act(self, action: str, wanted: Iterable[T], make: Make[T]) -> list[Answer]:
        """Make, keep and send in batches; while one is under way, the next is made."""
        answers: dict[int, Answer] = {}
        under_way: tuple[Sent, list[Made]] | None = None
        for batch, atomic in self._batches(wanted, make, answers):
            if self._rehearse is not None:
                self._try(self._rehearse, action, batch, atomic, answers)
                continue
            self._keep(batch)
            sent = self._sending.send(action, [made.item for made in batch], atomic=atomic)
            if under_way is not None:
                self._answer(*under_way, answers)
            under_way = sent, batch
        if under_way is not None:
            self._answer(*under_way, answers)
        return [answers[position] for position in sorted(answers)]

    def _batches(
        self, wanted: Iterable[T], make: Make[T], answers: dict[int, Answer]
    ) -> Iterator[tuple[list[Made], bool]]:
        """Items as they fit into transactions; then each case by itself, all or nothing."""
        cases: dict[bytes, list[Made]] = {}
        about: set[tuple[str, str, int]] = set()
        plain: list[Made] = []
        size = 0
        for made in self._each(wanted, make, answers):
            if made.about in about:
                answers[made.position] = _turned_away(made, TWICE)
                continue
            about.add(made.about)
            if made.case is not None:
                cases.setdefault(made.case, []).append(made)
                continue
            plain.append(made)
            size += made.size
            if len(plain) == ITEMS_MAX or size > ITEMS_BYTES_MAX:
                yield plain, False
                plain, size = [], 0
        if plain:
            yield plain, False
        for case in cases.values():
            if len(case) <= ITEMS_MAX and sum(made.size for made in case) <= ITEMS_BYTES_MAX:
                yield case, True
            else:
                answers |= {made.position: _turned_away(made, CASE_SIZE) for made in case}

    def _each(
        self, wanted: Iterable[T], make: Make[T], answers: dict[int, Answer]
    ) -> Iterator[Made]:
        """The items, each checked: one that no ledger could read would be pending for ever."""
        numbered = enumerate(wanted)
        while some := list(islice(numbered, ITEMS_MAX)):
            with self._view() as view:
                named = [str(getattr(order, "bill", "")) for _, order in some]
                keys = [slot_key(*parse_bill_id(bill)) for bill in named if is_numbered(bill)]
                view.prefetch(keys, Bill)
                each = [(position, _allowed(make, view, order)) for position, order in some]
            for position, made in each:
                checked = _checked(made)
                if isinstance(checked, Made):
                    checked.position = position
                    yield checked
                else:
                    answers[position] = checked

    def _keep(self, batch: Sequence[Made]) -> None:
        """Write new claims into the book, before anything of them is sent."""
        with self.book.transaction():
            for made in batch:
                made.claim = made.kept.id if made.kept else None
                if made.new is None:
                    continue
                if made.claim is None:
                    made.claim = self.book.add(made.new)
                else:
                    self.book.change(made.claim, _columns(made.new))

    def _try(
        self,
        rehearse: Rehearse,
        action: str,
        batch: Sequence[Made],
        atomic: bool,
        answers: dict[int, Answer],
    ) -> None:
        outcomes, why = rehearse(action, [made.item for made in batch], atomic)
        for n, (made, outcome) in enumerate(zip(batch, outcomes, strict=True)):
            answers[made.position] = changed(
                _turned_away(made, outcome), detail=why.get(n, ""), amount=amount_of(made.item)
            )

    # ----------------------------------------------------------------------------- noting

    def _answer(self, sent: Sent, batch: Sequence[Made], answers: dict[int, Answer]) -> None:
        done = self._note(sent, [made.claim for made in batch])
        for made, answer in zip(batch, done, strict=True):
            answers[made.position] = answer

    def _note(
        self, sent: Sent, claims: Sequence[int | None], *, again: bool = False
    ) -> list[Answer]:
        """Wait for the answer and note it, all in one durable step; one `Answer` an item."""
        header = parse(sent.letter.data, SignedParts).header
        outcomes = self._outcomes(sent, again)
        at = self._clock()
        done: list[Answer] = []
        with self._view() as view, self.book.transaction():
            if again:
                claims = [self._noting.claim_of(item) for item in sent.items]
            for n, (item, claim) in enumerate(zip(sent.items, claims, strict=True)):
                answer = self._take(view, sent, n, claim, outcomes)
                done.append(answer)
                step = Step(
                    *(sent.tx_id, n, at, header.action, answer.bill, claim, amount_of(item)),
                    *(decision_of(item), outcomes.each[n], answer.entry),
                )
                self.book.note([step])
        self._sending.done(sent)
        return done

    def _outcomes(self, sent: Sent, again: bool) -> _Outcomes:
        """The ledger itself is asked where the engine has forgotten."""
        try:
            committed = sent.answer.result(self._answer_seconds_max)
        except Rejected as error:
            if again:
                header = parse(sent.letter.data, SignedParts).header
                with self._view() as view:
                    found = view.entered(header, VALID_SECONDS)
                if found is not None:
                    return _Outcomes(found.outcomes, found.first, {})
            return _Outcomes([error.reason.value] * len(sent.items), None, {0: error.detail})
        return _Outcomes(committed.outcomes, committed.first, committed.why)

    def _take(
        self, view: Reading, sent: Sent, n: int, claim: int | None, said: _Outcomes
    ) -> Answer:
        """Write what one item changed."""
        item, outcome = sent.items[n], said.each[n]
        kept = self.book.get(claim) if claim is not None else None
        entry = said.first + n if said.first is not None else None
        now = max(self._clock(), view.head.at)
        changes: dict[str, Any] = {}
        if kept is not None:
            changes = self._noting.changes(view, now, item, kept, outcome)
            if changes.get("state") == "locked" and isinstance(item, items.Lock):
                outcome = ACCEPTED  # under an earlier transaction
            self.book.change(
                kept.id, changes | ({"entry": entry} if said.each[n] == ACCEPTED else {})
            )
        answer = Answer(
            outcome=outcome,
            bill=str(getattr(item, "bill", "")),
            claim=claim,
            state=changes.get("state", kept.state if kept else ""),
            amount=amount_of(item),
            until=changes.get("until"),
            entry=entry if said.each[n] == ACCEPTED else None,
            tx_id=sent.tx_id,
            n=n,
            detail=said.why.get(n, "") if outcome != ACCEPTED else "",
        )
        return answer if answer.accepted else with_left(view, now, item, answer)


def _allowed(make: Make[T], view: Reading, order: T) -> Made | Answer:
    """What is made of an order; a ledger far away may refuse even to show the bill."""
    try:
        return make(view, order)
    except Rejected as error:
        bill = str(getattr(order, "bill", ""))
        return Answer(outcome=error.reason.value, bill=bill, detail=error.detail)


def _checked(made: Made | Answer) -> Made | Answer:
    if isinstance(made, Answer):
        return made
    try:
        check_item(made.item)
    except Malformed as error:
        return changed(_turned_away(made, MALFORMED), path=error.path, detail=error.detail)
    made.size = len(encode(made.item)) + 1
    return made


def _turned_away(made: Made, outcome: str) -> Answer:
    kept = made.kept
    return Answer(
        outcome=outcome,
        bill=str(getattr(made.item, "bill", "")),
        claim=kept.id if kept else None,
        state=kept.state if kept else "",
        amount=amount_of(made.item),
    )


def _columns(new: NewClaim) -> dict[str, Any]:
    return {
        "claim": new.claim,
        "terms": new.terms,
        "case_tag": new.terms.case,
        "ref": new.ref,
        "amount": new.amount,
        "until": new.until,
        "opening": new.opening,
        "paper": new.paper,
        "state": "prepared",
    }
