"""``operator_child.py FOLDER STEPS REPORT``: the operator of one simulated day, to be killed.

Hands in every step of the file in order, each at its own second of simulated time; what is on the
ledger already has its old answer. Ends with a line in REPORT once all is durable.
"""

from __future__ import annotations

import base64
import logging
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from soak.planned import Step, signer

from tallystick.engines.clock import Clock
from tallystick.node import Node
from tallystick.protocol.canonical import encode


class SimulatedTime:
    """Seconds that pass when the plan says so; wall and monotonic clock agree.

    Kept in a file: a clock goes on while its machine is down.
    """

    def __init__(self, path: Path, at: int) -> None:
        self._path = path
        self.at = max(at, int(path.read_text()) if path.exists() else 0)

    def __call__(self) -> float:
        return float(self.at)

    def wait_for(self, at: int) -> None:
        """It is `at`, or later already."""
        if at > self.at:
            beside = self._path.with_suffix(".new")
            beside.write_text(str(at))
            beside.replace(self._path)
            self.at = at


def read_steps(path: Path) -> Iterator[Step]:
    """The steps of a file that `write_steps` made."""
    for line in path.read_bytes().splitlines():
        at, data = line.split(b" ")
        yield Step(int(at), base64.b64decode(data))


def write_steps(path: Path, steps: list[Step]) -> None:
    """One line a step."""
    with path.open("wb") as file:
        for step in steps:
            file.write(b"%d %b\n" % (step.at, base64.b64encode(step.data)))


def run(folder: Path, steps: list[Step], report: Path) -> None:
    """Hand in all of it; raises when something is refused."""
    time = SimulatedTime(folder.parent / "time", steps[0].at)
    clock = Clock(time, time)
    blocks = repeated = 0
    with Node.open(folder, signer("log"), clock=clock) as node:
        print("ready", flush=True)
        for at, some in groupby(steps, key=lambda step: step.at):
            time.wait_for(at)
            answers = [node.submit(step.data) for step in some]
            for answer in answers:
                told = answer.result(300)
                repeated += told.repeated
                if set(told.outcomes) != {"accepted"}:
                    raise RuntimeError(f"{told.tx_id} at {at}: {sorted(set(told.outcomes))}")
        blocks = node.ledger.head.block
    report.write_bytes(encode({"blocks": blocks, "repeated": repeated, "peak_mib": peak_mib()}))


def peak_mib() -> int:
    """Of this program alone: what `getrusage` says includes the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [line] = [each for each in status.splitlines() if each.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    run(Path(sys.argv[1]), list(read_steps(Path(sys.argv[2]))), Path(sys.argv[3]))
