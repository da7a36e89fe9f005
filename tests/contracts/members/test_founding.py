"""The founding file becomes rows."""

from __future__ import annotations

import pytest
from acts import Acts, founder, public_key

from tallystick.contracts.members import DOMAIN, views
from tallystick.contracts.members.records import Keeper, Member
from tallystick.protocol.errors import Malformed
from tallystick.protocol.genesis import FoundingKeeper


def test_every_founder_key_grant_and_keeper_has_its_row() -> None:
    keepers = [FoundingKeeper(name="health.example/keeper", org="health", key=public_key("k"))]
    founders = [
        founder("finance", "bills.*", "members.*", depth=3, grants=2),
        founder("observer"),
        founder("health", "bills.archive", depth=0, until="2027-01-01T00:00:00Z"),
    ]
    rows = Acts([DOMAIN], founders, keepers).rows
    assert [(row.id, row.state, row.admitted_by) for row in views.members(rows)] == [
        ("finance", "active", None),
        ("health", "active", None),
        ("observer", "active", None),
    ]
    assert sorted((row.org or "", row.role) for row in views.keys(rows)) == [
        ("", "log"),
        ("finance", "operating"),
        ("finance", "root"),
        ("health", "keeper"),
        ("health", "operating"),
        ("health", "root"),
        ("observer", "operating"),
        ("observer", "root"),
    ]
    assert [grant.grant_id for grant, _ in views.grants(rows, "finance", 0)] == [
        "founding.0",
        "founding.1",
    ]
    [(grant, live)] = views.grants(rows, "health", 0)
    assert live and grant.grant_id == "founding.2" and grant.parent is None
    assert (grant.actions, grant.depth, grant.until) == (
        ["bills.archive"],
        0,
        "2027-01-01T00:00:00Z",
    )
    assert [(row.id, row.org, row.from_size) for row in views.keepers(rows)] == [
        ("health.example/keeper", "health", 0)
    ]
    assert views.grants(rows, "observer", 0) == views.grants(rows, "nobody", 0) == []


def test_no_entry_made_the_founders() -> None:
    rows = Acts([DOMAIN], [founder("finance", "*")]).rows
    members, keys = list(rows.scan(Member, "")), list(views.keys(rows, "finance"))
    assert [row.entry for row in [*members, *keys]] == [None, None, None]
    assert list(rows.scan(Keeper, "")) == []


def test_more_grants_than_fit_in_a_row_cannot_be_founded() -> None:
    long = ["bills." + letter * 32 for letter in "abcdefgh"]
    with pytest.raises(Malformed) as refusal:
        Acts([DOMAIN], [founder("finance", "*"), founder("health", *long, grants=32)])
    assert refusal.value.path == "organisations/1/grants"


def test_a_suspended_or_unknown_organisation_may_nothing() -> None:
    rows = Acts([DOMAIN], [founder("finance", "bills.*"), founder("observer")]).rows
    assert views.may(rows, "finance", "bills.issue", 0, 33060126)
    assert not views.may(rows, "observer", "bills.issue", 0)
    assert not views.may(rows, "nobody", "bills.issue", 0)
    assert views.find_member(rows, "nobody") is None
