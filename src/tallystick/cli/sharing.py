"""`tally bills share`, `tally claims receive` and `shown`: fields of bills for who reimburses them.

Invariant: nothing is owed that its holder has not allowed on the ledger, and nothing is shown that
was not held against the record. See docs/spec/delivery.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, acting

if TYPE_CHECKING:
    from tallystick.apps.bills.parts import Parts

PartsFolder = Annotated[Path, typer.Option("--parts", help="Folder where parts of bills are kept.")]
PartsKey = Annotated[Path, typer.Option("--parts-key", help="Its key: keygen --kind vault.")]
BASIS_BYTES_MAX = 64 * 1024


def add_to(bills: typer.Typer, claims: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    bills.command("share")(acting(share))
    claims.command("receive")(receive)
    claims.command("shown")(shown)


def share(
    how: How,
    basis: Annotated[
        Path, typer.Argument(metavar="BASIS", help="What the holder wrote: tally wallet basis.")
    ],
    bills: Annotated[list[str], typer.Argument(metavar="BILL...", help="CODE:NUMBER.")],
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    vault_passphrase_file: options.VaultPassphrase = None,
) -> None:
    """Owe fields of bills to a reimburser. Those that a consent or a mandate of the holder allows.

    They are sent by `tally bills deliver`, if the holder still allows it then.
    """
    from tallystick.apps.bills.presenting import read_basis
    from tallystick.cli.inputs import parse_bill, read_file
    from tallystick.cli.offices import Where, open_office
    from tallystick.contracts.bills.records.bills import format_bill_id

    named = [format_bill_id(*parse_bill(each)) for each in bills]
    opened = read_basis(read_file(basis, BASIS_BYTES_MAX).removesuffix(b"\n"))
    with open_office(how, Where(vault, vault_key, vault_passphrase_file)) as office:
        made = [office.sharing.promise(each, opened) for each in named]
    if how.as_json:
        out.json({"owed": [{"bill": each.bill, "to": each.audience} for each in made]})
    else:
        out.say(f"owed to {made[0].audience} for {made[0].purpose}: {len(made):,} bills")


def receive(
    mailbox: Annotated[
        Path, typer.Option("--mailbox", help="Folder of your letterbox: tally letterbox --box.")
    ],
    org: Annotated[str, typer.Option("--org", help="Your organisation.")],
    delivery_key: Annotated[
        list[Path],
        typer.Option(
            "--delivery-key", help="Key that opens letters, or a folder of them; or more."
        ),
    ],
    parts: PartsFolder,
    parts_key: PartsKey,
    folder: options.LedgerDir = Path(),
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Take in what holders let you see of their bills. Held against the ledger, and encrypted.

    What was ordered to be erased since is destroyed. Run it often.
    """
    from tallystick.apps.bills.parts import PartLetters
    from tallystick.cli.delivery_keys import key_files
    from tallystick.cli.inputs import load_delivery
    from tallystick.cli.reading import reading
    from tallystick.engines.clock import Clock

    keys = [load_delivery(each, passphrase_file) for each in key_files(delivery_key)]
    with reading(folder) as view:
        network = view.network
    with _parts(parts, parts_key, passphrase_file) as opened:
        told = PartLetters(
            opened,
            org=org,
            network=network,
            keys={key.public_key: key.private_key for key in keys},
            box=mailbox,
            view=lambda: reading(folder),
            clock=Clock().now,
        ).run_once()
    if as_json:
        named = ("kept", "waiting", "refused", "erased")
        out.json({name: getattr(told, name) for name in named})
        return
    out.say(f"{len(told.kept):,} new, {told.waiting:,} wait for the ledger", "bold green")
    for bill in told.kept:
        out.line(f"  {bill}")
    for bill in told.erased:
        out.line(f"  erased: {bill}")
    for why in told.refused:
        out.warn(f"  thrown away: {out.plain(why)}")


def shown(
    bill: Annotated[str, typer.Argument(metavar="BILL", help="CODE:NUMBER.")],
    parts: PartsFolder,
    parts_key: PartsKey,
    passphrase_file: options.Passphrase = None,
    reader: Annotated[
        str,
        typer.Option("--reader", help="Who reads it, for the log of reads.", show_default="you"),
    ] = "",
    as_json: options.AsJson = False,
) -> None:
    """What you were sent of a bill, and by which right. For `tally claims lock --right-id`."""
    import getpass

    from tallystick.apps.bills.parts import values_of
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.engines.clock import Clock

    place = parse_bill(bill)
    with _parts(parts, parts_key, passphrase_file) as opened:
        found = opened.of(format_bill_id(*place))
        if found:
            opened.note_read(*place, at=Clock().now(), who=reader or getpass.getuser())
    told = [
        {
            "right": "consent" if part.basis.consent else "mandate",
            "right_id": part.basis.consent or part.basis.mandate,
            "opening": part.basis.opening,
            "purpose": part.purpose,
            "fields": values_of(part),
        }
        for part in found
    ]
    if as_json:
        out.json({"bill": format_bill_id(*place), "shown": told})
        return
    for one, part in zip(told, found, strict=True):
        out.pairs(f"{one['right']} {one['right_id']}", {"purpose": part.purpose})
        out.table("shown", ("field", "value"), [(k, str(v)) for k, v in values_of(part).items()])
    if not told:
        out.say("nothing of that bill is here")


@contextmanager
def _parts(folder: Path, key: Path, passphrase_file: Path | None) -> Iterator[Parts]:
    from tallystick.apps.bills.parts import Parts
    from tallystick.cli.inputs import load_vault
    from tallystick.cli.offices import alone

    secret = load_vault(key, passphrase_file).secret
    with alone(folder), Parts.open(folder, secret) as opened:
        yield opened
