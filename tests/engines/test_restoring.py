"""A lost operator out of its keepers: all that they signed, nothing beside it, and what is lost.

Invariant tested: a restored operator goes on with the log that its keepers have signed, or there is
none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from puppet import Puppet, note_of
from world import KEEPER, World, genesis_file, signer, until

from tallystick.client.failures import Equivocation
from tallystick.contracts.members.actions.keepers import AddKeeper
from tallystick.engines.clock import Clock
from tallystick.engines.restoring import RESTORED_FILE, KnownLoss, Restored, Restoring, Unheard
from tallystick.ledger.ledger import Ledger
from tallystick.node import FEED, Node, live_keepers
from tallystick.protocol.canonical import decode
from tallystick.protocol.checkpoint import Checkpoint, parse_checkpoint, parse_note
from tallystick.protocol.equivocation import policy_keys, verify_equivocation
from tallystick.protocol.errors import TallystickError, VerificationFailed

SECOND = "k/hospital"
FIRST_SIGNS, SECOND_SIGNS = (KEEPER, "keeper"), (SECOND, "second")


def make_world(folder: Path) -> World:
    """A network with two keepers; made twice it is the same."""
    world = World(folder)
    world.prepare()
    key = signer("second").public_key
    joins = AddKeeper(nonce=world.nonce(), name=SECOND, org="hospital", key=key)
    world.accept("finance", "members.add_keeper", joins)
    world.issue(1)
    return world


@dataclass
class Scene:
    """Two keepers: the first is one block behind the second, which has all that is left."""

    world: World
    first: Puppet
    second: Puppet
    folder: Path

    def restore(
        self, *sources: Puppet, network: bytes | None = None, trust: Any = None, **more: Any
    ) -> Restored:
        with ExitStack() as stack:
            clients = [stack.enter_context(each.client("log")) for each in sources or self.both]
            restoring = Restoring(
                *(self.folder, clients, self.world.rules, live_keepers),
                network=network or self.world.ledger.network,
                trust=trust,
            )
            named: dict[str, Any] = {"seen": {}, "now": self.world.at}
            return restoring.run(FEED, **(named | more))

    @property
    def both(self) -> Sequence[Puppet]:
        return self.first, self.second

    def fails(self, kind: type[TallystickError], match: str, *sources: Puppet, **more: Any) -> Any:
        with pytest.raises(kind, match=match) as raised:
            self.restore(*sources, **more)
        assert not self.folder.exists()
        return raised.value


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    world = make_world(tmp_path / "lost")
    with Puppet(tmp_path / "first") as first, Puppet(tmp_path / "second") as second:
        first.tell(world, FIRST_SIGNS, name=KEEPER)
        world.at += 7
        world.issue(2)
        second.tell(world, SECOND_SIGNS, name=SECOND)
        yield Scene(world, first, second, tmp_path / "restored")


def test_the_largest_is_taken_and_what_may_be_lost_is_said(scene: Scene) -> None:
    world = scene.world
    found = scene.restore()
    assert found.head == world.ledger.head
    words = {each.name: (each.size, each.at) for each in found.keepers}
    assert words == {
        KEEPER: (found.head.size - 2, world.at - 7),
        SECOND: (found.head.size, world.at),
    }
    assert (found.lost_from, found.without, dict(found.beyond)) == (world.at, [], {})
    record = decode((scene.folder / RESTORED_FILE).read_bytes(), dict[str, Any])
    assert (record["size"], record["network"]) == (found.head.size, found.head.network.hex())
    assert not (scene.folder.with_name("restored.restoring")).exists()
    with Ledger.open(scene.folder, world.rules) as ledger:
        assert ledger.head == world.ledger.head


def test_the_operator_goes_on_above_everything_that_was_heard(scene: Scene) -> None:
    world = scene.world
    scene.restore()
    asleep = Clock(now=lambda: float(world.at - 200), monotonic=lambda: 0.0)
    with Node.open(scene.folder, signer("log"), clock=asleep) as node:
        lines = node.publisher.lines()
        assert {name: size for name, (size, _) in lines.items()} == {
            KEEPER: world.ledger.head.size - 2,
            SECOND: world.ledger.head.size,
        }
        old = world.transaction("hospital", "bills.issue", world.issue_item(3))
        done = node.submit(old).result(60)
        assert not done.repeated and done.first == world.ledger.head.size
        assert done.at >= world.at, "no block is older than what was signed"
        assert node.submit(old).result(60).repeated
        note = parse_note(until(lambda: node.publisher.note_for(done.first))[0])
        assert parse_checkpoint(note.text).size == done.first + 2


def test_a_restored_folder_is_not_rolled_back(scene: Scene) -> None:
    """Once it has been restored, a ledger below what keepers signed does not start in it."""
    scene.restore()
    small = make_world(scene.folder.with_name("small"))
    small.ledger.close()
    for name in ("ledger.db", "ledger.db-wal"):
        (scene.folder / name).unlink(missing_ok=True)
        source = scene.folder.with_name("small") / name
        if source.exists():
            source.rename(scene.folder / name)
    with pytest.raises(TallystickError, match="older than what was signed"):
        Node.open(scene.folder, signer("log"), clock=scene.world.clock())


def test_only_the_network_that_was_asked_for(scene: Scene) -> None:
    scene.fails(VerificationFailed, "is of another network", network=bytes(32))
    other = World(scene.folder.with_name("other"), genesis=genesis_file(seed=5))
    other.prepare()
    scene.second.note = note_of(other.ledger.checkpoint, other.at)
    scene.fails(VerificationFailed, "a checkpoint of")
    scene.second.note = note_of(scene.world.ledger.checkpoint, scene.world.at, log="stranger")
    scene.fails(VerificationFailed, "signature")


def test_a_live_keeper_that_was_not_heard_may_have_more(scene: Scene) -> None:
    unheard = scene.fails(Unheard, SECOND, scene.first)
    assert unheard.names == (SECOND,)
    found = scene.restore(scene.first, without=[SECOND])
    assert found.head.size == scene.world.ledger.head.size - 2
    assert found.without == [SECOND]


def test_who_only_says_the_name_of_a_keeper_was_not_heard(scene: Scene) -> None:
    scene.first.health["name"] = SECOND
    scene.fails(Unheard, SECOND, scene.first)


def test_a_keeper_that_is_away_is_named_and_one_that_comes_back_is_asked(scene: Scene) -> None:
    scene.first.__exit__()
    scene.fails(Unheard, KEEPER)
    scene.first.__enter__()
    before = len(scene.second.asked)
    assert scene.restore().head == scene.world.ledger.head
    assert len(scene.second.asked) == before, "what was executed before was gone on with"


def test_blocks_come_from_whoever_gives_them(scene: Scene) -> None:
    scene.second.status = 500
    scene.fails(TallystickError, "500")
    scene.second.status, scene.second.answer_blocks = 200, 1
    assert scene.restore().head == scene.world.ledger.head
    assert len(scene.first.asked) > 0


def test_what_the_lost_operator_had_signed_beyond_is_known_loss(scene: Scene) -> None:
    world, size = scene.world, scene.world.ledger.head.size
    within = note_of(world.ledger.checkpoint, world.at)
    world.issue(3)
    seen = {"old": note_of(world.ledger.checkpoint, world.at), "within": within}
    loss = scene.fails(KnownLoss, f"old: size {size + 2}; keepers have {size}", seen=seen)
    assert "within" not in str(loss)
    found = scene.restore(seen=seen, accept_loss=True)
    assert (found.head.size, dict(found.beyond)) == (size, {"old": size + 2})


def test_two_keepers_that_contradict_each_other_are_a_proof(scene: Scene, tmp_path: Path) -> None:
    fork = make_world(tmp_path / "fork")
    fork.at += 7
    fork.issue(9)
    fork.issue(10)
    scene.first.tell(fork, FIRST_SIGNS, name=KEEPER)
    found = scene.fails(Equivocation, "two histories")
    proof = verify_equivocation(found.proof.read_bytes(), policy_keys(scene.world.policy()))
    assert (proof.kind, proof.signer.name) == ("other_prefix", scene.world.ledger.origin)
    scene.fails(Equivocation, "two histories", scene.first)  # nor later, with one of them


def test_a_note_from_elsewhere_of_another_history_is_a_proof(scene: Scene) -> None:
    here = scene.world.ledger.checkpoint
    for size in (here.size, here.size - 2):
        other = note_of(Checkpoint(here.origin, size, bytes(32)), scene.world.at)
        scene.fails(Equivocation, "two histories", seen={"a hospital's": other})
        (scene.folder.with_name("restored.restoring") / "equivocation.json").unlink()
    larger = [note_of(Checkpoint(here.origin, here.size + 5, bytes([n]) * 32), 1) for n in (1, 2)]
    scene.fails(Equivocation, "two histories", seen=dict(zip("ab", larger, strict=True)))


@pytest.mark.parametrize("what", ["state", "order"])
def test_blocks_that_are_false_leave_nothing_and_name_who_told_them(
    scene: Scene, what: str
) -> None:
    blocks = scene.second.blocks
    if what == "state":
        blocks[-1] = replace(blocks[-1], state=bytes(32))
    else:
        blocks[2], blocks[3] = (
            replace(blocks[2], transactions=blocks[3].transactions),
            replace(blocks[3], transactions=blocks[2].transactions),
        )
    scene.fails(VerificationFailed, scene.second.url)
    assert not scene.folder.with_name(".restored.growing").exists()


def test_a_policy_says_whom_to_believe(scene: Scene) -> None:
    """The second is not in it: it is heard, and what it alone has signed is not passed over."""
    policy = scene.world.policy()
    more = {"trust": policy, "accept_loss": True}
    scene.fails(VerificationFailed, "somebody trusted", scene.second, **more)
    scene.fails(VerificationFailed, f"{SECOND} has signed size", **more)
    scene.second.note = note_of(
        scene.world.ledger.checkpoint, scene.world.at, FIRST_SIGNS, SECOND_SIGNS
    )
    assert scene.restore(trust=policy).head == scene.world.ledger.head


def test_nobody_of_the_ledgers_keepers_has_signed_it(scene: Scene) -> None:
    scene.second.note = note_of(scene.world.ledger.checkpoint, scene.world.at, (SECOND, "stranger"))
    scene.fails(VerificationFailed, "no keeper of the ledger", scene.second, without=[KEEPER])
