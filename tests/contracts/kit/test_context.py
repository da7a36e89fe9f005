"""What an action sees of the state, and how its rows are counted."""

from __future__ import annotations

import pytest
from acts import Rows

from tallystick.contracts.kit.context import (
    FOUNDING_INDEX,
    Context,
    Environment,
    slot_key,
)
from tallystick.contracts.kit.grants import Authority
from tallystick.contracts.kit.reasons import KitReason
from tallystick.protocol.errors import Rejected

ENV = Environment(network=bytes(32), region=33, utc_offset_seconds=28_800, block=7, block_time=99)


def context(rows: Rows, index: int = 5) -> Context:
    return Context(
        state=rows,
        env=ENV,
        sender="finance",
        key=bytes(32),
        action="bills.issue/1",
        tx_id="ab" * 32,
        n=3,
        index=index,
        item_hash=bytes(32),
    )


def row(state: str = "held") -> Authority:
    return Authority(kind=Authority.KIND, id="finance", state=state, good=True)


def test_a_row_names_the_entry_that_made_it_and_counts_its_versions() -> None:
    rows = Rows()
    made = context(rows).put(row())
    assert (made.entry, made.version) == (5, 1)
    later = context(rows, 9).put(made, state="suspended")
    assert (later.entry, later.version, later.state) == (5, 2, "suspended")
    assert context(rows).find(Authority, "finance") == later


def test_no_entry_made_what_the_founding_file_says() -> None:
    rows = Rows()
    founded = context(rows, FOUNDING_INDEX).put(row())
    assert (founded.entry, founded.version) == (None, 1)
    assert context(rows).put(founded).entry is None


def test_a_numbered_row_lies_under_its_number() -> None:
    rows = Rows()
    ctx = context(rows)
    assert ctx.find_slot(Authority, 33060126, 100) is None
    put = ctx.put_slot(33060126, 100, row(), state="suspended")
    assert ctx.find_slot(Authority, 33060126, 100) == put
    assert list(rows.data) == [slot_key(33060126, 100)] == [330601260000000100]
    assert list(rows.scan_slots(Authority, 33060126, 1, 100)) == [put]
    assert list(rows.scan_slots(Authority, 33060126, 1, 99)) == []


def test_slot_keys_ascend_with_code_and_number() -> None:
    assert slot_key(1, 9_999_999_999) < slot_key(2, 0)


def test_fetch_refuses_with_the_reason_and_path_it_is_given() -> None:
    with pytest.raises(Rejected) as refusal:
        context(Rows()).fetch(Authority, "finance", KitReason.NO_GRANT, "org")
    assert (refusal.value.reason, refusal.value.path) == (KitReason.NO_GRANT, "org")
    rows = Rows()
    put = context(rows).put(row())
    assert context(rows).fetch(Authority, "finance", KitReason.NO_GRANT) == put


def test_a_thing_without_a_number_has_the_id_of_its_item() -> None:
    assert context(Rows()).item_id == "ab" * 32 + ".3"
    assert context(Rows()).block_time == 99
