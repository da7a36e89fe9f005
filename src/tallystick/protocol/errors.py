"""Every failure that Tallystick expects, in three kinds.

    Exception
    └── TallystickError
        ├── Malformed            the bytes are not the one encoding of a value      (400)
        ├── VerificationFailed   a proof, a signature or a path does not hold       (422)
        ├── Rejected             a rule says no: an outcome, with a stable reason   (422)
        ├── Busy                 nothing is wrong, try again after a while          (503)
        └── Damaged              a file of ours is not what we wrote: stop          (500)

Invariant: whatever else is raised is a bug. Out of contract code a bug becomes the outcome
``ledger.fault``; anywhere else it is not caught and the node stops. `reason` is agreed by all
nodes and hashed; `detail` and `path` are for people and never hashed. See docs/spec/errors.md.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Base of each domain's enumeration of refusals: append-only, never reused or renumbered."""


class TallystickError(Exception):
    """Base of all expected failures; `path` names the field: a JSON pointer without its slash."""

    def __init__(self, detail: str = "", *, path: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}" if self.path else self.detail


class Malformed(TallystickError):
    """The bytes are not the one canonical encoding of a value of the expected type."""


class VerificationFailed(TallystickError):
    """A proof or signature does not hold. Never ignored, never a bool."""


class Rejected(TallystickError):
    """A rule says no. `reason` is consensus, `detail` is for people."""

    def __init__(self, reason: Reason, detail: str = "", *, path: str = "") -> None:
        super().__init__(detail or reason.value, path=path)
        self.reason = reason


class Busy(TallystickError):
    """The queue is full; nothing was taken. Ask again after `retry_after_seconds`."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(f"busy, retry after {retry_after_seconds:g} s; nothing was taken")
        self.retry_after_seconds = retry_after_seconds


class Damaged(TallystickError):
    """A file differs from what was written: names the file and the first difference."""
