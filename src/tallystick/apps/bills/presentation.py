"""Presentations: chosen fields of one bill, for one reader and one purpose, in one file.

Whoever has the file checks it against a trust policy of its own, offline. It stops that what was
shown to one is used by another or for something else; it does not stop copying.

Invariant: `verify_presentation` raises, or all that it returns is proven, allowed to this reader
for this purpose, and as fresh as the reader's policy asks. See docs/spec/presentation.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tallystick.apps.bills.rights import (
    Against,
    LiveRight,
    bill_against,
    stale_against,
    typed_row,
    verify_right,
)
from tallystick.apps.bills.showing import (
    Presentation,
    narrow_field,
    read_presentation,
    verify_allowed,
    verify_open,
    verify_shown,
)
from tallystick.contracts.bills.body import Detail, Item
from tallystick.contracts.bills.records.bills import (
    Bill,
    BillType,
    Issuer,
    holder_now,
    parse_bill_id,
    rest,
    type_row_id,
)
from tallystick.contracts.bills.views.bills import is_said_archived
from tallystick.protocol.body import Disclosure
from tallystick.protocol.canonical import Record, encode, narrow
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.receipt import StateDocument
from tallystick.protocol.row import row_key
from tallystick.protocol.trust import TrustPolicy
from tallystick.verify import Step, Verdict, Verified, Verifier

STATES_CACHED_MAX = 256
"""State proofs that are remembered: bills under one mandate, or of one issuer, share them."""

T = TypeVar("T", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a presentation proves, and to whom it is shown."""

    audience: str
    purpose: str
    bill: Bill
    fields: Mapping[str, Any] = field(repr=False)
    """Each shown path with its value, as in JSON, in the order of the paths."""
    lines: Mapping[int, Item] = field(repr=False)
    """Those of the face that are shown, by index."""
    details: Mapping[int, Detail] = field(repr=False)
    """Those of the list behind it."""
    total: int
    """As the record has it, whatever is shown."""
    remainder: int
    """The total less the shown lines: what the lines that are not shown, a discount and a rounding
    come to together."""
    left: int
    """Of the total, after reversals."""
    right: str
    right_id: str
    until: str | None
    """When the right ends by itself."""
    archived: bool
    """Whether finance has checked the body, with its sums."""
    bound: bool
    """Whether the holder chose the key; until then the issuer could act as holder."""
    as_of: int
    """Unix seconds: the oldest of the proofs."""
    orgs: tuple[str, ...]
    """Who vouches, under every one of the proofs."""
    warnings: tuple[str, ...]
    """Words of `WARNINGS`, in its order."""
    steps: tuple[Step, ...] = field(repr=False)

    @property
    def offline(self) -> bool:
        """Whether the bill was made before the ledger knew of it."""
        return self.bill.offline


WARNINGS = (
    "unbound",
    "not_archived",
    "offline",
    "withheld",
    "partly_reversed",
    "rebinding",
    "disputed",
    "purpose_unbound",
)
"""In a `Shown`: what the reader should know. ``purpose_unbound``: a grant names no purpose, so for
a statute the purpose is the word of whoever made the file."""


class Unfit(VerificationFailed):
    """All is authentic, but not to be acted on: by this reader, for this purpose, or now."""

    def __init__(self, against: Against, shown: Shown) -> None:
        super().__init__(against.detail)
        self.verdict = against.verdict
        self.shown = shown


def verify_presentation(
    data: bytes, policy: TrustPolicy, *, audience: str, purpose: str, now: int
) -> Shown:
    """What is shown to `audience` for `purpose`, as known at `now` (Unix seconds) by its clock.

    `Malformed`: cannot be read. `VerificationFailed`: not true. `Unfit`: true, but shown to another
    or for another purpose, or the right or the bill is no longer good, or its proofs are too old.
    """
    return Presentations(policy).verify(data, audience=audience, purpose=purpose, now=now)


class Presentations:
    """Verifies many presentations under one policy, each signature and state that they share once.

    The steps after the receipt's own 15: 16 the shown fields are under the bill's root; 17 each is
    always open or consented; 18 what is open is the record's; 19 the right is this reader's, for
    this bill; 20 what finance's archive says; 21 reader and purpose, and all is good and fresh.
    """

    def __init__(self, policy: TrustPolicy, checkpoint: bytes | None = None) -> None:
        self._policy = policy
        self._verifier = Verifier(policy, checkpoint)
        self._states: dict[tuple[bytes, int], Verified] = {}

    def verify(self, data: bytes, *, audience: str, purpose: str, now: int) -> Shown:
        """Verify one; see `verify_presentation`."""
        presentation = read_presentation(data)
        receipt, bill = self._bill(presentation, now)
        at = max(now, receipt.as_of or now)
        against = bill_against(receipt, bill)
        disclosures = verify_shown(presentation, bill.root or b"")  # 16
        verify_allowed(presentation, disclosures)  # 17
        verify_open(disclosures, bill, self._policy.network)  # 18
        rows = [
            self._state(each, f"right/rows/{n}", now)
            for n, each in enumerate(presentation.right.rows)
        ]
        right = verify_right(presentation, bill, rows, at)  # 19
        self._verify_type(presentation, bill, right, now)
        issuer = self._state(presentation.issuer, "issuer", now)
        archived = _verify_issuer(issuer, bill)  # 20
        proofs = (receipt, *rows, issuer)
        against += right.against
        against += [found for each in proofs for found in stale_against(each, self._policy, now)]
        shown = _shown(
            presentation,
            bill=bill,
            disclosures=disclosures,
            right=right,
            archived=archived,
            proofs=proofs,
            at=at,
        )
        if (presentation.audience, presentation.purpose) != (audience, purpose):  # 21
            detail = f"it is shown to {presentation.audience} for {presentation.purpose}"
            raise Unfit(Against(Verdict.NOT_FOR_YOU, detail), shown)
        for each in against:
            raise Unfit(each, shown)
        return shown

    def _bill(self, presentation: Presentation, now: int) -> tuple[Verified, Bill]:
        """The receipt's steps, and the row of the bill that it is about."""
        with _Within("receipt"):
            found = self._verifier.receipt(encode(presentation.receipt), status=True, now=now)
        if found.state is None or found.state.row is None:
            raise VerificationFailed("it does not show the bill's state", path="receipt/state")
        if found.state.key != row_key(Bill.KIND, presentation.bill):
            raise VerificationFailed(f"the receipt is of {found.state.key}", path="bill")
        bill = narrow(found.state.row, Bill)
        if bill.bill_kind != "blue" or bill.root is None:
            raise VerificationFailed(f"a {bill.bill_kind} number is shown to nobody", path="bill")
        return found, bill

    def _state(self, document: StateDocument, name: str, now: int) -> Verified:
        key = encode(document), now
        found = self._states.get(key)
        if found is None:
            with _Within(name):
                found = self._verifier.state(key[0], now=now)
            if len(self._states) == STATES_CACHED_MAX:
                self._states.clear()
            self._states[key] = found
        return found

    def _verify_type(
        self, presentation: Presentation, bill: Bill, right: LiveRight, now: int
    ) -> None:
        """A mandate for all types does not cover a sensitive one; so the type's rules are shown."""
        document = presentation.right.type
        if not right.needs_type:
            if document is not None:
                raise VerificationFailed("nothing asks for the type's rules", path="right/type")
            return
        if document is None:
            raise VerificationFailed("it does not show whether the type is sensitive", path="right")
        found = self._state(document, "right/type", now)
        code, _ = parse_bill_id(bill.id)
        row = typed_row(found, BillType, type_row_id(code // 100, bill.type_version), "right/type")
        if row.rules.sensitive:
            detail = "a mandate covers a sensitive type only where it names it"
            raise VerificationFailed(detail, path="right")


class _Within:
    """Names the proof in which something failed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Malformed):
            raise Malformed(error.detail, path=f"{self._name}, {error.path}") from error
        if isinstance(error, VerificationFailed):
            raise VerificationFailed(error.detail, path=f"{self._name}, {error.path}") from error


def _verify_issuer(found: Verified, bill: Bill) -> bool:
    """Whether finance's archive has said that it checked this body. No row: it said nothing."""
    key = row_key(Issuer.KIND, bill.issuer)
    if found.state is None or found.state.key != key:
        raise VerificationFailed(f"not the state of {key}", path="issuer")
    row = None if found.state.row is None else narrow(found.state.row, Issuer)
    return is_said_archived(row, bill)


def _below(disclosures: Sequence[Disclosure], name: str, kind: type[T]) -> dict[int, T]:
    """The shown lines of a list, by index."""
    found = {}
    for each in disclosures:
        head, _, index = each.path.partition("/")
        if head == name and index.isdigit():
            found[int(index)] = narrow_field(each.value, kind, each.path)
    return dict(sorted(found.items()))


def _shown(
    presentation: Presentation,
    *,
    bill: Bill,
    disclosures: Sequence[Disclosure],
    right: LiveRight,
    archived: bool,
    proofs: Sequence[Verified],
    at: int,
) -> Shown:
    lines = _below(disclosures, "items", Item)
    total, bound = bill.amounts["total"], holder_now(bill, at)[1] > 0
    kind = presentation.right.kind
    told = {
        "unbound": not bound,
        "not_archived": not archived,
        "offline": bill.offline,
        "withheld": not bill.circulable,
        "partly_reversed": bool(bill.reversed_by),
        "rebinding": bill.pending is not None,
        "disputed": bill.disputed > 0,
        "purpose_unbound": kind == "statute",
    }
    found = (
        f"{len(disclosures)} under the bill's root",
        "always open" if presentation.right.fields is None else "consented",
        f"total {total}",
        f"{kind} {right.id}",
        "archived" if archived else "not archived",
        f"{presentation.audience} for {presentation.purpose}",
    )
    names = ("shown fields", "allowed fields", "open fields", "right", "archive", "reader")
    steps = [Step(16 + n, *each) for n, each in enumerate(zip(names, found, strict=True))]
    return Shown(
        audience=presentation.audience,
        purpose=presentation.purpose,
        bill=bill,
        fields={each.path: each.value for each in disclosures},
        lines=lines,
        details=_below(disclosures, "details", Detail),
        total=total,
        remainder=total - sum(line.amount for line in lines.values()),
        left=rest(bill)["total"],
        right=kind,
        right_id=right.id,
        until=right.until,
        archived=archived,
        bound=bound,
        as_of=min(each.as_of or 0 for each in proofs),
        orgs=tuple(org for org in proofs[0].orgs if all(org in each.orgs for each in proofs)),
        warnings=tuple(name for name in WARNINGS if told[name]),
        steps=(*proofs[0].steps, *steps),
    )
