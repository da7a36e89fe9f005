"""A disk that fails at its n-th write: the engine stops, and what it answered is there.

Invariant: out of an engine come answers, `Stopped` and `Busy`, out of opening `TallystickError`,
whatever the disk does. See docs/spec/storage.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apsw
from faults.ground import contents, log_root
from faults.powercut import Disk, Instant

from tallystick.engines.clock import Clock
from tallystick.engines.embedded import EmbeddedEngine
from tallystick.ledger.engine import Committed
from tallystick.ledger.ledger import Ledger
from tallystick.node import rules
from tallystick.protocol.errors import TallystickError

FAILURES: dict[str, type[apsw.Error]] = {"full": apsw.FullError, "broken": apsw.IOError}


class Failing:
    """Fails the n-th instant, and with `for_good` all that follow."""

    def __init__(self, n: int, failure: str, *, for_good: bool) -> None:
        self.left, self.failure, self.for_good, self.failed = n, failure, for_good, False

    def __call__(self, instant: Instant) -> None:
        self.left -= 1
        if self.left == 0 or (self.left < 0 and self.for_good):
            self.failed = True
            raise FAILURES[self.failure](f"at a {instant.what} of {instant.file}")


def steady(at: int) -> Clock:
    """A clock that stands still."""
    return Clock(now=lambda: float(at), monotonic=lambda: 0.0)


def submit_on(
    folder: Path, transactions: Sequence[bytes], at: int, before: Failing, *, reads: bool
) -> dict[bytes, Committed]:
    """Submit one after the other on a failing disk, moving the WAL between: what was answered."""
    answered: dict[bytes, Committed] = {}
    disk = Disk(before, reads=reads)
    try:
        ledger = Ledger.open(folder, rules(), vfs=disk.name)
    except TallystickError:
        return answered
    try:
        with EmbeddedEngine(ledger, clock=steady(at)) as engine:
            for n, data in enumerate(transactions):
                answered[data] = engine.submit(data).result(60)
                if n % 3 == 2:
                    ledger.store.checkpoint()
    except TallystickError as error:
        assert before.failed, error
    finally:
        ledger.close()
    return answered


def submit_again(
    folder: Path, transactions: Sequence[bytes], at: int, answered: dict[bytes, Committed]
) -> None:
    """On a sound disk: the old answers where there were any, and everything once."""
    with Ledger.open(folder, rules()) as ledger:
        with EmbeddedEngine(ledger, clock=steady(at)) as engine:
            for data in transactions:
                again = engine.submit(data).result(60)
                if data in answered:
                    before = answered[data]
                    assert again.repeated
                    assert (again.first, again.block, again.at) == (
                        *(before.first, before.block, before.at),
                    )
                    assert list(again.outcomes) == list(before.outcomes)
        assert log_root(ledger) == ledger.head.root
    kept = [row[-1] for row in contents(folder)["segments"]]
    assert all(kept.count(data) == 1 for data in transactions)
