"""A disk that is full, broken or slow: the engine stops or waits, and loses nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pytest
from faults.failing import Failing, steady, submit_again, submit_on
from faults.ground import Ground, copy, found, log_root
from faults.powercut import Disk, Instant

from tallystick.engines.embedded import EmbeddedEngine
from tallystick.ledger.engine import Committed
from tallystick.ledger.ledger import Ledger
from tallystick.node import rules
from tallystick.protocol.errors import Busy

AT = Ground().founded_at + 3600
CHILD = Path(__file__).parent / "full_child.py"


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for-good"])
@pytest.mark.parametrize("failure", ["full", "broken"])
def test_a_failure_at_every_write(tmp_path: Path, failure: str, for_good: bool) -> None:
    ground = Ground(4)
    opening = found(ground, tmp_path / "opening")
    transactions = [ground.issue("north", 2, AT) for _ in range(5)]
    for n in range(1, 1000):
        folder, before = copy(opening, tmp_path / f"{n}"), Failing(n, failure, for_good=for_good)
        answered = submit_on(folder, transactions, AT, before, reads=False)
        submit_again(folder, transactions, AT, answered)
        if not before.failed:
            assert len(answered) == len(transactions)
            assert n > 30
            return
    pytest.fail("it never ran through")


def test_a_failure_at_every_read(tmp_path: Path) -> None:
    ground = Ground(5)
    opening = found(ground, tmp_path / "opening")
    transactions = [ground.issue("north", 1, AT), ground.issue("south", 1, AT)]
    for n in range(1, 1000):
        folder, before = copy(opening, tmp_path / f"{n}"), Failing(n, "broken", for_good=False)
        answered = submit_on(folder, transactions, AT, before, reads=True)
        submit_again(folder, transactions, AT, answered)
        if not before.failed:
            return
    pytest.fail("it never ran through")


@pytest.mark.parametrize("limit_kib", [260, 420])
def test_a_real_limit_on_the_size_of_files(tmp_path: Path, limit_kib: int) -> None:
    """`RLIMIT_FSIZE` in a process of its own: the kernel itself refuses the write."""
    ground = Ground(6)
    folder = found(ground, tmp_path / "ledger")
    transactions = [ground.issue("north", 20, AT) for _ in range(60)]
    for n, data in enumerate(transactions):
        (tmp_path / f"{n:03d}.tx").write_bytes(data)
    ran = subprocess.run(
        [sys.executable, str(CHILD), str(folder), str(tmp_path), str(AT), str(limit_kib)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 3, ran.stderr
    assert "Stopped" in ran.stdout
    acknowledged = [line.split() for line in ran.stdout.splitlines() if line[0].isdigit()]
    assert 0 < len(acknowledged) < len(transactions)
    with Ledger.open(folder, rules()) as ledger, EmbeddedEngine(ledger, clock=steady(AT)) as engine:
        for at, first in acknowledged:
            again = engine.submit(transactions[int(at)]).result(60)
            assert (again.repeated, again.first) == (True, int(first))
        assert engine.submit(transactions[-1]).result(60).outcomes == ["accepted"] * 20


def test_a_slow_disk_makes_submitters_wait_and_loses_nothing(tmp_path: Path) -> None:
    ground = Ground(7)
    folder = found(ground, tmp_path / "ledger")
    transactions = [ground.issue("north", 1, AT) for _ in range(150)]
    room = sum(map(len, transactions)) // 10
    answers: list[Committed] = []
    refused, lock = [0], Lock()

    def slow(instant: Instant) -> None:
        if instant.what == "sync":
            time.sleep(0.03)

    def submit(data: bytes) -> None:
        while True:
            try:
                answer = engine.submit(data)
            except Busy as busy:
                with lock:
                    refused[0] += 1
                time.sleep(busy.retry_after_seconds / 20)
                continue
            with lock:
                answers.append(answer.result(60))
            return

    disk = Disk(slow)
    with Ledger.open(folder, rules(), vfs=disk.name) as ledger:
        with (
            EmbeddedEngine(ledger, clock=steady(AT), queued_bytes_max=room) as engine,
            ThreadPoolExecutor(40) as pool,
        ):
            list(pool.map(submit, transactions))
        assert refused[0] > 0
        assert len({each.first for each in answers}) == len(transactions)
        assert all(list(each.outcomes) == ["accepted"] for each in answers)
        assert log_root(ledger) == ledger.head.root
