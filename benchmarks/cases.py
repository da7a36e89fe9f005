"""The cases: each prepares, measures, and gives figures.

Invariant: batches go through the engine as a hospital's do: signature, every rule, proofs, fsync.
See docs/benchmarks.md.
"""

from __future__ import annotations

import resource
import secrets
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

from benchmarks import load, references
from benchmarks.figures import Figure, Figures
from tallystick.apps.bills.acts import seal
from tallystick.apps.bills.catalogue import TYPES, ReferenceType, Scene
from tallystick.apps.bills.generate import make_draft, make_institution
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.kit.context import slot_key
from tallystick.engines.embedded import EmbeddedEngine
from tallystick.keyring import vault_key_from_seed
from tallystick.ledger.engine import Committed
from tallystick.ledger.feed import FeedReader, FeedWriter
from tallystick.ledger.ledger import GENESIS_FILE, Ledger
from tallystick.ledger.sqlite import FILE, WAL_BYTES_SOFT_MAX
from tallystick.ledger.start import check_recent
from tallystick.ledger.store import Store
from tallystick.node import open_keeper, rules
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.checkpoint import cosign, format_checkpoint, format_note, sign_note
from tallystick.protocol.entry import ACCEPTED
from tallystick.vault import Vault
from tallystick.verify import Verdict, Verifier

BATCH = 1_000
BLOCK = 4
"""Batches in a block: what the engine puts into one."""
WINDOW = 44
"""Batches signed, then measured together: four of each hospital."""
WINDOWS = 5
SINGLES_UNDER_WAY = 2_000
"""Of each of two submitters."""
UNDER_WAY = 12
"""Transactions that may wait in the engine: as many as hospitals, and one."""
SEALED_TOGETHER = 200
RESTARTS = 9
SMALL = 50_000
"""Bills of the ledger with which a restart is compared."""


class Rate(NamedTuple):
    """Bills per CPU-second, and per second."""

    cpu: float
    wall: float


class Rates(NamedTuple):
    """What was measured at one size: medians of the windows."""

    cpu: float
    wall: float
    ratio: float
    """To the reference, window by window."""
    by_engine: float
    """Bills a second through the engine, submitted by one thread."""
    commit_p99: float
    """Seconds of the slowest commit of a hundred."""


class Ground:
    """One growing ledger that several cases measure."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = int(time.time())
        self.ledger, self.load = load.found(folder / "ledger", self.now)
        self.bills = 0
        self.rates: dict[int, Rates] = {}
        self.restart_seconds: dict[int, float] = {}

    @contextmanager
    def engine(self) -> Iterator[EmbeddedEngine]:
        """The engine over the ledger, closed at the end."""
        with EmbeddedEngine(self.ledger) as engine:
            yield engine

    def grow(self, bills: int, reference: references.Decoding | None = None) -> Rate:
        """Issue bills in batches: bills per CPU-second and per second, signing left out.

        One thread does all that the engine's threads do to a batch: authenticate, admit, execute,
        commit, in blocks as large as the engine makes them, and move the WAL when it is large.
        """
        ledger, now, cpu, wall = self.ledger, int(time.time()), 0.0, 0.0
        signed = [self.load.bills(BATCH, now) for _ in range(bills // BATCH)]
        for at in range(0, len(signed), BLOCK):
            cpu, wall = cpu - time.process_time(), wall - time.perf_counter()
            block = [ledger.check(data) for data in signed[at : at + BLOCK]]
            refused = [each for each in ledger.admit(now, block) if each is not None]
            outcomes = ledger.execute(now, block).outcomes
            ledger.commit()
            if refused or any(each != ACCEPTED for some in outcomes for each in some):
                raise RuntimeError("a bill of the load was refused")
            if ledger.store.wal_bytes() > WAL_BYTES_SOFT_MAX:
                ledger.store.checkpoint()
            cpu, wall = cpu + time.process_time(), wall + time.perf_counter()
            if reference is not None:
                reference.take()
        self.bills += len(signed) * BATCH
        return Rate(len(signed) * BATCH / cpu, len(signed) * BATCH / wall)

    def grow_by_engine(self, engine: EmbeddedEngine, bills: int) -> float:
        """The same through the engine: bills a second."""
        now = int(time.time())
        signed = [self.load.bills(BATCH, now) for _ in range(bills // BATCH)]
        waiting: deque[Future[Committed]] = deque()
        start = time.perf_counter()
        for data in signed:
            if len(waiting) >= UNDER_WAY:
                _accepted(waiting.popleft())
            waiting.append(engine.submit(data))
        while waiting:
            _accepted(waiting.popleft())
        self.bills += len(signed) * BATCH
        return len(signed) * BATCH / (time.perf_counter() - start)

    def grow_to(self, bills: int, progress: Figures) -> None:
        """Grow until there are so many bills."""
        while self.bills < bills:
            self.grow(min(WINDOW * BATCH, bills - self.bills))
            progress.say(f"{self.bills:,} bills")

    def measure(self, mark: int) -> None:
        """Rates at this size; the reference is taken after each block."""
        windows, commits, reference = [], list[float](), references.Decoding()
        for _ in range(WINDOWS):
            cpu, wall = self.grow(WINDOW * BATCH, reference)
            windows.append((cpu, wall, cpu / reference.rate()))
        with self.engine() as engine, _timed_commits(self.ledger.store, commits):
            by_engine = [self.grow_by_engine(engine, WINDOW * BATCH) for _ in range(WINDOWS)]
        cpus, walls, ratios = zip(*windows, strict=True)
        p99 = sorted(commits)[int(len(commits) * 0.99)]
        self.rates[mark] = Rates(
            median(cpus), median(walls), median(ratios), median(by_engine), p99
        )

    def restart(self, mark: int) -> None:
        """Close, open, ask for one bill."""
        times = []
        for _ in range(RESTARTS):
            self.ledger.close()
            start = time.perf_counter()
            self.ledger = Ledger.open(self.folder / "ledger", rules())
            check_recent(self.ledger)
            with self.ledger.view() as view:
                if view.get(slot_key(load.CODE, 1), Bill) is None:
                    raise RuntimeError("the first bill is gone")
            times.append(time.perf_counter() - start)
        self.restart_seconds[mark] = median(times)


@contextmanager
def _timed_commits(store: Store, seconds: list[float]) -> Iterator[None]:
    """Note how long each commit of the store takes; the store itself is as it is."""
    commit = store.commit

    def timed(*args: Any, **named: Any) -> None:
        start = time.perf_counter()
        commit(*args, **named)
        seconds.append(time.perf_counter() - start)

    store.commit = timed  # type: ignore[method-assign]  # for the length of the measurement
    try:
        yield
    finally:
        del store.commit


def _accepted(future: Future[Committed]) -> Committed:
    answer = future.result(120)
    refused = [each for each in answer.outcomes if each != "accepted"]
    if refused:
        raise RuntimeError(f"a bill of the load was refused: {refused[0]}")
    return answer


def batches(ground: Ground, figures: Figures, large: int) -> None:
    """ledger_batch at the first mark, its rate at the last, restarts, bytes, memory, pauses."""
    first = min(1_000_000, large)
    ground.grow_to(min(SMALL, large), figures)
    ground.restart(0)
    ground.grow_to(first, figures)
    ground.measure(first)
    rates = ground.rates[first]
    figures.add(
        Figure("ledger_batch", rates.cpu, "bills/CPU-s", rates.ratio, "R2", 0.2, 0.4),
        Figure("ledger_batch_wall", rates.wall, "bills/s"),
        Figure("ledger_batch_engine", rates.by_engine, "bills/s"),
        Figure(
            *("commit_stall_p99", rates.commit_p99 * 1_000, "ms a commit"),
            minimum=100,
            lower_is_better=True,
        ),
    )
    if large > first:
        ground.grow_to(large, figures)
        ground.measure(large)
        later = ground.rates[large]
        same = later.ratio / rates.ratio  # each to its reference: the machine has moods
        figures.add(
            Figure("ledger_batch_5m", later.cpu, "bills/CPU-s", same, "ledger_batch", 0.7, 0.9)
        )
    ground.restart(large)
    times = ground.restart_seconds
    slower = times[large] / times[0]
    figures.add(
        Figure(
            "restart_5m", times[large] * 1_000, "ms", slower, f"at {SMALL:,} bills",
            minimum=2, lower_is_better=True,
        ),
        Figure("bytes_a_bill", (ground.folder / "ledger" / FILE).stat().st_size / ground.bills,
               "bytes on disk"),
        Figure("memory_peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB"),
    )  # fmt: skip


def singles(ground: Ground, figures: Figures, count: int) -> None:
    """One bill a transaction, each with its own signature, several submitters, group commit."""
    now = int(time.time())
    signed = [ground.load.bills(1, now) for _ in range(count)]
    verifying = references.verifying()
    with ground.engine() as engine:
        start = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(lambda half: _submit_all(engine, half), (signed[::2], signed[1::2])):
                pass  # raises what a submitter raised
        took = time.perf_counter() - start
    rate = count / took
    figures.add(Figure("ledger_single", rate, "bills/s", rate / verifying, "R3", 0.5, 0.9))


def _submit_all(engine: EmbeddedEngine, signed: list[bytes]) -> None:
    """Submit all, with so many under way, and see that each is accepted."""
    waiting: deque[Future[Committed]] = deque()
    for data in signed:
        if len(waiting) >= SINGLES_UNDER_WAY:
            _accepted(waiting.popleft())
        waiting.append(engine.submit(data))
    for future in waiting:
        _accepted(future)


def sealing(folder: Path, figures: Figures, count: int) -> None:
    """At an issuer: check a body, salt and commit every field and line, encrypt, store.

    A check-up's bill is as long as the reference's bodies; an outpatient's has its list as well.
    """
    scenes: tuple[tuple[str, Scene], ...] = (("seal", "checkup"), ("seal_outpatient", "outpatient"))
    for name, scene in scenes:
        rate, ratio, length = _seal(folder / scene, TYPES[scene], count)
        bounds = (0.02, 0.04) if name == "seal" else (None, None)
        figures.add(
            Figure(name, rate, f"bodies of {length:,.0f} bytes/CPU-s", ratio, "R2", *bounds)
        )


def _seal(folder: Path, kind: ReferenceType, count: int) -> tuple[float, float, float]:
    """Bodies per CPU-second, the median of its ratios to the reference, and their mean length."""
    institution = make_institution("hospital-01", "示范市第一医院")
    now = int(time.time())
    made = [make_draft(n, kind.scene, institution=institution, issued_at=now) for n in range(count)]
    drafts = [replace(each, network=bytes(32), number=n + 1) for n, each in enumerate(made)]
    key, rates, ratios = vault_key_from_seed(secrets.token_bytes(32)), [], []
    reference = references.Decoding()
    with Vault.open(folder, key.secret) as vault:
        for at in range(0, count, SEALED_TOGETHER):
            start = time.process_time()
            sealed = [
                seal(draft, kind.rules, 1, secrets.token_bytes(32))
                for draft in drafts[at : at + SEALED_TOGETHER]
            ]
            vault.put_many([one.prepared() for one in sealed])
            rates.append(len(sealed) / (time.process_time() - start))
            reference.take()
            ratios.append(rates[-1] / reference.rate())
    return median(rates), median(ratios), sum(len(encode(each)) for each in drafts) / count


def verifying(ground: Ground, figures: Figures, count: int) -> None:
    """Receipts of bills all over the ledger, each verified whole by a stranger."""
    ledger, policy = ground.ledger, load.trust(ground.ledger)
    checkpoint = ledger.checkpoint
    text = format_checkpoint(checkpoint)
    note = format_note(
        text,
        [
            sign_note(text, ledger.origin, load.signer("log")),
            cosign(text, "keeper/finance", load.signer("keeper"), int(time.time())),
        ],
    ).encode()
    random = Random(7)
    receipts: list[bytes] = []
    with ledger.view() as view:
        while len(receipts) < count:
            index = random.randrange(ledger.head.size)
            try:
                receipts.append(encode(view.receipt(index, note)))
            except LookupError:
                continue  # a block's leaf has no receipt
    verifier = Verifier(policy)
    start = time.process_time()
    verdicts = [verifier.receipt(data).verdict for data in receipts]
    took = time.process_time() - start
    if set(verdicts) != {Verdict.ACCEPTED}:
        raise RuntimeError(f"a receipt of the load is {set(verdicts)}")
    rate = count / took
    figures.add(
        Figure("verify_receipt", rate, "receipts/CPU-s", rate / references.verifying(), "R3"),
        Figure("receipt_bytes", sum(map(len, receipts)) / count, "bytes a receipt"),
    )


def keeping(folder: Path, figures: Figures, count: int) -> None:
    """A keeper follows: authenticates, executes, compares and stores every block again."""
    ledger, bills = load.found(folder / "source", int(time.time()))
    with EmbeddedEngine(ledger) as engine:
        for _ in range(count // BATCH):
            _accepted(engine.submit(bills.bills(BATCH, int(time.time()))))
    writer = FeedWriter(folder / "feed", (folder / "source" / GENESIS_FILE).read_bytes())
    with ledger.store.snapshot() as snapshot:
        writer.append(snapshot)
    writer.close()
    ledger.close()
    with open_keeper(folder / "keeper", folder / "feed", load.signer("keeper")) as keeper:
        start = time.process_time()
        keeper.step()
        took = time.process_time() - start
    if FeedReader(folder / "feed").checkpoint() is not None:
        raise RuntimeError("the feed of the benchmark has no checkpoint to sign")
    rate = count / took
    batch = figures.value("ledger_batch")
    figures.add(
        Figure(
            "keeper", rate, "bills/CPU-s", rate / batch if batch else None, "ledger_batch", 0.8, 1
        )
    )
