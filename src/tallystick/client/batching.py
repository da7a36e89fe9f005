"""One by one in, many at a time out: items are collected for a moment and sent together.

A hospital that issues 300 bills a second, one at each till, would else sign and prove 300
transactions a second; its machine and the ledger's do a thousand items in one for little more.

Invariant: each item has its own answer, in whatever company it travelled. See docs/guides/sdk.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Generic, NamedTuple, Self, TypeVar

from tallystick.protocol.errors import TallystickError
from tallystick.protocol.transaction import ITEM_BYTES_MAX, ITEMS_MAX, TRANSACTION_BYTES_MAX

DELAY_SECONDS = 0.05
BYTES_MAX = TRANSACTION_BYTES_MAX - ITEM_BYTES_MAX - 4 * 1024
"""A batch that has come so far takes no further item: room for one, and for the header."""

T = TypeVar("T")
R = TypeVar("R")

Send = Callable[[Sequence[T]], "Future[list[R]]"]


class _Item(NamedTuple, Generic[T, R]):
    what: T
    size: int
    since: float
    answer: Future[R]


class Batcher(Generic[T, R]):
    """Collects and sends, from any number of threads. Use as a context."""

    def __init__(
        self,
        send: Send[T, R],
        *,
        size: Callable[[T], int] = lambda _: 0,
        items_max: int = ITEMS_MAX,
        bytes_max: int = BYTES_MAX,
        delay_seconds: float = DELAY_SECONDS,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`send` takes a batch and gives the future of its answers, one an item, in order.

        It is called by one thread; while it takes its time, the next batch grows.
        """
        self._send = send
        self._size = size
        self._items_max = items_max
        self._bytes_max = bytes_max
        self._delay_seconds = delay_seconds
        self._elapsed = elapsed
        self._changed = threading.Condition()
        self._waiting: list[_Item[T, R]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="tallystick-batcher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send what waits, then stop."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, what: T) -> Future[R]:
        """Let an item travel with the next batch."""
        item: _Item[T, R] = _Item(what, self._size(what), self._elapsed(), Future())
        with self._changed:
            if self._closing:
                raise ValueError("this batcher is closed")
            self._waiting.append(item)
            self._changed.notify_all()
        return item.answer

    def _work(self) -> None:
        while batch := self._next():
            try:
                answers = self._send([item.what for item in batch])
            except TallystickError as error:
                _fail(batch, error)
            except BaseException as error:
                _fail(batch, error)
                raise
            else:
                answers.add_done_callback(partial(_distribute, batch))

    def _next(self) -> list[_Item[T, R]]:
        """The next batch; none when this is closed and nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._waiting)
            while self._waiting and not self._closing and self._count() == len(self._waiting):
                left = self._waiting[0].since + self._delay_seconds - self._elapsed()
                if left <= 0 or len(self._waiting) >= self._items_max:
                    break
                self._changed.wait(left)
            count = self._count()
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            return batch

    def _count(self) -> int:
        """How many of those that wait fit into one batch."""
        total = 0
        for count, item in enumerate(self._waiting[: self._items_max]):
            total += item.size
            if total > self._bytes_max and count:
                return count
        return min(len(self._waiting), self._items_max)


def _distribute(batch: Sequence[_Item[T, R]], done: Future[list[R]]) -> None:
    error = done.exception()
    if error is not None:
        _fail(batch, error)
        return
    for item, answer in zip(batch, done.result(), strict=True):
        item.answer.set_result(answer)


def _fail(batch: Sequence[_Item[T, R]], error: BaseException) -> None:
    for item in batch:
        item.answer.set_exception(error)
