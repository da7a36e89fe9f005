"""A worker's side of the socket: hands transactions to the writer, holds moments, knows the notes.

Invariant: when the node is gone, so is this worker's use: everything that waits fails, `gone` is
set, and the process ends. See `web.frames`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from tallystick.ledger.beside import Pinned, ReadLedger
from tallystick.ledger.engine import Stopped
from tallystick.protocol.canonical import decode
from tallystick.protocol.checkpoint import parse_note
from tallystick.protocol.errors import Reason, TallystickError, VerificationFailed
from tallystick.protocol.trust import TrustPolicy, verify_checkpoint
from tallystick.web.frames import Failed, Frame, Kind, Told, Unpacker, failure, pack

NOTES_KEPT = 64
CATCH_SECONDS = 0.3
"""After all moments were let go: by then the writer has begun its WAL anew."""
MOMENTS_KEPT = 8
"""Newer than the newest that meets the policy. Of more, one in the middle is let go: the oldest are
those that a keeper which is far behind signs next, the newest those of one that keeps up."""


class Known(NamedTuple):
    """A note that we were told of."""

    note: bytes
    met: bool
    """It meets the server's policy."""
    as_of: int | None


class Link(asyncio.Protocol):
    """One connection to the node."""

    def __init__(
        self, ledger: ReadLedger, policy: TrustPolicy | None, reasons: dict[str, Reason]
    ) -> None:
        """`policy`: what a note must meet; None: every note of the log's own key does."""
        self._ledger = ledger
        self._policy = policy
        self._reasons = reasons
        self._frames = Unpacker()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._asked: list[bytes] = []
        self._number = 0
        self.notes: OrderedDict[int, Known] = OrderedDict()
        """By size of the log, the smallest first."""
        self.published = 0
        """The largest size of which there is a note; may be read from any thread."""
        self.moments: OrderedDict[int, Pinned] = OrderedDict()
        self.figures = b"{}"
        """What the node watches, as it last said."""
        self.gone = asyncio.Event()
        self._changed = asyncio.Event()
        self.on_change: list[Callable[[], None]] = []
        """Called when there is a new note."""
        self.on_drop: list[Callable[[], None]] = []
        """Called when moments must be let go."""

    # ---------------------------------------------------------------------------- asking

    async def submit(self, data: bytes) -> Told:
        """Hand over a transaction whose signature this process has verified."""
        return decode(await self._ask(Kind.SUBMIT, data), Told)

    async def cosigned(self, note: bytes) -> None:
        """Hand over a keeper's line."""
        await self._ask(Kind.COSIGNED, note)

    def ready(self) -> None:
        """This worker takes connections."""
        self._write(pack(Kind.READY))

    def send_figures(self, figures: bytes) -> None:
        """What this worker counted."""
        self._write(pack(Kind.FIGURES_SENT, 0, figures))

    async def _ask(self, kind: Kind, payload: bytes) -> bytes:
        if self._transport is None:
            raise Stopped("the node is gone")
        self._number += 1
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = waiting
        self._asked.append(pack(kind, self._number, payload))
        if len(self._asked) == 1:
            asyncio.get_running_loop().call_soon(self._send_asked)
        answer: bytes = await waiting
        return answer

    def _send_asked(self) -> None:
        """What requests that came together ask goes out together."""
        asked, self._asked = self._asked, []
        self._write(b"".join(asked))

    # ----------------------------------------------------------------------- notes, moments

    def newest(self) -> Known | None:
        """The note of the largest size."""
        return next(reversed(self.notes.values()), None)

    def best(self, index: int) -> tuple[int, Known] | None:
        """The newest note over entry `index` that meets the policy, and its size."""
        for size in reversed(self.notes):
            if size <= index:
                break
            if self.notes[size].met:
                return size, self.notes[size]
        return None

    def proven(self) -> tuple[Pinned, Known] | None:
        """The newest moment that is held and whose note meets the policy."""
        for size in reversed(self.moments):
            known = self.notes.get(size)
            if known is not None and known.met:
                return self.moments[size], known
        return None

    async def change(self, seconds: float) -> bool:
        """Wait for a new note, so long at most: whether there was one."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _learn(self, size: int, note: bytes) -> None:
        met, as_of = self._judge(note)
        self.notes[size] = Known(note, met, as_of)
        self.notes = OrderedDict(sorted(self.notes.items()))
        self.published = max(self.published, size)
        while len(self.notes) > NOTES_KEPT:
            self._forget()
        self._catch()
        self._tidy()
        self.wake()
        for call in self.on_change:
            call()

    def wake(self) -> None:
        """Whoever waits for a change looks again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _judge(self, note: bytes) -> tuple[bool, int | None]:
        if self._policy is None:
            return True, None
        try:
            return True, verify_checkpoint(self._policy, parse_note(note)).as_of
        except VerificationFailed:
            return False, None

    def _forget(self) -> None:
        """The oldest note, but not the newest that meets the policy."""
        met = [size for size, known in self.notes.items() if known.met]
        for size in self.notes:
            if not met or size != met[-1]:
                del self.notes[size]
                return

    def _pin(self, size: int) -> None:
        pinned = self._ledger.pin()
        if pinned.size == size:
            old = self.moments.pop(size, None)
            self.moments[size] = pinned
            if old is not None:
                old.let_go()
            self._tidy()
        else:  # we were too late: the writer has gone on
            pinned.let_go()
        self._write(pack(Kind.PINNED, pinned.size))

    def _catch(self) -> None:
        """Hold the moment of the newest note where we missed it and nothing has come since."""
        newest = next(reversed(self.notes), 0)
        if not newest or newest in self.moments or self._transport is None:
            return
        pinned = self._ledger.pin()
        if pinned.size == newest:
            self.moments[newest] = pinned
        else:
            pinned.let_go()

    def _tidy(self) -> None:
        """Let go of moments that nobody will ask for again, and of some that somebody might."""
        good = self.proven()
        reached = -1 if good is None else good[0].size
        for size in [each for each in self.moments if each < reached]:
            self._let_go(size)
        waiting = sorted(size for size in self.moments if size > reached)
        while len(waiting) > MOMENTS_KEPT:
            self._let_go(waiting.pop(MOMENTS_KEPT // 2))

    def _let_go(self, size: int) -> None:
        self.moments.pop(size).let_go()

    # -------------------------------------------------------------------------- the stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a stream it is one

    def data_received(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            self._took(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            if not each.done():
                each.set_exception(Stopped("the node is gone; ask again with the same bytes"))
        self.gone.set()

    def close(self) -> None:
        """Let go of everything."""
        for size in list(self.moments):
            self._let_go(size)
        if self._transport is not None:
            self._transport.close()

    def _took(self, frame: Frame) -> None:
        if frame.kind in (Kind.ANSWER, Kind.FAILED):
            waiting = self._waiting.pop(frame.number, None)
            if waiting is None or waiting.done():
                return  # who asked has gone away
            if frame.kind == Kind.ANSWER:
                waiting.set_result(frame.payload)
            else:
                waiting.set_exception(_failure(frame.payload, self._reasons))
        elif frame.kind == Kind.PIN:
            self._pin(frame.number)
        elif frame.kind == Kind.DROP:
            for size in list(self.moments):
                self._let_go(size)
            for call in self.on_drop:
                call()
            self._write(pack(Kind.PINNED, 0))
            asyncio.get_running_loop().call_later(CATCH_SECONDS, self._catch)
        elif frame.kind == Kind.NOTE:
            self._learn(frame.number, frame.payload)
        elif frame.kind == Kind.FIGURES:
            self.figures = frame.payload

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _failure(payload: bytes, reasons: dict[str, Reason]) -> TallystickError:
    return failure(decode(payload, Failed), reasons)
