"""What became of an imported claim's money, by the ledger: for each insurer, organisation, patient.

    source = settled + transferred + copay + credits + refused

`source` is what was borne by the export's transactions, out of the import's own files. `settled` is
read off the ledger, and so is `transferred`: what a bill's total and the insurers leave to the
patient beyond copays.

Invariant: no amount of the right side is taken from the left one where the ledger could be asked.
See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tallystick.apps.bills.synthea_bills import PATIENT
from tallystick.apps.bills.synthea_claims import Ask, SourceClaim, read_kept
from tallystick.apps.bills.synthea_coverage import STANDINGS
from tallystick.apps.bills.synthea_wallets import PURPOSE
from tallystick.contracts.bills.amounts import format_amount
from tallystick.contracts.bills.records.claims import Claim
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.contracts.bills.views.claims import find_claims, find_plan
from tallystick.contracts.kit.context import Reader
from tallystick.protocol.errors import Damaged

FORMAT = "tallystick/synthea-claims/v1"
SOURCE, ASKS = "source.jsonl", "claims.jsonl"
UNANSWERED = "unanswered"
PARTS = ("source", "settled", "transferred", "copay", "credits", "refused", "difference")


@dataclass(slots=True)
class Line:
    """The money of one insurer, one organisation, one patient or one kind of patients."""

    key: str
    name: str
    claims: int = 0
    source: int = 0
    settled: int = 0
    transferred: int = 0
    copay: int = 0
    credits: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    """By reason."""
    taken_back: int = 0
    """Of `settled`: due back, recovered or waived since a reversal."""

    @property
    def refused(self) -> int:
        """For whatever reason."""
        return sum(self.refusals.values())

    @property
    def difference(self) -> int:
        """What is not accounted for: zero."""
        right = self.settled + self.transferred + self.copay + self.credits + self.refused
        return self.source - right

    def add(self, other: Line) -> None:
        """Count its money here too."""
        self.source += other.source
        self.settled += other.settled
        self.transferred += other.transferred
        self.copay += other.copay
        self.credits += other.credits
        self.taken_back += other.taken_back
        for reason, amount in other.refusals.items():
            self.refusals[reason] = self.refusals.get(reason, 0) + amount

    def document(self) -> dict[str, Any]:
        """For other programs; amounts are minor units."""
        amounts = {name: getattr(self, name) for name in PARTS}
        named = {"id": self.key, "name": self.name, "claims": self.claims}
        return named | amounts | {"refusals": self.refusals, "taken_back": self.taken_back}


class Account(NamedTuple):
    """The whole report."""

    insurers: Sequence[Line]
    """And the patients together."""
    organisations: Sequence[Line]
    standings: Sequence[Line]
    """Patients by how they were insured on the day."""
    patients: Sequence[Line]
    total: Line
    answers: Mapping[str, int]
    """How many asks ended so: ``settled``, ``settled:deductible``, ``rejected:not_covered``, …"""

    @property
    def reconciled(self) -> bool:
        """Whether everything is accounted for. A refusal is, a difference is not."""
        groups = (self.insurers, self.organisations, self.standings, self.patients)
        return not any(line.difference for group in groups for line in group)

    @property
    def differing_patients(self) -> int:
        """Patients of whom something is not accounted for."""
        return sum(1 for line in self.patients if line.difference)

    def document(self) -> dict[str, Any]:
        """For other programs; no patient is named."""
        return {
            "format": FORMAT,
            "reconciled": self.reconciled,
            "total": self.total.document(),
            "insurers": [line.document() for line in self.insurers],
            "organisations": [line.document() for line in self.organisations],
            "patient_classes": [line.document() for line in self.standings],
            "patients": {"count": len(self.patients), "differing": self.differing_patients},
            "answers": dict(self.answers),
        }

    def tables(self) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
        """The same for people: a title, and rows of which the first is the heading. Columns without
        money are left out."""
        for title, group in (
            ("borne by", self.insurers),
            ("organisation", self.organisations),
            ("patients", self.standings),
        ):
            lines = [*group, self.total]
            shown = [name for name in PARTS if any(getattr(line, name) for line in lines)]
            heading = (title, *("±" if name == "difference" else name for name in shown))
            yield title, [heading, *(_cells(line, shown) for line in lines)]


def _cells(line: Line, shown: Sequence[str]) -> tuple[str, ...]:
    name = line.name.replace("_", " ")
    return (name, *(format_amount(getattr(line, each)) for each in shown))


def account_for(reader: Reader, imports: Path) -> Account:
    """Hold the import's files in `imports` against the ledger. `FileNotFoundError`: no claims."""
    if not (imports / SOURCE).exists():
        raise FileNotFoundError(2, "no claims were made here", str(imports / SOURCE))
    asks: dict[str, list[Ask]] = {}
    for ask in read_kept(imports / ASKS, Ask):
        asks.setdefault(ask.claim, []).append(ask)
    groups = _Groups()
    answers: dict[str, int] = {}
    for source in read_kept(imports / SOURCE, SourceClaim):
        entries = _Entries(reader, source, asks.get(source.claim, []))
        groups.add(source, entries.lines())
        for answer in entries.answers():
            answers[answer] = answers.get(answer, 0) + 1
    return groups.account(dict(sorted(answers.items())))


class _Entries:
    """One claim: a line for each that bore a part of it, or settled one."""

    def __init__(self, reader: Reader, source: SourceClaim, asks: Sequence[Ask]) -> None:
        self._source = source
        self._asks = {each.reimburser: each for each in asks}
        self._total = 0
        self._claims: dict[str, Claim] = {}
        self._waived: set[str] = set()
        if source.bill is not None:
            bill = find_bill(reader, source.bill)
            if bill is None:
                raise Damaged(f"the ledger lacks {source.bill}, which was imported")
            self._total = bill.amounts["total"]
            self._claims = {
                each.reimburser: each
                for each in find_claims(reader, bill)
                if each.terms.purpose == PURPOSE
            }
            plan = find_plan(reader, bill.id)
            shares = plan.shares if plan else []
            self._waived = {each.reimburser for each in shares if each.state == "waived"}

    def lines(self) -> list[Line]:
        """The insurers' first: what they leave is the patient's."""
        parts = {part.bearer: part for part in self._source.parts}
        lines, left = [], self._total
        for org in dict.fromkeys([*parts, *self._claims]):
            if org == PATIENT:
                continue
            line = self._insurer(org)
            left -= line.settled + (line.refused if self._source.bill else 0)
            lines.append(line)
        own = parts[PATIENT]
        line = Line(PATIENT, "patients", source=own.borne, credits=own.credit)
        if self._source.bill is None:
            line.refusals = {self._source.refused: own.borne - own.credit}
        else:
            line.copay = own.copaid
            line.transferred = left - own.copaid
        return [*lines, line]

    def _insurer(self, org: str) -> Line:
        part = next((each for each in self._source.parts if each.bearer == org), None)
        ask = self._asks.get(org)
        line = Line(org, part.name if part else ask.name if ask else org)
        if part is not None:
            line.source, line.credits = part.borne, part.credit
        claim = self._claims.get(org)
        if claim is not None and claim.state != "rejected":
            amounts = claim.amounts
            line.settled = amounts.get("settled", 0)
            line.taken_back = sum(amounts.get(each, 0) for each in ("due", "recovered", "waived"))
        elif part is not None and (net := part.borne - part.credit):
            reason = self._why_nothing(claim, ask)
            if reason is not None:
                line.refusals = {reason: net}
        return line

    def _why_nothing(self, claim: Claim | None, ask: Ask | None) -> str | None:
        """Why an insurer's part is not settled; None: it was never answered, a difference."""
        if self._source.bill is None:
            return self._source.refused
        if claim is not None:
            return claim.reason
        return ask.refused or None if ask else None

    def answers(self) -> Iterator[str]:
        """How each ask ended."""
        for org, ask in self._asks.items():
            claim = self._claims.get(org)
            if claim is not None:
                yield f"{claim.state}:{claim.reason}" if claim.reason else claim.state
            elif org in self._waived:
                yield f"waived:{ask.reason}"
            else:
                yield f"refused:{ask.refused}" if ask.refused else UNANSWERED


class _Groups:
    """Adds the same money up in four ways."""

    def __init__(self) -> None:
        self._insurers: dict[str, Line] = {}
        self._organisations: dict[str, Line] = {}
        self._standings: dict[str, Line] = {each: Line(each, each) for each in STANDINGS}
        self._patients: dict[str, Line] = {}
        self._total = Line("total", "total")

    def add(self, source: SourceClaim, lines: Iterable[Line]) -> None:
        """One claim's."""
        organisation = Line(source.organisation, source.name)
        wholes = [
            self._organisations.setdefault(source.organisation, organisation),
            self._standings[source.standing],
            self._patients.setdefault(source.patient, Line(source.patient, "")),
            self._total,
        ]
        for whole in wholes:
            whole.claims += 1
        for line in lines:
            insurer = self._insurers.setdefault(line.key, Line(line.key, line.name))
            insurer.claims += 1
            for each in (insurer, *wholes):
                each.add(line)

    def account(self, answers: Mapping[str, int]) -> Account:
        """All of it, sorted."""
        insurers = sorted(
            self._insurers.values(), key=lambda line: (line.key != PATIENT, line.name)
        )
        return Account(
            insurers=insurers,
            organisations=sorted(self._organisations.values(), key=lambda line: line.name),
            standings=[line for line in self._standings.values() if line.claims],
            patients=list(self._patients.values()),
            total=self._total,
            answers=answers,
        )
