"""What a client knows of the log: the newest checkpoint it saw, and the tiles' right edge.

Every note that comes in is looked at before anything under it is believed:
1. it is of the policy's log and bears its signature    2. one that is known is fine
3. of an equal size it has the same root    4. of another, the smaller is the beginning of the
larger: the path is made of tiles, which are asked for    5. a larger one takes the newest's place

Where 3 or 4 does not hold, the log has signed two histories: the proof is written to a file, and
everything refuses from then on, over restarts, until the operator of the client has moved that file
away (and, if the log is to be used again, the file of what is known).

Invariant: a checkpoint that is returned is of one history with all that were returned before.
See docs/spec/client.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, NoReturn, Self

from tallystick.client import wire
from tallystick.client.failures import Equivocation
from tallystick.durable import read_file, take_lock, write_file
from tallystick.protocol import merkle, tiles
from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.protocol.checkpoint import NOTE_BYTES_MAX, Checkpoint, parse_note
from tallystick.protocol.equivocation import policy_keys, prove_equivocation
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed
from tallystick.protocol.tiles import Edge, TileId
from tallystick.protocol.trust import TrustPolicy, verify_log_signature, verify_origin
from tallystick.protocol.values import Count

KNOWN = "known.json"
PROOF = "equivocation.json"
EVIDENCE = "contradiction.txt"
"""Two notes that contradict each other though no one key signed both: as good for people."""
KNOWN_BYTES_MAX = 256 * 1024
SEEN_MAX = 4_096
"""Checkpoints that are remembered as being of this history."""


class EdgeTile(Record):
    """A partial tile of the newest size."""

    level: Count
    index: Count
    data: bytes


class Known(Record):
    """What lies in the folder."""

    format: Literal["tallystick/known/v1"]
    note: Annotated[str, Meta(max_length=NOTE_BYTES_MAX)]
    edge: Annotated[list[EdgeTile], Meta(max_length=16)]


class Seen(NamedTuple):
    """A note that is of this history."""

    checkpoint: Checkpoint
    stale: bool
    """A larger one was seen before."""


class _Newest(NamedTuple):
    checkpoint: Checkpoint
    note: bytes
    edge: dict[tuple[int, int], bytes]


class History:
    """What one client knows of one log, in a folder; from any thread, in one process at a time."""

    def __init__(self, folder: Path, policy: TrustPolicy) -> None:
        """`Locked` when another process has it; `Damaged` names a file that is not ours."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.policy = policy
        self._lock = threading.Lock()
        self._handle = take_lock(folder)
        try:
            self._newest = self._load()
        except BaseException:
            self.close()
            raise
        self._seen: dict[tuple[int, bytes], None] = {}

    def close(self) -> None:
        """Let another process have it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def newest(self) -> Checkpoint | None:
        """The largest checkpoint that was seen, or None before the first."""
        return self._newest.checkpoint if self._newest else None

    @property
    def note(self) -> bytes | None:
        """Its note, as it came."""
        return self._newest.note if self._newest else None

    def guard(self) -> None:
        """Raise `Equivocation` once two histories were seen, here or before a restart."""
        for name in (PROOF, EVIDENCE):
            if (self.folder / name).exists():
                raise Equivocation("the log has signed two histories", self.folder / name)

    def examine(self, note: bytes) -> wire.Steps[Seen]:
        """Is this note of the history that we know? Yields calls for tiles; see `Client.follow`.

        Raises `VerificationFailed` for a note that proves nothing, and for tiles that are not the
        log's; `Equivocation` for one that contradicts what is known.
        """
        self.guard()
        parsed = parse_note(note)
        checkpoint = verify_origin(self.policy, parsed)  # 1
        verify_log_signature(self.policy, parsed)
        while True:
            known = self._newest
            if known is None:
                grown = yield from self._edge_of(checkpoint, {})
            elif (checkpoint.size, checkpoint.root) in self._seen or checkpoint == known.checkpoint:
                return Seen(checkpoint, checkpoint.size < known.checkpoint.size)  # 2
            elif checkpoint.size == known.checkpoint.size:  # 3
                self._stop(known.note, note, None)
            elif checkpoint.size < known.checkpoint.size:
                yield from self._compare(checkpoint, note, known.checkpoint, known.note, known)  # 4
                self._remember(checkpoint)
                return Seen(checkpoint, stale=True)
            else:
                held = yield from self._compare(
                    known.checkpoint, known.note, checkpoint, note, known
                )
                grown = yield from self._edge_of(checkpoint, held)
            if self._replace(known, _Newest(checkpoint, note, grown)):  # 5
                return Seen(checkpoint, stale=False)

    # --------------------------------------------------------------------------- internals

    def _compare(
        self, small: Checkpoint, first: bytes, large: Checkpoint, second: bytes, known: _Newest
    ) -> wire.Steps[dict[tuple[int, int], bytes]]:
        """Verify that the larger begins with the smaller; the tiles that were used."""
        if small.size == 0:
            if small.root != merkle.EMPTY_ROOT:
                raise VerificationFailed("not the root of the empty log", path="checkpoint")
            return dict(known.edge)
        needed = _Needed()
        tiles.consistency_path(needed, small.size, large.size)
        tiles.root_at(needed, small.size)
        held = yield from _fetch(needed.tiles, large.size, known.edge)
        reader = _Held(held)
        prefix = tiles.root_at(reader, small.size)
        path = tiles.consistency_path(reader, small.size, large.size)
        merkle.verify_consistency(small.size, prefix, large.size, large.root, path)
        if prefix != small.root:
            self._stop(first, second, (prefix, path))
        return held

    def _edge_of(
        self, checkpoint: Checkpoint, held: dict[tuple[int, int], bytes]
    ) -> wire.Steps[dict[tuple[int, int], bytes]]:
        """The right edge of a log of this size, which leads to its root."""
        edge = tiles.edge_tiles(checkpoint.size)
        known = yield from _fetch(edge, checkpoint.size, held)
        if Edge.restore(checkpoint.size, _Held(known)).root() != checkpoint.root:
            raise VerificationFailed("the server's tiles are not those of its checkpoint")
        return {
            (one.level, one.index): known[one.level, one.index][: one.width * merkle.HASH_BYTES]
            for one in edge
        }

    def _replace(self, known: _Newest | None, newest: _Newest) -> bool:
        """Take a larger checkpoint for the newest, durably, unless another came meanwhile."""
        with self._lock:
            if self._newest is not known:
                return False
            edge = [
                EdgeTile(level=level, index=index, data=data)
                for (level, index), data in sorted(newest.edge.items())
            ]
            record = Known(format="tallystick/known/v1", note=newest.note.decode(), edge=edge)
            write_file(self.folder / KNOWN, encode(record), mode=0o600)
            if known is not None:
                self._remember(known.checkpoint)
            self._newest = newest
        return True

    def _remember(self, checkpoint: Checkpoint) -> None:
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen[checkpoint.size, checkpoint.root] = None

    def _stop(
        self, first: bytes, second: bytes, prefix: tuple[bytes, Sequence[bytes]] | None
    ) -> NoReturn:
        """Write down who signed two histories, and go no further."""
        try:
            proof = prove_equivocation(first, second, policy_keys(self.policy), prefix=prefix)
        except VerificationFailed:  # by two keys of the log: nobody is convicted, both are kept
            proof, name = first + b"\n" + second, EVIDENCE
        else:
            name = PROOF
        write_file(self.folder / name, proof, mode=0o600)
        raise Equivocation("the log has signed two histories", self.folder / name)

    def _load(self) -> _Newest | None:
        path = self.folder / KNOWN
        try:
            known = decode(read_file(path, KNOWN_BYTES_MAX), Known)
            checkpoint = verify_origin(self.policy, parse_note(known.note.encode()))
        except FileNotFoundError:
            return None
        except (Malformed, VerificationFailed) as error:
            raise Damaged(f"{path}: {error}") from error
        edge = {(one.level, one.index): one.data for one in known.edge}
        return _Newest(checkpoint, known.note.encode(), edge)


class _Needed:
    """Notes which tiles are read; which ones does not depend on what is in them."""

    def __init__(self) -> None:
        self.tiles: list[TileId] = []

    def read(self, level: int, index: int, width: int) -> bytes:
        self.tiles.append(TileId(level, index, width))
        return bytes(width * merkle.HASH_BYTES)


class _Held:
    """Tiles at hand."""

    def __init__(self, held: dict[tuple[int, int], bytes]) -> None:
        self._held = held

    def read(self, level: int, index: int, width: int) -> bytes:
        return self._held[level, index]


def _fetch(
    needed: Sequence[TileId], size: int, held: dict[tuple[int, int], bytes]
) -> wire.Steps[dict[tuple[int, int], bytes]]:
    """All of these tiles, as wide as a log of `size` has them; what is held is not asked for."""
    found = dict(held)
    for one in needed:
        wanted = one.width * merkle.HASH_BYTES
        if len(found.get((one.level, one.index), b"")) >= wanted:
            continue
        there = (size >> tiles.TILE_HEIGHT * one.level) - (one.index << tiles.TILE_HEIGHT)
        whole = TileId(one.level, one.index, min(there, tiles.TILE_WIDTH))
        data = yield wire.tile(whole)
        if len(data) != whole.width * merkle.HASH_BYTES:
            raise VerificationFailed(f"{whole.path} has {len(data)} bytes")
        found[one.level, one.index] = data
    return found
