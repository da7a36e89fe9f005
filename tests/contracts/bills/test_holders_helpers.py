"""Who acts for a holder: on one bill or on all of a wallet's, for a time, and never beyond."""

from __future__ import annotations

from typing import Any

import pytest
from holders_acts import ANN, ANNS_NEW, DAY, EVE, World, holder, signing_key
from province import CODE

from tallystick.contracts.bills.items.holders import AppointHelper, GiveConsent
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.bills.views.holders import find_helper
from tallystick.protocol.canonical import replace


@pytest.fixture
def world() -> World:
    return World()


def appoint(world: World, item: AppointHelper) -> str:
    world.do("mutual", "bills.appoint_helper", item)
    return world.acting.id_of("bills.appoint_helper", item.said)


def consent_by(world: World, bill: Bill, helper: str, name: str = "son", **fields: Any) -> Any:
    said = world.acting.said_consent(bill)
    act = world.acting.sign("bills.consent", said, signing_key(name), helper=helper, **fields)
    return GiveConsent(nonce=world.nonce(), said=said, act=act)


def test_a_helper_acts_on_its_one_bill_until_the_bill_is_bound_anew(world: World) -> None:
    world.issue(2, holder=ANN.commitment)
    helper = appoint(world, world.acting.helper("son", world.first, ANN))
    act = world.acting.give(consent_by(world, world.first, helper))
    said = replace(world.acting.revoke_consent(act, ANN).said)
    signed = world.acting.sign("bills.revoke", said, signing_key("son"), helper=helper)
    item = replace(world.acting.revoke_consent(act, ANN), said=said, act=signed)
    world.do("clinic", "bills.revoke", item)
    refusal = ("bills.helper_unknown", "act/helper")
    assert world.consent_refused(consent_by(world, world.bill(CODE, 2), helper)) == refusal
    assert world.consent_refused(consent_by(world, world.first, "0" * 64)) == refusal
    assert world.consent_refused(consent_by(world, world.first, helper, name="eve")) == refusal
    world.bind()
    assert world.consent_refused(consent_by(world, world.first, helper)) == refusal


def test_a_helper_for_all_acts_on_each_bill_of_one_person(world: World) -> None:
    second = holder("ann/2")
    world.issue(2, holder=second.commitment)
    world.issue(3, holder=EVE.commitment)
    helper = appoint(world, world.acting.helper_for_all("son"))
    for number, who in ((1, ANN), (2, second)):
        item = consent_by(world, world.bill(CODE, number), helper, opening=who.opening)
        world.acting.give(item)
    for number, opening in ((3, EVE.opening), (1, second.opening), (1, None)):
        item = consent_by(world, world.bill(CODE, number), helper, opening=opening)
        assert world.consent_refused(item) == ("bills.holder_key", "act/opening")
    world.bind(new=ANNS_NEW)
    world.acting.give(consent_by(world, world.first, helper, opening=ANNS_NEW.opening))


def test_a_helper_ends_by_time_and_by_revocation(world: World) -> None:
    helper = appoint(world, world.acting.helper("son", world.first, ANN))
    for_all = appoint(world, world.acting.helper_for_all("son"))
    revoke = world.acting.revoke("helper", helper, ANN.bill_key, salt=ANN.salt)
    by_eve = world.acting.revoke("helper", helper, EVE.bill_key, salt=EVE.salt)
    assert world.refused("clinic", "bills.revoke", by_eve) == ("bills.holder_key", "act/key")
    by_eve = world.acting.revoke("helper", for_all, signing_key("eve"))
    assert world.refused("clinic", "bills.revoke", by_eve) == ("bills.holder_key", "act/key")
    world.do("clinic", "bills.revoke", revoke)
    refusal = ("bills.helper_unknown", "said/of")
    again = replace(revoke, nonce=world.nonce())
    assert world.refused("clinic", "bills.revoke", again) == refusal
    refusal = ("bills.helper_unknown", "act/helper")
    assert world.consent_refused(consent_by(world, world.first, helper)) == refusal
    world.at += 30 * DAY
    item = consent_by(world, world.first, for_all, opening=ANN.opening)
    assert world.consent_refused(item) == refusal
    world.do("clinic", "bills.revoke", world.acting.revoke("helper", for_all, signing_key("ann")))
    row = find_helper(world.rows, for_all)
    assert row is not None
    assert not row.good


def test_a_helper_neither_binds_nor_appoints_nor_objects_nor_mandates(world: World) -> None:
    helper = appoint(world, world.acting.helper("son", world.first, ANN))
    son, refusal = signing_key("son"), ("bills.helper_unknown", "act/helper")
    items: dict[str, Any] = {
        "bills.bind": world.acting.bind(world.first, ANN, EVE),
        "bills.appoint_helper": world.acting.helper("friend", world.first, ANN),
        "bills.object_binding": world.acting.objection(world.first, ANN),
        "bills.mandate": world.acting.mandate("son"),
        "bills.revoke": world.acting.revoke("helper", helper, son),
    }
    for action, item in items.items():
        signed = world.acting.sign(action, item.said, son, helper=helper)
        assert world.refused("clinic", action, replace(item, act=signed)) == refusal


def test_an_appointment_is_entered_once_and_in_time(world: World) -> None:
    item = world.acting.helper("son", world.first, ANN)
    appoint(world, item)
    again = replace(item, nonce=world.nonce())
    assert world.refused("mutual", "bills.appoint_helper", again) == ("kit.act_replayed", "act")
    for_all = world.acting.helper_for_all("son")
    appoint(world, for_all)
    again = replace(for_all, nonce=world.nonce())
    assert world.refused("mutual", "bills.appoint_helper", again) == ("kit.act_replayed", "act")
    late = world.acting.helper("son", world.first, ANN, until=world.instant())
    assert world.refused("mutual", "bills.appoint_helper", late) == ("kit.until_past", "said/until")
    stale = world.acting.helper("son", world.first, ANN, bound=3)
    refusal = ("bills.bound_stale", "said/bound")
    assert world.refused("mutual", "bills.appoint_helper", stale) == refusal
