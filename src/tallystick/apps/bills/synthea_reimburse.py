"""After the import of an export its insurers reimburse: planned, archived, claimed, reported.

Kept in ``synthea/`` of the ledger's folder: ``source.jsonl`` (what the ledger is held against),
``claims.jsonl`` (who is asked what), ``mandates.jsonl`` (what patients said). All of it is private.

Invariant: what is asked is kept before it is asked, so the next run knows what this one began.
See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tallystick.apps.bills.synthea_archive import ImportArchive
from tallystick.apps.bills.synthea_bills import total_of
from tallystick.apps.bills.synthea_claiming import Case, Claiming, Progress
from tallystick.apps.bills.synthea_claims import (
    Ask,
    SourceClaim,
    plan_asks,
    read_kept,
    source_of,
    with_former_nonces,
    write_kept,
)
from tallystick.apps.bills.synthea_coverage import Coverage, read_coverage
from tallystick.apps.bills.synthea_ledger import ImportLedger, KeyFolder, LedgerNode
from tallystick.apps.bills.synthea_plan import find_imported
from tallystick.apps.bills.synthea_read import read_export
from tallystick.apps.bills.synthea_reconcile import Refusal
from tallystick.apps.bills.synthea_records import TRANSITIONS, Export
from tallystick.apps.bills.synthea_report import ASKS, SOURCE, Account, account_for
from tallystick.apps.bills.synthea_wallets import SECRET, Wallets
from tallystick.contracts.bills.records.bills import format_bill_id

T = TypeVar("T", Ask, SourceClaim)

NO_INSURER, NOTHING_CHARGED = "no_insurer", "nothing_charged"
_UNKNOWN = format_bill_id(10_000_000, 1)


def has_coverage(export_dir: Path) -> bool:
    """Whether an export says who was insured when; without it no claims are made."""
    return (export_dir / TRANSITIONS).exists()


def preview_claims(export_dir: Path) -> Mapping[str, int]:
    """How many insurers would answer how, and about how many claims nobody would be asked.

    Raises `ExportDamaged`.
    """
    export = read_export(export_dir)
    coverage = read_coverage(export_dir, export)
    found = Counter[str]()
    for claim in export.claims:
        asks = plan_asks(export, claim, coverage, _UNKNOWN)
        found.update(
            f"{each.answer}:{each.reason}" if each.reason else each.answer for each in asks
        )
        if not asks:
            found[NO_INSURER if total_of(claim) else NOTHING_CHARGED] += 1
    return dict(sorted(found.items()))


def ledger_for_claims(node: LedgerNode, folder: Path, keys: KeyFolder) -> ImportLedger:
    """The ledger in `folder` with finance's archive and patients' wallets: what claims need."""
    archive = ImportArchive(folder, keys)
    wallets = Wallets(node.network, keys.vault_key(SECRET).secret)
    return ImportLedger(
        *(node, folder, keys),
        archive=archive.recipient,
        mailbox=archive.mailbox,
        wallets=wallets,
    )


def claim_synthea(
    export_dir: Path,
    ledger: ImportLedger,
    refusals: Iterable[Refusal],
    *,
    progress: Progress | None = None,
) -> Account:
    """Have the insurers of an imported export reimburse its bills; what came of it.

    1. keep what is to be asked    2. have the bodies archived    3. let the insurers claim
    4. ask    5. read back. `ledger` is one of `ledger_for_claims`; `refusals` are of claims that
    are no bills. When it raises, run it again.
    """
    export = read_export(export_dir)
    asks = _prepare(export_dir, export, ledger, refusals)  # 1 to 3
    asked = Claiming(ledger, asks, progress or _quiet).run()  # 4
    path = ledger.imports / ASKS
    write_kept(path, _beside(read_kept(path, Ask), asked, export))
    return report_synthea(ledger)  # 5


def hand_over(export_dir: Path, ledger: ImportLedger, refusals: Iterable[Refusal]) -> list[Case]:
    """The same as far as 3: what insurers that ask the ledger themselves are handed, by rank."""
    export = read_export(export_dir)
    return Claiming(ledger, _prepare(export_dir, export, ledger, refusals), _quiet).hand_over()


def _prepare(
    export_dir: Path, export: Export, ledger: ImportLedger, refusals: Iterable[Refusal]
) -> list[Ask]:
    asks = _keep(export, read_coverage(export_dir, export), ledger, refusals)  # 1
    archive = ImportArchive(ledger.folder, ledger.keys)
    archive.acknowledge(ledger, dict.fromkeys(each.bill for each in asks))  # 2
    ledger.let_claim(dict.fromkeys(each.reimburser for each in asks))  # 3
    return asks


def report_synthea(ledger: ImportLedger) -> Account:
    """What came of all imports into this ledger. `FileNotFoundError`: no claims were made."""
    with ledger.node.view() as view:
        return account_for(view, ledger.imports)


def _keep(
    export: Export, coverage: Coverage, ledger: ImportLedger, refusals: Iterable[Refusal]
) -> list[Ask]:
    """Keep source and asks durably, beside those of other exports; the asks of this one."""
    bills = find_imported(export, ledger)
    reasons = {each.claim: each.reason for each in refusals}
    sources: list[SourceClaim] = []
    asks: list[Ask] = []
    for claim in export.claims:
        bill = bills[claim.uuid].bill if claim.uuid in bills else None
        refused = reasons.get(claim.uuid, "")
        sources.append(source_of(export, claim, coverage, bill, refused))
        if bill is not None:
            asks += plan_asks(export, claim, coverage, bill)
    path = ledger.imports / ASKS
    kept = read_kept(path, Ask)
    asks = with_former_nonces(asks, kept)
    write_kept(path, _beside(kept, asks, export))
    path = ledger.imports / SOURCE
    write_kept(path, _beside(read_kept(path, SourceClaim), sources, export))
    return asks


def _beside(kept: Sequence[T], ours: Sequence[T], export: Export) -> list[T]:
    mine = {claim.uuid for claim in export.claims}
    return [each for each in kept if each.claim not in mine] + list(ours)


def _quiet(done: int, total: int) -> None:
    """Nobody wants to know."""
