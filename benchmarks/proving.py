"""Proofs as a service makes them: statuses, receipts, whole transactions; and checking them.

Invariant: numbers and entries are random over all of the ledger; everything that is made is
verified by a stranger. See docs/benchmarks.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from typing import TypeVar

from benchmarks import load, references
from benchmarks.figures import Figure, Figures
from benchmarks.showing import note_of
from tallystick.ledger.beside import ReadLedger
from tallystick.ledger.kept import Kept
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.proving import Prover
from tallystick.ledger.view import View
from tallystick.node import rules
from tallystick.protocol.batch import Receipts
from tallystick.protocol.canonical import encode
from tallystick.verify import Verdict, Verifier

KIND = "bills.bill"
WINDOWS = 5
NEAR = 2_000
"""Receipts of the newest entries: those that are asked for."""

T = TypeVar("T")


def proving(folder: Path, figures: Figures, count: int) -> None:
    """All of it over a ledger that is there, read as the service's workers read it.

    `count` statuses are made in each window; the first, which fills what is kept, is a figure too.
    """
    with Ledger.open(folder, rules()) as ledger:
        note, policy = note_of(ledger), load.trust(ledger)
    beside = ReadLedger(folder, rules())
    with beside.view() as view:
        random, kept, rates = Random(7), Kept(), list[float]()
        numbers = Numbers(view, random)
        prover = Prover(view, note, kept)
        for _ in range(WINDOWS + 1):
            prover = Prover(view, note, kept)  # each second has a moment of its own
            rates.append(_rate(partial(_status, prover), numbers.draw(count)))
        cold, *rates = rates
        statuses = [_status(prover, number) for number in numbers.draw(1_000)]
        figures.add(
            Figure("status_first", cold, "statuses/CPU-s"),
            Figure("status", median(rates), "statuses/CPU-s"),
            Figure("status_bytes", sum(map(len, statuses)) / len(statuses), "bytes a status"),
        )
        _receipts(view, prover, random, figures)
        _batches(view, prover, random, Verifier(policy), figures)
    verifier = Verifier(policy)
    rate = _rate(partial(_good, verifier), statuses)
    figures.add(
        Figure("verify_status", rate, "statuses/CPU-s", rate / references.verifying(), "R3")
    )
    beside.close()


class Numbers:
    """Numbers that were issued, of all hospitals."""

    def __init__(self, view: View, random: Random) -> None:
        self._random = random
        self._last = [self._count(view, at * load.NUMBERS_EACH + 1) for at in range(load.HOSPITALS)]

    def _count(self, view: View, first: int) -> int:
        low, high = 0, load.NUMBERS_EACH  # a row at low - 1, none at high
        while low < high:
            middle = (low + high) // 2
            key = load.CODE * 10_000_000_000 + first + middle
            low, high = (low, middle) if view.rows.row(key) is None else (middle + 1, high)
        return low

    @property
    def issued(self) -> int:
        """How many there are."""
        return sum(self._last)

    def draw(self, count: int) -> list[int]:
        """So many, at random."""
        found = []
        for _ in range(count):
            hospital = self._random.randrange(load.HOSPITALS)
            number = self._random.randrange(self._last[hospital])
            found.append(1 + hospital * load.NUMBERS_EACH + number)
        return found


def _status(prover: Prover, number: int) -> bytes:
    return prover.status(load.CODE, number, KIND)


def _receipts(view: View, prover: Prover, random: Random, figures: Figures) -> None:
    """Of the newest entries, as they are asked for; and of any, whose transaction must be read."""
    size = view.head.size
    newest = [size - 2 - random.randrange(min(4_000, size - 2)) for _ in range(NEAR)]
    any_of = [random.randrange(size) for _ in range(NEAR // 10)]
    for name, indexes in (("receipt_new", newest), ("receipt_any", any_of)):
        rate = _rate(partial(_receipt, prover), indexes)
        figures.add(Figure(name, rate, "receipts/CPU-s"))


def _receipt(prover: Prover, index: int) -> None:
    with suppress(LookupError):  # a block's leaf has no receipt
        prover.receipt(index)


def _batches(
    view: View, prover: Prover, random: Random, verifier: Verifier, figures: Figures
) -> None:
    """Whole transactions: made, verified by their sender, and taken apart into receipts."""
    segments: dict[int, bytes] = {}
    while len(segments) < 50:
        segment = view.segment(random.randrange(view.head.size))
        segments[segment.first] = segment.data
    bills, made = 0, list[tuple[bytes, bytes]]()
    start = time.process_time()
    for first, data in segments.items():
        made.append((data, prover.batch_receipt(first)))
    making = time.process_time() - start
    start = time.process_time()
    for data, batch in made:
        found = verifier.batch(data, batch)
        bills += len(found.outcomes)
        if found.verdict is not Verdict.ACCEPTED:
            raise RuntimeError("a transaction of the load was refused")
    verifying = time.process_time() - start
    start = time.process_time()
    for data, batch in made:
        receipts = Receipts(data, batch)
        for n in range(len(receipts)):
            encode(receipts.receipt(n))
    taking = time.process_time() - start
    figures.add(
        Figure("batch_receipt", bills / making, "bills/CPU-s"),
        Figure("verify_batch", bills / verifying, "bills/CPU-s"),
        Figure("receipts_of_batch", bills / taking, "receipts/CPU-s"),
    )


def _good(verifier: Verifier, data: bytes) -> None:
    if verifier.status(data).verdict is not Verdict.GOOD:
        raise RuntimeError("a bill of the load is not good")


def _rate(run: Callable[[T], object], given: Sequence[T]) -> float:
    """Calls per CPU-second."""
    start = time.process_time()
    for one in given:
        run(one)
    return len(given) / (time.process_time() - start)
