"""Stock: what a holder has not accounted for, and how much of it a type allows."""

from __future__ import annotations

from typing import Any

import pytest
from accounts_acts import TYPE, Books
from bodies import OUTPATIENT
from province import BLOCK

from tallystick.contracts.bills.items.bills import Block
from tallystick.contracts.bills.views.accounts import find_stock
from tallystick.protocol.canonical import replace

TOP = Block(level=0, first=1)
MINE = Block(level=3, first=1)


def limited(**rules: int) -> Books:
    """The limits come with the second version of the type."""
    world = Books()
    start = world.instant(3_600)
    world.define(TYPE, 2, rules=replace(OUTPATIENT, **rules), valid_from=start)
    world.at += 3_600
    return world


@pytest.mark.parametrize("rules", [{"stock_blocks_max": 1}, {"stock_numbers_max": 1_099}])
def test_stock_is_accounted_for_before_more_is_granted(rules: dict[str, int]) -> None:
    world = limited(**rules)
    more: dict[str, Any] = {"level": 3, "first": 2_001, "last": 2_100, "parent": TOP}
    item = world.allot_item(**more)
    refusal = ("bills.stock_limit", "holder")
    assert world.refused("finance", "bills.allot", item) == refusal
    world.issue(1, type_version=2)
    world.use_up()
    if "stock_blocks_max" in rules:
        assert world.refused("finance", "bills.allot", item) == refusal
        world.account_block()
        assert world.refused("finance", "bills.allot", item) == refusal
        world.accept(world.account(world.block_of().id))
    world.allot(**more)
    stock = find_stock(world.rows, "hospital", TYPE)
    assert stock is not None
    assert stock.numbers == (100 if "stock_blocks_max" in rules else 101)


def test_what_a_holder_splits_among_its_own_tills_counts_once() -> None:
    world = limited(stock_blocks_max=1)
    for first in (101, 201):
        world.allot("hospital", level=4, first=first, last=first + 9, parent=MINE)
    stock = find_stock(world.rows, "hospital", TYPE)
    assert stock is not None
    assert (stock.blocks, stock.numbers) == (1, BLOCK)
    assert find_stock(world.rows, "finance", TYPE) is None
