"""Numbers change hands: granted, given back, recalled, used elsewhere, void, suspended.

Invariant: at every moment each number of an allotment is issued, void, gone with one fate, or
remaining, and nothing else (N4); what is gone never comes back (N6).
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions.checks import (
    acts_for,
    check_holder,
    check_open,
    check_org,
    check_region,
    fetch_allotment,
    grants_open_at,
    newest_rules,
    year_span,
)
from tallystick.contracts.bills.actions.stock import in_stock, put_stock, read_stock
from tallystick.contracts.bills.items.bills import (
    Allot,
    GiveBack,
    OfAllotment,
    Opening,
    RangeOfAllotment,
    Recall,
    ResumeAllotment,
    SuspendAllotment,
    VoidNumbers,
)
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.accounts import Stock
from tallystick.contracts.bills.records.bills import (
    VOID_MAX,
    Allotment,
    Bill,
    Fate,
    Series,
    allotment_id,
    format_bill_id,
)
from tallystick.contracts.kit import intervals
from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.grants import find_grant
from tallystick.contracts.kit.intervals import INTERVALS_MAX, Interval
from tallystick.contracts.kit.keys import authorise, check_block_scope
from tallystick.contracts.kit.reasons import KitReason
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import DAY_SECONDS, format_instant, parse_instant

CATALOGUE_ACTION = "bills.define_type"
"""Who may define a type owns the numbers of its codes: level 0 is theirs alone (G1)."""


def allot(ctx: Context, item: Allot) -> None:
    """A range leaves the sender's allotment, or at level 0 the code's series."""
    # READ
    authorise(ctx, item.code)
    if item.parent is None:
        parent = None
        check_block_scope(ctx, item.code, item.level, item.first)
    else:
        check_block_scope(ctx, item.code, item.parent.level, item.parent.first)
        parent = ctx.find(Allotment, allotment_id(item.code, item.parent.level, item.parent.first))
    series = ctx.find(Series, str(item.code)) or Series(
        kind=Series.KIND, id=str(item.code), state="open", good=True
    )
    # CHECK
    check_region(ctx, item.code)
    if item.parent is None:
        _check_top(ctx, item)
        until: str | None = _until(ctx, item.code)
    else:
        parent = _check_parent(ctx, item, parent)
        until = parent.until
    _check_year(ctx, item.code, until)
    gone = _without(item, parent, series)
    check_org(ctx, item.holder, "holder")
    stock = read_stock(ctx, item.code, item.holder)
    counts = item.holder != ctx.sender
    if counts:
        _check_stock(ctx, item, stock)
    # WRITE
    ctx.put(
        Allotment(
            kind=Allotment.KIND,
            id=allotment_id(item.code, item.level, item.first),
            state="open",
            good=True,
            until=until,
            code=item.code,
            level=item.level,
            first=item.first,
            last=item.last,
            parent=parent.id if parent else None,
            holder=item.holder,
            grantor=ctx.sender,
            next=item.first,
            active_from=format_instant(year_span(item.code, ctx.env.utc_offset_seconds)[0]),
            offline_days=item.offline_days,
        )
    )
    if counts:
        put_stock(ctx, stock, numbers=item.last - item.first + 1, blocks=1)
    if parent is None:
        ctx.put(series, gone=gone)
    else:
        ctx.put(parent, gone=gone)


def _check_top(ctx: Context, item: Allot) -> None:
    """Level 0 comes out of the series, by whoever keeps the catalogue of the type."""
    if item.level:
        raise Rejected(BillsReason.ALLOC_LEVEL, "without a parent only level 0", path="parent")
    if find_grant(ctx.state, ctx.sender, CATALOGUE_ACTION, ctx.block_time, item.code) is None:
        raise Rejected(KitReason.NO_GRANT, f"level 0 takes {CATALOGUE_ACTION}", path="level")


def _check_parent(ctx: Context, item: Allot, parent: Allotment | None) -> Allotment:
    if parent is None:
        raise Rejected(BillsReason.NUMBER_NOT_ALLOCATED, "no such range", path="parent")
    check_holder(ctx, parent, "parent")
    check_open(ctx, parent, "parent")
    if item.level <= parent.level:
        raise Rejected(BillsReason.ALLOC_LEVEL, f"the parent has {parent.level}", path="level")
    return parent


def _until(ctx: Context, code: int) -> str:
    """The end of a code's days of grace, by the newest rules of its type."""
    end = year_span(code, ctx.env.utc_offset_seconds)[1]
    return format_instant(end + newest_rules(ctx, code).year_grace_days * DAY_SECONDS)


def _check_stock(ctx: Context, item: Allot, stock: Stock) -> None:
    """Account for the old before the new 核旧领新, where the type asks for it."""
    rules = newest_rules(ctx, item.code)
    numbers, blocks = stock.numbers + item.last - item.first + 1, stock.blocks + 1
    if rules.stock_blocks_max and blocks > rules.stock_blocks_max:
        raise Rejected(
            BillsReason.STOCK_LIMIT,
            f"{blocks} unaccounted blocks, at most {rules.stock_blocks_max}",
            path="holder",
        )
    if rules.stock_numbers_max and numbers > rules.stock_numbers_max:
        raise Rejected(
            BillsReason.STOCK_LIMIT,
            f"{numbers} unaccounted numbers, at most {rules.stock_numbers_max}",
            path="holder",
        )


def _check_year(ctx: Context, code: int, until: str | None) -> None:
    """Next year's numbers from 1 December on; a past year's until its days of grace are over."""
    opens = grants_open_at(code, ctx.env.utc_offset_seconds)
    if ctx.block_time < opens:
        raise Rejected(
            BillsReason.ALLOC_WRONG_YEAR, f"opens at {format_instant(opens)}", path="code"
        )
    if until is not None and ctx.block_time >= parse_instant(until):
        raise Rejected(BillsReason.ALLOC_WRONG_YEAR, f"ended at {until}", path="code")


def _without(item: Allot, parent: Allotment | None, series: Series) -> list[Interval]:
    """N2: what is gone of the source once the range is; refuses what is not its to give."""
    if item.first > item.last:
        raise Rejected(BillsReason.ALLOC_OUTSIDE_PARENT, "last comes before first", path="last")
    if parent is not None and not parent.first <= item.first:
        raise Rejected(BillsReason.ALLOC_OUTSIDE_PARENT, f"not in {parent.id}", path="first")
    if parent is not None and not item.last <= parent.last:
        raise Rejected(BillsReason.ALLOC_OUTSIDE_PARENT, f"not in {parent.id}", path="last")
    if parent is not None and item.first < parent.next:
        raise Rejected(
            BillsReason.ALLOC_OVERLAP,
            f"numbers below {parent.next} were used by their holder",
            path="first",
        )
    return _take(parent.gone if parent else series.gone, item.first, item.last, "granted")


def _take(gone: list[Interval], first: int, last: int, fate: Fate) -> list[Interval]:
    met = intervals.overlap(gone, first, last)
    if met is not None:
        raise Rejected(
            BillsReason.ALLOC_OVERLAP, f"{met.first} to {met.last} are {met.fate}", path="first"
        )
    gone = intervals.take(gone, first, last, fate)
    if len(gone) > INTERVALS_MAX:
        raise Rejected(BillsReason.ALLOC_FRAGMENTS, f"more than {INTERVALS_MAX}", path="first")
    return gone


# --------------------------------------------------------------------------- leaving an allotment


def give_back(ctx: Context, item: GiveBack) -> None:
    """The holder returns the unused tail, or the end of it."""
    # READ
    allotment = _read(ctx, item)
    # CHECK
    check_holder(ctx, allotment)
    _check_tail(allotment, item)
    gone = _take_of(allotment, item, "returned")
    # WRITE
    ctx.put(allotment, gone=gone)
    _shrink_stock(ctx, allotment, item)


def recall(ctx: Context, item: Recall) -> None:
    """The grantor takes the unused tail back, or the end of it."""
    # READ
    allotment = _read(ctx, item)
    # CHECK
    _check_grantor(ctx, allotment)
    _check_tail(allotment, item)
    gone = _take_of(allotment, item, "recalled")
    # WRITE
    ctx.put(allotment, gone=gone)
    _shrink_stock(ctx, allotment, item)


def _shrink_stock(ctx: Context, allotment: Allotment, item: RangeOfAllotment) -> None:
    if in_stock(allotment):
        stock = read_stock(ctx, allotment.code, allotment.holder)
        put_stock(ctx, stock, numbers=item.start - item.end - 1)


def opening(ctx: Context, item: Opening) -> None:
    """The grantor states which numbers another platform used before cut-over."""
    # READ
    allotment = _read(ctx, item)
    # CHECK
    _check_grantor(ctx, allotment)
    _check_range(allotment, item)
    _check_unused(allotment, item)
    gone = _take_of(allotment, item, "elsewhere")
    # WRITE
    ctx.put(allotment, gone=gone)


def void_numbers(ctx: Context, item: VoidNumbers) -> None:
    """The holder declares unissued numbers void; each has a row that says so."""
    # READ
    allotment = _read(ctx, item)
    # CHECK
    check_holder(ctx, allotment)
    check_open(ctx, allotment)
    _check_range(allotment, item)
    size = item.end - item.start + 1
    if size > VOID_MAX:
        raise Rejected(BillsReason.VOID_LIMIT, f"{size}, at most {VOID_MAX}", path="end")
    met = intervals.overlap(allotment.gone, item.start, item.end)
    if met is not None:
        raise Rejected(
            BillsReason.NUMBER_NOT_ALLOCATED, f"{met.first} to {met.last} {met.fate}", path="start"
        )
    _check_empty(ctx, allotment, item)
    # WRITE
    at = format_instant(ctx.block_time)
    for number in range(item.start, item.end + 1):
        ctx.put_slot(
            item.code,
            number,
            Bill(
                kind=Bill.KIND,
                id=format_bill_id(item.code, number),
                state="void",
                good=False,
                issuer=ctx.sender,
                bill_kind="void",
                issued_at=at,
                reason=item.reason,
            ),
        )
    ctx.put(allotment, void=allotment.void + size, next=max(allotment.next, item.end + 1))


def suspend_allotment(ctx: Context, item: SuspendAllotment) -> None:
    """The grantor stops an allotment and all that came out of it."""
    # READ
    allotment = _read(ctx, item)
    # CHECK
    _check_grantor(ctx, allotment)
    if allotment.state == "suspended":
        raise Rejected(BillsReason.UNCHANGED, f"for {allotment.reason}", path="first")
    # WRITE
    ctx.put(allotment, state="suspended", good=False, reason=item.reason)


def resume_allotment(ctx: Context, item: ResumeAllotment) -> None:
    """The grantor lets it go on."""
    # READ
    allotment = _read(ctx, item)
    # CHECK
    _check_grantor(ctx, allotment)
    if allotment.state == "open":
        raise Rejected(BillsReason.UNCHANGED, "it is open", path="first")
    # WRITE
    ctx.put(allotment, state="open", good=True, reason=item.reason)


def _read(ctx: Context, item: OfAllotment) -> Allotment:
    authorise(ctx, item.code)
    check_block_scope(ctx, item.code, item.level, item.first)
    return fetch_allotment(ctx, item.code, item.level, item.first)


def _check_grantor(ctx: Context, allotment: Allotment) -> None:
    if not acts_for(ctx, allotment.grantor):
        raise Rejected(BillsReason.NOT_GRANTOR, f"{allotment.grantor} granted it", path="first")


def _check_range(allotment: Allotment, item: RangeOfAllotment) -> None:
    if item.start < allotment.first:
        raise Rejected(BillsReason.NUMBER_NOT_ALLOCATED, f"not in {allotment.id}", path="start")
    if not item.start <= item.end <= allotment.last:
        raise Rejected(BillsReason.NUMBER_NOT_ALLOCATED, f"not in {allotment.id}", path="end")


def _check_unused(allotment: Allotment, item: RangeOfAllotment) -> None:
    if item.start < allotment.next:
        raise Rejected(BillsReason.NOT_UNUSED_TAIL, f"used below {allotment.next}", path="start")


def _check_tail(allotment: Allotment, item: RangeOfAllotment) -> None:
    """N6: unused numbers, and above them nothing that the allotment still has."""
    _check_range(allotment, item)
    _check_unused(allotment, item)
    above = item.end
    for each in allotment.gone:
        if each.first <= above + 1 <= each.last:
            above = each.last
    if above != allotment.last:
        raise Rejected(BillsReason.NOT_UNUSED_TAIL, f"numbers remain above {above}", path="end")


def _take_of(allotment: Allotment, item: RangeOfAllotment, fate: Fate) -> list[Interval]:
    met = intervals.overlap(allotment.gone, item.start, item.end)
    if met is not None:
        raise Rejected(
            BillsReason.NUMBER_NOT_ALLOCATED, f"{met.first} to {met.last} {met.fate}", path="start"
        )
    return _take(allotment.gone, item.start, item.end, fate)


def _check_empty(ctx: Context, allotment: Allotment, item: RangeOfAllotment) -> None:
    """N1: nothing has befallen the numbers; from `next` on nothing can have."""
    for number in range(item.start, min(item.end + 1, allotment.next)):
        held = ctx.find_slot(Bill, item.code, number)
        if held is not None:
            void = held.state == "void"
            raise Rejected(
                BillsReason.NUMBER_VOID if void else BillsReason.NUMBER_USED,
                f"{held.id} is {held.state}",
                path="start",
            )
