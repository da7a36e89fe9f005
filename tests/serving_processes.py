"""`tally serve` as its operator starts it: a process of its own group, on one port, often.

Invariant: whatever a test does to it, nothing of it outlives the `with`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from offices import signer
from served import RealCity

from tallystick.durable import write_new
from tallystick.keyring import KeyFile
from tallystick.protocol.canonical import encode

STARTED_SECONDS_MAX = 60


def alive(pid: int) -> bool:
    """Whether it runs; what has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Server:
    """A ledger's folder and the process that serves it; `start` it, also after it was killed."""

    def __init__(self, folder: Path, key: Path, *, workers: int = 2) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port: int = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        options = ["--log-key", str(key), "--listen", f"127.0.0.1:{self.port}"]
        self._command = [sys.executable, "-m", "tallystick.cli", "serve", str(folder), *options]
        self._command += ["--workers", str(workers)]
        self._environment = {**os.environ, "TALLY_LOGS_REQUESTS": "false"}
        self.process: subprocess.Popen[str]
        self.started = 0

    @classmethod
    @contextmanager
    def made(cls, folder: Path) -> Iterator[Self]:
        """A city whose node nobody runs yet."""
        with RealCity(folder) as city:
            node = city.node.folder
        server = cls(node, key_file(folder / "log.json"))
        try:
            yield server
        finally:
            server.end()

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        """Until it answers; a killed one's workers need a moment to let go of the port."""
        ends = time.monotonic() + STARTED_SECONDS_MAX
        while True:
            self._drop()
            self.process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=self._environment,
                process_group=0,
            )
            self.started += 1
            assert self.process.stdout is not None
            if self.process.stdout.readline().startswith("http://"):
                return
            self.process.wait()
            assert time.monotonic() < ends, "it does not start"
            time.sleep(0.1)

    def workers(self) -> list[int]:
        """The processes that answer; each is the first of a group of its own."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        found = [int(each) for each in text.split()]
        return [pid for pid in found if "tallystick.worker" in command_of(pid)]

    def kill_all(self) -> None:
        """SIGKILL to the node and to each worker, as a machine's end would have it."""
        for pid in (self.pid, *self.workers()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        if hasattr(self, "process") and self.process.poll() is None:
            self.kill_all()
        self._drop()

    def _drop(self) -> None:
        """Wait for what has ended, and let go of its pipe."""
        if hasattr(self, "process"):
            self.process.communicate()


def command_of(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def key_file(path: Path, name: str = "log") -> Path:
    """The key of a name, as its owner keeps it."""
    key = signer(name)
    file = KeyFile(format="tallystick/key/v1", name=name, public=key.public_key, secret=key._secret)
    write_new(path, encode(file))
    return path
