"""What tills hand to the writer, and what happens beside: one queue, bounded, from any thread.

Invariant: whoever handed something in is answered, also where the writer ends before it came to it.
See docs/guides/gateway.md.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from tallystick.apps.bills.gateway.refs import Row
from tallystick.apps.bills.trying import Work
from tallystick.protocol.errors import Busy, TallystickError

T = TypeVar("T")
Event = Callable[[], None]

BATCH_MAX = 1_000
BUSY_SECONDS = 1.0


class Told(NamedTuple):
    """What a till may be told."""

    row: Row
    repeated: bool = False


@dataclass(slots=True)
class Order:
    """What one till asks for, under one ref."""

    kind: str
    ref: str
    digest: bytes
    by: str
    work: Work
    about: str | None = None
    code: int = 0
    """Of the reserve that it could come out of."""
    result: Future[Told] = field(default_factory=Future)
    others: list[Future[Told]] = field(default_factory=list)
    """Of whoever asked the same meanwhile."""
    tries: int = 0
    since: float = 0.0

    def tell(self, told: Told) -> None:
        """All who asked."""
        for n, each in enumerate((self.result, *self.others)):
            if not each.done():
                each.set_result(told if not n else Told(told.row, True))

    def fail(self, error: TallystickError) -> None:
        """Nothing was made."""
        for each in (self.result, *self.others):
            if not each.done():
                each.set_exception(error)


class Inbox:
    """Orders wait for company for a moment; events do not wait."""

    def __init__(
        self,
        *,
        batch_seconds: float,
        queue_max: int,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batch_seconds = batch_seconds
        self._queue_max = queue_max
        self._elapsed = elapsed
        self._changed = threading.Condition()
        self._orders: deque[Order] = deque()
        self._events: deque[Event] = deque()
        self._asked: set[Future[Any]] = set()
        self.closed = False

    def __len__(self) -> int:
        """Orders that wait."""
        return len(self._orders)

    def hand_in(self, orders: Sequence[Order]) -> None:
        """Take these on; `Busy` when too many wait."""
        now = self._elapsed()
        with self._changed:
            if self.closed or len(self._orders) + len(orders) > self._queue_max:
                raise Busy(BUSY_SECONDS)
            for order in orders:
                order.since = now
            self._orders.extend(orders)
            self._changed.notify()

    def first(self, order: Order) -> None:
        """Before all that wait: it has waited already."""
        with self._changed:
            self._orders.appendleft(order)
            self._changed.notify()

    def tell(self, event: Event) -> None:
        """Something happened."""
        with self._changed:
            self._events.append(event)
            self._changed.notify()

    def ask(self, work: Callable[[], T]) -> Future[T]:
        """A question to the writer's thread."""
        result: Future[T] = Future()

        def event() -> None:
            self._asked.discard(result)
            try:
                result.set_result(work())
            except TallystickError as error:
                result.set_exception(error)

        with self._changed:
            if self.closed:
                raise Busy(BUSY_SECONDS)
            self._asked.add(result)
            self._events.append(event)
            self._changed.notify()
        return result

    def next(self) -> tuple[list[Event], list[Order]]:
        """What happened, and the orders whose time has come; waits until there is something."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._orders)
            if not self._events:
                self._changed.wait_for(
                    lambda: self._events or len(self._orders) >= BATCH_MAX, max(self._left(), 0.0)
                )
            events = list(self._events)
            self._events.clear()
            ripe = len(self._orders) >= BATCH_MAX or (self._orders and self._left() <= 0)
            count = min(len(self._orders), BATCH_MAX) if ripe else 0
            return events, [self._orders.popleft() for _ in range(count)]

    def close(self) -> None:
        """Take nothing more."""
        with self._changed:
            self.closed = True

    def end(self, error: TallystickError) -> None:
        """The writer has ended: nobody waits for ever."""
        with self._changed:
            self.closed = True
            asked, orders = list(self._asked), list(self._orders)
        for order in orders:
            order.fail(Busy(BUSY_SECONDS))
        for each in asked:
            if not each.done():
                each.set_exception(error)

    def _left(self) -> float:
        """How long the first order still waits for company."""
        return self._orders[0].since + self._batch_seconds - self._elapsed()
