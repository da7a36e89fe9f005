"""Organisations are admitted, suspended and resumed."""

from __future__ import annotations

from typing import Any

import pytest
from acts import Acts, founder, nonce, public_key

from tallystick.contracts.kit.grants import Authority
from tallystick.contracts.members import DOMAIN, views
from tallystick.contracts.members.actions.grants import GiveGrant
from tallystick.contracts.members.actions.orgs import Admit, Resume, Suspend
from tallystick.contracts.members.records import NewGrant, NewKey
from tallystick.protocol.canonical import replace
from tallystick.protocol.row import row_key


@pytest.fixture
def acts() -> Acts:
    world = Acts([DOMAIN], [founder("finance", "*"), founder("health", "bills.*", depth=0)])
    world.do("finance", "members.admit", hospital())
    return world


def hospital(org: str = "hospital", **changes: Any) -> Admit:
    item = Admit(
        nonce=nonce(1),
        org=org,
        root_key=public_key(f"{org}/root"),
        keys=[NewKey(key=public_key(f"{org}/key"), actions=["*"])],
        grants=[NewGrant(source="founding.0", actions=["bills.*", "members.suspend"], depth=1)],
    )
    return replace(item, **changes)


def suspension(acts: Acts, org: str, **changes: Any) -> Suspend:
    member = views.find_member(acts.rows, org)
    version = member.version if member else 0
    return replace(Suspend(nonce=nonce(2), org=org, version=version, reason="overdue"), **changes)


def resumption(acts: Acts, org: str, **changes: Any) -> Resume:
    member = views.find_member(acts.rows, org)
    version = member.version if member else 0
    return replace(Resume(nonce=nonce(3), org=org, version=version, reason="remedied"), **changes)


def test_an_admitted_organisation_has_its_keys_and_its_authority(acts: Acts) -> None:
    member = views.find_member(acts.rows, "hospital")
    assert member is not None
    assert (member.state, member.good, member.admitted_by) == ("active", True, "finance")
    assert member.entry == 0
    keys = {row.role: row for row in views.keys(acts.rows, "hospital")}
    assert keys["root"].id == member.root_key.hex() == public_key("hospital/root").hex()
    assert keys["operating"].actions == ["*"]
    [(grant, live)] = views.grants(acts.rows, "hospital", acts.at)
    assert live and grant.grant_id == f"{acts.last_id}.0.0"
    assert views.may(acts.rows, "hospital", "bills.issue", acts.at)
    assert not views.may(acts.rows, "hospital", "members.admit", acts.at)


def test_each_of_several_first_grants_has_an_id_of_its_own(acts: Acts) -> None:
    grant = hospital().grants[0]
    tx_id = acts.do("finance", "members.admit", hospital("clinic", grants=[grant] * 8))
    held = [each.grant_id for each, _ in views.grants(acts.rows, "clinic", acts.at)]
    assert held == [f"{tx_id}.0.{n}" for n in range(8)]


def test_a_member_may_begin_with_nothing_but_its_root_key(acts: Acts) -> None:
    acts.do("finance", "members.admit", hospital("clinic", keys=[], grants=[]))
    assert views.grants(acts.rows, "clinic", acts.at) == []
    assert [row.role for row in views.keys(acts.rows, "clinic")] == ["root"]


KEY = NewKey(key=public_key("clinic/key"), actions=["*"])
GRANT = NewGrant(source="founding.0", actions=["bills.*"])


@pytest.mark.parametrize(
    ("changes", "reason", "path"),
    [
        ({"org": "health"}, "members.org_taken", "org"),
        ({"root_key": bytes(32)}, "members.key_weak", "root_key"),
        ({"root_key": public_key("health/root")}, "members.key_taken", "root_key"),
        ({"root_key": public_key("log")}, "members.key_taken", "root_key"),
        ({"keys": [replace(KEY, key=bytes(32))]}, "members.key_weak", "keys/0/key"),
        ({"keys": [KEY, KEY]}, "members.key_taken", "keys/1/key"),
        (
            {"keys": [KEY, replace(KEY, key=public_key("clinic/root"))]},
            "members.key_taken",
            "keys/1/key",
        ),
        (
            {"keys": [replace(KEY, until="2026-01-05T00:00:00Z")]},
            "members.until_past",
            "keys/0/until",
        ),
        (
            {"keys": [replace(KEY, until="2026-02-31T00:00:00Z")]},
            "kit.instant_invalid",
            "keys/0/until",
        ),
        (
            {"grants": [GRANT, replace(GRANT, source="founding.1")]},
            "members.grant_not_found",
            "grants/1/source",
        ),
        ({"grants": [replace(GRANT, depth=8)]}, "members.grant_wider", "grants/0/depth"),
        (
            {"grants": [replace(GRANT, until="2026-01-05T00:00:00Z")]},
            "members.until_past",
            "grants/0/until",
        ),
        (
            {"grants": [replace(GRANT, actions=["bills." + "a" * 32] * 25)] * 8},
            "members.grants_full",
            "grants",
        ),
    ],
)
def test_whom_the_ledger_does_not_admit(
    acts: Acts, changes: dict[str, Any], reason: str, path: str
) -> None:
    assert acts.refused("finance", "members.admit", hospital(**{"org": "clinic", **changes})) == (
        reason,
        path,
    )


def test_G1_nobody_admits_without_a_grant_for_it(acts: Acts) -> None:
    for org in ("health", "hospital"):
        found = acts.refused(org, "members.admit", hospital("clinic"))
        assert found == ("kit.no_grant", "")


def test_two_items_cannot_admit_the_same_organisation(acts: Acts) -> None:
    outcomes = acts.act("finance", "members.admit", hospital("clinic"), hospital("clinic"))
    assert outcomes == ["accepted", "members.org_taken"]
    other = hospital("surgery", root_key=public_key("clinic/key"))
    assert acts.act("finance", "members.admit", other) == ["members.key_taken"]


def test_an_atomic_admission_is_all_or_none(acts: Acts) -> None:
    before = dict(acts.rows.data)
    items = (hospital("clinic"), hospital("surgery"), hospital("clinic"), hospital("spa"))
    outcomes = acts.act("finance", "members.admit", *items, atomic=True)
    assert outcomes == ["ledger.atomic", "ledger.atomic", "members.org_taken", "ledger.atomic"]
    assert acts.rows.data == before


def test_a_suspended_organisation_does_nothing_until_it_is_resumed(acts: Acts) -> None:
    acts.do("finance", "members.suspend", suspension(acts, "hospital"))
    member = views.find_member(acts.rows, "hospital")
    assert member is not None
    assert (member.state, member.good, member.reason) == ("suspended", False, "overdue")
    assert not views.may(acts.rows, "hospital", "bills.issue", acts.at)
    assert acts.refused("hospital", "members.suspend", suspension(acts, "health")) == (
        "kit.suspended",
        "",
    )
    acts.do("finance", "members.resume", resumption(acts, "hospital"))
    member = views.find_member(acts.rows, "hospital")
    assert member is not None
    assert (member.state, member.good, member.reason) == ("active", True, None)
    assert views.may(acts.rows, "hospital", "bills.issue", acts.at)
    authority = acts.rows.get(row_key(Authority.KIND, "hospital"), Authority)
    assert authority is not None and authority.state == "held"


def test_what_a_suspended_organisation_has_given_stands(acts: Acts) -> None:
    [(grant, _)] = views.grants(acts.rows, "hospital", acts.at)
    acts.do("finance", "members.admit", hospital("till", grants=[]))
    new = NewGrant(source=grant.grant_id, actions=["bills.issue"])
    acts.do("hospital", "members.give_grant", GiveGrant(nonce=nonce(4), subject="till", grant=new))
    acts.do("finance", "members.suspend", suspension(acts, "hospital"))
    assert views.may(acts.rows, "till", "bills.issue", acts.at)


@pytest.mark.parametrize("org", ["finance", "hospital"])
def test_nobody_suspends_itself_or_whom_it_has_its_authority_from(acts: Acts, org: str) -> None:
    found = acts.refused("hospital", "members.suspend", suspension(acts, org))
    assert found == ("members.org_superior", "org")


def test_who_is_suspended_is_not_resumed_by_an_authority_that_it_gave(acts: Acts) -> None:
    acts.do("finance", "members.admit", hospital("puppet", grants=[]))
    for n, (giver, subject) in enumerate((("finance", "health"), ("health", "puppet"))):
        [source, *_] = [each.grant_id for each, _ in views.grants(acts.rows, giver, acts.at)][::-1]
        new = NewGrant(source=source, actions=["members.resume"], depth=1 - n)
        gift = GiveGrant(nonce=nonce(4 + n), subject=subject, grant=new)
        acts.do(giver, "members.give_grant", gift)
    acts.do("finance", "members.suspend", suspension(acts, "health"))
    found = acts.refused("puppet", "members.resume", resumption(acts, "health"))
    assert found == ("members.org_superior", "org")
    acts.do("finance", "members.resume", resumption(acts, "health"))


def test_a_gift_to_those_above_protects_nobody(acts: Acts) -> None:
    """Whoever gives its superior a grant does not thereby come to stand above it."""
    [(grant, _)] = views.grants(acts.rows, "hospital", acts.at)
    new = NewGrant(source=grant.grant_id, actions=["members.suspend"])
    gift = GiveGrant(nonce=nonce(4), subject="finance", grant=new)
    acts.do("hospital", "members.give_grant", gift)
    acts.do("finance", "members.suspend", suspension(acts, "hospital"))


def test_what_is_suspended_is_not_suspended_again_and_what_is_not_is_not_resumed(
    acts: Acts,
) -> None:
    found = acts.refused("finance", "members.resume", resumption(acts, "hospital"))
    assert found == ("members.org_not_suspended", "org")
    acts.do("finance", "members.suspend", suspension(acts, "hospital"))
    found = acts.refused("finance", "members.suspend", suspension(acts, "hospital"))
    assert found == ("members.org_suspended", "org")


def test_only_members_are_suspended_and_resumed(acts: Acts) -> None:
    found = acts.refused("finance", "members.suspend", suspension(acts, "nobody"))
    assert found == ("members.org_unknown", "org")
    found = acts.refused("finance", "members.resume", resumption(acts, "nobody"))
    assert found == ("members.org_unknown", "org")


def test_G4_a_suspension_that_was_not_seen_is_not_lifted(acts: Acts) -> None:
    seen = suspension(acts, "hospital")
    acts.do("finance", "members.suspend", seen)
    first = resumption(acts, "hospital")
    acts.do("finance", "members.resume", first)
    stale = acts.refused("finance", "members.suspend", seen)
    assert stale == ("kit.version_conflict", "version")
    acts.do("finance", "members.suspend", suspension(acts, "hospital", reason="violation"))
    assert acts.refused("finance", "members.resume", first) == ("kit.version_conflict", "version")


def test_G1_suspending_and_resuming_take_a_grant_each(acts: Acts) -> None:
    found = acts.refused("health", "members.suspend", suspension(acts, "hospital"))
    assert found == ("kit.no_grant", "")
    acts.do("hospital", "members.suspend", suspension(acts, "health"))
    found = acts.refused("hospital", "members.resume", resumption(acts, "health"))
    assert found == ("kit.no_grant", "")
