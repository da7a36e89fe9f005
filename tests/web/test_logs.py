"""A line of the log says what happened and nothing about whom: canaries are sent, none is found."""

from __future__ import annotations

import asyncio
import errno
import io
import json
from typing import Any

import pytest
from web_server import WebServer, get, until

from tallystick.protocol.errors import Malformed
from tallystick.web.exchange import Exchange, exchange_of
from tallystick.web.logs import Log, frames_of, network_of

CANARY = "33060125-0000004711"


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    await receive()
    exchange = exchange_of(scope)
    exchange.route, exchange.caller = "/api/v1/bills/{code}/{number}", "org-hospital"
    if "bug" in scope["path"]:
        secret = {"name": CANARY}
        raise ValueError(f"no such bill {CANARY} of {secret}")
    if "bad" in scope["path"]:
        raise Malformed(f"{CANARY} is no number", path="number")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": CANARY.encode()})


def test_canaries_in_every_part_of_a_request_stand_in_no_line() -> None:
    stream = io.StringIO()
    log = Log(lambda: 1_769_850_000, stream)
    with WebServer(app) as server:
        server.gate.observe, server.gate.fault = log.request, log.fault
        for path in ("ok", "bad", "bug"):
            body = f"name={CANARY}".encode()
            head = [
                f"POST /api/v1/{path}/{CANARY}?name={CANARY} HTTP/1.1".encode(),
                b"Host: a",
                f"X-Patient: {CANARY}".encode(),
                f"Authorization: Bearer {CANARY}".encode(),
                f"User-Agent: {CANARY}".encode(),
                f"Referer: https://a.example/{CANARY}".encode(),
                b"Connection: close",
                b"Content-Length: %d" % len(body),
            ]
            server.ask(b"\r\n".join([*head, b"", body]))
        server.ask(f"{CANARY} / HTTP/1.1\r\n\r\n".encode())
        server.ask(get(f"/%00{CANARY}"))
        until(lambda: len(stream.getvalue().splitlines()) == 6)
    assert CANARY not in stream.getvalue() and "4711" not in stream.getvalue()
    assert "127.0.0.1" not in stream.getvalue()
    found = lines(stream)
    assert [line["status"] for line in found if line["event"] == "request"] == [
        *(200, 400, 500, 400, 400)
    ]
    fault = next(line for line in found if line["event"] == "fault")
    assert fault["kind"] == ["ValueError"] and fault["at"][-1].endswith(" app")
    assert fault["id"] == found[3]["id"]


def test_a_line_says_what_an_operator_asks() -> None:
    stream = io.StringIO()
    exchange = Exchange(
        "ab-1",
        "GET",
        "203.0.113.77",
        "/api/v1/head",
        "org-insurer",
        "web.busy",
        503,
        0,
        9,
        seconds=0.0127,
    )
    Log(lambda: 1_769_850_000, stream).request(exchange)
    assert lines(stream) == [
        {
            "time": "2026-01-31T09:00:00Z", "event": "request", "id": "ab-1", "method": "GET",
            "route": "/api/v1/head", "status": 503, "ms": 13, "in": 0, "out": 9,
            "net": "203.0.113.0/24", "caller": "org-insurer", "reason": "web.busy",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("", ""),
        ("unix", ""),
    ],
)
def test_of_an_address_the_network_is_left(address: str, network: str) -> None:
    assert network_of(address) == network


def test_lines_are_held_for_a_moment_and_faults_are_not() -> None:
    stream = io.StringIO()

    async def run() -> None:
        log = Log(lambda: 0, stream)
        log.request(Exchange("a-1", "GET"))
        assert stream.getvalue() == ""
        log.event("started", workers=2)
        assert [line["event"] for line in lines(stream)] == ["request", "started"]
        log.request(Exchange("a-2", "GET"))
        log.flush()
        assert len(lines(stream)) == 3

    asyncio.run(run())


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    log = Log(lambda: 0, Full())
    log.request(Exchange("a-1", "GET"))
    log.event("started")
    assert log.lost == 2


def test_frames_name_no_folder_of_this_machine() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        assert frames_of(error)[-1].startswith("tests/web/test_logs.py:")
