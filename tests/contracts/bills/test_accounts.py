"""Accounts of blocks and months, level by level: N5, W1, W2, the reviewer's sums, stock."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from accounts_acts import HOSPITAL_MONTH, MONTH, TYPE, Books, other
from province import BLOCK, CODE

from tallystick.contracts.bills.actions.accounts import GAP_LOOKS_MAX
from tallystick.contracts.bills.items.bills import Block, VoidNumbers
from tallystick.contracts.bills.manifest import RootBuilder, make_line, manifest_root
from tallystick.contracts.bills.records.accounts import Sum, collect, month_of, month_span
from tallystick.contracts.bills.records.bills import Allotment, Bill, allotment_id, remaining
from tallystick.contracts.bills.views.accounts import (
    find_collected,
    gaps,
    list_accounts,
    own_bills,
    tally_block,
)
from tallystick.contracts.bills.views.bills import find_issuer
from tallystick.protocol import merkle
from tallystick.protocol.canonical import INTEGER_MAX, encode, replace
from tallystick.protocol.errors import Damaged
from tallystick.protocol.values import AMOUNT_MAX, parse_instant

TOP = Block(level=0, first=1)
MINE = Block(level=3, first=1)


def ready() -> Books:
    """Three blue bills, a red one, two void numbers; the rest is given back."""
    world = Books()
    bill = world.issue(1)
    world.issue(2, total=5_000)
    world.reverse(bill, 3)
    world.issue(4, total=700)
    world.void(5, 6)
    world.use_up()
    return world


# ---------------------------------------------------------------------------------------- blocks


def test_a_block_is_counted_and_accepted_by_who_granted_it() -> None:
    world = ready()
    account = world.close()
    assert (account.state, account.good, account.org, account.reviewer) == (
        *("accepted", True, "hospital", "finance"),
    )
    tally = account.tally
    assert (tally.blue, tally.red, tally.void, tally.paper) == (3, 1, 2, 0)
    assert tally.sums == [Sum(currency="CNY", issued=15_700, reversed=10_000)]
    assert world.block_of().account == "accepted"
    world.audit()


def test_the_root_is_over_immutable_facts_in_order_whatever_befalls_the_bills() -> None:
    world = ready()
    lines = [make_line(bill) for bill in own_bills(world.rows, world.block_of())]
    assert [line.id[-2:] for line in lines] == ["01", "02", "03", "04", "05", "06"]
    before = tally_block(world.rows, world.block_of())
    assert before.root == merkle.root([merkle.leaf_hash(encode(line)) for line in lines])
    world.allot(level=3, first=2_001, last=2_100, holder="hospital", parent=TOP)
    world.reverse(world.bill(CODE, 2), 2_001, first=2_001)
    assert tally_block(world.rows, world.block_of()) == before
    assert manifest_root(lines[:-1]) != before.root
    assert manifest_root([*lines[:-1], lines[-1], lines[-1]]) != before.root


def test_a_root_that_grows_line_by_line_is_that_of_the_tree() -> None:
    builder, hashes = RootBuilder(), list[bytes]()
    assert builder.root() == merkle.EMPTY_ROOT
    for n in range(70):
        data = sha256(b"%d" % n).digest()
        builder.add(data)
        hashes.append(merkle.leaf_hash(data))
        assert builder.root() == merkle.root(hashes)


def test_N5_a_block_with_unexplained_numbers_is_not_accounted_for() -> None:
    world = Books()
    world.issue(1)
    world.issue(3)
    refusal = ("bills.account_gap", "first")
    assert world.refused("hospital", "bills.account_block", world.block_item()) == refusal
    assert world.refusals[0].detail == "998 unexplained numbers, the first is 2"
    assert [(each.first, each.last) for each in gaps(world.rows, world.block_of())] == [
        (2, 2),
        (4, BLOCK),
    ]
    world.void(2, 2)
    assert world.refused("hospital", "bills.account_block", world.block_item()) == refusal
    assert world.refusals[0].detail == "997 unexplained numbers, the first is 4"
    world.use_up()
    assert gaps(world.rows, world.block_of()) == []
    world.account_block()


def test_N5_the_first_gap_is_looked_for_within_bounds() -> None:
    world = Books()
    for n in range(1, GAP_LOOKS_MAX + 3):
        world.issue(n)
    world.issue(GAP_LOOKS_MAX + 4)
    world.use_up()
    world.refused("hospital", "bills.account_block", world.block_item())
    next_ = GAP_LOOKS_MAX + 5
    assert world.refusals[0].detail == f"1 unexplained numbers, some of them below {next_}"


@pytest.mark.parametrize(
    "changes",
    [
        {"blue": 4},
        {"red": 0},
        {"void": 1},
        {"paper": 1},
        {"sums": [Sum(currency="USD", issued=1), Sum(currency="CNY", issued=1)]},
        {"sums": [Sum(currency="CNY", issued=1), Sum(currency="CNY", issued=1)]},
    ],
)
def test_counts_that_the_block_itself_refutes_are_not_even_submitted(
    changes: dict[str, Any],
) -> None:
    world = ready()
    item = world.block_item()
    item = world.block_item(tally=other(item.tally, **changes))
    reason, path = world.refused("hospital", "bills.account_block", item)
    assert (reason, path.split("/")[0]) == ("bills.account_sum", "tally")


def test_a_closed_block_takes_no_more_use() -> None:
    world = ready()
    item = world.block_item()
    assert world.refused("clinic", "bills.account_block", item) == (
        *("bills.number_not_allocated", "first"),
    )
    account = world.account_block()
    for state in ("submitted", "accepted"):
        use = world.issue_item(7)
        assert world.refused("hospital", "bills.issue", use) == ("bills.block_closed", "first")
        assert world.refusals[0].detail == f"its account is {state}"
        assert world.refused("hospital", "bills.account_block", item) == (
            *("bills.account_state", "first"),
        )
        if state == "submitted":
            account = world.accept(account)


def test_a_returned_block_is_stated_anew() -> None:
    world = ready()
    account = world.give_account_back(world.account_block(), "33060126:0000000002")
    assert (account.state, account.reason) == ("returned", "sum_differs")
    assert account.numbers == ["33060126:0000000002"]
    assert world.block_of().account == "returned"
    again = world.account_block()
    assert (again.state, again.reason, again.numbers) == ("submitted", None, [])
    world.accept(again)


def test_a_block_waits_for_its_children() -> None:
    world = Books()
    world.allot("hospital", level=4, first=101, last=200, holder="clinic", parent=MINE)
    world.issue(1)
    world.void(2, 20)
    for start in range(21, 101, 20):
        world.void(start, start + 19)
    world.use_up(201)
    child = world.block_of(level=4, first=101)
    refusal = ("bills.account_children", "first")
    assert remaining(world.block_of()) == 0
    assert world.refused("hospital", "bills.account_block", world.block_item()) == refusal
    assert "100 of 100 granted" in world.refusals[0].detail
    _use_all(world, child)
    submitted = world.account_block(world.block_of(level=4, first=101))
    assert submitted.reviewer == "hospital"
    assert world.refused("hospital", "bills.account_block", world.block_item()) == refusal
    world.accept(submitted)
    assert world.block_of().accounted == 100
    world.close()


def _use_all(world: Books, child: Allotment) -> None:
    for n in range(child.first, child.last + 1):
        item = world.issue_item(n, level=child.level, first=child.first)
        world.do("clinic", "bills.issue", item)


def test_W1_nobody_reviews_what_it_split_itself() -> None:
    """Else a hospital would hand all numbers to itself, accept them, and show an empty block."""
    world = Books()
    world.allot("hospital", level=4, first=1, last=100, holder="hospital", parent=MINE)
    world.allot(
        "hospital", level=5, first=1, last=2, holder="hospital", parent=Block(level=4, first=1)
    )
    for number in (1, 2):
        world.do("hospital", "bills.issue", world.issue_item(number, level=5, first=1))
    account = world.account_block(world.block_of(level=5, first=1))
    assert account.reviewer == "finance"
    mine = world.accept_item(account)
    assert world.refused("hospital", "bills.accept_account", mine) == (
        *("bills.not_reviewer", "account"),
    )
    world.accept(account)
    world.end_month()
    own = world.period_item(reviewer="hospital")
    assert world.refused("hospital", "bills.account_period", own) == (
        *("bills.not_reviewer", "reviewer"),
    )


def test_W1_who_took_over_the_reviewer_does_not_review_its_own() -> None:
    world = Books()
    world.issue(1)
    world.end_month()
    account = world.account_period()
    world.do("finance", "bills.succeed", world.succeed_item("city", "hospital", duties=True))
    mine = world.accept_item(account)
    assert world.refused("hospital", "bills.accept_account", mine) == (
        *("bills.not_reviewer", "account"),
    )
    assert world.refused("city", "bills.accept_account", mine) == (
        *("bills.not_reviewer", "account"),
    )
    world.do("hospital", "bills.return_account", world.return_item(account))
    anew = world.account_period(reviewer="finance")
    assert world.accept(anew).state == "accepted"


def test_the_top_has_nobody_above() -> None:
    world = Books()
    code = 33060226
    top = world.block_of(code, 0, 1)
    item = world.block_item(top)
    assert world.refused("finance", "bills.account_block", item)[0] == "bills.account_gap"
    world.allot(code=code, level=0, first=1_000_001, last=1_000_001, holder="finance")
    single = world.block_of(code, 0, 1_000_001)
    void = VoidNumbers(
        nonce=world.nonce(),
        code=code,
        level=0,
        first=1_000_001,
        start=1_000_001,
        end=1_000_001,
        reason="spare",
    )
    world.do("finance", "bills.void_numbers", void)
    account = world.account_block(world.block_of(code, 0, single.first))
    assert (account.org, account.reviewer) == ("finance", "finance")
    world.accept(account)


def test_W1_only_what_both_sides_counted_alike_is_accepted() -> None:
    world = ready()
    account = world.account_block()
    tally = account.tally
    for changes, what in (
        ({"blue": 4}, "blue: stated 3, counted 4"),
        ({"root": bytes(32)}, "root: stated"),
        ({"sums": [Sum(currency="CNY", issued=15_701, reversed=10_000)]}, "sums: stated"),
    ):
        item = world.accept_item(account, tally=other(tally, **changes))
        refusal = ("bills.account_sum", "tally")
        assert world.refused("finance", "bills.accept_account", item) == refusal
        assert world.refusals[0].detail.startswith(what)
    item = world.accept_item(account)
    assert world.refused("city", "bills.accept_account", item) == ("bills.not_reviewer", "account")
    stale = world.accept_item(account, version=account.version + 1)
    assert world.refused("finance", "bills.accept_account", stale)[0] == "kit.version_conflict"
    world.accept(account)
    again = world.accept_item(world.account(account.id))
    assert world.refused("finance", "bills.accept_account", again) == (
        *("bills.account_state", "account"),
    )


@pytest.mark.parametrize("name", ["nothing", "33060126/3/0000000001", HOSPITAL_MONTH])
def test_an_account_that_is_not_there(name: str) -> None:
    world = Books()
    account = replace(ready().account_block(), id=name)
    item = world.accept_item(account)
    refusal = ("bills.account_unknown", "account")
    assert world.refused("finance", "bills.accept_account", item) == refusal
    back = world.return_item(account)
    assert world.refused("finance", "bills.return_account", back) == refusal


def test_a_scan_that_leaves_a_number_out_is_noticed() -> None:
    world = ready()
    world.rows.data = {
        key: data for key, data in world.rows.data.items() if key != CODE * 10**10 + 2
    }
    with pytest.raises(Damaged, match="4 numbers are issued and 2 void, but 3 and 2 are there"):
        tally_block(world.rows, world.block_of())


# ---------------------------------------------------------------------------------------- months


def test_a_month_is_counted_over_all_blocks_of_its_issuer_and_nobody_elses() -> None:
    world = Books()
    world.issue(1)
    world.allot("hospital", level=4, first=101, last=200, holder="hospital", parent=MINE)
    world.issue(150, level=4, first=101)
    world.issue(201)
    world.allot("hospital", level=4, first=301, last=310, holder="clinic", parent=MINE)
    world.issue(301, "clinic", level=4, first=301)
    world.void(300, 300)
    world.archive_bodies()
    world.at = parse_instant("2026-02-01T00:00:00Z")
    world.issue(202)
    tally = world.tally()
    assert (tally.blue, tally.void) == (3, 1)
    bills = [world.bill(CODE, n) for n in (1, 150, 201, 300)]
    assert tally.root == manifest_root(make_line(bill) for bill in bills)
    assert world.tally("clinic").blue == 1
    assert world.tally(month="2026-02").blue == 1
    assert world.tally(month="2025-12").blue == 0


def test_months_are_those_of_the_networks_offset() -> None:
    first, end = month_span("2026-12", 28_800)
    assert (first, end) == (
        *(parse_instant("2026-11-30T16:00:00Z"), parse_instant("2026-12-31T16:00:00Z")),
    )
    assert month_of(first, 28_800) == month_of(end - 1, 28_800) == "2026-12"
    assert month_of(end, 28_800) == "2027-01"


def test_W2_a_month_closes_when_it_is_stated_and_opens_when_it_is_returned() -> None:
    world = Books()
    bill = world.issue(1)
    item = world.period_item()
    refusal = ("bills.period_open", "month")
    assert world.refused("hospital", "bills.account_period", item) == refusal
    assert "2026-01-31T16:00:00Z" in world.refusals[0].detail
    world.archive_bodies()
    world.end_month()
    late = world.instant(-1)
    account = world.account_period()
    closed = ("bills.period_closed", "issued_at")
    for number, issued_at in ((2, late), (3, world.instant(-3_600))):
        refused = world.issue_item(number, issued_at=issued_at)
        assert world.refused("hospital", "bills.issue", refused) == closed
    red = world.reverse_item(bill, 2, issued_at=late)
    assert world.refused("hospital", "bills.reverse", red) == closed
    world.issue(2)
    world.give_account_back(account)
    world.issue(3, issued_at=late)
    account = world.accept(world.account_period())
    assert account.tally.blue == 2
    assert world.refused("hospital", "bills.issue", world.issue_item(4, issued_at=late)) == closed
    again = world.period_item()
    assert world.refused("hospital", "bills.account_period", again) == (
        *("bills.account_state", "month"),
    )
    assert world.tally() == account.tally


def test_W2_a_month_before_a_closed_one_stays_closed_when_returned() -> None:
    world = Books()
    world.issue(1)
    world.end_month()
    first = world.account_period()
    world.at = parse_instant("2026-02-28T16:00:00Z")
    world.account_period(month="2026-02")
    world.give_account_back(first)
    found = find_issuer(world.rows, "hospital")
    assert found is not None
    assert [each.before for each in found.closed] == ["2026-02-28T16:00:00Z"]
    world.account_period()
    found = find_issuer(world.rows, "hospital")
    assert found is not None
    assert [(each.type, each.before) for each in found.closed] == [(TYPE, "2026-02-28T16:00:00Z")]


def test_a_month_takes_its_reviewer_its_type_and_its_own_issuer() -> None:
    world = Books()
    world.end_month()
    for fields, refusal in (
        ({"type": 320601}, ("bills.code_type_mismatch", "code")),
        ({"issuer": "clinic"}, ("bills.other_issuer", "issuer")),
        ({"reviewer": "nobody"}, ("bills.org_unknown", "reviewer")),
        ({"includes": 1}, ("bills.account_children", "includes")),
    ):
        item = world.period_item(**fields)
        assert world.refused("hospital", "bills.account_period", item) == refusal


def test_sums_go_up_level_by_level_and_are_exactly_what_was_accepted() -> None:
    world = Books()
    world.allot(level=3, first=2_001, last=2_100, holder="clinic", parent=TOP)
    world.issue(1)
    world.issue(2_001, "clinic", first=2_001, total=500)
    world.end_month()
    accounts = [world.account_period(), world.account_period("clinic")]
    waiting = list(list_accounts(world.rows, reviewer="city", state="submitted"))
    assert [each.org for each in waiting] == ["clinic", "hospital"]
    world.accept(accounts[0])
    wrong = world.upper_item("city", "finance", includes=0)
    refusal = ("bills.account_children", "includes")
    assert world.refused("city", "bills.account_period", wrong) == refusal
    world.accept(accounts[1])
    row = find_collected(world.rows, "city", TYPE, MONTH)
    assert row is not None
    assert (row.accounts, row.blue, row.state) == (2, 2, "open")
    assert row.sums == [Sum(currency="CNY", issued=10_500)]
    assert row.digest == collect(collect(bytes(32), accounts[0]), accounts[1])
    item = world.upper_item("city", "finance")
    bent = world.upper_item("city", "finance", tally=other(item.tally, blue=3))
    assert world.refused("city", "bills.account_period", bent) == ("bills.account_sum", "tally")
    world.do("city", "bills.account_period", item)
    upper = world.account(f"city/{TYPE}/{MONTH}")
    assert (upper.includes, upper.reviewer) == (2, "finance")
    world.accept(upper)
    province = find_collected(world.rows, "finance", TYPE, MONTH)
    assert province is not None
    assert (province.accounts, province.blue) == (1, 2)


def test_W2_who_hands_on_a_sum_closes_its_own_month_with_it() -> None:
    """Else an issuer would review a friend's month, and keep its own open for ever."""
    world = Books()
    world.end_month()
    world.accept(world.account_period("clinic", reviewer="hospital"))
    item = world.upper_item("hospital", "city")
    world.do("hospital", "bills.account_period", item)
    late = world.issue_item(1, issued_at="2026-01-31T15:59:59Z")
    assert world.refused("hospital", "bills.issue", late) == ("bills.period_closed", "issued_at")
    world.give_account_back(world.account(HOSPITAL_MONTH))
    world.do("hospital", "bills.issue", late)


def test_what_was_handed_on_takes_no_more_until_it_is_returned() -> None:
    world = Books()
    world.issue(1)
    world.end_month()
    world.accept(world.account_period())
    world.do("city", "bills.account_period", world.upper_item("city", "finance"))
    late = world.account_period("clinic")
    refusal = ("bills.account_state", "account")
    assert world.refused("city", "bills.accept_account", world.accept_item(late)) == refusal
    world.give_account_back(world.account(f"city/{TYPE}/{MONTH}"))
    world.accept(late)
    item = world.upper_item("city", "finance")
    assert item.includes == 2
    world.do("city", "bills.account_period", item)


def test_sums_that_are_too_large_are_not_added() -> None:
    world = Books()
    world.end_month()
    for org, refused in (("hospital", False), ("clinic", True)):
        sums = [Sum(currency="CNY", issued=AMOUNT_MAX)]
        tally = other(world.tally(org), sums=sums)
        account = world.account_period(org, tally=tally)
        if refused:
            item = world.accept_item(account)
            assert world.refused("city", "bills.accept_account", item) == (
                *("bills.account_sum", "tally/sums"),
            )
        else:
            world.accept(account)


@pytest.mark.parametrize("name", ["blue", "red", "paper", "void"])
def test_counts_that_are_too_large_are_not_added(name: str) -> None:
    world = Books()
    world.end_month()
    world.accept(world.account_period("hospital", tally=other(world.tally(), **{name: 1})))
    stated = other(world.tally("clinic"), **{name: INTEGER_MAX})
    item = world.accept_item(world.account_period("clinic", tally=stated))
    assert world.refused("city", "bills.accept_account", item) == ("bills.account_sum", "tally")


def test_a_bills_kind_decides_how_it_counts() -> None:
    world = ready()
    lines = {line.kind: line for line in map(make_line, own_bills(world.rows, world.block_of()))}
    assert lines["void"].root is None
    assert lines["void"].currency is None
    assert lines["red"].total == 10_000
    assert isinstance(world.bill(CODE, 1), Bill)
    assert allotment_id(CODE, 3, 1) == world.block_of().id
