"""To which X25519 key bodies are sealed: set, exchanged, taken back; no key is ever used twice."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from acts import Acts, founder, nonce, public_key

from tallystick.contracts.kit.keys import BlockScope, find_key
from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.contracts.members import DOMAIN, views
from tallystick.contracts.members.actions.delivery import OVERLAP_SECONDS_MAX, SetDeliveryKey
from tallystick.contracts.members.actions.keys import AddKey, RevokeKey, RotateRoot
from tallystick.contracts.members.actions.orgs import Suspend
from tallystick.contracts.members.records import Delivery, NewKey, PreviousKey
from tallystick.keyring import delivery_key_from_seed
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.genesis import FoundingKeeper
from tallystick.protocol.values import format_instant

ACTION = "members.set_delivery_key"
DAY = 86_400
PRIME = 2**255 - 19


def x25519(name: str) -> bytes:
    return delivery_key_from_seed(sha256(name.encode()).digest()).public_key


@pytest.fixture
def acts() -> Acts:
    keepers = [FoundingKeeper(name="finance.example/keeper", org="finance", key=public_key("k"))]
    return Acts([DOMAIN], [founder("finance", "*"), founder("insurer")], keepers)


def to(name: str = "first", **changes: Any) -> SetDeliveryKey:
    return replace(SetDeliveryKey(nonce=nonce(1), key=x25519(name)), **changes)


def row_of(acts: Acts, org: str = "insurer") -> Delivery:
    found = views.find_delivery(acts.rows, org)
    assert found is not None
    return found


def test_a_member_without_any_grant_says_where_bodies_are_sealed_to(acts: Acts) -> None:
    assert views.find_delivery(acts.rows, "insurer") is None
    acts.do("insurer", ACTION, to())
    row = row_of(acts)
    assert (row.key, row.previous, row.good) == (x25519("first"), None, True)
    assert row.since == format_instant(acts.at)
    key = find_key(acts.rows, x25519("first"))
    assert key is not None and (key.org, key.role, key.good) == ("insurer", "delivery", True)


def test_the_key_before_ends_when_it_was_announced(acts: Acts) -> None:
    acts.do("insurer", ACTION, to())
    acts.at += DAY
    acts.do("insurer", ACTION, to("second", overlap_seconds=7 * DAY, version=1))
    row = row_of(acts)
    until = format_instant(acts.at + 7 * DAY)
    assert (row.key, row.since) == (x25519("second"), format_instant(acts.at))
    assert row.previous == PreviousKey(key=x25519("first"), until=until)
    old = find_key(acts.rows, x25519("first"))
    assert old is not None and (old.state, old.good, old.until) == ("rotated", True, until)


def test_a_stolen_key_ends_at_once(acts: Acts) -> None:
    acts.do("insurer", ACTION, to())
    acts.do("insurer", ACTION, to("second", version=1))
    previous, old = row_of(acts).previous, find_key(acts.rows, x25519("first"))
    assert previous is not None and previous.until == format_instant(acts.at)
    assert old is not None and not old.good


def test_a_key_before_the_one_before_keeps_its_own_end(acts: Acts) -> None:
    acts.do("insurer", ACTION, to())
    acts.do("insurer", ACTION, to("second", overlap_seconds=9 * DAY, version=1))
    ends = format_instant(acts.at + 9 * DAY)
    acts.do("insurer", ACTION, to("third", overlap_seconds=DAY, version=2))
    first = find_key(acts.rows, x25519("first"))
    assert first is not None and first.until == ends


@pytest.mark.parametrize("top", [0, 2**255])
@pytest.mark.parametrize(
    "u",
    [
        *(0, 1, PRIME - 1, PRIME, PRIME + 1, 2**255 - 1),
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    ],
)
def test_a_key_that_seals_to_everybody_is_refused(acts: Acts, u: int, top: int) -> None:
    item = to(key=(u + top).to_bytes(32, "little"))
    assert acts.refused("insurer", ACTION, item) == ("members.key_weak", "key")


def test_a_key_has_one_spelling(acts: Acts) -> None:
    high = bytearray(x25519("first"))
    high[31] |= 0x80
    assert acts.refused("insurer", ACTION, to(key=bytes(high))) == ("members.key_weak", "key")


@pytest.mark.parametrize("taken", ["finance/root", "finance/key", "insurer/key", "k", "log"])
def test_G2_a_key_that_signs_is_none_to_seal_to(acts: Acts, taken: str) -> None:
    item = to(key=public_key(taken))
    reason, path = acts.refused("insurer", ACTION, item)
    assert path == "key"
    assert reason in ("members.key_taken", "members.key_weak"), "its top bit may be set"


def test_G2_a_delivery_key_is_never_taken_into_use_twice(acts: Acts) -> None:
    acts.do("insurer", ACTION, to())
    acts.do("insurer", ACTION, to("second", version=1))
    for name in ("first", "second"):
        for org, version in (("insurer", 2), ("finance", 0)):
            found = acts.refused(org, ACTION, to(name, version=version))
            assert found == ("members.key_taken", "key")
    new = NewKey(key=x25519("first"), actions=["*"])
    found = acts.refused(
        "finance", "members.add_key", AddKey(nonce=nonce(2), new=new), key="finance/root"
    )
    assert found == ("members.key_taken", "new/key")


def test_G4_no_change_of_a_row_that_was_not_seen(acts: Acts) -> None:
    assert acts.refused("insurer", ACTION, to(version=1)) == ("kit.version_conflict", "version")
    outcomes = acts.act("insurer", ACTION, to("a"), to("b"))
    assert outcomes == ["accepted", "kit.version_conflict"]
    assert row_of(acts).key == x25519("a")


def test_two_changes_stand_together_or_not_at_all(acts: Acts) -> None:
    before = dict(acts.rows.data)
    outcomes = acts.act("insurer", ACTION, to("a"), to("a", version=1), atomic=True)
    assert outcomes[1] == "members.key_taken"
    assert acts.rows.data == before
    outcomes = acts.act("insurer", ACTION, to("a"), to("b", version=1), atomic=True)
    assert outcomes == ["accepted", "accepted"]


def test_an_overlap_has_bounds(acts: Acts) -> None:
    acts.do("insurer", ACTION, to(overlap_seconds=OVERLAP_SECONDS_MAX))
    for overlap in (-1, OVERLAP_SECONDS_MAX + 1):
        with pytest.raises((Malformed, Rejected)):
            acts.act("insurer", ACTION, to("second", overlap_seconds=overlap, version=1))


def test_a_till_and_a_key_for_something_else_exchange_nothing(acts: Acts) -> None:
    block = BlockScope(code=33060126, level=3, first=1)
    for name, changes in (("till", {"block": block}), ("codes", {"codes": [3306]})):
        new = replace(NewKey(key=public_key(name), actions=["*"]), **changes)
        item = AddKey(nonce=nonce(2), new=new)
        acts.do("insurer", "members.add_key", item, key="insurer/root")
        assert acts.refused("insurer", ACTION, to(), key=name) == ("kit.key_scope", "")
    new = NewKey(key=public_key("bills"), actions=["bills.*"])
    item = AddKey(nonce=nonce(3), new=new)
    acts.do("insurer", "members.add_key", item, key="insurer/root")
    with pytest.raises(Rejected) as caught:
        acts.act("insurer", ACTION, to(), key="bills")
    assert caught.value.reason is LedgerReason.KEY_ACTION


def test_the_root_takes_the_receiving_end_back_from_a_thief(acts: Acts) -> None:
    acts.do("insurer", ACTION, to("of the thief"))
    stolen = RevokeKey(nonce=nonce(2), key=public_key("insurer/key"), reason="compromised")
    acts.do("insurer", "members.revoke_key", stolen, key="insurer/root")
    acts.do("insurer", ACTION, to("ours", version=1), key="insurer/root")
    assert row_of(acts).key == x25519("ours")


def test_an_old_root_sets_no_delivery_key_after_its_successor(acts: Acts) -> None:
    item = RotateRoot(nonce=nonce(3), root_key=public_key("root2"), reason="replaced")
    acts.do("insurer", "members.rotate_root", item, key="insurer/root")
    outcomes = acts.act("insurer", ACTION, to(), key="insurer/root", same_block=True)
    assert outcomes == ["members.root_replaced"]


def test_who_is_suspended_exchanges_it_by_the_root_alone(acts: Acts) -> None:
    item = Suspend(nonce=nonce(5), org="insurer", version=1, reason="compromised")
    acts.do("finance", "members.suspend", item)
    assert acts.refused("insurer", ACTION, to()) == ("kit.suspended", "")
    acts.do("insurer", ACTION, to(), key="insurer/root")


def test_a_delivery_key_signs_nothing(acts: Acts) -> None:
    name = next(f"both {n}" for n in range(64) if public_key(f"both {n}")[31] < 0x80)
    acts.do("insurer", ACTION, to(key=public_key(name)))
    with pytest.raises(Rejected) as caught:
        acts.act("insurer", ACTION, to("second", version=1), key=name)
    assert caught.value.reason is LedgerReason.KEY_UNKNOWN
    revoke = RevokeKey(nonce=nonce(6), key=public_key(name), reason="lost")
    found = acts.refused("insurer", "members.revoke_key", revoke, key="insurer/root")
    assert found == ("members.key_not_found", "key")
