"""Issuing: who, out of which numbers, when, how much; and what suspends it."""

from __future__ import annotations

from typing import Any

import pytest
from acts import public_key
from bodies import OUTPATIENT
from province import CODE, DEPOSIT, PARTIAL, Province

from tallystick.contracts.bills.items.bills import Archived, Block, Issue, Withhold
from tallystick.contracts.bills.records.bills import MARKS_MAX, SETTLES_MAX, Exceptions, TypeRules
from tallystick.contracts.kit.keys import BlockScope, KeyRow
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.row import row_key
from tallystick.protocol.values import parse_instant

WITHIN = OUTPATIENT.archive_within_seconds
STEP = WITHIN // 16


def test_a_bill_stands_as_it_was_issued() -> None:
    world = Province()
    bill = world.issue(7)
    assert (bill.id, bill.state, bill.good, bill.version) == (
        f"{CODE}:0000000007",
        "issued",
        True,
        1,
    )
    assert (bill.issuer, bill.bill_kind, bill.type_version) == ("hospital", "blue", 1)
    assert (bill.root, bill.holder, bill.circulable) == (b"r" * 32, b"h" * 32, True)
    assert bill.entry == world.index - 1
    assert bill.amounts == {
        "total": 10_000,
        "account": 2_000,
        "cash": 3_000,
        "self_pay": 2_500,
        "self_expense": 2_500,
    }
    block = world.block_of()
    assert (block.issued, block.next, block.last_index) == (1, 8, world.index - 1)


def test_a_batch_takes_numbers_in_any_order_and_each_item_fails_alone() -> None:
    world = Province()
    numbers = [5, 4, 6, 5, 1_001, 900, 1]
    outcomes = world.act("hospital", "bills.issue", *[world.issue_item(n) for n in numbers])
    assert [each.partition(".")[2] for each in outcomes] == [
        *("", "", "", "number_used", "number_not_allocated", "", "")
    ]
    assert (world.block_of().issued, world.block_of().next) == (5, 901)
    world.audit()


def test_an_atomic_batch_is_issued_whole_or_not() -> None:
    world = Province()
    before = dict(world.rows.data)
    items = [world.issue_item(n) for n in (1, 2, 2)]
    outcomes = world.act("hospital", "bills.issue", *items, atomic=True)
    assert outcomes == ["ledger.atomic", "ledger.atomic", "bills.number_used"]
    assert world.rows.data == before


def test_N1_a_number_is_used_once_for_ever() -> None:
    world = Province()
    bill = world.issue(1)
    refusal = ("bills.number_used", "number")
    assert world.refused("hospital", "bills.issue", world.issue_item(1)) == refusal
    world.reverse(bill, 2)
    for number in (1, 2):
        assert world.refused("hospital", "bills.issue", world.issue_item(number)) == refusal


def test_N3_a_number_is_used_by_its_holder_and_inside_its_block() -> None:
    world = Province()
    refusal = ("bills.number_not_allocated", "first")
    assert world.refused("clinic", "bills.issue", world.issue_item(1)) == refusal
    assert world.refused("hospital", "bills.issue", world.issue_item(1, first=2)) == refusal
    assert world.refused("hospital", "bills.issue", world.issue_item(1, level=0)) == refusal
    refusal = ("bills.number_not_allocated", "number")
    assert world.refused("hospital", "bills.issue", world.issue_item(1_001)) == refusal


def test_I1_a_bill_is_signed_by_a_live_key_of_its_issuer() -> None:
    world = Province()
    item = world.issue_item(1)
    for key in ("clinic/key", "hospital/root", "nobody"):
        with pytest.raises(Rejected):
            world.act("hospital", "bills.issue", item, key=key)
    world.do("hospital", "bills.issue", item)
    assert world.refused("insurer", "bills.issue", world.issue_item(2)) == ("kit.no_grant", "")


def test_a_tills_key_is_for_its_block_alone() -> None:
    world = Province()
    world.allot("hospital", level=4, first=501, last=600, parent=Block(level=3, first=1))
    till = KeyRow(
        kind=KeyRow.KIND,
        id=public_key("till").hex(),
        state="live",
        good=True,
        org="hospital",
        role="operating",
        actions=["bills.*"],
        block=BlockScope(code=CODE, level=4, first=501),
    )
    world.rows.set(row_key(KeyRow.KIND, till.id), till, bytes(32))
    outside = world.issue_item(1)
    assert world.refused("hospital", "bills.issue", outside, key="till")[0] == "kit.key_scope"
    inside = world.issue_item(501, level=4, first=501)
    world.do("hospital", "bills.issue", inside, key="till")
    for number, outcome in ((1, "kit.key_scope"), (501, "accepted")):
        bill = world.bill(CODE, number) if number == 501 else world.issue(number)
        act = Withhold(nonce=world.nonce(), bill=bill.id, version=bill.version, reason="arrears")
        assert world.act("hospital", "bills.withhold", act, key="till") == [outcome]


def test_I2_code_type_and_year_are_those_of_the_network_and_the_time() -> None:
    world = Province()
    refusal = ("bills.code_type_mismatch", "code")
    assert world.refused("hospital", "bills.issue", world.issue_item(1, code=32060126)) == refusal
    refusal = ("bills.type_unknown", "type_version")
    assert world.refused("hospital", "bills.issue", world.issue_item(1, code=33999926)) == refusal
    # 31 December, a second before midnight at the network's offset, is last year's.
    world.at = parse_instant("2025-12-31T16:00:30Z")
    item = world.issue_item(1, issued_at="2025-12-31T15:59:59Z")
    refusal = ("bills.code_type_mismatch", "issued_at")
    assert world.refused("hospital", "bills.issue", item) == refusal
    world.issue(1, issued_at="2025-12-31T16:00:00Z")


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"currency": "USD"}, ("bills.currency_not_allowed", "currency")),
        ({"total": 0, "cash": 0, "account": 0}, ("bills.zero_total", "total")),
        ({"account": 5_001, "cash": 5_000}, ("bills.sum_sources", "account")),
        ({"self_pay": 0, "self_expense": 0}, ("bills.sum_liability", "self_pay")),
        ({"self_pay": 2_501}, ("bills.sum_liability", "self_pay")),
    ],
)
def test_I9_amounts_are_whole_and_fit(fields: dict[str, Any], refusal: tuple[str, str]) -> None:
    world = Province()
    assert world.refused("hospital", "bills.issue", world.issue_item(1, **fields)) == refusal
    for amount in (b"-1", b"1.5", b'"1"', b"1e3", b"1000000000000000"):
        data = encode(world.issue_item(1, total=123_456)).replace(b"123456", amount)
        with pytest.raises(Malformed):
            decode(data, Issue)


def test_liability_is_as_the_type_says() -> None:
    world = Province()
    nothing: dict[str, Any] = {"self_pay": 0, "self_expense": 0}
    world.issue(1, code=PARTIAL, **nothing)
    other = world.issue_item(2, code=PARTIAL, self_pay=1)
    refusal = ("bills.sum_liability", "self_pay")
    assert world.refused("hospital", "bills.issue", other) == refusal
    world.issue(1, code=DEPOSIT, **nothing)
    assert world.refused("hospital", "bills.issue", world.issue_item(2, code=DEPOSIT)) == refusal
    world.issue(3, code=PARTIAL, total=0)


def test_I11_what_a_bill_commits_to_never_changes() -> None:
    world = Province()
    bill = world.issue(1)
    refusal = ("bills.number_used", "number")
    other = world.issue_item(1, root=b"x" * 32)
    assert world.refused("hospital", "bills.issue", other) == refusal
    after = world.reverse(bill, 2)
    for name in ("root", "holder", "issued_at", "issuer", "type_version", "entry", "currency"):
        assert getattr(after, name) == getattr(bill, name)
    with pytest.raises(Malformed):
        decode(encode(world.issue_item(2)).replace(encode(b"r" * 32), b'""'), Issue)


def test_I12_a_bill_is_dated_within_the_window() -> None:
    world = Province()
    past, future = OUTPATIENT.issue_past_seconds_max, OUTPATIENT.issue_future_seconds_max
    for seconds, refusal in (
        (-past - 1, ("bills.time_too_old", "issued_at")),
        (future + 1, ("bills.time_future", "issued_at")),
    ):
        item = world.issue_item(1, issued_at=world.instant(seconds))
        assert world.refused("hospital", "bills.issue", item) == refusal
    world.issue(1, issued_at=world.instant(-past))
    world.issue(2, issued_at=world.instant(future))
    item = world.issue_item(3, issued_at="2026-02-30T00:00:00Z")
    assert world.refused("hospital", "bills.issue", item) == ("kit.instant_invalid", "issued_at")


# ---------------------------------------------------------------------------------------- archive


def archived(world: Province, below: int, *exceptions: Exceptions) -> None:
    item = Archived(
        nonce=world.nonce(), issuer="hospital", below=below, exceptions=list(exceptions)
    )
    world.do("finance", "bills.archived", item)


def test_a_body_that_stays_out_of_the_archive_stops_issuing_from_its_block() -> None:
    world = Province()
    first = world.issue(1)
    world.at += STEP + 1
    world.issue(2)
    world.at += WITHIN - STEP - 2
    world.issue(3)
    world.at += 1
    refusal = ("bills.unarchived", "first")
    assert world.refused("hospital", "bills.issue", world.issue_item(4)) == refusal
    # What is owed to a patient does not wait for the archive.
    world.reverse(world.bill(first.id), 5)
    archived(world, (world.bill(CODE, 1).entry or 0) + 1)
    world.issue(4)
    # The second bill was archived by nobody: its own limit is a step later.
    world.at += STEP + 1
    assert world.refused("hospital", "bills.issue", world.issue_item(6)) == refusal
    archived(world, world.index)
    world.issue(6)
    assert len(world.block_of().marks) == 1


def test_an_idle_issuer_whose_bodies_are_archived_is_not_held_up() -> None:
    world = Province()
    bill = world.issue(1)
    archived(world, (bill.entry or 0) + 1)
    world.at += 30 * 86_400
    world.issue(2)
    world.at += WITHIN - 1
    world.issue(3)
    assert world.block_of().marks[0].index == world.bill(CODE, 2).entry


def test_half_of_a_mark_archived_gives_the_rest_a_step_more() -> None:
    world = Province()
    first = world.issue(1)
    world.at += STEP - 1
    world.issue(2)
    archived(world, (first.entry or 0) + 1)
    world.at += WITHIN
    world.issue(3)
    world.at += 1
    refusal = ("bills.unarchived", "first")
    assert world.refused("hospital", "bills.issue", world.issue_item(4)) == refusal


def test_marks_stay_few_whatever_the_limits_become() -> None:
    world = Province()
    long: TypeRules = replace(OUTPATIENT, archive_within_seconds=365 * 86_400)
    world.define(
        CODE // 100,
        2,
        rules=replace(OUTPATIENT, archive_within_seconds=320),
        valid_from=world.instant(200),
    )
    world.at += 300
    world.define(CODE // 100, 3, rules=long, valid_from=world.instant(310))
    for number in range(1, 12):
        world.issue(number, type_version=2)
        world.at += 25
    world.at += 100
    for number in range(12, 12 + 2 * MARKS_MAX):
        world.issue(number, type_version=3)
        world.at += 365 * 86_400 // 16 // 8
    assert 1 < len(world.block_of().marks) <= MARKS_MAX
    assert all(each.through for each in world.block_of().marks[:-1])


def test_an_exception_that_grows_old_stops_the_issuer() -> None:
    world = Province()
    world.issue(1)
    archived(world, world.index, Exceptions(code=CODE, numbers=[1]))
    world.at += WITHIN - 1
    world.issue(2)
    world.at += 1
    assert world.refused("hospital", "bills.issue", world.issue_item(3)) == ("bills.unarchived", "")
    archived(world, world.index)
    world.issue(3)


# --------------------------------------------------------------------------------------- deposits


def deposit(world: Province, number: int, **fields: Any) -> str:
    named = {"code": DEPOSIT, "self_pay": 0, "self_expense": 0} | fields
    return world.issue(number, **named).id


def test_a_bill_settles_deposits_once() -> None:
    world = Province()
    first, second = deposit(world, 1), deposit(world, 2)
    bill = world.issue(1, settles=[first, second])
    row = world.bill(first)
    assert (row.state, row.good, row.settled_by) == ("settled", False, bill.id)
    again = world.issue_item(2, settles=[second])
    refusal = ("bills.deposit_ended", "settles/0")
    assert world.refused("hospital", "bills.issue", again) == refusal
    red = world.reverse_item(row, 3, code=DEPOSIT)
    assert world.refused("hospital", "bills.reverse", red) == ("bills.rev_settled", "bill")
    world.audit()
    # Reversed in full, the bill gives its deposits free.
    world.reverse(bill, 3)
    assert (world.bill(first).state, world.bill(first).good) == ("issued", True)
    world.issue(4, settles=[first])
    world.audit()


@pytest.mark.parametrize(
    ("settles", "fields", "refusal"),
    [
        ([1, 1], {}, ("bills.relation_invalid", "settles")),
        (
            [1],
            {"code": DEPOSIT, "self_pay": 0, "self_expense": 0},
            ("bills.relation_invalid", "settles"),
        ),
        ([1, 9], {}, ("bills.deposit_unknown", "settles/1")),
        ([-1], {}, ("bills.deposit_unknown", "settles/0")),
        ([-2], {}, ("bills.deposit_unknown", "settles/0")),
        ([2], {}, ("bills.deposit_ended", "settles/0")),
    ],
)
def test_what_is_no_free_deposit_settles_nothing(
    settles: list[int], fields: dict[str, Any], refusal: tuple[str, str]
) -> None:
    """Negative numbers stand for bills of another type: blue, red."""
    world = Province()
    deposit(world, 1)
    deposit(world, 2)
    world.reverse(world.bill(DEPOSIT, 2), 3, code=DEPOSIT)
    world.reverse(world.issue(1), 2)
    named = [f"{DEPOSIT if n > 0 else CODE}:{abs(n):010d}" for n in settles]
    item = world.issue_item(8, settles=named, **fields)
    assert world.refused("hospital", "bills.issue", item) == refusal


def test_a_deposit_of_another_issuer_settles_nothing() -> None:
    world = Province()
    world.allot(
        code=DEPOSIT,
        level=3,
        first=2_001,
        last=2_010,
        holder="clinic",
        parent=Block(level=0, first=1),
    )
    item = world.issue_item(2_001, code=DEPOSIT, first=2_001, self_pay=0, self_expense=0)
    world.do("clinic", "bills.issue", item)
    mine = world.issue_item(1, settles=[f"{DEPOSIT}:0000002001"])
    refusal = ("bills.deposit_unknown", "settles/0")
    assert world.refused("hospital", "bills.issue", mine) == refusal


def test_a_deposit_that_was_refunded_in_part_is_settled_for_the_rest() -> None:
    world = Province()
    first = deposit(world, 1)
    none = {"self_pay": 0, "self_expense": 0}
    world.reverse(world.bill(first), 2, total=1_000, **none)
    bill = world.issue(1, settles=[first])
    assert world.bill(first).state == "settled"
    world.reverse(bill, 2)
    assert (world.bill(first).state, world.bill(first).good) == ("partly_reversed", False)
    world.audit()


def test_the_longest_item_and_row_fit() -> None:
    world = Province()
    settles = [deposit(world, n + 1) for n in range(SETTLES_MAX)]
    most = 999_999_999_999_999
    money: dict[str, Any] = {"account": 0, "cash": most, "self_pay": most, "self_expense": 0}
    bill = world.issue(1_000, total=most, settles=settles, **money)
    assert len(encode(bill)) < 2_048
    with pytest.raises(Malformed):
        decode(encode(world.issue_item(1, settles=[*settles, settles[0]])), Issue)
