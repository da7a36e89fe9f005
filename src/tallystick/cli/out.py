"""What a person or a script reads: tables and lines on a terminal, or one JSON object.

Answers go to the standard output, progress and errors to the standard error, so that a pipe gets
answers alone.

Invariant: what comes from outside is shown as text, never as markup, and without control characters
that could rewrite the line above it. See docs/cli.md.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tallystick.protocol.canonical import builtins, encode

Language = Literal["en", "zh"]
Cell = str | int | None

NAME_WIDTH = 20
"""A first column that is no wider is not folded: a bill's name is typed and copied whole."""
OTHER_WIDTH = 10
"""What another column of text needs at least."""

_language: list[Language] = []
"""What ``tally --lang`` said, for as long as the process lives; else the environment says."""


def console(*, errors: bool = False) -> Console:
    """A console of the present standard output; tests and pipes exchange it."""
    return Console(stderr=errors, highlight=False, soft_wrap=False)


def set_language(asked: str | None) -> None:
    """Use `asked` (``en``, ``zh``) from here on; None changes nothing, another is an error."""
    if asked is not None and asked.lower()[:2] not in ("en", "zh"):
        raise typer.BadParameter(f"{asked}: en or zh", param_hint="--lang")
    if asked is not None:
        _language[:] = [_language_of(asked)]


def language() -> Language:
    """The language of verdicts and refusals: as asked for, else that of $LANG."""
    if _language:
        return _language[0]
    for name in ("TALLY_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if os.environ.get(name):
            return _language_of(os.environ[name])
    return "en"


def plain(value: object) -> str:
    """A value as one line of text; what would move the cursor or turn the text shows as a code."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in str(value))


def say(line: str = "", style: str = "") -> None:
    """One line, wrapped at words."""
    console().print(Text(line, style=style))


def warn(line: str, style: str = "yellow") -> None:
    """One line beside the answer."""
    console(errors=True).print(Text(line, style=style))


def json(value: object) -> None:
    """One canonical JSON value: sorted names, digests in hex, so that scripts can compare."""
    print(json_text(value))


def json_text(value: object) -> str:
    """The same, as text."""
    return encode(hex_bytes(value)).decode()


def hex_bytes(value: object) -> Any:
    """A record as plain values, its bytes in hex as people compare them."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(name): hex_bytes(each) for name, each in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [hex_bytes(each) for each in value]
    if hasattr(value, "__struct_fields__"):
        return {name: hex_bytes(getattr(value, name)) for name in value.__struct_fields__}
    return builtins(value)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """A table; a column whose name ends in ``#`` holds numbers and is set right."""
    made = Table(title=Text(title), title_justify="left", title_style="bold", header_style="dim")
    cells = [[_cell(each) for each in row] for row in rows]
    whole = _first_fits(columns, cells)
    for n, name in enumerate(columns):
        right = name.endswith("#")
        made.add_column(
            name.rstrip("#"),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right or (n == 0 and whole),
        )
    for row in cells:
        made.add_row(*(Text(each) for each in row))
    console().print(made)


def _first_fits(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first column may stay whole: with the numbers whole too, the others still fit."""
    widths = [
        max(cell_len(text) for text in (name.rstrip("#"), *(row[n] for row in rows)))
        for n, name in enumerate(columns)
    ]
    others = sum(
        width if name.endswith("#") else min(width, OTHER_WIDTH)
        for name, width in zip(columns[1:], widths[1:], strict=True)
    )
    rules = 3 * len(columns) + 1
    return widths[0] <= NAME_WIDTH and rules + widths[0] + others <= console().width


def lines_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table whose cells are our own texts of several lines."""
    made = Table(header_style="dim", show_lines=True)
    for name in columns:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(Text(each) for each in row))
    console().print(made)


def listed(rows: Iterable[tuple[str, str, str]]) -> None:
    """Number, name and finding, what is long folded under itself."""
    made = Table.grid(padding=(0, 1))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for number_, name, finding in rows:
        made.add_row(f"{number_} {name}" if number_ else name, Text(plain(finding)))
    console().print(made)


def line(text: str) -> None:
    """One line that is never wrapped: others may cut it or search it."""
    console().print(Text(plain(text)), soft_wrap=True)


def pairs(title: str, rows: Mapping[str, object]) -> None:
    """Names and values of one thing, long values folded below each other."""
    made = Table.grid(padding=(0, 1))  # no rules: 64 hex digits fit beside a name in 80 columns
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    console().print(Text(plain(title), style="bold"))
    for name, value in rows.items():
        if value not in (None, "", [], {}):
            made.add_row(name, Text(plain(value)))
    console().print(made)


def program() -> str:
    """What to type to run this program again, for suggestions: it need not be on the PATH."""
    typed = Path(sys.argv[0])
    return "tally" if typed.name != "tally" or shutil.which("tally") else shlex.quote(str(typed))


def progress() -> Progress:
    """A bar on the standard error; silent where that is no terminal."""
    shown = console(errors=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=shown,
        disable=not shown.is_terminal,
        transient=True,
    )


def number(value: float) -> str:
    """A count with its thousands apart."""
    return f"{value:,.0f}"


def _language_of(text: str) -> Language:
    return "zh" if text.lower().startswith("zh") else "en"


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else plain(value)
