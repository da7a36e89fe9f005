"""Which rows and entries of the ledger a caller may read: `web.service.Readers` for bills.

What concerns one bill goes by `access`; catalogue, members, keys and grants are every member's to
read, as they must know whom they deal with; ranges of numbers are their holders' and grantors'.
All else is read by a grant of ``ledger.read``. See docs/spec/requests.md.

Invariant: a kind of row that is not named here is read by that grant alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tallystick.apps.bills.access import by_grant, find_readable, may_read_bill
from tallystick.client.passes import LEDGER_READ
from tallystick.contracts.bills.records.accounts import Account, Collected, Stock
from tallystick.contracts.bills.records.bills import (
    Allotment,
    Bill,
    BillType,
    Issuer,
    TypePointer,
    format_bill_id,
)
from tallystick.contracts.bills.records.claims import Claim
from tallystick.contracts.bills.records.holders import Consent, Mandate
from tallystick.contracts.kit.context import Reader
from tallystick.contracts.kit.grants import Authority
from tallystick.contracts.kit.keys import KeyRow
from tallystick.contracts.members.records import Delivery, Keeper, Member
from tallystick.protocol.errors import Rejected
from tallystick.protocol.row import Row
from tallystick.protocol.transaction import Header
from tallystick.web.callers import Caller, allows
from tallystick.web.reasons import WebReason

OF_ALL = frozenset(
    kind.KIND
    for kind in (Authority, BillType, Delivery, Issuer, KeyRow, Keeper, Member, TypePointer)
)
"""Kinds that every member may read."""


class BillReaders:
    """Fulfils `web.service.Readers`."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """`clock` gives Unix seconds."""
        self._clock = clock

    def row(self, reader: Reader, caller: Caller, row: Row | None, key: str) -> str:
        """A row of the state, or that there is none; a caller that may not is not told which."""
        kind, _, row_id = key.partition("/")
        member = caller.kind in ("member", "keeper")
        if member and kind in OF_ALL:
            return "member"
        if kind == Bill.KIND:
            if isinstance(row, Bill):
                return may_read_bill(reader, caller, row, self._clock())
            return find_readable(reader, caller, row_id, self._clock())[1]
        if member and row is not None and _is_own(caller, row):
            return "own"
        if isinstance(row, Claim):
            return self._of_claim(reader, caller, row)
        return self.all(reader, caller)

    def entry(self, reader: Reader, caller: Caller, header: Header, item: Mapping[str, Any]) -> str:
        """An item of a transaction: its sender's, and of those who may read its bill."""
        bill = _bill_of(item)
        code = None if bill is None else int(bill[:8])
        if caller.kind == "member" and header.sender == caller.org and caller.own(code):
            return "sender"
        if bill is not None:
            return find_readable(reader, caller, bill, self._clock())[1]
        return self.all(reader, caller)

    def all(self, reader: Reader, caller: Caller) -> str:
        """Everything that there is, of every code."""
        if not allows(reader, caller, LEDGER_READ, self._clock()):
            raise Rejected(WebReason.FORBIDDEN, f"{caller.name} holds no grant of {LEDGER_READ}")
        return LEDGER_READ

    def _of_claim(self, reader: Reader, caller: Caller, claim: Claim) -> str:
        """Who reimburses whom is not the issuer's to know."""
        bill = claim.id.partition("/")[0]
        if caller.bill == bill:
            return caller.kind
        found = by_grant(reader, caller, int(bill[:8]), self._clock())
        return found or self.all(reader, caller)


def _is_own(caller: Caller, row: Row) -> bool:
    """Whether a row names the caller's organisation as one that it is about."""
    org = caller.org
    code = getattr(row, "code", None)
    if org is None or not caller.own(code if isinstance(code, int) else None):
        return False
    if isinstance(row, Allotment):
        return org in (row.holder, row.grantor, *row.former)
    if isinstance(row, Claim):
        return row.reimburser == org
    if isinstance(row, Consent | Mandate):
        return row.reader == org
    if isinstance(row, Account):
        return row.org == org
    if isinstance(row, Collected | Stock):
        return org in row.id.split("/")
    return False


def _bill_of(item: Mapping[str, Any]) -> str | None:
    """The bill that an item makes or is about."""
    bill = item.get("bill") or item.get("reversal_of")
    if isinstance(bill, str):
        return bill
    code, number = item.get("code"), item.get("number")
    if isinstance(code, int) and isinstance(number, int):
        return format_bill_id(code, number)
    return None
