"""When a call is sent again, and when not: one rule for both clients.

Only what changes nothing when it comes twice is sent at all: questions, and transactions, whose
same bytes give the same answer. See docs/guides/sdk.md.

Invariant: every call ends by its deadline, with an answer or with a text that says what to do.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from tallystick.client.failures import Away, NotYet, Unanswered
from tallystick.client.wire import Call
from tallystick.protocol.errors import Busy, TallystickError

FIRST_PAUSE_SECONDS = 0.1
PAUSE_SECONDS_MAX = 10.0
AGAIN: tuple[type[TallystickError], ...] = (Busy, Away, NotYet)
"""Failures after which the same call is sent again."""
_FINE = 1 << 30


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what."""

    connect_seconds: float = 5.0
    answer_seconds: float = 20.0
    """Between two parts of an answer; what a call lets the server wait comes on top."""
    deadline_seconds: float = 60.0
    """For one call with all its repetitions."""
    connections_max: int = 16


class Attempts:
    """The attempts at one call."""

    def __init__(self, call: Call[Any], where: str, deadline: float, seconds: float) -> None:
        """`deadline`, and what `pause_after` is told, are of one monotonic clock."""
        self._call = call
        self._where = where
        self._deadline = deadline
        self._seconds = seconds
        self._pause = FIRST_PAUSE_SECONDS

    def left(self, now: float) -> float:
        """Seconds until the deadline, never quite none."""
        return max(self._deadline - now, 0.05)

    def pause_after(self, error: TallystickError, now: float) -> float:
        """How long to wait before the next attempt; raises when there is to be none."""
        if not isinstance(error, AGAIN):
            raise error
        pause = self._pause * (0.5 + secrets.randbelow(_FINE) / _FINE)
        if isinstance(error, NotYet):
            pause = 0.0 if self._call.wait_seconds else max(pause, error.retry_after_seconds)
        if isinstance(error, Busy):
            pause += error.retry_after_seconds
        self._pause = min(self._pause * 2, PAUSE_SECONDS_MAX)
        if now + pause >= self._deadline:
            if isinstance(error, NotYet | Busy):
                raise error
            raise Unanswered(self._advice(error)) from error
        return pause

    def _advice(self, error: TallystickError) -> str:
        said = f"no answer from {self._where} within {self._seconds:g} s ({error}); "
        if self._call.enters:
            return said + (
                "the transaction may have been entered: keep its bytes and send the same again, "
                "or ask what became of it by its sender and idempotency key"
            )
        return said + "nothing was changed: ask again later"
