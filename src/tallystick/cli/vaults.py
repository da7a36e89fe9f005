"""`tally vault`: the private half of bills, for whoever has the vault's key.

Invariant: a body is shown only once it is the one that the ledger's record commits to.
See docs/spec/vault.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import fail

if TYPE_CHECKING:
    from tallystick.vault import Vault

app = typer.Typer(no_args_is_help=True, help="Private bodies, for whoever has the vault's key.")

VaultFolder = Annotated[Path, typer.Argument(metavar="VAULT", help="Folder of the vault.")]
KeyFile = Annotated[Path, typer.Option("--key", "-k", help="Key file of the vault.")]
BillArgument = Annotated[
    str, typer.Argument(metavar="BILL", help="CODE:NUMBER, like 33060126:0000000001.")
]


@app.command()
def show(
    vault: VaultFolder,
    bill: BillArgument,
    key: KeyFile,
    folder: options.LedgerDir = Path(),
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Open a body against its record. Fails with the field's name if it differs."""
    from tallystick.apps.bills.checks import RecordHalf, check_content
    from tallystick.cli.inputs import parse_bill
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.contracts.bills.views.bills import find_bill, find_type, record_view
    from tallystick.protocol.errors import Rejected

    code, number = parse_bill(bill)
    with reading(folder) as view:
        row = find_bill(view, format_bill_id(code, number))
        kind = None if row is None else find_type(view, code // 100, row.type_version)
        network = view.network
    if row is None or row.root is None or kind is None:
        raise Rejected(BillsReason.BILL_UNKNOWN, f"{bill} has no record with a body", path="bill")
    record = RecordHalf(kind.rules, record_view(row, network))
    with _open(vault, key, passphrase_file) as opened:
        _of(opened, code, number)
        found = opened.show(code, number, root=row.root, record=record, check=check_content)
    body: dict[str, Any] = json.loads(found.body)
    if as_json:
        out.json({"body": body, "state": row.state})
    else:
        _print_body(body, row.state)


@app.command()
def export(
    vault: VaultFolder,
    bill: BillArgument,
    key: KeyFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="New file for the holder.")],
    passphrase_file: options.Passphrase = None,
) -> None:
    """Write the disclosures of a body for its holder. They open without the vault or its key."""
    from tallystick.cli.founding import write_new
    from tallystick.cli.inputs import parse_bill

    code, number = parse_bill(bill)
    with _open(vault, key, passphrase_file) as opened:
        _of(opened, code, number)
        data = opened.export(code, number)
    write_new(output, data, private=True)
    out.say(f"{output}: {len(data):,} bytes, readable by you alone")


@app.command("list")
def list_(
    vault: VaultFolder,
    key: KeyFile,
    bill: Annotated[
        list[str] | None, typer.Argument(metavar="[BILL]...", help="Only these.")
    ] = None,
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """What became of bills, without opening them. By default those that are still under way."""
    from tallystick.cli.inputs import parse_bill

    with _open(vault, key, passphrase_file) as opened:
        if bill:
            found = [_of(opened, *parse_bill(each)) for each in bill]
        else:
            found = opened.prepared(limit=100_000)
        owed = len(opened.outbox.owed(limit=100_000))
    rows = [
        {
            "bill": f"{one.code}:{one.number:010d}",
            "kind": one.kind,
            "state": one.state,
            "entry": one.entry,
            "reason": one.reason,
            "reversed": one.reversed,
        }
        for one in found
    ]
    if as_json:
        out.json({"bodies": rows, "owed": owed})
        return
    out.table(
        "bodies" if bill else "under way",
        ("bill", "kind", "state", "entry#", "reason"),
        [(r["bill"], r["kind"], r["state"], r["entry"], r["reason"]) for r in rows],
    )
    out.say(f"{owed:,} deliveries are owed")


@contextmanager
def _open(folder: Path, key: Path, passphrase_file: Path | None) -> Iterator[Vault]:
    from tallystick.cli.inputs import load_vault
    from tallystick.vault import Vault

    if not folder.is_dir():
        raise FileNotFoundError(2, "no such folder", str(folder))
    loaded = load_vault(key, passphrase_file)
    with Vault.open(folder, loaded.secret) as opened:
        yield opened


def _of(vault: Vault, code: int, number: int) -> Any:
    standing = vault.find(code, number)
    if standing is None:
        fail(
            *("cli.no_body", "此库中没有该票据的内容", "this vault has no body of that bill"),
            todo=("核对票据号码与库目录", "check the number, and whether it is the issuer's vault"),
            detail=f"{code}:{number:010d}",
        )
    return standing


def _print_body(body: dict[str, Any], state: str) -> None:
    from tallystick.contracts.bills.amounts import format_amount

    payer, issuer = body["payer"], body["issuer_block"]
    out.pairs(
        f"{body['code']}:{body['number']:010d}",
        {
            "state": state,
            "issuer": issuer["name"],
            "payer": payer["name"],
            "issued at": body["issued_at"],
            "purpose": body["purpose"],
            "total": f"{format_amount(body['total'])} {body['currency']}",
            "of business": " ".join(body["business_codes"]),
        },
    )
    out.table(
        "lines",
        ("code", "name", "amount#"),
        [(item["code"], item["name"], format_amount(item["amount"])) for item in body["items"]],
    )
    sources = body["payment"]["sources"]
    out.table("paid by", ("source", "amount#"), [(n, format_amount(v)) for n, v in sources.items()])
    out.say(f"{len(body.get('details', [])):,} lines of the list behind it; --json has all")
