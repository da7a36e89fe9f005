"""Keepers are added and retired; names and keys are theirs for ever."""

from __future__ import annotations

from typing import Any

import pytest
from acts import Acts, founder, nonce, public_key

from tallystick.contracts.kit.keys import find_key
from tallystick.contracts.members import DOMAIN, views
from tallystick.contracts.members.actions.keepers import AddKeeper, RetireKeeper
from tallystick.protocol.canonical import replace
from tallystick.protocol.genesis import FoundingKeeper

FIRST = "finance.example/keeper"


@pytest.fixture
def acts() -> Acts:
    keepers = [FoundingKeeper(name=FIRST, org="finance", key=public_key("first"))]
    return Acts([DOMAIN], [founder("finance", "*"), founder("health", "bills.*")], keepers)


def add(name: str = "health.example/keeper", **changes: Any) -> AddKeeper:
    item = AddKeeper(nonce=nonce(1), name=name, org="health", key=public_key(name))
    return replace(item, **changes)


def retire(name: str = FIRST, **changes: Any) -> RetireKeeper:
    return replace(RetireKeeper(nonce=nonce(2), name=name, reason="on_request"), **changes)


def test_a_keeper_counts_for_the_sizes_that_hold_its_entry(acts: Acts) -> None:
    acts.do("finance", "members.add_keeper", add("a"), add("b"))
    keepers = {row.id: row for row in views.keepers(acts.rows)}
    assert [keepers[name].from_size for name in (FIRST, "a", "b")] == [0, 1, 2]
    assert keepers["a"].org == "health" and keepers["a"].good
    row = find_key(acts.rows, public_key("a"))
    assert row is not None and (row.role, row.org) == ("keeper", "health")


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("on_request", "retired"),
        ("replaced", "retired"),
        ("lost", "retired"),
        ("compromised", "revoked"),
    ],
)
def test_a_retired_keeper_counts_no_further_and_a_revoked_one_never(
    acts: Acts, reason: str, state: str
) -> None:
    acts.do("finance", "members.retire_keeper", retire(reason=reason))
    [keeper] = views.keepers(acts.rows)
    assert (keeper.state, keeper.good, keeper.reason) == (state, False, reason)
    assert (keeper.from_size, keeper.until_size) == (0, 1)
    row = find_key(acts.rows, public_key("first"))
    assert row is not None and (row.state, row.good, row.reason) == (state, False, reason)


def test_what_is_no_keeper_to_add(acts: Acts) -> None:
    origin = f"example/acts/{acts.network.hex()[:16]}"
    for changes, reason, path in (
        ({"org": "nobody"}, "members.org_unknown", "org"),
        ({"name": FIRST}, "members.name_taken", "name"),
        ({"name": origin}, "members.name_taken", "name"),
        ({"key": bytes(32)}, "members.key_weak", "key"),
        ({"key": public_key("first")}, "members.key_taken", "key"),
        ({"key": public_key("health/root")}, "members.key_taken", "key"),
        ({"key": public_key("log")}, "members.key_taken", "key"),
    ):
        found = acts.refused("finance", "members.add_keeper", add(**changes))
        assert found == (reason, path)


def test_a_keepers_name_and_key_are_never_given_again(acts: Acts) -> None:
    acts.do("finance", "members.retire_keeper", retire())
    found = acts.refused("finance", "members.add_keeper", add(name=FIRST))
    assert found == ("members.name_taken", "name")
    found = acts.refused("finance", "members.add_keeper", add(key=public_key("first")))
    assert found == ("members.key_taken", "key")


def test_only_a_live_keeper_is_retired(acts: Acts) -> None:
    found = acts.refused("finance", "members.retire_keeper", retire("nobody"))
    assert found == ("members.keeper_not_found", "name")
    outcomes = acts.act("finance", "members.retire_keeper", retire(), retire())
    assert outcomes == ["accepted", "members.keeper_ended"]
    assert acts.refusals[0].path == "name"


def test_G1_keepers_are_added_and_retired_by_grant(acts: Acts) -> None:
    assert acts.refused("health", "members.add_keeper", add()) == ("kit.no_grant", "")
    assert acts.refused("health", "members.retire_keeper", retire()) == ("kit.no_grant", "")
