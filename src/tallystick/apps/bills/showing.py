"""The file of a presentation, and the proof that what it shows is of one bill.

It carries what a stranger needs to check it: the bill's receipt with its state, the shown
disclosures with the proof that they are under the bill's root, the state of the consent, mandate or
grant by which they are shown, and what finance's archive has said of the issuer.

Invariant: a field that is shown is of the bill's body, stands there once, is always open or
consented, and says nothing else than the record. See docs/spec/presentation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, Protocol, TypeVar

from tallystick.apps.bills.fields import ALWAYS_OPEN, Fields, check_fields, covers
from tallystick.contracts.bills.body import Sources
from tallystick.contracts.bills.records.bills import Bill, BillId, parse_bill_id
from tallystick.contracts.bills.records.holders import Opening
from tallystick.contracts.kit.grants import DEPTH_MAX, GrantId
from tallystick.protocol import merkle
from tallystick.protocol.body import (
    DISCLOSURES_MAX,
    Disclosure,
    disclosure_digest,
    parse_disclosure,
)
from tallystick.protocol.canonical import (
    DOCUMENT_BYTES_MAX,
    Meta,
    Record,
    builtins,
    check_plain,
    decode,
    narrow,
)
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.multiproof import root_from_some
from tallystick.protocol.receipt import Receipt, StateDocument
from tallystick.protocol.values import Count, Digest, OrgId, Word

SHOWN_BYTES_MAX = 512 * 1024
"""Of one disclosure: a line of a list has some hundred bytes."""
MEMBERS = {
    "consent": ("fields",),
    "mandate": ("fields", "opening"),
    "statute": ("grant",),
}
"""What a right of each kind has besides its rows; a mandate for all types has `type` too."""

T = TypeVar("T", bound=Record)


class Right(Record):
    """By what right the reader sees it, and the proof that this right is live."""

    kind: Literal["consent", "mandate", "statute"]
    rows: Annotated[list[StateDocument], Meta(min_length=1, max_length=DEPTH_MAX + 1)]
    """The consent's row, or the mandate's; for a grant the reader's authority, then those of the
    organisations that it came from, up to one that the founding file made."""
    fields: Fields | None = None
    """What the holder allowed to be shown. A statute says so itself."""
    opening: Opening | None = None
    """With a mandate: that the bill is one of its holder's."""
    type: StateDocument | None = None
    """With a mandate that names no types: that the bill's type is not sensitive."""
    grant: GrantId | None = None
    """With a statute: which of the reader's grants."""


class Presentation(Record):
    """One bill as it is shown to one reader for one purpose."""

    format: Literal["tallystick/presentation/v1"]
    audience: OrgId
    purpose: Word
    bill: BillId
    disclosures: Annotated[
        list[Annotated[str, Meta(max_length=SHOWN_BYTES_MAX)]],
        Meta(min_length=1, max_length=DISCLOSURES_MAX),
    ]
    indices: Annotated[list[Count], Meta(min_length=1, max_length=DISCLOSURES_MAX)]
    """Of each disclosure among all of the body."""
    size: Annotated[int, Meta(ge=1, le=DISCLOSURES_MAX)]
    """How many the body has: says how to walk, and nothing else may be concluded from it."""
    path: Annotated[list[Digest], Meta(max_length=DISCLOSURES_MAX)]
    """The siblings that lead from the disclosures to the bill's root: `protocol.multiproof`."""
    receipt: Receipt
    """Of the bill's issue, with the bill's state."""
    right: Right
    issuer: StateDocument
    """What finance says of the issuer: up to where its bills' bodies are archived."""


def proven_bill(receipt: Receipt) -> Bill:
    """The bill's row of a receipt with its state. Nothing is verified here."""
    if receipt.state is None or receipt.state.row is None:
        raise VerificationFailed("the receipt does not show the bill's state", path="receipt/state")
    return narrow(receipt.state.row, Bill)


def read_presentation(data: bytes) -> Presentation:
    """Read a presentation's one encoding; `Malformed` otherwise. Nothing is verified yet."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise Malformed(f"presentation has {len(data)} bytes, more than {DOCUMENT_BYTES_MAX}")
    presentation = decode(data, Presentation)
    right, receipt = presentation.right, presentation.receipt
    documents = (*right.rows, presentation.issuer, *(() if right.type is None else (right.type,)))
    states = (receipt.state, *(each.state for each in documents))
    for value in (receipt.item, *(each.row for each in states if each is not None)):
        check_plain(value)  # now: what fails must not hang on which proof is looked at first
    return presentation


def check_allowed(path: str, fields: Fields | None) -> None:
    """Refuse a field that is neither always open nor consented; a statute names no fields."""
    if fields is not None and path not in ALWAYS_OPEN and not covers(fields.paths, path):
        raise VerificationFailed("the holder did not consent to this field", path=path)


class Opened(Protocol):
    """Disclosures with the proof that they are under a root: a presentation's, or a part's."""

    @property
    def disclosures(self) -> Sequence[str]:
        """As a body has them."""

    @property
    def indices(self) -> Sequence[int]:
        """Where each lies among all of the body."""

    @property
    def size(self) -> int:
        """How many the body has."""

    @property
    def path(self) -> Sequence[bytes]:
        """The siblings."""


def verify_shown(presentation: Opened, root: bytes) -> list[Disclosure]:
    """The disclosures, once they are proven to be of the body under `root`, no path twice."""
    shown = [parse_disclosure(text) for text in presentation.disclosures]
    for before, after in pairwise(shown):
        if before.path >= after.path:
            raise VerificationFailed(
                "the fields do not ascend, or one stands twice", path=after.path
            )
    hashes = [merkle.leaf_hash(disclosure_digest(text)) for text in presentation.disclosures]
    found = root_from_some(hashes, presentation.indices, presentation.size, presentation.path)
    if found != root:
        raise VerificationFailed("the fields are not of this bill", path="disclosures")
    return shown


def verify_allowed(presentation: Presentation, disclosures: Sequence[Disclosure]) -> None:
    """The right has the members of its kind, and its fields cover what is shown."""
    right = presentation.right
    for name in ("fields", "opening", "grant"):
        if (getattr(right, name) is not None) != (name in MEMBERS[right.kind]):
            raise VerificationFailed(f"not what a {right.kind} is shown with", path=f"right/{name}")
    fields = right.fields
    if fields is not None:
        check_fields(fields)
    for each in disclosures:
        check_allowed(each.path, fields)


def verify_open(disclosures: Sequence[Disclosure], bill: Bill, network: bytes) -> None:
    """What stands on the record too is the same there: else the issuer's body is not the bill's."""
    code, number = parse_bill_id(bill.id)
    recorded: dict[str, object] = {
        "network": builtins(network),
        "code": code,
        "number": number,
        "issuer": bill.issuer,
        "type": code // 100,
        "issued_at": bill.issued_at,
        "kind": bill.bill_kind,
        "currency": bill.currency,
        "total": bill.amounts.get("total"),
        "relates": {},
        "relates/reversal_of": bill.reversal_of,
        "relates/replaces": bill.replaces,
    }
    recorded |= {f"relates/settles/{n}": each for n, each in enumerate(bill.settles)}
    for each in disclosures:
        value = each.value
        if each.path == "relates/settles":
            same = value == bill.settles
        elif each.path == "payment/sources":
            sources = narrow_field(value, Sources, each.path)
            same = (sources.account, sources.cash) == tuple(
                bill.amounts.get(name, 0) for name in ("account", "cash")
            )
        else:
            same = each.path not in recorded or _is(value, recorded[each.path])
        if not same:
            raise VerificationFailed("the body says another than the record", path=each.path)


def _is(value: object, recorded: object) -> bool:
    return type(value) is type(recorded) and value == recorded


def narrow_field(value: object, kind: type[T], path: str) -> T:
    """A shown value as what the body has there; `Malformed` names the field."""
    try:
        return narrow(value, kind)
    except Malformed as error:
        raise Malformed(error.detail, path=f"{path}/{error.path}") from None
