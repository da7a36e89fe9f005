"""`tally wallet`: a patient's wallet: made, its addresses, and the bills that come to it.

How bills stand is in `wallet_view`, what their holder says in `wallet_acts`, what they hand out in
`wallet_files`.

Invariant: nothing here tells anybody else anything. See docs/guides/patient.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, out, wallet_acts, wallet_files, wallet_view
from tallystick.cli.failures import fail
from tallystick.cli.wallet_folder import (
    NETWORK_FILE,
    WalletDir,
    WalletPassphrase,
    at_ledger,
    check_words,
    open_wallet,
)

if TYPE_CHECKING:
    from tallystick.apps.bills.wallet import Wallet

app = typer.Typer(no_args_is_help=True, help="A patient's bills, and who may see them.")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the wallet.")],
    network: Annotated[
        str | None, typer.Option("--network", help="Id of the network: 64 hex digits.")
    ] = None,
    genesis: Annotated[
        Path | None, typer.Option("--genesis", help="Or its founding file, genesis.json.")
    ] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="Out of the seed.key that lies in DIR, after a loss.")
    ] = False,
    wallet_passphrase_file: WalletPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a wallet. Its seed is worth as much as all its bills: keep a copy of seed.key."""
    from tallystick.apps.bills.wallet import SEED_FILE, Wallet
    from tallystick.cli.founding import write_new
    from tallystick.cli.inputs import passphrase_of

    known = _network(network, genesis)
    if restore and not (folder / SEED_FILE).exists():
        raise FileNotFoundError(2, "no such file", str(folder / SEED_FILE))
    if not restore:
        passphrase = passphrase_of(wallet_passphrase_file, new=True)
        Wallet.create(folder, known, passphrase).close()
    write_new(folder / NETWORK_FILE, known.hex().encode() + b"\n", private=True)
    with open_wallet(folder, wallet_passphrase_file) as wallet:
        _print_about(wallet, folder, as_json)


def _network(network: str | None, genesis: Path | None) -> bytes:
    from tallystick.cli.inputs import parse_hex, read_file
    from tallystick.protocol.genesis import GENESIS_BYTES_MAX, read_genesis

    if genesis is not None and network is None:
        return read_genesis(read_file(genesis, GENESIS_BYTES_MAX))[1]
    if network is None or genesis is not None:
        fail(
            *("cli.which_network", "请用 --network 或 --genesis 指明网络"),
            "of which network? --network or --genesis",
            todo=("二者取其一", "name one of the two"),
        )
    return parse_hex(network, "--network")


@app.command()
def about(
    wallet: WalletDir,
    wallet_passphrase_file: WalletPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Its network, its public keys, and whom it gave addresses."""
    with open_wallet(wallet, wallet_passphrase_file) as opened:
        _print_about(opened, wallet, as_json)


def _print_about(wallet: Wallet, folder: Path, as_json: bool) -> None:
    shown: dict[str, Any] = {
        "network": wallet.network.hex(),
        "mandate_key": wallet.keys.mandate.public_key.hex(),
        "helper_key": wallet.keys.helper.public_key.hex(),
    }
    addresses = [{"via": each.via, "id": each.address_id} for each in wallet.addresses()]
    if as_json:
        out.json(shown | {"addresses": addresses, "bills": len(wallet.bills())})
        return
    named = {f"address at {each['via']}": each["id"] for each in addresses}
    out.pairs(str(folder), shown | named | {"bills": len(wallet.bills())})


@app.command()
def address(
    via: Annotated[
        str, typer.Option("--via", metavar="ORG", help="The hospital or city app that it is for.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", "--out", help="New file, for that office alone.")
    ],
    wallet: WalletDir,
    new: Annotated[
        bool, typer.Option("--new", help="Another one; what comes to the old one is still read.")
    ] = False,
    wallet_passphrase_file: WalletPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Write the address that a hospital registers.

    Once: bills come to it by themselves from then on. The file is a secret between
    you and that office.
    """
    from tallystick.cli.founding import write_new
    from tallystick.engines.clock import Clock
    from tallystick.protocol.canonical import encode

    check_words(org=via)
    with open_wallet(wallet, wallet_passphrase_file) as opened:
        make = opened.new_address if new else opened.address
        made = make(via, at=Clock().now())
    write_new(output, encode(made) + b"\n", private=True)
    if as_json:
        out.json({"via": via, "id": made.address_id, "file": str(output)})
    else:
        out.say(f"{output}: for {via} alone; its letter box is {made.address_id}")


@app.command()
def receive(
    mailbox: Annotated[
        Path, typer.Option("--from", metavar="MAILBOX", help="Folder that offices deliver to.")
    ],
    wallet: WalletDir,
    folder: options.LedgerDir = Path(),
    wallet_passphrase_file: WalletPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Take in the bills that came. Those that the ledger knows, held by keys of this wallet."""
    from tallystick.vault.letterbox import WALLETS

    with (
        open_wallet(wallet, wallet_passphrase_file) as opened,
        at_ledger(opened, folder) as (view, now),
    ):
        told = opened.receive(mailbox / WALLETS, view, at=now)
    if as_json:
        named = ("bills", "shares", "waiting", "refused")
        out.json({name: getattr(told, name) for name in named})
        return
    out.say(f"{len(told.bills):,} new, {told.waiting:,} wait for the ledger", "bold green")
    for bill in told.bills:
        out.line(f"  {bill}")
    for act in told.shares:
        out.line(f"  you may help by {act}")
    for why in told.refused:
        out.warn(f"  thrown away: {out.plain(why)}")


for group in (wallet_view, wallet_acts, wallet_files):
    group.add_to(app)
