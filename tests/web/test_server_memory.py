"""What hostile traffic costs a server alone in its process: memory, and the patience of others."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_server import answer

from tallystick.web.server import room_for

BURDEN = Path(__file__).resolve().parent.parent / "web_burden.py"
MIB = 1024 * 1024
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


class Alone:
    """The server, and how much memory it has resident."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(BURDEN)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def end(self) -> int:
        """As an operator ends it."""
        self.process.terminate()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(20)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def resident(self) -> int:
        """In MiB."""
        found = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(found) * resource.getpagesize() // MIB

    def serves(self) -> bool:
        """Whether somebody else is answered, and quickly."""
        begun = time.monotonic()
        with self.connect() as connection:
            connection.sendall(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
            return answer(connection)[0] == 200 and time.monotonic() - begun < 2


@pytest.fixture
def alone() -> Iterator[Alone]:
    made = Alone()
    try:
        yield made
    finally:
        made.end()


def test_ten_thousand_idle_connections(alone: Alone) -> None:
    count = room_for(10_000)
    before = alone.resident()
    opened = []
    try:
        for number in range(count):
            connection = alone.connect()
            connection.sendall(b"GET / HTTP/1.1\r\nX: " if number % 2 else b"")
            opened.append(connection)
        assert alone.serves()
        grown = alone.resident() - before
    finally:
        for connection in opened:
            connection.close()
    assert grown < 200, f"{grown} MiB for {count} connections"
    assert alone.serves()


def flood(alone: Alone, count: int, chunked: bool) -> None:
    """Gigabytes, said or not."""
    with alone.connect() as connection:
        length = b"Transfer-Encoding: chunked\r\n\r\n40000000\r\n"
        connection.sendall(HEAD + (length if chunked else b"Content-Length: 1073741824\r\n\r\n"))
        block = bytes(MIB)
        try:
            for _ in range(count):
                connection.sendall(block)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            return


def test_bodies_of_a_gigabyte(alone: Alone) -> None:
    before = alone.resident()
    threads = [
        threading.Thread(target=flood, args=(alone, 256, number % 2 == 1)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    highest = before
    while any(thread.is_alive() for thread in threads):
        assert alone.serves()
        highest = max(highest, alone.resident())
    assert highest - before < 100, f"{highest - before} MiB"


def test_many_bodies_at_once_share_one_budget(alone: Alone) -> None:
    """64 of 4 MiB, none of them ended: 256 MiB, where 32 are allowed."""
    before = alone.resident()
    opened = [alone.connect() for _ in range(64)]
    for connection in opened:
        try:
            connection.sendall(
                HEAD + b"Content-Length: %d\r\n\r\n" % (4 * MIB) + bytes(4 * MIB - 1)
            )
        except (BrokenPipeError, ConnectionResetError):
            continue
        assert alone.resident() - before < 100
    assert alone.serves()
    for connection in opened:
        connection.close()


def test_answers_that_nobody_reads(alone: Alone) -> None:
    """An answer of 8 MiB waits for its reader in bounded memory, and others are served."""
    before = alone.resident()
    opened = [alone.connect() for _ in range(8)]
    for connection in opened:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    assert alone.serves()
    assert alone.resident() - before < 8 * 8 + 60
    for connection in opened:
        connection.close()
    ends = time.monotonic() + 5
    while alone.resident() - before > 60:
        assert time.monotonic() < ends, "the answers are still held"
        time.sleep(0.05)


def test_it_ends_when_it_is_told(alone: Alone) -> None:
    with alone.connect() as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        alone.process.terminate()
        assert answer(connection)[0] == 200
    assert alone.end() == 0
