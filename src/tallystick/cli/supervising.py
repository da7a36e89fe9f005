"""`tally bills freeze`, `lift`, `dispute`, `answer`, `disputes`, `patterns`: supervision of bills.

Evidence and answers stay where they are; their digests go onto the ledger.

Invariant: reading needs no key; what is shown of patterns names no reimburser with a bill.
See docs/spec/contracts/bills-supervision.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, act, acting, nonce
from tallystick.cli.failures import fail
from tallystick.cli.paper import Bills, OneBill, of_bills, read_blue

if TYPE_CHECKING:
    from tallystick.apps.bills.patterns import Patterns
    from tallystick.contracts.kit.context import Reader
    from tallystick.ledger.view import View
    from tallystick.vault import Finding

SHOWN_MAX = 50

Table = tuple[str, str, tuple[str, ...], list[tuple[Any, ...]]]
"""Title in Chinese and English, columns, rows."""

Evidence = Annotated[
    str,
    typer.Option(
        "--evidence", help="A file, or its SHA-256 in hex; only that stands on the ledger."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    for command in (freeze, lift, dispute, answer):
        app.command(command.__name__)(acting(command))
    app.command()(disputes)
    app.command()(patterns)


# ------------------------------------------------------------------------------------------ acts


def freeze(how: How, bills: Bills, reason: options.Reason, evidence: Evidence) -> None:
    """Freeze bills: no new lock, settlement or reversal. Running times pause."""
    from tallystick.cli.inputs import digest_of
    from tallystick.contracts.bills.items.supervision import Freeze

    digest = digest_of(evidence)
    act(
        how,
        "bills.freeze/1",
        lambda view: of_bills(view, Freeze, bills, reason, evidence=digest),
    )


def lift(
    how: How,
    bills: Bills,
    reason: options.Reason,
    cancel_lock: Annotated[
        bool, typer.Option("--cancel-lock", help="End the lock, too: a refund is due by law.")
    ] = False,
) -> None:
    """Lift a freeze. What remained of each running time remains."""
    from tallystick.contracts.bills.items.supervision import Lift

    act(
        how,
        "bills.lift/1",
        lambda view: of_bills(view, Lift, bills, reason, cancel_lock=cancel_lock),
    )


def dispute(
    how: How,
    bill: OneBill,
    what: Annotated[
        str, typer.Option("--what", help="One word: what is doubted, such as altered.")
    ],
    evidence: Evidence,
) -> None:
    """Doubt a bill (稽核疑点). Marks it, blocks nothing, and must be answered."""
    from tallystick.cli.inputs import digest_of
    from tallystick.contracts.bills.items.supervision import Dispute

    digest = digest_of(evidence)

    def items(view: Reader) -> list[Any]:
        row = read_blue(view, bill)
        return [Dispute(nonce=nonce(), bill=row.id, what=what, evidence=digest)]

    act(how, "bills.dispute/1", items)


def answer(
    how: How,
    finding: Annotated[
        str, typer.Argument(metavar="FINDING", help="Its id: tally bills disputes lists them.")
    ],
    reason: options.Reason,
    paper: Annotated[
        str, typer.Option("--answer", help="Your answer: a file, or its SHA-256 in hex.")
    ],
) -> None:
    """Answer a finding. About a bill of yours, or as the bill's supervisor."""
    from tallystick.cli.inputs import digest_of
    from tallystick.contracts.bills.items.supervision import Answer

    item = Answer(nonce=nonce(), finding=finding, answer=digest_of(paper), reason=reason)
    act(how, "bills.answer/1", [item])


# --------------------------------------------------------------------------------------- reading


def disputes(
    bill: Annotated[str | None, typer.Argument(metavar="[BILL]", help="CODE:NUMBER.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="Only of this organisation.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were answered.")] = False,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """Findings about bills that wait for an answer. Of one bill, or of all."""
    from tallystick.cli.inputs import parse_bill
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.contracts.bills.views.supervision import list_findings

    bill_id = None if bill is None else format_bill_id(*parse_bill(bill))
    with reading(folder) as view:
        state = None if all_ else "open"
        found = list(list_findings(view, bill=bill_id, by=by, state=state))
    if as_json:
        out.json({"findings": found})
        return
    for row in found:
        named = {name: getattr(row, name) for name in ("bill", "by", "what", "state")}
        named |= {"answered by": row.answered_by, "answer": row.answer, "reason": row.reason}
        shown = {"evidence": row.evidence.hex()} | {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in named.items()
        }
        out.pairs(row.id, shown)
    if not found:
        out.say("no finding" if all_ else "no finding waits for an answer", "bold green")


def patterns(
    since: Annotated[
        str | None,
        typer.Option("--since", help="Only from this day of the network's time on, YYYY-MM-DD."),
    ] = None,
    least: Annotated[
        int, typer.Option("--least", help="Refused claims from so many on.", min=1)
    ] = 2,
    archive: Annotated[
        Path | None,
        typer.Option("--archive", help="Folder of finance's archive: what it found, too."),
    ] = None,
    archive_key: Annotated[
        Path | None, typer.Option("--archive-key", help="The archive's vault key.")
    ] = None,
    passphrase_file: options.Passphrase = None,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """Suspicious patterns, counted out of the log. Double claims, numbers, refusals, doubts."""
    from tallystick.apps.bills.patterns import find_patterns, first_entry
    from tallystick.cli.reading import reading

    found = _archived(archive, archive_key, passphrase_file) if archive is not None else []
    with reading(folder) as view:
        first = 0 if since is None else first_entry(view, _start_of(view, since))
        seen = find_patterns(view, first=first, least=least, archive=found)
    if as_json:
        out.json(seen)
    else:
        _print(seen)


def _start_of(view: View, day: str) -> int:
    """The first second of a day of the network's time."""
    from tallystick.protocol.errors import Malformed
    from tallystick.protocol.values import parse_instant

    try:
        return parse_instant(f"{day}T00:00:00Z") - view.genesis.utc_offset_seconds
    except Malformed:
        fail("cli.day", "日期应写作 2026-01-31", "a day is written like 2026-01-31", detail=day)


def _archived(folder: Path, key: Path | None, passphrase_file: Path | None) -> list[Finding]:
    from tallystick.cli.inputs import load_vault
    from tallystick.vault import Archive

    if key is None:
        fail(
            *("cli.no_key", "缺少归档库密钥", "which key opens the archive?"),
            todo=("以 --archive-key 指明", "name its file with --archive-key"),
        )
    if not folder.is_dir():
        raise FileNotFoundError(2, "no such folder", str(folder))
    with Archive[None].keeping(folder / "bodies", load_vault(key, passphrase_file).secret) as kept:
        return [*_all_findings(kept), *kept.find_unreversed()]


def _all_findings(archive: Any) -> Iterator[Finding]:
    after = 0
    while some := archive.findings(after=after):
        yield from (finding for _, finding in some)
        after = some[-1][0]


def _print(seen: Patterns) -> None:
    chinese = out.language() == "zh"
    where = f"entries {seen.first:,} to {seen.size:,}, {seen.at}"
    out.say(f"条目 {seen.first:,} 至 {seen.size:,}，{seen.at}" if chinese else where, "bold")
    for zh, en, columns, rows in _tables(seen):
        title = zh if chinese else en
        if not rows:
            out.say(f"{title}：无" if chinese else f"{title}: none")
            continue
        out.table(title, columns, rows[:SHOWN_MAX])
        if len(rows) > SHOWN_MAX:
            out.say(f"… {len(rows) - SHOWN_MAX:,} more; --json has all")


def _tables(seen: Patterns) -> list[Table]:
    return [
        (
            *("重复报销（按票据）", "repeated double claims, by bill"),
            ("bill", "refused#", "reimbursers#", "reasons", "first", "last"),
            [_doubled(each) for each in seen.doubled_bills],
        ),
        (
            *("重复报销（按报销单位）", "repeated double claims, by reimburser"),
            ("reimburser", "refused#", "bills#", "reasons", "first", "last"),
            [_doubled(each) for each in seen.doubled_reimbursers],
        ),
        (
            *("票号未按顺序使用", "numbers used out of order"),
            ("code/level/first", "holder", "backward#", "skipped#", "such as"),
            [
                (each.allotment, each.holder, each.backward, each.skipped, _few(each.examples))
                for each in seen.disordered
            ],
        ),
        (
            *("拒绝次数", "refusals"),
            ("day", "organisation", "reason", "times#"),
            [(each.day, each.org, each.reason, each.count) for each in seen.refused],
        ),
        (
            *("归档中发现的疑点", "found by the archive"),
            ("issuer", "kind", "bills#", "such as"),
            [(each.issuer, each.kind, each.count, _few(each.examples)) for each in seen.archive],
        ),
        (
            *("待答复的稽核疑点", "findings that wait for an answer"),
            ("bill", "issuer", "what", "since", "finding"),
            [(each.bill, each.issuer, each.what, each.since, each.id) for each in seen.disputed],
        ),
        (
            *("已冻结的票据", "frozen bills"),
            ("bill", "issuer", "why"),
            [(each.bill, each.issuer, each.what) for each in seen.frozen],
        ),
    ]


def _doubled(each: Any) -> tuple[Any, ...]:
    reasons = ", ".join(f"{reason} {count}" for reason, count in each.reasons.items())
    return each.subject, each.refused, each.others, reasons, each.first, each.last


def _few(examples: list[str]) -> str:
    shown = ", ".join(examples[:3])
    return f"{shown}, …" if len(examples) > 3 else shown
