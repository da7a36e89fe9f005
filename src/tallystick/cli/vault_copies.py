"""`tally vault backup`, `restore`, `forget-keys`: copies of a vault that cannot undo an erasure.

Invariant: a backup has no keys, and what comes out of one has been erased again before it opens.
See docs/guides/operations.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import fail

if TYPE_CHECKING:
    from tallystick.vault import Kept

KeptFolder = Annotated[
    Path, typer.Argument(metavar="VAULT", help="Folder of the vault, or of the archive.")
]
KeyFile = Annotated[Path, typer.Option("--key", "-k", "--vault-key", help="Key file of the vault.")]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(backup)
    app.command()(restore)
    app.command("forget-keys")(forget_keys)


@contextmanager
def open_kept(folder: Path, key: Path, passphrase_file: Path | None) -> Iterator[Kept]:
    """The vault or the archive that lies in a folder, to be kept, not worked with.

    Of an archive it may be the folder that `tally bills archive run` was given.
    """
    from tallystick.apps.bills.parts import Parts
    from tallystick.cli.inputs import load_vault
    from tallystick.vault import Archive, Vault, kind_of

    secret = load_vault(key, passphrase_file).secret
    folder = _bodies_of(folder)
    match kind_of(folder):
        case Vault.KIND:
            opened: Kept = Vault.open(folder, secret)
        case Archive.KIND:
            opened = Archive[object].keeping(folder, secret)
        case Parts.KIND:
            opened = Parts.open(folder, secret)
        case other:
            fail(
                *("cli.no_vault", "不是票据库或档案库", "this is neither a vault nor an archive"),
                detail=f"{folder}: {other}",
            )
    with opened:
        yield opened


def _bodies_of(folder: Path) -> Path:
    from tallystick.vault.files import BODIES_FILE

    inside = folder / "bodies"
    is_archive = not (folder / BODIES_FILE).exists() and (inside / BODIES_FILE).exists()
    return inside if is_archive else folder


def backup(
    vault: KeptFolder,
    key: KeyFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the backup.")],
    keys_to: Annotated[
        Path | None,
        typer.Option(
            "--keys-to",
            metavar="FILE",
            help="Keep a copy of the keys at FILE, on another disk, over the one before.",
        ),
    ] = None,
    passphrase_file: options.Passphrase = None,
) -> None:
    """Copy a vault while it is used. The copy has no keys.

    The addresses that payers registered go with it.
    A copy of the keys lies apart, is replaced each time, and is reached by every erasure: keep
    no other.
    """
    from tallystick.apps.bills.addresses import FOLDER
    from tallystick.vault import copy_pair

    if keys_to is not None and keys_to.absolute().parent in (
        output.absolute(),
        vault.absolute(),
    ):
        fail(
            *("cli.keys_beside", "密钥副本不得与内容放在一起", "the keys must not lie there"),
            todo=("放到另一块磁盘", "name a file on another disk"),
            detail=str(keys_to),
        )
    if keys_to is not None and not keys_to.absolute().parent.is_dir():
        # Else the copy is awaited by every erasure, although it was never made.
        raise FileNotFoundError(2, "no such folder", str(keys_to.absolute().parent))
    with open_kept(vault, key, passphrase_file) as kept:
        kept.backup(output)
        if (vault / FOLDER).is_dir():
            copy_pair(vault / FOLDER, output / FOLDER)
        if keys_to is not None:
            kept.copy_keys(keys_to)  # after the bodies: never older than they are
    said = "" if keys_to is None else f"; keys: {keys_to}"
    out.say(f"{output}: without keys{said}")


def restore(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="Folder of the backup.")],
    key: KeyFile,
    keys: Annotated[
        Path, typer.Option("--keys", metavar="FILE", help="keys.db of the vault, or its copy.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the vault.")],
    org: Annotated[
        str, typer.Option("--org", help="Whose vault it is: what it was ordered to erase.")
    ],
    folder: options.LedgerDir = Path(),
    passphrase_file: options.Passphrase = None,
) -> None:
    """Make a vault again out of a backup and its keys.

    What was erased since is erased in it, as the keys' own list and the ledger say, before
    anything opens.
    """
    from tallystick.apps.bills.addresses import FOLDER
    from tallystick.apps.bills.checks import business_keys_of
    from tallystick.apps.bills.erasing import erased_for
    from tallystick.cli.inputs import load_vault
    from tallystick.cli.reading import reading
    from tallystick.engines.clock import Clock
    from tallystick.vault import Archive, Vault, copy_pair, kind_of

    if not keys.is_file():
        raise FileNotFoundError(2, "no such file", str(keys))
    secret = load_vault(key, passphrase_file).secret
    with reading(folder) as view:
        erased = erased_for(view, org, Clock().now())
    kind = Archive[object] if kind_of(backup) == Archive.KIND else Vault
    kind.restore(output, secret, backup=backup, keys=keys, business=business_keys_of, erased=erased)
    if (backup / FOLDER).is_dir():
        copy_pair(backup / FOLDER, output / FOLDER)
    out.say(f"{output}: restored; {len(erased):,} bodies are erased by the ledger's word")


def forget_keys(
    vault: KeptFolder,
    key: KeyFile,
    place: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Where the copy lay; by default all are listed."),
    ] = None,
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Say that a copy of the keys was destroyed.

    Erasures wait for it no more.
    """
    with open_kept(vault, key, passphrase_file) as kept:
        if place is not None:
            if place.absolute() not in kept.erasures.copies():
                fail(
                    *("cli.no_copy", "没有登记此密钥副本", "no copy of the keys is known there"),
                    detail=str(place),
                )
            kept.erasures.forget_copy(place)
        copies = [str(each) for each in kept.erasures.copies()]
    if as_json:
        out.json({"copies": copies})
    else:
        out.table("copies of the keys", ("file",), [(each,) for each in copies])
