"""One connection of HTTP/1.1: uvicorn's, within limits, and with one request at a time.

    IDLE ── first byte ──▸ HEADER ──▸ BODY ──▸ ANSWER ──▸ IDLE, or closed
      ╰────────────┴──────────┴─ refused ─▸ LINGER ──▸ closed

The application is called when the body is whole, so that a slow client costs memory within a bound
and nothing else. A second request before the first is answered (pipelining) is not read: that
answer says `connection: close`.

Invariant: bytes of a stranger end in a call of the application, in a problem document, or in a
closed connection; never in an exception that leaves this module. See docs/guides/operations.md.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import unquote

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tallystick.web.cycle import NO_STORE, Cycle, Pace
from tallystick.web.exchange import GONE, Exchange
from tallystick.web.gate import Gate
from tallystick.web.reasons import WebReason

if TYPE_CHECKING:
    from uvicorn.server import ServerState

CHUNK_OVERHEAD_BYTES = 64 * 1024
"""What a chunked body may have around its bytes, beside an eighth of them."""
_FIELD_BYTES = 4
"""Colon, space and line end of a header."""
_NO_LINGER = struct.pack("ii", 1, 0)
_TLS = b"\x16\x03"
_CLOSE = (b"connection", b"close")


class Phase(Enum):
    """Where a connection is."""

    IDLE = auto()
    HEADER = auto()
    BODY = auto()
    ANSWER = auto()
    LINGER = auto()


class _Refused(Exception):
    """Out of a callback of the parser; the connection already knows why."""


def _read_error(data: bytes, error: httptools.HttpParserError) -> str:
    """What the parser did not like; its words are fixed texts."""
    if isinstance(error, httptools.HttpParserCallbackError):
        return ""  # one of ours, that says enough
    if data.startswith(_TLS):
        return "this is TLS, and here plain HTTP/1.1 is spoken; TLS ends at the proxy"
    if data.startswith(b"PRI * HTTP/2"):
        return "this is HTTP/2, and here HTTP/1.1 is spoken"
    return str(error)


class BoundConfig(Config):
    """A configuration that knows the gate: uvicorn hands it to each connection."""

    gate: Gate


class Connection(HttpToolsProtocol):
    """Between the socket and the application."""

    cycle: Cycle

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.gate = cast("BoundConfig", config).gate
        self.phase = Phase.IDLE
        self.address = ""
        self.proxied = False
        self.closing = False
        """Whether the connection ends with the answer that is under way."""
        self.answered = False
        """Whether there was a request before."""
        self.surplus = False
        """Whether bytes came that belong to no request."""
        self.plain = False
        """Whether the body is counted off without the parser."""
        self.reason = WebReason.MALFORMED
        self.detail = ""
        self.deadline = 0.0
        self.pace: Pace | None = None
        self.reading: Pace | None = None
        self.raw = 0
        self.held = 0
        self.sent = 0
        self.exchange: Exchange | None = None

    # ------------------------------------------------------------------ a connection's life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self.address = self.client[0] if self.client else ""
        self.proxied = self.gate.trusted(self.address)
        self.deadline = self.loop.time() + self.gate.limits.header_seconds
        if self.gate.stopping:
            self.transport.abort()
        elif not self.gate.admit(self, self.address, proxy=self.proxied):
            self.refuse(WebReason.BUSY)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gate.leave(self, self.address)
        if self.exchange is not None:
            self.exchange.status = self.exchange.status or GONE
            self._over()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.phase is Phase.ANSWER or self.phase is Phase.LINGER:
            self._unasked(data)
            return
        if self.phase is Phase.IDLE:
            if not data.strip(b"\r\n") and self.raw <= _FIELD_BYTES:
                self.raw += len(data)
                return
            self._begin()
        self.raw += len(data)
        if self.plain:
            self._take(data)
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[int(offer.args[0]) :])
        except httptools.HttpParserError as error:
            if self._where() is Phase.ANSWER:
                self._unasked(b"another request, or none at all")
            else:
                self.refuse(self.reason, self.detail or _read_error(data, error))
        else:
            self._measure()

    def _where(self) -> Phase:
        """The phase, which a callback of the parser may have changed."""
        return self.phase

    def _begin(self) -> None:
        if self.answered:
            self.deadline = self.loop.time() + self.gate.limits.header_seconds
        self.phase = Phase.HEADER
        self.raw = 0

    def _decline(self, rest: bytes) -> None:
        """No other protocol is spoken here: the request counts as it is, with its body.

        Java's own client offers HTTP/2 in this way to whomever it does not know yet. The parser
        leaves the body to the other protocol, so it is counted off here.
        """
        self.closing = True
        if self.phase is Phase.BODY:
            self.plain = True
            self._take(rest)

    def _take(self, data: bytes) -> None:
        wanted = (self.length or 0) - self.held
        try:
            self.on_body(data[:wanted])
        except _Refused:
            self.refuse(self.reason, self.detail)
            return
        if self.held == self.length:
            self.plain = False
            self._whole()
            self._unasked(data[wanted:])

    def _measure(self) -> None:
        """What the parser's callbacks cannot see: half a header, and what is around chunks."""
        limits = self.gate.limits
        if self.phase is Phase.HEADER:
            if self.raw > limits.header_bytes + limits.request_line_bytes:
                self.refuse(WebReason.HEADER_TOO_LARGE)
        elif self.phase is Phase.BODY:
            around = self.raw - self.held - self.header_size
            if around > CHUNK_OVERHEAD_BYTES + self.held // 8:
                self.refuse(WebReason.MALFORMED)

    def _unasked(self, data: bytes) -> None:
        """More than one request asks for: some clients end a body with an empty line."""
        if self.phase is Phase.LINGER or not data.strip(b"\r\n"):
            return
        self.surplus = self.closing = True
        self.flow.pause_reading()

    def check(self, now: float) -> None:
        """Asked by the server several times while any limit passes: close whoever is too slow."""
        limits = self.gate.limits
        unread = self.transport.get_write_buffer_size()
        if unread:
            self._check_reader(now, unread)
            return
        self.reading = None
        if self.phase is Phase.BODY:
            if self.pace is not None and self.pace.too_slow(
                now, self.held, limits.pace_seconds, limits.pace_bytes_per_second
            ):
                self.refuse(WebReason.TIMEOUT)
        elif self.phase is Phase.ANSWER or now < self.deadline:
            return
        elif self.phase is Phase.HEADER:
            self.refuse(WebReason.TIMEOUT)
        elif self.phase is Phase.IDLE:
            self.transport.close()
        else:
            self.transport.abort()

    def _check_reader(self, now: float, unread: int) -> None:
        """An answer was handed over to be sent, but its client has not taken it yet."""
        limits, taken = self.gate.limits, self.sent - unread
        if self.phase is Phase.IDLE:
            self.deadline = now + limits.idle_seconds
        if self.reading is None:
            self.reading = Pace(now)
            self.reading.count = taken
        elif self.reading.too_slow(now, taken, limits.pace_seconds, limits.pace_bytes_per_second):
            self._cut()

    def _cut(self) -> None:
        """Close, and have the kernel forget at once what the client does not read."""
        bound = self.transport.get_extra_info("socket")
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def shutdown(self) -> None:
        """The server stops: answer what is under way, and end."""
        self.closing = True
        if self.phase is Phase.IDLE or self.phase is Phase.HEADER:
            self.transport.close()

    def give_way(self) -> None:
        """Another connection needs the place."""
        self.gate.leave(self, self.address)
        self.transport.abort()

    def refuse(self, reason: WebReason, detail: str = "") -> None:
        """Say why, take nothing more, and close when the client has had time to read it."""
        if self.phase is Phase.LINGER or self.transport.is_closing():
            return
        refusal = self.gate.problems.say(reason, detail=detail)
        exchange = self.exchange or Exchange(self.gate.name(), "", self.address)
        exchange.status, exchange.reason = refusal.status, refusal.code
        self.exchange = exchange
        self.sent += len(refusal.body)
        self._over()
        self.gate.receiving.pop(self, None)
        head = [STATUS_LINE[refusal.status]]
        own = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
        own += [NO_STORE, _CLOSE, (b"content-length", b"%d" % len(refusal.body))]
        for name, value in self.server_state.default_headers + own:
            head += [name, b": ", value, b"\r\n"]
        head.append(b"\r\n")
        self.transport.write(b"".join(head) + refusal.body)
        self._linger()

    def _linger(self) -> None:
        """Close without a reset: a client that still sends would lose the answer by it."""
        self.phase = Phase.LINGER
        self.deadline = self.loop.time() + self.gate.limits.linger_seconds
        self.gate.waiting.setdefault(self)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    # --------------------------------------------------------------- callbacks of the parser

    def _stop(self, reason: WebReason, detail: str = "") -> NoReturn:
        self.reason, self.detail = reason, detail
        raise _Refused

    def on_message_begin(self) -> None:
        if self.phase is not Phase.HEADER:
            raise _Refused  # a second request before the first is answered
        super().on_message_begin()
        self.header_size = 0
        self.length: int | None = None
        self.chunked = False
        self.hosts = 0
        self.forwarded = b""

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self.gate.limits.request_line_bytes:
            self._stop(WebReason.ADDRESS_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase is not Phase.HEADER:
            self._stop(WebReason.MALFORMED, "a header after the body")  # it could pass for a signed
        name, value = name.lower(), value.strip(b" \t")
        headers, limits = self.headers, self.gate.limits
        self.header_size += len(name) + len(value) + _FIELD_BYTES
        if self.header_size > limits.header_bytes or len(headers) >= limits.header_fields:
            self._stop(WebReason.HEADER_TOO_LARGE)
        headers.append((name, value))
        if name == b"host":
            self.hosts += 1
        elif name == b"content-length":
            if self.length is not None or not value.isdigit():
                self._stop(WebReason.MALFORMED, "Content-Length twice, or no number")
            self.length = int(value[:20])
        elif name == b"transfer-encoding":
            if self.chunked or value.lower() != b"chunked":
                self._stop(WebReason.MALFORMED, "Transfer-Encoding other than chunked")
            self.chunked = True
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        elif name == b"x-forwarded-for" and self.proxied:
            self.forwarded = value

    def on_headers_complete(self) -> None:
        gate, scope, version = self.gate, self.scope, self.parser.get_http_version()
        self._check_header(version)
        if not gate.begin():
            self._stop(WebReason.BUSY)
        method = self.parser.get_method().decode("ascii")
        client = gate.behind(self.forwarded.decode("latin-1")) if self.forwarded else self.address
        now = self.loop.time()
        self.exchange = Exchange(gate.name(), method, client, started=now)
        scope["method"], scope["http_version"] = method, version
        self._address(scope)
        scope["client"] = (client, 0) if self.forwarded else self.client
        cast("dict[str, Any]", scope)["exchange"] = self.exchange
        self.closing = version == "1.0" or not self.parser.should_keep_alive() or gate.stopping
        self.cycle = Cycle(
            self,
            self.exchange,
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=self.on_response_complete,
        )
        self.phase = Phase.BODY
        gate.waiting.pop(self, None)
        self.sent = 0
        if self.length or self.chunked:
            gate.receiving[self] = None
            self.pace = Pace(now)
            if self.expect_100_continue:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _check_header(self, version: str) -> None:
        if version not in {"1.1", "1.0"}:
            self._stop(WebReason.MALFORMED, "this is HTTP/1.1")
        if self.chunked and (self.length is not None or version == "1.0"):
            self._stop(WebReason.MALFORMED, "Content-Length or Transfer-Encoding, not both")
        if self.hosts != 1 and (self.hosts or version == "1.1"):
            self._stop(WebReason.MALFORMED, "a request has one Host header")
        if self.length and self.length > self.gate.limits.body_bytes:
            self._stop(WebReason.TOO_LARGE, f"at most {self.gate.limits.body_bytes} bytes")

    def _address(self, scope: Any) -> None:
        """The path and the query; of this server alone, in UTF-8, without controls."""
        raw, _, query = self.url.partition(b"?")
        if not raw.startswith(b"/") and not (raw == b"*" and scope["method"] == "OPTIONS"):
            self._stop(WebReason.MALFORMED, "an address begins with a slash")
        if not self.url.isascii() or b"#" in self.url:
            self._stop(WebReason.MALFORMED, "an address has no such character")
        path = raw.decode("ascii")
        if "%" in path:
            try:
                path = unquote(path, errors="strict")
            except UnicodeDecodeError:
                self._stop(WebReason.MALFORMED, "an address is in UTF-8")
        if not path.isprintable():
            self._stop(WebReason.MALFORMED, "an address has no such character")
        scope["path"], scope["raw_path"], scope["query_string"] = path, raw, query

    def on_body(self, body: bytes) -> None:
        if self.phase is not Phase.BODY:
            return
        self.held += len(body)
        if self.held > self.gate.limits.body_bytes:
            self.gate.bodies += len(body)
            self._stop(WebReason.TOO_LARGE, f"at most {self.gate.limits.body_bytes} bytes")
        if not self.gate.hold(self, len(body)):
            self._stop(WebReason.BUSY)
        self.cycle.body += body

    def on_message_complete(self) -> None:
        if self.phase is Phase.BODY and not (self.length and self.parser.should_upgrade()):
            self._whole()

    def _whole(self) -> None:
        """The request is complete: ask the application."""
        self.phase = Phase.ANSWER
        self.pace = None
        self.gate.receiving.pop(self, None)
        self.cycle.more_body = False
        self.cycle.message_event.set()
        self._start_asgi_task(self.cycle, self.app)

    def on_response_complete(self) -> None:
        """The last byte of the answer is written, though perhaps not read."""
        self.server_state.total_requests += 1
        self._over()
        if self.transport.is_closing():
            return
        if self.surplus:
            self._linger()
        elif self.closing:
            self.transport.close()
            self.phase = Phase.ANSWER
        else:
            self.phase = Phase.IDLE
            self.answered = True
            self.raw = 0
            self.deadline = self.loop.time() + self.gate.limits.idle_seconds
            self.gate.waiting[self] = None

    def _over(self) -> None:
        """Account for the exchange, and let go of its body."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.bytes_in = self.held
        if self.held:
            self.gate.bodies -= self.held
            self.held = 0
            self.cycle.body = bytearray()
        if exchange is None:
            return
        if exchange.started:
            self.gate.requests -= 1
            exchange.seconds = self.loop.time() - exchange.started
        exchange.bytes_out = self.sent
        self.gate.observe(exchange)
