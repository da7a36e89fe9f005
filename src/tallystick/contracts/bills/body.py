"""A bill's body: what only its issuer, its holder and those they let read may see.

Amounts are minor units; names ending in `_e4` count 1/10000 of the currency unit (list lines have
four decimals). Records fix shapes and bounds; `content.py` checks sense. Defaults are only
``None``, ``0``, ``""`` and ``()``, which are what the encoding leaves out.
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.contracts.bills.records.bills import (
    DETAILS_MAX,
    ITEMS_MAX,
    BillCode,
    BillId,
    BillNumber,
    BillTypeId,
    CatalogueCode,
)
from tallystick.protocol.canonical import INTEGER_MAX, Meta, Record
from tallystick.protocol.values import (
    Amount,
    Count,
    Currency,
    Day,
    Digest,
    Instant,
    OrgId,
    SignedAmount,
    Word,
)

Text = Annotated[str, Meta(max_length=500)]
"""Free text: a name, a unit, a remark. Which characters it may hold is for `content.py`."""
Code = Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")]
"""An identifier out of the issuer's own systems: a business code, a visit number."""
SignedE4 = Annotated[int, Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]
Ratio = Annotated[int, Meta(ge=0, le=10_000)]
"""Basis points, at most the whole."""

PartyIdType = Literal[
    "resident_id", "credit_code", "passport", "residence_permit", "travel_permit", "other"
]
Fund = Literal[
    "pooled", "civil_servant", "enterprise", "serious_illness", "large_amount", "aid", "hospital",
    "other",
]  # fmt: skip
Source = Literal["fund", "other", "account", "cash"]


class Issuer(Record):
    """开票单位, as the face prints it; who it is on the ledger says `Body.issuer`."""

    name: Text
    credit_code: Text = ""
    institution_type: Text = ""


class Payer(Record):
    """交款人: the patient, or whoever pays at the counter. Not who reimburses."""

    party: Literal["person", "unit"]
    name: Text
    id_type: PartyIdType | None = None
    id_number: Text = ""


class Settlement(Record):
    """Which part of a settlement this bill is; the tag is the issuer's and never on the ledger."""

    tag: Code
    part: Annotated[int, Meta(ge=1, le=99)]
    of: Annotated[int, Meta(ge=1, le=99)]


class Item(Record):
    """收费项目: a line of the face."""

    code: CatalogueCode
    name: Text
    amount: SignedAmount
    quantity_e4: SignedE4 = 0
    unit: Text = ""
    unit_price: Amount = 0
    specification: Text = ""
    insurance_class: Literal["a", "b", "c"] | None = None
    """甲, 乙, 丙; for a line without list lines of its own."""
    self_ratio_bps: Ratio = 0
    pre_self_pay: Amount = 0
    """先行自付: what the payer bears before the fund looks at the line."""
    self_amount: Amount = 0
    remark: Text = ""


class Detail(Record):
    """清单: a line of the list behind the face."""

    item: Annotated[int, Meta(ge=0, lt=ITEMS_MAX)]
    """Index of its face line, as in the path ``items/<item>``."""
    name: Text
    amount_e4: SignedE4
    code: Code | None = None
    insurance_code: Code | None = None
    quantity_e4: SignedE4 = 0
    unit: Text = ""
    unit_price_e4: Count = 0
    specification: Text = ""
    insurance_class: Literal["a", "b", "c"] | None = None
    self_ratio_bps: Ratio = 0
    pre_self_pay_e4: Count = 0
    self_amount_e4: Count = 0
    remark: Text = ""


class Sources(Record):
    """Where the money came from: the one split that adds up everywhere."""

    fund: Amount = 0
    """医保统筹基金支付."""
    other: Amount = 0
    """其他支付."""
    account: Amount = 0
    """个人账户支付."""
    cash: Amount = 0
    """个人现金支付."""


class FundPart(Record):
    """A part of what funds and others paid."""

    fund: Fund
    amount: Amount


class Liability(Record):
    """Who had to bear it: the first two share out account + cash, the rest say why."""

    self_pay: Amount = 0
    """个人自付."""
    self_expense: Amount = 0
    """个人自费."""
    deductible: Amount = 0
    over_limit: Amount = 0
    pre_self_pay: Amount = 0
    category_b: Amount = 0
    """Charges of class b 乙类, whoever bears them."""
    category_c: Amount = 0


class Inpatient(Record):
    """预缴, 补缴, 退费."""

    prepaid: Amount = 0
    recharged: Amount = 0
    refunded: Amount = 0


class Channel(Record):
    """How a part of one source was paid; a deposit counts net of what was refunded."""

    channel: Literal["alipay", "wechat", "card", "cash", "insurance", "deposit", "other"]
    part: Source
    amount: Amount


class Payment(Record):
    """支付构成: the same total, split by source, by liability and by channel."""

    sources: Sources
    fund_detail: Annotated[tuple[FundPart, ...], Meta(max_length=20)] = ()
    liability: Liability | None = None
    inpatient: Inpatient | None = None
    channels: Annotated[tuple[Channel, ...], Meta(max_length=20)] = ()


class Medical(Record):
    """The medical extension, outpatient and inpatient."""

    setting: Literal["outpatient", "inpatient", "registration", "checkup", "deposit"]
    visit_on: Day | None = None
    visit_number: Code | None = None
    case_number: Code | None = None
    inpatient_number: Code | None = None
    department: Text = ""
    admitted_on: Day | None = None
    discharged_on: Day | None = None
    days: Annotated[int, Meta(ge=0, le=36_600)] = 0
    gender: Literal["female", "male", "other"] | None = None
    insurance_type: Text = ""
    insurance_number: Code | None = None
    settlement_id: Code | None = None


class Relates(Record):
    """Other bills that this one is about; the same on the record."""

    reversal_of: BillId | None = None
    replaces: BillId | None = None
    settles: Annotated[tuple[BillId, ...], Meta(max_length=50)] = ()
    """Deposits that a discharge bill uses up."""


class Extension(Record):
    """A field of the province's own, under a key that the catalogue knows."""

    key: Word
    amount: SignedAmount | None = None
    text: Text = ""


class Body(Record, kw_only=True):
    """One bill as its issuer made it, blue or red; red amounts are positive too."""

    rules_version: Annotated[int, Meta(ge=1, le=999)]
    """Which version of `content.py` it was made under."""
    network: Digest
    code: BillCode
    number: BillNumber
    issuer: OrgId
    type: BillTypeId
    template: CatalogueCode
    kind: Literal["blue", "red"]
    issued_at: Instant
    issuer_block: Issuer
    payer: Payer

    business_codes: Annotated[tuple[Code, ...], Meta(min_length=1, max_length=50)]
    """The issuer's own transactions: several when bills were merged."""
    purpose: Word
    """What they were made for: ``charge``, ``registration``, ``deposit``."""
    ordinal: Annotated[int, Meta(ge=1, le=9_999)]
    """k + 1 once bill k for the same business code was fully reversed."""
    settlement: Settlement | None = None
    place_code: CatalogueCode | None = None
    cashier_shift: Code | None = None
    clerk: Text = ""
    checker: Text = ""
    check_code: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z]{6,12}\Z")] | None = None
    """校验码: random, for the portals that ask for it."""

    currency: Currency
    total: Amount
    total_rounding: SignedAmount = 0
    discount: Amount = 0
    """减免, on the whole bill."""
    items: Annotated[tuple[Item, ...], Meta(max_length=ITEMS_MAX)]
    details: Annotated[tuple[Detail, ...], Meta(max_length=DETAILS_MAX)] = ()
    payment: Payment
    medical: Medical | None = None
    relates: Relates | None = None
    extensions: Annotated[tuple[Extension, ...], Meta(max_length=100)] = ()
    remark: Text = ""
