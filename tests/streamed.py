"""A worker's events and hooks over real sockets, beside a ledger that a test writes.

Who asks is taken from a header: that requests are signed is tested elsewhere.

Invariant: all but the front door is what a worker runs.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx2
import uvicorn
from followed import DOMAINS, Followed
from starlette.requests import Request

from tallystick.ledger.beside import ReadLedger
from tallystick.ledger.events import EventSource
from tallystick.protocol.errors import Rejected
from tallystick.web.app import make_app
from tallystick.web.callers import Caller
from tallystick.web.endpoint import Endpoint
from tallystick.web.hook_store import HookStore
from tallystick.web.hooks import open_key
from tallystick.web.hooks_api import HooksApi
from tallystick.web.link import Link
from tallystick.web.outward import OutwardRules
from tallystick.web.problems import Problems
from tallystick.web.reasons import WebReason
from tallystick.web.service import Service
from tallystick.web.sse import StreamLimits, Streams
from tallystick.web.viewers import follower, hook_owner

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Without the system's authorities, which take longer to read than a test needs otherwise."""
HERE = OutwardRules(allow_http=True, allow_private=True)
"""What a test allows: its receivers are on this machine."""


def by_header(request: Request, body: bytes) -> Caller:
    org = request.headers.get("x-org")
    if org is None:
        raise Rejected(WebReason.UNSIGNED)
    key, pass_id = (bytes.fromhex(request.headers.get(name, "")) for name in ("x-key", "x-pass"))
    return Caller("member", org, key, pass_id)


class Running:
    """An ASGI application under uvicorn in a thread; on the same port after a restart."""

    def __init__(self, app: object, port: int = 0) -> None:
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]  # any ASGI application
            port=port,
            lifespan="off",
            log_level="error",
            access_log=False,
            timeout_graceful_shutdown=2,
            ws="none",
            interface="asgi3",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "uvicorn did not start"
        self.sockets = self._server.servers[0].sockets
        self.port: int = self.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


class Worker:
    """Serves the events and hooks of a world."""

    def __init__(
        self,
        world: Followed,
        folder: Path,
        *,
        limits: StreamLimits | None = None,
        rules: OutwardRules = HERE,
        port: int = 0,
    ) -> None:
        self.ledger = ReadLedger(world.folder, world.rules)
        self.source = EventSource(
            self.ledger.view,
            DOMAINS,
            published=lambda: world.published,
            clock=lambda: world.at,
        )
        self.streams = Streams(self.source, follower, limits)
        self.store = HookStore(folder)
        key = open_key(folder)
        self.hooks = HooksApi(
            self.store,
            self.source,
            hook_owner,
            key=key.public_key,
            rules=rules,
            clock=lambda: world.at,
        )
        self.key = key
        table: Sequence[Endpoint] = [self.streams.endpoint(), *self.hooks.endpoints()]
        service = Service(
            ledger=self.ledger,
            link=Link(self.ledger, None, {}),
            clock=lambda: world.at,
            authenticate=by_header,
            readers=None,  # type: ignore[arg-type]  # events and hooks ask none
        )
        self.app = make_app(service, table, Problems(), version="0")
        self._loop: asyncio.AbstractEventLoop | None = None
        self.running = Running(self._noting_the_loop, port)

    async def _noting_the_loop(self, scope: object, receive: object, send: object) -> None:
        self._loop = asyncio.get_running_loop()
        await self.app(scope, receive, send)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        return self.running.url

    def client(self, org: str, key: bytes = b"") -> httpx2.Client:
        headers = {"x-org": org} | ({"x-key": key.hex()} if key else {})
        return httpx2.Client(
            base_url=self.url, headers=headers, trust_env=False, timeout=10, verify=NO_TLS
        )

    def wake(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.streams.wake)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.streams.close)
        self.running.stop()
        self.store.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
