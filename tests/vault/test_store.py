"""A member's vault: what is put is got, business codes are used once, records are held against."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bodies import make_red
from hypothesis import given, settings
from hypothesis import strategies as st
from vaults import (
    VAULT_KEY,
    check_content,
    prepare,
    record_of,
    root_of,
    secret_of,
    tx_of,
)

from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.protocol.body import open_body
from tallystick.protocol.canonical import DOCUMENT_BYTES_MAX, decode, encode, replace
from tallystick.protocol.errors import Malformed, Rejected, VerificationFailed
from tallystick.vault import Message, Prepared, Recorded, Vault

AT = 1_768_181_467


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with Vault.open(tmp_path / "vault", VAULT_KEY) as opened:
        yield opened


def recorded(one: Prepared, entry: int) -> Recorded:
    return Recorded(one.code, one.number, entry, tx_of(entry), 0)


def rejected(vault: Vault, *bodies: Prepared) -> Rejected:
    with pytest.raises(Rejected) as caught:
        vault.put_many(bodies)
    return caught.value


def test_what_is_put_is_got_and_found(vault: Vault, tmp_path: Path) -> None:
    bodies = [prepare(seed) for seed in range(5)]
    vault.put_many(bodies)
    for one in bodies:
        assert vault.get(one.code, one.number) == (one.body, one.secret)
    assert [standing.number for standing in vault.prepared()] == [one.number for one in bodies]
    assert vault.find(bodies[0].code, 999) is None
    with pytest.raises(KeyError, match="999"):
        vault.get(bodies[0].code, 999)
    vault.close()
    with Vault.open(tmp_path / "vault", VAULT_KEY) as again:
        for one in bodies:
            assert again.get(one.code, one.number) == (one.body, one.secret)


def test_a_body_goes_from_prepared_to_recorded(vault: Vault) -> None:
    one = prepare(1)
    vault.put_many([one])
    standing = vault.find(one.code, one.number)
    assert standing is not None
    assert (standing.state, standing.entry, standing.tx_id) == ("prepared", None, None)
    for _ in range(2):  # a node that replays says it again
        vault.mark_recorded([recorded(one, 7)], at=AT)
    standing = vault.find(one.code, one.number)
    assert standing is not None
    assert (standing.state, standing.entry, standing.tx_id, standing.n) == (
        *("recorded", 7, tx_of(7)),
        0,
    )
    assert (standing.network, standing.issuer, standing.kind) == (one.network, one.issuer, "blue")
    assert vault.prepared() == []
    with pytest.raises(ValueError, match="recorded in entry 7"):
        vault.mark_recorded([recorded(one, 8)], at=AT)
    with pytest.raises(ValueError, match="recorded in entry 7"):
        vault.mark_refused([(one.code, one.number, "bills.number_used")])


def test_marks_about_a_body_that_is_not_here(vault: Vault) -> None:
    one = prepare(1)
    with pytest.raises(KeyError):
        vault.mark_recorded([recorded(one, 7)], at=AT)
    with pytest.raises(KeyError):
        vault.mark_refused([(one.code, one.number, "x")])
    with pytest.raises(KeyError):
        vault.mark_reversed([(one.code, one.number)])


def test_a_batch_is_put_whole_or_not_at_all(vault: Vault) -> None:
    first = prepare(1)
    vault.put_many([first])
    clash = prepare(2, business_codes=decode(first.body, Body).business_codes, settlement=None)
    first_alone = prepare(1, settlement=None)
    vault.mark_refused([(first.code, first.number, "x")])
    vault.put_many([first_alone])
    error = rejected(vault, prepare(3), clash, prepare(4))
    assert error.reason == BillsReason.BIZCODE_CONFLICT
    assert error.path == "bodies/1/business_codes/0"
    assert "HIS-" not in str(error)
    assert vault.find(clash.code, prepare(3).number) is None
    vault.put_many([prepare(3), prepare(4)])


def test_one_batch_cannot_hold_a_business_code_twice(vault: Vault) -> None:
    one, two = prepare(1, settlement=None), prepare(2, settlement=None, business_codes=("A", "B"))
    three = prepare(3, settlement=None, business_codes=("C", "A"))
    assert rejected(vault, one, two, three).path == "bodies/2/business_codes/1"
    assert vault.prepared() == []


def test_parts_and_purposes_are_counted_apart(vault: Vault) -> None:
    body = decode(prepare(1).body, Body)
    assert body.settlement is None or body.settlement.part == 1
    code = ("VISIT-1",)
    one = prepare(1, business_codes=code, settlement=None)
    two = prepare(2, business_codes=code, settlement=None, purpose="registration")
    vault.put_many([one, two])
    part = one.business[0]._replace(part=2)
    three = prepare(3, business_codes=code)
    vault.put_many([Prepared(**{**fields(three), "business": (part,)})])


def fields(one: Prepared) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Prepared.__slots__}


def test_the_next_ordinal_only_after_full_reversal(vault: Vault) -> None:
    code = ("VISIT-1",)
    one = prepare(1, business_codes=code, settlement=None)
    two = prepare(2, business_codes=code, settlement=None, ordinal=2)
    three = prepare(3, business_codes=code, settlement=None, ordinal=3)
    for early in (two, three):
        assert rejected(vault, early).reason == BillsReason.BIZCODE_CONFLICT
    vault.put_many([one])
    vault.mark_recorded([recorded(one, 1)], at=AT)
    assert "no bill before that is reversed" in rejected(vault, two).detail
    vault.mark_reversed([(one.code, one.number)])
    assert rejected(vault, prepare(4, business_codes=code, settlement=None)).reason == (
        BillsReason.BIZCODE_CONFLICT
    )
    vault.put_many([two])
    assert rejected(vault, three).reason == BillsReason.BIZCODE_CONFLICT


def test_a_replacement_comes_in_the_item_that_reverses(vault: Vault) -> None:
    code = ("VISIT-1",)
    one = prepare(1, business_codes=code, settlement=None)
    vault.put_many([one])
    vault.mark_recorded([recorded(one, 1)], at=AT)
    other = prepare(2, business_codes=code, settlement=None, ordinal=2, replaces=(one.code, 99))
    assert rejected(vault, other).reason == BillsReason.BIZCODE_CONFLICT
    red = encode(make_red(decode(one.body, Body), number=50))
    red_prepared = Prepared(
        **{**fields(one), "number": 50, "kind": "red", "body": red, "business": ()}
    )
    new = prepare(
        2, business_codes=code, settlement=None, ordinal=2, replaces=(one.code, one.number)
    )
    vault.put_many([red_prepared, new])


def test_a_refused_body_frees_its_business_code_and_its_number(vault: Vault) -> None:
    one = prepare(1, settlement=None)
    vault.put_many([one])
    vault.mark_refused([(one.code, one.number, "bills.time_too_old")])
    standing = vault.find(one.code, one.number)
    assert standing is not None
    assert (standing.state, standing.reason) == ("refused", "bills.time_too_old")
    codes = decode(one.body, Body).business_codes
    elsewhere = prepare(2, settlement=None, business_codes=codes)
    vault.put_many([elsewhere])
    here = prepare(1, settlement=None, business_codes=("OTHER",), number=one.number)
    vault.put_many([here])
    assert vault.get(one.code, one.number) == (here.body, here.secret)


def test_what_was_thought_refused_and_is_on_the_ledger_counts(vault: Vault) -> None:
    one = prepare(1, settlement=None)
    vault.put_many([one])
    vault.mark_refused([(one.code, one.number, "ledger.expired")])
    vault.mark_recorded([recorded(one, 3)], at=AT)
    codes = decode(one.body, Body).business_codes
    again = prepare(2, settlement=None, business_codes=codes)
    assert rejected(vault, again).reason == BillsReason.BIZCODE_CONFLICT
    standing = vault.find(one.code, one.number)
    assert standing is not None
    assert (standing.state, standing.reason) == ("recorded", None)


def test_putting_again_after_an_unclear_answer(vault: Vault) -> None:
    one = prepare(1)
    vault.put_many([one])
    vault.put_many([one])
    other = Prepared(**{**fields(one), "secret": secret_of(99)})
    assert rejected(vault, other).reason == BillsReason.NUMBER_USED
    vault.mark_recorded([recorded(one, 1)], at=AT)
    assert rejected(vault, one).path == "bodies/0/number"


def test_what_could_not_be_opened_again_is_refused(vault: Vault) -> None:
    one = prepare(1)
    for wrong in (
        {"secret": b"short"},
        {"body": b"x" * (DOCUMENT_BYTES_MAX + 1)},
        {"business": one.business * 51},
    ):
        with pytest.raises(Malformed):
            vault.put_many([Prepared(**{**fields(one), **wrong})])
    assert vault.prepared() == []


def test_showing_a_body_against_its_record(vault: Vault) -> None:
    one = prepare(1)
    vault.put_many([one])
    root = root_of(one)
    opened = vault.show(one.code, one.number, root=root, record=record_of(one), check=check_content)
    assert (opened.body, opened.secret) == (one.body, one.secret)
    assert encode(open_body(opened.disclosures, root)) == one.body
    assert one.body.decode() not in repr(opened)


def test_a_body_of_another_record_fails_by_field(vault: Vault) -> None:
    one = prepare(1)
    vault.put_many([one])
    record = {**record_of(one), "total": 1}
    with pytest.raises(Rejected) as caught:
        vault.show(one.code, one.number, root=root_of(one), record=record, check=check_content)
    assert (caught.value.reason, caught.value.path) == (BillsReason.BODY_MISMATCH, "total")
    with pytest.raises(VerificationFailed, match="root"):
        vault.show(one.code, one.number, root=bytes(32), record=record_of(one), check=check_content)


def test_a_body_that_breaks_a_rule_fails_by_field(vault: Vault) -> None:
    good = prepare(1)
    bill = decode(good.body, Body)
    bad = encode(replace(bill, total=bill.total + 1))
    one = Prepared(**{**fields(good), "body": bad})
    vault.put_many([one])
    with pytest.raises(Rejected) as caught:
        vault.show(
            one.code, one.number, root=root_of(one), record=record_of(one), check=check_content
        )
    assert (caught.value.reason, caught.value.path) == (BillsReason.SUM_ITEMS, "total")


def test_an_export_opens_without_the_vault(vault: Vault) -> None:
    one = prepare(1)
    vault.put_many([one])
    exported = json.loads(vault.export(one.code, one.number))
    assert exported["format"] == "tallystick/body/v1"
    assert (exported["code"], exported["number"]) == (one.code, one.number)
    assert encode(open_body(exported["disclosures"], root_of(one))) == one.body
    with pytest.raises(KeyError):
        vault.export(one.code, 999)


def test_a_delivery_is_owed_from_the_moment_of_recording(vault: Vault) -> None:
    one = prepare(1)
    vault.put_many([one])
    message = Message(one.code, one.number, "finance-33", b"sealed")
    with pytest.raises(KeyError):
        vault.mark_recorded([recorded(one, 1), recorded(prepare(2), 2)], [message], at=AT)
    assert vault.outbox.owed() == []
    vault.mark_recorded([recorded(one, 1)], [message], at=AT)
    vault.mark_recorded([recorded(one, 1)], [message], at=AT + 5)
    assert [(owed.message, owed.queued_at) for owed in vault.outbox.owed()] == [(message, AT)]


def test_no_text_about_a_body_shows_it() -> None:
    one = prepare(1)
    payer = decode(one.body, Body).payer.name
    assert payer not in repr(one)
    assert "HIS-" not in repr(one)
    assert repr(one.secret) not in repr(one)


@given(st.lists(st.sampled_from(["put", "record", "refuse", "reverse"]), max_size=30), st.data())
@settings(max_examples=25)
def test_I10_a_business_code_never_has_two_live_bills(
    tmp_path_factory: Any, steps: list[str], data: st.DataObject
) -> None:
    """Whatever is asked in whatever order: one bill at most that is not refused or reversed."""
    live: set[int] = set()
    known: list[Prepared] = []
    with Vault.open(tmp_path_factory.mktemp("vault"), VAULT_KEY) as vault:
        for number, step in enumerate(steps):
            if step == "put":
                ordinal = data.draw(st.integers(1, 3))
                codes = ("VISIT-1",)
                one = prepare(number, business_codes=codes, settlement=None, ordinal=ordinal)
                try:
                    vault.put_many([one])
                except Rejected:
                    continue
                known.append(one)
                live.add(one.number)
            elif known:
                one = data.draw(st.sampled_from(known))
                try:
                    if step == "record":
                        state = vault.find(one.code, one.number)
                        if state is not None and state.state == "prepared":
                            vault.mark_recorded([recorded(one, number)], at=AT)
                    elif step == "refuse":
                        vault.mark_refused([(one.code, one.number, "x")])
                        live.discard(one.number)
                    else:
                        vault.mark_reversed([(one.code, one.number)])
                        live.discard(one.number)
                except ValueError:
                    continue
            assert len(live) <= 1
