"""The application itself: entries found before the router, bodies within bounds, queries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from tallystick.protocol.canonical import Meta, Record, decode
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.web.app import Ahead, make_app
from tallystick.web.endpoint import JSON, Access, Ask, Endpoint, answer
from tallystick.web.problems import Problems
from tallystick.web.reasons import WebReason

BODY_BYTES_MAX = 10


class Numbers(Record):
    """A query."""

    wait: Annotated[int, Meta(ge=0, le=30)] = 0
    word: str = ""


async def said(ask: Ask) -> Response:
    return answer({"path": dict(ask.path), "wait": ask.query.wait, "body": len(ask.body)})


def _entry(method: str, path: str, **named: Any) -> Endpoint:
    return Endpoint(method, path, said, "said", Access.PUBLIC, query=Numbers, **named)


HOT, COLD, NUMBERED = "/hot", "/cold", "/bills/{code:int}/{number:int}/status"
ENDPOINTS = (
    _entry("GET", HOT),
    _entry("POST", HOT, body=JSON, body_bytes_max=BODY_BYTES_MAX),
    _entry("GET", COLD),
    _entry("GET", NUMBERED),
)


class Nobody:
    def authenticate(self, request: object, body: bytes) -> None:
        raise AssertionError("nothing here asks who asks")


class Said(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


def plain() -> Starlette:
    return make_app(Nobody(), ENDPOINTS, Problems(), version="1")


def ask(
    app: Any,
    path: str,
    method: str = "GET",
    query: bytes = b"",
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    parts: Sequence[bytes | None] = (b"",),
) -> Said:
    """One request without a server; a part that is None: the client has gone."""
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query, "headers": list(headers), "root_path": "", "scheme": "http",
    }  # fmt: skip
    left, sent = list(parts), list[Any]()

    async def receive() -> dict[str, Any]:
        part = left.pop(0)
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    if not sent:
        raise ClientDisconnect
    return Said(sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"])


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/hot", b""),
        ("GET", "/hot", b"wait=5"),
        ("HEAD", "/hot", b""),
        ("GET", "/cold", b"wait=5"),
        ("GET", "/bills/33060126/7/status", b"wait=30&word=%E5%A5%BD"),
        ("GET", "/bills/33060126/x/status", b""),
        ("GET", "/bills/33060126/7/status/", b""),
        ("PUT", "/hot", b""),
        ("DELETE", "/bills/33060126/7/status", b""),
        ("GET", "/hotter", b""),
    ],
)
def test_what_is_found_ahead_of_the_router_is_answered_as_by_it(
    method: str, path: str, query: bytes
) -> None:
    app = plain()
    ahead = Ahead(app, app.routes, (HOT, NUMBERED))
    assert ask(ahead, path, method, query) == ask(app, path, method, query)


def test_only_entries_can_be_found_ahead() -> None:
    app = plain()
    with pytest.raises(TypeError, match="openapi"):
        Ahead(app, app.routes, ("/api/v1/openapi.json",))
    with pytest.raises(KeyError):
        Ahead(app, app.routes, ("/nowhere",))


def test_a_body_is_read_in_parts_and_within_its_bound() -> None:
    app = plain()
    ahead = Ahead(app, app.routes, (HOT,))
    typed = [(b"content-type", b"application/json; charset=utf-8")]
    for parts in ([b"12345", b"", b"67890"], [bytes(BODY_BYTES_MAX)]):
        found = ask(ahead, HOT, "POST", headers=typed, parts=parts)
        assert decode(found.body, dict[str, Any])["body"] == BODY_BYTES_MAX
        assert found.headers[b"content-length"] == b"%d" % len(found.body)
        assert found.headers[b"content-type"] == b"application/json"
    for length, parts in ((b"11", [b""]), (b"", [b"123456", b"78901"])):
        with pytest.raises(Rejected) as refusal:
            ask(ahead, HOT, "POST", headers=[*typed, (b"content-length", length)], parts=parts)
        assert refusal.value.reason is WebReason.TOO_LARGE
    with pytest.raises(Rejected) as refusal:
        ask(ahead, HOT, "POST", headers=[(b"content-type", b"text/plain")])
    assert refusal.value.reason is WebReason.UNSUPPORTED_MEDIA
    with pytest.raises(ClientDisconnect):
        ask(ahead, HOT, "POST", headers=typed, parts=[b"123", None])


@pytest.mark.parametrize("query", [b"wait=31", b"wait=x", b"when=1", b"wait=1&wait=1", b"a=" * 40])
def test_a_query_that_is_not_of_the_record_is_refused_each_time(query: bytes) -> None:
    app = plain()
    ahead = Ahead(app, app.routes, (HOT,))
    for _ in range(2):
        with pytest.raises(Malformed) as refusal:
            ask(ahead, HOT, query=query)
        assert refusal.value.path.startswith("query")
    assert ask(app, HOT, query=query).status == 400
