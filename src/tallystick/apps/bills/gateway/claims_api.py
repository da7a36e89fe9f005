"""What an insurer's system may ask of its gateway: lock, settle, release, reject, renew, look.

Invariant: "accepted" is said only of what is proven to be on the ledger; pay only then.
See docs/guides/gateway.md.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, Annotated, Any

from starlette.responses import Response

from tallystick.apps.bills import claim_orders as orders
from tallystick.apps.bills.claim_book import REF_CHARS_MAX, Kept, State
from tallystick.apps.bills.gateway.claims import ClaimsDesk, find
from tallystick.apps.bills.gateway.plain import read_plain
from tallystick.apps.bills.gateway.reasons import GatewayReason, reason_of
from tallystick.apps.bills.reimburser import Reimburser
from tallystick.contracts.bills.records.bills import BillId
from tallystick.contracts.bills.records.claims import Basis, Benefit, Right
from tallystick.contracts.bills.records.holders import Opening
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.row import RowId
from tallystick.protocol.values import Amount, Count, Instant, Word
from tallystick.web.endpoint import Ask, Endpoint, answer

if TYPE_CHECKING:
    from tallystick.apps.bills.gateway.house import House

OwnRef = Annotated[str, Meta(min_length=1, max_length=REF_CHARS_MAX)]
Hex = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""SHA-256 of a decision of one's own."""
LISTED_MAX = 500


class NewLock(Record):
    """Money of a bill to be taken hold of."""

    ref: OwnRef
    bill: BillId
    purpose: Word
    amount: Amount
    right: Right
    right_id: RowId | None = None
    basis: Basis | None = None
    """Left out: ``cash``."""
    benefit: Benefit | None = None
    """Left out: ``indemnity``."""
    until: Instant | None = None
    opening: Opening | None = None
    paper: BillId | None = None
    case: Annotated[str, Meta(max_length=80)] = ""


class SettleOrder(Record):
    """An answer with an amount."""

    amount: Amount
    decision: Hex
    reason: Word | None = None
    paid_at: Instant | None = None


class RejectOrder(Record):
    """The answer no."""

    reason: Word
    decision: Hex


class ReleaseOrder(Record):
    """The end of a lock."""

    reason: Word


class RenewOrder(Record):
    """A later end of a lock; left out: as late as the type allows."""

    until: Instant | None = None


class ClaimSaid(Record):
    """A claim, as the book has it."""

    claim: Count
    ref: str = ""
    bill: BillId
    purpose: Word
    state: Word
    amount: Amount
    until: Instant | None = None
    settled: Amount = 0
    due: Amount = 0
    reason: str = ""
    entry: Count | None = None
    repeated: bool = False
    """It was done before; nothing was sent."""


class ClaimsSaid(Record):
    """Some claims."""

    claims: list[ClaimSaid]


class ClaimsQuery(Record):
    """Which."""

    state: Word | None = None
    ref: OwnRef | None = None
    after: Count = 0


class ClaimsApi:
    """The entries, over one house."""

    def __init__(self, house: House) -> None:
        self._house = house

    def endpoints(self) -> list[Endpoint]:
        """All of them."""
        each = "/v1/claims/{claim}"
        named: dict[str, Any] = {
            "answer": ClaimSaid,
            "answers": {202: "it is under way; send the same again"},
            "tag": "claims",
            "read": read_plain,
        }
        return [
            Endpoint("POST", "/v1/claims", self.lock, "Lock money of a bill", body=NewLock,
                     **named),
            Endpoint("POST", each + "/settle", self.settle, "Settle a claim", body=SettleOrder,
                     **named),
            Endpoint("POST", each + "/reject", self.reject, "Reject a claim", body=RejectOrder,
                     **named),
            Endpoint("POST", each + "/release", self.release, "Let a lock go",
                     body=ReleaseOrder, **named),
            Endpoint("POST", each + "/renew", self.renew, "Let a lock stand longer",
                     body=RenewOrder, **named),
            Endpoint("GET", each, self.claim, "How a claim stands", answer=ClaimSaid,
                     tag="claims"),
            Endpoint("GET", "/v1/claims", self.claims, "Claims by state or ref",
                     query=ClaimsQuery, answer=ClaimsSaid, tag="claims"),
        ]  # fmt: skip

    async def lock(self, ask: Ask) -> Response:
        """Take hold of money; the same again is the same claim."""
        ask.caller.check("claim")
        wanted: NewLock = ask.record
        order = orders.LockOrder(
            bill=wanted.bill,
            purpose=wanted.purpose,
            amount=wanted.amount,
            right=wanted.right,
            right_id=wanted.right_id or "",
            basis=wanted.basis or "cash",
            benefit=wanted.benefit or "indemnity",
            until=wanted.until,
            opening=wanted.opening,
            paper=wanted.paper,
            case=wanted.case,
            ref=wanted.ref,
        )
        return await self._do("lock", order)

    async def settle(self, ask: Ask) -> Response:
        """Answer a claim with an amount. Pay when this says 200."""
        ask.caller.check("settle")
        kept, wanted = await self._kept(ask), ask.record
        decision = bytes.fromhex(wanted.decision)
        order = orders.Settlement(kept.id, wanted.amount, decision, wanted.reason, wanted.paid_at)
        return await self._do("settle", order)

    async def reject(self, ask: Ask) -> Response:
        """Answer a claim with no."""
        ask.caller.check("settle")
        kept = await self._kept(ask)
        decision = bytes.fromhex(ask.record.decision)
        return await self._do("reject", orders.Rejection(kept.id, ask.record.reason, decision))

    async def release(self, ask: Ask) -> Response:
        """Let a lock go; nothing is settled."""
        ask.caller.check("claim")
        kept = await self._kept(ask)
        return await self._do("release", orders.Release(kept.id, ask.record.reason))

    async def renew(self, ask: Ask) -> Response:
        """Let a lock stand longer."""
        ask.caller.check("claim")
        kept = await self._kept(ask)
        return await self._do("renew", orders.Renewal(kept.id, ask.record.until))

    async def claim(self, ask: Ask) -> Response:
        """A claim, by its number in the book or by one's own ref."""
        ask.caller.check("read")
        return answer(_said(await self._kept(ask)))

    async def claims(self, ask: Ask) -> Response:
        """Claims in a state, or under a ref, by number; the next ones with `after`."""
        ask.caller.check("read")
        query: ClaimsQuery = ask.query

        def look(desk: Reimburser) -> list[Kept]:
            if query.ref is not None:
                return desk.book.of_ref(query.ref)
            states: list[Any] = [query.state] if query.state else list(_STATES)
            return desk.book.in_states(states, after=query.after, limit=LISTED_MAX)

        found = await self._asked(self._desk().ask(look))
        return answer(ClaimsSaid(claims=[_said(each) for each in found]))

    def _desk(self) -> ClaimsDesk:
        desk = self._house.claims
        if desk is None:
            raise Rejected(GatewayReason.NO_CLAIMS)
        return desk

    async def _kept(self, ask: Ask) -> Kept:
        name = ask.path["claim"]
        kept: Kept = await self._asked(self._desk().ask(lambda desk: find(desk, name)))
        return kept

    async def _do(self, verb: str, order: Any) -> Response:
        done: orders.Answer = await self._asked(self._desk().hand_in(verb, order))
        if not done.accepted:
            _refuse(done)
        claim = done.claim
        kept = await self._asked(self._desk().ask(lambda desk: desk.book.get(claim or 0)))
        return answer(_said(kept, repeated=done.repeated))

    async def _asked(self, result: Future[Any]) -> Any:
        waited = asyncio.wrap_future(result)
        done, _ = await asyncio.wait([waited], timeout=self._house.config.answers.seconds)
        if not done:
            raise Rejected(GatewayReason.UNDER_WAY)
        return waited.result()


_STATES: tuple[State, ...] = (
    *("prepared", "locked", "ready", "settled", "rejected", "released", "expired", "refused"),
)


def _refuse(done: orders.Answer) -> None:
    said = [done.detail]
    if done.left is not None:
        said.append(f"left: {done.left}")
    if done.locked_until:
        said.append(f"locked until {done.locked_until}")
    detail = "; ".join(each for each in said if each)
    if done.outcome.endswith(".malformed"):
        raise Malformed(detail, path=done.path)
    raise Rejected(reason_of(done.outcome), detail, path=done.path)


def _said(kept: Kept, *, repeated: bool = False) -> ClaimSaid:
    return ClaimSaid(
        claim=kept.id,
        ref=kept.ref,
        bill=kept.bill,
        purpose=kept.terms.purpose,
        state=kept.state,
        amount=kept.amount,
        until=kept.until,
        settled=kept.settled + kept.fixed,
        due=kept.due,
        reason=kept.reason or "",
        entry=kept.entry,
        repeated=repeated,
    )
