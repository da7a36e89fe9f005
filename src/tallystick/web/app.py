"""The API as an ASGI application: each entry of the table read, judged, run, answered.

Invariant: nothing of a request is used before it was bounded and typed; whatever goes wrong is
answered as a problem with a stable code. See docs/spec/http.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from anyio import to_thread
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from tallystick.protocol.canonical import encode, from_texts
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.web.endpoint import JSON, Access, Ask, Endpoint, raw
from tallystick.web.exchange import exchange_of
from tallystick.web.gate import Fault
from tallystick.web.openapi import document
from tallystick.web.problems import Problems
from tallystick.web.reasons import WebReason

T = TypeVar("T")

QUERY_MEMBERS_MAX = 32
QUERY_BYTES_KEPT = 48
"""Of a query that is not read anew each time."""
DOCUMENT_PATH = "/api/v1/openapi.json"


class Doorkeeper(Protocol):
    """What stands behind the entries: a node's `Service`, or another program's own."""

    @property
    def authenticate(self) -> Callable[[Request, bytes], Any]:
        """Who asks, with a `name`; `Rejected` when nobody does."""


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
    app = Starlette(
        routes=[*entries, *routes], exception_handlers=problems.handlers(fault), lifespan=lifespan
    )
    app.router.redirect_slashes = False  # to wherever the Host header says; an entry has one path
    return app


class Entry:
    """One path: its methods by name. An ASGI application of its own, so that it costs little."""

    def __init__(self, service: Doorkeeper, methods: Mapping[str, Endpoint]) -> None:
        self._service: Any = service
        self._methods = dict(methods)
        if "GET" in methods:
            self._methods.setdefault("HEAD", methods["GET"])
        runs = [each.run for each in methods.values()]
        self._quick = {run for run in runs if inspect.iscoroutinefunction(run)}

    def knows(self, method: str) -> bool:
        """Whether there is such a method here."""
        return method in self._methods

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
        body = await read_body(endpoint, request.scope, request.receive)
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
        run: Any = endpoint.run
        if run in self._quick:
            done: Response = await run(ask)
        else:
            done = await to_thread.run_sync(run, ask)
        return done


class Ahead:
    """In front of the router: paths that are asked most, which it would take long to come to.

    What an entry raises here goes to the server's own boundary, which answers it as the router's.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute], paths: Collection[str]) -> None:
        """`paths` as the routes have them; each is one of `make_app`."""
        found = {each.path: each for each in routes if isinstance(each, Route)}
        self._app = app
        self._plain: dict[str, Entry] = {}
        self._patterns: list[tuple[Route, Entry]] = []
        for path in paths:
            route, entry = found[path], found[path].endpoint
            if not isinstance(entry, Entry):
                raise TypeError(f"{path} is not an entry")
            if route.param_convertors:
                self._patterns.append((route, entry))
            else:
                self._plain[path] = entry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            entry = self._plain.get(scope["path"]) or self._match(scope)
            if entry is not None and entry.knows(scope["method"]):
                await entry(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _match(self, scope: Scope) -> Entry | None:
        for route, entry in self._patterns:
            match = route.path_regex.match(scope["path"])
            if match is not None:
                convert = route.param_convertors
                named = match.groupdict().items()
                scope["path_params"] = {name: convert[name].convert(text) for name, text in named}
                return entry
        return None


async def read_body(endpoint: Endpoint, scope: Scope, receive: Receive) -> bytes:
    """The whole body, bounded before and while it comes; empty where none is expected."""
    if endpoint.body is None:
        return b""
    limit = endpoint.body_bytes_max
    declared, sent = _first(scope, b"content-length"), _first(scope, b"content-type")
    if declared.isdigit() and int(declared) > limit:
        raise Rejected(WebReason.TOO_LARGE, f"{int(declared)} bytes, more than {limit}")
    media = endpoint.body if isinstance(endpoint.body, str) else JSON
    if sent.partition(b";")[0].strip().lower() != media.partition(";")[0].encode():
        raise Rejected(WebReason.UNSUPPORTED_MEDIA, f"the body has to be {media}")
    parts, size, more = list[bytes](), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise Rejected(WebReason.TOO_LARGE, f"more than {limit} bytes")
        more = message.get("more_body", False)
    return b"".join(parts)


def _first(scope: Scope, name: bytes) -> bytes:
    """A header's first value, or nothing."""
    found: bytes = next((value for each, value in scope["headers"] if each == name), b"")
    return found


def read_query(endpoint: Endpoint, request: Request) -> Any:
    """The query as the entry's record; a name that is not known or comes twice is refused."""
    sent: bytes = request.scope["query_string"]
    if len(sent) <= QUERY_BYTES_KEPT:
        return _read_short(sent, endpoint.query)
    return _read_query(sent, endpoint.query)


def _read_query(sent: bytes, kind: type[T]) -> T:
    pairs = QueryParams(sent).multi_items()
    values = dict(pairs)
    if len(values) != len(pairs) or len(pairs) > QUERY_MEMBERS_MAX:
        raise Malformed("a name stands twice in the query", path="query")
    try:
        return from_texts(values, kind)
    except Malformed as error:
        error.path = f"query/{error.path}".rstrip("/")
        raise


@lru_cache(maxsize=1_024)
def _read_short(sent: bytes, kind: type[T]) -> T:
    """Queries that are short are few, and their records can be shared: nothing changes them."""
    return _read_query(sent, kind)
