"""The events of members: who came, which keys and grants began and ended, and who keeps.

Invariant: that there is a member or a keeper every member may know; keys and grants are told to
whose they are, to who gave them, and to who reads all. See docs/spec/events.md.
"""

from __future__ import annotations

from collections.abc import Callable

from tallystick.client.passes import LEDGER_READ
from tallystick.contracts.kit.context import Reader
from tallystick.contracts.members.records import Keeper
from tallystick.ledger.events import DomainEvents, MayRead, Sight, Told, only
from tallystick.protocol.event import About, Event
from tallystick.protocol.row import row_key

PUBLIC = frozenset({"member", "keeper"})
"""Families that every member may see."""


def _org(type_: str, field: str) -> Callable[[Reader, Told], About]:
    def describe(reader: Reader, told: Told) -> About:
        return About(type=type_, ids={"org": told.item[field]})

    return describe


def _own(type_: str) -> Callable[[Reader, Told], About]:
    """Of the sender itself."""

    def describe(reader: Reader, told: Told) -> About:
        return About(type=type_, ids={"org": told.sender})

    return describe


def _ended_grant(reader: Reader, told: Told) -> About:
    return About(type="grant.ended", ids={"org": told.item["org"], "grant": told.item["grant_id"]})


def _added_keeper(reader: Reader, told: Told) -> About:
    ids = {"org": told.item["org"], "keeper": told.item["name"]}
    return About(type="keeper.added", ids=ids)


def _retired_keeper(reader: Reader, told: Told) -> About:
    name = told.item["name"]
    row = reader.get(row_key(Keeper.KIND, name), Keeper)
    ids = {"keeper": name} | ({"org": row.org} if row is not None else {})
    return About(type="keeper.retired", ids=ids)


DESCRIBERS: dict[str, Callable[[Reader, Told], About]] = {
    "members.admit/1": _org("member.admitted", "org"),
    "members.suspend/1": _org("member.suspended", "org"),
    "members.resume/1": _org("member.resumed", "org"),
    "members.add_key/1": _own("key.added"),
    "members.revoke_key/1": _own("key.revoked"),
    "members.rotate_root/1": _own("key.rotated"),
    "members.set_delivery_key/1": _own("key.delivery"),
    "members.give_grant/1": _org("grant.given", "subject"),
    "members.end_grant/1": _ended_grant,
    "members.add_keeper/1": _added_keeper,
    "members.retire_keeper/1": _retired_keeper,
}
"""Of each action of the domain: a test holds them to its table."""

TYPES = frozenset(
    {
        *("member.admitted", "member.suspended", "member.resumed"),
        *("key.added", "key.revoked", "key.rotated", "key.delivery"),
        *("grant.given", "grant.ended", "keeper.added", "keeper.retired"),
    }
)
ROLES = frozenset({"org", "grant", "keeper"})


def describe(reader: Reader, told: Told) -> list[About]:
    """What an accepted item did to members."""
    return [DESCRIBERS[told.action](reader, told)]


def visible(reader: Reader, org: str, may_read: MayRead) -> Sight:
    """What a member may see of what it and others did."""
    reads = may_read(LEDGER_READ, None)

    def see(event: Event) -> Event | None:
        if reads or (org and event.sender == org):
            return event
        about = [
            each
            for each in event.about
            if org and (each.type.partition(".")[0] in PUBLIC or each.ids.get("org") == org)
        ]
        return only(event, about)

    return see


EVENTS = DomainEvents(describe=describe, visible=visible, types=TYPES, roles=ROLES)
"""What the composition hands to `ledger.events`."""
