"""`tally members delivery`: the key that letters to us are sealed to, exchanged and destroyed.

All in one folder that nothing else lies in: the key that the ledger names, the one before while
letters to it are under way, and one that was made and is not entered yet.

Invariant: no key is entered whose file is not on the disk, and none is destroyed that the ledger
says is still good. See docs/spec/keys.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, act, acting, nonce

if TYPE_CHECKING:
    from tallystick.contracts.kit.context import Reader
    from tallystick.protocol.transaction import Item

app = typer.Typer(no_args_is_help=True, help="The key that letters to you are sealed to.")

DAY_SECONDS = 86_400
SUFFIX = ".delivery.json"
KeysFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder of your delivery keys, for you alone.")
]


def key_files(places: Iterable[Path]) -> list[Path]:
    """Files of delivery keys; of a folder those that lie in it."""
    return [
        file
        for place in places
        for file in (sorted(place.glob(f"*{SUFFIX}")) if place.is_dir() else [place])
    ]


@app.command()
@acting
def rotate(
    how: How,
    keys: KeysFolder,
    overlap_days: Annotated[
        int,
        typer.Option(
            "--overlap-days",
            help="How long letters to the key before are opened; 0: it was lost or stolen.",
            min=0,
            max=31,
        ),
    ] = 7,
    delivery_passphrase_file: Annotated[
        Path | None,
        typer.Option("--delivery-passphrase-file", help="Locks the new key's file."),
    ] = None,
) -> None:
    """Make a new delivery key and enter it. The first time too."""
    from tallystick.cli.inputs import passphrase_of
    from tallystick.contracts.kit.keys import find_key
    from tallystick.contracts.members.actions.delivery import SetDeliveryKey
    from tallystick.contracts.members.views import find_delivery
    from tallystick.keyring import generate_delivery_key, read_public

    def items(view: Reader) -> list[Item]:
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        unused = [
            each.public
            for each in (read_public(path) for path in key_files([keys]))
            if find_key(view, each.public) is None
        ]
        if unused:  # of a run that was cut off
            key = unused[0]
        else:
            path = keys / f"{nonce().hex()}{SUFFIX}"
            secret = passphrase_of(delivery_passphrase_file, new=True)
            key = generate_delivery_key(path, name="delivery", passphrase=secret).public_key
        row = find_delivery(view, _sender(how, view))
        return [
            SetDeliveryKey(
                nonce=nonce(),
                key=key,
                overlap_seconds=overlap_days * DAY_SECONDS,
                version=row.version if row else 0,
            )
        ]

    act(how, "members.set_delivery_key/1", items)


def _sender(how: How, view: Reader) -> str:
    """Whose key signs; whoever signs with none of the ledger's is told by `act`."""
    from tallystick.cli.inputs import load_signer
    from tallystick.contracts.kit.keys import find_key

    key = load_signer(how.key or Path(), how.passphrase_file).public_key
    row = find_key(view, key)
    return (row.org if row else None) or ""


@app.command()
def show(
    org: Annotated[str, typer.Argument(help="Organisation's id.")],
    folder: options.LedgerDir = Path(),
    as_json: options.AsJson = False,
) -> None:
    """Say to which key letters are sealed. And until when the one before is opened."""
    from tallystick.cli.reading import reading
    from tallystick.contracts.members.views import find_delivery

    with reading(folder) as view:
        row = find_delivery(view, org)
    before = row.previous if row else None
    shown = {
        "key": row.key.hex() if row else None,
        "since": row.since if row else None,
        "before": before.key.hex() if before else None,
        "until": before.until if before else None,
    }
    if as_json:
        out.json({"org": org} | shown)
    else:
        out.pairs(f"delivery key of {org}", shown)


@app.command()
def destroy(
    keys: KeysFolder, folder: options.LedgerDir = Path(), as_json: options.AsJson = False
) -> None:
    """Destroy the keys in a folder that have ended. By the ledger: whose announced end is past.

    What was sealed to them opens for nobody from then on. Run it daily.
    """
    from tallystick.cli.reading import reading
    from tallystick.contracts.kit.keys import find_key
    from tallystick.keyring import DELIVERY, read_public
    from tallystick.protocol.values import parse_instant
    from tallystick.vault.erasure import wipe

    gone, kept = list[str](), list[str]()
    with reading(folder) as view:
        for path in key_files([keys]):
            public = read_public(path)
            row = find_key(view, public.public)
            ended = (
                public.format == DELIVERY
                and row is not None
                and (row.role, row.state) == ("delivery", "rotated")
                and row.until is not None
                and view.head.at >= parse_instant(row.until)
            )
            if ended:
                wipe(path)
            (gone if ended else kept).append(public.public.hex())
    if as_json:
        out.json({"destroyed": gone, "kept": kept})
    else:
        out.say(f"{len(gone)} destroyed, {len(kept)} kept")
