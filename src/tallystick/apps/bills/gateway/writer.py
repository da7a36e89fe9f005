"""The one thread that works with the office and the vault; everybody else hands it orders.

Orders that come at about the same moment travel in one transaction. Nothing here waits for the
ledger: a transaction flies, and what became of it is noted when its answer comes. While the ledger
is away bills come out of the offline reserve; when it is back, what lies in ``pending/`` flies by
itself.

Invariant: an order whose ref has a bill is answered with that bill; a ref is let go only when
nothing of it can be on the ledger. See docs/guides/gateway.md.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple, TypeVar

from tallystick.apps.bills.acts import Act, Issued, Replacement, Reversal
from tallystick.apps.bills.gateway.desk import Batch, GatewayOffice, Outgoing, answered
from tallystick.apps.bills.gateway.inbox import BUSY_SECONDS, Event, Inbox, Order, Told
from tallystick.apps.bills.gateway.link import Link
from tallystick.apps.bills.gateway.mending import Mending
from tallystick.apps.bills.gateway.reasons import GatewayReason, reason_of
from tallystick.apps.bills.gateway.refs import Final, Refs, Row
from tallystick.apps.bills.gateway.reserves import Reserves
from tallystick.apps.bills.office import NEVER_SENT
from tallystick.apps.bills.reserve import SIGNED
from tallystick.apps.bills.trying import Work
from tallystick.client.failures import Equivocation
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.protocol.errors import Busy, Damaged, Malformed, Rejected, TallystickError

T = TypeVar("T")
_log = logging.getLogger("tallystick.gateway")

TRIES = 3
"""How often a bill whose number was gone gets another."""
AGAIN_SECONDS = 30.0
"""Before what failed strangely is submitted again."""
REFRESH_SECONDS = 600.0
"""Numbers and types are read anew."""
STALE_SECONDS = 5.0
"""After a number was missed; who asks for wrong ones does not make us ask all the time."""
DOUBTS_MAX = 5
_STOPS = (Equivocation, Damaged)
"""After these nothing more is issued before somebody has looked."""


class Flight(NamedTuple):
    """A transaction that has no answer yet."""

    batch: Batch
    orders: dict[int, Order]
    """By position; none for what another process began."""


class Writer:
    """From any thread: `hand_in`, `call`, `wake`. Begin with `start`."""

    def __init__(
        self,
        refs: Refs,
        reserves: Reserves,
        link: Link,
        mending: Mending,
        open_office: Callable[[], GatewayOffice],
        *,
        clock: Callable[[], int],
        batch_seconds: float,
        queue_max: int,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`open_office` needs the ledger; it is asked again until it succeeds."""
        self.refs = refs
        self.reserves = reserves
        self.link = link
        self._mending = mending
        self._open_office = open_office
        self._clock = clock
        self._elapsed = elapsed
        self._inbox = Inbox(batch_seconds=batch_seconds, queue_max=queue_max, elapsed=elapsed)
        self._open: dict[str, Order] = {}
        self._flying: dict[str, Flight] = {}
        self._stuck: dict[str, float] = {}
        self._refreshed = 0.0
        self._stale = False
        self._doubts = 0
        self.looked = threading.Event()
        """The ledger was asked for once, and answered or not."""
        self.office: GatewayOffice | None = None
        self.trouble = ""
        """Why nothing is issued until somebody has looked."""
        self.doubt = ""
        """What went wrong since the last answer that was believed."""
        self._thread = threading.Thread(target=self._run, name="tallystick-writer", daemon=True)

    # ------------------------------------------------------------------- from any thread

    def start(self) -> None:
        """Settle what can be settled without the ledger, then take orders."""
        self._mending.here()
        self._thread.start()

    def hand_in(self, orders: Sequence[Order]) -> None:
        """Take these on; `Busy` when too many wait."""
        self._inbox.hand_in(orders)

    def call(self, work: Callable[[GatewayOffice], T]) -> Future[T]:
        """Let the office do something else in between."""

        def ask() -> T:
            if self.office is None:
                raise Rejected(GatewayReason.AWAY, self.link.why)
            return work(self.office)

        return self._inbox.ask(ask)

    def wake(self) -> None:
        """The ledger was asked whether it is there."""
        self._inbox.tell(self._tick)

    def close(self, seconds: float) -> None:
        """Finish what has an answer within so many seconds; the rest lies in ``pending/``."""
        self._inbox.close()
        ends = self._elapsed() + seconds
        while self._busy() and self._elapsed() < ends:
            time.sleep(0.02)
        self._inbox.tell(self._stop)
        self._thread.join()

    def _busy(self) -> bool:
        flies = bool(self._flying) and not self.link.away
        return self._thread.is_alive() and (flies or bool(self._inbox))

    @property
    def unsure(self) -> Collection[str]:
        """Refs of which only the ledger can say whether they have a bill."""
        return self._mending.unsure

    def flies(self, ref: str) -> bool:
        """Whether its transaction is on its way."""
        return ref in self._open

    @property
    def figures(self) -> dict[str, int]:
        """Orders that wait, transactions that fly, those that failed strangely."""
        return {
            "queued": len(self._inbox),
            "flying": len(self._flying),
            "stuck": len(self._stuck),
        }

    # ----------------------------------------------------------------------------- the loop

    def _stop(self) -> None:
        raise _Ended

    def _run(self) -> None:
        try:
            while True:
                self._once(*self._inbox.next())
        except _Ended:
            pass
        finally:
            self._end()

    def _once(self, events: Sequence[Event], orders: Sequence[Order]) -> None:
        for event in events:
            try:
                event()
            except TallystickError as error:
                self._note_trouble(error)
        if not orders:
            return
        try:
            self._work(orders)
        except TallystickError as error:
            self._note_trouble(error)
            for order in orders:
                self._let_go(order, error)

    def _end(self) -> None:
        """Nobody waits for ever, not even where this ended by a bug."""
        if not self._inbox.closed:
            self.trouble = "the writer has ended: stop the gateway and start it anew"
        self._inbox.end(Rejected(GatewayReason.TROUBLE, self.trouble))
        for order in self._open.values():
            order.fail(Busy(BUSY_SECONDS))

    def _tick(self) -> None:
        try:
            self._look()
        finally:
            self.looked.set()

    def _look(self) -> None:
        if self.link.trouble:
            self.trouble = self.link.trouble
        if self.link.away or self.link.connection is None:
            return
        try:
            self._catch_up()
        except Damaged as error:  # lists far away may be of two moments; our files never mend
            self._doubts += 1
            if self._doubts >= DOUBTS_MAX:
                raise
            _log.warning("read again: %s", error)
        else:
            self._doubts = 0

    def _catch_up(self) -> None:
        if self.office is None:
            self.office = self._mending.there(self._open_office())
            self._refreshed = self._elapsed()
        self.reserves.close()
        self._again()
        since = self._elapsed() - self._refreshed
        if since > REFRESH_SECONDS or (self._stale and since > STALE_SECONDS):
            self._refreshed, self._stale = self._elapsed(), False
            self.office.refresh()

    # ------------------------------------------------------------------------------- orders

    def _work(self, orders: Sequence[Order]) -> None:
        fresh = self._take(orders)
        if self.trouble:
            for order in fresh:
                self._let_go(order, Rejected(GatewayReason.TROUBLE))
            return
        there = self.office is not None and not self.link.away
        for kind in ("issue", "reverse", "replace"):
            some = [order for order in fresh if order.kind == kind]
            if some and there:
                self._send(kind, some)
            for order in () if there else some:
                self._without_ledger(order)

    def _take(self, orders: Sequence[Order]) -> list[Order]:
        """Those whose refs are new, each taken durably; the others are answered."""
        fresh: dict[str, Order] = {}
        for order in orders:
            under_way = fresh.get(order.ref) or self._open.get(order.ref)
            row = None if under_way else self.refs.get(order.ref)
            known = under_way.digest if under_way else row.digest if row else order.digest
            if known != order.digest:
                order.fail(Rejected(GatewayReason.REF_TAKEN, order.ref, path="ref"))
            elif under_way is not None:
                under_way.others += [order.result, *order.others]
            elif row is None:
                fresh[order.ref] = order
            elif row.ref in self._mending.unsure:
                order.fail(Rejected(GatewayReason.UNSURE, order.ref, path="ref"))
            else:
                order.tell(Told(row, True))
        now = self._clock()
        self.refs.take(
            Row(each.ref, each.digest, each.kind, now, each.by, each.about, "taken")
            for each in fresh.values()
        )
        self._open |= fresh
        return list(fresh.values())

    def _send(self, kind: str, orders: Sequence[Order]) -> None:
        office = self.office
        if office is None:
            raise ValueError("orders are sent by an office")
        office.note = self.refs.number
        office.burnt = self._mending.burnt
        refs, works = [each.ref for each in orders], [each.work for each in orders]
        out = _hand_over(office, kind, refs, works)
        left = dict(enumerate(orders))
        for batch in out.sent:
            self._fly(batch, {act.position: left.pop(act.position) for act in batch[1]})
        for position, issued in out.answers.items():
            self._refused_here(left.pop(position), issued)
        for order in left.values():
            self._unsent(order, out.error)
        if out.error is not None:
            self._note_trouble(out.error)

    def _without_ledger(self, order: Order) -> None:
        """Out of the reserve, if there is one for it."""
        office = self.reserves.office(order.code) if order.kind == "issue" else None
        if office is None or not isinstance(order.work, Body):
            self._let_go(order, Rejected(GatewayReason.AWAY, self.link.why))
            return
        issued = office.issue_one(order.ref, order.work)
        if issued.outcome == BillsReason.BIZCODE_CONFLICT.value and not self._mending.complete:
            self._let_go(order, Rejected(GatewayReason.UNSURE, order.ref, path="ref"))
            return
        if issued.outcome != SIGNED:
            self._refused_here(order, issued)
            return
        self.reserves.used(order.code)
        self._close(order)

    # ---------------------------------------------------------------------------- answers

    def _fly(self, batch: Batch, orders: dict[int, Order]) -> None:
        sent = batch[0]
        self._flying[sent.tx_id] = Flight(batch, orders)
        answered(sent, partial(self._inbox.tell, partial(self._landed, sent.tx_id)))

    def _landed(self, tx_id: str) -> None:
        flight = self._flying.pop(tx_id)
        office = self.office
        if office is None:
            raise ValueError("what flies was sent by an office")
        try:
            done = office.conclude(flight.batch)
        except TallystickError as error:
            self._stuck[tx_id] = self._elapsed()
            self._note_trouble(error)
            for order in flight.orders.values():
                self._close(order)
            return
        self._stuck.pop(tx_id, None)
        self.doubt = ""
        finals: list[Final] = []
        refused: list[tuple[str, Issued, Order | None]] = []
        told: list[Order] = []
        for n, issued in enumerate(done):
            act = flight.batch[1][n] if flight.batch[1] else None
            asked = flight.orders.get(act.position) if act is not None else None
            ref = self._ref_of(issued) if asked is None else asked.ref
            if ref is None:
                continue
            if not issued.accepted:
                refused.append((ref, issued, asked))
                continue
            word = "issuing" if act is None else self._word(office, act)
            finals.append(Final(ref, issued.tx_id, issued.entry or 0, word))
            if asked is not None:
                told.append(asked)
        self.refs.finish(finals)
        for each in told:
            self._close(each)
        for ref, issued, asked in refused:
            self._refused_there(ref, issued, asked)

    def _ref_of(self, issued: Issued) -> str | None:
        row = self.refs.of_bill(format_bill_id(issued.code, issued.number))
        return None if row is None or row.state != "sent" else row.ref

    @staticmethod
    def _word(office: GatewayOffice, act: Act) -> str:
        try:
            return office.word_of(act)
        except TallystickError:  # nobody is there to say more, and less is never false
            return "issuing"

    def _refused_here(self, order: Order, issued: Issued) -> None:
        if issued.outcome == BillsReason.NUMBER_NOT_ALLOCATED.value:
            self._stale = True
        if issued.outcome == BillsReason.NUMBER_USED.value and self._once_more(order):
            return
        error = _said(issued)
        self._let_go(order, error)

    def _refused_there(self, ref: str, issued: Issued, order: Order | None) -> None:
        if self.link.known is not None:
            self.link.known.forget()
        row = self.refs.refuse(ref, issued.outcome)
        if row is not None:
            self._mending.burn(row)
            if order is not None:
                self._close(order)
            return
        if order is None:
            return
        if issued.outcome == BillsReason.NUMBER_USED.value and self._once_more(order):
            return
        del self._open[ref]
        order.fail(_said(issued))

    def _once_more(self, order: Order) -> bool:
        """Whether it gets another number: this one was gone, by whoever used it."""
        order.tries += 1
        if order.tries >= TRIES or self._inbox.closed:
            return False
        self._stale = True
        self.refs.free([order.ref])
        self._open.pop(order.ref, None)
        self._inbox.first(order)
        return True

    def _unsent(self, order: Order, error: TallystickError | None) -> None:
        row = self.refs.get(order.ref)
        if row is not None and row.state == "sent":  # signed, or about to be: `pending/` knows
            self._close(order)
            return
        stops = isinstance(error, _STOPS)
        reason = GatewayReason.TROUBLE if stops else GatewayReason.AWAY
        self._let_go(order, Rejected(reason, str(error or "")))

    def _close(self, order: Order) -> None:
        """Tell how it stands: its bill is known."""
        self._open.pop(order.ref, None)
        row = self.refs.get(order.ref)
        if row is None:
            order.fail(Rejected(GatewayReason.UNSURE, order.ref, path="ref"))
        else:
            order.tell(Told(row))

    def _let_go(self, order: Order, error: TallystickError) -> None:
        """Nothing was made: the ref is free again."""
        row = self.refs.get(order.ref)
        if row is not None and row.state == "taken":
            self.refs.free([order.ref])
        self._open.pop(order.ref, None)
        order.fail(error)

    def _note_trouble(self, error: TallystickError) -> None:
        self.doubt = f"{type(error).__name__}: {error}"
        if isinstance(error, _STOPS):
            self.trouble = self.doubt
        _log.error("%s: %s", type(error).__name__, error)

    # ------------------------------------------------------------------------------- again

    def _again(self) -> None:
        """What lies in ``pending/`` and does not fly."""
        office, connection = self.office, self.link.connection
        if office is None or connection is None or self.trouble:
            return
        now = self._elapsed()
        resting = {tx for tx, since in self._stuck.items() if now - since < AGAIN_SECONDS}
        for kept in self._mending.lying(self._flying.keys() | resting):
            self._fly(office.again(kept, connection.submit), {})


class _Ended(Exception):
    """The loop is over."""


def _hand_over(
    office: GatewayOffice, kind: str, refs: Sequence[str], works: Sequence[Work]
) -> Outgoing:
    if kind == "issue":
        return office.send_drafts(refs, [each for each in works if isinstance(each, Body)])
    if kind == "reverse":
        return office.send_reversals(refs, [e for e in works if isinstance(e, Reversal)])
    return office.send_replacements(refs, [e for e in works if isinstance(e, Replacement)])


def _said(issued: Issued) -> TallystickError:
    if issued.outcome == NEVER_SENT:
        return Busy(BUSY_SECONDS)
    if issued.outcome.endswith(".malformed"):
        return Malformed(issued.detail, path=issued.path)
    return Rejected(reason_of(issued.outcome), issued.detail, path=issued.path)
