"""Four weeks of a two-hundredth of a province in compressed time, killed every simulated day.

Each day: the operator is killed (-9) in the middle, started again, and does the whole day again;
a backup is taken while it runs. Each week: the blocks of numbers are accounted for, by both sides.
At the end every fen and every number must be where the plan says.

Invariant: what the plan did not foresee ends the soak with its seed.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from faults.processes import start
from soak.accounted import check_every_fen
from soak.operator_child import write_steps
from soak.planned import HOSPITALS, OFFSET, TYPE, Step, make_genesis
from soak.province_plan import Calendar, founded_at

from tallystick.contracts.bills.items.accounts import AcceptAccount, AccountBlock, AccountPeriod
from tallystick.contracts.bills.records.accounts import Account, period_id
from tallystick.contracts.bills.records.bills import allotment_id
from tallystick.contracts.bills.views.accounts import tally_block, tally_period
from tallystick.contracts.bills.views.bills import find_allotment
from tallystick.ledger.backup import backup
from tallystick.ledger.doctor import examine
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.sqlite import FILE
from tallystick.node import rules
from tallystick.protocol.canonical import decode
from tallystick.protocol.genesis import read_genesis
from tallystick.protocol.row import row_key
from tallystick.protocol.values import local_day

CHILD = Path(__file__).with_name("operator_child.py")
DAY_SECONDS_MAX = 900
BYTES_A_BILL_MAX = 2_500
"""Predicted: 900 a bill, and some 1,100 a claim that is locked and settled on every sixth."""
FIXED_BYTES = 4 * 1024 * 1024
"""Of the founding, the mandates and the numbers, before the first bill."""
PEAK_MIB_MAX = 500

Say = Callable[[str], None]


class Month:
    """One run."""

    def __init__(self, folder: Path, seed: int, bills: int, days: int, say: Say) -> None:
        self.folder, self.seed, self.days, self._say = folder, seed, days, say
        genesis = make_genesis(founded_at(days))
        self.calendar = Calendar(seed, read_genesis(genesis)[1], bills, days)
        self.chance = Random(seed)
        self.node = folder / "node"
        self.counted: Counter[str] = Counter()
        self._took = 1.0
        Ledger.found(self.node, genesis, rules()).close()
        self._work("opening", list(self.calendar.opening()))

    def run(self) -> None:
        """All days, the accounts, and what must be true at the end."""
        for n in range(self.days):
            steps = self.calendar.day(n)
            self._say(f"day {n + 1} of {self.days}: {len(steps)} transactions")
            self._work(f"day-{n:02d}", steps, killed=True)
        self._account()
        self._check()

    def _work(self, name: str, steps: list[Step], *, killed: bool = False) -> None:
        """Hand in steps through an operator of its own process, killed once where asked."""
        path, report = self.folder / f"{name}.steps", self.folder / f"{name}.report"
        write_steps(path, steps)
        arguments = (str(self.node), str(path), str(report))
        if killed:
            child = start(CHILD, *arguments)
            time.sleep(self.chance.random() * self._took)
            child.kill()
            _, errors = child.communicate()
            assert not errors, errors
            self.counted["kills"] += child.returncode < 0  # else it was quicker
        began = time.monotonic()
        child = start(CHILD, *arguments)
        if killed:
            shutil.rmtree(self.folder / "backup", ignore_errors=True)
            backup(self.node, self.folder / "backup")
            self.counted["backups"] += 1
        _, errors = child.communicate(timeout=DAY_SECONDS_MAX)
        assert child.returncode == 0, f"{name} failed, see {path}: {errors}"
        self._took = time.monotonic() - began
        told = decode(report.read_bytes(), dict[str, int])
        assert told["peak_mib"] < PEAK_MIB_MAX, told
        self.counted["handed in again after a kill"] += told["repeated"]
        self.counted["peak MiB"] = max(self.counted["peak MiB"], told["peak_mib"])
        path.unlink()

    # ------------------------------------------------------------------------------ the accounts

    def _account(self) -> None:
        """Every block that is used up, then December of every hospital: both sides count."""
        at = self.calendar.first_day + self.days * 86_400 + 3_600
        self._say("accounting")
        with Ledger.open(self.node, rules()) as ledger, ledger.view() as view:
            stated, accepted = [], []
            for code, first, hospital in self.calendar.blocks():
                row = find_allotment(view, code, 3, first)
                assert row is not None
                tally = tally_block(view, row)
                item = AccountBlock(
                    nonce=self.chance.randbytes(16), code=code, level=3, first=first, tally=tally
                )
                stated.append(self._step(at, hospital, "bills.account_block/1", item))
                accept = AcceptAccount(
                    nonce=self.chance.randbytes(16), account=row.id, version=1, tally=tally
                )
                accepted.append(self._step(at + 1, "finance", "bills.accept_account/1", accept))
            month = local_day(self.calendar.first_day, OFFSET)[:7]
            if local_day(at, OFFSET)[:7] != month:
                for hospital in HOSPITALS:
                    tally = tally_period(view, hospital, TYPE, month, OFFSET)
                    period = AccountPeriod(
                        nonce=self.chance.randbytes(16), type=TYPE, month=month,
                        reviewer="finance", tally=tally,
                    )  # fmt: skip
                    stated.append(self._step(at, hospital, "bills.account_period/1", period))
                    accept = AcceptAccount(
                        nonce=self.chance.randbytes(16),
                        account=period_id(hospital, TYPE, month), version=1, tally=tally,
                    )  # fmt: skip
                    accepted.append(self._step(at + 1, "finance", "bills.accept_account/1", accept))
        self._work("accounts", [*stated, *accepted])
        self.counted["accounts"] += len(accepted)

    def _step(self, at: int, sender: str, action: str, item: object) -> Step:
        name = f"{action}{at}{self.chance.random()}"
        return Step(at, self.calendar.sign(at, sender, action, [item], name))  # type: ignore[list-item]

    # -------------------------------------------------------------------------------- the end

    def _check(self) -> None:
        """Every fen and every number, the doctor, the disk, and the last backup."""
        self._say("checking every fen and every number")
        with Ledger.open(self.node, rules()) as ledger, ledger.view() as view:
            self.counted.update(check_every_fen(view, self.calendar.expected))
            done = [view.get(row_key(Account.KIND, each), Account) for each in self._accounted()]
        assert all(row is not None and row.state == "accepted" for row in done)
        self._check_files(self.counted["bills"])

    def _accounted(self) -> list[str]:
        return [allotment_id(code, 3, first) for code, first, _ in self.calendar.blocks()]

    def _check_files(self, bills: int) -> None:
        self._say("doctor")
        for folder in (self.node, self.folder / "backup"):
            report = examine(folder, rules())
            assert report.sound, report.findings
        size = (self.node / FILE).stat().st_size
        self.counted["bytes a bill"] = size // bills
        assert size < FIXED_BYTES + bills * BYTES_A_BILL_MAX
