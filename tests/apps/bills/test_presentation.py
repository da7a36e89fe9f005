"""Presentations: what is shown is proven, for this reader and purpose, good and fresh."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from showing import FIELDS, PURPOSE, READER, SHOWN, Bench, Ward, fields_of, unfit

from tallystick.apps.bills.presentation import (
    WARNINGS,
    Presentations,
    verify_presentation,
)
from tallystick.apps.bills.presenting import Basis, Proofs, present
from tallystick.apps.bills.showing import read_presentation
from tallystick.contracts.bills.records.bills import Pending
from tallystick.contracts.bills.records.holders import Consent
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.row import row_key
from tallystick.protocol.values import format_instant
from tallystick.verify import Verdict

# ------------------------------------------------------------------------------------ what holds


def test_it_shows_what_was_chosen_and_the_open_total(bench: Bench) -> None:
    shown = bench.read(bench.data)
    body: dict[str, Any] = decode(bench.held[bench.first].body, dict[str, Any])
    assert list(shown.fields) == sorted(SHOWN)
    assert shown.fields["items/1"] == body["items"][1]
    assert shown.fields["payer/name"] == body["payer"]["name"]
    assert shown.total == shown.left == body["total"]
    assert [line.amount for line in shown.lines.values()] == [
        each["amount"] for each in body["items"][:2]
    ]
    assert shown.remainder == body["total"] - sum(each["amount"] for each in body["items"][:2])
    assert (shown.audience, shown.purpose) == (READER, PURPOSE)
    assert shown.orgs == ("finance",)
    assert shown.as_of == bench.at
    assert shown.archived
    assert not shown.bound
    assert not shown.offline
    assert shown.warnings == ("unbound",)
    assert [each.number for each in shown.steps] == list(range(1, 22))


def test_nothing_that_was_not_chosen_is_in_the_file(bench: Bench) -> None:
    body: dict[str, Any] = decode(bench.held[bench.first].body, dict[str, Any])
    texts = [
        base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        for text in bench.honest.disclosures
    ]
    assert len(texts) == len(SHOWN)
    assert not any(body["payer"]["id_number"] in text for text in texts)
    for item in body["items"][2:]:
        assert not any(f'"amount":{item["amount"]},"code":"{item["code"]}"' in t for t in texts)
    assert body["payer"]["id_number"] not in bench.data.decode()


def test_all_of_a_body_may_be_shown(bench: Bench) -> None:
    names = decode(bench.held[bench.first].body, dict[str, Any])
    patterns = [each for name in names for each in (name, f"{name}/*")]
    fields = fields_of(*patterns)
    basis = Basis(consent=bench.consent(bench.first, fields), fields=fields)
    shown = bench.read(bench.show(bench.first, basis, *_there(bench, patterns)))
    assert len(shown.fields) == len(read_presentation(bench.data).disclosures) + len(
        shown.fields
    ) - len(SHOWN)
    assert shown.remainder == shown.total - sum(item["amount"] for item in names["items"])
    assert len(shown.details) == len(names["details"])


def _there(bench: Bench, patterns: list[str]) -> list[str]:
    body: dict[str, Any] = decode(bench.held[bench.first].body, dict[str, Any])
    return [
        each
        for each in patterns
        if (isinstance(body[each.removesuffix("/*")], dict | list) == each.endswith("/*"))
    ]


def test_open_fields_need_no_consent(bench: Bench) -> None:
    none = fields_of()
    basis = Basis(consent=bench.consent(bench.first, none), fields=none)
    open_ones = ("network", "code", "number", "issuer", "type", "issued_at", "kind", "currency")
    shown = bench.read(bench.show(bench.first, basis, *open_ones, "total"))
    assert shown.fields["issuer"] == "hospital"
    with pytest.raises(VerificationFailed, match="did not consent"):
        bench.show(bench.first, basis, "payer/name")


def test_what_a_reader_should_know_is_said(ward: Bench) -> None:
    ward.archived(ward.row(ward.first).entry or 0)  # one short
    due = format_instant(ward.at + 999)
    ward.change(
        ward.first,
        offline=True,
        circulable=False,
        disputed=1,
        state="partly_reversed",
        good=False,
        reversed_by=[ward.second],
        pending=Pending(holder=b"p" * 32, due=due),
        amounts=ward.row(ward.first).amounts | {"reversed": 5},
    )
    shown = ward.read(ward.show(ward.first, ward.basis, "items/0"))
    assert shown.warnings == tuple(each for each in WARNINGS if each != "purpose_unbound")
    assert shown.left == shown.total - 5
    assert shown.offline


def test_a_bill_that_finance_excepted_is_not_archived(ward: Bench) -> None:
    ward.archived(1_000, 1)
    assert not ward.read(ward.show(ward.first, ward.basis, "items/0")).archived
    other = Basis(consent=ward.other_consent, fields=FIELDS)
    assert ward.read(ward.show(ward.second, other, "items/0")).archived


def test_of_an_issuer_of_whom_nothing_was_said_nothing_is_archived(tmp_path: Path) -> None:
    ward = Ward(tmp_path / "ledger")
    bill = ward.bill_with_body(1)
    basis = Basis(consent=ward.consent(bill, FIELDS), fields=FIELDS)
    data = ward.show(bill, basis, "items/0")
    named: dict[str, Any] = {"audience": READER, "purpose": PURPOSE, "now": ward.at}
    assert not verify_presentation(data, ward.policy(), **named).archived
    ward.archived(1_000, state="suspended", good=False, reason="overdue")
    data = ward.show(bill, basis, "items/0")
    assert verify_presentation(data, ward.policy(), **named).archived  # suspension ends no bill
    ward.ledger.close()


def test_one_verifier_checks_many(bench: Bench) -> None:
    other = Basis(consent=bench.other_consent, fields=FIELDS)
    made = [
        bench.show(bench.first, bench.basis, "items/*"),
        bench.show(bench.second, other, "items/*"),
    ]
    verifier = Presentations(bench.policy())
    shown = [verifier.verify(each, audience=READER, purpose=PURPOSE, now=bench.at) for each in made]
    assert [each.bill.id for each in shown] == [bench.first, bench.second]


def test_what_cannot_be_shown_is_refused_when_it_is_made(bench: Bench) -> None:
    proofs = bench.proofs(bench.first, bench.basis)
    with pytest.raises(Malformed, match="no such field"):
        bench.show(bench.first, bench.basis, "items/99")
    with pytest.raises(VerificationFailed, match="not the one that the record commits to"):
        present(bench.held[bench.second], proofs, SHOWN, audience=READER, purpose=PURPOSE)
    bare = Proofs(replace(proofs.receipt, state=None), proofs.right, proofs.issuer)
    with pytest.raises(VerificationFailed, match="does not show the bill's state"):
        present(bench.held[bench.first], bare, SHOWN, audience=READER, purpose=PURPOSE)


# ------------------------------------------------------------------------- for another, or ended


def test_it_is_for_one_reader_and_one_purpose(bench: Bench) -> None:
    assert unfit(bench, bench.data, audience="mutual") is Verdict.NOT_FOR_YOU
    assert unfit(bench, bench.data, purpose="audit") is Verdict.NOT_FOR_YOU
    assert unfit(bench, bench.data, audience="", purpose="") is Verdict.NOT_FOR_YOU


def test_a_revoked_consent_shows_nothing(ward: Bench) -> None:
    row = _consent_row(ward)
    ward.write(replace(row, state="revoked", good=False))
    assert unfit(ward, ward.show(ward.first, ward.basis, "items/0")) is Verdict.NOT_GOOD


def test_a_consent_ends_by_its_own_time(ward: Bench) -> None:
    ward.write(replace(_consent_row(ward), until=format_instant(ward.at + 60)))
    data = ward.show(ward.first, ward.basis, "items/0")
    assert ward.read(data).until == format_instant(ward.at + 60)
    assert ward.read(data, now=ward.at + 59).bill.id == ward.first
    assert unfit(ward, data, now=ward.at + 60) is Verdict.EXPIRED


def test_a_new_binding_ends_a_consent(ward: Bench) -> None:
    ward.change(ward.first, bound=1, holder=b"n" * 32)
    assert unfit(ward, ward.show(ward.first, ward.basis, "items/0")) is Verdict.NOT_GOOD


def test_a_new_binding_by_the_issuer_ends_a_consent_when_its_time_is_up(ward: Bench) -> None:
    pending = Pending(holder=b"n" * 32, due=format_instant(ward.at + 60))
    ward.change(ward.first, pending=pending)
    data = ward.show(ward.first, ward.basis, "items/0")
    assert ward.read(data, now=ward.at + 59).warnings == ("unbound", "rebinding")
    assert unfit(ward, data, now=ward.at + 60) is Verdict.NOT_GOOD
    ward.change(ward.first, pending=replace(pending, disputed=True))
    data = ward.show(ward.first, ward.basis, "items/0")
    assert ward.read(data, now=ward.at + 60).bill.id == ward.first


def test_an_old_state_is_stale_whichever_it_is_of(ward: Bench) -> None:
    later = ward.at + ward.policy().status_max_age_seconds
    assert ward.read(ward.data, now=later).bill.id == ward.first
    assert unfit(ward, ward.data, now=later + 1) is Verdict.STALE
    assert unfit(ward, ward.data, now=ward.at - 61) is Verdict.STALE
    old = ward.honest
    ward.at = later + 1
    ward.change(ward.second, disputed=0)
    new = read_presentation(ward.show(ward.first, ward.basis, *SHOWN))
    assert ward.read(encode(new)).bill.id == ward.first
    for part in (
        replace(new, receipt=old.receipt),
        replace(new, right=old.right),
        replace(new, issuer=old.issuer),
    ):
        assert unfit(ward, encode(part)) is Verdict.STALE


@pytest.mark.parametrize("state", ["reversed", "settled", "frozen", "reversing"])
def test_a_bill_that_is_not_good_is_shown_as_such(ward: Bench, state: str) -> None:
    ward.change(ward.first, state=state, good=False)
    assert unfit(ward, ward.show(ward.first, ward.basis, "items/0")) is Verdict.NOT_GOOD


def _consent_row(ward: Bench) -> Consent:
    with ward.ledger.view() as view:
        row = view.get(row_key(Consent.KIND, ward.consented), Consent)
    assert row is not None
    return row


def test_a_red_bill_is_shown_to_nobody(ward: Bench) -> None:
    ward.change(ward.first, bill_kind="red", state="red", good=False)
    with pytest.raises(VerificationFailed, match="a red number"):
        ward.read(ward.show(ward.first, ward.basis, "items/0"))
