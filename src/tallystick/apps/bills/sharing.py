"""Fields of a bill for whoever reimburses it, as its holder allowed: owed once, sent while allowed.

The ledger has of a consent or a mandate the digest of the fields alone, so the holder hands what
opens it to the office that has the body. From then on the fields are owed to the reader; they are
taken out of the body, and the right is looked at once more, when they are sent, and never before.

Invariant: nothing leaves but the fields of a consent or a mandate that holds at that moment, to the
reader that it names; what has ended is withdrawn. See docs/spec/delivery.md.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Annotated, Literal, NamedTuple

from tallystick.apps.bills.fields import Fields, check_fields, covers
from tallystick.apps.bills.presenting import Basis
from tallystick.apps.bills.showing import SHOWN_BYTES_MAX
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import BillId, parse_bill_id
from tallystick.contracts.bills.records.holders import Consent, Mandate
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.contracts.bills.views.holders import (
    find_consent,
    find_mandate,
    is_consent_live,
    is_mandate_live,
)
from tallystick.contracts.kit.context import Reader
from tallystick.ledger.view import Reading
from tallystick.protocol import merkle
from tallystick.protocol.body import (
    DISCLOSURES_MAX,
    SECRET_BYTES,
    disclosure_digest,
    encoded_disclosures,
)
from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.protocol.errors import Malformed, Rejected, VerificationFailed
from tallystick.protocol.multiproof import prove_some
from tallystick.protocol.values import Count, Digest, OrgId, Word
from tallystick.vault import Head, Letter, Message, Vault, seal_delivery

CLAIM = "claim"
"""What a delivery to a reimburser is sealed for."""
READER = "reader:"
"""In front of an organisation in the outbox: to it as a reader, not to its archive."""


PROMISES_MAX = 100_000
"""Looked at in one review."""


class Promise(Record):
    """What is owed: it lies in the outbox, hidden like a letter."""

    bill: BillId
    audience: OrgId
    purpose: Word
    basis: Basis


class Part(Record):
    """The letter's body: the fields, the proof that they are the bill's, and by what right."""

    format: Literal["tallystick/part/v1"]
    bill: BillId
    audience: OrgId
    purpose: Word
    basis: Basis
    disclosures: Annotated[
        list[Annotated[str, Meta(max_length=SHOWN_BYTES_MAX)]],
        Meta(min_length=1, max_length=DISCLOSURES_MAX),
    ]
    indices: Annotated[list[Count], Meta(min_length=1, max_length=DISCLOSURES_MAX)]
    size: Annotated[int, Meta(ge=1, le=DISCLOSURES_MAX)]
    path: Annotated[list[Digest], Meta(max_length=DISCLOSURES_MAX)]


class Right(NamedTuple):
    """A consent or a mandate as the ledger has it."""

    row: Consent | Mandate
    live: bool


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What one look at all promises found."""

    owed: int
    withdrawn: int


def find_right(reader: Reader, bill_id: str, basis: Basis, now: int) -> Right | None:
    """The right that a basis names, and whether it holds for the bill; None: never entered."""
    bill = find_bill(reader, bill_id)
    if basis.consent is not None:
        consent = find_consent(reader, basis.consent)
        if consent is None or bill is None:
            return None
        return Right(consent, consent.bill == bill_id and is_consent_live(reader, consent, now))
    if basis.mandate is None:
        raise Malformed("a part is shown by a consent or a mandate", path="basis")
    mandate = find_mandate(reader, basis.mandate)
    if mandate is None or bill is None:
        return None
    return Right(mandate, is_mandate_live(reader, mandate, bill, basis.opening, now))


def fields_of(basis: Basis, right: Right) -> Fields:
    """The fields that a basis opens; `VerificationFailed`: not those of the right."""
    if basis.fields is None:
        raise Malformed("a consent and a mandate are opened by their fields", path="fields")
    check_fields(basis.fields)
    if basis.fields.digest != right.row.fields:
        raise VerificationFailed("not what the holder consented to", path="fields")
    return basis.fields


class Sharing:
    """An office's side of it."""

    def __init__(
        self,
        vault: Vault,
        network: bytes,
        view: Callable[[], AbstractContextManager[Reading]],
        clock: Callable[[], int],
        *,
        key_of: Callable[[str], bytes | None],
    ) -> None:
        """`key_of`: the delivery key that the ledger names for an organisation."""
        self._vault = vault
        self._network = network
        self._view = view
        self._clock = clock
        self._key_of = key_of

    def promise(self, bill: str, basis: Basis) -> Promise:
        """Owe the fields that a basis opens to its reader; again: nothing more is owed.

        `Rejected`: there is no such right, or it does not hold; `KeyError`: no body is here.
        """
        with self._view() as view:
            right = find_right(view, bill, basis, self._now(view))
        if right is None or not right.live:
            raise Rejected(
                BillsReason.CONSENT_UNKNOWN, f"nothing lets {bill} be shown", path="bill"
            )
        fields_of(basis, right)
        self._vault.get(*parse_bill_id(bill))
        made = Promise(bill=bill, audience=right.row.reader, purpose=right.row.purpose, basis=basis)
        receiver = READER + made.audience
        message = Message(*parse_bill_id(bill), receiver, encode(made))
        self._vault.outbox.put([message], at=self._clock())
        return made

    def review(self) -> Reviewed:
        """Look at every promise: what has ended is withdrawn, and nothing of it was sent."""
        found = self._vault.outbox.owed(
            limit=PROMISES_MAX, to=lambda receiver: receiver.startswith(READER)
        )
        owed = [each.message for each in found]
        with self._view() as view:
            now = self._now(view)
            ended = [each for each in owed if not self._holds(view, each, now)]
        self._vault.outbox.withdraw(ended)
        return Reviewed(len(owed) - len(ended), len(ended))

    def letter(self, message: Message) -> Message:
        """The promise as a letter, sealed, if the right still holds; the log of reads says so.

        `Rejected`: it holds no longer, or the reader has no key; nothing leaves then.
        """
        promise = decode(message.data, Promise)
        with self._view() as view:
            right = find_right(view, promise.bill, promise.basis, self._now(view))
        if right is None or not right.live:
            raise Rejected(BillsReason.CONSENT_UNKNOWN, f"{promise.bill}: it has ended")
        key = self._key_of(promise.audience)
        standing = self._vault.find(message.code, message.number)
        if key is None or standing is None or standing.tx_id is None or standing.n is None:
            raise Rejected(BillsReason.CONSENT_UNKNOWN, f"{promise.audience} has no delivery key")
        body, secret = self._vault.get(message.code, message.number)
        part, paths = _part(promise, fields_of(promise.basis, right), body, secret)
        self._note(message, promise, paths)
        head = Head(network=self._network, tx=standing.tx_id, n=standing.n, to=key, purpose=CLAIM)
        # The secret of the whole body stays here: it would open every field.
        letter = Letter(message.code, message.number, encode(part), bytes(SECRET_BYTES))
        return changed(message, data=seal_delivery(head, letter))

    def _note(self, message: Message, promise: Promise, paths: list[str]) -> None:
        """Once, however often it has to be sent until it is taken."""
        place = message.code, message.number
        said = (promise.audience, "disclosed", promise.purpose, paths)
        for read in self._vault.reads(*place):
            if (read.who, read.what, read.why, read.paths) == said:
                return
        self._vault.note_read(
            *place,
            at=self._clock(),
            who=promise.audience,
            what="disclosed",
            why=promise.purpose,
            paths=paths,
        )

    def _holds(self, view: Reading, message: Message, now: int) -> bool:
        promise = decode(message.data, Promise)
        right = find_right(view, promise.bill, promise.basis, now)
        return right is not None and right.live

    def _now(self, view: Reading) -> int:
        return max(self._clock(), view.head.at)


def _part(promise: Promise, fields: Fields, body: bytes, secret: bytes) -> tuple[Part, list[str]]:
    """Exactly the fields that were allowed, and their paths."""
    paths, disclosures = encoded_disclosures(body, secret)
    hashes = [merkle.leaf_hash(disclosure_digest(text)) for text in disclosures]
    chosen = [index for index, path in enumerate(paths) if covers(fields.paths, path)]
    if not chosen:
        raise Malformed("the body has none of the fields", path="fields")
    part = Part(
        format="tallystick/part/v1",
        bill=promise.bill,
        audience=promise.audience,
        purpose=promise.purpose,
        basis=promise.basis,
        disclosures=[disclosures[index] for index in chosen],
        indices=chosen,
        size=len(paths),
        path=prove_some(hashes, chosen),
    )
    return part, [paths[index] for index in chosen]
