"""Making presentations: out of a body and its secret, and the proofs of one moment of a ledger.

Vault and wallet make them alike: whoever has body and secret may show fields, by a right that the
proofs show to be live. See docs/spec/presentation.md.

Invariant: what is made here passes `presentation.verify_presentation` for the reader that it names,
while its proofs are fresh; a field that the right does not cover is refused, not left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeVar

from tallystick.apps.bills.fields import Fields, covers
from tallystick.apps.bills.showing import (
    Presentation,
    Right,
    check_allowed,
    proven_bill,
    read_presentation,
)
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    Bill,
    BillType,
    Issuer,
    parse_bill_id,
    type_row_id,
)
from tallystick.contracts.bills.records.holders import Consent, Mandate, Opening
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.contracts.kit.acts import ActId
from tallystick.contracts.kit.context import slot_key
from tallystick.contracts.kit.grants import Authority, GrantId, held_grant, issuers
from tallystick.ledger.receipts import state_document
from tallystick.ledger.view import View
from tallystick.protocol import merkle
from tallystick.protocol.body import disclosure_digest, encoded_disclosures
from tallystick.protocol.canonical import Record, decode, encode, replace
from tallystick.protocol.errors import Malformed, Rejected, VerificationFailed
from tallystick.protocol.multiproof import prove_some
from tallystick.protocol.receipt import Receipt, StateDocument
from tallystick.protocol.row import Row, row_key
from tallystick.vault import Vault

R = TypeVar("R", bound=Row)

NOT_CONSENTED = "not_consented"
"""Why a vault's log says that a presentation was refused."""


@dataclass(frozen=True, slots=True)
class Private:
    """A body and its secret, as a vault or a wallet gives them."""

    body: bytes = field(repr=False)
    """Canonical bytes."""
    secret: bytes = field(repr=False)
    """Of the body's salts."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """What a presentation of one bill by one right proves, whatever of the bill is shown."""

    receipt: Receipt
    right: Right
    issuer: StateDocument


def present(
    private: Private, proofs: Proofs, show: Sequence[str], *, audience: str, purpose: str
) -> bytes:
    """The file that shows the fields `show` of one bill to `audience` for `purpose`.

    `VerificationFailed` where the body is not the receipt's or a field is not consented,
    `Malformed` where the body has no such field.
    """
    row = proven_bill(proofs.receipt)
    decode(private.body, Body)
    paths, disclosures = encoded_disclosures(private.body, private.secret)
    hashes = [merkle.leaf_hash(disclosure_digest(text)) for text in disclosures]
    if merkle.root(hashes) != row.root:
        raise VerificationFailed("the body is not the one that the record commits to", path="root")
    chosen = _choose(paths, show, proofs.right.fields)
    made = Presentation(
        format="tallystick/presentation/v1",
        audience=audience,
        purpose=purpose,
        bill=row.id,
        disclosures=[disclosures[index] for index in chosen],
        indices=chosen,
        size=len(paths),
        path=prove_some(hashes, chosen),
        receipt=proofs.receipt,
        right=proofs.right,
        issuer=proofs.issuer,
    )
    data = encode(made)
    read_presentation(data)
    return data


def present_kept(
    vault: Vault,
    proofs: Proofs,
    show: Sequence[str],
    *,
    audience: str,
    purpose: str,
    at: int,
) -> bytes:
    """`present` out of a vault, whose log of reads says it before the answer is given.

    `KeyError`: never put there, or erased. What the right does not cover is logged as refused.
    """
    code, number = parse_bill_id(proven_bill(proofs.receipt).id)
    private = Private(*vault.get(code, number))
    note = partial(vault.note_read, code, number, at=at, who=audience, paths=show)
    try:
        data = present(private, proofs, show, audience=audience, purpose=purpose)
    except VerificationFailed:
        note(what="refused", why=NOT_CONSENTED)
        raise
    note(what="disclosed", why=purpose)
    return data


def _choose(paths: Sequence[str], show: Sequence[str], fields: Fields | None) -> list[int]:
    """The indices of the paths that are to be shown."""
    for pattern in show:
        if not any(covers((pattern,), path) for path in paths):
            raise Malformed("the body has no such field", path=pattern)
    chosen = [index for index, path in enumerate(paths) if covers(show, path)]
    for index in chosen:
        check_allowed(paths[index], fields)
    return chosen


class Basis(Record):
    """By what right a bill is to be shown: one of the three ids, with what belongs to it.

    A file of it is what a holder hands to whoever shows the bill for them.
    """

    format: Literal["tallystick/basis/v1"] | None = None
    """In a file."""
    consent: ActId | None = None
    mandate: ActId | None = None
    """Both with the opening of their fields."""
    statute: GrantId | None = None
    """Id of a grant of the reader's."""
    fields: Fields | None = None
    opening: Opening | None = None
    """With a mandate: `BillKey.opening`."""


BASIS_FORMAT: Literal["tallystick/basis/v1"] = "tallystick/basis/v1"


def write_basis(basis: Basis) -> bytes:
    """A file of it."""
    return encode(replace(basis, format=BASIS_FORMAT))


def read_basis(data: bytes) -> Basis:
    """A basis out of a file; `Malformed` unless it names one right, with its fields."""
    basis = decode(data, Basis)
    named = [each for each in (basis.consent, basis.mandate, basis.statute) if each is not None]
    if basis.format != BASIS_FORMAT or len(named) != 1:
        raise Malformed("not a file that names one consent, mandate or grant")
    if (basis.fields is None) != (basis.statute is not None):
        raise Malformed("a consent and a mandate are opened by their fields", path="fields")
    if (basis.opening is None) != (basis.mandate is None):
        raise Malformed("a mandate, and nothing else, is opened for a bill", path="opening")
    return basis


def prove_right(view: View, note: bytes, bill: str, basis: Basis, *, audience: str) -> Proofs:
    """The proofs of one bill and one right at the head, whose checkpoint `note` is."""
    return Prover(view, note).prove(bill, basis, audience=audience)


class Prover:
    """Proofs of many bills at one moment: what they share, a mandate or an issuer, is made once."""

    def __init__(self, view: View, note: bytes) -> None:
        self._view = view
        self._note = note
        self._documents: dict[str, StateDocument] = {}

    def prove(self, bill: str, basis: Basis, *, audience: str) -> Proofs:
        """The proofs of one bill and one right."""
        row = find_bill(self._view, bill)
        if row is None or row.entry is None:
            raise Rejected(BillsReason.BILL_UNKNOWN, f"nothing befell {bill}", path="bill")
        key = slot_key(*parse_bill_id(bill))
        return Proofs(
            receipt=self._view.receipt(row.entry, self._note, row=key),
            right=self._right(row, basis, audience),
            issuer=self._document(row_key(Issuer.KIND, row.issuer)),
        )

    def _right(self, bill: Bill, basis: Basis, audience: str) -> Right:
        if basis.consent is not None:
            key = row_key(Consent.KIND, basis.consent)
            self._check_given(key, Consent)
            rows = [self._document(key)]
            return Right(kind="consent", rows=rows, fields=basis.fields)
        if basis.mandate is not None:
            key = row_key(Mandate.KIND, basis.mandate)
            kind = None
            if not self._check_given(key, Mandate).types:
                code, _ = parse_bill_id(bill.id)
                type_id = type_row_id(code // 100, bill.type_version)
                kind = self._document(row_key(BillType.KIND, type_id))
            return Right(
                kind="mandate",
                rows=[self._document(key)],
                fields=basis.fields,
                opening=basis.opening,
                type=kind,
            )
        if basis.statute is None:
            raise ValueError("a bill is shown by a consent, a mandate or a statute")
        grant = held_grant(self._view, audience, basis.statute)
        above = [] if grant is None else issuers(self._view, grant)
        rows = [self._document(row_key(Authority.KIND, org)) for org in (audience, *above)]
        return Right(kind="statute", rows=rows, grant=basis.statute)

    def _check_given(self, key: str, kind: type[R]) -> R:
        """The row of an act, if it was ever entered: whether it still holds, the reader sees."""
        row = self._view.get(key, kind)
        if row is None:
            raise Rejected(BillsReason.CONSENT_UNKNOWN, f"no {key}", path="basis")
        return row

    def _document(self, key: str) -> StateDocument:
        if key not in self._documents:
            proof = self._view.state_proof(key, key)
            self._documents[key] = state_document(proof, self._note)
        return self._documents[key]
