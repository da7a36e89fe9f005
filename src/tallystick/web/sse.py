"""Events as they happen, over one answer that does not end (server-sent events).

A stream pulls: it holds one page of events at most, and the cursor. So a reader that is slow costs
the page, and after a while its place; it goes on from the last id that it has. Ids are cursors, and
also come alone where much of the log was passed over, so that resuming is cheap for who is told
little. Plain ASGI: see docs/adr/0025-events.md. See docs/spec/events.md.

Invariant: what follows an id in a stream are all events beyond it that its reader may see and
wants; a stream that ends, however it ends, loses nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tallystick.ledger.events import PAGE_MAX, EventSource, Viewer
from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.protocol.errors import Busy, Malformed, Rejected
from tallystick.protocol.event import TYPES_MAX, Cursor, Event, Filter
from tallystick.web.endpoint import Ask, Endpoint

MEDIA = "text/event-stream"
POLL_SECONDS = 0.2
"""How often the newest size is looked at by those whom nobody wakes."""
RETRY_MILLISECONDS = 2_000
THREADS = 4
"""That read events at the same time: other requests have theirs to themselves."""
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""No proxy keeps it, nor holds it back until there is more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What streams may cost a process."""

    streams: int = 500
    streams_each: int = 8
    """Of one member."""
    heartbeat_seconds: int = 15
    send_seconds: int = 30
    """Who takes nothing for so long is dropped."""
    life_seconds: int = 3_600
    """After this the client asks again, with a new signature."""
    pass_life_seconds: Annotated[int, Meta(ge=1)] = 60
    """The same of a stream by a pass: that it was ended here is found when it asks again."""
    skipped_max: int = 1_000
    """Entries that are passed over before the cursor is told by itself."""


class EventQuery(Record):
    """Which events; nothing given: all that the caller may see, from now on."""

    after: Cursor | None = None
    """Index of the last entry that is known; -1: from the first. ``Last-Event-ID`` goes before."""
    type: Annotated[str, Meta(max_length=2_000)] = ""
    """One or more, with commas between: ``bill.issued,claim.*``."""
    issuer: str = ""
    reimburser: str = ""
    code: str = ""
    """A bill code, or how it begins: ``3306*``."""
    bill: str = ""

    def filter(self) -> Filter:
        """The same as a filter; `Malformed` where it is none."""
        types = self.type.split(",") if self.type else []
        named = {role: getattr(self, role) for role in ("issuer", "reimburser", "code", "bill")}
        wanted = Filter(types=types, ids={role: text for role, text in named.items() if text})
        if len(types) > TYPES_MAX:
            raise Malformed(f"{len(types)} types, more than {TYPES_MAX}", path="query/type")
        return decode(encode(wanted), Filter)


class Streams:
    """All streams of one process."""

    def __init__(
        self,
        source: EventSource,
        viewer: Callable[[Any], Viewer],
        limits: StreamLimits | None = None,
    ) -> None:
        """`viewer`: who an `Ask.caller` is; `Rejected` for who may follow nothing."""
        self.source = source
        self.limits = limits or StreamLimits()
        self.closing = False
        self.threads = CapacityLimiter(THREADS)
        self._viewer = viewer
        self._open: set[_Stream] = set()
        self._each: Counter[str] = Counter()
        self._poller: asyncio.Task[None] | None = None
        self._size = -1

    @property
    def count(self) -> int:
        """Streams that are open."""
        return len(self._open)

    def endpoint(self) -> Endpoint:
        """For the table of the API."""
        return Endpoint(
            "GET",
            "/api/v1/events",
            self.events,
            "Follow what happens, as it happens",
            query=EventQuery,
            answer=MEDIA,
            tag="events",
        )

    def wake(self) -> None:
        """There is a new size. In the loop's thread."""
        for stream in self._open:
            stream.poke.set()

    def close(self) -> None:
        """End every stream after what it is sending: its client goes on elsewhere."""
        self.closing = True
        self.wake()

    async def events(self, ask: Ask) -> Response:
        """A stream of server-sent events. Each has the index of its entry as its id; a comment
        comes every 15 s. `event: end` says why there will be no more, whoever asks again."""
        viewer = self._viewer(ask.caller)
        wanted = ask.query.filter()
        self.source.check(wanted)
        await to_thread.run_sync(self.source.admit, viewer, limiter=self.threads)
        after = last_id(ask.request.headers.get("last-event-id"))
        if after is None:
            after = self.source.newest() if ask.query.after is None else ask.query.after
        limits = self.limits
        if self.closing or len(self._open) >= limits.streams:
            raise Busy(5)
        if self._each[viewer.org] >= limits.streams_each:
            raise Busy(30)
        by_pass = bool(getattr(ask.caller, "pass_id", b""))
        life_seconds = limits.pass_life_seconds if by_pass else limits.life_seconds
        return _Stream(self, viewer, wanted, after, life_seconds)

    # ----------------------------------------------------------------- what streams tell us

    def _enter(self, stream: _Stream) -> None:
        self._open.add(stream)
        self._each[stream.viewer.org] += 1
        if self._poller is None:
            self._poller = asyncio.get_running_loop().create_task(self._poll())

    def _leave(self, stream: _Stream) -> None:
        self._open.discard(stream)
        self._each[stream.viewer.org] -= 1
        if not self._each[stream.viewer.org]:
            del self._each[stream.viewer.org]
        if not self._open and self._poller is not None:
            self._poller.cancel()
            self._poller = None

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            size = self.source.published()
            if size != self._size:
                self._size = size
                self.wake()


class _Stream(Response):
    """One answer that goes on."""

    def __init__(
        self, streams: Streams, viewer: Viewer, wanted: Filter, after: int, life_seconds: int
    ) -> None:
        super().__init__(None, 200, _HEADERS, f"{MEDIA}; charset=utf-8")
        del self.headers["content-length"]
        self.viewer = viewer
        self.poke = asyncio.Event()
        self._streams = streams
        self._life_seconds = life_seconds
        self._wanted = wanted
        self._cursor = after
        self._told = after
        """The last id that was sent."""
        self._gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body"})
            return
        self._streams._enter(self)
        watch = asyncio.get_running_loop().create_task(self._watch(receive))
        try:
            await send(start)
            await self._run(send)
        finally:
            watch.cancel()
            self._streams._leave(self)
            with suppress(asyncio.CancelledError):
                await watch

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self.poke.set()

    @property
    def _over(self) -> bool:
        return self._gone or self._streams.closing

    async def _run(self, send: Send) -> None:
        limits, source = self._streams.limits, self._streams.source
        ends = monotonic() + self._life_seconds
        await self._send(send, b"retry: %d\n" % RETRY_MILLISECONDS + position(self._cursor))
        while not self._over and monotonic() < ends:
            self.poke.clear()
            if self._cursor < source.newest():
                try:
                    await self._tell(send, await self._next())
                except Rejected as error:
                    code = encode({"code": error.reason.value})
                    await self._send(send, b"event: end\ndata: %b\n\n" % code)
                    break
                continue
            if not await self._poked(min(limits.heartbeat_seconds, ends - monotonic())):
                beat = position(self._cursor) if self._cursor > self._told else b": here\n\n"
                self._told = self._cursor
                await self._send(send, beat)
        if not self._gone:
            await self._send(send, b": again\n\n")
            await send({"type": "http.response.body"})

    async def _next(self) -> list[Event]:
        """The next page that this reader may see and wants; the cursor moves with it."""
        asked = self._cursor, self._wanted, self.viewer, PAGE_MAX
        page = await to_thread.run_sync(
            self._streams.source.seen, *asked, limiter=self._streams.threads
        )
        self._cursor = page.reached
        return page.events

    async def _tell(self, send: Send, events: list[Event]) -> None:
        if events:
            self._told = events[-1].index
            await self._send(send, b"".join(map(message, events)))
        if self._cursor - self._told >= self._streams.limits.skipped_max:
            self._told = self._cursor
            await self._send(send, position(self._cursor))

    async def _poked(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self.poke.wait()
        except TimeoutError:
            return False
        return True

    async def _send(self, send: Send, data: bytes) -> None:
        """`Busy`, which cuts the connection, where nobody reads for too long."""
        part: Message = {"type": "http.response.body", "body": data, "more_body": True}
        try:
            async with asyncio.timeout(self._streams.limits.send_seconds):
                await send(part)
        except TimeoutError:
            raise Busy(RETRY_MILLISECONDS // 1_000) from None


def message(event: Event) -> bytes:
    """An event as the stream has it: canonical JSON has no line breaks."""
    return b"id: %d\ndata: %b\n\n" % (event.index, encode(event))


def position(cursor: int) -> bytes:
    """The cursor by itself: an id without data sets a client's last id and is no event."""
    return b": at %d\nid: %d\n\n" % (cursor, cursor)


def last_id(text: str | None) -> int | None:
    """The cursor in a ``Last-Event-ID``; None: there is none. `Malformed` when it is no id."""
    if not text:
        return None
    if text != "-1" and not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise Malformed("Last-Event-ID is no index", path="last-event-id")
    return int(text)
