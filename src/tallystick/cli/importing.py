"""`tally bills import`, `report` and `archive`: real input, and finance's archive at work.

Invariant: an import exits with 0 only when everything reconciles to the cent.
See docs/spec/archive.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import FALSE, fail

if TYPE_CHECKING:
    from tallystick.apps.bills.archive_office import ArchiveOffice
    from tallystick.apps.bills.synthea import ImportReport
    from tallystick.apps.bills.synthea_ledger import ImportLedger
    from tallystick.apps.bills.synthea_report import Account

REFUSED_SHOWN_MAX = 20
ROUND_SECONDS = 0.5

import_app = typer.Typer(no_args_is_help=True, help="Bills out of other systems' exports.")
report_app = typer.Typer(no_args_is_help=True, help="What became of what was imported.")
archive_app = typer.Typer(no_args_is_help=True, help="Finance's archive of bodies.")


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.add_typer(import_app, name="import")
    app.add_typer(report_app, name="report")
    app.add_typer(archive_app, name="archive")


@import_app.command()
def synthea(
    export: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of Synthea's CSV files.")],
    folder: options.LedgerDir = Path("synthea-ledger"),
    passphrase_file: options.Passphrase = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Bills out of a Synthea export, claimed, reconciled to the cent.

    For each organisation and insurer. Founds a ledger in --dir if there is none. With
    payer_transitions.csv the insurers claim, too. Exit code 0 only when everything reconciles. Run
    it with --dry-run first: it reads and checks all and changes nothing.
    """
    from tallystick.apps.bills.synthea import preview_synthea
    from tallystick.apps.bills.synthea_reimburse import has_coverage, preview_claims
    from tallystick.cli.founding import check_may_found

    if not export.is_dir():
        raise FileNotFoundError(2, "no such folder", str(export))
    check_may_found(folder)
    # A damaged export must not even found a ledger.
    planned = preview_claims(export) if has_coverage(export) else None
    account = None
    if (folder / "ledger.db").exists():
        report, account = _import(export, folder, passphrase_file, dry_run, planned is not None)
    else:
        report = preview_synthea(export)
        if not dry_run:
            report, account = _import(export, folder, passphrase_file, False, planned is not None)
    if as_json:
        claimed = account.document() if account else None
        out.json(report.document() | {"claims_planned": planned, "reimbursed": claimed})
    else:
        _print_report(report)
        _print_claims(account, planned)
    if not report.succeeded or not (account is None or account.reconciled):
        raise typer.Exit(FALSE)


def _import(
    export: Path, folder: Path, passphrase_file: Path | None, dry_run: bool, claims: bool
) -> tuple[ImportReport, Account | None]:
    """Bills, then the insurers' claims on them."""
    from tallystick.apps.bills.synthea import import_synthea
    from tallystick.apps.bills.synthea_reimburse import claim_synthea

    with (
        _import_ledger(folder, passphrase_file, claims=not dry_run) as ledger,
        out.progress() as bar,
    ):

        def shown(what: str) -> Callable[[int, int], None]:
            task = bar.add_task(what, total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        report = import_synthea(export, ledger, dry_run=dry_run, progress=shown("bills issued"))
        if dry_run or not claims:
            return report, None
        refusals = report.reconciliation.refusals
        return report, claim_synthea(export, ledger, refusals, progress=shown("insurers asked"))


@report_app.command("synthea")
def report_synthea(
    folder: options.LedgerDir = Path("synthea-ledger"), as_json: options.AsJson = False
) -> None:
    """What became of the money of an imported export, to the cent.

    For each insurer, organisation and kind of patient: source = settled + transferred + copay +
    credits + refused. Exit code 1 when a cent is not accounted for; a refusal is accounted for.
    """
    from tallystick.apps.bills.synthea_ledger import IMPORTS
    from tallystick.apps.bills.synthea_report import SOURCE, account_for
    from tallystick.cli.reading import reading

    with reading(folder) as view:
        if not (folder / IMPORTS / SOURCE).exists():
            fail(
                *("cli.no_claims", "该账本中没有导入的报销", "no insurer has claimed here yet"),
                todo=(
                    "先运行 tally bills import synthea（目录中须有 payer_transitions.csv）",
                    "run tally bills import synthea, with payer_transitions.csv in its folder",
                ),
                detail=str(folder),
            )
        account = account_for(view, folder / IMPORTS)
    if as_json:
        out.json(account.document())
    else:
        for title, (heading, *rows) in account.tables():
            names = [name if not n else f"{name}#" for n, name in enumerate(heading)]
            out.table(f"{title}, in USD", names, rows)
        _print_claims(account, None)
    if not account.reconciled:
        raise typer.Exit(FALSE)


@archive_app.command()
def run(
    folder: Annotated[Path, typer.Option("--dir", "-d", help="The archive's own folder.")],
    ledger: Annotated[
        Path,
        typer.Option(
            "--ledger", help="Folder of a keeper of ours, or the operator's own: what is on record."
        ),
    ],
    mailbox: Annotated[Path, typer.Option("--mailbox", help="Folder that issuers deliver into.")],
    org: Annotated[str, typer.Option("--org", help="The organisation whose archive it is.")],
    key: Annotated[Path, typer.Option("--key", "-k", help="Its operating key file.")],
    archive_key: Annotated[Path, typer.Option("--archive-key", help="The archive's vault key.")],
    delivery_key: Annotated[
        list[Path],
        typer.Option(
            "--delivery-key", help="Key that opens deliveries, or a folder of them; or more."
        ),
    ],
    box: options.Box = None,
    passphrase_file: options.Passphrase = None,
    patience: Annotated[
        int, typer.Option("--patience", help="Seconds before a missing body is named.", min=0)
    ] = 600,
    once: Annotated[bool, typer.Option("--once", help="One round, then end.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Check and store what issuers deliver.

    And say on the ledger how far all is archived: that it signs and leaves in the running node's
    box, --box, or --ledger if that is the operator's. What is on record it reads out of --ledger,
    which our keeper executed and verified. Stop it with Ctrl-C.
    """
    from tallystick.cli.keeping import orphaned, stop_event

    sums = {"records": 0, "archived": 0, "wrong": 0, "turned_away": 0, "proposed": 0}
    busy, behind = 0.0, 0
    stopping = stop_event()
    opened = _archive_office(
        folder, ledger, box, mailbox, org, key, archive_key, delivery_key, passphrase_file, patience
    )
    with opened as office:
        while not stopping.is_set() and not orphaned():
            started = time.monotonic()
            done = office.run_once()
            busy += time.monotonic() - started if done.archived else 0
            for name in sums:
                sums[name] += getattr(done, name)
            for detail in done.details:
                out.warn(f"not archived: {out.plain(detail)}")
            if done.behind and not behind:
                out.warn(f"waiting: the ledger lacks {done.behind:,} entries that it had before")
            behind = done.behind
            if once:
                break
            if not done.records and not done.archived:
                stopping.wait(ROUND_SECONDS)
    if as_json:
        out.json(sums | {"busy_milliseconds": int(busy * 1000)})
    else:
        out.pairs("archive", {name.replace("_", " "): f"{n:,}" for name, n in sums.items()})


@archive_app.command()
def findings(
    folder: Annotated[Path, typer.Option("--dir", "-d", help="The archive's own folder.")],
    archive_key: Annotated[Path, typer.Option("--archive-key", help="The archive's vault key.")],
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """What the archive found. Broken rules, repeated settlements, next bills of live ones."""
    from tallystick.apps.bills.checks import business_keys_of, check_content
    from tallystick.cli.inputs import load_vault
    from tallystick.vault import Archive, Expected

    def none(_: Expected) -> Any:
        raise LookupError("nothing is judged here")

    if not folder.is_dir():
        raise FileNotFoundError(2, "no such folder", str(folder))
    key = load_vault(archive_key, passphrase_file)
    with Archive.open(
        folder / "bodies",
        key.secret,
        delivery_keys={},
        fetch_record=none,
        check=check_content,
        business=business_keys_of,
    ) as archive:
        found = [one for _, one in archive.findings()] + archive.find_unreversed()
    if as_json:
        out.json({"findings": [out.hex_bytes(one) | {"digest": one.digest} for one in found]})
        return
    out.table(
        "findings",
        ("kind", "issuer", "bill", "reason", "field", "found"),
        [
            (f.kind, f.issuer, f"{f.code}:{f.number:010d}", f.reason, f.path, f.detail)
            for f in found
        ],
    )


@contextmanager
def _import_ledger(
    folder: Path, passphrase_file: Path | None, *, claims: bool
) -> Iterator[ImportLedger]:
    """The ledger in `folder` with the keys beside it; founded when there is none.

    `claims`: finance's archive and the patients' wallets lie beside it too.
    """
    from tallystick.apps.bills.synthea_ledger import LOG, ImportLedger, KeyFolder, found_for_import
    from tallystick.apps.bills.synthea_reimburse import ledger_for_claims
    from tallystick.cli.inputs import passphrase_of
    from tallystick.engines.clock import Clock
    from tallystick.node import Node

    new = not (folder / "ledger.db").exists()
    folder.mkdir(parents=True, exist_ok=True)
    keys = KeyFolder(folder / "keys", passphrase_of(passphrase_file, new=new))
    if new:
        node = found_for_import(folder, keys, Node.found, at=Clock().now())
    else:
        node = Node.open(folder, keys.held(LOG))
    with node:
        yield (ledger_for_claims if claims else ImportLedger)(node, folder, keys)


@contextmanager
def _archive_office(
    folder: Path,
    ledger: Path,
    box: Path | None,
    mailbox: Path,
    org: str,
    key: Path,
    archive_key: Path,
    delivery_keys: list[Path],
    passphrase_file: Path | None,
    patience: int,
) -> Iterator[ArchiveOffice]:
    from tallystick.apps.bills.accepted import KeptLedger
    from tallystick.apps.bills.archive_office import ArchiveOffice
    from tallystick.apps.bills.checks import business_keys_of, check_content
    from tallystick.apps.bills.sending import drop
    from tallystick.cli.delivery_keys import key_files
    from tallystick.cli.inputs import load_delivery, load_signer, load_vault
    from tallystick.engines.clock import Clock
    from tallystick.vault import Archive

    acts = _box_of(ledger, box)
    kept = KeptLedger(ledger)
    opened = [load_delivery(each, passphrase_file) for each in key_files(delivery_keys)]
    with Archive.open(
        folder / "bodies",
        load_vault(archive_key, passphrase_file).secret,
        delivery_keys={each.public_key: each.private_key for each in opened},
        fetch_record=kept.record,
        check=check_content,
        business=business_keys_of,
    ) as archive:
        yield ArchiveOffice(
            archive,
            kept,
            org=org,
            signer=load_signer(key, passphrase_file),
            box=mailbox,
            submit=lambda data: drop(acts, data),
            clock=Clock().now,
            patience_seconds=patience,
        )


def _box_of(ledger: Path, operator: Path | None) -> Path:
    """Where acts go, once there is a ledger to read: a keeper's folder has no box of its own."""
    from tallystick.ledger.sqlite import FILE
    from tallystick.node import BOX

    if not (ledger / FILE).exists():
        fail(
            *("cli.no_ledger", "该目录中没有账本", "there is no ledger in this folder"),
            todo=("先运行 tally keep", "name a keeper's folder, once tally keep has begun it"),
            detail=str(ledger),
        )
    box = (operator or ledger) / BOX
    if not box.is_dir():
        fail(
            *("cli.no_box", "该目录中没有节点的投递箱", "no node takes acts in this folder"),
            todo=(
                "用 --box 指定节点的账本目录",
                "name the folder of the node's ledger: --box LEDGER",
            ),
            detail=str(box),
        )
    return box


def _print_report(report: ImportReport) -> None:
    account = report.reconciliation
    heading, *rows = account.table()
    shown = [n for n in range(len(heading)) if n < 2 or any(row[n] != "0.00" for row in rows)]
    names = [heading[n] if n < 2 else f"{heading[n]}#" for n in shown]
    out.table("reconciliation, in USD", names, [[row[n] for n in shown] for row in rows])
    refused = account.refusals
    if refused:
        out.table(
            f"{len(refused):,} claims are no bills",
            ("line#", "claim", "reason", "field", "found"),
            [
                (one.line, one.claim, one.reason, one.path, one.detail)
                for one in refused[:REFUSED_SHOWN_MAX]
            ],
        )
        if len(refused) > REFUSED_SHOWN_MAX:
            out.say(f"… and {len(refused) - REFUSED_SHOWN_MAX:,} more; --json has all")
    would = "would become" if report.dry_run else "became"
    out.say(
        f"{report.issued:,} of {account.claims:,} claims {would} bills, {report.before:,} before"
    )
    if report.succeeded:
        out.say("reconciled: source = imported + credits + refused, to the cent", "bold green")
    else:
        out.say("NOT reconciled: see the column ±", "bold red")


def _print_claims(account: Account | None, planned: Mapping[str, int] | None) -> None:
    """How insurers answered, or would."""
    if account is None:
        if planned is None:
            out.say("no payer_transitions.csv: who was insured when is not known, nobody claims")
        else:
            out.pairs("insurers would be asked", _worded(planned))
        return
    out.pairs("insurers were asked", _worded(account.answers))
    if account.reconciled:
        equation = "source = settled + transferred + copay + credits + refused"
        patients = f"each of {len(account.patients):,} patients"
        out.say(f"reconciled: {equation}, to the cent, {patients} too", "bold green")
    else:
        out.say(
            f"NOT reconciled: see the column ±; {account.differing_patients:,} of "
            f"{len(account.patients):,} patients differ",
            "bold red",
        )


def _worded(answers: Mapping[str, int]) -> dict[str, str]:
    return {name.replace(":", ", ").replace("_", " "): f"{n:,}" for name, n in answers.items()}
