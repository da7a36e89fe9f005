"""Every failure as an HTTP answer: status, headers and a problem document (RFC 9457).

    Malformed               400 web.malformed     Busy       503 web.busy, Retry-After
    VerificationFailed      422 web.false         Stopped    503 web.stopped
    Rejected                its own code; 422 unless this table says 401, 403, 404, 409, ...
    whatever else           500 web.fault         Damaged    500 web.damaged

Invariant: an answer says nothing of this machine: no path, no traceback, no text of an exception
that is not an expected failure. See docs/spec/errors.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tallystick.contracts.kit.reasons import TEXTS as SHARED_TEXTS
from tallystick.contracts.kit.reasons import KitReason, LedgerReason, ReasonText
from tallystick.ledger.engine import Stopped
from tallystick.protocol.canonical import Record, encode, replace
from tallystick.protocol.errors import (
    Busy,
    Damaged,
    Malformed,
    Reason,
    Rejected,
    TallystickError,
    VerificationFailed,
)
from tallystick.web.exchange import Exchange, exchange_of
from tallystick.web.reasons import TEXTS, WebReason

MEDIA = "application/problem+json"
TYPE = "urn:tallystick:reason:"
INSTANCE = "urn:tallystick:request:"
RETRY_SECONDS = 1
"""What is said when nobody knows better."""

STATUSES: dict[Reason, int] = {
    WebReason.UNSIGNED: 401,
    WebReason.SIGNATURE: 401,
    WebReason.UNCOVERED: 401,
    WebReason.AUTHORITY: 401,
    WebReason.CLOCK: 401,
    WebReason.DIGEST: 401,
    WebReason.REPLAYED: 401,
    WebReason.CROWDED: 429,
    WebReason.TOO_MANY: 409,
    WebReason.KEY: 401,
    WebReason.PASS: 401,
    WebReason.PASS_ENDED: 401,
    WebReason.OPENING: 403,
    WebReason.FORBIDDEN: 403,
    WebReason.MALFORMED: 400,
    WebReason.NOT_FOUND: 404,
    WebReason.METHOD: 405,
    WebReason.TOO_LARGE: 413,
    WebReason.HEADER_TOO_LARGE: 431,
    WebReason.UNSUPPORTED_MEDIA: 415,
    WebReason.NOT_ACCEPTABLE: 406,
    WebReason.TIMEOUT: 408,
    WebReason.BUSY: 503,
    WebReason.NOT_YET: 202,
    WebReason.READ_ONLY: 403,
    WebReason.STOPPED: 503,
    WebReason.FALSE: 422,
    WebReason.ADDRESS_TOO_LONG: 414,
    WebReason.FAULT: 500,
    WebReason.DAMAGED: 500,
    LedgerReason.KEY_UNKNOWN: 403,
    LedgerReason.KEY_NOT_SENDERS: 403,
    LedgerReason.KEY_ENDED: 403,
    LedgerReason.KEY_ACTION: 403,
    LedgerReason.IDEMPOTENCY_CONFLICT: 409,
    KitReason.SUSPENDED: 403,
    KitReason.NO_GRANT: 403,
    KitReason.KEY_SCOPE: 403,
    KitReason.VERSION_CONFLICT: 409,
    KitReason.ACT_REPLAYED: 409,
}
"""Each reason of the web, and those of every domain that are about authority or a conflict."""
REFUSED = 422
CONFLICT = 409
_CONFLICTS = ("_duplicate", "_taken", "_conflict", "_used")
"""How codes end, in any domain, that say: it is so already."""
_RETRIED = {429, 503}

_PLAIN: dict[type[TallystickError], WebReason] = {
    Malformed: WebReason.MALFORMED,
    VerificationFailed: WebReason.FALSE,
}
"""What whoever asked can mend; the detail is about what was sent."""
_OURS: dict[type[TallystickError], WebReason] = {
    Stopped: WebReason.STOPPED,
    Damaged: WebReason.DAMAGED,
}
"""What the operator must mend; the detail is for the log."""

_BY_STATUS = {
    400: WebReason.MALFORMED,
    401: WebReason.UNSIGNED,
    403: WebReason.FORBIDDEN,
    404: WebReason.NOT_FOUND,
    405: WebReason.METHOD,
    406: WebReason.NOT_ACCEPTABLE,
    413: WebReason.TOO_LARGE,
    415: WebReason.UNSUPPORTED_MEDIA,
    429: WebReason.CROWDED,
    500: WebReason.FAULT,
    503: WebReason.BUSY,
}
"""What Starlette means by a status."""


class Problem(Record):
    """What is wrong, for programs (`code`, `path`) and for people."""

    type: str
    title: str
    title_zh: str
    status: int
    code: str
    path: str = ""
    """The field at fault."""
    detail: str = ""
    todo: str = ""
    todo_zh: str = ""
    instance: str = ""
    """Of a fault: the request, under the number that stands in the log."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says no."""

    code: str
    status: int
    body: bytes
    headers: dict[str, str]


def explained(
    reason: Reason, text: ReasonText | None, status: int, *, path: str = "", detail: str = ""
) -> Problem:
    """A reason as a document."""
    code = reason.value
    zh, en, todo_zh, todo_en = text or (code, code, "", "")
    return Problem(
        type=TYPE + code,
        title=en,
        title_zh=zh,
        status=status,
        code=code,
        path=path,
        detail="" if detail == code else detail,
        todo=todo_en,
        todo_zh=todo_zh,
    )


@dataclass(frozen=True, slots=True)
class Problems:
    """Knows the words and the statuses of every domain that is served."""

    texts: Mapping[Reason, ReasonText] = field(default_factory=dict)
    """Of the domains; those of the web, the kit and the ledger are known."""
    statuses: Mapping[Reason, int] = field(default_factory=dict)
    """Where a domain knows better than 422."""

    def status_of(self, reason: Reason) -> int:
        """Which HTTP status goes with a reason."""
        found = self.statuses.get(reason) or STATUSES.get(reason)
        if found:
            return found
        return CONFLICT if reason.value.endswith(_CONFLICTS) else REFUSED

    def of(self, error: Exception, request_id: str = "") -> Refusal:
        """What to answer when `error` was raised while request `request_id` was under way."""
        if isinstance(error, Rejected):
            return self.say(error.reason, path=error.path, detail=error.detail)
        if isinstance(error, Busy):
            return self.say(WebReason.BUSY, retry=error.retry_after_seconds)
        if isinstance(error, HTTPException):
            return self._of_starlette(error)
        for kind, reason in _PLAIN.items():
            if isinstance(error, kind):
                return self.say(reason, path=error.path, detail=error.detail)
        for kind, reason in _OURS.items():
            if isinstance(error, kind):
                return self.say(reason, request_id=request_id)
        return self.say(WebReason.FAULT, request_id=request_id)

    def say(
        self,
        reason: Reason,
        *,
        path: str = "",
        detail: str = "",
        retry: float = RETRY_SECONDS,
        request_id: str = "",
        status: int = 0,
    ) -> Refusal:
        """A reason as an answer."""
        status = status or self.status_of(reason)
        text = TEXTS.get(reason) or SHARED_TEXTS.get(reason) or self.texts.get(reason)
        found = explained(reason, text, status, path=path, detail=detail)
        if request_id:
            found = replace(found, instance=INSTANCE + request_id)
        headers = {"content-type": MEDIA}
        if status in _RETRIED or reason is WebReason.NOT_YET:
            headers["retry-after"] = str(max(1, math.ceil(retry)))
        if status == 401:
            headers["www-authenticate"] = "Signature, Bearer"
        return Refusal(found.code, status, encode(found), headers)

    def _of_starlette(self, error: HTTPException) -> Refusal:
        reason = _BY_STATUS.get(error.status_code, WebReason.MALFORMED)
        found = self.say(reason, status=error.status_code)
        for name, value in (error.headers or {}).items():
            found.headers[name.lower()] = value
        if "allow" in found.headers:  # Starlette has them in no order
            found.headers["allow"] = ", ".join(sorted(found.headers["allow"].split(", ")))
        return found

    def handlers(
        self, fault: Callable[[Exchange, BaseException], None] = lambda exchange, error: None
    ) -> dict[Any, Callable[[Request, Exception], Any]]:
        """For `Starlette(exception_handlers=...)`: whatever is raised is answered by `of`.

        The server has the same boundary around the whole application, and tells of bugs there;
        `fault` is told of a file of ours that is damaged.
        """

        async def handle(request: Request, error: Exception) -> Response:
            exchange = exchange_of(request.scope)
            refusal = self.of(error, exchange.request_id)
            exchange.reason = refusal.code
            if isinstance(error, Damaged):
                fault(exchange, error)
            return Response(refusal.body, refusal.status, refusal.headers)

        return {TallystickError: handle, HTTPException: handle, Exception: handle}
