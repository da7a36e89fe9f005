"""A world in which a bill with a real body may be shown: rows of any kind can be written.

The holder's acts have tests of their own, with the contract; here rows of all sorts are needed,
also such as no contract would write, so a domain of the tests' own puts them.

Invariant: log, proofs and signatures are the product's; only who may write a row is not.
"""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from acts import founder, nonce
from bodies import make_body
from province import CODE, ISSUER_ACTIONS
from world import World, genesis_file, signer

from tallystick.apps.bills.fields import Fields, make_fields
from tallystick.apps.bills.holders import BillKey, bill_key
from tallystick.apps.bills.presentation import Shown, Unfit, verify_presentation
from tallystick.apps.bills.presenting import Basis, Private, Proofs, present, prove_right
from tallystick.apps.bills.showing import Presentation, read_presentation
from tallystick.contracts import bills, members
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.content import open_fields
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    Bill,
    BillType,
    Exceptions,
    Issuer,
    format_bill_id,
    parse_bill_id,
)
from tallystick.contracts.bills.records.holders import Consent, Mandate
from tallystick.contracts.kit.context import Action, Context, Domain
from tallystick.contracts.kit.grants import Authority
from tallystick.ledger.rules import make_rules
from tallystick.protocol.body import body_root
from tallystick.protocol.canonical import decode, encode, narrow, replace
from tallystick.protocol.receipt import StateDocument
from tallystick.protocol.row import Row
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import format_instant
from tallystick.verify import Verdict

READER = "insurer"
PURPOSE = "claim"
DERIVATION = sha256(b"a wallet's derivation key").digest()
MANDATE_KEY = signer("mandate").public_key
KINDS: dict[str, type[Row]] = {
    kind.KIND: kind for kind in (Bill, BillType, Issuer, Consent, Mandate, Authority)
}


class Write(Item):
    """Puts a row as it is told."""

    row: dict[str, Any]


def _write(ctx: Context, item: Write) -> None:
    row = narrow(item.row, KINDS[item.row["kind"]])
    row = replace(row, salt=None)
    if isinstance(row, Bill):
        ctx.put_slot(*parse_bill_id(row.id), row)
    else:
        ctx.put(row)


WRITER = Domain(
    name="writer",
    actions={"writer.write/1": Action(Write, _write)},
    rows=(),
    reasons=BillsReason,
    texts={},
)


class Ward(World):
    """The world of a hospital, an insurer and a fund; consents in it are just there."""

    def __init__(self, folder: Path) -> None:
        founders = [
            founder("finance", "*"),
            founder("hospital", *ISSUER_ACTIONS),
            founder("clinic", *ISSUER_ACTIONS),
            founder("insurer"),
            founder("mutual"),
            founder("fund", "bills.statute", "bills.lock"),
        ]
        rules = make_rules([members.DOMAIN, bills.DOMAIN, WRITER])
        super().__init__(folder, rules, genesis_file(founders))
        self.prepare()
        self.held: dict[str, Private] = {}
        self.keys: dict[str, BillKey] = {}

    def body(self, number: int, **changes: Any) -> Body:
        named: dict[str, Any] = {"code": CODE, "issuer": "hospital"}
        return make_body(number, **(named | {"issued_at": format_instant(self.at)} | changes))

    def bill_with_body(self, number: int, body: Body | None = None) -> str:
        """Issue a bill that commits to a body, which may say another than the record."""
        made = replace(
            body or self.body(number), network=self.ledger.network, number=number, code=CODE
        )
        data, secret = encode(made), sha256(b"secret %d" % number).digest()
        root = body_root(decode(data, dict[str, Any]), secret)
        honest = self.body(number)
        opened = open_fields(honest)
        key = bill_key(DERIVATION, root, MANDATE_KEY)
        amounts = {
            name: opened[name] for name in ("total", "account", "cash", "self_pay", "self_expense")
        }
        item = self.issue_item(
            number, root=root, holder=key.commitment, issued_at=honest.issued_at, **amounts
        )
        self.put(self.transaction("hospital", "bills.issue", item))
        bill_id = format_bill_id(CODE, number)
        assert self.row(bill_id).root == root
        self.held[bill_id], self.keys[bill_id] = Private(data, secret), key
        return bill_id

    def row(self, bill_id: str) -> Bill:
        with self.ledger.view() as view:
            row = view.get(int(bill_id.replace(":", "")), Bill)
        assert row is not None
        return row

    def write(self, row: Row) -> None:
        """Put a row, whatever the contract would say."""
        raw: dict[str, Any] = decode(encode(row), dict[str, Any])
        item = Write(nonce=self.nonce(), row=raw)
        executed = self.put(self.transaction("finance", "writer.write", item))
        assert list(executed.outcomes[0]) == ["accepted"]

    def change(self, bill_id: str, **changes: Any) -> None:
        self.write(replace(self.row(bill_id), **changes))

    def consent(self, bill_id: str, fields: Fields, **changes: Any) -> str:
        """A consent that is there; its id."""
        row_id = sha256(b"consent %d" % self.acts).hexdigest()
        named: dict[str, Any] = {"bill": bill_id, "bound": 0, "reader": READER, "purpose": PURPOSE}
        named |= {"fields": fields.digest, "state": "live", "good": True}
        self.write(Consent(kind=Consent.KIND, id=row_id, **(named | changes)))
        return row_id

    def mandate(self, fields: Fields, **changes: Any) -> str:
        row_id = sha256(b"mandate %d" % self.acts).hexdigest()
        named: dict[str, Any] = {"key": MANDATE_KEY, "reader": READER, "purpose": PURPOSE}
        named |= {"fields": fields.digest, "state": "live", "good": True}
        self.write(Mandate(kind=Mandate.KIND, id=row_id, **(named | changes)))
        return row_id

    def archived(self, below: int, *exceptions: int, **changes: Any) -> None:
        """What finance says of the hospital."""
        lists = [Exceptions(code=CODE, numbers=list(exceptions))] if exceptions else []
        named: dict[str, Any] = {"state": "active", "good": True, "below": below}
        named |= {"exceptions": lists}
        self.write(Issuer(kind=Issuer.KIND, id="hospital", **(named | changes)))

    def proofs(self, bill_id: str, basis: Basis, audience: str = READER) -> Proofs:
        """Proofs of this moment, under a note that the keeper signs now."""
        with self.ledger.view() as view:
            return prove_right(view, self.note(), bill_id, basis, audience=audience)

    def show(
        self,
        bill_id: str,
        basis: Basis,
        *show: str,
        audience: str = READER,
        purpose: str = PURPOSE,
    ) -> bytes:
        """A presentation of this moment."""
        proofs = self.proofs(bill_id, basis, audience)
        return present(self.held[bill_id], proofs, show, audience=audience, purpose=purpose)


def fields_of(*patterns: str) -> Fields:
    """The opening of these patterns, under one salt."""
    return make_fields(nonce(7), patterns)


FIELDS = fields_of("items/*", "payment/sources", "payer/name")
SHOWN = ("items/0", "items/1", "payer/name", "payment/sources", "total")
GRANT = "founding.3"
"""The fund's: finance, the hospital and the clinic have the first three."""


class Bench(Ward):
    """A ward with two bills, each with a consent, and what is shown of the first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.first, self.second = self.bill_with_body(1), self.bill_with_body(2)
        self.consented = self.consent(self.first, FIELDS)
        self.other_consent = self.consent(self.second, FIELDS)
        self.archived(1_000)
        self.basis = Basis(consent=self.consented, fields=FIELDS)
        self.data = self.show(self.first, self.basis, *SHOWN)
        other = Basis(consent=self.other_consent, fields=FIELDS)
        self.other = read_presentation(self.show(self.second, other, *SHOWN))

    @property
    def honest(self) -> Presentation:
        return read_presentation(self.data)

    def read(self, data: bytes, **asked: Any) -> Shown:
        named: dict[str, Any] = {"audience": READER, "purpose": PURPOSE, "now": self.at}
        return verify_presentation(data, self.policy(), **(named | asked))

    def document(self, key: str) -> StateDocument:
        with self.ledger.view() as view:
            proof = view.state_proof(key, key)
        checkpoint = self.note().decode()
        return StateDocument(format="tallystick/state-proof/v1", checkpoint=checkpoint, state=proof)


def unfit(bench: Bench, data: bytes, **asked: Any) -> Verdict:
    """Why a true presentation must not be acted on."""
    with pytest.raises(Unfit) as caught:
        bench.read(data, **asked)
    assert caught.value.verdict.exit_code == 3
    assert caught.value.shown.audience == read_presentation(data).audience
    return caught.value.verdict


def with_right(presentation: Presentation, **changes: Any) -> bytes:
    """The file with its right changed."""
    return encode(replace(presentation, right=replace(presentation.right, **changes)))


def with_text(disclosure: str, **changes: Any) -> str:
    """A disclosure with its salt, path or value changed, spelled as it should be."""
    data = base64.urlsafe_b64decode(disclosure + "=" * (-len(disclosure) % 4))
    salt, path, value = decode(data, list[Any])
    made = [changes.get("salt", salt), changes.get("path", path), changes.get("value", value)]
    return base64.urlsafe_b64encode(encode(made)).decode().rstrip("=")
