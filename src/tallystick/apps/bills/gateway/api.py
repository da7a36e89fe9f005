"""What tills may ask an issuer's gateway: bills, their state, what waits.

Invariant: an answer comes within the configured time; what is not certain by then is answered as
such, with the number, and never as refused. See docs/guides/gateway.md.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from starlette.responses import Response

from tallystick.apps.bills.acts import Replacement, Reversal
from tallystick.apps.bills.gateway.inbox import Order, Told
from tallystick.apps.bills.gateway.orders import (
    Answer,
    Draft,
    NewBill,
    NewBills,
    Outcome,
    Outcomes,
    ReplaceOrder,
    ReversalOrder,
    answer_of,
    digest_of,
)
from tallystick.apps.bills.gateway.plain import parse_plain, read_plain
from tallystick.apps.bills.gateway.reasons import GatewayReason, reason_of
from tallystick.apps.bills.gateway.standing import BillStanding, Waiting
from tallystick.apps.bills.gateway.tokens import Till
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.records.bills import BillId, parse_bill_id
from tallystick.protocol.canonical import Meta, Record, narrow
from tallystick.protocol.errors import Busy, Malformed, Rejected, TallystickError
from tallystick.web.endpoint import JSON, Access, Ask, Endpoint, answer

if TYPE_CHECKING:
    from tallystick.apps.bills.gateway.house import House

BILL_BYTES_MAX = 4 * 1024 * 1024
"""Of one draft, or of a list of them."""
GRACE_SECONDS = 0.5
"""An order that is just being decided may take so much longer."""


class RefQuery(Record):
    """Which bill, by the caller's own number."""

    ref: Annotated[str, Meta(min_length=1, max_length=64)]
    receipt: bool = False


class ReceiptQuery(Record):
    """With or without."""

    receipt: bool = False


class BillsApi:
    """The entries, over one house."""

    def __init__(self, house: House) -> None:
        self._house = house

    def endpoints(self) -> list[Endpoint]:
        """All of them."""
        each = "/v1/bills/{bill}"
        waits = {202: "signed, not yet on the ledger: the body is an answer, not a problem"}
        draft: dict[str, Any] = {"read": read_plain, "body_bytes_max": BILL_BYTES_MAX}
        return [
            Endpoint("POST", "/v1/bills", self.issue, "Issue a bill, or a list of bills",
                     body=JSON, body_kind=NewBill, body_bytes_max=BILL_BYTES_MAX, answer=Answer,
                     answers=waits, tag="bills"),
            Endpoint("POST", each + "/reverse", self.reverse, "Reverse a bill",
                     body=ReversalOrder, answer=Answer, answers=waits, tag="bills", **draft),
            Endpoint("POST", each + "/replace", self.replace, "Reverse a bill and issue another",
                     body=ReplaceOrder, answer=Answer, answers=waits, tag="bills", **draft),
            Endpoint("GET", "/v1/bills", self.of_ref, "How a bill stands, by ref",
                     query=RefQuery, answer=BillStanding, tag="bills"),
            Endpoint("GET", each, self.of_bill, "How a bill stands", query=ReceiptQuery,
                     answer=BillStanding, tag="bills"),
            Endpoint("GET", "/v1/waiting", self.waiting, "What waits, and why", answer=Waiting,
                     tag="gateway"),
            Endpoint("GET", "/v1/health", self.health, "Whether it works", Access.PUBLIC,
                     answer=JSON, tag="gateway"),
        ]  # fmt: skip

    # -------------------------------------------------------------------------------- acts

    async def issue(self, ask: Ask) -> Response:
        """Issue a bill: 200 when it is on the ledger, 202 when it is signed and not there yet.

        A list of drafts is answered with 200 and a list of outcomes, each with its own status.
        """
        till: Till = ask.caller
        till.check("issue")
        value = parse_plain(ask.body)
        if isinstance(value, list):
            wanted = narrow({"bills": value}, NewBills).bills
            return await self._several(till, wanted)
        return await self._answered(self._order(till, narrow(value, NewBill)))

    async def reverse(self, ask: Ask) -> Response:
        """Reverse a bill 冲红: whole, or what the draft says. The answer's bill is the red one."""
        till: Till = ask.caller
        till.check("reverse")
        bill, wanted = _bill(ask), ask.record
        draft = None if wanted.draft is None else self._body(till, wanted.draft, wanted.ref)
        work = Reversal(*parse_bill_id(bill), wanted.reason, draft)
        await asyncio.to_thread(self._house.check_place, till, bill)
        digest = self._digest("reverse", bill, wanted)
        order = Order("reverse", wanted.ref, digest, till.name, work, bill)
        return await self._answered(order)

    async def replace(self, ask: Ask) -> Response:
        """Reverse a bill whole and issue another in its place 冲红重开: both or neither."""
        till: Till = ask.caller
        till.check("reverse")
        till.check("issue")
        bill, wanted = _bill(ask), ask.record
        body = self._body(till, wanted.draft, wanted.ref)
        await asyncio.to_thread(self._house.check_place, till, bill)
        digest = self._digest("replace", bill, wanted)
        work = Replacement(*parse_bill_id(bill), wanted.reason, body)
        return await self._answered(
            Order("replace", wanted.ref, digest, till.name, work, bill, body.code)
        )

    # --------------------------------------------------------------------------- questions

    def of_ref(self, ask: Ask) -> Response:
        """The bill that was made for a ref of the caller's own."""
        ask.caller.check("read")
        row = self._house.refs.get(ask.query.ref)
        if row is None or row.bill is None:
            raise Rejected(GatewayReason.NO_BILL, ask.query.ref, path="ref")
        found = self._house.standing.of(row.bill, row, receipt=ask.query.receipt)
        return answer(found)

    def of_bill(self, ask: Ask) -> Response:
        """A bill by code and number; `fresh` says whether the ledger was asked just now."""
        ask.caller.check("read")
        bill = _bill(ask)
        row = self._house.refs.of_bill(bill)
        return answer(self._house.standing.of(bill, row, receipt=ask.query.receipt))

    def waiting(self, ask: Ask) -> Response:
        """Refs that have no end yet, what the ledger did not take, and how the ledger answers."""
        ask.caller.check("read")
        return answer(self._house.standing.waiting())

    async def health(self, ask: Ask) -> Response:
        """200 as long as bills can be issued, by the ledger or out of a reserve; else 503."""
        said = self._house.standing.health()
        return answer(said, status=200 if said["state"] in ("ok", "away") else 503)

    # --------------------------------------------------------------------------- internals

    async def _several(self, till: Till, wanted: list[NewBill]) -> Response:
        orders: list[Order | TallystickError] = []
        for one in wanted:
            try:
                orders.append(self._order(till, one))
            except (Malformed, Rejected) as error:
                orders.append(error)
        self._house.writer.hand_in([each for each in orders if isinstance(each, Order)])
        ends = asyncio.get_running_loop().time() + self._house.config.answers.seconds
        found = []
        for one, each in zip(wanted, orders, strict=True):
            found.append(await self._outcome(one.ref, each, ends))
        return answer(Outcomes(bills=found))

    def _order(self, till: Till, wanted: NewBill) -> Order:
        body = self._body(till, wanted, wanted.ref)
        digest = self._digest("issue", till.place or "", wanted)
        return Order("issue", wanted.ref, digest, till.name, body, None, body.code)

    def _body(self, till: Till, draft: Draft, ref: str) -> Body:
        body = self._house.filling.body(draft, ref, till.place)
        till.check_place(body.place_code)
        return body

    def _digest(self, kind: str, about: str, order: Record) -> bytes:
        return digest_of(self._house.digest_key, kind, about, order)

    async def _answered(self, order: Order) -> Response:
        self._house.writer.hand_in([order])
        ends = asyncio.get_running_loop().time() + self._house.config.answers.seconds
        told = await self._told(order, ends)
        return answer(answer_of(told.row, repeated=told.repeated), status=_status(told))

    async def _outcome(self, ref: str, order: Order | TallystickError, ends: float) -> Outcome:
        try:
            if not isinstance(order, Order):
                raise order
            told = await self._told(order, ends)
        except TallystickError as error:
            refusal = self._house.problems.of(error)
            return Outcome(ref=ref, status=refusal.status, problem=parse_plain(refusal.body))
        said = answer_of(told.row, repeated=told.repeated)
        return Outcome(ref=ref, status=_status(told), bill=said)

    async def _told(self, order: Order, ends: float) -> Told:
        """What became of it by then; else that it is signed, or that nothing is known yet."""
        result = asyncio.wrap_future(order.result)
        left = ends - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait([result], timeout=max(left, 0))
        if not done:
            row = await asyncio.to_thread(self._house.refs.tell, order.ref)
            if row is not None:
                return Told(row)
            done, _ = await asyncio.wait([result], timeout=GRACE_SECONDS)
        if not done:
            raise Busy(1.0)
        told = result.result()
        if told.row.state == "refused":
            detail = f"{told.row.bill} stays unused; issue anew under a new ref"
            raise Rejected(reason_of(told.row.reason or ""), detail, path="ref")
        return told


def _status(told: Told) -> int:
    return 200 if told.row.state == "done" else 202


def _bill(ask: Ask) -> str:
    try:
        found: str = narrow(ask.path["bill"], BillId)
    except Malformed as error:
        raise Malformed(error.detail, path="bill") from None
    return found
