"""Who may read rows, entries and blocks of a ledger of bills: `web.service.Readers` for it.

What every member must know to verify what it is shown (members, keys, grants, bill types, what is
said of issuers) every member reads. Another row is read by those whom it names, and by grants on
its code. Claims, consents, mandates, helpers and plans are told to no issuer. Each bill that is
shown is noted for its holder. See docs/spec/requests.md.

Invariant: who reimburses, or may, is told to itself, to the holder and by a grant, to nobody else;
a kind of row that is not named here is read by a grant alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tallystick.apps.bills.access import (
    by_grant,
    find_readable,
    forbidden,
    may_read_bill,
    may_read_code,
    own_spans,
    show_right,
)
from tallystick.client.passes import LEDGER_READ
from tallystick.contracts.bills.records.accounts import (
    Account,
    Collected,
    Erasure,
    Hold,
    Manifest,
    Stock,
    parse_period,
)
from tallystick.contracts.bills.records.bills import (
    Allotment,
    Bill,
    BillType,
    Issuer,
    TypePointer,
    format_bill_id,
)
from tallystick.contracts.bills.records.claims import Claim, Plan
from tallystick.contracts.bills.records.holders import Consent, Helper, Mandate
from tallystick.contracts.bills.records.paper import Booking
from tallystick.contracts.bills.records.supervision import Finding
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.contracts.kit.context import Reader
from tallystick.contracts.kit.grants import Authority
from tallystick.contracts.kit.keys import KeyRow, find_key
from tallystick.contracts.members.records import Delivery, Keeper, Member
from tallystick.protocol.errors import Rejected
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.transaction import Header
from tallystick.web.callers import Caller, limit_of
from tallystick.web.reasons import WebReason

Noted = Callable[[str, Caller, str], None]
"""A bill, who reads it, why: `web.access.AccessLog.note`."""

OF_ALL = frozenset(kind.KIND for kind in (BillType, TypePointer))
"""The catalogue: read by whoever has a key or a pass."""
OF_MEMBERS = frozenset(kind.KIND for kind in (Authority, Delivery, Issuer, KeyRow, Keeper, Member))
"""Kinds that every member may read."""
OF_THE_BILL = frozenset(
    {
        *("issue", "issue_offline", "reverse", "replace", "withhold", "release", "freeze", "lift"),
        *("rebind", "reversal_request", "cancel_reversal", "exchange", "reprint"),
        *("confirm_printed", "cancel_exchange", "recover", "declare_lost", "arbitrate"),
        *("order_erasure", "erased", "hold", "lift_hold", "dispute", "answer"),
    }
)
"""Actions that say nothing of who reimburses: whoever may read the bill may read them."""

_BILL_ID = re.compile(r"[1-9][0-9]{7}:[0-9]{10}")
_CODE = re.compile(r"([1-9][0-9]{7})([:/].*)?")


class BillReaders:
    """Fulfils `web.service.Readers`."""

    def __init__(
        self, clock: Callable[[], int], noted: Noted = lambda bill, caller, why: None
    ) -> None:
        """`clock` gives Unix seconds; `noted` is told of each bill that is about to be shown."""
        self._clock = clock
        self._noted = noted

    def row(self, reader: Reader, caller: Caller, row: Row | None, key: str) -> str:
        """Why the caller may read a row, or that there is none under `key` (``<kind>/<id>``)."""
        kind, _, row_id = key.partition("/")
        if kind == Bill.KIND:
            return self._bill(reader, caller, row, row_id)
        if _known_to_all(caller, kind):
            return "member"
        bill = None if row is None else _bill_of(row)
        if bill is not None and bill == caller.bill:
            self._noted(bill, caller, caller.kind)
            return caller.kind
        code = _code_of(row, row_id)
        if _is_member(caller, code) and caller.org in _parties(reader, row, kind):
            return "party"
        return by_grant(reader, caller, code, self._clock()) or _no(caller, key)

    def entry(self, reader: Reader, caller: Caller, header: Header, item: Mapping[str, Any]) -> str:
        """Why the caller may read an item of a transaction.

        Who wrote it learns nothing by reading it: that is not noted.
        """
        bill_id, code = _about(item)
        if _is_member(caller, code) and caller.org == header.sender:
            return "sender"
        said = item.get("said")
        if isinstance(said, dict) and _is_member(caller, code) and said.get("reader") == caller.org:
            return "reader"
        why = by_grant(reader, caller, code, self._clock())
        if not why and bill_id is not None and _may_be_told(header.action, caller):
            _, why = find_readable(reader, caller, bill_id, self._clock())
        if not why:
            _no(caller, "the entry")
        if bill_id is not None:
            self._noted(bill_id, caller, why)
        return why

    def rehearsed(self, reader: Reader, header: Header, item: Mapping[str, Any]) -> bool:
        """Whether its sender may be told why an item would be refused.

        Of bills that it may not read that would tell whether there are any, and how they stand,
        and nothing would be left of the question.
        """
        key = find_key(reader, header.key)
        if key is None:
            return False
        caller = Caller("member", header.sender, header.key, limits=(limit_of(key),))
        for bill_id in sorted(_bills_named(item)):
            asking = replace(caller, opening=show_right(bill_id, item))
            try:
                find_readable(reader, asking, bill_id, self._clock())
            except Rejected as refusal:
                if refusal.reason is not WebReason.NOT_FOUND:
                    return False
        return True

    def transaction(
        self, reader: Reader, caller: Caller, header: Header, items: Iterable[Mapping[str, Any]]
    ) -> str:
        """Why the caller may read a whole transaction: its own, as far as key and pass reach."""
        own = caller.org is not None and caller.org == header.sender
        if own and (_is_member(caller, None) or all(is_own(caller, item) for item in items)):
            return "sender"
        return self.all(reader, caller)

    def spans(
        self, reader: Reader, caller: Caller, code: int, first: int, last: int
    ) -> Iterator[tuple[int, int]]:
        """Where in [first, last] the numbers of a code can be that the caller may read, in order.

        Of bills that it reimburses it asks by name: they lie among those of others.
        """
        if may_read_code(reader, caller, code, self._clock()):
            yield first, last
            return
        after = first
        for span in sorted(own_spans(reader, caller, code)):
            start, end = max(span[0], after), min(span[1], last)
            if start <= end:
                yield start, end
                after = end + 1

    def all(self, reader: Reader, caller: Caller) -> str:
        """Why the caller may read everything: blocks, whole transactions of others."""
        why = by_grant(reader, caller, None, self._clock(), words=(LEDGER_READ,))
        return why or _no(caller, "the whole ledger")

    def _bill(self, reader: Reader, caller: Caller, row: Row | None, bill_id: str) -> str:
        if not _BILL_ID.fullmatch(bill_id):
            raise Rejected(WebReason.NOT_FOUND, "a bill is <code>:<number of ten digits>")
        now = self._clock()
        if isinstance(row, Bill):
            why = may_read_bill(reader, caller, row, now)
        else:
            _, why = find_readable(reader, caller, bill_id, now)
        self._noted(bill_id, caller, why)
        return why


def _no(caller: Caller, what: str) -> str:
    raise forbidden(caller, what)


def _is_member(caller: Caller, code: int | None) -> bool:
    """Whether it asks for an organisation what concerns that."""
    return caller.kind == "member" and caller.own(code)


def is_own(caller: Caller, item: Mapping[str, Any]) -> bool:
    """Whether the caller may see an item that its own organisation has sent."""
    return _is_member(caller, _about(item)[1])


def _known_to_all(caller: Caller, kind: str) -> bool:
    """Whether anybody with a key of its sort may read rows of this kind."""
    if kind in OF_ALL:
        return caller.kind != "anonymous"
    return (
        kind in OF_MEMBERS
        and caller.org is not None
        and all(not each.strict or each.allows(LEDGER_READ) for each in caller.limits)
    )


def _may_be_told(action: str, caller: Caller) -> bool:
    """Whether an item may be shown to whoever may read its bill; the holder may see all."""
    word = action.partition("/")[0].partition(".")[2]
    return word in OF_THE_BILL or caller.kind in ("holder", "helper")


def _about(item: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """The bill that an item is about, and the code, as far as it says."""
    said = item.get("said")
    code, number = item.get("code"), item.get("number")
    if isinstance(code, int) and isinstance(number, int):
        return format_bill_id(code, number), code
    for named in (item.get("bill"), said.get("bill") if isinstance(said, dict) else None):
        if isinstance(named, str) and _BILL_ID.fullmatch(named):
            return named, int(named[:8])
    return None, code if isinstance(code, int) else None


def _bills_named(item: Mapping[str, Any]) -> set[str]:
    """All bills that an item is about, wherever it names them."""
    found, look = {_about(item)[0]} - {None}, list[Any]([item])
    while look:
        each = look.pop()
        if isinstance(each, Mapping):
            look += each.values()
        elif isinstance(each, list):
            look += each
        elif isinstance(each, str) and _BILL_ID.match(each):
            found.add(each[:19])  # of a claim or a finding, too: their ids begin with the bill's
    return {each for each in found if each is not None}


def _code_of(row: Row | None, row_id: str) -> int | None:
    """The bill code that a row is about; None: of none, or of many."""
    if isinstance(row, Consent | Finding):
        return int(row.bill[:8])
    if isinstance(row, Helper):
        return int(row.bill[:8]) if row.bill else None
    period = parse_period(row_id)
    if period is not None:
        return period.code
    found = _CODE.fullmatch(row_id)
    return int(found[1]) if found else None


def _bill_of(row: Row) -> str | None:
    """The bill that a row besides the bill's own is about."""
    if isinstance(row, Consent | Finding | Helper):
        return row.bill
    if isinstance(row, Claim | Plan | Booking | Erasure | Hold):
        bill = row.id.partition("/")[0]
        return bill if _BILL_ID.fullmatch(bill) else None
    return None


def _parties(reader: Reader, row: Row | None, kind: str) -> tuple[str, ...]:
    """The organisations that a row names as those whom it concerns."""
    parties = None if row is None else _PARTIES.get(kind)
    return parties(reader, row) if parties is not None else ()


def _of_booking(reader: Reader, row: Booking) -> tuple[str, ...]:
    claim = reader.get(row_key(Claim.KIND, row.id), Claim)
    return (row.unit, claim.reimburser) if claim else (row.unit,)


def _of_finding(reader: Reader, row: Finding) -> tuple[str, ...]:
    bill = find_bill(reader, row.bill)
    return (row.by, *((bill.issuer,) if bill else ()))


_PARTIES: Mapping[str, Callable[[Reader, Any], tuple[str, ...]]] = {
    Allotment.KIND: lambda reader, row: (row.holder, row.grantor, *row.former),
    Consent.KIND: lambda reader, row: (row.reader,),
    Mandate.KIND: lambda reader, row: (row.reader,),
    Claim.KIND: lambda reader, row: (row.reimburser,),
    Plan.KIND: lambda reader, row: tuple(share.reimburser for share in row.shares),
    Booking.KIND: _of_booking,
    Account.KIND: lambda reader, row: (row.org, row.reviewer),
    Collected.KIND: lambda reader, row: (row.id.partition("/")[0],),
    Stock.KIND: lambda reader, row: (row.id.partition("/")[0],),
    Manifest.KIND: lambda reader, row: (row.archive, row.account.partition("/")[0]),
    Hold.KIND: lambda reader, row: tuple(order.by for order in row.orders),
    Erasure.KIND: lambda reader, row: (row.by, *(copy.org for copy in row.copies)),
    Finding.KIND: _of_finding,
}
