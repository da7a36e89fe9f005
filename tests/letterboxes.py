"""A letterbox over a real socket, in a thread; it can be stopped and started again.

Invariant: what is stopped answers nobody, and begins again with what is on its disk.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any, Self

from tallystick.client.signing import SignedBy
from tallystick.client.sync import Client
from tallystick.protocol.canonical import replace
from tallystick.protocol.keys import Signer
from tallystick.vault.letterbox import TEXTS, LetterBox
from tallystick.vault.mail import FILE_BYTES_MAX
from tallystick.web.letters import STATUSES, letterbox_app, signer_by
from tallystick.web.problems import Problems
from tallystick.web.requests import RequestVerifier
from tallystick.web.server import LIMITS, listening, serve

LETTER_LIMITS = replace(LIMITS, body_bytes=FILE_BYTES_MAX, connections=200, stop_seconds=1)


@dataclass
class Served:
    """Use as a context; the address stays the same over a restart."""

    box: LetterBox
    now: int
    port: int = 0
    app: Any = None
    _stop: asyncio.Event | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    clients: list[Client] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for client in self.clients:
            client.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, signer: Signer | None = None) -> Client:
        auth = SignedBy(signer, lambda: self.now) if signer else None
        made = Client(self.url, auth=auth)
        self.clients.append(made)
        return made

    def start(self) -> None:
        bound = listening("127.0.0.1", self.port)
        self.port = bound.getsockname()[1]
        verifier = RequestVerifier([f"127.0.0.1:{self.port}"], lambda: self.now)
        app = self.app or letterbox_app(self.box, signer_by(verifier), version="test")
        ready = threading.Event()

        async def run() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await serve(
                app,
                sockets=[bound],
                limits=LETTER_LIMITS,
                problems=Problems(TEXTS, STATUSES),
                ready=lambda _: ready.set(),
                stop=self._stop,
            )

        self._thread = threading.Thread(target=asyncio.run, args=(run(),))
        self._thread.start()
        assert ready.wait(10)

    def stop(self) -> None:
        if self._thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._thread = None
