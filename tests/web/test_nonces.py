"""Each signed request once: over workers, restarts, kills, lost files and clocks that are set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from asking import NOW

from tallystick.client.signing import LIFE_SECONDS_MAX
from tallystick.protocol.errors import Busy, Damaged, Rejected
from tallystick.web import nonces
from tallystick.web.nonces import WINDOW_SECONDS, NonceStore
from tallystick.web.reasons import WebReason
from tallystick.web.requests import AHEAD_SECONDS_MAX, SignedBy


class Clock:
    """Unix seconds, as a test sets them."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def request(n: int = 0, key: bytes = b"k" * 32, created: int = NOW, life: int = 60) -> SignedBy:
    return SignedBy(key, n.to_bytes(16, "big"), created + life, created, None, "")


def refusal(store: NonceStore, signed: SignedBy, most: int = 1_000) -> str:
    with pytest.raises(Rejected) as caught:
        store.take(signed, most)
    return caught.value.reason.value


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nonces.db"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[NonceStore]:
    with closing(NonceStore(path, clock)) as made:
        yield made


def test_a_request_is_taken_once_in_whichever_order_they_come(store: NonceStore) -> None:
    requests = [request(n, created=NOW - n) for n in (5, 1, 4, 2, 3)]
    for each in requests:
        store.take(each)
    for each in requests:
        assert refusal(store, each) == WebReason.REPLAYED


def test_another_key_may_have_the_same_nonce(store: NonceStore) -> None:
    store.take(request())
    store.take(request(key=b"o" * 32))


def test_another_worker_has_seen_it_too(store: NonceStore, path: Path, clock: Clock) -> None:
    with closing(NonceStore(path, clock)) as other:
        store.take(request(1))
        assert refusal(other, request(1)) == WebReason.REPLAYED
        other.take(request(2))
        assert refusal(store, request(2)) == WebReason.REPLAYED


def test_a_restart_has_seen_it_too(path: Path, clock: Clock) -> None:
    with closing(NonceStore(path, clock)) as before:
        before.take(request())
    with closing(NonceStore(path, clock)) as after:
        assert refusal(after, request()) == WebReason.REPLAYED


def test_of_many_workers_at_once_one_takes_it(path: Path, clock: Clock) -> None:
    workers = [NonceStore(path, clock) for _ in range(4)]

    def run(store: NonceStore) -> int:
        taken = 0
        for n in range(300):
            try:
                store.take(request(n))
            except Rejected as refused:
                assert refused.reason is WebReason.REPLAYED
            else:
                taken += 1
        return taken

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, workers)) == 300
    for each in workers:
        each.close()


CHILD = """
import sys
from pathlib import Path
from tallystick.web.nonces import NonceStore
from tallystick.web.requests import SignedBy
store, now, n = NonceStore(Path(sys.argv[1]), lambda: int(sys.argv[2])), int(sys.argv[2]), 0
while True:
    store.take(SignedBy(b"k" * 32, n.to_bytes(16, "big"), now + 60, now, None, ""))
    print(n, flush=True)
    n += 1
"""


def test_a_kill_loses_nothing_that_was_taken(path: Path, clock: Clock) -> None:
    command = [sys.executable, "-c", CHILD, str(path), str(NOW)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) == 200:
                child.send_signal(signal.SIGKILL)
                break
        last = max([200, *(int(line) for line in child.stdout)])
    with closing(NonceStore(path, clock)) as after:
        for n in range(last + 1):
            assert refusal(after, request(n)) == WebReason.REPLAYED


def count(path: Path, clock: Clock) -> int:
    with closing(NonceStore(path, clock)) as store:
        found: int = store._db.execute("SELECT count(*) FROM seen").get
        return found


def test_what_is_over_is_forgotten_and_refused_by_its_time(
    store: NonceStore, path: Path, clock: Clock
) -> None:
    for n in range(50):
        store.take(request(n))
    clock.now += WINDOW_SECONDS
    store.take(request(99, created=clock.now))
    assert count(path, clock) == 1
    assert refusal(store, request(3)) == WebReason.CLOCK


def test_a_clock_that_is_set_back_brings_nothing_back(
    store: NonceStore, path: Path, clock: Clock
) -> None:
    with closing(NonceStore(path, clock)) as other:
        store.take(request(1))
        clock.now += WINDOW_SECONDS
        store.forget()
        clock.now = NOW
        assert refusal(other, request(1)) == WebReason.CLOCK
        other.take(request(2, created=NOW + AHEAD_SECONDS_MAX + 1))


def test_a_clock_that_was_far_ahead_heals_within_a_window(store: NonceStore, clock: Clock) -> None:
    store.take(request(1))
    clock.now += 10 * 365 * 86_400
    store.forget()
    clock.now = NOW + 5
    assert refusal(store, request(1)) == WebReason.CLOCK
    assert refusal(store, request(2, created=clock.now)) == WebReason.CLOCK
    clock.now += WINDOW_SECONDS
    store.take(request(3, created=clock.now))


def test_a_damaged_file_is_made_anew_and_what_it_knew_is_refused(path: Path, clock: Clock) -> None:
    with closing(NonceStore(path, clock)) as before:
        before.take(request())
    path.write_bytes(b"no database at all, but as long as one has to be" * 100)
    with closing(NonceStore(path, clock)) as after:
        assert refusal(after, request()) == WebReason.CLOCK
        assert refusal(after, request(1, created=NOW + AHEAD_SECONDS_MAX)) == WebReason.CLOCK
        after.take(request(2, created=NOW + AHEAD_SECONDS_MAX + 1))


def test_a_file_that_others_work_with_is_not_made_anew(
    store: NonceStore, path: Path, clock: Clock
) -> None:
    store.take(request())
    store._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(Damaged):
        NonceStore(path, clock)


def test_nothing_counts_that_was_signed_before_this_machine_was_up(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 20.5)
    with closing(NonceStore(path, clock)) as store:
        assert refusal(store, request(1, created=NOW - 20)) == WebReason.CLOCK
        store.take(request(2, created=NOW))


def test_one_key_has_a_bounded_number(store: NonceStore, clock: Clock) -> None:
    for n in range(10):
        store.take(request(n), 10)
    assert refusal(store, request(10), 10) == WebReason.CROWDED
    store.take(request(10, key=b"o" * 32), 10)
    clock.now += WINDOW_SECONDS
    store.take(request(10, created=clock.now), 10)


def test_a_workers_own_memory_is_bounded_too(
    store: NonceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonces, "KEYS_COUNTED_MAX", 5)
    for n in range(5):
        store.take(request(key=bytes([n]) * 32))
    with pytest.raises(Busy):
        store.take(request(key=b"x" * 32))
    store.take(request(1, key=bytes([1]) * 32))


def test_the_file_is_for_its_owner_and_stays_small(
    store: NonceStore, path: Path, clock: Clock
) -> None:
    sizes = []
    for _ in range(4):
        for n in range(2_000):
            store.take(request(n, created=clock.now), 2_000)
        clock.now += WINDOW_SECONDS
        sizes.append(sum(each.stat().st_size for each in path.parent.iterdir()))
    assert sizes[3] <= 1.2 * sizes[1]
    assert path.stat().st_mode & 0o077 == 0
    assert os.access(path, os.R_OK)
    assert LIFE_SECONDS_MAX < WINDOW_SECONDS
