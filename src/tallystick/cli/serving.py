"""`tally serve`: a ledger as a service over HTTP.

Invariant: on a first Ctrl-C or SIGTERM it takes nothing new, answers what is under way, then ends.
See docs/guides/operations.md.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import fail
from tallystick.cli.keeping import STEP_SECONDS, node_stopped, stop_event

if TYPE_CHECKING:
    import socket

    from tallystick.worker import Settings

CONFIG_FILE = "tally.toml"


def add_to(app: typer.Typer) -> None:
    """Put the command of this file into the tree."""
    app.command()(serve)


def serve(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The ledger's folder.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TOML file; by default DIR/tally.toml where there is one."),
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", help="HOST:PORT in place of the file's.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=64, help="Processes that answer.")
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option("--witness", help="URL=VKEY of a C2SP witness; may be given several times."),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the documented defaults, and end.")
    ] = False,
    key: options.LogKey = None,
    passphrase_file: options.Passphrase = None,
) -> None:
    """Run the node and answer HTTP in the foreground. Stop it with Ctrl-C.

    The first line on standard output is the address, once requests are answered.
    """
    from tallystick.web.config import default_file

    if print_config:
        print(default_file(), end="")
        return
    if folder is None:
        fail("cli.folder", "请指明账本目录", "say which ledger: tally serve DIR")
    from tallystick.cli.desk import open_node
    from tallystick.cli.foreign import witnesses_of
    from tallystick.engines.process import tune
    from tallystick.serve import Served, metrics_server

    tune()
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    stopping = stop_event()
    sock, settings = prepare(folder, config, listen, workers)
    asked = witnesses_of([*settings.config.witnesses.urls, *(witness or [])])
    with open_node(
        folder,
        log_key=key,
        passphrase_file=passphrase_file,
        witnesses=asked,
        keeper_at=keepers_clock(settings.config.keepers.urls),
    ) as node:
        with Served(node, sock, settings) as served, metrics_server(served):
            print(served.url, flush=True)
            out.warn(f"{node.ledger.origin} is served; Ctrl-C stops it", "green")
            while node.failure is None and not stopping.wait(STEP_SECONDS):
                pass
        failure = node.failure
    if failure is not None:
        node_stopped(failure)


def keepers_clock(urls: Sequence[str]) -> int | None:
    """What the clock of the keepers at these addresses says now, if one answers."""
    from tallystick.cli.letters import trusted
    from tallystick.client.sync import Client
    from tallystick.engines.remote import clock_of

    with ExitStack() as stack:
        servers = [trusted(url, None, insecure=False) for url in urls]
        return clock_of([stack.enter_context(Client(server)) for server in servers])


def prepare(
    folder: Path, file: Path | None, listen: str | None, workers: int | None
) -> tuple[socket.socket, Settings]:
    """The bound socket and the settings of what is served out of a folder."""
    from tallystick.protocol.canonical import replace
    from tallystick.protocol.trust import read_trust
    from tallystick.web.config import load
    from tallystick.web.server import address_of, listening
    from tallystick.worker import Settings

    found = file or folder / CONFIG_FILE
    config = load(found if file or found.exists() else None, os.environ)
    host, port = split_address(listen) if listen else (config.listen.host, config.listen.port)
    named = replace(config.listen, host=host, port=port, workers=workers or config.listen.workers)
    config = replace(config, listen=named)
    policy = folder / config.policy.file
    trust = read_trust(policy.read_bytes()) if policy.exists() else None
    sock = listening(host, port)
    own = address_of(sock).removeprefix("http://")
    public = config.listen.public_url.partition("://")[2].partition("/")[0]
    names = [each for each in (public, own) if each]
    return sock, Settings(config=config, authorities=names, trust=trust)


def split_address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, of IPv6 with brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        fail("cli.address", "地址须为 主机:端口", "an address is HOST:PORT", detail=text)
    return host.strip("[]") or "127.0.0.1", int(port)
