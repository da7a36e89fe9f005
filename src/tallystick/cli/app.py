"""The tree of commands, and the one place where an unexpected error becomes a short message.

Invariant: whatever happens, the exit code is one of the table in `failures`. See docs/cli.md.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Annotated, Protocol, runtime_checkable

import typer

from tallystick.cli import (
    accounting,
    asking,
    auditing,
    care,
    claims,
    demo,
    foreign,
    founding,
    gateway,
    holders_desk,
    importing,
    issuing,
    keep,
    keeping,
    keys,
    letters,
    members,
    numbers,
    paper,
    passes,
    presenting,
    proving,
    reconciling,
    reserves,
    serving,
    sharing,
    supervising,
    vaults,
    verifier,
    wallet,
)
from tallystick.cli.failures import INTERRUPTED, Failure, bug_of, failure_of
from tallystick.cli.out import set_language


@runtime_checkable
class _Shown(Protocol):
    """A usage error, which knows how to show itself with the command's usage."""

    def show(self) -> None:
        """On the standard error."""


app = typer.Typer(
    name="tally",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("tallystick"))
        raise typer.Exit


@app.callback()
def root(
    lang: Annotated[
        str | None,
        typer.Option(help="Language of verdicts and refusals: en or zh.", show_default="$LANG"),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    """A ledger for public records, kept by organisations that need not trust each other.

    Start with `tally demo`. Exit codes: 0 done; 1 false; 2 unreadable; 3 refused or not good;
    4 in use or busy; 5 damaged; 70 a bug.
    """
    set_language(lang)


bills = typer.Typer(no_args_is_help=True, help="Bill types, numbers, issue and reversal.")
for group in (
    numbers,
    issuing,
    holders_desk,
    paper,
    supervising,
    asking,
    accounting,
    auditing,
    reserves,
    reconciling,
    importing,
):
    group.add_to(bills)
for each in (
    keys,
    founding,
    keeping,
    keep,
    serving,
    proving,
    verifier,
    foreign,
    presenting,
    care,
    demo,
):
    each.add_to(app)
presenting.add_slip_to(bills)
letters.add_to(app, bills, wallet.app)
sharing.add_to(bills, claims.app)
app.add_typer(members.app, name="members")
app.add_typer(passes.app, name="pass")
app.add_typer(bills, name="bills")
app.add_typer(claims.app, name="claims")
app.add_typer(vaults.app, name="vault")
app.add_typer(gateway.app, name="gateway")
app.add_typer(wallet.app, name="wallet")


@app.command("help-page", hidden=True)
def help_page() -> None:
    """Print docs/cli.md: the help of every command."""
    from tallystick.cli.handbook import render

    print(render(app), end="")


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # None where it was closed
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no Chinese
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command: its exit code."""
    try:
        code = app(arguments, prog_name="tally", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except typer.TyperException as error:
        error.show() if isinstance(error, _Shown) else print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on
        return 0
    except Exception as error:
        return _fail(error, as_json="--json" in arguments)
    return code if isinstance(code, int) else 0


def _fail(error: Exception, *, as_json: bool) -> int:
    if os.environ.get("TALLY_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    failure: Failure = failure_of(error) or bug_of(error)
    failure.show(as_json=as_json)
    return failure.exit_code
