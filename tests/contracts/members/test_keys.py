"""Keys are added, revoked, rotated: by the root key alone, from the next block on."""

from __future__ import annotations

from typing import Any

import pytest
from acts import Acts, founder, nonce, public_key

from tallystick.contracts.kit.keys import BlockScope, find_key
from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.contracts.members import DOMAIN, views
from tallystick.contracts.members.actions.keepers import AddKeeper
from tallystick.contracts.members.actions.keys import AddKey, RevokeKey, RotateRoot
from tallystick.contracts.members.actions.orgs import Admit, Suspend
from tallystick.contracts.members.records import NewKey
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.genesis import FoundingKeeper

ROOT = "finance/root"


@pytest.fixture
def acts() -> Acts:
    keepers = [FoundingKeeper(name="finance.example/keeper", org="finance", key=public_key("k"))]
    return Acts([DOMAIN], [founder("finance", "*"), founder("health", "bills.*")], keepers)


def add(name: str = "finance/second", **changes: Any) -> AddKey:
    new = NewKey(key=public_key(name), actions=["members.*"])
    return AddKey(nonce=nonce(1), new=replace(new, **changes))


def revoke(name: str = "finance/key") -> RevokeKey:
    return RevokeKey(nonce=nonce(2), key=public_key(name), reason="compromised")


def rotate(name: str = "finance/root2") -> RotateRoot:
    return RotateRoot(nonce=nonce(3), root_key=public_key(name), reason="replaced")


def keeper(n: int) -> AddKeeper:
    name = f"node{n}.example/keeper"
    return AddKeeper(nonce=nonce(4), name=name, org="finance", key=public_key(name))


def refusal(acts: Acts, *arguments: Any, **options: Any) -> LedgerReason:
    with pytest.raises(Rejected) as caught:
        acts.act(*arguments, **options)
    assert isinstance(caught.value.reason, LedgerReason)
    return caught.value.reason


def roots(acts: Acts, org: str) -> list[str]:
    return [row.id for row in views.keys(acts.rows, org) if row.role == "root" and row.good]


def test_an_added_key_signs_within_its_scope(acts: Acts) -> None:
    block = BlockScope(code=33060126, level=3, first=1)
    acts.do("finance", "members.add_key", add(until="2026-02-01T00:00:00Z"), key=ROOT)
    acts.do("finance", "members.add_key", add("till", block=block, codes=[3306]), key=ROOT)
    row = find_key(acts.rows, public_key("till"))
    assert row is not None
    assert (row.org, row.role, row.block, row.codes) == ("finance", "operating", block, [3306])
    acts.do("finance", "members.add_keeper", keeper(1), key="finance/second")
    acts.at += 40 * 86_400
    found = refusal(acts, "finance", "members.add_keeper", keeper(2), key="finance/second")
    assert found is LedgerReason.KEY_ENDED


def test_a_key_for_codes_does_nothing_that_has_no_code(acts: Acts) -> None:
    acts.do("finance", "members.add_key", add(codes=[3306]), key=ROOT)
    found = acts.refused("finance", "members.add_keeper", keeper(1), key="finance/second")
    assert found == ("kit.key_scope", "")


@pytest.mark.parametrize(
    ("changes", "reason", "path"),
    [
        ({"key": bytes(32)}, "members.key_weak", "new/key"),
        ({"key": b"\xff" * 32}, "members.key_weak", "new/key"),
        ({"until": "2026-01-05T00:00:00Z"}, "members.until_past", "new/until"),
        ({"until": "2026-13-01T00:00:00Z"}, "kit.instant_invalid", "new/until"),
    ],
)
def test_what_is_no_key_to_add(acts: Acts, changes: dict[str, Any], reason: str, path: str) -> None:
    assert acts.refused("finance", "members.add_key", add(**changes), key=ROOT) == (reason, path)


@pytest.mark.parametrize("taken", ["finance/root", "finance/key", "health/key", "k", "log"])
def test_G2_a_key_in_whatever_role_is_never_taken_into_use_twice(acts: Acts, taken: str) -> None:
    found = acts.refused("finance", "members.add_key", add(taken), key=ROOT)
    assert found == ("members.key_taken", "new/key")
    found = acts.refused("finance", "members.rotate_root", rotate(taken), key=ROOT)
    assert found == ("members.key_taken", "root_key")


def test_G2_a_key_that_has_ended_is_never_taken_into_use_again(acts: Acts) -> None:
    acts.do("health", "members.revoke_key", revoke("health/key"), key="health/root")
    acts.do("health", "members.rotate_root", rotate("health/root2"), key="health/root")
    for ended in ("health/key", "health/root"):
        for org in ("finance", "health"):
            root = ROOT if org == "finance" else "health/root2"
            found = acts.refused(org, "members.add_key", add(ended), key=root)
            assert found == ("members.key_taken", "new/key")


def test_G2_a_revoked_key_signs_to_the_end_of_the_block_and_no_further(acts: Acts) -> None:
    acts.do("finance", "members.revoke_key", revoke(), key=ROOT)
    outcome = acts.act("finance", "members.add_keeper", keeper(1), same_block=True)
    assert outcome == ["accepted"]
    assert refusal(acts, "finance", "members.add_keeper", keeper(2)) is LedgerReason.KEY_ENDED
    row = find_key(acts.rows, public_key("finance/key"))
    assert row is not None
    assert (row.state, row.good, row.reason) == ("revoked", False, "compromised")


def test_G2_an_added_key_signs_from_the_next_block_on(acts: Acts) -> None:
    acts.do("finance", "members.add_key", add(), key=ROOT)
    options = {"key": "finance/second", "same_block": True}
    found = refusal(acts, "finance", "members.add_keeper", keeper(1), **options)
    assert found is LedgerReason.KEY_UNKNOWN
    acts.do("finance", "members.add_keeper", keeper(1), key="finance/second")


def test_G2_what_a_key_signed_stands_after_its_end(acts: Acts) -> None:
    acts.do("finance", "members.add_keeper", keeper(1))
    acts.do("finance", "members.revoke_key", revoke(), key=ROOT)
    assert [row.good for row in views.keepers(acts.rows)] == [True, True]


@pytest.mark.parametrize("name", ["nobody/key", "health/key", "finance/root", "k", "log"])
def test_only_an_operating_key_of_the_senders_is_revoked(acts: Acts, name: str) -> None:
    found = acts.refused("finance", "members.revoke_key", revoke(name), key=ROOT)
    assert found == ("members.key_not_found", "key")


def test_a_key_is_revoked_once(acts: Acts) -> None:
    outcomes = acts.act("finance", "members.revoke_key", revoke(), revoke(), key=ROOT)
    assert outcomes == ["accepted", "members.key_ended"]
    assert acts.refusals[0].path == "key"


@pytest.mark.parametrize("action", ["add_key", "revoke_key", "rotate_root"])
def test_a_stolen_operating_key_manages_no_keys(acts: Acts, action: str) -> None:
    item = {"add_key": add(), "revoke_key": revoke(), "rotate_root": rotate()}[action]
    assert refusal(acts, "finance", f"members.{action}", item) is LedgerReason.KEY_ACTION


def test_a_root_key_does_no_business(acts: Acts) -> None:
    found = refusal(acts, "finance", "members.add_keeper", keeper(1), key=ROOT)
    assert found is LedgerReason.KEY_ACTION


def test_G2_the_root_rotates_and_the_old_one_is_ended(acts: Acts) -> None:
    acts.do("finance", "members.rotate_root", rotate(), key=ROOT)
    member = views.find_member(acts.rows, "finance")
    assert member is not None and member.root_key == public_key("finance/root2")
    assert roots(acts, "finance") == [public_key("finance/root2").hex()]
    old = find_key(acts.rows, public_key(ROOT))
    assert old is not None and (old.state, old.reason) == ("rotated", "replaced")
    assert refusal(acts, "finance", "members.add_key", add(), key=ROOT) is LedgerReason.KEY_ENDED
    acts.do("finance", "members.add_key", add(), key="finance/root2")


@pytest.mark.parametrize("action", ["add_key", "revoke_key", "rotate_root"])
def test_G2_an_old_root_never_acts_after_its_successor_even_within_a_block(
    acts: Acts, action: str
) -> None:
    acts.do("finance", "members.rotate_root", rotate(), key=ROOT)
    item = {"add_key": add(), "revoke_key": revoke(), "rotate_root": rotate("third")}[action]
    outcomes = acts.act("finance", f"members.{action}", item, key=ROOT, same_block=True)
    assert outcomes == ["members.root_replaced"]
    assert roots(acts, "finance") == [public_key("finance/root2").hex()]


def test_a_root_rotates_once_a_transaction(acts: Acts) -> None:
    outcomes = acts.act("finance", "members.rotate_root", rotate(), rotate("third"), key=ROOT)
    assert outcomes == ["accepted", "members.root_replaced"]


def test_a_suspended_organisation_still_exchanges_its_keys(acts: Acts) -> None:
    item = Suspend(nonce=nonce(5), org="health", version=1, reason="compromised")
    acts.do("finance", "members.suspend", item)
    acts.do("health", "members.revoke_key", revoke("health/key"), key="health/root")
    acts.do("health", "members.rotate_root", rotate("health/root2"), key="health/root")


def test_two_organisations_cannot_take_one_key_in_the_same_block(acts: Acts) -> None:
    acts.do("finance", "members.add_key", add("shared"), key=ROOT)
    outcomes = acts.act(
        "health", "members.add_key", add("shared"), key="health/root", same_block=True
    )
    assert outcomes == ["members.key_taken"]
    item = Admit(nonce=nonce(6), org="clinic", root_key=public_key("shared"))
    assert acts.refused("finance", "members.admit", item) == ("members.key_taken", "root_key")
