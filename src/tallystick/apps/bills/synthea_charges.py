"""What became of one charge of a Synthea claim: who bore which part of it, what was paid too much.

A charge is owed by somebody (``1`` or ``2``: the first or second insurer, ``p``: the patient); a
copay is the patient's whoever owes; a payment comes from whoever owes; a transfer hands what is
outstanding to the next. Each row states what is outstanding after it, and each is computed again.

Invariant: what all bore = amount - adjustments + credits, to the cent.
See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tallystick.apps.bills.synthea_table import Line

TRANSACTION_COLUMNS = (
    "ID", "CLAIMID", "CHARGEID", "PATIENTID", "TYPE", "AMOUNT", "METHOD", "FROMDATE", "TODATE",
    "PLACEOFSERVICE", "PROCEDURECODE", "UNITS", "NOTES", "UNITAMOUNT", "TRANSFEROUTID",
    "TRANSFERTYPE", "PAYMENTS", "ADJUSTMENTS", "TRANSFERS", "OUTSTANDING", "APPOINTMENTID",
    "PROVIDERID",
)  # fmt: skip
TYPES = ("CHARGE", "PAYMENT", "ADJUSTMENT", "TRANSFEROUT", "TRANSFERIN")
METHODS = ("CASH", "CC", "CHECK", "COPAY", "ECHECK")
"""`COPAY` names the payer; the others say how a payment was made and not by whom."""
BEARERS = ("p", "1", "2")


@dataclass(slots=True)
class Charge:
    """One charge; amounts in minor units, by bearer where there are several."""

    line: int
    code: str
    name: str
    units: int
    amount: int
    borne: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BEARERS, 0))
    """Paid or still to be paid."""
    credits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BEARERS, 0))
    """Borne above the charge."""
    left: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BEARERS, 0))
    """The part of `borne` that is not paid yet."""
    halves: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BEARERS, 0))
    """The part of `credits` that exists because both halves of a cent were rounded up."""
    adjusted: int = 0
    copaid: int = 0
    """The part of what the patient bore that were copays, those above the charge not counted."""


def read_charge(rows: Sequence[Line]) -> Charge:
    """A charge from its row and those that follow it."""
    first = rows[0]
    amount = first.cents("AMOUNT", signed=True)
    units = first.count("UNITS")
    if first.cents("UNITAMOUNT", signed=True) * units != amount:
        raise first.wrong("AMOUNT", "is not UNITS times UNITAMOUNT")
    charge = Charge(
        line=first.number,
        code=first.code("PROCEDURECODE"),
        name=first.text("NOTES"),
        units=units,
        amount=amount,
    )
    _Flow(charge, first.choice("TRANSFERTYPE", BEARERS)).run(rows[1:])
    return charge


class _Flow:
    """Follows what is outstanding of one charge from row to row."""

    def __init__(self, charge: Charge, owner: str) -> None:
        self.charge = charge
        self.owner = owner
        self.due = charge.amount
        self.half = 0
        """A cent made by rounding: a credit of whoever is handed the rest."""
        self.out: Line | None = None

    def run(self, rows: Sequence[Line]) -> None:
        """Follow all rows, then say who owes what is left."""
        for row in rows:
            if row.code("PROCEDURECODE") != self.charge.code:
                raise row.wrong("PROCEDURECODE", f"the charge is in line {self.charge.line}")
            if self.out is not None:
                self._transfer_in(row, self.out)
                continue
            match row.choice("TYPE", TYPES):
                case "PAYMENT" if row.choice("METHOD", METHODS) == "COPAY":
                    self._copay(row)
                case "PAYMENT":
                    self._payment(row)
                case "ADJUSTMENT":
                    self._adjustment(row)
                case "TRANSFEROUT":
                    self._transfer_out(row)
                case _:
                    raise row.wrong("TYPE", "nothing was transferred out before it")
        if self.out is not None:
            raise self.out.wrong("TYPE", "the transfer arrives nowhere")
        self.charge.borne[self.owner] += self.due
        self.charge.left[self.owner] += self.due
        self._credit_half()

    def _copay(self, row: Line) -> None:
        """The patient's, and the only payment that may exceed what is outstanding."""
        paid = row.cents("PAYMENTS")
        above = max(paid - max(self.due, 0), 0)
        self.charge.borne["p"] += paid
        self.charge.copaid += paid - above
        self.charge.credits["p"] += above
        self._outstanding(row, self.due - (paid - above))

    def _payment(self, row: Line) -> None:
        paid = row.cents("PAYMENTS", signed=True)
        if abs(paid) > abs(self.due) or paid * self.due < 0:
            raise row.wrong("PAYMENTS", "is more than was outstanding")
        self.charge.borne[self.owner] += paid
        stated, due = row.cents("OUTSTANDING", signed=True), self.due - paid
        if self.owner != "p" and _both_halves_up(self.due, paid, stated):
            self.half += 1
            due = stated
        self._outstanding(row, due)

    def _adjustment(self, row: Line) -> None:
        amount = row.cents("ADJUSTMENTS")
        if amount > self.due:
            raise row.wrong("ADJUSTMENTS", "is more than was outstanding")
        self.charge.adjusted += amount
        self._outstanding(row, self.due - amount)

    def _transfer_out(self, row: Line) -> None:
        if row.cents("TRANSFERS", signed=True) != self.due:
            raise row.wrong("TRANSFERS", "is not what was outstanding")
        self._outstanding(row, self.due)
        self.out = row

    def _transfer_in(self, row: Line, out: Line) -> None:
        if row.choice("TYPE", TYPES) != "TRANSFERIN":
            raise row.wrong("TYPE", f"the transfer of line {out.number} has not arrived")
        if row.count("TRANSFEROUTID") != out.count("CHARGEID"):
            raise row.wrong("TRANSFEROUTID", f"the transfer out stands in line {out.number}")
        for column in ("AMOUNT", "TRANSFERS"):
            if row.cents(column, signed=True) != self.due:
                raise row.wrong(column, "is not what was transferred out")
        owner = row.choice("TRANSFERTYPE", BEARERS)
        if owner == self.owner:
            raise row.wrong("TRANSFERTYPE", "it was theirs before")
        self._outstanding(row, self.due)
        self.owner, self.out = owner, None
        self._credit_half()

    def _credit_half(self) -> None:
        self.charge.credits[self.owner] += self.half
        self.charge.halves[self.owner] += self.half
        self.half = 0

    def _outstanding(self, row: Line, due: int) -> None:
        if row.cents("OUTSTANDING", signed=True) != due:
            raise row.wrong("OUTSTANDING", "is not what the rows before it leave")
        self.due = due


def _both_halves_up(due: int, paid: int, rest: int) -> bool:
    """Whether an insurer's payment and the rest are one percentage of what was due and the other,
    each with half a cent that was rounded up: then they are a cent more than it."""
    if paid + rest != due + 1 or paid <= 0 or rest <= 0:
        return False
    return any(
        due * percent % 100 == 50 and paid == (due * percent + 50) // 100
        for percent in range(1, 100)
    )
