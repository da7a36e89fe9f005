"""Export and import: the same roots, or nothing at all."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probe import BUGS, Set, probe_founders, probe_rules
from world import World, genesis_file, signer

from tallystick.ledger.feed import FeedReader, pack_frame
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.portable import export_ledger, import_ledger
from tallystick.ledger.replay import Difference
from tallystick.protocol.checkpoint import format_note, parse_note, sign_note
from tallystick.protocol.errors import Damaged, VerificationFailed


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "ledger")
    world.prepare()
    world.issue(1, 2, 2)
    world.issue(1001, sender="clinic")
    return world


def test_a_ledger_comes_back_the_same_with_all_its_rows(world: World, tmp_path: Path) -> None:
    told: list[int] = []
    head = export_ledger(world.folder, tmp_path / "export", told.append, note=world.note())
    assert head == world.ledger.head
    assert told == [1, 2, 3, 4, 5, 6]
    imported = tmp_path / "imported"
    told.clear()
    assert import_ledger(tmp_path / "export", imported, world.rules, told.append) == head
    assert told == [1, 2, 3, 4, 5, 6]
    with Ledger.open(imported, world.rules) as ledger:
        for name in ("slots", "rows", "page_groups", "map_groups", "tiles", "segments", "blocks"):
            sql = f"SELECT * FROM {name}"
            assert ledger.store.all(sql) == world.ledger.store.all(sql)
        assert ledger.checkpoint == world.ledger.checkpoint
    assert (imported / "genesis.json").read_bytes() == world.genesis


ITEMS = st.tuples(
    st.sampled_from(["a", "b", "c", ""]),
    st.integers(1, 9000),
    st.sampled_from(["", "", "refuse", *BUGS]),
)
BLOCKS = st.lists(
    st.lists(st.tuples(st.lists(ITEMS, min_size=1, max_size=4), st.booleans()), min_size=1),
    max_size=5,
)


@settings(max_examples=15)
@given(BLOCKS)
def test_whatever_happened_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    blocks: list[list[tuple[list[tuple[str, int, str]], bool]]],
) -> None:
    folder = tmp_path_factory.mktemp("world")
    world = World(folder / "a", probe_rules(), genesis_file(probe_founders("other")))
    for block in blocks:
        world.at += 60
        made = []
        for items, atomic in block:
            sets = [
                Set(
                    nonce=world.nonce(),
                    cell=cell,
                    number=0 if cell else number,
                    value=number,
                    then=then,
                )
                for cell, number, then in items
            ]
            made.append(world.transaction("other", "probe.set", *sets, atomic=atomic))
        world.put(*made)
    world.check()
    head = export_ledger(world.folder, folder / "export")
    assert import_ledger(folder / "export", folder / "b", world.rules) == head
    world.ledger.close()


def test_an_export_is_continued(world: World, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export_ledger(world.folder, export)
    world.issue(3)
    told: list[int] = []
    head = export_ledger(world.folder, export, told.append, note=world.note())
    assert told == [7]
    assert import_ledger(export, tmp_path / "b", world.rules) == head


def test_an_export_goes_into_nothing_else(world: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other", genesis=genesis_file(seed=5))
    export_ledger(other.folder, tmp_path / "export")
    with pytest.raises(FileExistsError, match="another network"):
        export_ledger(world.folder, tmp_path / "export")
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"mine\.txt"):
        export_ledger(world.folder, letters)
    assert [path.name for path in letters.iterdir()] == ["mine.txt"]
    with pytest.raises(FileExistsError, match="other files"):
        export_ledger(world.folder, world.folder)
    younger = World(tmp_path / "younger")
    younger.prepare()
    export_ledger(world.folder, tmp_path / "newest")
    with pytest.raises(Damaged, match="older than what was published"):
        export_ledger(younger.folder, tmp_path / "newest")


def test_a_checkpoint_of_another_log_is_not_exported(world: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other", genesis=genesis_file(seed=5))
    other.prepare()
    with pytest.raises(VerificationFailed, match="not one of this ledger"):
        export_ledger(world.folder, tmp_path / "export", note=other.note())


def export(world: World, folder: Path) -> Path:
    export_ledger(world.folder, folder, note=world.note())
    return folder / "blocks" / "0000000001"


@pytest.mark.parametrize("what", ["outcome", "state", "log", "transaction", "place", "admission"])
def test_an_import_stops_at_the_first_difference_and_leaves_nothing(
    world: World, tmp_path: Path, what: str
) -> None:
    path = export(world, tmp_path / "export")
    blocks = list(FeedReader(tmp_path / "export").blocks(0))
    fifth = blocks[4]
    forged = fifth.transactions[0].replace(b'"total":10000', b'"total":10001')
    blocks[4] = {
        "outcome": replace(fifth, refused=[{}]),
        "state": replace(fifth, state=bytes(32)),
        "log": replace(fifth, root=bytes(32)),
        "transaction": replace(fifth, transactions=[forged]),
        "place": replace(fifth, at=1),
        "admission": replace(fifth, transactions=blocks[3].transactions, refused=[{}]),
    }[what]
    path.write_bytes(b"".join(pack_frame(block) for block in blocks))
    with pytest.raises(Difference, match=f"{what} of block 5") as difference:
        import_ledger(tmp_path / "export", tmp_path / "b", world.rules)
    assert difference.value.what == what
    assert not (tmp_path / "b").exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["export", "ledger"]


def test_a_torn_or_short_export_is_not_imported(world: World, tmp_path: Path) -> None:
    path = export(world, tmp_path / "export")
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(Damaged, match="ends within a block"):
        import_ledger(tmp_path / "export", tmp_path / "b", world.rules)
    path.write_bytes(data)
    last = len(pack_frame(list(FeedReader(tmp_path / "export").blocks(0))[-1]))
    path.write_bytes(data[:-last])
    with pytest.raises(VerificationFailed, match="the blocks end at size 12"):
        import_ledger(tmp_path / "export", tmp_path / "b", world.rules)
    path.unlink()
    with pytest.raises(VerificationFailed, match="the blocks end at size 0"):
        import_ledger(tmp_path / "export", tmp_path / "b", world.rules)
    assert not (tmp_path / "b").exists()


def test_a_checkpoint_that_does_not_fit_is_not_believed(world: World, tmp_path: Path) -> None:
    export(world, tmp_path / "export")
    checkpoint = tmp_path / "export" / "checkpoint"
    note = parse_note(checkpoint.read_bytes())
    stranger = sign_note(note.text, world.ledger.origin, signer("stranger"))
    checkpoint.write_text(format_note(note.text, [stranger]))
    with pytest.raises(VerificationFailed):
        import_ledger(tmp_path / "export", tmp_path / "b", world.rules)
    lines = note.text.split("\n")
    lines[2] = "A" * 43 + "="
    text = "\n".join(lines)
    checkpoint.write_text(format_note(text, [sign_note(text, world.ledger.origin, signer("log"))]))
    with pytest.raises(VerificationFailed, match="has another root"):
        import_ledger(tmp_path / "export", tmp_path / "b", world.rules)
    assert not (tmp_path / "b").exists()


def test_an_import_founds_only_what_was_asked_for_and_only_in_an_empty_folder(
    world: World, tmp_path: Path
) -> None:
    export(world, tmp_path / "export")
    with pytest.raises(VerificationFailed, match="is of network"):
        import_ledger(tmp_path / "export", tmp_path / "b", world.rules, network=bytes(32))
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty"):
        import_ledger(tmp_path / "export", full, world.rules)
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copytree(tmp_path / "export", tmp_path / ".empty.part")  # what a crash left
    network = world.ledger.network
    assert import_ledger(tmp_path / "export", empty, world.rules, network=network).block == 6


def test_an_export_of_a_running_ledger_is_of_one_moment(world: World, tmp_path: Path) -> None:
    numbers = iter(range(10, 500))
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            item = world.issue_item(next(numbers))
            world.put(world.transaction("hospital", "bills.issue", item))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        heads = [export_ledger(world.folder, tmp_path / "export") for _ in range(3)]
    finally:
        stop.set()
        writer.join()
    assert import_ledger(tmp_path / "export", tmp_path / "b", world.rules) == heads[-1]
    assert heads[0].block <= heads[-1].block
