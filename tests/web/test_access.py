"""The log of reads: kept soon, kept once, never in the way, and nothing in it about a person."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tallystick.durable import DiskFull
from tallystick.protocol.errors import Busy
from tallystick.web import access
from tallystick.web.access import AccessLog
from tallystick.web.callers import Caller

BILL, OTHER = "33060126:0000000017", "33060126:0000000018"
HOSPITAL = Caller("member", "hospital", b"k" * 32)
PASS = Caller("member", "insurer", b"k" * 32, b"p" * 16)
HOLDER = Caller("holder", None, b"h" * 32, bill=BILL)
NOW = 1_767_600_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reads.db"


@pytest.fixture
def log(path: Path) -> Iterator[AccessLog]:
    with closing(AccessLog(path, lambda: NOW)) as made:
        yield made


def test_it_says_who_and_by_what_and_why(log: AccessLog) -> None:
    log.note(BILL, HOSPITAL, "issuer")
    log.note(BILL, PASS, "consent/claim")
    log.note(OTHER, HOSPITAL, "issuer")
    log.note(BILL, HOLDER, "holder")
    assert [(each.at, each.who, each.means, each.why) for each in log.of_bill(BILL)] == [
        (NOW, "hospital", f"key:{b'k'.hex() * 32}", "issuer"),
        (NOW, "insurer", f"pass:{b'p'.hex() * 16}", "consent/claim"),
        (NOW, "holder", f"key:{b'h'.hex() * 32}", "holder"),
    ]


def test_workers_write_to_one_log(log: AccessLog, path: Path) -> None:
    with closing(AccessLog(path, lambda: NOW + 1)) as other:
        other.note(BILL, PASS, "claim")
        log.note(BILL, HOSPITAL, "issuer")
        other.flush()
        assert [each.who for each in log.of_bill(BILL)] == ["hospital", "insurer"]


def test_a_stop_loses_nothing_and_a_second_is_all_that_waits(path: Path) -> None:
    with closing(AccessLog(path, lambda: NOW)) as log:
        log.note(BILL, HOSPITAL, "issuer")
        deadline = time.monotonic() + 10
        with closing(AccessLog(path, lambda: NOW)) as reader:
            while not reader.of_bill(BILL):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        log.note(BILL, HOSPITAL, "issuer")
    with closing(AccessLog(path, lambda: NOW)) as after:
        assert len(after.of_bill(BILL)) == 2


CHILD = f"""
import sys, time
from pathlib import Path
from tallystick.web.access import AccessLog
from tallystick.web.callers import Caller
log = AccessLog(Path(sys.argv[1]), lambda: 0)
while True:
    log.note({BILL!r}, Caller("member", "hospital", b"k" * 32), "issuer")
    print(time.monotonic(), flush=True)
    time.sleep(0.01)
"""


def test_a_kill_loses_about_a_second(path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        noted = [float(child.stdout.readline())]
        while noted[-1] < noted[0] + 2.5:
            noted.append(float(child.stdout.readline()))
        child.send_signal(signal.SIGKILL)
        noted += [float(line) for line in child.stdout]
    with closing(AccessLog(path, lambda: NOW)) as after:
        kept = len(after.of_bill(BILL))
    assert 0 < kept <= len(noted) + 1
    assert noted[-1] - noted[kept - 1] < access.FLUSH_SECONDS + 1


def test_noting_waits_for_nothing(log: AccessLog) -> None:
    with log._lock:  # a flush is under way, as on a slow disk
        started = time.perf_counter()
        for _ in range(1_000):
            log.note(BILL, HOSPITAL, "issuer")
        assert time.perf_counter() - started < 0.5
    assert len(log.of_bill(BILL)) == 1_000


def test_what_cannot_be_logged_is_not_read(log: AccessLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "WAITING_MAX", 5)
    with log._lock:
        for _ in range(5):
            log.note(BILL, HOSPITAL, "issuer")
        with pytest.raises(Busy):
            log.note(BILL, HOSPITAL, "issuer")
    log.flush()
    log.note(BILL, HOSPITAL, "issuer")
    assert len(log.of_bill(BILL)) == 6


def test_a_full_disk_stops_reading_until_there_is_room(
    log: AccessLog, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="tallystick")  # a command before us may have hushed it
    size = log._db.execute("PRAGMA page_count").get
    log._db.execute(f"PRAGMA max_page_count = {size}")
    noted = 0
    with suppress(Busy, DiskFull):  # its own thread may find the disk full before we do
        while noted < 2_000:
            log.note(BILL, HOSPITAL, "issuer")
            noted += 1
    with pytest.raises(DiskFull):
        log.flush()
    deadline = time.monotonic() + 10
    with pytest.raises(Busy):
        while time.monotonic() < deadline:
            log.note(BILL, HOSPITAL, "issuer")
            time.sleep(0.05)
    log._db.execute("PRAGMA max_page_count = 1000000")
    log.flush()
    log.note(BILL, HOSPITAL, "issuer")
    assert len(log.of_bill(BILL)) >= noted
    assert [each.levelname for each in caplog.records] == ["ERROR"]


def test_what_is_old_is_dropped_and_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(AccessLog(path, lambda: NOW)) as log:
        for _ in range(10):
            log.note(BILL, HOSPITAL, "issuer")
    with closing(AccessLog(path, lambda: NOW + 2 * 86_400, retention_days=1)) as later:
        later.note(BILL, PASS, "claim")
        later.flush()
        monkeypatch.setattr(access, "_FORGET_ROWS", 4)
        assert [later.forget() for _ in range(4)] == [4, 4, 2, 0]
        assert [each.who for each in later.of_bill(BILL)] == ["insurer"]
