"""kill -9 of a whole server, of its node, of a worker, and of the hospital that issues through it.

As a program, ``served_killed.py FOLDER URL TURN JOURNAL`` is that hospital: the SDK, which issues
without end. JOURNAL gets a line before each draft is handed over and one after each bill that the
SDK has called accepted; both are on the disk before what follows.

Invariant: afterwards each draft is on the ledger once, or never and was never answered; the SDK
goes on by itself when the server is back. See docs/guides/sdk.md.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from faults.processes import kill, start
from offices import HOSPITAL, signer
from served import RealCity, code, now
from serving_processes import Server, key_file

from tallystick.apps.bills.catalogue import TYPES
from tallystick.apps.bills.generate import make_draft
from tallystick.apps.bills.hospital import VAULT_KEY, Hospital
from tallystick.cli.founding import make_policy
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.records.bills import Bill
from tallystick.keyring import load_vault_key
from tallystick.ledger.doctor import examine
from tallystick.ledger.ledger import Ledger
from tallystick.node import rules
from tallystick.protocol.body import encoded_root
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.trust import read_trust
from tallystick.vault import Vault

NUMBERS = 1_000_000
CODE = code()
ALIVE_SECONDS_MAX = 1.5
GOES_ON_SECONDS_MAX = 60
WAYS = ("server", "server", "node", "worker", "hospital")


@dataclass
class Seen:
    """What the rounds saw."""

    kills: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    unanswered: int = 0
    unanswered_kept: int = 0


class KilledServers:
    """One city, its server on one port, a hospital in another process; rounds of killing."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = Random(seed)
        self.seen = Seen()
        rules_of = {"outpatient": TYPES["outpatient"].rules}
        with RealCity(folder, scenes=rules_of, block=NUMBERS) as city:
            ledger = city.node.ledger
            policy = make_policy(
                *(ledger.genesis, city.node.network),
                threshold=0,
                required=[],
                status_max_age_seconds=3_600,
                names={},
            )
        (folder / "trust.json").write_bytes(encode(policy))
        self.server = Server(folder / "node", key_file(folder / "log.json"))
        self._turn = 0
        self._hospital: subprocess.Popen[str] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """The server and the hospital; afterwards the hospital has ended well, if it could."""
        try:
            self.server.start()
            self._open_hospital()
            yield
            self._close_hospital()
        finally:
            if self._hospital is not None:
                self._hospital.kill()
                self._hospital.communicate()
            self.server.end()

    def round(self, way: str | None = None) -> None:
        """Kill something at a random instant; what is left goes on when it is there again."""
        way = way or self.chance.choice(WAYS)
        time.sleep(self.chance.random() * ALIVE_SECONDS_MAX)
        if way == "hospital":
            assert self._hospital is not None
            kill(self._hospital)
            self._open_hospital()
        elif way == "worker":
            os.kill(self.chance.choice(self.server.workers()), signal.SIGKILL)
        else:
            if way == "server":
                self.server.kill_all()
            else:
                os.kill(self.server.pid, signal.SIGKILL)
            time.sleep(self.chance.random() * 0.3)
            self.server.start()
        self.seen.kills[way] += 1
        self._await_more()

    def _await_more(self) -> None:
        """The hospital has bills accepted that it had not when this began, without being told."""
        before, ends = len(self._journal()[1]), time.monotonic() + GOES_ON_SECONDS_MAX
        while len(self._journal()[1]) < before + 5:
            assert self._hospital is not None
            assert self._hospital.poll() is None, self._hospital.communicate()[1]
            assert time.monotonic() < ends, "the SDK does not go on"
            time.sleep(0.02)

    def _open_hospital(self) -> None:
        journal = self.folder / f"journal-{self._turn}"
        journal.touch()
        named = [str(self.folder), self.server.url, str(self._turn), str(journal)]
        self._hospital = start(Path(__file__), *named)
        self._turn += 1

    def _close_hospital(self) -> None:
        assert self._hospital is not None
        self._hospital.send_signal(signal.SIGTERM)
        _, errors = self._hospital.communicate(timeout=GOES_ON_SECONDS_MAX)
        assert (self._hospital.returncode, errors) == (0, "")
        self._hospital = None

    def _journal(self) -> tuple[set[str], dict[str, tuple[int, int]]]:
        """Drafts that were handed over; those that were called accepted, with number and entry."""
        handed, accepted = set[str](), dict[str, tuple[int, int]]()
        for path in sorted(self.folder.glob("journal-*")):
            for line in path.read_text().split("\n")[:-1]:
                word, draft, *rest = line.split(" ")
                if word == "T":
                    handed.add(draft)
                else:
                    assert draft not in accepted, "it was answered twice"
                    accepted[draft] = (int(rest[0]), int(rest[1]))
        return handed, accepted

    def _vault_key(self) -> bytes:
        return load_vault_key(self.folder / "sdk" / VAULT_KEY).secret

    def check(self) -> None:
        """Nobody runs: compare the ledger, what the SDK said, and the vault."""
        handed, accepted = self._journal()
        with Ledger.open(self.folder / "node", rules()) as ledger, ledger.view() as view:
            bills = {int(bill.id[9:]): bill for bill in view.scan_slots(Bill, CODE, 1, NUMBERS)}
        drafts = Counter[str]()
        with Vault.open(self.folder / "sdk", self._vault_key()) as vault:
            for number, bill in bills.items():
                data, secret = vault.get(CODE, number)
                assert encoded_root(data, secret) == bill.root
                draft = decode(data, Body).remark
                drafts[draft] += 1
                if draft in accepted:
                    assert accepted[draft] == (number, bill.entry)
        assert max(drafts.values()) == 1, "a draft was issued twice"
        assert set(accepted) <= set(drafts) <= handed
        self.seen.accepted = len(accepted)
        self.seen.unanswered = len(handed - set(accepted))
        self.seen.unanswered_kept = len(set(drafts) - set(accepted))
        report = examine(self.folder / "node", rules())
        assert report.sound, report.findings


def live(folder: Path, url: str, turn: int, journal: Path) -> None:
    """Until killed, or told to end."""
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    policy = read_trust((folder / "trust.json").read_bytes())
    chance, n = Random(turn), 0
    with (
        Hospital.open(folder / "sdk", url, policy, signer(f"{HOSPITAL}/key")) as hospital,
        journal.open("a", buffering=1) as file,
    ):
        print("ready", flush=True)
        while not ended:
            names = [f"{turn}-{n + each}" for each in range(chance.randrange(1, 12))]
            n += len(names)
            drafts = [
                replace(
                    make_draft(turn * 1_000_000 + n * 20 + k, "outpatient", issued_at=now()),
                    remark=name,
                )
                for k, name in enumerate(names)
            ]
            file.write("".join(f"T {name}\n" for name in names))
            for name, bill in zip(names, hospital.issue(drafts), strict=True):
                assert bill.accepted, bill
                file.write(f"A {name} {bill.number} {bill.entry}\n")


if __name__ == "__main__":
    live(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
