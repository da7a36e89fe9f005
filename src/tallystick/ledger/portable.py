"""The whole ledger as portable files, and back: nothing of the files is believed.

An export is a feed with the log's tiles and, if there is one, a signed checkpoint. An import founds
the network anew and executes every block again; it is complete or it is not there.
See docs/spec/feed.md.

Invariant: an imported ledger has the roots that its own rules gave, and those are the files'.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tallystick.durable import make_durable, sync_folder, write_file
from tallystick.ledger.feed import (
    FeedBlock,
    FeedReader,
    FeedWriter,
    read_frame,
    write_tiles,
)
from tallystick.ledger.ledger import GENESIS_FILE, Ledger
from tallystick.ledger.records import Head
from tallystick.ledger.replay import rebuild
from tallystick.ledger.rules import Rules
from tallystick.ledger.store import read_beside
from tallystick.protocol import tiles
from tallystick.protocol.checkpoint import parse_checkpoint, parse_note, verify_note_signature
from tallystick.protocol.errors import Damaged, VerificationFailed
from tallystick.protocol.genesis import read_genesis

Progress = Callable[[int], None]
"""Is told the block that is done."""

_EXPORTED = ("genesis.json", "checkpoint", "blocks", "tile")


def export_ledger(
    folder: Path, target: Path, progress: Progress | None = None, *, note: bytes | None = None
) -> Head:
    """Write all blocks and tiles of a ledger, durably; the head that they reach.

    Whoever has the ledger open goes on meanwhile. `target` is empty, or an earlier export of it,
    which is continued; else `FileExistsError`. `note` is a signed checkpoint to put beside.
    """
    genesis = (folder / GENESIS_FILE).read_bytes()
    _check_target(target, genesis)
    with read_beside(folder) as snapshot:
        head = snapshot.head()
        if note is not None:
            checkpoint = parse_checkpoint(parse_note(note).text)
            root = tiles.root_at(snapshot, min(checkpoint.size, head.size))
            if checkpoint.size > head.size or checkpoint.root != root:
                raise VerificationFailed("the checkpoint is not one of this ledger")
        writer = FeedWriter(target, genesis)
        try:
            writer.append(snapshot, progress)
        finally:
            writer.close()
        write_tiles(snapshot, target)
    if note is not None:
        write_file(target / "checkpoint", note)
    make_durable(target)
    return head


def import_ledger(
    source: Path,
    folder: Path,
    rules: Rules,
    progress: Progress | None = None,
    *,
    network: bytes | None = None,
) -> Head:
    """Found the network of an export, or of a feed, in `folder`, and execute all of its blocks.

    Raises `Difference` at the first block that is not what the rules give, `VerificationFailed`
    when the files are of another `network` or reach less far than their own checkpoint, `Damaged`
    when they are no whole frames; `folder` is then as it was: not there, or empty.
    """
    feed = FeedReader(source)
    genesis = feed.genesis()
    found = read_genesis(genesis)[1]
    if network is not None and found != network:
        raise VerificationFailed(f"{source} is of network {found.hex()}")

    def told(block: FeedBlock) -> None:
        if progress is not None:
            progress(block.block)

    with built_beside(folder) as beside:
        head = rebuild(beside, genesis, rules, feed.blocks(0), told)
        _check_whole(source)
        note = feed.checkpoint()
        if note is not None:
            _check_reaches(beside, rules, note)
    return head


@contextmanager
def built_beside(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` when all went well, and is removed otherwise."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(mode=0o700)
    try:
        yield beside
        make_durable(beside)
        beside.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _check_target(folder: Path, genesis: bytes) -> None:
    """Refuse to write into anything but nothing, or an earlier export of the same network."""
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
        return
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if not names:
        return
    held = folder / GENESIS_FILE
    if any(name not in _EXPORTED for name in names) or not held.exists():
        raise FileExistsError(f"{folder} has other files than an export: {', '.join(names[:5])}")
    if held.read_bytes() != genesis:
        raise FileExistsError(f"{folder} is the export of another network")


def _check_whole(source: Path) -> None:
    """Refuse files that end within a block: an export never does."""
    for path in sorted((source / "blocks").glob("[0-9]*"))[-1:]:
        with path.open("rb") as file:
            end = 0
            while read_frame(file) is not None:
                end = file.tell()
        if end != path.stat().st_size:
            raise Damaged(f"{path} ends within a block, at byte {end}")


def _check_reaches(folder: Path, rules: Rules, note: bytes) -> None:
    """What was built is the log that this checkpoint of its source is of, or more of it."""
    signed = parse_note(note)
    checkpoint = parse_checkpoint(signed.text)
    with Ledger.open(folder, rules) as ledger:
        verify_note_signature(signed, ledger.origin, ledger.genesis.log_keys[0])
        if checkpoint.size > ledger.head.size:
            raise VerificationFailed(
                f"the blocks end at size {ledger.head.size}, "
                f"the checkpoint beside them is of {checkpoint.size}"
            )
        if tiles.root_at(ledger.store, checkpoint.size) != checkpoint.root:
            raise VerificationFailed(f"the checkpoint of size {checkpoint.size} has another root")
