"""`tally claims init`, `list`, `show`, `history`, `due`, `reversals`, `refresh`: the book.

Invariant: what is shown of a bill names nobody who reimbursed it but oneself.
See docs/guides/reimburser.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.claiming import ClaimsDir
from tallystick.cli.failures import fail

if TYPE_CHECKING:
    from tallystick.apps.bills.claim_book import Kept

LIST_MAX = 100
OneClaim = Annotated[
    str, typer.Argument(metavar="CLAIM", help="By number in the book, bill, or own reference.")
]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(init)
    app.command("list")(list_)
    for command in (show, history, due, reversals, refresh):
        app.command(command.__name__)(command)


def init(
    claims: Annotated[Path, typer.Argument(metavar="DIR", help="New folder of the book.")],
    key: Annotated[
        Path,
        typer.Option("--key", "-k", envvar="TALLY_KEY", help="A key file of your organisation."),
    ],
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """Make a book of claims. One an organisation; keep it safe, and back it up."""
    from tallystick.apps.bills.claim_book import FILE, ClaimBook
    from tallystick.cli.acting import owner_of
    from tallystick.cli.inputs import parse_key
    from tallystick.cli.reading import reading

    with reading(folder) as view:
        org, network = owner_of(view, parse_key(str(key))), view.network
    ClaimBook.make(claims, org=org, network=network).close()
    if as_json:
        out.json({"book": str(claims / FILE), "org": org, "network": network})
    else:
        out.say(f"{claims / FILE} is the book of claims of {org}", "bold green")


def list_(
    claims: ClaimsDir,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            help="prepared, locked, ready, settled, rejected, released, expired or refused.",
        ),
    ] = None,
    bill: Annotated[str | None, typer.Option("--bill", help="Only on this bill.")] = None,
    case: Annotated[str, typer.Option("--case", help="Only of this case.")] = "",
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1)] = LIST_MAX,
    as_json: options.AsJson = False,
) -> None:
    """The claims of the book, and their sums. As the book has them; see refresh."""
    from tallystick.cli.claims_desk import STATES, open_book
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id

    wanted: Any = tuple(state or STATES)
    for each in wanted:
        if each not in STATES:
            fail(
                *("cli.state", "没有这种状态", "there is no such state"),
                detail=f"{each}; there are {', '.join(STATES)}",
            )
    with open_book(claims) as kept:
        if bill is not None:
            found = iter(kept.of_bill(format_bill_id(*parse_bill(bill))))
        else:
            found = iter(kept.of_case(case)) if case else kept.each_in(wanted)
        some = list(islice((each for each in found if each.state in wanted), limit + 1))
        sums = kept.sums()
    more, some = len(some) > limit, some[:limit]
    if as_json:
        named = ("count", "amount", "settled", "due")
        totals = {each: dict(zip(named, sums[each], strict=True)) for each in sums}
        out.json({"claims": [as_json_of(each) for each in some], "more": more, "sums": totals})
        return
    _table("claims", some)
    if more:
        out.say(f"… more; ask for a --state or a higher --limit than {limit}")
    _print_sums(sums)


def show(
    bill: Annotated[str, typer.Argument(help="CODE:NUMBER, like 33060126:0000000001.")],
    claims: Annotated[
        Path | None,
        typer.Option("--claims", envvar="TALLY_CLAIMS", help="With your own claims on it."),
    ] = None,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """A bill's money (分割单). What was borne, reimbursed so far, and what is left; no names."""
    from tallystick.cli.claims_desk import open_book
    from tallystick.cli.inputs import parse_bill
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.amounts import format_amount
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.contracts.bills.views.bills import find_bill
    from tallystick.contracts.bills.views.claims import standing_of
    from tallystick.engines.clock import Clock
    from tallystick.protocol.errors import Rejected

    bill_id = format_bill_id(*parse_bill(bill))
    with reading(folder) as view:
        row = find_bill(view, bill_id)
        if row is None or row.bill_kind != "blue":
            raise Rejected(BillsReason.BILL_UNKNOWN, f"no bill {bill_id}", path="bill")
        standing = standing_of(view, row, max(Clock().now(), view.head.at))
    own: list[Kept] = []
    if claims is not None:
        with open_book(claims) as kept:
            own = kept.of_bill(bill_id)
    named = {name: getattr(standing, name) for name in standing.__struct_fields__}
    if as_json:
        more = {"state": row.state, "currency": row.currency, "reversing": row.reversing}
        out.json(named | more | {"claims": [as_json_of(each) for each in own]})
        return
    words = {
        "original": "个人支付 borne",
        "original_cash": "其中现金 of it cash",
        "reversed": "已冲红 reversed",
        "reimbursed": "已报销 reimbursed",
        "due": "待追回 due back",
        "locked": "已锁定 locked",
        "left": "可报销余额 left",
        "left_cash": "其中现金 left of cash",
    }
    shown: dict[str, object] = {"状态 state": row.state, "待冲红 reversing": row.reversing}
    shown |= {f"{said} ({row.currency})": format_amount(named[it]) for it, said in words.items()}
    out.pairs(bill_id, shown | {"锁定至 locked until": standing.locked_until})
    if own:
        _table("own claims", own)


def history(claim: OneClaim, claims: ClaimsDir, as_json: options.AsJson = False) -> None:
    """What befell one claim. Each act, its outcome, and its entry on the ledger."""
    from tallystick.cli.claims_desk import STATES, find_claim, open_book, state_in_words
    from tallystick.cli.reasons import both
    from tallystick.contracts.bills.amounts import format_amount
    from tallystick.protocol.values import format_instant

    everywhere: Any = tuple(STATES)
    with open_book(claims) as kept:
        one = find_claim(kept, claim, everywhere)
        steps = kept.steps(one.id)
    if as_json:
        listed = [step._asdict() | {"at": format_instant(step.at)} for step in steps]
        out.json({"claim": as_json_of(one), "steps": listed})
        return
    terms = one.terms
    named = (
        "ref",
        "ordinal",
        "amount",
        "until",
        "settled",
        "fixed",
        "due",
        "recovered",
        "waived",
        "reason",
    )
    shown: dict[str, object] = {"state": state_in_words(one.state), "bill": one.bill}
    shown |= {"purpose": terms.purpose, "basis": terms.basis, "benefit": terms.benefit}
    shown |= {"right": f"{terms.right} {terms.right_id}"}
    for name in named:
        value = getattr(one, name)
        is_money = isinstance(value, int) and name != "ordinal"
        shown[name] = (format_amount(value) if value else "") if is_money else value
    out.pairs(f"claim {one.id}", shown)
    out.table(
        "steps",
        ("at", "act", "amount#", "outcome", "entry#"),
        [
            (
                *(format_instant(step.at), step.act),
                None if step.amount is None else format_amount(step.amount),
                *(both(step.outcome), step.entry),
            )
            for step in steps
        ],
    )


def due(
    claims: ClaimsDir, folder: options.LedgerDir = Path(), as_json: options.AsJson = False
) -> None:
    """What reversals made due back (追回). See claw-back."""
    from tallystick.cli.claims_desk import watching

    with watching(claims, folder) as watch:
        owing = watch.due()
    if as_json:
        total = sum(each.due for each in owing)
        out.json({"claims": [as_json_of(each) for each in owing], "due": total})
    elif owing:
        _table("due back", owing)
    else:
        out.say("nothing is due back", "bold green")


def reversals(
    claims: ClaimsDir, folder: options.LedgerDir = Path(), as_json: options.AsJson = False
) -> None:
    """Your locks on bills that are being reversed (待冲红). Release, or settle --paid-at."""
    from tallystick.cli.claims_desk import watching

    with watching(claims, folder) as watch:
        watch.refresh(("locked",))
        asked = watch.answer_reversals()
    if as_json:
        listed = [
            as_json_of(each.kept) | {"asked_at": each.asked_at, "deadline": each.deadline}
            for each in asked
        ]
        out.json({"claims": listed})
        return
    if not asked:
        out.say("no bill that you have locked is being reversed", "bold green")
        return
    out.table(
        "being reversed",
        ("bill", "claim#", "asked at", "answer before"),
        [(each.kept.bill, each.kept.id, each.asked_at, each.deadline) for each in asked],
    )


def refresh(
    claims: ClaimsDir,
    recover: Annotated[
        bool,
        typer.Option(
            "--recover", help="Take in answered claims that the book lacks: after its loss."
        ),
    ] = False,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """Take over what the ledger says of open and settled claims. Changes nothing there."""
    from tallystick.cli.claims_desk import watching

    with watching(claims, folder) as watch:
        changed = watch.refresh()
        changed += watch.recover() if recover else []
    if as_json:
        out.json({"changed": [as_json_of(each) for each in changed]})
        return
    out.say(f"{len(changed):,} claims changed", "bold green")
    if changed:
        _table("changed", changed[:LIST_MAX])


def as_json_of(kept: Kept) -> dict[str, Any]:
    """A claim as JSON lists it."""
    named = {name: getattr(kept, name) for name in kept.__slots__}
    return {name: value for name, value in named.items() if name != "opening"}


def _table(title: str, claims: Sequence[Kept]) -> None:
    from tallystick.cli.claims_desk import state_in_words
    from tallystick.contracts.bills.amounts import format_amount

    out.table(
        title,
        ("bill", "claim#", "state", "amount#", "settled#", "due#", "ref"),
        [
            (
                *(each.bill, each.id, state_in_words(each.state)),
                format_amount(each.amount),
                format_amount(each.settled + each.fixed),
                *(format_amount(each.due), each.ref),
            )
            for each in claims
        ],
    )


def _print_sums(sums: dict[str, tuple[int, int, int, int]]) -> None:
    from tallystick.cli.claims_desk import STATES, state_in_words
    from tallystick.contracts.bills.amounts import format_amount

    out.table(
        "sums",
        ("state", "claims#", "amount#", "settled#", "due#"),
        [
            (state_in_words(each), sums[each][0], *map(format_amount, sums[each][1:]))
            for each in STATES
            if each in sums
        ],
    )
