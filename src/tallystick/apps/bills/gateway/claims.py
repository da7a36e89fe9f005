"""The reimburser's desk as a gateway uses it: one thread; orders that come together go together.

The book makes each order idempotent: what is asked for twice is done once. So whoever had no answer
in time asks again.

Invariant: no order is sent before the claim it is about lies in the book.
See docs/guides/reimburser.md.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from tallystick.apps.bills.claim_book import Kept
from tallystick.apps.bills.claim_orders import Answer
from tallystick.apps.bills.gateway.link import Link
from tallystick.apps.bills.gateway.reasons import GatewayReason
from tallystick.apps.bills.reimburser import Reimburser
from tallystick.protocol.errors import Busy, Rejected, TallystickError

_log = logging.getLogger("tallystick.gateway")

BATCH_MAX = 1_000
BUSY_SECONDS = 1.0


@dataclass(slots=True)
class Ask:
    """One order, or a question (no verb)."""

    verb: str
    order: Any
    result: Future[Any] = field(default_factory=Future)


class ClaimsDesk:
    """From any thread: `hand_in`, `ask`. Begin with `start`."""

    def __init__(
        self,
        link: Link,
        open_desk: Callable[[], Reimburser],
        *,
        batch_seconds: float,
        queue_max: int,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`open_desk` needs the ledger; it is asked again until it succeeds."""
        self._link = link
        self._open_desk = open_desk
        self._batch_seconds = batch_seconds
        self._queue_max = queue_max
        self._elapsed = elapsed
        self._changed = threading.Condition()
        self._waiting: deque[Ask] = deque()
        self._closing = False
        self._desk: Reimburser | None = None
        self._unsettled = True
        """Something may be under way of which the book knows nothing yet."""
        self._thread = threading.Thread(target=self._run, name="tallystick-claims", daemon=True)

    def start(self) -> None:
        """Take orders."""
        self._thread.start()

    def close(self) -> None:
        """What is under way lies in the book and in ``pending/``."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def hand_in(self, verb: str, order: Any) -> Future[Answer]:
        """Do something; `Busy` when too many wait."""
        return self._add(Ask(verb, order))

    def ask(self, question: Callable[[Reimburser], Any]) -> Future[Any]:
        """Look into the book."""
        return self._add(Ask("", question))

    @property
    def queued(self) -> int:
        """Orders that wait."""
        return len(self._waiting)

    def _add(self, ask: Ask) -> Future[Any]:
        with self._changed:
            if self._closing or len(self._waiting) >= self._queue_max:
                raise Busy(BUSY_SECONDS)
            self._waiting.append(ask)
            self._changed.notify()
        return ask.result

    def _run(self) -> None:
        while (some := self._next()) or not self._closing:
            try:
                self._work(some)
            except (TallystickError, TimeoutError) as error:
                self._unsettled = True
                _log.error("claims: %s: %s", type(error).__name__, error)
                _fail(some, error)

    def _next(self) -> list[Ask]:
        """Those of one verb that stand in front."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._waiting)
            if self._closing:
                _fail(list(self._waiting), Busy(BUSY_SECONDS))
                self._waiting.clear()
                return []
        time.sleep(self._batch_seconds)
        with self._changed:
            some = [self._waiting.popleft()]
            while self._waiting and self._waiting[0].verb == some[0].verb and len(some) < BATCH_MAX:
                some.append(self._waiting.popleft())
            return some

    def _work(self, some: Sequence[Ask]) -> None:
        if not some:
            return
        desk = self._desk
        if self._link.away or desk is None or self._unsettled:
            desk = self._settle()
        if desk is None:
            _fail(some, Rejected(GatewayReason.AWAY, self._link.why))
            return
        if not some[0].verb:
            for each in some:
                each.result.set_result(each.order(desk))
            return
        if self._link.away:
            _fail(some, Rejected(GatewayReason.AWAY, self._link.why))
            return
        done = getattr(desk, some[0].verb)([each.order for each in some])
        for each, answer in zip(some, done, strict=True):
            each.result.set_result(answer)

    def _settle(self) -> Reimburser | None:
        """Find out what became of what was under way; the book can be looked at meanwhile."""
        if self._link.away:
            return self._desk
        if self._desk is None:
            self._desk = self._open_desk()
        if self._unsettled:
            self._desk.resolve()
            self._unsettled = False
        return self._desk


def _fail(some: Sequence[Ask], error: TallystickError | TimeoutError) -> None:
    reason: Exception = error
    if isinstance(error, TimeoutError):
        reason = Rejected(GatewayReason.UNDER_WAY)
    for each in some:
        if not each.result.done():
            each.result.set_exception(reason)


def find(desk: Reimburser, name: str) -> Kept:
    """The claim that a number of the book, or a caller's own ref, means; the newest of several."""
    found = desk.book.of_ref(name)
    if name.isascii() and name.isdigit() and len(name) < 15:
        kept = desk.book.get(int(name))
        found = [kept] if kept is not None else found
    if not found:
        raise Rejected(GatewayReason.NO_BILL, name[:64], path="claim")
    return found[-1]
