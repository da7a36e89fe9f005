"""Presentations under what holders said: acts signed by their keys, relayed by a member."""

from __future__ import annotations

from typing import Any

import pytest
from showing import FIELDS, GRANT, PURPOSE, READER, Bench, fields_of, unfit
from world import signer

from tallystick.apps.bills.holders import BillKey
from tallystick.apps.bills.presenting import Basis, read_basis, write_basis
from tallystick.contracts.bills.items.holders import (
    Act,
    Bind,
    GiveConsent,
    GiveMandate,
    Revoke,
    SaidBind,
    SaidConsent,
    SaidMandate,
    SaidRevoke,
)
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.kit.acts import Said, act_id, act_message
from tallystick.keyring import KeySigner, signer_from_seed
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.values import format_instant
from tallystick.verify import Verdict


def _act(ward: Bench, action: str, said: Said, key: KeySigner, salt: bytes | None = None) -> Act:
    message = act_message(ward.ledger.network, f"{action}/1", said)
    return Act(key=key.public_key, salt=salt, signature=key.sign(message))


def _id(ward: Bench, action: str, said: Said) -> str:
    return act_id(act_message(ward.ledger.network, f"{action}/1", said))


def _consent(ward: Bench, key: BillKey, bound: int, seconds: int = 3_600) -> str:
    said = SaidConsent(
        nonce=ward.nonce(),
        bill=ward.first,
        bound=bound,
        reader=READER,
        purpose=PURPOSE,
        fields=FIELDS.digest,
        until=format_instant(ward.at + seconds),
    )
    act = _act(ward, "bills.consent", said, signer_from_seed(key.seed, name="bill"), key.salt)
    item = GiveConsent(nonce=ward.nonce(), said=said, act=act)
    assert ward.act("clinic", "bills.consent", item) == ["accepted"]
    return _id(ward, "bills.consent", said)


def test_a_consent_shows_until_it_is_revoked(ward: Bench) -> None:
    key = ward.keys[ward.first]
    given = _consent(ward, key, 0)
    basis = Basis(consent=given, fields=FIELDS)
    shown = ward.read(ward.show(ward.first, basis, "items/*"))
    assert (shown.right, shown.right_id) == ("consent", given)
    said = SaidRevoke(nonce=ward.nonce(), of=given)
    act = _act(ward, "bills.revoke", said, signer_from_seed(key.seed, name="bill"), key.salt)
    item = Revoke(nonce=ward.nonce(), kind="consent", said=said, act=act)
    assert ward.act("mutual", "bills.revoke", item) == ["accepted"]
    assert unfit(ward, ward.show(ward.first, basis, "items/*")) is Verdict.NOT_GOOD


def test_binding_ends_what_was_said_under_the_old_key(ward: Bench) -> None:
    old = ward.keys[ward.first]
    basis = Basis(consent=_consent(ward, old, 0), fields=FIELDS)
    new = BillKey(b"n" * 32, b"o" * 16, signer("mandate").public_key)
    said = SaidBind(nonce=ward.nonce(), bill=ward.first, bound=0, holder=new.commitment)
    act = _act(ward, "bills.bind", said, signer_from_seed(old.seed, name="bill"), old.salt)
    item = Bind(nonce=ward.nonce(), said=said, act=act)
    assert ward.act("hospital", "bills.bind", item) == ["accepted"]
    assert unfit(ward, ward.show(ward.first, basis, "items/*")) is Verdict.NOT_GOOD
    again = Basis(consent=_consent(ward, new, 1), fields=FIELDS)
    shown = ward.read(ward.show(ward.first, again, "items/*"))
    assert shown.bound
    assert shown.warnings == ()


def test_a_mandate_signed_once_shows_bills_without_an_act(ward: Bench) -> None:
    said = SaidMandate(
        nonce=ward.nonce(),
        reader=READER,
        purpose=PURPOSE,
        fields=FIELDS.digest,
        until=format_instant(ward.at + 3_600),
    )
    act = _act(ward, "bills.mandate", said, signer("mandate"))
    item = GiveMandate(nonce=ward.nonce(), said=said, act=act)
    assert ward.act("hospital", "bills.mandate", item) == ["accepted"]
    given = _id(ward, "bills.mandate", said)
    for bill in (ward.first, ward.second):
        basis = Basis(mandate=given, fields=FIELDS, opening=ward.keys[bill].opening)
        assert ward.read(ward.show(bill, basis, "items/*")).right_id == given


def test_a_basis_travels_in_a_file(bench: Bench) -> None:
    opening = bench.keys[bench.first].opening
    for basis in (
        Basis(consent="a" * 64, fields=FIELDS),
        Basis(mandate="a" * 64, fields=FIELDS, opening=opening),
        Basis(statute=GRANT),
    ):
        read = read_basis(write_basis(basis))
        assert read.format == "tallystick/basis/v1"
        named = ("consent", "mandate", "statute", "fields", "opening")
        assert all(getattr(read, name) == getattr(basis, name) for name in named)


@pytest.mark.parametrize(
    "basis",
    [
        Basis(),
        Basis(consent="a" * 64),
        Basis(consent="a" * 64, mandate="b" * 64, fields=fields_of()),
        Basis(mandate="a" * 64, fields=fields_of()),
        Basis(statute=GRANT, fields=fields_of()),
    ],
)
def test_a_file_names_one_right_with_what_belongs_to_it(basis: Basis) -> None:
    with pytest.raises(Malformed):
        read_basis(write_basis(basis))


def test_a_file_of_another_format_is_none() -> None:
    data: dict[str, Any] = decode(write_basis(Basis(statute=GRANT)), dict[str, Any])
    with pytest.raises(Malformed):
        read_basis(encode(data | {"format": "tallystick/basis/v2"}))
    with pytest.raises(Malformed):
        read_basis(encode({"statute": GRANT}))


def test_a_right_that_names_nothing_and_a_bill_that_is_none_are_refused(bench: Bench) -> None:
    with pytest.raises(ValueError, match="consent, a mandate or a statute"):
        bench.proofs(bench.first, Basis())
    for basis in (Basis(consent="a" * 64, fields=FIELDS), Basis(mandate="a" * 64, fields=FIELDS)):
        with pytest.raises(Rejected, match="no bills") as caught:
            bench.proofs(bench.first, basis)
        assert caught.value.reason is BillsReason.CONSENT_UNKNOWN
    with pytest.raises(Rejected, match="nothing befell"):
        bench.proofs("33060126:0000000999", bench.basis)
