"""A keeper: executes every block again, and speaks up when it finds something else.

Invariant tested: it never co-signs what it has not executed and stored, nor a smaller log than
before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from world import KEEPER, World, signer

from tallystick.durable import write_file
from tallystick.engines.keeper import Contradiction, Keeper
from tallystick.engines.publisher import COSIGNED, KeeperKey
from tallystick.ledger.feed import FeedBlock, FeedReader, FeedWriter, pack_frame
from tallystick.ledger.ledger import Ledger
from tallystick.protocol.canonical import decode
from tallystick.protocol.checkpoint import (
    Checkpoint,
    cosign,
    format_checkpoint,
    format_note,
    parse_checkpoint,
    parse_note,
    sign_note,
    verify_cosignature,
)
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed

OWN = sha256(signer("keeper").public_key).hexdigest()[:16]


class Scene:
    """An operator that publishes when told to, and says what it is told to say."""

    def __init__(self, tmp_path: Path) -> None:
        self.world = World(tmp_path / "node")
        self.world.prepare()
        self.world.issue(1, 2, 2)
        self.feed = tmp_path / "feed"
        self.folder = tmp_path / "keeper"
        (self.feed / COSIGNED).mkdir(parents=True)

    def publish(self) -> None:
        writer = FeedWriter(self.feed, self.world.genesis)
        with self.world.ledger.store.snapshot() as snapshot:
            writer.append(snapshot)
        writer.close()
        self.sign()

    def sign(self, checkpoint: Checkpoint | None = None, at: int | None = None) -> None:
        checkpoint = checkpoint or self.world.ledger.checkpoint
        text = format_checkpoint(checkpoint)
        lines = [
            sign_note(text, checkpoint.origin, signer("log")),
            cosign(text, checkpoint.origin, signer("log"), at or self.world.at),
        ]
        write_file(self.feed / "checkpoint", format_note(text, lines).encode())

    def blocks(self) -> list[FeedBlock]:
        return list(FeedReader(self.feed).blocks(0))

    def tell(self, blocks: Sequence[FeedBlock]) -> None:
        path = self.feed / "blocks" / "0000000001"
        path.write_bytes(b"".join(pack_frame(block) for block in blocks))

    @contextmanager
    def keeper(self, **options: Any) -> Iterator[Keeper]:
        told: dict[str, Any] = {
            "clock": self.world.clock(),
            "network": self.world.ledger.network,
            "find_keepers": founding_keepers,
        } | options
        with Keeper.open(
            self.folder, self.feed, signer("keeper"), self.world.rules, **told
        ) as keeper:
            yield keeper

    def shown(self) -> tuple[int, int] | None:
        """Size and time of what the keeper has shown, once its signature holds."""
        path = self.feed / COSIGNED / OWN
        if not path.exists():
            return None
        note = parse_note(path.read_bytes())
        at = verify_cosignature(note, KEEPER, signer("keeper").public_key)
        return parse_checkpoint(note.text).size, at


def founding_keepers(ledger: Ledger) -> list[KeeperKey]:
    return [KeeperKey(each.name, each.key) for each in ledger.genesis.keepers]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.publish()
    return scene


def test_it_follows_executes_and_co_signs(scene: Scene) -> None:
    world = scene.world
    with scene.keeper() as keeper:
        assert keeper.step() == 5
        assert keeper.ledger.head == world.ledger.head
        assert keeper.signed == scene.shown() == (world.ledger.head.size, world.at)
        world.issue(3)
        assert keeper.step() == 0  # not published yet
        scene.publish()
        assert keeper.step() == 1
        assert scene.shown() == (world.ledger.head.size, world.at)
    kept = keeper.ledger
    assert kept.head == world.ledger.head


def test_it_resumes_after_a_restart_and_starts_anew_with_what_it_said(scene: Scene) -> None:
    with scene.keeper() as keeper:
        keeper.step()
        said = keeper.signed
    scene.world.issue(3)
    scene.publish()
    with scene.keeper() as keeper:
        assert keeper.signed == said
        assert keeper.step() == 1
        assert keeper.signed[0] == scene.world.ledger.head.size
    (scene.folder / "signed.json").unlink()  # a folder that came out of a backup
    with scene.keeper() as keeper:
        assert keeper.signed == scene.shown()


def test_an_unchanged_checkpoint_is_co_signed_anew_after_a_minute(scene: Scene) -> None:
    with scene.keeper() as keeper:
        keeper.step()
        said = scene.shown()
        scene.world.at += 59
        scene.sign()
        keeper.step()
        assert scene.shown() == said
        scene.world.at += 1
        scene.sign()
        keeper.step()
        assert scene.shown() == (scene.world.ledger.head.size, scene.world.at)


def test_it_signs_only_what_the_operator_said_lately_and_all_of_it(scene: Scene) -> None:
    world = scene.world
    with scene.keeper() as keeper:
        scene.sign(at=world.at - 61)
        keeper.step()
        assert scene.shown() is None
        scene.sign(at=world.at - 60)
        keeper.step()
        said = scene.shown()
        assert said is not None
        world.issue(3)
        scene.sign()  # the checkpoint is there before its blocks
        keeper.step()
        assert scene.shown() == said
        scene.publish()
        keeper.step()
        assert scene.shown() == (world.ledger.head.size, world.at)


def test_it_never_signs_a_smaller_size_nor_an_earlier_time(scene: Scene) -> None:
    world = scene.world
    small = world.ledger.checkpoint
    world.issue(3)
    scene.publish()
    with scene.keeper() as keeper:
        keeper.step()
        said = scene.shown()
        world.at += 3600
        scene.sign(small)
        keeper.step()
        assert scene.shown() == said
        assert keeper.signed == said
    with scene.keeper() as keeper:
        keeper.step()
        assert scene.shown() == said
        scene.sign()
        world.at -= 7200  # its own clock fell back
        scene.sign()
        keeper.step()
        shown = scene.shown()
        assert shown is not None
        assert said is not None
        assert shown[1] >= said[1]


def test_a_source_without_anything_is_waited_for(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    FeedWriter(scene.feed, scene.world.genesis).close()
    with scene.keeper() as keeper:
        assert keeper.step() == 0
        assert scene.shown() is None


# ------------------------------------------------------------------------- what it speaks up about


def forge(scene: Scene, what: str, blocks: list[FeedBlock]) -> FeedBlock:
    """Block 5, told otherwise."""
    block, at = blocks[4], scene.world.at
    data = block.transactions[0]
    return {
        "outcome": replace(block, refused=[{}]),
        "state": replace(block, state=bytes(32)),
        "log": replace(block, root=bytes(32)),
        "transaction": replace(block, transactions=[data.replace(b'"total":10000', b'"total":1')]),
        "admission": replace(block, transactions=blocks[3].transactions, refused=[{}]),
        "time": replace(block, at=at + 61),
    }[what]


@pytest.mark.parametrize("what", ["outcome", "state", "log", "transaction", "admission", "time"])
def test_a_block_that_is_told_otherwise_stops_it_with_evidence(scene: Scene, what: str) -> None:
    blocks = scene.blocks()
    forged = forge(scene, what, blocks)
    scene.tell([*blocks[:4], forged])
    with scene.keeper() as keeper:
        with pytest.raises(Contradiction, match=f"{what} of block 5") as raised:
            keeper.step()
        assert scene.shown() is None
        assert keeper.ledger.head.block == (5 if what == "log" else 4)
    evidence = decode(raised.value.evidence.read_bytes(), dict[str, Any])
    assert raised.value.evidence.parent == scene.folder
    assert evidence["format"] == "tallystick/keeper-evidence/v1"
    assert (evidence["what"], evidence["block"], evidence["keeper"]) == (what, 5, KEEPER)
    assert evidence["told"] != evidence["found"]
    assert evidence["checkpoint"].encode() == FeedReader(scene.feed).checkpoint()
    assert evidence["transactions"] == [sha256(each).hexdigest() for each in forged.transactions]
    assert b"bills.issue" not in raised.value.evidence.read_bytes()
    with scene.keeper() as keeper:  # it does not forget by starting anew
        if what == "log":
            keeper.step()
            assert scene.shown() == (keeper.ledger.head.size, scene.world.at)
        else:
            with pytest.raises(Contradiction):
                keeper.step()
            assert scene.shown() is None


def test_a_block_older_than_the_last_one_stops_it(scene: Scene) -> None:
    blocks = scene.blocks()
    scene.tell([*blocks[:4], replace(blocks[4], at=blocks[3].at - 1)])
    with scene.keeper() as keeper, pytest.raises(Contradiction, match="time of block 5"):
        keeper.step()


def test_a_block_backdated_behind_a_co_signing_stops_it(scene: Scene) -> None:
    """What it signed at T said that there was nothing newer; a later block of before T lies."""
    world = scene.world
    with scene.keeper() as keeper:
        world.at += 3600
        scene.sign()
        keeper.step()
        world.at -= 61
        world.issue(3)
        scene.publish()
        with pytest.raises(Contradiction, match="time of block 6"):
            keeper.step()


def test_another_root_signed_by_the_operator_stops_it(scene: Scene) -> None:
    checkpoint = scene.world.ledger.checkpoint
    scene.sign(Checkpoint(checkpoint.origin, checkpoint.size, bytes(32)))
    with scene.keeper() as keeper:
        with pytest.raises(Contradiction, match="signed another root at size") as raised:
            keeper.step()
        assert scene.shown() is None
    evidence = decode(raised.value.evidence.read_bytes(), dict[str, Any])
    assert evidence["what"] == "checkpoint"
    assert evidence["told"].encode() == FeedReader(scene.feed).checkpoint()
    assert evidence["found"] == checkpoint.root.hex()


def test_what_is_not_the_operators_word_is_not_co_signed(scene: Scene) -> None:
    checkpoint = scene.world.ledger.checkpoint
    text = format_checkpoint(checkpoint)
    stranger = [
        sign_note(text, checkpoint.origin, signer("stranger")),
        cosign(text, checkpoint.origin, signer("stranger"), scene.world.at),
    ]
    with scene.keeper() as keeper:
        write_file(scene.feed / "checkpoint", format_note(text, stranger).encode())
        with pytest.raises(VerificationFailed):
            keeper.step()
        scene.sign(Checkpoint("example/other", checkpoint.size, checkpoint.root))
        with pytest.raises(VerificationFailed, match="is of example/other"):
            keeper.step()
        write_file(scene.feed / "checkpoint", b"junk")
        with pytest.raises(Malformed):
            keeper.step()
        assert scene.shown() is None


def test_it_keeps_only_the_network_it_was_asked_to_and_only_with_its_own_key(scene: Scene) -> None:
    with pytest.raises(VerificationFailed, match="of another network"):
        Keeper.open(
            scene.folder,
            scene.feed,
            signer("keeper"),
            scene.world.rules,
            find_keepers=founding_keepers,
            network=bytes(32),
        )
    assert not scene.folder.exists()
    with Keeper.open(
        scene.folder,
        scene.feed,
        signer("stranger"),
        scene.world.rules,
        find_keepers=founding_keepers,
        clock=scene.world.clock(),
    ) as stranger:
        assert stranger.name is None
        assert stranger.step() == 5, "it follows, and signs once it is a keeper"
    assert list((scene.feed / COSIGNED).iterdir()) == []
    with scene.keeper() as keeper:
        keeper.step()
    assert scene.shown() is not None


def test_damage_of_its_own_files_stops_it_at_the_start(scene: Scene) -> None:
    with scene.keeper() as keeper:
        keeper.step()
        keeper.ledger.store.db.execute("UPDATE segments SET refused = x'7b7d' WHERE block = 5")
    with pytest.raises(Damaged, match="entry 10"), scene.keeper():
        raise AssertionError
    with pytest.raises(Damaged, match="entry 10"), scene.keeper():
        raise AssertionError


def test_a_torn_memory_of_what_it_signed_is_damage(scene: Scene) -> None:
    with scene.keeper() as keeper:
        keeper.step()
    for data in (b"", b"[5]", b"[-1,2]", b"nonsense"):
        (scene.folder / "signed.json").write_bytes(data)
        with pytest.raises(Damaged, match=r"signed\.json"), scene.keeper():
            raise AssertionError


def test_what_it_signed_last_is_shown_after_a_restart_and_binds_it(scene: Scene) -> None:
    with scene.keeper() as keeper:
        keeper.step()
        note, size = keeper.note, keeper.note_size
    with scene.keeper() as keeper:  # whoever follows nobody any more shows it all the same
        assert (keeper.note, keeper.note_size) == (note, size)
    path = scene.folder / "checkpoint"
    path.write_bytes(b"nonsense")
    with pytest.raises(Damaged, match="is not what was written"), scene.keeper():
        raise AssertionError
    origin = scene.world.ledger.origin
    for wrong, match in (
        (Checkpoint(origin, size + 2, bytes(32)), "is older than what was signed"),
        (Checkpoint(origin, size, bytes(32)), "is not the log that was signed"),
    ):
        scene.sign(wrong)
        path.write_bytes((scene.feed / "checkpoint").read_bytes())
        with pytest.raises(Damaged, match=match), scene.keeper():
            raise AssertionError


def test_others_cannot_make_it_remember_what_it_never_said(scene: Scene) -> None:
    checkpoint = Checkpoint(scene.world.ledger.origin, 10**6, bytes(32))
    text = format_checkpoint(checkpoint)
    with scene.keeper() as keeper:
        keeper.step()
        said = keeper.signed
    forged = format_note(text, [cosign(text, KEEPER, signer("stranger"), scene.world.at)])
    text = format_checkpoint(replace(checkpoint, origin="example/another/0123456789abcdef"))
    elsewhere = format_note(text, [cosign(text, KEEPER, signer("keeper"), scene.world.at)])
    for data in (forged.encode(), b"junk", elsewhere.encode()):
        (scene.feed / COSIGNED / OWN).write_bytes(data)
        with scene.keeper() as keeper:
            assert keeper.signed == said
    (scene.feed / COSIGNED / OWN).unlink()
    os.mkfifo(scene.feed / COSIGNED / OWN)
    with scene.keeper() as keeper:
        assert keeper.signed == said
