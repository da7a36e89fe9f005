"""Reading a ledger without stopping whoever writes it, and the notes that vouch for it.

Invariant: nothing here takes the ledger's lock or writes a byte. See docs/cli.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tallystick.cli.failures import BUSY, fail
from tallystick.contracts.kit.context import Key
from tallystick.contracts.members.views import keepers
from tallystick.engines.publisher import COSIGNED
from tallystick.ledger.ledger import GENESIS_FILE
from tallystick.ledger.store import Snapshot, read_beside
from tallystick.ledger.view import View
from tallystick.node import FEED
from tallystick.protocol import tiles
from tallystick.protocol.canonical import encode
from tallystick.protocol.checkpoint import (
    NOTE_BYTES_MAX,
    Checkpoint,
    Note,
    format_checkpoint,
    format_note,
    parse_checkpoint,
    parse_note,
    sign_note,
    verify_cosignature,
    verify_note_signature,
)
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.genesis import log_origin, read_genesis
from tallystick.protocol.keys import Signer
from tallystick.protocol.merkle import EMPTY_ROOT

POLL_SECONDS = 0.2

T = TypeVar("T")


@contextmanager
def reading(folder: Path) -> Iterator[View]:
    """What may be asked of the ledger in `folder`, as of one moment."""
    with _moment(folder) as (view, _):
        yield view


@contextmanager
def _moment(folder: Path) -> Iterator[tuple[View, Snapshot]]:
    if not folder.is_dir():
        raise FileNotFoundError(2, "no such folder", str(folder))
    if not (folder / GENESIS_FILE).exists():
        fail(
            *("cli.no_ledger", "该目录中没有账本", "there is no ledger in this folder"),
            todo=("核对 --dir，或先运行 tally found", "check --dir, or make one with tally found"),
            detail=str(folder),
        )
    genesis, network = read_genesis((folder / GENESIS_FILE).read_bytes())
    with read_beside(folder) as snapshot:
        yield View(snapshot, genesis, network), snapshot


@dataclass(slots=True)
class _Note:
    checkpoint: Checkpoint
    own: str | None = None
    keepers: dict[str, str] = field(default_factory=dict)


class Notes:
    """What the operator and the keepers have signed lately, out of the published files."""

    def __init__(self, folder: Path, view: View) -> None:
        self._feed = folder / FEED
        self._genesis = view.genesis
        self._keepers = [row for row in keepers(view) if row.good]
        self._origin = log_origin(view.genesis.name, view.network)
        self._notes: dict[tuple[int, bytes], _Note] = {}

    def read(self) -> None:
        """Take in what is there now; what is not signed by whom it should be is left aside."""
        for data in _signed_files(self._feed):
            try:
                self._take(data)
            except Malformed:
                continue

    @property
    def live(self) -> int:
        """How many keepers there are now."""
        return len(self._keepers)

    def best(
        self, snapshot: Snapshot, index: int, *, size: int | None, log_signer: Signer | None
    ) -> tuple[bytes, int] | None:
        """The note over entry `index` with the most keepers, and how many; None: there is none."""
        found = [
            note
            for note in self._notes.values()
            if index < note.checkpoint.size <= snapshot.head().size
            and size in (None, note.checkpoint.size)
            and (note.own is not None or log_signer is not None)
            and self._root(snapshot, note.checkpoint.size) == note.checkpoint.root
        ]
        if not found:
            return None
        note = max(found, key=lambda each: (len(each.keepers), each.checkpoint.size))
        text = format_checkpoint(note.checkpoint)
        own = note.own
        if own is None and log_signer is not None:
            own = sign_note(text, self._origin, log_signer)
        return format_note(text, [own or "", *note.keepers.values()]).encode(), len(note.keepers)

    def _root(self, snapshot: Snapshot, size: int) -> bytes:
        return tiles.root_at(snapshot, size) if size else EMPTY_ROOT

    def _take(self, data: bytes) -> None:
        note = parse_note(data)
        checkpoint = parse_checkpoint(note.text)
        if checkpoint.origin != self._origin:
            return
        kept = self._notes.setdefault((checkpoint.size, checkpoint.root), _Note(checkpoint))
        for keeper in self._keepers:
            try:
                verify_cosignature(note, keeper.id, keeper.key)
            except VerificationFailed:
                continue
            kept.keepers[keeper.id] = _line_of(note, keeper.id)
        for key in self._genesis.log_keys:
            try:
                verify_note_signature(note, self._origin, key)
            except VerificationFailed:
                continue
            kept.own = _line_of(note, self._origin)


def best_note(folder: Path) -> bytes | None:
    """The note that the operator and the most keepers have signed lately, or None."""
    with _moment(folder) as (view, snapshot):
        notes = Notes(folder, view)
        notes.read()
        found = notes.best(snapshot, -1, size=None, log_signer=None)
        return None if found is None else found[0]


def make_receipts(
    folder: Path,
    entries: list[tuple[int, Key | None]],
    *,
    keepers_min: int | None,
    wait_seconds: float,
    log_signer: Signer | None,
) -> list[bytes]:
    """Receipts of entries, each with the state of a row if it names one, under one moment's note.

    Waits until `keepers_min` keepers, by default all live ones, have co-signed a fitting one.
    """

    def prove(view: View, note: bytes) -> list[bytes]:
        return [encode(view.receipt(index, note, row=row)) for index, row in entries]

    return make_proofs(
        folder,
        prove,
        highest=max(index for index, _ in entries),
        of_state=any(row is not None for _, row in entries),
        keepers_min=keepers_min,
        wait_seconds=wait_seconds,
        log_signer=log_signer,
    )


def make_proofs(
    folder: Path,
    prove: Callable[[View, bytes], T],
    *,
    highest: int = -1,
    of_state: bool = True,
    keepers_min: int | None,
    wait_seconds: float,
    log_signer: Signer | None,
) -> T:
    """What `prove` makes of one moment and a note over entry `highest`; of the head for a state.

    Waits until `keepers_min` keepers, by default all live ones, have co-signed a fitting one.
    """
    deadline = time.monotonic() + wait_seconds
    best, wanted = -1, 0
    while True:
        with _moment(folder) as (view, snapshot):
            if highest >= view.head.size:
                _no_entry(highest, view.head.size)
            notes = Notes(folder, view)
            notes.read()
            size = view.head.size if of_state else None
            found = notes.best(snapshot, highest, size=size, log_signer=log_signer)
            if found is not None:
                note, best = found
                wanted = notes.live if keepers_min is None else keepers_min
                if best >= wanted:
                    return prove(view, note)
        if time.monotonic() >= deadline:
            _not_signed(best, wanted)
        time.sleep(POLL_SECONDS)


def _line_of(note: Note, name: str) -> str:
    return next(each.line for each in note.signatures if each.name == name)


def _no_entry(index: int, size: int) -> None:
    fail(
        *("cli.no_entry", "账本中没有该条目", "the log has no such entry"),
        detail=f"entry {index}; the log has {size} leaves, from 0",
        todo=("用 tally bills show 查询条目号", "look up the index with tally bills show"),
    )


def _not_signed(found: int, wanted: int) -> None:
    fail(
        *("cli.not_signed", "尚无足够监督签名的账本快照"),
        "there is no published checkpoint yet that enough keepers have co-signed",
        detail=f"{max(found, 0)} of {wanted} keepers",
        todo=(
            "确认节点与见证节点在运行后重试；或用 --keepers 降低要求",
            "check that the node and its keepers run and try again, or ask for fewer: --keepers",
        ),
        exit_code=BUSY,
    )


def published(folder: Path, view: View) -> list[tuple[str, int, int | None]]:
    """(name, size, Unix seconds or None) of what operator and keepers signed last."""
    origin = log_origin(view.genesis.name, view.network)
    named = [(row.id, row.key) for row in keepers(view) if row.good]
    names = [(origin, view.genesis.log_keys[0]), *named]
    newest: dict[str, tuple[int, int | None]] = {}
    for data in _signed_files(folder / FEED):
        try:
            note = parse_note(data)
            size = parse_checkpoint(note.text).size
        except Malformed:
            continue
        for name, key in names:
            try:
                at = verify_cosignature(note, name, key)
            except VerificationFailed:
                continue
            newest[name] = max(newest.get(name, (0, None)), (size, at))
    return [(name, *newest.get(name, (0, None))) for name, _ in names]


def _signed_files(feed: Path) -> Iterator[bytes]:
    for path in [feed / "checkpoint", *sorted((feed / COSIGNED).glob("[!.]*"))]:
        try:
            with path.open("rb") as file:
                yield file.read(NOTE_BYTES_MAX + 1)
        except FileNotFoundError:
            continue
