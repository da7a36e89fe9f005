"""All that may happen to a bill, in any order, beside the model; the whole world audited each time.

The rules are in `bills_machine` and `claims_machine`, what the model knows in `bill_model`.
"""

from __future__ import annotations

import pytest
from bill_model import Face
from bills_machine import PART, Bills, Numbers
from claims_acts import audit_claims
from claims_machine import Holders, Offices, Plans
from hypothesis import seed, settings
from hypothesis.stateful import invariant, run_state_machine_as_test
from paper_acts import audit_paper
from province import left

from tallystick.contracts.bills.records.bills import Bill, live_lock


class Audited(Bills):
    """After each step every row is as the model has it, each fen and number where it belongs."""

    @invariant()
    def every_row_is_in_order(self) -> None:
        self.world.audit()
        audit_claims(self.world)
        audit_paper(self.desk)
        for code, model in self.models.items():
            block = self.world.block_of(code)
            fates = list(model.fates.values())
            assert block.issued == fates.count("blue") + fates.count("red")
            assert block.void == fates.count("void")
            for number, face in model.faces.items():
                self._compare(self.world.bill(code, number), face)

    def _compare(self, bill: Bill, face: Face) -> None:
        rest = left(bill)
        assert (rest["total"], rest["account"], rest["cash"]) == (
            face.total,
            face.account,
            face.cash,
        )
        assert (bill.frozen is not None) == (face.frozen is not None)
        assert (bill.reversing is not None) == (face.asked is not None)
        lock, held = live_lock(bill, self.now), face.live(self.now)
        assert (lock is None) == (held is None)
        if lock is not None and held is not None:
            assert (lock.amount, lock.cash, lock.renewals) == (
                held.amount,
                held.cash,
                held.renewals,
            )
        known = self.desk.claims(bill)
        assert len(known) == len(face.claims)
        for claim, mine in zip(known, face.claims, strict=True):
            amounts = claim.amounts
            assert (claim.reimburser, claim.terms.purpose) == (mine.org, mine.purpose)
            assert amounts.get("settled", 0) + amounts.get("fixed", 0) == mine.paid
            assert amounts.get("due", 0) == mine.due
            assert amounts.get("recovered", 0) + amounts.get("waived", 0) == mine.back


class NumberContract(Numbers, Audited):
    """Every act that changes a number."""


class BillContract(Holders, Plans, Offices, Audited):
    """Every act that changes a bill, what is claimed of it, or who may claim it."""

    def begin(self) -> None:
        """Two have claimed already."""
        for org, amount, cash in (("fund", 500, True), ("insurer", 400, False)):
            face = self.models[PART].faces[1]
            self.settle_all(self.world.bill(PART, 1), face, org, amount, cash=cash)


WALKS = settings(max_examples=10, stateful_step_count=60, deadline=None)
"""After ten examples hypothesis mostly repeats parts of them: rather start anew elsewhere."""


def walk(machine: type[Audited], start: int) -> None:
    run_state_machine_as_test(seed(start)(type("Walk", (machine,), {})), settings=WALKS)


@pytest.mark.parametrize("start", range(2))
def test_numbers_in_any_order(start: int) -> None:
    walk(NumberContract, start)


@pytest.mark.parametrize("start", range(10))
def test_bills_in_any_order(start: int) -> None:
    walk(BillContract, start)
