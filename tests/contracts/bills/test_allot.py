"""Numbers in hands: handed down, given back, recalled, used elsewhere, void, suspended."""

from __future__ import annotations

from typing import Any

import pytest
from acts import Acts, nonce
from province import BLOCK, CODE, Province

from tallystick.contracts.bills.items.bills import (
    Block,
    GiveBack,
    Opening,
    RangeOfAllotment,
    Recall,
    ResumeAllotment,
    SuspendAllotment,
    VoidNumbers,
)
from tallystick.contracts.bills.records.bills import VOID_MAX, remaining
from tallystick.contracts.bills.views.bills import list_allotments
from tallystick.contracts.kit.intervals import INTERVALS_MAX, Interval
from tallystick.protocol.values import parse_instant

TOP = Block(level=0, first=1)
MINE = Block(level=3, first=1)

RANGES: dict[str, type[RangeOfAllotment]] = {
    "bills.give_back": GiveBack,
    "bills.recall": Recall,
    "bills.opening": Opening,
    "bills.void_numbers": VoidNumbers,
}


def of_block(action: str, start: int, end: int, **fields: Any) -> RangeOfAllotment:
    named: dict[str, Any] = {"code": CODE, "level": 3, "first": 1, "reason": "closing"}
    return RANGES[action](nonce=nonce(0), start=start, end=end, **(named | fields))


def at(world: Acts, instant: str) -> None:
    world.at = parse_instant(instant)


def test_numbers_go_from_province_to_till() -> None:
    world = Province()
    world.allot(level=1, first=2_001, last=9_000, holder="city", parent=TOP)
    world.allot(
        "city", level=2, first=2_001, last=4_000, holder="city", parent=Block(level=1, first=2_001)
    )
    world.allot("city", level=3, first=2_001, last=3_000, parent=Block(level=2, first=2_001))
    world.allot("hospital", level=4, first=2_001, last=2_100, parent=Block(level=3, first=2_001))
    world.allot("hospital", level=4, first=2_101, last=2_101, parent=Block(level=3, first=2_001))
    world.issue(2_101, level=4, first=2_101)
    world.audit()
    held = [each.id for each in list_allotments(world.rows, CODE, holder="hospital")]
    assert held == [
        "33060126/3/0000000001",
        "33060126/3/0000002001",
        "33060126/4/0000002001",
        "33060126/4/0000002101",
    ]
    below = list_allotments(world.rows, parent="33060126/3/0000002001")
    assert [each.first for each in below] == [2_001, 2_101]


@pytest.mark.parametrize(
    ("sender", "fields", "refusal"),
    [
        ("insurer", {}, ("kit.no_grant", "")),
        ("finance", {"code": 32060126}, ("bills.code_type_mismatch", "code")),
        ("finance", {"parent": None, "level": 1}, ("bills.alloc_level", "parent")),
        ("finance", {"parent": None, "level": 0, "code": 33123426}, ("bills.type_unknown", "code")),
        ("city", {"parent": None, "level": 0}, ("kit.no_grant", "level")),
        (
            "finance",
            {"parent": Block(level=1, first=1)},
            ("bills.number_not_allocated", "parent"),
        ),
        ("hospital", {}, ("bills.number_not_allocated", "parent")),
        ("finance", {"level": 0}, ("bills.alloc_level", "level")),
        ("finance", {"holder": "nobody"}, ("bills.org_unknown", "holder")),
        ("finance", {"last": 2_000}, ("bills.alloc_outside_parent", "last")),
        ("finance", {"last": 1_000_001}, ("bills.alloc_outside_parent", "last")),
    ],
)
def test_what_may_not_be_granted(
    sender: str, fields: dict[str, Any], refusal: tuple[str, str]
) -> None:
    world = Province()
    named = {"level": 3, "first": 2_001, "last": 3_000, "parent": TOP} | fields
    item = world.allot_item(**named)
    assert world.refused(sender, "bills.allot", item) == refusal


def test_N2_children_lie_in_their_parent_and_siblings_are_disjoint() -> None:
    world = Province()
    for first, last, refusal in (
        (500, 1_500, ("bills.alloc_overlap", "first")),
        (1_000, 1_000, ("bills.alloc_overlap", "first")),
        (1_001, 1_000_001, ("bills.alloc_outside_parent", "last")),
    ):
        item = world.allot_item(level=3, first=first, last=last, parent=TOP)
        assert world.refused("finance", "bills.allot", item) == refusal
    second = world.allot_item(level=0, first=1_000_000, last=1_000_001)
    assert world.refused("finance", "bills.allot", second) == ("bills.alloc_overlap", "first")
    world.allot(level=3, first=2_001, last=3_000, parent=TOP)
    below = world.allot_item(level=4, first=2_000, last=2_500, parent=Block(level=3, first=2_001))
    refusal = ("bills.alloc_outside_parent", "first")
    assert world.refused("hospital", "bills.allot", below) == refusal
    world.audit()


def test_what_the_holder_used_is_no_more_to_grant() -> None:
    world = Province()
    world.issue(10)
    item = world.allot_item(level=4, first=5, last=20, parent=MINE)
    assert world.refused("hospital", "bills.allot", item) == ("bills.alloc_overlap", "first")
    world.allot("hospital", level=4, first=11, last=20, parent=MINE)
    granted = world.issue_item(11)
    refusal = ("bills.number_not_allocated", "number")
    assert world.refused("hospital", "bills.issue", granted) == refusal
    world.issue(9)
    world.audit()


def test_a_range_is_not_cut_into_too_many_pieces() -> None:
    world = Province()
    for n in range(INTERVALS_MAX):
        world.allot("hospital", level=4, first=2 * n + 1, last=2 * n + 1, parent=MINE)
    item = world.allot_item(level=4, first=900, last=900, parent=MINE)
    assert world.refused("hospital", "bills.allot", item) == ("bills.alloc_fragments", "first")
    world.allot("hospital", level=4, first=2, last=2, parent=MINE)
    world.audit()


def test_next_years_numbers_are_granted_from_december_and_active_in_january() -> None:
    world, code = Province(), 33060127
    item = world.allot_item(code=code, level=0, first=1, last=100)
    at(world, "2026-11-30T15:59:59Z")
    assert world.refused("finance", "bills.allot", item) == ("bills.alloc_wrong_year", "code")
    at(world, "2026-11-30T16:00:00Z")
    world.do("finance", "bills.allot", item)
    assert world.block_of(code, 0).active_from == "2026-12-31T16:00:00Z"
    at(world, "2026-12-31T15:59:59Z")
    fields: dict[str, Any] = {"code": code, "level": 0, "first": 1}
    early = world.issue_item(1, issued_at="2026-12-31T16:00:00Z", **fields)
    assert world.refused("hospital", "bills.issue", early) == ("bills.block_closed", "first")
    at(world, "2026-12-31T16:00:00Z")
    world.do("hospital", "bills.issue", early)
    # Ten days of grace: the old block takes bills that are dated in the old year.
    eve = "2026-12-31T15:59:00Z"
    world.issue(1, issued_at=eve)
    late = world.issue_item(2)
    refusal = ("bills.code_type_mismatch", "issued_at")
    assert world.refused("hospital", "bills.issue", late) == refusal
    at(world, "2027-01-10T16:00:00Z")
    closed = world.issue_item(2, issued_at=eve)
    assert world.refused("hospital", "bills.issue", closed) == ("bills.block_closed", "first")
    granted = world.allot_item(level=3, first=5_000, last=5_001, parent=TOP)
    assert world.refused("finance", "bills.allot", granted) == ("bills.alloc_wrong_year", "code")


def test_N6_only_unused_tails_go_back_and_what_is_recalled_never_issues() -> None:
    world = Province()
    world.issue(100)
    for sender, action in (("hospital", "bills.give_back"), ("finance", "bills.recall")):
        for start, end, refusal in (
            (100, BLOCK, ("bills.not_unused_tail", "start")),
            (200, BLOCK - 1, ("bills.not_unused_tail", "end")),
            (200, BLOCK + 1, ("bills.number_not_allocated", "end")),
            (300, 200, ("bills.number_not_allocated", "end")),
        ):
            assert world.refused(sender, action, of_block(action, start, end)) == refusal
    world.do("finance", "bills.recall", of_block("bills.recall", 901, BLOCK))
    world.do("hospital", "bills.give_back", of_block("bills.give_back", 801, 900))
    again = of_block("bills.recall", 801, 900)
    refusal = ("bills.number_not_allocated", "start")
    assert world.refused("finance", "bills.recall", again) == refusal
    assert world.block_of().gone == [
        Interval(first=801, last=900, fate="returned"),
        Interval(first=901, last=BLOCK, fate="recalled"),
    ]
    for number in (801, 901, BLOCK):
        refusal = ("bills.number_not_allocated", "number")
        item = world.issue_item(number)
        assert world.refused("hospital", "bills.issue", item) == refusal
    # The parent has given them away for ever.
    regrant = world.allot_item(level=3, first=901, last=BLOCK, parent=TOP)
    assert world.refused("finance", "bills.allot", regrant) == ("bills.alloc_overlap", "first")
    world.audit()


def test_only_the_grantor_recalls_and_only_the_holder_gives_back() -> None:
    world = Province()
    for sender, action, refusal in (
        ("hospital", "bills.recall", ("bills.not_grantor", "first")),
        ("hospital", "bills.opening", ("bills.not_grantor", "first")),
        ("finance", "bills.give_back", ("bills.number_not_allocated", "first")),
        ("finance", "bills.void_numbers", ("bills.number_not_allocated", "first")),
    ):
        assert world.refused(sender, action, of_block(action, 990, BLOCK)) == refusal
    for action in RANGES:
        unknown = of_block(action, 990, BLOCK, first=2)
        refusal = ("bills.number_not_allocated", "first")
        assert world.refused("finance", action, unknown) == refusal


def test_numbers_used_elsewhere_never_issue_here() -> None:
    world = Province()
    world.do("finance", "bills.opening", of_block("bills.opening", 1, 400))
    item = world.issue_item(400)
    assert world.refused("hospital", "bills.issue", item) == ("bills.number_used", "number")
    world.issue(401)
    used = of_block("bills.opening", 401, 500)
    refusal = ("bills.not_unused_tail", "start")
    assert world.refused("finance", "bills.opening", used) == refusal
    outside = of_block("bills.opening", 402, BLOCK + 1)
    refusal = ("bills.number_not_allocated", "end")
    assert world.refused("finance", "bills.opening", outside) == refusal
    world.audit()


def test_void_numbers_have_rows_and_never_issue() -> None:
    world = Province()
    world.issue(3)
    world.do("hospital", "bills.void_numbers", of_block("bills.void_numbers", 4, 6))
    world.do("hospital", "bills.void_numbers", of_block("bills.void_numbers", 1, 2))
    row = world.bill(CODE, 5)
    assert (row.state, row.good, row.reason, row.root) == ("void", False, "closing", None)
    item = world.issue_item(5)
    assert world.refused("hospital", "bills.issue", item) == ("bills.number_void", "number")
    for start, end, refusal in (
        (3, 3, ("bills.number_used", "start")),
        (6, 7, ("bills.number_void", "start")),
        (7, 7 + VOID_MAX, ("bills.void_limit", "end")),
        (990, BLOCK + 1, ("bills.number_not_allocated", "end")),
    ):
        item_ = of_block("bills.void_numbers", start, end)
        assert world.refused("hospital", "bills.void_numbers", item_) == refusal
    world.do("hospital", "bills.give_back", of_block("bills.give_back", 900, BLOCK))
    gone = of_block("bills.void_numbers", 899, 900)
    refusal = ("bills.number_not_allocated", "start")
    assert world.refused("hospital", "bills.void_numbers", gone) == refusal
    assert (world.block_of().void, remaining(world.block_of())) == (5, BLOCK - 6 - 101)
    world.audit()


def test_a_suspended_range_stops_all_that_came_out_of_it() -> None:
    world = Province()
    world.allot("hospital", level=4, first=501, last=600, parent=MINE)
    fields: dict[str, Any] = {"nonce": nonce(0), "code": CODE, "level": 3, "first": 1}
    stop, go = SuspendAllotment(reason="audit", **fields), ResumeAllotment(reason="done", **fields)
    refusal = ("bills.unchanged", "first")
    assert world.refused("finance", "bills.resume_allotment", go) == refusal
    refusal = ("bills.not_grantor", "first")
    assert world.refused("hospital", "bills.suspend_allotment", stop) == refusal
    world.do("finance", "bills.suspend_allotment", stop)
    assert (world.block_of().state, world.block_of().good) == ("suspended", False)
    assert world.refused("finance", "bills.suspend_allotment", stop)[0] == "bills.unchanged"
    for item in (world.issue_item(1), world.issue_item(501, level=4, first=501)):
        refusal = ("bills.block_suspended", "first")
        assert world.refused("hospital", "bills.issue", item) == refusal
    below = world.allot_item(level=4, first=700, last=710, parent=MINE)
    refusal = ("bills.block_suspended", "parent")
    assert world.refused("hospital", "bills.allot", below) == refusal
    void = of_block("bills.void_numbers", 1, 1)
    refusal = ("bills.block_suspended", "first")
    assert world.refused("hospital", "bills.void_numbers", void) == refusal
    world.do("finance", "bills.resume_allotment", go)
    assert world.refused("hospital", "bills.resume_allotment", go)[0] == "bills.not_grantor"
    world.issue(501, level=4, first=501)


def test_G1_only_the_keeper_of_the_catalogue_takes_numbers_out_of_a_series() -> None:
    world = Province()
    item = world.allot_item(level=0, first=2_000_000, last=2_000_010)
    for sender in ("city", "hospital"):
        assert world.refused(sender, "bills.allot", item) == ("kit.no_grant", "level")
    define = world.define_item(CODE // 100, 2, valid_from="2026-06-01T00:00:00Z")
    assert world.refused("hospital", "bills.define_type", define) == ("kit.no_grant", "")
    world.do("finance", "bills.allot", item)
