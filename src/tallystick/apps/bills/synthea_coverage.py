"""Who insured a patient when, by a Synthea export: spans out of ``payer_transitions.csv``.

Synthea knows no day without a span of somebody's: a gap is a span of the payer that stands for no
insurance, or the time before a patient's first span and after the last.

Invariant: the spans of a patient follow each other and never overlap. See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tallystick.apps.bills.synthea_records import PATIENTS, PAYERS, TRANSITIONS, Claim, Export
from tallystick.apps.bills.synthea_table import Line, read_table
from tallystick.protocol.values import DAY_SECONDS

NEAR_DAYS = 30
"""Another insurer so close to a service is asked too."""
COLUMNS = ("PATIENT", "START_YEAR", "END_YEAR", "PAYER", "SECONDARY_PAYER")
"""`START_YEAR` and `END_YEAR` hold instants, whatever they are called."""

Standing = Literal["insured", "insured_twice", "changed", "gap", "uninsured", "not_covered"]
"""How a patient stood on the day of a service: see `Coverage.standing`."""
STANDINGS: tuple[Standing, ...] = (
    *("insured", "insured_twice", "changed", "gap", "uninsured", "not_covered"),
)


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which the same insurers stood behind a patient; seconds since 1970, half-open."""

    start: int
    end: int
    insurer: str | None
    second: str | None

    @property
    def insurers(self) -> tuple[str, ...]:
        """Those that there are."""
        return tuple(each for each in (self.insurer, self.second) if each is not None)


class Coverage:
    """The spans of all patients."""

    def __init__(self, spans: Mapping[str, Sequence[Span]]) -> None:
        self._spans = spans

    def on(self, patient: str, at: int) -> tuple[str, ...]:
        """Who covers a patient at an instant: nobody, one insurer or two."""
        for span in self._spans.get(patient, ()):
            if span.start <= at < span.end:
                return span.insurers
        return ()

    def near(self, patient: str, at: int) -> tuple[str, ...]:
        """Who covers the patient within `NEAR_DAYS` of an instant, but not at it; by time."""
        first, last, there = (
            at - NEAR_DAYS * DAY_SECONDS,
            at + NEAR_DAYS * DAY_SECONDS,
            self.on(patient, at),
        )
        found: dict[str, None] = {}
        for span in self._spans.get(patient, ()):
            if span.start < span.end and span.start <= last and span.end > first:
                found |= dict.fromkeys(each for each in span.insurers if each not in there)
        return tuple(found)

    def standing(self, claim: Claim) -> Standing:
        """In one word.

        ``not_covered``: the claim names an insurer that did not cover the patient; ``gap``: nobody
        did, but somebody soon before or after; ``changed``: so did another than who covers.
        """
        there = self.on(claim.encounter.patient, claim.at)
        near = self.near(claim.encounter.patient, claim.at)
        if any(each not in there for each in claim.bearers.values()):
            return "not_covered"
        if not there:
            return "gap" if near else "uninsured"
        if near:
            return "changed"
        return "insured_twice" if len(claim.bearers) > 1 else "insured"


def read_coverage(folder: Path, export: Export) -> Coverage:
    """Read and check all spans. Raises `ExportDamaged`."""
    spans: dict[str, list[Span]] = {}
    for line in read_table(folder, TRANSITIONS, COLUMNS):
        patient = line.reference("PATIENT")
        if patient not in export.patients:
            raise line.wrong("PATIENT", f"{patient} is not in {PATIENTS}")
        span = Span(
            start=line.instant("START_YEAR"),
            end=line.instant("END_YEAR"),
            insurer=_insurer(line, "PAYER", export),
            second=_insurer(line, "SECONDARY_PAYER", export),
        )
        if span.end < span.start:
            raise line.wrong("END_YEAR", "is before START_YEAR")
        before = spans.setdefault(patient, [])
        if before and span.start < before[-1].end:
            raise line.wrong("START_YEAR", "lies within the span before it")
        before.append(span)
    return Coverage(spans)


def _insurer(line: Line, column: str, export: Export) -> str | None:
    if column == "SECONDARY_PAYER" and line.blank(column):
        return None
    name = line.reference(column)
    if name in export.uninsured:
        return None
    if name not in export.insurers:
        raise line.wrong(column, f"{name} is not in {PAYERS}")
    return name
