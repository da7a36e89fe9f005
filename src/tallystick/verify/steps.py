"""The numbered steps: ticked off as they hold, and named by a failure.

Invariant: a `VerificationFailed` within `with Steps()` leaves it with the number of its step.
See docs/spec/receipt.md.
"""

from __future__ import annotations

from typing import NamedTuple

from tallystick.protocol.errors import VerificationFailed


class FailedStep(VerificationFailed):
    """A step did not hold; `step` is its number."""

    def __init__(self, step: int, what: str, detail: str) -> None:
        super().__init__(detail, path=f"step {step}, {what}")
        self.step = step


class Step(NamedTuple):
    """A step that held, and what it found, for people."""

    number: int
    what: str
    finding: str


class Steps:
    """Ticks the steps off, and tells a failure at which one it happened."""

    def __init__(self) -> None:
        self.held: list[Step] = []
        self._now = (0, "")

    def at(self, number: int, what: str) -> None:
        self._now = (number, what)

    def done(self, finding: str) -> None:
        self.held.append(Step(*self._now, finding))

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, VerificationFailed):
            raise FailedStep(*self._now, error.detail) from error
