"""The demo's other processes: keepers and finance's archive, each in a process of its own.

Invariant: however the demo ends, they end too: they are told, and they watch whose children they
are. See docs/cli.md.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tallystick.cli.demo_world import World
from tallystick.cli.failures import DAMAGED, fail
from tallystick.cli.keeping import PARENT
from tallystick.cli.reading import published, reading
from tallystick.contracts.bills.records.bills import Allotment
from tallystick.contracts.bills.views.bills import find_issuer
from tallystick.ledger.sqlite import FILE

STOP_SECONDS_MAX = 20
WAIT_SECONDS_MAX = 300
POLL_SECONDS = 0.1


class Processes:
    """Children by name; what they print goes to ``logs/``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._logs = world.folder / "logs"
        self._logs.mkdir()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start_keeper(self, org: str, *, once: bool = False) -> None:
        """A keeper that follows what the operator publishes."""
        world = self._world
        arguments = ["keep", "--from", str(world.ledger / "feed")]
        arguments += ["--dir", str(world.folder / "keepers" / org)]
        arguments += ["--key", str(world.key(f"keeper-{org}")), "--network", world.network.hex()]
        self._start(f"keeper-{org}", [*arguments, *(["--once"] if once else []), "--json"])

    def start_archive(self) -> None:
        """Finance's archive: reads the ledger of finance's keeper, once it is there, and mail."""
        world = self._world
        kept = world.folder / "keepers" / "finance"
        _wait(
            self,
            (kept / FILE).exists,
            "财政的见证节点没有启动",
            "finance's keeper did not begin",
        )
        arguments = ["bills", "archive", "run", "--dir", str(world.folder / "archive")]
        arguments += ["--ledger", str(kept), "--box", str(world.ledger)]
        arguments += ["--mailbox", str(world.folder / "mail")]
        arguments += ["--org", "finance", "--key", str(world.key("finance"))]
        arguments += ["--archive-key", str(world.key("archive"))]
        arguments += ["--delivery-key", str(world.key("delivery")), "--json"]
        self._start("archive", arguments)

    def stop(self, name: str) -> dict[str, Any]:
        """End one: what it said at its end."""
        process = self._running.pop(name)
        process.terminate()
        return self._end(name, process)

    def finish(self, name: str) -> dict[str, Any]:
        """Wait until one ends by itself: what it said."""
        return self._end(name, self._running.pop(name), WAIT_SECONDS_MAX)

    def check(self) -> None:
        """Fail if one has ended before it was told to."""
        for name, process in self._running.items():
            if process.poll() is not None:
                self._failed(name)

    def close(self) -> None:
        """End all, gently, then not."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _start(self, name: str, arguments: list[str]) -> None:
        with (
            (self._logs / f"{name}.json").open("wb") as answers,
            (self._logs / f"{name}.log").open("ab") as log,
        ):
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "tallystick.cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=answers,
                stderr=log,
                env=os.environ | {PARENT: str(os.getpid())},
            )

    def _end(
        self, name: str, process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS_MAX
    ) -> dict[str, Any]:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.returncode != 0:
            self._failed(name)
        said: dict[str, Any] = json.loads((self._logs / f"{name}.json").read_bytes())
        return said

    def _failed(self, name: str) -> None:
        log = self._logs / f"{name}.log"
        fail(
            *("demo.process", "演示进程意外结束", f"the process {name} ended unexpectedly"),
            detail=log.read_text(errors="replace")[-500:].strip(),
            todo=("查看日志", f"read {log}"),
            exit_code=DAMAGED,
        )


@contextmanager
def processes(world: World) -> Iterator[Processes]:
    """The demo's processes, ended in every case."""

    def stop(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    running = Processes(world)
    try:
        yield running
    finally:
        running.close()
        signal.signal(signal.SIGTERM, before)


def wait_for_keepers(world: World, running: Processes, count: int) -> None:
    """Wait until so many keepers have co-signed all that there is."""

    def caught_up() -> bool:
        with reading(world.ledger) as view:
            size, signed = view.head.size, published(world.ledger, view)[1:]
        return sum(at >= size for _, at, _ in signed) >= count

    _wait(running, caught_up, "见证节点没有跟上", "the keepers did not catch up")


def wait_for_archive(world: World, running: Processes, orgs: list[str]) -> None:
    """Wait until finance has said that every body of these issuers is checked and stored."""

    def archived() -> bool:
        newest = dict.fromkeys(orgs, -1)
        with reading(world.ledger) as view:
            for row in view.scan(Allotment, ""):
                if row.holder in newest:
                    newest[row.holder] = max(newest[row.holder], row.last_index)
            said = {org: find_issuer(view, org) for org in orgs}
        return all(row is not None and row.below > newest[org] for org, row in said.items())

    _wait(running, archived, "归档没有完成", "the archive did not finish")


def _wait(running: Processes, done: Callable[[], bool], zh: str, en: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not done():
        running.check()
        if time.monotonic() > deadline:
            fail("demo.waiting", zh, en, todo=("查看 logs 目录", "read logs/"), exit_code=DAMAGED)
        time.sleep(POLL_SECONDS)
