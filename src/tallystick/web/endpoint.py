"""One entry of the API: what is asked, by whom, and what is answered; routes and OpenAPI out of it.

Invariant: what the API document says of an entry is what is checked when it is asked.
See docs/spec/http.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from tallystick.protocol.canonical import Record, encode, parse

if TYPE_CHECKING:
    from starlette.requests import Request

    from tallystick.web.service import Service

BODY_BYTES_MAX = 64 * 1024
"""Of a body that is a record of the API, not a transaction or a delivery."""
JSON = "application/json"
BYTES = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"


class Access(Enum):
    """Who may ask."""

    PUBLIC = "anyone"
    OWN = "anyone: the body proves itself"
    SIGNED = "a member, a holder or a pass"


class NoQuery(Record):
    """An entry without a query."""


@dataclass(slots=True)
class Ask:
    """One request, its parts read and checked."""

    service: Service
    request: Request
    path: Mapping[str, Any]
    query: Any
    body: bytes
    record: Any
    """The body as the entry's record, or None."""
    caller: Any
    """A `web.callers.Caller`, or None where anyone may ask."""


Run = Callable[[Ask], "Response | Awaitable[Response]"]
"""A plain function runs in a thread, so that what takes long delays nobody; an async one does not
leave the loop and must be quick."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path and a method."""

    method: str
    path: str
    """As Starlette has it: ``/api/v1/rows/{kind}/{id}``."""
    run: Run
    summary: str
    access: Access = Access.SIGNED
    query: type[Record] = NoQuery
    body: type[Any] | str | None = None
    """A record, or the media type of raw bytes, or nothing."""
    read: Callable[[bytes, type[Any]], Any] = parse
    """How a record is read: any spelling of it, as nothing is signed that the server rewrites."""
    body_kind: type[Any] | None = None
    """Of raw JSON: what record it is, for the API document."""
    body_bytes_max: int = BODY_BYTES_MAX
    answer: type[Any] | str | None = None
    """A record, or the media type, or nothing (204); for the API document alone."""
    answers: Mapping[int, str] = field(default_factory=dict)
    """Further statuses, and what each means here."""
    tag: str = "ledger"

    @property
    def name(self) -> str:
        """Of the operation, in the API document and in metrics."""
        return f"{self.method.lower()}_{getattr(self.run, '__name__', 'run')}"


class Answer(Response):
    """Bytes and their type: what `Response` makes of them, without its detours."""

    def __init__(self, data: bytes, status: int, media: str, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.background = None
        self.body = data
        own = [(b"content-length", b"%d" % len(data)), (b"content-type", media.encode("latin-1"))]
        for name, text in headers.items():
            own.append((name.lower().encode("latin-1"), text.encode("latin-1")))
        self.raw_headers = own


def answer(
    value: object, *, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})
) -> Response:
    """A record or a plain value as its canonical JSON."""
    return Answer(encode(value), status, JSON, headers)


def raw(
    data: bytes, media: str = JSON, *, headers: Mapping[str, str] = MappingProxyType({})
) -> Response:
    """Bytes that are an answer already."""
    return Answer(data, 200, media, headers)


def nothing() -> Response:
    """Done, and there is no more to say."""
    return Response(status_code=204)
