"""Inclusion of several leaves of one RFC 9162 tree at once: each sibling stands in the proof once.

The tree is that of `merkle.py`. The proof lists the siblings that the shown leaves themselves do
not make up, level by level from the leaves, from left to right. See docs/spec/presentation.md.

Invariant: which hashes a proof has follows from indices and size alone; none is left over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tallystick.protocol.errors import VerificationFailed
from tallystick.protocol.merkle import HASH_BYTES, node_hash, pair_up


def prove_some(leaf_hashes: Sequence[bytes], indices: Sequence[int]) -> list[bytes]:
    """The siblings that lead from the leaves at `indices`, ascending, to the root over all."""
    size = len(leaf_hashes)
    if not _ascending(indices, size):
        raise ValueError("indices ascend, and lie in the tree")
    level, shown, found = list(leaf_hashes), list(indices), list[bytes]()
    while len(level) > 1:
        known = frozenset(shown)
        last = len(level) - 1
        found += [level[at ^ 1] for at in shown if at ^ 1 <= last and at ^ 1 not in known]
        above = pair_up(level)
        if len(level) & 1:
            above.append(level[-1])
        level, shown = above, list(dict.fromkeys(at >> 1 for at in shown))
    return found


def root_from_some(
    leaf_hashes: Sequence[bytes], indices: Sequence[int], size: int, proof: Sequence[bytes]
) -> bytes:
    """The root of a tree of `size` leaves that has these `leaf_hashes` at `indices`."""
    if not indices or len(leaf_hashes) != len(indices) or not _ascending(indices, size):
        raise VerificationFailed("the indices do not name each leaf once, in order", path="indices")
    if any(len(digest) != HASH_BYTES for digest in (*leaf_hashes, *proof)):
        raise VerificationFailed(f"a hash that has not {HASH_BYTES} bytes", path="path")
    siblings = iter(proof)
    level, last = dict(zip(indices, leaf_hashes, strict=True)), size - 1
    while last:
        level, last = _above(level, last, siblings), last >> 1
    if next(siblings, None) is not None:
        raise VerificationFailed("the path has more hashes than it needs", path="path")
    return level[0]


def _above(level: dict[int, bytes], last: int, siblings: Iterator[bytes]) -> dict[int, bytes]:
    """The parents of a level's known nodes, which are in order."""
    above: dict[int, bytes] = {}
    for index, digest in level.items():
        parent = index >> 1
        if parent in above:
            continue  # the left sibling was known too, and took this one in
        if index & 1:
            above[parent] = node_hash(_next(siblings), digest)
        elif index == last:
            above[parent] = digest  # alone at the end of its level: moves up unhashed
        else:
            right = level.get(index + 1)
            above[parent] = node_hash(digest, _next(siblings) if right is None else right)
    return above


def _next(siblings: Iterator[bytes]) -> bytes:
    found = next(siblings, None)
    if found is None:
        raise VerificationFailed("the path has fewer hashes than it needs", path="path")
    return found


def _ascending(indices: Sequence[int], size: int) -> bool:
    before = -1
    for index in indices:
        if not before < index < size:
            return False
        before = index
    return True


# ------------------------------------------------------------------------- leaves side by side
#
# Of neighbouring leaves the same proof has at most two hashes a level, and arrays do for a table.

Levels = list[tuple[int, list[bytes]]]
"""From the leaves to the root: the index of the first known node of a level, and the nodes."""


def around(first: int, end: int, size: int) -> list[tuple[int, int]]:
    """The (level, index) of the hashes that prove the leaves [first, end), as `prove_some` has."""
    if not 0 <= first < end <= size:
        raise ValueError(f"no leaves [{first}, {end}) in a tree of {size}")
    nodes, level, left, right, last = list[tuple[int, int]](), 0, first, end - 1, size - 1
    while last:
        if left & 1:
            nodes.append((level, left - 1))
        if not right & 1 and right < last:
            nodes.append((level, right + 1))
        level, left, right, last = level + 1, left >> 1, right >> 1, last >> 1
    return nodes


def levels_over(
    leaf_hashes: Sequence[bytes], first: int, size: int, proof: Sequence[bytes]
) -> Levels:
    """All nodes that neighbouring leaves from `first` on and their proof make up; the last is the
    root of the tree of `size` leaves, if these are leaves of it."""
    if not leaf_hashes or not 0 <= first <= size - len(leaf_hashes):
        raise VerificationFailed(
            f"no {len(leaf_hashes)} leaves from {first} of {size}", path="path"
        )
    if any(len(digest) != HASH_BYTES for digest in proof):
        raise VerificationFailed(f"a hash that has not {HASH_BYTES} bytes", path="path")
    siblings = iter(proof)
    levels, nodes, left, last = Levels(), list(leaf_hashes), first, size - 1
    while last:
        if left & 1:
            left -= 1
            nodes.insert(0, _next(siblings))
        if len(nodes) & 1 and left + len(nodes) <= last:
            nodes.append(_next(siblings))
        levels.append((left, nodes))
        above = pair_up(nodes)
        if len(nodes) & 1:
            above.append(nodes[-1])  # alone at the end of its level: moves up unhashed
        nodes, left, last = above, left >> 1, last >> 1
    if next(siblings, None) is not None:
        raise VerificationFailed("the path has more hashes than it needs", path="path")
    levels.append((0, nodes))
    return levels


def path_over(levels: Levels, index: int, size: int) -> list[bytes]:
    """The inclusion path of one of these leaves, as `merkle.path` has it."""
    found, last = list[bytes](), size - 1
    for left, nodes in levels[:-1]:
        if index ^ 1 <= last:
            found.append(nodes[(index ^ 1) - left])
        index, last = index >> 1, last >> 1
    return found
