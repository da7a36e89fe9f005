"""Reconciliation: the caller's own list of a day against the bills that were issued, line by line.

Every line and every bill falls into one place: both agree, or there is a difference, in a class,
with what to do about it. Pure: what is compared is handed in.

    total there - total here  =  only_there + duplicate - only_here + amount (there - here)
                                 + place (there - here)

Invariant: the equation above holds to the cent, whatever the list says.
See docs/spec/reconciliation.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, get_args

from tallystick.apps.bills.reconcile_advice import ADVICE
from tallystick.contracts.bills.body import Code
from tallystick.contracts.bills.records.bills import BillId, CatalogueCode
from tallystick.protocol.canonical import Meta, Record, encode
from tallystick.protocol.values import (
    Amount,
    Count,
    Day,
    Digest,
    Instant,
    OrgId,
    PublicKey,
    Signature,
    SignedAmount,
    Word,
    tagged_hash,
)

FORMAT: Literal["tallystick/reconciled/v1"] = "tallystick/reconciled/v1"
CONTEXT = b"tallystick/reconciled/v1\n"
LINES_MAX = 100_000

Kind = Literal["only_there", "only_here", "amount", "state", "paper", "place", "duplicate"]
KINDS: tuple[Kind, ...] = get_args(Kind)
There = Literal["issued", "partly_reversed", "reversed"]
Here = Literal["issued", "partly_reversed", "reversed", "waiting", "refused"]
Verb = Literal["issue", "reverse", "replace"]
Ref = Annotated[str, Meta(max_length=64)]


class Line(Record):
    """One line of the caller's list: one bill."""

    ref: Ref = ""
    """The business code of the bill, or the ref under which it was asked for."""
    bill: BillId | None = None
    total: Amount
    state: There | None = None
    """Left out: issued."""
    red: bool = False
    """A refund's own bill: it counts against the others."""
    paper: BillId | None = None
    place: CatalogueCode | None = None
    """Place, shift and day: left out, those that are reconciled."""
    shift: Code | None = None
    day: Day | None = None
    draft: Any = None
    """The bill as it should be: with it, what is missing or wrong can be done here."""


class Bill(Record):
    """One bill as it stands here and on the ledger."""

    bill: BillId
    refs: list[Ref] = []
    total: Amount
    state: Here
    red: bool = False
    reverses: BillId | None = None
    paper: BillId | None = None
    place: CatalogueCode | None = None
    shift: Code | None = None
    day: Day


class Scope(Record):
    """What is reconciled: a business day, of one place and shift or of all."""

    day: Day
    place: CatalogueCode | None = None
    shift: Code | None = None

    def has(self, day: str | None, place: str | None, shift: str | None) -> bool:
        """Whether something of there belongs here; what it does not say is as here."""
        return (
            day in (None, self.day)
            and (self.place is None or place in (None, self.place))
            and (self.shift is None or shift in (None, self.shift))
        )


class Side(Record):
    """One of the two that differ."""

    total: Amount
    state: Word
    paper: BillId | None = None
    place: CatalogueCode | None = None
    shift: Code | None = None
    day: Day | None = None


class Act(Record):
    """What could be done here, and what the ledger would say to it now."""

    verb: Verb
    bill: BillId | None = None
    """That is reversed or replaced."""
    reason: Word | None = None
    draft: Any = None
    outcome: str = ""
    """Of the dry run: ``accepted``, or the reason why not."""
    detail: str = ""


class Difference(Record):
    """One line or bill that does not agree, and what to do."""

    n: Count
    kind: Kind
    ref: Ref = ""
    bill: BillId | None = None
    red: bool = False
    there: Side | None = None
    here: Side | None = None
    action: Word
    todo_zh: str
    todo_en: str
    act: Act | None = None


class Sum(Record):
    """How many, and their money: blue less red."""

    count: Count = 0
    there: SignedAmount = 0
    here: SignedAmount = 0


class Result(Record):
    """What a reconciliation found; kept, signed, for the accounting of numbers."""

    format: Literal["tallystick/reconciled/v1"]
    network: Digest
    org: OrgId
    scope: Scope
    at: Instant
    by: str = ""
    """Who asked: a token's name; empty, on the command line."""
    list_digest: Digest
    """SHA-256 of the list in its canonical encoding."""
    proven: bool
    """Whether each row was verified; else the ledger's server said so."""
    there: Sum
    here: Sum
    equal: Sum
    outside: Count = 0
    """Lines of other places, shifts or days."""
    netted: Count = 0
    """Bills that were wholly reversed, and red bills, where the list names neither."""
    classes: dict[str, Sum]
    differences: Count
    """How many; they stand beside this, in order."""
    differences_digest: Digest
    """SHA-256 of them, each in its canonical encoding with a line's end."""

    @property
    def digest(self) -> bytes:
        """Names this result."""
        return tagged_hash(CONTEXT, encode(self))


class Signed(Record):
    """As the first line of the file has it."""

    result: Result
    digest: Digest
    key: PublicKey
    signature: Signature
    """Over the context line and the result's encoding."""


class Done(Record):
    """What became of one act of a plan."""

    n: Count
    verb: Verb
    outcome: str
    bill: BillId | None = None
    detail: str = ""


class Applied(Record):
    """What became of a plan."""

    plan: Digest
    at: Instant
    acts: list[Done]


def compare(scope: Scope, lines: Sequence[Line], bills: Sequence[Bill]) -> Compared:
    """Each line and each bill, in one place. `bills`: those of the scope, and those elsewhere that
    a line names."""
    found, known = Compared(), _Bills(bills)
    seen: set[str] = set()
    for line in lines:
        inside = scope.has(line.day, line.place, line.shift)
        bill = known.find(line)
        name = bill.bill if bill else line.bill or (f"{line.ref}/{line.red}" if line.ref else "")
        if name and name in seen:
            found.again(line, bill, inside)
            continue
        seen.add(name)
        if bill is not None:
            known.matched.add(bill.bill)
        found.first(line, bill, inside, bill is not None and _holds(scope, bill))
    reds = any(line.red for line in lines)
    for bill in bills:
        if bill.bill in known.matched or not _holds(scope, bill) or bill.state == "refused":
            continue
        if reds or not (bill.red or bill.state == "reversed"):
            found.only_here(bill)
        else:
            found.netted += 1
    return found


def _holds(scope: Scope, bill: Bill) -> bool:
    """A bill that names no place is of none: it belongs to all places together."""
    return (
        bill.day == scope.day
        and scope.place in (None, bill.place)
        and scope.shift in (None, bill.shift)
    )


class Compared:
    """What was found."""

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        self.classes: dict[str, Sum] = {kind: Sum() for kind in KINDS}
        self.there = Sum()
        self.here = Sum()
        self.equal = Sum()
        self.outside = 0
        self.netted = 0

    def again(self, line: Line, bill: Bill | None, inside: bool) -> None:
        """A line about what another line was about."""
        if inside:
            self.add("duplicate", "duplicate", line, bill, there=True)
        else:
            self.outside += 1

    def first(self, line: Line, bill: Bill | None, inside: bool, here: bool) -> None:
        """A line, and the bill that it is about, if there is one; whether each is of the scope."""
        if not inside and not here:
            self.outside += 1
        elif bill is None:
            self.only_there(line)
        elif inside and here:
            self.pair(line, bill)
        else:
            self.add("place", "place", line, bill, there=inside, here=here)

    def only_there(self, line: Line) -> None:
        """A line without a bill."""
        act = Act(verb="issue", draft=line.draft) if line.draft is not None else None
        self.add("only_there", "issue", line, None, act, there=True)

    def only_here(self, bill: Bill) -> None:
        """A bill without a line."""
        act, why = None, "reverse_unknown"
        if bill.state == "waiting":
            why = "wait"
        elif bill.red or bill.state == "reversed":
            why = "reversed_unknown"
        elif bill.state == "issued":
            act = Act(verb="reverse", bill=bill.bill, reason="reconciled")
        self.add("only_here", why, None, bill, act, here=True)

    def pair(self, line: Line, bill: Bill) -> None:
        """A line and its bill."""
        self.there = _plus(self.there, there=_signed(line.total, line.red))
        self.here = _plus(self.here, here=_signed(bill.total, bill.red))
        before = len(self.differences)
        if line.total != bill.total:
            act = None
            if line.draft is not None and bill.state == "issued" and not bill.red:
                act = Act(verb="replace", bill=bill.bill, reason="reconciled", draft=line.draft)
            self._note("amount", "amount", line, bill, act)
            self._count("amount", line, bill)
        if not line.red:
            self._states(line, bill)
            self._papers(line, bill)
        if len(self.differences) == before:
            self.equal = _plus(
                self.equal,
                there=_signed(line.total, line.red),
                here=_signed(bill.total, bill.red),
            )

    def add(
        self,
        kind: Kind,
        why: str,
        line: Line | None,
        bill: Bill | None,
        act: Act | None = None,
        *,
        there: bool = False,
        here: bool = False,
    ) -> None:
        """A difference that counts on the sides that are named."""
        self._note(kind, why, line, bill, act)
        if there and line is not None:
            self.there = _plus(self.there, there=_signed(line.total, line.red))
        if here and bill is not None:
            self.here = _plus(self.here, here=_signed(bill.total, bill.red))
        self._count(kind, line if there else None, bill if here else None)

    def _states(self, line: Line, bill: Bill) -> None:
        state = line.state or "issued"
        if state == bill.state:
            return
        act, why = None, "partly"
        if bill.state in ("waiting", "refused"):
            why = "wait" if bill.state == "waiting" else "refused"
        elif state == "reversed":
            why = "reverse_refunded"
            if bill.state == "issued":
                act = Act(verb="reverse", bill=bill.bill, reason="refund")
        elif bill.state == "reversed":
            why = "reversed_here"
        self._note("state", why, line, bill, act)
        self._count("state", line, bill)

    def _papers(self, line: Line, bill: Bill) -> None:
        if line.paper == bill.paper:
            return
        why = "paper_other"
        if bill.paper is None:
            why = "paper_missing"
        elif line.paper is None:
            why = "paper_here"
        self._note("paper", why, line, bill, None)
        self._count("paper", line, bill)

    def _count(self, kind: Kind, line: Line | None, bill: Bill | None) -> None:
        self.classes[kind] = _plus(
            self.classes[kind],
            there=_signed(line.total, line.red) if line else 0,
            here=_signed(bill.total, bill.red) if bill else 0,
        )

    def _note(
        self, kind: Kind, why: str, line: Line | None, bill: Bill | None, act: Act | None
    ) -> None:
        advice = ADVICE[why]
        self.differences.append(
            Difference(
                n=len(self.differences),
                kind=kind,
                ref=line.ref if line else (bill.refs[0] if bill and bill.refs else ""),
                bill=bill.bill if bill else line.bill if line else None,
                red=line.red if line else bool(bill and bill.red),
                there=_there(line) if line else None,
                here=_here(bill) if bill else None,
                action=advice.action,
                todo_zh=advice.zh,
                todo_en=advice.en,
                act=act,
            )
        )


class _Bills:
    """Finds the bill of a line."""

    def __init__(self, bills: Iterable[Bill]) -> None:
        self._numbered: dict[str, Bill] = {}
        self._named: dict[tuple[str, bool], list[Bill]] = {}
        self.matched: set[str] = set()
        for bill in bills:
            self._numbered[bill.bill] = bill
            for ref in bill.refs:
                self._named.setdefault((ref, bill.red), []).append(bill)

    def find(self, line: Line) -> Bill | None:
        """By its number; else by its ref the one that stands, and is no other line's."""
        if line.bill is not None:
            found = self._numbered.get(line.bill)
            return found if found is not None and found.red == line.red else None
        named = self._named.get((line.ref, line.red), []) if line.ref else []
        wanted = "reversed" if line.state == "reversed" else "issued"
        ranked = sorted(named, key=lambda bill: _rank(bill, wanted, self.matched))
        return ranked[0] if ranked else None


def _rank(bill: Bill, wanted: str, matched: set[str]) -> tuple[bool, bool, bool, str]:
    return bill.bill in matched, bill.state != wanted, bill.state == "refused", bill.bill


def _signed(amount: int, red: bool) -> int:
    return -amount if red else amount


def _plus(found: Sum, *, there: int = 0, here: int = 0) -> Sum:
    return Sum(count=found.count + 1, there=found.there + there, here=found.here + here)


def _there(line: Line) -> Side:
    return Side(
        total=line.total,
        state=line.state or "issued",
        paper=line.paper,
        place=line.place,
        shift=line.shift,
        day=line.day,
    )


def _here(bill: Bill) -> Side:
    return Side(
        total=bill.total,
        state=bill.state,
        paper=bill.paper,
        place=bill.place,
        shift=bill.shift,
        day=bill.day,
    )
