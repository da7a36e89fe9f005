"""The API of bills: what members and holders may ask about numbers, bills, claims and money due.

Whoever may read a bill is said by `access`; each private read stands in the holder's log.
What a stranger may ask is `check_api`. See docs/spec/http.md.

Invariant: an answer is of one moment of the ledger, and never of a bill that the caller may not
read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from starlette.responses import Response

from tallystick.apps.bills.access import by_grant, forbidden, reads_of
from tallystick.apps.bills.holder_log import Touched
from tallystick.apps.bills.readers import is_own
from tallystick.contracts.bills.records.bills import (
    Allotment,
    Bill,
    BillCode,
    BillId,
    format_bill_id,
    live_lock,
)
from tallystick.contracts.bills.views.bills import (
    Accounting,
    account,
    acts_for,
    find_allotment,
    find_bill,
    is_acknowledged,
    is_archived,
    list_allotments,
    own_ranges,
)
from tallystick.contracts.bills.views.claims import (
    Outstanding,
    Standing,
    find_claims,
    list_claims,
    list_outstanding,
    standing_of,
)
from tallystick.contracts.kit.context import slot_key
from tallystick.ledger.receipts import read_segment
from tallystick.ledger.records import Segment
from tallystick.ledger.view import View
from tallystick.protocol.canonical import Meta, Record, builtins, decode, decoder, encode
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Rejected
from tallystick.protocol.receipt import Receipt
from tallystick.protocol.status import StatusDocument
from tallystick.protocol.values import Count, Instant, OrgId, format_instant, parse_instant
from tallystick.web.endpoint import Ask, Endpoint, answer, raw
from tallystick.web.ledger_records import Flag, Wait, WaitQuery
from tallystick.web.reasons import WebReason

_read_row = decoder(Bill).decode
BILLS_MAX = 1_000
LOOKED_MAX = 100_000
"""Numbers that are looked at for one answer."""
ENTRIES_MAX = 100_000


class BillAnswer(Record):
    """A bill as of the last block."""

    row: dict[str, Any]
    """The record, every member of it: docs/spec/contracts/bills.md."""
    archived: bool
    """Finance's archive has said that the body is checked and stored."""
    acknowledged: bool
    """It may be called issued 已开具, as the rules of its type say."""
    locked: bool
    numbers: Standing | None = None
    """Of a blue bill: what was borne, came back, is left."""
    at: Instant
    """Of the last block."""
    size: Count
    """Of the log then."""


class BillQuery(Record):
    """How its receipt is wanted."""

    status: Flag = 0
    """With a proof of its state."""
    wait: Wait = 0
    """Seconds to wait for a note that meets the node's policy."""


class BillsQuery(Record):
    """Which bills: of an issuer, of a code, of a business day."""

    code: BillCode
    issuer: OrgId
    day: Annotated[str, Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")] | None = None
    """By the clock of the network's region."""
    after: Count = 0
    """Numbers behind this one."""
    limit: Annotated[int, Meta(ge=1, le=BILLS_MAX)] | None = None


class BillsAnswer(Record):
    """Bills by number; `after` goes on behind the last that was looked at."""

    bills: list[dict[str, Any]] = []
    after: Count | None = None


class AllotmentsQuery(Record):
    """Which ranges."""

    code: BillCode | None = None
    holder: OrgId | None = None


class AllotmentsAnswer(Record):
    """Ranges of numbers in somebody's hand."""

    allotments: list[dict[str, Any]] = []


class ClaimsQuery(Record):
    """Which claims: those of a bill that the caller may read, or the caller's own."""

    code: BillCode | None = None
    due: Flag = 0
    """Only those with money to come back."""


class ClaimsAnswer(Record):
    """Claims by bill."""

    claims: list[dict[str, Any]] = []


class ReadsAnswer(Record):
    """Who read a bill at this node, the oldest first."""

    reads: list[Touched] = []


class OutstandingAnswer(Record):
    """What each reimburser has to get back."""

    outstanding: list[Outstanding] = []


class RefusalsQuery(Record):
    """From where on."""

    after: Count = 0
    limit: Annotated[int, Meta(ge=1, le=BILLS_MAX)] | None = None


class Refusal(Record):
    """An item of the caller's that the ledger refused."""

    index: Count
    action: str
    reason: str
    item: dict[str, Any]


class RefusalsAnswer(Record):
    """Refusals by entry; whoever asks again from `after` on is told what was not looked at yet."""

    refusals: list[Refusal] = []
    after: Count


# ----------------------------------------------------------------------------------- bills


async def bill(ask: Ask) -> Response:
    """A bill as of the last block, with what may still be claimed of it."""
    service = ask.service
    with service.view() as view:
        found = read_bill(ask, view)
        now = max(view.head.at, service.clock())
        shown = BillAnswer(
            row=builtins(found),
            archived=is_archived(view, found),
            acknowledged=found.root is not None and is_acknowledged(view, found),
            locked=live_lock(found, now) is not None,
            numbers=standing_of(view, found, now) if found.bill_kind == "blue" else None,
            at=format_instant(view.head.at),
            size=view.head.size,
        )
    return answer(shown)


async def bill_receipt(ask: Ask) -> Response:
    """The receipt of the entry that made a bill; with `status`, and its state now."""
    service, query = ask.service, ask.query
    with service.view() as view:
        found = read_bill(ask, view)
    if found.entry is None:
        raise Rejected(WebReason.NOT_FOUND, "no entry made this number")
    index = found.entry
    if not query.status:
        _, known = await service.best(index, query.wait)
        with service.view() as view:
            return raw(encode(view.receipt(index, known.note)))
    moment, known = await service.proven(index, query.wait)
    code, number = ask.path["code"], ask.path["number"]
    with moment.lock:
        return raw(encode(moment.view.receipt(index, known.note, row=slot_key(code, number))))


async def bill_status(ask: Ask) -> Response:
    """How a number stands: its entry in the log and its row, or its absence, proven, and small."""
    service, bill_id = ask.service, _bill_id(ask)  # of what is no number, nothing is proven
    moment, known = await service.proven(-1, ask.query.wait)
    code, number = ask.path["code"], ask.path["number"]

    def look(row: bytes | None) -> None:
        found = None if row is None else _read_row(row)
        try:
            service.readers.row(moment.view, ask.caller, found, f"{Bill.KIND}/{bill_id}")
        except Rejected as refusal:
            if refusal.reason is not WebReason.NOT_FOUND:
                raise  # to whom a number's absence may be said, it is proven

    with moment.lock:
        return raw(service.prover(moment, known).status(code, number, Bill.KIND, look))


async def bill_claims(ask: Ask) -> Response:
    """The claims of a bill that the caller may see, by ordinal."""
    with ask.service.view() as view:
        found = find_claims(view, read_bill(ask, view))
        shown = [builtins(each) for each in found if _may(ask, view, each)]
    return answer(ClaimsAnswer(claims=shown))


def bill_reads(ask: Ask) -> Response:
    """Who read a bill here, for its holder and for those who may see everything."""
    with ask.service.view() as view:
        bill_id = _bill_id(ask)
        if ask.caller.bill != bill_id:
            ask.service.readers.all(view, ask.caller)
    return answer(ReadsAnswer(reads=reads_of(ask.service.reads(bill_id))))


def read_bill(ask: Ask, view: View) -> Bill:
    """The bill that the path names, if the caller may read it."""
    bill_id = _bill_id(ask)
    found = find_bill(view, bill_id)
    ask.service.readers.row(view, ask.caller, found, f"{Bill.KIND}/{bill_id}")
    if found is None:
        raise Rejected(WebReason.NOT_FOUND, f"nothing befell {bill_id} yet")
    return found


def _bill_id(ask: Ask) -> BillId:
    code, number = ask.path["code"], ask.path["number"]
    if not (10_000_000 <= code <= 99_999_999 and 1 <= number <= 9_999_999_999):
        raise Rejected(WebReason.NOT_FOUND, "a code has 8 digits, a number is 1 to 10 of them")
    return format_bill_id(code, number)


def bills(ask: Ask) -> Response:
    """An issuer's bills of a code, by number; of one business day where it is named."""
    query, service = ask.query, ask.service
    limit, found, looked = query.limit or BILLS_MAX, list[dict[str, Any]](), query.after
    with service.view() as view:
        _check_issuer(ask, view)
        offset = view.genesis.utc_offset_seconds
        for n, each in enumerate(_bills_of(view, query.code, query.issuer, query.after)):
            if len(found) == limit or n == LOOKED_MAX:
                return answer(BillsAnswer(bills=found, after=looked))
            looked = int(each.id.partition(":")[2])
            if query.day is None or business_day(each.issued_at, offset) == query.day:
                service.readers.row(view, ask.caller, each, f"{Bill.KIND}/{each.id}")
                found.append(builtins(each))
    return answer(BillsAnswer(bills=found))


def _check_issuer(ask: Ask, view: View) -> None:
    """The caller may list these, so that nobody else learns how many there are."""
    caller, query = ask.caller, ask.query
    own = caller.kind == "member" and caller.own(query.code)
    if own and acts_for(view, caller.org, query.issuer):
        return
    if not by_grant(view, caller, query.code, ask.service.clock()):
        raise forbidden(caller, f"bills of {query.issuer}")


def _bills_of(view: View, code: int, issuer: str, after: int) -> Iterator[Bill]:
    for row in sorted(list_allotments(view, code, holder=issuer), key=lambda each: each.first):
        for first, last in own_ranges(row):
            if last > after:
                yield from view.scan_slots(Bill, code, max(first, after + 1), last)


def business_day(instant: str, utc_offset_seconds: int) -> str:
    """The day of an instant by the clock of the network's region: ``2026-01-31``."""
    return format_instant(parse_instant(instant) + utc_offset_seconds)[:10]


# --------------------------------------------------------------------------------- numbers


def allotments(ask: Ask) -> Response:
    """Ranges of numbers: the caller's own, those that it granted, or all by a grant."""
    query = ask.query
    holder = query.holder or (None if query.code else ask.caller.org)
    with ask.service.view() as view:
        found = [
            builtins(row)
            for row in list_allotments(view, query.code, holder=holder)
            if _may(ask, view, row)
        ]
    return answer(AllotmentsAnswer(allotments=found))


def allotment(ask: Ask) -> Response:
    """The accounting of a range 核销: where each of its numbers is."""
    path = ask.path
    with ask.service.view() as view:
        code, level, first = path["code"], path["level"], path["first"]
        row = find_allotment(view, code, level, first)
        key = f"{Allotment.KIND}/{code}/{level}/{first:010}"
        ask.service.readers.row(view, ask.caller, row, key)
        if row is None:
            raise Rejected(WebReason.NOT_FOUND, "there is no such range")
        return answer(account(view, row))


def _may(ask: Ask, view: View, row: Any) -> bool:
    try:
        ask.service.readers.row(view, ask.caller, row, f"{row.kind}/{row.id}")
    except Rejected:
        return False
    return True


# ---------------------------------------------------------------------------------- claims


def claims(ask: Ask) -> Response:
    """The caller's own claims, on bills of one code or of all."""
    query = ask.query
    with ask.service.view() as view:
        found = [
            builtins(each)
            for each in list_claims(view, own_org(ask), query.code)
            if (not query.due or each.amounts.get("due")) and _may(ask, view, each)
        ]
    return answer(ClaimsAnswer(claims=found))


def outstanding(ask: Ask) -> Response:
    """Claw-backs 追回: what came back and what is due; a reimburser's own, or all by a grant."""
    with ask.service.view() as view:
        try:
            ask.service.readers.all(view, ask.caller)
            found = list_outstanding(view)
        except Rejected:
            org = own_org(ask)
            if not ask.caller.own():
                raise  # sums over all codes are not for who is bound to some
            found = [each for each in list_outstanding(view) if each.reimburser == org]
    return answer(OutstandingAnswer(outstanding=found))


def refusals(ask: Ask) -> Response:
    """Items of the caller's that the ledger refused, and why, by entry."""
    org, query = own_org(ask), ask.query
    limit, found = query.limit or BILLS_MAX, list[Refusal]()
    with ask.service.view() as view:
        end = min(view.head.size, query.after + ENTRIES_MAX)
        for segment in _segments_from(view, query.after, end):
            parts, _, outcomes = read_segment(segment)
            end = max(end, segment.first + len(outcomes))
            if parts.header.sender != org:
                continue
            for n, outcome in enumerate(outcomes):
                index = segment.first + n
                if outcome == ACCEPTED or index < query.after:
                    continue
                item = decode(bytes(parts.items[n]), dict[str, Any])
                if not is_own(ask.caller, item):
                    continue
                if len(found) == limit:
                    return answer(RefusalsAnswer(refusals=found, after=index))
                action = parts.header.action
                found.append(Refusal(index=index, action=action, reason=outcome, item=item))
    return answer(RefusalsAnswer(refusals=found, after=max(query.after, end)))


def _segments_from(view: View, after: int, end: int) -> Iterator[Segment]:
    """Transactions that have entries from `after` on: the first may have begun before."""
    if after < end:
        after = view.segment(after).first
    yield from view.segments(after, end)


def own_org(ask: Ask) -> str:
    """The organisation that asks; refused to a holder, and to a pass that is not for its bills."""
    caller = ask.caller
    if caller.org is None or not caller.owns:
        raise Rejected(WebReason.FORBIDDEN, "this is for members")
    return str(caller.org)


_BILL = "/api/v1/bills/{code:int}/{number:int}"
ENDPOINTS = (
    Endpoint("GET", _BILL, bill, "A bill now", answer=BillAnswer, tag="bills"),
    Endpoint("GET", f"{_BILL}/receipt", bill_receipt, "A bill's receipt", query=BillQuery,
             answer=Receipt, tag="bills"),
    Endpoint("GET", f"{_BILL}/status", bill_status, "How a number stands, proven",
             query=WaitQuery, answer=StatusDocument, tag="bills"),
    Endpoint("GET", f"{_BILL}/claims", bill_claims, "A bill's claims", answer=ClaimsAnswer,
             tag="bills"),
    Endpoint("GET", f"{_BILL}/reads", bill_reads, "Who read a bill", answer=ReadsAnswer,
             tag="bills"),
    Endpoint("GET", "/api/v1/bills", bills, "An issuer's bills", query=BillsQuery,
             answer=BillsAnswer, tag="bills"),
    Endpoint("GET", "/api/v1/allotments", allotments, "Ranges of numbers", query=AllotmentsQuery,
             answer=AllotmentsAnswer, tag="numbers"),
    Endpoint("GET", "/api/v1/allotments/{code:int}/{level:int}/{first:int}", allotment,
             "Where each number of a range is", answer=Accounting, tag="numbers"),
    Endpoint("GET", "/api/v1/claims", claims, "Own claims", query=ClaimsQuery, answer=ClaimsAnswer,
             tag="claims"),
    Endpoint("GET", "/api/v1/claw-backs", outstanding, "Money due back", answer=OutstandingAnswer,
             tag="claims"),
    Endpoint("GET", "/api/v1/refusals", refusals, "Own refused items", query=RefusalsQuery,
             answer=RefusalsAnswer, tag="acts"),
)  # fmt: skip
"""What a node serves about bills to members and holders."""
