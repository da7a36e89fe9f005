"""Fixed pages of numbered things: a binary tree over 4,096 slots, whoever holds the numbers.

Number n lies in slot n % 4096 of page n // 4096 of its code. A slot holds the hash of its row, or
`EMPTY_SLOT`: not issued. The page's root is one row of the map (statemap.py). Rows and empty slots
are hashed after a context line, nodes after 0x01, and a path has twelve steps, no more, no less:
nothing is ever read as something else. See docs/spec/state.md.

Invariant: the root follows from the slots alone, whatever the order or batches of their changes.
The first half of this file is all that a verifier needs; the second keeps a page and makes paths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from struct import Struct

from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed

SLOTS = 4096
HEIGHT = 12
"""Levels of the tree: 2^12 slots."""
HASH_BYTES = 32

EMPTY_SLOT = sha256(b"tallystick/empty-slot/v1\n").digest()

_SLOT_CONTEXT = b"tallystick/slot/v1\n"
_PAGE_CONTEXT = b"tallystick/page/v1\n"
_NODE = b"\x01"


def slot_hash(row: bytes) -> bytes:
    """What a slot holds for a row's canonical bytes."""
    return sha256(_SLOT_CONTEXT + row).digest()


def page_key(code: int, page: int) -> str:
    """The key of a page in the map. Keys of rows have a dot before their slash, this has none."""
    return f"page/{code}/{page}"


def page_hash(root: bytes) -> bytes:
    """The row hash of a page in the map."""
    return sha256(_PAGE_CONTEXT + root).digest()


def root_from_path(slot: int, held: bytes, path: Sequence[bytes]) -> bytes:
    """The page's root, if `slot` holds the hash `held`; the path begins with its neighbour."""
    if not 0 <= slot < SLOTS:
        raise VerificationFailed(f"a page has no slot {slot}", path="page/path")
    if len(path) != HEIGHT:
        raise VerificationFailed(f"path has {len(path)} hashes, not {HEIGHT}", path="page/path")
    node = held
    for height, sibling in enumerate(path):
        if len(node) != HASH_BYTES or len(sibling) != HASH_BYTES:
            raise Malformed(f"a hash that has not {HASH_BYTES} bytes", path="page/path")
        pair = sibling + node if slot >> height & 1 else node + sibling
        node = sha256(_NODE + pair).digest()
    return node


Range = tuple[int, int]
"""First and last slot, both included."""


def root_from_ranges(
    ranges: Sequence[Range], slots: Mapping[int, bytes], siblings: Sequence[bytes]
) -> bytes:
    """The page's root, if these are all that its slots in `ranges` hold; all others are empty.

    A complete range proof: `siblings` are the roots of the largest subtrees without a slot of the
    ranges, from left to right, so which they are follows from the ranges, and no slot of those can
    be left out or put in. `ranges` ascend, are disjoint, and not none.
    """
    _check_ranges(ranges)
    for slot, held in slots.items():
        if not any(first <= slot <= last for first, last in ranges):
            raise VerificationFailed(f"slot {slot} lies in no range", path="page/slots")
        if len(held) != HASH_BYTES:
            raise Malformed(f"a hash that has not {HASH_BYTES} bytes", path="page/slots")
    given = iter(siblings)

    def outside(_level: int, _index: int) -> bytes:
        sibling = next(given, b"")
        if len(sibling) != HASH_BYTES:
            raise VerificationFailed("too few hashes, or one too short", path="page/siblings")
        return sibling

    root = _root_over(ranges, slots, outside, HEIGHT, 0)
    if next(given, None) is not None:
        raise VerificationFailed("more hashes than the ranges ask for", path="page/siblings")
    return root


def _root_over(
    ranges: Sequence[Range],
    slots: Mapping[int, bytes],
    outside: Callable[[int, int], bytes],
    level: int,
    index: int,
) -> bytes:
    """Root of the subtree (level, index); `outside` gives one that meets no range."""
    first, last = index << level, ((index + 1) << level) - 1
    met = [each for each in ranges if each[0] <= last and first <= each[1]]
    if not met:
        return outside(level, index)
    if met[0][0] <= first and last <= met[0][1] and level <= 4:
        return _fold(b"".join([slots.get(slot, EMPTY_SLOT) for slot in range(first, last + 1)]))
    left = _root_over(met, slots, outside, level - 1, 2 * index)
    right = _root_over(met, slots, outside, level - 1, 2 * index + 1)
    return sha256(_NODE + left + right).digest()


def _check_ranges(ranges: Sequence[Range]) -> None:
    before = -1
    for first, last in ranges:
        if not before < first <= last < SLOTS:
            raise ValueError(f"ranges {ranges!r:.80} of a page")
        before = last
    if not ranges:
        raise ValueError("a proof of no slot")


# ------------------------------------------------------------------------------ keeping a page

GROUP_BYTES = 16 * HASH_BYTES
"""A page is stored as groups of sixteen neighbouring hashes, four levels apart: 0 to 255 hold the
slots, 256 to 271 the roots of those, 272 the roots of these. An absent group is empty."""

_FIRST_GROUPS = (0, 256, 272)
TOP_GROUP = 272
_PAIRS = Struct(f"{2 * HASH_BYTES}s")


def update(
    read_group: Callable[[int], bytes | None], changes: Mapping[int, bytes]
) -> tuple[bytes, dict[int, bytes]]:
    """Put hashes into slots: the new root, and the groups to write. Nothing is written here."""
    dirty = changes
    writes: dict[int, bytes] = {}
    for level, first in enumerate(_FIRST_GROUPS):
        above: dict[int, bytes] = {}
        for at, children in _by_group(dirty).items():
            group = bytearray(_read(read_group, level, at))
            for child, digest in children:
                group[child : child + HASH_BYTES] = digest
            writes[first + at] = stored = bytes(group)
            above[at] = _fold(stored)
        dirty = above
    return (dirty[0] if dirty else _fold(_read(read_group, 2, 0))), writes


def check_group(read_group: Callable[[int], bytes | None], root: bytes, at: int) -> bytes:
    """A group as stored, once it leads to the page's root; each hash above it is looked at too.

    `Damaged` otherwise. `read_group` gives groups 256 and up as this function gave them before; it
    is not asked for a group that the one above says is empty.
    """
    level = 2 if at == TOP_GROUP else 1 if at >= _FIRST_GROUPS[1] else 0
    expected = root
    if level < 2:
        above, child = divmod(at - _FIRST_GROUPS[level], 16)
        expected = _read(read_group, level + 1, above)[child * HASH_BYTES :][:HASH_BYTES]
    if expected == _EMPTY_ROOTS[level]:
        return EMPTY_GROUPS[level]
    group = _read(read_group, level, at - _FIRST_GROUPS[level])
    if _fold(group) != expected:
        raise Damaged(f"group {at} of a page does not lead to its root")
    return group


def group_root(group: bytes) -> bytes:
    """Root over one group: the page's, if it is the top group."""
    if len(group) != GROUP_BYTES:
        raise Damaged(f"a group of a page has {len(group)} bytes, not {GROUP_BYTES}")
    return _fold(group)


def group_levels(group: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """Sixteen neighbouring hashes, and the four levels above them, the last being their root.

    Nodes of the log are made alike, so this serves sixteen hashes of the log as well.
    """
    eight = _pair_up(group)
    four = _pair_up(eight)
    two = _pair_up(four)
    return group, eight, four, two, sha256(_NODE + two).digest()


def path(read_group: Callable[[int], bytes | None], slot: int) -> list[bytes]:
    """The siblings of a slot, its neighbour first: whether it is taken or empty."""
    if not 0 <= slot < SLOTS:
        raise ValueError(f"a page has no slot {slot}")
    found = []
    index = slot
    for level in range(len(_FIRST_GROUPS)):
        nodes, child = _read(read_group, level, index >> 4), index & 15
        while len(nodes) > HASH_BYTES:
            at = (child ^ 1) * HASH_BYTES
            found.append(nodes[at : at + HASH_BYTES])
            nodes, child = _pair_up(nodes), child >> 1
        index >>= 4
    return found


def ranges_path(read_group: Callable[[int], bytes | None], ranges: Sequence[Range]) -> list[bytes]:
    """The siblings of a complete range proof, see `root_from_ranges`."""
    _check_ranges(ranges)
    found: list[bytes] = []

    def outside(level: int, index: int) -> bytes:
        base = level // 4 if level < HEIGHT else 2
        first = index << (level - 4 * base)
        nodes = _read(read_group, base, first >> 4)[(first & 15) * HASH_BYTES :]
        found.append(_fold(nodes[: HASH_BYTES << (level - 4 * base)]))
        return found[-1]

    _root_over(ranges, {}, outside, HEIGHT, 0)
    return found


def _by_group(dirty: Mapping[int, bytes]) -> dict[int, list[tuple[int, bytes]]]:
    """(offset, hash) of the changed children, by the group that they lie in."""
    found: dict[int, list[tuple[int, bytes]]] = {}
    for index, digest in dirty.items():
        if not 0 <= index < SLOTS or len(digest) != HASH_BYTES:
            raise ValueError(f"slot {index}, hash of {len(digest)} bytes")
        found.setdefault(index >> 4, []).append(((index & 15) * HASH_BYTES, digest))
    return found


def _read(read_group: Callable[[int], bytes | None], level: int, at: int) -> bytes:
    group = read_group(_FIRST_GROUPS[level] + at)
    if group is None:
        return EMPTY_GROUPS[level]
    if len(group) != GROUP_BYTES:
        raise Damaged(f"a group of a page has {len(group)} bytes, not {GROUP_BYTES}")
    return group


def _pair_up(nodes: bytes) -> bytes:
    """The level above: half as many hashes, side by side as these are."""
    return b"".join([sha256(_NODE + pair).digest() for (pair,) in _PAIRS.iter_unpack(nodes)])


def _fold(nodes: bytes) -> bytes:
    while len(nodes) > HASH_BYTES:
        nodes = _pair_up(nodes)
    return nodes


def _empty_groups() -> tuple[bytes, ...]:
    found, child = [], EMPTY_SLOT
    for _ in _FIRST_GROUPS:
        found.append(child * 16)
        child = _fold(found[-1])
    return tuple(found)


EMPTY_GROUPS = _empty_groups()
"""Of slots, of the roots of those, and of the roots of these."""
EMPTY_GROUP = EMPTY_GROUPS[0]
_EMPTY_ROOTS = tuple(_fold(group) for group in EMPTY_GROUPS)
EMPTY_ROOT = _EMPTY_ROOTS[-1]
"""Root of a page without a taken slot; the map holds no such page."""
