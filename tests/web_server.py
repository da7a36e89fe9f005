"""A server of ours in a thread, and raw sockets to treat it badly with."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import uvloop

from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Busy, Damaged, Rejected
from tallystick.web.exchange import Exchange
from tallystick.web.gate import Gate
from tallystick.web.limits import LIMITS, Limits
from tallystick.web.reasons import WebReason
from tallystick.web.server import listening, serve

QUICK = replace(
    LIMITS,
    header_seconds=0.4,
    idle_seconds=0.4,
    pace_seconds=0.4,
    linger_seconds=2,
    stop_seconds=1.0,
    body_bytes=100_000,
)
"""Limits that a test can wait for."""


class App:
    """Says what it was asked, or does what the path says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, bytes]] = []
        self.go_on = threading.Event()
        self.ended = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": (await receive())["type"] + ".complete"})
            self.ended.set()
            return
        message = await receive()
        assert not message["more_body"]
        path = scope["path"]
        self.calls.append((scope["method"], path, message["body"]))
        await self._act(path, send)
        body = f"{scope['method']} {path} {len(message['body'])} {scope['client'][0]}".encode()
        if path == "/large":
            body = bytes(32 * 1024 * 1024)
        start: dict[str, Any] = {"type": "http.response.start", "status": 200}
        start["headers"] = [(b"content-length", b"%d" % len(body))]
        if path == "/cached":
            start["headers"].append((b"cache-control", b"max-age=60"))
        await send(start)
        if path == "/breaks":
            raise ValueError("the middle of an answer")
        await send({"type": "http.response.body", "body": body})

    async def _act(self, path: str, send: Any) -> None:
        match path:
            case "/bug":
                raise KeyError("patient 4711")
            case "/busy":
                raise Busy(2.5)
            case "/no":
                raise Rejected(WebReason.FORBIDDEN, "not yours", path="number")
            case "/damaged":
                raise Damaged("/opt/secret/ledger.db differs at byte 7")
            case "/wait":
                while not self.go_on.is_set():
                    await asyncio.sleep(0.01)
            case "/for-ever":
                await asyncio.Event().wait()


class WebServer:
    """`with WebServer(app) as server:` answers on 127.0.0.1 until the block ends."""

    def __init__(self, app: Any, limits: Limits = QUICK, **named: Any) -> None:
        self.app = app
        self.limits = limits
        self.named = named
        self.seen: list[Exchange] = []
        self.faults: list[tuple[Exchange, BaseException]] = []
        self.gate: Gate
        self._socket = listening("127.0.0.1", 0)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()))
        self._up = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()

        def ready(gate: Gate) -> None:
            self.gate = gate
            self._up.set()

        await serve(
            self.app,
            sockets=[self._socket],
            limits=self.limits,
            stop=self._stop,
            ready=ready,
            observe=self.seen.append,
            fault=lambda exchange, error: self.faults.append((exchange, error)),
            **self.named,
        )

    def __enter__(self) -> WebServer:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self.ask_to_stop()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def ask_to_stop(self) -> None:
        """End it, without waiting."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def connect(self) -> socket.socket:
        """A new connection."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def ask(self, data: bytes) -> bytes:
        """Send, and read until the server closes."""
        with self.connect() as connection:
            connection.sendall(data)
            return drain(connection)


def get(path: str, *more: str, end: bool = True) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: ledger.example", *more]
    return "\r\n".join([*lines, *(["Connection: close"] if end else []), "", ""]).encode()


def problem(data: bytes) -> tuple[int, str]:
    """Status and code of a problem that ends the connection."""
    status, headers, body = parsed(data)
    document = json.loads(body)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close" and headers["cache-control"] == "no-store"
    assert document["status"] == status and b"Traceback" not in data
    return status, document["code"]


def until(holds: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for what another thread does."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.005)


def drain(connection: socket.socket) -> bytes:
    """All that comes until the end."""
    found = b""
    try:
        while chunk := connection.recv(65_536):
            found += chunk
    except ConnectionResetError:
        pass
    return found


def answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer with a content-length, of a connection that goes on."""
    found = b""
    while b"\r\n\r\n" not in found:
        chunk = connection.recv(65_536)
        assert chunk, found
        found += chunk
    status, headers, body = parsed(found)
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65_536)
    return status, headers, body


def parsed(data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), headers, body
