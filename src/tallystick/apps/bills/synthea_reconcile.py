"""Whether an import accounts for its source: source = imported + credits + refused, to the cent.

The left side is the export's own: what each bearer bore by the transactions. The right side is what
came out: bills as the ledger has them, parts of insurers as they were kept, refusals as named.

Invariant: nothing is compared with itself: the totals of bills are read back, not handed on.
See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tallystick.apps.bills.synthea_bills import (
    PATIENT,
    ClaimToCome,
    insurer_id,
    organisation_id,
    parts_of,
    total_of,
)
from tallystick.apps.bills.synthea_records import CLAIMS, Claim, Export
from tallystick.contracts.bills.amounts import format_amount
from tallystick.protocol.errors import Damaged

FORMAT = "tallystick/synthea-import/v1"
ABOVE_CHARGE = "payment_above_charge"
ROUNDING = "both_halves_rounded_up"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A claim that is no bill, and why."""

    claim: str
    line: int
    """In claims.csv."""
    organisation: str
    reason: str
    detail: str
    path: str

    def __str__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        return f"{CLAIMS}, line {self.line}, claim {self.claim}: {self.reason}{where}"


@dataclass(slots=True)
class ReconciliationRow:
    """One organisation and one bearer: the patients together, or an insurer."""

    organisation: str
    organisation_name: str
    bearer: str
    bearer_name: str
    claims: int = 0
    """That have a part of this bearer."""
    source: int = 0
    imported: int = 0
    credits: dict[str, int] = field(default_factory=dict)
    """By reason."""
    refused: dict[str, int] = field(default_factory=dict)
    """By reason."""

    @property
    def difference(self) -> int:
        """What is not accounted for: zero."""
        return self.source - self.imported - sum(self.credits.values()) - sum(self.refused.values())


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The whole account."""

    rows: tuple[ReconciliationRow, ...]
    refusals: tuple[Refusal, ...]
    claims: int
    """In the export."""
    bills: int
    """On the ledger, or passed in the dry run."""
    charged: int
    """By the export, adjustments taken off."""
    billed: int
    """On the bills, and on claims that were refused."""
    claims_with_credit: int

    @property
    def reconciled(self) -> bool:
        """Whether everything is accounted for; refusals are, differences are not."""
        return (
            not any(row.difference for row in self.rows)
            and self.charged == self.billed
            and self.claims == self.bills + len(self.refusals)
        )

    def total(self, name: str) -> int:
        """`source`, `imported`, `credits`, `refused` or `difference` over all rows."""
        values = (getattr(row, name) for row in self.rows)
        return sum(sum(each.values()) if isinstance(each, dict) else each for each in values)

    def document(self) -> dict[str, Any]:
        """The account for other programs; amounts are minor units. No patient is named."""
        names = ("source", "imported", "credits", "refused", "difference")
        return {
            "format": FORMAT,
            "reconciled": self.reconciled,
            "claims": self.claims,
            "bills": self.bills,
            "charged": self.charged,
            "billed": self.billed,
            "claims_with_credit": self.claims_with_credit,
            "totals": {name: self.total(name) for name in names},
            "rows": [
                {
                    "organisation": row.organisation,
                    "organisation_name": row.organisation_name,
                    "bearer": row.bearer,
                    "bearer_name": row.bearer_name,
                    "claims": row.claims,
                    "source": row.source,
                    "imported": row.imported,
                    "credits": row.credits,
                    "refused": row.refused,
                    "difference": row.difference,
                }
                for row in self.rows
            ],
            "refused": [
                {
                    "claim": each.claim,
                    "line": each.line,
                    "organisation": each.organisation,
                    "reason": each.reason,
                    "path": each.path,
                    "detail": each.detail,
                }
                for each in self.refusals
            ],
        }

    def table(self) -> list[tuple[str, ...]]:
        """The account for people, with a heading; printing is for whoever has a terminal."""
        lines: list[tuple[str, ...]] = [
            ("organisation", "borne by", "claims", "source", "imported", "credits", "refused", "±")
        ]
        for row in self.rows:
            amounts = (
                *(row.source, row.imported),
                *(sum(row.credits.values()), sum(row.refused.values()), row.difference),
            )
            lines.append(
                (
                    *(row.organisation_name, row.bearer_name, str(row.claims)),
                    *(format_amount(amount) for amount in amounts),
                )
            )
        names = ("source", "imported", "credits", "refused", "difference")
        lines.append(
            ("total", "", str(self.claims), *(format_amount(self.total(name)) for name in names))
        )
        return lines


def reconcile(
    export: Export,
    totals: Mapping[str, int],
    to_come: Iterable[ClaimToCome],
    refusals: Sequence[Refusal],
) -> Reconciliation:
    """Hold the source against what became of it: the total of the bill of each claim that has one,
    the insurers' parts as kept, and the claims that were refused."""
    rows: dict[tuple[str, str], ReconciliationRow] = {}
    reasons = {refusal.claim: refusal.reason for refusal in refusals}
    kept: dict[tuple[str, str], int] = {}
    for each in to_come:
        kept[each.claim, each.reimburser] = kept.get((each.claim, each.reimburser), 0) + each.amount
    billed = 0
    for claim in export.claims:
        billed += totals.get(claim.uuid, 0)
        billed += total_of(claim) if claim.uuid in reasons else 0
        _add_source(rows, export, claim, reasons.get(claim.uuid))
        organisation, rest = claim.encounter.organisation, totals.get(claim.uuid, 0)
        for part in parts_of(claim)[1:]:
            amount = kept.pop((claim.uuid, part.bearer), 0)
            _row(rows, export, organisation, part.bearer).imported += amount
            rest -= amount
        _row(rows, export, organisation, PATIENT).imported += rest
    for (uuid, bearer), amount in kept.items():
        raise Damaged(f"{bearer} is kept to owe {amount} of claim {uuid}, which names it not")
    return Reconciliation(
        rows=tuple(rows[key] for key in sorted(rows, key=lambda key: (key[0], key[1] != PATIENT))),
        refusals=tuple(refusals),
        claims=len(export.claims),
        bills=len(totals),
        charged=sum(total_of(claim) for claim in export.claims),
        billed=billed,
        claims_with_credit=sum(
            any(part.credit for part in parts_of(claim)) for claim in export.claims
        ),
    )


def _add_source(
    rows: dict[tuple[str, str], ReconciliationRow],
    export: Export,
    claim: Claim,
    refused: str | None,
) -> None:
    for part in parts_of(claim):
        row = _row(rows, export, claim.encounter.organisation, part.bearer)
        row.claims += 1
        row.source += part.borne
        above = part.credit - part.rounding
        for reason, amount in ((ROUNDING, part.rounding), (ABOVE_CHARGE, above)):
            if amount:
                row.credits[reason] = row.credits.get(reason, 0) + amount
        if refused is not None:
            row.refused[refused] = row.refused.get(refused, 0) + part.net


def _row(
    rows: dict[tuple[str, str], ReconciliationRow], export: Export, organisation: str, bearer: str
) -> ReconciliationRow:
    org = organisation_id(organisation)
    row = rows.get((org, bearer))
    if row is None:
        names = {insurer_id(uuid): insurer.name for uuid, insurer in export.insurers.items()}
        name = "patients" if bearer == PATIENT else names[bearer]
        row = ReconciliationRow(org, export.organisations[organisation].name, bearer, name)
        rows[org, bearer] = row
    return row
