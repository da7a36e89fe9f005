"""A real node behind HTTP, with no more of it than the client's own tests need, and hooks to lie.

`served` has the whole service, which cannot be made to lie.

Invariant: nothing here is a stand-in but the routes; answers come out of the node.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx2
import uvicorn
from province import CODE
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from world import NUMBERS, World, signer

from tallystick.client.history import History
from tallystick.client.submitting import Submitter
from tallystick.client.sync import Client
from tallystick.contracts.bills.records.bills import Bill
from tallystick.ledger.store import read_beside
from tallystick.node import Node, open_keeper
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Busy, Malformed, Rejected, TallystickError
from tallystick.protocol.trust import TrustPolicy
from tallystick.web.frames import tell


def problem(status: int, code: str, detail: str = "", retry_after: str = "") -> Response:
    return Response(
        encode({"code": code, "detail": detail, "status": status}),
        status,
        media_type="application/problem+json",
        headers={"Retry-After": retry_after} if retry_after else {},
    )


def refusal(error: TallystickError) -> Response:
    if isinstance(error, Rejected):
        return problem(422, error.reason.value, error.detail)
    if isinstance(error, Busy):
        return problem(503, "web.busy", retry_after="1")
    if isinstance(error, Malformed):
        return problem(400, "web.malformed", error.detail)
    return problem(422, "web.false", error.detail)


class Served:
    """Serves until the `with` ends. `before` may answer instead, `after` may change the answer."""

    def __init__(self, node: Node, port: int = 0) -> None:
        self.node = node
        self.before: Callable[[Request], Response | None] = lambda request: None
        self.after: Callable[[Request, Response], Response] = lambda request, response: response
        self.asked: list[str] = []
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self.port = self._socket.getsockname()[1]
        routes = [
            Route("/checkpoint", self._route(self._checkpoint)),
            Route("/tile/{rest:path}", self._route(self._tile)),
            Route("/api/v1/transactions", self._route(self._submit), methods=["POST"]),
            Route("/api/v1/transactions", self._route(self._find)),
            Route("/api/v1/transactions/at/{index:int}/receipt", self._route(self._receipt)),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve(sockets=[self._socket]))
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()

    def _route(self, run: Callable[[Request, bytes], Response]) -> Any:
        async def handle(request: Request) -> Response:
            body = await request.body()
            self.asked.append(f"{request.method} {request.url.path}")
            return await asyncio.to_thread(self._answer, run, request, body)

        return handle

    def _answer(
        self, run: Callable[[Request, bytes], Response], request: Request, body: bytes
    ) -> Response:
        instead = self.before(request)
        if instead is not None:
            return instead
        try:
            return self.after(request, run(request, body))
        except TallystickError as error:
            return refusal(error)

    def _checkpoint(self, request: Request, body: bytes) -> Response:
        note, _ = self.node.publisher.note_for(-1)
        return Response(note, media_type="text/plain")

    def _tile(self, request: Request, body: bytes) -> Response:
        name, _, width = request.path_params["rest"].partition(".p/")
        level, *digits = name.split("/")
        index = int("".join(each.removeprefix("x") for each in digits))
        wanted = int(width or 256)
        with read_beside(self.node.folder) as snapshot:
            return Response(snapshot.read(int(level), index, wanted)[: wanted * 32])

    def _submit(self, request: Request, body: bytes) -> Response:
        told = tell(self.node.submit(body).result(30))
        return Response(encode(told), media_type="application/json")

    def _find(self, request: Request, body: bytes) -> Response:
        return problem(404, "web.not_found")

    def _receipt(self, request: Request, body: bytes) -> Response:
        index = request.path_params["index"]
        try:
            note, _ = self.node.publisher.note_for(index)
        except LookupError:
            return problem(202, "web.not_yet")
        with self.node.view() as view:
            return Response(encode(view.batch_receipt(index, note)))


class Unsigned(httpx2.Auth):
    """These routes ask for no signature."""


class Net:
    """A prepared world whose node is served, and a client's folder beside it. Use as a context."""

    def __init__(self, folder: Path, *, known: Path | None = None) -> None:
        self.world = World(folder / "node")
        self.world.prepare()
        self.world.ledger.close()
        self.known = known or folder / "known"
        self._numbers = 0
        self._folder = folder

    def __enter__(self) -> Self:
        self.node = Node.open(self.world.folder, signer("log"), clock=self.world.clock())
        return self

    def __exit__(self, *_: object) -> None:
        self.node.close()

    def served(self, port: int = 0) -> Served:
        return Served(self.node, port)

    def policy(self, *required: str) -> TrustPolicy:
        return replace(self.world.policy(), threshold=len(required), required=list(required))

    def issue(self, count: int, key: str | None = None) -> bytes:
        """A transaction of as many bills."""
        items = [self.world.issue_item(self._numbers + n + 1) for n in range(count)]
        self._numbers += count
        return self.world.transaction("hospital", "bills.issue", *items, key=key)

    def issued(self) -> int:
        """How many bills there are."""
        with self.node.view() as view:
            return sum(1 for _ in view.scan_slots(Bill, CODE, 1, NUMBERS))

    @contextmanager
    def submitter(
        self, served: Served, *required: str, outbox: Path | None = None
    ) -> Iterator[Submitter]:
        with ExitStack() as stack:
            history = stack.enter_context(History(self.known, self.policy(*required)))
            client = stack.enter_context(Client(served.url, auth=Unsigned()))
            yield stack.enter_context(Submitter(client, history, outbox=outbox))

    @contextmanager
    def keeper(self) -> Iterator[None]:
        """Finance's keeper, which follows and signs."""
        done = threading.Event()
        with open_keeper(
            self._folder / "keeper",
            self.world.folder / "feed",
            signer("keeper"),
            clock=self.world.clock(),
        ) as keeper:

            def follow() -> None:
                while not done.wait(0.05):
                    with suppress(FileNotFoundError):
                        keeper.step()

            thread = threading.Thread(target=follow)
            thread.start()
            try:
                yield
            finally:
                done.set()
                thread.join()
