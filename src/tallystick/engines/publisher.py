"""The operator's mouth: publishes blocks and checkpoints, collects the keepers' co-signatures.

A thread of its own, off the way of the blocks: it reads what is committed, appends it to the feed,
signs the checkpoint (and, with the time, that it is the newest), and gathers what keepers put into
``cosigned/``. Receipts are made under the note that most keepers have signed. So that keepers sign
the same sizes, the next checkpoint waits until those that are present have signed this one, but
never longer than `PATIENCE_SECONDS`. See docs/spec/feed.md.

Invariant: it signs only what is durable, and never a smaller log than it signed before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from tallystick.durable import read_file, write_file
from tallystick.engines.clock import Clock
from tallystick.engines.witnessing import AskWitness, Witnessing
from tallystick.ledger.feed import FeedReader, FeedWriter
from tallystick.ledger.ledger import Ledger
from tallystick.protocol import tiles
from tallystick.protocol.checkpoint import (
    NOTE_BYTES_MAX,
    Checkpoint,
    Note,
    cosign,
    format_checkpoint,
    format_note,
    parse_checkpoint,
    parse_note,
    sign_note,
    verify_cosignature,
)
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed
from tallystick.protocol.keys import Signer

PUBLISH_SECONDS = 0.2
"""How long a block may wait for its publication, and a co-signature for its collection."""
REFRESH_SECONDS = 20
"""How often the newest checkpoint is said to be the newest; keepers ask for once a minute."""
PACE_SECONDS = 0.1
"""Between two checkpoints, at least."""
PATIENCE_SECONDS = 1.0
"""How long the next checkpoint waits for co-signatures under this one."""
PRESENT_SECONDS = 30
"""A keeper that has not signed for so long is not waited for."""
NOTES_KEPT = 64
COSIGNED = "cosigned"

_log = logging.getLogger("tallystick.publisher")


class KeeperKey(NamedTuple):
    """Whose co-signatures are gathered."""

    name: str
    key: bytes
    org: str = ""


class Publisher:
    """Publishes one ledger to one feed folder."""

    def __init__(
        self,
        ledger: Ledger,
        signer: Signer,
        folder: Path,
        keepers: Callable[[], Sequence[KeeperKey]],
        clock: Clock,
        *,
        aligned: Callable[[], AbstractContextManager[None]] = nullcontext,
        on_note: Callable[[int], None] | None = None,
        witnesses: Sequence[AskWitness] = (),
    ) -> None:
        """`keepers` says whose co-signatures are gathered; asked again after each block.

        `aligned`: within it no block is made, and readers take hold of the moment that is signed.
        `on_note` is told of each size whose note is new or has more lines. Nobody waits for
        `witnesses`.
        """
        self._ledger = ledger
        self._signer = signer
        self._folder = folder
        self._find_keepers = keepers
        self._keepers = keepers()
        self._clock = clock
        self._aligned = aligned
        self._on_note = on_note or (lambda size: None)
        self._witnesses = Witnessing(ledger, witnesses, self._on_note)
        self._signed_monotonic = -PATIENCE_SECONDS
        self._writer = FeedWriter(folder, (ledger.folder / "genesis.json").read_bytes())
        (folder / COSIGNED).mkdir(exist_ok=True)
        self._roots: OrderedDict[int, bytes] = OrderedDict()
        self._lines: dict[int, dict[str, tuple[int, str]]] = {}
        """By size of the log and name of the keeper: when it co-signed, and its line."""
        self._newest: dict[str, tuple[int, int]] = {}
        """Of each keeper: size and time of its newest co-signature, also when that is long ago."""
        self._unwritten: dict[bytes, bytes] = {}
        """By a keeper's key: the note with its line that is to lie in its file."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._published: tuple[int, int] = (-1, 0)
        self.failure: BaseException | None = None
        self._restore()
        try:
            with ledger.store.snapshot() as snapshot:
                self._writer.append(snapshot)  # or `Damaged`: more was published than there is
        except BaseException:
            self._writer.close()
            raise
        self._thread = threading.Thread(target=self._run, name="tallystick-publisher", daemon=True)

    def start(self) -> None:
        """Publish from now on; before, the clock must be believed: what is signed has its time."""
        self._thread.start()
        self._witnesses.start()

    def wake(self) -> None:
        """There is a new block."""
        self._wake.set()

    def close(self) -> None:
        """Publish what is committed, then stop."""
        self._closing = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._write_down()
        self._witnesses.close()
        self._writer.close()

    def note_for(self, index: int, *, size: int | None = None) -> tuple[bytes, int]:
        """The note for entry `index` that most keepers signed, of those the newest; how many.

        With `size`, the note of exactly that size. `LookupError`: it is not published yet.
        """
        with self._lock:
            fitting = [
                (len(self._lines.get(at, ())), at)
                for at in self._roots
                if at > index and (size is None or at == size)
            ]
            if not fitting:
                raise LookupError(f"entry {index} is not under a published checkpoint yet")
            count, at = max(fitting)
            checkpoint = Checkpoint(self._ledger.origin, at, self._roots[at])
            lines = [line for _, line in self._lines.get(at, {}).values()]
        named = {self._ledger.origin, *(line.split(" ", 2)[1] for line in lines)}
        for line in self._witnesses.lines(at):  # a name may stand once: a keeper's word is more
            if (name := line.split(" ", 2)[1]) not in named:
                named.add(name)
                lines.append(line)
        text = format_checkpoint(checkpoint)
        own = sign_note(text, checkpoint.origin, self._signer)
        return format_note(text, [own, *lines]).encode(), count

    def note(self, size: int) -> bytes:
        """All that is known of a size: keepers' lines, and of the newest our own word of when."""
        note, _ = self.note_for(-1, size=size)
        newest, at = self._published
        if size != newest:
            return note
        parsed = parse_note(note)
        own = cosign(parsed.text, self._ledger.origin, self._signer, at)
        return format_note(parsed.text, [each.line for each in parsed.signatures] + [own]).encode()

    def publish(self, *, patient: bool = True) -> None:
        """One round: blocks, checkpoint, co-signatures. Not `patient`, it waits for no keeper."""
        size, at = self._published
        now = self._clock.sign_at()
        committed = self._ledger.head.size
        if committed and committed != size and not (patient and self._awaits(now)):
            with ExitStack() as stack:
                with self._aligned():
                    snapshot = stack.enter_context(self._ledger.store.snapshot())
                self._writer.append(snapshot)
                head = snapshot.head()
            self._keepers = self._find_keepers()
            self._sign(Checkpoint(self._ledger.origin, head.size, head.root), now)
        elif size > 0 and now - at >= REFRESH_SECONDS:
            self._sign(Checkpoint(self._ledger.origin, size, self._roots[size]), now)
        self._write_down()
        self.collect()

    def _awaits(self, now: int) -> bool:
        """Whether a keeper that is there has not signed this checkpoint yet, and still may."""
        if time.monotonic() - self._signed_monotonic >= PATIENCE_SECONDS:
            return False
        with self._lock:
            signed = self._lines.get(self._published[0], {})
            present = {
                name
                for lines in self._lines.values()
                for name, (at, _) in lines.items()
                if now - at <= PRESENT_SECONDS
            }
        return not present.issubset(signed)

    def _write_down(self) -> None:
        """Keep what was handed in, so that a restart knows it; here, where nobody waits for it."""
        with self._lock:
            unwritten, self._unwritten = self._unwritten, {}
        for key, data in unwritten.items():
            write_file(self._folder / COSIGNED / sha256(key).hexdigest()[:16], data)

    def collect(self) -> None:
        """Take in what keepers have co-signed; what is not theirs or not of our log is left."""
        for note, checkpoint in self._cosigned():
            if self._roots.get(checkpoint.size) == checkpoint.root:
                self._take(checkpoint.size, note)

    def _cosigned(self) -> Iterator[tuple[Note, Checkpoint]]:
        """What lies in the keepers' files, unverified; others write there, too."""
        for path in sorted((self._folder / COSIGNED).iterdir()):
            if path.name.startswith("."):
                continue
            try:
                note = parse_note(read_file(path, NOTE_BYTES_MAX))
                yield note, parse_checkpoint(note.text)
            except (Malformed, OSError):
                continue

    def offer(self, data: bytes) -> None:
        """Take a keeper's co-signature that came by another way than its file; it proves itself.

        `Malformed`, or `VerificationFailed`: no live keeper's, or not of a note of ours.
        """
        note = parse_note(data)
        checkpoint = parse_checkpoint(note.text)
        if self._roots.get(checkpoint.size) != checkpoint.root:
            raise VerificationFailed("not a checkpoint that was published here lately")
        taken = self._take(checkpoint.size, note)
        if not taken:
            raise VerificationFailed("no line of a live keeper")
        with self._lock:
            self._unwritten.update((key, data) for key in taken)
        self._wake.set()

    def sizes(self) -> list[int]:
        """Of which there are notes, the smallest first."""
        with self._lock:
            return sorted(self._roots)

    @property
    def keepers(self) -> Sequence[KeeperKey]:
        """Whose co-signatures are gathered now."""
        return self._keepers

    def lines(self) -> dict[str, tuple[int, int]]:
        """Of each keeper that ever signed: (size, Unix seconds) of its newest co-signature."""
        with self._lock:
            return dict(self._newest)

    def _take(self, size: int, note: Note) -> list[bytes]:
        """The lines that verify, of each keeper its newest: nobody's copy takes one back.

        Whose keys they are of.
        """
        keys, news = list[bytes](), False
        for keeper in self._keepers:
            for signature in note.signatures:
                alone = Note(note.text, (signature,))  # another line may bear the same name
                try:
                    at = verify_cosignature(alone, keeper.name, keeper.key)
                except VerificationFailed:
                    continue
                keys.append(keeper.key)
                with self._lock:
                    lines = self._lines.setdefault(size, {})
                    before = lines.get(keeper.name, (0, ""))
                    lines[keeper.name] = max(before, (at, signature.line))
                    news = news or lines[keeper.name] != before
                    self._newest[keeper.name] = max(
                        self._newest.get(keeper.name, (0, 0)), (size, at)
                    )
        if news:
            self._on_note(size)
        return keys

    def _sign(self, checkpoint: Checkpoint, now: int) -> None:
        """Sign that this is the log, and that at this time it is all of it."""
        text = format_checkpoint(checkpoint)
        lines = [
            sign_note(text, checkpoint.origin, self._signer),
            cosign(text, checkpoint.origin, self._signer, now),
        ]
        self._remember(checkpoint)
        note = format_note(text, lines).encode()
        write_file(self._folder / "checkpoint", note)
        self._witnesses.offer(checkpoint.size, note)
        if checkpoint.size != self._published[0]:
            self._signed_monotonic = time.monotonic()
        self._published = (checkpoint.size, now)
        self._on_note(checkpoint.size)

    def _remember(self, checkpoint: Checkpoint) -> None:
        """Keep the newest notes, and of the older ones that with the most co-signatures."""
        with self._lock:
            self._roots[checkpoint.size] = checkpoint.root
            while len(self._roots) > NOTES_KEPT:
                best = max(self._roots, key=lambda at: (len(self._lines.get(at, ())), at))
                gone = next(at for at in self._roots if at != best)
                del self._roots[gone]
                self._lines.pop(gone, None)

    def _restore(self) -> None:
        """What was signed before the restart: neither clock nor ledger may fall behind it."""
        self._recall()
        data = FeedReader(self._folder).checkpoint()
        if data is None:
            return
        path, ledger = self._folder / "checkpoint", self._ledger
        try:
            note = parse_note(data)
            checkpoint = parse_checkpoint(note.text)
            signed_at = _signed_at(note, ledger.origin, ledger.genesis.log_keys)
        except (Malformed, VerificationFailed) as error:
            raise Damaged(f"{path} is not what was signed: {error}") from error
        if checkpoint.size > ledger.head.size:
            raise Damaged(f"{ledger.store.path} is older than what was signed of it in {path}")
        if tiles.root_at(ledger.store, checkpoint.size) != checkpoint.root:
            raise Damaged(f"{ledger.store.path} is not the log that was signed in {path}")
        self._clock.signed(signed_at)
        self._remember(checkpoint)

    def _recall(self) -> None:
        """Since when each keeper is silent, as its file says."""
        for note, checkpoint in self._cosigned():
            known = checkpoint.origin == self._ledger.origin
            for keeper in self._keepers if known else ():
                with suppress(VerificationFailed):
                    at = verify_cosignature(note, keeper.name, keeper.key)
                    before = self._newest.get(keeper.name, (0, 0))
                    self._newest[keeper.name] = max(before, (checkpoint.size, at))

    def _pace(self) -> None:
        """Under load every block wakes us: what is signed is signed for all of a tenth second."""
        left = PACE_SECONDS - (time.monotonic() - self._signed_monotonic)
        if left > 0 and not self._closing:
            time.sleep(left)

    def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.wait(PUBLISH_SECONDS)
                self._wake.clear()
                self.publish()
                self._pace()
            self.publish(patient=False)
        except BaseException as error:
            self.failure = error
            _log.critical("publishing stops: %s", error)


def _signed_at(note: Note, origin: str, keys: Sequence[bytes]) -> int:
    """When a log key said that this is all there is; the log may have gone on with another one."""
    failure = VerificationFailed("no log key")
    for key in keys:
        try:
            return verify_cosignature(note, origin, key)
        except VerificationFailed as error:
            failure = error
    raise failure
