"""Strangers who are slow, or too many, or still there when it ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from web_server import QUICK, App, WebServer, answer, drain, get, parsed, problem, until

from tallystick.protocol.canonical import replace
from tallystick.web.server import address_of, listening, room_for

HOST = b"Host: ledger.example\r\n"
RATE = QUICK.pace_bytes_per_second


@pytest.fixture(scope="module")
def served() -> Iterator[WebServer]:
    with WebServer(App()) as server:
        yield server


# ------------------------------------------------------------------------------ slow ones


def test_whoever_says_nothing_is_closed_without_a_word(served: WebServer) -> None:
    assert served.ask(b"") == b""


def test_half_a_header_is_waited_for_only_so_long(served: WebServer) -> None:
    """A byte now and then does not help."""
    begun = time.monotonic()
    with served.connect() as connection:
        for byte in b"GET / HTTP/1.1\r\nX: " + b"a" * 200:
            connection.settimeout(0.02)
            try:
                connection.sendall(bytes([byte]))
                found = connection.recv(65_536)
                break
            except TimeoutError:
                continue
        else:
            pytest.fail("never told")
    assert problem(found) == (408, "web.timeout") and time.monotonic() - begun < 2


def test_an_idle_connection_is_closed(served: WebServer) -> None:
    with served.connect() as connection:
        connection.sendall(get("/", end=False))
        assert answer(connection)[0] == 200
        assert connection.recv(1) == b""


def test_a_body_that_does_not_get_on_is_given_up(served: WebServer) -> None:
    """Too slow for its pace, though it never pauses."""
    before = len(served.app.calls)
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 90000\r\n\r\n")
        connection.settimeout(0.03)
        found = b""
        for _ in range(200):
            try:
                connection.sendall(b"x" * (RATE // 100))
                found = connection.recv(65_536)
                break
            except TimeoutError:
                continue
    assert problem(found) == (408, "web.timeout")
    assert len(served.app.calls) == before and served.gate.bodies == 0


def test_a_body_that_is_slow_but_gets_on_is_taken(served: WebServer) -> None:
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n")
        for _ in range(20):
            connection.sendall(bytes(3_000))
            time.sleep(0.05)
        assert answer(connection)[2].startswith(b"POST / 60000")


def test_whoever_does_not_read_the_answer_is_cut_off(served: WebServer) -> None:
    with served.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(get("/large", end=False))
        connections = served.gate.connections
        until(lambda: len(connections) == 1)
        until(lambda: len(connections) == 0)
        assert len(drain(connection)) < 32 * 1024 * 1024


# ---------------------------------------------------------------------------- too many


def test_when_full_the_one_idle_longest_goes() -> None:
    limits = replace(QUICK, connections=4, header_seconds=30, idle_seconds=30)
    with WebServer(App(), limits) as server:
        opened = []
        for _ in range(4):
            opened.append(server.connect())
            until(lambda: len(server.gate.connections) == len(opened))
        opened[0].sendall(get("/used", end=False))
        assert answer(opened[0])[0] == 200
        with server.connect() as fifth:
            fifth.sendall(get("/fifth"))
            assert parsed(drain(fifth))[0] == 200
        assert opened[1].recv(1) == b""
        for kept in (0, 2, 3):
            opened[kept].sendall(get("/still"))
            assert parsed(drain(opened[kept]))[0] == 200
        for connection in opened:
            connection.close()


def test_when_all_are_at_work_a_newcomer_is_told_to_come_back() -> None:
    app = App()
    with WebServer(app, replace(QUICK, connections=2)) as server:
        busy = [server.connect() for _ in range(2)]
        for connection in busy:
            connection.sendall(get("/wait"))
        until(lambda: len(app.calls) == 2)
        found = server.ask(b"")
        assert problem(found) == (503, "web.busy") and b"retry-after: 1" in found
        app.go_on.set()
        assert [parsed(drain(connection))[0] for connection in busy] == [200, 200]
        for connection in busy:
            connection.close()


def test_one_client_takes_the_place_of_itself_alone() -> None:
    limits = replace(QUICK, connections_per_client=2, header_seconds=30)
    with WebServer(App(), limits) as server:
        first, second, third = (server.connect() for _ in range(3))
        assert first.recv(1) == b""
        for connection in (second, third):
            connection.sendall(get("/"))
            assert parsed(drain(connection))[0] == 200
        for connection in (first, second, third):
            connection.close()
    with WebServer(App(), limits, proxies=["127.0.0.0/8"]) as server:
        opened = [server.connect() for _ in range(5)]
        until(lambda: len(server.gate.connections) == 5)
        for connection in opened:
            connection.close()


def test_slow_bodies_give_way_to_requests() -> None:
    limits = replace(QUICK, requests=2, pace_seconds=30)
    with WebServer(App(), limits) as server:
        slow = [server.connect() for _ in range(2)]
        for connection in slow:
            before = server.gate.requests
            connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nx")
            until(lambda: server.gate.requests > before)  # noqa: B023
        assert parsed(server.ask(get("/quick")))[0] == 200
        assert problem(drain(slow[0])) == (408, "web.timeout")
        slow[1].sendall(b"12345678")
        assert answer(slow[1])[0] == 200
        for connection in slow:
            connection.close()
        until(lambda: server.gate.requests == 0)


def test_the_body_that_has_come_longest_gives_way_to_the_others() -> None:
    limits = replace(QUICK, bodies_bytes=150_000, pace_seconds=30)
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n"
    with WebServer(App(), limits) as server, server.connect() as hoarder:
        hoarder.sendall(head + bytes(90_000))
        until(lambda: server.gate.bodies == 90_000)
        with server.connect() as honest:
            honest.sendall(head + bytes(100_000))
            assert answer(honest)[0] == 200
        assert problem(drain(hoarder)) == (408, "web.timeout")
        until(lambda: server.gate.bodies == 0)


def test_what_a_trusted_proxy_says_of_its_client_is_believed() -> None:
    with WebServer(App(), proxies=["127.0.0.1/32", "10.0.0.0/8"]) as server:
        for said, found in [
            ("203.0.113.9", "203.0.113.9"),
            ("192.0.2.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
            ("garbage", ""),
        ]:
            body = parsed(server.ask(get("/", f"X-Forwarded-For: {said}")))[2].decode()
            assert body == f"GET / 0 {found}"
    with WebServer(App()) as server:
        unbelieved = parsed(server.ask(get("/", "X-Forwarded-For: 203.0.113.9")))[2]
        assert unbelieved.endswith(b" 127.0.0.1")


def test_pages_of_others_may_read_what_is_public() -> None:
    with WebServer(App(), public=lambda path: path == "/checkpoint") as server:
        assert parsed(server.ask(get("/checkpoint")))[1]["access-control-allow-origin"] == "*"
        assert "access-control-allow-origin" not in parsed(server.ask(get("/private")))[1]


# ------------------------------------------------------------------------------- the end


def test_a_stop_finishes_what_is_under_way_and_takes_nothing_new() -> None:
    app, told = App(), threading.Event()
    with WebServer(app, stopping=told.set) as server:
        idle, busy = server.connect(), server.connect()
        busy.sendall(get("/wait", end=False))
        until(lambda: len(app.calls) == 1)
        server.ask_to_stop()
        assert idle.recv(1) == b"" and told.wait(5)
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        app.go_on.set()
        status, headers, _ = parsed(drain(busy))
        assert (status, headers["connection"]) == (200, "close")
        server.stop()
        assert app.ended.is_set()
        idle.close()
        busy.close()


def test_a_stop_waits_only_so_long() -> None:
    app = App()
    limits = replace(QUICK, stop_seconds=0.2)
    with WebServer(app, limits) as server, server.connect() as connection:
        connection.sendall(get("/for-ever"))
        until(lambda: len(app.calls) == 1)
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 2
        assert drain(connection) == b""


def test_each_exchange_is_seen_once() -> None:
    app = App()
    with WebServer(app) as server:
        server.ask(get("/one"))
        server.ask(b"\x16\x03\x01\x02")
        with server.connect() as connection:
            connection.sendall(get("/wait"))
            until(lambda: len(app.calls) == 2)
        until(lambda: len(server.seen) == 3)
        app.go_on.set()
    found = [(each.method, each.status, each.reason) for each in server.seen]
    assert found == [("GET", 200, ""), ("", 400, "web.malformed"), ("GET", 499, "")]
    assert server.seen[0].bytes_out == len("GET /one 0 127.0.0.1")
    assert len({each.request_id for each in server.seen}) == 3


def test_room_for_connections_is_made_or_fewer_are_taken() -> None:
    assert room_for(1_000) == 1_000
    assert 1 <= room_for(10_000_000) <= 10_000_000


def test_the_address_of_what_is_served() -> None:
    with listening("127.0.0.1", 0) as bound:
        assert address_of(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}"
    with pytest.raises(OSError), listening("203.0.113.1", 0):
        pass
