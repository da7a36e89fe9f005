"""Types: versions one after the other, rules that make sense, nothing reinterpreted."""

from __future__ import annotations

from typing import Any

import pytest
from bodies import ITEM_NAMES, OUTPATIENT
from province import CODE, Province

from tallystick.contracts.bills.items.bills import Issue
from tallystick.contracts.bills.records.bills import ITEM_CODES_MAX, TypeRules
from tallystick.contracts.bills.views.bills import find_type, find_type_at, list_types
from tallystick.protocol.canonical import replace
from tallystick.protocol.values import format_instant, parse_instant

TYPE = CODE // 100


def test_versions_follow_each_other_and_the_former_ends_where_the_next_begins() -> None:
    world = Province()
    begins = world.instant(3600)
    world.define(TYPE, 2, valid_from=begins)
    first, second = find_type(world.rows, TYPE, 1), find_type(world.rows, TYPE)
    assert first is not None
    assert second is not None
    assert (first.until, second.type_version, second.until) == (begins, 2, None)
    assert find_type_at(world.rows, TYPE, world.at) == first
    assert find_type_at(world.rows, TYPE, world.at + 3600) == second
    assert find_type_at(world.rows, TYPE, 0) is None
    assert find_type(world.rows, 339999) is None
    assert [each.id for each in list_types(world.rows)] == ["330601/2", "330602/1", "330605/1"]


@pytest.mark.parametrize(
    ("type_id", "version", "fields", "refusal"),
    [
        (320601, 1, {}, ("bills.code_type_mismatch", "type")),
        (TYPE, 1, {}, ("kit.version_conflict", "type_version")),
        (TYPE, 3, {}, ("kit.version_conflict", "type_version")),
        (TYPE, 2, {"valid_from": "2026-02-30T00:00:00Z"}, ("kit.instant_invalid", "valid_from")),
        (TYPE, 2, {}, ("bills.valid_from", "valid_from")),
    ],
)
def test_what_is_no_next_version_is_refused(
    type_id: int, version: int, fields: dict[str, Any], refusal: tuple[str, str]
) -> None:
    world = Province()
    item = world.define_item(type_id, version, **fields)
    assert world.refused("finance", "bills.define_type", item) == refusal


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"issue_future_seconds_max": 59}, "rules/issue_future_seconds_max"),
        ({"issue_past_seconds_max": 2**53 - 1}, "rules/issue_past_seconds_max"),
        ({"reverse_within_seconds": 2**53 - 1}, "rules/reverse_within_seconds"),
        ({"year_grace_days": 367}, "rules/year_grace_days"),
        ({"archive_within_seconds": 0}, "rules/archive_within_seconds"),
        ({"archive_within_seconds": 15, "ack": "record"}, "rules/archive_within_seconds"),
        ({"deposit": True}, "rules/claims"),
        ({"currencies": ("CNY", "CNY")}, "rules/currencies"),
        ({"item_codes": ("01", "01")}, "rules/item_codes"),
        ({"item_codes": tuple(f"code-{n:04d}" for n in range(ITEM_CODES_MAX))}, "rules"),
    ],
)
def test_rules_that_no_ledger_could_keep_are_refused(changes: dict[str, Any], path: str) -> None:
    world = Province()
    rules: TypeRules = replace(OUTPATIENT, **changes)
    item = world.define_item(331234, rules=rules)
    assert world.refused("finance", "bills.define_type", item) == ("bills.type_rules", path)


def test_rules_at_their_bounds_are_accepted() -> None:
    world = Province()
    rules = replace(
        OUTPATIENT,
        ack="record",
        archive_within_seconds=0,
        issue_future_seconds_max=60,
        year_grace_days=366,
        item_codes=tuple(f"x{n:03d}" for n in range(ITEM_CODES_MAX - 250)),
    )
    world.define(331234, rules=rules)
    assert len(ITEM_NAMES) < len(rules.item_codes)


def test_G6_catalogue_changes_never_reinterpret_old_bills() -> None:
    world = Province()
    before = world.issue(1)
    ahead = OUTPATIENT.issue_future_seconds_max
    dated_ahead = world.issue(2, issued_at=world.instant(ahead))
    stricter = replace(OUTPATIENT, zero_total=False, liability="absent", partial_reversal=True)
    too_early = world.define_item(TYPE, 2, rules=stricter, valid_from=world.instant(ahead))
    refusal = ("bills.valid_from", "valid_from")
    assert world.refused("finance", "bills.define_type", too_early) == refusal
    world.define(TYPE, 2, rules=stricter, valid_from=world.instant(ahead + 1))
    version_1 = find_type(world.rows, TYPE, 1)
    assert version_1 is not None
    assert version_1.rules == OUTPATIENT
    assert world.bill(before.id) == before
    assert world.bill(dated_ahead.id) == dated_ahead
    # A bill of version 1 is still reversed by its own rules: no part of it alone.
    world.at += ahead + 2
    partial = world.reverse_item(before, 3, total=1_000, type_version=2)
    refusal = ("bills.rev_partial_not_allowed", "total")
    assert world.refused("hospital", "bills.reverse", partial) == refusal


def test_a_bill_names_the_version_in_force_at_its_time() -> None:
    world = Province()
    begins = world.instant(3600)
    world.define(TYPE, 2, valid_from=begins)

    def of(version: int, issued_at: str) -> Issue:
        return world.issue_item(1, type_version=version, issued_at=issued_at)

    refusal = ("bills.type_expired", "issued_at")
    assert world.refused("hospital", "bills.issue", of(2, world.instant())) == refusal
    world.at += 3600
    assert world.refused("hospital", "bills.issue", of(1, begins)) == refusal
    eve = format_instant(parse_instant(begins) - 1)
    assert world.refused("hospital", "bills.issue", of(2, eve)) == refusal
    assert world.act("hospital", "bills.issue", of(1, eve)) == ["accepted"]
    assert world.refused("hospital", "bills.issue", of(3, begins)) == (
        "bills.type_unknown",
        "type_version",
    )
