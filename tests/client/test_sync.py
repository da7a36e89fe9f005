"""Both clients, call for call: what they send again, what they refuse to read, what they say."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tallystick.client import wire
from tallystick.client.aio import AsyncClient
from tallystick.client.failures import (
    Away,
    Missing,
    NotYet,
    ServerFailed,
    Unanswered,
    WrongAnswer,
)
from tallystick.client.patience import Patience
from tallystick.client.sync import Client
from tallystick.client.transport import Trusted
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Busy, Malformed, Rejected, VerificationFailed

QUICK = Patience(connect_seconds=1, answer_seconds=1, deadline_seconds=2)
Run = Callable[[str, wire.Call[Any]], Any]


def run_sync(url: str, call: wire.Call[Any]) -> Any:
    with Client(url, patience=QUICK) as client:
        return client.run(call)


def run_async(url: str, call: wire.Call[Any]) -> Any:
    async def run() -> Any:
        async with AsyncClient(url, patience=QUICK) as client:
            return await client.run(call)

    return asyncio.run(run())


@pytest.fixture(params=[run_sync, run_async], ids=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.param
    return found


@contextmanager
def answering(*answers: bytes, drip: bytes = b"") -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives these bytes, one answer a connection; then drips, or closes."""
    asked: list[bytes] = []
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)

        def serve() -> None:
            remaining = list(answers)
            while not done.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                with connection:
                    asked.append(connection.recv(65536))
                    try:
                        connection.sendall(remaining.pop(0) if remaining else b"")
                        while drip and not done.wait(0.05):
                            connection.sendall(drip)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        finally:
            done.set()
            thread.join()


def answer(status: int, body: bytes = b"", *headers: str, kind: str = "text/plain") -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", f"content-type: {kind}"]
    return "\r\n".join([*lines, "connection: close", *headers, "", ""]).encode() + body


def problem(status: int, code: str, *headers: str, **more: Any) -> bytes:
    body = encode({"code": code, "status": status, "detail": "so it is", **more})
    return answer(status, body, *headers, kind="application/problem+json; charset=utf-8")


def test_an_answer_is_read(run: Run) -> None:
    with answering(answer(200, b"a note")) as (url, asked):
        assert run(url, wire.checkpoint()) == b"a note"
    assert asked[0].startswith(b"GET /checkpoint HTTP/1.1\r\n")
    assert b"accept-encoding: identity" in asked[0].lower()


def test_a_busy_server_and_a_lost_connection_are_asked_again(run: Run) -> None:
    answers = [problem(503, "web.busy", "retry-after: 0"), b"", answer(200, b"a note")]
    with answering(*answers) as (url, asked):
        assert run(url, wire.checkpoint()) == b"a note"
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (problem(400, "web.malformed", path="items/0"), Malformed),
        (problem(422, "web.false"), VerificationFailed),
        (problem(422, "bills.a_reason_of_tomorrow", new_member={"a": 1}), Rejected),
        (problem(404, "web.not_found"), Missing),
        (problem(500, "web.fault"), ServerFailed),
        (problem(503, "web.stopped"), ServerFailed),
        (problem(503, "web.busy", "retry-after: 60"), Busy),
        (problem(202, "web.not_yet", "retry-after: 60"), NotYet),
        (answer(307, b"", "location: http://127.0.0.1:9/"), WrongAnswer),
        (answer(200, bytes(1024 * 1024)), WrongAnswer),
        (answer(200, gzip.compress(bytes(1000)), "content-encoding: gzip"), WrongAnswer),
        (answer(403, b"<html>no entry"), Rejected),
    ],
)
def test_a_failure_comes_as_what_it_is_and_is_not_asked_again(
    run: Run, said: bytes, kind: type[Exception]
) -> None:
    with answering(said) as (url, asked):
        with pytest.raises(kind) as raised:
            run(url, wire.checkpoint())
        assert type(raised.value) is kind
        assert len(asked) == 1


def test_a_reason_keeps_its_word(run: Run) -> None:
    said = problem(409, "bills.a_reason_of_tomorrow", path="number")
    with answering(said) as (url, _), pytest.raises(Rejected) as raised:
        run(url, wire.submit(b"{}"))
    assert raised.value.reason == raised.value.reason.value == "bills.a_reason_of_tomorrow"
    assert (raised.value.path, raised.value.detail) == ("number", "so it is")


def test_an_endless_slow_answer_ends(run: Run) -> None:
    head = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n"
    with answering(head, drip=b"1\r\nx\r\n") as (url, _), pytest.raises(Unanswered) as raised:
        run(url, wire.checkpoint())
    assert "too slowly" in str(raised.value) and "nothing was changed" in str(raised.value)


def test_who_gets_no_answer_is_told_what_to_do(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Unanswered, match="may have been entered: keep its bytes and send the same"):
        run(url, wire.submit(b"{}"))


def test_an_answer_that_is_none_of_ours_is_said_to_be_so(run: Run) -> None:
    said = answer(200, b'{"tx_id":"x"}')
    with answering(said) as (url, _), pytest.raises(WrongAnswer, match="/api/v1/transactions"):
        run(url, wire.submit(b"{}"))


@pytest.mark.parametrize(
    "url",
    ["ftp://ledger.example", "http://ledger.example", "https://u:p@ledger.example", "https://"],
)
def test_who_could_read_along_is_not_spoken_to(url: str) -> None:
    with pytest.raises(ValueError, match=r"no address|without TLS"):
        Client(url)


def test_another_machine_without_tls_needs_a_word() -> None:
    Client(Trusted("http://ledger.example", insecure=True)).close()


def test_what_must_be_signed_needs_a_key(run: Run) -> None:
    with pytest.raises(ValueError, match="give the client a key"):
        run("http://127.0.0.1:9", wire.receipt(1))


def test_a_certificate_of_nobody_we_know_is_refused(run: Run) -> None:
    """TLS is verified unless a file of authorities says otherwise: here the server speaks none."""
    with answering(b"no TLS here") as (url, _), pytest.raises(Unanswered):
        run(url.replace("http:", "https:"), wire.checkpoint())


def test_nothing_is_asked_once_the_guard_has_raised() -> None:
    def guard() -> None:
        raise Away("stopped by hand")

    with answering() as (url, asked), Client(url, guard=guard) as client, pytest.raises(Away):
        client.run(wire.checkpoint())
    assert asked == []
