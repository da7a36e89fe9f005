"""Hostile HTTP beside honest load, against a whole server: bounded, answered, others served.

What the HTTP server does alone is in tests/web/test_server*.py; here it has its workers, its node
and the files that they share. See docs/threat-model.md.
"""

from __future__ import annotations

import resource
import secrets
import socket
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
from offices import HOSPITAL, signer
from served import OTHER, now
from serving_processes import Server
from town import auth_of, issue_item, problem_of

from tallystick.client.signing import sign_request
from tallystick.protocol.transaction import sign_transaction
from tallystick.protocol.values import format_instant

IDLE = 2_000
GROWTH_BYTES_MAX = 96 * 1024 * 1024
"""Of a process over all that is done to it here."""
HONEST_P99_SECONDS = 0.75
"""On a machine that does other things too; what is asked takes some milliseconds."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server.made(tmp_path_factory.mktemp("hostile")) as server:
        server.start()
        yield server


def rss(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def network_of(server: Server) -> bytes:
    answer = httpx2.get(f"{server.url}/api/v1/network", trust_env=False).json()
    return b64decode(answer["network"])


@dataclass
class Honest:
    """A hospital that issues and reads all the while, each request on time or noted."""

    server: Server
    network: bytes
    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10_000)))

    @contextmanager
    def working(self) -> Iterator[None]:
        done = threading.Event()
        thread = threading.Thread(target=self._work, args=(done,))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _work(self, done: threading.Event) -> None:
        with httpx2.Client(base_url=self.server.url, trust_env=False, timeout=20) as http:
            while not done.wait(0.02):
                data = self.issue(next(self.numbers))
                self._timed(
                    lambda: http.post(
                        "/api/v1/transactions",
                        content=data,  # noqa: B023  # called at once
                        headers={"content-type": "application/json"},
                    )
                )
                self._timed(lambda: http.get("/api/v1/head", auth=auth_of(HOSPITAL)))

    def _timed(self, ask: Callable[[], httpx2.Response]) -> None:
        started = time.monotonic()
        try:
            response = ask()
        except httpx2.TransportError as error:
            self.failed.append(type(error).__name__)
            return
        self.seconds.append(time.monotonic() - started)
        if response.status_code != 200:
            self.failed.append(f"{response.status_code} {response.text[:200]}")

    def issue(self, number: int) -> bytes:
        return sign_transaction(
            signer(f"{HOSPITAL}/key"),
            network=self.network,
            sender=HOSPITAL,
            action="bills.issue/1",
            items=[issue_item(number=number)],
            idempotency=secrets.token_bytes(16),
            valid_until=format_instant(now() + 3_600),
        )

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[len(self.seconds) * 99 // 100]


def connect(server: Server, host: int = 1) -> socket.socket:
    """From one of this machine's addresses."""
    made = socket.socket()
    made.bind((f"127.0.0.{host}", 0))
    made.settimeout(5)
    made.connect(("127.0.0.1", server.port))
    return made


def status_of(data: bytes) -> int:
    return int(data.split(b" ", 2)[1]) if data.startswith(b"HTTP/1.1 ") else 0


def said(connection: socket.socket, data: bytes) -> int:
    """The status of what is answered; 0: the connection was closed without a word."""
    found = b""
    with suppress(OSError):
        connection.sendall(data)
    with suppress(OSError):
        while b"\r\n" not in found and (part := connection.recv(4_096)):
            found += part
    return status_of(found)


def idle(server: Server, stack: ExitStack) -> Counter[str]:
    """Two thousand connections that say nothing."""
    counted = Counter[str]()
    for n in range(IDLE):
        try:
            stack.enter_context(connect(server, 2 + n % 8))
            counted["idle"] += 1
        except OSError:
            counted["idle, refused"] += 1
    return counted


def header_floods(server: Server, stack: ExitStack) -> Counter[str]:
    counted = Counter[str]()
    line = b"x-flood: " + b"y" * 1_000 + b"\r\n"
    for n in range(60):
        connection = stack.enter_context(connect(server, 20 + n % 4))
        start = b"GET /api/v1/network HTTP/1.1\r\nhost: a\r\n"
        counted[f"headers {said(connection, start + line * 400)}"] += 1
    return counted


def announced(server: Server, stack: ExitStack) -> Counter[str]:
    """A gigabyte is announced, and none of it, or some, or in chunks without an end, is sent."""
    counted = Counter[str]()
    for n in range(24):
        connection = stack.enter_context(connect(server, 30 + n % 4))
        head = (
            b"POST /api/v1/transactions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        )
        if n % 2:
            body = b"content-length: 1073741824\r\n\r\n" + b"[" * 100_000
        else:
            chunk = b"10000\r\n" + b"[" * 65_536 + b"\r\n"
            body = b"transfer-encoding: chunked\r\n\r\n" + chunk * 70  # beyond what any may have
        counted[f"announced {said(connection, head + body)}"] += 1
    return counted


def wrong_lengths(server: Server, stack: ExitStack) -> Counter[str]:
    counted = Counter[str]()
    for lines in (
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"content-length: -1\r\n",
        b"content-length: 0x10\r\n",
        b"content-length: " + b"9" * 5_000 + b"\r\n",
        b"transfer-encoding: chunked, identity\r\n",
    ):
        connection = stack.enter_context(connect(server, 40))
        head = (
            b"POST /api/v1/transactions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        )
        told = said(connection, head + lines + b"\r\n{}" + bytes(100))
        counted[f"length {told}"] += 1
    return counted


def slow(server: Server, stack: ExitStack) -> Counter[str]:
    """A header and a body that come byte by byte, for as long as all this lasts."""
    starts = (
        b"GET /api/v1/network HTTP/1.1\r\nhost: ",
        b"POST /api/v1/transactions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        b"content-length: 400000\r\n\r\n[",
    )
    for n in range(100):
        connection = stack.enter_context(connect(server, 50 + n % 4))
        connection.sendall(starts[n % 2])
        stack.callback(_one_byte, connection)
    return Counter({"slow": 100})


def _one_byte(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.sendall(b"x")


def test_honest_requests_are_served_beside_all_of_it(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, IDLE + 1_024)), hard))
    pids = [server.pid, *server.workers()]
    honest = Honest(server, network_of(server))
    with honest.working():
        time.sleep(1)
        before = {pid: rss(pid) for pid in pids}
        honest.seconds.clear()
        with ExitStack() as stack, ThreadPoolExecutor(5) as pool:
            ways = (idle, header_floods, announced, wrong_lengths, slow)
            found = [pool.submit(way, server, stack) for way in ways]
            counted = sum((each.result(60) for each in found), Counter[str]())
            time.sleep(2)
            grown = {pid: rss(pid) - before[pid] for pid in pids}
    assert server.workers() == pids[1:], "none of them has died"
    assert honest.failed == [] and len(honest.seconds) > 50
    assert honest.p99 < HONEST_P99_SECONDS, sorted(honest.seconds)[-5:]
    assert max(grown.values()) < GROWTH_BYTES_MAX, grown
    assert counted["idle"] == IDLE and counted["headers 431"] >= 55
    assert counted["announced 413"] >= 20, counted
    assert counted["length 400"] == 6, counted
    assert set(counted) <= {
        *("idle", "slow", "headers 431", "headers 0", "announced 413", "announced 0"),
        "length 400",
    }


def test_requests_that_were_caught_are_answered_once_in_whatever_order(server: Server) -> None:
    """Signed requests, each sent five times to whichever worker, all mixed up."""
    chance, key = Random(5), signer(f"{HOSPITAL}/key")
    url, sent = f"{server.url}/api/v1/head", list[tuple[int, dict[str, str]]]()
    for n in range(60):
        named: dict[str, Any] = {"created": now(), "expires": now() + 30}
        named["nonce"] = secrets.token_bytes(16)
        signed = sign_request("GET", url, {}, b"", key, **named)
        sent += [(n, signed)] * 5
    chance.shuffle(sent)

    def send(each: tuple[int, dict[str, str]]) -> tuple[int, int, str]:
        return (each[0], *problem_of(http.get(url, headers=each[1])))

    new = httpx2.Limits(max_keepalive_connections=0)  # so that either worker gets some
    with (
        httpx2.Client(trust_env=False, timeout=20, limits=new) as http,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(send, sent))
    once = Counter(n for n, status, _ in answers if status == 200)
    assert once == Counter(dict.fromkeys(range(60), 1))
    assert {(status, code) for _, status, code in answers} == {(200, ""), (401, "web.replayed")}


PATHS = (
    "//api/v1/head",
    "/api/v1//head",
    "/api/v1/head/",
    "/api/v1/./head",
    "/api/v1/x/../head",
    "/api/v1/%2e%2e/v1/head",
    "/api/v1/%68ead",
    "/api/v1/head%00",
    "/api/v1/head;a=b",
    "/api/v1/head%2f",
    "/API/v1/head",
    "/api/v1/rows/bills.bill/../../head",
    "/api/v1/rows/%2e%2e/%2e%2e/genesis.json",
    "/tile/../genesis.json",
    "/tile/%2e%2e/ledger.db",
    "/tile/0/000/../../../log.json",
    "/tile/entries/000",
    "/verify/../../genesis.json",
    "/genesis.json",
    "/ledger.db",
    "/hub.sock",
    "/web/nonces.db",
    "/" + "a" * 3_900,
    "/" + "%61" * 1_300,
    "/" + "../" * 300 + "etc/passwd",
)


@pytest.mark.parametrize("path", PATHS, ids=lambda each: each[:24])
def test_a_path_has_one_spelling_and_leads_to_no_file(server: Server, path: str) -> None:
    """Signed for just this path, by somebody who may read what it resembles."""
    named: dict[str, Any] = {"created": now(), "expires": now() + 30}
    named["nonce"] = secrets.token_bytes(16)
    key = signer("finance/key")
    signed = sign_request("GET", server.url + path, {}, b"", key, **named)
    for headers in (signed, {}):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.putrequest("GET", path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        own_head = path == "/api/v1/%68ead" and headers
        assert answer.status in ((200,) if own_head else (400, 401, 404, 414)), (
            path,
            answer.status,
        )
        assert b"Traceback" not in body and str(server.folder).encode() not in body


def test_what_was_done_to_it_is_over(server: Server) -> None:
    """The last: the server answers as ever, and says so."""
    with httpx2.Client(base_url=server.url, trust_env=False, timeout=20) as http:
        assert http.get("/api/v1/health").json()["state"] == "ok"
        assert http.get("/api/v1/head", auth=auth_of(OTHER)).status_code == 200
