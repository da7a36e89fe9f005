"""docs/cli.md is what the commands say of themselves, and each of them says enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from counter import tally
from rich.cells import cell_len

from tallystick.cli.app import app
from tallystick.cli.handbook import render

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    if not below:
        yield name, command
    for each, sub in below.items():
        yield from commands(sub, f"{name} {each}")


def groups(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    if below:
        yield name, command
    for each, sub in below.items():
        yield from groups(sub, f"{name} {each}")


COMMANDS = dict(commands(typer.main.get_command(app), "tally"))
GROUPS = dict(groups(typer.main.get_command(app), "tally"))


def test_the_page_equals_the_help() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(app), "tally help-page > docs/cli.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_its_options(name: str) -> None:
    command = COMMANDS[name]
    assert command.help and command.help.strip()[0].isupper()
    hidden = ("--install-completion", "--show-completion")
    silent = [
        parameter.name
        for parameter in command.params
        if not getattr(parameter, "help", None) and parameter.opts[0] not in hidden
    ]
    assert silent == []


@pytest.mark.parametrize("name", [each for each in COMMANDS if not each.endswith("help-page")])
def test_the_page_has_every_command(name: str) -> None:
    assert f"\n## {name}\n" in PAGE.read_text(encoding="utf-8")


def test_help_says_how_to_begin_and_what_exit_codes_mean() -> None:
    answer = tally("--help")
    assert answer.code == 0 and "tally demo" in answer.out and "Exit codes" in answer.out


def test_version() -> None:
    assert tally("--version").out.strip().count(".") == 2


@pytest.mark.parametrize("group", GROUPS)
def test_one_line_helps_fit_a_terminal_of_80_columns(
    group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = tally(*group.split()[1:], "--help").out.splitlines()
    listed = lines[lines.index("Commands:") + 1 :]
    assert len(listed) == sum(not each.hidden for each in GROUPS[group].commands.values())
    assert [line for line in listed if line.endswith("...") or cell_len(line) > 80] == []
