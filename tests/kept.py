"""Keepers as their members run them: `tally keep` in processes of their own, over real sockets.

Invariant: nothing here is a stand-in but the server that lies, which says that it does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from offices import HOSPITAL
from served import INSURER, RealCity, now

from tallystick.client import wire
from tallystick.client.signing import SignedBy
from tallystick.client.sync import Client
from tallystick.contracts.members.actions.keepers import AddKeeper
from tallystick.keyring import generate, load
from tallystick.protocol.keys import Signer
from tallystick.protocol.trust import TrustedKeeper, TrustPolicy

T = TypeVar("T")

SECONDS = 30
ORGS = ("finance", HOSPITAL, INSURER)


def until(look: Callable[[], T], seconds: float = SECONDS) -> T:
    """What `look` gives once it gives something."""
    ends = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.02)
    return found


@dataclass
class Kept:
    """A member's keeper: a key file and a folder; started, stopped and killed as tests like."""

    name: str
    org: str
    key: Path
    folder: Path
    network: bytes
    url: str = ""
    """Where it answers, while it listens."""
    process: subprocess.Popen[str] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder.with_suffix(".log")

    @property
    def signer(self) -> Signer:
        return load(self.key)

    def command(self, source: str, *more: object) -> list[str]:
        command = ["keep", "--from", source, "--dir", self.folder, "--key", self.key, *more]
        command += ["--network", self.network.hex()]
        return [sys.executable, "-m", "tallystick.cli", *map(str, command)]

    def start(self, source: str, *more: object, listen: bool = False) -> None:
        assert self.process is None
        if listen:
            more = (*more, "--listen", self.url.removeprefix("http://") or "127.0.0.1:0")
        environment = os.environ | {
            "TALLY_LOGS_REQUESTS": "false",
            "TALLY_PARENT": str(os.getpid()),
        }
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command(source, *more),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )

    def listens(self) -> None:
        """Wait until it answers."""
        assert self.process is not None and self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://"), self.log.read_text()

    def stop(self) -> int:
        """As by Ctrl-C; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.wait()

    def wait(self) -> int:
        assert self.process is not None
        code = self.process.wait(SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
        return code

    def client(self, who: Signer | None = None) -> Client:
        """Asks this keeper."""
        return Client(self.url, auth=None if who is None else SignedBy(who, now))

    def health(self) -> dict[str, object]:
        with self.client() as client:
            return client.run(wire.health())


@contextmanager
def keepers_of(city: RealCity, orgs: Sequence[str] = ORGS) -> Iterator[list[Kept]]:
    """A keeper of each of these organisations, taken into service; none runs yet."""
    found = []
    for org in orgs:
        key = city.folder / "keepers" / f"{org}.json"
        key.parent.mkdir(exist_ok=True)
        made = generate(key, name=f"k-{org}")
        folder = city.folder / "keepers" / org
        found.append(Kept(f"k/{org}", org, key, folder, city.node.network))
        joins = AddKeeper(nonce=city.nonce(), name=f"k/{org}", org=org, key=made.public_key)
        city.act("finance", "members.add_keeper", joins)
    try:
        yield found
    finally:
        for each in found:
            each.kill()


def policy_of(
    city: RealCity, keepers: Sequence[Kept], threshold: int, *required: str
) -> TrustPolicy:
    """So many of these, some of them in any case."""
    return TrustPolicy(
        format="tallystick/trust/v1",
        version=1,
        network=city.node.network,
        origin=city.node.ledger.origin,
        log_keys=list(city.node.ledger.genesis.log_keys),
        keepers=[
            TrustedKeeper(name=each.name, org=each.org, key=each.signer.public_key)
            for each in keepers
        ],
        threshold=threshold,
        required=list(required),
        status_max_age_seconds=86_400,
    )
