"""`tally serve`: the node's process, and the processes that answer requests beside it.

The node keeps the writer; workers share one listening socket, read the ledger beside it, verify
what is submitted and hand it over through the hub. When the node ends, they end. A worker that dies
is started again; what it had not answered its clients ask again. See docs/architecture.md.

Invariant: nothing is answered as taken that the node has not made durable.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

from tallystick.node import Node
from tallystick.protocol.canonical import encode
from tallystick.web.server import address_of
from tallystick.worker import Settings

_log = logging.getLogger("tallystick.serve")

RESTART_SECONDS = 1.0
"""Before a worker that died is started again."""
FIGURES_SECONDS = 1.0
STOP_SECONDS_MAX = 30
STARTED_SECONDS_MAX = 30


class Workers:
    """The processes that answer requests; for the thread of whoever started them."""

    def __init__(self, folder: Path, sock: socket.socket, count: int, settings: bytes) -> None:
        """`settings`: a `worker.Settings`, encoded."""
        self._folder = folder
        self._sock = sock
        self._settings = settings.decode()
        sock.set_inheritable(True)
        self._running: list[subprocess.Popen[bytes]] = [self._start() for _ in range(count)]
        self._died_at = 0.0

    def watch(self) -> None:
        """Start those again that have died."""
        for n, worker in enumerate(self._running):
            if worker.poll() is None:
                continue
            if time.monotonic() - self._died_at < RESTART_SECONDS:
                return
            self._died_at = time.monotonic()
            _log.error("a worker has died with code %s; another is started", worker.returncode)
            self._running[n] = self._start()

    def close(self) -> None:
        """Let them finish what is under way."""
        for worker in self._running:
            worker.terminate()
        ends = time.monotonic() + STOP_SECONDS_MAX
        for worker in self._running:
            try:
                worker.wait(max(0.1, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()

    @property
    def pids(self) -> list[int]:
        """Of those that run."""
        return [worker.pid for worker in self._running if worker.poll() is None]

    def _start(self) -> subprocess.Popen[bytes]:
        fd = self._sock.fileno()
        command = [sys.executable, "-P", "-m", "tallystick.worker", str(self._folder), str(fd)]
        return subprocess.Popen(
            [*command, self._settings],
            stdin=subprocess.DEVNULL,
            pass_fds=(fd,),
            process_group=0,  # Ctrl-C is for the node, which stops them in its order
        )


class Served:
    """A node with everything that answers for it, as long as it is open."""

    def __init__(self, node: Node, sock: socket.socket, count: int, settings: Settings) -> None:
        """`sock` is bound; `RuntimeError` when the workers do not come up."""
        self.node = node
        self.url = address_of(sock)
        self._sock = sock
        self._hub = node.listen()
        self.workers = Workers(node.folder, sock, count, encode(settings))
        if not self._answering(count):
            self.workers.close()
            raise RuntimeError("the processes that answer requests did not start")
        self._stopping = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="tallystick-tend", daemon=True)
        self._tending.start()

    def close(self) -> None:
        """Take nothing new, answer what is under way; the node itself is its owner's to close."""
        self._stopping.set()
        self._tending.join()
        self.workers.close()
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answering(self, count: int) -> bool:
        ends = time.monotonic() + STARTED_SECONDS_MAX
        while self._hub.workers < count:
            if time.monotonic() > ends or len(self.workers.pids) < count:
                return False
            time.sleep(0.02)
        return True

    def _tend(self) -> None:
        while not self._stopping.wait(FIGURES_SECONDS):
            self._hub.tell_figures(encode(figures(self.node)))
            self.workers.watch()


def figures(node: Node) -> dict[str, object]:
    """What an operator watches, for health and metrics; integers and names."""
    head, engine = node.ledger.head, node.figures()
    return {
        "block": head.block,
        "size": head.size,
        "at": head.at,
        "queued": engine.queued,
        "queued_bytes": engine.queued_bytes,
        "wal_bytes": engine.wal_bytes,
        "published": max(node.publisher.sizes(), default=0),
        "stopped": node.failure is not None,
        "keepers": {
            name: {"size": size, "at": at} for name, (size, at) in node.publisher.lines().items()
        },
    }
