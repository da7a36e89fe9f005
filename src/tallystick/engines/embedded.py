"""The embedded engine: many submitters, one writer, group commit.

Submitters parse in their own threads, then queue; the writer takes what waits, organisations in
turn, and makes one block of it: one state root and one fsync for all. While it executes a block, a
child process verifies the signatures of the next, where they are many. A full queue says
`Busy`. The WAL is moved into the file by a thread of its own, off the way of the blocks.
See docs/architecture.md.

Invariant: a future gives its answer after the commit of its block, and each exactly once.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple, Self

from tallystick.contracts.kit.acts import signature_id
from tallystick.contracts.kit.keys import find_key
from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.engines.clock import Clock
from tallystick.engines.verifying import CLEAR, UNCLEAR, VerifierProcess
from tallystick.ledger.engine import Committed, Stopped
from tallystick.ledger.ledger import Ledger, Seen
from tallystick.ledger.receipts import read_segment
from tallystick.ledger.sqlite import WAL_BYTES_SOFT_MAX
from tallystick.protocol.errors import Busy, Rejected, TallystickError, VerificationFailed
from tallystick.protocol.keys import Signed
from tallystick.protocol.transaction import Transaction

QUEUED_BYTES_MAX = 64 * 1024 * 1024
"""What waits is in memory only: some seconds of a province's worst minute."""
BUSY_RETRY_SECONDS = 0.5
WORK_MAX = 4_000
"""Units of work in a block: 1 an item, more where an action says so; a tenth of a second."""
STARTED_MIN, HANDED_MIN = 64, 16
"""Transactions taken at once from which on a child process is started, and then handed the list.
Batches never are so many: a thousand bills have one signature."""
ORG_SHARE = 2
"""Of a block's work one organisation gets at most 1/ORG_SHARE while others wait."""
UNKNOWN_SHARE = 2
"""What is not known to come from its sender waits in 1/UNKNOWN_SHARE of the queue: so that nobody
who only claims to be a member keeps the members out."""
CLOSE_SECONDS_MAX = 600

_log = logging.getLogger("tallystick.engine")


class _Waiting(NamedTuple):
    transaction: Transaction
    work: int
    future: Future[Committed]
    verified: bool = False
    """Another process of ours has verified its signature."""


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What an operator watches."""

    queued: int
    queued_bytes: int
    blocks: int
    wal_bytes: int


class EmbeddedEngine:
    """One operator decides the order; fulfils `ledger.engine.Engine`."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        clock: Clock | None = None,
        on_commit: Callable[[], None] | None = None,
        before_wal: Callable[[], None] | None = None,
        keeper_at: int | None = None,
        queued_bytes_max: int = QUEUED_BYTES_MAX,
    ) -> None:
        """Start the writer; raises `ClockDoubt` when the machine's clock is not believed.

        `on_commit` is called by the writer after each block: it must only wake someone.
        `before_wal` is called by it before the WAL begins anew: readers let go of old moments.
        `keeper_at` is what a keeper's clock says now (Unix seconds), where one could be asked.
        """
        self._ledger = ledger
        self._clock = clock or Clock()
        self._clock.start(ledger.head.at, ledger.folder, keeper_at=keeper_at)
        self._on_commit = on_commit
        self._before_wal = before_wal
        self._making = threading.Lock()
        self._queued_bytes_max = queued_bytes_max
        self._queues: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        self._queued = self._queued_bytes = self._blocks = 0
        self._changed = threading.Condition()
        self._closing = False
        self._failure: BaseException | None = None
        self._wal_moved = threading.Event()
        self._wal_thread: threading.Thread | None = None
        self._child: VerifierProcess | None = None
        self._asked = False
        self._inner: list[Signed] = []
        """Within the items of the list that the child has now."""
        self._cleared: frozenset[bytes] = frozenset()
        """Those of the list that is executed next."""
        self._writer = threading.Thread(target=self._run, name="tallystick-writer", daemon=True)
        self._writer.start()

    def submit(self, data: bytes, *, verified: bool = False) -> Future[Committed]:
        """Check and queue; see `ledger.engine.Engine.submit`.

        `verified`: a process of ours has verified the transaction's own signature already.
        """
        transaction = self._ledger.parse(data)
        action = self._ledger.rules.actions[transaction.header.action]
        future: Future[Committed] = Future()
        future.set_running_or_notify_cancel()  # what is queued is ordered: nobody calls it back
        work = action.work * transaction.header.count
        waiting = _Waiting(transaction, work, future, verified)
        if self._queued_bytes > self._queued_bytes_max // UNKNOWN_SHARE:
            try:
                self._check_sender(transaction)
            except (Rejected, VerificationFailed) as error:
                future.set_exception(error)
                return future
        with self._changed:
            if self._failure is not None or self._closing:
                raise Stopped("the engine has stopped")
            if self._queued_bytes + len(data) > self._queued_bytes_max:
                raise Busy(BUSY_RETRY_SECONDS)
            self._queues.setdefault(transaction.header.sender, deque()).append(waiting)
            self._queued += 1
            self._queued_bytes += len(data)
            self._changed.notify()
        return future

    def close(self) -> None:
        """Finish what is queued, then stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._writer.join(CLOSE_SECONDS_MAX)
        if self._child is not None and not self._writer.is_alive():
            self._child.close()
        if self._wal_thread is not None:
            self._wal_thread.join(CLOSE_SECONDS_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Between two blocks: none is made while the `with` lasts."""
        with self._making:
            yield

    @property
    def failure(self) -> BaseException | None:
        """Why it stopped by itself, or None."""
        return self._failure

    @property
    def verifies_apart(self) -> bool:
        """Whether a child process verifies signatures."""
        return self._child is not None

    def figures(self) -> EngineFigures:
        """What waits and what was done."""
        with self._changed:
            queued, queued_bytes = self._queued, self._queued_bytes
        return EngineFigures(queued, queued_bytes, self._blocks, self._ledger.store.wal_bytes())

    def _check_sender(self, transaction: Transaction) -> None:
        """It is signed by a key of its sender, in the submitter's time: admission asks the rest."""
        transaction.verify()
        header = transaction.header
        with self._ledger.view() as view:
            row = find_key(view, header.key)
        if row is None or row.org != header.sender:
            raise Rejected(LedgerReason.KEY_NOT_SENDERS, path="header/sender")

    def _run(self) -> None:
        """The writer: takes, executes, commits, answers, until closed or broken."""
        taken: list[_Waiting] = []
        next_taken: list[_Waiting] = []
        try:
            while True:
                next_taken = self._take(wait=not taken)
                self._begin_verifying(next_taken)
                if taken:
                    with self._making:
                        self._make_block(taken)
                    self._mind_the_wal()
                elif not next_taken:
                    return
                taken = self._finish_verifying(next_taken)
        except BaseException as error:  # whatever it was, who waits must hear of it
            _log.critical("the engine stops: %s", error)
            with self._changed:
                self._failure = error
                left = [waiting for queue in self._queues.values() for waiting in queue]
                self._queues.clear()
                self._queued = self._queued_bytes = 0
            for waiting in [*taken, *next_taken, *left]:
                if not waiting.future.done():
                    waiting.future.set_exception(Stopped(f"the engine stopped: {error}"))

    def _take(self, *, wait: bool) -> list[_Waiting]:
        """What the next block tries: organisations in turn, within the work of a block.

        Nothing when nothing waits and we need not wait, or are closing.
        """
        with self._changed:
            while wait and not self._queued and not self._closing:
                self._changed.wait()
            taken: list[_Waiting] = []
            work, shares, served = 0, dict[str, int](), set[str]()
            while self._queues and work < WORK_MAX:
                sender, queue = next(iter(self._queues.items()))
                waiting = queue[0]
                share = shares.get(sender, 0) + waiting.work
                alone = len(self._queues) == 1
                if taken and work + waiting.work > WORK_MAX:
                    break
                if sender in shares and not alone and share > WORK_MAX // ORG_SHARE:
                    served.add(sender)
                    if served.issuperset(self._queues):
                        break
                    self._queues.move_to_end(sender)
                    continue
                queue.popleft()
                taken.append(waiting)
                work, shares[sender] = work + waiting.work, share
                if queue:
                    self._queues.move_to_end(sender)
                else:
                    del self._queues[sender]
            self._queued -= len(taken)
            self._queued_bytes -= sum(len(waiting.transaction.data) for waiting in taken)
            return taken

    def _begin_verifying(self, taken: list[_Waiting]) -> None:
        """Hand a long list to the child, which is started when the first one comes."""
        asked = [waiting for waiting in taken if not waiting.verified]
        outer = [Signed(*waiting.transaction.signed()) for waiting in asked]
        self._inner = [each for waiting in taken for each in self._signed_within(waiting)]
        count = len(outer) + len(self._inner)
        self._asked = count >= (HANDED_MIN if self._child else STARTED_MIN)
        if not self._asked:
            return
        if self._child is not None and not self._child.alive:
            self._child.close()
            self._child = None
        self._child = self._child or VerifierProcess()
        self._child.begin([*outer, *self._inner])

    def _signed_within(self, waiting: _Waiting) -> Iterator[Signed]:
        """The signatures of others in a transaction's items."""
        transaction = waiting.transaction
        name = transaction.header.action
        find = self._ledger.rules.actions[name].signed
        if find is not None:
            for item in transaction.items:
                if (signed := find(self._ledger.network, name, item)) is not None:
                    yield signed

    def _finish_verifying(self, taken: list[_Waiting]) -> list[_Waiting]:
        """Those whose signature is true; the others are answered."""
        verdicts = b""
        if self._asked and self._child is not None:
            verdicts = self._child.finish()
        asked = [waiting for waiting in taken if not waiting.verified]
        for waiting, verdict in zip_longest(asked, verdicts[: len(asked)], fillvalue=UNCLEAR):
            if verdict != CLEAR and isinstance(waiting, _Waiting):
                _refuse_if_false(waiting)
        within = zip(self._inner, verdicts[len(asked) :], strict=False)
        self._cleared = frozenset(
            signature_id(signed) for signed, verdict in within if verdict == CLEAR
        )
        return [waiting for waiting in taken if not waiting.future.done()]

    def _make_block(self, taken: list[_Waiting]) -> None:
        """Order each transaction once, however often it was submitted, and answer all."""
        once: dict[str, _Waiting] = {}
        again = [
            (waiting, original)
            for waiting in taken
            if (original := once.setdefault(waiting.transaction.tx_id, waiting)) is not waiting
        ]
        self._order(list(once.values()))
        for waiting, original in again:
            refusal = original.future.exception()
            if refusal is not None:
                waiting.future.set_exception(refusal)
            else:
                waiting.future.set_result(original.future.result()._replace(repeated=True))

    def _order(self, taken: list[_Waiting]) -> None:
        ledger = self._ledger
        at = self._clock.at(ledger.head.at)
        admissions = ledger.admit(at, [waiting.transaction for waiting in taken])
        block: list[_Waiting] = []
        for waiting, admission in zip(taken, admissions, strict=True):
            if admission is None:
                block.append(waiting)
            elif isinstance(admission, Rejected):
                waiting.future.set_exception(admission)
            else:
                waiting.future.set_result(self._old_answer(waiting.transaction, admission))
        if not block:
            self._clock.made()
            return
        executed = ledger.execute(at, [waiting.transaction for waiting in block], self._cleared)
        ledger.commit()
        self._clock.made()
        self._blocks += 1
        first = executed.first
        for waiting, outcomes, why in zip(block, executed.outcomes, executed.why, strict=True):
            tx_id = waiting.transaction.tx_id
            waiting.future.set_result(
                Committed(tx_id, first, outcomes, executed.block, at, why=why)
            )
            first += len(outcomes)
        if self._on_commit is not None:
            self._on_commit()

    def _old_answer(self, transaction: Transaction, seen: Seen) -> Committed:
        with self._ledger.view() as view:
            segment = view.segment(seen.first)
            record = view.block(segment.block)
        at = record.at if record else 0
        outcomes = read_segment(segment)[2]
        return Committed(transaction.tx_id, seen.first, outcomes, segment.block, at, repeated=True)

    def _mind_the_wal(self) -> None:
        """Start moving a large WAL; when most of it is moved, the writer moves the rest itself.

        Only then does SQLite begin the WAL anew: while blocks come, no other thread catches up.
        """
        if self._wal_moved.is_set():
            self._wal_moved.clear()
            if self._before_wal is not None:
                self._before_wal()
            self._ledger.store.checkpoint()
            return
        moving = self._wal_thread is not None and self._wal_thread.is_alive()
        if not moving and self._ledger.store.wal_bytes() > WAL_BYTES_SOFT_MAX:
            self._wal_thread = threading.Thread(target=self._move_wal, daemon=True)
            self._wal_thread.start()

    def _move_wal(self) -> None:
        try:
            for _ in range(2):  # the second round has only what came during the first
                self._ledger.store.checkpoint_beside()
        except TallystickError as error:
            _log.error("the WAL could not be moved: %s", error)
            return
        self._wal_moved.set()


def _refuse_if_false(waiting: _Waiting) -> None:
    try:
        waiting.transaction.verify()
    except VerificationFailed as error:
        waiting.future.set_exception(error)
