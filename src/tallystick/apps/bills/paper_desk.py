"""Paper forms at an issuer's desk: which form is next, and the items that befall a bill's form.

Invariant: a form is taken out of the stock of whoever acts for the bill's issuer, in order.
See docs/guides/office.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from tallystick.apps.bills.sending import new_nonce
from tallystick.contracts.bills.items import paper as items
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import Allotment, Bill, parse_bill_id
from tallystick.contracts.bills.views.bills import (
    find_bill,
    find_issuer,
    find_type,
    find_type_at,
    list_allotments,
)
from tallystick.contracts.bills.views.paper import next_form
from tallystick.contracts.kit import intervals
from tallystick.contracts.kit.context import Reader
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import format_instant

Form = tuple[Allotment, int]


def read_blue(view: Reader, bill_id: str) -> Bill:
    """A bill, blue; refuses where there is none."""
    row = find_bill(view, bill_id)
    if row is None or row.bill_kind != "blue":
        raise Rejected(BillsReason.BILL_UNKNOWN, f"no blue bill {bill_id}", path="bill")
    return row


def acting_for(view: Reader, org: str) -> str:
    """The organisation itself, or whoever took over its duties."""
    row = find_issuer(view, org)
    while row is not None and row.successor is not None:
        org = row.successor
        row = find_issuer(view, org)
    return org


def free_form(
    view: Reader, bill: Bill, at: int, taken: Collection[tuple[int, int]] = ()
) -> Form | None:
    """The next unused form of the type that the bill's rules name; None: there is none.

    `taken`: code and number of forms that the ledger need not know of yet.
    """
    kind = find_type(view, parse_bill_id(bill.id)[0] // 100, bill.type_version)
    if kind is None or kind.rules.paper is None:
        raise Rejected(BillsReason.PAPER_TYPE, "the type has no paper", path="bill")
    for row in stocks(view, kind.rules.paper.type, acting_for(view, bill.issuer), at):
        number = next_form(view, row)
        while number is not None and (row.code, number) in taken:
            number = number + 1 if number < row.last else None
        if number is not None:
            return row, number
    return None


def stocks(view: Reader, type_id: int, holder: str, at: int) -> Iterator[Allotment]:
    """Open allotments of this year's forms in one hand, by id."""
    now = format_instant(at)
    for row in list_allotments(view, holder=holder):
        begun = row.active_from <= now and (row.until is None or now < row.until)
        closed = row.account in ("submitted", "accepted") or row.state != "open"
        if row.code // 100 == type_id and begun and not closed and not row.offline_days:
            yield row


def stock_of(view: Reader, code: int, number: int, holder: str) -> Form:
    """The holder's allotment that a form lies in: of nested ones the innermost."""
    for row in list_allotments(view, code, holder=holder):
        own = row.first <= number <= row.last
        if own and intervals.find(row.gone, number) is None:
            return row, number
    detail = f"{code}:{number} is in no stock of {holder}"
    raise Rejected(BillsReason.NUMBER_NOT_ALLOCATED, detail, path="number")


def on_form(view: Reader, bill: Bill, form: Form, at: int) -> dict[str, Any]:
    """The fields of an exchange or a reprint."""
    row, number = form
    kind = find_type_at(view, row.code // 100, at)
    return {
        "nonce": new_nonce(),
        "bill": bill.id,
        "version": bill.version,
        "code": row.code,
        "level": row.level,
        "first": row.first,
        "number": number,
        "type_version": 1 if kind is None else kind.type_version,
    }


def exchange(view: Reader, bill: Bill, form: Form, at: int) -> items.Exchange:
    """Print a bill on a form 换开."""
    return items.Exchange(**on_form(view, bill, form, at))


def confirm(bill: Bill) -> items.ConfirmPrinted:
    """The form was handed over."""
    if bill.paper is None:
        raise Rejected(BillsReason.PAPER_NONE, f"no form of {bill.id}", path="bill")
    return items.ConfirmPrinted(nonce=new_nonce(), bill=bill.id, paper=bill.paper.id)
