"""A ledger grown again out of told blocks, beside its future place: whole, or not there.

What is cut off at any point goes on where it was: the half-grown ledger lies in ``.NAME.growing``
beside the folder that it will become. Whoever grows it ends at a signed checkpoint and compares.
See docs/spec/storage.md.

Invariant: a folder that was grown has exactly the log that was signed; of what is false nothing
is left.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tallystick.durable import make_durable, sync_folder
from tallystick.ledger.feed import FeedBlock, FeedReader
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.records import Head
from tallystick.ledger.replay import execute_again
from tallystick.ledger.rules import Rules
from tallystick.ledger.sqlite import FILE, WAL_BYTES_SOFT_MAX
from tallystick.ledger.start import checked
from tallystick.protocol.checkpoint import (
    Checkpoint,
    Note,
    parse_checkpoint,
    parse_note,
    verify_note_signature,
)
from tallystick.protocol.errors import Damaged, VerificationFailed
from tallystick.protocol.genesis import Genesis, log_origin, read_genesis

Blocks = Callable[[int], Iterator[FeedBlock]]
"""The blocks after a block that are there now; none: there are no more."""
Progress = Callable[[FeedBlock], None]


@contextmanager
def growing(folder: Path) -> Iterator[Path]:
    """Where to grow what becomes `folder` when all went well.

    What turns out false is removed; what was only cut off stays, and is gone on with.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.growing")
    beside.mkdir(mode=0o700, exist_ok=True)
    try:
        yield beside
    except (VerificationFailed, Damaged):  # a `Difference` is the former
        shutil.rmtree(beside, ignore_errors=True)
        raise
    make_durable(beside)
    beside.rename(folder)
    sync_folder(folder.parent)


@contextmanager
def grown(
    beside: Path,
    genesis: bytes,
    rules: Rules,
    blocks: Blocks,
    target: Checkpoint,
    *,
    progress: Progress | None = None,
) -> Iterator[Ledger]:
    """The ledger in `beside`, begun or gone on with, once it has the log of `target`.

    Each block is executed again; raises `Difference` for one that is not what the rules give,
    `VerificationFailed` when the blocks end early or lead to another root.
    """
    network = read_genesis(genesis)[1]
    there = (beside / FILE).exists()
    ledger = Ledger.open(beside, rules) if there else Ledger.found(beside, genesis, rules)
    with checked(ledger, lambda sound: sound):
        if ledger.network != network:
            raise VerificationFailed(f"{beside} holds the beginning of another network")
        ledger.store.db.execute("PRAGMA synchronous = NORMAL")  # whole whenever the power fails
        _execute(ledger, blocks, target.size, progress)
        head = ledger.head
        if head.size != target.size:
            raise VerificationFailed(
                f"the blocks end at size {head.size}, the checkpoint is of {target.size}"
            )
        if head.root != target.root:
            raise VerificationFailed(
                f"the blocks give another root at size {head.size} than was signed"
            )
        ledger.store.db.execute("PRAGMA synchronous = FULL")
        ledger.store.checkpoint()
        yield ledger


def catch_up(
    source: Path,
    folder: Path,
    rules: Rules,
    progress: Progress | None = None,
    *,
    network: bytes | None = None,
) -> Head:
    """The ledger of an export in `folder`, as far as the export's checkpoint is signed."""
    feed = FeedReader(source)
    genesis = feed.genesis()
    parsed, found = read_genesis(genesis)
    if network is not None and found != network:
        raise VerificationFailed(f"{source} is of network {found.hex()}")
    data = feed.checkpoint()
    if data is None:
        raise VerificationFailed(f"{source} has no checkpoint: nobody has signed what it says")
    target = signed_checkpoint(parse_note(data), parsed, found)
    with (
        growing(folder) as beside,
        grown(beside, genesis, rules, feed.blocks, target, progress=progress) as ledger,
    ):
        return ledger.head


def signed_checkpoint(note: Note, genesis: Genesis, network: bytes) -> Checkpoint:
    """What a note says, once it is of this network's log and of one of its log keys."""
    checkpoint, origin = parse_checkpoint(note.text), log_origin(genesis.name, network)
    if checkpoint.origin != origin:
        raise VerificationFailed(f"a checkpoint of {checkpoint.origin}, not of {origin}")
    check_signed(note, origin, genesis.log_keys)
    return checkpoint


def check_signed(note: Note, origin: str, keys: Sequence[bytes]) -> bytes:
    """The log key that has signed a note, or `VerificationFailed`."""
    failure = VerificationFailed("no log key")
    for key in keys:
        try:
            verify_note_signature(note, origin, key)
        except VerificationFailed as error:
            failure = error
            continue
        return key
    raise failure


def _execute(ledger: Ledger, blocks: Blocks, size: int, progress: Progress | None) -> None:
    before = -1
    while before < ledger.head.block and ledger.head.size < size:
        before = ledger.head.block
        for block in blocks(before):
            if block.size > size:
                return
            execute_again(ledger, block)
            if ledger.store.wal_bytes() > WAL_BYTES_SOFT_MAX:
                ledger.store.checkpoint()
            if progress is not None:
                progress(block)
