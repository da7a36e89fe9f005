"""The node's side of the socket: transactions come in, answers, notes and moments go out.

A thread with an event loop of its own. What the engine answers is gathered and written in one go,
so that the writer is woken and woken from as seldom as can be. See `web.frames`.

Invariant: an answer is written for every transaction that was taken, or the socket closes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import uvloop

from tallystick.ledger.engine import Committed, Stopped
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import TallystickError
from tallystick.web.frames import SOCKET, Frame, Kind, Unpacker, fail, pack, tell

PIN_SECONDS_MAX = 0.05
"""How long the writer is held for those that take hold of a moment."""

_log = logging.getLogger("tallystick.hub")

Submit = Callable[[bytes], "Future[Committed]"]
"""Takes a transaction whose signature is verified."""
Offer = Callable[[bytes], None]
"""Takes a note with a keeper's line, or raises."""


class Hub:
    """Serves the processes that answer requests, as long as it is open."""

    def __init__(
        self,
        folder: Path,
        *,
        submit: Submit,
        offer: Offer,
        note: Callable[[int], bytes],
        sizes: Callable[[], list[int]],
    ) -> None:
        """`note` gives the best note of a size, `LookupError` when it is forgotten; `sizes` says of
        which there are."""
        self.path = folder / SOCKET
        self._submit = submit
        self._offer = offer
        self._note = note
        self._sizes = sizes
        self._workers: set[_Worker] = set()
        self._loop = uvloop.new_event_loop()
        self._server: asyncio.AbstractServer | None = None
        self._pinned = threading.Semaphore(0)
        self._asking = threading.Lock()
        self._done: deque[tuple[_Worker, int, Future[Committed]]] = deque()
        self._flushing = False
        self._lock = threading.Lock()
        self._joined = 0
        self.worker_figures: dict[int, bytes] = {}
        """What each worker counted last, by the number of its connection."""
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tallystick-hub", daemon=True)
        self._thread.start()
        self._started.wait()

    def close(self) -> None:
        """Let the workers go."""
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()
        with suppress(FileNotFoundError):
            self.path.unlink()

    @property
    def workers(self) -> int:
        """How many answer requests."""
        return sum(worker.ready for worker in self._workers.copy())

    def pin(self, size: int) -> None:
        """Every worker takes hold of the moment of now; waits a little for those that are there."""
        self._ask_all(pack(Kind.PIN, size))

    def drop(self) -> None:
        """Every worker lets go of its moments; waits a little for that."""
        self._ask_all(pack(Kind.DROP))

    def _ask_all(self, data: bytes) -> None:
        with self._asking:
            workers = len(self._workers)
            if not workers:
                return
            while self._pinned.acquire(blocking=False):
                pass  # those that were too late the last time
            self._loop.call_soon_threadsafe(self._tell, data)
            for _ in range(workers):
                if not self._pinned.acquire(timeout=PIN_SECONDS_MAX):
                    return

    def publish(self, size: int) -> None:
        """There is a note of this size, or it has more lines."""
        self._loop.call_soon_threadsafe(self._tell_note, size)

    def tell_figures(self, figures: bytes) -> None:
        """What the node watches, for health and metrics."""
        self._loop.call_soon_threadsafe(self._tell, pack(Kind.FIGURES, 0, figures))

    # ------------------------------------------------------------------ in the loop's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with suppress(FileNotFoundError):
            self.path.unlink()
        serving = self._loop.create_unix_server(lambda: _Worker(self), str(self.path))
        self._server = self._loop.run_until_complete(serving)
        self.path.chmod(0o600)
        self._started.set()
        self._loop.run_forever()
        self._loop.close()

    def _stop(self) -> None:
        for worker in list(self._workers):
            worker.close()
        if self._server is not None:
            self._server.close()
        self._loop.call_later(0.05, self._loop.stop)

    def joined(self, worker: _Worker) -> None:
        """A worker is there: it is told all notes."""
        self._joined += 1
        worker.number = self._joined
        self._workers.add(worker)
        for size in self._sizes():
            with suppress(LookupError):
                worker.write(pack(Kind.NOTE, size, self._note(size)))

    def left(self, worker: _Worker) -> None:
        """A worker is gone."""
        self._workers.discard(worker)
        self.worker_figures.pop(worker.number, None)

    def took(self, worker: _Worker, frame: Frame) -> None:
        """A frame of a worker's."""
        if frame.kind == Kind.SUBMIT:
            self._take(worker, frame)
        elif frame.kind == Kind.PINNED:
            self._pinned.release()
        elif frame.kind == Kind.COSIGNED:
            try:
                self._offer(frame.payload)
                worker.write(pack(Kind.ANSWER, frame.number))
            except TallystickError as error:
                worker.write(pack(Kind.FAILED, frame.number, encode(fail(error))))
        elif frame.kind == Kind.READY:
            worker.ready = True
        elif frame.kind == Kind.FIGURES_SENT:
            self.worker_figures[worker.number] = frame.payload

    def _take(self, worker: _Worker, frame: Frame) -> None:
        try:
            future = self._submit(frame.payload)
        except TallystickError as error:
            worker.write(pack(Kind.FAILED, frame.number, encode(fail(error))))
            return
        future.add_done_callback(lambda done: self._answer_later(worker, frame.number, done))

    def _answer_later(self, worker: _Worker, number: int, done: Future[Committed]) -> None:
        """In the writer's thread: of a whole block the loop is woken once."""
        self._done.append((worker, number, done))
        with self._lock:
            if self._flushing:
                return
            self._flushing = True
        self._loop.call_soon_threadsafe(self._flush)

    def _flush(self) -> None:
        with self._lock:
            self._flushing = False
        parts: dict[_Worker, list[bytes]] = {}
        while self._done:
            worker, number, done = self._done.popleft()
            parts.setdefault(worker, []).append(_answer(number, done))
        for worker, answers in parts.items():
            worker.write(b"".join(answers))

    def _tell(self, data: bytes) -> None:
        for worker in self._workers:
            worker.write(data)

    def _tell_note(self, size: int) -> None:
        with suppress(LookupError):
            self._tell(pack(Kind.NOTE, size, self._note(size)))


def _answer(number: int, done: Future[Committed]) -> bytes:
    error = done.exception()
    if error is None:
        return pack(Kind.ANSWER, number, encode(tell(done.result())))
    if not isinstance(error, TallystickError):
        error = Stopped(f"{type(error).__name__}: {error}")
    return pack(Kind.FAILED, number, encode(fail(error)))


class _Worker(asyncio.Protocol):
    """One process that answers requests."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._frames = Unpacker()
        self._transport: asyncio.Transport | None = None
        self.number = 0
        self.ready = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a stream it is one
        self._hub.joined(self)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                self._hub.took(self, frame)
        except TallystickError as error:
            _log.error("a worker spoke nonsense: %s", error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._hub.left(self)

    def write(self, data: bytes) -> None:
        """Send, if it is still there."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Send it away."""
        if self._transport is not None:
            self._transport.close()
