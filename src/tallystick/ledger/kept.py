"""What provers keep from one moment to the next: parts that were checked, and are named by hashes.

Nothing is believed because it is kept: a part counts at a moment when its hash is the one that is
asked for there. Parts are kept as the text that goes into a document. See docs/spec/storage.md.

Invariant: what is kept has bounded bytes, whatever the ledger's size and however it is asked.
"""

from __future__ import annotations

from binascii import b2a_base64
from bisect import bisect_right, insort
from typing import Generic, NamedTuple, TypeVar

from tallystick.protocol.page import group_levels

K = TypeVar("K")
V = TypeVar("V")

MIB = 1024 * 1024
KEPT_BYTES_MAX = 128 * MIB
"""Of one thread that proves: enough for all pages and tiles of ten million bills."""
OBJECT_BYTES = 200
"""What Python adds to a part, about."""
STEP = 47
"""A hash in a path: base64 in quotes, and the comma after it."""


class Memo(Generic[K, V]):
    """Parts by name; all are forgotten when there are too many bytes of them."""

    def __init__(self, bytes_max: int) -> None:
        self.parts: dict[K, V] = {}
        self._bytes_max = bytes_max
        self._bytes = 0

    def put(self, name: K, part: V, size: int) -> V:
        """Keep a part of so many bytes."""
        self.grow(size + OBJECT_BYTES)
        self.parts[name] = part
        return part

    def grow(self, size: int) -> None:
        """A part has become larger, or one comes."""
        if self._bytes + size > self._bytes_max:
            self.forget()
        self._bytes += size

    def forget(self) -> None:
        """Begin anew."""
        self.parts.clear()
        self._bytes = 0


class Steps(NamedTuple):
    """Sixteen hashes and the levels above them, as steps of paths."""

    root: bytes
    text: bytes
    """Thirty steps: of the sixteen, of the eight above, of four, of two."""


class Page(NamedTuple):
    """The upper levels of a page of numbers."""

    top: Steps
    groups: list[Steps | None]
    """Those below, as far as they were asked for."""


class Transacted(NamedTuple):
    """What all entries of a transaction have in common."""

    first: int
    end: int
    """One past its last entry."""
    head: bytes
    """An entry's text up to its item's hash."""
    tail: bytes
    """And from its outcome on."""
    refused: dict[int, str]


class Signed(NamedTuple):
    """A transaction that was checked, for receipts of its items."""

    header: bytes
    signature: bytes
    items: list[bytes]
    item_hashes: list[bytes]
    levels: list[tuple[int, list[bytes]]]
    """Of the tree over the items."""


class Kept:
    """For one thread at a time; give it to the prover of the next moment."""

    def __init__(self, bytes_max: int = KEPT_BYTES_MAX) -> None:
        share = bytes_max // 8
        self.pages: Memo[bytes, Page] = Memo(3 * share)
        """By the hash that the map has of them."""
        self.branches: Memo[int, Steps] = Memo(2 * share)
        """By whole tile of the lowest level."""
        self.tiles: Memo[tuple[int, int], tuple[bytes, bytes]] = Memo(share)
        """Roots and texts of whole tiles above, all levels."""
        self.signed: Memo[int, Signed] = Memo(share)
        """By the log index of the first entry, and so are these:"""
        self._transacted: Memo[int, Transacted] = Memo(share)
        self._firsts: list[int] = []

    def transacted(self, index: int) -> Transacted | None:
        """The transaction of this entry, if it is kept."""
        at = bisect_right(self._firsts, index) - 1
        if at >= 0:
            found = self._transacted.parts[self._firsts[at]]
            if index < found.end:
                return found
        return None

    def put_transacted(self, one: Transacted) -> Transacted:
        """Keep what its entries have in common."""
        self._transacted.put(one.first, one, 300 + 100 * len(one.refused))
        if len(self._transacted.parts) == 1:
            self._firsts = []  # all others were forgotten
        insort(self._firsts, one.first)
        return one


def steps_over(sixteen: bytes) -> Steps:
    """Sixteen hashes as steps."""
    *levels, root = group_levels(sixteen)
    return Steps(root, b"".join([steps_of(level) for level in levels]))


def steps_of(hashes: bytes) -> bytes:
    """Hashes side by side, each as a step."""
    return b"".join([step(hashes[at : at + 32]) for at in range(0, len(hashes), 32)])


def step(digest: bytes) -> bytes:
    """A hash as a step of a path."""
    return b'"%b",' % b2a_base64(digest, newline=False)


def four_steps(levels: tuple[bytes, ...], place: int) -> bytes:
    """The steps from one of sixteen hashes to their root; `levels` as `page.group_levels` gives."""
    a, b, c, d = BESIDE[place]
    return b'"%b","%b","%b","%b",' % (
        b2a_base64(levels[0][a], newline=False),
        b2a_base64(levels[1][b], newline=False),
        b2a_base64(levels[2][c], newline=False),
        b2a_base64(levels[3][d], newline=False),
    )


def is_step(digest: bytes, text: bytes, place: int) -> bool:
    """Whether this hash is the step at a place of a text."""
    return text.startswith(b2a_base64(digest, newline=False), place * STEP + 1)


def _siblings(child: int, starts: tuple[int, ...], size: int) -> tuple[slice, slice, slice, slice]:
    a, b, c, d = (start + (child >> up ^ 1) for up, start in enumerate(starts))
    cut = [slice(at * size, at * size + size) for at in (a, b, c, d)]
    return cut[0], cut[1], cut[2], cut[3]


SIBLINGS = [_siblings(child, (0, 16, 24, 28), STEP) for child in range(16)]
"""Where the siblings of each of sixteen stand in `Steps.text`."""
BESIDE = [_siblings(child, (0, 0, 0, 0), 32) for child in range(16)]
"""And where in each of the levels that `page.group_levels` gives."""
