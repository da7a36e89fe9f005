"""A request that is whole and its answer: the boundary between the server and the application.

Invariant: whatever the application raises is answered by a problem document, or cuts the answer off
if it had begun; no text of an exception that is a bug leaves this process.
See docs/spec/errors.md.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

from tallystick.protocol.errors import TallystickError
from tallystick.web.exchange import Exchange
from tallystick.web.gate import Gate

NO_STORE = (b"cache-control", b"no-store")
_ANYONE = (b"access-control-allow-origin", b"*")
_STREAMED = {b"transfer-encoding", b"connection"}


class Carrier(Protocol):
    """The connection, as far as an answer needs it."""

    gate: Gate
    closing: bool
    sent: int


class Pace:
    """Whether a stream gets on: in each window so many bytes, or it is too slow."""

    __slots__ = ("count", "since")

    def __init__(self, now: float) -> None:
        self.since = now
        self.count = 0

    def too_slow(self, now: float, count: int, seconds: float, rate: int) -> bool:
        """Asked now and then; `count` is how much has gone through by now."""
        passed = now - self.since
        if passed < seconds:
            return False
        slow = count - self.count < rate * passed
        self.since, self.count = now, count
        return slow


class Cycle(RequestResponseCycle):
    """A request and its answer, with our headers on it and our documents when it fails."""

    def __init__(self, connection: Carrier, exchange: Exchange, **named: Any) -> None:
        super().__init__(**named)
        self.connection = connection
        self.exchange = exchange
        self._head = b""
        """Of an answer that has begun, until its body is there."""

    async def run_asgi(self, app: Any) -> None:
        """The boundary of the application: whatever it raises is answered."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self.transport.abort()
        except Exception as error:  # the one place where a bug must not end the server
            await self._failed(error)
        else:
            if not self.response_complete and not self.disconnected:
                await self._failed(RuntimeError("the application ended without an answer"))

    async def _failed(self, error: Exception) -> None:
        exchange, gate = self.exchange, self.connection.gate
        refusal = gate.problems.of(error, exchange.request_id)
        exchange.reason = refusal.code
        if not isinstance(error, TallystickError) or refusal.status == 500:
            gate.fault(exchange, error)
        if self.response_started:
            if not self.response_complete:
                self.transport.abort()  # a whole answer must not be mistaken for it
            return
        headers = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
        headers.append((b"content-length", b"%d" % len(refusal.body)))
        await self.send(
            {"type": "http.response.start", "status": refusal.status, "headers": headers}
        )
        await self.send({"type": "http.response.body", "body": refusal.body})

    async def send(self, message: Any) -> None:
        """As uvicorn sends it, but an answer whose length is known goes out in one piece.

        And the connection closes itself, so that it can linger.
        """
        if message["type"] == "http.response.start" and not self.response_started:
            await self._start(message)
            return
        body = message.get("body", b"")
        self.connection.sent += len(body)
        head, self._head = self._head, b""
        if not head:
            await super().send(message)
        elif message.get("more_body") or len(body) != self.expected_content_length:
            self.transport.write(head)
            await super().send(message)  # which counts what comes, and refuses too much
        else:
            await self._whole(head, body)

    async def _whole(self, head: bytes, body: bytes) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.transport.write(head if self.scope["method"] == "HEAD" else head + body)
        self.response_complete = True
        self.message_event.set()
        self.on_response()

    async def _start(self, message: Any) -> None:
        connection = self.connection
        if self.disconnected:
            return
        self.exchange.status = message["status"]
        headers = list(message.get("headers", ()))
        names = {name.lower() for name, _ in headers}
        if b"cache-control" not in names:
            headers.append(NO_STORE)
        if connection.gate.public(self.scope["path"]) and _ANYONE[0] not in names:
            headers.append(_ANYONE)
        if b"content-length" in names and names.isdisjoint(_STREAMED):
            self._hold(message["status"], headers)
            return
        self.keep_alive = not connection.closing
        dressed: Any = {**message, "headers": headers}
        await super().send(dressed)
        connection.closing = not self.keep_alive
        self.keep_alive = True

    def _hold(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The head of an answer whose length it says; it waits for the body."""
        self.response_started = True
        self.chunked_encoding = False
        self.expected_content_length = next(
            int(value) for name, value in headers if name.lower() == b"content-length"
        )
        lines = [_line(*each) for each in self.default_headers]
        lines += [_line(*each) for each in headers]
        if self.connection.closing:
            lines.append(b"connection: close\r\n")
        self._head = b"".join([STATUS_LINE[status], *lines, b"\r\n"])


@lru_cache(maxsize=4_096)
def _line(name: bytes, value: bytes) -> bytes:
    """A header as it is sent; most are the same in every answer."""
    if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        raise RuntimeError("a header with characters that end it")
    return name.lower() + b": " + value + b"\r\n"
