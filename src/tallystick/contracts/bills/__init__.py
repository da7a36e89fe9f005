"""Fiscal electronic bills: numbers, types, issue and reversal, and what a body must satisfy.

The table below says it all: `records` what is stored, `items` what an act is told, `actions` what
may happen, `views` what may be asked, `content` what a body must satisfy, `texts` why not.

Invariant: a number is used once, and what a record commits to never changes.
See docs/spec/contracts/bills.md.
"""

from tallystick.contracts.bills.actions import ACTIONS
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.accounts import (
    Account,
    Collected,
    Erasure,
    Hold,
    Manifest,
    Stock,
)
from tallystick.contracts.bills.records.bills import (
    Allotment,
    Bill,
    BillType,
    Issuer,
    Series,
    TypePointer,
)
from tallystick.contracts.bills.records.claims import Claim, Plan
from tallystick.contracts.bills.records.holders import Consent, Helper, Mandate
from tallystick.contracts.bills.records.paper import Booking
from tallystick.contracts.bills.records.supervision import Finding
from tallystick.contracts.bills.texts import TEXTS
from tallystick.contracts.kit.context import Domain

DOMAIN = Domain(
    name="bills",
    actions=ACTIONS,
    rows=(
        *(BillType, TypePointer, Series, Allotment, Bill, Issuer),
        *(Consent, Mandate, Helper),
        *(Claim, Plan, Booking),
        *(Account, Collected, Stock, Manifest, Hold, Erasure),
        Finding,
    ),
    reasons=BillsReason,
    texts=TEXTS,
)
