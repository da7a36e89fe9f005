"""The composition root: an operator's node out of its parts, and the one place that names them all.

A node is a ledger, the embedded engine that orders, and a publisher that keepers follow, in one
folder: ``genesis.json``, ``ledger.db``, ``feed/`` (what is published), ``box/`` (where other local
processes leave signed transactions). See docs/architecture.md.

Invariant: nothing else in the package knows which domains and which engine there are.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from tallystick.contracts import bills, members
from tallystick.contracts.kit.context import Domain, Key
from tallystick.contracts.members import views as member_views
from tallystick.durable import read_file
from tallystick.engines.clock import Clock
from tallystick.engines.embedded import EmbeddedEngine, EngineFigures
from tallystick.engines.keeper import Keeper, Source
from tallystick.engines.publisher import KeeperKey, Publisher
from tallystick.engines.witnessing import AskWitness
from tallystick.ledger.engine import Committed, Stopped
from tallystick.ledger.execute import Why
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.receipts import state_document
from tallystick.ledger.rules import Rules, make_rules
from tallystick.ledger.start import checked
from tallystick.ledger.view import View
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Busy, Rejected, TallystickError
from tallystick.protocol.keys import Signer
from tallystick.protocol.row import row_key
from tallystick.protocol.transaction import TRANSACTION_BYTES_MAX, Item, sign_transaction
from tallystick.protocol.values import format_instant
from tallystick.web.hub import Hub

DOMAINS: Sequence[Domain] = (members.DOMAIN, bills.DOMAIN)
"""Every domain of this build: a new one is a folder and a name here."""

FEED = "feed"
BOX = "box"
REFUSED = ".refused"
"""How the name of a file ends that was left in the box and is no use."""
BOX_SECONDS = 0.2
VALID_SECONDS = 3_600
"""How long a transaction made here may be submitted again."""
ANSWER_SECONDS_MAX = 120

_log = logging.getLogger("tallystick.node")


def rules() -> Rules:
    """The rules of this build."""
    return make_rules(DOMAINS)


class Node:
    """The operator of a network on one machine."""

    def __init__(
        self,
        ledger: Ledger,
        log_signer: Signer,
        clock: Clock,
        witnesses: Sequence[AskWitness] = (),
        keeper_at: int | None = None,
    ) -> None:
        self.ledger = ledger
        self.clock = clock
        self.folder = ledger.folder
        if log_signer.public_key not in ledger.genesis.log_keys:
            raise ValueError("this is not a log key of the network")
        (self.folder / BOX).mkdir(exist_ok=True)
        self._hub: Hub | None = None
        self.publisher = Publisher(
            ledger,
            log_signer,
            self.folder / FEED,
            lambda: live_keepers(ledger),
            clock,
            aligned=self._aligned,
            on_note=self._tell_note,
            witnesses=witnesses,
        )
        try:
            self.engine = EmbeddedEngine(
                ledger,
                clock=clock,
                on_commit=self.publisher.wake,
                before_wal=self._let_go,
                keeper_at=keeper_at,
            )
        except BaseException:
            self.publisher.close()
            raise
        self.publisher.start()
        self._closing = threading.Event()
        self._box = threading.Thread(target=self._mind_the_box, name="tallystick-box", daemon=True)
        self._box.start()

    @classmethod
    def found(
        cls, folder: Path, genesis: bytes, log_signer: Signer, *, clock: Clock | None = None
    ) -> Self:
        """Found a network in `folder`; `FileExistsError` when there is a ledger already."""
        return cls._around(Ledger.found(folder, genesis, rules()), log_signer, clock)

    @classmethod
    def open(
        cls,
        folder: Path,
        log_signer: Signer,
        *,
        clock: Clock | None = None,
        witnesses: Sequence[AskWitness] = (),
        keeper_at: int | None = None,
    ) -> Self:
        """Open the node of `folder`; `FileNotFoundError` when there is none.

        `witnesses` are asked for their line under each checkpoint. `keeper_at` is what a keeper's
        clock says now: ours must not be ahead of it.
        """
        return cls._around(Ledger.open(folder, rules()), log_signer, clock, witnesses, keeper_at)

    @classmethod
    def _around(
        cls,
        ledger: Ledger,
        log_signer: Signer,
        clock: Clock | None,
        witnesses: Sequence[AskWitness] = (),
        keeper_at: int | None = None,
    ) -> Self:
        return checked(
            ledger, lambda sound: cls(sound, log_signer, clock or Clock(), witnesses, keeper_at)
        )

    def close(self) -> None:
        """Finish what is queued, publish it, let go of the files."""
        self._closing.set()
        self._box.join()
        self.engine.close()
        self.publisher.close()
        if self._hub is not None:
            self._hub.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def failure(self) -> BaseException | None:
        """Why it stopped by itself, or None."""
        return self.engine.failure or self.publisher.failure

    @property
    def network(self) -> bytes:
        """The network's id."""
        return self.ledger.network

    def submit(self, data: bytes) -> Future[Committed]:
        """Check and queue a signed transaction; see `ledger.engine.Engine.submit`.

        `Stopped` also when nothing is published any more: what no keeper sees must not be answered.
        """
        if self.publisher.failure is not None:
            raise Stopped(f"publishing has stopped: {self.publisher.failure}")
        return self.engine.submit(data)

    def submit_verified(self, data: bytes) -> Future[Committed]:
        """The same of a transaction whose signature a process of ours has verified."""
        if self.publisher.failure is not None:
            raise Stopped(f"publishing has stopped: {self.publisher.failure}")
        return self.engine.submit(data, verified=True)

    def listen(self) -> Hub:
        """Let processes of ours that answer requests connect, from now until `close`."""
        if self._hub is None:
            self._hub = Hub(
                self.folder,
                submit=self.submit_verified,
                offer=self.publisher.offer,
                note=self.publisher.note,
                sizes=self.publisher.sizes,
            )
        return self._hub

    @contextmanager
    def _aligned(self) -> Iterator[None]:
        """Between two blocks, with every reader holding this very moment."""
        with self.engine.held():
            if self._hub is not None:
                self._hub.pin(self.ledger.head.size)
            yield

    def _tell_note(self, size: int) -> None:
        if self._hub is not None:
            self._hub.publish(size)

    def _let_go(self) -> None:
        if self._hub is not None:
            self._hub.drop()

    def sign(
        self,
        signer: Signer,
        sender: str,
        action: str,
        items: Sequence[Item],
        *,
        atomic: bool = False,
    ) -> bytes:
        """A transaction of this network, valid for an hour from now."""
        return sign_transaction(
            signer,
            network=self.network,
            sender=sender,
            action=action,
            items=items,
            idempotency=secrets.token_bytes(16),
            valid_until=format_instant(max(self.clock.now(), self.ledger.head.at) + VALID_SECONDS),
            atomic=atomic,
        )

    def act(
        self,
        signer: Signer,
        sender: str,
        action: str,
        items: Sequence[Item],
        *,
        atomic: bool = False,
    ) -> Committed:
        """Sign, submit and wait until it is durable."""
        data = self.sign(signer, sender, action, items, atomic=atomic)
        return self.submit(data).result(ANSWER_SECONDS_MAX)

    def dry_run(self, data: bytes, why: Why | None = None) -> list[str]:
        """What would become of each item now, and `why`; leaves no trace."""
        return self.ledger.dry_run(data, self.clock.now(), why)

    @contextmanager
    def view(self) -> Iterator[View]:
        """What may be asked, as of one moment."""
        with self.ledger.view() as view:
            yield view

    def receipt(self, index: int, *, row: Key | None = None) -> bytes:
        """The receipt of an entry under the note that most keepers signed.

        With `row`, a proof of that row's state as well: only once the newest checkpoint is
        published. `LookupError` while it is not.
        """
        with self.ledger.view() as view:
            size = None if row is None else view.head.size
            note, _ = self.publisher.note_for(index, size=size)
            return encode(view.receipt(index, note, row=row))

    def state_proof(self, key: Key, kind: str, row_id: str) -> bytes:
        """The proof of a row, or that there is none, under the newest checkpoint."""
        with self.ledger.view() as view:
            note, _ = self.publisher.note_for(-1, size=view.head.size)
            return encode(state_document(view.state_proof(key, row_key(kind, row_id)), note))

    def figures(self) -> EngineFigures:
        """What waits and what was done."""
        return self.engine.figures()

    def _mind_the_box(self) -> None:
        while not self._closing.wait(BOX_SECONDS):
            self.take_box()

    def take_box(self) -> int:
        """Submit what others left in the box: how many. A refused file is kept beside, renamed.

        Its new name says why, ``TX_ID.ledger.expired.refused``: whoever left it may read that. All
        are queued before the first is waited for: the engine takes organisations in turn.
        """
        queued: list[tuple[Path, Future[Committed]]] = []
        for path in sorted((self.folder / BOX).glob("[!.]*.tx")):  # with a dot: not whole yet
            try:
                queued.append((path, self.submit(read_file(path, TRANSACTION_BYTES_MAX))))
            except (Busy, Stopped):
                break  # the files wait
            except OSError as error:  # gone, or not ours to read: the others' turn
                _log.error("%s cannot be taken: %s", path.name, error)
            except TallystickError as error:
                _refuse_file(path, error)
        return sum(_answer_file(path, answer) for path, answer in queued)


def _answer_file(path: Path, answer: Future[Committed]) -> bool:
    """Remove the file of what is on the ledger: whether it is."""
    try:
        answer.result(ANSWER_SECONDS_MAX)
        path.unlink()
    except (Stopped, TimeoutError):
        return False  # the file waits: the same bytes may be submitted again
    except OSError as error:
        _log.error("%s cannot be removed: %s", path.name, error)
        return False
    except TallystickError as error:
        _refuse_file(path, error)
        return False
    return True


def _refuse_file(path: Path, error: TallystickError) -> None:
    _log.error("%s is not taken: %s", path.name, error)
    reason = f".{error.reason.value}" if isinstance(error, Rejected) else ""
    with suppress(OSError):  # a folder has that name: it is tried again
        path.rename(path.with_suffix(f"{reason}{REFUSED}"))


def live_keepers(ledger: Ledger) -> list[KeeperKey]:
    """Whose co-signatures count now, as the members' rows say."""
    with ledger.view() as view:
        return [
            KeeperKey(row.id, row.key, row.org) for row in member_views.keepers(view) if row.good
        ]


def open_keeper(
    folder: Path,
    source: Path | Source,
    signer: Signer,
    *,
    network: bytes | None = None,
    clock: Clock | None = None,
) -> Keeper:
    """The keeper of a folder, under the rules of this build."""
    return Keeper.open(
        folder, source, signer, rules(), find_keepers=live_keepers, network=network, clock=clock
    )
