"""``python -m tests.soak``: four weeks of a province, then faults for as long as one likes; with
``--http`` its worst minute, served, for as long.

Each round has a seed of its own, which is printed with what it found; the same seed makes the same
round (kills hit other instants: those are the machine's). Exit code 0: nothing was found.

Invariant: a finding ends the soak with its seed, and the files it was found in stay where they are.
"""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from faults.cuts import Cuts, cut_a_founding
from faults.damage import Patient, cuts, flips
from faults.failing import Failing, submit_again, submit_on
from faults.ground import Ground, copy, found
from faults.kills import Victims
from faults.offices_killed import KilledOffices
from faults.readers import EXPECTED, monsters, mutate, readers
from faults.served_killed import KilledServers
from faults.signed import signed_mutants
from soak.month import Month
from soak.served import Options, Served
from soak.verdict import CHART

from benchmarks.figures import machine
from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.ledger.ledger import Ledger
from tallystick.node import rules

AUDIT_EVERY = 20
"""Kills between two replays of everything."""

KILLS = 200
FLAT_MINUTES_MIN = 10
"""Caches are full by then: memory may grow no more."""
RESULTS = Path("benchmarks") / "results"

Round = Callable[[Path, int], Counter[str]]


def power(folder: Path, seed: int) -> Counter[str]:
    """Power cuts while blocks are made, and while a network is founded."""
    run = Cuts(folder, seed, blocks=30)
    tried = run.run()
    (folder / "founding").mkdir()
    return Counter(
        {"power cuts": tried + cut_a_founding(folder / "founding", seed), "in flight": run.more}
    )


def disk(folder: Path, seed: int) -> Counter[str]:
    """A disk that fails at random writes and reads, in every way."""
    chance, ground, done = Random(seed), Ground(seed), 0
    at = ground.founded_at + 3600
    opening = found(ground, folder / "opening")
    transactions = [ground.issue("north", chance.randrange(1, 30), at) for _ in range(8)]
    for n in range(100):
        before = Failing(
            chance.randrange(1, 250),
            chance.choice(("full", "broken")),
            for_good=chance.random() < 0.5,
        )
        place = copy(opening, folder / f"{n}")
        answered = submit_on(place, transactions, at, before, reads=chance.random() < 0.3)
        submit_again(place, transactions, at, answered)
        done += before.failed
    return Counter({"disk failures": done})


def damage(folder: Path, seed: int) -> Counter[str]:
    """Bytes changed and ends cut off."""
    patient, chance, counted = Patient(folder / "patient", seed), Random(seed), Counter[str]()
    for path, data in patient.files.items():
        for _, hurt in [*flips(data, chance, 200), *cuts(data, chance, 20)]:
            counted["damages"] += 1
            counted["damages diagnosed"] += patient.hurt(path, hurt) > 0
    return counted


def hostile(folder: Path, seed: int) -> Counter[str]:
    """Bytes of strangers, and nonsense that a member signed."""
    chance, counted, ground = Random(seed), Counter[str](), Ground(seed)
    at = ground.founded_at + 3600
    for reader in readers():
        documents = [mutate(reader.good, chance) for _ in range(400)]
        documents += [chance.randbytes(chance.randrange(400)) for _ in range(100)]
        if chance.random() < 0.1:
            documents += [data for _, data in monsters(reader.good)]
        for data in documents:
            counted["hostile documents"] += 1
            try:
                reader.read(data)
            except EXPECTED:
                counted["refused"] += 1
    with Ledger.open(found(ground, folder / "ledger"), rules()) as ledger:
        for data in signed_mutants(ground, at, chance, 3_000):
            counted["signed nonsense"] += 1
            try:
                assert LedgerReason.FAULT.value not in ledger.dry_run(data, at), data
            except EXPECTED:
                counted["refused"] += 1
    return counted


def served(folder: Path, seed: int) -> Counter[str]:
    """kill -9 of a server, its node, its workers, and of the hospital that issues through it."""
    servers = KilledServers(folder, seed)
    with servers.running():
        for _ in range(8):
            servers.round()
    servers.check()
    kills = Counter({f"kills of a served {way}": n for way, n in servers.seen.kills.items()})
    return kills + Counter({"bills accepted by a hospital's SDK": servers.seen.accepted})


ROUNDS: tuple[Round, ...] = (power, disk, damage, hostile, served)


class Soak:
    """Kills until there are enough, then the other faults in turn until the time is up."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.kills: int = KILLS if options.kills is None else options.kills
        self.minutes: float = options.minutes
        self.bills: int = options.bills
        self.days: int = options.days
        self.end = time.monotonic() + options.minutes * 60
        self.seed: int = options.seed
        self.folder = folder
        self.began = time.monotonic()
        self.counted: Counter[str] = Counter()

    def run(self) -> None:
        if self.bills:
            place = self.folder / "month"
            place.mkdir(parents=True)
            month = Month(place, self.seed, self.bills, self.days, self._say)
            month.run()
            self.counted.update(month.counted)
            shutil.rmtree(place)
        self._kill()
        seed = self.seed
        while time.monotonic() < self.end or seed < self.seed + len(ROUNDS):
            each = ROUNDS[(seed - self.seed) % len(ROUNDS)]
            self._say(f"{each.__name__}, seed {seed}")
            place = self.folder / f"{each.__name__}-{seed}"
            place.mkdir()
            self.counted.update(each(place, seed))
            shutil.rmtree(place)
            seed += 1

    def _kill(self) -> None:
        """All of it within one network, which grows with each."""
        if not self.kills:
            return
        with_offices = self.kills // 4
        victims = Victims(self.folder / "killed", self.seed)
        for n in range(self.kills - with_offices):
            self._say(f"kill {n + 1} of a node and a keeper, seed {self.seed}")
            victims.round(audit=n % AUDIT_EVERY == AUDIT_EVERY - 1)
        victims.audit()
        offices = KilledOffices(self.folder / "offices", self.seed)
        for n in range(with_offices):
            self._say(f"kill {n + 1} of an office and an archive, seed {self.seed}")
            offices.round()
        seen = victims.seen
        self.counted.update(
            {
                "kills": seen.kills + offices.kills,
                "acknowledged before a kill": seen.acknowledged,
                "unanswered": seen.unanswered,
                "unanswered and on the ledger": seen.unanswered_kept,
                "bills with their bodies": offices.bills,
            }
        )

    def _say(self, what: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        print(f"{minutes:3d}:{seconds:02d}  {what}", flush=True)

    def summary(self) -> str:
        """What was tried."""
        width = max(map(len, self.counted), default=0)
        return "\n".join(f"{name:{width}}  {n:>10,}" for name, n in self.counted.items())


class Serving(Soak):
    """The worst minute over HTTP, for as long as one likes."""

    def run(self) -> None:
        made = Options(
            seconds=int(self.minutes * 60),
            rate=self.options.rate,
            workers=self.options.workers,
            kills=self.options.kills or 0,
            flat=self.minutes >= FLAT_MINUTES_MIN,
        )
        served = Served(self.folder, self.seed, made, self._say)
        try:
            verdict = served.run()
        finally:
            self.counted.update(served.counted)
        print(f"\n{verdict.text()}\n\n{json.dumps(machine())}\n", flush=True)
        shutil.copy(self.folder / CHART, self.options.chart)
        assert not verdict.missed, verdict.missed


def arguments_of(arguments: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="at least so long (60)")
    parser.add_argument("--kills", type=int, help="kill -9, how many times (200; with --http 0)")
    parser.add_argument(
        "--bills", type=int, default=350_000, help="of four weeks of a province; 0: none (350,000)"
    )
    parser.add_argument("--days", type=int, default=28, help="in which they are issued (28)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="by chance")
    parser.add_argument("--dir", type=Path, help="where to work; a temporary folder otherwise")
    parser.add_argument("--http", action="store_true", help="the worst minute, served, instead")
    parser.add_argument("--rate", type=int, default=300, help="bills a second with --http (300)")
    parser.add_argument("--workers", type=int, default=2, help="of the server with --http (2)")
    parser.add_argument("--chart", type=Path, default=RESULTS / CHART, help="where it goes")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = arguments_of(arguments)
    logging.getLogger("tallystick").setLevel(logging.CRITICAL + 1)
    folder = options.dir or Path(tempfile.mkdtemp(prefix="tallystick-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    soak = (Serving if options.http else Soak)(options, folder)
    print(f"seed {soak.seed}, in {folder}", flush=True)
    try:
        soak.run()
    except KeyboardInterrupt:
        print("stopped by hand: what was tried so far found nothing", file=sys.stderr)
    except Exception:
        traceback.print_exc()
        print(f"\n{soak.summary()}\n\nFOUND SOMETHING: seed {soak.seed}, see {folder}", flush=True)
        return 1
    print(f"\n{soak.summary()}\n\nnothing found, seed {soak.seed}")
    if options.dir is None:  # a folder that was named is not ours to remove
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
