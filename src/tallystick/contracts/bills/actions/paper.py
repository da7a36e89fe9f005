"""Paper forms and booking: exchange, confirm, recover, reprint, lost; book and unbook.

A form takes its number as a bill does, out of an allotment of a paper type; its row is a bill's, of
kind ``paper``, and the electronic bill names the one form that stands for it.

Invariant: at most one paper form stands for a bill (P1), with the bill's own root (P2).
See docs/spec/contracts/bills-paper.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions.checks import (
    acts_for,
    check_bill_scope,
    check_issuer,
    check_not_frozen,
    fetch_blue,
    find_bill,
    put_bill,
    rules_of,
)
from tallystick.contracts.bills.actions.numbers import (
    Place,
    check_number,
    find_place,
    read_allotment,
    take_number,
)
from tallystick.contracts.bills.actions.reversing import check_seen
from tallystick.contracts.bills.amounts import format_amount
from tallystick.contracts.bills.items.bills import OfBill
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
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    Allotment,
    Bill,
    PaperLink,
    format_bill_id,
    live_lock,
    live_paper,
    parse_bill_id,
)
from tallystick.contracts.bills.records.claims import Claim, claim_id, counted
from tallystick.contracts.bills.records.paper import Booking, booking_id
from tallystick.contracts.kit.context import Action, Context
from tallystick.contracts.kit.keys import authorise, check_version, read_instant
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import format_instant

# ------------------------------------------------------------------------------- a form is taken


def exchange(ctx: Context, item: Exchange) -> None:
    """The issuer prints a bill on a form of its own 换开."""
    # READ
    place, allotment, bill = _read_with_form(ctx, item)
    # CHECK
    _check_face(bill)
    lock = live_lock(bill, ctx.block_time)
    if lock is not None:
        raise Rejected(BillsReason.CLAIM_LOCKED, f"locked until {lock.until}", path="bill")
    form = live_paper(bill, ctx.block_time)
    if form is not None:
        raise Rejected(BillsReason.PAPER_LIVE, f"{form.id} is {form.state}", path="bill")
    _check_form(ctx, item, bill, place, allotment)
    # WRITE
    _print(ctx, item, bill, place, allotment)


def reprint(ctx: Context, item: Reprint) -> None:
    """P4: the old form is void and a new one stands in its place, in one step."""
    # READ
    place, allotment, bill = _read_with_form(ctx, item)
    # CHECK
    _check_face(bill)
    old = _check_link(ctx, bill, "printing", "live")
    _check_form(ctx, item, bill, place, allotment)
    # WRITE
    _end_form(ctx, old, "cancelled", item.reason)
    _print(ctx, item, bill, place, allotment)


def _read_with_form(ctx: Context, item: OnPaper) -> tuple[Place, Allotment, Bill]:
    place = find_place(
        *(ctx, item.code, item.level, item.first, item.type_version), issuing=False, paper=True
    )
    allotment = read_allotment(ctx, place)
    bill = fetch_blue(ctx, item.bill)
    check_issuer(ctx, bill)
    return place, allotment, bill


def _check_face(bill: Bill) -> None:
    """What is printed is the bill as it was issued: so nothing may be off it, or in question."""
    check_not_frozen(bill)
    if bill.reversing is not None:
        raise Rejected(BillsReason.BILL_REVERSING, f"since {bill.reversing_since}", path="bill")
    if bill.state != "issued":
        raise Rejected(BillsReason.BILL_STATE, f"{bill.id} is {bill.state}", path="bill")


def _check_form(
    ctx: Context, item: OnPaper, bill: Bill, place: Place, allotment: Allotment
) -> None:
    """The form is of the bill's paper type and of this year, and its number free."""
    paper = rules_of(ctx, bill).paper
    if paper is None:
        raise Rejected(BillsReason.PAPER_TYPE, "the type has no paper", path="bill")
    if item.code // 100 != paper.type:
        raise Rejected(BillsReason.PAPER_TYPE, f"its forms are of type {paper.type}", path="code")
    if not place.year[0] <= ctx.block_time < place.year[1]:
        raise Rejected(BillsReason.CODE_TYPE_MISMATCH, "a form is of this year", path="code")
    if not place.force[0] <= ctx.block_time < place.force[1]:
        raise Rejected(BillsReason.TYPE_EXPIRED, "not in force now", path="type_version")
    check_version(bill, item.version)
    check_number(ctx, allotment, item.number)


def _print(ctx: Context, item: OnPaper, bill: Bill, place: Place, allotment: Allotment) -> None:
    form = Bill(
        kind=Bill.KIND,
        id=format_bill_id(item.code, item.number),
        state="printing",
        good=False,
        entry=ctx.index,
        version=1,
        issuer=ctx.sender,
        bill_kind="paper",
        type_version=item.type_version,
        issued_at=format_instant(ctx.block_time),
        root=bill.root,
        paper_of=bill.id,
    )
    take_number(ctx, place, allotment, item.number, form)
    put_bill(ctx, bill, paper=PaperLink(id=form.id, state="printing"))


# ------------------------------------------------------------------------- what befalls the form


def confirm_printed(ctx: Context, item: ConfirmPrinted) -> None:
    """The form is in the payer's hands: from here on it stands for the bill."""
    # READ
    bill = _read_own(ctx, item.bill)
    # CHECK
    link = _check_link(ctx, bill, "printing")
    if link.id != item.paper:
        raise Rejected(BillsReason.PAPER_NONE, f"it is {link.id}", path="paper")
    # WRITE
    put_bill(ctx, _form(ctx, link), state="live", good=bill.good)
    put_bill(ctx, bill, paper=PaperLink(id=link.id, state="live"))


def cancel_exchange(ctx: Context, item: CancelExchange) -> None:
    """It was not printed after all, or spoilt: the form is void, the bill stands alone."""
    _free(ctx, item, "cancelled", "printing")


def recover(ctx: Context, item: Recover) -> None:
    """The form came back, even after its loss was declared: the bill stands alone again."""
    _free(ctx, item, "recovered", "live", "lost")


def _free(ctx: Context, item: OfBill, becomes: str, *states: str) -> None:
    # READ
    bill = _read_own(ctx, item.bill)
    # CHECK
    link = _check_link(ctx, bill, *states)
    check_seen(bill, item.version)
    # WRITE
    _end_form(ctx, link, becomes, item.reason)
    put_bill(ctx, bill, paper=None)


def declare_lost(ctx: Context, item: DeclareLost) -> None:
    """The form is invalid at once; the bill is tied to it until the waiting time is over."""
    # READ
    bill = _read_own(ctx, item.bill)
    # CHECK
    link = _check_link(ctx, bill, "live")
    check_seen(bill, item.version)
    # WRITE
    paper = rules_of(ctx, bill).paper
    until = ctx.block_time + (paper.loss_wait_seconds if paper else 0)
    _end_form(ctx, link, "lost", item.reason)
    put_bill(ctx, bill, paper=PaperLink(id=link.id, state="lost", until=format_instant(until)))


def _read_own(ctx: Context, bill_id: str) -> Bill:
    code, number = parse_bill_id(bill_id)
    authorise(ctx, code)
    check_bill_scope(ctx, number)
    bill = fetch_blue(ctx, bill_id)
    check_issuer(ctx, bill)
    return bill


def _check_link(ctx: Context, bill: Bill, *states: str) -> PaperLink:
    """The form that stands for the bill, in one of the states."""
    link = live_paper(bill, ctx.block_time)
    if link is None:
        raise Rejected(BillsReason.PAPER_NONE, f"no form stands for {bill.id}", path="bill")
    if link.state not in states:
        raise Rejected(BillsReason.PAPER_NONE, f"{link.id} is {link.state}", path="bill")
    return link


def _form(ctx: Context, link: PaperLink) -> Bill:
    form = find_bill(ctx, link.id)
    if form is None:
        raise LookupError(link.id)  # the exchange that named it has written it
    return form


def _end_form(ctx: Context, link: PaperLink, state: str, reason: str) -> None:
    put_bill(ctx, _form(ctx, link), state=state, good=False, reason=reason)


# --------------------------------------------------------------------------------------- booking


def book(ctx: Context, item: Book) -> None:
    """B1: who settled a claim puts it into its books 入账, once, for at most what stands of it."""
    # READ
    _authorise(ctx, item.bill)
    claim = ctx.find(Claim, claim_id(item.bill, item.ordinal))
    booking_key = booking_id(item.bill, item.ordinal)
    booking = ctx.find(Booking, booking_key)
    # CHECK
    if claim is None or not acts_for(ctx, claim.reimburser):
        raise Rejected(
            BillsReason.BOOK_UNKNOWN, f"no claim {item.ordinal} of yours", path="ordinal"
        )
    if booking is not None and booking.state == "booked":
        raise Rejected(BillsReason.BOOK_DUPLICATE, f"on {booking.on}", path="ordinal")
    read_instant(f"{item.on}T00:00:00Z", "on")
    stands = counted(claim) + claim.amounts.get("fixed", 0)
    if not 0 < item.amount <= stands:
        raise Rejected(
            BillsReason.BOOK_EXCEEDS,
            f"{format_amount(item.amount)} of {format_amount(stands)}",
            path="amount",
        )
    # WRITE
    blank = Booking(
        kind=Booking.KIND,
        id=booking_key,
        state="booked",
        good=True,
        unit=ctx.sender,
        on=item.on,
        voucher=item.voucher,
    )
    ctx.put(
        booking or blank,
        state="booked",
        good=True,
        amounts={"booked": item.amount},
        unit=ctx.sender,
        on=item.on,
        voucher=item.voucher,
        reason=None,
    )


def unbook(ctx: Context, item: Unbook) -> None:
    """The unit takes it out of its books again."""
    # READ
    _authorise(ctx, item.bill)
    booking = ctx.find(Booking, booking_id(item.bill, item.ordinal))
    # CHECK
    if booking is None or booking.state != "booked" or not acts_for(ctx, booking.unit):
        raise Rejected(
            BillsReason.BOOK_UNKNOWN, f"claim {item.ordinal} is in no book of yours", path="ordinal"
        )
    # WRITE
    ctx.put(booking, state="unbooked", good=False, reason=item.reason)


def _authorise(ctx: Context, bill_id: str) -> None:
    code, number = parse_bill_id(bill_id)
    authorise(ctx, code)
    check_bill_scope(ctx, number)


ACTIONS: dict[str, Action] = {
    "bills.exchange/1": Action(Exchange, exchange),
    "bills.reprint/1": Action(Reprint, reprint, work=2),
    "bills.confirm_printed/1": Action(ConfirmPrinted, confirm_printed),
    "bills.cancel_exchange/1": Action(CancelExchange, cancel_exchange),
    "bills.recover/1": Action(Recover, recover),
    "bills.declare_lost/1": Action(DeclareLost, declare_lost),
    "bills.book/1": Action(Book, book),
    "bills.unbook/1": Action(Unbook, unbook),
}
