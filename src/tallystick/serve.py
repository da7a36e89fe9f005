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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, make_server

from tallystick.node import Node
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.trust import TrustPolicy
from tallystick.web.hub import Hub
from tallystick.web.metrics import MEDIA, Reading, Snapshot, render
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

    def __init__(self, folder: Path, sock: socket.socket, settings: Settings) -> None:
        """As many as the settings say; the first of them delivers webhooks."""
        self._folder = folder
        self._sock = sock
        self._settings = settings
        sock.set_inheritable(True)
        self._running = [self._start(n) for n in range(settings.config.listen.workers)]
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
            self._running[n] = self._start(n)

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

    def _start(self, n: int) -> subprocess.Popen[bytes]:
        settings = replace(self._settings, hooks=n == 0)
        fd = self._sock.fileno()
        command = [sys.executable, "-P", "-m", "tallystick.worker", str(self._folder), str(fd)]
        return subprocess.Popen(
            [*command, encode(settings).decode()],
            stdin=subprocess.DEVNULL,
            pass_fds=(fd,),
            process_group=0,  # Ctrl-C is for the node, which stops them in its order
        )


class Answering:
    """Processes that answer for a folder, and who looks after them, as long as it is open."""

    def __init__(
        self,
        folder: Path,
        hub: Hub,
        sock: socket.socket,
        settings: Settings,
        figures: Callable[[], dict[str, object]],
    ) -> None:
        """`sock` is bound; `RuntimeError` when the workers do not come up."""
        count = settings.config.listen.workers
        self.settings = settings
        self.url = address_of(sock)
        self._sock = sock
        self._hub = hub
        self._figures = figures
        self.workers = Workers(folder, sock, settings)
        if not self._answering(count):
            self.workers.close()
            raise RuntimeError("the processes that answer requests did not start")
        self._stopping = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="tallystick-tend", daemon=True)
        self._tending.start()

    def close(self) -> None:
        """Take nothing new, answer what is under way; what is served is its owner's to close."""
        self._stopping.set()
        self._tending.join()
        self.workers.close()
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def snapshots(self) -> dict[str, Snapshot]:
        """What each worker has counted, by a name that it keeps as long as it runs."""
        told = dict(self._hub.worker_figures)
        return {str(name): decode(data, Snapshot) for name, data in sorted(told.items())}

    def _answering(self, count: int) -> bool:
        ends = time.monotonic() + STARTED_SECONDS_MAX
        while self._hub.workers < count:
            if time.monotonic() > ends or len(self.workers.pids) < count:
                return False
            time.sleep(0.02)
        return True

    def _tend(self) -> None:
        while True:
            self._hub.tell_figures(encode(self._figures()))
            self.workers.watch()
            if self._stopping.wait(FIGURES_SECONDS):
                return


class Served(Answering):
    """A node with everything that answers for it."""

    def __init__(self, node: Node, sock: socket.socket, settings: Settings) -> None:
        """`sock` is bound; the node is its owner's to close."""
        self.node = node
        super().__init__(
            node.folder, node.listen(), sock, settings, lambda: figures(node, settings.trust)
        )


def figures(node: Node, trust: TrustPolicy | None = None) -> dict[str, object]:
    """What an operator watches, for health and metrics; integers and names."""
    head, engine = node.ledger.head, node.figures()
    return {
        "role": "operator",
        "block": head.block,
        "size": head.size,
        "at": head.at,
        "queued": engine.queued,
        "queued_bytes": engine.queued_bytes,
        "wal_bytes": engine.wal_bytes,
        "published": max(node.publisher.sizes(), default=0),
        "stopped": node.failure is not None,
        "keepers": keepers_of(node, trust),
    }


def keepers_of(node: Node, trust: TrustPolicy | None) -> dict[str, dict[str, object]]:
    """Each keeper that counts now: how far it has signed, since when it is silent, who needs it.

    `required`: the server's own policy asks for its organisation. Only what requires a keeper waits
    for it.
    """
    size, now = max(node.publisher.sizes(), default=0), node.clock.now()
    lines, found = node.publisher.lines(), dict[str, dict[str, object]]()
    for keeper in node.publisher.keepers:
        signed, at = lines.get(keeper.name, (0, 0))
        found[keeper.name] = {
            "org": keeper.org,
            "size": signed,
            "at": at,
            "behind": max(0, size - signed),
            "required": trust is not None and keeper.org in trust.required,
        }
        if at:
            found[keeper.name]["silent_seconds"] = max(0, now - at)
    return found


@contextmanager
def metrics_server(served: Served) -> Iterator[str | None]:
    """Answer Prometheus on a port of its own, if the settings say so: its address."""
    config = served.settings.config.metrics
    if not config.port:
        yield None
        return

    def scrape(environ: object, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", MEDIA)])
        return [render(served.snapshots(), gauges_of(served.node))]

    with make_server(config.host, config.port, scrape, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
        thread.start()
        try:
            yield f"http://{config.host}:{server.server_port}/metrics"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""


def gauges_of(node: Node) -> dict[str, Callable[[], Reading]]:
    """What the node itself knows, by the names of `web.metrics.GAUGES`."""
    ledger, engine, clock = node.ledger, node.engine, node.clock

    def ages() -> dict[str, float]:
        return {name: clock.now() - at for name, (_, at) in node.publisher.lines().items() if at}

    return {
        "tally_ledger_size": lambda: ledger.head.size,
        "tally_ledger_block": lambda: ledger.head.block,
        "tally_ledger_time_seconds": lambda: ledger.head.at,
        "tally_queue_transactions": lambda: engine.figures().queued,
        "tally_wal_bytes": lambda: engine.figures().wal_bytes,
        "tally_keeper_age_seconds": ages,
    }
