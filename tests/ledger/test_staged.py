"""Rows under proofs: whatever of the file is changed, it is noticed when it is read.

Invariant tested: a row that was read is under the state root, or `Damaged` was raised.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from probe import CODE, Cell, Set, probe_founders, probe_rules
from world import World, genesis_file

from tallystick.contracts.kit.context import Key, slot_key
from tallystick.ledger import staged
from tallystick.ledger.staged import StagedState, VerifiedRows, group_key, slot_place
from tallystick.protocol.errors import Damaged
from tallystick.protocol.row import row_key

NUMBERS = (5, 4096 * 3 + 17)
KEYS: list[Key] = [row_key(Cell.KIND, "a"), *(slot_key(CODE, number) for number in NUMBERS)]
ABSENT: list[Key] = ["probe.cell/zzz", slot_key(CODE, 6), slot_key(CODE, 9_999_999_999)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, probe_rules(), genesis_file(probe_founders("other")))
    items = [Set(nonce=world.nonce(), cell=name, value=1) for name in "abcdefgh"]
    items += [Set(nonce=world.nonce(), number=number, value=1) for number in NUMBERS]
    world.accept("other", "probe.set", *items)
    return world


def fresh(world: World) -> VerifiedRows:
    return VerifiedRows(world.ledger.store, world.ledger.head.state)


def table(key: Key) -> str:
    return "slots" if isinstance(key, int) else "rows"


@pytest.mark.parametrize("key", KEYS)
def test_a_changed_row_or_a_missing_one_is_damage(world: World, key: Key) -> None:
    row = fresh(world).get(key, Cell)
    assert row is not None
    data = world.ledger.store.row(key)
    assert data is not None
    db = world.ledger.store.db
    db.execute(f"UPDATE {table(key)} SET data = ? WHERE key = ?", (data[:-1] + b" ", key))
    with pytest.raises(Damaged, match=f"row {key} is not what the state root commits to"):
        fresh(world).get(key, Cell)
    db.execute(f"DELETE FROM {table(key)} WHERE key = ?", (key,))
    with pytest.raises(Damaged, match=f"row {key} is missing"):
        fresh(world).get(key, Cell)


@pytest.mark.parametrize("key", ABSENT)
def test_a_row_that_nobody_wrote_is_damage(world: World, key: Key) -> None:
    assert fresh(world).get(key, Cell) is None
    data = world.ledger.store.row(KEYS[0])
    world.ledger.store.db.execute(f"INSERT INTO {table(key)} VALUES (?, ?)", (key, data))
    with pytest.raises(Damaged, match=f"row {key} is not what"):
        fresh(world).get(key, Cell)


@pytest.mark.parametrize("name", ["map_groups", "page_groups"])
def test_every_stored_hash_that_is_read_must_lead_to_the_root(world: World, name: str) -> None:
    store = world.ledger.store
    column = "prefix" if name == "map_groups" else "key"
    for key, data in store.all(f"SELECT {column}, data FROM {name}"):
        for changed in (data[:-1] + bytes([data[-1] ^ 1]), data[:-1], b""):
            store.db.execute(f"UPDATE {name} SET data = ? WHERE {column} = ?", (changed, key))
            with pytest.raises(Damaged):
                read_all(fresh(world), world)
        store.db.execute(f"DELETE FROM {name} WHERE {column} = ?", (key,))
        with pytest.raises(Damaged):
            read_all(fresh(world), world)
        store.db.execute(f"INSERT INTO {name} VALUES (?, ?)", (key, data))
    read_all(fresh(world), world)


def read_all(rows: VerifiedRows, world: World) -> None:
    for key in world.rows():
        rows.row(key)


def test_a_small_cache_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged, "GROUPS_CACHED_MAX", 1)
    monkeypatch.setattr(staged, "ROWS_CACHED_MAX", 1)
    world.restart()
    for n in range(6):
        cells = [Set(nonce=world.nonce(), cell=f"{n}/{m}", value=m) for m in range(6)]
        slots = [Set(nonce=world.nonce(), number=1 + n * 4096 + m, value=m) for m in range(6)]
        world.accept("other", "probe.set", *cells, *slots)
    world.accept("other", "probe.set", Set(nonce=world.nonce(), cell="a", value=7))
    read_all(fresh(world), world)


def test_what_was_set_can_be_undone_to_any_mark(world: World) -> None:
    state = StagedState(fresh(world))
    row = state.get(KEYS[0], Cell)
    assert row is not None
    from_start = state.mark()
    state.set("probe.cell/a", row, b"i" * 32)
    state.set("probe.cell/new", row, b"i" * 32)
    middle = state.mark()
    state.set("probe.cell/new", row, b"j" * 32)
    state.rollback(middle)
    assert state.get("probe.cell/new", Cell) == row
    state.rollback(from_start)
    assert state.get("probe.cell/new", Cell) is None
    assert state.seal() == world.ledger.head.state
    assert state.writes.rows == []


def test_a_block_gives_the_same_root_whatever_was_cached(world: World) -> None:
    item = Set(nonce=world.nonce(), cell="a", value=9)
    data = world.transaction("other", "probe.set", item)
    checked = [world.ledger.check(data)]
    warm = world.ledger.execute(world.at, checked).leaf.state
    world.restart()
    assert world.ledger.execute(world.at, checked).leaf.state == warm
    world.ledger.commit()
    world.check()


def test_keys_of_slots_and_groups_do_not_overlap() -> None:
    assert slot_place(slot_key(CODE, 4096 * 3 + 17)) == (CODE, 3, 17)
    assert slot_place(slot_key(99_999_999, 9_999_999_999)) == (99_999_999, 2_441_406, 1_023)
    assert group_key(99_999_999, 2_441_406, 272) < 2**63
    assert group_key(CODE, 0, 511) < group_key(CODE, 1, 0)
    assert group_key(CODE, 2_441_406, 511) < group_key(CODE + 1, 0, 0)
