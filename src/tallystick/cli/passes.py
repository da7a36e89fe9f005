"""`tally pass`: what a system that cannot sign reads with: made, looked at, ended.

Invariant: a pass is never printed; it is written to a file that its owner alone can read.
See docs/spec/requests.md.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import fail

PASS_BYTES_MAX = 4_096
CODES_SHOWN = "all that the key and the grants allow"

app = typer.Typer(no_args_is_help=True, help="Passes, for systems that cannot sign.")

PassFile = Annotated[Path, typer.Argument(metavar="FILE", help="File of the pass.")]


class Word(StrEnum):
    """What a pass may read."""

    BILLS = "bills.read"
    LEDGER = "ledger.read"


@app.command()
def make(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New file; readable by you alone.")],
    org: Annotated[str, typer.Option("--org", help="Your organisation.")],
    may: Annotated[
        list[Word],
        typer.Option("--may", help="bills.read or ledger.read; may be given twice."),
    ],
    code: Annotated[
        list[int] | None,
        typer.Option("--code", help="Leading digits (2 to 8) of bill codes; may be repeated."),
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=400, help="How long it lasts.")] = 90,
    key: options.Key = None,
    passphrase_file: options.Passphrase = None,
    trust: options.Trust = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a pass. It never reads more than the key that signs it, and ends when that key does.

    Whoever has the file reads as your organisation: keep it as you keep a password.
    """
    from tallystick.cli.inputs import load_signer, read_policy
    from tallystick.client.passes import make_pass
    from tallystick.durable import write_new
    from tallystick.engines.clock import Clock

    if key is None:
        _no_key()
    token = make_pass(
        load_signer(key, passphrase_file),
        network=read_policy(trust).network,
        org=org,
        may=[each.value for each in may],
        codes=code or [],
        now=Clock().now(),
        days=days,
    )
    write_new(file, token.encode() + b"\n")
    _show(file, token, as_json)


@app.command()
def show(file: PassFile, as_json: options.AsJson = False) -> None:
    """Say what a pass may read, and until when.

    Whether its key still lives, the ledger knows.
    """
    _show(file, _token(file), as_json)


@app.command()
def revoke(
    which: Annotated[str, typer.Argument(metavar="PASS", help="File of the pass, or its id.")],
    server: Annotated[str, typer.Option("--server", help="Address: https://ledger.example.")],
    key: options.Key = None,
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """End a pass at a server, at once. To end it everywhere, revoke the key that signed it."""
    from tallystick.cli.inputs import load_signer, parse_hex
    from tallystick.client.passes import read_pass
    from tallystick.client.passes import revoke as call
    from tallystick.client.signing import SignedBy
    from tallystick.client.sync import Client
    from tallystick.engines.clock import Clock

    if key is None:
        _no_key()
    file = Path(which)
    pass_id = read_pass(_token(file)).id if file.exists() else parse_hex(which, "a pass's id", 16)
    signer = load_signer(key, passphrase_file)
    try:
        client = Client(server, auth=SignedBy(signer, Clock().now))
    except ValueError as error:
        fail("cli.server", "服务器地址不可用", "this is no address to ask", detail=str(error))
    with client:
        client.run(call(pass_id))
    if as_json:
        out.json({"id": pass_id, "server": server})
    else:
        out.say(f"{pass_id.hex()} is ended at {server}", "bold green")


def _token(file: Path) -> str:
    from tallystick.cli.inputs import read_file

    return read_file(file, PASS_BYTES_MAX).decode("ascii", "replace").strip()


def _show(file: Path, token: str, as_json: bool) -> None:
    from tallystick.client.passes import read_pass

    found = read_pass(token)
    if as_json:
        out.json(found)
        return
    out.pairs(
        str(file),
        {
            "id": found.id.hex(),
            "org": found.org,
            "may": " ".join(found.may),
            "codes": " ".join(map(str, found.codes)) or CODES_SHOWN,
            "since": found.since,
            "until": found.until,
            "signed by": found.key.hex(),
        },
    )


def _no_key() -> NoReturn:
    fail(
        *("cli.no_key", "缺少签名密钥", "which key signs this?"),
        todo=("以 --key 或 TALLY_KEY 指明", "name its file with --key or $TALLY_KEY"),
    )
