"""`tally restore`: a lost operator out of its keepers.

Invariant: the network is named by whoever restores, and what may be lost is said before anybody
goes on. See docs/guides/operations.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import FALSE, REFUSED, fail
from tallystick.cli.letters import CaFile, Insecure

if TYPE_CHECKING:
    from tallystick.client.failures import Equivocation
    from tallystick.client.sync import Client
    from tallystick.engines.restoring import KnownLoss, Restored, Unheard
    from tallystick.protocol.keys import Signer
    from tallystick.protocol.trust import TrustPolicy

Seen = Annotated[
    list[Path] | None,
    typer.Option(
        "--seen",
        metavar="NOTE",
        help="A checkpoint from elsewhere, first the old operator's: OLD/feed/checkpoint.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Put the command of this file into the tree."""
    app.command()(restore)


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder of the ledger.")],
    sources: Annotated[
        list[str],
        typer.Option("--from", metavar="URL", help="A keeper that answers; give every one."),
    ],
    key: Annotated[Path, typer.Option("--key", "-k", help="Key file of the log.")],
    network: options.Network = None,
    trust: Annotated[
        Path | None,
        typer.Option("--trust", help="Trust policy: names the network, and whom to believe."),
    ] = None,
    seen: Seen = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="NAME", help="A live keeper that cannot be asked."),
    ] = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on though --seen shows more than keepers.")
    ] = False,
    ca_file: CaFile = None,
    insecure: Insecure = False,
    passphrase_file: options.Passphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Restore a lost operator out of its keepers.

    Every block is executed again. Whole, or not there; what is cut off goes on where it was. Says
    what may be lost: what no keeper has. The old operator must never run again.

    Exit code 1: somebody told what is not so, or two keepers contradict each other.
    """
    from tallystick.cli.inputs import load_signer, read_file
    from tallystick.engines.clock import Clock
    from tallystick.protocol.checkpoint import NOTE_BYTES_MAX

    logging.basicConfig(format="%(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    policy, expected = _named(network, trust)
    signer, clock = load_signer(key, passphrase_file), Clock()
    notes = {str(path): read_file(path, NOTE_BYTES_MAX) for path in seen or ()}
    with ExitStack() as stack:
        clients = _clients(stack, sources, signer, clock.now, ca_file, insecure)
        found = _restore(
            *(folder, clients, signer.public_key, expected, policy),
            seen=notes,
            without=without or (),
            accept_loss=accept_loss,
            now=clock.now(),
        )
    if as_json:
        out.json(_as_json(found))
    else:
        _print(found, folder, key)


def _restore(
    folder: Path,
    clients: Sequence[Client],
    key: bytes,
    network: bytes,
    trust: TrustPolicy | None,
    /,
    **asked: Any,
) -> Restored:
    """Restore, or say why not, and what to do about it."""
    from tallystick.client.failures import Equivocation
    from tallystick.engines.restoring import KnownLoss, Restoring, Unheard
    from tallystick.node import FEED, live_keepers, rules

    restoring = Restoring(folder, clients, rules(), live_keepers, network=network, trust=trust)
    if key not in restoring.genesis.log_keys:
        fail(
            *("cli.not_log_key", "不是创始文件中的日志密钥"),
            "this is none of the log keys in the founding file",
            detail=key.hex(),
        )
    with out.progress() as bar:
        task = bar.add_task("blocks", total=None)
        try:
            return restoring.run(
                FEED, progress=lambda block: bar.update(task, completed=block.block), **asked
            )
        except (Unheard, KnownLoss) as error:
            _undecided(error)
        except Equivocation as error:
            _contradicted(error)


def _named(network: str | None, trust: Path | None) -> tuple[TrustPolicy | None, bytes]:
    """The policy, if there is one, and the network that whoever restores has named."""
    from tallystick.cli.inputs import parse_hex, read_policy

    policy = None if trust is None else read_policy(trust)
    expected = None if network is None else parse_hex(network, "--network")
    if policy is not None and expected not in (None, policy.network):
        fail(
            *("restore.two_networks", "--network 与信任策略的网络不一致"),
            "--network and the trust policy name two networks",
        )
    found = expected if policy is None else policy.network
    if found is None:
        fail(
            *("restore.no_network", "须指明恢复哪个网络"),
            "say which network is to be restored: the first answer is not trusted",
            todo=("加 --network 网络标识 或 --trust 文件", "give --network ID or --trust FILE"),
        )
    return policy, found


def _clients(
    stack: ExitStack,
    sources: list[str],
    signer: Signer,
    clock: Callable[[], int],
    ca_file: Path | None,
    insecure: bool,
) -> list[Client]:
    from tallystick.cli.letters import trusted
    from tallystick.client.patience import Patience
    from tallystick.client.signing import SignedBy
    from tallystick.client.sync import Client

    patience, auth = Patience(deadline_seconds=15), SignedBy(signer, clock)
    servers = [trusted(each, ca_file, insecure) for each in dict.fromkeys(sources)]
    return [stack.enter_context(Client(each, auth=auth, patience=patience)) for each in servers]


def _undecided(error: Unheard | KnownLoss) -> NoReturn:
    from tallystick.engines.restoring import Unheard

    if isinstance(error, Unheard):
        fail(
            *("restore.unheard", "有现任见证节点未应答，可能签署得更多"),
            "live keepers were not heard: they may have signed more than those that were",
            todo=(
                "把它们的地址也用 --from 列出；确实问不到的用 --without 逐个指明",
                "ask them, too, with --from; name those that cannot be asked with --without NAME",
            ),
            detail=str(error),
            exit_code=REFUSED,
        )
    fail(
        *("restore.known_loss", "原经营方签署过的内容多于各见证节点所有"),
        "the old operator has signed more than any keeper has",
        todo=(
            "若原 feed 目录尚在，改用 tally import；否则通知各成员后加 --accept-loss",
            "if its feed folder survives, use tally import; else tell the members, then "
            "--accept-loss",
        ),
        detail=str(error),
        exit_code=REFUSED,
    )


def _contradicted(error: Equivocation) -> NoReturn:
    fail(
        *("restore.equivocation", "日志签署了两套互相矛盾的历史，未恢复"),
        "the log has signed two histories; nothing was restored",
        todo=(
            "把证明文件交给各成员与监管部门，由其决定以哪一套为准",
            "show the proof to the members: which history holds is theirs to decide",
        ),
        detail=str(error),
        exit_code=FALSE,
    )


def _as_json(found: Restored) -> dict[str, Any]:
    return {
        "block": found.head.block,
        "size": found.head.size,
        "at": found.head.at,
        "root": found.head.root,
        "network": found.head.network,
        "lost_from": found.lost_from,
        "keepers": [
            {"name": each.name, "url": each.url, "size": each.size, "at": each.at}
            for each in found.keepers
        ],
        "without": list(found.without),
        "beyond": dict(found.beyond),
    }


def _print(found: Restored, folder: Path, key: Path) -> None:
    from tallystick.protocol.values import format_instant

    size = found.head.size
    out.pairs(
        f"restored into {folder}",
        {
            "network": found.head.network.hex(),
            "block": found.head.block,
            "size": size,
            "last block": format_instant(found.head.at),
            "root": found.head.root.hex(),
        },
    )
    out.table(
        "what each keeper had signed",
        ("name", "size#", "behind#", "at"),
        [(k.name, k.size, size - k.size, format_instant(k.at)) for k in found.keepers],
    )
    for name in found.without:
        out.warn(f"{name} was not asked: it may have signed more, and then it will stop", "yellow")
    since = format_instant(found.lost_from)
    out.say(f"LOSS WINDOW: what was acknowledged after {since} is with no keeper.", "bold")
    for where, larger in sorted(found.beyond.items()):
        out.say(f"{where}: size {larger:,} was signed; {larger - size:,} leaves of it are lost.")
    out.say(
        "Everyone who had an answer since then sends the same bytes again: they give the old "
        "answer, or are entered anew. What has passed its time is looked up, then signed anew."
    )
    out.line(f"Next: {out.program()} serve {quote(str(folder))} --log-key {quote(str(key))}")
