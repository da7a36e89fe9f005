"""A request that is whole and its answer: the boundary between the server and the application.

Invariant: whatever the application raises is answered by a problem document, or cuts the answer off
if it had begun; no text of an exception that is a bug leaves this process.
See docs/spec/errors.md.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tallystick.protocol.errors import TallystickError
from tallystick.web.exchange import Exchange
from tallystick.web.gate import Gate

NO_STORE = (b"cache-control", b"no-store")
_ANYONE = (b"access-control-allow-origin", b"*")


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
        """As uvicorn sends it; but the connection closes itself, so that it can linger."""
        if message["type"] == "http.response.start" and not self.response_started:
            await self._start(message)
            return
        self.connection.sent += len(message.get("body", b""))
        await super().send(message)

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
        self.keep_alive = not connection.closing
        dressed: Any = {**message, "headers": headers}
        await super().send(dressed)
        connection.closing = not self.keep_alive
        self.keep_alive = True
