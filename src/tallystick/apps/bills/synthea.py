"""A Synthea export becomes bills: read, rehearsed, issued, read back, reconciled.

Claims that insurers bore a part of leave a `ClaimToCome` in ``claims-to-come.jsonl`` of the
import's own folder. What was imported before is known by the claims' ids in the offices' vaults.

Invariant: a damaged export changes nothing; importing again imports nothing twice.
See docs/guides/synthea.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.apps.bills.synthea_bills import ClaimToCome, claims_to_come, organisation_id
from tallystick.apps.bills.synthea_ledger import ImportLedger
from tallystick.apps.bills.synthea_plan import (
    ImportedBill,
    Plan,
    find_imported,
    make_plan,
    needed_numbers,
    refusal_of,
    rehearse,
)
from tallystick.apps.bills.synthea_read import read_export
from tallystick.apps.bills.synthea_reconcile import Reconciliation, Refusal, reconcile
from tallystick.apps.bills.synthea_records import Export
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.durable import write_file
from tallystick.protocol.canonical import decode, encode

CLAIMS_TO_COME = "claims-to-come.jsonl"
RECONCILIATION = "reconciliation.json"
CHUNK = 200
"""Bills that an office issues before progress is told."""

Progress = Callable[[int, int], None]
"""(done, total): how many bills."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or would do."""

    reconciliation: Reconciliation
    issued: int
    """In this run; in a dry run: would be."""
    before: int
    """By earlier runs."""
    dry_run: bool
    ledger_asked: bool
    """Whether the ledger rehearsed it too, and not only the bodies were checked."""

    @property
    def succeeded(self) -> bool:
        """Whether everything reconciles. A refusal is no failure, a difference is."""
        return self.reconciliation.reconciled

    def document(self) -> dict[str, Any]:
        """For other programs."""
        return self.reconciliation.document() | {
            "issued": self.issued,
            "imported_before": self.before,
            "dry_run": self.dry_run,
            "ledger_asked": self.ledger_asked,
        }


def import_synthea(
    export_dir: Path,
    ledger: ImportLedger,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Import an export, or with `dry_run` only say what would come of it.

    1. read and check the export    2. make and check all bodies    3. admit, define and allot what
    is missing    4. let the ledger rehearse    5. issue    6. read back and reconcile

    Raises `ExportDamaged` before anything is done. When it raises later, run it again.
    """
    export = read_export(export_dir)
    if dry_run:
        return _only_say(make_plan(export, ledger), ledger)
    make_plan(export, None)
    ledger.prepare(export)
    _resolve(export, ledger)
    plan = make_plan(export, ledger)
    ledger.grant_numbers(needed_numbers(plan))
    plan, _ = rehearse(plan, ledger)
    refusals = _issue(plan, ledger, progress or _quiet)
    bills = find_imported(export, ledger)
    kept = keep_claims_to_come(ledger.imports / CLAIMS_TO_COME, export, bills)
    totals = {claim: bill.total for claim, bill in bills.items()}
    report = ImportReport(
        reconciliation=reconcile(export, totals, kept, refusals),
        issued=len(bills) - len(plan.before),
        before=len(plan.before),
        dry_run=False,
        ledger_asked=True,
    )
    document = json.dumps(report.document(), ensure_ascii=False, indent=1) + "\n"
    _write_private(ledger.imports / RECONCILIATION, document.encode())
    return report


def preview_synthea(export_dir: Path) -> ImportReport:
    """What would come of an import into a ledger that is yet to be founded."""
    return _only_say(make_plan(read_export(export_dir), None))


def _only_say(plan: Plan, ledger: ImportLedger | None = None) -> ImportReport:
    """The report of a dry run: bills as if their numbers were 0."""
    plan, asked = rehearse(plan, ledger) if ledger else (plan, False)
    totals = {claim: bill.total for claim, bill in plan.before.items()}
    totals |= {claim.uuid: body.total for each in plan.ready.values() for claim, body in each}
    kept = [
        each
        for claim in plan.export.claims
        if claim.uuid in totals
        for each in claims_to_come(claim, format_bill_id(10_000_000, 0))
    ]
    return ImportReport(
        reconciliation=reconcile(plan.export, totals, kept, plan.refusals),
        issued=plan.count,
        before=len(plan.before),
        dry_run=True,
        ledger_asked=asked,
    )


# ------------------------------------------------------------------------------------- issuing


def _resolve(export: Export, ledger: ImportLedger) -> None:
    """What an earlier run left under way comes to its end."""
    for org in (organisation_id(issuer.uuid) for issuer in export.used):
        if ledger.has_vault(org):
            with ledger.open_office(org) as office:
                office.resolve()


def _issue(plan: Plan, ledger: ImportLedger, progress: Progress) -> list[Refusal]:
    """Issue what is ready; all refusals, those of the plan first."""
    refusals, done = list(plan.refusals), 0
    progress(done, plan.count)
    for issuer, drafts in plan.ready.items():
        patients = {claim.patient.uuid: claim.patient for claim, _ in drafts}
        known = [each for each in patients.values() if plan.export.has_own_number(each)]
        with ledger.open_office(organisation_id(issuer.uuid), known) as office:
            for start in range(0, len(drafts), CHUNK):
                chunk = drafts[start : start + CHUNK]
                for (claim, _), one in zip(
                    chunk, office.issue([body for _, body in chunk]), strict=True
                ):
                    if not one.accepted:
                        refusals.append(refusal_of(claim, one.outcome, one.detail, one.path))
                done += len(chunk)
                progress(done, plan.count)
    return refusals


def _quiet(done: int, total: int) -> None:
    """Nobody wants to know."""


# ----------------------------------------------------------------------------- claims to come


def read_claims_to_come(path: Path) -> list[ClaimToCome]:
    """What an import has kept; nothing where there was none."""
    if not path.exists():
        return []
    return [decode(line, ClaimToCome) for line in path.read_bytes().splitlines()]


def keep_claims_to_come(
    path: Path, export: Export, bills: Mapping[str, ImportedBill]
) -> list[ClaimToCome]:
    """Keep the insurers' parts of these bills durably, beside those of other exports; the parts of
    this export are read back from the file."""
    ours = {claim.uuid for claim in export.claims}
    kept = [each for each in read_claims_to_come(path) if each.claim not in ours]
    for claim in export.claims:
        if claim.uuid in bills:
            kept += claims_to_come(claim, bills[claim.uuid].bill)
    _write_private(path, b"".join(encode(each) + b"\n" for each in kept))
    return [each for each in read_claims_to_come(path) if each.claim in ours]


def _write_private(path: Path, data: bytes) -> None:
    """A whole file for its owner alone, or the one before; durable when this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(path, data, mode=0o600)
