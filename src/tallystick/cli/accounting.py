"""`tally bills account`: accounting 核销 of blocks and months; archive, holds, erasure, succession.

Invariant: whoever states or accepts an account has counted the ledger itself, and states what it
counted. See docs/spec/contracts/bills-accounts.md.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, act, acting, nonce
from tallystick.cli.failures import fail

if TYPE_CHECKING:
    from tallystick.contracts.bills.records.accounts import Account, Tally
    from tallystick.contracts.bills.records.bills import Allotment
    from tallystick.ledger.view import View

ORDER_BYTES_MAX = 64 * 1024 * 1024

AccountId = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="CODE/LEVEL/FIRST of a block, or ORG/TYPE/MONTH.")
]
MonthId = Annotated[str, typer.Argument(metavar="MONTH", help="ORG/TYPE/YYYY-MM.")]
Type = Annotated[int, typer.Option("--type", help="Bill type of six digits: a code's first.")]
Month = Annotated[str, typer.Option("--month", help="YYYY-MM, at the network's offset.")]
Order = Annotated[
    Path, typer.Option("--order", help="The order itself; only its digest stands on the ledger.")
]
What = Annotated[
    str, typer.Argument(metavar="BILL|MONTH", help="CODE:NUMBER, or ORG/TYPE/YYYY-MM.")
]

account = typer.Typer(no_args_is_help=True, help="Account for numbers (核销), by block or month.")


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    account.command("block")(acting(account_block))
    account.command("period")(acting(account_period))
    account.command("show")(show)
    account.command("list")(list_)
    app.add_typer(account, name="account")
    app.command("accept-account")(acting(accept_account))
    app.command("return-account")(acting(return_account))
    app.command("archive-period")(acting(archive_period))
    app.command("hold")(acting(hold))
    app.command("lift-hold")(acting(lift_hold))
    app.command("order-erasure")(acting(order_erasure))
    app.command("succeed")(acting(succeed))


# -------------------------------------------------------------------------------------- accounts


def account_block(how: How, code: options.Code, level: options.Level, first: options.First) -> None:
    """State what became of a block's numbers. Counted here; none may be unexplained."""
    from tallystick.contracts.bills.items.accounts import AccountBlock
    from tallystick.contracts.bills.views.accounts import tally_block

    def items(view: Any) -> list[Any]:
        tally = tally_block(view, find_block(view, code, level, first))
        return [AccountBlock(nonce=nonce(), code=code, level=level, first=first, tally=tally)]

    act(how, "bills.account_block/1", items)


def account_period(
    how: How,
    type_: Type,
    month: Month,
    org: Annotated[str, typer.Option("--org", help="Whose month: yours, or a predecessor's.")],
    reviewer: Annotated[str, typer.Option("--reviewer", help="Who counts it again.")],
) -> None:
    """State a month's bills, or the sum of what you accepted of it. Closes the month."""
    from tallystick.contracts.bills.items.accounts import AccountPeriod
    from tallystick.contracts.bills.views.accounts import find_collected, tally_period

    def items(view: Any) -> list[Any]:
        check_month(f"{org}/{type_}/{month}")
        collected = find_collected(view, org, type_, month)
        if collected is None:
            tally = tally_period(view, org, type_, month, view.genesis.utc_offset_seconds)
        else:
            tally = _handed_on(collected)
        return [
            AccountPeriod(
                nonce=nonce(),
                type=type_,
                month=month,
                reviewer=reviewer,
                tally=tally,
                includes=collected.accounts if collected else 0,
                issuer=org,
            )
        ]

    act(how, "bills.account_period/1", items)


def accept_account(how: How, account_id: AccountId) -> None:
    """Count an account again, and accept it. Only if you find the same."""
    from tallystick.contracts.bills.items.accounts import AcceptAccount
    from tallystick.contracts.bills.views.accounts import recount

    def items(view: Any) -> list[Any]:
        row = _find(view, account_id)
        tally = recount(view, row, view.genesis.utc_offset_seconds)
        return [AcceptAccount(nonce=nonce(), account=account_id, version=row.version, tally=tally)]

    act(how, "bills.accept_account/1", items)


def return_account(
    how: How,
    account_id: AccountId,
    reason: options.Reason,
    number: Annotated[
        list[str] | None,
        typer.Option("--number", help="CODE:NUMBER in question; may be repeated."),
    ] = None,
) -> None:
    """Return an account to whom it came from. A month that is returned opens again."""
    from tallystick.contracts.bills.items.accounts import ReturnAccount

    numbers = [bill_id(each) for each in number or ()]

    def items(view: Any) -> list[Any]:
        row = _find(view, account_id)
        return [
            ReturnAccount(
                nonce=nonce(),
                account=account_id,
                version=row.version,
                reason=reason,
                numbers=numbers,
            )
        ]

    act(how, "bills.return_account/1", items)


def show(
    account_id: AccountId, folder: options.LedgerDir = Path(), as_json: options.AsJson = False
) -> None:
    """What an account states, and what the ledger's numbers give now."""
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.views.accounts import recount

    with reading(folder) as view:
        row = _find(view, account_id)
        counted = recount(view, row, view.genesis.utc_offset_seconds)
    if as_json:
        out.json({"account": row, "counted": counted, "same": counted == row.tally})
        return
    named: dict[str, object] = {"state": row.state, "by": row.org, "reviewer": row.reviewer}
    named |= {"returned for": row.reason or "", "numbers": ", ".join(row.numbers)}
    named |= {"sums up": row.includes or "", "kept until": row.retain_until or ""}
    out.pairs(account_id, {name: value for name, value in named.items() if value != ""})
    print_tally(row.tally, "stated")
    if counted == row.tally:
        out.say("counted again here: the same", "bold green")
    else:
        print_tally(counted, "counted here")
        out.say("what is stated is not what is counted here", "bold red")


def list_(
    reviewer: Annotated[str | None, typer.Option("--reviewer", help="Only those of one.")] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Only submitted, returned or accepted ones.")
    ] = None,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """Accounts, by id. What waits for you: --reviewer YOU --state submitted."""
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.views.accounts import list_accounts

    with reading(folder) as view:
        rows = list(list_accounts(view, reviewer=reviewer, state=state))
    if as_json:
        out.json({"accounts": rows})
        return
    out.table(
        "accounts",
        ("account", "state", "by", "reviewer", "blue#", "red#", "void#"),
        [(each.id, each.state, each.org, each.reviewer, *_counts(each.tally)) for each in rows],
    )


def _counts(tally: Tally) -> tuple[int, int, int]:
    return tally.blue, tally.red, tally.void


def print_tally(tally: Tally, title: str) -> None:
    """Counts, sums and root, one a line."""
    from tallystick.contracts.bills.amounts import format_amount

    shown: dict[str, object] = {
        name: getattr(tally, name)
        for name in ("blue", "red", "paper", "void")
        if getattr(tally, name)
    }
    for each in tally.sums:
        shown[f"issued ({each.currency})"] = format_amount(each.issued)
        if each.reversed:
            shown[f"reversed ({each.currency})"] = format_amount(each.reversed)
    out.pairs(title, shown | {"root": tally.root.hex()})


def _handed_on(row: Any) -> Tally:
    from tallystick.contracts.bills.records.accounts import Tally

    return Tally(
        blue=row.blue,
        red=row.red,
        paper=row.paper,
        void=row.void,
        sums=row.sums,
        root=row.digest,
    )


def _find(view: View, account_id: str) -> Account:
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.contracts.bills.views.accounts import find_account
    from tallystick.protocol.errors import Rejected

    row = find_account(view, account_id)
    if row is None:
        raise Rejected(BillsReason.ACCOUNT_UNKNOWN, f"no account {account_id}", path="account")
    return row


def find_block(view: View, code: int, level: int, first: int) -> Allotment:
    """An allotment; refuses where there is none."""
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.contracts.bills.records.bills import allotment_id
    from tallystick.contracts.bills.views.bills import find_allotment
    from tallystick.protocol.errors import Rejected

    row = find_allotment(view, code, level, first)
    if row is None:
        name = allotment_id(code, level, first)
        raise Rejected(BillsReason.NUMBER_NOT_ALLOCATED, f"no allotment {name}", path="first")
    return row


def check_month(text: str) -> Any:
    """What a month's account is about, as it is written."""
    from tallystick.contracts.bills.records.accounts import parse_period

    found = parse_period(text)
    if found is None:
        fail(
            *("cli.month", "月份应写作 单位/票种/YYYY-MM", "a month is written ORG/TYPE/YYYY-MM"),
            detail=text,
        )
    return found


# -------------------------------------------------------------------------- archive and erasure


def archive_period(
    how: How,
    account_id: MonthId,
    until: Annotated[str, typer.Option("--until", help="Instant up to which bodies are kept.")],
) -> None:
    """Promise to keep all bodies of an accepted month. Longer later, never shorter."""
    from tallystick.contracts.bills.items.accounts import ArchivePeriod

    def items(view: Any) -> list[Any]:
        check_month(account_id)
        tally = _find(view, account_id).tally
        return [
            ArchivePeriod(
                nonce=nonce(),
                account=account_id,
                root=tally.root,
                bills=tally.blue + tally.red,
                retain_until=until,
            )
        ]

    act(how, "bills.archive_period/1", items)


def hold(how: How, what: What, order: Order, reason: options.Reason) -> None:
    """Keep a bill's body, or all of a month, from erasure. On a legal order."""
    _hold(how, "hold", what, order, reason)


def lift_hold(how: How, what: What, order: Order, reason: options.Reason) -> None:
    """Lift your own hold; those of others stand."""
    _hold(how, "lift_hold", what, order, reason)


def _hold(how: How, action: str, what: str, order: Path, reason: str) -> None:
    from tallystick.contracts.bills.items.accounts import HoldBodies, LiftHold

    kind = {"hold": HoldBodies, "lift_hold": LiftHold}[action]
    named: dict[str, Any] = {"bill": None, "account": None}
    if ":" in what:
        named["bill"] = bill_id(what)
    else:
        check_month(what)
        named["account"] = what
    item = kind(nonce=nonce(), order=digest_of(order), reason=reason, **named)
    act(how, f"bills.{action}/1", [item])


def order_erasure(
    how: How,
    bills: Annotated[list[str], typer.Argument(help="CODE:NUMBER, one or several.")],
    order: Order,
    reason: options.Reason,
    copy: Annotated[
        list[str], typer.Option("--copy", help="Organisation whose vault has it; repeat.")
    ],
    legal_order: Annotated[
        bool,
        typer.Option("--legal-order", help="On a legal order: before the term, despite holds."),
    ] = False,
) -> None:
    """Order bodies to be erased in every vault that has them. Once their term is over."""
    from tallystick.contracts.bills.items.accounts import OrderErasure

    digest = digest_of(order)
    items = [
        OrderErasure(
            nonce=nonce(),
            bill=bill_id(each),
            basis="legal_order" if legal_order else "term",
            order=digest,
            reason=reason,
            copies=copy,
        )
        for each in bills
    ]
    act(how, "bills.order_erasure/1", items)


def bill_id(text: str) -> str:
    """The id of a bill, as people write it."""
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id

    return format_bill_id(*parse_bill(text))


def digest_of(path: Path) -> bytes:
    """SHA-256 of a file that stays where it is."""
    from tallystick.cli.inputs import read_file

    return sha256(read_file(path, ORDER_BYTES_MAX)).digest()


# -------------------------------------------------------------------------------------- succession


def succeed(
    how: How,
    org: Annotated[str, typer.Argument(help="Organisation that is merged or split.")],
    to: Annotated[str, typer.Option("--to", help="Its successor.")],
    reason: options.Reason,
    block: Annotated[
        list[str] | None,
        typer.Option("--block", help="Allotment that moves: CODE/LEVEL/FIRST; may be repeated."),
    ] = None,
    duties: Annotated[
        bool, typer.Option("--duties", help="All that it still owes moves too; it issues no more.")
    ] = False,
) -> None:
    """Hand allotments and duties to a successor. All of it or nothing."""
    from tallystick.contracts.bills.items.accounts import MOVES_MAX, Succeed

    moved = [_moved(each) for each in block or ()]
    parts = [moved[n : n + MOVES_MAX] for n in range(0, len(moved), MOVES_MAX)] or [[]]
    items = [
        Succeed(
            nonce=nonce(),
            org=org,
            successor=to,
            duties=duties and n == 0,
            allotments=part,
            reason=reason,
        )
        for n, part in enumerate(parts)
    ]
    act(how, "bills.succeed/1", items, atomic=True)


def _moved(text: str) -> Any:
    from tallystick.contracts.bills.items.accounts import Moved
    from tallystick.contracts.bills.items.bills import Block

    code, level, first = parse_place(text)
    return Moved(code=code, block=Block(level=level, first=first))


def parse_place(text: str) -> tuple[int, int, int]:
    """Code, level and first number of ``33060126/3/1`` or as ids are written."""
    parts = text.split("/")
    if len(parts) != 3 or not all(each.isascii() and each.isdigit() for each in parts):
        fail(
            *("cli.block", "号段应写作 代码/级别/起号", "an allotment is written CODE/LEVEL/FIRST"),
            detail=text,
        )
    return int(parts[0]), int(parts[1]), int(parts[2])
