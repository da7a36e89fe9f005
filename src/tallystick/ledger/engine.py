"""The seam between the ledger and whoever decides the order.

An engine takes authentic transactions from many threads, orders them into blocks, executes and
commits each block, and answers when that is durable. See docs/architecture.md.

Invariant: an answer is given after the fsync of its block, or not at all; nothing is taken twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from types import MappingProxyType
from typing import NamedTuple, Protocol

from tallystick.protocol.errors import TallystickError


class Committed(NamedTuple):
    """What became of a transaction that is on the ledger."""

    tx_id: str
    first: int
    """Log index of its first entry; item n has entry first + n."""
    outcomes: Sequence[str]
    """Of each item: ``accepted`` or a reason."""
    block: int
    at: int
    """Unix seconds of its block."""
    repeated: bool = False
    """It was on the ledger before; this is the old answer."""
    why: Mapping[int, str] = MappingProxyType({})
    """Of refused items, by n: the field at fault and more, for people. Not in an old answer: the
    log has the reasons alone."""


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
