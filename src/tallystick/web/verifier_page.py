"""``GET /verify``: the page that verifies in a browser, as `tally verifier-page` prints it.

Public, and the same for everybody. Who would rather not take it from the server that it is to check
takes it from elsewhere; it makes no request, so a saved copy does as well.

Invariant: the server's own headers forbid whatever the page's own policy forbids.
See docs/spec/verifier.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tallystick.contracts.kit.reasons import TEXTS as SHARED_TEXTS
from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.errors import Reason
from tallystick.web.verifier import bundle, security_policy

CACHE = "public, max-age=3600"


def verifier_page(texts: Mapping[Reason, ReasonText]) -> str:
    """The page, which explains the refusals that can stand in a log: shared ones, and `texts`."""
    known = dict(SHARED_TEXTS) | dict(texts)
    return bundle(
        {
            reason.value: (text.zh, text.todo_zh, text.en, text.todo_en)
            for reason, text in known.items()
        }
    )


def verifier_routes(texts: Mapping[Reason, ReasonText]) -> list[Route]:
    """The one route; `texts` are those of the domains that the ledger knows."""
    page = verifier_page(texts)
    data = page.encode()
    headers = {
        "Content-Security-Policy": security_policy(page),
        "Cache-Control": CACHE,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }

    async def verify(request: Request) -> Response:
        return Response(data, media_type="text/html", headers=headers)

    return [Route("/verify", verify, methods=["GET"])]
