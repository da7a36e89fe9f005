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
