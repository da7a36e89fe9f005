"""`POST /v1/reconcile`: a day's list against the bills, and its acts done on demand.

Invariant: acts are done only of a plan that was tried and kept, named by its digest.
See docs/spec/reconciliation.md.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from starlette.responses import Response

from tallystick.apps.bills.acts import Replacement, Reversal
from tallystick.apps.bills.gateway.inbox import Order, Told
from tallystick.apps.bills.gateway.orders import Draft, digest_of
from tallystick.apps.bills.gateway.plain import read_plain
from tallystick.apps.bills.gateway.reasons import GatewayReason
from tallystick.apps.bills.office import MALFORMED
from tallystick.apps.bills.reconcile import Act, Applied, Difference, Done, Line, Result, Scope
from tallystick.apps.bills.reconciling import At, apply, find_result, keep, newest, reconcile
from tallystick.apps.bills.sending import VALID_SECONDS, new_nonce
from tallystick.apps.bills.trying import Work
from tallystick.client import wire
from tallystick.contracts.bills.body import Body, Code
from tallystick.contracts.bills.records.bills import CatalogueCode, parse_bill_id
from tallystick.protocol.canonical import Meta, Record, decode, narrow, replace
from tallystick.protocol.errors import Malformed, Rejected, TallystickError
from tallystick.protocol.transaction import Item, sign_transaction
from tallystick.protocol.values import Day, format_instant
from tallystick.web.endpoint import Ask, Endpoint, answer

if TYPE_CHECKING:
    from tallystick.apps.bills.gateway.house import House
    from tallystick.apps.bills.remote import Connection

BYTES_MAX = 16 * 1024 * 1024
WAIT_SECONDS = 30.0
"""For one act of a plan."""


class ReconcileOrder(Record):
    """A business day, of one place and shift or of all, and one's own list of it."""

    day: Day
    place: CatalogueCode | None = None
    shift: Code | None = None
    lines: list[Line] = []


class ApplyOrder(Record):
    """A plan: the digest of a result that was kept."""

    plan: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class ReconciledSaid(Record):
    """What was found."""

    plan: str
    """The digest, in hex: names this result, and its acts."""
    file: str
    """Where it was kept, below the gateway's folder."""
    result: Result
    differences: list[Difference]


class _Made(NamedTuple):
    """What an act asks of the office."""

    kind: str
    work: Work
    code: int = 0


class ReconcileApi:
    """The entries, over one house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._alone = threading.Lock()
        last = newest(house.folder)
        if last is not None:
            self._show(last)

    def endpoints(self) -> list[Endpoint]:
        """Both."""
        return [
            Endpoint("POST", "/v1/reconcile", self.reconcile, "Compare a day's list with the bills",
                     body=ReconcileOrder, read=read_plain, body_bytes_max=BYTES_MAX,
                     answer=ReconciledSaid, tag="reconcile"),
            Endpoint("POST", "/v1/reconcile/apply", self.apply, "Do what a plan proposes",
                     body=ApplyOrder, read=read_plain, answer=Applied, tag="reconcile"),
        ]  # fmt: skip

    def reconcile(self, ask: Ask) -> Response:
        """All differences in classes, each with what to do; acts are tried and not done."""
        ask.caller.check("reconcile")
        wanted: ReconcileOrder = ask.record
        if ask.caller.place is not None:
            ask.caller.check_place(wanted.place)
        house, connection = self._house, self._house.there()
        scope = Scope(day=wanted.day, place=wanted.place, shift=wanted.shift)
        with self._alone, connection.view() as view:
            at = At(house.folder, house.vault, view, self._refs, self._find)
            found = reconcile(
                *(at, scope, wanted.lines),
                org=house.org(),
                now=house.clock(),
                by=ask.caller.name,
                attempt=partial(self._attempt, connection, scope),
            )
            path = keep(house.folder, found, connection.signer)
        self._show(found.result)
        said = ReconciledSaid(
            plan=found.result.digest.hex(),
            file=str(path.relative_to(house.folder)),
            result=found.result,
            differences=found.differences,
        )
        return answer(said)

    def apply(self, ask: Ask) -> Response:
        """Do the acts of a kept result whose trial succeeded; the same again does none twice."""
        ask.caller.check("reconcile")
        ask.caller.check("issue")
        ask.caller.check("reverse")
        self._house.there()
        with self._alone:
            plan = find_result(self._house.folder, bytes.fromhex(ask.record.plan))
            if plan is None:
                raise Rejected(GatewayReason.PLAN, "no such result is kept", path="plan")
            if ask.caller.place is not None:
                ask.caller.check_place(plan.result.scope.place)
            do = partial(self._do, ask.caller.name, plan.result.scope)
            return answer(apply(self._house.folder, plan, do, now=self._house.clock()))

    # --------------------------------------------------------------------------- internals

    def _refs(self, bill: str) -> list[str]:
        row = self._house.refs.of_bill(bill)
        return [] if row is None else [row.ref]

    def _find(self, ref: str) -> str | None:
        row = self._house.refs.get(ref)
        return None if row is None else row.bill

    def _show(self, result: Result) -> None:
        self._house.standing.reconciled = result.at, result.scope.day, result.differences

    def _made(self, scope: Scope, difference: Difference, act: Act, ref: str) -> _Made:
        """`Malformed`, with the field, where a line's draft is none."""
        if act.verb == "reverse":
            bill = parse_bill_id(act.bill or "")
            return _Made("reverse", Reversal(*bill, act.reason or "other"))
        draft = self._filled(narrow(act.draft, Draft), scope, difference, act)
        body = self._house.filling.body(draft, ref, None)
        if act.verb == "issue":
            return _Made("issue", body, body.code)
        bill = parse_bill_id(act.bill or "")
        return _Made("replace", Replacement(*bill, act.reason or "other", body), body.code)

    def _filled(self, draft: Draft, scope: Scope, difference: Difference, act: Act) -> Draft:
        """What a line's draft leaves out: it is of the line's place, for what the bill was for."""
        line, codes = difference.there, draft.business_codes
        if not codes and difference.ref:
            codes = (narrow(difference.ref, Code),)
        elif not codes and act.bill is not None:
            old, _ = self._house.vault.get(*parse_bill_id(act.bill))
            codes = decode(old, Body).business_codes
        place, shift = (line.place, line.shift) if line else (None, None)
        return replace(
            draft,
            business_codes=codes,
            place_code=draft.place_code or place or scope.place,
            cashier_shift=draft.cashier_shift or shift or scope.shift,
        )

    def _attempt(
        self, connection: Connection, scope: Scope, difference: Difference, act: Act
    ) -> Act:
        try:
            work = self._made(scope, difference, act, f"trial-{difference.n}").work
        except Malformed as error:
            return replace(act, outcome=MALFORMED, detail=str(error))
        ask = partial(self._rehearse, connection)
        issued = self._house.writer.call(lambda office: office.rehearse(work, ask)).result()
        detail = f"{issued.path}: {issued.detail}" if issued.path else issued.detail
        return replace(act, outcome=issued.outcome, detail=detail)

    def _rehearse(self, connection: Connection, action: str, item: Item) -> str:
        data = sign_transaction(
            connection.signer,
            network=connection.network,
            sender=self._house.org(),
            action=action,
            items=[item],
            idempotency=new_nonce(),
            valid_until=format_instant(self._house.clock() + VALID_SECONDS),
        )
        return str(connection.client.run(wire.dry_run(data)).outcomes[0])

    def _do(self, by: str, scope: Scope, difference: Difference, act: Act, ref: str) -> Done:
        named: dict[str, Any] = {"n": difference.n, "verb": act.verb}
        try:
            made = self._made(scope, difference, act, ref)
            digest = digest_of(self._house.digest_key, made.kind, act.bill or "", act)
            order = Order(made.kind, ref, digest, by, made.work, act.bill, made.code)
            self._house.writer.hand_in([order])
            told: Told = order.result.result(WAIT_SECONDS)
        except Rejected as error:
            return Done(outcome=error.reason.value, detail=error.detail, **named)
        except TallystickError as error:
            return Done(outcome="failed", detail=str(error), **named)
        except TimeoutError:
            row = self._house.refs.tell(ref)
            return Done(
                outcome="signed" if row else "failed", bill=row.bill if row else None, **named
            )
        outcome = "accepted" if told.row.state == "done" else told.row.state
        return Done(outcome=outcome, bill=told.row.bill, **named)
