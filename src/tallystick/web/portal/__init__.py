"""The front page of a node: a stranger compares a bill; how the ledger is; where to go on.

Plain files, no dependency, no cookie. Invariant: the page loads nothing from elsewhere, and its
policy says so to the browser. See docs/spec/check.md.
"""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "public, max-age=300",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


def portal_routes() -> list[Route]:
    """The page and the three files that it needs."""
    here, verifier = files(__package__), files("tallystick.web.verifier")
    return [
        _file("/", (here / "index.html").read_bytes(), "text/html"),
        _file("/portal.mjs", (here / "portal.mjs").read_bytes(), "text/javascript"),
        _file("/portal.css", (here / "portal.css").read_bytes(), "text/css"),
        _file("/style.css", (verifier / "style.css").read_bytes(), "text/css"),
    ]


def _file(path: str, data: bytes, media: str) -> Route:
    async def serve(request: Request) -> Response:
        return Response(data, media_type=media, headers=HEADERS)

    return Route(path, serve, methods=["GET"])
