"""`tally doctor`, `export`, `import`, `backup`, `errors`: looking after a ledger.

Invariant: none of these changes the ledger that it reads. See docs/spec/storage.md.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import DAMAGED, fail

LedgerFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The ledger's folder.")]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(doctor)
    app.command()(export)
    app.command("import")(import_)
    app.command()(backup)
    app.command()(errors)


def doctor(
    folder: LedgerFolder,
    deep: Annotated[
        bool, typer.Option("--deep/--quick", help="Execute every block again as well.")
    ] = True,
    as_json: options.AsJson = False,
) -> None:
    """Check everything that a ledger holds. Exit 5: damaged.

    Roots, rows against proofs, log against tiles, replay."""
    from tallystick.engines.clock import Clock
    from tallystick.ledger.doctor import examine
    from tallystick.node import rules

    if not folder.is_dir():
        raise FileNotFoundError(2, "no such folder", str(folder))
    with out.progress() as bar:
        task = bar.add_task("checking", total=None)

        def told(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        report = examine(folder, rules(), told, deep=deep, now=Clock().now())
    if as_json:
        out.json(dataclasses.asdict(report) | {"folder": str(folder), "sound": report.sound})
    else:
        _print_report(report)
    if not report.sound:
        raise typer.Exit(DAMAGED)


def export(
    folder: LedgerFolder,
    target: Annotated[Path, typer.Argument(metavar="OUT", help="New folder, or one to continue.")],
    as_json: options.AsJson = False,
) -> None:
    """Write the whole ledger as portable files.

    Founding file, blocks, tiles, checkpoint."""
    from tallystick.cli.reading import best_note
    from tallystick.ledger.portable import export_ledger

    with out.progress() as bar:
        task = bar.add_task("blocks", total=None)
        head = export_ledger(
            *(folder, target, lambda block: bar.update(task, completed=block)),
            note=best_note(folder),
        )
    _print_head(head, target, as_json)


def import_(
    source: Annotated[Path, typer.Argument(metavar="IN", help="An export, or a published feed.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder of the ledger.")],
    network: Annotated[
        str | None, typer.Option("--network", help="The network's id that it must be of.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Execute an export again in a new folder. The same roots, or nothing."""
    from tallystick.cli.inputs import parse_hex
    from tallystick.ledger.portable import import_ledger
    from tallystick.node import rules

    expected = None if network is None else parse_hex(network, "--network")
    with out.progress() as bar:
        task = bar.add_task("blocks", total=None)
        head = import_ledger(
            source,
            folder,
            rules(),
            lambda block: bar.update(task, completed=block),
            network=expected,
        )
    _print_head(head, folder, as_json)


def backup(
    folder: LedgerFolder,
    target: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the copy.")],
    as_json: options.AsJson = False,
) -> None:
    """Copy a ledger while its node runs. Keys are not copied: keep them elsewhere."""
    from tallystick.ledger.backup import backup as copy

    with out.progress() as bar:
        task = bar.add_task("pages", total=None)
        head = copy(folder, target, progress=lambda d, t: bar.update(task, completed=d, total=t))
    _print_head(head, target, as_json)


def errors(
    code: Annotated[
        str | None, typer.Argument(help="A reason like bills.number_used, or the start of some.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Explain a refusal, and what to do. In Chinese and English; without a code, all of them."""
    from tallystick.cli.reasons import texts

    found = {name: t for name, t in texts().items() if code is None or name.startswith(code)}
    if not found:
        fail(
            *("cli.no_code", "没有这个原因码", "there is no such reason"),
            todo=("运行 tally errors 列出全部", "tally errors lists all"),
            detail=code or "",
        )
    if as_json:
        out.json({name: text._asdict() for name, text in found.items()})
    elif len(found) == 1 or code in found:
        name = code if code in found else next(iter(found))
        text = found[name or ""]
        out.pairs(
            name or "",
            {"说明": text.zh, "处理": text.todo_zh, "why": text.en, "do": text.todo_en},
        )
    else:
        rows = [(name, f"{text.zh}\n{text.en}") for name, text in found.items()]
        out.lines_table(("code", "说明 / why"), rows)


def _print_head(head: Any, folder: Path, as_json: bool) -> None:
    shown = {
        "block": head.block,
        "size": head.size,
        "root": head.root.hex(),
        "state": head.state.hex(),
        "network": head.network.hex(),
    }
    if as_json:
        out.json(shown)
    else:
        out.pairs(str(folder), shown)


def _print_report(report: Any) -> None:
    if report.head is not None:
        _print_head(report.head, report.folder, False)
    checks = ", ".join(report.checks)
    out.say(f"checked: {checks}; {report.rows:,} rows")
    for finding in report.findings:
        damage = finding.severity.value == "damage"
        out.say(
            f"{finding.severity.value}: {finding.file}: {out.plain(finding.what)}",
            "bold red" if damage else "yellow",
        )
        out.say(f"  do: {finding.todo}")
    if report.sound:
        out.say("sound", "bold green")
    else:
        out.say("DAMAGED: use this folder no more until it is restored", "bold red")
