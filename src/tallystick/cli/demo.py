"""`tally demo`: a province is founded, bills are issued, frauds refused, proofs left to try.

The story is told here in order; what happens lies in `demo_world`, `demo_processes`, `demo_bills`,
`demo_frauds`, `demo_served`, how it looks in `demo_page`.

Invariant: nothing is staged: the same node, keepers, archive and verifier as anywhere.
See docs/cli.md.
"""

from __future__ import annotations

import os
import shlex
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import out

if TYPE_CHECKING:
    from tallystick.cli.demo_bills import Figures, Market
    from tallystick.cli.demo_frauds import Fraud
    from tallystick.cli.demo_page import Told
    from tallystick.cli.demo_processes import Processes
    from tallystick.cli.demo_world import World
    from tallystick.node import Node
    from tallystick.verify import Verified

BILLS_MIN = 300
PROOFS_MIN = 100
FRAUDS_EACH = 40
LIFE_NUMBERS = 20
"""More than the bills and red bills of one patient take."""


@dataclass(slots=True)
class Outcome:
    """All that the end of the story tells."""

    figures: Figures
    frauds: list[Fraud]
    keeper: dict[str, Any]
    archive: dict[str, Any]
    shown: tuple[Path, str, Verified]
    life: list[Told]
    proofs: int
    verify_seconds: float
    tried: list[tuple[str, Path]]
    """Frauds to try by hand: what each is, and its file."""
    seconds: float = 0.0


def add_to(app: typer.Typer) -> None:
    """Put the command of this file into the tree."""
    app.command()(demo)


def demo(
    bills: Annotated[int, typer.Option("--bills", help="How many are issued.", min=BILLS_MIN)] = (
        20_000
    ),
    folder: Annotated[
        Path, typer.Option("--dir", "-d", help="New folder, or that of an earlier demo.")
    ] = Path("tally-demo"),
    no_serve: Annotated[
        bool, typer.Option("--no-serve", help="End without the page and the suggestions.")
    ] = False,
) -> None:
    """Found a province, issue bills, refuse four frauds.

    It leaves proofs to try and tamper with.

    Leaves DIR/receipts/*.json, issued, reversed and refused, and apart DIR/trust/trust.json.
    """
    from tallystick.cli.demo_processes import processes
    from tallystick.cli.demo_world import clear, make_world
    from tallystick.engines.clock import Clock
    from tallystick.node import Node

    started = time.monotonic()
    clear(folder)
    world = make_world(folder, Clock().now())
    with (
        processes(world) as running,
        Node.found(world.ledger, world.genesis, world.log) as node,
    ):
        out.say("A province is founded", "bold")
        out.say(f"  network {world.network.hex()}")
        out.say(
            f"  {len(world.hospitals)} hospitals, 3 insurers; keepers: finance, health commission, "
            "medical insurance, each in a process of its own"
        )
        told = _tell(world, node, running, bills)
        told.seconds = time.monotonic() - started
        _print_summary(told, bills)
        if not no_serve:
            _leave_page(world, told)
            _serve(world, node, told)


def _tell(world: World, node: Node, running: Processes, bills: int) -> Outcome:
    from tallystick.cli.demo_bills import issue_bills, open_market, prepare_numbers, undo_some
    from tallystick.cli.demo_ends import end_life, erase, prepare_life
    from tallystick.cli.demo_frauds import try_frauds
    from tallystick.cli.demo_life import begin_life, tell_life
    from tallystick.cli.demo_processes import wait_for_archive
    from tallystick.cli.demo_served import leave_frauds

    for org in ("finance", "health"):
        running.start_keeper(org)
    running.start_archive()
    reversals, replacements = max(PROOFS_MIN + 5, bills // 50), max(5, bills // 200)
    size = -(-bills // len(world.hospitals)) + reversals + 2 * replacements + 2 * FRAUDS_EACH
    size += LIFE_NUMBERS
    numbers = prepare_numbers(world, node, 1_000 * -(-size // 1_000))
    out.say(f"Numbers go down: province, city, county, hospital ({numbers:,} numbers)", "bold")
    block = 1_000 * -(-size // 1_000)
    with (
        open_market(world, node, block) as market,
        out.progress() as bar,
        ExitStack() as stack,
    ):
        task = bar.add_task("issuing", total=bills)
        issue_bills(market, bills, lambda done: bar.update(task, completed=done))
        out.say(
            f"{market.figures.issued:,} bills on the ledger, their bodies in the vaults", "bold"
        )
        undo_some(market, reversals, replacements)
        out.say(
            f"{market.figures.reversed:,} reversed, {market.figures.replaced:,} replaced", "bold"
        )
        frauds = try_frauds(market, FRAUDS_EACH)
        _print_frauds(frauds)
        life = stack.enter_context(begin_life(market, world.folder / "wallet"))
        prepare_life(life)
        bar.update(task, description="finance archives", total=None)
        wait_for_archive(world, running, [each.org for each in world.hospitals])
        bar.update(task, description="a patient's bills")
        tell_life(life)
        end_life(life)
        archive = running.stop("archive")
        erase(life)
        _print_life(life.told)
        out.say(f"Finance's archive has checked {archive['archived']:,} bodies", "bold")
        bar.update(task, description="a third keeper catches up")
        keeper = _catch_up(running)
        bar.update(task, description="keepers co-sign")
        files, shown, verify_seconds = _prove(market, running, frauds)
        tried = leave_frauds(market)
    figures, told = market.figures, life.told
    return Outcome(figures, frauds, keeper, archive, shown, told, len(files), verify_seconds, tried)


def _serve(world: World, node: Node, told: Outcome) -> None:
    """The same ledger as a service, for as long as somebody looks at it."""
    from tallystick.cli.demo_served import served, show, suggest

    with served(node) as found:
        row = told.shown[2].row or {}
        total = row["amounts"]["total"]
        lines = suggest(found.url, told.shown[1], total, told.tried)
        show(found, lines, told.tried, world.ledger)


def _catch_up(running: Processes) -> dict[str, Any]:
    """Medical insurance was away all day: its keeper executes everything at once, then follows."""
    running.start_keeper("insurance", once=True)
    said = running.finish("keeper-insurance")
    running.start_keeper("insurance")
    leaves, milliseconds = said["leaves"], max(said["busy_milliseconds"], 1)
    out.say(f"A keeper that was away executed {leaves:,} leaves in {milliseconds:,} ms", "bold")
    return said


def _prove(
    market: Market, running: Processes, frauds: list[Fraud]
) -> tuple[list[Path], tuple[Path, str, Verified], float]:
    """Leave receipts of every kind, verify all of them offline, and show one."""
    from tallystick.cli.demo_processes import wait_for_keepers
    from tallystick.cli.reading import make_receipts
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.contracts.kit.context import Key, slot_key
    from tallystick.verify import Verdict, Verifier

    wait_for_keepers(market.world, running, 3)
    entries: list[tuple[int, Key | None]] = []
    paths: list[Path] = []
    root = market.world.folder / "receipts"
    standing = [one for _, one in market.bills[:: max(1, len(market.bills) // PROOFS_MIN)]]
    for kind, some in (("issued", standing), ("reversed", market.gone)):
        for one in some[: 2 * PROOFS_MIN]:
            entries.append((one.entry or 0, slot_key(one.code, one.number)))
            name = format_bill_id(one.code, one.number).replace(":", "-")
            paths.append(root / f"{kind}-{name}.json")
    for index in (index for fraud in frauds for index in fraud.entries):
        entries.append((index, None))
        paths.append(root / f"refused-entry-{index:08d}.json")
    made = make_receipts(
        market.world.ledger, entries, keepers_min=3, wait_seconds=90, log_signer=market.world.log
    )
    root.mkdir(exist_ok=True)
    for path, data in zip(paths, made, strict=True):
        path.write_bytes(data)
    now, verifier = market.node.clock.now(), Verifier(market.world.policy)
    started = time.monotonic()
    found = [verifier.receipt(data, status=data_has_state(data), now=now) for data in made]
    seconds = time.monotonic() - started
    expected = {"issued": Verdict.GOOD, "reversed": Verdict.NOT_GOOD, "refused": Verdict.REFUSED}
    for path, verified in zip(paths, found, strict=True):
        if verified.verdict is not expected[path.name.partition("-")[0]]:
            raise RuntimeError(f"{path} is {verified.verdict.name}")
    bill = format_bill_id(standing[0].code, standing[0].number)
    _print_proof(bill, paths[0], made[0], found[0], market.world)
    return paths, (paths[0], bill, found[0]), seconds


def data_has_state(data: bytes) -> bool:
    """Whether a receipt shows the state of its bill."""
    return b'"state":{"block_leaf"' in data


def _print_proof(bill: str, path: Path, data: bytes, found: Verified, world: World) -> None:
    """The verifier's steps on one bill, and what it says once a digit is changed."""
    from tallystick.cli.proving import print_steps, verdict_text
    from tallystick.protocol.errors import TallystickError
    from tallystick.verify import verify_receipt

    out.say(f"\nBill {bill}, verified offline ({path.name}, {len(data):,} bytes)", "bold")
    out.say(f"{found.verdict.name}: {verdict_text(found.verdict)}", "bold green")
    print_steps(found)
    at = data.index(b'"total":') + len(b'"total":')
    digit = b"9" if data[at : at + 1] != b"9" else b"8"
    try:
        verify_receipt(data[:at] + digit + data[at + 1 :], world.policy)
    except TallystickError as error:
        out.say(f"One digit of its total changed: FALSE, {error}", "bold red")


def _print_frauds(frauds: list[Fraud]) -> None:
    rows = [
        (f"{each.title.zh}\n{each.title.en}", each.reason, f"{each.zh}\n{each.en}")
        for each in frauds
    ]
    out.say("Four frauds are tried with a hospital's own key, and refused", "bold")
    out.lines_table(("fraud", "reason", "说明 / why"), rows)


def _print_life(told: list[Told]) -> None:
    rows = [(f"{each.zh}\n{each.en}", each.found) for each in told]
    out.say("The life of a bill", "bold")
    out.lines_table(("step", "result"), rows)


def _summary(told: Outcome) -> list[Any]:
    from tallystick.cli.demo_page import Line

    figures, keeper, archive = told.figures, told.keeper, told.archive
    acts = figures.issued + figures.reversed + figures.replaced
    return [
        Line("开具", "issued: sealed, kept, on the ledger", out.number(figures.issued),
             _rate(figures.issued, figures.office_seconds)),
        Line("账本执行与落盘", "of it the ledger: executed, durable", out.number(acts),
             _rate(acts, figures.ledger_seconds)),
        Line("冲红", "reversed", out.number(figures.reversed)),
        Line("冲红重开", "replaced", out.number(figures.replaced)),
        Line("归档", "archived by finance", out.number(archive["archived"]),
             _rate(archive["archived"], archive["busy_milliseconds"] / 1000)),
        Line("见证节点重新执行", "executed again by a keeper", out.number(keeper["leaves"]),
             _rate(keeper["leaves"], keeper["busy_milliseconds"] / 1000)),
        Line("拒绝的造假", "frauds refused", out.number(len(told.frauds))),
        Line("回执", "receipts made and verified", out.number(told.proofs),
             _rate(told.proofs, told.verify_seconds)),
        Line("用时", "all in all", f"{told.seconds:.1f} s"),
    ]  # fmt: skip


def _print_summary(told: Outcome, bills: int) -> None:
    rows = [(f"{line.zh} {line.en}", line.value, line.rate) for line in _summary(told)]
    out.say("")
    out.table(f"{bills:,} bills, {os.cpu_count()} cores shared by all", ("", "count#", "a second#"),
              rows)  # fmt: skip


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}" if seconds > 0 else ""


def _leave_page(world: World, told: Outcome) -> None:
    from tallystick.cli.demo_page import Refused, Shown, render

    path, bill, found = told.shown
    trust = shlex.quote(str(world.trust))
    ledger = shlex.quote(str(world.ledger))
    tally, life = out.program(), shlex.quote(str(world.folder / "life"))
    commands = [
        f"{tally} verify {shlex.quote(str(path))} --status --trust {trust}",
        f"{tally} verify {shlex.quote(str(world.folder / 'receipts'))} --trust {trust}",
        f"sed 's/\"total\":[0-9]/&0/' {shlex.quote(str(path))} > forged.json",
        f"{tally} verify forged.json --trust {trust}",
        f"{tally} bills show {bill} --dir {ledger}",
        f"{tally} verify {life}/presentation.json --for insurer-02 --purpose claim --trust {trust}",
        f"{tally} verify {life}/slip-1.json --trust {trust}",
        f"{tally} bills audit {life}/block.audit --trust {trust}",
        f"{tally} doctor {ledger}",
    ]
    frauds = [Refused(*each.title, each.reason, each.zh, each.en) for each in told.frauds]
    shown = Shown(bill, found.verdict, found.steps, str(path))
    page = world.folder / "index.html"
    page.write_text(
        render(world.network.hex(), _summary(told), told.life, frauds, shown, commands),
        encoding="utf-8",
    )
    out.say(f"\nThe page: {page}")
    out.say("Try and tamper:", "bold")
    for command in commands:
        print(f"  {command}")
