"""`tally bills exchange` and what follows: paper forms that stand for bills, and booking.

Invariant: one command is one action of the contract, told in its words; the form is chosen out of
what the ledger says is unused. See docs/spec/contracts/bills-paper.md.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, act, acting, nonce
from tallystick.cli.failures import REFUSED, fail

if TYPE_CHECKING:
    from tallystick.contracts.bills.records.bills import Bill
    from tallystick.contracts.bills.records.paper import Booking
    from tallystick.contracts.kit.context import Reader

LIST_MAX = 1_000

OneBill = Annotated[
    str, typer.Argument(metavar="BILL", help="CODE:NUMBER, like 33060126:0000000001.")
]
Bills = Annotated[list[str], typer.Argument(metavar="BILL...", help="CODE:NUMBER, one or several.")]
Form = Annotated[
    str | None,
    typer.Option(
        "--form",
        help="The form, CODE:NUMBER.",
        show_default="your next unused form of the type that the bill's rules name",
    ),
]
Claim = Annotated[
    int, typer.Option("--claim", help="Which of the bill's claims, from 0.", min=0, max=15)
]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    for command in (exchange, confirm_printed, cancel_exchange, recover, reprint, declare_lost):
        app.command(command.__name__.replace("_", "-"))(acting(command))
    app.command("invalid-forms")(invalid_forms)
    app.command("next-form")(next_form)
    app.command("book")(acting(book))
    app.command("unbook")(acting(unbook))
    app.command("bookings")(bookings)


# ----------------------------------------------------------------------------------------- forms


def exchange(how: How, bill: OneBill, form: Form = None) -> None:
    """Print a bill on a paper form (换开). Then hand it over: confirm-printed."""
    from tallystick.contracts.bills.items.paper import Exchange

    def items(view: Reader) -> list[Any]:
        row = read_blue(view, bill)
        return [Exchange(**_of_form(view, row, form))]

    act(how, "bills.exchange/1", items)


def reprint(how: How, bill: OneBill, reason: options.Reason, form: Form = None) -> None:
    """Print a bill again on a new form. The old one, which you have in hand, is void."""
    from tallystick.contracts.bills.items.paper import Reprint

    def items(view: Reader) -> list[Any]:
        row = read_blue(view, bill)
        return [Reprint(reason=reason, **_of_form(view, row, form))]

    act(how, "bills.reprint/1", items)


def confirm_printed(how: How, bills: Bills) -> None:
    """Say that the forms were handed over. From now on they stand for their bills."""
    from tallystick.contracts.bills.items.paper import ConfirmPrinted
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.protocol.errors import Rejected

    def items(view: Reader) -> list[Any]:
        made = []
        for text in bills:
            row = read_blue(view, text)
            if row.paper is None:
                raise Rejected(BillsReason.PAPER_NONE, f"no form of {row.id}", path="bill")
            made.append(ConfirmPrinted(nonce=nonce(), bill=row.id, paper=row.paper.id))
        return made

    act(how, "bills.confirm_printed/1", items)


def cancel_exchange(how: How, bills: Bills, reason: options.Reason = "not_printed") -> None:
    """Take exchanges back while they are printing. Those forms are void."""
    from tallystick.contracts.bills.items.paper import CancelExchange

    _of_bills(how, "cancel_exchange", CancelExchange, bills, reason)


def recover(how: How, bills: Bills, reason: options.Reason = "returned") -> None:
    """Say that paper forms came back. The electronic bills stand alone again."""
    from tallystick.contracts.bills.items.paper import Recover

    _of_bills(how, "recover", Recover, bills, reason)


def declare_lost(how: How, bills: Bills, reason: options.Reason = "lost") -> None:
    """Declare paper forms lost. Invalid at once; the bill is free after the type's wait."""
    from tallystick.contracts.bills.items.paper import DeclareLost

    _of_bills(how, "declare_lost", DeclareLost, bills, reason)


def invalid_forms(
    code: Annotated[int, typer.Argument(help="Code of paper forms, eight digits.")],
    state: Annotated[
        list[str] | None,
        typer.Option("--state", help="Only lost, cancelled, void, or recovered; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1)] = LIST_MAX,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """The public list of forms to trust no more. Lost, cancelled or void; names no bill."""
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.views.paper import INVALID, list_invalid

    with reading(folder) as view:
        found = list(islice(list_invalid(view, code, state or INVALID), limit + 1))
    more, found = len(found) > limit, found[:limit]
    if as_json:
        out.json({"invalid": found, "more": more})
        return
    out.table(
        f"invalid forms of {code}",
        ("form", "state", "printed, or void since", "reason"),
        [(each.id, each.state, each.dated, each.reason) for each in found],
    )
    if more:
        out.say(f"… more; ask for a higher --limit than {limit}")


def next_form(
    code: Annotated[int, typer.Argument(help="Code of paper forms, eight digits.")],
    holder: Annotated[str | None, typer.Option("--holder", help="Only in this hand.")] = None,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """The next unused form of each stock. Take forms in this order."""
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.records.bills import format_bill_id, remaining
    from tallystick.contracts.bills.views.bills import list_allotments
    from tallystick.contracts.bills.views.paper import next_form as following

    with reading(folder) as view:
        found = [(row, following(view, row)) for row in list_allotments(view, code, holder=holder)]
    stocks = [
        {
            "allotment": row.id,
            "holder": row.holder,
            "next": None if number is None else format_bill_id(code, number),
            "left": remaining(row),
        }
        for row, number in found
    ]
    if as_json:
        out.json({"stocks": stocks})
        return
    out.table(
        f"forms of {code}",
        ("code/level/first", "holder", "next unused", "left#"),
        [tuple(each.values()) for each in stocks],
    )


# --------------------------------------------------------------------------------------- booking


def book(
    how: How,
    bill: OneBill,
    amount: Annotated[str, typer.Option("--amount", help="With two decimals, like 12.30.")],
    on: Annotated[str, typer.Option("--on", help="Day in your books, YYYY-MM-DD.")],
    voucher: Annotated[
        str, typer.Option("--voucher", help="Your voucher: a file, or its SHA-256 in hex.")
    ],
    claim: Claim = 0,
) -> None:
    """Enter a settled claim into your books (入账). Once, for at most what was settled."""
    from tallystick.cli.inputs import digest_of, parse_bill
    from tallystick.contracts.bills.amounts import parse_amount
    from tallystick.contracts.bills.items.paper import Book
    from tallystick.contracts.bills.records.bills import format_bill_id

    item = Book(
        nonce=nonce(),
        bill=format_bill_id(*parse_bill(bill)),
        ordinal=claim,
        amount=parse_amount(amount, path="--amount"),
        on=on,
        voucher=digest_of(voucher),
    )
    act(how, "bills.book/1", [item])


def unbook(how: How, bill: OneBill, reason: options.Reason, claim: Claim = 0) -> None:
    """Take a claim out of your books again."""
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.items.paper import Unbook
    from tallystick.contracts.bills.records.bills import format_bill_id

    bill_id = format_bill_id(*parse_bill(bill))
    act(how, "bills.unbook/1", [Unbook(nonce=nonce(), bill=bill_id, ordinal=claim, reason=reason)])


def bookings(
    bill: Annotated[str | None, typer.Argument(metavar="[BILL]", help="CODE:NUMBER.")] = None,
    reversed_of: Annotated[
        str | None,
        typer.Option(
            "--reversed-of", help="In place of a bill: what this unit booked and was reversed."
        ),
    ] = None,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """Bookings of a bill. Or what a unit booked and was reversed since: to be mended."""
    from tallystick.cli.inputs import parse_bill
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.amounts import format_amount
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.contracts.bills.views.paper import list_bookings, reversed_bookings

    if (bill is None) == (reversed_of is None):
        fail(
            *("cli.which_bookings", "请指明一张票据，或以 --reversed-of 指明单位"),
            "name a bill, or a unit with --reversed-of, and not both",
        )
    with reading(folder) as view:
        rows: list[tuple[Booking, int | None]] = (
            [(each, None) for each in list_bookings(view, format_bill_id(*parse_bill(bill)))]
            if bill is not None
            else [(each.booking, each.stands) for each in reversed_bookings(view, str(reversed_of))]
        )
    if as_json:
        out.json({"bookings": [out.hex_bytes(row) | {"stands": left} for row, left in rows]})
        return
    out.table(
        "bookings",
        ("bill/claim", "unit", "state", "day", "booked#", "stands#"),
        [
            (
                *(row.id, row.unit, row.state, row.on),
                format_amount(row.amounts["booked"]),
                None if left is None else format_amount(left),
            )
            for row, left in rows
        ],
    )


# --------------------------------------------------------------------------------------- helpers


def read_blue(view: Reader, text: str) -> Bill:
    """The bill that a command names; refuses where there is none."""
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.contracts.bills.views.bills import find_bill
    from tallystick.protocol.errors import Rejected

    bill_id = format_bill_id(*parse_bill(text))
    row = find_bill(view, bill_id)
    if row is None or row.bill_kind != "blue":
        raise Rejected(BillsReason.BILL_UNKNOWN, f"no blue bill {bill_id}", path="bill")
    return row


def of_bills(view: Reader, kind: Any, bills: list[str], reason: str, **fields: Any) -> list[Any]:
    """An item of `OfBill` for each, as the ledger has the bills now."""
    rows = [read_blue(view, text) for text in bills]
    return [
        kind(nonce=nonce(), bill=row.id, version=row.version, reason=reason, **fields)
        for row in rows
    ]


def _of_bills(how: How, action: str, kind: Any, bills: list[str], reason: str) -> None:
    act(how, f"bills.{action}/1", lambda view: of_bills(view, kind, bills, reason))


def _of_form(view: Reader, bill: Bill, form: str | None) -> dict[str, Any]:
    """The fields of an exchange: which bill, and which form out of whose stock."""
    from tallystick.apps.bills.paper_desk import acting_for, free_form, on_form, stock_of
    from tallystick.cli.inputs import parse_bill
    from tallystick.engines.clock import Clock

    at = Clock().now()
    holder = acting_for(view, bill.issuer)
    found = (
        free_form(view, bill, at)
        if form is None
        else stock_of(view, *parse_bill(form), holder=holder)
    )
    if found is None:
        fail(
            *("cli.no_form", "没有可用的纸质票据号段", "your stock has no unused paper form"),
            todo=(
                "请领用该票种今年的纸质票据号段，或以 --form 指明",
                "have forms of this year allotted, or name one with --form",
            ),
            detail=holder,
            exit_code=REFUSED,
        )
    return on_form(view, bill, found, at)
