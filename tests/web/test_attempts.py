"""Attempts are counted by the hour, across processes and threads; the file names nobody."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tallystick.protocol.errors import Rejected
from tallystick.web.attempts import HOUR_SECONDS, Attempts

AT = 1_767_600_000 - 1_767_600_000 % HOUR_SECONDS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attempts.db"


@pytest.fixture
def attempts(path: Path) -> Iterator[Attempts]:
    with closing(Attempts(path)) as attempts:
        yield attempts


def is_taken(attempts: Attempts, name: str, at: int = AT, most: int = 3) -> bool:
    try:
        attempts.take(name, at, most)
    except Rejected as refusal:
        assert refusal.reason == "web.crowded"
        return False
    return True


def test_so_many_an_hour_and_then_no_more(attempts: Attempts) -> None:
    assert [is_taken(attempts, "a") for _ in range(5)] == [True] * 3 + [False] * 2
    assert is_taken(attempts, "b"), "one name's count is no other's"
    assert not is_taken(attempts, "a", AT + HOUR_SECONDS - 1)
    assert is_taken(attempts, "a", AT + HOUR_SECONDS)


def test_what_was_given_back_does_not_count(attempts: Attempts) -> None:
    for _ in range(10):
        assert is_taken(attempts, "a")
        attempts.give_back("a", AT)
    assert [is_taken(attempts, "a") for _ in range(4)] == [True] * 3 + [False]


def test_many_at_a_moment_in_two_processes_are_no_more_than_one_by_one(path: Path) -> None:
    with (
        closing(Attempts(path)) as one,
        closing(Attempts(path)) as other,
        ThreadPoolExecutor(16) as pool,
    ):
        taken = list(pool.map(lambda n: is_taken((one, other)[n % 2], "a", AT, 20), range(200)))
    assert sum(taken) == 20


def test_hours_that_are_over_are_forgotten(attempts: Attempts, path: Path) -> None:
    for n in range(100):
        assert is_taken(attempts, f"name {n}", AT)
    assert is_taken(attempts, "a", AT + HOUR_SECONDS)
    assert attempts.kept == 1


def test_the_file_names_nobody_and_is_its_owners_alone(attempts: Attempts, path: Path) -> None:
    is_taken(attempts, "client 192.0.2.77")
    is_taken(attempts, "33060126:0000000017")
    data = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"192.0.2.77" not in data and b"0000000017" not in data
    assert path.stat().st_mode & 0o077 == 0
    assert not is_taken(Attempts(path), "client 192.0.2.77", most=1), "another worker knows it"
