"""Paper forms over a gateway: an act names what is to be so, and one that is so already is done.

Invariant: a bill has one form at a time, whatever is asked twice. See docs/guides/gateway.md.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from tallystick.apps.bills import paper_desk
from tallystick.apps.bills.gateway.reasons import GatewayReason, reason_of
from tallystick.apps.bills.sending import VALID_SECONDS, new_nonce
from tallystick.contracts.bills.items import paper as items
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import Bill, BillId, PaperLink, parse_bill_id
from tallystick.ledger.view import Reading
from tallystick.protocol.canonical import Record
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Rejected
from tallystick.protocol.transaction import Item, sign_transaction
from tallystick.protocol.values import Word, format_instant
from tallystick.web.endpoint import Ask, Endpoint, answer

if TYPE_CHECKING:
    from starlette.responses import Response

    from tallystick.apps.bills.gateway.house import House
    from tallystick.apps.bills.remote import Connection

Act = Literal["next", "confirm", "spoil", "recover", "lost"]
TRIES = 3
_REASONS: dict[str, str] = {"spoil": "not_printed", "recover": "returned", "lost": "lost"}


class PaperOrder(Record):
    """Both may be left out."""

    form: BillId | None = None
    """With `next`: which form lies on top; left out: the next of the stock."""
    reason: Word | None = None


class PaperSaid(Record):
    """How it stands with a bill's form."""

    bill: BillId
    form: BillId | None = None
    state: Literal["none", "printing", "live", "lost"]
    repeated: bool = False


class PaperApi:
    """The entry, over one house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._lock = threading.Lock()
        self._taken: set[tuple[int, int]] = set()
        """Forms that were asked for and of which the ledger may not say so yet."""

    def endpoints(self) -> list[Endpoint]:
        """The one."""
        waits = {202: "it is under way; send the same again"}
        return [
            Endpoint(
                *("POST", "/v1/bills/{bill}/paper/{act}", self.paper),
                "A bill's paper form: next, confirm, spoil, recover, lost",
                body=PaperOrder,
                answer=PaperSaid,
                answers=waits,
                tag="paper",
            )
        ]

    def paper(self, ask: Ask) -> Response:
        """`next`: print it on the next form; `confirm`: it was handed over; `spoil`: it was not
        printed after all, the form is void; `recover`: it came back; `lost`: it is lost."""
        ask.caller.check("paper")
        bill, act = self._house.bill_in(ask), ask.path["act"]
        if act not in ("next", "confirm", "spoil", "recover", "lost"):
            raise Rejected(GatewayReason.NO_FORM, act[:20], path="act")
        self._house.check_place(ask.caller, bill)
        return answer(self._do(bill, act, ask.record))

    def _do(self, bill: str, act: Act, order: PaperOrder) -> PaperSaid:
        connection = self._house.there()
        outcome = ""
        for _ in range(TRIES):
            with connection.view() as view:
                row = paper_desk.read_blue(view, bill)
                if _is_so(row.paper, act):
                    return _said(row, repeated=True)
                form = self._form(view, row, order) if act == "next" else None
                item = self._item(view, row, act, form, order)
            outcome = self._enter(connection, _ACTIONS[act], item)
            if form is not None and outcome != ACCEPTED:
                self._taken.discard((form[0].code, form[1]))
            if outcome != BillsReason.NUMBER_USED.value:
                break
        if outcome != ACCEPTED:
            raise Rejected(reason_of(outcome), path="bill")
        with connection.view() as view:
            return _said(paper_desk.read_blue(view, bill))

    def _form(self, view: Reading, row: Bill, order: PaperOrder) -> paper_desk.Form:
        if order.form is not None:
            holder = paper_desk.acting_for(view, row.issuer)
            return paper_desk.stock_of(view, *parse_bill_id(order.form), holder=holder)
        with self._lock:
            found = paper_desk.free_form(view, row, self._house.clock(), self._taken)
            if found is None:
                raise Rejected(GatewayReason.NO_FORM, path="bill")
            self._taken.add((found[0].code, found[1]))
            return found

    def _item(
        self, view: Reading, row: Bill, act: Act, form: paper_desk.Form | None, order: PaperOrder
    ) -> Item:
        if form is not None:
            return paper_desk.exchange(view, row, form, self._house.clock())
        if row.paper is None:
            raise Rejected(GatewayReason.NO_FORM, row.id, path="bill")
        if act == "confirm":
            return paper_desk.confirm(row)
        kind = {"spoil": items.CancelExchange, "recover": items.Recover, "lost": items.DeclareLost}
        reason = order.reason or _REASONS[act]
        return kind[act](nonce=new_nonce(), bill=row.id, version=row.version, reason=reason)

    def _enter(self, connection: Connection, action: str, item: Item) -> str:
        data = sign_transaction(
            connection.signer,
            network=connection.network,
            sender=self._house.org(),
            action=action,
            items=[item],
            idempotency=new_nonce(),
            valid_until=format_instant(self._house.clock() + VALID_SECONDS),
        )
        try:
            committed = connection.submit(data).result(self._house.config.answers.seconds)
        except TimeoutError:
            raise Rejected(GatewayReason.UNDER_WAY) from None
        return str(committed.outcomes[0])


_ACTIONS: dict[str, str] = {
    "next": "bills.exchange/1",
    "confirm": "bills.confirm_printed/1",
    "spoil": "bills.cancel_exchange/1",
    "recover": "bills.recover/1",
    "lost": "bills.declare_lost/1",
}


def _is_so(paper: PaperLink | None, act: Act) -> bool:
    """Whether a bill's form stands as the act would have it."""
    state = paper.state if paper is not None else "none"
    wanted: dict[str, tuple[str, ...]] = {
        "next": ("printing", "live"),
        "confirm": ("live",),
        "spoil": ("none",),
        "recover": ("none",),
        "lost": ("lost",),
    }
    return state in wanted[act]


def _said(row: Bill, *, repeated: bool = False) -> PaperSaid:
    paper = row.paper
    return PaperSaid(
        bill=row.id,
        form=paper.id if paper else None,
        state=paper.state if paper else "none",
        repeated=repeated,
    )
