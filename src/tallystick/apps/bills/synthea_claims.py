"""Which insurers are asked about which imported bill, in which order, and what each answers.

Asked are, in this order: the insurers that the claim names, each answering with what it bore by the
transactions; then every other one that covered the patient shortly before or after the service,
which answers that it does not cover it. Two or more follow a plan, in these ranks.

Invariant: what an insurer settles is what it bore less its credits, to the cent; nobody pays who
did not cover the patient. See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from tallystick.apps.bills.sending import new_nonce
from tallystick.apps.bills.synthea_bills import (
    PATIENT,
    Part,
    insurer_id,
    organisation_id,
    parts_of,
    total_of,
)
from tallystick.apps.bills.synthea_coverage import Coverage, Standing
from tallystick.apps.bills.synthea_records import Claim, Export
from tallystick.contracts.bills.records.bills import BillId
from tallystick.durable import write_file
from tallystick.protocol.canonical import Meta, Record, decode, encode, replace
from tallystick.protocol.values import Amount, Nonce, OrgId, Word

COPAY, DEDUCTIBLE, PATIENT_SHARE = "copay", "deductible", "patient_share"
NOT_COVERED, NOTHING_LEFT = "not_covered", "nothing_left"

T = TypeVar("T", bound=Record)


class Ask(Record):
    """One insurer asked about one bill. Private."""

    claim: str
    bill: BillId
    issuer: OrgId
    patient: str
    reimburser: OrgId
    name: str
    """The reimburser's, for people."""
    rank: Annotated[int, Meta(ge=1)]
    answer: Literal["settle", "reject", "waive"]
    asked: Amount
    """What is locked: all that those before it leave."""
    amount: Amount
    """What is settled."""
    reason: Word | None = None
    nonce: Nonce
    """The insurer's own number for this claim; whoever has it owns the lock."""
    refused: str = ""
    """Why the ledger did not take it."""


class SourcePart(Record):
    """What one bearer bore of a claim."""

    bearer: str
    """`PATIENT`, or the insurer's name on the ledger."""
    name: str
    borne: int
    credit: int
    copaid: int = 0


class SourceClaim(Record):
    """A claim as the export has it: what the ledger is held against. Private."""

    claim: str
    organisation: OrgId
    name: str
    patient: str
    standing: Standing
    bill: BillId | None
    refused: str
    """Why it is no bill."""
    parts: list[SourcePart]


def source_of(
    export: Export, claim: Claim, coverage: Coverage, bill: str | None, refused: str
) -> SourceClaim:
    """A claim's money, for the report."""
    names = {insurer_id(uuid): each.name for uuid, each in export.insurers.items()}
    return SourceClaim(
        claim=claim.uuid,
        organisation=organisation_id(claim.encounter.organisation),
        name=export.organisations[claim.encounter.organisation].name,
        patient=claim.patient.uuid,
        standing=coverage.standing(claim),
        bill=bill,
        refused=refused,
        parts=[
            SourcePart(
                bearer=part.bearer,
                name=PATIENT if part.bearer == PATIENT else names[part.bearer],
                borne=part.borne,
                credit=part.credit,
                copaid=claim.copaid if part.bearer == PATIENT else 0,
            )
            for part in _by_bearer(claim).values()
        ],
    )


def _by_bearer(claim: Claim) -> dict[str, Part]:
    """Its parts; one that is first and second insurer at once is asked once."""
    found: dict[str, Part] = {}
    for part in parts_of(claim):
        same = found.get(part.bearer, Part(part.rank, part.bearer, 0, 0, 0))
        found[part.bearer] = Part(
            same.rank,
            part.bearer,
            same.borne + part.borne,
            same.credit + part.credit,
            same.rounding + part.rounding,
        )
    return found


def plan_asks(export: Export, claim: Claim, coverage: Coverage, bill: str) -> list[Ask]:
    """Everyone who is asked about a claim's bill; nobody where nothing was charged."""
    return list(_asks(export, claim, coverage, bill)) if total_of(claim) else []


def _asks(export: Export, claim: Claim, coverage: Coverage, bill: str) -> Iterator[Ask]:
    parts = _by_bearer(claim)
    there = coverage.on(claim.patient.uuid, claim.at)
    near = coverage.near(claim.patient.uuid, claim.at)
    named = [claim.bearers[each] for each in ("1", "2") if each in claim.bearers]
    left = total_of(claim)
    for rank, uuid in enumerate(dict.fromkeys([*named, *near]), 1):
        org = insurer_id(uuid)
        covers = uuid in named and uuid in there
        answer = _answer(claim, parts.get(org), left) if covers else _no(left)
        yield Ask(
            claim=claim.uuid,
            bill=bill,
            issuer=organisation_id(claim.encounter.organisation),
            patient=claim.patient.uuid,
            reimburser=org,
            name=export.insurers[uuid].name,
            rank=rank,
            answer=answer.answer,
            asked=left,
            amount=answer.amount,
            reason=answer.reason,
            nonce=new_nonce(),
        )
        left -= answer.amount


@dataclass(frozen=True, slots=True)
class _Answer:
    answer: Literal["settle", "reject", "waive"]
    amount: int
    reason: str | None


def _no(left: int) -> _Answer:
    """Of an insurer that does not cover the service."""
    return _Answer("reject", 0, NOT_COVERED) if left else _Answer("waive", 0, NOTHING_LEFT)


def _answer(claim: Claim, part: Part | None, left: int) -> _Answer:
    """Of one that does."""
    amount = part.net if part else 0
    if not left:
        return _Answer("waive", 0, NOTHING_LEFT)
    if amount == left:
        return _Answer("settle", amount, None)
    if amount:
        return _Answer("settle", amount, PATIENT_SHARE)
    return _Answer("settle", 0, COPAY if claim.copaid == left else DEDUCTIBLE)


# ------------------------------------------------------------------------------------- keeping


def read_kept(path: Path, kind: type[T]) -> list[T]:
    """What an import has kept in a file of one record a line; nothing where there was none."""
    if not path.exists():
        return []
    return [decode(line, kind) for line in path.read_bytes().splitlines()]


def write_kept(path: Path, records: Iterable[Record]) -> None:
    """A whole file for its owner alone, or the one before; durable when this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(path, b"".join(encode(each) + b"\n" for each in records), mode=0o600)


def with_former_nonces(asks: Sequence[Ask], kept: Iterable[Ask]) -> list[Ask]:
    """The same under the numbers that they were asked under before: a lock that stands is known
    again."""
    known = {(each.bill, each.reimburser): each.nonce for each in kept}
    return [
        replace(each, nonce=known.get((each.bill, each.reimburser), each.nonce)) for each in asks
    ]
