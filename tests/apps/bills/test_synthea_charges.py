"""Whatever happened to a charge, what all bore is the charge and what was paid above it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthea_sample import HEADERS, Sample, Step

from tallystick.apps.bills.synthea_charges import Charge, read_charge
from tallystick.apps.bills.synthea_table import ExportDamaged, Line

TRANSACTIONS = "claims_transactions.csv"


def charge_of(*steps: Step) -> Charge:
    """The charge of one more claim, as `read_charge` has it."""
    sample = Sample()
    start = len(sample.tables[TRANSACTIONS])
    sample.claim("extra", "v1", list(steps))
    rows = sample.tables[TRANSACTIONS][start:]
    return read_charge([Line(TRANSACTIONS, n, row) for n, row in enumerate(rows, start=2)])


@st.composite
def courses(draw: st.DrawFn) -> list[Step]:
    """A charge and what may happen to it, insured first."""
    steps: list[Step] = [("charge", draw(st.integers(0, 100_000)))]
    due, owners = int(steps[0][1]), ["2", "p"]
    for kind in draw(st.lists(st.sampled_from(["copay", "pay", "adjust", "to"]), max_size=6)):
        if kind == "to":
            if owners and due:
                steps.append(("to", owners.pop(0)))
            continue
        amount = draw(st.integers(0, due + 5_000 if kind == "copay" else due))
        steps.append((kind, amount))
        due = max(due - amount, 0)
    return steps


@given(courses())
def test_what_all_bore_is_the_charge_less_adjustments_and_the_credits(steps: list[Step]) -> None:
    charge = charge_of(*steps)
    credits = sum(charge.credits.values())
    assert sum(charge.borne.values()) == charge.amount - charge.adjusted + credits
    copays = [int(value) for kind, value in steps if kind == "copay"]
    assert charge.borne["p"] >= sum(copays) >= credits
    assert all(amount >= 0 for amount in (*charge.borne.values(), *charge.left.values()))


def test_the_rest_of_a_charge_without_a_transfer_is_the_insurers() -> None:
    charge = charge_of(("charge", 1_000), ("copay", 300))
    assert charge.borne == {"p": 300, "1": 700, "2": 0}
    assert charge.left == {"p": 0, "1": 700, "2": 0}


@pytest.mark.parametrize(
    ("due", "paid", "stated", "rounded"),
    [
        (17_546, 13_160, 4_387, True),  # 75 and 25 % of it end on half a cent
        (17_546, 13_160, 4_388, False),
        (17_546, 13_161, 4_386, False),  # no percentage gives these two
        (10_000, 5_000, 5_001, False),
        (17_546, 0, 17_547, False),
    ],
)
def test_a_cent_made_by_rounding_is_told_from_a_wrong_sum(
    due: int, paid: int, stated: int, rounded: bool
) -> None:
    steps: list[Step] = [("charge", due), ("pay", paid), ("stated", stated), ("to", "p")]
    if rounded:
        charge = charge_of(*steps)
        assert charge.halves == charge.credits == {"p": 1, "1": 0, "2": 0}
        return
    with pytest.raises(ExportDamaged) as caught:
        charge_of(*steps)
    assert caught.value.column == "OUTSTANDING"


def test_a_patients_payment_never_rounds() -> None:
    with pytest.raises(ExportDamaged):
        charge_of(("charge", 17_546), ("to", "p"), ("pay", 13_160), ("stated", 4_387))


def test_a_negative_charge_lowers_the_part_of_whoever_owes_it() -> None:
    charge = charge_of(("charge", -500), ("to", "p"))
    assert charge.borne == {"p": -500, "1": 0, "2": 0}


def test_a_transfer_that_arrives_nowhere_is_found() -> None:
    sample = Sample()
    start = len(sample.tables[TRANSACTIONS])
    sample.claim("extra", "v1", [("charge", 500), ("to", "p")])
    rows = sample.tables[TRANSACTIONS][start:-1]
    assert list(rows[0]) == HEADERS[TRANSACTIONS].split(",")
    with pytest.raises(ExportDamaged, match="arrives nowhere"):
        read_charge([Line(TRANSACTIONS, n, row) for n, row in enumerate(rows, start=2)])


def test_a_made_up_export_holds_every_step(tmp_path: Path) -> None:
    kinds = {row["TYPE"] for row in Sample().tables[TRANSACTIONS]}
    assert kinds == {"CHARGE", "PAYMENT", "ADJUSTMENT", "TRANSFEROUT", "TRANSFERIN"}
