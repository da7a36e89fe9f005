"""docs/cli.md out of the commands themselves: `tally help-page > docs/cli.md`.

Invariant: the page says what `--help` says, word for word (tested). See docs/cli.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from tallystick.cli import failures

WIDTH = 96

_HEAD = """\
# The command line

Made by `tally help-page`, out of the commands' own `--help`; a test compares.

Every command has `--json` where it answers anything: one canonical JSON object on the standard
output, digests in hex. Errors go to the standard error: a stable code, what is wrong, the field,
and what to do; in Chinese with `tally --lang zh` or a Chinese `$LANG`. Amounts are whole minor
units (fen, cents); instants are UTC, like `2026-01-31T09:00:00Z`. `tally errors CODE` explains a
refusal.
`TALLY_DEBUG=1` shows where an unexpected error came from. `tally --install-completion` sets up the
shell's completion.

While a node runs it holds its ledger's lock: reading, receipts, doctor, export and backup need no
lock; acts are handed to it with `--box LEDGER` in place of `--dir LEDGER`.

| exit code | |
|---|---|
"""


def render(app: typer.Typer) -> str:
    """The whole page."""
    codes = (
        (0, "done; `verify`: authentic, accepted, and good where status was asked"),
        (failures.FALSE, "false: a proof, a signature, a passphrase, a reconciliation"),
        (failures.UNREADABLE, "the command or its input cannot be read; no trust policy"),
        (failures.REFUSED, "the ledger refused it; `verify`: authentic, but not to be acted on"),
        (failures.BUSY, "in use or busy: try again"),
        (failures.DAMAGED, "damaged, or the system could not read or write"),
        (failures.BUG, "an error of this program itself"),
        (failures.INTERRUPTED, "interrupted"),
    )
    table = "".join(f"| {code} | {text} |\n" for code, text in codes)
    command: Any = typer.main.get_command(app)
    return _HEAD + table + "".join(_sections(command, "tally", None))


def _sections(command: Any, name: str, parent: Any) -> Iterator[str]:
    """The help of a command and of all below it, in the order in which they are listed."""
    context = command.make_context(
        name.rpartition(" ")[2], [], parent=parent, resilient_parsing=True, terminal_width=WIDTH
    )
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"\n## {name}\n\n```text\n{text}\n```\n"
    for below, sub in getattr(command, "commands", {}).items():
        if not sub.hidden:
            yield from _sections(sub, f"{name} {below}", context)
