"""The API as an ASGI application: each entry of the table read, judged, run, answered.

Invariant: nothing of a request is used before it was bounded and typed; whatever goes wrong is
answered as a problem with a stable code. See docs/spec/http.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Lifespan, Receive, Scope, Send

from tallystick.protocol.canonical import encode, from_texts
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.web.endpoint import JSON, Access, Ask, Endpoint, raw
from tallystick.web.exchange import exchange_of
from tallystick.web.gate import Fault
from tallystick.web.openapi import document
from tallystick.web.problems import Problems
from tallystick.web.reasons import WebReason
from tallystick.web.service import Authenticate

QUERY_MEMBERS_MAX = 32
DOCUMENT_PATH = "/api/v1/openapi.json"


class Doorkeeper(Protocol):
    """What stands behind the entries: a node's `Service`, or another program's own."""

    @property
    def authenticate(self) -> Authenticate:
        """Who asks."""


def make_app(
    service: Doorkeeper,
    endpoints: Sequence[Endpoint],
    problems: Problems,
    *,
    version: str,
    fault: Fault = lambda exchange, error: None,
    routes: Iterable[BaseRoute] = (),
    lifespan: Lifespan[Starlette] | None = None,
    described: tuple[str, bytes] | None = None,
) -> Starlette:
    """The application; `routes` are further ones, of pages, tiles and events.

    `described`: where the API document lies, and the document; by itself a node's.
    """
    path, api = described or (DOCUMENT_PATH, encode(document(endpoints, version)))

    async def openapi(request: Request) -> Response:
        return raw(api, headers={"Access-Control-Allow-Origin": "*"})

    by_path: dict[str, dict[str, Endpoint]] = {}
    for each in endpoints:
        by_path.setdefault(each.path, {})[each.method] = each
    entries: list[BaseRoute] = [
        Route(where, Entry(service, methods), methods=sorted(methods))
        for where, methods in by_path.items()
    ]
    entries.append(Route(path, openapi, methods=["GET"]))
    return Starlette(
        routes=[*entries, *routes], exception_handlers=problems.handlers(fault), lifespan=lifespan
    )


class Entry:
    """One path: its methods by name. An ASGI application of its own, so that it costs little."""

    def __init__(self, service: Doorkeeper, methods: Mapping[str, Endpoint]) -> None:
        self._service: Any = service
        self._methods = dict(methods)
        if "GET" in methods:
            self._methods.setdefault("HEAD", methods["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        endpoint = self._methods[scope["method"]]
        exchange_of(scope).route = endpoint.path
        try:
            response = await self._run(endpoint, request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _run(self, endpoint: Endpoint, request: Request) -> Response:
        body = await read_body(endpoint, request)
        caller = None
        if endpoint.access is Access.SIGNED:
            caller = self._service.authenticate(request, body)
            exchange_of(request.scope).caller = caller.name
        ask = Ask(
            service=self._service,
            request=request,
            path=request.path_params,
            query=read_query(endpoint, request),
            body=body,
            record=endpoint.read(body, endpoint.body) if isinstance(endpoint.body, type) else None,
            caller=caller,
        )
        if inspect.iscoroutinefunction(endpoint.run):
            done: Response = await endpoint.run(ask)
        else:
            run: Any = endpoint.run
            done = await to_thread.run_sync(run, ask)
        return done


async def read_body(endpoint: Endpoint, request: Request) -> bytes:
    """The whole body, bounded before and while it comes; empty where none is expected."""
    if endpoint.body is None:
        return b""
    limit = endpoint.body_bytes_max
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise Rejected(WebReason.TOO_LARGE, f"{declared} bytes, more than {limit}")
    media = endpoint.body if isinstance(endpoint.body, str) else JSON
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != media.partition(";")[0]:
        raise Rejected(WebReason.UNSUPPORTED_MEDIA, f"the body has to be {media}")
    parts, size = list[bytes](), 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Rejected(WebReason.TOO_LARGE, f"more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def read_query(endpoint: Endpoint, request: Request) -> Any:
    """The query as the entry's record; a name that is not known or comes twice is refused."""
    if not request.scope["query_string"]:
        return from_texts({}, endpoint.query)
    pairs = request.query_params.multi_items()
    values = dict(pairs)
    if len(values) != len(pairs) or len(pairs) > QUERY_MEMBERS_MAX:
        raise Malformed("a name stands twice in the query", path="query")
    try:
        return from_texts(values, endpoint.query)
    except Malformed as error:
        error.path = f"query/{error.path}".rstrip("/")
        raise
