"""The file: what a commit makes durable, what readers see, what damage is called."""

from __future__ import annotations

import threading
from pathlib import Path

import apsw
import pytest
from world import World

from tallystick.durable import Locked
from tallystick.ledger.records import LEAF_BYTES, Segment
from tallystick.ledger.sqlite import FILE
from tallystick.ledger.staged import Writes
from tallystick.ledger.store import Store, read_beside, tile_key
from tallystick.protocol import merkle
from tallystick.protocol.errors import Damaged


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.prepare()
    return world


def test_a_commit_that_fails_leaves_everything_as_it_was(world: World) -> None:
    store, head, rows = world.ledger.store, world.ledger.head, world.rows()
    writes = Writes(root=bytes(32), rows=[("probe.cell/a", b"{}")])
    twice = [Segment(100, 1, 9, bytes(32), b"{}", data) for data in (b"x", b"y")]
    with pytest.raises(Damaged, match="UNIQUE"):
        store.commit(head, writes, segments=twice)
    assert (store.head(), world.rows()) == (head, rows)
    world.check()
    world.issue(1)


def test_a_reader_sees_one_moment_and_a_new_one_the_next(world: World) -> None:
    with world.ledger.store.snapshot() as snapshot:
        before = snapshot.head()
        world.issue(1, 2)
        assert snapshot.head() == before
        with world.ledger.store.snapshot() as second:
            assert second.head() == world.ledger.head
    with world.ledger.store.snapshot() as snapshot:
        assert snapshot.head() == world.ledger.head


def test_many_readers_at_once_each_see_their_own_moment(world: World) -> None:
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                with world.ledger.view() as view:
                    assert view.head.size == view.head.size
                    assert view.segment(0).first == 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(1, 20):
        world.put(world.transaction("hospital", "bills.issue", world.issue_item(number)))
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    world.check()


def test_the_wal_is_moved_by_the_writer_and_from_beside(world: World) -> None:
    store = world.ledger.store
    assert store.wal_bytes() > 0
    store.checkpoint_beside()
    store.checkpoint()
    moved = store.path.stat().st_size
    world.issue(1)
    assert store.path.stat().st_size == moved  # a block goes to the WAL
    store.checkpoint_beside()
    world.check()


def test_a_wal_that_began_anew_holds_little_though_its_file_is_as_long_as_before(
    world: World,
) -> None:
    store = world.ledger.store
    for number in range(1, 9):
        world.issue(number)
    file = store.path.with_name(store.path.name + "-wal")
    long, held = file.stat().st_size, store.wal_bytes()
    store.checkpoint()
    world.issue(9)
    assert file.stat().st_size == long
    assert 0 < store.wal_bytes() < held / 2
    world.check()


def test_a_second_writer_is_told_so_and_a_reader_beside_is_not(world: World) -> None:
    with pytest.raises(Locked, match="open in another process"):
        Store.open(world.folder)
    with read_beside(world.folder) as snapshot:
        assert snapshot.head() == world.ledger.head
    with pytest.raises(FileNotFoundError), read_beside(world.folder / "none"):
        raise AssertionError


def test_what_is_no_ledger_is_damage_that_names_the_file(tmp_path: Path) -> None:
    for name, data in (("junk", b"no database" * 1000), ("empty", b"")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / FILE).write_bytes(data)
        with pytest.raises(Damaged, match=FILE):
            Store.open(folder)
        with pytest.raises(Damaged, match=FILE), read_beside(folder):
            raise AssertionError
    db = apsw.Connection(str(tmp_path / "empty" / FILE))
    db.execute("CREATE TABLE other (x)")
    db.close()
    with pytest.raises(Damaged, match="no ledger of ours"):
        Store.open(tmp_path / "empty")


def test_an_older_ledger_is_told_apart_and_what_to_do_is_said(world: World) -> None:
    world.ledger.store.db.execute(f"PRAGMA application_id = {0x7A11_0001}")
    world.ledger.close()
    with pytest.raises(Damaged, match="version 1, this program has version 2: import its feed"):
        Store.open(world.folder)
    with pytest.raises(Damaged, match="version 1"), read_beside(world.folder):
        raise AssertionError


def test_the_leaves_are_kept_by_sixteen_over_all_blocks(world: World) -> None:
    store = world.ledger.store
    for start in range(10, 200, 19):
        world.issue(*range(start, start + 19))
    size = world.ledger.head.size
    kept = store.leaves(0, size)
    assert len(kept) == size * LEAF_BYTES
    assert kept == b"".join([store.leaves(index, index + 1) for index in range(size)])
    hashes = [kept[at : at + 32] for at in range(0, len(kept), LEAF_BYTES)]
    assert merkle.root(hashes) == world.ledger.head.root
    place, segment = store.place(30), store.segment(30)
    assert place is not None
    assert segment is not None
    assert place == segment[:-1]
    assert (place.items, store.place(-1)) == (19, None)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("DELETE FROM head", "has no head"),
        ("UPDATE head SET data = x'7b7d'", "the head is not what was written"),
        ("UPDATE blocks SET data = x'00'", "block 1 is not what was written"),
        ("DELETE FROM tiles", "lacks tile 0/0"),
        ("UPDATE tiles SET data = substr(data, 2)", "lacks tile 0/0"),
    ],
)
def test_damage_names_what_it_is_of(world: World, sql: str, says: str) -> None:
    store = world.ledger.store
    store.db.execute(sql)
    with pytest.raises(Damaged, match=says):
        for _ in range(1):
            store.head()
            store.block(1)
            store.read(0, 0, world.ledger.head.size)


def test_segments_are_found_by_any_of_their_entries(world: World) -> None:
    world.issue(1, 2, 3)
    store = world.ledger.store
    first = world.ledger.head.size - 4
    for index in range(first, first + 3):
        segment = store.segment(index)
        assert segment is not None
        assert segment.first == first
    assert store.segment(-1) is None
    assert [each.first for each in store.segments(0, first)] == [0, 2, 4, 6]


def test_keys_of_tiles_do_not_overlap() -> None:
    assert tile_key(0, 2**45) < tile_key(1, 0) < tile_key(6, 0) < 2**63
