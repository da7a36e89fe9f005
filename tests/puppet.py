"""A server that says what it is told to say, true or false, as a keeper or an operator would.

Invariant: it is the one stand-in among these: what no honest server would ever answer.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from world import World, signer

from tallystick.client.patience import Patience
from tallystick.client.signing import SignedBy
from tallystick.client.sync import Client
from tallystick.ledger.feed import FeedBlock, pack_frame, read_blocks, write_tiles
from tallystick.protocol.checkpoint import (
    Checkpoint,
    cosign,
    format_checkpoint,
    format_note,
    sign_note,
)
from tallystick.web.server import listening, serve


def note_of(checkpoint: Checkpoint, at: int, *keepers: tuple[str, str], log: str = "log") -> bytes:
    """A checkpoint as the operator signs it, with lines of (name, key's name)."""
    text = format_checkpoint(checkpoint)
    lines = [
        sign_note(text, checkpoint.origin, signer(log)),
        cosign(text, checkpoint.origin, signer(log), at),
    ]
    lines += [cosign(text, name, signer(key), at) for name, key in keepers]
    return format_note(text, lines).encode()


@dataclass
class Puppet:
    """Answers on a port of its own as long as it is open; what it answers may be changed."""

    folder: Path
    genesis: bytes = b""
    note: bytes = b""
    blocks: list[FeedBlock] = field(default_factory=list)
    answer_blocks: int = 1_000
    """How many blocks one answer has."""
    health: dict[str, object] = field(default_factory=dict)
    frames: bytes | None = None
    """In place of frames of `blocks`."""
    status: int = 200
    """Of blocks."""
    cosign_status: int = 200
    shy: bool = False
    """Show the checkpoint once, then none."""
    cosigned: list[bytes] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    port: int = 0

    def tell(self, world: World, *keepers: tuple[str, str], name: str = "") -> Self:
        """Say what this world is now, with these keepers' lines, as the keeper of a name."""
        self.genesis = world.genesis
        with world.ledger.store.snapshot() as snapshot:
            self.blocks = list(read_blocks(snapshot, 1))
            write_tiles(snapshot, self.folder)
        self.note = note_of(world.ledger.checkpoint, world.at, *keepers)
        self.health = {"name": name, "clock": world.at}
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: str = "keeper") -> Client:
        auth, patience = SignedBy(signer(key), lambda: 0), Patience(deadline_seconds=0.5)
        return Client(self.url, auth=auth, patience=patience)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sock = listening("127.0.0.1", self.port)
        self.port = self._sock.getsockname()[1]
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self, ready: threading.Event) -> None:
        async def run() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await serve(
                self._app(),
                sockets=[self._sock],
                ready=lambda gate: ready.set(),
                stop=self._stop,
            )

        asyncio.run(run())

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/v1/genesis", self._genesis),
                Route("/api/v1/health", self._health),
                Route("/checkpoint", self._checkpoint),
                Route("/tile/{path:path}", self._tile),
                Route("/api/v1/feed/blocks", self._feed),
                Route("/api/v1/cosignatures", self._cosign, methods=["POST"]),
            ]
        )

    async def _genesis(self, request: Request) -> Response:
        return Response(self.genesis)

    async def _health(self, request: Request) -> Response:
        return JSONResponse(self.health)

    async def _checkpoint(self, request: Request) -> Response:
        note, self.note = self.note, b"" if self.shy else self.note
        return Response(note, 200 if note else 404)

    async def _tile(self, request: Request) -> Response:
        path = self.folder / "tile" / request.path_params["path"]
        return Response(path.read_bytes()) if path.is_file() else Response(status_code=404)

    async def _feed(self, request: Request) -> Response:
        after, size = int(request.query_params["after"]), int(request.query_params["size"])
        self.asked.append((after, size))
        found = [each for each in self.blocks if each.block > after and each.size <= size]
        data = b"".join(pack_frame(each) for each in found[: self.answer_blocks])
        return Response(data if self.frames is None else self.frames, self.status)

    async def _cosign(self, request: Request) -> Response:
        if self.cosign_status == 200:
            self.cosigned.append(await request.body())
        return Response(b"{}", self.cosign_status)
