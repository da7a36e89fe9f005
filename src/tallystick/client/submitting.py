"""Transactions on their way to a ledger far away, many at a time, each until it is *proven*.

1. the bytes lie in the outbox, if there is one    2. they are sent, and sent again as long as no
answer comes: over lost connections, a busy server, its restart    3. the batch receipt is fetched
as soon as enough keepers have signed    4. it is verified against the trust policy, and its
checkpoint against all that were seen before    5. only then the future has its answer

Invariant: no answer is given that this side has not verified. See docs/spec/client.md.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

from tallystick.client import wire
from tallystick.client.failures import Away, NotYet, ServerFailed, Unanswered, WrongAnswer
from tallystick.client.history import History
from tallystick.client.outbox import Kept, Outbox, id_of
from tallystick.client.sync import Client
from tallystick.protocol.batch import read_batch
from tallystick.protocol.committed import Committed
from tallystick.protocol.errors import Busy, Rejected, TallystickError
from tallystick.protocol.transaction import split_transaction
from tallystick.protocol.values import parse_instant
from tallystick.verify import FailedStep, Verifier

CALL_SECONDS = 15.0
"""One attempt."""
WAIT_SECONDS = 5
"""How long the server may hold a receipt back; asked again at once."""
PAUSE_SECONDS_MAX = 5.0
POLICY_STEP = 10
"""The verifier's step at which the policy is not met: more co-signatures may still come."""
GOES_ON: tuple[type[TallystickError], ...] = (Busy, Away, NotYet, Unanswered, ServerFailed)


class Waiting(NamedTuple):
    """How many transactions wait for what."""

    sending: int
    """Not known to be on the ledger."""
    proving: int
    """On the ledger, as the server says; not yet proven."""
    oldest_seconds: float
    why: str
    """What the last attempt failed with, while it has not been followed by one that did not."""


@dataclass(slots=True)
class _Job:
    data: bytes
    tx_id: str
    kept: Kept | None
    since: float
    answer: Future[Committed] = field(default_factory=Future)
    committed: Committed | None = None

    @property
    def end(self) -> int:
        return self.committed.first + len(self.committed.outcomes) if self.committed else 0


class Submitter:
    """Submits and proves, from any thread. Use as a context."""

    def __init__(
        self,
        client: Client,
        history: History,
        *,
        outbox: Path | None = None,
        connections: int = 4,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`client` signs its questions as the sender. Without `outbox` the caller keeps the bytes.

        `connections`: how many transactions are sent at a time; as many receipts are fetched.
        """
        self._client = client
        self._history = history
        self._verifier = Verifier(history.policy)
        self._outbox = None if outbox is None else Outbox(outbox)
        self._elapsed = elapsed
        self._changed = threading.Condition()
        self._sending: deque[_Job] = deque()
        self._proving: deque[_Job] = deque()
        self._jobs: dict[int, _Job] = {}
        self._covered = 0
        self._asking = False
        self._closing = False
        self._why = ""
        self._threads = [
            threading.Thread(target=work, name=f"tallystick-{work.__name__[1:]}", daemon=True)
            for work in (self._send_all, self._prove_all)
            for _ in range(connections)
        ]
        for each in self._threads:
            each.start()

    def close(self) -> None:
        """Stop; what has no answer yet gets `Unanswered`, and lies in the outbox if there is one.

        Takes as long as the calls under way: some seconds at most.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for each in self._threads:
            each.join()
        for job in list(self._jobs.values()):
            self._finish(job, Unanswered("stopped before the answer was proven; send it again"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, data: bytes) -> Future[Committed]:
        """Enter a transaction; the future has its answer once the receipt is verified.

        It raises `Rejected` for one that may not be ordered, `Malformed`, `VerificationFailed` (of
        the transaction, or of what the server shows for it), `WrongAnswer`, `Equivocation`.
        """
        self._history.guard()
        tx_id = id_of(data)
        kept = self._outbox.put(data) if self._outbox is not None else None
        return self._add(_Job(data, tx_id, kept, self._elapsed()))

    def resume(self) -> dict[str, Future[Committed]]:
        """Submit again what lay in the outbox when the last process ended; by `tx_id`."""
        if self._outbox is None:
            return {}
        kept = list(self._outbox.kept())
        now = self._elapsed()
        return {one.tx_id: self._add(_Job(one.data, one.tx_id, one, now)) for one in kept}

    def forget(self, data: bytes) -> None:
        """The answer to these bytes is noted elsewhere, durably: the outbox may drop them."""
        if self._outbox is not None:
            self._outbox.remove(self._outbox.put(data))

    def figures(self) -> Waiting:
        """How many wait, for how long, and why."""
        with self._changed:
            jobs = list(self._jobs.values())
            proving = sum(job.committed is not None for job in jobs)
            oldest = max((self._elapsed() - job.since for job in jobs), default=0.0)
            return Waiting(len(jobs) - proving, proving, oldest, self._why if jobs else "")

    # ----------------------------------------------------------------------------- sending

    def _add(self, job: _Job) -> Future[Committed]:
        with self._changed:
            if self._closing:
                raise Unanswered("this submitter is closed")
            self._jobs[id(job)] = job
            self._sending.append(job)
            self._changed.notify_all()
        return job.answer

    def _send_all(self) -> None:
        while (job := self._next_to_send()) is not None:
            try:
                committed = self._patiently(partial(self._send, job))
            except TallystickError as error:
                self._finish(job, error)
                continue
            if committed is None:
                return
            with self._changed:
                job.committed = committed
                self._proving.append(job)
                self._changed.notify_all()

    def _next_to_send(self) -> _Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._sending)
            return None if self._closing else self._sending.popleft()

    def _send(self, job: _Job) -> Committed:
        try:
            committed = self._client.once(wire.submit(job.data), CALL_SECONDS)
        except Rejected as error:  # an old answer may be forgotten where the entry is not
            found = self._find(job)
            if found is None:
                raise error
            committed = found
        if committed.tx_id != job.tx_id:
            raise WrongAnswer(f"an answer about {committed.tx_id}, which was not sent")
        return committed

    def _find(self, job: _Job) -> Committed | None:
        header = split_transaction(job.data)[0]
        call = wire.find_transaction(header.sender, header.idempotency)
        try:
            found = self._client.once(call, CALL_SECONDS)
        except Rejected:
            return None
        return found if found.tx_id == job.tx_id else None

    def _patiently(self, work: Callable[[], Committed]) -> Committed | None:
        """Its result, however long that takes; None when this is closed first."""
        pause = 0.1
        while True:
            try:
                done = work()
            except GOES_ON as error:
                self._note(str(error))
                wanted = getattr(error, "retry_after_seconds", 0.0)
                if self._pause(wanted + pause * secrets.randbelow(1_000) / 1_000):
                    return None
                pause = min(pause * 2, PAUSE_SECONDS_MAX)
            else:
                self._note("")
                return done

    # ----------------------------------------------------------------------------- proving

    def _prove_all(self) -> None:
        while (job := self._next_to_prove()) is not None:
            try:
                committed = self._patiently(partial(self._prove, job))
            except TallystickError as error:
                self._finish(job, error)
            else:
                if committed is None:
                    return
                self._finish(job, committed)

    def _next_to_prove(self) -> _Job | None:
        """One that is covered; else one thread alone asks for the oldest, and waits there."""

        def ready() -> _Job | None:
            for job in self._proving:
                if job.end <= self._covered or not self._asking:
                    return job
            return None

        with self._changed:
            self._changed.wait_for(lambda: self._closing or ready() is not None)
            job = ready()
            if self._closing or job is None:
                return None
            self._proving.remove(job)
            self._asking = self._asking or job.end > self._covered
            return job

    def _prove(self, job: _Job) -> Committed:
        """Fetch, verify, compare with what was seen before."""
        said = job.committed
        if said is None:
            raise ValueError("nothing is to be proven before it is entered")
        call = wire.batch_receipt(said.first, wait_seconds=WAIT_SECONDS)
        data = self._client.once(call, CALL_SECONDS)
        try:
            proven = self._verifier.batch(job.data, data)
        except FailedStep as error:
            if error.step != POLICY_STEP:
                raise
            raise NotYet(f"our trust policy is not met yet: {error.detail}", 1.0) from error
        self._client.follow(self._history.examine(read_batch(data).checkpoint.encode()))
        self._cover(proven.size)
        return Committed(
            tx_id=proven.tx_id,
            first=proven.first,
            outcomes=proven.outcomes,
            block=proven.block,
            at=parse_instant(proven.at),
            repeated=said.repeated,
            why=said.why,
        )

    def _cover(self, size: int) -> None:
        with self._changed:
            self._covered = max(self._covered, size)
            self._asking = False
            self._changed.notify_all()

    # --------------------------------------------------------------------------- internals

    def _finish(self, job: _Job, outcome: Committed | TallystickError) -> None:
        with self._changed:
            self._jobs.pop(id(job), None)
            if job.end > self._covered:
                self._asking = False
            self._changed.notify_all()
        if isinstance(outcome, Committed):
            job.answer.set_result(outcome)
        else:
            job.answer.set_exception(outcome)

    def _note(self, why: str) -> None:
        with self._changed:
            self._why = why

    def _pause(self, seconds: float) -> bool:
        """Wait, or until this is closed: whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closing, seconds)
