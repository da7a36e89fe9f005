"""The state transition, through a real ledger: what an item may leave behind, and what a bug may.

Invariant tested: a refused item changes nothing; a bug of a contract is an outcome, a trouble of
the machine is not.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from probe import BUGS, TROUBLES, Cell, Set, probe_founders, probe_rules
from probe import CODE as PROBE
from world import World, bill_of, genesis_file

from tallystick.ledger.portable import export_ledger
from tallystick.ledger.records import unpack_outcomes
from tallystick.protocol.row import row_key


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, probe_rules(), genesis_file(probe_founders("other")))


def put(world: World, cell: str, value: int = 1, then: str = "", number: int = 0) -> Set:
    return Set(nonce=world.nonce(), cell=cell, value=value, then=then, number=number)


def cell(world: World, name: str) -> int | None:
    with world.ledger.view() as view:
        row = view.get(row_key(Cell.KIND, name), Cell)
    return None if row is None else row.value


def test_a_refused_item_changes_nothing_and_its_neighbours_are_done(world: World) -> None:
    items = [put(world, "a"), put(world, "b", then="refuse"), put(world, "c")]
    assert world.act("other", "probe.set", *items) == ["accepted", "probe.told", "accepted"]
    assert [cell(world, name) for name in "abc"] == [1, None, 1]


def test_a_refused_item_leaves_what_was_there_before_it(world: World) -> None:
    world.accept("other", "probe.set", put(world, "a", 1), put(world, "", 1, number=5))
    items = [put(world, "a", 2), put(world, "a", 3, "refuse"), put(world, "", 3, "refuse", 5)]
    assert world.act("other", "probe.set", *items) == ["accepted", "probe.told", "probe.told"]
    assert cell(world, "a") == 2
    with world.ledger.view() as view:
        assert [row.value for row in view.scan_slots(Cell, PROBE, 1, 9)] == [1]


def test_only_the_digest_of_seen_transactions_moves_when_all_is_refused(world: World) -> None:
    world.accept("other", "probe.set", put(world, "a"))
    before = world.rows()
    assert world.act("other", "probe.set", put(world, "a", 2, "refuse")) == ["probe.told"]
    changed = {key for key, data in world.rows().items() if before.get(key) != data}
    assert changed == {"ledger.seen/all"}


def test_an_atomic_transaction_is_all_or_nothing(world: World) -> None:
    items = [put(world, "a"), put(world, "b", then="refuse"), put(world, "c")]
    outcomes = world.act("other", "probe.set", *items, atomic=True)
    assert outcomes == ["ledger.atomic", "probe.told", "ledger.atomic"]
    assert [cell(world, name) for name in "abc"] == [None, None, None]
    world.accept("other", "probe.set", put(world, "a"), put(world, "c"), atomic=True)
    assert [cell(world, name) for name in "abc"] == [1, None, 1]


def test_an_atomic_failure_leaves_other_transactions_of_its_block_alone(world: World) -> None:
    executed = world.block(
        world.transaction("other", "probe.set", put(world, "a", 1)),
        world.transaction("other", "probe.set", put(world, "a", 2, "refuse"), atomic=True),
        world.transaction("other", "probe.set", put(world, "a", 3, "refuse")),
        world.transaction("other", "probe.set", put(world, "b", 4)),
    )
    told = [["accepted"], ["probe.told"], ["probe.told"], ["accepted"]]
    assert [list(each) for each in executed.outcomes] == told
    assert (cell(world, "a"), cell(world, "b")) == (1, 4)


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_of_a_contract_is_an_outcome_and_rolled_back(world: World, bug: str) -> None:
    items = [put(world, "a"), put(world, "b", then=bug), put(world, "c")]
    assert world.act("other", "probe.set", *items) == ["accepted", "ledger.fault", "accepted"]
    assert [cell(world, name) for name in "abc"] == [1, None, 1]
    items = [put(world, "d"), put(world, "e", then=bug)]
    outcomes = world.act("other", "probe.set", *items, atomic=True)
    assert outcomes == ["ledger.atomic", "ledger.fault"]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_of_the_machine_is_no_outcome(world: World, trouble: str) -> None:
    before = world.ledger.head
    data = world.transaction("other", "probe.set", put(world, "a", then=trouble))
    with pytest.raises(type(TROUBLES[trouble])):
        world.put(data)
    world.restart()
    assert world.ledger.head == before
    world.check()


def test_later_items_see_what_earlier_items_of_the_block_wrote(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.prepare()
    first = world.transaction("hospital", "bills.issue", world.issue_item(1))
    second = world.transaction("hospital", "bills.issue", world.issue_item(1))
    executed = world.block(first, second)
    assert [list(each) for each in executed.outcomes] == [["accepted"], ["bills.number_used"]]
    bill = bill_of(world, 1)
    assert bill is not None
    assert bill.entry == executed.first


def test_outcomes_are_kept_as_they_were(world: World) -> None:
    items = [put(world, "a"), put(world, "b", then="refuse"), put(world, "c", then="value")]
    outcomes = world.act("other", "probe.set", *items)
    with world.ledger.view() as view:
        segment = view.segment(0)
    assert unpack_outcomes(segment.refused, 3) == outcomes


REPLAY = """
import sys, tempfile
from pathlib import Path
from world import province_rules
from tallystick.ledger.portable import import_ledger
head = import_ledger(Path(sys.argv[1]), Path(sys.argv[2]), province_rules())
print(head.size, head.root.hex(), head.state.hex())
"""


def test_a_replay_in_a_process_with_another_hash_seed_gives_the_same_roots(tmp_path: Path) -> None:
    world = World(tmp_path / "a")
    world.prepare()
    world.issue(1, 2, 2, 3)
    world.issue(1001, 4000, sender="clinic")
    head = export_ledger(world.folder, tmp_path / "export")
    tests = str(Path(__file__).resolve().parent.parent)
    for seed in ("1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", REPLAY, str(tmp_path / "export"), str(tmp_path / seed)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": tests},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [str(head.size), head.root.hex(), head.state.hex()]
