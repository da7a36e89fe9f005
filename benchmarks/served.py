"""Servers to be measured, in processes of their own: a node with workers, an empty one, a keeper.

Invariant: what runs is what `tally serve` and `tally keep` run, with the settings that they have by
themselves; CPU time is that of all processes of a server. See docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from benchmarks import load
from tallystick.client.signing import SignedBy
from tallystick.client.sync import Client
from tallystick.engines.process import tune
from tallystick.engines.remote import RemoteSource
from tallystick.node import Node, open_keeper
from tallystick.protocol.trust import TrustPolicy
from tallystick.serve import Served
from tallystick.web.config import read as config_of
from tallystick.web.server import listening, serve
from tallystick.worker import Settings

STARTED_SECONDS_MAX = 120
KEEPER_SECONDS = 0.2
"""How often a keeper asks, as `tally keep` does."""
_CPU_CLOCK = 2
"""Linux: the low bits of a process's CPU-time clock."""


class Site(NamedTuple):
    """A server that answers."""

    host: str
    port: int
    node: int
    """The process that writes."""
    workers: list[int]
    """Those that answer."""

    @property
    def name(self) -> str:
        """As a request's Host header has it."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Of its root."""
        return f"http://{self.name}"

    def cpu(self) -> tuple[float, float]:
        """CPU-seconds so far: the workers', the node's."""
        return sum(map(cpu_of, self.workers)), cpu_of(self.node)


def cpu_of(pid: int) -> float:
    """CPU-seconds that a process and its ended threads have used."""
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


@contextmanager
def node_site(folder: Path, workers: int, trust: TrustPolicy | None = None) -> Iterator[Site]:
    """The node of a ledger, serving."""
    with _apart(_run_node, folder, workers, trust) as (_, (host, port, pid, pids)):
        yield Site(host, port, pid, pids)


@contextmanager
def empty_site() -> Iterator[Site]:
    """R5: our server, and behind it an application that reads a body and says ``{}``."""
    with _apart(_run_empty) as (_, (host, port, pid)):
        yield Site(host, port, pid, [])


@contextmanager
def keeper_of(site: Site, folder: Path) -> Iterator[Connection]:
    """A keeper that follows a node over HTTP.

    Any word into the connection ends it; it answers what it did: when, by the monotonic clock, it
    had executed and co-signed up to which size.
    """
    with _apart(_run_keeper, site.url, folder) as (pipe, _):
        yield pipe


@contextmanager
def _apart(run: Callable[..., None], *given: Any) -> Iterator[tuple[Connection, Any]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_quietly, args=(run, theirs, *given))
    process.start()
    theirs.close()
    try:
        if not ours.poll(STARTED_SECONDS_MAX):
            raise RuntimeError(f"{run.__name__} did not start")
        yield ours, ours.recv()
    finally:
        with suppress(OSError):  # it has ended
            ours.send(None)
        process.join(STARTED_SECONDS_MAX)
        ours.close()


def _quietly(run: Callable[..., None], pipe: Connection, *given: Any) -> None:
    """The log of requests is written, but not to the terminal: workers inherit descriptor 2."""
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    tune()
    run(pipe, *given)


def _run_node(pipe: Connection, folder: Path, workers: int, trust: TrustPolicy | None) -> None:
    sock = listening("127.0.0.1", 0)
    host, port = sock.getsockname()
    config = config_of(f"listen.workers = {workers}", {})
    settings = Settings(config=config, authorities=[f"{host}:{port}"], trust=trust)
    with Node.open(folder, load.signer("log")) as node, Served(node, sock, settings) as served:
        pipe.send((host, port, os.getpid(), served.workers.pids))
        pipe.recv()


def _run_empty(pipe: Connection) -> None:
    sock = listening("127.0.0.1", 0)
    host, port = sock.getsockname()

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    async def run() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
        await serve(
            answer,
            sockets=[sock],
            ready=lambda gate: pipe.send((host, port, os.getpid())),
            stop=stop,
        )

    uvloop.run(run())


def _run_keeper(pipe: Connection, url: str, folder: Path) -> None:
    signer, done = load.signer("keeper"), list[tuple[float, int]]()
    with (
        Client(url, auth=SignedBy(signer, lambda: int(time.time()))) as client,
        open_keeper(folder, RemoteSource(client), signer) as keeper,
    ):
        while keeper.step():
            pass
        pipe.send(None)
        while not pipe.poll(KEEPER_SECONDS):
            keeper.step()
            done.append((time.monotonic(), keeper.signed[0]))
    pipe.recv()
    pipe.send(done)
