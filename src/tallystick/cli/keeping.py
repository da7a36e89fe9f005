"""`tally node`, `tally clock`, and what all processes share that run until they are stopped.

Invariant: on a first Ctrl-C or SIGTERM they finish what they have taken, then end.
See docs/spec/keeper.md.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from tallystick.cli import foreign, options, out
from tallystick.cli.failures import DAMAGED, fail

STEP_SECONDS = 0.2
PARENT = "TALLY_PARENT"
"""Set by whoever starts us as a child: when that process is gone, so are we."""

clock_app = typer.Typer(no_args_is_help=True, help="The clock that the ledger goes by.")


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(node)
    app.add_typer(clock_app, name="clock")


def node(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The ledger's folder.")],
    key: options.LogKey = None,
    passphrase_file: options.Passphrase = None,
    witness: foreign.WitnessUrls = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Stop by itself after so many seconds.")
    ] = None,
) -> None:
    """Run the operator's node in the foreground.

    It takes acts from its box and publishes for keepers. Others hand it signed transactions with
    --box DIR. Stop it with Ctrl-C.
    """
    from tallystick.cli.desk import open_node
    from tallystick.engines.process import tune

    tune()
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    stopping = stop_event()
    witnesses = foreign.witnesses_of(witness)
    with open_node(
        folder, log_key=key, passphrase_file=passphrase_file, witnesses=witnesses
    ) as running:
        out.warn(f"node of {running.ledger.origin} runs; Ctrl-C stops it", "green")
        ends = None if seconds is None else time.monotonic() + seconds
        while running.failure is None and (ends is None or time.monotonic() < ends):
            if stopping.wait(STEP_SECONDS):
                break
        failure = running.failure
    if failure is not None:
        node_stopped(failure)


def node_stopped(failure: BaseException) -> NoReturn:
    """Say why a node has stopped by itself."""
    fail(
        *("cli.node_stopped", "节点已停止", "the node has stopped"),
        todo=("运行 tally doctor 目录", "run tally doctor DIR"),
        detail=str(failure),
        exit_code=DAMAGED,
    )


@clock_app.command()
def confirm(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The ledger's folder.")],
) -> None:
    """Say that this machine's clock is right. Holds for the next start within 10 minutes."""
    from tallystick.engines.clock import CONFIRMED_SECONDS, Clock, confirm
    from tallystick.protocol.values import format_instant

    now = Clock().now()
    if not folder.is_dir():
        raise FileNotFoundError(2, "no such folder", str(folder))
    confirm(folder, now)
    out.say(f"{format_instant(now)} is right, you say: start within {CONFIRMED_SECONDS // 60} min")


def stop_event() -> threading.Event:
    """Set by the first Ctrl-C or SIGTERM; the second ends the process at once."""
    stopping = threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        stopping.set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
    return stopping


def orphaned() -> bool:
    """Whether the process that started us as its child is gone."""
    parent = os.environ.get(PARENT)
    return parent is not None and os.getppid() != int(parent)
