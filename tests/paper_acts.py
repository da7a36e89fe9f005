"""Paper forms and findings by shorthand, on a province whose bills can be claimed; and an audit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from claims_acts import Claims

from tallystick.apps.bills.catalogue import TYPES
from tallystick.contracts.bills.items.bills import Block, OfBill, VoidNumbers
from tallystick.contracts.bills.items.paper import (
    Book,
    CancelExchange,
    ConfirmPrinted,
    DeclareLost,
    Exchange,
    OnPaper,
    Recover,
    Reprint,
    Unbook,
)
from tallystick.contracts.bills.items.supervision import Answer, Dispute, Freeze, Lift
from tallystick.contracts.bills.records.bills import Bill, Series
from tallystick.contracts.bills.records.claims import Claim, claim_id
from tallystick.contracts.bills.records.paper import Booking
from tallystick.contracts.bills.records.supervision import Finding
from tallystick.contracts.bills.views.paper import find_booking
from tallystick.contracts.bills.views.supervision import find_finding
from tallystick.protocol.canonical import replace
from tallystick.protocol.row import row_key

B = TypeVar("B", bound=OfBill)
P = TypeVar("P", bound=OnPaper)

PAPER = 33061126
"""Forms of the type that the rules of medical bills name."""
LOSS_WAIT = 30 * 86_400
FORMS = 100


@dataclass
class Desk(Claims):
    """The hospital has a hundred forms, and a bill is one call away."""

    grace_days: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        rules = replace(TYPES["paper"].rules, year_grace_days=self.grace_days)
        self.world.define(PAPER // 100, rules=rules)
        self.world.allot(code=PAPER, level=0, first=1, last=1_000, holder="finance")
        self.allot_forms(1, FORMS)

    def allot_forms(self, first: int, last: int, holder: str = "hospital") -> None:
        parent = Block(level=0, first=1)
        self.world.allot(code=PAPER, level=3, first=first, last=last, holder=holder, parent=parent)

    # ------------------------------------------------------------------------------- forms

    def exchange_item(self, bill: Bill, number: int, **fields: Any) -> Exchange:
        return self._on_paper(Exchange, bill, number, fields)

    def reprint_item(self, bill: Bill, number: int, **fields: Any) -> Reprint:
        return self._on_paper(Reprint, bill, number, {"reason": "damaged"} | fields)

    def _on_paper(self, kind: type[P], bill: Bill, number: int, fields: dict[str, Any]) -> P:
        named: dict[str, Any] = {"bill": bill.id, "version": self.now(bill).version}
        named |= {"code": PAPER, "level": 3, "first": 1, "number": number, "type_version": 1}
        return kind(nonce=self.world.nonce(), **(named | fields))

    def of(self, kind: type[B], bill: Bill, **fields: Any) -> B:
        named: dict[str, Any] = {"bill": bill.id, "version": self.now(bill).version}
        return kind(nonce=self.world.nonce(), **(named | {"reason": "stated"} | fields))

    def confirm_item(self, bill: Bill, paper: str) -> ConfirmPrinted:
        return ConfirmPrinted(nonce=self.world.nonce(), bill=bill.id, paper=paper)

    def exchange(self, bill: Bill, number: int) -> Bill:
        """Being printed; the electronic bill."""
        return self.paper("exchange", self.exchange_item(bill, number))

    def confirm(self, bill: Bill) -> Bill:
        link = self.now(bill).paper
        assert link is not None
        return self.paper("confirm_printed", self.confirm_item(bill, link.id))

    def printed(self, bill: Bill, number: int) -> Bill:
        """On a form that is live."""
        return self.confirm(self.exchange(bill, number))

    def reprint(self, bill: Bill, number: int) -> Bill:
        return self.paper("reprint", self.reprint_item(bill, number))

    def cancel(self, bill: Bill) -> Bill:
        return self.paper("cancel_exchange", self.of(CancelExchange, bill))

    def recover(self, bill: Bill) -> Bill:
        return self.paper("recover", self.of(Recover, bill))

    def lose(self, bill: Bill) -> Bill:
        return self.paper("declare_lost", self.of(DeclareLost, bill, reason="lost"))

    def paper(self, action: str, item: Any) -> Bill:
        self.world.do("hospital", f"bills.{action}", item)
        audit_paper(self)
        return self.now(item.bill)

    def refused_paper(self, action: str, item: Any, sender: str = "hospital") -> tuple[str, str]:
        refusal = self.world.refused(sender, f"bills.{action}", item)
        audit_paper(self)
        return refusal

    def form(self, number: int) -> Bill:
        return self.world.bill(PAPER, number)

    # ------------------------------------------------------------------------------- books

    def book_item(self, bill: Bill, amount: int, ordinal: int = 0, **fields: Any) -> Book:
        named: dict[str, Any] = {"on": "2026-01-05", "voucher": digest("voucher")} | fields
        return Book(nonce=self.world.nonce(), bill=bill.id, ordinal=ordinal, amount=amount, **named)

    def unbook_item(self, bill: Bill, ordinal: int = 0) -> Unbook:
        return Unbook(
            nonce=self.world.nonce(), bill=bill.id, ordinal=ordinal, reason="wrong_account"
        )

    def book(self, unit: str, bill: Bill, amount: int, ordinal: int = 0, **fields: Any) -> Booking:
        self.world.do(unit, "bills.book", self.book_item(bill, amount, ordinal, **fields))
        return self.booking(bill, ordinal)

    def unbook(self, unit: str, bill: Bill, ordinal: int = 0) -> Booking:
        self.world.do(unit, "bills.unbook", self.unbook_item(bill, ordinal))
        return self.booking(bill, ordinal)

    def booking(self, bill: Bill, ordinal: int = 0) -> Booking:
        found = find_booking(self.world.rows, bill.id, ordinal)
        assert found is not None
        return found

    # -------------------------------------------------------------------------- supervision

    def freeze(self, bill: Bill) -> Bill:
        item = self.of(Freeze, bill, reason="suspected_forgery", evidence=digest("file"))
        return self.do("finance", "bills.freeze", item)

    def lift(self, bill: Bill, **fields: Any) -> Bill:
        return self.do("finance", "bills.lift", self.of(Lift, bill, **fields))

    def dispute(self, bill: Bill, by: str = "insurer") -> Finding:
        item = Dispute(
            nonce=self.world.nonce(), bill=bill.id, what="altered", evidence=digest("scan")
        )
        self.world.do(by, "bills.dispute", item)
        return self.finding(f"{self.world.last_id}.0")

    def answer_item(self, finding: Finding | str) -> Answer:
        return Answer(
            nonce=self.world.nonce(),
            finding=finding if isinstance(finding, str) else finding.id,
            answer=digest("answer"),
            reason="genuine",
        )

    def finding(self, finding_id: str) -> Finding:
        found = find_finding(self.world.rows, finding_id)
        assert found is not None
        return found


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def spoil(desk: Desk, start: int, end: int) -> None:
    """Blank forms are spoilt: 报损."""
    item = VoidNumbers(
        nonce=desk.world.nonce(),
        code=PAPER,
        level=3,
        first=1,
        start=start,
        end=end,
        reason="spoilt",
    )
    desk.world.do("hospital", "bills.void_numbers", item)
    audit_paper(desk)


# ---------------------------------------------------------------------------------------- audit


def audit_paper(desk: Desk) -> None:
    """P1, P2 and B1 over every form, bill and booking; N4 over the stock of forms."""
    world = desk.world
    forms = list(world.rows.scan_slots(Bill, PAPER, 1, 9_999_999_999))
    standing = Counter(form.paper_of for form in forms if form.state in ("printing", "live"))
    for form in forms:
        if form.bill_kind == "void":
            continue
        assert form.bill_kind == "paper"
        assert form.paper_of is not None
        bill = world.bill(form.paper_of)
        assert form.root == bill.root
        assert form.issuer == bill.issuer
        assert form.good == (form.state == "live" and bill.good)
        assert standing[bill.id] <= 1
        if form.state in ("printing", "live"):
            assert bill.paper is not None
            assert (bill.paper.id, bill.paper.state) == (form.id, form.state)
    for series in world.rows.scan(Series, ""):
        for bill in world.rows.scan_slots(Bill, int(series.id), 1, 9_999_999_999):
            assert bill.paper is None or world.bill(bill.paper.id).paper_of == bill.id
    block = world.block_of(PAPER)
    own = [form for form in forms if block.first <= int(form.id[-10:]) <= block.last]
    voids = sum(form.bill_kind == "void" for form in own)
    assert (block.issued, block.void) == (len(own) - voids, voids)
    audit_bookings(desk)


def audit_bookings(desk: Desk) -> None:
    """B1: one row a claim, by who settled it, for at most what it ever settled."""
    for booking in desk.world.rows.scan(Booking, ""):
        bill_id, _, ordinal = booking.id.partition("/")
        key = row_key(Claim.KIND, claim_id(bill_id, int(ordinal)))
        claim = desk.world.rows.get(key, Claim)
        assert claim is not None
        assert claim.reimburser == booking.unit
        paid = claim.amounts.get("settled", 0) + claim.amounts.get("fixed", 0)
        assert 0 < booking.amounts["booked"] <= paid
