"""The node's clock: which second the next block gets, and when to rather stop.

`at` = max(the last block's time, our own last co-signing time, now). A single jump forward would
poison a ledger whose time never goes back, so the clock is judged at the start against the last
block and the keepers, and while running against the monotonic clock. See docs/spec/block.md.

Invariant: block times never decrease, and no block is made while the clock is not believed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from tallystick.protocol.errors import TallystickError
from tallystick.protocol.values import DAY_SECONDS, format_instant

BEHIND_SECONDS_MAX = 300
"""How far a clock may be behind the last block at the start: more is a broken clock."""
AHEAD_OF_KEEPER_SECONDS_MAX = 60
AHEAD_SECONDS_MAX = 30 * DAY_SECONDS
"""Without keepers: how long a ledger may have been silent before a person must say so."""
JUMP_SECONDS_MAX = 300
"""Against the monotonic clock while running."""
CONFIRMED_SECONDS = 600
"""How long a person's word holds."""
CONFIRMED_FILE = "clock-confirmed"


class ClockDoubt(TallystickError):
    """The clock is not believed; `tally clock confirm` says that it is right after all."""


class Clock:
    """Whole seconds for blocks and co-signatures."""

    def __init__(
        self,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._monotonic = monotonic
        self._started = (now(), monotonic())
        self._lock = threading.Lock()
        self._signed_at = 0
        self._making_at: int | None = None

    def now(self) -> int:
        """Unix seconds, whether believed or not."""
        return int(self._now())

    def signed(self, at: int) -> None:
        """We co-signed at this time, before a restart: no later block may be older."""
        with self._lock:
            self._signed_at = max(self._signed_at, at)

    def sign_at(self) -> int:
        """The time at which to say that a log is all there is; ask before looking at the log.

        Not after the time of a block that is being made: however long that takes, nobody may say
        later that we had hidden it. No later block is older. `ClockDoubt` as for a block: a time
        that was signed cannot be taken back.
        """
        at = self._believed()
        with self._lock:
            if self._making_at is not None:
                at = min(at, self._making_at)
            self._signed_at = max(self._signed_at, at)
            return self._signed_at

    def start(self, last_at: int, folder: Path, *, keeper_at: int | None = None) -> None:
        """Believe the clock, or raise `ClockDoubt`.

        `last_at` is the time of the last block, `keeper_at` what the clock of a keeper that can be
        reached says now, None where none can; both Unix seconds.
        """
        last_at = max(last_at, self._signed_at)
        self._started = (self._now(), self._monotonic())
        now = int(self._now())
        if take_confirmation(folder, now):
            return
        if now < last_at - BEHIND_SECONDS_MAX:
            raise _doubt(now, "behind the last block", last_at)
        if keeper_at is not None and now > keeper_at + AHEAD_OF_KEEPER_SECONDS_MAX:
            raise _doubt(now, "ahead of a keeper's clock", keeper_at)
        if keeper_at is None and now > last_at + AHEAD_SECONDS_MAX:
            raise _doubt(now, "far ahead of the last block", last_at)

    def at(self, last_at: int) -> int:
        """The next block's time; the block is being made until `made`."""
        now = self._believed()
        with self._lock:
            self._making_at = max(last_at, self._signed_at, now)
            return self._making_at

    def made(self) -> None:
        """The block is committed, or there is none."""
        with self._lock:
            self._making_at = None

    def _believed(self) -> int:
        """Unix seconds, or `ClockDoubt`: wall and monotonic clock have come apart."""
        now, monotonic = self._now(), self._monotonic()
        drift = (now - self._started[0]) - (monotonic - self._started[1])
        if abs(drift) > JUMP_SECONDS_MAX:
            raise ClockDoubt(
                f"the clock jumped by {drift:.0f} s to {format_instant(int(now))} while running; "
                "set it right and start again, or say `tally clock confirm`"
            )
        return int(now)


def confirm(folder: Path, now: int) -> None:
    """A person says that the clock is right; holds for the next start within ten minutes."""
    (folder / CONFIRMED_FILE).write_text(f"{format_instant(now)}\n{now}\n", encoding="ascii")


def take_confirmation(folder: Path, now: int) -> bool:
    """Whether a person said so lately; the word is used up."""
    path = folder / CONFIRMED_FILE
    try:
        said = int(path.read_text(encoding="ascii").split("\n")[1])
    except (FileNotFoundError, IndexError, ValueError):
        return False
    path.unlink()
    return abs(now - said) <= CONFIRMED_SECONDS


def _doubt(now: int, what: str, against: int) -> ClockDoubt:
    return ClockDoubt(
        f"the clock says {format_instant(now)}, {what} at {format_instant(against)}; "
        "set the clock, or say `tally clock confirm` if it is right"
    )
