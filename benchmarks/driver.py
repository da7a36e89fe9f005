"""A lean HTTP client in a process of its own: requests made beforehand, so many connections, times.

It does next to nothing, so that what is measured is the server; its CPU time is told apart.

Invariant: an answer that is not the expected status ends the measurement. See docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

import uvloop

SECONDS_MAX = 600
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


class Done(NamedTuple):
    """What came of a run."""

    seconds: float
    cpu_seconds: float
    """Of this client's own process."""
    latencies: list[float]
    """In order of the requests: seconds from the first byte out to the last byte in."""
    ended: list[float]
    """When each was answered, by the machine's monotonic clock."""
    answers: list[bytes]
    """Bodies, if they were asked for."""

    @property
    def p99(self) -> float:
        """Seconds of the slowest of a hundred."""
        return percentile(self.latencies, 0.99)


class Plan(NamedTuple):
    """What to send."""

    host: str
    port: int
    requests: Sequence[bytes]
    connections: int
    every: float = 0.0
    """Seconds between the starts of two requests; 0: as soon as a connection is free."""
    keep: bool = False
    """Whether the answers' bodies are wanted."""


def percentile(found: Sequence[float], share: float) -> float:
    """The value below which this share lies."""
    return sorted(found)[min(int(len(found) * share), len(found) - 1)]


def request(
    method: str, host: str, path: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def drive(plan: Plan) -> Done:
    """Send it all, from a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    ours.send(plan)
    try:
        found = ours.recv()
    except EOFError:
        raise RuntimeError("the driver has died") from None
    process.join()
    if isinstance(found, str):
        raise RuntimeError(found)
    done: Done = found
    return done


def _main(pipe: Connection) -> None:
    plan: Plan = pipe.recv()
    try:
        pipe.send(uvloop.run(_Run(plan).go()))
    except (OSError, RuntimeError, TimeoutError) as error:
        pipe.send(f"{type(error).__name__}: {error}")


class _Run:
    """All connections of a plan."""

    def __init__(self, plan: Plan) -> None:
        count = len(plan.requests)
        self.plan = plan
        self.next = 0
        self.left = count
        self.start = 0.0
        self.latencies, self.ended = [0.0] * count, [0.0] * count
        self.answers = [b""] * (count if plan.keep else 0)
        self.over: asyncio.Future[None]

    async def go(self) -> Done:
        """Connect, send, wait for all answers."""
        loop, plan = asyncio.get_running_loop(), self.plan
        self.over = loop.create_future()
        made = [
            (await loop.create_connection(lambda: _Client(self), plan.host, plan.port))[1]
            for _ in range(min(plan.connections, len(plan.requests)))
        ]
        cpu, self.start = time.process_time(), time.monotonic()
        for each in made:
            each.ask()
        async with asyncio.timeout(SECONDS_MAX):
            await self.over
        seconds = time.monotonic() - self.start
        return Done(seconds, time.process_time() - cpu, self.latencies, self.ended, self.answers)

    def took(self, at: int, asked: float, body: bytes) -> None:
        """One is answered."""
        now = time.monotonic()
        self.latencies[at], self.ended[at] = now - asked, now
        if self.plan.keep:
            self.answers[at] = body
        self.left -= 1
        if not self.left:
            self.over.set_result(None)

    def fail(self, why: str) -> None:
        """Nothing of it counts."""
        if not self.over.done():
            self.over.set_exception(RuntimeError(why))


class _Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._parts = deque[bytes]()
        self._wanted = self._held = self._head = 0
        self._at = 0
        self._asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # it is one

    def ask(self) -> None:
        """The next one that nobody has asked, when its time has come."""
        run = self._run
        if run.next >= len(run.plan.requests):
            return
        self._at = run.next
        run.next += 1
        pause = run.start + self._at * run.plan.every - time.monotonic() if run.plan.every else 0.0
        if pause > 0:
            asyncio.get_running_loop().call_later(pause, self._send)
        else:
            self._send()

    def _send(self) -> None:
        self._asked = time.monotonic()
        self._transport.write(self._run.plan.requests[self._at])

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        if not self._wanted and not self._read_head():
            return
        if self._held < self._wanted:
            return
        body = b"".join(self._parts)[self._head :]
        self._parts.clear()
        self._wanted = self._held = 0
        self._run.took(self._at, self._asked, body)
        self.ask()

    def _read_head(self) -> bool:
        data = b"".join(self._parts)
        end = data.find(_HEAD_END)
        if end < 0:
            return False
        head = data[:end].lower()
        at = head.find(_LENGTH)
        if not head.startswith(b"http/1.1 200") or at < 0 or b'"refused":' in data:
            self._run.fail(data[:600].decode("utf-8", "replace"))
            return False
        self._head = end + len(_HEAD_END)
        self._wanted = self._head + int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._run.left:
            self._run.fail(f"the server has closed a connection: {exc}")
