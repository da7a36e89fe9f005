"""Power cuts by the hundred: one run, and at many of its instants an image of the disk to reopen.

Invariant: an image has exactly the blocks whose commit had returned, or one more, whole.
See docs/spec/storage.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from faults.ground import FaultBlock, Ground, copy, digest, found, make_block, reference
from faults.powercut import Disk, Instant

from tallystick.ledger.ledger import GENESIS_FILE, Ledger
from tallystick.ledger.sqlite import FILE, NEW
from tallystick.node import rules


@dataclass
class Cuts:
    """A run over a disk that loses power at each instant with some chance."""

    folder: Path
    seed: int
    blocks: int = 20
    chance_of_a_cut: float = 0.3
    lies: bool = False
    """The disk says that it has synced and has not: then something must be missing."""
    tried: int = 0
    more: int = 0
    """Images that had the block that was in flight."""
    _done: int = 0
    _images: list[tuple[Path, int]] = field(default_factory=list)

    def run(self) -> int:
        """How many images were reopened."""
        self.chance = Random(self.seed)
        ground = Ground(self.seed)
        opening = found(ground, self.folder / "opening")
        blocks = ground.blocks(self.blocks)
        self.wanted = list(reference(opening, self.folder / "reference", blocks))
        live = copy(opening, self.folder / "live")
        disk = Disk(self._maybe_cut, lies=self.lies)
        self._write(live, disk, blocks)
        disk.before = lambda _: None
        images, self._images = self._images, []
        for image, done in images:
            self._reopen(image, done, blocks)
        return self.tried

    def _maybe_cut(self, instant: Instant) -> None:
        """Rather before a sync: then a whole block is on its way."""
        chance = self.chance_of_a_cut
        if self.chance.random() < (1 - (1 - chance) ** 4 if instant.what == "sync" else chance):
            self._cut(self.disk)

    def _cut(self, disk: Disk) -> Path:
        image = self.folder / f"cut-{self.tried}-{len(self._images)}"
        disk.image(image, self.chance)
        shutil.copy(self.folder / "opening" / GENESIS_FILE, image)
        self._images.append((image, self._done))
        return image

    def _write(self, live: Path, disk: Disk, blocks: Sequence[FaultBlock]) -> None:
        """Blocks, and between them whatever moves the WAL."""
        self.disk = disk
        ledger = Ledger.open(live, rules(), vfs=disk.name)
        for block in blocks:
            make_block(ledger, block)
            self._done += 1
            match self.chance.randrange(6):
                case 0:
                    ledger.store.checkpoint()
                case 1:
                    ledger.store.checkpoint_beside()
                case 2:
                    ledger.close()
                    ledger = Ledger.open(live, rules(), vfs=disk.name)
        ledger.close()

    def _reopen(self, image: Path, done: int, blocks: Sequence[FaultBlock]) -> None:
        """The image has what was acknowledged; a second cut while it recovers costs nothing."""
        self.tried += 1
        disk = Disk()
        with Ledger.open(image, rules(), vfs=disk.name) as ledger:
            there = ledger.head.block - len(OPENING)
            assert done <= there <= done + 1, f"{there} blocks, {done} acknowledged, {image}"
            self.more += there - done
            if there < len(blocks) and self.chance.random() < 0.5:
                make_block(ledger, blocks[there])
                there += 1
            again = self.folder / "again"
            disk.image(again, self.chance)
        assert digest(image) == self.wanted[there], image
        shutil.copy(image / GENESIS_FILE, again)
        Ledger.open(again, rules()).close()
        assert digest(again) == self.wanted[there], image
        shutil.rmtree(again)
        shutil.rmtree(image)


OPENING = Ground().opening()


def cut_a_founding(folder: Path, seed: int) -> int:
    """Cuts while a network is founded: afterwards there is a whole ledger, or none, never half."""
    chance, ground, images = Random(seed), Ground(seed), list[Path]()
    live = folder / "live"

    def cut(_: Instant) -> None:
        images.append(folder / f"cut-{len(images)}")
        disk.image(images[-1], chance)

    disk = Disk(cut)
    Ledger.found(live, ground.genesis, rules(), vfs=disk.name).close()
    wanted = digest(live)
    for image in images:
        if (image / FILE).exists():
            shutil.copy(live / GENESIS_FILE, image)
            Ledger.open(image, rules()).close()
        else:
            Ledger.found(image, ground.genesis, rules()).close()
        assert digest(image) == wanted, image
        assert not (image / NEW).exists()
    return len(images)
