"""kill -9 of a reimburser's desk and its node: each lock can still be used, each fen is paid once.

As a program, ``desks_killed.py FOLDER ROUND JOURNAL`` is the victim: a node, and a desk that locks,
settles and releases without end.

Invariant: afterwards the book and the ledger say the same of every claim, and what the desk told to
pay is settled. See docs/guides/reimburser.md.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from acts import FOUNDED_AT
from desks import CODE, Desks, decision, order
from faults.processes import kill, start
from offices import signer

from tallystick.apps.bills.claim_ledger import is_ours
from tallystick.apps.bills.claim_orders import Release, Settlement
from tallystick.apps.bills.reimburser import Reimburser
from tallystick.contracts.bills.records.bills import Bill, parse_bill_id
from tallystick.node import Node
from tallystick.protocol.values import parse_instant

BILLS = 400
AMOUNT, PAID = 3, 2
ALIVE_SECONDS_MAX = 0.5


class Reopened(Desks):
    """The city of a folder, its node opened anew; the clock stands a minute later."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = parse_instant(FOUNDED_AT) + 4 * 3600 + 60
        self._nonces = 1_000_000
        self.node = Node.open(folder / "node", signer("log"), clock=self.clock())

    def claimable(self) -> list[Bill]:
        """Bills of which every round can take a little."""
        with self.node.view() as view:
            bills = list(view.scan_slots(Bill, CODE, 1, BILLS))
        return [each for each in bills if each.amounts["account"] + each.amounts["cash"] > 100]


class KilledDesks:
    """One city and rounds of killing its fund's desk."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = Random(seed)
        self.kills = self.settled = self.saved = 0
        with Desks(folder) as city:
            city.bills(*range(BILLS))

    def round(self) -> None:
        journal = self.folder / f"journal-{self.kills}"
        journal.touch()
        victim = start(Path(__file__), str(self.folder), str(self.kills), str(journal))
        time.sleep(self.chance.random() * ALIVE_SECONDS_MAX)
        kill(victim)
        self.kills += 1
        with Reopened(self.folder) as city, city.reimburser() as desk:
            desk.resolve()
            assert desk.refresh() == [], "what is noted is what the ledger says"
            assert desk.resolve() == []
            self._check_told(desk, journal)
            self._use_locks(city, desk)
            self._check_sums(city, desk)

    def _check_told(self, desk: Reimburser, journal: Path) -> None:
        """What was told to be paid is settled."""
        for line in journal.read_text().split("\n")[:-1]:
            kept = desk.book.get(int(line))
            assert kept is not None and (kept.state, kept.settled) == ("settled", PAID)

    def _use_locks(self, city: Reopened, desk: Reimburser) -> None:
        """No nonce is lost: each lock that stands settles."""
        held = list(desk.book.each_in(("locked",)))
        for kept in held:
            assert is_ours(city.bill(*parse_bill_id(kept.bill)), "fund", kept)
        answers = [Settlement(each.id, PAID, decision(f"saved {each.id}")) for each in held]
        assert all(each.state == "settled" for each in desk.settle(answers))
        self.saved += len(held)
        again = [
            order(_numbered(each.bill), AMOUNT, purpose=each.terms.purpose)
            for each in (*desk.book.each_in(("prepared",)),)
        ]
        taken = desk.lock(again)
        assert all(each.accepted for each in taken), "what was never sent is free to be asked for"
        desk.release([Release(each.claim or 0, "tidy") for each in taken])

    def _check_sums(self, city: Reopened, desk: Reimburser) -> None:
        settled = Counter[str]()
        for kept in desk.book.each_in(("settled",)):
            settled[kept.bill] += kept.settled
        with city.node.view() as view:
            for bill in view.scan_slots(Bill, CODE, 1, BILLS):
                assert bill.amounts.get("settled", 0) == settled[bill.id]
                assert bill.lock is None
        self.settled = settled.total()


def _numbered(bill: str) -> int:
    return parse_bill_id(bill)[1]


def live(folder: str, turn: str, journal: str) -> None:
    """Until killed."""
    chance = Random(int(turn))
    with (
        Reopened(Path(folder)) as city,
        city.reimburser() as desk,
        Path(journal).open("a", buffering=1) as file,
    ):
        desk.resolve()
        bills = city.claimable()
        chance.shuffle(bills)
        print("ready", flush=True)
        while True:
            some, bills = bills[:6], [*bills[6:], *bills[:6]]
            purpose = f"round_{turn}"
            locked = desk.lock([order(each, AMOUNT, purpose=purpose) for each in some])
            ours = [each.claim or 0 for each in locked if each.state == "locked"]
            desk.release([Release(each, "withdrawn") for each in ours[:1]])
            answers = [Settlement(each, PAID, decision(str(each))) for each in ours[1:]]
            for one in desk.settle(answers):
                assert one.accepted, one
                file.write(f"{one.claim}\n")


if __name__ == "__main__":
    live(*sys.argv[1:])
