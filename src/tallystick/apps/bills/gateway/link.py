"""A gateway's way to the ledger: one connection, and whether anybody is at its other end.

Invariant: the ledger is called away only after it has not answered for as long as the configuration
says, and back only after it has. See docs/guides/gateway.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tallystick.apps.bills.gateway.desk import Known
from tallystick.apps.bills.remote import Connection
from tallystick.client import wire
from tallystick.client.failures import Equivocation
from tallystick.protocol.errors import TallystickError

PROBE_SECONDS_MAX = 3.0
"""One question whether it is there."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the ledger last said of itself."""

    state: str = ""
    size: int = 0
    keepers: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Up to which size each has signed, and when (Unix seconds)."""


class Link:
    """From any thread; `probe` from one."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        away_seconds: float,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`connect` makes the connection; it fails as long as nobody has ever answered."""
        self._connect = connect
        self._away_seconds = away_seconds
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._known: Known | None = None
        self._answered_at: float | None = None
        self.health = Health()
        self.why = ""
        """What the last question failed with."""
        self.trouble = ""
        """Two histories: nothing goes on before somebody has looked."""

    @property
    def connection(self) -> Connection | None:
        """None until somebody has answered once, in this folder."""
        return self._connection

    @property
    def known(self) -> Known | None:
        """Types that were read, for whoever makes bills."""
        return self._known

    @property
    def silent_seconds(self) -> float | None:
        """Since the last answer; None: there was none."""
        return None if self._answered_at is None else self._elapsed() - self._answered_at

    @property
    def away(self) -> bool:
        """Whether to do without it."""
        silent = self.silent_seconds
        return self._connection is None or silent is None or silent > self._away_seconds

    def probe(self) -> None:
        """Ask whether it is there."""
        try:
            connection = self._open()
            connection.history.guard()
            self.health = connection.client.once(_HEALTH, PROBE_SECONDS_MAX)
        except Equivocation as error:
            self.trouble = self.why = str(error)
        except TallystickError as error:
            self.why = str(error)
        else:
            self._answered_at, self.why = self._elapsed(), ""

    def close(self) -> None:
        """Stop; whoever waits for an answer is told that none came."""
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> Connection:
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
                self._known = Known(self._connection.view)
            return self._connection


def _health(body: bytes) -> Health:
    said = wire.reading(dict[str, Any])(body)
    keepers = said.get("keepers")
    return Health(
        state=str(said.get("state", "")),
        size=_count(said.get("size")),
        keepers={
            str(name)[:80]: (_count(each.get("size")), _count(each.get("at")))
            for name, each in (keepers.items() if isinstance(keepers, dict) else ())
            if isinstance(each, dict)
        },
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


_HEALTH: wire.Call[Health] = wire.Call("GET", "/api/v1/health", _health)
