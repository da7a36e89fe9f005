"""Withheld bills, suspended issuers, what the archive says; and that nothing personal fits in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec.inspect
import pytest
from acts import nonce
from province import CODE, PARTIAL, Province

from tallystick.contracts.bills import DOMAIN
from tallystick.contracts.bills.items.bills import (
    Archived,
    Release,
    ResumeIssuer,
    SuspendIssuer,
    Withhold,
)
from tallystick.contracts.bills.records.bills import EXCEPTIONS_MAX, Bill, Exceptions, Issuer
from tallystick.contracts.bills.views.bills import find_issuer, is_archived
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.errors import Malformed
from tallystick.protocol.transaction import ITEM_BYTES_MAX


def of_bill(kind: type[Withhold] | type[Release], bill: Bill, **fields: Any) -> Withhold | Release:
    named: dict[str, Any] = {"bill": bill.id, "version": bill.version, "reason": "arrears"}
    return kind(nonce=nonce(1), **(named | fields))


def test_a_withheld_bill_does_not_circulate_until_it_is_released() -> None:
    world = Province()
    bill = world.issue(1)
    assert world.refused("hospital", "bills.release", of_bill(Release, bill)) == (
        "bills.unchanged",
        "bill",
    )
    world.do("hospital", "bills.withhold", of_bill(Withhold, bill))
    held = world.bill(bill.id)
    assert (held.circulable, held.good, held.reason) == (False, True, "arrears")
    again = of_bill(Withhold, held)
    assert world.refused("hospital", "bills.withhold", again) == ("bills.unchanged", "bill")
    stale = of_bill(Release, bill)
    assert world.refused("hospital", "bills.release", stale) == ("kit.version_conflict", "version")
    world.do("hospital", "bills.release", of_bill(Release, held, reason="paid"))
    assert world.bill(bill.id).circulable


def test_only_the_issuer_withholds_and_only_what_stands() -> None:
    world = Province()
    bill = world.issue(1)
    refusal = ("bills.other_issuer", "bill")
    assert world.refused("clinic", "bills.withhold", of_bill(Withhold, bill)) == refusal
    after = world.reverse(bill, 2)
    refusal = ("bills.bill_state", "bill")
    assert world.refused("hospital", "bills.withhold", of_bill(Withhold, after)) == refusal
    refusal = ("bills.bill_unknown", "bill")
    for row in (world.bill(CODE, 2), replace(bill, id=f"{CODE}:0000000009")):
        assert world.refused("hospital", "bills.withhold", of_bill(Withhold, row)) == refusal


def test_a_suspended_issuer_issues_nothing() -> None:
    world = Province()
    stop = SuspendIssuer(nonce=nonce(1), issuer="hospital", reason="fraud")
    go = ResumeIssuer(nonce=nonce(1), issuer="hospital", reason="cleared")
    refusal = ("bills.unchanged", "issuer")
    assert world.refused("finance", "bills.resume_issuer", go) == refusal
    world.do("finance", "bills.suspend_issuer", stop)
    assert world.refused("finance", "bills.suspend_issuer", stop) == refusal
    item = world.issue_item(1)
    assert world.refused("hospital", "bills.issue", item) == ("bills.issuer_suspended", "")
    row = find_issuer(world.rows, "hospital")
    assert row is not None
    assert (row.good, row.reason) == (False, "fraud")
    world.do("finance", "bills.resume_issuer", go)
    world.do("hospital", "bills.issue", item)
    unknown = SuspendIssuer(nonce=nonce(1), issuer="nobody", reason="fraud")
    refusal = ("bills.org_unknown", "issuer")
    assert world.refused("finance", "bills.suspend_issuer", unknown) == refusal


def test_G1_only_finance_supervises_and_only_issuers_issue() -> None:
    world = Province()
    stop = SuspendIssuer(nonce=nonce(1), issuer="clinic", reason="fraud")
    assert world.refused("hospital", "bills.suspend_issuer", stop) == ("kit.no_grant", "")
    done = Archived(nonce=nonce(1), issuer="hospital", below=0)
    assert world.refused("hospital", "bills.archived", done) == ("kit.no_grant", "")
    refusal = ("kit.no_grant", "")
    assert world.refused("insurer", "bills.issue", world.issue_item(1)) == refusal


# ---------------------------------------------------------------------------------------- archive


def archived(below: int, *exceptions: tuple[int, list[int]]) -> Archived:
    named = [Exceptions(code=code, numbers=numbers) for code, numbers in exceptions]
    return Archived(nonce=nonce(1), issuer="hospital", below=below, exceptions=named)


def test_the_archive_goes_forward_and_its_exceptions_shrink() -> None:
    world = Province()
    for number in (1, 2, 3):
        world.issue(number)
    world.issue(1, code=PARTIAL)
    entry = world.bill(CODE, 3).entry or 0
    world.do("finance", "bills.archived", archived(entry + 1, (CODE, [1, 3])))
    bills = [world.bill(CODE, number) for number in (1, 2, 3)] + [world.bill(PARTIAL, 1)]
    assert [is_archived(world.rows, bill) for bill in bills] == [False, True, False, False]
    row = find_issuer(world.rows, "hospital")
    assert row is not None
    assert (row.below, row.state, row.overdue_from) == (entry + 1, "active", world.instant(86_400))
    for item, refusal in (
        (archived(entry), ("bills.archived_back", "below")),
        (archived(entry + 1, (CODE, [2])), ("bills.archived_back", "exceptions/0/numbers")),
        (
            archived(entry + 1, (PARTIAL, [1])),
            ("bills.exception_invalid", "exceptions/0/numbers"),
        ),
        (archived(world.index + 9), ("bills.exception_invalid", "below")),
    ):
        assert world.refused("finance", "bills.archived", item) == refusal
    world.do("finance", "bills.archived", archived(world.index, (CODE, [3]), (PARTIAL, [1])))
    world.do("finance", "bills.archived", archived(world.index))
    row = find_issuer(world.rows, "hospital")
    assert row is not None
    assert (row.exceptions, row.overdue_from) == ([], None)


@pytest.mark.parametrize(
    "exceptions",
    [
        [(CODE, [9])],
        [(CODE, [2, 1])],
        [(CODE, [1, 1])],
        [(CODE, [4])],
        [(PARTIAL, [1]), (CODE, [1])],
        [(CODE, [1]), (CODE, [2])],
        [(CODE, list(range(1, 300))), (PARTIAL, list(range(1, 300)))],
    ],
)
def test_exceptions_are_bills_of_the_issuer_in_one_order(
    exceptions: list[tuple[int, list[int]]],
) -> None:
    world = Province()
    for number in (1, 2):
        world.issue(number)
    world.issue(1, code=PARTIAL)
    void = {"code": CODE, "level": 3, "first": 1, "start": 4, "end": 4, "reason": "spoiled"}
    kind: Any = world.actions["bills.void_numbers/1"].item
    world.do("hospital", "bills.void_numbers", kind(nonce=nonce(1), **void))
    reason, path = world.refused("finance", "bills.archived", archived(world.index, *exceptions))
    assert reason == "bills.exception_invalid"
    assert path.startswith("exceptions")


def test_the_longest_list_of_exceptions_fits() -> None:
    numbers = [9_999_999_000 + n for n in range(EXCEPTIONS_MAX)]
    item = archived(2**53 - 1, (99_999_999, numbers))
    row = Issuer(
        kind=Issuer.KIND, id="h" * 40, state="active", good=True, exceptions=item.exceptions
    )
    assert len(encode(item)) < ITEM_BYTES_MAX
    assert len(encode(row)) < ITEM_BYTES_MAX - 512


# --------------------------------------------------------------------------------- nothing personal


def loose(kind: msgspec.inspect.Type, path: str) -> Iterator[str]:
    """Where a text of one's own choice, or bytes of any length, would fit in."""
    match kind:
        case msgspec.inspect.StrType(pattern=None) | msgspec.inspect.AnyType():
            yield path
        case msgspec.inspect.BytesType(min_length=least, max_length=most) if least != most:
            yield path
        case msgspec.inspect.StructType():
            assert kind.forbid_unknown_fields
            for field in kind.fields:
                yield from loose(field.type, f"{path}/{field.encode_name}")
        case msgspec.inspect.UnionType(types=kinds):
            for each in kinds:
                yield from loose(each, path)
        case msgspec.inspect.CollectionType(item_type=each):
            yield from loose(each, path)
        case (
            msgspec.inspect.VarTupleType(item_type=each) | msgspec.inspect.ListType(item_type=each)
        ):
            yield from loose(each, path)
        case msgspec.inspect.DictType(key_type=key, value_type=value):
            yield from loose(key, path)
            yield from loose(value, path)


@pytest.mark.parametrize("name", sorted(DOMAIN.actions))
def test_G5_nothing_personal_passes_the_schema(name: str) -> None:
    kind = DOMAIN.actions[name].item
    assert list(loose(msgspec.inspect.type_info(kind), name)) == []
    with pytest.raises(Malformed):
        decode(b'{"name":"x","nonce":"AAAAAAAAAAAAAAAAAAAAAA=="}', kind)


@pytest.mark.parametrize("kind", DOMAIN.rows)
def test_G5_no_row_holds_text(kind: type) -> None:
    assert list(loose(msgspec.inspect.type_info(kind), kind.__name__)) == []


def test_G3_expiry_and_windows_follow_the_blocks_clock_alone() -> None:
    """The same item at the same ledger time has the same fate, whenever it is executed."""
    world, other = Province(), Province()
    items = [world.issue_item(n, issued_at=world.instant(n * 60)) for n in range(1, 6)]
    outcomes = world.act("hospital", "bills.issue", *items)
    assert outcomes == other.act("hospital", "bills.issue", *items)
    assert outcomes == ["accepted"] * 2 + ["bills.time_future"] * 3
    assert world.rows.data == other.rows.data
