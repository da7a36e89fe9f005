"""The processes of a soak of the service: `tally serve`, `tally keep`, and the load's own.

Each has a group of its own and is ended by its number; what they say goes to a file beside.

Invariant: nothing that was started here outlives `close`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from faults.processes import ENVIRONMENT

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 120
TALLY = (sys.executable, "-m", "tallystick.cli")


def free_port() -> int:
    """One that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


class Running:
    """One process, which may be killed and started again."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name, self.command, self._log = name, command, folder / f"{name}.log"
        self._popen: subprocess.Popen[str] | None = None

    @property
    def log(self) -> str:
        """What it said on standard error, all its lives long."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int | None:
        """While it runs."""
        return self._popen.pid if self._popen is not None and self._popen.poll() is None else None

    @property
    def children(self) -> list[int]:
        """Processes that it started and that run."""
        found = list[int]()
        with suppress(OSError):
            for task in Path(f"/proc/{self.pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return sorted(found)

    def start(self, ready: str) -> None:
        """Until the first line that it prints begins with `ready`; again when it ends before."""
        until = time.monotonic() + START_SECONDS_MAX
        while True:
            self._close_pipes()
            with self._log.open("a") as log:
                self._popen = subprocess.Popen(
                    self.command, env=ENVIRONMENT, text=True, start_new_session=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                )  # fmt: skip
            if not ready:
                return
            assert self._popen.stdout is not None
            if self._popen.stdout.readline().startswith(ready):
                return
            self._popen.wait()
            assert time.monotonic() < until, f"{self.name} does not start: {self.log[-2_000:]}"
            time.sleep(0.1)

    def tell(self, line: str) -> None:
        """Into its standard input."""
        assert self._popen is not None and self._popen.stdin is not None
        self._popen.stdin.write(line)
        self._popen.stdin.flush()

    def kill(self) -> None:
        """SIGKILL to it alone: those that it started see for themselves that it is gone."""
        assert self._popen is not None
        self._popen.kill()
        self._popen.wait()

    def terminate(self) -> int:
        """SIGTERM once it minds that, and how it ended."""
        assert self._popen is not None
        until = time.monotonic() + START_SECONDS_MAX
        while not _minds(self._popen.pid, signal.SIGTERM) and self._popen.poll() is None:
            assert time.monotonic() < until, f"{self.name} does not mind SIGTERM"
            time.sleep(0.05)
        self._popen.terminate()
        return self.ended()

    def ended(self, seconds: float = STOP_SECONDS_MAX) -> int:
        """Wait until it has ended by itself: its exit code."""
        assert self._popen is not None
        return self._popen.wait(seconds)

    @property
    def code(self) -> int | None:
        """How it ended, if it did."""
        return None if self._popen is None else self._popen.poll()

    def close(self) -> None:
        """Whatever is left of it ends now."""
        if self._popen is None:
            return
        for child in self.children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        if self._popen.poll() is None:
            self.kill()
        self._close_pipes()
        self._popen = None

    def _close_pipes(self) -> None:
        if self._popen is not None:
            for pipe in (self._popen.stdin, self._popen.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()


def _minds(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    [line] = [each for each in status.splitlines() if each.startswith("SigCgt:")] or [":0"]
    return bool(int(line.partition(":")[2], 16) >> (number - 1) & 1)


def child(stack: ExitStack, name: str, folder: Path, setting: Path) -> Running:
    """A program beside this file, which says ``ready``."""
    program = Path(__file__).with_name(f"{name}_child.py")
    running = Running(name, [sys.executable, str(program), str(setting), str(folder)], folder)
    stack.callback(running.close)
    running.start("ready")
    return running
