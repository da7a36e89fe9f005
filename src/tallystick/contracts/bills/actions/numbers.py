"""Taking numbers: what issuing and reversing share, and by far the most frequent act there is.

What cannot change within a transaction is looked up once and kept as a `Place`; a bill then reads
its allotment's row, and its own slot only below `Allotment.next`.

Invariant: a number leaves `remaining` in the very step in which its slot is written (N1, N4).
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from tallystick.contracts.bills.actions.checks import (
    check_holder,
    check_open,
    check_region,
    fetch_allotment,
    fetch_type,
    year_span,
)
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    MARKS_MAX,
    Allotment,
    Bill,
    Issuer,
    Mark,
    TypeRules,
)
from tallystick.contracts.kit import intervals
from tallystick.contracts.kit.context import UNSALTED, Context, slot_key
from tallystick.contracts.kit.keys import authorise, check_block_scope, read_instant
from tallystick.protocol.canonical import INTEGER_MAX, replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.row import row_key
from tallystick.protocol.values import DAY_SECONDS, format_instant, parse_instant

MARKS_PER_LIMIT = 16
"""How finely the age of what waits for the archive is known: a sixteenth of the type's limit."""


@dataclass(slots=True)
class Place:
    """All that one transaction needs to know of an allotment and a type version, once."""

    key: str
    """Of the allotment's row."""
    code: int
    type_version: int
    rules: TypeRules
    year: tuple[int, int]
    force: tuple[int, int]
    """The version is in force at an instant in [first, second)."""
    earliest: int
    latest: int
    """An issue time is in order exactly if it lies in [earliest, latest)."""
    closed: int
    """The sender's months of this type are closed up to here (W2)."""
    below: int
    """The issuer's bodies are archived below this log index, but for the named ones."""
    marks: list[Mark] | None = None
    """What this transaction last wrote: the same list need not be worked out again."""


def find_place(
    ctx: Context,
    code: int,
    level: int,
    first: int,
    type_version: int,
    *,
    issuing: bool,
    paper: bool = False,
    offline: bool = False,
) -> Place:
    """Checks 1 to 9 of taking a number, made once in a transaction.

    `paper`: that of a form. `offline`: out of an offline reserve, and out of nothing else.
    """
    places: dict[tuple[int, int, int, int], Place] = ctx.memo.setdefault("places", {})
    key = (code, level, first, type_version)
    place = places.get(key)
    if place is None:
        place = places[key] = _find_place(ctx, key, issuing, paper, offline)
    return place


def _find_place(
    ctx: Context, key: tuple[int, int, int, int], issuing: bool, paper: bool, offline: bool
) -> Place:
    code, level, first, type_version = key
    now = ctx.block_time
    authorise(ctx, code)  # 1
    check_block_scope(ctx, code, level, first)  # 2
    check_region(ctx, code)  # 3
    kind = fetch_type(ctx, code // 100, type_version)  # 4
    if kind.rules.is_paper != paper:
        raise Rejected(BillsReason.PAPER_TYPE, f"paper: {kind.rules.is_paper}", path="code")
    allotment = fetch_allotment(ctx, code, level, first)  # 5
    check_holder(ctx, allotment)
    check_open(ctx, allotment)  # 6
    _check_term(allotment, now, offline)  # 7
    issuer = ctx.find(Issuer, ctx.sender)
    below = issuer.below if issuer else 0
    if issuing:  # 8, 9
        _check_issuer(issuer, now)
        _check_archive(allotment, below, kind.rules.archive_within_seconds, now)
    rules = kind.rules
    year = year_span(code, ctx.env.utc_offset_seconds)
    force = (
        parse_instant(kind.valid_from),
        parse_instant(kind.until) if kind.until else INTEGER_MAX,
    )
    closed = _closed(issuer, code // 100)
    past = allotment.offline_days * DAY_SECONDS if offline else rules.issue_past_seconds_max
    return Place(
        key=row_key(Allotment.KIND, allotment.id),
        code=code,
        type_version=type_version,
        rules=rules,
        year=year,
        force=force,
        earliest=max(year[0], force[0], now - past, closed),
        latest=min(year[1], force[1], now + rules.issue_future_seconds_max + 1),
        closed=closed,
        below=below,
    )


def _closed(issuer: Issuer | None, type_id: int) -> int:
    """Up to where the issuer's months of a type are closed; 0: none is."""
    for each in issuer.closed if issuer else ():
        if each.type == type_id:
            return parse_instant(each.before)
    return 0


def _check_term(allotment: Allotment, now: int, offline: bool) -> None:
    if allotment.account in ("submitted", "accepted"):
        raise Rejected(
            BillsReason.BLOCK_CLOSED, f"its account is {allotment.account}", path="first"
        )
    if offline != (allotment.offline_days > 0):
        days = allotment.offline_days
        raise Rejected(BillsReason.OFFLINE_ONLY, f"its offline days: {days}", path="first")
    if allotment.until is not None and now >= parse_instant(allotment.until):
        raise Rejected(BillsReason.BLOCK_CLOSED, f"closed at {allotment.until}", path="first")
    if now < parse_instant(allotment.active_from):
        raise Rejected(BillsReason.BLOCK_CLOSED, f"opens at {allotment.active_from}", path="first")


def _check_issuer(issuer: Issuer | None, now: int) -> None:
    if issuer is None:
        return
    if issuer.state != "active":
        raise Rejected(BillsReason.ISSUER_SUSPENDED, f"suspended: {issuer.reason}")
    if issuer.overdue_from is not None and now >= parse_instant(issuer.overdue_from):
        raise Rejected(
            BillsReason.UNARCHIVED, f"a named exception is overdue since {issuer.overdue_from}"
        )


def _check_archive(allotment: Allotment, below: int, within: int, now: int) -> None:
    waits = waiting(allotment, below)
    if not waits or not within:
        return
    oldest = waits[0]
    # Once the first of a mark is archived the others are younger, by a step at most.
    slack = within // MARKS_PER_LIMIT if oldest.index < below else 0
    if now >= parse_instant(oldest.at) + within + slack:
        raise Rejected(
            BillsReason.UNARCHIVED, f"entry {oldest.index} of {oldest.at} waits", path="first"
        )


def waiting(allotment: Allotment, below: int) -> list[Mark]:
    """The marks of which some bill is not archived yet, the archive being at `below`."""
    return [each for each in allotment.marks if (each.through or allotment.last_index) >= below]


def check_time(place: Place, issued_at: str) -> None:
    """Check 10: the time lies in the code's year, the type's term, an open month, the window.

    I2, I12, W2.
    """
    at = read_instant(issued_at, "issued_at")
    if place.earliest <= at < place.latest:
        return
    path = "issued_at"
    if not place.year[0] <= at < place.year[1]:
        raise Rejected(BillsReason.CODE_TYPE_MISMATCH, "not in the code's year", path=path)
    if not place.force[0] <= at < place.force[1]:
        raise Rejected(BillsReason.TYPE_EXPIRED, f"not in force at {issued_at}", path=path)
    if at < place.closed:
        before = format_instant(place.closed)
        raise Rejected(BillsReason.PERIOD_CLOSED, f"closed before {before}", path=path)
    if at < place.earliest:
        raise Rejected(BillsReason.TIME_TOO_OLD, f"{issued_at} is too long ago", path=path)
    raise Rejected(BillsReason.TIME_FUTURE, f"{issued_at} is ahead of the ledger", path=path)


def read_allotment(ctx: Context, place: Place) -> Allotment:
    """The row as the items before this one have left it."""
    row = ctx.state.get(place.key, Allotment)
    if row is None:
        raise LookupError(place.key)  # `find_place` has seen it
    return row


def check_number(ctx: Context, allotment: Allotment, number: int, path: str = "number") -> None:
    """Check 11: the number is the allotment's, and nothing has befallen it (N1, N3, N6)."""
    if not allotment.first <= number <= allotment.last:
        raise Rejected(BillsReason.NUMBER_NOT_ALLOCATED, f"not in {allotment.id}", path=path)
    if allotment.gone and (gone := intervals.find(allotment.gone, number)):
        used = gone.fate == "elsewhere"
        reason = BillsReason.NUMBER_USED if used else BillsReason.NUMBER_NOT_ALLOCATED
        raise Rejected(reason, f"{gone.fate} with {gone.first} to {gone.last}", path=path)
    if number < allotment.next and (held := ctx.find_slot(Bill, allotment.code, number)):
        void = held.state == "void"
        raise Rejected(
            BillsReason.NUMBER_VOID if void else BillsReason.NUMBER_USED,
            f"{held.id} is {held.state}",
            path=path,
        )


def take_number(
    ctx: Context, place: Place, allotment: Allotment, number: int, bill: Bill
) -> Allotment:
    """Write the bill into its slot and count it in its allotment.

    The bill's commitments cannot be guessed, so its row needs no salt to hide behind its hash.
    """
    ctx.state.set(slot_key(place.code, number), bill, UNSALTED)
    if allotment.marks is not place.marks:
        place.marks = _marked(ctx, place, allotment)
    row = replace(
        allotment,
        version=allotment.version + 1,
        issued=allotment.issued + 1,
        next=max(allotment.next, number + 1),
        marks=place.marks,
        last_index=ctx.index,
    )
    ctx.state.set(place.key, row, ctx.item_hash)
    return row


def _marked(ctx: Context, place: Place, allotment: Allotment) -> list[Mark]:
    """The marks with this item's entry under one of them, and without those that are done."""
    within = place.rules.archive_within_seconds
    if not within:
        return allotment.marks
    marks = waiting(allotment, place.below)
    if marks:
        newest = marks[-1]
        step = max(within // MARKS_PER_LIMIT, 1)
        if ctx.block_time < parse_instant(newest.at) + step or len(marks) >= MARKS_MAX:
            return marks
        marks[-1] = replace(newest, through=allotment.last_index)
    return [*marks, Mark(index=ctx.index, at=format_instant(ctx.block_time))]
