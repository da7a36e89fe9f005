"""A process that answers requests: the ledger read beside its writer, and the hub for the rest.

Invariant: it ends when the node ends: what it cannot hand over it does not take.
See docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

import uvloop

from tallystick.apps.bills import api as bills_api
from tallystick.apps.bills.access import holder_of
from tallystick.apps.bills.check_api import Checks, FindBody, archived_body
from tallystick.apps.bills.events import EVENTS as BILLS_EVENTS
from tallystick.apps.bills.readers import BillReaders
from tallystick.apps.members.events import EVENTS as MEMBERS_EVENTS
from tallystick.contracts.kit.reasons import KitReason, LedgerReason
from tallystick.engines.clock import Clock
from tallystick.engines.process import tune
from tallystick.keyring import load_vault_key
from tallystick.ledger.beside import Current, ReadLedger
from tallystick.ledger.events import EventSource, combine
from tallystick.ledger.rules import Rules
from tallystick.node import rules
from tallystick.protocol.canonical import Record, decode, encode
from tallystick.protocol.errors import Reason
from tallystick.protocol.tiles import TileId
from tallystick.protocol.trust import TrustPolicy
from tallystick.vault.letterbox import TEXTS as LETTER_TEXTS
from tallystick.vault.letterbox import LetterBox
from tallystick.web import ledger_api, passes_api
from tallystick.web.access import AccessLog
from tallystick.web.app import DOCUMENT_PATH, Ahead, make_app
from tallystick.web.attempts import Attempts
from tallystick.web.callers import Door
from tallystick.web.config import Config
from tallystick.web.endpoint import JSON, Access, Endpoint
from tallystick.web.exchange import Exchange
from tallystick.web.frames import SOCKET
from tallystick.web.gate import Gate
from tallystick.web.hook_store import HookStore
from tallystick.web.hooks import DeliveryThread, RetryRules, open_key
from tallystick.web.hooks_api import HooksApi
from tallystick.web.letters import STATUSES, letter_endpoints, receiving_keys, signer_by
from tallystick.web.link import Link
from tallystick.web.logs import Log
from tallystick.web.metrics import Counts
from tallystick.web.nonces import NonceStore
from tallystick.web.openapi import document, open_to_all
from tallystick.web.options import Options
from tallystick.web.outward import OutwardRules
from tallystick.web.portal import portal_routes
from tallystick.web.problems import Problems
from tallystick.web.reasons import WebReason
from tallystick.web.requests import RequestVerifier
from tallystick.web.revoked import Revoked
from tallystick.web.server import serve
from tallystick.web.service import Service
from tallystick.web.sse import Streams
from tallystick.web.tiles import PATHS as TILE_PATHS
from tallystick.web.tiles import is_there, tile_routes
from tallystick.web.verifier_page import verifier_routes
from tallystick.web.viewers import follower, hook_owner

ENDPOINTS: Sequence[Endpoint] = (*ledger_api.ENDPOINTS, *bills_api.ENDPOINTS)
"""Those that stand on the ledger alone."""
EVENTS = combine({"bills": BILLS_EVENTS, "members": MEMBERS_EVENTS})
ASKED_MOST = (
    "/api/v1/transactions",
    "/api/v1/bills/{code:int}/{number:int}/status",
)
"""Found before the router looks."""
PATHS = TILE_PATHS | {
    DOCUMENT_PATH: open_to_all("get_openapi", JSON, "This document"),
    "/": open_to_all("get_portal", "text/html", "Compare a bill with what was issued"),
    "/verify": open_to_all("get_verifier", "text/html", "Verify a document in the browser"),
}
"""What is served beside the table."""
COUNT_SECONDS = 1.0
_CLOCK = Clock()
FIRST_NOTE_SECONDS_MAX = 2.0
"""A node signs within a fraction of that; a keeper that has nothing yet answers without."""
PUBLIC = frozenset({"/api/v1/openapi.json", "/api/v1/health", "/checkpoint"}) | {
    each.path for each in ENDPOINTS if each.access is Access.PUBLIC
}
STARTING = "starting.lock"
WEB = "web"
"""The folder below the ledger's where workers keep what they share: nonces, the log of reads."""


class Settings(Record):
    """What a worker is told when it is started."""

    config: Config
    authorities: list[str]
    """``host:port`` as clients write it, the public one first: what requests are signed for."""
    trust: TrustPolicy | None = None
    """What a note must meet; None: any note of the log's own key."""
    read_only: str | None = None
    """Of a keeper: the address where transactions are taken."""
    hooks: bool = False
    """Whether this worker delivers webhooks: one of them does."""


def stream_of(folder: Path, name: str) -> TextIO:
    """Where lines of the log go: a file beside the ledger, to which all workers append."""
    if not name:
        return sys.stderr
    fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    return os.fdopen(fd, "a", encoding="utf-8")


def clock() -> int:
    """Unix seconds."""
    return _CLOCK.now()


def reasons_of(rules: Rules) -> dict[str, Reason]:
    """Every reason of this build by its code."""
    kinds: list[type[Reason]] = [LedgerReason, KitReason, WebReason]
    kinds += [domain.reasons for domain in rules.domains]
    return {reason.value: reason for kind in kinds for reason in kind}


class Worker:
    """One process's parts, put together; for its event loop."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        config, known = settings.config, rules()
        self.folder = folder
        self._settings = settings
        self.ledger = ReadLedger(folder, known)
        self.link = Link(self.ledger, settings.trust, reasons_of(known))
        texts = {reason: text for domain in known.domains for reason, text in domain.texts.items()}
        self.problems = Problems(texts | LETTER_TEXTS, STATUSES)
        self.logs = Log(clock, stream_of(folder, config.logs.file))
        self.counts = Counts()
        state = folder / WEB
        self.reads = AccessLog(
            state / "reads.db", clock, retention_days=config.retention.reads_days
        )
        self.revoked = Revoked(state / "revoked.db")
        self.verifier = RequestVerifier(settings.authorities, clock)
        self.current = Current(self.ledger)
        self.link.on_change.append(self.current.let_go)
        self.link.on_drop.append(self.current.let_go)
        self.door = Door(
            self.current.view,
            self.ledger.network,
            verifier=self.verifier,
            nonces=NonceStore(state / "nonces.db", clock),
            revoked=self.revoked,
            clock=clock,
            strangers=holder_of,
            moment=lambda view: view.head.size,
        )
        self.service = Service(
            ledger=self.ledger,
            link=self.link,
            clock=clock,
            authenticate=self.door.authenticate,
            readers=BillReaders(clock, self.reads.note),
            policy=settings.trust,
            texts=texts,
            read_only=settings.read_only,
            reads=self.reads.of_bill,
        )
        self.source = EventSource(self.ledger.view, EVENTS, published=self._published, clock=clock)
        self.streams = Streams(self.source, follower)
        self.link.on_change.append(self.streams.wake)
        table = [*ENDPOINTS, *self._endpoints()]
        app = make_app(
            self.service,
            table,
            self.problems,
            fault=self.logs.fault,
            version=version("tallystick"),
            described=(DOCUMENT_PATH, encode(document(table, version("tallystick"), PATHS))),
            routes=[
                *tile_routes(self._read_tile, self._checkpoint),
                *portal_routes(),
                *verifier_routes(texts),
            ],
        )
        self.app = Ahead(Options(app, is_public), app.routes, ASKED_MOST)

    def _endpoints(self) -> list[Endpoint]:
        """Those that stand on something of this worker's own."""
        found = [*passes_api.endpoints(self.revoked), self.streams.endpoint()]
        if self._settings.config.webhooks.enabled:
            state = self.folder / WEB
            self._hooks = HooksApi(
                HookStore(state),
                self.source,
                hook_owner,
                key=open_key(state).public_key,
                rules=self._outward(),
                clock=clock,
            )
            found += self._hooks.endpoints()
        found.append(self._checks().endpoint())
        bodies = self._settings.config.bodies
        if bodies.box:
            box = LetterBox(
                self.folder / bodies.box,
                self.ledger.network,
                receiving_keys(self.ledger.view, bodies.receivers),
            )
            found += letter_endpoints(box, signer_by(self.verifier) if bodies.wallets else None)
        return found

    def _checks(self) -> Checks:
        settings = self._settings.config.check
        find_body: FindBody | None = None
        if settings.archive:
            key = load_vault_key(self.folder / settings.key_file).secret
            find_body = archived_body(self.folder / settings.archive, key)
        return Checks(
            Attempts(self.folder / WEB / "attempts.db"),
            wrong_per_hour=settings.wrong_per_hour,
            asked_per_hour=settings.asked_per_hour,
            find_body=find_body,
        )

    def _outward(self) -> OutwardRules:
        private = self._settings.config.webhooks.private_addresses
        return OutwardRules(allow_http=private, allow_private=private)

    async def run(self, sock: socket.socket) -> None:
        """Answer until the node is gone or SIGTERM comes."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self.link, str(self.folder / SOCKET))
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        tasks = [loop.create_task(self._end_with_the_node(stop)), loop.create_task(self._count())]
        with self._delivering():
            try:
                await self._first_note(stop)
                await self._serve(sock, stop)
            finally:
                for task in tasks:
                    task.cancel()
                self.link.close()
                self.reads.close()
                self.logs.flush()
                self.current.close()
                self.ledger.close()

    async def _first_note(self, stop: asyncio.Event) -> None:
        """Who follows from now on begins at what is published: that has to be known."""
        loop = asyncio.get_running_loop()
        until = loop.time() + FIRST_NOTE_SECONDS_MAX
        while not (self.link.published or stop.is_set()) and loop.time() < until:
            await self.link.change(COUNT_SECONDS / 4)

    async def _serve(self, sock: socket.socket, stop: asyncio.Event) -> None:
        config = self._settings.config
        await serve(
            self.app,
            sockets=[sock],
            problems=self.problems,
            limits=config.limits,
            proxies=config.listen.trusted_proxies,
            public=is_public,
            observe=self._observe,
            fault=self.logs.fault,
            ready=self._begin,
            stopping=self._stop,
            stop=stop,
        )

    def _observe(self, exchange: Exchange) -> None:
        self.counts.request(exchange)
        if self._settings.config.logs.requests:
            self.logs.request(exchange)

    def _begin(self, gate: Gate) -> None:
        """Requests are taken from now on."""
        self.counts.gauge("tally_http_in_flight", lambda: gate.requests)
        self.counts.gauge("tally_http_connections", lambda: len(gate.connections))
        self.counts.gauge("tally_http_bodies_bytes", lambda: gate.bodies)
        self.counts.gauge("tally_event_subscribers", lambda: self.streams.count)
        self.counts.gauge("tally_log_lost_lines", lambda: self.logs.lost)
        self.link.ready()

    def _stop(self) -> None:
        """What waits is answered at once."""
        self.streams.close()
        self.link.wake()

    async def _count(self) -> None:
        """Tell the node what was counted, while it lasts."""
        while True:
            await asyncio.sleep(COUNT_SECONDS)
            self.link.send_figures(encode(self.counts.snapshot()))

    @contextmanager
    def _delivering(self) -> Iterator[None]:
        """Deliver webhooks, if it is this worker that does."""
        if not (self._settings.hooks and self._settings.config.webhooks.enabled):
            yield
            return
        config = self._settings.config.webhooks
        deliverer = DeliveryThread(
            self.folder / WEB,
            self.source,
            clock=clock,
            outward=self._outward(),
            rules=RetryRules(give_up_seconds=3_600 * config.give_up_hours),
        )
        self.link.on_change.append(deliverer.wake)
        self.counts.gauge("tally_hooks_stopped", lambda: int(deliverer.failure is not None))
        try:
            yield
        finally:
            deliverer.close()

    def _published(self) -> int:
        return self.link.published

    async def _end_with_the_node(self, stop: asyncio.Event) -> None:
        await self.link.gone.wait()
        stop.set()

    def _read_tile(self, level: int, index: int, width: int) -> bytes:
        if not is_there(TileId(level, index, width), self._published()):
            raise LookupError("not there yet")
        with self.ledger.snapshot() as snapshot:
            return snapshot.read(level, index, width)

    def _checkpoint(self) -> bytes | None:
        known = self.link.newest()
        return None if known is None else known.note


def is_public(path: str) -> bool:
    """What any page on the web may read."""
    return path in PUBLIC or path.startswith("/tile/")


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Of workers that start together the first makes the shared files, the others find them."""
    handle = os.open(folder / STARTING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def main() -> None:
    """``python -m tallystick.worker DIR FD SETTINGS``: what `serve.Workers` starts."""
    folder, fd, settings = sys.argv[1:4]
    tune()
    (Path(folder) / WEB).mkdir(mode=0o700, exist_ok=True)
    with _one_at_a_time(Path(folder) / WEB):
        worker = Worker(Path(folder), decode(settings.encode(), Settings))
    uvloop.run(worker.run(socket.socket(fileno=int(fd))))


if __name__ == "__main__":
    main()
