"""The map gives the root of its rows alone, and for each key one proof that nothing else replaces.

The definition is written out once more, slowly, and everything is compared with it.
See docs/spec/state.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallystick.protocol import statemap
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed
from tallystick.protocol.statemap import EMPTY, MapProof, OtherLeaf

FAILURES = (Malformed, VerificationFailed)
NOTHING: dict[bytes, bytes] = {}


def digest(n: int) -> bytes:
    return sha256(b"%d" % n).digest()


def flipped(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "big") ^ 1 << (8 * len(data) - 1 - bit)).to_bytes(len(data), "big")


def bit_of(data: bytes, depth: int) -> int:
    return data[depth >> 3] >> (7 - (depth & 7)) & 1


BASE = digest(0)
KEYS = [digest(n) for n in range(40)]
KEYS += [flipped(BASE, bit) for bit in (0, 1, 2, 3, 4, 5, 7, 8, 9, 100, 251, 252, 253, 254, 255)]
KEYS += [flipped(flipped(BASE, 100), bit) for bit in (101, 104, 255)]
"""Chance ones, and such as an attacker would look for: neighbours that meet deep in the map."""
KEY = st.sampled_from(KEYS)
ROW = st.integers(0, 3).map(digest)

Rows = dict[bytes, bytes]
ROWS = st.dictionaries(KEY, ROW, max_size=40)


# ----------------------------------------------------------------- the definition, slowly


def slow_hash(rows: Sequence[tuple[bytes, bytes]], depth: int = 0) -> bytes:
    if not rows:
        return bytes(32)
    if len(rows) == 1:
        return sha256(b"\x00" + rows[0][0] + rows[0][1]).digest()
    left, right = (
        slow_hash([row for row in rows if bit_of(row[0], depth) == side], depth + 1)
        for side in (0, 1)
    )
    return sha256(b"\x01" + left + right).digest()


def slow_root(rows: Rows) -> bytes:
    return slow_hash(list(rows.items()))


def slow_proof(rows: Rows, key: bytes) -> MapProof:
    here = list(rows.items())
    siblings: list[bytes] = []
    while len(here) > 1:
        depth = len(siblings)
        aside = [row for row in here if bit_of(row[0], depth) != bit_of(key, depth)]
        here = [row for row in here if bit_of(row[0], depth) == bit_of(key, depth)]
        siblings.append(slow_hash(aside, depth + 1))
    occupied = [sibling != EMPTY for sibling in siblings]
    bitmap = bytes(
        sum(there << (7 - at) for at, there in enumerate(occupied[start : start + 8]))
        for start in range(0, len(occupied), 8)
    )
    return MapProof(
        bitmap=bitmap,
        siblings=[sibling for sibling in reversed(siblings) if sibling != EMPTY],
        other=OtherLeaf(key_hash=here[0][0], row_hash=here[0][1])
        if here and here[0][0] != key
        else None,
    )


class Map:
    """A map that keeps its groups."""

    def __init__(self, rows: Rows | None = None) -> None:
        self.groups: dict[bytes, bytes] = {}
        self.rows: Rows = {}
        self.root = EMPTY
        self.change(dict(rows or {}))

    def change(self, changes: dict[bytes, bytes | None]) -> Map:
        self.root, writes = statemap.update(self.groups.get, changes)
        for prefix, group in writes.items():
            assert group or prefix in self.groups, "what is deleted was there"
            assert self.groups.get(prefix) != group, "what is written has changed"
        self.groups = {at: group for at, group in (self.groups | writes).items() if group}
        kept = {key: row for key, row in self.rows.items() if key not in changes}
        self.rows = kept | {key: row for key, row in changes.items() if row is not None}
        return self

    def prove(self, key: bytes) -> MapProof:
        return statemap.prove(self.groups.get, key)

    def verify(self, key: bytes, proof: MapProof, *, present: bool, row: bytes = b"") -> None:
        if present:
            statemap.verify_present(self.root, key, row or self.rows.get(key, digest(0)), proof)
        else:
            statemap.verify_absent(self.root, key, proof)


MANY = Map({key: digest(n) for n, key in enumerate(KEYS)})
HALF = Map({key: digest(n) for n, key in enumerate(KEYS) if n % 2})
MAPS = [MANY, HALF, Map(), Map({KEYS[3]: digest(3)}), Map({KEYS[1]: digest(1), BASE: digest(0)})]
DEEPEST = Map({BASE: digest(1), flipped(BASE, 255): digest(2)})


def holds(there: Map, key: bytes, proof: MapProof, *, present: bool) -> bool:
    try:
        there.verify(key, proof, present=present)
    except FAILURES:
        return False
    return True


# ------------------------------------------------------------------------------- the root


def test_written_out() -> None:
    assert statemap.key_hash("bill/ä") == sha256(b"tallystick/key/v1\nbill/\xc3\xa4").digest()
    left, right = b"\x7f" + bytes(31), b"\x80" + bytes(31)
    leaf = [sha256(b"\x00" + key + digest(1)).digest() for key in (left, right)]
    assert bytes(32) == Map().root
    assert Map({left: digest(1)}).root == leaf[0]
    assert (
        Map({left: digest(1), right: digest(1)}).root == sha256(b"\x01" + b"".join(leaf)).digest()
    )
    deep = {bytes(32): digest(1), bytes(31) + b"\x01": digest(2)}
    a, b = (sha256(b"\x00" + key + row).digest() for key, row in deep.items())
    node = sha256(b"\x01" + a + b).digest()
    for _ in range(255):
        node = sha256(b"\x01" + node + bytes(32)).digest()
    assert Map(deep).root == node


@settings(max_examples=200)
@given(st.lists(st.dictionaries(KEY, ROW | st.none(), max_size=20), max_size=8))
@example([{BASE: digest(1)}, {flipped(BASE, 255): digest(1)}, {BASE: None}])
@example([{BASE: digest(1), flipped(BASE, 255): digest(1)}, {BASE: None, KEYS[1]: digest(1)}])
def test_the_root_is_one_of_the_rows_alone(batches: list[dict[bytes, bytes | None]]) -> None:
    """The groups as well: nothing is left of rows that are gone, or of the order they came in."""
    by_batches = Map()
    for batch in batches:
        by_batches.change(batch)
        assert by_batches.root == slow_root(by_batches.rows)
        assert by_batches.root == statemap.root(by_batches.groups.get)
        assert statemap.update(by_batches.groups.get, {}) == (by_batches.root, {})
    at_once, one_by_one = Map(by_batches.rows), Map()
    for key, row in reversed(by_batches.rows.items()):
        one_by_one.change({key: row})
    assert at_once.groups == by_batches.groups == one_by_one.groups
    assert at_once.root == one_by_one.root == by_batches.root
    assert by_batches.change(dict.fromkeys(by_batches.rows)).groups == {}
    assert by_batches.root == EMPTY


def test_a_larger_map() -> None:
    """Full groups, and splits and joins below them."""
    there = Map({digest(n): digest(1) for n in range(3000)})
    assert there.root == slow_root(there.rows)
    there.change({digest(n): digest(2) if n % 3 else None for n in range(0, 6000, 2)})
    assert there.root == slow_root(there.rows)
    assert Map(there.rows).groups == there.groups
    for n in range(0, 4000, 250):
        proof = there.prove(digest(n))
        assert proof == slow_proof(there.rows, digest(n))
        there.verify(digest(n), proof, present=digest(n) in there.rows)
        assert len(encode(proof)) < 1500


def test_all_rows_are_in_the_root() -> None:
    roots = [MANY.root]
    for n, key in enumerate(KEYS):
        roots.append(Map(MANY.rows).change({key: digest(n + 1)}).root)
        roots.append(Map(MANY.rows).change({key: None}).root)
    assert len(roots) == len(dict.fromkeys(roots))


# ------------------------------------------------------------------------------- the proofs


@settings(max_examples=200)
@given(ROWS, st.lists(KEY, min_size=1, max_size=10))
def test_every_key_has_its_proof(rows: Rows, keys: list[bytes]) -> None:
    there = Map(rows)
    for key in keys:
        proof = there.prove(key)
        assert proof == slow_proof(rows, key)
        assert decode(encode(proof), MapProof) == proof
        there.verify(key, proof, present=key in rows)
        with pytest.raises(VerificationFailed):
            there.verify(key, proof, present=key not in rows)
        for row in (rows.get(flipped(key, 255), EMPTY), EMPTY, flipped(rows.get(key, EMPTY), 9)):
            with pytest.raises(VerificationFailed):
                there.verify(key, proof, present=True, row=row)


@given(st.sampled_from(MAPS), KEY, KEY)
def test_a_proof_is_of_one_key(there: Map, key: bytes, asked: bytes) -> None:
    """Absent keys share one where they lie in the same gap, or before the same leaf."""
    proof = there.prove(key)
    if there.prove(asked) != proof:
        assert not holds(there, asked, proof, present=True)
        assert not holds(there, asked, proof, present=False)
    elif key != asked:
        assert key not in there.rows
        assert asked not in there.rows


def test_a_proof_is_of_one_root() -> None:
    for key in KEYS:
        for there in MAPS:
            for stale in (MANY, HALF):
                if stale.root != there.root:
                    proof = stale.prove(key)
                    row = stale.rows.get(key, digest(0))
                    with pytest.raises(FAILURES):
                        statemap.verify_present(there.root, key, row, proof)
                    with pytest.raises(FAILURES):
                        statemap.verify_absent(there.root, key, proof)


def respelled(proof: MapProof, occupied: list[bool], siblings: list[bytes]) -> MapProof:
    """A proof with these steps from the root down; its bitmap may be too long for it."""
    padded = occupied + [False] * (-len(occupied) % 8)
    digits = "".join("1" if there else "0" for there in padded)
    bitmap = int(digits or "0", 2).to_bytes(len(padded) // 8, "big")
    return replace(proof, bitmap=bitmap, siblings=siblings)


def neighbours(there: Map, key: bytes) -> Iterator[MapProof]:
    """Proofs that differ in little from the one of this key."""
    proof = there.prove(key)
    deepest_first = proof.siblings
    occupied = [bool(bit_of(proof.bitmap, depth)) for depth in range(8 * len(proof.bitmap))]
    while occupied and not occupied[-1]:
        occupied.pop()
    leaf = sha256(b"\x00" + key + there.rows.get(key, digest(0))).digest()
    for more in (leaf, EMPTY, there.root, digest(99)):  # lengthened
        yield respelled(proof, [*occupied, True], [more, *deepest_first])
        yield respelled(proof, [True, *occupied], [*deepest_first, more])
        yield replace(proof, siblings=[*deepest_first, more])
        yield replace(proof, siblings=[more, *deepest_first])
    yield respelled(proof, [*occupied, False], deepest_first)
    yield respelled(proof, [False, *occupied], deepest_first)
    yield replace(proof, bitmap=proof.bitmap + b"\x00")
    yield replace(proof, bitmap=b"\x00" + proof.bitmap)
    if occupied:  # shortened
        yield replace(proof, bitmap=proof.bitmap[:-1])
        yield replace(proof, bitmap=b"", siblings=[])
        yield respelled(proof, occupied[:-1], deepest_first[1:])
        yield respelled(proof, occupied[1:], deepest_first[: len(deepest_first) - occupied[0]])
        yield replace(proof, siblings=deepest_first[1:])
        yield replace(proof, siblings=deepest_first[:-1])
    for at, sibling in enumerate(deepest_first):  # changed
        for other in (flipped(sibling, 0), flipped(sibling, 255), EMPTY, leaf):
            changed = [*deepest_first[:at], other, *deepest_first[at + 1 :]]
            yield replace(proof, siblings=changed)
    for at, shown in enumerate(occupied):  # an empty sibling spelled out, or one left out
        up = sum(occupied[at + 1 :])
        turned = [*occupied[:at], not shown, *occupied[at + 1 :]]
        instead = [] if shown else [EMPTY]
        rest = deepest_first[up + shown :]
        yield respelled(proof, turned, [*deepest_first[:up], *instead, *rest])
    if len(deepest_first) > 1:
        yield replace(proof, siblings=deepest_first[::-1])
    for held_key, row in [*there.rows.items(), (key, digest(0)), (flipped(key, 255), digest(0))]:
        yield replace(proof, other=OtherLeaf(key_hash=held_key, row_hash=row))
    if proof.other is not None:
        yield replace(proof, other=None)
        yield replace(proof, other=replace(proof.other, row_hash=flipped(BASE, 1)))
        yield replace(proof, other=replace(proof.other, key_hash=key))


@pytest.mark.parametrize("there", [*MAPS, DEEPEST])
def test_every_changed_proof_fails(there: Map) -> None:
    for key in [*KEYS, digest(1000), digest(1001)]:
        proof = there.prove(key)
        for changed in neighbours(there, key):
            if changed != proof:
                assert not holds(there, key, changed, present=True)
                assert not holds(there, key, changed, present=False)


def all_nodes(rows: list[tuple[bytes, bytes]], depth: int = 0) -> Iterator[bytes]:
    yield slow_hash(rows, depth)
    if len(rows) > 1:
        for side in (0, 1):
            yield from all_nodes([r for r in rows if bit_of(r[0], depth) == side], depth + 1)


FEW = Map({key: digest(1) for key in KEYS[:7]})
POOL = [*dict.fromkeys(all_nodes(list(FEW.rows.items()))), digest(77), *FEW.rows, *KEYS[:9]]
OTHERS = [None, *(OtherLeaf(key_hash=key, row_hash=row) for key, row in FEW.rows.items())]
OTHERS += [
    OtherLeaf(key_hash=POOL[0], row_hash=POOL[1]),
    OtherLeaf(key_hash=KEYS[8], row_hash=BASE),
]


@settings(max_examples=1000)
@given(
    st.binary(max_size=2),
    st.lists(st.sampled_from(POOL), max_size=6),
    st.sampled_from(OTHERS),
    st.sampled_from(KEYS[:9]),
)
def test_whatever_holds_is_the_one_proof(
    bitmap: bytes, siblings: list[bytes], other: OtherLeaf | None, key: bytes
) -> None:
    """Made up from all hashes of the map, as somebody would who knows everything in it."""
    made_up = MapProof(bitmap=bitmap, siblings=siblings, other=other)
    for present in (False, True):
        if holds(FEW, key, made_up, present=present):
            assert made_up == FEW.prove(key)
            assert present == (key in FEW.rows)


# ------------------------------------------------------------------- leaves, nodes, lengths


def test_a_node_is_no_leaf() -> None:
    """The two hashes below a node, shown as the key and the row of a leaf."""
    left, right = b"\x00" * 32, b"\x80" * 32
    there = Map({left: digest(1), right: digest(2)})
    halves = [sha256(b"\x00" + key + row).digest() for key, row in there.rows.items()]
    bare = MapProof(bitmap=b"", siblings=[])
    with pytest.raises(VerificationFailed):
        statemap.verify_present(there.root, halves[0], halves[1], bare)
    other = OtherLeaf(key_hash=halves[0], row_hash=halves[1])
    with pytest.raises(VerificationFailed):
        statemap.verify_absent(there.root, left, replace(bare, other=other))
    # The other way round: a leaf alone, shown as a node over its key and its row.
    alone = Map({left: digest(1)})
    for held in (alone.root, EMPTY):
        proof = MapProof(bitmap=b"\x80", siblings=[digest(1)])
        with pytest.raises(VerificationFailed):
            statemap.verify_present(alone.root, left, held, proof)
        with pytest.raises(VerificationFailed):
            statemap.verify_absent(alone.root, left, proof)


def test_a_proof_of_presence_is_none_of_absence() -> None:
    proof = MANY.prove(BASE)
    own = OtherLeaf(key_hash=BASE, row_hash=MANY.rows[BASE])
    with pytest.raises(VerificationFailed, match="a proof of presence"):
        MANY.verify(BASE, replace(proof, other=own), present=False)
    with pytest.raises(VerificationFailed, match="a proof of absence"):
        MANY.verify(BASE, replace(proof, other=own), present=True)


def test_the_other_leaf_lies_on_the_way() -> None:
    key = digest(1000)
    proof = MANY.prove(key)
    with pytest.raises(VerificationFailed, match="lies elsewhere"):
        elsewhere = OtherLeaf(key_hash=flipped(key, 0), row_hash=BASE)
        MANY.verify(key, replace(proof, other=elsewhere), present=False)


def test_no_byte_moves_between_the_key_and_the_row() -> None:
    there = Map({BASE: digest(1)})
    bare = MapProof(bitmap=b"", siblings=[])
    joined = BASE + digest(1)
    there.verify(BASE, bare, present=True)
    for cut in (0, 31, 33, 64):
        with pytest.raises(Malformed, match="another length"):
            statemap.verify_present(there.root, joined[:cut], joined[cut:], bare)
        other = OtherLeaf(key_hash=joined[:cut], row_hash=joined[cut:])
        with pytest.raises(Malformed, match="another length"):
            statemap.verify_absent(there.root, KEYS[1], replace(bare, other=other))
    with pytest.raises(Malformed, match="another length"):
        statemap.verify_absent(EMPTY, BASE[:31], bare)


@pytest.mark.parametrize("present", [False, True])
@pytest.mark.parametrize(
    ("bitmap", "siblings", "match"),
    [
        (b"\x00", [], "longer than the proof"),
        (b"\x80\x00", [BASE], "longer than the proof"),
        (bytes(32) + b"\x01", [BASE], "longer than the proof"),
        (b"\x80", [], "not the 0 siblings"),
        (b"\x80", [BASE, BASE], "not the 2 siblings"),
        (b"", [BASE], "not the 1 siblings"),
        (b"\x80", [EMPTY], "an empty sibling"),
        (b"\xc0", [BASE, EMPTY], "an empty sibling"),
        (b"\x80", [BASE[1:]], "another length"),
        (b"\xc0", [BASE + b"\x00", BASE[1:]], "another length"),
    ],
)
def test_other_spellings(bitmap: bytes, siblings: list[bytes], match: str, present: bool) -> None:
    proof = MapProof(bitmap=bitmap, siblings=siblings)
    with pytest.raises(Malformed, match=match):
        MANY.verify(BASE, proof, present=present)


def test_the_deepest_leaf() -> None:
    """At 256 the keys end: a bit for each step, and one sibling."""
    for key in DEEPEST.rows:
        proof = DEEPEST.prove(key)
        assert proof.bitmap == bytes(31) + b"\x01"
        assert len(proof.siblings) == 1
        DEEPEST.verify(key, proof, present=True)
    longest = Map({BASE: digest(1)} | {flipped(BASE, bit): digest(1) for bit in range(256)})
    proof = longest.prove(BASE)
    assert (len(proof.bitmap), len(proof.siblings)) == (32, 256)
    longest.verify(BASE, proof, present=True)
    assert len(encode(proof)) < 13_000
    for name in ("bitmap", "siblings"):
        longer = replace(proof, **{name: getattr(proof, name) + getattr(proof, name)[:1]})
        with pytest.raises(Malformed):
            decode(encode(longer), MapProof)
        with pytest.raises(Malformed):
            longest.verify(BASE, longer, present=True)


# ------------------------------------------------------------------------------- bugs, damage


@pytest.mark.parametrize("key", [b"", BASE[1:], BASE + b"\x00"])
def test_a_hash_of_another_length_is_a_bug(key: bytes) -> None:
    for change in ({key: None}, {key: BASE}, {key: (BASE + BASE)[len(key) :]}, {BASE: key}):
        with pytest.raises(ValueError, match="bytes"):
            statemap.update(NOTHING.get, change)
    with pytest.raises(ValueError, match="bytes"):
        statemap.prove(MANY.groups.get, key)


def test_a_lost_or_cut_group_is_damage() -> None:
    """It must not become a proof that a row is not there."""
    below = [prefix for prefix in MANY.groups if prefix]
    lost = {b"": MANY.groups[b""]}
    cut = {prefix: group[:-1] for prefix, group in MANY.groups.items()}
    key = next(key for key in KEYS if key[0] >> 4 == below[0][0])
    for damaged in (lost, cut, MANY.groups | dict.fromkeys(below, b"")):
        with pytest.raises(Damaged):
            statemap.prove(damaged.get, key)
        with pytest.raises(Damaged):
            statemap.update(damaged.get, {key: digest(5)})
    with pytest.raises(Damaged):
        statemap.root(cut.get)


def test_a_map_without_end_is_damage() -> None:
    endless = bytes([0, 0]) + b"\x20" * 30 + BASE * 30
    with pytest.raises(Damaged):
        statemap.prove(lambda _: endless, BASE)
    with pytest.raises(Damaged):
        statemap.update(lambda _: endless, {BASE: digest(1)})
