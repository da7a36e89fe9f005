"""What holders of bills have said: consents, standing mandates, helpers.

A bill's record has a commitment to its holder's bill key, salted by a commitment to the mandate key
of the holder's wallet. So a mandate, signed once, covers each bill whose commitment opens to its
key, with no act of the holder for each bill, and bills without a use stay unlinked.

    salt       = SHA-256("tallystick/holder-salt/v1\\n" || nonce || mandate key)
    commitment = SHA-256("tallystick/holder/v1\\n" || salt || bill key)

Invariant: what a holder said ends by its own time, by revocation, or when the bill is bound anew,
and is entered once. See docs/spec/contracts/bills-holders.md.
"""

from __future__ import annotations

from typing import Annotated

from tallystick.contracts.bills.records.bills import (
    Bill,
    BillId,
    BillTypeId,
    holder_now,
    parse_bill_id,
)
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.row import Row
from tallystick.protocol.values import (
    Amount,
    Count,
    Digest,
    Nonce,
    OrgId,
    PublicKey,
    Word,
    parse_instant,
    tagged_hash,
)

TYPES_MAX = 32

_SALT_CONTEXT = b"tallystick/holder-salt/v1\n"
_COMMITMENT_CONTEXT = b"tallystick/holder/v1\n"


class Opening(Record):
    """Shows that a bill is one of a wallet's: opens its commitment down to the mandate key."""

    key: PublicKey
    """The bill key."""
    nonce: Nonce


def holder_salt(nonce: bytes, mandate_key: bytes) -> bytes:
    """The salt of a commitment; 32 bytes."""
    return tagged_hash(_SALT_CONTEXT, nonce, mandate_key)


def commit_holder(bill_key: bytes, salt: bytes) -> bytes:
    """The commitment to a bill key: `NewBill.holder`."""
    return tagged_hash(_COMMITMENT_CONTEXT, salt, bill_key)


class Consent(Row, kw_only=True):
    """One reader may read named fields of one bill for one purpose; id = the act's."""

    KIND = "bills.consent"

    bill: BillId
    bound: Count
    """Holds while the bill has this binding: see `records.bills.holder_now`."""
    reader: OrgId
    purpose: Word
    fields: Digest
    """`apps.bills.presentation.commit_fields` over what may be shown."""


class Mandate(Row, kw_only=True):
    """The same for every bill whose commitment opens to `key`; id = the act's."""

    KIND = "bills.mandate"

    key: PublicKey
    reader: OrgId
    purpose: Word
    types: Annotated[list[BillTypeId], Meta(max_length=TYPES_MAX)] = []
    """None: all that are not sensitive."""
    cap: Amount = 0
    """Most that may be locked of one bill; 0: no limit but the bill's."""
    fields: Digest


class Helper(Row, kw_only=True):
    """Who may act for the holder 代办人, on one bill or on all of a wallet's; id = the act's."""

    KIND = "bills.helper"

    key: PublicKey
    """The helper's."""
    bill: BillId | None = None
    bound: Count = 0
    mandate_key: PublicKey | None = None
    """In place of `bill`: all bills whose commitment opens to it."""


def _is_live(row: Row, now: int) -> bool:
    return row.good and (row.until is None or now < parse_instant(row.until))


def consent_holds(row: Consent, bill: Bill, now: int) -> bool:
    """Whether a consent lets its reader read `bill` at `now` (unix seconds)."""
    return row.bill == bill.id and row.bound == holder_now(bill, now)[1] and _is_live(row, now)


def _came_while_waiting(row: Mandate, bill: Bill, now: int) -> bool:
    """Whether the old wallet gave it in the waiting time of a new binding, which is not over."""
    pending = bill.pending
    if pending is None or not (pending.disputed or now < parse_instant(pending.due)):
        return False
    return (row.entry or 0) > pending.since


def mandate_holds(
    row: Mandate, bill: Bill, opening: Opening | None, now: int, *, sensitive: bool
) -> bool:
    """The same of a mandate; `opening` shows that the bill is one of the wallet's.

    `sensitive` is the rules' of the bill's type: such a one must be named.
    """
    if opening is None or not _is_live(row, now) or _came_while_waiting(row, bill, now):
        return False
    type_id = parse_bill_id(bill.id)[0] // 100
    if type_id not in row.types and (row.types or sensitive):
        return False
    opened = commit_holder(opening.key, holder_salt(opening.nonce, row.key))
    return opened == holder_now(bill, now)[0]


def helper_holds(row: Helper, bill: Bill, now: int) -> bool:
    """Whether a helper may act on `bill`; one for all of a wallet's, if the bill is one of them."""
    if not _is_live(row, now):
        return False
    return row.bill is None or (row.bill == bill.id and row.bound == holder_now(bill, now)[1])
