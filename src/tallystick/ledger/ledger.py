"""The machine: check, execute, commit, receipt, view; shaped like ABCI, for every engine the same.

An engine checks what is submitted, orders it into blocks, executes and commits each block, and
signs the checkpoint after it. `check`, `view` and `dry_run` may be called from any thread, the
others by the one writer. See docs/architecture.md and docs/spec/block.md.

Invariant: what `commit` returned for is durable; until then nothing of a block can be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tallystick.contracts.kit.context import FOUNDING_INDEX, Context, Environment
from tallystick.contracts.kit.keys import admit
from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.durable import write_file
from tallystick.ledger.execute import Executed, Why, execute_block, execute_transaction
from tallystick.ledger.receipts import check_head, check_seen
from tallystick.ledger.records import BlockRecord, Head, Segment, leaf_groups, pack_outcomes
from tallystick.ledger.rules import Rules
from tallystick.ledger.sqlite import FILE, naming_the_file
from tallystick.ledger.staged import StagedState, VerifiedRows
from tallystick.ledger.store import Connection, Snapshot, Store
from tallystick.ledger.view import View
from tallystick.protocol import merkle
from tallystick.protocol.canonical import replace
from tallystick.protocol.checkpoint import Checkpoint
from tallystick.protocol.errors import Damaged, Malformed, Rejected
from tallystick.protocol.genesis import Genesis, log_origin, read_genesis
from tallystick.protocol.tiles import Edge
from tallystick.protocol.transaction import Transaction, parse_transaction, read_transaction
from tallystick.protocol.values import parse_instant

GENESIS_FILE = "genesis.json"


@dataclass(frozen=True, slots=True)
class Seen:
    """The transaction is on the ledger already: its entries begin at `first`."""

    first: int


Admission = Seen | Rejected | None
"""Why a transaction is not ordered: it was before, or a rule says no. None: it may be ordered."""


class Ledger:
    """One network's ledger in one folder."""

    def __init__(self, folder: Path, genesis: bytes, rules: Rules, store: Store) -> None:
        self.folder = folder
        self.rules = rules
        self.store = store
        self.genesis, self.network = read_genesis(genesis)
        self.origin = log_origin(self.genesis.name, self.network)
        self._head = store.head()
        if self._head.network != self.network:
            raise Damaged(f"{store.path} is not the ledger of {folder / GENESIS_FILE}")
        check_head(store, self._head)
        self._edge = Edge.restore(self._head.size, store)
        if self._edge.root() != self._head.root:
            raise Damaged(f"{store.path}: the right edge of the log does not give its root")
        self._rows = VerifiedRows(store, self._head.state)
        self._staged: tuple[StagedState, Executed] | None = None

    @classmethod
    def found(cls, folder: Path, genesis: bytes, rules: Rules, *, vfs: str | None = None) -> Self:
        """Found a network in an empty folder: block 0, which has rows and no entry."""
        parsed, network = read_genesis(genesis)
        rows = VerifiedRows(_Nothing(), bytes(32))
        state = StagedState(rows)
        at = parse_instant(parsed.founded_at)
        env = environment(parsed, network, 0, at)
        ctx = Context(state=state, env=env, sender="", key=b"", action="", tx_id="")
        ctx.index, ctx.item_hash = FOUNDING_INDEX, network
        for domain in rules.domains:
            if domain.found is not None:
                domain.found(ctx, parsed)
        root = state.seal()
        head = Head(network=network, block=0, at=at, size=0, root=merkle.EMPTY_ROOT, state=root)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # records are for members alone
        if not (folder / FILE).exists():
            write_file(folder / GENESIS_FILE, genesis)
        Store.make(folder, head, state.writes, vfs=vfs)
        return cls.open(folder, rules, vfs=vfs)

    @classmethod
    def open(cls, folder: Path, rules: Rules, *, vfs: str | None = None) -> Self:
        """Open a ledger: head, right edge; `start.check_recent` looks at the last blocks."""
        store = Store.open(folder, vfs=vfs)
        try:
            return cls(folder, read_founding_file(folder / GENESIS_FILE), rules, store)
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Let go of the files."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def head(self) -> Head:
        """After the last committed block."""
        return self._head

    @property
    def checkpoint(self) -> Checkpoint:
        """What is signed after the last committed block."""
        return Checkpoint(self.origin, self._head.size, self._head.root)

    def check(self, data: bytes) -> Transaction:
        """Read and authenticate; `Malformed` or `VerificationFailed`. Asks the state nothing."""
        return read_transaction(data, self.network, self.rules.schemas)

    def parse(self, data: bytes) -> Transaction:
        """`check` without its last step, for an engine that verifies signatures itself."""
        return parse_transaction(data, self.network, self.rules.schemas)

    def admit(self, at: int, transactions: Sequence[Transaction]) -> list[Admission]:
        """Which of these may be ordered in one block at `at`, judged by the state before it."""
        taken: set[tuple[str, bytes]] = set()
        state, found = StagedState(self._rows), list[Admission]()
        with naming_the_file(self.store.path):
            for transaction in transactions:
                name = (transaction.header.sender, transaction.header.idempotency)
                verdict: Admission = _taken_twice()
                if name not in taken:
                    block = self._head.block + 1
                    verdict = judge(
                        self.rules,
                        state,
                        self.store,
                        block=block,
                        at=at,
                        transaction=transaction,
                    )
                if verdict is None:
                    taken.add(name)
                found.append(verdict)
        return found

    def execute(
        self,
        at: int,
        transactions: Sequence[Transaction],
        cleared: frozenset[bytes] = frozenset(),
    ) -> Executed:
        """Execute the next block, of admitted transactions; `commit` makes it last.

        `cleared`: signatures within items that the caller has verified, see `kit.acts`.
        """
        if not transactions:
            raise ValueError("a block without transactions is no block")
        if at < self._head.at:
            raise ValueError(f"the clock went back: {at} after {self._head.at}")
        state = StagedState(self._rows)
        env = environment(self.genesis, self.network, self._head.block + 1, at, cleared)
        with naming_the_file(self.store.path):
            executed = execute_block(state, self.rules, env, self._head.size, transactions)
        self._staged = (state, executed)
        return executed

    def commit(self) -> Head:
        """Make the executed block durable. If it raises, this object is of no more use."""
        if self._staged is None:
            raise ValueError("no block was executed")
        state, done = self._staged
        self._staged = None
        tiles = self._edge.extend(done.leaf_hashes)
        head = replace(
            self._head,
            block=done.block,
            at=done.at,
            size=self._edge.size,
            root=self._edge.root(),
            state=state.writes.root,
        )
        record = BlockRecord(
            block=done.block,
            at=done.at,
            first=done.first,
            size=head.size,
            root=head.root,
            state=head.state,
        )
        self.store.commit(
            head,
            state.writes,
            block=record,
            segments=_segments(done),
            leaves=_leaves(done),
            tiles=tiles,
        )
        self._rows.apply(state.writes)
        self._rows.remember(state.sealed)
        self._head = head
        return head

    def dry_run(self, data: bytes, at: int, why: Why | None = None) -> list[str]:
        """What would become of each item in a block of its own at `at`; leaves no trace.

        `why`, if given, is filled with the fields at fault.
        """
        transaction = self.check(data)
        with naming_the_file(self.store.path), self.store.snapshot() as snapshot:
            return rehearse(snapshot, self.genesis, self.rules, transaction, at=at, why=why)

    @contextmanager
    def view(self) -> Iterator[View]:
        """What may be asked, as of one moment, for as long as the `with` lasts."""
        with self.store.snapshot() as snapshot:
            yield View(snapshot, self.genesis, self.network)


def judge(
    rules: Rules,
    state: StagedState,
    store: Connection,
    *,
    block: int,
    at: int,
    transaction: Transaction,
) -> Admission:
    """Whether an authentic transaction may be ordered in a block, by the state before it."""
    header = transaction.header
    seen = store.seen(header.sender, header.idempotency)
    if seen is not None:
        check_seen(store, header.sender, header.idempotency, seen)
        if seen[0] == transaction.tx_id:
            return Seen(seen[1])
        return Rejected(LedgerReason.IDEMPOTENCY_CONFLICT, path="header/idempotency")
    action = rules.actions[header.action]
    ends = action.until_block
    if block < action.from_block or (ends is not None and block >= ends):
        return Rejected(LedgerReason.ACTION_INACTIVE, header.action, path="header/action")
    try:
        admit(state, header, at, action.valid_seconds_max)
    except Rejected as refusal:
        return refusal
    return None


def rehearse(
    snapshot: Snapshot,
    genesis: Genesis,
    rules: Rules,
    transaction: Transaction,
    *,
    at: int,
    why: Why | None = None,
) -> list[str]:
    """What would become of an authentic transaction in a block of its own, at this moment."""
    head = snapshot.head()
    at = max(at, head.at)
    state = StagedState(VerifiedRows(snapshot, head.state))
    verdict = judge(rules, state, snapshot, block=head.block + 1, at=at, transaction=transaction)
    if isinstance(verdict, Rejected):
        raise verdict
    env = environment(genesis, head.network, head.block + 1, at)
    return execute_transaction(
        state, rules, env, head.size, transaction, why={} if why is None else why
    )


def _taken_twice() -> Rejected:
    return Rejected(
        LedgerReason.IDEMPOTENCY_CONFLICT, "twice in one block", path="header/idempotency"
    )


def read_founding_file(path: Path) -> bytes:
    """The bytes of a founding file, or `Damaged`."""
    try:
        genesis = path.read_bytes()
        read_genesis(genesis)
    except (Malformed, OSError) as error:
        raise Damaged(f"{path} is not what was written at the founding: {error}") from error
    return genesis


def environment(
    genesis: Genesis, network: bytes, block: int, at: int, cleared: frozenset[bytes] = frozenset()
) -> Environment:
    """What every item of a block may know of it."""
    return Environment(network, genesis.region, genesis.utc_offset_seconds, block, at, cleared)


def _segments(done: Executed) -> list[Segment]:
    found, first = [], done.first
    for transaction, outcomes in zip(done.transactions, done.outcomes, strict=True):
        tx, refused = bytes.fromhex(transaction.tx_id), pack_outcomes(outcomes)
        count = len(outcomes)
        found.append(Segment(first, count, done.block, tx, refused, transaction.data))
        first += count
    return found


def _leaves(done: Executed) -> list[tuple[int, bytes]]:
    hashes = [digest for transaction in done.transactions for digest in transaction.item_hashes]
    return leaf_groups(done.first, done.leaf_hashes, [*hashes, bytes(32)])


class _Nothing:
    """The state before the founding."""

    def row(self, key: object) -> None:
        return None

    def map_group(self, prefix: bytes) -> None:
        return None

    def page_group(self, key: int) -> None:
        return None
