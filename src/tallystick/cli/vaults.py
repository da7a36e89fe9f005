"""`tally vault`: the private half of bills, for whoever has the vault's key.

Invariant: a body is shown only once it is the one that the ledger's record commits to, and once
the log of reads says to whom.
See docs/spec/vault.md.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import erasing, options, out, vault_copies
from tallystick.cli.failures import REFUSED, fail

if TYPE_CHECKING:
    from tallystick.apps.bills.holder_log import Touched
    from tallystick.vault import Kept, Standing, Vault
    from tallystick.vault.reads import What

app = typer.Typer(no_args_is_help=True, help="Private bodies, for whoever has the vault's key.")
vault_copies.add_to(app)
app.add_typer(erasing.app, name="erase")

VaultFolder = Annotated[Path, typer.Argument(metavar="VAULT", help="Folder of the vault.")]
KeyFile = Annotated[Path, typer.Option("--key", "-k", "--vault-key", help="Key file of the vault.")]
BillArgument = Annotated[
    str, typer.Argument(metavar="BILL", help="CODE:NUMBER, like 33060126:0000000001.")
]

Reader = Annotated[
    str,
    typer.Option("--reader", help="Who reads it, for the log of reads.", show_default="your name"),
]
Purpose = Annotated[str, typer.Option("--purpose", help="What for, for the log of reads.")]


@app.command()
def show(
    vault: VaultFolder,
    bill: BillArgument,
    key: KeyFile,
    folder: options.LedgerDir = Path(),
    reader: Reader = "",
    purpose: Purpose = "",
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
    with (
        _open(vault, key, passphrase_file) as opened,
        _logged(opened, code, number, what="read", who=reader, why=purpose),
    ):
        _of(opened, code, number)
        found = opened.show(code, number, root=row.root, record=record, check=check_content)
    body: dict[str, Any] = json.loads(found.body)
    if as_json:
        out.json({"body": body, "state": row.state})
    else:
        print_body(body, row.state)


@app.command()
def export(
    vault: VaultFolder,
    bill: BillArgument,
    key: KeyFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="New file for the holder.")],
    reader: Reader = "",
    purpose: Purpose = "",
    passphrase_file: options.Passphrase = None,
) -> None:
    """Write the disclosures of a body for its holder. They open without the vault or its key."""
    from tallystick.cli.founding import write_new
    from tallystick.cli.inputs import parse_bill

    code, number = parse_bill(bill)
    with (
        _open(vault, key, passphrase_file) as opened,
        _logged(opened, code, number, what="exported", who=reader, why=purpose),
    ):
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
            found = [_known(opened, *parse_bill(each)) for each in bill]
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


@app.command()
def reads(
    vault: vault_copies.KeptFolder,
    bill: BillArgument,
    key: KeyFile,
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Say who was shown what of a bill's body here, or refused."""
    from tallystick.apps.bills.holder_log import in_vaults
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id

    bill_id = format_bill_id(*parse_bill(bill))
    with vault_copies.open_kept(vault, key, passphrase_file) as kept:
        found = list(in_vaults(bill_id, {"": kept}))
    if as_json:
        out.json({"bill": bill_id, "reads": [_read(one) for one in found]})
        return
    out.table(
        f"reads of {bill_id}",
        ("at", "what", "who", "why", "outcome", "fields"),
        [
            (one.at, one.what, one.who, one.why, one.outcome, " ".join(one.paths) or "all")
            for one in found
        ],
    )


def _read(one: Touched) -> dict[str, Any]:
    named = ("at", "what", "who", "why", "outcome", "paths")
    return {name: getattr(one, name) for name in named}


@contextmanager
def _logged(
    kept: Kept, code: int, number: int, *, what: What, who: str, why: str
) -> Iterator[None]:
    """Note what is done to a body, or why it was not, before anything of it is shown."""
    from functools import partial

    from tallystick.cli.failures import Usage, failure_of
    from tallystick.engines.clock import Clock
    from tallystick.protocol.errors import TallystickError

    note = partial(kept.note_read, code, number, at=Clock().now(), who=who or getpass.getuser())
    try:
        yield
    except (TallystickError, Usage) as error:
        failure = failure_of(error)
        note(what="refused", why=failure.code if failure else "")
        raise
    note(what=what, why=why)


@contextmanager
def _open(folder: Path, key: Path, passphrase_file: Path | None) -> Iterator[Vault]:
    from tallystick.cli.inputs import load_vault
    from tallystick.vault import Vault

    if not folder.is_dir():
        raise FileNotFoundError(2, "no such folder", str(folder))
    loaded = load_vault(key, passphrase_file)
    with Vault.open(folder, loaded.secret) as opened:
        yield opened


def _of(vault: Vault, code: int, number: int) -> Standing:
    """What is known of a body that is here; fails where it is not, or is not any more."""
    standing = _known(vault, code, number)
    if standing.state == "erased":
        fail(
            *("cli.body_erased", "该票据的内容已被删除", "the body of that bill was erased"),
            todo=(
                "持有人自己的副本仍然有效",
                "its holder's own copy is as good as ever; see tally vault erase status",
            ),
            detail=f"{code}:{number:010d}",
            exit_code=REFUSED,
        )
    return standing


def _known(vault: Vault, code: int, number: int) -> Standing:
    standing = vault.find(code, number)
    if standing is None:
        fail(
            *("cli.no_body", "此库中没有该票据的内容", "this vault has no body of that bill"),
            todo=("核对票据号码与库目录", "check the number, and whether it is the issuer's vault"),
            detail=f"{code}:{number:010d}",
        )
    return standing


def print_body(body: dict[str, Any], state: str) -> None:
    """Payer, lines and means of payment, as people read them."""
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
