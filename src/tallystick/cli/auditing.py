"""`tally bills account export` and `tally bills audit`: a block's file, and what it proves.

Auditing is offline and asks only the trust policy, which never comes from beside the file.

Invariant: exit 0 only if every number is explained and the accepted account says the same.
See docs/spec/audit.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tallystick.cli import options, out
from tallystick.cli.accounting import account, check_month, find_block, parse_place, print_tally
from tallystick.cli.failures import FALSE, UNREADABLE, fail

if TYPE_CHECKING:
    from tallystick.apps.bills.audit import Audit
    from tallystick.protocol.trust import TrustPolicy

VERDICTS_ZH = {
    "EXPLAINED": "真实：每个票号均有去向，且与已通过的核销一致",
    "NOT_ACCEPTED": "真实，但尚无已通过的核销",
    "CHILDREN": "真实，但已下发的票号尚未全部核销",
    "UNEXPLAINED": "真实，但有票号去向不明",
    "DIFFERS": "真实，但核销与账本上的票号不一致",
    "FALSE": "不真实，请勿采信",
    "UNREADABLE": "无法读取",
}
LIMITS = (
    "Not proven: that bodies are true, or that nobody holds a bill without a number of the ledger.",
    "未证明：票据明细内容属实，以及账本之外是否另有无号票据流出。",
)
RANGES_SHOWN_MAX = 200


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    account.command("export")(export)
    app.command()(audit)


def export(
    code: options.Code,
    level: options.Level,
    first: options.First,
    output: Annotated[Path, typer.Option("--output", "-o", help="Write to this new file.")],
    folder: options.LedgerDir = Path(),
    keepers: Annotated[
        int | None,
        typer.Option(
            "--keepers", help="How many must have co-signed.", show_default="all live ones"
        ),
    ] = None,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait for them.")] = 10.0,
    log_key: options.LogKey = None,
    passphrase_file: options.Passphrase = None,
) -> None:
    """Write what proves every number of a block, for an auditor. Also while the node runs."""
    from tallystick.apps.bills.audit_file import write_block
    from tallystick.cli.desk import LOG_KEY
    from tallystick.cli.inputs import load_signer
    from tallystick.cli.reading import make_proofs

    key = log_key or (folder / LOG_KEY if (folder / LOG_KEY).exists() else None)
    signer = None if key is None else load_signer(key, passphrase_file)

    def write(view: Any, note: bytes) -> int:
        row = find_block(view, code, level, first)
        with output.open("xb") as file:
            return write_block(view, note, row, file)

    size = make_proofs(folder, write, keepers_min=keepers, wait_seconds=wait, log_signer=signer)
    out.say(f"{output}: {size:,} bytes; check it with {out.program()} bills audit {output}")


def audit(
    what: Annotated[
        Path, typer.Argument(metavar="FILE|EXPORT", help="A block's file, or an export's folder.")
    ],
    block: Annotated[
        str | None,
        typer.Option("--block", help="CODE/LEVEL/FIRST: which block it must be about."),
    ] = None,
    code: Annotated[
        int | None, typer.Option("--code", help="Of an export: all blocks of this code.")
    ] = None,
    month: Annotated[
        str | None, typer.Option("--month", help="Of an export: ORG/TYPE/YYYY-MM.")
    ] = None,
    trust: options.Trust = None,
    lang: Annotated[
        str | None, typer.Option("--lang", help="en or zh.", show_default="$LANG")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Audit numbers offline (稽核). Every one, whoever keeps the ledger.

    A block's file is verified as it is; an export is executed again from its first block.

    Exit codes: 0 every number is explained and the accepted account says the same; 1 false: a
    number was left out, put in or changed; 2 unreadable, or no trust policy; 3 authentic, but
    numbers are unexplained, the account differs, or none is accepted. Of many blocks the worst.
    """
    from tallystick.cli.inputs import read_policy
    from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed

    out.set_language(lang)
    policy = read_policy(trust)
    try:
        if what.is_dir():
            found = _of_export(what, policy, block, code, month)
        else:
            found = [_of_file(what, policy, block, code, month)]
    except VerificationFailed as error:
        _refuse("FALSE", str(error), FALSE, as_json)
    except (Malformed, Damaged) as error:
        _refuse("UNREADABLE", str(error), UNREADABLE, as_json)
    if as_json:
        out.json({"audits": [_document(each) for each in found]})
    elif len(found) == 1:
        _print_one(found[0], policy)
    else:
        _print_many(found)
    raise typer.Exit(max(each.verdict.exit_code for each in found))


def _of_file(
    path: Path, policy: TrustPolicy, block: str | None, code: int | None, month: str | None
) -> Audit:
    from tallystick.apps.bills.audit import audit_file
    from tallystick.cli.inputs import open_plain
    from tallystick.contracts.bills.records.bills import allotment_id
    from tallystick.protocol.errors import VerificationFailed

    if code is not None or month is not None:
        fail(
            *(
                "cli.audit_what",
                "号段文件只能用 --block 指明",
                "a file is about one block: --block",
            ),
        )
    with open_plain(path) as file:
        found = audit_file(file, policy)
    if block is not None and found.about != (wanted := allotment_id(*parse_place(block))):
        raise VerificationFailed(f"it is about {found.about}, not about {wanted}")
    return found


def _of_export(
    path: Path, policy: TrustPolicy, block: str | None, code: int | None, month: str | None
) -> list[Audit]:
    from tallystick.apps.bills.audit import audit_blocks, audit_month, executed_again
    from tallystick.node import rules

    if sum(each is not None for each in (block, code, month)) != 1:
        fail(
            *("cli.audit_what", "请以 --block、--code 或 --month 指明一项"),
            "of an export: which? name one of --block, --code, --month",
        )
    place = None if block is None else parse_place(block)
    period = None if month is None else check_month(month)
    with out.progress() as bar:
        task = bar.add_task("blocks", total=None)

        def told(done: int) -> None:
            bar.update(task, completed=done)

        with executed_again(path, policy, rules(), told) as (view, vouched):
            if period is not None:
                return [audit_month(view, vouched, *period)]
            if place is not None:
                return audit_blocks(view, vouched, place[0], place[1:])
            return audit_blocks(view, vouched, code or 0)


def _refuse(verdict: str, error: str, code: int, as_json: bool) -> NoReturn:
    if as_json:
        out.json({"verdict": verdict.lower(), "error": error})
    else:
        texts = {"FALSE": "not what it claims to be: do not rely on it"}
        texts["UNREADABLE"] = "no file that can be read"
        chinese = out.language() == "zh"
        out.say(f"{verdict}: {VERDICTS_ZH[verdict] if chinese else texts[verdict]}", "bold red")
        out.say(f"  {error}")
    raise typer.Exit(code)


def _document(audit: Audit) -> dict[str, Any]:
    shown = {name: getattr(audit, name) for name in audit.__slots__}
    return shown | {"verdict": audit.verdict.name.lower(), "exit_code": audit.verdict.exit_code}


def _headline(audit: Audit) -> tuple[str, str]:
    name = audit.verdict.name
    text = VERDICTS_ZH[name] if out.language() == "zh" else audit.verdict.text
    return f"{name}: {text}", "bold red" if audit.verdict.exit_code else "bold green"


def _print_one(audit: Audit, policy: TrustPolicy) -> None:
    from tallystick.protocol.values import format_instant

    out.say(*_headline(audit))
    held = {"held by": policy.names.get(audit.org, audit.org), "reviewer": audit.reviewer}
    held |= {"account": audit.account.state if audit.account else "none"}
    held |= {"vouched by": ", ".join(audit.keepers) or "the operator alone"}
    held |= {"as-of": format_instant(audit.as_of) if audit.as_of else "nobody said when"}
    out.pairs(audit.about, held)
    if audit.ranges:
        out.table(
            "numbers",
            ("first#", "last#", "numbers#", "where"),
            [
                (str(each.first), str(each.last), each.last - each.first + 1, each.fate)
                for each in audit.ranges[:RANGES_SHOWN_MAX]
            ],
        )
    if len(audit.ranges) > RANGES_SHOWN_MAX:
        out.say(f"… and {len(audit.ranges) - RANGES_SHOWN_MAX:,} more ranges; --json has all")
    print_tally(audit.tally, "counted")
    for each in audit.differs:
        out.say(f"  {each}", "bold red")
    for gap in audit.unexplained[:RANGES_SHOWN_MAX]:
        out.say(f"  unexplained: {gap.first} to {gap.last}", "bold red")
    out.say(LIMITS[out.language() == "zh"])


def _print_many(audits: list[Audit]) -> None:
    out.table(
        "blocks",
        ("block", "held by", "verdict", "issued#", "void#", "unexplained#"),
        [
            (
                each.about,
                each.org,
                each.verdict.name,
                each.tally.blue + each.tally.red + each.tally.paper,
                each.tally.void,
                sum(gap.last - gap.first + 1 for gap in each.unexplained),
            )
            for each in audits
        ],
    )
    worst = max(audits, key=lambda each: each.verdict.exit_code)
    out.say(*_headline(worst))
