"""What may be done with an address: `OPTIONS`, and with it what pages of other origins may do.

Pages of others may GET what is public, without credentials, and nothing else.

Invariant: asking changes nothing and calls no entry. See docs/spec/http.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from tallystick.web.exchange import exchange_of

ROUTE = "OPTIONS"
"""What stands in logs and metrics in place of a template."""
_READ = {"GET", "HEAD"}
_WHOLE_SERVER = {"GET", "HEAD", "POST", "DELETE"}
_PREFLIGHT_SECONDS = "86400"


class Options:
    """Around the application; everything but `OPTIONS` goes through."""

    def __init__(self, app: Starlette, public: Callable[[str], bool]) -> None:
        self._app = app
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "OPTIONS":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        methods = _WHOLE_SERVER if path == "*" else _methods(self._app.routes, scope)
        if not methods:
            await self._app(scope, receive, send)  # which says that there is no such thing
            return
        exchange_of(scope).route = ROUTE
        headers = {"allow": ", ".join(sorted(methods | {"OPTIONS"}))}
        if self._public(path) and methods & _READ:
            headers["access-control-allow-methods"] = ", ".join(sorted(methods & _READ))
            headers["access-control-max-age"] = _PREFLIGHT_SECONDS
        await Response(status_code=204, headers=headers)(scope, receive, send)


def _methods(routes: Iterable[BaseRoute], scope: Scope) -> set[str]:
    found: set[str] = set()
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.NONE:
            continue
        named: Any = getattr(route, "methods", None)
        inner = getattr(route, "routes", None)
        if named:
            found |= named
        elif inner:
            found |= _methods(inner, {**scope, **child})
        else:
            found |= _READ  # files of a folder
    return found
