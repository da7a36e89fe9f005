"""A ledger read beside its writer: own moments, nothing changed, nothing waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest
from province import CODE
from world import World

from tallystick.contracts.bills.records.bills import Bill
from tallystick.ledger.beside import READERS_KEPT, Current, ReadLedger
from tallystick.protocol.errors import Damaged, Malformed, Rejected, VerificationFailed
from tallystick.protocol.transaction import parse_transaction


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "ledger")
    world.prepare()
    world.issue(1, 2)
    yield world
    world.ledger.close()


@pytest.fixture
def beside(world: World) -> Iterator[ReadLedger]:
    beside = ReadLedger(world.folder, world.rules)
    yield beside
    beside.close()


def bills(beside: ReadLedger) -> int:
    with beside.view() as view:
        return sum(1 for _ in view.scan_slots(Bill, CODE, 1, 999))


def test_it_sees_each_block_as_soon_as_it_is_there(world: World, beside: ReadLedger) -> None:
    assert bills(beside) == 2
    for number in (3, 4, 5):
        world.issue(number)
        with beside.view() as view:
            assert view.head == world.ledger.head
        assert bills(beside) == number


def test_a_moment_that_is_held_stays_and_others_go_on(world: World, beside: ReadLedger) -> None:
    held, size = beside.pin(), world.ledger.head.size
    world.issue(3)
    assert held.held and (held.size, held.view.head.size) == (size, size) and bills(beside) == 3
    other = beside.pin()
    assert other.size == world.ledger.head.size
    held.let_go()
    held.let_go()  # once more changes nothing
    assert not held.held and other.held
    other.let_go()


def test_the_writer_waits_for_no_reader(world: World, beside: ReadLedger) -> None:
    """With moments held and a reader in the middle of a scan, blocks are made and the WAL moved."""
    held = beside.pin()
    with beside.view() as view:
        scan = view.scan_slots(Bill, CODE, 1, 999)
        next(scan)
        for number in range(3, 30):
            world.put(world.transaction("hospital", "bills.issue", world.issue_item(number)))
        world.ledger.store.checkpoint_beside()
        assert [row.id[-4:] for row in scan] == ["0002"]
    held.let_go()
    before = world.ledger.store.wal_bytes()
    world.ledger.store.checkpoint()
    world.issue(30)
    assert world.ledger.store.wal_bytes() <= before


def test_nothing_can_be_written_through_it(beside: ReadLedger) -> None:
    with beside.snapshot() as snapshot:
        for statement in ("DELETE FROM blocks", "CREATE TABLE x (y)", "PRAGMA user_version = 9"):
            with pytest.raises((apsw.ReadOnlyError, Damaged)):
                list(snapshot.db.execute(statement))


def test_a_dry_run_says_what_the_writer_would_and_leaves_no_trace(
    world: World, beside: ReadLedger
) -> None:
    before = world.ledger.head, world.rows()
    items = [world.issue_item(number) for number in (3, 1, 4)]
    data = world.transaction("hospital", "bills.issue", *items)
    why: dict[int, str] = {}
    outcomes = beside.dry_run(data, world.at, why)
    assert outcomes == ["accepted", "bills.number_used", "accepted"] and set(why) == {1}
    assert (world.ledger.head, world.rows()) == before
    assert outcomes == world.ledger.dry_run(data, world.at)
    (executed,) = world.put(data).outcomes
    assert list(executed) == outcomes
    with pytest.raises(Rejected) as refused:
        beside.dry_run(world.transaction("hospital", "bills.issue", items[0], key="x"), world.at)
    assert refused.value.reason == "ledger.key_unknown"


def test_transactions_are_read_and_judged_as_by_the_writer(
    world: World, beside: ReadLedger
) -> None:
    data = world.transaction("hospital", "bills.issue", world.issue_item(9))
    assert beside.check(data).tx_id == world.ledger.check(data).tx_id
    assert beside.parse(data) == parse_transaction(data, world.ledger.network, world.rules.schemas)
    false = data.replace(b'"number":9', b'"number":8')
    with pytest.raises((VerificationFailed, Malformed)):
        beside.check(false)
    with pytest.raises(Malformed):
        beside.check(b"{}")


def test_many_threads_read_at_once_and_few_connections_stay(
    world: World, beside: ReadLedger
) -> None:
    together = threading.Barrier(24)

    def read(_: int) -> int:
        with beside.view() as view:
            together.wait(10)
            return view.head.size

    with ThreadPoolExecutor(24) as pool:
        assert set(pool.map(read, range(24))) == {world.ledger.head.size}
    assert len(beside._readers) == READERS_KEPT


def test_what_is_no_ledger_or_another_is_not_opened(world: World, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ReadLedger(tmp_path / "nothing", world.rules)
    other = World(tmp_path / "other", genesis=world.genesis.replace(b"example/world", b"example/x"))
    other.ledger.close()
    genesis = (other.folder / "genesis.json").read_bytes()
    (world.folder / "genesis.json").write_bytes(genesis)
    with pytest.raises(Damaged, match="not the ledger of"):
        ReadLedger(world.folder, world.rules)


def test_a_changed_row_is_seen(world: World, beside: ReadLedger) -> None:
    db = world.ledger.store.db
    db.execute("UPDATE slots SET data = replace(data, '\"good\":true', '\"good\":false')")
    with beside.view() as view, pytest.raises(Damaged):
        list(view.scan_slots(Bill, CODE, 1, 9))


def test_what_is_current_is_held_until_something_newer_is_there(
    world: World, beside: ReadLedger
) -> None:
    current = Current(beside)
    first = current.now()
    assert current.now() is first
    for number in (3, 4):
        world.issue(number)
        with current.view() as view:
            assert view is not first and view.head == world.ledger.head
            assert current.now() is view
    current.let_go()
    before = world.ledger.store.wal_bytes()
    world.ledger.store.checkpoint()
    world.issue(5)
    assert world.ledger.store.wal_bytes() <= before  # nothing was held
    assert current.now().head == world.ledger.head
    current.close()
