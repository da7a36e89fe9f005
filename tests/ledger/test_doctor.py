"""The doctor: finds what was changed wherever it is, names it, and changes nothing."""

from __future__ import annotations

import shutil
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
from probe import Set, probe_founders, probe_rules
from world import World, genesis_file, province_rules

from tallystick.ledger import doctor
from tallystick.ledger.doctor import Report, Severity, examine

DAY = 86_400


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "ledger")
    world.prepare()
    world.issue(1, 2, 2, 3)
    world.issue(1001, sender="clinic")
    return world


def look(world: World, *, deep: bool = True) -> Report:
    return examine(world.folder, world.rules, deep=deep, now=world.at)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.name: sha256(path.read_bytes()).digest()
        for path in folder.iterdir()
        if path.suffix != ".db-shm"
    }


def test_a_sound_ledger_is_found_sound_and_left_as_it_is(world: World) -> None:
    world.ledger.close()
    before = {name: data for name, data in bytes_of(world.folder).items() if "-" not in name}
    told: Counter[str] = Counter()
    report = examine(
        world.folder,
        world.rules,
        lambda check, done, total: told.update({check: done <= total}),
        now=world.at,
    )
    assert report.findings == []
    assert report.sound
    assert report.checks == ["database", "log", "rows", "replay", "disk", "clock"]
    assert told["log"] == told["replay"] == 6
    assert report.head is not None
    after = {name: data for name, data in bytes_of(world.folder).items() if "-" not in name}
    assert after == before
    world.ledger = type(world.ledger).open(world.folder, world.rules)
    assert len(world.rows()) == report.rows
    world.check()


def test_a_ledger_may_be_looked_at_while_it_runs_and_before_its_first_block(
    world: World, tmp_path: Path
) -> None:
    assert look(world).findings == []
    assert look(World(tmp_path / "new")).findings == []


def test_keys_of_several_days_are_looked_up(tmp_path: Path) -> None:
    world = World(tmp_path, probe_rules(), genesis_file(probe_founders("other")))
    for _ in range(4):
        world.at += DAY
        for seconds in (60, 3 * DAY):
            item = Set(nonce=world.nonce(), cell="a")
            world.put(world.transaction("other", "probe.set", item, valid_seconds=seconds))
    assert look(world).findings == []


@pytest.mark.parametrize(
    ("check", "sql", "says"),
    [
        ("log", "UPDATE segments SET refused = x'7b7d' WHERE block = 5", "entry 10"),
        ("log", "DELETE FROM segments WHERE block = 2", "block 2 has 1 leaves"),
        (
            "log",
            "INSERT INTO segments VALUES (999, 1, 9, x'00', x'7b7d', x'00')",
            "table segments has 7",
        ),
        ("log", "INSERT INTO tiles VALUES (9, x'00')", "table tiles has 2"),
        ("log", "INSERT INTO blocks VALUES (99, x'00')", "table blocks has 7"),
        ("log", "UPDATE tiles SET data = zeroblob(length(data))", "tile 0/0, hash 0"),
        ("log", "UPDATE segments SET count = 2 WHERE block = 2", "has 1 items"),
        ("log", "UPDATE segments SET tx = zeroblob(32) WHERE block = 2", "of entry 2 is"),
        ("log", "UPDATE leaves SET data = zeroblob(length(data))", "leaves has not the hashes"),
        ("log", "UPDATE leaves SET data = CAST(data || zeroblob(64) AS BLOB)", "of block 6"),
        ("log", "INSERT INTO leaves VALUES (9, x'00')", "table leaves has 2"),
        ("log", "INSERT INTO branches VALUES (0, x'00')", "table branches has 1"),
        ("log", "DELETE FROM seen_20458 WHERE first = 2", "transaction"),
        ("log", "UPDATE seen_20458 SET first = 3 WHERE first = 2", "of entry 2"),
        ("log", "INSERT INTO seen_20458 VALUES ('x', x'00', x'00', 1)", "asks for 6"),
        ("log", "INSERT INTO days VALUES (7)", "days"),
        ("rows", "UPDATE slots SET data = x'7b7d' WHERE key % 10000 = 2", "number 2 of code"),
        ("rows", "DELETE FROM slots", "page_groups has groups of pages that have no row"),
        ("rows", "DELETE FROM slots WHERE key % 10000 = 1001", "number 1001 of code"),
        ("rows", "UPDATE rows SET data = x'7b7d' WHERE key LIKE 'bills.type/%'", "bills.type/"),
        ("rows", "DELETE FROM rows WHERE key LIKE 'bills.type/%'", "the rows give state root"),
        ("rows", "UPDATE page_groups SET data = zeroblob(512) WHERE key % 512 = 0", "number"),
        ("rows", "DELETE FROM page_groups WHERE key % 512 = 272", "group 272"),
        ("rows", "INSERT INTO page_groups VALUES (5, zeroblob(512))", "page_groups has groups"),
        ("rows", "UPDATE map_groups SET data = x'00' WHERE prefix = x''", "group at the root"),
        ("rows", "INSERT INTO map_groups VALUES (x'0102030405', x'00')", "of the map"),
    ],
)
def test_damage_is_found_by_its_check_and_named(
    world: World, check: str, sql: str, says: str
) -> None:
    world.ledger.store.db.execute(sql)
    report = look(world, deep=False)
    assert not report.sound
    found = [each for each in report.findings if each.check == check]
    assert len(found) == 1, report.findings
    assert says in found[0].what
    assert found[0].severity is Severity.DAMAGE
    assert found[0].file == str(world.folder / "ledger.db")
    assert "import" in found[0].todo
    assert "rows" in report.checks  # one finding does not end the round


def test_a_replay_sees_what_only_the_rules_can_see(tmp_path: Path) -> None:
    """Rows, hashes and log agree with one another, but not with what the rules give."""
    world = World(tmp_path)
    world.prepare()
    world.issue(1)
    lenient = province_rules()
    other = examine(tmp_path, lenient, now=world.at)
    assert other.findings == []
    stricter = probe_rules()
    report = examine(tmp_path, stricter, now=world.at)
    assert [each.check for each in report.findings] == ["replay"]
    assert "transaction of block 1" in report.findings[0].what


def test_a_changed_signature_is_seen_by_the_replay(world: World) -> None:
    store = world.ledger.store
    segment = store.segment(0)
    assert segment is not None
    at = segment.data.rindex(b'"signature":"') + 14
    data = segment.data[:at] + (b"A" if segment.data[at : at + 1] != b"A" else b"B")
    data += segment.data[at + 1 :]
    store.db.execute("UPDATE segments SET data = ? WHERE first = 0", (data,))
    assert look(world, deep=False).sound
    found = look(world).findings
    assert [each.check for each in found] == ["replay"]
    assert "signature" in found[0].what


def test_a_broken_file_or_founding_file_is_a_finding_too(world: World, tmp_path: Path) -> None:
    world.ledger.close()
    genesis = world.folder / "genesis.json"
    for data, says in ((genesis_file(seed=9), "the ledger is of"), (b"{}", "missing")):
        genesis.write_bytes(data)
        report = look(world)
        assert [(each.check, each.file) for each in report.findings] == [("founding", str(genesis))]
        assert says in report.findings[0].what
    genesis.unlink()
    assert [each.check for each in look(world).findings] == ["founding"]
    path = world.folder / "ledger.db"
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])
    assert [each.check for each in look(world).findings] == ["database"]
    with pytest.raises(FileNotFoundError):
        examine(tmp_path / "nowhere", world.rules)


def test_flipped_pages_are_found_wherever_they_are(world: World) -> None:
    world.ledger.close()
    path = world.folder / "ledger.db"
    whole = path.read_bytes()
    for at in range(0, len(whole), len(whole) // 23):
        changed = bytearray(whole)
        for place in range(at, min(at + 64, len(whole))):
            changed[place] ^= 0x55
        path.write_bytes(changed)
        report = look(world, deep=False)
        if any(whole[at : at + 64]):  # bytes of nothing may be unused
            assert all(each.what for each in report.findings)
        path.write_bytes(whole)
    assert look(world, deep=False).findings == []


def test_a_full_disk_and_a_wrong_clock_are_warnings(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "FREE_BYTES_MIN", 10**18)
    for now in (world.at - 301, world.at + 31 * DAY):
        report = examine(world.folder, world.rules, deep=False, now=now)
        assert [each.check for each in report.findings] == ["disk", "clock"]
        assert {each.severity for each in report.findings} == {Severity.WARNING}
        assert report.sound


def test_a_replay_without_room_is_not_made_and_said_so(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Usage:
        free = 10

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage)
    report = examine(world.folder, world.rules, scratch=tmp_path)
    assert "replay" not in report.checks
    assert [each.check for each in report.findings] == ["replay", "disk"]
    assert list(tmp_path.glob("tallystick-doctor-*")) == []
