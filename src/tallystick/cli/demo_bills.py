"""What happens to bills in the demo: numbers handed down, bills issued, some reversed.

Invariant: all of it goes through the same offices, node and rules as anything else.
See docs/guides/office.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.apps.bills.acts import Issued, Replacement, Reversal
from tallystick.apps.bills.addresses import FOLDER, Addresses
from tallystick.apps.bills.catalogue import TYPES, Scene
from tallystick.apps.bills.drafting import Recipient
from tallystick.apps.bills.generate import make_draft
from tallystick.apps.bills.office import Office
from tallystick.apps.bills.sending import new_nonce
from tallystick.cli.demo_world import Hospital, World
from tallystick.cli.desk import NodeDesk
from tallystick.cli.offices import office_over
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.items.bills import Allot, Block
from tallystick.ledger.engine import Committed
from tallystick.node import Node
from tallystick.protocol.canonical import decode, replace
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.values import format_instant, local_day, parse_instant

SCENES: tuple[Scene, ...] = ("outpatient", "inpatient", "registration")
CHUNK = 500
"""Bills that one hospital sends at once."""
LEVEL = 3
"""Of an issuer's block."""

Told = Callable[[int], None]


@dataclass(slots=True)
class Figures:
    """Seconds and counts for the table at the end."""

    issued: int = 0
    office_seconds: float = 0.0
    ledger_seconds: float = 0.0
    reversed: int = 0
    replaced: int = 0


@dataclass(slots=True)
class Market:
    """The offices at work, and what they have issued."""

    world: World
    node: Node
    offices: list[tuple[Hospital, Office]]
    block_size: int
    figures: Figures
    addresses: Addresses
    """Of the first office's payers."""
    bills: list[tuple[int, Issued]] = field(default_factory=list)
    """(office, bill) that still stand as issued."""
    gone: list[Issued] = field(default_factory=list)
    """Bills that were reversed."""

    @property
    def mailbox(self) -> Path:
        """Where finance's archive takes its letters."""
        return self.world.folder / "mail"

    def first_of(self, office: int) -> int:
        """First number of an office's blocks."""
        return 1 + office * self.block_size

    def code(self, scene: Scene) -> int:
        """A type's code of this year."""
        offset = self.node.ledger.genesis.utc_offset_seconds
        return TYPES[scene].code(int(local_day(self.node.clock.now(), offset)[:4]))


class _TimedDesk(NodeDesk):
    """Counts for how long the ledger had something to do."""

    def __init__(self, node: Node, figures: Figures) -> None:
        super().__init__(node)
        self._figures = figures

    def submit(self, data: bytes) -> Future[Committed]:
        started = time.monotonic()
        future = super().submit(data)

        def done(_: Future[Committed]) -> None:
            self._figures.ledger_seconds += time.monotonic() - started

        future.add_done_callback(done)
        return future


def prepare_numbers(world: World, node: Node, block_size: int) -> int:
    """Define all types; hand numbers from the province down to each hospital: how many numbers."""
    finance, now = world.signers["finance"], node.clock.now()
    offset = node.ledger.genesis.utc_offset_seconds
    year = local_day(now, offset)[:4]
    start = format_instant(parse_instant(f"{year}-01-01T00:00:00Z") - offset)
    types = [each.define(nonce=new_nonce(), valid_from=start) for each in TYPES.values()]
    _all_accepted(node.act(finance, "finance", "bills.define_type/1", types))
    last = block_size * len(world.hospitals)
    for scene in SCENES:
        code = TYPES[scene].code(int(year))
        steps = (("finance", 0, "finance"), ("finance", 1, "city"), ("city", 2, "county"))
        for sender, level, holder in steps:
            parent = Block(level=level - 1, first=1) if level else None
            item = _allot(code, level, 1, last, holder, parent)
            _all_accepted(node.act(world.signers[sender], sender, "bills.allot/1", [item]))
        items = [
            _allot(
                code,
                LEVEL,
                1 + n * block_size,
                (n + 1) * block_size,
                each.org,
                Block(level=2, first=1),
            )
            for n, each in enumerate(world.hospitals)
        ]
        _all_accepted(node.act(world.signers["county"], "county", "bills.allot/1", items))
    return last * len(SCENES)


@contextmanager
def open_market(world: World, node: Node, block_size: int) -> Iterator[Market]:
    """Every hospital's office, with its vault open."""
    figures = Figures()
    desk = _TimedDesk(node, figures)
    archive = Recipient("finance", world.delivery.public_key)
    with ExitStack() as stack:
        offices: list[tuple[Hospital, Office]] = []
        addresses = None
        for each in world.hospitals:
            each.folder.mkdir(parents=True, mode=0o700)
            opened_addresses = Addresses.open(each.folder / FOLDER, each.vault_key.secret)
            stack.enter_context(opened_addresses)
            addresses = addresses or opened_addresses
            opened = office_over(
                desk,
                each.folder,
                signer=each.signer,
                vault_key=each.vault_key,
                archive=archive,
                addresses=opened_addresses,
            )
            offices.append((each, stack.enter_context(opened)))
        if addresses is None:
            raise ValueError("a province without a hospital")
        market = Market(world, node, offices, block_size, figures, addresses)
        market.mailbox.mkdir(mode=0o700, exist_ok=True)
        yield market


def issue_bills(market: Market, count: int, told: Told) -> None:
    """Issue `count` bills, hospitals in turn, and deliver their bodies."""
    seed = turn = 0
    while seed < count:
        some = min(CHUNK, count - seed, -(-count // len(market.offices)))
        n = turn % len(market.offices)
        hospital, office = market.offices[n]
        now = market.node.clock.now()
        drafts = [
            make_draft(each, _scene(each), institution=hospital.institution, issued_at=now)
            for each in range(seed, seed + some)
        ]
        started = time.monotonic()
        answers = office.issue(drafts)
        market.figures.office_seconds += time.monotonic() - started
        _all_fine(answers)
        market.bills += [(n, one) for one in answers]
        market.figures.issued += len(answers)
        office.deliver(market.mailbox, limit=10_000)
        seed, turn = seed + some, turn + 1
        told(seed)


def undo_some(market: Market, reversals: int, replacements: int) -> None:
    """Reverse some bills whole, and replace some by others."""
    by_office: dict[int, list[Issued]] = {}
    step = max(1, len(market.bills) // (reversals + replacements))
    picked = market.bills[::step][: reversals + replacements]
    for n, one in picked:
        by_office.setdefault(n, []).append(one)
    for n, bills in by_office.items():
        office = market.offices[n][1]
        replaced = min(len(bills), replacements - market.figures.replaced)
        _all_fine(office.replace([_replacement(market, office, one) for one in bills[:replaced]]))
        rest = bills[replaced:]
        _all_fine(office.reverse([Reversal(one.code, one.number, "refund") for one in rest]))
        office.deliver(market.mailbox, limit=10_000)
        market.figures.replaced += replaced
        market.figures.reversed += len(rest)
        market.gone += bills
    taken = {(one.code, one.number) for _, one in picked}
    market.bills = [(n, one) for n, one in market.bills if (one.code, one.number) not in taken]


def body_of(office: Office, bill: Issued) -> Body:
    """The private half of a bill, out of its issuer's vault."""
    return decode(office.vault.get(bill.code, bill.number)[0], Body)


def _replacement(market: Market, office: Office, one: Issued) -> Replacement:
    """The same business, once more, with a remark that says why."""
    draft = replace(
        body_of(office, one),
        network=b"",
        number=0,
        ordinal=2,
        issued_at=format_instant(market.node.clock.now()),
        remark="更正交款人信息后重开",
    )
    return Replacement(one.code, one.number, "wrong_data", draft)


def _scene(seed: int) -> Scene:
    """One stay in hospital and four registrations for fifteen visits."""
    if seed % 20 == 7:
        return "inpatient"
    return "registration" if seed % 5 == 1 else "outpatient"


def _allot(
    code: int, level: int, first: int, last: int, holder: str, parent: Block | None
) -> Allot:
    return Allot(
        nonce=new_nonce(),
        code=code,
        level=level,
        first=first,
        last=last,
        holder=holder,
        parent=parent,
    )


def _all_accepted(committed: Committed) -> None:
    for outcome in committed.outcomes:
        if outcome != ACCEPTED:
            raise RuntimeError(f"the demo's own act was refused: {outcome}")


def _all_fine(answers: Sequence[Issued]) -> None:
    for one in answers:
        if not one.accepted:
            raise RuntimeError(f"the demo's own bill was refused: {one.outcome} {one.path}")
