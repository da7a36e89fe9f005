"""One by one in, many at a time out."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

import pytest

from tallystick.client.batching import Batcher
from tallystick.protocol.errors import Busy


class Sender:
    """Answers each item with its double, at once."""

    def __init__(self) -> None:
        self.batches: list[Sequence[int]] = []
        self.hold = threading.Event()
        self.hold.set()

    def send(self, batch: Sequence[int]) -> Future[list[int]]:
        self.batches.append(batch)
        self.hold.wait(10)
        done: Future[list[int]] = Future()
        done.set_result([each * 2 for each in batch])
        return done


def test_each_item_has_its_own_answer() -> None:
    sender = Sender()
    with Batcher(sender.send, delay_seconds=0.05) as batcher:
        answers = [batcher.add(n) for n in range(100)]
        assert [each.result(10) for each in answers] == [2 * n for n in range(100)]
    assert sum(map(len, sender.batches)) == 100 and len(sender.batches) < 10


def test_a_batch_is_no_larger_than_a_transaction() -> None:
    sender = Sender()
    with Batcher(sender.send, size=lambda n: n, items_max=4, bytes_max=10) as batcher:
        answers = [batcher.add(n) for n in (1, 1, 1, 1, 6, 6, 30, 1)]
        assert [each.result(10) for each in answers] == [2, 2, 2, 2, 12, 12, 60, 2]
    assert sender.batches == [[1, 1, 1, 1], [6], [6], [30], [1]]


def test_a_lonely_item_does_not_wait_long() -> None:
    with Batcher(Sender().send, delay_seconds=0.01) as batcher:
        began = time.monotonic()
        assert batcher.add(1).result(10) == 2
        assert time.monotonic() - began < 5


def test_what_comes_while_one_batch_is_sent_travels_together() -> None:
    sender = Sender()
    sender.hold.clear()
    with Batcher(sender.send, delay_seconds=0) as batcher:
        first = batcher.add(0)
        while not sender.batches:
            time.sleep(0.01)
        others = [batcher.add(n) for n in range(1, 6)]
        sender.hold.set()
        assert first.result(10) == 0 and [each.result(10) for each in others] == [2, 4, 6, 8, 10]
    assert sender.batches == [[0], [1, 2, 3, 4, 5]]


def test_closing_sends_what_waits_and_takes_no_more() -> None:
    sender = Sender()
    batcher = Batcher(sender.send, delay_seconds=60)
    answer = batcher.add(1)
    batcher.close()
    assert answer.result(10) == 2
    with pytest.raises(ValueError, match="closed"):
        batcher.add(2)


def test_a_failure_is_that_of_its_batch_alone() -> None:
    failed: Future[list[int]] = Future()
    failed.set_exception(Busy(1))
    answers = iter([failed])

    def send(batch: Sequence[int]) -> Future[list[int]]:
        found = next(answers, None)
        if found is None:
            raise Busy(2)
        return found

    with Batcher(send, items_max=1) as batcher:
        one, two = batcher.add(1), batcher.add(2)
        for answer in (one, two):
            with pytest.raises(Busy):
                answer.result(10)
