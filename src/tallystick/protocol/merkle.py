"""The Merkle tree of RFC 9162 section 2.1: roots, inclusion paths, consistency paths.

A node is named (level, index): the root of the leaves [index << level, (index + 1) << level), cut
off at the tree's size. A last node without a sibling moves up unhashed, which is the same tree as
RFC 9162's split at the largest power of two, without its recursion. See docs/spec/log.md.

Invariant: which hashes a path has follows from the sizes alone; nothing in it chooses anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from tallystick.protocol.errors import VerificationFailed

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves."""

_LEAF = b"\x00"
_NODE = b"\x01"
"""First bytes of what is hashed: no leaf is ever read as a node (RFC 9162 section 2.1.1)."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf's data."""
    return sha256(_LEAF + data).digest()


def leaf_hashes(leaves: Sequence[bytes]) -> list[bytes]:
    """`leaf_hash` of each."""
    prefix = _LEAF
    return [sha256(prefix + data).digest() for data in leaves]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node over its two children."""
    return sha256(_NODE + left + right).digest()


def pair_up(hashes: Sequence[bytes]) -> list[bytes]:
    """The level above, of whole pairs only: the innermost loop of the whole ledger."""
    prefix, pairs = _NODE, iter(hashes)
    return [
        sha256(prefix + left + right).digest() for left, right in zip(pairs, pairs, strict=False)
    ]


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Root over all of `leaf_hashes`."""
    if not leaf_hashes:
        return EMPTY_ROOT
    level = leaf_hashes
    while len(level) > 1:
        above = pair_up(level)
        if len(level) & 1:
            above.append(level[-1])
        level = above
    return level[0]


def fold_right(hashes: Sequence[bytes]) -> bytes:
    """Root of neighbouring complete subtrees, the largest leftmost, as `range_nodes` lists them."""
    folded = hashes[-1]
    for left in reversed(hashes[:-1]):
        folded = node_hash(left, folded)
    return folded


def path(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Inclusion path of one leaf (RFC 9162 section 2.1.3.1), nearest sibling first."""
    size = len(leaf_hashes)
    return [
        root(leaf_hashes[at << level : (at + 1) << level]) for level, at in path_nodes(index, size)
    ]


def paths(leaf_hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Inclusion paths of all leaves at once, for the price of one root and the copying."""
    found: list[list[bytes]] = [[] for _ in leaf_hashes]
    level, height = leaf_hashes, 0
    while len(level) > 1:
        last = len(level) - 1
        for index, steps in enumerate(found):
            sibling = (index >> height) ^ 1
            if sibling <= last:
                steps.append(level[sibling])
        above = pair_up(level)
        if len(level) & 1:
            above.append(level[-1])
        level, height = above, height + 1
    return found


def path_nodes(index: int, size: int) -> list[tuple[int, int]]:
    """The (level, index) of the siblings that prove leaf `index` in a tree of `size` leaves."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    return _siblings(0, index, size - 1)


def consistency_nodes(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """The nodes that prove the tree of `old_size` to be a prefix of that of `new_size`.

    The first is the last complete subtree of the old tree, unless that is the whole old tree, whose
    root the verifier has; the others are its siblings in the new tree (RFC 9162 section 2.1.4.1).
    """
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a tree of {old_size} is no prefix of a tree of {new_size}")
    if old_size in (0, new_size):
        return []
    level, index = _last_complete(old_size)
    seed = [(level, index)] if index else []
    return seed + _siblings(level, index, (new_size - 1) >> level)


def range_nodes(start: int, end: int) -> list[tuple[int, int]]:
    """The largest complete subtrees that make up [start, end), `start` being that of a node."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that `path` leads to from the leaf hash `leaf` (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        raise VerificationFailed(f"no leaf {index} in a tree of {size}", path="path")
    nodes = _siblings(0, index, size - 1)
    _check_hashes((leaf, *path), len(nodes) + 1)
    folded = leaf
    for (level, at), sibling in zip(nodes, path, strict=True):
        on_the_left = at < index >> level
        folded = node_hash(sibling, folded) if on_the_left else node_hash(folded, sibling)
    return folded


def verify_path(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Raise `VerificationFailed` unless the leaf hash is number `index` of `size` under `root`.

    Size and root come together, out of a verified checkpoint: a path fits some other sizes too.
    """
    if root_from_path(leaf, index, size, path) != root:
        raise VerificationFailed("path does not lead to the root", path="path")


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Raise `VerificationFailed` unless the new tree begins with the whole old one.

    RFC 9162 section 2.1.4.2; besides, every tree begins with the empty one, by an empty path.
    """
    if not 0 <= old_size <= new_size:
        raise VerificationFailed(f"size {new_size} is below {old_size}", path="consistency")
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise VerificationFailed("not the root of the empty tree", path="consistency")
    if old_size == new_size and old_root != new_root:
        raise VerificationFailed("two roots of one size", path="consistency")
    _check_hashes(path, len(consistency_nodes(old_size, new_size)))
    if old_size in (0, new_size):
        return
    level, index = _last_complete(old_size)
    old, *siblings = path if index else (old_root, *path)
    new = old
    nodes = _siblings(level, index, (new_size - 1) >> level)
    for (height, at), sibling in zip(nodes, siblings, strict=True):
        if at < index >> (height - level):
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    if old != old_root:
        raise VerificationFailed("path does not lead to the old root", path="consistency")
    if new != new_root:
        raise VerificationFailed("path does not lead to the new root", path="consistency")


def _siblings(level: int, index: int, last: int) -> list[tuple[int, int]]:
    """Siblings on the way up from (level, index); `last` is the last index on that level."""
    nodes = []
    while last:
        if index ^ 1 <= last:
            nodes.append((level, index ^ 1))
        level, index, last = level + 1, index >> 1, last >> 1
    return nodes


def _last_complete(size: int) -> tuple[int, int]:
    """The largest complete subtree that ends a tree of `size` leaves."""
    level = (size & -size).bit_length() - 1
    return level, (size >> level) - 1


def _check_hashes(hashes: Sequence[bytes], count: int) -> None:
    if len(hashes) != count:
        raise VerificationFailed(f"path has {len(hashes)} hashes, not {count}", path="path")
    for digest in hashes:
        if len(digest) != HASH_BYTES:
            raise VerificationFailed(
                f"a hash of {len(digest)} bytes, not {HASH_BYTES}", path="path"
            )
