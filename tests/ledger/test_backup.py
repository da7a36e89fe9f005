"""A copy while it runs: a state that was acknowledged, whole, and never a key in it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from world import World

from tallystick.ledger import backup as module
from tallystick.ledger.backup import backup
from tallystick.ledger.doctor import examine
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.records import Head
from tallystick.protocol.errors import Damaged, TallystickError


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "ledger")
    world.prepare()
    world.issue(1, 2, 2)
    return world


def test_a_copy_is_the_ledger_and_goes_on_like_it(world: World, tmp_path: Path) -> None:
    (world.folder / "keys").mkdir()
    (world.folder / "keys" / "log.key").write_text("secret")
    (world.folder / "feed").mkdir()
    told: list[tuple[int, int]] = []
    head = backup(world.folder, tmp_path / "copy", lambda done, all_: told.append((done, all_)))
    assert head == world.ledger.head
    assert told[-1][0] == told[-1][1] > 0
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert names <= {"genesis.json", "ledger.db", "lock"}
    assert examine(tmp_path / "copy", world.rules, now=world.at).findings == []
    world.ledger.close()
    world.folder = tmp_path / "copy"
    world.ledger = Ledger.open(world.folder, world.rules)
    world.check()
    world.issue(3)


def test_a_copy_under_load_is_a_state_that_was_acknowledged(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGES_A_STEP", 1)
    acknowledged: list[Head] = [world.ledger.head]
    stop, going = threading.Event(), threading.Event()

    def write() -> None:
        for number in range(10, 900):
            if stop.is_set():
                return
            world.put(world.transaction("hospital", "bills.issue", world.issue_item(number)))
            acknowledged.append(world.ledger.head)
            going.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        going.wait(30)
        heads = [backup(world.folder, tmp_path / f"copy-{n}") for n in range(4)]
    finally:
        stop.set()
        writer.join()
    assert len({head.block for head in heads}) > 1
    for n, head in enumerate(heads):
        assert head in acknowledged
        assert examine(tmp_path / f"copy-{n}", world.rules, deep=n == 3).findings == []
    world.check()


def test_a_copy_goes_only_where_nothing_is(world: World, tmp_path: Path) -> None:
    backup(world.folder, tmp_path / "copy")
    with pytest.raises(FileExistsError, match="is not empty"):
        backup(world.folder, tmp_path / "copy")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileExistsError):
        backup(world.folder, tmp_path / "file")


def test_a_damaged_ledger_gives_no_copy(world: World, tmp_path: Path) -> None:
    world.ledger.store.db.execute("UPDATE segments SET refused = x'7b7d' WHERE block = 5")
    with pytest.raises(Damaged, match="entry 10"):
        backup(world.folder, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_whoever_breaks_off_leaves_nothing(world: World, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise TallystickError("enough")

    with pytest.raises(TallystickError, match="enough"):
        backup(world.folder, tmp_path / "copy", stop)
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]
    world.issue(3)
