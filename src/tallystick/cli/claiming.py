"""`tally claims`: lock, answer, supplement, claw back: what a reimburser does.

Each goes through the reimburser's desk and its book.

Invariant: no claim is sent that is not in the book. See docs/guides/reimburser.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, acting
from tallystick.cli.failures import INTERRUPTED, REFUSED, fail

if TYPE_CHECKING:
    from tallystick.apps.bills.claim_book import State
    from tallystick.apps.bills.claim_orders import Answer
    from tallystick.apps.bills.reimburser import Reimburser
    from tallystick.cli.claims_desk import ClaimAnswers

CHUNK = 1_000
"""Claims between two steps of the progress bar: a transaction's most."""

ClaimsDir = Annotated[
    Path, typer.Option("--claims", envvar="TALLY_CLAIMS", help="Folder of the book of claims.")
]
Which = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CLAIM]...",
        help="Claims: by number in the book, by bill (CODE:NUMBER), or by your own reference.",
    ),
]
One = Annotated[
    str | None,
    typer.Argument(metavar="[CLAIM]", help="By number in the book, bill, or own reference."),
]
OneBill = Annotated[
    str | None, typer.Argument(metavar="[BILL]", help="CODE:NUMBER, like 33060126:0000000001.")
]
File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        help="Many: JSON Lines (*.jsonl, or - for stdin), one JSON document, or a table with "
        "commas (*.csv) whose first line names the fields. Amounts are whole minor units as "
        'numbers, or text like "12.30".',
    ),
]
Amount = Annotated[str | None, typer.Option("--amount", help="With two decimals, like 12.30.")]
Decision = Annotated[
    str | None,
    typer.Option("--decision", help="Your own papers: a file, or its SHA-256 in hex."),
]
Case = Annotated[
    str, typer.Option("--case", help="Your own name of a case; its bills are done all or none.")
]
Purpose = Annotated[
    str, typer.Option("--purpose", help="One word: what is claimed for, as the right says.")
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until", help="End of the lock, UTC.", show_default="as long as the type allows"
    ),
]
Right = Annotated[
    str,
    typer.Option("--right", help="consent or mandate of the holder, or statute: by law."),
]
RightId = Annotated[
    str,
    typer.Option("--right-id", help="Id of the consent or mandate; of a grant it is found."),
]
Opening = Annotated[
    Path | None,
    typer.Option(
        "--opening",
        help="With a mandate: JSON file {key, nonce} that shows the bill to be the holder's.",
    ),
]
Presented = Annotated[
    Path | None,
    typer.Option(
        "--presented",
        help="A presentation that the holder gave you: in place of --right, --right-id and "
        "--opening. Verify it first.",
    ),
]
Basis = Annotated[str, typer.Option("--basis", help="cash, or cash_account: with the account.")]
Benefit = Annotated[
    str, typer.Option("--benefit", help="indemnity: capped by the bill; fixed: a fixed sum.")
]
Paper = Annotated[
    str | None, typer.Option("--paper", help="The live paper form that was presented.")
]
Ref = Annotated[str, typer.Option("--ref", help="Your own reference of this claim.")]
WhyNothing = Annotated[
    str | None, typer.Option("--reason", help="One word why nothing, or not all, is paid.")
]
OPENING_BYTES_MAX = 4_096
LOCK_NAMES = (
    *("bill", "purpose", "amount", "right", "right_id", "basis", "benefit", "until", "opening"),
    *("paper", "case", "ref"),
)


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    for command in (lock, renew, release, reject, settle, supplement):
        app.command(command.__name__)(acting(command))
    app.command("claw-back")(acting(claw_back))


def lock(
    how: How,
    claims: ClaimsDir,
    bill: OneBill = None,
    file: File = None,
    amount: Amount = None,
    purpose: Purpose = "",
    right: Right = "",
    right_id: RightId = "",
    opening: Opening = None,
    presented: Presented = None,
    basis: Basis = "cash",
    benefit: Benefit = "indemnity",
    until: Until = None,
    paper: Paper = None,
    case: Case = "",
    ref: Ref = "",
) -> None:
    """Lock bills: take hold of money. With --file many; options then hold for all lines."""
    from tallystick.apps.bills.claim_orders import LockOrder
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id

    given: dict[str, Any] = {
        "purpose": purpose,
        "basis": basis,
        "benefit": benefit,
        "until": until,
        "paper": format_bill_id(*parse_bill(paper)) if paper else None,
        "case": case,
        "ref": ref,
        **right_of(presented, right, right_id, opening),
    }
    given = {name: value for name, value in given.items() if value not in ("", None)}
    alone = {"bill": bill, "amount": amount}
    _many(
        *(how, claims, file, alone, LockOrder, LOCK_NAMES, given, "locked"),
        do=lambda desk, some: desk.lock(some),
        claimed=False,
    )


def renew(
    how: How, claims: ClaimsDir, which: Which = None, case: Case = "", until: Until = None
) -> None:
    """Let locks stand until later."""
    from tallystick.apps.bills.claim_orders import Renewal

    _some(
        *(how, claims, which, case, "renewed", lambda claim: Renewal(claim, until)),
        do=lambda desk, some: desk.renew(some),
    )


def release(
    how: How, claims: ClaimsDir, reason: options.Reason, which: Which = None, case: Case = ""
) -> None:
    """Let locks go. Nothing is settled, the money is free again."""
    from tallystick.apps.bills.claim_orders import Release

    _some(
        *(how, claims, which, case, "released", lambda claim: Release(claim, reason)),
        do=lambda desk, some: desk.release(some),
    )


def reject(
    how: How,
    claims: ClaimsDir,
    reason: options.Reason,
    decision: Decision,
    which: Which = None,
    case: Case = "",
) -> None:
    """Answer claims with no."""
    from tallystick.apps.bills.claim_orders import Rejection

    digest = decided(decision)
    _some(
        *(how, claims, which, case, "rejected", lambda claim: Rejection(claim, reason, digest)),
        do=lambda desk, some: desk.reject(some),
    )


def settle(
    how: How,
    claims: ClaimsDir,
    claim: One = None,
    file: File = None,
    amount: Amount = None,
    decision: Decision = None,
    reason: WhyNothing = None,
    paid_at: Annotated[
        str | None,
        typer.Option("--paid-at", help="While a bill is being reversed: when you paid, UTC."),
    ] = None,
) -> None:
    """Answer claims with amounts. Pay out only what this says is settled."""
    from tallystick.apps.bills.claim_orders import Settlement

    given = {"reason": reason, "paid_at": paid_at}
    _many(
        *(how, claims, file, {"claim": claim, "amount": amount, "decision": decision}),
        *(Settlement, ("claim", "amount", "decision", *given), given, "settled"),
        do=lambda desk, some: desk.settle(some),
    )


def supplement(
    how: How,
    claims: ClaimsDir,
    claim: One = None,
    file: File = None,
    amount: Amount = None,
    decision: Decision = None,
    right: Right = "",
    right_id: RightId = "",
    opening: Opening = None,
    presented: Presented = None,
) -> None:
    """Pay more on claims that are settled. Under the claim's right unless another is named."""
    from tallystick.apps.bills.claim_orders import Addition

    given = right_of(presented, right, right_id, opening)
    _many(
        *(how, claims, file, {"claim": claim, "amount": amount, "decision": decision}),
        *(Addition, ("claim", "amount", "decision", *given), given, "supplemented"),
        do=lambda desk, some: desk.supplement(some),
        states=("settled",),
    )


def claw_back(
    how: How,
    claims: ClaimsDir,
    claim: One = None,
    file: File = None,
    amount: Amount = None,
    decision: Decision = None,
    waived: Annotated[
        bool, typer.Option("--waived", help="It will not come back: it is waived.")
    ] = False,
) -> None:
    """Record what came back of what a reversal made due."""
    from tallystick.apps.bills.claim_orders import Return

    given = {"how": "waived" if waived else "recovered"}
    _many(
        *(how, claims, file, {"claim": claim, "amount": amount, "decision": decision}),
        *(Return, ("claim", "amount", "decision", "how"), given, "taken back"),
        do=lambda desk, some: desk.claw_back(some),
        states=("settled",),
    )


def right_of(
    presented: Path | None, right: str, right_id: str, opening: Path | None
) -> dict[str, Any]:
    """The right that the options name, or the one by which a bill is presented."""
    from tallystick.apps.bills.showing import read_presentation
    from tallystick.cli.claim_files import opening_of
    from tallystick.cli.inputs import TEXT_BYTES_MAX, read_file, read_json

    if presented is None:
        shown = opening_of(read_json(opening, OPENING_BYTES_MAX)) if opening else None
        return {"right": right or None, "right_id": right_id, "opening": shown}
    if right or right_id or opening:
        fail(
            *("cli.which_right", "--presented 与 --right、--right-id、--opening 只能用其一"),
            "name the right with --presented, or with --right, --right-id and --opening",
        )
    by = read_presentation(read_file(presented, TEXT_BYTES_MAX)).right
    its_id = by.grant or by.rows[0].state.key.partition("/")[2]
    return {"right": by.kind, "right_id": its_id, "opening": by.opening}


def decided(decision: str | None) -> bytes:
    """SHA-256 of a file, or as it is written in hex."""
    from tallystick.cli.inputs import digest_of

    if not decision:
        fail(
            *("cli.decision", "请以 --decision 指明本单位的决定文件"),
            "which of your own papers decides this? name it with --decision",
        )
    return digest_of(decision)


def amount_of(amount: str | None) -> int:
    """Minor units of an amount on the command line."""
    from tallystick.cli.claim_files import money

    if amount is None:
        fail("cli.amount", "请以 --amount 指明金额", "how much? say it with --amount, like 12.30")
    return money(amount, "--amount")


def _some(
    how: How,
    claims: Path,
    which: list[str] | None,
    case: str,
    done_word: str,
    order: Callable[[int], Any],
    *,
    do: Callable[[Reimburser, list[Any]], list[Answer]],
) -> None:
    """The same for all claims that are named."""
    from tallystick.cli.claims_desk import ClaimAnswers, find_claims, open_reimburser

    with ClaimAnswers(done_word, as_json=how.as_json) as answers:
        with open_reimburser(how, claims) as desk:
            found = find_claims(desk.book, which or [], case=case, states=("locked",))
            answers.add(do(desk, [order(claim) for claim in found]))
        finish(how, answers)


def _many(
    how: How,
    claims: Path,
    file: Path | None,
    alone: dict[str, str | None],
    kind: Callable[..., Any],
    names: Iterable[str],
    given: dict[str, Any],
    done_word: str,
    *,
    do: Callable[[Reimburser, list[Any]], list[Answer]],
    states: tuple[State, ...] = ("locked",),
    claimed: bool = True,
) -> None:
    """One order out of the options, or those of a file's lines."""
    from tallystick.cli.claim_files import open_lines, orders
    from tallystick.cli.claims_desk import ClaimAnswers, claim_orders, open_reimburser
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id

    target = alone["claim" if claimed else "bill"]
    if (file is None) == (target is None):
        fail(
            *("cli.one_or_file", "请指明一笔，或以 --file 指明文件"),
            "name one, or a file of many with --file, and not both",
        )
    with ClaimAnswers(done_word, as_json=how.as_json) as answers:
        if file is None:
            one = {"amount": amount_of(alone["amount"])} | given
            if claimed:
                one |= {"claim": target, "decision": decided(alone["decision"])}
            else:
                one["bill"] = format_bill_id(*parse_bill(target or ""))
                _need(one, ("purpose", "right"))
            with open_reimburser(how, claims) as desk:
                wanted = [kind(**one)]
                if claimed:
                    wanted = list(claim_orders(desk.book, wanted, states))
                _through(desk, wanted, do, answers)
        else:
            with open_lines(file) as lines, open_reimburser(how, claims) as desk:
                made = orders(lines, kind, names=names, given=given)
                wanted_each = claim_orders(desk.book, made, states) if claimed else made
                _through(desk, wanted_each, do, answers)
        finish(how, answers)


def _through(
    desk: Reimburser,
    wanted: Iterable[Any],
    do: Callable[[Reimburser, list[Any]], list[Answer]],
    answers: ClaimAnswers,
) -> None:
    """Hand all to the desk in parts."""
    from tallystick.cli.claims_desk import in_parts

    try:
        with out.progress() as bar:
            task = bar.add_task("claims", total=None)
            for done in in_parts(desk.book, wanted, lambda some: do(desk, some), CHUNK):
                answers.add(done)
                bar.advance(task, len(done))
    except KeyboardInterrupt:
        _interrupted(answers)


def finish(how: How, answers: ClaimAnswers) -> None:
    """Print, and exit as the answers ask for."""
    answers.print()
    if how.dry_run and not how.as_json:
        out.say("a dry run: nothing was kept and nothing was sent")
    if answers.refused:
        raise typer.Exit(REFUSED)


def _need(one: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if not one.get(name):
            fail(
                *("cli.missing", f"缺少 --{name}", f"--{name} is missing"),
                todo=("见 --help", "see --help"),
            )


def _interrupted(answers: ClaimAnswers) -> NoReturn:
    """Say what is on the ledger, and that the same command may be given again."""
    fail(
        "cli.interrupted",
        f"已中断：{answers.accepted:,} 笔已确认入账，另有至多 {CHUNK:,} 笔可能在途",
        f"interrupted: {answers.accepted:,} are on the ledger, up to {CHUNK:,} more may be",
        todo=(
            "重新运行同一命令：在途的先接着办完，已入账的答复为已办；不会丢失，也不会重复",
            "run the same command again: what was under way is settled first, what is on the "
            "ledger is answered as done; nothing is lost, nothing is done twice",
        ),
        exit_code=INTERRUPTED,
    )
