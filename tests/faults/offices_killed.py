"""kill -9 of an issuer's office, finance's archive and their node: record and body both survive.

As a program, ``offices_killed.py FOLDER ROUND JOURNAL`` is the victim: a node, an office that
issues and reverses without end, an archive that takes what is delivered.

Invariant: afterwards each bill on the ledger has its body in the vault, under the record's root,
and no body is left in doubt. See docs/spec/vault.md.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from acts import FOUNDED_AT
from faults.processes import kill, start
from offices import City, signer

from tallystick.apps.bills.acts import Reversal
from tallystick.apps.bills.catalogue import TYPES, Scene
from tallystick.apps.bills.office import Office
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.node import Node
from tallystick.protocol.body import encoded_root
from tallystick.protocol.values import parse_instant

SCENE: Scene = "outpatient"
CODE = TYPES[SCENE].code(2026)
NUMBERS = 1_000_000
ALIVE_SECONDS_MAX = 1.0


class Reopened(City):
    """The city of a folder, its node opened anew; the clock stands a minute later."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.box = folder / "mail"
        self.now = parse_instant(FOUNDED_AT) + 4 * 3600 + 60
        self._nonces = NUMBERS
        self.node = Node.open(folder / "node", signer("log"), clock=self.clock())


class KilledOffices:
    """One city and rounds of killing it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = Random(seed)
        self.kills = self.bills = 0
        with City(folder, scenes={SCENE: TYPES[SCENE].rules}, block=NUMBERS):
            pass

    def round(self) -> None:
        journal = self.folder / f"journal-{self.kills}"
        journal.touch()
        victim = start(Path(__file__), str(self.folder), str(self.kills), str(journal))
        time.sleep(self.chance.random() * ALIVE_SECONDS_MAX)
        kill(victim)
        self.kills += 1
        with Reopened(self.folder) as city:
            for _ in range(2):  # the second time, what the first did is found done
                with city.office() as office:
                    office.resolve()
                    assert office.vault.prepared() == []
                    self._check_bodies(city, office, journal)
            self._check_archive(city)

    def _check_bodies(self, city: City, office: Office, journal: Path) -> None:
        told = [int(line) for line in journal.read_text().split("\n")[:-1]]
        with city.node.view() as view:
            bills = list(view.scan_slots(Bill, CODE, 1, NUMBERS))
        there = {int(bill.id[9:]): bill for bill in bills}
        assert set(told) <= set(there)
        for number, bill in there.items():
            body, secret = office.vault.get(CODE, number)
            assert encoded_root(body, secret) == bill.root
            standing = office.vault.find(CODE, number)
            assert standing is not None and standing.state == "recorded"
        self.bills = len(there)

    def _check_archive(self, city: City) -> None:
        """Everything that is owed arrives, whatever was under way."""
        with city.office() as office, city.archive() as archive:
            while office.vault.outbox.owed(limit=1):
                office.deliver(city.box)
                archive.run_once()
            archive.run_once()
            archive.run_once()
            with city.node.view() as view:
                bills = list(view.scan_slots(Bill, CODE, 1, NUMBERS))
            for bill in bills:
                number = int(bill.id[9:])
                body, secret = archive.archive.get(CODE, number)
                assert encoded_root(body, secret) == bill.root
                assert office.status(CODE, number).archived


@contextmanager
def _archiving(city: City) -> Iterator[None]:
    """Rounds of the archive in a thread of its own."""

    def run() -> None:
        with city.archive() as archive:
            while True:
                archive.run_once()
                time.sleep(0.01)

    threading.Thread(target=run, daemon=True).start()
    yield


def live(folder: str, turn: str, journal: str) -> None:
    """Until killed."""
    chance = Random(int(turn))
    with (
        Reopened(Path(folder)) as city,
        city.office() as office,
        _archiving(city),
        Path(journal).open("a", buffering=1) as file,
    ):
        office.resolve()
        print("ready", flush=True)
        seed = int(turn) * 100_000
        while True:
            drafts = [city.draft(seed + n) for n in range(chance.randrange(1, 8))]
            seed += len(drafts)
            issued = office.issue(drafts)
            some = Reversal(CODE, issued[0].number, "refund")
            with city.node.view() as view:
                assert find_bill(view, f"{CODE}:{issued[0].number:010d}")
            issued += office.reverse([some])
            for one in issued:
                assert one.accepted, one
                file.write(f"{one.number}\n")
            office.deliver(city.box)


if __name__ == "__main__":
    live(*sys.argv[1:])
