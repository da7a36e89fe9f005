"""Grants are given out of grants and ended with all that came out of them."""

from __future__ import annotations

from typing import Any

import pytest
from acts import Acts, founder, nonce, public_key

from tallystick.contracts.kit.grants import Authority
from tallystick.contracts.members import DOMAIN, views
from tallystick.contracts.members.actions.grants import EndGrant, GiveGrant
from tallystick.contracts.members.actions.keys import AddKey
from tallystick.contracts.members.actions.orgs import Suspend
from tallystick.contracts.members.records import NewGrant, NewKey
from tallystick.protocol.canonical import replace
from tallystick.protocol.row import row_key

ORGS = ("province", "city", "county", "hospital", "stranger")


@pytest.fixture
def acts() -> Acts:
    world = Acts([DOMAIN], [founder("province", "*"), *(founder(org) for org in ORGS[1:])])
    world.do("province", "members.give_grant", give("city", "founding.0", depth=2, codes=[3306]))
    world.do("city", "members.give_grant", give("county", held(world, "city"), depth=1))
    world.do("county", "members.give_grant", give("hospital", held(world, "county")))
    return world


def give(subject: str, source: str, **changes: Any) -> GiveGrant:
    changes = {"codes": [3306], **changes}
    new = NewGrant(source=source, actions=["bills.*"])
    return GiveGrant(nonce=nonce(1), subject=subject, grant=replace(new, **changes))


def end(acts: Acts, org: str, **changes: Any) -> EndGrant:
    item = EndGrant(nonce=nonce(2), org=org, grant_id=held(acts, org), reason="violation")
    return replace(item, **changes)


def held(acts: Acts, org: str) -> str:
    """The id of the last grant that an organisation was given."""
    return views.grants(acts.rows, org, acts.at)[-1][0].grant_id


def may(acts: Acts) -> list[str]:
    return [org for org in ORGS if views.may(acts.rows, org, "bills.issue", acts.at, 33060126)]


def test_authority_is_handed_down(acts: Acts) -> None:
    assert may(acts) == ["province", "city", "county", "hospital"]
    assert not views.may(acts.rows, "city", "bills.issue", acts.at, 34060126)
    [(grant, _)] = views.grants(acts.rows, "hospital", acts.at)
    assert grant.parent is not None and grant.parent.org == "county"
    assert grant.grant_id == f"{acts.last_id}.0"


@pytest.mark.parametrize(
    ("changes", "reason", "path"),
    [
        ({"subject": "nobody"}, "members.org_unknown", "subject"),
        ({"source": "founding.7"}, "members.grant_not_found", "grant/source"),
        ({"source": "founding.0"}, "members.grant_not_found", "grant/source"),
        ({"until": "2026-01-05T00:00:00Z"}, "members.until_past", "grant/until"),
        ({"until": "2026-02-30T00:00:00Z"}, "kit.instant_invalid", "grant/until"),
        ({"actions": ["members.admit"]}, "members.grant_wider", "grant/actions"),
        ({"codes": []}, "members.grant_wider", "grant/codes"),
        ({"codes": [34]}, "members.grant_wider", "grant/codes"),
        ({"depth": 2}, "members.grant_wider", "grant/depth"),
    ],
)
def test_G1_nobody_gives_what_it_does_not_hold(
    acts: Acts, changes: dict[str, Any], reason: str, path: str
) -> None:
    subject = changes.pop("subject", "stranger")
    item = give(subject, changes.pop("source", held(acts, "city")), **changes)
    assert acts.refused("city", "members.give_grant", item) == (reason, path)


def test_G1_a_grant_of_depth_0_is_not_passed_on(acts: Acts) -> None:
    item = give("stranger", held(acts, "hospital"))
    found = acts.refused("hospital", "members.give_grant", item)
    assert found == ("members.grant_wider", "grant/depth")


def test_a_grant_lasts_no_longer_than_the_one_it_comes_from(acts: Acts) -> None:
    end_of_month = "2026-02-01T00:00:00Z"
    acts.do(
        "city",
        "members.give_grant",
        give("stranger", held(acts, "city"), depth=1, until=end_of_month),
    )
    source = held(acts, "stranger")
    for until in (None, "2026-02-01T00:00:01Z"):
        found = acts.refused("stranger", "members.give_grant", give("county", source, until=until))
        assert found == ("members.grant_wider", "grant/until")
    acts.do("stranger", "members.give_grant", give("county", source, until=end_of_month))
    acts.at += 40 * 86_400
    assert "stranger" not in may(acts)
    found = acts.refused(
        "stranger", "members.give_grant", give("county", source, until="2027-01-01T00:00:00Z")
    )
    assert found == ("members.grant_not_found", "grant/source")


@pytest.mark.parametrize("sender", ["province", "city", "county"])
def test_a_grant_is_ended_by_its_giver_by_its_holder_and_by_whoever_stands_above(
    acts: Acts, sender: str
) -> None:
    acts.do(sender, "members.end_grant", end(acts, "county"))
    assert may(acts) == ["province", "city"]
    [(grant, live)] = views.grants(acts.rows, "county", acts.at)
    assert not live and grant.end_reason == "violation" and grant.ended == "2026-01-05T00:00:00Z"


@pytest.mark.parametrize("sender", ["hospital", "stranger"])
def test_nobody_else_ends_it(acts: Acts, sender: str) -> None:
    found = acts.refused(sender, "members.end_grant", end(acts, "county"))
    assert found == ("members.grant_not_yours", "grant_id")


def test_what_is_not_there_or_founded_or_over_is_not_ended(acts: Acts) -> None:
    found = acts.refused("city", "members.end_grant", end(acts, "county", grant_id="founding.9"))
    assert found == ("members.grant_not_found", "grant_id")
    nobodys = replace(end(acts, "county"), org="nobody")
    found = acts.refused("city", "members.end_grant", nobodys)
    assert found == ("members.grant_not_found", "grant_id")
    found = acts.refused("province", "members.end_grant", end(acts, "province"))
    assert found == ("members.grant_founding", "grant_id")
    items = (end(acts, "county"), end(acts, "county"), end(acts, "hospital"))
    outcomes = acts.act("city", "members.end_grant", *items)
    assert outcomes == ["accepted", "members.grant_ended", "members.grant_ended"]
    assert [refusal.path for refusal in acts.refusals] == ["grant_id", "grant_id"]


def test_what_an_item_ends_the_next_item_of_the_transaction_cannot_give(acts: Acts) -> None:
    """Giving and ending look anew at each item; nothing that they change is remembered."""
    acts.do("city", "members.end_grant", end(acts, "city"))
    found = acts.refused(
        "city", "members.give_grant", give("stranger", held(acts, "city"), depth=1)
    )
    assert found == ("members.grant_not_found", "grant/source")
    found = acts.refused("city", "members.end_grant", end(acts, "county"))
    assert found == ("members.grant_ended", "grant_id")


def test_a_suspended_organisation_neither_gives_nor_ends(acts: Acts) -> None:
    acts.do(
        "province",
        "members.suspend",
        Suspend(nonce=nonce(3), org="city", version=1, reason="overdue"),
    )
    item = give("stranger", held(acts, "city"), depth=1)
    assert acts.refused("city", "members.give_grant", item) == ("kit.suspended", "")
    assert acts.refused("city", "members.end_grant", end(acts, "county")) == ("kit.suspended", "")


def test_a_tills_key_gives_no_grants(acts: Acts) -> None:
    new = NewKey(key=public_key("till"), actions=["*"], codes=[3306])
    acts.do("city", "members.add_key", AddKey(nonce=nonce(4), new=new), key="city/root")
    item = give("stranger", held(acts, "city"))
    assert acts.refused("city", "members.give_grant", item, key="till") == ("kit.key_scope", "")
    found = acts.refused("city", "members.end_grant", end(acts, "county"), key="till")
    assert found == ("kit.key_scope", "")


def test_whom_others_flood_with_grants_makes_room_itself(acts: Acts) -> None:
    source = held(acts, "county")
    outcomes = acts.act("county", "members.give_grant", *[give("stranger", source)] * 60)
    full = outcomes.index("members.grants_full")
    assert outcomes == ["accepted"] * full + ["members.grants_full"] * (60 - full)
    assert acts.refusals[0].path == "subject" and full > 15
    found = acts.refused("city", "members.give_grant", give("stranger", held(acts, "city")))
    assert found == ("members.grants_full", "subject")
    acts.do("stranger", "members.end_grant", end(acts, "stranger"))
    acts.do("city", "members.give_grant", give("stranger", held(acts, "city")))
    authority = acts.rows.get(row_key(Authority.KIND, "stranger"), Authority)
    assert authority is not None and len(authority.grants) == full
