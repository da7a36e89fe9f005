"""A ledger far away, as an office, a reimburser or a wallet knows one at hand.

A `Connection` submits (each answer is proven before it is given) and reads. A `RemoteView` fulfils
`ledger.view.Reading`: rows by key come with a proof that is verified, unless that is switched off;
scans cannot be proven and are the server's word: what is made of them the ledger judges anew.
Unlike a snapshot its reads may be of several moments, each no older than what this client has seen.

Invariant: a transaction or, with `prove`, a row that a view gives was verified against the trust
policy. See docs/guides/sdk.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

from tallystick.client import wire
from tallystick.client.failures import Missing, WrongAnswer
from tallystick.client.history import History
from tallystick.client.patience import Patience
from tallystick.client.signing import OPENING_HEADER, SignedBy
from tallystick.client.submitting import Submitter, Waiting
from tallystick.client.sync import Client
from tallystick.client.transport import Trusted
from tallystick.contracts.kit.context import NUMBERS_PER_CODE, Key
from tallystick.durable import read_file, write_file
from tallystick.engines.clock import Clock
from tallystick.ledger.engine import Committed
from tallystick.ledger.records import Head, Segment, pack_outcomes
from tallystick.ledger.view import Entered
from tallystick.protocol.batch import read_batch
from tallystick.protocol.canonical import DOCUMENT_BYTES_MAX, decode, encode
from tallystick.protocol.errors import VerificationFailed
from tallystick.protocol.genesis import Genesis, read_genesis
from tallystick.protocol.keys import Signer
from tallystick.protocol.receipt import Receipt, bill_number, read_state
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.transaction import Header, signing_bytes, transaction_id
from tallystick.protocol.trust import TrustPolicy
from tallystick.verify import Verified, VerifiedBatch, Verifier

R = TypeVar("R", bound=Row)
Show = Callable[[str], str | None]
"""Of a bill's id: what a request about it shows, as `access.show` writes it, or None."""

GENESIS = "genesis.json"
READERS = 8
"""Rows that are fetched at a time."""
FRESH_SECONDS = 10.0
"""How long a proof may lag behind what this client has seen before that is no accident."""


@dataclass(frozen=True, slots=True)
class Options:
    """What few change."""

    connections: int = 4
    """Transactions on their way at a time, and receipts."""
    prove: bool = True
    """Whether rows are proven; without it the server's word is taken for them."""
    patience: Patience | None = None
    show: Show | None = None
    """What reading another's bill needs: the holder's consent or mandate, a lock of ours."""


class Connection:
    """A member's way to a ledger; from any thread. Use as a context, or `close` it."""

    def __init__(
        self,
        server: Trusted | str,
        policy: TrustPolicy,
        signer: Signer,
        folder: Path,
        *,
        clock: Callable[[], int],
        outbox: Path | None = None,
        options: Options | None = None,
    ) -> None:
        """`folder` keeps what is known of the log; `outbox`: see `Submitter`."""
        self.policy = policy
        self.clock = clock
        self.signer = signer
        self.options = options or Options()
        self.verifier = Verifier(policy)
        with ExitStack() as stack:
            self.history = stack.enter_context(History(folder, policy))
            self.client = stack.enter_context(
                Client(
                    server,
                    auth=SignedBy(signer, clock),
                    patience=self.options.patience,
                    guard=self.history.guard,
                )
            )
            self.genesis, self.network = _read_genesis(self.client, folder, policy)
            self.pool = stack.enter_context(ThreadPoolExecutor(READERS, "tallystick-reader"))
            self.submitter = stack.enter_context(
                Submitter(
                    self.client,
                    self.history,
                    outbox=outbox,
                    connections=self.options.connections,
                )
            )
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Stop, and let go of files and connections."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, data: bytes) -> Future[Committed]:
        """Enter a signed transaction; the future has its answer once that is proven."""
        return self.submitter.submit(data)

    @contextmanager
    def view(self) -> Iterator[RemoteView]:
        """What may be asked, from now on."""
        yield RemoteView(self)

    def waiting(self) -> Waiting:
        """How many transactions wait, and why."""
        return self.submitter.figures()

    def receipt(self, code: int, number: int, *, wait_seconds: int = 10) -> tuple[bytes, Verified]:
        """A bill's receipt with its state now, verified, and what it says."""
        call = wire.bill_receipt(code, number, status=True, wait_seconds=wait_seconds)
        data = self.client.run(call)
        about = bill_number(code, number)
        verified = self.verifier.receipt(data, status=True, now=self.clock(), about=about)
        self.check(decode(data, Receipt).checkpoint.encode())
        return data, verified

    def check(self, note: bytes) -> None:
        """A note is of the one history that this client knows, or `Equivocation`."""
        self.client.follow(self.history.examine(note))


def connect(
    server: Trusted | str,
    policy: TrustPolicy,
    signer: Signer,
    folder: Path,
    *,
    clock: Callable[[], int] | None = None,
    outbox: Path | None = None,
    options: Options | None = None,
) -> Connection:
    """A connection by this machine's clock."""
    known = clock or Clock().now
    return Connection(server, policy, signer, folder, clock=known, outbox=outbox, options=options)


class RemoteView:
    """What the ledger says from one moment on; fulfils `ledger.view.Reading`.

    What was read once is not asked again, so that one view says one thing. For one thread.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = connection.client
        self._rows: dict[Key, bytes | None] = {}
        newest = connection.history.newest
        self._size = newest.size if newest else 0

    @property
    def genesis(self) -> Genesis:
        """What the network was founded with."""
        return self._connection.genesis

    @property
    def network(self) -> bytes:
        """Its id, which the trust policy names."""
        return self._connection.network

    @cached_property
    def head(self) -> Head:
        """The ledger after its last block, as the server says."""
        said = self._client.run(wire.head())
        if said.network != self.network:
            raise WrongAnswer(f"the server's network is {said.network.hex()}")
        return Head(
            network=said.network,
            block=said.block,
            at=said.at,
            size=said.size,
            root=said.root,
            state=said.state,
        )

    def get(self, key: Key, kind: type[R]) -> R | None:
        """The row under `key`, typed as `kind`, or None."""
        if key not in self._rows:
            self._rows[key] = self._fetch(key, kind)
        data = self._rows[key]
        return None if data is None else decode(data, kind)

    def prefetch(self, keys: Iterable[Key], kind: type[Row]) -> None:
        """Fetch rows that will be asked for, some at a time."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self._rows]
        found = self._connection.pool.map(lambda key: self._fetch(key, kind), wanted)
        self._rows |= dict(zip(wanted, found, strict=True))

    def scan(self, kind: type[R], prefix: str) -> Iterator[R]:
        """Rows of the map whose id starts with `prefix`, by id: those that the caller may read."""
        after = ""
        while True:
            said = self._client.run(wire.rows(kind.KIND, prefix, after))
            for raw in said.rows:
                row = decode(bytes(raw), kind)
                if not row.id.startswith(prefix) or row.id <= after:
                    raise WrongAnswer(f"row {row.id} is none of those that were asked for")
                after = row.id
                yield row
            if said.after is None:
                return
            after = max(after, said.after)

    def scan_slots(self, kind: type[R], code: int, first: int, last: int) -> Iterator[R]:
        """Numbered rows in [first, last], by number: those that the caller may read."""
        while first <= last:
            said = self._client.run(wire.slots(code, first, last))
            for raw in said.rows:
                row = decode(bytes(raw), kind)
                number = _number(row.id, code)
                if not first <= number <= last:
                    raise WrongAnswer(f"row {row.id} is none of those that were asked for")
                first = number + 1
                yield row
            if said.after is None:
                return
            first = max(first, _number(said.after, code) + 1)

    def segment(self, index: int) -> Segment:
        """The transaction that has the entry at this index, proven with all its outcomes."""
        held = self._client.run(wire.transaction_at(index))
        proven = self._prove(held.data, held.first)
        if not proven.first <= index < proven.first + len(proven.outcomes):
            raise WrongAnswer(f"entry {index} is none of the transaction that was shown")
        return Segment(
            first=proven.first,
            items=len(proven.outcomes),
            block=proven.block,
            tx=bytes.fromhex(proven.tx_id),
            refused=pack_outcomes(proven.outcomes),
            data=held.data,
        )

    def entered(self, header: Header, valid_seconds: int) -> Entered | None:
        """What became of a transaction of ours; None: the server does not remember it (any more).

        Then what its items made says more; `valid_seconds` is of no use to a server.
        """
        try:
            said = self._client.run(wire.find_transaction(header.sender, header.idempotency))
        except Missing:
            return None
        if said.tx_id != transaction_id(signing_bytes(header)):
            return None
        proven = self._prove(self._client.run(wire.transaction_at(said.first)).data, said.first)
        if proven.tx_id != said.tx_id:
            raise WrongAnswer(f"entry {said.first} is of another transaction")
        return Entered(proven.first, list(proven.outcomes))

    # --------------------------------------------------------------------------- internals

    def _fetch(self, key: Key, kind: type[Row]) -> bytes | None:
        row_id = _row_id(key, kind)
        call = wire.row(kind.KIND, row_id, proof=self._connection.options.prove)
        show = self._connection.options.show
        shown = show(row_id) if show is not None and isinstance(key, int) else None
        if shown is not None:
            call = wire.showing(call, OPENING_HEADER, shown)
        if self._connection.options.prove:
            return self._proven(call, row_key(kind.KIND, row_id))
        try:
            said = self._client.run(call)
        except Missing:  # of a number that nothing befell: the server's word
            return None
        return None if said.row is None else encode(said.row)

    def _proven(self, call: wire.Call[wire.RowSaid], key: str) -> bytes | None:
        """The row, or that there is none, under a proof that is no older than what was seen, nor
        than the policy allows: what is made of it could be made twice."""
        connection, until = self._connection, time.monotonic() + FRESH_SECONDS
        while True:
            try:
                said = self._client.run(call)
            except Missing as error:
                raise WrongAnswer(f"{call.path}: that it is not there was not proven") from error
            if said.proof is None:
                raise WrongAnswer(f"{call.path}: no proof came with it")
            data = encode(said.proof)
            verified = connection.verifier.state(data)
            if verified.state is None or verified.state.key != key:
                raise VerificationFailed(f"the proof is not of {key}", path="key")
            connection.check(read_state(data).checkpoint.encode())
            age_seconds = connection.clock() - (verified.as_of or 0)
            if age_seconds > connection.policy.status_max_age_seconds:
                raise WrongAnswer(f"{call.path}: the proof is older than the trust policy allows")
            if verified.size >= self._size:
                return None if verified.row is None else encode(verified.row)
            if time.monotonic() > until:
                raise WrongAnswer(f"{call.path}: a proof older than what this client has seen")
            time.sleep(0.1)

    def _prove(self, data: bytes, first: int) -> VerifiedBatch:
        receipt = self._client.run(wire.batch_receipt(first, wait_seconds=10))
        proven = self._connection.verifier.batch(data, receipt)
        self._connection.check(read_batch(receipt).checkpoint.encode())
        return proven


def _row_id(key: Key, kind: type[Row]) -> str:
    if isinstance(key, int):
        return bill_number(*divmod(key, NUMBERS_PER_CODE))
    return key.removeprefix(kind.KIND + "/")


def _number(row_id: str, code: int) -> int:
    named, _, number = row_id.partition(":")
    if named != str(code) or not number.isdigit():
        raise WrongAnswer(f"row {row_id[:40]} is of no number of {code}")
    return int(number)


def _read_genesis(client: Client, folder: Path, policy: TrustPolicy) -> tuple[Genesis, bytes]:
    """The founding file: kept here, or fetched once; its hash is the network of the policy."""
    path = folder / GENESIS
    data = read_file(path, DOCUMENT_BYTES_MAX) if path.exists() else client.run(wire.genesis())
    genesis, network = read_genesis(data)
    if network != policy.network:
        detail = f"the founding file is of network {network.hex()}, not of the policy's"
        raise VerificationFailed(detail, path="network")
    if not path.exists():
        write_file(path, data, mode=0o600)
    return genesis, network
