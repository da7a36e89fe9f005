"""Consents, mandates and statutes: whose they are, for which bill, and when they end."""

from __future__ import annotations

import pytest
from acts import nonce
from province import CODE
from showing import FIELDS, GRANT, READER, Bench, Ward, unfit, with_right
from world import signer

from tallystick.apps.bills.presenting import Basis
from tallystick.apps.bills.showing import read_presentation
from tallystick.contracts.bills.records.bills import BillType, Pending, type_row_id
from tallystick.contracts.bills.records.holders import Opening
from tallystick.contracts.kit.grants import Authority, Grant, Parent
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import VerificationFailed
from tallystick.protocol.row import row_key
from tallystick.protocol.values import format_instant
from tallystick.verify import Verdict


def _grant(ward: Ward, org: str, grant: Grant) -> None:
    ward.write(Authority(kind=Authority.KIND, id=org, state="held", good=True, grants=[grant]))


def test_a_mandate_covers_a_bill_that_opens_to_its_key(bench: Bench) -> None:
    for types in ([], [CODE // 100]):
        mandate = bench.mandate(FIELDS, types=types)
        basis = Basis(mandate=mandate, fields=FIELDS, opening=bench.keys[bench.first].opening)
        shown = bench.read(bench.show(bench.first, basis, "items/*"))
        assert (shown.right, shown.right_id) == ("mandate", mandate)


def test_a_statute_needs_no_fields_and_binds_no_purpose(bench: Bench) -> None:
    data = bench.show(bench.first, Basis(statute=GRANT), "details/*", audience="fund")
    shown = bench.read(data, audience="fund")
    assert shown.right_id == GRANT
    assert shown.warnings == ("unbound", "purpose_unbound")


def test_a_grant_is_proven_up_to_the_founding(ward: Bench) -> None:
    _grant(ward, "finance", Grant(grant_id="a" * 64 + ".0", actions=["bills.*"], depth=1))
    parent = Parent(org="finance", grant_id="a" * 64 + ".0")
    _grant(
        ward,
        "mutual",
        Grant(grant_id="b" * 64 + ".0", actions=["bills.statute"], codes=[33], parent=parent),
    )
    basis = Basis(statute="b" * 64 + ".0")
    data = ward.show(ward.first, basis, "items/0", audience="mutual")
    assert len(read_presentation(data).right.rows) == 2
    assert ward.read(data, audience="mutual").right == "statute"
    cut = with_right(read_presentation(data), rows=read_presentation(data).right.rows[:1])
    with pytest.raises(VerificationFailed, match="nothing shows the grant"):
        ward.read(cut, audience="mutual")
    ended = Grant(
        grant_id="a" * 64 + ".0", actions=["bills.*"], depth=1, ended=format_instant(ward.at)
    )
    _grant(ward, "finance", ended)
    data = ward.show(ward.first, basis, "items/0", audience="mutual")
    assert unfit(ward, data, audience="mutual") is Verdict.NOT_GOOD


def test_a_new_binding_ends_a_mandate(ward: Bench) -> None:
    basis = Basis(
        mandate=ward.mandate(FIELDS), fields=FIELDS, opening=ward.keys[ward.first].opening
    )
    pending = Pending(holder=b"n" * 32, due=format_instant(ward.at + 60))
    ward.change(ward.first, pending=pending)
    data = ward.show(ward.first, basis, "items/0")
    assert ward.read(data).bill.id == ward.first
    assert unfit(ward, data, now=ward.at + 60) is Verdict.NOT_GOOD
    ward.change(ward.first, pending=None, bound=1, holder=b"n" * 32)
    with pytest.raises(VerificationFailed, match="not one of the mandate's"):
        ward.read(ward.show(ward.first, basis, "items/0"))


def test_a_grant_ends_by_its_own_time(ward: Bench) -> None:
    grant = Grant(grant_id=GRANT, actions=["*"], until=format_instant(ward.at + 60))
    _grant(ward, "fund", grant)
    data = ward.show(ward.first, Basis(statute=GRANT), "items/0", audience="fund")
    assert ward.read(data, audience="fund").until == grant.until
    assert unfit(ward, data, audience="fund", now=ward.at + 60) is Verdict.NOT_GOOD


def test_a_mandate_is_shown_with_the_opening_of_this_bill(bench: Bench) -> None:
    opening = bench.keys[bench.first].opening
    basis = Basis(mandate=bench.mandate(FIELDS), fields=FIELDS, opening=opening)
    honest = read_presentation(bench.show(bench.first, basis, "items/0"))
    wrong: dict[str, Opening | None] = {
        "not what a mandate": None,
        "not one of the mandate's": bench.keys[bench.second].opening,
    }
    wrong |= {"not one of the mandate's ": replace(opening, nonce=nonce(9))}
    for told, each in wrong.items():
        with pytest.raises(VerificationFailed, match=told.strip()):
            bench.read(with_right(honest, opening=each))
    other = Basis(
        mandate=bench.mandate(FIELDS, key=signer("another").public_key),
        fields=FIELDS,
        opening=opening,
    )
    with pytest.raises(VerificationFailed, match="not one of the mandate's"):
        bench.read(bench.show(bench.first, other, "items/0"))


def test_a_mandate_for_all_types_shows_that_this_one_is_not_sensitive(ward: Bench) -> None:
    basis = Basis(
        mandate=ward.mandate(FIELDS), fields=FIELDS, opening=ward.keys[ward.first].opening
    )
    honest = read_presentation(ward.show(ward.first, basis, "items/0"))
    with pytest.raises(VerificationFailed, match="whether the type is sensitive"):
        ward.read(with_right(honest, type=None))
    with pytest.raises(VerificationFailed, match=r"it proves bills\.issuer"):
        ward.read(with_right(honest, type=honest.issuer))
    with ward.ledger.view() as view:
        kind = view.get(row_key(BillType.KIND, type_row_id(CODE // 100, 1)), BillType)
    assert kind is not None
    ward.write(replace(kind, rules=replace(kind.rules, sensitive=True)))
    with pytest.raises(VerificationFailed, match="sensitive"):
        ward.read(ward.show(ward.first, basis, "items/0"))
    named = Basis(
        mandate=ward.mandate(FIELDS, types=[CODE // 100]),
        fields=FIELDS,
        opening=ward.keys[ward.first].opening,
    )
    assert ward.read(ward.show(ward.first, named, "items/0")).bill.id == ward.first
    elsewhere = Basis(
        mandate=ward.mandate(FIELDS, types=[330602]),
        fields=FIELDS,
        opening=ward.keys[ward.first].opening,
    )
    with pytest.raises(VerificationFailed, match="does not name this type"):
        ward.read(ward.show(ward.first, elsewhere, "items/0"))


def test_a_grant_is_of_the_reader_for_the_statute_and_the_code(ward: Bench) -> None:
    data = ward.show(ward.first, Basis(statute=GRANT), "items/0", audience="fund")
    honest = read_presentation(data)
    for told, each in {
        "not what a statute": with_right(honest, grant=None),
        "has no grant": with_right(honest, grant="founding.0"),
        "it proves kit.authority/fund": encode(replace(honest, audience=READER)),
        "more rows": with_right(honest, rows=[*honest.right.rows, *honest.right.rows]),
        "right/fields: not what a statute": with_right(honest, fields=FIELDS),
    }.items():
        with pytest.raises(VerificationFailed, match=told):
            ward.read(each, audience="fund")
    _grant(ward, "fund", Grant(grant_id=GRANT, actions=["bills.lock"]))
    with pytest.raises(VerificationFailed, match=r"not for bills\.statute"):
        ward.read(
            ward.show(ward.first, Basis(statute=GRANT), "items/0", audience="fund"),
            audience="fund",
        )
    _grant(ward, "fund", Grant(grant_id=GRANT, actions=["*"], codes=[32]))
    with pytest.raises(VerificationFailed, match="not for code"):
        ward.read(
            ward.show(ward.first, Basis(statute=GRANT), "items/0", audience="fund"),
            audience="fund",
        )
