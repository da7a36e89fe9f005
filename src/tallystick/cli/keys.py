"""`tally keygen` and `tally key show`: key files, with or without a passphrase.

Invariant: a secret is never printed. See docs/spec/keys.md.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli import options, out

KIND_OF = {
    "tallystick/key/v1": "signing",
    "tallystick/vault-key/v1": "vault",
    "tallystick/delivery-key/v1": "delivery",
}
USES = {"signing": "can sign", "vault": "can open the vault", "delivery": "can open deliveries"}
"""What whoever reads an unlocked key file can do with it."""


class Kind(StrEnum):
    """What a key is for."""

    SIGNING = "signing"
    VAULT = "vault"
    DELIVERY = "delivery"


key_app = typer.Typer(no_args_is_help=True, help="Look at key files.")


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(keygen)
    app.add_typer(key_app, name="key")


def keygen(
    file: Annotated[Path, typer.Argument(help="New key file; readable by you alone (mode 0600).")],
    name: Annotated[
        str, typer.Option("--name", help="The key's name, like k/finance: no space, no plus sign.")
    ],
    kind: Annotated[
        Kind,
        typer.Option(
            help="signing: Ed25519, signs acts, checkpoints; vault: AES-256, wraps a vault's "
            "secrets; delivery: X25519, opens deliveries."
        ),
    ] = Kind.SIGNING,
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Make a key and its file; never over another file.

    Without --passphrase-file the secret lies in clear in the file, which only you can read.
    """
    from tallystick import keyring
    from tallystick.cli.inputs import passphrase_of

    make = {
        Kind.SIGNING: keyring.generate,
        Kind.VAULT: keyring.generate_vault_key,
        Kind.DELIVERY: keyring.generate_delivery_key,
    }[kind]
    passphrase = passphrase_of(passphrase_file, new=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    key = make(file, name=name, passphrase=passphrase)
    _show(file, kind.value, key.name, key.public_key, passphrase is not None, as_json)


@key_app.command()
def show(
    file: Annotated[Path, typer.Argument(help="Key file of any kind.")],
    as_json: options.AsJson = False,
) -> None:
    """Name, kind and public part of a key file; needs no passphrase."""
    from tallystick import keyring
    from tallystick.cli.inputs import read_file
    from tallystick.protocol.canonical import decode

    found = keyring.read_public(file)
    data = read_file(file, keyring.KEY_FILE_BYTES_MAX).removesuffix(b"\n")
    locked = decode(data, keyring.KeyFile).locked is not None
    _show(file, KIND_OF[found.format], found.name, found.public, locked, as_json)


def _show(file: Path, kind: str, name: str, public: bytes, locked: bool, as_json: bool) -> None:
    if as_json:
        found = {"file": str(file), "kind": kind, "name": name, "public": public, "locked": locked}
        out.json(found)
        return
    out.pairs(
        str(file),
        {
            "kind": kind,
            "name": name,
            "public": public.hex(),
            "passphrase": "needed" if locked else f"none: whoever can read the file {USES[kind]}",
        },
    )
