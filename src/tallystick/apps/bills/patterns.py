"""Suspicious patterns, for the supervisor: what log and rows show once they are put together.

Refused items are no rows: they stand in the log alone, and are counted out of it. What was refused
before it was ordered has left no trace and is not here.

Invariant: nothing here is a judgement, each line is a count that anyone who has the log can repeat;
and no line names a reimburser together with a bill that it was refused on.
See docs/spec/contracts/bills-supervision.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tallystick.contracts.bills.items.bills import Issue, Replace, Reverse
from tallystick.contracts.bills.items.claims import Lock, ReadyShare, Supplement
from tallystick.contracts.bills.items.paper import Exchange, Reprint
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    Series,
    allotment_id,
    format_bill_id,
)
from tallystick.contracts.bills.views.bills import count_skipped, find_bill, list_allotments
from tallystick.contracts.bills.views.supervision import list_findings, list_frozen
from tallystick.ledger.receipts import read_segment
from tallystick.ledger.view import View
from tallystick.protocol.canonical import Record, decode
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Damaged
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import Count, Instant, OrgId, format_instant, local_day
from tallystick.vault import Finding

REPEATED = 2
"""From so many refusals on a claim counts as repeated; one may be a mistake."""
EXAMPLES_MAX = 20

DOUBLE = (
    BillsReason.CLAIM_LOCKED,
    BillsReason.CLAIM_DUPLICATE,
    BillsReason.CLAIM_CAP,
    BillsReason.CLAIM_PAPER,
)
"""Refusals of who wants money of a bill that another has, or with a form that is not live."""

_CLAIMING: dict[str, type[Item]] = {
    "bills.lock/1": Lock,
    "bills.ready/1": ReadyShare,
    "bills.supplement/1": Supplement,
}
_TAKING: dict[str, type[Item]] = {
    "bills.issue/1": Issue,
    "bills.issue_offline/1": Issue,
    "bills.reverse/1": Reverse,
    "bills.replace/1": Replace,
    "bills.exchange/1": Exchange,
    "bills.reprint/1": Reprint,
}


class Doubled(Record, kw_only=True):
    """Refused claims on one bill, or by one reimburser: `subject`."""

    subject: str
    refused: Count
    others: Count
    """Of a bill: how many reimbursers tried. Of a reimburser: on how many bills."""
    reasons: dict[str, Count]
    first: Instant
    last: Instant


class Disordered(Record, kw_only=True):
    """An allotment whose numbers were not used in order."""

    allotment: str
    holder: OrgId
    backward: Count
    """How often a number was used after a higher one."""
    skipped: Count
    """Numbers below the highest used one to which nothing has happened yet."""
    examples: list[str]
    """The first bills with a number that came late, by entry."""


class Refused(Record, kw_only=True):
    """How often one reason was given to one organisation on one day of the network's time."""

    day: str
    org: OrgId
    reason: str
    count: Count


class Open(Record, kw_only=True):
    """A finding that waits for an answer, or a bill that is frozen."""

    id: str
    """The finding's, or the bill's."""
    bill: str
    issuer: OrgId
    what: str
    """Of a frozen bill: why."""
    since: Instant | None = None
    """Of a finding: when it reached the ledger."""


class Repeated(Record, kw_only=True):
    """What finance's archive found of one issuer and kind."""

    issuer: OrgId
    kind: str
    """``repeated``: two bills for one settlement; ``unreversed``: the next one of a live bill;
    ``content``: a body that breaks a rule."""
    count: Count
    examples: list[str]


class Patterns(Record, kw_only=True):
    """All of them, of one stretch of the log and of the rows at its end."""

    first: Count
    size: Count
    """Of the log."""
    at: Instant
    doubled_bills: list[Doubled]
    doubled_reimbursers: list[Doubled]
    disordered: list[Disordered]
    refused: list[Refused]
    disputed: list[Open]
    frozen: list[Open]
    archive: list[Repeated] = []


@dataclass(frozen=True, slots=True)
class Step:
    """One item as the log has it."""

    index: int
    at: int
    sender: str
    action: str
    data: bytes
    outcome: str


def steps(view: View, first: int = 0) -> Iterator[Step]:
    """Every item from log index `first` on, in order."""
    block, at = 0, 0
    for segment in view.segments(first, view.head.size):
        if segment.block != block:
            block, at = segment.block, _time_of(view, segment.block)
        parts, _, outcomes = read_segment(segment)
        header = parts.header
        for n, (data, outcome) in enumerate(zip(parts.items, outcomes, strict=True)):
            yield Step(segment.first + n, at, header.sender, header.action, bytes(data), outcome)


def first_entry(view: View, at: int) -> int:
    """The log index from which on nothing is older than `at` (unix seconds)."""
    record = view.block(view.first_block(at))
    return view.head.size if record is None else record.first


def _time_of(view: View, block: int) -> int:
    record = view.block(block)
    if record is None:
        raise Damaged(f"the ledger lacks block {block}")
    return record.at


def find_patterns(
    view: View, *, first: int = 0, least: int = REPEATED, archive: Iterable[Finding] = ()
) -> Patterns:
    """One pass over the log from entry `first` on; `archive`: what finance's archive found."""
    doubled, order, refused = _Doubled(), _Order(), _Refusals(view.genesis.utc_offset_seconds)
    for step in steps(view, first):
        if step.outcome == ACCEPTED:
            order.take(step)
        else:
            refused.take(step)
            doubled.take(step)
    return Patterns(
        first=first,
        size=view.head.size,
        at=format_instant(view.head.at),
        doubled_bills=doubled.by_bill(least),
        doubled_reimbursers=doubled.by_reimburser(least),
        disordered=order.disordered(view),
        refused=refused.rows(),
        disputed=list(open_findings(view)),
        frozen=list(frozen_bills(view)),
        archive=group_findings(archive),
    )


# ------------------------------------------------------------------------------- double claims


@dataclass(slots=True)
class _Tries:
    """Refused claims of one subject."""

    reasons: Counter[str] = field(default_factory=Counter)
    others: set[str] = field(default_factory=set)
    first: int = 0
    last: int = 0

    def add(self, step: Step, other: str) -> None:
        self.first = self.first or step.at
        self.last = step.at
        self.reasons[step.outcome] += 1
        self.others.add(other)


@dataclass(slots=True)
class _Doubled:
    bills: dict[str, _Tries] = field(default_factory=dict)
    orgs: dict[str, _Tries] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        schema = _CLAIMING.get(step.action)
        if schema is None or step.outcome not in DOUBLE:
            return
        item: Any = decode(step.data, schema)
        self.bills.setdefault(item.bill, _Tries()).add(step, step.sender)
        self.orgs.setdefault(step.sender, _Tries()).add(step, item.bill)

    def by_bill(self, least: int) -> list[Doubled]:
        return _most(self.bills, least)

    def by_reimburser(self, least: int) -> list[Doubled]:
        return _most(self.orgs, least)


def _most(tried: dict[str, _Tries], least: int) -> list[Doubled]:
    """Those that were refused `least` times or more, the most refused first."""
    found = [
        Doubled(
            subject=subject,
            refused=each.reasons.total(),
            others=len(each.others),
            reasons=dict(sorted(each.reasons.items())),
            first=format_instant(each.first),
            last=format_instant(each.last),
        )
        for subject, each in tried.items()
        if each.reasons.total() >= least
    ]
    return sorted(found, key=lambda each: (-each.refused, each.subject))


# ------------------------------------------------------------------------------ numbers in order


@dataclass(slots=True)
class _Used:
    highest: int = 0
    backward: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Order:
    allotments: dict[str, _Used] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        schema = _TAKING.get(step.action)
        if schema is None:
            return
        item: Any = decode(step.data, schema)
        used = self.allotments.setdefault(allotment_id(item.code, item.level, item.first), _Used())
        numbers = [item.number]
        if isinstance(item, Replace):
            numbers.insert(0, item.red_number)
        for number in numbers:
            if number < used.highest:
                used.backward += 1
                if len(used.examples) < EXAMPLES_MAX:
                    used.examples.append(format_bill_id(item.code, number))
            used.highest = max(used.highest, number)

    def disordered(self, view: View) -> list[Disordered]:
        """Allotments with a late number or a skipped one, by id."""
        found = []
        for row in list_allotments(view):
            used, skipped = self.allotments.get(row.id, _Used()), count_skipped(row)
            if used.backward or skipped:
                found.append(
                    Disordered(
                        allotment=row.id,
                        holder=row.holder,
                        backward=used.backward,
                        skipped=skipped,
                        examples=used.examples,
                    )
                )
        return found


# -------------------------------------------------------------------------------------- refusals


@dataclass(slots=True)
class _Refusals:
    offset: int
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def take(self, step: Step) -> None:
        self.counts[local_day(step.at, self.offset), step.sender, step.outcome] += 1

    def rows(self) -> list[Refused]:
        """By day, organisation and reason."""
        return [
            Refused(day=day, org=org, reason=reason, count=count)
            for (day, org, reason), count in sorted(self.counts.items())
        ]


# -------------------------------------------------------------------------------- rows that wait


def open_findings(view: View) -> Iterator[Open]:
    """Findings that wait for an answer, by id."""
    for row in list_findings(view, state="open"):
        bill = find_bill(view, row.bill)
        if bill is None or row.entry is None:
            raise Damaged(f"the ledger lacks what finding {row.id} is about")
        at = _time_of(view, view.segment(row.entry).block)
        yield Open(
            id=row.id, bill=row.bill, issuer=bill.issuer, what=row.what, since=format_instant(at)
        )


def frozen_bills(view: View) -> Iterator[Open]:
    """Bills that are frozen, by code and number."""
    for series in view.scan(Series, ""):
        for bill in list_frozen(view, int(series.id)):
            yield Open(id=bill.id, bill=bill.id, issuer=bill.issuer, what=bill.frozen or "")


def group_findings(found: Iterable[Finding]) -> list[Repeated]:
    """What an archive found, by issuer and kind; what it keeps is not repeated here."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in found:
        bill = format_bill_id(each.code, each.number)
        groups.setdefault((each.issuer, each.kind), []).append(bill)
    return [
        Repeated(issuer=issuer, kind=kind, count=len(bills), examples=_some(bills))
        for (issuer, kind), bills in sorted(groups.items())
    ]


def _some(bills: Sequence[str]) -> list[str]:
    return sorted(bills)[:EXAMPLES_MAX]
