"""`tally bills reconcile`: a system's own list of a day against the bills that were issued.

Invariant: without --apply nothing is done, and with it only what a kept result has tried.
See docs/spec/reconciliation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, acting, desk_of
from tallystick.cli.failures import REFUSED, fail

if TYPE_CHECKING:
    from tallystick.apps.bills.reconcile import Act, Difference, Done
    from tallystick.apps.bills.reconciling import Reconciled
    from tallystick.apps.bills.trying import Ask, TryingOffice
    from tallystick.cli.desk import Desk
    from tallystick.keyring import KeySigner

SHOWN_MAX = 50
LIST_BYTES_MAX = 64 * 1024 * 1024


def add_to(app: typer.Typer) -> None:
    """Put the command of this file into the tree."""
    app.command()(acting(reconcile))


class _Bench(NamedTuple):
    """What a reconciliation stands on."""

    desk: Desk
    office: TryingOffice
    signer: KeySigner
    folder: Path


def reconcile(
    how: How,
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[LIST]",
            help="Your list: a table (*.csv) or JSON (one line a bill, or a list). Columns: ref, "
            "bill, total (fen), state, red, paper, place, shift, day; in JSON also draft.",
        ),
    ] = None,
    day: Annotated[
        str | None, typer.Option("--day", help="Business day, YYYY-MM-DD, where the network is.")
    ] = None,
    place: Annotated[str | None, typer.Option("--place", help="Only this place 开票点.")] = None,
    shift: Annotated[str | None, typer.Option("--shift", help="Only this shift 班次.")] = None,
    apply: Annotated[
        Path | None,
        typer.Option("--apply", help="In place of a list: do what this kept result proposes."),
    ] = None,
    vault_passphrase_file: options.VaultPassphrase = None,
) -> None:
    """Compare your list of a day with the bills. All differences, each with what to do.

    The result is signed and kept in VAULT/reconciled. Acts are tried; --apply does them.
    """
    if (file is None) == (apply is None) or (file is not None and day is None):
        fail(
            *("cli.which_list", "请给出清单与 --day，或以 --apply 指明结果文件"),
            "give a list with --day, or a kept result with --apply",
        )
    with _bench(how, vault, vault_key, vault_passphrase_file) as bench:
        if apply is not None:
            _apply(how, bench, apply)
        elif file is not None and day is not None:
            _compare(how, bench, file, {"day": day, "place": place, "shift": shift})


@contextmanager
def _bench(
    how: How, vault: Path, vault_key: Path, vault_passphrase: Path | None
) -> Iterator[_Bench]:
    from tallystick.cli.inputs import load_signer, load_vault
    from tallystick.cli.offices import known_addresses, office_over

    if how.key is None:
        fail("cli.no_key", "缺少签名密钥", "which key signs this? name its file with --key")
    signer = load_signer(how.key, how.passphrase_file)
    loaded = load_vault(vault_key, vault_passphrase)
    with (
        desk_of(how) as desk,
        known_addresses(vault, loaded) as addresses,
        office_over(desk, vault, signer=signer, vault_key=loaded, addresses=addresses) as office,
    ):
        yield _Bench(desk, office, signer, vault)


def _compare(how: How, bench: _Bench, file: Path, scope: dict[str, Any]) -> None:
    from tallystick.apps.bills.reconcile import Scope
    from tallystick.apps.bills.reconciling import At, keep, read_lines, reconcile
    from tallystick.cli.inputs import in_file, read_file
    from tallystick.protocol.canonical import narrow

    with in_file(file):
        lines = read_lines(read_file(file, LIST_BYTES_MAX).decode("utf-8"), file.name)
    wanted = narrow({name: each for name, each in scope.items() if each is not None}, Scope)
    ask = _asking(bench)
    with bench.desk.view() as view:
        found = reconcile(
            *(At(bench.folder, bench.office.vault, view), wanted, lines),
            org=bench.office.org,
            now=bench.desk.now(),
            attempt=lambda difference, act: _try(bench.office, difference, act, ask),
        )
    _print(how, found, keep(bench.folder, found, bench.signer))


def _asking(bench: _Bench) -> Ask:
    def ask(action: str, item: Any) -> str:
        data = bench.desk.sign(bench.signer, bench.office.org, action, [item], False)
        return bench.desk.dry_run(data, {})[0]

    return ask


def _try(office: TryingOffice, difference: Difference, act: Act, ask: Ask) -> Act:
    from tallystick.protocol.canonical import replace
    from tallystick.protocol.errors import Malformed

    work = _work(act)
    if isinstance(work, Malformed):
        return replace(act, outcome="office.malformed", detail=str(work))
    issued = office.rehearse(work, ask)
    detail = f"{issued.path}: {issued.detail}" if issued.path else issued.detail
    return replace(act, outcome=issued.outcome, detail=detail)


def _work(act: Act) -> Any:
    """What an act asks of the office; a `Malformed` where its draft is none."""
    from tallystick.apps.bills.acts import Replacement, Reversal
    from tallystick.cli.drafts import drafts_of
    from tallystick.contracts.bills.records.bills import parse_bill_id
    from tallystick.protocol.errors import Malformed

    bill = parse_bill_id(act.bill) if act.bill else (0, 0)
    if act.verb == "reverse":
        return Reversal(*bill, act.reason or "other")
    if not isinstance(act.draft, dict):
        return Malformed("a draft is a JSON object", path="draft")
    draft = next(drafts_of([act.draft]))
    if isinstance(draft, Malformed) or act.verb == "issue":
        return draft
    return Replacement(*bill, act.reason or "other", draft)


def _apply(how: How, bench: _Bench, file: Path) -> None:
    from tallystick.apps.bills.reconciling import RESULT_BYTES_MAX, apply, read_result
    from tallystick.cli.inputs import in_file, read_file
    from tallystick.protocol.errors import VerificationFailed

    with in_file(file):
        plan = read_result(read_file(file, RESULT_BYTES_MAX))
        if (plan.result.org, plan.result.network) != (bench.office.org, bench.desk.network):
            raise VerificationFailed("the result is another organisation's, or another network's")
    if how.dry_run:
        _print(how, plan, file)
        return
    verbs: dict[str, Callable[[list[Any]], list[Any]]] = {
        "issue": bench.office.issue,
        "reverse": bench.office.reverse,
        "replace": bench.office.replace,
    }

    def do(difference: Difference, act: Act, ref: str) -> Done:
        from tallystick.apps.bills.reconcile import Done
        from tallystick.contracts.bills.records.bills import format_bill_id

        (issued,) = verbs[act.verb]([_work(act)])
        bill = format_bill_id(issued.code, issued.number) if issued.number else None
        return Done(
            n=difference.n, verb=act.verb, outcome=issued.outcome, bill=bill, detail=issued.detail
        )

    applied = apply(bench.folder, plan, do, now=bench.desk.now())
    refused = [each for each in applied.acts if each.outcome != "accepted"]
    if how.as_json:
        out.json({"plan": applied.plan.hex(), "acts": [_plain(each) for each in applied.acts]})
    else:
        done = len(applied.acts) - len(refused)
        out.say(f"{done:,} of {len(applied.acts):,} acts done", "bold green")
        out.table(
            "acts",
            ("difference#", "act", "bill", "outcome"),
            [(each.n, each.verb, each.bill or "", _both(each.outcome)) for each in applied.acts],
        )
    if refused:
        raise typer.Exit(REFUSED)


def _print(how: How, found: Reconciled, path: Path) -> None:
    from tallystick.contracts.bills.amounts import format_amount

    result = found.result
    if how.as_json:
        differences = [_plain(each) for each in found.differences]
        head = {"plan": result.digest.hex(), "file": str(path), "result": _plain(result)}
        out.json(head | {"differences": differences})
        return
    style = "bold yellow" if found.differences else "bold green"
    out.say(f"{len(found.differences):,} differences; {result.equal.count:,} agree", style)
    sums = [("there", result.there), ("here", result.here), *result.classes.items()]
    out.table(
        f"{result.scope.day} {result.scope.place or ''} {result.scope.shift or ''}".rstrip(),
        ("class", "count#", "there#", "here#"),
        [
            (name, each.count, format_amount(each.there), format_amount(each.here))
            for name, each in sums
            if each.count
        ],
    )
    chinese = out.language() == "zh"
    out.table(
        "differences",
        ("class", "bill", "ref", "trial", "what to do"),
        [
            (
                *(each.kind, each.bill or "", each.ref),
                _both(each.act.outcome) if each.act else "",
                each.todo_zh if chinese else each.todo_en,
            )
            for each in found.differences[:SHOWN_MAX]
        ],
    )
    out.say(f"{path}")


def _both(outcome: str) -> str:
    from tallystick.cli.reasons import both

    return both(outcome)


def _plain(value: object) -> Any:
    from tallystick.protocol.canonical import builtins

    return builtins(value)
