"""`tally serve`: a ledger as a service over HTTP.

Invariant: on a first Ctrl-C or SIGTERM it takes nothing new, answers what is under way, then ends.
See docs/guides/operations.md.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import DAMAGED, fail
from tallystick.cli.keeping import STEP_SECONDS, stop_event


def add_to(app: typer.Typer) -> None:
    """Put the command of this file into the tree."""
    app.command()(serve)


def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The ledger's folder.")],
    listen: Annotated[
        str, typer.Option("--listen", help="Address and port; port 0: any that is free.")
    ] = "127.0.0.1:8480",
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="HOST:PORT as clients write it; may be given several times."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, help="Processes that answer requests.")
    ] = 1,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="Trust file that a note must meet before it is answered."),
    ] = None,
    key: options.LogKey = None,
    passphrase_file: options.Passphrase = None,
) -> None:
    """Run the node and answer HTTP in the foreground. Stop it with Ctrl-C.

    The first line on standard output is the address, once requests are answered.
    """
    from tallystick.cli.desk import open_node
    from tallystick.engines.process import tune
    from tallystick.serve import Served
    from tallystick.web.server import address_of, listening
    from tallystick.worker import Settings

    tune()
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    stopping = stop_event()
    sock = listening(*split_address(listen))
    own = address_of(sock).removeprefix("http://")
    settings = Settings(
        authorities=[*(name or []), own], policy=None if policy is None else str(policy.resolve())
    )
    with open_node(folder, log_key=key, passphrase_file=passphrase_file) as node:
        with Served(node, sock, workers, settings) as served:
            print(served.url, flush=True)
            out.warn(f"{node.ledger.origin} is served; Ctrl-C stops it", "green")
            while node.failure is None and not stopping.wait(STEP_SECONDS):
                pass
        failure = node.failure
    if failure is not None:
        fail(
            *("cli.node_stopped", "节点已停止", "the node has stopped"),
            todo=("运行 tally doctor 目录", "run tally doctor DIR"),
            detail=str(failure),
            exit_code=DAMAGED,
        )


def split_address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, of IPv6 with brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        fail("cli.address", "地址须为 主机:端口", "an address is HOST:PORT", detail=text)
    return host.strip("[]") or "127.0.0.1", int(port)
