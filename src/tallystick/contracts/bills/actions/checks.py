"""Small questions that several actions ask in the same words.

Invariant: each either answers or refuses with its one reason. See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from functools import lru_cache

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    Allotment,
    Bill,
    BillType,
    TypePointer,
    TypeRules,
    allotment_id,
    parse_bill_id,
    standing,
    type_row_id,
)
from tallystick.contracts.bills.views import bills as views
from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.grants import Authority
from tallystick.contracts.kit.keys import check_version, find_key
from tallystick.contracts.kit.reasons import KitReason
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import parse_instant

CENTURY = 2000
"""A code has the last two digits of its year; the scheme began in this century."""


@lru_cache(maxsize=256)
def year_span(code: int, offset_seconds: int) -> tuple[int, int]:
    """First second of a code's year and of the next, at the network's fixed offset from UTC."""
    year = CENTURY + code % 100
    first = parse_instant(f"{year}-01-01T00:00:00Z") - offset_seconds
    return first, parse_instant(f"{year + 1}-01-01T00:00:00Z") - offset_seconds


@lru_cache(maxsize=256)
def grants_open_at(code: int, offset_seconds: int) -> int:
    """1 December before a code's year: from then on its numbers may be handed out."""
    return parse_instant(f"{CENTURY + code % 100 - 1}-12-01T00:00:00Z") - offset_seconds


def check_region(ctx: Context, code: int) -> None:
    """Refuse a code of another supervising region: its numbers are another network's."""
    if code // 1_000_000 != ctx.env.region:
        raise Rejected(
            BillsReason.CODE_TYPE_MISMATCH, f"region of this network: {ctx.env.region}", path="code"
        )


def check_org(ctx: Context, org: str, path: str) -> None:
    """Refuse a name that holds no authority at all: numbers given to a typing error are lost."""
    if ctx.find(Authority, org) is None:
        raise Rejected(BillsReason.ORG_UNKNOWN, f"{org} holds no grant", path=path)


def fetch_type(ctx: Context, type_id: int, version: int) -> BillType:
    """One version of a type; refuses when there is none."""
    row_id = type_row_id(type_id, version)
    return ctx.fetch(BillType, row_id, BillsReason.TYPE_UNKNOWN, "type_version")


def newest_rules(ctx: Context, code: int) -> TypeRules:
    """The newest rules of a code's type; refuses when there is no such type."""
    pointer = ctx.fetch(TypePointer, str(code // 100), BillsReason.TYPE_UNKNOWN, "code")
    row_id = type_row_id(code // 100, pointer.newest)
    return ctx.fetch(BillType, row_id, BillsReason.TYPE_UNKNOWN, "code").rules


def fetch_allotment(ctx: Context, code: int, level: int, first: int) -> Allotment:
    """An allotment; refuses when there is none."""
    row_id = allotment_id(code, level, first)
    return ctx.fetch(Allotment, row_id, BillsReason.NUMBER_NOT_ALLOCATED, "first")


def check_holder(ctx: Context, allotment: Allotment, path: str = "first") -> None:
    """N3: refuse another organisation's allotment."""
    if allotment.holder != ctx.sender:
        raise Rejected(
            BillsReason.NUMBER_NOT_ALLOCATED, f"the range is {allotment.holder}'s", path=path
        )


def check_open(ctx: Context, allotment: Allotment, path: str = "first") -> None:
    """Refuse an allotment that is suspended, or that came out of one that is."""
    above: Allotment | None = allotment
    while above is not None:
        if above.state != "open":
            raise Rejected(
                BillsReason.BLOCK_SUSPENDED, f"{above.id} is suspended: {above.reason}", path=path
            )
        above = ctx.find(Allotment, above.parent) if above.parent else None


def find_bill(ctx: Context, bill_id: str) -> Bill | None:
    """What befell the number, or None."""
    return ctx.find_slot(Bill, *parse_bill_id(bill_id))


def put_bill(ctx: Context, bill: Bill, **changes: object) -> Bill:
    """Stage a bill with `changes`; a blue one's state, and its form's `good`, follow from that."""
    bill = replace(bill, **changes)
    if bill.bill_kind == "blue":
        state, good = standing(bill)
        bill = replace(bill, state=state, good=good)
        if bill.paper is not None and bill.paper.state == "live":
            _put_form(ctx, bill.paper.id, good)
    return ctx.put_slot(*parse_bill_id(bill.id), bill)


def _put_form(ctx: Context, form_id: str, good: bool) -> None:
    """A form says no better of a bill than the bill says of itself."""
    form = find_bill(ctx, form_id)
    if form is not None and form.good != good:
        ctx.put_slot(*parse_bill_id(form_id), form, good=good)


def acts_for(ctx: Context, org: str) -> bool:
    """Whether the sender is `org`, or took over its duties, itself or by steps."""
    return views.acts_for(ctx.state, ctx.sender, org)


def fetch_blue(ctx: Context, bill_id: str) -> Bill:
    """A blue bill; refuses when there is none."""
    bill = find_bill(ctx, bill_id)
    if bill is None or bill.bill_kind != "blue":
        raise Rejected(BillsReason.BILL_UNKNOWN, f"no blue bill {bill_id}", path="bill")
    return bill


def check_bill_scope(ctx: Context, number: int) -> None:
    """A key that is bound to a block says nothing of bills out of another."""
    key = find_key(ctx.state, ctx.key)
    scope = key.block if key else None
    if scope is not None:
        block = ctx.find(Allotment, allotment_id(scope.code, scope.level, scope.first))
        if block is None or not block.first <= number <= block.last:
            raise Rejected(KitReason.KEY_SCOPE, f"the key is not for number {number}")


def check_issuer(ctx: Context, bill: Bill) -> None:
    """Refuse the bill of another issuer."""
    if not acts_for(ctx, bill.issuer):
        raise Rejected(BillsReason.OTHER_ISSUER, f"{bill.issuer} issued it", path="bill")


def check_not_frozen(bill: Bill) -> None:
    """Refuse a bill that the supervisor froze."""
    if bill.frozen is not None:
        raise Rejected(BillsReason.BILL_FROZEN, f"{bill.id} is frozen: {bill.frozen}", path="bill")


def check_not_ahead(bill: Bill, seen: int) -> None:
    """An older version will do: who locks, doubts or binds a bill could make each one stale."""
    if seen > bill.version:
        check_version(bill, seen)


def rules_of(ctx: Context, bill: Bill) -> TypeRules:
    """The rules that a bill was made under: always those, whatever came after (G6).

    Remembered for the rest of the transaction: a version of a type never changes.
    """
    code, _ = parse_bill_id(bill.id)
    row_id = type_row_id(code // 100, bill.type_version)
    rules: TypeRules | None = ctx.memo.get(row_id)
    if rules is None:
        rules = ctx.memo[row_id] = ctx.fetch(BillType, row_id, BillsReason.TYPE_UNKNOWN).rules
    return rules
