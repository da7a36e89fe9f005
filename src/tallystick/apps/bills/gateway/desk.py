"""The office as a gateway uses it: nothing waits, and each number is noted before it is signed.

Invariant: between a number's note in the table of refs and its signature nothing else happens, so
that a number that is noted and not under way was never signed. See docs/guides/gateway.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from typing import TypeVar

from tallystick.apps.bills.acts import (
    SCHEMAS,
    Act,
    BillId,
    Issued,
    Replacement,
    Reversal,
    SealedBill,
    Word,
    bills_of,
)
from tallystick.apps.bills.gateway.refs import Numbered
from tallystick.apps.bills.office import Make
from tallystick.apps.bills.reserve import OfflineOffice
from tallystick.apps.bills.sending import Sent, Submit
from tallystick.apps.bills.trying import TryingOffice
from tallystick.client.outbox import Kept, PendingDamaged
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import BillType, TypePointer, format_bill_id
from tallystick.contracts.bills.views.bills import find_type
from tallystick.contracts.kit.context import Key
from tallystick.ledger.records import Head, Segment
from tallystick.ledger.view import Entered, Reading
from tallystick.protocol.errors import Malformed, TallystickError, VerificationFailed
from tallystick.protocol.genesis import Genesis
from tallystick.protocol.row import Row
from tallystick.protocol.transaction import Header, Item, read_transaction

R = TypeVar("R", bound=Row)
T = TypeVar("T")
View = Callable[[], AbstractContextManager[Reading]]
Batch = tuple[Sent, list[Act]]
Note = Callable[[Sequence[Numbered]], None]


def _nothing(numbered: Sequence[Numbered]) -> None:
    """Nobody wants to know."""


TYPES_SECONDS = 60.0
"""How long a newest version of a type is taken for the newest."""


def mark_of(one: SealedBill) -> bytes:
    """By which a body is known again; the secret in it keeps the body from being guessed."""
    return mark(one.data, one.secret)


def mark(body: bytes, secret: bytes) -> bytes:
    """Of a body as the vault gives it."""
    return sha256(secret + body).digest()


class Known:
    """Rows of types that were read once: a version never changes, which is the newest may."""

    def __init__(self, view: View, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._view = view
        self._elapsed = elapsed
        self._rows: dict[Key, tuple[Row, float]] = {}

    @contextmanager
    def view(self) -> Iterator[Reading]:
        """The ledger, with what is known of types at hand."""
        with self._view() as beneath:
            yield _Remembering(beneath, self)

    def forget(self) -> None:
        """The ledger did not take what was made by it."""
        self._rows = {k: v for k, v in self._rows.items() if not isinstance(v[0], TypePointer)}

    def renew(self) -> None:
        """Read anew which versions are the newest, so that nobody has to wait for that."""
        with self._view() as beneath:
            for key, (row, _) in list(self._rows.items()):
                if isinstance(row, TypePointer):
                    now = beneath.get(key, TypePointer)
                    if now is not None:
                        self.keep(key, now)

    def find(self, key: Key) -> Row | None:
        """A row that is still believed."""
        row, since = self._rows.get(key, (None, 0.0))
        if isinstance(row, TypePointer) and self._elapsed() - since > TYPES_SECONDS:
            return None
        return row

    def keep(self, key: Key, row: Row) -> None:
        """It was read just now."""
        self._rows[key] = row, self._elapsed()


class _Remembering:
    """A `Reading` that asks for a type once."""

    def __init__(self, beneath: Reading, known: Known) -> None:
        self._beneath = beneath
        self._known = known
        self.prefetch = beneath.prefetch
        self.scan = beneath.scan
        self.scan_slots = beneath.scan_slots

    @property
    def genesis(self) -> Genesis:
        return self._beneath.genesis

    @property
    def network(self) -> bytes:
        return self._beneath.network

    @property
    def head(self) -> Head:
        return self._beneath.head

    def get(self, key: Key, kind: type[R]) -> R | None:
        if kind is not BillType and kind is not TypePointer:
            return self._beneath.get(key, kind)
        found = self._known.find(key)
        if isinstance(found, kind):
            return found
        row = self._beneath.get(key, kind)
        if row is not None:
            self._known.keep(key, row)
        return row

    def segment(self, index: int) -> Segment:
        return self._beneath.segment(index)

    def entered(self, header: Header, valid_seconds: int) -> Entered | None:
        return self._beneath.entered(header, valid_seconds)


class GatewayOffice(TryingOffice):
    """Sends and goes on; the answers are brought to it. For one thread, as every office."""

    _refs: Sequence[str] = ()
    note: Note = staticmethod(_nothing)
    burnt: Collection[str] = frozenset()
    """Bills that were refused after somebody was told of their numbers, which stay unused."""

    def send_drafts(self, refs: Sequence[str], drafts: Iterable[Body]) -> Outgoing:
        """A bill out of each draft."""
        return self._go("bills.issue/1", refs, drafts, self._drafting.new_blue)

    def send_reversals(self, refs: Sequence[str], wanted: Iterable[Reversal]) -> Outgoing:
        """A red bill for each."""
        return self._go("bills.reverse/1", refs, wanted, self._red)

    def send_replacements(self, refs: Sequence[str], wanted: Iterable[Replacement]) -> Outgoing:
        """A red bill and a new one for each."""
        return self._go("bills.replace/1", refs, wanted, self._drafting.new_pair)

    def conclude(self, batch: Batch) -> list[Issued]:
        """Note what became of it; its answer is there. One `Issued` an item."""
        sent, acts = batch
        return self._settle(sent, [body for act in acts for body in act.bodies])

    def again(self, kept: Kept, submit: Submit) -> Batch:
        """Submit what lies in ``pending/``, made by whichever process."""
        items = items_of(kept, self._network)
        return Sent(kept, kept.tx_id, items, submit(kept.data)), []

    def look(self, bill: BillId) -> Issued:
        """What became of a body that nothing under way names."""
        with self._view() as view:
            return self._resolve(view, bill)

    def word_of(self, act: Act) -> Word:
        """What people are told of a bill that was accepted just now."""
        sealed = act.bodies[0]
        with self._view() as view:
            kind = find_type(view, sealed.bill.code // 100, sealed.type_version)
        return "issued" if kind is not None and kind.rules.ack == "record" else "issuing"

    def _red(self, view: Reading, position: int, reversal: Reversal) -> Act:
        return self._drafting.new_red(view, position, reversal, self._clock())

    def _go(self, action: str, refs: Sequence[str], wanted: Iterable[T], make: Make[T]) -> Outgoing:
        """What was sent is told even where the rest of it could not be."""
        found = Outgoing()
        self._refs = refs
        try:
            for batch in self._send(action, wanted, make, found.answers):
                found.sent.append(batch)
        except TallystickError as error:
            found.error = error
        return found

    def _keep(self, acts: list[Act], answers: dict[int, Issued]) -> list[Act]:
        fine = []
        for act in acts:
            if not any(bill in self.burnt for bill in _named(act)):
                fine.append(act)
            else:
                answers[act.position] = Issued(BillsReason.NUMBER_USED.value)
        kept = super()._keep(fine, answers)
        self.note([_numbered(self._refs[act.position], act) for act in kept])
        return kept


class Outgoing:
    """What became of orders that were handed to the office together."""

    def __init__(self) -> None:
        self.answers: dict[int, Issued] = {}
        """By position: refused before anything was sent."""
        self.sent: list[Batch] = []
        self.error: TallystickError | None = None
        """What stopped it before the rest was sent."""


class GatewayReserve(OfflineOffice):
    """Bills while the ledger is away; each number is noted before it is signed."""

    _ref = ""
    note: Note = staticmethod(_nothing)

    def issue_one(self, ref: str, draft: Body) -> Issued:
        """A signed bill."""
        self._ref = ref
        (issued,) = self.issue([draft])
        return issued

    def _sign(self, act: Act) -> Issued:
        self.note([_numbered(self._ref, act)])
        return super()._sign(act)


def items_of(kept: Kept, network: bytes) -> Sequence[Item]:
    """What a transaction of ours says; `PendingDamaged` when that cannot be read."""
    try:
        return read_transaction(kept.data, network, SCHEMAS).items
    except (Malformed, VerificationFailed) as error:
        raise PendingDamaged(f"{kept.path}: {error}") from error


def _named(act: Act) -> list[str]:
    return [format_bill_id(*bill) for bill in bills_of(act.item)]


def _numbered(ref: str, act: Act) -> Numbered:
    bills = _named(act)
    return Numbered(ref, bills[0], bills[1] if len(bills) > 1 else None, mark_of(act.bodies[0]))


def answered(sent: Sent, told: Callable[[], None]) -> None:
    """Be told once the answer is there, by whichever thread brings it."""
    sent.answer.add_done_callback(lambda done: told())
