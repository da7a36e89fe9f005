"""Four frauds that the demo tries with a hospital's own keys, and what each is told.

Invariant: each is refused by the rules or by the reader's own check, never by the demo.
See docs/spec/refusals.md.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import NamedTuple

from tallystick.apps.bills.acts import Issued
from tallystick.apps.bills.checks import RecordHalf, check_content
from tallystick.apps.bills.office import Office
from tallystick.apps.bills.sending import new_nonce
from tallystick.cli.demo_bills import LEVEL, Market, body_of
from tallystick.cli.reasons import texts
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.items.bills import Issue
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.contracts.bills.views.bills import find_bill, find_type, record_view
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import format_instant

ADDED = 9_000_000
"""90,000.00 yuan: as much as a real forger once added to a bill and to its list."""
DAYS_BACK = 3


class Title(NamedTuple):
    """What is tried."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Fraud:
    """One fraud and the answer to it."""

    title: Title
    reason: str
    entries: range
    """Log indices of the refused items; none where no record was made of it."""

    @property
    def zh(self) -> str:
        """Why not, in Chinese."""
        return texts()[self.reason].zh

    @property
    def en(self) -> str:
        """Why not, in English."""
        return texts()[self.reason].en


FORGED = Title("伪造号码", "a forged number")
TWICE = Title("同号两开", "one number used twice")
BACK_DATED = Title("倒签日期", "a back-dated bill")


def fraud_items(market: Market) -> list[tuple[Title, Issue]]:
    """One of each that the ledger refuses, made anew."""
    code, now = market.code("outpatient"), market.node.clock.now()
    first = market.first_of(0)
    used = next(one.number for n, one in market.bills if n == 0 and one.code == code)
    free = first + market.block_size - 1
    dated = format_instant(now - DAYS_BACK * 86_400)
    return [
        (FORGED, _item(code, first, market.first_of(1), now)),
        (TWICE, _item(code, first, used, now)),
        (BACK_DATED, replace(_item(code, first, free, now), issued_at=dated)),
    ]


def try_frauds(market: Market, each: int) -> list[Fraud]:
    """Try all four; those that the ledger refuses `each` times, so that there are proofs to see."""
    node, code = market.node, market.code("outpatient")
    now = node.clock.now()
    office, bill = _some_bill(market)
    first = market.first_of(0)
    others = market.first_of(1)
    used = [one.number for n, one in market.bills if n == 0 and one.code == code]
    dated = format_instant(now - DAYS_BACK * 86_400)
    free = first + market.block_size - each
    forged = [_item(code, first, others + n, now) for n in range(each)]
    twice = [_item(code, first, used[n % len(used)], now) for n in range(each)]
    back = [replace(_item(code, first, free + n, now), issued_at=dated) for n in range(each)]
    return [
        _submit(market, FORGED, forged),
        _submit(market, TWICE, twice),
        Fraud(Title("篡改清单", "an altered list"), _alter(market, office, bill), range(0)),
        _submit(market, BACK_DATED, back),
    ]


def _submit(market: Market, title: Title, items: list[Issue]) -> Fraud:
    hospital = market.offices[0][0]
    done = market.node.act(hospital.signer, hospital.org, "bills.issue/1", items)
    (reason,) = dict.fromkeys(done.outcomes)
    return Fraud(title, reason, range(done.first, done.first + len(items)))


def _item(code: int, first: int, number: int, now: int) -> Issue:
    return Issue(
        nonce=new_nonce(),
        code=code,
        level=LEVEL,
        first=first,
        number=number,
        type_version=1,
        issued_at=format_instant(now),
        currency="CNY",
        total=10_526_314,
        cash=10_526_314,
        self_pay=10_526_314,
        root=secrets.token_bytes(32),
        holder=secrets.token_bytes(32),
    )


def _some_bill(market: Market) -> tuple[Office, Issued]:
    """A bill with a line that can be altered so that all sums still agree."""
    code = market.code("outpatient")
    for n, one in market.bills:
        office = market.offices[n][1]
        if one.code == code and _line(body_of(office, one)) is not None:
            return office, one
    raise RuntimeError("no bill of the demo has a line of class a")


def _alter(market: Market, office: Office, bill: Issued) -> str:
    """Add money to a bill and to its list, sums in order, and show it to a reader's check."""
    altered = encode(_with_more(body_of(office, bill)))
    with market.node.view() as view:
        row = find_bill(view, format_bill_id(bill.code, bill.number))
        kind = find_type(view, bill.code // 100)
        if row is None or kind is None:
            raise RuntimeError("the demo's own bill is not on the ledger")
        record = RecordHalf(kind.rules, record_view(row, view.network))
    try:
        check_content(altered, record)
    except Rejected as refusal:
        return refusal.reason.value
    raise RuntimeError("an altered body passed its check")


def _line(body: Body) -> int | None:
    """A list line of class a, which weighs in no other sum; None: there is none."""
    for n, line in enumerate(body.details):
        if line.insurance_class == "a":
            return n
    return None


def _with_more(body: Body) -> Body:
    at = _line(body) or 0
    line = body.details[at]
    details = list(body.details)
    details[at] = replace(line, amount_e4=line.amount_e4 + ADDED * 100)
    items = list(body.items)
    items[line.item] = replace(items[line.item], amount=items[line.item].amount + ADDED)
    payment = body.payment
    liability = payment.liability
    if liability is not None:
        liability = replace(liability, self_pay=liability.self_pay + ADDED)
    channels = tuple(
        replace(each, amount=each.amount + ADDED) if each.channel == "card" else each
        for each in payment.channels
    )
    payment = replace(
        payment,
        sources=replace(payment.sources, cash=payment.sources.cash + ADDED),
        liability=liability,
        channels=channels,
    )
    return replace(
        body,
        items=tuple(items),
        details=tuple(details),
        payment=payment,
        total=body.total + ADDED,
    )
