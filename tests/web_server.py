"""A server of ours in a thread, and raw sockets to treat it badly with."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import uvloop

from tallystick.protocol.canonical import replace
from tallystick.web.exchange import Exchange
from tallystick.web.gate import Gate
from tallystick.web.limits import LIMITS, Limits
from tallystick.web.server import listening, serve

QUICK = replace(
    LIMITS,
    header_seconds=0.4,
    idle_seconds=0.4,
    pace_seconds=0.4,
    linger_seconds=0.4,
    stop_seconds=1.0,
    body_bytes=100_000,
)
"""Limits that a test can wait for."""


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
