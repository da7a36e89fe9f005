"""A keeper that is asked: the processes of `serve` over the keeper's own ledger, reads alone.

The keeper's process has the writer and steps it; workers read beside it and prove under the newest
note that the keeper has signed. What it holds it has executed itself, so that members can read it
while the operator is away, and compare while it is not. See docs/spec/keeper.md.

Invariant: nothing is taken in, and nothing is shown as signed that this keeper has not executed.
"""

from __future__ import annotations

import socket
from typing import NoReturn

from tallystick.engines.clock import Clock
from tallystick.engines.following import Following
from tallystick.engines.keeper import Keeper
from tallystick.ledger.engine import Stopped
from tallystick.protocol.canonical import replace
from tallystick.serve import Answering
from tallystick.web.hub import Hub
from tallystick.worker import Settings


class ServedKeeper(Answering):
    """A keeper with everything that answers for it; the thread that steps it calls `stepped`."""

    def __init__(
        self,
        keeper: Keeper,
        following: Following,
        sock: socket.socket,
        settings: Settings,
        *,
        operator: str,
        clock: Clock,
    ) -> None:
        """`operator` is the address where transactions are taken; `sock` is bound."""
        self._keeper = keeper
        self._following = following
        self._operator = operator
        self._clock = clock
        self._noted: tuple[int, bytes] = (-1, b"")
        folder = keeper.ledger.folder
        self._own_hub = Hub(
            folder, submit=_refuse, offer=_refuse, note=self._note, sizes=self._sizes
        )
        keeper.before_wal = self._own_hub.drop
        hooks = replace(settings.config.webhooks, enabled=False)  # the operator delivers events
        settings = replace(
            settings, read_only=operator, config=replace(settings.config, webhooks=hooks)
        )
        try:
            super().__init__(folder, self._own_hub, sock, settings, self.figures)
        except BaseException:
            self._own_hub.close()
            raise

    def close(self) -> None:
        """Answer what is under way; the keeper is its owner's to close."""
        super().close()
        self._own_hub.close()

    def stepped(self) -> None:
        """Between two steps: readers hold the moment that was signed, and are told the note."""
        keeper = self._keeper
        noted = (keeper.note_size, keeper.note or b"")
        if keeper.note is None or noted == self._noted:
            return
        if noted[0] != self._noted[0] and keeper.ledger.head.size == noted[0]:
            self._own_hub.pin(noted[0])
        self._noted = noted
        self._own_hub.publish(noted[0])

    def figures(self) -> dict[str, object]:
        """What a keeper's people watch, and what others may know of it."""
        keeper, following = self._keeper, self._following
        head, (size, at) = keeper.ledger.head, keeper.signed
        found: dict[str, object] = {
            "role": "keeper",
            "operator": self._operator,
            "operator_reached_at": following.reached_at,
            "block": head.block,
            "size": head.size,
            "at": head.at,
            "behind": max(0, keeper.told_size - head.size),
            "published": max(self._noted[0], 0),
            "signed_size": size,
            "signed_at": at,
            "clock": self._clock.now(),
            "stopped": False,
        }
        if (name := keeper.name) is not None:
            found["name"] = name
        if (absence := following.absence) is not None:
            found["operator_away_since"] = absence.since
        return found

    def _note(self, size: int) -> bytes:
        noted = self._noted
        if noted[0] != size:
            raise LookupError(size)
        return noted[1]

    def _sizes(self) -> list[int]:
        return [self._noted[0]] if self._noted[0] >= 0 else []


def _refuse(_: bytes) -> NoReturn:
    """Workers refuse by themselves, and say where to go; this is for a worker that did not."""
    raise Stopped("a keeper takes nothing in")
