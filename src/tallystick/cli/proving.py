"""`tally receipt`, `tally verify`, `tally prove-equivocation`: proofs, made and checked.

Verifying is offline and asks only the trust policy, which never comes from beside the receipt.

Invariant: the exit code of `verify` is 0 only if every document is authentic, accepted and, where
status was asked, good now. See docs/spec/receipt.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import FALSE, UNREADABLE, fail
from tallystick.cli.verdicts import LIMITS, VERDICTS_ZH, failed, label, step

if TYPE_CHECKING:
    from tallystick.apps.bills.presentation import Shown
    from tallystick.apps.bills.slip import Slip
    from tallystick.cli.presented import Reader
    from tallystick.contracts.kit.context import Key
    from tallystick.protocol.trust import TrustPolicy
    from tallystick.verify import Verdict, Verified

DETAILED_MAX = 3
"""So many documents are shown with all steps; of more, one line each that is not good."""
LINES_MAX = 50
SHOWN_OTHERWISE = ("kind", "id", "state", "good", "entry", "version", "salt")
STATE_PROOF = b'"format":"tallystick/state-proof/v1"'
"""A string cannot hold these quotes unescaped; it stands behind a checkpoint of any length."""

Documents = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Receipts, state proofs, presentations, split slips; folders are searched.",
    ),
]
Audience = Annotated[
    str | None,
    typer.Option("--for", metavar="ORG", help="A presentation must be shown to this reader."),
]
Purpose = Annotated[
    str | None, typer.Option("--purpose", help="And for this purpose: asked with --for.")
]


@dataclass(frozen=True, slots=True)
class Checked:
    """One document and what became of it."""

    file: Path
    verdict: Verdict
    verified: Verified | None
    error: str = ""
    shown: Shown | Slip | None = None
    """Of a presentation or a split slip."""


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(receipt)
    app.command()(verify)
    app.command("prove-equivocation")(prove_equivocation)


def receipt(
    what: Annotated[
        str, typer.Argument(metavar="INDEX|BILL", help="Log index, or CODE:NUMBER of a bill.")
    ],
    folder: options.LedgerDir = Path(),
    status: Annotated[
        bool, typer.Option("--status", help="With a proof of the bill's state now.")
    ] = False,
    output: options.Output = None,
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
    """Make an entry's receipt, also while the node runs. JSON of a few kilobytes."""
    from tallystick.cli.desk import LOG_KEY
    from tallystick.cli.founding import write_new
    from tallystick.cli.inputs import load_signer
    from tallystick.cli.reading import make_receipts

    entry = _entry_of(folder, what, status)
    key = log_key or (folder / LOG_KEY if (folder / LOG_KEY).exists() else None)
    signer = None if key is None else load_signer(key, passphrase_file)
    (data,) = make_receipts(
        folder, [entry], keepers_min=keepers, wait_seconds=wait, log_signer=signer
    )
    if output is None:
        print(data.decode())
    else:
        write_new(output, data)
        out.say(f"{output}: {len(data):,} bytes; check it with {out.program()} verify {output}")


def verify(
    files: Documents,
    trust: options.Trust = None,
    status: Annotated[
        bool, typer.Option("--status", help="Ask whether it is good now; an old status is stale.")
    ] = False,
    bill: Annotated[
        str | None,
        typer.Option("--bill", metavar="CODE:NUMBER", help="It must show the state of this bill."),
    ] = None,
    audience: Audience = None,
    purpose: Purpose = None,
    at: Annotated[
        Path | None,
        typer.Option("--at", metavar="CHECKPOINT", help="A signed checkpoint at hand."),
    ] = None,
    lang: Annotated[
        str | None, typer.Option("--lang", help="en or zh.", show_default="$LANG")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Verify receipts offline.

    The verdict comes first, then the numbered steps and what each found.

    Exit codes: 0 authentic, accepted, and good where --status asks; 1 false; 2 unreadable, or no
    trust policy; 3 authentic, but refused, reversed, frozen, void, stale, not of the bill that
    --bill names, or a presentation that is not for whom --for and --purpose name. Of many, the
    worst: 1, then 2, 3, 0. A program that pays asks --status --bill, and --for --purpose.
    """
    from tallystick.cli.inputs import parse_bill, read_file, read_policy
    from tallystick.cli.presented import Reader
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.engines.clock import Clock
    from tallystick.protocol.checkpoint import NOTE_BYTES_MAX
    from tallystick.verify import worst

    out.set_language(lang)
    policy = read_policy(trust)
    note = None if at is None else read_file(at, NOTE_BYTES_MAX)
    paths = list(_expand(files))
    if not paths:
        fail("cli.no_files", "没有可核验的文件", "there is no JSON file in what was named")
    about = None if bill is None else format_bill_id(*parse_bill(bill))
    reader = Reader(
        policy, note, now=Clock().now(), about=about, audience=audience, purpose=purpose
    )
    checked = _check_all(paths, reader, status)
    if as_json:
        out.json(_document(checked))
    elif len(checked) == 1:
        _print_one(checked[0], policy)
    else:
        _print_many(checked, policy)
    raise typer.Exit(worst(one.verdict for one in checked))


def prove_equivocation(
    first: Annotated[Path, typer.Argument(metavar="A", help="Checkpoint or receipt.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another, that contradicts it.")],
    trust: options.Trust = None,
    output: options.Output = None,
    as_json: options.AsJson = False,
) -> None:
    """Prove that a signer vouched for two histories. Exit 0: proven; 1: no contradiction.

    Takes two checkpoints (signed notes), or two receipts. 2: not decidable from these.
    """
    from tallystick.cli.founding import write_new
    from tallystick.cli.inputs import read_policy
    from tallystick.protocol.equivocation import NotDecidable, policy_keys, verify_equivocation
    from tallystick.protocol.errors import VerificationFailed

    keys = policy_keys(read_policy(trust))
    try:
        proof = _prove(first, second, keys)
    except NotDecidable:
        fail(
            *("proof.not_decidable", "仅凭这两份材料无法判定"),
            "from these two nothing follows either way",
            todo=("提供同大小的快照或同一条目的回执", "bring receipts of one entry, or tiles"),
        )
    except VerificationFailed as error:
        fail(
            *("proof.none", "没有证明出矛盾", "no contradiction is proven"),
            detail=str(error),
            exit_code=FALSE,
        )
    finding = verify_equivocation(proof, keys)
    if output is not None:
        write_new(output, proof)
    shown = {"kind": finding.kind, "signer": finding.signer.name, "finding": finding.finding}
    if as_json:
        out.json(shown)
        return
    out.say(f"PROVEN: {finding.signer.name} vouched for two histories", "bold red")
    out.pairs("", shown)
    if output is None:
        print(proof.decode())


def _entry_of(folder: Path, what: str, status: bool) -> tuple[int, Key | None]:
    """Log index, and the row whose state is asked for."""
    from tallystick.cli.inputs import parse_bill
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.contracts.bills.views.bills import find_bill
    from tallystick.contracts.kit.context import slot_key
    from tallystick.protocol.errors import Rejected

    if what.isascii() and what.isdigit():
        if status:
            fail(
                *("cli.status_of_bill", "查询状态请写票据号码", "--status needs the bill's number"),
                todo=("写作 代码:号码", "name it as CODE:NUMBER"),
            )
        return int(what), None
    code, number = parse_bill(what)
    with reading(folder) as view:
        row = find_bill(view, format_bill_id(code, number))
    if row is None or row.entry is None:
        raise Rejected(BillsReason.BILL_UNKNOWN, f"nothing befell {what}", path="bill")
    return row.entry, slot_key(code, number) if status else None


def _expand(files: Sequence[Path]) -> Iterator[Path]:
    """The files that are named, and all JSON files below folders that are, but no hidden ones."""
    for path in files:
        if path.is_dir():
            yield from sorted(
                each
                for each in path.rglob("*.json")
                if each.is_file() and not _hidden(each.relative_to(path))
            )
        else:
            yield path


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _check_all(paths: Sequence[Path], reader: Reader, status: bool) -> list[Checked]:
    checked = []
    with out.progress() as bar:
        task = bar.add_task("verifying", total=len(paths))
        for path in paths:
            checked.append(_check(path, reader, status))
            bar.advance(task)
    return checked


def _check(path: Path, reader: Reader, status: bool) -> Checked:
    from tallystick.cli.failures import Usage, failure_of
    from tallystick.cli.inputs import read_file
    from tallystick.cli.presented import is_shown
    from tallystick.protocol.canonical import DOCUMENT_BYTES_MAX
    from tallystick.protocol.errors import Malformed, VerificationFailed
    from tallystick.verify import Verdict, verdict

    try:
        data = read_file(path, DOCUMENT_BYTES_MAX).removesuffix(b"\n")
    except (OSError, Usage) as error:
        failure = failure_of(error)
        told = str(error) if failure is None else f"{failure.en}: {failure.detail}"
        return Checked(path, Verdict.UNREADABLE, None, told)
    try:
        if is_shown(data):
            judged, told, shown = reader.read(data)
            return Checked(path, judged, None, told, shown)
        if STATE_PROOF in data:
            found = reader.verifier.state(data, now=reader.now, about=reader.about)
        else:
            found = reader.verifier.receipt(data, status=status, now=reader.now, about=reader.about)
    except (Malformed, VerificationFailed) as error:
        return Checked(path, verdict(error), None, str(error))
    return Checked(path, found.verdict, found)


def _print_one(one: Checked, policy: TrustPolicy) -> None:
    """The verdict, what it is about, the steps, what is not proven."""
    _print_verdict(one.verdict)
    if one.shown is not None:
        from tallystick.cli.presented import print_shown

        print_shown(one.shown, one.verdict, one.error, policy)
        return
    if one.verified is None:
        out.say(f"  {out.plain(failed(one.error))}")
        return
    _print_about(one.verified, policy)
    print_steps(one.verified)
    english, chinese = LIMITS.get(one.verdict.name, ("", ""))
    if english:
        out.say(chinese if out.language() == "zh" else english, "dim")


def print_steps(verified: Verified) -> None:
    """The numbered steps with their findings."""
    out.listed((str(one.number), step(one.what), one.finding) for one in verified.steps)


def verdict_text(verdict: Verdict) -> str:
    """The verdict in the reader's language."""
    return VERDICTS_ZH[verdict.name] if out.language() == "zh" else verdict.text


def _print_verdict(verdict: Verdict) -> None:
    style = {0: "bold green", 1: "bold red", 2: "bold red", 3: "bold yellow"}[verdict.exit_code]
    out.say(f"{verdict.name}: {verdict_text(verdict)}", style)


def _print_about(verified: Verified, policy: TrustPolicy) -> None:
    """Who did what, and by whose word, under the names that the reader's policy gives them."""
    from tallystick.cli.reasons import explain
    from tallystick.protocol.entry import ACCEPTED
    from tallystick.protocol.values import format_instant

    def name(org: str) -> str:
        return f"{policy.names[org]} ({org})" if org in policy.names else org

    header, entry, state = verified.header, verified.entry, verified.state
    shown: dict[str, object] = {}
    if header is not None and entry is not None:
        shown |= {"by": name(header.sender), "action": header.action, "at": entry.at}
        if entry.outcome != ACCEPTED:
            shown["refused"] = f"{entry.outcome}: {explain(entry.outcome, out.language())}"
    if state is not None:
        shown["about"] = state.key
        if state.envelope is not None:
            shown["state"] = state.envelope.state
            # As it is: what a domain adds may speak against acting on it, as a bill's `circulable`.
            shown |= {f"  {name}": _written(value) for name, value in _more_of(state.row)}
        else:
            shown["state"] = label("there is no such row")
    shown["vouched by"] = ", ".join(name(org) for org in verified.orgs) or label(
        "the operator alone"
    )
    if verified.as_of is not None:
        shown["as-of"] = format_instant(verified.as_of)
    out.listed(("", label(name), str(value)) for name, value in shown.items())


def _more_of(row: dict[str, Any] | None) -> list[tuple[str, Any]]:
    """What is shown of a row besides its name and state."""
    return [(name, value) for name, value in (row or {}).items() if name not in SHOWN_OTHERWISE]


def _written(value: Any) -> str:
    from tallystick.protocol.canonical import encode

    return value if isinstance(value, str) else encode(value).decode()


def _print_many(checked: Sequence[Checked], policy: TrustPolicy) -> None:
    """How many of each verdict, the worst first; then a line for each that is not good."""
    counts: dict[Verdict, int] = {}
    for one in checked:
        counts[one.verdict] = counts.get(one.verdict, 0) + 1
    ordered = sorted(counts, key=lambda verdict: (0, 3, 2, 1).index(verdict.exit_code))
    ordered.reverse()
    _print_verdict(ordered[0])
    out.table(
        f"{len(checked):,} {label('documents')}",
        (label("verdict"), f"{label('documents')}#", label("means")),
        [(each.name, counts[each], verdict_text(each)) for each in ordered],
    )
    bad = [one for one in checked if one.verdict.exit_code]
    if len(checked) <= DETAILED_MAX:
        for one in checked:
            out.say(f"\n{out.plain(one.file)}")
            _print_one(one, policy)
        return
    for one in bad[:LINES_MAX]:
        why = one.error
        if one.verified is not None and one.verified.entry is not None:
            why = one.verified.entry.outcome
        out.line(f"{one.verdict.name:<10} {one.file}: {failed(why)}")
    if len(bad) > LINES_MAX:
        out.say(f"… and {len(bad) - LINES_MAX:,} more; --json has all")


def _document(checked: Sequence[Checked]) -> dict[str, Any]:
    from tallystick.cli.forms import in_words
    from tallystick.protocol.values import format_instant
    from tallystick.verify import worst

    rows = []
    for one in checked:
        row: dict[str, Any] = {
            "file": str(one.file),
            "verdict": one.verdict.name.lower(),
            "exit_code": one.verdict.exit_code,
            "en": one.verdict.text,
            "zh": VERDICTS_ZH[one.verdict.name],
        }
        found = one.verified
        if one.shown is not None:
            from tallystick.cli.presented import shown_document

            row |= shown_document(one.shown, one.verdict, in_words(one.error, "en"))
        elif found is None:
            row["error"] = in_words(one.error, "en")
        else:
            as_of = found.as_of
            row |= {
                "steps": [one._asdict() for one in found.steps],
                "keepers": list(found.keepers),
                "orgs": list(found.orgs),
                "as_of": None if as_of is None else format_instant(as_of),
                "tx_id": found.tx_id,
                "index": found.index,
                "size": found.size,
                "outcome": found.entry.outcome if found.entry else None,
                "sender": found.header.sender if found.header else None,
                "row": found.row,
                "absent": found.absent,
            }
        rows.append(row)
    return {"exit_code": worst(one.verdict for one in checked), "documents": rows}


def _prove(first: Path, second: Path, keys: Any) -> bytes:
    """A proof out of two notes or two receipts."""
    from tallystick.cli.inputs import read_file
    from tallystick.protocol.equivocation import prove_equivocation as prove
    from tallystick.protocol.equivocation import prove_two_leaves
    from tallystick.protocol.receipt import RECEIPT_BYTES_MAX, read_receipt

    one, two = (read_file(path, RECEIPT_BYTES_MAX) for path in (first, second))
    receipts = [data.lstrip()[:1] == b"{" for data in (one, two)]
    if not any(receipts):
        return prove(one, two, keys)
    if not all(receipts):
        fail(
            *("proof.kinds", "请提供两份快照或两份回执", "bring two checkpoints, or two receipts"),
            exit_code=UNREADABLE,
        )
    left, right = (read_receipt(data.removesuffix(b"\n")) for data in (one, two))
    if left.index == right.index:
        return prove_two_leaves(left, right, keys)
    return prove(left.checkpoint.encode(), right.checkpoint.encode(), keys)
