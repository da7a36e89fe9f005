"""What tills send and are told: records of plain JSON, and how a draft of theirs becomes a body.

Invariant: what a till leaves out is filled in from the configuration or follows from what it said;
an amount of money is never guessed. See docs/guides/gateway.md.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Annotated, Any, Literal

from tallystick.apps.bills.acts import WORDS
from tallystick.apps.bills.gateway.config import Config
from tallystick.apps.bills.gateway.refs import Row
from tallystick.contracts.bills.body import (
    Body,
    Code,
    Detail,
    Extension,
    Issuer,
    Item,
    Medical,
    Payer,
    Payment,
    Relates,
    Settlement,
    Sources,
    Text,
)
from tallystick.contracts.bills.content import RULES_VERSION
from tallystick.contracts.bills.records.bills import (
    DETAILS_MAX,
    ITEMS_MAX,
    BillCode,
    BillId,
    BillTypeId,
    CatalogueCode,
)
from tallystick.protocol.canonical import Meta, Record, encode, narrow
from tallystick.protocol.errors import Malformed
from tallystick.protocol.values import (
    Amount,
    Count,
    Currency,
    Instant,
    SignedAmount,
    Word,
    format_instant,
)

Ref = Annotated[str, Meta(pattern=r"\A[!-~]{1,64}\Z")]
"""A caller's own number of what it asks for: visible ASCII. It should name nobody."""
Said = Literal["issued", "issuing", "signed", "refused"]
BATCH_MAX = 1_000

SAID: dict[str, tuple[str, str]] = {
    "issued": WORDS["issued"],
    "issuing": WORDS["issuing"],
    "refused": WORDS["refused"],
    "signed": ("已签名，尚未入账", "signed, not yet on the ledger"),
}
"""What people are told: (zh, en)."""


class Draft(Record):
    """A bill as an old system can say it: the fields of a body, most of which may be left out."""

    code: BillCode
    payer: Payer
    items: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=ITEMS_MAX)]
    sources: Sources | None = None
    """Where the money came from; in place of `payment`, where no more is known."""
    payment: Payment | None = None
    total: Amount | None = None
    """Left out: the sum of where the money came from."""
    issued_at: Instant | None = None
    """Left out: now."""
    business_codes: Annotated[tuple[Code, ...], Meta(max_length=50)] = ()
    """Left out: the ref."""
    purpose: Word | None = None
    ordinal: Annotated[int, Meta(ge=0, le=9_999)] = 0
    """Left out: 1, the first bill for its business codes."""
    place_code: CatalogueCode | None = None
    cashier_shift: Code | None = None
    clerk: Text = ""
    checker: Text = ""
    check_code: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z]{6,12}\Z")] | None = None
    currency: Currency | None = None
    total_rounding: SignedAmount = 0
    discount: Amount = 0
    details: Annotated[tuple[Detail, ...], Meta(max_length=DETAILS_MAX)] = ()
    settlement: Settlement | None = None
    medical: Medical | None = None
    settles: Annotated[tuple[BillId, ...], Meta(max_length=50)] = ()
    """Deposits that it uses up."""
    extensions: Annotated[tuple[Extension, ...], Meta(max_length=100)] = ()
    remark: Text = ""
    rules_version: Annotated[int, Meta(ge=0, le=999)] = 0
    template: CatalogueCode | None = None
    issuer_block: Issuer | None = None
    kind: Literal["blue"] | None = None
    type: BillTypeId | None = None
    issuer: Text = ""
    relates: Relates | None = None


class NewBill(Draft):
    """A bill to be issued."""

    ref: Ref


class NewBills(Record):
    """Several, each for itself."""

    bills: Annotated[list[NewBill], Meta(min_length=1, max_length=BATCH_MAX)]


class ReversalOrder(Record):
    """A bill to be reversed: whole, or what the draft says."""

    ref: Ref
    reason: Word
    draft: Draft | None = None


class ReplaceOrder(Record):
    """A bill to be reversed whole, and the one in its place."""

    ref: Ref
    reason: Word
    draft: Draft


class Answer(Record):
    """What became of one ref."""

    ref: str
    bill: BillId
    """The new one; of a reversal the red bill."""
    state: Said
    said_zh: str
    said_en: str
    hand_over: bool
    """Whether it may be printed and handed over now."""
    reverses: BillId | None = None
    red: BillId | None = None
    """Of a replacement: the red bill beside the new one."""
    entry: Count | None = None
    tx: str = ""
    offline: bool = False
    repeated: bool = False
    """It was asked for before; this is the same bill."""
    reason: str = ""
    """Why it was refused after all."""


class Outcome(Record):
    """One of several."""

    ref: str
    status: Annotated[int, Meta(ge=200, le=599)]
    bill: Answer | None = None
    problem: Any = None


class Outcomes(Record):
    """Of several, in the order of the request."""

    bills: list[Outcome]


def answer_of(row: Row, *, repeated: bool = False) -> Answer:
    """What is said of a ref that has a bill."""
    state: Said = "signed"
    if row.state == "done":
        state = "issued" if row.word == "issued" else "issuing"
    elif row.state == "refused":
        state = "refused"
    zh, en = SAID[state]
    return Answer(
        ref=row.ref,
        bill=row.bill or "",
        state=state,
        said_zh=zh,
        said_en=en,
        hand_over=row.state == "done" or (row.state == "sent" and bool(row.offline)),
        reverses=row.about if row.kind == "reverse" else None,
        red=row.red,
        entry=row.entry,
        tx=row.tx or "",
        offline=bool(row.offline),
        repeated=repeated,
        reason=row.reason or "" if state == "refused" else "",
    )


class Filling:
    """Makes bodies out of drafts."""

    def __init__(self, config: Config, clock: Callable[[], int]) -> None:
        self._config = config
        self._clock = clock
        self._types = {each.type: each for each in config.types}

    def body(self, draft: Draft, ref: str, place: str | None) -> Body:
        """A draft as the office takes it; `Malformed` names what is missing."""
        config, type_id = self._config, draft.code // 100
        known = self._types.get(type_id)
        payment = draft.payment
        if payment is None and draft.sources is not None:
            payment = Payment(sources=draft.sources)
        if payment is None:
            raise Malformed("where did the money come from? name sources", path="sources")
        if draft.sources is not None and draft.sources != payment.sources:
            raise Malformed("sources stand in payment, too, and differ", path="sources")
        if draft.type not in (None, type_id):
            raise Malformed(f"code {draft.code} is of type {type_id}", path="type")
        template = draft.template or (known.template if known else None)
        if template is None:
            raise Malformed(
                f"no template: name it, or put {type_id} into [[types]]", path="template"
            )
        block = draft.issuer_block or config.issuer
        if block is None:
            raise Malformed("who issues? see [issuer] of the configuration", path="issuer_block")
        own = payment.sources
        total = own.fund + own.other + own.account + own.cash
        return Body(
            rules_version=draft.rules_version or RULES_VERSION,
            network=b"",
            code=draft.code,
            number=0,
            issuer="",
            type=type_id,
            template=template,
            kind="blue",
            issued_at=draft.issued_at or format_instant(self._clock()),
            issuer_block=block,
            payer=draft.payer,
            business_codes=draft.business_codes or (narrow(ref, Code),),
            purpose=draft.purpose or (known.purpose if known else "charge"),
            ordinal=draft.ordinal or 1,
            settlement=draft.settlement,
            place_code=draft.place_code or place,
            cashier_shift=draft.cashier_shift,
            clerk=draft.clerk or config.clerk,
            checker=draft.checker,
            check_code=draft.check_code,
            currency=draft.currency or config.currency,
            total=total if draft.total is None else draft.total,
            total_rounding=draft.total_rounding,
            discount=draft.discount,
            items=draft.items,
            details=draft.details,
            payment=payment,
            medical=draft.medical,
            relates=draft.relates or (Relates(settles=draft.settles) if draft.settles else None),
            extensions=draft.extensions,
            remark=draft.remark,
        )


def digest_of(key: bytes, kind: str, about: str, order: Record) -> bytes:
    """What a ref stands for; keyed, so that content cannot be guessed from the table."""
    return hmac.digest(key, b"\n".join((kind.encode(), about.encode(), encode(order))), "sha256")
