"""Letters over HTTP: `tally letterbox` receives, `tally wallet collect` fetches, `tally bills owed`
says who has not got theirs.

Invariant: nothing is opened here but by a wallet, and nothing is judged.
See docs/spec/delivery.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import fail
from tallystick.cli.wallet_folder import WalletDir, WalletPassphrase, open_wallet

if TYPE_CHECKING:
    from tallystick.apps.bills.delivering import Routes
    from tallystick.client.transport import Trusted

CaFile = Annotated[
    Path | None, typer.Option("--ca-file", help="Authorities in place of the system's.")
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Without TLS to other machines: others read along.")
]
Place = Annotated[
    str, typer.Argument(metavar="PLACE", help="Folder that the archive reads, or an https address.")
]
Route = Annotated[
    list[str] | None,
    typer.Option(
        "--route", metavar="NAME=PLACE", help="For one organisation, or for `wallets`; or more."
    ),
]


def add_to(app: typer.Typer, bills: typer.Typer, wallet: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(letterbox)
    bills.command()(owed)
    wallet.command()(collect)


def letterbox(
    folder: Annotated[Path, typer.Option("--box", help="Folder that the receivers read.")],
    ledger: Annotated[
        Path, typer.Option("--ledger", "-d", help="A ledger at hand: whose keys are whose.")
    ],
    receiver: Annotated[
        list[str] | None, typer.Option("--receiver", help="Organisation that receives; or more.")
    ] = None,
    listen: Annotated[str, typer.Option("--listen", help="HOST:PORT.")] = "127.0.0.1:8440",
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="As wallets address it: HOST or HOST:PORT, the public first."),
    ] = None,
    wallets: Annotated[
        bool, typer.Option("--wallets", help="Wallets may open boxes and collect from them.")
    ] = False,
) -> None:
    """Take in letters over HTTP. For members, and for wallets that collect them.

    It has no key that opens them. TLS is the matter of the proxy in front. Stop it with Ctrl-C.
    """
    from importlib.metadata import version

    from tallystick.cli.reading import reading
    from tallystick.engines.clock import Clock
    from tallystick.protocol.canonical import replace
    from tallystick.vault.letterbox import TEXTS, LetterBox
    from tallystick.vault.mail import FILE_BYTES_MAX
    from tallystick.web.letters import STATUSES, letterbox_app, receiving_keys, signer_by
    from tallystick.web.problems import Problems
    from tallystick.web.requests import RequestVerifier
    from tallystick.web.server import LIMITS, address_of, listening, run

    with reading(ledger) as view:
        network = view.network
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    host, _, port = listen.rpartition(":")
    bound = listening(host.strip("[]"), int(port) if port.isdigit() else _no_port(listen))
    names = name or [address_of(bound).removeprefix("http://")]
    verifier = RequestVerifier(names, Clock().now) if wallets else None
    box = LetterBox(folder, network, receiving_keys(lambda: reading(ledger), receiver or ()))
    app = letterbox_app(
        box, signer_by(verifier) if verifier else None, version=version("tallystick")
    )
    out.say(f"letters are taken at {address_of(bound)}")
    run(
        app,
        sockets=[bound],
        limits=replace(LIMITS, body_bytes=FILE_BYTES_MAX),
        problems=Problems(TEXTS, STATUSES),
    )


def collect(
    letterboxes: Annotated[
        list[str],
        typer.Option(
            "--letterbox", metavar="OFFICE=URL", help="Where an office's letters wait; or more."
        ),
    ],
    mailbox: Annotated[
        Path, typer.Option("--to", metavar="MAILBOX", help="Your folder: wallet receive --from.")
    ],
    wallet: WalletDir,
    ca_file: CaFile = None,
    insecure: Insecure = False,
    wallet_passphrase_file: WalletPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Fetch your letters from letterboxes on the network.

    Once before you hand an address in: that opens its box.
    """
    from tallystick.apps.bills.collecting import collect as fetch
    from tallystick.engines.clock import Clock

    named = [_pair(each, "--letterbox") for each in letterboxes]
    servers = {via: trusted(url, ca_file, insecure) for via, url in named}
    with open_wallet(wallet, wallet_passphrase_file) as opened:
        came = fetch(opened, servers, mailbox, clock=Clock().now)
    if as_json:
        out.json({"fetched": came})
    else:
        out.say(f"{came:,} letters fetched; take them in with tally wallet receive")


def owed(
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    overdue: Annotated[
        int, typer.Option("--overdue", help="Seconds after which one is overdue.", min=0)
    ] = 3_600,
    vault_passphrase_file: options.VaultPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Say to whom letters are owed. Since when, and how many are overdue."""
    from tallystick.apps.bills.delivering import owed_figures
    from tallystick.cli.inputs import load_vault
    from tallystick.engines.clock import Clock
    from tallystick.protocol.values import format_instant
    from tallystick.vault import Vault

    if not vault.is_dir():
        raise FileNotFoundError(2, "no such folder", str(vault))
    key = load_vault(vault_key, vault_passphrase_file)
    with Vault.open(vault, key.secret) as opened:
        figures = owed_figures(opened, now=Clock().now(), overdue_seconds=overdue)
    rows = [
        {
            "receiver": each.receiver,
            "owed": each.owed,
            "overdue": each.overdue,
            "oldest_at": format_instant(each.oldest_at),
            "attempts": each.attempts,
        }
        for each in figures.owed
    ]
    if as_json:
        out.json({"delivered": figures.delivered, "owed": rows})
        return
    out.table(
        "owed",
        ("receiver", "owed#", "overdue#", "oldest", "attempts#"),
        [
            (
                *(each.receiver, each.owed, each.overdue),
                format_instant(each.oldest_at),
                each.attempts,
            )
            for each in figures.owed
        ],
    )
    out.say(f"{figures.delivered:,} letters delivered")


def routes_of(place: str, routes: list[str] | None, ca_file: Path | None, insecure: bool) -> Routes:
    """Where letters go, by the options of a command; folders of this machine are made."""
    from tallystick.apps.bills.delivering import Routes, parse_route

    def made(text: str) -> Path | Trusted:
        found = parse_route(text, lambda url: trusted(url, ca_file, insecure))
        if isinstance(found, Path):
            found.mkdir(parents=True, exist_ok=True)
        return found

    named = [_pair(each, "--route") for each in routes or ()]
    return Routes(made(place), {name: made(text) for name, text in named})


def trusted(url: str, ca_file: Path | None, insecure: bool) -> Trusted:
    """A server that is named on the command line."""
    from tallystick.client.transport import Trusted

    try:
        return Trusted(url, ca_file=ca_file, insecure=insecure)
    except ValueError as error:
        fail(
            *("cli.address", "不是可用的服务地址", "this is no address of a server"),
            todo=(
                "用 https 地址；本机以外不经 TLS 须加 --insecure",
                "give an https address; without TLS to another machine only with --insecure",
            ),
            detail=str(error),
        )


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        fail(
            *("cli.parts", f"{option} 的写法不对", f"{option} is written with its parts and ="),
            todo=("见 --help", "see --help"),
            detail=text,
        )
    return name, value


def _no_port(text: str) -> NoReturn:
    fail(*("cli.listen", "监听地址应写作 主机:端口", "--listen is written HOST:PORT"), detail=text)
