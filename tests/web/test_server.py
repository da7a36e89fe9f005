"""Strangers at the door: every byte string ends in an answer, a problem or a closed connection."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from web_server import QUICK, App, WebServer, answer, drain, get, parsed, problem, until

from tallystick.protocol.errors import Damaged

HOST = b"Host: ledger.example\r\n"
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def served() -> Iterator[WebServer]:
    with WebServer(App()) as server:
        yield server


def test_an_answer_has_our_headers_and_not_the_servers_name(served: WebServer) -> None:
    status, headers, body = parsed(served.ask(get("/a%20b?x=1")))
    assert (status, body) == (200, b"GET /a b 0 127.0.0.1")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["date"].endswith(" GMT")
    assert "server" not in headers and "access-control-allow-origin" not in headers


def test_the_application_says_how_long_its_answer_may_be_kept(served: WebServer) -> None:
    assert parsed(served.ask(get("/cached")))[1]["cache-control"] == "max-age=60"


def test_a_connection_serves_one_request_after_the_other(served: WebServer) -> None:
    with served.connect() as connection:
        for number in range(5):
            connection.sendall(get(f"/{number}", end=False))
            status, headers, body = answer(connection)
            assert (status, body.split()[1]) == (200, f"/{number}".encode())
            assert "connection" not in headers


NOT_HTTP = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/3": b"GET / HTTP/3.0\r\n" + HOST + b"\r\n",
    "unknown method": b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n",
    "noise": bytes(range(256)),
    "absolute URI": b"GET http://ledger.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority": b"CONNECT ledger.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in the address": b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in disguise": b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "line end in disguise": b"GET /%0d%0aX:%20y HTTP/1.1\r\n" + HOST + b"\r\n",
    "no UTF-8": b"GET /%ff%fe HTTP/1.1\r\n" + HOST + b"\r\n",
    "no ASCII": b"GET /\xe7\xa5\xa8 HTTP/1.1\r\n" + HOST + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\n\n",
    "both lengths": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, turned": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "length twice": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "negative length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -3\r\n\r\n",
    "signed length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc",
    "length in hex": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\nabc",
    "gzip": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks in 1.0": b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no chunk size": CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n",
    "chunk too long": CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n",
    "trailer": CHUNKED + b"3\r\nabc\r\n0\r\nSignature: x\r\n\r\n",
    "more around chunks than in them": CHUNKED + b"1;" + b"e" * 150_000 + b"\r\na\r\n0\r\n\r\n",
    "chunks of a byte": CHUNKED + b"1\r\na\r\n" * 40_000 + b"0\r\n\r\n",
}


@pytest.mark.parametrize("what", NOT_HTTP)
def test_what_is_not_our_HTTP_is_told_so_and_closed(served: WebServer, what: str) -> None:
    before = len(served.app.calls)
    assert problem(served.ask(NOT_HTTP[what])) == (400, "web.malformed")
    assert len(served.app.calls) == before


TOO_MUCH = {
    "address": (414, "web.address_too_long", get("/" + "a" * QUICK.request_line_bytes)),
    "header": (431, "web.header_too_large", get("/", "X: " + "a" * QUICK.header_bytes)),
    "headers": (431, "web.header_too_large", get("/", *["X: y"] * QUICK.header_fields)),
    "half a header": (
        *(431, "web.header_too_large"),
        b"GET / HTTP/1.1\r\nX: " + b"a" * (QUICK.header_bytes + QUICK.request_line_bytes),
    ),
    "a gigabyte": (
        *(413, "web.too_large"),
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1073741824\r\n\r\n",
    ),
    "beyond all numbers": (
        *(413, "web.too_large"),
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 18446744073709551615\r\n\r\n",
    ),
    "chunks": (413, "web.too_large", CHUNKED + b"20000\r\n" + bytes(0x20000) + b"\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_is_too_large_is_refused_before_it_is_kept(served: WebServer, what: str) -> None:
    status, code, sent = TOO_MUCH[what]
    assert problem(served.ask(sent)) == (status, code)
    until(lambda: served.gate.bodies == 0)


def test_what_is_exactly_as_large_as_allowed_is_taken(served: WebServer) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n"
    body = bytes(QUICK.body_bytes)
    sized = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body
    for data in (sized, chunked + b"\r\n0\r\n\r\n"):
        assert parsed(served.ask(data))[2].split()[2] == b"100000"


def test_a_client_that_waits_to_be_told_is_told_at_once(served: WebServer) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: "
    with served.connect() as connection:
        connection.sendall(head + b"5\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        assert answer(connection)[2].startswith(b"POST / 5")
    assert problem(served.ask(head + b"1073741824\r\n\r\n")) == (413, "web.too_large")


def test_a_refused_client_that_goes_on_sending_can_still_read_why(served: WebServer) -> None:
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9000000\r\n\r\n")
        sent = 0
        while sent < 9_000_000:
            try:
                sent += connection.send(bytes(100_000))
            except (BrokenPipeError, ConnectionResetError):
                break
        assert problem(drain(connection)) == (413, "web.too_large")


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_of_two_requests_at_once_the_first_is_answered(served: WebServer, spread: float) -> None:
    """Pipelining is declined: the answer says that the connection ends, the rest is not read."""
    before = len(served.app.calls)
    with served.connect() as connection:
        connection.sendall(get("/first", end=False))
        time.sleep(spread)
        connection.sendall(get("/second", end=False) * 3)
        found = drain(connection)
    served_first = [call[1] for call in served.app.calls[before:]]
    assert served_first[0] == "/first" and parsed(found)[0] == 200
    assert found.count(b"HTTP/1.1") == len(served_first) <= 2


def test_what_comes_after_a_body_is_no_request(served: WebServer) -> None:
    before = len(served.app.calls)
    data = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc" + get("/smuggled")
    assert parsed(served.ask(data))[1]["connection"] == "close"
    assert [call[1:] for call in served.app.calls[before:]] == [("/", b"abc")]


def test_an_empty_line_after_a_body_is_forgiven(served: WebServer) -> None:
    with served.connect() as connection:
        for _ in range(3):
            connection.sendall(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc\r\n")
            assert answer(connection)[0] == 200


def test_an_offer_of_another_protocol_is_declined_and_its_request_answered(
    served: WebServer,
) -> None:
    """Java's client offers HTTP/2 with its first request, whatever its method."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    found = served.ask(b"GET /java HTTP/1.1\r\n" + HOST + offer + b"\r\n")
    assert parsed(found)[2].startswith(b"GET /java 0")
    with served.connect() as connection:
        head = b"POST /java HTTP/1.1\r\n" + HOST + offer + b"Content-Length: 10\r\n\r\n"
        for part in (head, b"hello", b"", b"world"):
            connection.sendall(part)
            time.sleep(0.01)
        assert parsed(drain(connection))[2].startswith(b"POST /java 10")
    assert served.app.calls[-1][2] == b"helloworld"


def test_http_1_0_is_answered_and_closed(served: WebServer) -> None:
    assert parsed(served.ask(b"GET /old HTTP/1.0\r\n\r\n"))[1]["connection"] == "close"


def test_head_has_no_body(served: WebServer) -> None:
    status, headers, body = parsed(served.ask(get("/x").replace(b"GET", b"HEAD")))
    assert (status, body) == (200, b"") and int(headers["content-length"]) > 0


# ------------------------------------------------------------------------------ what fails


def test_expected_failures_are_problems_and_the_connection_goes_on(served: WebServer) -> None:
    with served.connect() as connection:
        connection.sendall(get("/no", end=False))
        status, _, body = answer(connection)
        assert (status, json.loads(body)["path"]) == (403, "number")
        connection.sendall(get("/busy", end=False))
        status, headers, _ = answer(connection)
        assert (status, headers["retry-after"]) == (503, "3")


@pytest.mark.parametrize("path", ["/bug", "/damaged"])
def test_a_fault_says_its_number_and_nothing_else(served: WebServer, path: str) -> None:
    status, _, body = parsed(served.ask(get(path)))
    exchange, error = served.faults[-1]
    assert status == 500 and b"4711" not in body and b"secret" not in body
    assert json.loads(body)["instance"] == f"urn:tallystick:request:{exchange.request_id}"
    assert isinstance(error, KeyError if path == "/bug" else Damaged)


def test_an_answer_that_breaks_is_cut_off(served: WebServer) -> None:
    """So that half of it is never taken for the whole."""
    found = served.ask(get("/breaks"))
    assert b"GET /breaks" not in found and b"web.fault" not in found
    assert isinstance(served.faults[-1][1], ValueError)
