"""A keeper: follows a ledger, executes every block again, and only then co-signs.

Its co-signature says: I have executed every entry of this log by my own copy of the rules and found
the same outcomes and the same roots. If it finds others it stops, writes what it found to a file,
and says so. What it follows is a `Source`: a feed on local files, or a node over HTTP. It executes
no further than the checkpoint that it was shown, so that keepers sign the same sizes.
See docs/spec/keeper.md.

Invariant: it never co-signs what it has not executed and stored, nor a smaller log than before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from tallystick.durable import read_file, write_file
from tallystick.engines.clock import Clock
from tallystick.engines.publisher import COSIGNED, KeeperKey
from tallystick.ledger.feed import FeedBlock, FeedReader
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.replay import Difference, execute_again
from tallystick.ledger.rules import Rules
from tallystick.ledger.sqlite import FILE, WAL_BYTES_SOFT_MAX
from tallystick.ledger.start import checked
from tallystick.protocol import tiles
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.checkpoint import (
    NOTE_BYTES_MAX,
    Checkpoint,
    Note,
    cosign,
    format_checkpoint,
    format_note,
    parse_checkpoint,
    parse_note,
    verify_cosignature,
    verify_note_signature,
)
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed
from tallystick.protocol.genesis import read_genesis
from tallystick.protocol.keys import Signer
from tallystick.protocol.values import Count, format_instant

BLOCK_AHEAD_SECONDS_MAX = 60
"""How far a block may be ahead of the keeper's clock, and behind its last co-signing."""
CONFIRMED_SECONDS_MAX = 60
"""How old the operator's word that this is the newest checkpoint may be."""
SIGNED_FILE = "signed.json"
NOTE_FILE = "checkpoint"
"""The newest that was co-signed: a keeper shows it when its operator is gone for good."""
IDLE_SECONDS = 60
"""How often an unchanged checkpoint is co-signed anew."""

_log = logging.getLogger("tallystick.keeper")


FindKeepers = Callable[[Ledger], Sequence[KeeperKey]]


class Contradiction(VerificationFailed):
    """The source told what is not so; `evidence` is the file that says what was found."""

    def __init__(self, detail: str, evidence: Path) -> None:
        super().__init__(f"{detail}; evidence in {evidence}")
        self.evidence = evidence


class Source(Protocol):
    """Whom a keeper follows; believes nothing of it."""

    def genesis(self) -> bytes:
        """The founding file."""

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint, or None."""

    def blocks(self, after: int, size: int | None) -> Iterator[FeedBlock]:
        """The blocks after block `after` that are there now, none beyond `size` of the log."""

    def shown(self) -> bytes | None:
        """What this keeper showed last, if the source keeps it."""

    def show(self, note: bytes) -> None:
        """Hand over a co-signature."""


class Said(NamedTuple):
    """A checkpoint that the operator has signed, with the time at which it was all there was."""

    data: bytes
    note: Note
    checkpoint: Checkpoint
    confirmed_at: int


class FeedSource:
    """A feed on local files; co-signatures lie in its ``cosigned/``."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._feed = FeedReader(folder)
        self._own = folder / COSIGNED / sha256(key).hexdigest()[:16]

    def genesis(self) -> bytes:
        return self._feed.genesis()

    def checkpoint(self) -> bytes | None:
        return self._feed.checkpoint()

    def blocks(self, after: int, size: int | None) -> Iterator[FeedBlock]:
        for block in self._feed.blocks(after):
            if size is not None and block.size > size:
                return
            yield block

    def shown(self) -> bytes | None:
        try:
            return read_file(self._own, NOTE_BYTES_MAX)
        except OSError:
            return None

    def show(self, note: bytes) -> None:
        write_file(self._own, note)


class Keeper:
    """One keeper in its own folder."""

    def __init__(
        self,
        folder: Path,
        source: Source,
        signer: Signer,
        ledger: Ledger,
        *,
        find_keepers: FindKeepers,
        clock: Clock,
    ) -> None:
        self.ledger = ledger
        self._folder = folder
        self._source = source
        self._signer = signer
        self._clock = clock
        self._find_keepers = find_keepers
        self.note: bytes | None = None
        """The newest checkpoint of what is executed, with our line where we sign."""
        self.note_size = -1
        self.told_size = 0
        """Of the newest checkpoint that the operator was heard to have signed."""
        self.before_wal: Callable[[], None] = lambda: None
        """Called before the WAL begins anew: readers let go of old moments."""
        self._told: bytes | None = None
        self._line: tuple[int, str] = (-1, "")
        """Size and line of what this process co-signed last."""
        self._unshown: bytes | None = None
        self._signed = self._last_signed()
        self._recall()

    @classmethod
    def open(
        cls,
        folder: Path,
        source: Path | Source,
        signer: Signer,
        rules: Rules,
        *,
        find_keepers: FindKeepers,
        network: bytes | None = None,
        clock: Clock | None = None,
    ) -> Self:
        """Open the keeper of a folder, or begin one: `network` is the id that it must be of.

        `find_keepers` says who keeps, by the ledger as it was executed so far: a keeper that is not
        among them yet follows and does not sign.
        """
        feed = FeedSource(source, signer.public_key) if isinstance(source, Path) else source
        if (folder / FILE).exists():
            ledger = Ledger.open(folder, rules)
        else:
            genesis = feed.genesis()
            if network is not None and read_genesis(genesis)[1] != network:
                raise VerificationFailed("the source's founding file is of another network")
            ledger = Ledger.found(folder, genesis, rules)
        return checked(
            ledger,
            lambda sound: cls(
                folder, feed, signer, sound, find_keepers=find_keepers, clock=clock or Clock()
            ),
        )

    def close(self) -> None:
        """Let go of the files."""
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def signed(self) -> tuple[int, int]:
        """(size, Unix seconds) of the last co-signature."""
        return self._signed

    @property
    def name(self) -> str | None:
        """Under which name the network knows this keeper's key; None: not, or not yet."""
        keepers = self._find_keepers(self.ledger)
        return next((each.name for each in keepers if each.key == self._signer.public_key), None)

    def step(self) -> int:
        """Follow as far as the source goes, then co-sign if there is reason: blocks executed.

        Whatever the source raises comes out of here, and the next step goes on from there.
        """
        self._hand_over()
        done, self._told = 0, self._source.checkpoint()
        said = None if self._told is None else self._read(self._told)
        if said is not None:
            self.told_size = said.checkpoint.size
        for block in self._source.blocks(
            self.ledger.head.block, None if said is None else said.checkpoint.size
        ):
            self._execute(block)
            done += 1
            if self.ledger.store.wal_bytes() > WAL_BYTES_SOFT_MAX:
                self.before_wal()
                self.ledger.store.checkpoint()
        if said is not None:
            self._cosign(said)
        return done

    def _read(self, data: bytes) -> Said:
        """The operator's word, before a block is executed on it; `VerificationFailed`: not its."""
        note, ledger = parse_note(data), self.ledger
        checkpoint = parse_checkpoint(note.text)
        if checkpoint.origin != ledger.origin:
            raise VerificationFailed(f"the source's checkpoint is of {checkpoint.origin}")
        failure = VerificationFailed("the network has no log key")
        for key in ledger.genesis.log_keys:
            try:
                verify_note_signature(note, ledger.origin, key)
                confirmed_at = verify_cosignature(note, ledger.origin, key)
            except VerificationFailed as error:
                failure = error
                continue
            return Said(data, note, checkpoint, confirmed_at)
        raise failure

    def _execute(self, block: FeedBlock) -> None:
        """1. time    2. authentic    3. admitted    4. outcomes    5. state    6. log"""
        ledger, size, signed_at = self.ledger, *self._signed
        now, head = self._clock.now(), ledger.head
        earliest = signed_at - BLOCK_AHEAD_SECONDS_MAX if head.size >= size else 0
        if not max(earliest, head.at) <= block.at <= now + BLOCK_AHEAD_SECONDS_MAX:  # 1
            raise self._contradiction(
                "time", block, block.at, f"{format_instant(now)} is the keeper's clock"
            )
        try:
            execute_again(ledger, block)  # 2 to 6
        except Difference as found:
            raise self._contradiction(found.what, block, found.told, found.found) from found

    def _cosign(self, said: Said) -> None:
        """Co-sign the source's newest checkpoint, if it is of a log that we have executed."""
        checkpoint, ledger = said.checkpoint, self.ledger
        if checkpoint.size > ledger.head.size:
            return  # its blocks are still on their way
        root = tiles.root_at(ledger.store, checkpoint.size)
        if root != checkpoint.root:
            raise self._contradiction_of_note(said.data, checkpoint, root)
        if checkpoint.size == ledger.head.size:
            self._keep_note(said.note, checkpoint.size)
        now, (size, signed_at) = self._clock.now(), self._signed
        fresh = abs(now - said.confirmed_at) <= CONFIRMED_SECONDS_MAX
        if checkpoint.size < size or checkpoint.size != ledger.head.size or not fresh:
            return
        if checkpoint.size == self._line[0] and now - signed_at < IDLE_SECONDS:
            return  # after a restart the line is made anew: nobody may have seen it
        name = self.name
        if name is None:
            return
        at = max(now, signed_at)
        text = format_checkpoint(checkpoint)
        line = cosign(text, name, self._signer, at)
        write_file(self._folder / SIGNED_FILE, encode([checkpoint.size, at]))
        self._signed, self._line = (checkpoint.size, at), (checkpoint.size, line)
        self._keep_note(said.note, checkpoint.size)
        write_file(self._folder / NOTE_FILE, self.note or b"")
        self._unshown = format_note(text, [line]).encode()
        self._hand_over()

    def _hand_over(self) -> None:
        """Show the last co-signature, unless that is done; it waits while nobody takes it."""
        if self._unshown is not None:
            self._source.show(self._unshown)
            self._unshown = None

    def _keep_note(self, note: Note, size: int) -> None:
        """What may be shown to those who read here; our newest line in place of an older one."""
        lines = [each.line for each in note.signatures]
        if self._line[0] == size:
            own = self._line[1].split(" ")[:2]
            lines = [each for each in lines if each.split(" ")[:2] != own] + [self._line[1]]
        self.note, self.note_size = format_note(note.text, lines).encode(), size

    def _recall(self) -> None:
        """What was shown before the restart; `Damaged` when it is not of this ledger."""
        path = self._folder / NOTE_FILE
        if not path.exists():
            return
        try:
            data = read_file(path, NOTE_BYTES_MAX)
            said = self._read(data)
        except (Malformed, VerificationFailed) as error:
            raise Damaged(f"{path} is not what was written: {error}") from error
        size = said.checkpoint.size
        if size > self.ledger.head.size:
            raise Damaged(f"{self.ledger.store.path} is older than what was signed in {path}")
        if tiles.root_at(self.ledger.store, size) != said.checkpoint.root:
            raise Damaged(f"{self.ledger.store.path} is not the log that was signed in {path}")
        self.note, self.note_size, self.told_size = data, size, size

    def _last_signed(self) -> tuple[int, int]:
        """Written before each co-signature is shown: after a crash it is too new, never too old.

        What was shown counts as well: a folder that came out of a backup has no such file.
        """
        path, size, at = self._folder / SIGNED_FILE, 0, 0
        if path.exists():
            try:
                size, at = decode(path.read_bytes(), tuple[Count, Count])
            except Malformed as error:
                raise Damaged(f"{path} is not what was written: {error}") from error
        shown = self._source.shown()
        if shown is None:
            return size, at
        try:
            note = parse_note(shown)
            name, checkpoint = note.signatures[0].name, parse_checkpoint(note.text)
            shown_at = verify_cosignature(note, name, self._signer.public_key)
        except (Malformed, VerificationFailed):
            return size, at  # others write there too
        if checkpoint.origin != self.ledger.origin:
            return size, at  # what our key said of another log
        return max(size, checkpoint.size), max(at, shown_at)

    def _contradiction(self, what: str, block: FeedBlock, told: Any, found: Any) -> Contradiction:
        return self._write_evidence(
            f"{what} of block {block.block} is not what the rules give",
            {
                "what": what,
                "block": block.block,
                "at": block.at,
                "told": told,
                "found": found,
                "root": block.root.hex(),
                "state": block.state.hex(),
                "transactions": [sha256(data).hexdigest() for data in block.transactions],
            },
        )

    def _contradiction_of_note(
        self, data: bytes, checkpoint: Checkpoint, root: bytes
    ) -> Contradiction:
        return self._write_evidence(
            f"the operator signed another root at size {checkpoint.size}",
            {"what": "checkpoint", "told": data.decode(), "found": root.hex()},
        )

    def _write_evidence(self, detail: str, found: dict[str, Any]) -> Contradiction:
        signed = self._told
        evidence = {
            "format": "tallystick/keeper-evidence/v1",
            "keeper": self.name or self._signer.public_key.hex(),
            "seen_at": format_instant(self._clock.now()),
            "checkpoint": signed.decode(errors="replace") if signed else "",
        }
        path = self._folder / f"evidence-{self._clock.now()}-{found['what']}.json"
        write_file(path, encode(evidence | found))
        _log.critical("STOPPED: %s; evidence in %s", detail, path)
        return Contradiction(detail, path)
