"""`tally gateway` 前置机: plain JSON over HTTP for the old systems of one hospital or insurer.

Invariant: on a first Ctrl-C or SIGTERM it takes nothing new, answers what is under way, then ends;
what has no answer by then is handed in when it runs again. See docs/guides/gateway.md.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import fail

if TYPE_CHECKING:
    from tallystick.apps.bills.gateway.tokens import Right, Tokens

app = typer.Typer(no_args_is_help=True, help="A gateway for old systems: plain JSON over HTTP.")
token = typer.Typer(no_args_is_help=True, help="Tokens of tills: what each may do.")
app.add_typer(token, name="token")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The gateway's folder.")]
Name = Annotated[str, typer.Argument(help="Of the till or system: a-z, 0-9, dot, - and _.")]


@app.command("init")
def init(
    folder: Folder,
    url: Annotated[str, typer.Option("--url", help="The ledger's address.")],
) -> None:
    """Make a folder with a file of settings. Put key and trust file beside it."""
    from tallystick.apps.bills.gateway.config import EXAMPLE, FILE
    from tallystick.cli.founding import write_new

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_new(folder / FILE, EXAMPLE.replace("{url}", url).encode())
    out.say(f"{folder / FILE}", "bold green")
    out.say(
        "放入 key.json（操作密钥）和 trust.json（信任策略）后运行 tally gateway run"
        if out.language() == "zh"
        else "put key.json (the operating key) and trust.json beside it, then: tally gateway run"
    )


@app.command("run")
def run(
    folder: Folder,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="File of settings.", show_default="DIR/gateway.toml"),
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", help="HOST:PORT in place of the file's.")
    ] = None,
) -> None:
    """Answer tills in the foreground. Stop it with Ctrl-C.

    The first line on standard output is the address, once requests are answered.
    """
    import uvloop

    from tallystick.apps.bills.gateway.config import FILE, load
    from tallystick.apps.bills.gateway.house import House
    from tallystick.apps.bills.gateway.server import GatewayServer
    from tallystick.cli.inputs import in_file
    from tallystick.cli.serving import split_address
    from tallystick.engines.clock import Clock
    from tallystick.engines.process import tune
    from tallystick.web.logs import Log
    from tallystick.web.server import listening

    tune()
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    file = config or folder / FILE
    with in_file(file):
        settings = load(file)
    host, port = split_address(listen) if listen else (settings.listen.host, settings.listen.port)
    clock = Clock()
    sock = listening(host, port)
    with House.open(folder, settings, clock.now) as house:
        server = GatewayServer(house, sock, Log(clock.now))

        def ready() -> None:
            print(server.url, flush=True)
            out.warn("Ctrl-C stops it", "green")

        uvloop.run(server.run(ready=ready))


@token.command("add")
def add(
    folder: Folder,
    name: Name,
    may: Annotated[
        str,
        typer.Option(
            "--may", help="issue, reverse, paper, read, reconcile, claim, settle; with commas."
        ),
    ] = "issue,read",
    place: Annotated[
        str | None, typer.Option("--place", help="Only bills of this place 开票点.")
    ] = None,
) -> None:
    """Make a token, and end another of the same name. It is shown this once."""
    print(_tokens(folder).add(name, _rights(may), place))


@token.command("list")
def listed(folder: Folder, as_json: options.AsJson = False) -> None:
    """Say which tokens there are. What they are is written nowhere."""
    found = _tokens(folder).all()
    if as_json:
        shown = [
            {"name": t.name, "may": t.may, "place": t.place, "made": t.made_at, "ended": t.ended_at}
            for t in found
        ]
        out.json({"tokens": shown})
        return
    out.table(
        "tokens",
        ("name", "may", "place", "made", "ended"),
        [(t.name, ", ".join(t.may), t.place or "", t.made_at, t.ended_at or "") for t in found],
    )


@token.command("revoke")
def revoke(folder: Folder, name: Name) -> None:
    """End a token. A running gateway knows at once."""
    if not _tokens(folder).revoke(name):
        fail(
            *("cli.no_token", "没有这个有效令牌", "no live token has this name"),
            todo=("用 tally gateway token list 查看", "see tally gateway token list"),
            detail=name,
        )
    out.say(f"{name}: ended", "bold green")


def _tokens(folder: Path) -> Tokens:
    from tallystick.apps.bills.gateway.tokens import Tokens
    from tallystick.engines.clock import Clock

    if not folder.is_dir():
        fail(
            *("cli.folder", "没有这个目录", "there is no such folder"),
            todo=("先运行 tally gateway init", "run tally gateway init first"),
            detail=str(folder),
        )
    return Tokens(folder, Clock().now)


def _rights(text: str) -> list[Right]:
    from tallystick.apps.bills.gateway.tokens import RIGHTS

    named = [each.strip() for each in text.split(",") if each.strip()]
    unknown = [each for each in named if each not in RIGHTS]
    if unknown or not named:
        fail(
            *("cli.rights", "没有这种权限", "there is no such right"),
            todo=(f"可用：{'、'.join(RIGHTS)}", f"one or several of {', '.join(RIGHTS)}"),
            detail=", ".join(unknown),
        )
    return [right for right in RIGHTS if right in named]
