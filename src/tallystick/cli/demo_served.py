"""The demo's end: the same ledger, served, with a bill to compare and frauds to try by hand.

Invariant: what is suggested works as it stands, against the server that the demo has started.
See docs/cli.md.
"""

from __future__ import annotations

import json
import shlex
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.cli import out
from tallystick.cli.demo_frauds import fraud_items
from tallystick.cli.keeping import STEP_SECONDS, stop_event

if TYPE_CHECKING:
    from tallystick.cli.demo_bills import Market
    from tallystick.node import Node
    from tallystick.serve import Served

PORT = 8480
SETTINGS = """\
# Of the demo: what its page compares besides the record, and what a note must meet.
[policy]
file = "../trust/trust.json"

[check]
archive = "../archive/bodies"
key_file = "../keys/archive.json"

[webhooks]
private_addresses = true
"""


def leave_frauds(market: Market) -> list[tuple[str, Path]]:
    """Signed transactions that the ledger will refuse: (what it is, file)."""
    folder = market.world.folder / "frauds"
    folder.mkdir(exist_ok=True)
    hospital = market.offices[0][0]
    left = []
    for title, item in fraud_items(market):
        path = folder / f"{title.en.replace(' ', '-').removeprefix('a-')}.json"
        data = market.node.sign(hospital.signer, hospital.org, "bills.issue/1", [item])
        path.write_bytes(data)
        left.append((f"{title.zh} {title.en}", path))
    return left


@contextmanager
def served(node: Node) -> Iterator[Served]:
    """The node of the demo, answering on `PORT` or, where that is taken, on any."""
    from tallystick.cli.serving import prepare
    from tallystick.serve import Served

    (node.folder / "tally.toml").write_text(SETTINGS, encoding="utf-8")
    sock, settings = prepare(node.folder, None, f"127.0.0.1:{_free_port()}", 1)
    with Served(node, sock, settings) as found:
        yield found


def suggest(url: str, bill: str, total: int, frauds: list[tuple[str, Path]]) -> list[str]:
    """What to try: a line for the browser, the frauds, a forged amount."""
    code, _, number = bill.partition(":")
    asked = {"code": int(code), "number": int(number), "total": total + 9_000_000}
    lines = [f"{url}/#code={code}&number={int(number)}&total={total / 100:.2f}"]
    for _, path in frauds:
        lines.append(
            f"curl -s {url}/api/v1/transactions -H 'Content-Type: application/json' "
            f"--data-binary @{shlex.quote(str(path))}"
        )
    lines.append(
        f"curl -s {url}/api/v1/bills/check -H 'Content-Type: application/json' "
        f"-d {shlex.quote(json.dumps(asked))}"
    )
    return lines


def show(found: Served, lines: list[str], frauds: list[tuple[str, Path]], ledger: Path) -> None:
    """Print them, and serve until Ctrl-C where somebody sits before it."""
    out.say("\nServed: open the bill just issued, and compare it with another amount", "bold")
    print(f"  {lines[0]}")
    out.say("Hand a hospital's own frauds to the API: each is refused, with its reason", "bold")
    for (title, _), line in zip(frauds, lines[1:-1], strict=True):
        print(f"  {line}   # {title}")
    out.say("Ask as a stranger about a bill with 90,000.00 added", "bold")
    print(f"  {lines[-1]}")
    if not sys.stdin.isatty():
        out.say(f"Serve it again: {out.program()} serve {shlex.quote(str(ledger))}")
        return
    out.say("Ctrl-C ends it", "green")
    stopping: threading.Event = stop_event()
    while found.node.failure is None and not stopping.wait(STEP_SECONDS):
        pass


def _free_port() -> int:
    with socket.socket() as trying:
        try:
            trying.bind(("127.0.0.1", PORT))
        except OSError:
            return 0
    return PORT
