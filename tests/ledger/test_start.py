"""What a start looks at: enough to see what was torn last, and no more than that."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import World

from tallystick.ledger import start
from tallystick.ledger.records import BlockRecord
from tallystick.ledger.start import check_recent, checked_blocks
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Damaged
from tallystick.protocol.values import parse_instant


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.prepare()
    world.issue(1, 2, 2)
    world.put(
        world.transaction("hospital", "bills.issue", world.issue_item(3)),
        world.transaction("clinic", "bills.issue", world.issue_item(1001, first=1001)),
    )
    return world


def test_a_sound_ledger_passes_at_every_age(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert check_recent(world.ledger).blocks == 0
    world.prepare()
    assert check_recent(world.ledger).blocks == 4
    for number in range(1, 72):
        world.put(world.transaction("hospital", "bills.issue", world.issue_item(number)))
    world.restart()
    checked = check_recent(world.ledger)
    assert (checked.blocks, checked.leaves) == (64, 128)


def test_a_start_is_bounded_by_leaves_but_sees_the_newest_block(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "LEAVES_MAX", 1)
    assert check_recent(world.ledger) == start.Checked(1, 3)
    monkeypatch.setattr(start, "LEAVES_MAX", 7)
    assert check_recent(world.ledger) == start.Checked(2, 7)
    world.issue(*range(10, 300))
    assert check_recent(world.ledger).blocks == 1


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE segments SET refused = x'7b7d' WHERE block = 5", r"tile 0/0, hash 10 is not what"),
        ("UPDATE segments SET refused = x'7b' WHERE block = 5", "the transaction of entry 8"),
        ("UPDATE segments SET data = CAST(replace(data, '10000', '10001') AS BLOB)", "entry 2"),
        ("UPDATE segments SET data = CAST(data AS TEXT)", "no row of ours"),
        ("UPDATE segments SET first = 9 WHERE first = 8", "begins at entry 9, where entry 8"),
        ("UPDATE segments SET block = 4 WHERE block = 5", "begins at entry 8, where"),
        ("DELETE FROM segments WHERE first = 13", "block 6 has 2 leaves, its record says 3"),
        ("DELETE FROM blocks WHERE block = 5", "lacks the record of block 5"),
        ("UPDATE tiles SET data = zeroblob(480)", "do not give the root|hash 0"),
    ],
)
def test_damage_is_named_with_file_and_first_difference(world: World, sql: str, says: str) -> None:
    world.ledger.store.db.execute(sql)
    with pytest.raises(Damaged, match=says) as raised:
        check_recent(world.ledger)
    assert str(world.ledger.store.path) in str(raised.value)


def change(world: World, number: int, **changes: int | bytes) -> None:
    record = world.ledger.store.block(number)
    assert record is not None
    data = encode(replace(record, **changes))
    world.ledger.store.db.execute("UPDATE blocks SET data = ? WHERE block = ?", (data, number))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"block": 4}, "the record of block 5 calls itself 4"),
        ({"first": 9}, "begins at 9, not at 8"),
        ({"size": 9}, "ends at 9"),
        ({"size": 11}, "has 4 leaves, its record says 3"),
        ({"at": 5}, "time went back"),
        ({"at": 2_000_000_000}, "hash 8 is not what the transaction and outcome of entry 8"),
        ({"state": bytes(32)}, "hash 11 is not what the block leaf of entry 11"),
        ({"root": bytes(32)}, "the recorded root of block 5"),
    ],
)
def test_a_record_must_be_what_the_log_says(
    world: World, changes: dict[str, int | bytes], says: str
) -> None:
    change(world, 5, **changes)
    with pytest.raises(Damaged, match=says):
        check_recent(world.ledger)


def test_the_head_must_be_what_the_last_block_left(world: World) -> None:
    for changes in ({"state": bytes(32)}, {"at": world.at + 1}):
        store, head = world.ledger.store, world.ledger.head
        data = encode(replace(head, **changes))
        store.db.execute("UPDATE head SET data = ?", (data,))
        with pytest.raises(Damaged, match="the head is not what block 6 left"):
            check_recent(world.ledger)
        store.db.execute("UPDATE head SET data = ?", (encode(head),))
    check_recent(world.ledger)


def test_a_hash_above_the_lowest_tiles_is_looked_at_too(world: World) -> None:
    for first in (10, 400):
        items = [world.issue_item(number) for number in range(first, first + 300)]
        world.put(world.transaction("hospital", "bills.issue", *items))
    check_recent(world.ledger)
    store = world.ledger.store
    level = store.one("SELECT max(key) FROM tiles")
    data = store.one("SELECT data FROM tiles WHERE key = ?", level)
    changed = bytes([data[0] ^ 1]) + data[1:]
    store.db.execute("UPDATE tiles SET data = ? WHERE key = ?", (changed, level))
    with pytest.raises(Damaged, match="tile 1/0, hash 0 is not the root of the tile below it"):
        check_recent(world.ledger)


def test_blocks_can_be_walked_from_any_of_them(world: World) -> None:
    founded_at = parse_instant(world.ledger.genesis.founded_at)
    numbers = []
    for first in range(1, 7):
        found: list[BlockRecord] = [
            block.record for block in checked_blocks(world.ledger.store, founded_at, first)
        ]
        numbers.append([record.block for record in found])
    assert numbers == [list(range(first, 7)) for first in range(1, 7)]
