"""`tally vault erase`: bodies that are to be erased, ordered on the ledger, carried out, counted.

Invariant: a copy is acknowledged only when nothing of it is left in any file of its vault.
See docs/spec/vault.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, act, acting, desk_of, nonce, owner_of
from tallystick.cli.failures import BUSY, fail

if TYPE_CHECKING:
    from tallystick.apps.bills.erasing import Order, Round
    from tallystick.vault import Kept

app = typer.Typer(no_args_is_help=True, help="Erase bodies: order it, carry it out, k of m.")

ANSWER_SECONDS_MAX = 120.0


class Basis(StrEnum):
    """Why a body may be erased."""

    TERM = "term"
    LEGAL_ORDER = "legal_order"


def order(
    how: How,
    bills: Annotated[
        list[str], typer.Argument(metavar="BILL...", help="CODE:NUMBER of the bills.")
    ],
    document: Annotated[
        str,
        typer.Option(
            "--order", help="The order, a file or its SHA-256 in hex: only that is on the ledger."
        ),
    ],
    copy: Annotated[
        list[str], typer.Option("--copy", help="An organisation that has the body; many times.")
    ],
    reason: options.Reason,
    basis: Annotated[
        Basis,
        typer.Option("--basis", help="The term is over (its issuer's), or a legal order."),
    ] = Basis.TERM,
) -> None:
    """Order bodies to be erased, in each vault that is named."""
    from tallystick.cli.inputs import digest_of, parse_bill
    from tallystick.contracts.bills.items.accounts import OrderErasure
    from tallystick.contracts.bills.records.bills import format_bill_id

    digest = digest_of(document)
    items = [
        OrderErasure(
            nonce=nonce(),
            bill=format_bill_id(*parse_bill(bill)),
            basis=basis.value,
            order=digest,
            reason=reason,
            copies=copy,
        )
        for bill in bills
    ]
    act(how, "bills.order_erasure/1", items)


def run(
    how: How,
    vaults: Annotated[
        list[Path],
        typer.Argument(
            metavar="VAULT...",
            help="Folder of vault or archive; of those too whose duties you took over.",
        ),
    ],
    vault_keys: Annotated[
        list[Path],
        typer.Option("--vault-key", help="Key file of the vault; once for each, in their order."),
    ],
    mailbox: Annotated[
        list[Path] | None,
        typer.Option("--mailbox", help="Letters to these vaults that they have not taken yet."),
    ] = None,
    vault_passphrase_file: options.VaultPassphrase = None,
) -> None:
    """Erase here what the ledger has ordered, and acknowledge it.

    Exit code 4 while a legal hold, a reader of the files, a copy of the keys out of reach or a
    letter in a box keeps some of it: run it again.
    """
    from tallystick.apps.bills.erasing import Eraser, orders_of
    from tallystick.cli.inputs import load_signer
    from tallystick.cli.vault_copies import open_kept

    if len(vaults) != len(vault_keys):
        fail("cli.vault_keys", "每个库需一个密钥", "one --vault-key for each vault")
    if how.key is None:
        fail("cli.no_key", "缺少签名密钥", "which key signs this? name its file with --key")
    signer = load_signer(how.key, how.passphrase_file)
    with desk_of(how) as desk, ExitStack() as opened:
        kept, *others = [
            opened.enter_context(open_kept(vault, key, vault_passphrase_file))
            for vault, key in zip(vaults, vault_keys, strict=True)
        ]
        with desk.view() as view:
            org = owner_of(view, signer.public_key)
            ordered = orders_of(view, org)
        if how.dry_run:
            done = _would(ordered, [kept, *others])
        else:
            done = Eraser(
                kept,
                org=org,
                network=desk.network,
                signer=signer,
                submit=desk.submit,
                view=desk.view,
                clock=desk.now,
                also=others,
                boxes=mailbox or (),
                answer_seconds_max=ANSWER_SECONDS_MAX,
            ).run_once()
    _print(how, done)


def status(
    bills: Annotated[
        list[str] | None, typer.Argument(metavar="[BILL]...", help="Only these.")
    ] = None,
    folder: options.LedgerDir = Path(),
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Only where a copy is not known to be gone.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Say how many of the known copies are gone: k of m."""
    from tallystick.apps.bills.erasing import erasure_list, erasure_status
    from tallystick.cli.inputs import parse_bill
    from tallystick.cli.reading import reading
    from tallystick.contracts.bills.records.bills import format_bill_id

    with reading(folder) as view:
        if bills:
            named = [format_bill_id(*parse_bill(bill)) for bill in bills]
            found = [one for bill in named if (one := erasure_status(view, bill)) is not None]
        else:
            found = list(erasure_list(view, unfinished=unfinished))
    if as_json:
        out.json({"erasures": found})
        return
    out.table(
        "erasures",
        ("bill", "state", "gone", "copies left", "by", "basis", "reason"),
        [
            (
                *(one.bill, one.state, f"{one.done} of {one.known}"),
                " ".join(each.org for each in one.copies if each.done is None),
                *(one.by, one.basis, one.reason),
            )
            for one in found
        ],
    )


def _would(orders: Sequence[Order], vaults: Sequence[Kept]) -> Round:
    """What a round would begin with."""
    from tallystick.apps.bills.erasing import Round

    done = Round()
    for order in orders:
        if order.held and not order.acknowledged:
            done.held.append(order.bill.id)
        elif any(order.place not in kept.erasures for kept in vaults):
            done.erased.append(order.bill.id)
    return done


def _print(how: How, done: Round) -> None:
    left = bool(done.held or done.waiting)
    if how.as_json:
        names = ("erased", "acknowledged", "held", "waiting", "details")
        out.json({"dry_run": how.dry_run} | {name: getattr(done, name) for name in names})
    else:
        would = "would be erased" if how.dry_run else "erased"
        out.say(
            f"{len(done.erased):,} {would}, {len(done.acknowledged):,} acknowledged",
            "bold yellow" if left else "bold green",
        )
        for bills, why in (
            (done.held, "a legal hold keeps it"),
            (done.waiting, "something is left; not acknowledged"),
        ):
            for bill in bills:
                out.say(f"  {bill}: {why}")
        for detail in done.details:
            out.say(f"  {detail}")
    if left and not how.dry_run:
        raise typer.Exit(BUSY)


app.command()(acting(order))
app.command()(acting(run))
app.command()(status)
