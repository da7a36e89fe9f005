"""A process that answers requests: the ledger read beside its writer, and the hub for the rest.

Invariant: it ends when the node ends: what it cannot hand over it does not take.
See docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import uvloop

from tallystick.apps.bills import api as bills_api
from tallystick.apps.bills.access import holder_of
from tallystick.apps.bills.readers import BillReaders
from tallystick.contracts.kit.reasons import KitReason, LedgerReason
from tallystick.engines.clock import Clock
from tallystick.engines.process import tune
from tallystick.ledger.beside import ReadLedger
from tallystick.ledger.rules import Rules
from tallystick.node import rules
from tallystick.protocol.canonical import Record, decode
from tallystick.protocol.errors import Reason
from tallystick.protocol.tiles import TileId
from tallystick.protocol.trust import read_trust
from tallystick.web import ledger_api
from tallystick.web.access import AccessLog
from tallystick.web.app import make_app
from tallystick.web.callers import Door
from tallystick.web.endpoint import Endpoint
from tallystick.web.frames import SOCKET
from tallystick.web.link import Link
from tallystick.web.nonces import NonceStore
from tallystick.web.problems import Problems
from tallystick.web.reasons import WebReason
from tallystick.web.requests import RequestVerifier
from tallystick.web.revoked import Revoked
from tallystick.web.server import serve
from tallystick.web.service import Service
from tallystick.web.tiles import is_there, tile_routes

WEB = "web"
"""The folder below the ledger's where workers keep what they share: nonces, the log of reads."""


class Settings(Record):
    """What a worker is told when it is started."""

    authorities: list[str]
    """``host:port`` as clients write it, the public one first: what requests are signed for."""
    policy: str | None = None
    """File of the trust policy that a note must meet; None: any note of the log's own key."""
    read_only: str | None = None
    """Of a keeper: the address where transactions are taken."""


def clock() -> int:
    """Unix seconds."""
    return Clock().now()


ENDPOINTS: Sequence[Endpoint] = (*ledger_api.ENDPOINTS, *bills_api.ENDPOINTS)


def reasons_of(rules: Rules) -> dict[str, Reason]:
    """Every reason of this build by its code."""
    kinds: list[type[Reason]] = [LedgerReason, KitReason, WebReason]
    kinds += [domain.reasons for domain in rules.domains]
    return {reason.value: reason for kind in kinds for reason in kind}


class Worker:
    """One process's parts, put together; for its event loop."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        known = rules()
        self.folder = folder
        self.ledger = ReadLedger(folder, known)
        policy = None if settings.policy is None else read_trust(Path(settings.policy).read_bytes())
        self.link = Link(self.ledger, policy, reasons_of(known))
        texts = {reason: text for domain in known.domains for reason, text in domain.texts.items()}
        self.problems = Problems(texts)
        state = folder / WEB
        self.log = AccessLog(state / "reads.db", clock)
        self.door = Door(
            self.ledger.view,
            self.ledger.network,
            verifier=RequestVerifier(settings.authorities, clock),
            nonces=NonceStore(state / "nonces.db", clock),
            revoked=Revoked(state / "revoked.db"),
            clock=clock,
            strangers=holder_of,
        )
        self.service = Service(
            ledger=self.ledger,
            link=self.link,
            clock=clock,
            authenticate=self.door.authenticate,
            readers=BillReaders(clock, self.log.note),
            policy=policy,
            texts=texts,
            read_only=settings.read_only,
        )
        self.app = make_app(
            self.service,
            ENDPOINTS,
            self.problems,
            version=version("tallystick"),
            routes=tile_routes(self._read_tile, self._checkpoint),
        )

    async def run(self, sock: socket.socket) -> None:
        """Answer until the node is gone or SIGTERM comes."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self.link, str(self.folder / SOCKET))
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        gone = loop.create_task(self._end_with_the_node(stop))
        try:
            await serve(
                self.app, sockets=[sock], problems=self.problems, stop=stop, public=is_public
            )
        finally:
            gone.cancel()
            self.link.close()
            self.log.close()
            self.ledger.close()

    async def _end_with_the_node(self, stop: asyncio.Event) -> None:
        await self.link.gone.wait()
        stop.set()

    def _read_tile(self, level: int, index: int, width: int) -> bytes:
        newest = next(reversed(self.link.notes), 0)
        if not is_there(TileId(level, index, width), newest):
            raise LookupError("not there yet")
        with self.ledger.snapshot() as snapshot:
            return snapshot.read(level, index, width)

    def _checkpoint(self) -> bytes | None:
        known = self.link.newest()
        return None if known is None else known.note


def is_public(path: str) -> bool:
    """What any page on the web may read."""
    return path == "/checkpoint" or path.startswith(("/tile/", "/api/v1/bills/check"))


def main() -> None:
    """``python -m tallystick.worker DIR FD SETTINGS``: what `serve.Workers` starts."""
    folder, fd, settings = sys.argv[1:4]
    tune()
    (Path(folder) / WEB).mkdir(mode=0o700, exist_ok=True)
    worker = Worker(Path(folder), decode(settings.encode(), Settings))
    uvloop.run(worker.run(socket.socket(fileno=int(fd))))


if __name__ == "__main__":
    main()
