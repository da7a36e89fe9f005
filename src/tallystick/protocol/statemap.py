"""The map of rows by key: a compact sparse Merkle tree that proves membership and absence.

The bits of a key's hash lead from the root down, 0 left and 1 right. A subtree without a row is
`EMPTY`, one with a single row is the hash of that leaf, any other is a node over its two halves:
so the root follows from the rows alone, whatever the order or batches in which they came or went.
Leaves begin with 0x00 and hold the whole key hash, nodes begin with 0x01. See docs/spec/state.md.

Invariant: for a root and a key there is one proof with one spelling. The bitmap of a proof ends at
its deepest sibling, which is never empty: a leaf that could lie higher cannot even be written.
The first half of this file is all that a verifier needs; the second keeps a map and makes proofs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import Annotated

from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed
from tallystick.protocol.values import Digest

HASH_BYTES = 32
DEPTH_MAX = 256
"""Two key hashes differ in one of their 256 bits, so no leaf lies deeper. Reaching depth d beside a
given row takes 2^d attempts at a key; each adds one bit to proofs there, or one sibling."""

EMPTY = bytes(HASH_BYTES)
"""Stands for a subtree without rows; nobody knows bytes that hash to it."""

_KEY_CONTEXT = b"tallystick/key/v1\n"
_LEAF = b"\x00"
_NODE = b"\x01"


class OtherLeaf(Record):
    """The leaf that is met where an absent key would lie; it shows no row, only a salted hash."""

    key_hash: Digest
    row_hash: Digest


class MapProof(Record):
    """The siblings on the way of a key, down to its leaf or to what shows that there is none."""

    bitmap: Annotated[bytes, Meta(max_length=DEPTH_MAX // 8)]
    """Bit d, the first being bit 0: whether the sibling below depth d is not empty. The last bit
    that is set is that of the deepest sibling; no byte follows it."""
    siblings: Annotated[list[Digest], Meta(max_length=DEPTH_MAX)]
    """Those that are not empty, the deepest first."""
    other: OtherLeaf | None = None
    """In proofs of absence: the leaf that is there instead; absent where there is nothing."""


def key_hash(key: str) -> bytes:
    """Where the row of this key lies in the map."""
    return sha256(_KEY_CONTEXT + key.encode()).digest()


def verify_present(root: bytes, key_hash: bytes, row_hash: bytes, proof: MapProof) -> None:
    """Raise `VerificationFailed` unless the map of this root has exactly this row at the key."""
    if proof.other is not None:
        raise VerificationFailed("a proof of absence", path="map")
    if _fold(_leaf_hash(key_hash, row_hash), key_hash, proof) != root:
        raise VerificationFailed("does not lead to the state root", path="map")


def verify_absent(root: bytes, key_hash: bytes, proof: MapProof) -> None:
    """Raise `VerificationFailed` unless the map of this root has no row at the key."""
    there = EMPTY
    if proof.other is not None:
        if proof.other.key_hash == key_hash:
            raise VerificationFailed("a proof of presence", path="map/other")
        there = _leaf_hash(proof.other.key_hash, proof.other.row_hash)
        depth = len(_occupied(proof))
        if _bits(proof.other.key_hash)[:depth] != _bits(key_hash)[:depth]:
            raise VerificationFailed("the other leaf lies elsewhere", path="map/other")
    if _fold(there, key_hash, proof) != root:
        raise VerificationFailed("does not lead to the state root", path="map")


def _fold(node: bytes, key_hash: bytes, proof: MapProof) -> bytes:
    """The root above `node`, which lies on the way of the key below all siblings."""
    if len(key_hash) != HASH_BYTES:
        raise Malformed("a key hash of another length", path="map")
    occupied, siblings = _occupied(proof), iter(proof.siblings)
    way = _bits(key_hash)[: len(occupied)]
    for turn, there in zip(reversed(way), reversed(occupied), strict=True):
        sibling = next(siblings) if there == "1" else EMPTY
        pair = sibling + node if turn == "1" else node + sibling
        node = sha256(_NODE + pair).digest()
    return node


def _occupied(proof: MapProof) -> str:
    """The bitmap as digits from the root down to the deepest sibling, if it is the one spelling."""
    bitmap, siblings = proof.bitmap, proof.siblings
    if len(bitmap) > DEPTH_MAX // 8 or bitmap.endswith(b"\x00"):
        raise Malformed("longer than the proof", path="map/bitmap")
    occupied = _bits(bitmap).rstrip("0")
    if occupied.count("1") != len(siblings):
        raise Malformed(f"not the {len(siblings)} siblings of the bitmap", path="map/siblings")
    if any(len(sibling) != HASH_BYTES or sibling == EMPTY for sibling in siblings):
        raise Malformed("an empty sibling, or one of another length", path="map/siblings")
    return occupied


def _bits(data: bytes) -> str:
    return f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"


def _leaf_hash(key_hash: bytes, row_hash: bytes) -> bytes:
    """Of fixed lengths, since no byte must move between the key and its row."""
    if len(key_hash) != HASH_BYTES or len(row_hash) != HASH_BYTES:
        raise Malformed("a hash of another length", path="map")
    return sha256(_LEAF + key_hash + row_hash).digest()


# ------------------------------------------------------------------------------- keeping a map
#
# The tree is stored in groups of four levels, each under the nibbles that lead to it, one a byte.
# A group has nodes 1 to 31, the children of i being 2i and 2i + 1; 16 to 31 are where the groups
# below begin. A node has 0 bytes (nothing there), 32 (a node's hash) or 64 (a leaf: key hash, row
# hash). What is written are the 32 lengths, then the nodes. Node 1 is the parent group's business
# and has no bytes here, but for the leaf of a map of one row. A group that is absent, or has no
# bytes, is empty. So the groups, too, follow from the rows alone.

Read = Callable[[bytes], bytes | None]
_Change = tuple[bytes, bytes]
"""A key's nibbles; and the leaf to be put there, or the key hash alone: nothing shall be there."""

_LEAF_BYTES = 2 * HASH_BYTES
_ABSENT = [b""] * 32
_FULL = bytes([0, 0]) + bytes([HASH_BYTES]) * 30
_FULL_GROUP = Struct(f"{len(_FULL)}x" + f"{HASH_BYTES}s" * 30)
_NIBBLES = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))


def update(read: Read, changes: Mapping[bytes, bytes | None]) -> tuple[bytes, dict[bytes, bytes]]:
    """Put row hashes under key hashes, or drop those of None: the new root and groups to write.

    A group to write that has no bytes is to be deleted. Nothing is written here.
    """
    if not changes:
        return root(read), {}
    pending = []
    for key, row in changes.items():
        if len(key) != HASH_BYTES or (row is not None and len(row) != HASH_BYTES):
            raise ValueError(f"a key hash or row hash that has not {HASH_BYTES} bytes")
        pending.append((_nibbles(key), key if row is None else key + row))
    writes: dict[bytes, bytes] = {}
    top = _update_group(read, writes, b"", _read_group(read, b""), sorted(pending))
    return _hash(top), writes


def root(read: Read) -> bytes:
    """The root of the map as it is stored."""
    nodes = _unpack(_read_group(read, b""))
    if any(nodes[2:]):
        _join(nodes, (1,))
    return _hash(nodes[1])


def find(read: Read, key_hash: bytes) -> bytes | None:
    """The row hash under this key, or None."""
    _, found = _descend(read, _nibbles(key_hash))
    return found[HASH_BYTES:] if found.startswith(key_hash) else None


def check_group(read: Read, root: bytes, prefix: bytes) -> bytes:
    """A group as stored, once it is what the group above it says, or the root: else `Damaged`.

    `read` gives the groups above as this function gave them before.
    """
    stored = read(prefix) or b""
    nodes, expected = _unpack(stored), root
    if prefix:
        expected = _unpack(_read_group(read, prefix[:-1]))[16 + prefix[-1]]
    for at in range(15, 0, -1):
        left, right = nodes[2 * at], nodes[2 * at + 1]
        if left or right:
            above = sha256(_NODE + _hash(left) + _hash(right)).digest()
            if at > 1 and nodes[at] != above:
                raise Damaged(
                    f"group {prefix.hex() or 'at the root'} of the map contradicts itself"
                )
            nodes[at] = above
    if _hash(nodes[1]) != expected:
        raise Damaged(f"group {prefix.hex() or 'at the root'} of the map does not lead to its root")
    return stored


def prove(read: Read, key_hash: bytes) -> MapProof:
    """Prove the row of this key, or that there is none."""
    if len(key_hash) != HASH_BYTES:
        raise ValueError(f"a key hash of {len(key_hash)} bytes")
    siblings, found = _descend(read, _nibbles(key_hash))
    bitmap = bytearray(-(-len(siblings) // 8))
    for depth, sibling in enumerate(siblings):
        bitmap[depth >> 3] |= bool(sibling) << (7 - (depth & 7))
    other = None
    if found and not found.startswith(key_hash):
        other = OtherLeaf(key_hash=found[:HASH_BYTES], row_hash=found[HASH_BYTES:])
    return MapProof(
        bitmap=bytes(bitmap),
        siblings=[_hash(sibling) for sibling in reversed(siblings) if sibling],
        other=other,
    )


def _descend(read: Read, nibbles: bytes) -> tuple[list[bytes], bytes]:
    """The siblings from the root down, and the leaf at the end of the way, or nothing."""
    siblings: list[bytes] = []
    for depth, nibble in enumerate(nibbles):
        nodes = _unpack(_read_group(read, nibbles[:depth]))
        if nodes[1] or not any(nodes):  # a map of one row or none
            return siblings, nodes[1]
        child = 16 + nibble
        for at in (child >> 3, child >> 2, child >> 1, child):
            siblings.append(nodes[at ^ 1])
            if len(nodes[at]) != HASH_BYTES:
                return siblings, nodes[at]
    raise Damaged("the map is deeper than its keys are long")


def _update_group(
    read: Read, writes: dict[bytes, bytes], prefix: bytes, stored: bytes, changes: list[_Change]
) -> bytes:
    """Change the group at `prefix`; returns its node 1: nothing, a leaf, or a node's hash."""
    nodes, depth = _unpack(stored), len(prefix)
    runs: dict[int, list[_Change]] = {}
    for change in changes:
        runs.setdefault(16 + change[0][depth], []).append(change)
    touched = 0
    for child, run in runs.items():
        touched |= 1 << child
        if not nodes[child]:
            touched |= _push_down(nodes, child, depth)
        nodes[child] = _update_child(read, writes, run[0][0][: depth + 1], nodes[child], run)
    _join(nodes, _above(touched))
    top = nodes[1]
    if len(top) == HASH_BYTES:
        nodes[1] = b""
    packed = _pack(nodes) if len(top) == HASH_BYTES or (top and not prefix) else b""
    if packed != stored:
        writes[prefix] = packed
    return top


def _push_down(nodes: list[bytes], child: int, depth: int) -> int:
    """Where a leaf above `child` is alone, it goes down to the last level; where to, as a bit."""
    for at in (child >> 1, child >> 2, child >> 3, 1):
        leaf = nodes[at]
        if len(leaf) == _LEAF_BYTES:
            down = 16 + _nibbles(leaf)[depth]
            nodes[at], nodes[down] = b"", leaf
            return 1 << down
    return 0


def _update_child(
    read: Read, writes: dict[bytes, bytes], prefix: bytes, node: bytes, run: list[_Change]
) -> bytes:
    """What becomes of a node of the last level, below which all changes of the run lie."""
    if len(node) == HASH_BYTES:
        return _update_group(read, writes, prefix, _read_group(read, prefix), run)
    if len(run) == 1 and (not node or node.startswith(run[0][1][:HASH_BYTES])):
        return run[0][1] if len(run[0][1]) == _LEAF_BYTES else b""
    there = {_nibbles(node): node} if node else {}
    there.update(run)
    leaves = [change for change in there.items() if len(change[1]) == _LEAF_BYTES]
    if len(leaves) > 1:
        return _update_group(read, writes, prefix, b"", leaves)
    return leaves[0][1] if leaves else b""


def _join(nodes: list[bytes], order: Iterable[int]) -> None:
    """Make nodes, each after those below it, what the map's definition says."""
    for at in order:
        left, right = nodes[2 * at], nodes[2 * at + 1]
        if (left and right) or len(left or right) == HASH_BYTES:
            if len(left) != HASH_BYTES:
                left = _hash(left)
            if len(right) != HASH_BYTES:
                right = _hash(right)
            nodes[at] = sha256(_NODE + left + right).digest()
        else:  # a leaf alone moves up, and so does nothing
            nodes[at], nodes[2 * at], nodes[2 * at + 1] = left or right, b"", b""


@lru_cache(4096)
def _above(touched: int) -> tuple[int, ...]:
    """The nodes above some of the last level, given as bits: each after those below it."""
    children = [child for child in range(16, 32) if touched >> child & 1]
    return tuple(sorted({at >> up for at in children for up in (1, 2, 3, 4)}, reverse=True))


def _hash(node: bytes) -> bytes:
    """The hash of nothing, of a node or of a leaf."""
    if len(node) == _LEAF_BYTES:
        return sha256(_LEAF + node).digest()
    return node or EMPTY


def _nibbles(data: bytes) -> bytes:
    """The way of a key or of a leaf, four bits a byte."""
    return data[:HASH_BYTES].hex().encode().translate(_NIBBLES)


def _read_group(read: Read, prefix: bytes) -> bytes:
    """A group as it is stored; only that of an empty map may be absent."""
    stored = read(prefix) or b""
    if prefix and (not stored or len(prefix) == DEPTH_MAX // 4):
        raise Damaged(f"the map lacks the group {prefix.hex()}, or has it at the end of a key")
    return stored


def _pack(nodes: list[bytes]) -> bytes:
    return bytes(map(len, nodes)) + b"".join(nodes)


def _unpack(stored: bytes) -> list[bytes]:
    if not stored:
        return _ABSENT.copy()
    if len(stored) == _FULL_GROUP.size and stored.startswith(_FULL):
        return [b"", b"", *_FULL_GROUP.unpack(stored)]
    nodes, start = _ABSENT.copy(), len(_FULL)
    for at, length in enumerate(stored[:start]):
        if length:
            nodes[at] = stored[start : start + length]
            start += length
    if start != len(stored):
        raise Damaged(f"a group of the map has {len(stored)} bytes, not {start}")
    return nodes
