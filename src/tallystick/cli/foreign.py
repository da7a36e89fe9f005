"""`tally export-proof`, `tally vkeys`, `tally witness`: what other people's log software reads and
asks, as C2SP writes it.

Invariant: what is written here every tool of that standard reads. See docs/spec/tlog-proof.md and
docs/spec/witness.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import fail

if TYPE_CHECKING:
    import socket

    from tallystick.engines.witnessing import AskWitness
    from tallystick.protocol.checkpoint import VerifierKey

WitnessUrls = Annotated[
    list[str] | None,
    typer.Option(
        "--witness",
        metavar="URL=VKEY",
        help="Ask this witness (C2SP) for its line under each checkpoint; may be repeated.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command("export-proof")(export_proof)
    app.command()(vkeys)
    app.command()(witness)


def export_proof(
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="Receipt of an entry.")],
    output: options.Output = None,
) -> None:
    """Write a receipt as a C2SP tlog-proof.

    For log clients that are not ours. Index, hashes, checkpoint and the leaf: neither the item nor
    who signed it. Verifies nothing.
    """
    from tallystick.cli.founding import write_new
    from tallystick.cli.inputs import in_file, read_file
    from tallystick.protocol.receipt import RECEIPT_BYTES_MAX, read_receipt
    from tallystick.protocol.tlog_proof import tlog_proof_of, write_tlog_proof

    with in_file(receipt):
        found = read_receipt(read_file(receipt, RECEIPT_BYTES_MAX).removesuffix(b"\n"))
    data = write_tlog_proof(tlog_proof_of(found))
    if output is None:
        print(data.decode(), end="")
    else:
        write_new(output, data)
        out.say(f"{output}: {len(data):,} bytes")


def vkeys(trust: options.Trust = None, as_json: options.AsJson = False) -> None:
    """Verifier keys of a trust policy.

    As other people's log clients take them: of the log, then of each keeper.
    """
    from tallystick.cli.inputs import read_policy
    from tallystick.protocol.checkpoint import NOTE_KEY, format_vkey
    from tallystick.protocol.equivocation import policy_keys

    found = [
        {
            "of": "log" if key.key_type == NOTE_KEY else "keeper",
            "name": key.name,
            "vkey": format_vkey(key),
        }
        for key in policy_keys(read_policy(trust))
    ]
    if as_json:
        out.json({"vkeys": found})
    else:
        for each in found:
            print(each["of"], each["vkey"])


def witness(
    folder: Annotated[Path, typer.Option("--dir", "-d", help="The witness's own folder.")],
    key: Annotated[
        Path, typer.Option("--key", "-k", help="Key file that co-signs; no keeper's key.")
    ],
    logs: Annotated[
        list[str],
        typer.Option(
            "--log",
            metavar="[ORIGIN=]VKEY",
            help="A log to be witnessed, and a key that signs it; may be repeated.",
        ),
    ],
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where to answer.")
    ] = "127.0.0.1:8460",
    name: Annotated[
        str | None, typer.Option("--name", help="Name to sign with.", show_default="the key's")
    ] = None,
    passphrase_file: options.Passphrase = None,
) -> None:
    """Be a witness of logs (C2SP tlog-witness).

    Co-signs checkpoints that grew out of the last one. Any log that signs as C2SP says may be
    witnessed. The witness's own verifier key is printed at the start. Stop it with Ctrl-C.
    """
    from tallystick.cli.inputs import load_signer
    from tallystick.engines.clock import Clock
    from tallystick.protocol.canonical import replace
    from tallystick.protocol.checkpoint import format_vkey
    from tallystick.web.limits import LIMITS
    from tallystick.web.server import address_of, run
    from tallystick.web.witness import BODY_BYTES_MAX, Witness, witness_app

    signer = load_signer(key, passphrase_file)
    known: dict[str, list[VerifierKey]] = {}
    for text in logs:
        origin, vkey = _named_key(text)
        known.setdefault(origin or vkey.name, []).append(vkey)
    with (
        Witness(folder, name or signer.name, signer, known, Clock().now) as running,
        closing(_listening(listen)) as sock,
    ):
        out.warn(f"witness {format_vkey(running.verifier)}", "green")
        run(
            witness_app(running),
            sockets=[sock],
            limits=replace(LIMITS, body_bytes=BODY_BYTES_MAX),
            ready=lambda _: out.warn(f"answers at {address_of(sock)}; Ctrl-C stops it", "green"),
        )


def witnesses_of(given: Sequence[str] | None) -> list[AskWitness]:
    """Who asks each witness of ``URL=VKEY``."""
    from tallystick.client.witnesses import WitnessClient

    asks: list[AskWitness] = []
    for text in given or ():
        url, vkey = _named_key(text)
        if not url.startswith(("http://", "https://")):
            fail(
                *("cli.witness", "见证服务应写作 网址=公钥", "a witness is written URL=VKEY"),
                detail=text,
            )
        asks.append(WitnessClient(url, vkey).cosign)
    return asks


def _named_key(text: str) -> tuple[str, VerifierKey]:
    """What stands before the verifier key, and the key; no key has an equals sign in it."""
    from tallystick.protocol.checkpoint import parse_vkey

    before, _, vkey = text.rpartition("=")
    return before, parse_vkey(vkey)


def _listening(text: str) -> socket.socket:
    from tallystick.web.server import listening

    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 2**16):
        fail(
            *("cli.listen", "监听地址应写作 主机:端口", "an address is written HOST:PORT"),
            detail=text,
        )
    return listening(host.strip("[]"), int(port))
