"""What holders say: once, as it was signed, by whoever may speak for them now."""

from __future__ import annotations

from typing import Any

import pytest
from acts import public_key
from bodies import OUTPATIENT
from holders_acts import ANN, ANNS_NEW, DAY, EVE, World, holder, signing_key
from province import CODE

from tallystick.contracts.bills.actions import ACTIONS
from tallystick.contracts.bills.items.bills import Block
from tallystick.contracts.bills.items.claims import MakePlan, PlannedShare, SaidPlan
from tallystick.contracts.bills.items.holders import GiveConsent
from tallystick.contracts.bills.records.bills import Lock, holder_now
from tallystick.contracts.bills.records.holders import Mandate
from tallystick.contracts.bills.views.holders import (
    find_consent,
    find_mandate,
    is_mandate_live,
    list_consents,
    list_disputes,
    list_pending,
)
from tallystick.contracts.kit.acts import ACT_WORK
from tallystick.contracts.kit.context import slot_key
from tallystick.contracts.kit.keys import BlockScope, KeyRow
from tallystick.contracts.members.actions.orgs import Suspend
from tallystick.protocol.canonical import replace
from tallystick.protocol.row import row_key

WAIT = OUTPATIENT.rebind_wait_seconds
PSYCHIATRY = 33060326


@pytest.fixture
def world() -> World:
    return World()


def test_a_tills_key_neither_binds_nor_plans_bills_of_another_block(world: World) -> None:
    till = KeyRow(
        kind=KeyRow.KIND,
        id=public_key("till").hex(),
        state="live",
        good=True,
        org="hospital",
        role="operating",
        actions=["bills.*"],
        block=BlockScope(code=CODE, level=4, first=501),
    )
    world.allot("hospital", level=4, first=501, last=600, parent=Block(level=3, first=1))
    world.rows.set(row_key(KeyRow.KIND, till.id), till, bytes(32))
    share = PlannedShare(reimburser="insurer", purpose="claim", rank=1)
    said = SaidPlan(
        nonce=world.nonce(), bill=world.first.id, bound=0, mode="sequential", shares=[share]
    )
    plan = MakePlan(nonce=world.nonce(), said=said)
    rebind = world.acting.rebind_item(world.first, EVE)
    assert world.refused("hospital", "bills.plan", plan, key="till")[0] == "kit.key_scope"
    assert world.refused("hospital", "bills.rebind", rebind, key="till")[0] == "kit.key_scope"


# -------------------------------------------------------------------------------------- consents


@pytest.mark.parametrize("relay", ["insurer", "mutual", "clinic", "hospital", "finance"])
def test_C8_any_member_relays_what_the_holder_signed(world: World, relay: str) -> None:
    item = world.acting.consent(world.first, ANN)
    act = world.acting.give(item, relay)
    row = find_consent(world.rows, act)
    assert row is not None
    assert (row.bill, row.bound, row.reader, row.purpose) == (world.first.id, 0, "insurer", "claim")
    assert world.consent_live(act)
    assert list(list_consents(world.rows, world.first.id)) == [row]
    world.at += 30 * DAY
    assert not world.consent_live(act)


def test_a_suspended_member_relays_nothing(world: World) -> None:
    stop = Suspend(nonce=world.nonce(), org="mutual", version=1, reason="violation")
    world.do("finance", "members.suspend", stop)
    item = world.acting.consent(world.first, ANN)
    assert world.consent_refused(item) == ("kit.suspended", "")
    world.do("insurer", "bills.consent", item)


def test_C8_a_relay_enters_no_consent_twice_not_even_after_its_revocation(world: World) -> None:
    item = world.acting.consent(world.first, ANN)
    act = world.acting.give(item)
    assert world.consent_refused(item) == ("kit.act_replayed", "act")
    world.do("clinic", "bills.revoke", world.acting.revoke_consent(act, ANN))
    assert not world.consent_live(act)
    again = replace(item, nonce=world.nonce())
    assert world.consent_refused(again, relay="insurer") == ("kit.act_replayed", "act")
    assert not world.consent_live(act)
    once_more = world.acting.revoke_consent(act, ANN)
    refusal = ("bills.consent_unknown", "said/of")
    assert world.refused("clinic", "bills.revoke", once_more) == refusal


def test_C8_a_relay_changes_no_word(world: World) -> None:
    item = world.acting.consent(world.first, ANN)
    for field, value in (
        ("reader", "mutual"),
        ("purpose", "research"),
        ("fields", b"g" * 32),
        ("until", world.instant(31 * DAY)),
        ("nonce", world.nonce()),
    ):
        said = replace(item.said, **{field: value})
        forged = replace(item, said=said)
        assert world.consent_refused(forged) == ("kit.act_signature", "act/signature")


def test_an_act_is_for_one_action_and_one_network(world: World) -> None:
    said = world.acting.said_consent(world.first)
    act = world.acting.in_person("bills.bind", said, ANN)
    item = GiveConsent(nonce=world.nonce(), said=said, act=act)
    assert world.consent_refused(item) == ("kit.act_signature", "act/signature")
    item = world.acting.consent(world.first, ANN)
    network, world.network = world.network, bytes(32)
    foreign = world.acting.consent(world.first, ANN)
    world.network = network
    assert world.consent_refused(foreign) == ("kit.act_signature", "act/signature")
    world.do("mutual", "bills.consent", item)


def test_C8_nobody_but_the_holder_consents(world: World) -> None:
    stranger = world.acting.consent(world.first, EVE)
    assert world.consent_refused(stranger) == ("bills.holder_key", "act/key")
    said = world.acting.said_consent(world.first)
    for fields in ({}, {"salt": bytes(32)}, {"opening": ANN.opening}):
        act = world.acting.sign("bills.consent", said, ANN.bill_key, **fields)
        item = GiveConsent(nonce=world.nonce(), said=said, act=act)
        assert world.consent_refused(item) == ("bills.holder_key", "act/key")


def test_what_a_consent_names_must_exist(world: World) -> None:
    gone = replace(world.first, id=f"{CODE}:0000000009")
    item = world.acting.consent(gone, ANN)
    assert world.consent_refused(item) == ("bills.bill_unknown", "bill")
    item = world.acting.consent(world.first, ANN, reader="insurre")
    assert world.consent_refused(item) == ("bills.org_unknown", "said/reader")
    item = world.acting.consent(world.first, ANN, until=world.instant())
    assert world.consent_refused(item) == ("kit.until_past", "said/until")
    item = world.acting.consent(world.first, ANN, until="2026-02-31T00:00:00Z")
    assert world.consent_refused(item) == ("kit.instant_invalid", "said/until")
    item = world.acting.consent(world.first, ANN, bound=1)
    assert world.consent_refused(item) == ("bills.bound_stale", "said/bound")


def test_nobody_else_takes_a_consent_back(world: World) -> None:
    act = world.acting.give(world.acting.consent(world.first, ANN))
    item = world.acting.revoke_consent(act, EVE)
    assert world.refused("clinic", "bills.revoke", item) == ("bills.holder_key", "act/key")
    item = world.acting.revoke_consent("0" * 64, ANN)
    refusal = ("bills.consent_unknown", "said/of")
    assert world.refused("clinic", "bills.revoke", item) == refusal
    item = replace(world.acting.revoke_consent(act, ANN), kind="mandate")
    assert world.refused("clinic", "bills.revoke", item) == refusal
    assert world.consent_live(act)


# -------------------------------------------------------------------------------------- bindings


def test_C8_binding_anew_ends_consents_and_a_lock_stands(world: World) -> None:
    act = world.acting.give(world.acting.consent(world.first, ANN))
    lock = Lock(who=b"w" * 32, amount=500, until=world.instant(DAY))
    bill = replace(world.first, lock=lock, version=world.first.version)
    world.rows.set(slot_key(CODE, 1), bill, bytes(32))
    world.bind()
    assert not world.consent_live(act)
    assert (world.first.lock, world.first.bound) == (lock, 1)
    assert world.first.holder == ANNS_NEW.commitment
    item = world.acting.revoke_consent(act, ANNS_NEW)
    refusal = ("bills.consent_unknown", "said/of")
    assert world.refused("clinic", "bills.revoke", item) == refusal


def test_the_old_key_says_nothing_once_a_bill_is_bound_anew(world: World) -> None:
    early = world.acting.consent(world.first, ANN)
    binding = world.acting.bind(world.first, ANN, ANNS_NEW)
    world.do("clinic", "bills.bind", binding)
    assert world.consent_refused(early) == ("bills.bound_stale", "said/bound")
    again = replace(binding, nonce=world.nonce())
    assert world.refused("clinic", "bills.bind", again) == ("bills.bound_stale", "said/bound")
    late = world.acting.consent(world.first, ANN)
    assert world.consent_refused(late) == ("bills.holder_key", "act/key")
    world.acting.give(world.acting.consent(world.first, ANNS_NEW))
    back = world.acting.bind(world.first, ANNS_NEW, ANN)
    world.do("clinic", "bills.bind", back)
    assert world.refused("clinic", "bills.bind", again) == ("bills.bound_stale", "said/bound")


def test_the_issuer_binds_at_once_what_nobody_ever_bound(world: World) -> None:
    act = world.acting.give(world.acting.consent(world.first, ANN))
    world.rebind(EVE)
    assert (world.first.holder, world.first.bound) == (EVE.commitment, 1)
    assert world.first.pending is None
    assert not world.consent_live(act)
    stale = world.acting.rebind_item(world.first, EVE)
    assert world.refused("hospital", "bills.rebind", stale) == ("bills.unchanged", "holder")


def test_only_the_issuer_binds_anew_what_it_sees(world: World) -> None:
    item = world.acting.rebind_item(world.first, EVE)
    assert world.refused("clinic", "bills.rebind", item) == ("bills.other_issuer", "bill")
    assert world.refused("insurer", "bills.rebind", item) == ("kit.no_grant", "")
    item = world.acting.rebind_item(world.first, EVE, version=9)
    assert world.refused("hospital", "bills.rebind", item) == ("kit.version_conflict", "version")


def test_a_bound_bill_waits_for_the_holders_objection(world: World) -> None:
    world.bind()
    act = world.acting.give(world.acting.consent(world.first, ANNS_NEW))
    world.rebind(EVE)
    assert world.first.pending is not None
    assert list(list_pending(world.rows, CODE, world.at)) == [world.first]
    refusal = ("bills.rebind_waits", "bill")
    assert world.consent_refused(world.acting.consent(world.first, ANNS_NEW)) == refusal
    assert world.consent_refused(world.acting.consent(world.first, EVE)) == refusal
    item = world.acting.bind(world.first, ANNS_NEW, ANN)
    assert world.refused("clinic", "bills.bind", item) == refusal
    item_ = world.acting.rebind_item(world.first, ANN)
    assert world.refused("hospital", "bills.rebind", item_) == refusal
    assert world.consent_live(act)
    world.at += WAIT - 1
    assert holder_now(world.first, world.at) == (ANNS_NEW.commitment, 1)
    world.at += 1
    assert holder_now(world.first, world.at) == (EVE.commitment, 2)
    assert not world.consent_live(act)
    assert not list(list_pending(world.rows, CODE, world.at))
    late = world.acting.objection(world.first, ANNS_NEW, bound=1)
    refusal = ("bills.nothing_pending", "said")
    assert world.refused("clinic", "bills.object_binding", late) == refusal
    world.acting.give(world.acting.consent(world.first, EVE))
    world.rebind(ANN)
    assert (world.first.holder, world.first.bound) == (EVE.commitment, 2)
    assert world.first.pending is not None


def test_revoking_is_possible_even_while_a_new_binding_waits(world: World) -> None:
    world.bind()
    act = world.acting.give(world.acting.consent(world.first, ANNS_NEW))
    world.rebind(EVE)
    world.do("clinic", "bills.revoke", world.acting.revoke_consent(act, ANNS_NEW))
    assert not world.consent_live(act)


def objected(world: World) -> Any:
    """Ann has bound her bill, and objected to the issuer's new binding."""
    world.bind()
    world.rebind(EVE)
    item = world.acting.objection(world.first, ANNS_NEW)
    world.do("mutual", "bills.object_binding", item)
    assert list(list_disputes(world.rows, CODE)) == [world.first]
    return item


def test_an_objection_is_made_once_and_stops_the_clock(world: World) -> None:
    item = objected(world)
    refusal = ("bills.nothing_pending", "said")
    assert world.refused("mutual", "bills.object_binding", item) == refusal
    again = world.acting.objection(world.first, ANNS_NEW)
    assert world.refused("mutual", "bills.object_binding", again) == refusal
    world.at += 2 * WAIT
    assert holder_now(world.first, world.at) == (ANNS_NEW.commitment, 1)
    item_ = world.acting.consent(world.first, ANNS_NEW)
    assert world.consent_refused(item_) == ("bills.rebind_waits", "bill")


@pytest.mark.parametrize("uphold", ["new", "old"])
def test_the_arbiter_decides(world: World, uphold: str) -> None:
    act = world.acting.give(world.acting.consent(world.first, ANN))
    objected(world)
    item = world.acting.arbitrate_item(world.first, uphold)
    assert world.refused("hospital", "bills.arbitrate", item) == ("kit.no_grant", "")
    stale = replace(item, version=1)
    refusal = ("kit.version_conflict", "version")
    assert world.refused("finance", "bills.arbitrate", stale) == refusal
    world.do("finance", "bills.arbitrate", item)
    expected = (EVE.commitment, 2) if uphold == "new" else (ANNS_NEW.commitment, 1)
    assert holder_now(world.first, world.at) == expected
    assert world.first.pending is None
    assert not world.consent_live(act)
    again = world.acting.arbitrate_item(world.first, uphold)
    refusal = ("bills.nothing_pending", "bill")
    assert world.refused("finance", "bills.arbitrate", again) == refusal


def test_an_objection_fits_no_later_binding(world: World) -> None:
    item = objected(world)
    world.do("finance", "bills.arbitrate", world.acting.arbitrate_item(world.first, "old"))
    world.at += 60
    world.rebind(EVE)
    again = replace(item, nonce=world.nonce())
    refusal = ("bills.nothing_pending", "said/holder")
    assert world.refused("mutual", "bills.object_binding", again) == refusal


def test_a_stranger_objects_to_nothing(world: World) -> None:
    world.bind()
    world.rebind(EVE)
    for who in (ANN, EVE):
        item = world.acting.objection(world.first, who)
        refusal = ("bills.holder_key", "act/key")
        assert world.refused("mutual", "bills.object_binding", item) == refusal


# -------------------------------------------------------------------------------------- mandates


def mandate_of(world: World, **fields: Any) -> Mandate:
    item = world.acting.mandate(**fields)
    world.do("mutual", "bills.mandate", item)
    row = find_mandate(world.rows, world.acting.id_of("bills.mandate", item.said))
    assert row is not None
    return row


def test_C8_one_mandate_covers_each_bill_that_opens_to_its_key(world: World) -> None:
    second = holder("ann/2")
    world.issue(2, holder=second.commitment)
    world.issue(3, holder=EVE.commitment)
    row = mandate_of(world, cap=5_000)
    assert (row.reader, row.purpose, row.cap) == ("insurer", "claim", 5_000)
    for number, who, live in ((1, ANN, True), (2, second, True), (1, second, False)):
        bill = world.bill(CODE, number)
        assert is_mandate_live(world.rows, row, bill, who.opening, world.at) is live
    eves = world.bill(CODE, 3)
    assert not is_mandate_live(world.rows, row, eves, EVE.opening, world.at)
    assert not is_mandate_live(world.rows, row, eves, None, world.at)
    world.bind(new=EVE)
    assert not is_mandate_live(world.rows, row, world.first, ANN.opening, world.at)
    world.at += 365 * DAY
    assert not is_mandate_live(world.rows, row, world.bill(CODE, 2), second.opening, world.at)


def test_C8_a_sensitive_type_must_be_named(world: World) -> None:
    world.define(PSYCHIATRY // 100, rules=replace(OUTPATIENT, sensitive=True))
    world.allot(code=PSYCHIATRY, level=0, first=1, last=1_000, holder="finance")
    parent = Block(level=0, first=1)
    world.allot(code=PSYCHIATRY, level=3, first=1, last=10, holder="hospital", parent=parent)
    bill = world.issue(1, code=PSYCHIATRY, holder=ANN.commitment)
    tacit = mandate_of(world)
    others = mandate_of(world, types=[CODE // 100])
    ticked = mandate_of(world, types=[PSYCHIATRY // 100])
    for row, sensitive, plain in (
        (tacit, False, True),
        (others, False, True),
        (ticked, True, False),
    ):
        assert is_mandate_live(world.rows, row, bill, ANN.opening, world.at) is sensitive
        assert is_mandate_live(world.rows, row, world.first, ANN.opening, world.at) is plain


def test_C8_a_mandate_ends_when_its_key_revokes_it(world: World) -> None:
    item = world.acting.mandate()
    world.do("mutual", "bills.mandate", item)
    act = world.acting.id_of("bills.mandate", item.said)
    other = world.acting.revoke("mandate", act, signing_key("eve"))
    assert world.refused("clinic", "bills.revoke", other) == ("bills.holder_key", "act/key")
    world.do("clinic", "bills.revoke", world.acting.revoke("mandate", act, signing_key("ann")))
    row = find_mandate(world.rows, act)
    assert row is not None
    assert not is_mandate_live(world.rows, row, world.first, ANN.opening, world.at)
    assert world.refused("insurer", "bills.mandate", item) == ("kit.act_replayed", "act")
    again = world.acting.revoke("mandate", act, signing_key("ann"))
    assert world.refused("clinic", "bills.revoke", again) == ("bills.consent_unknown", "said/of")


def test_what_a_mandate_names_must_exist(world: World) -> None:
    for fields, refusal in (
        ({"reader": "nobody"}, ("bills.org_unknown", "said/reader")),
        ({"types": [CODE // 100, 999_999]}, ("bills.type_unknown", "said/types/1")),
        ({"until": world.instant()}, ("kit.until_past", "said/until")),
    ):
        item = world.acting.mandate(**fields)
        assert world.refused("mutual", "bills.mandate", item) == refusal
    item = replace(world.acting.mandate(), act=world.acting.mandate().act)
    assert world.refused("mutual", "bills.mandate", item) == (
        "kit.act_signature",
        "act/signature",
    )


# ------------------------------------------------------------------------------------------ work


def test_each_inner_signature_is_paid_for() -> None:
    for action in ("bind", "object_binding", "consent", "mandate", "appoint_helper", "revoke"):
        assert ACTIONS[f"bills.{action}/1"].work == ACT_WORK
    assert ACTIONS["bills.rebind/1"].work == ACTIONS["bills.arbitrate/1"].work == 1


def test_a_type_without_a_waiting_time_is_bound_anew_at_once(world: World) -> None:
    world.define(PSYCHIATRY // 100, rules=replace(OUTPATIENT, rebind_wait_seconds=0))
    world.allot(code=PSYCHIATRY, level=0, first=1, last=1_000, holder="finance")
    parent = Block(level=0, first=1)
    world.allot(code=PSYCHIATRY, level=3, first=1, last=10, holder="hospital", parent=parent)
    bill = world.issue(1, code=PSYCHIATRY, holder=ANN.commitment)
    world.do("clinic", "bills.bind", world.acting.bind(bill, ANN, ANNS_NEW))
    item = world.acting.rebind_item(world.bill(bill.id), EVE)
    world.do("hospital", "bills.rebind", item)
    assert holder_now(world.bill(bill.id), world.at) == (EVE.commitment, 2)
