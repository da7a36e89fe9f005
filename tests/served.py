"""A city's ledger served over real sockets by real processes, and clients with the city's keys.

Invariant: nothing here is a stand-in; the clock is the machine's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acts import founder
from offices import City, signer

from tallystick.apps.bills.catalogue import TYPES, Scene
from tallystick.client.signing import SignedBy
from tallystick.client.sync import Client
from tallystick.engines.clock import Clock
from tallystick.protocol.genesis import FoundingOrg
from tallystick.protocol.keys import Signer
from tallystick.protocol.trust import TrustPolicy
from tallystick.protocol.values import format_instant
from tallystick.serve import Served
from tallystick.web.config import read as config_of
from tallystick.web.server import listening
from tallystick.worker import Settings

AGED_SECONDS = 5 * 3600
"""How long ago the city was founded: bills of this morning are no older than its ledger."""
INSURER, OTHER = "insurer-01", "hospital-02"


def now() -> int:
    """Unix seconds of this machine."""
    return int(time.time())  # noqa: TID251  # requests are judged by the clock of real processes


def code(scene: Scene = "outpatient") -> int:
    """The bill code that a city of today has for a scene."""
    return TYPES[scene].code(int(format_instant(now() - AGED_SECONDS)[:4]))


class RealCity(City):
    """A city whose clock is the machine's."""

    def __init__(self, folder: Path, *, more: Sequence[FoundingOrg] = (), **named: Any) -> None:
        orgs = [founder(INSURER, "bills.*"), founder(OTHER, "bills.issue"), *more]
        super().__init__(
            folder, more=orgs, founded_at=format_instant(now() - AGED_SECONDS), **named
        )
        self.now = now()

    def clock(self) -> Clock:
        return Clock()


@contextmanager
def serving(
    city: City, *, trust: TrustPolicy | None = None, toml: str = "", port: int = 0
) -> Iterator[Served]:
    """The city's node, answering on a port of its own; `toml`: settings, see `web.config`."""
    sock = listening("127.0.0.1", port)
    host, bound = sock.getsockname()
    config = config_of(toml, {} if "[logs]" in toml else {"TALLY_LOGS_REQUESTS": "false"})
    settings = Settings(config=config, authorities=[f"{host}:{bound}"], trust=trust)
    with Served(city.node, sock, settings) as served:
        yield served


def client(served: Served, who: Signer | str | None = None) -> Client:
    """Asks as an organisation (its first operating key), as any other key, or as nobody."""
    key = signer(f"{who}/key") if isinstance(who, str) else who
    return Client(served.url, auth=None if key is None else SignedBy(key, now))
