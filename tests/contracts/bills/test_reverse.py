"""Red bills: full, in part, and with another bill in the old one's place."""

from __future__ import annotations

from typing import Any

import pytest
from province import CODE, DEPOSIT, DEPOSIT_RULES, PARTIAL, PARTIAL_RULES, Province, left, parts

from tallystick.contracts.bills.items.bills import Block, SuspendIssuer, VoidNumbers
from tallystick.contracts.bills.records.bills import REVERSALS_MAX, Bill
from tallystick.protocol.canonical import replace
from tallystick.protocol.values import parse_instant


def blue(world: Province, number: int = 1, code: int = PARTIAL, **fields: Any) -> Bill:
    return world.issue(number, code=code, **fields)


def refused(world: Province, bill: Bill, number: int, **fields: Any) -> tuple[str, str]:
    return world.refused("hospital", "bills.reverse", world.reverse_item(bill, number, **fields))


def test_a_red_bill_ends_a_blue_one() -> None:
    world = Province()
    bill = blue(world, code=CODE)
    after = world.reverse(bill, 2)
    assert (after.state, after.good, after.reversed_by) == (
        "reversed",
        False,
        [f"{CODE}:0000000002"],
    )
    assert not any(left(after).values())
    red = world.bill(CODE, 2)
    assert (red.state, red.good, red.reversal_of) == ("red", False, bill.id)
    assert (red.reason, red.root, red.holder) == ("refund", b"q" * 32, None)
    assert (red.currency, red.amounts) == ("CNY", bill.amounts)
    world.audit()


def test_V1_the_target_is_a_blue_bill_of_the_same_issuer_and_type() -> None:
    world = Province()
    bill = blue(world, code=CODE)
    missing = replace(bill, id=f"{CODE}:0000000099")
    assert refused(world, missing, 2) == ("bills.rev_not_found", "bill")
    other_type = world.reverse_item(bill, 2, code=PARTIAL)
    assert world.refused("hospital", "bills.reverse", other_type) == (
        "bills.code_type_mismatch",
        "code",
    )
    world.allot(level=3, first=5_001, last=5_010, holder="clinic", parent=Block(level=0, first=1))
    theirs = world.reverse_item(bill, 5_001, first=5_001)
    refusal = ("bills.rev_other_issuer", "bill")
    assert world.refused("clinic", "bills.reverse", theirs) == refusal


def test_a_void_number_is_no_bill_to_reverse() -> None:
    world = Province()
    item = VoidNumbers(
        nonce=world.nonce(), code=CODE, level=3, first=1, start=5, end=5, reason="spoiled"
    )
    world.do("hospital", "bills.void_numbers", item)
    void = replace(world.bill(CODE, 5), amounts=parts(100))
    assert refused(world, void, 2) == ("bills.rev_not_found", "bill")


def test_V2_red_amounts_never_exceed_what_is_left_of_any_part() -> None:
    world = Province()
    bill = world.reverse(blue(world), 2, total=4_000)
    assert (bill.state, bill.good) == ("partly_reversed", False)
    assert left(bill) == parts(6_000)
    for part, amount in parts(6_000).items():
        fields = {part: amount + 1}
        item = world.reverse_item(bill, 3, **fields)
        assert world.refused("hospital", "bills.reverse", item) == ("bills.rev_exceeds", part)
    assert refused(world, bill, 3, total=0) == ("bills.zero_total", "total")
    bill = world.reverse(bill, 3, total=5_000)
    bill = world.reverse(bill, 4)
    assert (bill.state, len(bill.reversed_by)) == ("reversed", 3)
    assert refused(world, bill, 5, total=1) == ("bills.rev_ended", "bill")
    world.audit()


@pytest.mark.parametrize(
    ("amounts", "refusal"),
    [
        ({"total": 10_000, "account": 1}, ("bills.rev_exceeds", "total")),
        ({"total": 6_000}, ("bills.rev_exceeds", "total")),
        ({"total": 100, "cash": 101}, ("bills.sum_sources", "account")),
        ({"total": 100, "cash": 50, "self_pay": 10}, ("bills.sum_liability", "self_pay")),
        ({"total": 100, "cash": 50}, ("bills.sum_liability", "self_pay")),
    ],
)
def test_V2_a_part_never_outlives_its_whole(
    amounts: dict[str, int], refusal: tuple[str, str]
) -> None:
    """What is left must be what a bill can have: or caps would be checked against nonsense."""
    world = Province()
    bill = blue(world)
    nothing: dict[str, Any] = {"account": 0, "cash": 0, "self_pay": 0, "self_expense": 0}
    item = world.reverse_item(bill, 2, **(nothing | amounts))
    assert world.refused("hospital", "bills.reverse", item) == refusal


def test_a_bill_of_zero_is_reversed_by_a_red_one_of_zero() -> None:
    world = Province()
    bill = world.reverse(blue(world, total=0), 2)
    assert (bill.state, bill.reversed_by) == ("reversed", [f"{PARTIAL}:0000000002"])
    assert refused(world, bill, 3) == ("bills.rev_ended", "bill")
    world.audit()


def test_V3_a_red_bill_is_never_reversed() -> None:
    world = Province()
    world.reverse(blue(world, code=CODE), 2)
    assert refused(world, world.bill(CODE, 2), 3) == ("bills.rev_of_red", "bill")


def test_a_part_is_reversed_only_where_the_type_allows_it() -> None:
    world = Province()
    bill = blue(world, code=CODE)
    assert refused(world, bill, 2, total=1_000) == ("bills.rev_partial_not_allowed", "total")
    bill = blue(world)
    for n in range(REVERSALS_MAX - 1):
        bill = world.reverse(bill, 2 + n, total=100)
    number = 2 + REVERSALS_MAX
    assert refused(world, bill, number, total=100) == ("bills.rev_partial_not_allowed", "total")
    assert world.reverse(bill, number).state == "reversed"
    world.audit()


def test_V6_red_number_and_change_of_status_are_one_step() -> None:
    world = Province()
    bill = blue(world, code=CODE)
    assert refused(world, bill, 1) == ("bills.number_used", "number")
    assert refused(world, bill, 2_000) == ("bills.number_not_allocated", "number")
    assert world.bill(bill.id) == bill
    world.reverse(bill, 2)
    assert world.bill(bill.id).state == "reversed"
    assert world.block_of().issued == 2


def test_G4_a_decision_on_an_older_version_is_refused() -> None:
    world = Province()
    bill = blue(world)
    world.reverse(bill, 2, total=100)
    refusal = ("kit.version_conflict", "version")
    item = world.reverse_item(bill, 3, total=100)
    assert world.refused("hospital", "bills.reverse", item) == refusal
    other = world.replace_item(bill, 3, 4)
    assert world.refused("hospital", "bills.replace", other) == refusal


def test_a_bill_is_reversed_in_its_time_and_not_before_it_was_made() -> None:
    world = Province()
    rules = replace(PARTIAL_RULES, reverse_within_seconds=3_600)
    world.define(PARTIAL // 100, 2, rules=rules, valid_from=world.instant(200))
    world.at += 200
    bill = blue(world, type_version=2)
    item = world.reverse_item(bill, 2, type_version=2, issued_at=world.instant(-1))
    world.at += 1
    early = replace(item, issued_at=world.instant(-2))
    assert world.refused("hospital", "bills.reverse", early) == ("bills.time_too_old", "issued_at")
    world.at += 3_600
    late = world.reverse_item(bill, 2, type_version=2)
    assert world.refused("hospital", "bills.reverse", late) == ("bills.rev_too_late", "bill")
    world.at -= 1
    world.do("hospital", "bills.reverse", replace(late, issued_at=world.instant()))


def test_last_years_bill_is_reversed_out_of_this_years_numbers() -> None:
    world = Province()
    bill = blue(world, code=CODE)
    world.at = parse_instant("2027-02-01T00:00:00Z")
    world.allot(code=CODE + 1, level=0, first=1, last=10)
    red = world.reverse_item(bill, 1, code=CODE + 1, level=0)
    world.do("hospital", "bills.reverse", red)
    assert world.bill(bill.id).reversed_by == ["33060127:0000000001"]


# ---------------------------------------------------------------------------------------- replace


def test_V7_a_replacement_names_what_it_replaces_and_chains_have_no_cycles() -> None:
    world = Province()
    bill, seen = blue(world, code=CODE), []
    for n in range(5):
        seen.append(bill.id)
        number = 2 + 2 * n
        world.do("hospital", "bills.replace", world.replace_item(bill, number, number + 1))
        old = world.bill(bill.id)
        new = world.bill(CODE, number + 1)
        assert (old.state, old.replaced_by, new.replaces) == ("reversed", new.id, bill.id)
        again = world.replace_item(old, 900, 901)
        refusal = ("bills.rev_ended", "bill")
        assert world.refused("hospital", "bills.replace", again) == refusal
        world.audit()
        bill = new
    chain = [bill.id]
    while (before := world.bill(chain[-1]).replaces) is not None:
        chain.append(before)
    assert chain[1:] == seen[::-1]


def test_a_replacement_is_done_whole_or_not() -> None:
    world = Province()
    bill = blue(world, code=CODE)
    for fields, refusal in (
        ({"red_number": 1}, ("bills.number_used", "red_number")),
        ({"number": 1}, ("bills.number_used", "number")),
        ({"number": 2}, ("bills.number_used", "number")),
        ({"currency": "USD"}, ("bills.currency_not_allowed", "currency")),
        ({"cash": 9_999}, ("bills.sum_sources", "account")),
        ({"settles": [f"{DEPOSIT}:0000000001"]}, ("bills.deposit_unknown", "settles/0")),
        ({"issued_at": world.instant(-1)}, ("bills.time_too_old", "issued_at")),
        ({"bill": f"{CODE}:0000000077"}, ("bills.rev_not_found", "bill")),
    ):
        item = replace(world.replace_item(bill, 2, 3), **fields)
        assert world.refused("hospital", "bills.replace", item) == refusal
    assert world.block_of().issued == 1


def test_a_replacement_takes_all_that_is_left() -> None:
    world = Province()
    bill = world.reverse(blue(world), 2, total=4_000)
    world.do("hospital", "bills.replace", world.replace_item(bill, 3, 4, code=PARTIAL))
    assert world.bill(PARTIAL, 3).amounts == parts(6_000)
    assert world.bill(PARTIAL, 4).amounts == parts(8_000)
    assert world.bill(bill.id).state == "reversed"
    world.audit()


def test_a_replacement_settles_the_deposits_of_the_old_bill_or_gives_them_free() -> None:
    world = Province()
    none: dict[str, Any] = {"self_pay": 0, "self_expense": 0}
    first, second, third = (world.issue(n, code=DEPOSIT, **none).id for n in (1, 2, 3))
    bill = blue(world, code=CODE, settles=[first, second])
    other = world.replace_item(bill, 2, 3, settles=[second, third])
    world.do("hospital", "bills.replace", other)
    new = world.bill(CODE, 3)
    assert world.bill(first).state == "issued"
    assert [world.bill(each).settled_by for each in (second, third)] == [new.id, new.id]
    world.audit()


def test_a_replacement_never_settles_what_it_reverses() -> None:
    """The type ceased to be one of deposits: the deposit would be reversed, and free again."""
    world = Province()
    rules = replace(DEPOSIT_RULES, deposit=False)
    world.define(DEPOSIT // 100, 2, rules=rules, valid_from=world.instant(3_600))
    deposit = blue(world, code=DEPOSIT, self_pay=0, self_expense=0)
    world.at += 3_600
    fields = {"code": DEPOSIT, "type_version": 2, "self_pay": 0, "self_expense": 0}
    item = world.replace_item(deposit, 2, 3, settles=[deposit.id], **fields)
    refusal = ("bills.relation_invalid", "settles")
    assert world.refused("hospital", "bills.replace", item) == refusal
    world.do("hospital", "bills.replace", world.replace_item(deposit, 2, 3, **fields))
    world.audit()


def test_a_suspended_issuer_reverses_what_it_owes_and_replaces_nothing() -> None:
    world = Province()
    bill = blue(world, code=CODE)
    item = SuspendIssuer(nonce=world.nonce(), issuer="hospital", reason="fraud")
    world.do("finance", "bills.suspend_issuer", item)
    other = world.replace_item(bill, 2, 3)
    assert world.refused("hospital", "bills.replace", other) == ("bills.issuer_suspended", "")
    assert world.reverse(bill, 2).state == "reversed"
