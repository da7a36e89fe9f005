"""`tally node`, `tally keep`, `tally clock`: the processes that run until they are stopped.

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
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import foreign, options, out
from tallystick.cli.failures import DAMAGED, FALSE, fail

if TYPE_CHECKING:
    from tallystick.engines.keeper import Keeper

STEP_SECONDS = 0.2
PARENT = "TALLY_PARENT"
"""Set by whoever starts us as a child: when that process is gone, so are we."""

clock_app = typer.Typer(no_args_is_help=True, help="The clock that the ledger goes by.")


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(node)
    app.command()(keep)
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
        fail(
            *("cli.node_stopped", "节点已停止", "the node has stopped"),
            todo=("运行 tally doctor 目录", "run tally doctor DIR"),
            detail=str(failure),
            exit_code=DAMAGED,
        )


def keep(
    source: Annotated[
        Path, typer.Option("--from", help="What the operator publishes: LEDGER/feed.")
    ],
    folder: Annotated[Path, typer.Option("--dir", "-d", help="The keeper's own folder.")],
    key: Annotated[Path, typer.Option("--key", "-k", help="Key file that co-signs.")],
    network: Annotated[
        str | None,
        typer.Option("--network", help="The network's id, 64 hex digits, from whom you trust."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Catch up, co-sign, and end instead of following.")
    ] = False,
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Follow a ledger, execute its blocks again, co-sign.

    All in a folder of one's own.

    Exit code 1: the operator told what is not so; the file that says what was found is named.
    """
    from tallystick.cli.inputs import load_signer, parse_hex
    from tallystick.engines.keeper import Contradiction
    from tallystick.engines.process import tune
    from tallystick.node import open_keeper

    tune()
    expected = None if network is None else parse_hex(network, "--network")
    signer = load_signer(key, passphrase_file)
    stopping = stop_event()
    with open_keeper(folder, source, signer, network=expected) as keeper:
        before = keeper.ledger.head.size
        try:
            blocks, busy = _follow(keeper, signer.public_key, stopping, once=once, quiet=as_json)
        except Contradiction as error:
            fail(
                *("keeper.contradiction", "经营方所述与规则不符，见证节点已停止并留存证据"),
                "the operator's word is not what the rules give; this keeper has stopped",
                todo=(
                    "把证据文件交给其他成员与监管部门",
                    "show the evidence to the other members; sign nothing until it is explained",
                ),
                detail=str(error),
                exit_code=FALSE,
            )
        size, at = keeper.signed
        head = keeper.ledger.head
    found = {"blocks": blocks, "block": head.block, "size": head.size, "signed_size": size}
    found |= {"leaves": head.size - before, "busy_milliseconds": int(busy * 1000)}
    if as_json:
        out.json(found | {"signed_at": at})
    else:
        out.pairs("kept", found)


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


def _check_is_keeper(keeper: Keeper, key: bytes, once: bool) -> None:
    """A key that is no keeper's executes everything and vouches for nothing: say so."""
    from tallystick.node import live_keepers

    if key in [each.key for each in live_keepers(keeper.ledger)]:
        return
    zh, en = (
        "该密钥不是现任见证节点的密钥",
        "this key is not that of a live keeper: it co-signs nothing",
    )
    if once:
        todo = ("先运行 tally members add-keeper", "take it into service: tally members add-keeper")
        fail("keeper.not_keeper", zh, en, todo=todo, detail=key.hex(), exit_code=FALSE)
    out.warn(zh if out.language() == "zh" else en)


def orphaned() -> bool:
    """Whether the process that started us as its child is gone."""
    parent = os.environ.get(PARENT)
    return parent is not None and os.getppid() != int(parent)


def _follow(
    keeper: Keeper, key: bytes, stopping: threading.Event, *, once: bool, quiet: bool
) -> tuple[int, float]:
    """Step until stopped; with `once`, until nothing new came: blocks, and seconds of work."""
    blocks, busy, asked = 0, 0.0, False
    while not stopping.is_set() and not orphaned():
        started = time.monotonic()
        done = keeper.step()
        blocks += done
        busy += time.monotonic() - started if done else 0
        if done and not quiet:
            size = keeper.ledger.head.size
            out.warn(f"block {keeper.ledger.head.block:,}, {size:,} leaves executed", "dim")
        if not done and not asked:
            _check_is_keeper(keeper, key, once)
            asked = True
        if once and not done:
            break
        if not done:
            stopping.wait(STEP_SECONDS)
    return blocks, busy
