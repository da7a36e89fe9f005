"""What befell bills, in words that subscribers can choose by: one describer an action.

No event has an amount, a reason or a commitment: who needs them asks for the row. What an item does
not name, such as a bill's issuer, is read from the rows as they are when the event is told.
See docs/spec/events.md.

Invariant: an event told again has the words and the bills that it had; but for whom a reversal
touched (``claim.due``, ``booking.doubtful``), and who stands in a role, are as when it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tallystick.contracts.bills.items.holders import SaidConsent, SaidHelper, SaidMandate
from tallystick.contracts.bills.records.accounts import Account, parse_block_id, parse_period
from tallystick.contracts.bills.records.bills import allotment_id, format_bill_id
from tallystick.contracts.bills.records.claims import Claim
from tallystick.contracts.bills.records.holders import Consent, Helper, Mandate
from tallystick.contracts.bills.records.paper import Booking, booking_id
from tallystick.contracts.bills.views.bills import find_allotment, find_bill
from tallystick.contracts.bills.views.claims import find_claims
from tallystick.contracts.bills.views.supervision import find_finding
from tallystick.contracts.kit.acts import Said, act_id, act_message
from tallystick.contracts.kit.context import Reader
from tallystick.ledger.events import Told
from tallystick.protocol.canonical import narrow
from tallystick.protocol.event import About
from tallystick.protocol.row import row_key

Describer = Callable[[Reader, Told], Iterator[About]]


# ---------------------------------------------------------------------------------- of bills


def _about(type_: str, **ids: str | None) -> About:
    return About(type=type_, ids={name: text for name, text in ids.items() if text})


def _code_of(bill: str) -> str:
    return bill.partition(":")[0]


def _bill(reader: Reader, type_: str, bill: str, **ids: str | None) -> About:
    """Of a bill that is there: with its issuer."""
    row = find_bill(reader, bill)
    issuer = row.issuer if row is not None else None
    return _about(type_, bill=bill, code=_code_of(bill), issuer=issuer, **ids)


def _of_bill(type_: str, *extra: str) -> Describer:
    """An item that names a bill, and further members whose texts are ids."""

    def describe(reader: Reader, told: Told) -> Iterator[About]:
        more = {name: told.item.get(name) for name in extra}
        yield _bill(reader, type_, told.item["bill"], **more)

    return describe


def _issue(reader: Reader, told: Told) -> Iterator[About]:
    item = told.item
    yield _issued(told, item)
    yield from _used(told, item)


def _issued(told: Told, item: Mapping[str, Any]) -> About:
    new = format_bill_id(item["code"], item["number"])
    return _about("bill.issued", bill=new, code=str(item["code"]), issuer=told.sender)


def _used(told: Told, item: Mapping[str, Any]) -> Iterator[About]:
    new = format_bill_id(item["code"], item["number"])
    for deposit in item.get("settles", ()):
        ids = {"bill": deposit, "code": _code_of(deposit), "issuer": told.sender, "new": new}
        yield _about("deposit.used", **ids)


def _reverse(reader: Reader, told: Told) -> Iterator[About]:
    item = told.item
    red = format_bill_id(item["code"], item["number"])
    yield _bill(reader, "bill.reversed", item["bill"], red=red)
    yield from _due(reader, told, item["bill"])


def _replace(reader: Reader, told: Told) -> Iterator[About]:
    item = told.item
    new = format_bill_id(item["code"], item["number"])
    yield _bill(reader, "bill.replaced", item["bill"], new=new)
    red = format_bill_id(item["code"], item["red_number"])
    yield _bill(reader, "bill.reversed", item["bill"], red=red)
    yield _issued(told, item)
    yield from _used(told, item)
    yield from _due(reader, told, item["bill"])


def _due(reader: Reader, told: Told, bill_id: str) -> Iterator[About]:
    """Whom a reversal of a bill made owe something back, and whose books are wrong now."""
    bill = find_bill(reader, bill_id)
    for claim in find_claims(reader, bill) if bill is not None else ():
        back = any(claim.amounts.get(name) for name in ("due", "recovered", "waived"))
        if not (back and 0 < claim.settled_index < told.index):
            continue
        yield _claim(reader, "claim.due", claim)
        book = booking_id(bill_id, int(claim.id.rpartition("/")[2]))
        booked = reader.get(row_key(Booking.KIND, book), Booking)
        if booked is not None and booked.state == "booked" and (booked.entry or 0) < told.index:
            yield _claim(reader, "booking.doubtful", claim)


# --------------------------------------------------------------------------------- of claims


def _claim(reader: Reader, type_: str, claim: Claim) -> About:
    bill = claim.id.partition("/")[0]
    return _bill(reader, type_, bill, claim=claim.id, reimburser=claim.reimburser)


def _of_claim(type_: str, *, answers: bool = False) -> Describer:
    """An act of a reimburser on a bill; `answers`: that has a row by now."""

    def describe(reader: Reader, told: Told) -> Iterator[About]:
        bill, ordinal = told.item["bill"], told.item.get("ordinal")
        claim = f"{bill}/{ordinal}" if ordinal is not None else None
        if answers and claim is None:
            purpose = told.item["terms"]["purpose"]
            claim = _find_claim(reader, bill, told.sender, purpose)
        yield _bill(reader, type_, bill, claim=claim, reimburser=told.sender)

    return describe


def _find_claim(reader: Reader, bill_id: str, org: str, purpose: str) -> str | None:
    bill = find_bill(reader, bill_id)
    for claim in find_claims(reader, bill) if bill is not None else ():
        if (claim.reimburser, claim.terms.purpose) == (org, purpose):
            return claim.id
    return None


def _claw_back(reader: Reader, told: Told) -> Iterator[About]:
    yield from _of_claim(f"claim.{told.item['how']}")(reader, told)


def _plan(reader: Reader, told: Told) -> Iterator[About]:
    said = told.item["said"]
    yield _bill(reader, "plan.made", said["bill"])
    for org in dict.fromkeys(each["reimburser"] for each in said["shares"]):
        yield _bill(reader, "plan.named", said["bill"], reimburser=org)


def _ready(reader: Reader, told: Told) -> Iterator[About]:
    """The last share that is ready settles all of them, in this entry."""
    bill_id = told.item["bill"]
    yield _bill(reader, "plan.ready", bill_id, reimburser=told.sender)
    bill = find_bill(reader, bill_id)
    for claim in find_claims(reader, bill) if bill is not None else ():
        if claim.settled_index == told.index:
            yield _claim(reader, "claim.settled", claim)


# -------------------------------------------------------------------------------- of holders


def _act(told: Told, kind: type[Said]) -> str:
    return act_id(act_message(told.network, told.action, narrow(told.item["said"], kind)))


def _consent(reader: Reader, told: Told) -> Iterator[About]:
    said = told.item["said"]
    act = _act(told, SaidConsent)
    yield _bill(reader, "consent.given", said["bill"], act=act, reimburser=said["reader"])


def _mandate(reader: Reader, told: Told) -> Iterator[About]:
    act = _act(told, SaidMandate)
    yield _about("mandate.given", act=act, reimburser=told.item["said"]["reader"])


def _helper(reader: Reader, told: Told) -> Iterator[About]:
    bill, act = told.item["said"].get("bill"), _act(told, SaidHelper)
    if bill is None:
        yield _about("helper.appointed", act=act)
    else:
        yield _bill(reader, "helper.appointed", bill, act=act)


def _revoke(reader: Reader, told: Told) -> Iterator[About]:
    kind, act = told.item["kind"], told.item["said"]["of"]
    bill = org = None
    if kind == "consent":
        consent = reader.get(row_key(Consent.KIND, act), Consent)
        bill, org = (consent.bill, consent.reader) if consent else (None, None)
    elif kind == "mandate":
        mandate = reader.get(row_key(Mandate.KIND, act), Mandate)
        org = mandate.reader if mandate else None
    else:
        helper = reader.get(row_key(Helper.KIND, act), Helper)
        bill = helper.bill if helper else None
    if bill is None:
        yield _about(f"{kind}.revoked", act=act, reimburser=org)
    else:
        yield _bill(reader, f"{kind}.revoked", bill, act=act, reimburser=org)


def _of_said(type_: str) -> Describer:
    def describe(reader: Reader, told: Told) -> Iterator[About]:
        yield _bill(reader, type_, told.item["said"]["bill"])

    return describe


# ----------------------------------------------------------------- of numbers, types, issuers


def _define_type(reader: Reader, told: Told) -> Iterator[About]:
    yield _about("type.defined", type=str(told.item["type"]))


def _allot(reader: Reader, told: Told) -> Iterator[About]:
    item = told.item
    name = allotment_id(item["code"], item["level"], item["first"])
    ids = {"code": str(item["code"]), "holder": item["holder"], "by": told.sender}
    yield _about("numbers.allotted", allotment=name, **ids)


def _of_allotment(type_: str) -> Describer:
    def describe(reader: Reader, told: Told) -> Iterator[About]:
        place = told.item["code"], told.item["level"], told.item["first"]
        row = find_allotment(reader, *place)
        holder, by = (row.holder, row.grantor) if row is not None else (None, None)
        ids = {"code": str(place[0]), "holder": holder, "by": by}
        yield _about(type_, allotment=allotment_id(*place), **ids)

    return describe


def _of_issuer(type_: str) -> Describer:
    def describe(reader: Reader, told: Told) -> Iterator[About]:
        yield _about(type_, issuer=told.item["issuer"])

    return describe


def _on_paper(type_: str) -> Describer:
    def describe(reader: Reader, told: Told) -> Iterator[About]:
        form = format_bill_id(told.item["code"], told.item["number"])
        yield _bill(reader, type_, told.item["bill"], paper=form)

    return describe


def _answer(reader: Reader, told: Told) -> Iterator[About]:
    finding = find_finding(reader, told.item["finding"])
    if finding is None:
        yield _about("finding.answered", finding=told.item["finding"])
    else:
        ids = {"finding": finding.id, "by": finding.by}
        yield _bill(reader, "finding.answered", finding.bill, **ids)


# -------------------------------------------------------------- of accounts, archive, erasure


def _account_code(account: str) -> str | None:
    block, period = parse_block_id(account), parse_period(account)
    code = block[0] if block else period.code if period else None
    return str(code) if code else None


def _account(reader: Reader, type_: str, account: str, **ids: str | None) -> About:
    row = reader.get(row_key(Account.KIND, account), Account)
    issuer, reviewer = (row.org, row.reviewer) if row is not None else (None, None)
    named = {"code": _account_code(account), "issuer": issuer, "reviewer": reviewer}
    return _about(type_, account=account, **named, **ids)


def _account_block(reader: Reader, told: Told) -> Iterator[About]:
    item = told.item
    yield _account(
        reader, "account.submitted", allotment_id(item["code"], item["level"], item["first"])
    )


def _account_period(reader: Reader, told: Told) -> Iterator[About]:
    item = told.item
    org = item.get("issuer", told.sender)
    yield _account(reader, "account.submitted", f"{org}/{item['type']}/{item['month']}")


def _of_account(type_: str) -> Describer:
    def describe(reader: Reader, told: Told) -> Iterator[About]:
        yield _account(reader, type_, told.item["account"])

    return describe


def _archive_period(reader: Reader, told: Told) -> Iterator[About]:
    yield _account(reader, "account.archived", told.item["account"], archive=told.sender)


def _of_hold(type_: str) -> Describer:
    def describe(reader: Reader, told: Told) -> Iterator[About]:
        bill = told.item.get("bill")
        if bill is not None:
            yield _bill(reader, type_, bill)
        else:
            yield _account(reader, type_, told.item["account"])

    return describe


def _order_erasure(reader: Reader, told: Told) -> Iterator[About]:
    bill = told.item["bill"]
    yield _bill(reader, "erasure.ordered", bill)
    for org in told.item["copies"]:
        yield _bill(reader, "erasure.owed", bill, vault=org)


def _erased(reader: Reader, told: Told) -> Iterator[About]:
    yield _bill(reader, "erasure.done", told.item["bill"], vault=told.sender)


def _succeed(reader: Reader, told: Told) -> Iterator[About]:
    yield _about("issuer.succeeded", issuer=told.item["org"], successor=told.item["successor"])


DESCRIBERS: dict[str, Describer] = {
    "bills.define_type/1": _define_type,
    "bills.allot/1": _allot,
    "bills.give_back/1": _of_allotment("numbers.given_back"),
    "bills.recall/1": _of_allotment("numbers.recalled"),
    "bills.opening/1": _of_allotment("numbers.used_before"),
    "bills.void_numbers/1": _of_allotment("numbers.voided"),
    "bills.suspend_allotment/1": _of_allotment("numbers.suspended"),
    "bills.resume_allotment/1": _of_allotment("numbers.resumed"),
    "bills.issue/1": _issue,
    "bills.issue_offline/1": _issue,
    "bills.reverse/1": _reverse,
    "bills.replace/1": _replace,
    "bills.withhold/1": _of_bill("bill.withheld"),
    "bills.release/1": _of_bill("bill.released"),
    "bills.suspend_issuer/1": _of_issuer("issuer.suspended"),
    "bills.resume_issuer/1": _of_issuer("issuer.resumed"),
    "bills.archived/1": _of_issuer("issuer.archived"),
    "bills.bind/1": _of_said("bill.bound"),
    "bills.rebind/1": _of_bill("bill.rebound"),
    "bills.object_binding/1": _of_said("binding.disputed"),
    "bills.arbitrate/1": _of_bill("binding.decided"),
    "bills.consent/1": _consent,
    "bills.mandate/1": _mandate,
    "bills.appoint_helper/1": _helper,
    "bills.revoke/1": _revoke,
    "bills.lock/1": _of_claim("claim.locked"),
    "bills.renew/1": _of_claim("claim.renewed"),
    "bills.release_lock/1": _of_claim("claim.released"),
    "bills.reject/1": _of_claim("claim.rejected", answers=True),
    "bills.settle/1": _of_claim("claim.settled", answers=True),
    "bills.settled_before/1": _of_claim("claim.settled", answers=True),
    "bills.supplement/1": _of_claim("claim.supplemented"),
    "bills.claw_back/1": _claw_back,
    "bills.plan/1": _plan,
    "bills.accept_plan/1": _of_claim("plan.accepted"),
    "bills.waive_share/1": _of_claim("plan.waived"),
    "bills.ready/1": _ready,
    "bills.reversal_request/1": _of_bill("bill.reversing"),
    "bills.cancel_reversal/1": _of_bill("bill.not_reversing"),
    "bills.exchange/1": _on_paper("paper.printing"),
    "bills.reprint/1": _on_paper("paper.reprinted"),
    "bills.confirm_printed/1": _of_bill("paper.live", "paper"),
    "bills.cancel_exchange/1": _of_bill("paper.cancelled"),
    "bills.recover/1": _of_bill("paper.recovered"),
    "bills.declare_lost/1": _of_bill("paper.lost"),
    "bills.book/1": _of_claim("booking.made"),
    "bills.unbook/1": _of_claim("booking.undone"),
    "bills.account_block/1": _account_block,
    "bills.account_period/1": _account_period,
    "bills.accept_account/1": _of_account("account.accepted"),
    "bills.return_account/1": _of_account("account.returned"),
    "bills.archive_period/1": _archive_period,
    "bills.hold/1": _of_hold("hold.stated"),
    "bills.lift_hold/1": _of_hold("hold.lifted"),
    "bills.order_erasure/1": _order_erasure,
    "bills.erased/1": _erased,
    "bills.succeed/1": _succeed,
    "bills.freeze/1": _of_bill("bill.frozen"),
    "bills.lift/1": _of_bill("bill.unfrozen"),
    "bills.dispute/1": _of_bill("finding.made"),
    "bills.answer/1": _answer,
}
"""Of each action of the domain: a test holds them to its table."""
