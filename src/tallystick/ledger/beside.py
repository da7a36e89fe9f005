"""A ledger read beside the process that writes it: own snapshots, never waiting for the writer.

What answers requests does not hold the ledger's lock: it has connections that can only read, each
of one moment. A *moment* is such a connection held at exactly one size of the log, so that states
can be proven under the checkpoint of that size long after the writer has gone on.
See docs/spec/storage.md.

Invariant: nothing here can change a ledger, and whatever it gives is checked as by its writer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tallystick.ledger.execute import Why
from tallystick.ledger.ledger import GENESIS_FILE, read_founding_file, rehearse
from tallystick.ledger.rules import Rules
from tallystick.ledger.sqlite import FILE, check_version, connect, let_go, naming_the_file
from tallystick.ledger.store import Snapshot
from tallystick.ledger.view import View
from tallystick.protocol.errors import Damaged
from tallystick.protocol.genesis import log_origin, read_genesis
from tallystick.protocol.transaction import Transaction, parse_transaction, read_transaction

READERS_KEPT = 8
"""Connections that wait for their next moment: one a thread that reads at the same time."""


class ReadLedger:
    """One network's ledger, for any number of threads of a process that does not write it."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        """`FileNotFoundError` when there is none in `folder`."""
        self.folder = folder
        self.rules = rules
        self.path = folder / FILE
        if not self.path.exists():
            raise FileNotFoundError(f"{folder} holds no ledger")
        self.genesis_bytes = read_founding_file(folder / GENESIS_FILE)
        self.genesis, self.network = read_genesis(self.genesis_bytes)
        self.origin = log_origin(self.genesis.name, self.network)
        self._readers: list[Snapshot] = []
        self._lock = threading.Lock()
        reader = self._connect()
        check_version(self.path, reader.one("PRAGMA application_id"))
        if reader.head().network != self.network:
            raise Damaged(f"{self.path} is not the ledger of {folder / GENESIS_FILE}")
        self._readers.append(reader)

    def close(self) -> None:
        """Let go of the connections that nobody uses."""
        with self._lock:
            readers, self._readers = self._readers, []
        for reader in readers:
            let_go(reader.db)

    def parse(self, data: bytes) -> Transaction:
        """Read a transaction; its signature is not verified yet."""
        return parse_transaction(data, self.network, self.rules.schemas)

    def check(self, data: bytes) -> Transaction:
        """Read and authenticate a transaction; asks the state nothing."""
        return read_transaction(data, self.network, self.rules.schemas)

    def dry_run(self, data: bytes, at: int, why: Why | None = None) -> list[str]:
        """What would become of each item in a block of its own at `at` (Unix seconds), and `why`.

        `Rejected` when the transaction would not be ordered.
        """
        transaction = self.check(data)
        with naming_the_file(self.path), self._moment() as snapshot:
            return rehearse(snapshot, self.genesis, self.rules, transaction, at=at, why=why)

    @contextmanager
    def view(self) -> Iterator[View]:
        """What may be asked as of now, for as long as the `with` lasts; for one thread."""
        with self._moment() as snapshot:
            yield View(snapshot, self.genesis, self.network)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The store itself as of now: tiles, blocks as they lie."""
        with self._moment() as snapshot:
            yield snapshot

    def pin(self) -> Pinned:
        """Hold this moment until it is let go."""
        reader = self._take()
        try:
            reader.begin()
            return Pinned(self, reader)
        except BaseException:
            self.give_back(reader)
            raise

    def watch(self) -> Snapshot:
        """A connection that no moment is held with, for `Current`."""
        return self._take()

    def give_back(self, reader: Snapshot) -> None:
        """A connection is free again."""
        reader.end()
        with self._lock:
            keep = len(self._readers) < READERS_KEPT
            if keep:
                self._readers.append(reader)
        if not keep:
            let_go(reader.db)

    @contextmanager
    def _moment(self) -> Iterator[Snapshot]:
        reader = self._take()
        try:
            reader.begin()
            yield reader
        finally:
            self.give_back(reader)

    def _take(self) -> Snapshot:
        with self._lock:
            if self._readers:
                return self._readers.pop()
        return self._connect()

    def _connect(self) -> Snapshot:
        return Snapshot(self.path, connect(self.path, make=False, read=True, mapped=True))


class Pinned:
    """A moment that is held: its view is for one thread at a time, under `lock`."""

    def __init__(self, ledger: ReadLedger, snapshot: Snapshot) -> None:
        self.view = View(snapshot, ledger.genesis, ledger.network)
        self.lock = threading.Lock()
        self.size = self.view.head.size
        self._ledger = ledger
        self._snapshot: Snapshot | None = snapshot

    @property
    def held(self) -> bool:
        """Whether it may still be asked."""
        return self._snapshot is not None

    def let_go(self) -> None:
        """The writer may begin its WAL anew."""
        with self.lock:
            snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            self._ledger.give_back(snapshot)


class Current:
    """The ledger as of now for one thread that asks often: a moment, until there is a newer one.

    SQLite says whether anything was committed since; that costs a quarter of a moment of one's own.
    """

    def __init__(self, ledger: ReadLedger) -> None:
        self._ledger = ledger
        self._watching = ledger.watch()
        self._version: object = None
        self._moment: Pinned | None = None

    @contextmanager
    def view(self) -> Iterator[View]:
        """What may be asked as of now."""
        yield self.now()

    def now(self) -> View:
        """The same, good until it is asked for again or let go."""
        version = self._watching.one("PRAGMA data_version")  # before the moment, never after it
        if self._moment is None or version != self._version:
            self.let_go()
            self._moment, self._version = self._ledger.pin(), version
        return self._moment.view

    def let_go(self) -> None:
        """The writer may begin its WAL anew; what is asked next begins a moment."""
        moment, self._moment = self._moment, None
        if moment is not None:
            moment.let_go()

    def close(self) -> None:
        """No more."""
        self.let_go()
        self._ledger.give_back(self._watching)
