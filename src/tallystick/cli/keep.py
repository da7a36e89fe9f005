"""`tally keep`, `tally keepers`: a member's keeper at work, and how far each keeper is; with
`tally restore`, which needs them.

Invariant: only a contradiction, trouble of its own or a person ends a keeper, never an absence.
See docs/spec/keeper.md.
"""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tallystick.cli import options, out, restoring
from tallystick.cli.failures import FALSE, fail
from tallystick.cli.keeping import orphaned, stop_event
from tallystick.cli.letters import CaFile, Insecure

if TYPE_CHECKING:
    from tallystick.client.sync import Client
    from tallystick.engines.clock import Clock
    from tallystick.engines.following import Following
    from tallystick.engines.keeper import Contradiction, Keeper
    from tallystick.engines.remote import RemoteSource
    from tallystick.protocol.keys import Signer
    from tallystick.serve_keeper import ServedKeeper

ANSWER_SECONDS_MAX = 10.0
"""Between two parts of an answer; a keeper that is told to stop waits no longer for one."""


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(keep)
    app.command()(keepers)
    restoring.add_to(app)


def keep(
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="URL|FEED", help="The operator's address, or its folder LEDGER/feed."
        ),
    ],
    folder: Annotated[Path, typer.Option("--dir", "-d", help="The keeper's own folder.")],
    key: Annotated[Path, typer.Option("--key", "-k", help="Key file that co-signs.")],
    network: options.Network = None,
    catch_up: Annotated[
        Path | None,
        typer.Option("--catch-up", metavar="EXPORT", help="Begin with an export's blocks."),
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Answer reads over HTTP.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings of what listens, as of tally serve.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=64, help="Processes that answer.")
    ] = None,
    ca_file: CaFile = None,
    insecure: Insecure = False,
    once: Annotated[
        bool, typer.Option("--once", help="Catch up, co-sign, and end instead of following.")
    ] = False,
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Follow a ledger, execute its blocks again, co-sign.

    All in a folder of one's own; with --listen others may read there, while the operator is away
    too. Waits for an operator that does not answer, and says so. With --listen the first line on
    standard output is the address.

    Exit code 1: the operator told what is not so; the file that says what was found is named.
    """
    expected = _network_of(network)
    _keep(
        *(source, folder, key, expected, catch_up),
        listen=listen,
        config=config,
        workers=workers,
        trust_ca=(ca_file, insecure),
        once=once,
        passphrase_file=passphrase_file,
        as_json=as_json,
    )


def _network_of(text: str | None) -> bytes | None:
    from tallystick.cli.inputs import parse_hex

    return None if text is None else parse_hex(text, "--network")


def _keep(
    source: str,
    folder: Path,
    key: Path,
    expected: bytes | None,
    catch_up: Path | None,
    *,
    listen: str | None,
    config: Path | None,
    workers: int | None,
    trust_ca: tuple[Path | None, bool],
    once: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    from tallystick.cli.inputs import load_signer
    from tallystick.engines.clock import Clock
    from tallystick.engines.following import Following
    from tallystick.engines.keeper import Contradiction
    from tallystick.engines.process import tune

    tune()
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    signer, stopping, clock = load_signer(key, passphrase_file), stop_event(), Clock()
    with ExitStack() as stack:
        remote = _remote(stack, source, signer, clock, *trust_ca)
        following = Following(clock, _warn, patient=remote is not None and not once)
        keeper = _open(
            *(following, folder, remote or Path(source), signer, stopping),
            network=expected,
            catch_up=catch_up,
        )
        if keeper is None:
            return
        stack.enter_context(keeper)
        served = None
        if listen is not None:
            operator = source if remote is not None else "the operator's own address"
            served = _serve(keeper, following, config, listen, workers, operator, clock)
            stack.enter_context(served)
        before = keeper.ledger.head.size
        try:
            _follow(
                keeper, following, served, signer.public_key, stopping, once=once, quiet=as_json
            )
        except Contradiction as error:
            _contradicted(error)
        _print(keeper, following, before, as_json)


def _print(keeper: Keeper, following: Following, before: int, as_json: bool) -> None:
    size, at = keeper.signed
    head = keeper.ledger.head
    found = {"blocks": following.blocks, "block": head.block, "size": head.size}
    found |= {"signed_size": size, "leaves": head.size - before}
    found |= {"busy_milliseconds": int(following.busy_seconds * 1000)}
    if as_json:
        out.json(found | {"signed_at": at})
    else:
        out.pairs("kept", found)


def keepers(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="The operator's address.")],
    ca_file: CaFile = None,
    insecure: Insecure = False,
    as_json: options.AsJson = False,
) -> None:
    """How far each keeper is, as the operator sees it.

    Silent: seconds since its last co-signature; one that has nothing new to sign does so once a
    minute. Only a policy that requires a keeper waits for it.
    """
    from tallystick.cli.letters import trusted
    from tallystick.client import wire
    from tallystick.client.sync import Client

    with Client(trusted(source, ca_file, insecure)) as client:
        said = client.run(wire.health())
    found: dict[str, dict[str, Any]] = said.get("keepers", {})
    if as_json:
        out.json({"published": said.get("published", 0), "keepers": found})
        return
    out.table(
        f"keepers of {source}",
        ("name", "org", "signed#", "behind#", "silent s#", "required"),
        [
            (
                *(name, each.get("org"), each.get("size"), each.get("behind")),
                each.get("silent_seconds"),
                "yes" if each.get("required") else "",
            )
            for name, each in sorted(found.items())
        ],
    )


def _remote(
    stack: ExitStack,
    source: str,
    signer: Signer,
    clock: Clock,
    ca_file: Path | None,
    insecure: bool,
) -> RemoteSource | None:
    """The operator behind an address; None for a folder."""
    if not source.startswith(("http://", "https://")):
        return None
    from tallystick.cli.letters import trusted
    from tallystick.client.patience import Patience
    from tallystick.client.signing import SignedBy
    from tallystick.client.sync import Client
    from tallystick.engines.remote import RemoteSource

    patience = Patience(answer_seconds=ANSWER_SECONDS_MAX)
    server = trusted(source, ca_file, insecure)
    client: Client = stack.enter_context(
        Client(server, auth=SignedBy(signer, clock.now), patience=patience)
    )
    return RemoteSource(client)


def _open(
    following: Following,
    folder: Path,
    source: Path | RemoteSource,
    signer: Signer,
    stopping: threading.Event,
    *,
    network: bytes | None,
    catch_up: Path | None,
) -> Keeper | None:
    """The keeper of a folder, begun if need be; None: told to stop before there was one."""
    from tallystick.ledger import regrow
    from tallystick.ledger.sqlite import FILE
    from tallystick.node import open_keeper, rules

    if not (folder / FILE).exists():
        if network is None and not isinstance(source, Path):
            fail(
                *("keeper.no_network", "首次跟随须指明网络标识"),
                "to begin with a network over HTTP, say which: the first answer is not trusted",
                todo=("加 --network 网络标识", "give --network ID, from whom you trust"),
            )
        if catch_up is not None:
            with out.progress() as bar:
                task = bar.add_task("blocks", total=None)
                regrow.catch_up(
                    *(catch_up, folder, rules()),
                    lambda block: bar.update(task, completed=block.block),
                    network=network,
                )
        while not isinstance(source, Path) and following.ask(source.genesis) is None:
            if stopping.wait(following.pause) or orphaned():
                return None
    return open_keeper(folder, source, signer, network=network)


def _serve(
    keeper: Keeper,
    following: Following,
    config: Path | None,
    listen: str,
    workers: int | None,
    operator: str,
    clock: Clock,
) -> ServedKeeper:
    from tallystick.cli.serving import prepare
    from tallystick.serve_keeper import ServedKeeper

    sock, settings = prepare(keeper.ledger.folder, config, listen, workers)
    served = ServedKeeper(keeper, following, sock, settings, operator=operator, clock=clock)
    print(served.url, flush=True)
    return served


def _follow(
    keeper: Keeper,
    following: Following,
    served: ServedKeeper | None,
    key: bytes,
    stopping: threading.Event,
    *,
    once: bool,
    quiet: bool,
) -> None:
    """Step until stopped; with `once`, until nothing new came."""
    asked = False
    while not stopping.is_set() and not orphaned():
        before = following.blocks
        pause = following.step(keeper)
        if served is not None:
            served.stepped()
        done = following.blocks - before
        if done and not quiet:
            head = keeper.ledger.head
            out.warn(f"block {head.block:,}, {head.size:,} leaves executed", "dim")
        if not done and not asked and following.absence is None:
            _check_is_keeper(keeper, key, once)
            asked = True
        if once and not done:
            break
        if pause:
            stopping.wait(pause)


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


def _contradicted(error: Contradiction) -> NoReturn:
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


def _warn(text: str) -> None:
    out.warn(text, "yellow")
