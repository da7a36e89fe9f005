"""What the actions of holders are told: signed within by a key of theirs, relayed by any member.

Invariant: no field can hold a name, a text or anything else that is about a person.
See docs/spec/contracts/bills-holders.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.contracts.bills.items.bills import OfBill
from tallystick.contracts.bills.records.bills import BillId, BillTypeId
from tallystick.contracts.bills.records.holders import TYPES_MAX, Opening
from tallystick.contracts.kit.acts import ActId, Said
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import (
    Amount,
    Count,
    Digest,
    Instant,
    OrgId,
    PublicKey,
    Signature,
    Word,
)


class Act(Record):
    """Who signed: the bill key, the wallet's mandate key, or a helper's."""

    key: PublicKey
    salt: Digest | None = None
    """Opens the bill's commitment with `key`: the bill key signed."""
    helper: ActId | None = None
    """The row by which `key` may act for the holder."""
    opening: Opening | None = None
    """With a helper for all of a wallet's bills: that this is one of them."""
    signature: Signature


class SaidOfBill(Said):
    """Base: about one bill, under one binding."""

    bill: BillId
    bound: Count


class SaidBind(SaidOfBill):
    """The bill's commitment becomes `holder`."""

    holder: Digest


class SaidObjection(SaidOfBill):
    """The new binding that waits is not the holder's; names it, so that it fits no later one."""

    holder: Digest
    due: Instant


class SaidConsent(SaidOfBill):
    """`reader` may read `fields` for `purpose`."""

    reader: OrgId
    purpose: Word
    fields: Digest
    until: Instant


class SaidMandate(Said):
    """The same for all bills of the signing mandate key."""

    reader: OrgId
    purpose: Word
    types: Annotated[list[BillTypeId], Meta(max_length=TYPES_MAX)] = []
    cap: Amount = 0
    fields: Digest
    until: Instant


class SaidHelper(Said):
    """`helper` may act for the holder of `bill`, or of all bills of the signing mandate key."""

    bill: BillId | None = None
    bound: Count = 0
    helper: PublicKey
    until: Instant


class SaidRevoke(Said):
    """What the act `of` allowed is over."""

    of: ActId


class Bind(Item):
    """``bills.bind/1``, signed by the key that is bound now, never by a helper."""

    said: SaidBind
    act: Act


class GiveConsent(Item):
    """``bills.consent/1``."""

    said: SaidConsent
    act: Act


class GiveMandate(Item):
    """``bills.mandate/1``, signed by the mandate key."""

    said: SaidMandate
    act: Act


class AppointHelper(Item):
    """``bills.appoint_helper/1``, signed by the bill key or the mandate key, never by a helper."""

    said: SaidHelper
    act: Act


class Revoke(Item):
    """``bills.revoke/1``: of a consent, a mandate or a helper, by whoever could give it now."""

    kind: Literal["consent", "mandate", "helper"]
    said: SaidRevoke
    act: Act


class ObjectBinding(Item):
    """``bills.object_binding/1``, by the old key, once, in the waiting time of a new binding."""

    said: SaidObjection
    act: Act


class Rebind(OfBill):
    """``bills.rebind/1``, by the issuer, who has seen the holder's papers."""

    holder: Digest


class Arbitrate(OfBill):
    """``bills.arbitrate/1``, by the arbiter: whether a disputed new binding holds."""

    uphold: Literal["new", "old"]
