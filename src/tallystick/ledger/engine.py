"""The seam between the ledger and whoever decides the order.

An engine takes authentic transactions from many threads, orders them into blocks, executes and
commits each block, and answers when that is durable. See docs/architecture.md.

Invariant: an answer is given after the fsync of its block, or not at all; nothing is taken twice.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from tallystick.protocol.committed import Committed
from tallystick.protocol.errors import TallystickError

__all__ = ["Committed", "Engine", "Stopped"]


class Stopped(TallystickError):
    """The engine has stopped: what was not answered may or may not be on the ledger; ask again
    with the same bytes once it runs."""


class Engine(Protocol):
    """Fulfilled by each engine of row 5."""

    def submit(self, data: bytes) -> Future[Committed]:
        """Check and queue a transaction; from any thread.

        Raises `Malformed` or `VerificationFailed` at once, and `Busy` when the queue is full: then
        nothing was taken. The future gives `Committed` once it is durable, or raises
        `VerificationFailed` when the signature is false, `Rejected` when the transaction may not be
        ordered, `Stopped` when the engine stopped first. Submitting the same bytes again is safe
        and gives the old answer.
        """

    def close(self) -> None:
        """Finish what is queued, then stop."""
