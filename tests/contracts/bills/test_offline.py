"""Bills out of an offline reserve: late, marked, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accounts_acts import DAY, Books
from acts import public_key
from province import CODE
from world import World

from tallystick.contracts.bills.items.bills import Allot, Block, DefineType
from tallystick.contracts.bills.records.bills import OFFLINE_DAYS_MAX
from tallystick.contracts.bills.views.bills import find_type
from tallystick.contracts.kit.context import VALID_SECONDS_MAX
from tallystick.contracts.kit.keys import admit
from tallystick.ledger.ledger import Seen
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.transaction import Header
from tallystick.protocol.values import format_instant

TOP = Block(level=0, first=1)
FIRST = 2_001


class Reserve(Books):
    """The hospital has a hundred numbers that it may use while it is cut off, for a week."""

    def __init__(self, days: int = 7) -> None:
        super().__init__()
        self.allot(level=3, first=FIRST, last=2_100, parent=TOP, offline_days=days)

    def offline_item(self, number: int = FIRST, **fields: Any) -> Any:
        return self.issue_item(number, first=FIRST, **fields)


def test_an_offline_bill_is_dated_when_it_was_made_and_marked_for_ever() -> None:
    world = Reserve()
    made = world.instant()
    world.at += 7 * DAY
    world.do("hospital", "bills.issue_offline", world.offline_item(issued_at=made))
    bill = world.bill(CODE, FIRST)
    assert (bill.offline, bill.issued_at, bill.state, bill.good) == (True, made, "issued", True)
    assert world.block_of(first=FIRST).issued == 1
    world.audit()
    assert not world.issue(1).offline


def test_it_comes_no_later_than_its_reserve_allows() -> None:
    world = Reserve()
    made = world.instant()
    world.at += 7 * DAY + 1
    item = world.offline_item(issued_at=made)
    refusal = ("bills.time_too_old", "issued_at")
    assert world.refused("hospital", "bills.issue_offline", item) == refusal


def test_a_reserve_is_for_offline_bills_and_for_nothing_else() -> None:
    world = Reserve()
    refusal = ("bills.offline_only", "first")
    bill = world.issue(1)
    assert world.refused("hospital", "bills.issue", world.offline_item()) == refusal
    plain = world.issue_item(2)
    assert world.refused("hospital", "bills.issue_offline", plain) == refusal
    red = world.reverse_item(bill, FIRST, first=FIRST)
    assert world.refused("hospital", "bills.reverse", red) == refusal
    again = world.replace_item(bill, FIRST, FIRST + 1, first=FIRST)
    assert world.refused("hospital", "bills.replace", again) == refusal


def test_an_offline_bill_is_reversed_like_any_other() -> None:
    world = Reserve()
    world.do("hospital", "bills.issue_offline", world.offline_item())
    assert world.reverse(world.bill(CODE, FIRST), 1).state == "reversed"


def test_N1_an_offline_number_is_used_once() -> None:
    world = Reserve()
    world.do("hospital", "bills.issue_offline", world.offline_item())
    twice = world.offline_item(total=500)
    refusal = ("bills.number_used", "number")
    assert world.refused("hospital", "bills.issue_offline", twice) == refusal


def test_a_closed_month_takes_no_offline_bill_either() -> None:
    world = Reserve(31)
    made = world.instant()
    world.end_month()
    world.account_period()
    item = world.offline_item(issued_at=made)
    refusal = ("bills.period_closed", "issued_at")
    assert world.refused("hospital", "bills.issue_offline", item) == refusal


@pytest.mark.parametrize("days", [-1, OFFLINE_DAYS_MAX + 1])
def test_a_reserve_has_so_many_days_at_most(days: int) -> None:
    item = Reserve().allot_item(level=3, first=3_001, last=3_100, parent=TOP, offline_days=days)
    with pytest.raises(Malformed):
        decode(encode(item), type(item))


def test_an_offline_transaction_may_be_valid_for_longer_than_any_other() -> None:
    world = Reserve()
    action = world.actions["bills.issue_offline/1"]
    longest = OFFLINE_DAYS_MAX * DAY
    assert action.valid_seconds_max == longest
    for name, seconds, late in (
        ("bills.issue_offline/1", longest, longest + 1),
        ("bills.issue/1", VALID_SECONDS_MAX, VALID_SECONDS_MAX + 1),
    ):
        limit = world.actions[name].valid_seconds_max
        admit(world.rows, header(world, name, seconds), world.at, limit)
        with pytest.raises(Rejected) as refusal:
            admit(world.rows, header(world, name, late), world.at, limit)
        assert refusal.value.reason == "ledger.valid_too_long"


def header(world: Books, action: str, seconds: int) -> Header:
    return Header(
        network=world.network,
        key=public_key("hospital/key"),
        sender="hospital",
        action=action,
        count=1,
        root=bytes(32),
        idempotency=bytes(16),
        valid_until=format_instant(world.at + seconds),
    )


def test_handed_in_twice_it_has_its_old_answer_for_as_long_as_it_is_valid(tmp_path: Path) -> None:
    world = World(tmp_path / "ledger")
    world.prepare()
    reserve = Allot(
        nonce=world.nonce(),
        code=CODE,
        level=3,
        first=5_001,
        last=5_100,
        holder="hospital",
        parent=TOP,
        offline_days=31,
    )
    world.accept("finance", "bills.allot", reserve)
    made = world.issue_item(5_001, first=5_001)
    data = world.transaction(
        "hospital", "bills.issue_offline", made, valid_seconds=OFFLINE_DAYS_MAX * DAY
    )
    world.at += 10 * DAY
    first = world.block(data).first
    for days in (0, 10, 10):
        world.at += days * DAY
        world.accept("finance", "bills.define_type", next_version(world))  # days are dropped
        world.restart()
        assert world.ledger.admit(world.at, [world.ledger.check(data)]) == [Seen(first)]
    world.at += 2 * DAY
    (expired,) = world.ledger.admit(world.at, [world.ledger.check(data)])
    assert isinstance(expired, Seen | Rejected)
    world.accept("finance", "bills.define_type", next_version(world))
    (expired,) = world.ledger.admit(world.at, [world.ledger.check(data)])
    assert isinstance(expired, Rejected)
    assert expired.reason == "ledger.expired"


def next_version(world: World) -> DefineType:
    """Something that makes a block."""
    with world.ledger.view() as view:
        kind = find_type(view, CODE // 100)
    assert kind is not None
    ahead = format_instant(world.at + kind.rules.issue_future_seconds_max + 60)
    return world.define_item(type_version=kind.type_version + 1, valid_from=ahead)
