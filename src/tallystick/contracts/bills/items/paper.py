"""What the actions on paper forms and on booking are told.

Invariant: no field can hold a name, a text or anything else that is about a person.
See docs/spec/contracts/bills-paper.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.items.bills import OfBill
from tallystick.contracts.bills.items.claims import Ordinal
from tallystick.contracts.bills.records.bills import (
    BillCode,
    BillId,
    BillNumber,
    Level,
    TypeVersion,
)
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import Amount, Count, Day, Digest, Word


class OnPaper(Item):
    """Base: a form out of a paper allotment of the sender."""

    bill: BillId
    version: Count
    code: BillCode
    level: Level
    first: BillNumber
    number: BillNumber
    type_version: TypeVersion


class Exchange(OnPaper):
    """``bills.exchange/1`` 换开: the form is being printed."""


class Reprint(OnPaper):
    """``bills.reprint/1``: the old form is void and a new one stands in its place, in one step."""

    reason: Word


class ConfirmPrinted(Item):
    """``bills.confirm_printed/1``: the form was handed over and is live."""

    bill: BillId
    paper: BillId


class CancelExchange(OfBill):
    """``bills.cancel_exchange/1``: it was not printed after all; the form is void."""


class Recover(OfBill):
    """``bills.recover/1``: the live form came back; the electronic bill stands alone again."""


class DeclareLost(OfBill):
    """``bills.declare_lost/1``: the form is invalid; after the waiting time the bill is free."""


class Book(Item):
    """``bills.book/1`` 入账, by who settled a claim on the bill."""

    bill: BillId
    ordinal: Ordinal
    """Of the claim that is booked."""
    amount: Amount
    on: Day
    voucher: Digest


class Unbook(Item):
    """``bills.unbook/1``."""

    bill: BillId
    ordinal: Ordinal
    reason: Word
