"""Answers HTTP until it is told to stop: uvicorn on uvloop, with connections that know limits.

TLS, and with it `Strict-Transport-Security`, is the matter of the proxy in front. What an answer
always has: `date`, `x-content-type-options: nosniff`, `cache-control: no-store` unless it says
otherwise, and on public paths `access-control-allow-origin: *`; never `server`.

Invariant: after `stop` nothing new is begun, what is under way is answered or cut off within the
limit, and then `serve` returns. See docs/guides/operations.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import resource
import secrets
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from typing import Any

import uvicorn
import uvloop

from tallystick.protocol.canonical import replace
from tallystick.web.connection import BoundConfig, Connection
from tallystick.web.gate import Fault, Gate, Observe
from tallystick.web.limits import LIMITS, Limits
from tallystick.web.problems import Problems

__all__ = ["LIMITS", "Limits", "listening", "room_for", "run", "serve"]

_SPARE_FILES = 256
"""Descriptors for everything that is no connection."""
_TICK_SECONDS_MAX = 1.0
_TICKS = 8
"""How often the shortest limit is looked at while it passes."""
_POLL_SECONDS = 0.02
_BACKLOG = 1_024


def listening(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket; `shared`: several processes bind the same port, and the kernel divides."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def room_for(connections: int) -> int:
    """Raise this process's bound on open files, and say how many connections fit in it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    elif soft == resource.RLIM_INFINITY or soft > wanted:
        wanted = connections + _SPARE_FILES
    return max(1, min(connections, wanted - _SPARE_FILES))


class _Server(uvicorn.Server):
    """Looks after its connections, and stops as it is asked to."""

    def __init__(
        self, config: BoundConfig, ready: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self.gate = config.gate
        self._ready = ready
        self._stopping = stopping
        limits = self.gate.limits
        shortest = min(limits.header_seconds, limits.idle_seconds, limits.pace_seconds)
        self._tick = min(_TICK_SECONDS_MAX, min(shortest, limits.linger_seconds) / _TICKS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await self.on_tick(0)  # the date of the first answers
        self._look()
        self._ready()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._next = loop.call_later(self._tick, self._look)
        now = loop.time()
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.check(now)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """No new connection, then the end of each that is there."""
        state, gate = self.server_state, self.gate
        for server in self.servers:
            server.close()
        for each in sockets or ():
            each.close()
        gate.stopping = True
        self._stopping()
        for connection in list(state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        ends = loop.time() + gate.limits.stop_seconds
        while (state.connections or state.tasks) and loop.time() < ends and not self.force_exit:
            await asyncio.sleep(_POLL_SECONDS)
        for task in list(state.tasks):
            task.cancel()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        if state.tasks:
            await asyncio.wait(list(state.tasks), timeout=1)
        self._next.cancel()
        await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the matter of who calls `serve`."""
        yield


def _configured(app: Any, gate: Gate) -> BoundConfig:
    """Everything of uvicorn's that we do ourselves is off."""
    config = BoundConfig(
        app,
        http=Connection,
        ws="none",
        loop="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=[("x-content-type-options", "nosniff")],
        backlog=_BACKLOG,
    )
    config.gate = gate
    return config


async def serve(
    app: Any,
    *,
    sockets: Sequence[socket.socket],
    limits: Limits = LIMITS,
    problems: Problems | None = None,
    proxies: Sequence[str] = (),
    public: Callable[[str], bool] = lambda path: False,
    observe: Observe = lambda exchange: None,
    fault: Fault = lambda exchange, error: None,
    ready: Callable[[Gate], None] = lambda gate: None,
    stopping: Callable[[], None] = lambda: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Answer on `sockets` with the ASGI application `app` until `stop` is set.

    `proxies`: networks whose `x-forwarded-for` is believed. `public`: paths that any page on the
    web may read. `observe` is told of each exchange, `fault` of each bug. `ready` is told once
    connections are taken; `stopping` when none is any more, to end long waits and streams.
    Without `stop`, SIGTERM and SIGINT stop it.
    """
    connections = room_for(limits.connections)
    if connections < limits.connections:
        limits = replace(limits, connections=connections)
    gate = Gate(
        limits,
        problems or Problems(),
        prefix=secrets.token_hex(4),
        proxies=proxies,
        public=public,
        observe=observe,
        fault=fault,
    )
    config = _configured(app, gate)
    server = _Server(config, lambda: ready(gate), stopping)
    loop = asyncio.get_running_loop()
    asked = stop or asyncio.Event()
    if stop is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked.set)

    async def wait() -> None:
        await asked.wait()
        server.should_exit = True

    waiting = loop.create_task(wait())
    try:
        await server.serve(list(sockets))
    finally:
        waiting.cancel()


def run(app: Any, **named: Any) -> None:
    """`serve` in an event loop of uvloop's, for a process that does nothing else."""
    uvloop.run(serve(app, **named))


def address_of(bound: socket.socket) -> str:
    """The root of what is served on a socket, as a URL."""
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    return f"http://{shown}:{port}"
