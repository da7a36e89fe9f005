"""What may be asked of one moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from province import CODE
from world import World

from tallystick.contracts.bills.records.bills import Allotment, Bill
from tallystick.contracts.kit.context import slot_key
from tallystick.protocol.errors import Damaged
from tallystick.protocol.row import row_key


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.prepare()
    world.issue(1, 2, 3)
    world.issue(1001, sender="clinic")
    return world


def test_rows_are_found_by_key_and_scanned_in_order(world: World) -> None:
    with world.ledger.view() as view:
        bill = view.get(slot_key(CODE, 2), Bill)
        assert bill is not None
        assert bill.id == f"{CODE}:0000000002"
        assert view.get(slot_key(CODE, 4), Bill) is None
        numbers = [row.id[-4:] for row in view.scan_slots(Bill, CODE, 2, 9_999_999_999)]
        assert numbers == ["0002", "0003", "1001"]
        assert list(view.scan_slots(Bill, CODE + 1, 1, 9_999_999_999)) == []
        blocks = [row.id for row in view.scan(Allotment, f"{CODE}/3/")]
        assert blocks == [f"{CODE}/3/0000000001", f"{CODE}/3/0000001001"]
        assert view.get(row_key(Allotment.KIND, blocks[0]), Allotment) is not None


def test_a_view_stays_at_its_moment(world: World) -> None:
    with world.ledger.view() as view:
        world.issue(4)
        assert view.get(slot_key(CODE, 4), Bill) is None
        assert [len(list(view.scan_slots(Bill, CODE, 1, 9)))] == [3]
        with pytest.raises(Damaged):
            view.segment(view.head.size)
    with world.ledger.view() as view:
        assert view.get(slot_key(CODE, 4), Bill) is not None


def test_a_scan_stops_at_the_first_row_that_was_changed(world: World) -> None:
    store = world.ledger.store
    data = store.row(slot_key(CODE, 2))
    assert data is not None
    changed = data.replace(b'"total":10000', b'"total":10001')
    assert changed != data
    store.db.execute("UPDATE slots SET data = ? WHERE key = ?", (changed, slot_key(CODE, 2)))
    seen = []
    with world.ledger.view() as view, pytest.raises(Damaged, match=f"row {slot_key(CODE, 2)}"):
        seen += [row.id for row in view.scan_slots(Bill, CODE, 1, 9)]
    assert seen == []


def test_blocks_segments_and_keys_seen(world: World) -> None:
    with world.ledger.view() as view:
        record = view.block(view.head.block)
        assert record is not None
        assert (record.size, record.root) == (view.head.size, view.head.root)
        assert view.block(view.head.block + 1) is None
        segments = list(view.segments(0, view.head.size))
        assert segments[-1] == view.segment(record.first)
        transaction = world.ledger.check(segments[-1].data)
        header = transaction.header
        found = view.seen(header.sender, header.idempotency)
        assert found == (transaction.tx_id, record.first)
        assert view.seen(header.sender, bytes(16)) is None
