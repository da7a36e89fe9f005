"""Who learns what of members, keys, grants and keepers."""

from __future__ import annotations

from typing import Any

from acts import Rows, public_key
from province import Province

from tallystick.apps.members.events import DESCRIBERS, EVENTS, ROLES, TYPES
from tallystick.contracts import members
from tallystick.contracts.members.actions.grants import EndGrant, GiveGrant
from tallystick.contracts.members.actions.keepers import AddKeeper
from tallystick.contracts.members.actions.keys import AddKey
from tallystick.contracts.members.actions.orgs import Admit
from tallystick.contracts.members.records import NewGrant, NewKey
from tallystick.ledger.events import Told
from tallystick.protocol.canonical import encode, parse
from tallystick.protocol.event import Event
from tallystick.protocol.transaction import Item


def event_of(world: Province, sender: str, action: str, item: Item) -> Event:
    """An act that is done, and what is told of it."""
    key = f"{sender}/root" if action == "members.add_key" else None
    world.do(sender, action, item, key=key)
    written: Any = parse(encode(item), dict[str, Any])
    about = EVENTS.describe(world.rows, Told(world.network, 9, sender, f"{action}/1", written))
    assert {each.type for each in about} <= TYPES
    assert {role for each in about for role in each.ids} <= ROLES
    return Event(
        index=9,
        block=1,
        at="2026-01-05T00:00:00Z",
        tx="0" * 64,
        n=0,
        sender=sender,
        action=f"{action}/1",
        outcome="accepted",
        about=about,
    )


def who_sees(rows: Rows, event: Event) -> list[str]:
    orgs = ("finance", "hospital", "clinic", "insurer")
    return [
        org
        for org in orgs
        if EVENTS.visible(rows, org, lambda word, code: False)(event) is not None
    ]


def test_every_action_is_described() -> None:
    assert DESCRIBERS.keys() == members.DOMAIN.actions.keys()


def test_members_and_keepers_are_known_to_all_and_keys_to_their_owner() -> None:
    world, everyone = Province(), ["finance", "hospital", "clinic", "insurer"]
    new = NewGrant(source="founding.0", actions=["bills.dispute"])
    grant = GiveGrant(nonce=world.nonce(), subject="insurer", grant=new)
    given = event_of(world, "finance", "members.give_grant", grant)
    assert [(each.type, each.ids) for each in given.about] == [("grant.given", {"org": "insurer"})]
    assert who_sees(world.rows, given) == ["finance", "insurer"]

    end = EndGrant(
        nonce=world.nonce(), org="insurer", grant_id=f"{world.last_id}.0", reason="mistake"
    )
    ended = event_of(world, "finance", "members.end_grant", end)
    assert ended.about[0].ids == {"org": "insurer", "grant": end.grant_id}

    key = NewKey(key=public_key("second"), actions=["*"])
    added = event_of(world, "hospital", "members.add_key", AddKey(nonce=world.nonce(), new=key))
    assert who_sees(world.rows, added) == ["hospital"]
    assert EVENTS.visible(world.rows, "clinic", lambda word, code: True)(added) == added

    admit = Admit(nonce=world.nonce(), org="newcomer", root_key=public_key("newcomer/root"))
    assert who_sees(world.rows, event_of(world, "finance", "members.admit", admit)) == everyone
    keeper = AddKeeper(
        nonce=world.nonce(), name="keeper/clinic", org="clinic", key=public_key("clinic/keeper")
    )
    found = event_of(world, "finance", "members.add_keeper", keeper)
    assert who_sees(world.rows, found) == everyone
    assert EVENTS.visible(world.rows, "", lambda word, code: False)(found) is None
