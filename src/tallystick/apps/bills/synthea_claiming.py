"""The insurers' claims on the ledger: bound, mandated, planned, locked and answered, in batches.

Every step asks the ledger first what stands already, so a run that was broken off goes on where it
was, and one after the last does nothing. What the ledger refuses stays open, with the reason.

Invariant: an ask is answered once; a lock of a run that was broken off is found again by its number
and answered by the next. See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from hashlib import sha256
from typing import NamedTuple

from tallystick.apps.bills.holders import BillKey, bill_key, derive_holder_key
from tallystick.apps.bills.sending import new_nonce
from tallystick.apps.bills.synthea_claims import (
    NOT_COVERED,
    NOTHING_LEFT,
    Ask,
    read_kept,
    write_kept,
)
from tallystick.apps.bills.synthea_ledger import ImportLedger
from tallystick.apps.bills.synthea_wallets import PURPOSE, SECRET, Wallets
from tallystick.contracts.bills.items.claims import (
    AcceptPlan,
    Lock,
    Reject,
    Settle,
    WaiveShare,
)
from tallystick.contracts.bills.items.holders import SaidMandate
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import Bill, live_lock
from tallystick.contracts.bills.records.claims import Plan, Terms, claimant
from tallystick.contracts.bills.records.holders import Opening
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.contracts.bills.views.claims import find_claims, find_plan
from tallystick.contracts.bills.views.holders import find_mandate
from tallystick.ledger.engine import Committed
from tallystick.ledger.view import View
from tallystick.protocol.canonical import Record, encode, replace
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Rejected
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import DAY_SECONDS, format_instant, parse_instant

MANDATES = "mandates.jsonl"
ITEMS_TOGETHER = 400
SIGNED_TOGETHER = 150
"""Items with a signature within cost a block some twenty times as much."""
UNDER_WAY_MAX = 50
"""Transactions: the engine's queue is bounded."""
ANSWER_SECONDS_MAX = 120
MANDATE_DAYS = 365
LOCK_DAYS = 7

Progress = Callable[[int, int], None]
"""(done, total): how many asks."""


class KeptMandate(Record):
    """What a patient has said to an insurer. Private."""

    patient: str
    said: SaidMandate


class Case(Record):
    """What an insurer with an engine of its own is handed: the ask, and its right to the bill.
    Private."""

    ask: Ask
    right_id: str
    """The patient's mandate; none where the insurer waives."""
    opening: Opening
    """Of the bill's commitment to its holder, down to the key of the mandate."""


class _Sent(NamedTuple):
    """A transaction under way, and whom each of its items is about."""

    asks: Sequence[Ask]
    answer: Future[Committed]


class Claiming:
    """Asks every insurer what it is to be asked. For one thread."""

    def __init__(self, ledger: ImportLedger, asks: Sequence[Ask], progress: Progress) -> None:
        self._ledger = ledger
        self._asks = asks
        self._progress = progress
        self._wallets = Wallets(ledger.node.network, ledger.keys.vault_key(SECRET).secret)
        self._mandates: dict[tuple[str, str], str] = {}
        self._keys: dict[str, BillKey] = {}
        """By bill: those that are in the wallets' hands."""
        self._refused: dict[bytes, str] = {}
        """By the number of the ask."""

    def run(self) -> list[Ask]:
        """The asks, those that the ledger refused with the reason."""
        asks = self._open()
        done = len(self._asks) - len(asks)
        for rank in sorted({each.rank for each in asks}):
            turn = [each for each in asks if each.rank == rank]
            self._answer(turn)
            done += len(turn)
            self._progress(done, len(self._asks))
        return [replace(each, refused=self._refused.get(each.nonce, "")) for each in self._asks]

    def hand_over(self) -> list[Case]:
        """What is to be asked, by rank, for engines elsewhere; nothing is answered here."""
        asks = sorted(self._open(), key=lambda each: each.rank)
        return [
            Case(
                ask=each,
                right_id=self._mandates.get((each.patient, each.reimburser), ""),
                opening=self._keys[each.bill].opening,
            )
            for each in asks
        ]

    def _open(self) -> list[Ask]:
        """Those that are not answered, bound, mandated and planned."""
        with self._ledger.node.view() as view:
            asks = [each for each in self._asks if not _is_answered(view, each)]
        self._progress(len(self._asks) - len(asks), len(self._asks))
        asks = self._bind(asks)
        self._mandate(asks)
        self._plan(asks)
        return asks

    # -------------------------------------------------------------------------- what holders do

    def _bind(self, asks: Sequence[Ask]) -> list[Ask]:
        """Each bill that is not in its patient's wallet comes there, relayed by its issuer; the
        asks about bills that are there now."""
        items: dict[str, list[tuple[Ask, Item]]] = {}
        for ask in self._not_held(asks):
            with self._ledger.node.view() as view:
                bill = _bill(view, ask)
            given = bill_key(self._holder_key(ask.issuer), bill.root or b"")
            item = self._wallets.bind(ask.patient, bill, given)
            items.setdefault(ask.issuer, []).append((ask, item))
        self._send("bills.bind/1", items, SIGNED_TOGETHER)
        unheld = {each.bill for each in self._not_held(asks)}
        for ask in asks:
            if ask.bill in unheld:
                self._refused.setdefault(ask.nonce, BillsReason.HOLDER_KEY.value)
        return [each for each in asks if each.bill not in unheld]

    def _not_held(self, asks: Sequence[Ask]) -> list[Ask]:
        """One ask for each bill that is in no wallet; the keys of the others are noted."""
        missing = []
        with self._ledger.node.view() as view:
            for ask in {each.bill: each for each in asks}.values():
                key = self._wallets.find_key(ask.patient, _bill(view, ask))
                if key is None:
                    missing.append(ask)
                else:
                    self._keys[ask.bill] = key
        return missing

    def _holder_key(self, org: str) -> bytes:
        return derive_holder_key(self._ledger.keys.vault_key(org).secret)

    def _mandate(self, asks: Sequence[Ask]) -> None:
        """One for each patient and insurer, relayed by the insurer; kept before it is given."""
        path = self._ledger.imports / MANDATES
        kept = read_kept(path, KeptMandate)
        now = self._ledger.node.clock.now()
        until = format_instant(now + MANDATE_DAYS * DAY_SECONDS)
        known = {(each.patient, each.said.reader): each for each in kept}
        wanted: dict[tuple[str, str], Ask] = {
            (each.patient, each.reimburser): each for each in asks if each.answer != "waive"
        }
        items: dict[str, list[tuple[Ask, Item]]] = {}
        with self._ledger.node.view() as view:
            for (patient, insurer), ask in wanted.items():
                given = known.get((patient, insurer))
                if (
                    given is None
                    or parse_instant(given.said.until) <= now + LOCK_DAYS * DAY_SECONDS
                ):
                    said = self._wallets.say_mandate(patient, insurer, until)
                    given = known[patient, insurer] = KeptMandate(patient=patient, said=said)
                act = self._wallets.mandate_id(given.said)
                self._mandates[patient, insurer] = act
                if find_mandate(view, act) is None:
                    item = self._wallets.mandate(patient, given.said)
                    items.setdefault(insurer, []).append((ask, item))
        write_kept(path, known.values())
        self._send("bills.mandate/1", items, SIGNED_TOGETHER)

    def _plan(self, asks: Sequence[Ask]) -> None:
        """Where several are asked about a bill, its holder says in which order; each agrees."""
        several: dict[str, list[Ask]] = {}
        for ask in self._asks:
            several.setdefault(ask.bill, []).append(ask)
        open_bills = {each.bill for each in asks}
        planned = [each for bill, each in several.items() if len(each) > 1 and bill in open_bills]
        items: dict[str, list[tuple[Ask, Item]]] = {}
        with self._ledger.node.view() as view:
            for each in planned:
                orgs = [ask.reimburser for ask in each]
                plan = find_plan(view, each[0].bill)
                if plan is None or [share.reimburser for share in plan.shares] != orgs:
                    version = plan.version if plan else 0
                    bill = _bill(view, each[0])
                    key = self._keys[bill.id]
                    item = self._wallets.plan(key, bill, orgs, version=version)
                    items.setdefault(orgs[0], []).append((each[0], item))
        self._send("bills.plan/1", items, SIGNED_TOGETHER)
        agreed: dict[str, list[tuple[Ask, Item]]] = {}
        with self._ledger.node.view() as view:
            for ask in (ask for each in planned for ask in each):
                if _share_state(find_plan(view, ask.bill), ask) == "named":
                    accept = AcceptPlan(nonce=new_nonce(), bill=ask.bill, purpose=PURPOSE)
                    agreed.setdefault(ask.reimburser, []).append((ask, accept))
        self._send("bills.accept_plan/1", agreed, ITEMS_TOGETHER)

    # ------------------------------------------------------------------------ what insurers do

    def _answer(self, asks: Sequence[Ask]) -> None:
        """All of one rank: who waives, waives; the others lock, then settle or reject."""
        waives = [each for each in asks if each.answer == "waive"]
        self._send("bills.waive_share/1", _by_insurer(waives, self._waive), ITEMS_TOGETHER)
        claims = [each for each in asks if each.answer != "waive"]
        with self._ledger.node.view() as view:
            now = self._ledger.node.clock.now()
            free = [each for each in claims if not self._is_locked(view, each, now)]
        self._send("bills.lock/1", _by_insurer(free, self._lock), ITEMS_TOGETHER)
        held = [each for each in claims if each.nonce not in self._refused]
        for name, answer, make in (
            ("bills.settle/1", "settle", self._settle),
            ("bills.reject/1", "reject", self._reject),
        ):
            some = [each for each in held if each.answer == answer]
            self._send(name, _by_insurer(some, make), ITEMS_TOGETHER)

    def _is_locked(self, view: View, ask: Ask, now: int) -> bool:
        lock = live_lock(_bill(view, ask), now)
        return lock is not None and lock.who == claimant(
            ask.nonce, ask.reimburser, self._terms(ask)
        )

    def _terms(self, ask: Ask) -> Terms:
        return Terms(
            purpose=PURPOSE,
            basis="cash",
            benefit="indemnity",
            right="mandate",
            right_id=self._mandates[ask.patient, ask.reimburser],
        )

    def _lock(self, ask: Ask) -> Item:
        return Lock(
            nonce=new_nonce(),
            bill=ask.bill,
            claim=ask.nonce,
            terms=self._terms(ask),
            amount=ask.asked,
            until=format_instant(self._ledger.node.clock.now() + LOCK_DAYS * DAY_SECONDS),
            opening=self._keys[ask.bill].opening,
        )

    def _settle(self, ask: Ask) -> Item:
        return Settle(
            nonce=new_nonce(),
            bill=ask.bill,
            claim=ask.nonce,
            terms=self._terms(ask),
            amount=ask.amount,
            decision=_decision(ask),
            reason=ask.reason,
        )

    def _reject(self, ask: Ask) -> Item:
        return Reject(
            nonce=new_nonce(),
            bill=ask.bill,
            claim=ask.nonce,
            terms=self._terms(ask),
            decision=_decision(ask),
            reason=ask.reason or NOT_COVERED,
        )

    def _waive(self, ask: Ask) -> Item:
        return WaiveShare(
            nonce=new_nonce(), bill=ask.bill, purpose=PURPOSE, reason=ask.reason or NOTHING_LEFT
        )

    # ------------------------------------------------------------------------------- sending

    def _send(
        self, action: str, items: Mapping[str, Sequence[tuple[Ask, Item]]], together: int
    ) -> None:
        """Everybody's acts of one kind; the first refusal of an ask is its reason."""
        node, sent = self._ledger.node, deque[_Sent]()
        for sender, all_of_it in items.items():
            signer = self._ledger.keys.held(sender)
            for some in _parts(all_of_it, together):
                data = node.sign(signer, sender, action, [item for _, item in some])
                sent.append(_Sent([ask for ask, _ in some], node.submit(data)))
                if len(sent) == UNDER_WAY_MAX:
                    self._note(sent.popleft())
        for each in sent:
            self._note(each)

    def _note(self, sent: _Sent) -> None:
        try:
            outcomes = sent.answer.result(ANSWER_SECONDS_MAX).outcomes
        except Rejected as error:
            outcomes = [error.reason.value] * len(sent.asks)
        for ask, outcome in zip(sent.asks, outcomes, strict=True):
            if outcome != ACCEPTED:
                self._refused.setdefault(ask.nonce, outcome)


def _by_insurer(
    asks: Iterable[Ask], make: Callable[[Ask], Item]
) -> dict[str, list[tuple[Ask, Item]]]:
    items: dict[str, list[tuple[Ask, Item]]] = {}
    for ask in asks:
        items.setdefault(ask.reimburser, []).append((ask, make(ask)))
    return items


def _is_answered(view: View, ask: Ask) -> bool:
    if ask.answer == "waive":
        return _share_state(find_plan(view, ask.bill), ask) == "waived"
    return any(
        each.reimburser == ask.reimburser and each.terms.purpose == PURPOSE
        for each in find_claims(view, _bill(view, ask))
    )


def _share_state(plan: Plan | None, ask: Ask) -> str:
    shares = plan.shares if plan else []
    return next((each.state for each in shares if each.reimburser == ask.reimburser), "")


def _bill(view: View, ask: Ask) -> Bill:
    bill = find_bill(view, ask.bill)
    if bill is None:
        raise LookupError(ask.bill)  # it was imported
    return bill


def _decision(ask: Ask) -> bytes:
    """The insurer's paper on it is the ask as it is kept; its number makes it unguessable."""
    return sha256(encode(replace(ask, refused=""))).digest()


def _parts(some: Sequence[tuple[Ask, Item]], size: int) -> Iterator[Sequence[tuple[Ask, Item]]]:
    for start in range(0, len(some), size):
        yield some[start : start + size]
