"""The options that many commands share, each declared once.

Invariant: an option means the same wherever it stands. See docs/cli.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object; errors are JSON on stderr.")
]
LedgerDir = Annotated[
    Path,
    typer.Option(
        "--dir", "-d", envvar="TALLY_DIR", help="The ledger's folder.", show_default="this folder"
    ),
]
Box = Annotated[
    Path | None,
    typer.Option(
        "--box", help="The folder of a ledger whose node is running: hand the act to its box."
    ),
]
Key = Annotated[
    Path | None,
    typer.Option("--key", "-k", envvar="TALLY_KEY", help="Key file that signs the act."),
]
LogKey = Annotated[
    Path | None,
    typer.Option(
        "--log-key",
        envvar="TALLY_LOG_KEY",
        help="Key file of the log.",
        show_default="DIR/keys/log.json",
    ),
]
Passphrase = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="File whose first line unlocks the key; - asks on the terminal.",
    ),
]
LogPassphrase = Annotated[
    Path | None,
    typer.Option("--log-passphrase-file", help="File whose first line unlocks the log key."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
Trust = Annotated[
    Path | None,
    typer.Option(
        "--trust",
        help="Trust policy.",
        show_default="$TALLY_TRUST, else ~/.config/tallystick/trust.json",
    ),
]
Network = Annotated[
    str | None,
    typer.Option("--network", help="The network's id, 64 hex digits, from whom you trust."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this new file.")]
VaultDir = Annotated[Path, typer.Option("--vault", help="Folder of the vault.")]
VaultKeyFile = Annotated[Path, typer.Option("--vault-key", help="Key file of the vault.")]
VaultPassphrase = Annotated[
    Path | None,
    typer.Option("--vault-passphrase-file", help="File whose first line unlocks the vault key."),
]
Reason = Annotated[
    str, typer.Option("--reason", help="One word why, of a-z, 0-9 and _; stands on the ledger.")
]
Level = Annotated[
    int,
    typer.Option("--level", help="0 province, 1 city, 2 county, 3 issuer, 4 till.", min=0, max=7),
]
First = Annotated[
    int, typer.Option("--first", help="First number of the allotment: with code and level its id.")
]
Code = Annotated[int, typer.Option("--code", help="Bill code of eight digits, the year last.")]
