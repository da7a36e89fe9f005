"""A gateway's HTTP: the entries, the page and the metrics, behind the server's own bounds.

Who asks is known by a token. A request has to name a host that this gateway is, so that a page in
somebody's browser that was made to resolve to this machine reads nothing.

Invariant: without a token only the page, health and metrics are answered, and those name nobody.
See docs/guides/gateway.md.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tallystick.apps.bills.gateway import page
from tallystick.apps.bills.gateway.api import BillsApi
from tallystick.apps.bills.gateway.claims_api import ClaimsApi
from tallystick.apps.bills.gateway.house import House
from tallystick.apps.bills.gateway.paper import PaperApi
from tallystick.apps.bills.gateway.reasons import GatewayReason
from tallystick.apps.bills.gateway.reconcile_api import ReconcileApi
from tallystick.apps.bills.gateway.tokens import Till
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Rejected
from tallystick.web.app import make_app
from tallystick.web.endpoint import Endpoint
from tallystick.web.exchange import exchange_of
from tallystick.web.limits import LIMITS
from tallystick.web.logs import Log
from tallystick.web.metrics import MEDIA, Counts, render
from tallystick.web.openapi import document
from tallystick.web.server import address_of, serve

DOCUMENT_PATH = "/v1/openapi.json"
RECONCILE_BYTES_MAX = 16 * 1024 * 1024
LIMITS_HERE = replace(
    LIMITS, connections=2_000, requests=1_024, connections_per_client=2_000,
    body_bytes=RECONCILE_BYTES_MAX, stop_seconds=5,
)  # fmt: skip
"""Of one house: its tills may all come through one proxy."""


def endpoints_of(house: House) -> list[Endpoint]:
    """All entries of a house."""
    found = BillsApi(house).endpoints() + PaperApi(house).endpoints()
    return found + ReconcileApi(house).endpoints() + ClaimsApi(house).endpoints()


def described(endpoints: Sequence[Endpoint]) -> bytes:
    """The API document; who asks is known by a token, and by nothing else."""
    made = document(endpoints, version("tallystick"))
    made["info"]["title"] = "Tallystick gateway"
    token = {"type": "http", "scheme": "bearer", "bearerFormat": "tally gateway token add"}
    made["components"]["securitySchemes"] = {"token": token}
    for path in made["paths"].values():
        for operation in path.values():
            operation["security"] = [{"token": []}] if operation["security"] else []
    return encode(made)


class Doors:
    """Who asks."""

    def __init__(self, house: House) -> None:
        self._house = house

    def authenticate(self, request: Request, body: bytes) -> Till:
        """The till whose token it is."""
        return self._house.tokens.find(request.headers.get("authorization", ""))


class Hosts:
    """In front of everything: refuses requests for other hosts."""

    def __init__(self, app: ASGIApp, house: House, names: Sequence[str]) -> None:
        self._app = app
        self._problems = house.problems
        self._names = {each.lower() for each in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            named = [value for name, value in scope["headers"] if name == b"host"]
            if len(named) != 1 or named[0].decode("latin-1").lower() not in self._names:
                refusal = self._problems.of(Rejected(GatewayReason.HOST))
                exchange_of(scope).reason = refusal.code
                response = Response(refusal.body, refusal.status, refusal.headers)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


class GatewayServer:
    """A house's server, for an event loop of its own."""

    def __init__(self, house: House, sock: socket.socket, log: Log | None = None) -> None:
        """`sock` is bound; `log`: where requests and faults are written."""
        self.house = house
        self.url = address_of(sock)
        self._sock = sock
        self._log = log
        self.counts = Counts()
        endpoints = endpoints_of(house)
        self.api = described(endpoints)
        app = make_app(
            Doors(house),
            endpoints,
            house.problems,
            version=version("tallystick"),
            routes=[
                Route("/", self._page, methods=["GET"]),
                Route("/metrics", self._metrics, methods=["GET"]),
            ],
            described=(DOCUMENT_PATH, self.api),
        )
        self.app = Hosts(app, house, self._names())

    async def run(
        self, stop: asyncio.Event | None = None, ready: Callable[[], None] = lambda: None
    ) -> None:
        """Answer until `stop` is set; without it, until SIGTERM or SIGINT."""
        named: dict[str, Any] = {}
        if self._log is not None:
            named["fault"] = self._log.fault
        await serve(
            self.app,
            sockets=[self._sock],
            limits=LIMITS_HERE,
            problems=self.house.problems,
            observe=self.counts.request,
            ready=lambda gate: ready(),
            stop=stop,
            **named,
        )

    def _names(self) -> list[str]:
        own = self.url.removeprefix("http://")
        port = own.rpartition(":")[2]
        here = [f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]")]
        return [own, *here, *self.house.config.listen.names]

    async def _page(self, request: Request) -> Response:
        exchange_of(request.scope).route = "/"
        language = page.language_of(
            request.query_params.get("lang", ""), request.headers.get("accept-language", "")
        )
        still = request.query_params.get("still") == "1"
        text = await asyncio.to_thread(page.render, self.house, language, still=still)
        return Response(text, headers=dict(page.HEADERS), media_type="text/html")

    async def _metrics(self, request: Request) -> Response:
        exchange_of(request.scope).route = "/metrics"
        health = await asyncio.to_thread(self.house.standing.health)
        own = render({"gateway": self.counts.snapshot()}) + _figures(health)
        return Response(own, headers={"content-type": MEDIA})


_HELP = {
    "waiting": "Refs whose bills have no end yet.",
    "refused": "Bills that the ledger refused after their number was told.",
    "queued": "Requests that wait for the office.",
    "flying": "Transactions that have no answer yet.",
    "stuck": "Transactions whose answer could not be believed.",
}


def _figures(health: dict[str, Any]) -> bytes:
    lines = []
    for name, text in _HELP.items():
        metric = f"tally_gateway_{name}"
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} gauge", f"{metric} {health[name]}"]
    lines += [
        "# HELP tally_gateway_ledger_up Whether the ledger answers.",
        "# TYPE tally_gateway_ledger_up gauge",
        f"tally_gateway_ledger_up {int(health['ledger'] == 'ok')}",
        "# HELP tally_gateway_trouble Whether issuing has stopped until somebody looks.",
        "# TYPE tally_gateway_trouble gauge",
        f"tally_gateway_trouble {int(health['state'] == 'trouble')}",
        "# HELP tally_gateway_reserve_numbers Numbers left of an offline reserve.",
        "# TYPE tally_gateway_reserve_numbers gauge",
    ]
    lines += [
        f'tally_gateway_reserve_numbers{{code="{code}"}} {left}'
        for code, left in health["reserves"].items()
    ]
    return ("\n".join(lines) + "\n").encode()
