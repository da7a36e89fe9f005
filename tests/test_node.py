"""A node in one folder, as an operator has it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from province import CODE
from world import World, genesis_file, signer, until

from tallystick import node as module
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.kit.context import slot_key
from tallystick.contracts.members.actions.keepers import AddKeeper
from tallystick.durable import Locked
from tallystick.engines.clock import Clock, ClockDoubt, confirm
from tallystick.ledger.engine import Stopped
from tallystick.node import BOX, Node, open_keeper
from tallystick.protocol.errors import Damaged, Malformed, Rejected
from tallystick.verify import Verdict, verify_receipt, verify_state


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A prepared ledger, closed: the node opens it."""
    world = World(tmp_path / "node")
    world.prepare()
    world.ledger.close()
    return world


@contextmanager
def running(world: World) -> Iterator[Node]:
    with Node.open(world.folder, signer("log"), clock=world.clock()) as node:
        yield node


def audit(world: World) -> None:
    """The whole world once more, after the node has let go of it."""
    world.ledger = type(world.ledger).open(world.folder, world.rules)
    world.check()
    world.ledger.close()


def test_an_act_is_answered_and_its_receipt_is_good_once_a_keeper_signed(
    world: World, tmp_path: Path
) -> None:
    with running(world) as node:
        items = [world.issue_item(1), world.issue_item(2)]
        done = node.act(signer("hospital/key"), "hospital", "bills.issue/1", items)
        assert done.outcomes == ["accepted", "accepted"]
        assert node.figures().blocks == 1
        assert node.network == node.ledger.network
        with open_keeper(
            tmp_path / "keeper", world.folder / "feed", signer("keeper"), clock=world.clock()
        ) as keeper:
            until(lambda: keeper.step() * 0 or keeper.signed[0] == done.first + 3)
        until(lambda: node.publisher.note_for(done.first)[1])
        receipt = node.receipt(done.first + 1, row=slot_key(CODE, 2))
        verified = verify_receipt(receipt, world.policy(), status=True, now=world.at)
        assert verified.verdict is Verdict.GOOD
        proof = node.state_proof(slot_key(CODE, 3), Bill.KIND, f"{CODE}:0000000003")
        assert verify_state(proof, world.policy(), now=world.at).verdict is Verdict.ABSENT
        with node.view() as view:
            assert view.get(slot_key(CODE, 2), Bill) is not None
    audit(world)


def test_a_keeper_that_joins_later_signs_from_then_on(world: World, tmp_path: Path) -> None:
    with (
        running(world) as node,
        open_keeper(
            tmp_path / "late", world.folder / "feed", signer("late"), clock=world.clock()
        ) as keeper,
    ):
        until(keeper.step)
        assert (keeper.name, keeper.signed[0]) == (None, 0)
        joins = AddKeeper(
            nonce=bytes(16), name="k/late", org="hospital", key=signer("late").public_key
        )
        done = node.act(signer("finance/key"), "finance", "members.add_keeper/1", [joins])
        assert done.outcomes == ["accepted"]
        until(lambda: keeper.step() * 0 or keeper.signed[0] == done.first + 2)
        assert keeper.name == "k/late"
        note, count = until(lambda: (found := node.publisher.note_for(done.first))[1] and found)
        assert (count, b"k/late" in note) == (1, True)
    audit(world)


def test_a_dry_run_tells_and_does_nothing(world: World) -> None:
    with running(world) as node:
        item = world.issue_item(1)
        data = node.sign(signer("hospital/key"), "hospital", "bills.issue/1", [item, item])
        told = node.dry_run(data)
        assert told == ["accepted", "bills.number_used"]
        assert node.ledger.head.block == 4
        assert list(node.submit(data).result(60).outcomes) == told


def test_no_receipt_before_it_is_published(world: World) -> None:
    with running(world) as node, pytest.raises(LookupError):
        node.receipt(node.ledger.head.size)


def test_what_lies_in_the_box_is_taken_and_what_is_refused_is_kept(world: World) -> None:
    with running(world) as node:
        box = world.folder / BOX
        sign = signer("hospital/key")

        def leave(name: str, data: bytes) -> None:
            beside = box / f".{name}"
            beside.write_bytes(data)
            beside.rename(box / name)

        good = node.sign(sign, "hospital", "bills.issue/1", [world.issue_item(1)])
        leave("a.tx", good)
        leave("b.tx", b"no transaction")
        leave(
            "c.tx",
            node.sign(signer("stranger"), "hospital", "bills.issue/1", [world.issue_item(2)]),
        )
        leave("d.txt", b"not for the node")
        until(lambda: not list(box.glob("*.tx")))
        names = sorted(path.name for path in box.iterdir())
        assert names == ["b.refused", "c.ledger.key_unknown.refused", "d.txt"]
        assert node.ledger.head.block == 5
        leave("again.tx", good)  # whoever was not told leaves it once more
        until(lambda: not list(box.glob("*.tx")))
        assert node.ledger.head.block == 5
    audit(world)


def test_what_is_still_being_written_into_the_box_is_not_taken(world: World) -> None:
    with running(world) as node:
        (world.folder / BOX / ".half.tx").write_bytes(b"the first half of a transact")
        assert node.take_box() == 0
        assert [path.name for path in (world.folder / BOX).iterdir()] == [".half.tx"]


def test_a_file_that_cannot_be_read_does_not_hold_up_the_box(world: World) -> None:
    with running(world) as node:
        node._closing.set()
        node._box.join()
        box = world.folder / BOX
        (box / "a.tx").mkdir()
        os.mkfifo(box / "a1.tx")
        (box / "a2.tx").symlink_to("/dev/zero")
        (box / "a3.tx").write_bytes(b"no transaction")
        (box / "a3.refused" / "not empty").mkdir(parents=True)
        with (box / "a4.tx").open("wb") as file:
            file.truncate(1 << 40)
        (box / "b.tx").write_bytes(
            node.sign(signer("hospital/key"), "hospital", "bills.issue/1", [world.issue_item(1)])
        )
        assert node.take_box() == 1
        names = sorted(path.name for path in box.iterdir())
        assert names == ["a.tx", "a1.tx", "a2.tx", "a3.refused", "a3.tx", "a4.refused"]


def test_whoever_runs_a_node_learns_that_it_stopped_and_a_wrong_key_holds_no_lock(
    world: World,
) -> None:
    with pytest.raises(ValueError, match="not a log key"):
        Node.open(world.folder, signer("another"), clock=world.clock())
    with running(world) as node:
        assert node.failure is None
        node.publisher.failure = OSError("no room")
        assert node.failure is node.publisher.failure


def test_a_stopped_engine_leaves_the_box_as_it_is(world: World) -> None:
    with running(world) as node:
        data = node.sign(signer("hospital/key"), "hospital", "bills.issue/1", [world.issue_item(1)])
        node.engine.close()
        (world.folder / BOX / "a.tx").write_bytes(data)
        assert node.take_box() == 0
        with pytest.raises(Stopped):
            node.submit(data)
        assert (world.folder / BOX / "a.tx").exists()
    with running(world) as node:
        until(lambda: not list((world.folder / BOX).iterdir()))
        assert node.ledger.head.block == 5
    audit(world)


def test_a_node_founds_a_network_once(tmp_path: Path) -> None:
    with Node.found(tmp_path, genesis_file(), signer("log"), clock=still()) as node:
        assert node.ledger.head.block == 0
    with pytest.raises(FileExistsError):
        Node.found(tmp_path, genesis_file(), signer("log"), clock=still())
    with pytest.raises(FileNotFoundError):
        Node.open(tmp_path / "nowhere", signer("log"))


def still() -> Clock:
    return Clock(now=lambda: 1_767_600_000.0, monotonic=lambda: 0.0)


def test_a_node_that_cannot_open_lets_go_of_the_folder(world: World) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="not a log key"):
            Node.open(world.folder, signer("keeper"), clock=world.clock())
    with running(world), pytest.raises(Locked):
        Node.open(world.folder, signer("log"), clock=world.clock())


def test_a_clock_that_is_not_believed_starts_nothing_and_signs_nothing(world: World) -> None:
    right = world.at
    world.at = right + 40 * 86_400
    for _ in range(2):
        with pytest.raises(ClockDoubt), running(world):
            raise AssertionError
    assert not (world.folder / "feed" / "checkpoint").exists()
    confirm(world.folder, world.at)
    with running(world) as node:
        item = world.issue_item(1)
        done = node.act(signer("hospital/key"), "hospital", "bills.issue/1", [item])
        assert done.at == world.at
    world.at = right  # the right clock after a wrong word: a person must look
    with pytest.raises(ClockDoubt, match="behind"), running(world):
        raise AssertionError
    audit(world)


def test_damage_of_the_last_blocks_stops_a_start(world: World) -> None:
    ledger = type(world.ledger).open(world.folder, world.rules)
    ledger.store.db.execute("UPDATE segments SET refused = x'7b2230223a22612e62227d'")
    ledger.close()
    for _ in range(2):
        with pytest.raises(Damaged, match="entry 0"), running(world):
            raise AssertionError


def test_the_rules_of_this_build_are_its_domains() -> None:
    names = {name.partition(".")[0] for name in module.rules().actions}
    assert names == {domain.name for domain in module.DOMAINS} == {"members", "bills"}


def test_what_is_refused_before_ordering_is_raised(world: World) -> None:
    with running(world) as node:
        with pytest.raises(Rejected, match="key"):
            node.act(signer("clinic/key"), "hospital", "bills.issue/1", [world.issue_item(1)])
        with pytest.raises(Malformed):
            node.submit(b"")
