"""A keeper at work for months: step by step, and waiting while its operator is away.

Nothing that a network or an operator's machine does ends it: it asks again, with pauses that grow,
and says that it waits, and for what. Only a contradiction, or trouble of its own, goes up.
See docs/spec/keeper.md.

Invariant: a contradiction is never taken for an absence.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tallystick.client.failures import Away, NotYet, ServerFailed, Unanswered, WrongAnswer
from tallystick.engines.clock import Clock
from tallystick.engines.keeper import Contradiction, Keeper
from tallystick.protocol.errors import (
    Busy,
    Malformed,
    Rejected,
    TallystickError,
    VerificationFailed,
)

T = TypeVar("T")

POLL_SECONDS = 0.1
"""Between two questions whether there is a newer checkpoint."""
POLL_SECONDS_MAX = 0.5
"""After some quiet."""
QUIET_SECONDS = 30
PAUSE_SECONDS = 0.2
PAUSE_SECONDS_MAX = 10.0
"""Longest pause while the operator is away."""
TROUBLE = (Away, Busy, NotYet, Unanswered, ServerFailed, WrongAnswer, Rejected)
"""What somebody else may mend; with what is not the operator's word: `VerificationFailed`."""


@dataclass(slots=True)
class Absence:
    """The operator is away, or not to be understood."""

    since: int
    """Unix seconds."""
    why: str


class Following:
    """Steps a keeper; for one thread."""

    def __init__(
        self,
        clock: Clock,
        told: Callable[[str], None] = lambda text: None,
        *,
        patient: bool = True,
    ) -> None:
        """`told` is given what a person should know, once each time that it changes.

        Not `patient`: whatever the operator does wrong goes up.
        """
        self.absence: Absence | None = None
        self.reached_at = 0
        """Unix seconds: when the operator answered last."""
        self.blocks = 0
        self.busy_seconds = 0.0
        self._clock = clock
        self._told = told
        self._patient = patient
        self._pause = PAUSE_SECONDS
        self._changed = time.monotonic()

    def step(self, keeper: Keeper) -> float:
        """Do what there is to do; the seconds after which to look again."""
        started = time.monotonic()
        before, size = keeper.ledger.head.block, keeper.note_size
        stepped = self.ask(keeper.step)
        done = keeper.ledger.head.block - before
        self.blocks += done
        now = time.monotonic()
        if done:
            self.busy_seconds += now - started
        if done or keeper.note_size != size:
            self._changed = now
        if stepped is None:
            return self._pause
        if done:
            return 0.0
        return POLL_SECONDS if now - self._changed < QUIET_SECONDS else POLL_SECONDS_MAX

    def ask(self, what: Callable[[], T]) -> T | None:
        """What the operator answers; None when it did not: then wait for `pause`."""
        try:
            found = what()
        except Contradiction:
            raise
        except (*TROUBLE, VerificationFailed, Malformed) as error:
            if not self._patient:
                raise
            self._miss(error)
            return None
        self._meet()
        return found

    @property
    def pause(self) -> float:
        """Seconds, after it did not answer."""
        return self._pause

    def _miss(self, error: TallystickError) -> None:
        why = f"{type(error).__name__}: {error}"
        if self.absence is None:
            self.absence, self._pause = Absence(self._clock.now(), ""), PAUSE_SECONDS
        else:
            self._pause = min(self._pause * 2, PAUSE_SECONDS_MAX)
        if isinstance(error, Busy):
            self._pause = max(self._pause, min(error.retry_after_seconds, PAUSE_SECONDS_MAX))
        if type(error).__name__ != self.absence.why.partition(":")[0]:
            self._told(f"the operator does not answer: {why}; asked again until it does")
        self.absence.why = why

    def _meet(self) -> None:
        self.reached_at, self._pause = self._clock.now(), PAUSE_SECONDS
        if self.absence is not None:
            away = self.reached_at - self.absence.since
            self.absence = None
            self._told(f"the operator answers again, after {away} s")
