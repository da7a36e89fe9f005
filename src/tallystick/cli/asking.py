"""`tally bills show`, `list`, `types`, `allotments`, `numbers`: what the ledger says.

Invariant: reading needs no key, takes no lock, and changes nothing.
See docs/spec/contracts/README.md.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from tallystick.cli import options, out

LIST_MAX = 100


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(show)
    app.command("list")(list_)
    app.command()(types)
    app.command()(allotments)
    app.command()(numbers)


def show(
    bill: Annotated[str, typer.Argument(help="CODE:NUMBER, like 33060126:0000000001.")],
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """What befell one number. Its record, without anything private."""
    from tallystick.apps.bills.acts import WORDS, said_of
    from tallystick.cli.inputs import parse_bill
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.amounts import format_amount
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.contracts.bills.views.bills import find_bill
    from tallystick.protocol.errors import Rejected

    bill_id = format_bill_id(*parse_bill(bill))
    with reading(folder) as view:
        row = find_bill(view, bill_id)
        if row is None:
            raise Rejected(BillsReason.BILL_UNKNOWN, f"nothing befell {bill_id}", path="bill")
        said = said_of(view, row) if row.root and row.bill_kind != "paper" else None
    if as_json:
        every = {name: getattr(row, name) for name in row.__struct_fields__}
        out.json(every | {"said": said})
        return
    money = {name: format_amount(value) for name, value in row.amounts.items()}
    named = {
        name: getattr(row, name)
        for name in row.__struct_fields__
        if name not in ("amounts", "salt", "kind", "id")
    }
    shown = {name: _flat(value) for name, value in named.items()}
    if said is not None:
        shown = {"said": " ".join(WORDS[said])} | shown
    out.pairs(bill_id, shown | {f"{name} ({row.currency})": v for name, v in money.items()})


def _flat(value: object) -> object:
    """A digest in hex, a record as JSON: one line each."""
    if isinstance(value, bytes):
        return value.hex()
    return out.json_text(value) if hasattr(value, "__struct_fields__") else value


def list_(
    code: Annotated[int, typer.Argument(help="Bill code of eight digits.")],
    range_: Annotated[
        str, typer.Option("--range", help="Only numbers FIRST-LAST.")
    ] = "1-9999999999",
    issuer: Annotated[str | None, typer.Option("--issuer", help="Only of this issuer.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1)] = LIST_MAX,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """The numbers of one code that something befell, in order."""
    from tallystick.cli.inputs import parse_range
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.amounts import format_amount
    from tallystick.contracts.bills.views.bills import find_bills

    with reading(folder) as view:
        found = list(islice(find_bills(view, code, *parse_range(range_), issuer), limit + 1))
    more, found = len(found) > limit, found[:limit]
    if as_json:
        out.json({"bills": found, "more": more})
        return
    out.table(
        str(code),
        ("bill", "issuer", "state", "total#", "issued at", "entry#"),
        [
            (
                *(row.id, row.issuer, row.state),
                format_amount(row.amounts["total"]) if "total" in row.amounts else None,
                *(row.issued_at, row.entry),
            )
            for row in found
        ],
    )
    if more:
        out.say(f"… more; ask for a --range or a higher --limit than {limit}")


def types(
    type_: Annotated[int | None, typer.Argument(metavar="[TYPE]", help="Six digits.")] = None,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """The newest version of each type, or all rules of one."""
    from tallystick.cli.numbers import print_type
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.views.bills import find_type, list_types

    with reading(folder) as view:
        one = None if type_ is None else find_type(view, type_)
        found = list(list_types(view)) if type_ is None else [one] if one else []
    if as_json:
        out.json({"types": found})
    elif type_ is not None and found:
        print_type(found[0])
    else:
        out.table(
            "bill types",
            ("type", "version#", "in force from", "currencies", "issued means", "claimable"),
            [
                (
                    *(str(kind.type), kind.type_version, kind.valid_from),
                    *(" ".join(kind.rules.currencies), kind.rules.ack),
                    "yes" if kind.rules.claims else "no",
                )
                for kind in found
            ],
        )


def allotments(
    code: Annotated[int | None, typer.Argument(help="Bill code of eight digits.")] = None,
    holder: Annotated[str | None, typer.Option("--holder", help="Only in this hand.")] = None,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """Who holds which numbers, and how many are left."""
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.records.bills import remaining
    from tallystick.contracts.bills.views.bills import list_allotments

    with reading(folder) as view:
        found = list(list_allotments(view, code, holder=holder))
    if as_json:
        out.json({"allotments": [out.hex_bytes(a) | {"remaining": remaining(a)} for a in found]})
        return
    out.table(
        "allotments",
        ("code/level/first", "last#", "holder", "state", "issued#", "void#", "left#"),
        [(a.id, str(a.last), a.holder, a.state, a.issued, a.void, remaining(a)) for a in found],
    )


def numbers(
    code: options.Code,
    level: options.Level,
    first: options.First,
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """Where each number of an allotment is. Issued, void, granted, returned, left."""
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.contracts.bills.records.bills import allotment_id
    from tallystick.contracts.bills.views.bills import account, find_allotment
    from tallystick.protocol.errors import Rejected

    with reading(folder) as view:
        row = find_allotment(view, code, level, first)
        if row is None:
            name = allotment_id(code, level, first)
            raise Rejected(BillsReason.NUMBER_NOT_ALLOCATED, f"no allotment {name}", path="first")
        book: Any = account(view, row)
    if as_json:
        out.json(book)
        return
    out.table(
        f"{row.id}, held by {row.holder}",
        ("first#", "last#", "numbers#", "where"),
        [(str(r.first), str(r.last), r.last - r.first + 1, r.fate) for r in book.ranges],
    )
    parts = f"{book.issued:,} issued + {book.void:,} void + {book.gone:,} gone"
    out.say(f"{parts} + {book.remaining:,} left = {book.size:,} allotted", "bold")
