"""The tree against Certificate Transparency's own vectors, then against RFC 9162's recursion."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.protocol import merkle
from tallystick.protocol.errors import VerificationFailed

# The eight leaves and roots of certificate-transparency's merkletree tests, used by all its ports.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
INCLUSION = [  # (index, size, path), from the same tests
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [  # (old, new, path), from the same tests
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]

SMALL = 33
"""All trees up to here are tried exhaustively: past two powers of two, with every raggedness."""
MANY = [merkle.leaf_hash(str(n).encode()) for n in range(300)]
MANY_ROOTS = [merkle.root(MANY[:size]) for size in range(SMALL + 1)]


# RFC 9162's own recursive definitions, word for word: slow and obviously right.


def rfc_split(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1


def rfc_root(leaves: list[bytes]) -> bytes:
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha256(b"").digest()
    k = rfc_split(len(leaves))
    return sha256(b"\x01" + rfc_root(leaves[:k]) + rfc_root(leaves[k:])).digest()


def rfc_path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = rfc_split(len(leaves))
    if m < k:
        return [*rfc_path(m, leaves[:k]), rfc_root(leaves[k:])]
    return [*rfc_path(m - k, leaves[k:]), rfc_root(leaves[:k])]


def rfc_subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [rfc_root(leaves)]
    k = rfc_split(len(leaves))
    if m <= k:
        return [*rfc_subproof(m, leaves[:k], whole), rfc_root(leaves[k:])]
    return [*rfc_subproof(m - k, leaves[k:], False), rfc_root(leaves[:k])]


def consistency(old: int, new: int) -> list[bytes]:
    nodes = merkle.consistency_nodes(old, new)
    return [merkle.root(MANY[at << level : min((at + 1) << level, new)]) for level, at in nodes]


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


def test_hashes_of_the_reference_implementation() -> None:
    assert merkle.leaf_hash(b"L123456").hex() == (
        "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    )
    assert merkle.node_hash(b"N123", b"N456").hex() == (
        "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    )
    assert ROOTS[0] == merkle.EMPTY_ROOT


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_reference_implementation(size: int) -> None:
    assert merkle.root(HASHES[:size]) == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "texts"), INCLUSION)
def test_inclusion_paths_of_the_reference_implementation(
    index: int, size: int, texts: list[str]
) -> None:
    path = [bytes.fromhex(text) for text in texts]
    assert merkle.path(HASHES[:size], index) == path
    merkle.verify_path(HASHES[index], index, size, path, ROOTS[size])


@pytest.mark.parametrize(("old", "new", "texts"), CONSISTENCY)
def test_consistency_paths_of_the_reference_implementation(
    old: int, new: int, texts: list[str]
) -> None:
    path = [bytes.fromhex(text) for text in texts]
    merkle.verify_consistency(old, ROOTS[old], new, ROOTS[new], path)
    nodes = merkle.consistency_nodes(old, new)
    prefix = HASHES[:new]
    assert [merkle.root(prefix[at << level : (at + 1) << level]) for level, at in nodes] == path


def test_every_small_tree_is_that_of_the_rfc() -> None:
    for size in range(1, SMALL + 1):
        leaves = MANY[:size]
        assert merkle.root(leaves) == rfc_root(leaves)
        every = merkle.paths(leaves)
        for index in range(size):
            path = merkle.path(leaves, index)
            assert path == every[index] == rfc_path(index, leaves)
            merkle.verify_path(leaves[index], index, size, path, MANY_ROOTS[size])


def test_every_small_pair_is_consistent_as_in_the_rfc() -> None:
    for new in range(1, SMALL + 1):
        for old in range(1, new + 1):
            path = consistency(old, new)
            assert path == rfc_subproof(old, MANY[:new], True)
            merkle.verify_consistency(old, MANY_ROOTS[old], new, MANY_ROOTS[new], path)


def test_every_tree_begins_with_the_empty_one() -> None:
    assert merkle.paths([]) == []
    for new in range(SMALL + 1):
        merkle.verify_consistency(0, merkle.EMPTY_ROOT, new, MANY_ROOTS[new], [])
        with pytest.raises(VerificationFailed):
            merkle.verify_consistency(0, MANY_ROOTS[1], new, MANY_ROOTS[new], [])
        with pytest.raises(VerificationFailed):
            merkle.verify_consistency(0, merkle.EMPTY_ROOT, new, MANY_ROOTS[new], [MANY[0]])
    with pytest.raises(VerificationFailed):
        merkle.verify_consistency(0, merkle.EMPTY_ROOT, 0, MANY_ROOTS[1], [])


def sides(index: int, size: int) -> list[bool]:
    return [at < index >> level for level, at in merkle.path_nodes(index, size)]


def test_a_wrong_index_fails() -> None:
    for size in range(1, SMALL + 1):
        for index, path in enumerate(merkle.paths(MANY[:size])):
            for other in range(size):
                if other != index:
                    with pytest.raises(VerificationFailed):
                        merkle.verify_path(MANY[index], other, size, path, MANY_ROOTS[size])


def test_a_wrong_size_fails() -> None:
    """Against its own root always; against the old root unless the siblings lie the same way."""
    for size in range(1, SMALL + 1):
        for index, path in enumerate(merkle.paths(MANY[:size])):
            for other in range(1, SMALL + 1):
                if other != size:
                    with pytest.raises(VerificationFailed):
                        merkle.verify_path(MANY[index], index, other, path, MANY_ROOTS[other])
                if index < other and sides(index, other) == sides(index, size):
                    merkle.verify_path(MANY[index], index, other, path, MANY_ROOTS[size])
                else:
                    with pytest.raises(VerificationFailed):
                        merkle.verify_path(MANY[index], index, other, path, MANY_ROOTS[size])


def test_a_changed_length_fails_for_all_small_pairs() -> None:
    for new in range(1, SMALL + 1):
        for old in range(1, new + 1):
            path = consistency(old, new)
            for wrong in ([*path, MANY[0]], [MANY[0], *path], path[:-1] if path else [MANY[1]]):
                with pytest.raises(VerificationFailed):
                    merkle.verify_consistency(old, MANY_ROOTS[old], new, MANY_ROOTS[new], wrong)


def test_other_sizes_of_the_same_roots_fail() -> None:
    for new in range(2, SMALL + 1):
        for old in range(1, new):
            path, roots = consistency(old, new), (MANY_ROOTS[old], MANY_ROOTS[new])
            for other in range(new + 1):
                if other != old:
                    with pytest.raises(VerificationFailed):
                        merkle.verify_consistency(other, roots[0], new, roots[1], path)
            with pytest.raises(VerificationFailed):
                merkle.verify_consistency(new, roots[1], old, roots[0], path)


def test_impossible_indexes_and_sizes() -> None:
    for index, size in ((0, 0), (3, 3), (-1, 3), (0, -1)):
        with pytest.raises(VerificationFailed):
            merkle.verify_path(MANY[0], index, size, [], MANY[0])
        with pytest.raises(ValueError, match="no leaf"):
            merkle.path_nodes(index, size)
    for old, new in ((3, 2), (-1, 2)):
        with pytest.raises(VerificationFailed):
            merkle.verify_consistency(old, MANY[0], new, MANY[0], [])
        with pytest.raises(ValueError, match="no prefix"):
            merkle.consistency_nodes(old, new)


def test_two_roots_of_one_size_are_not_consistent() -> None:
    with pytest.raises(VerificationFailed, match="one size"):
        merkle.verify_consistency(4, MANY[0], 4, MANY[1], [])


def test_range_nodes_are_complete_and_fold_to_the_root() -> None:
    for end in range(1, SMALL + 1):
        nodes = merkle.range_nodes(0, end)
        spans = [(at << level, (at + 1) << level) for level, at in nodes]
        assert [start for start, _ in spans] == [0, *(stop for _, stop in spans)][:-1]
        assert spans[-1][1] == end
        hashes = [merkle.root(MANY[start:stop]) for start, stop in spans]
        assert merkle.fold_right(hashes) == MANY_ROOTS[end]


def test_a_leaf_is_never_read_as_a_node() -> None:
    leaf = merkle.leaf_hash(HASHES[0] + HASHES[1])
    assert leaf != merkle.root(HASHES[:2])


def test_hashes_of_other_lengths_are_refused() -> None:
    """Moving bytes from one hash to its neighbour would otherwise hash to the same node."""
    path = merkle.path(HASHES[:2], 0)
    for leaf, step in (
        (HASHES[0][:-1], HASHES[0][-1:] + path[0]),
        (HASHES[0] + path[0][:1], path[0][1:]),
        (HASHES[0], path[0] + b"\x00"),
    ):
        with pytest.raises(VerificationFailed):
            merkle.verify_path(leaf, 0, 2, [step], ROOTS[2])


@st.composite
def trees(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(1, len(MANY)))
    return draw(st.integers(0, size - 1)), size


@given(trees(), st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_a_changed_path_fails(tree: tuple[int, int], step: int, bit: int) -> None:
    index, size = tree
    top = merkle.root(MANY[:size])
    path = merkle.path(MANY[:size], index)
    assert merkle.root_from_path(MANY[index], index, size, path) == top
    with pytest.raises(VerificationFailed):
        merkle.verify_path(flip(MANY[index], bit), index, size, path, top)
    with pytest.raises(VerificationFailed):
        merkle.verify_path(MANY[index], index, size, path, flip(top, bit))
    for wrong in ([*path, MANY[0]], [MANY[0], *path]):
        with pytest.raises(VerificationFailed):
            merkle.verify_path(MANY[index], index, size, wrong, top)
    if path:
        at = step % len(path)
        for wrong in (
            [*path[:at], flip(path[at], bit), *path[at + 1 :]],
            [*path[:at], *path[at + 1 :]],
        ):
            with pytest.raises(VerificationFailed):
                merkle.verify_path(MANY[index], index, size, wrong, top)


@given(trees(), st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_a_changed_consistency_path_fails(tree: tuple[int, int], step: int, bit: int) -> None:
    old, new = tree[0] + 1, tree[1]
    roots = merkle.root(MANY[:old]), merkle.root(MANY[:new])
    path = consistency(old, new)
    merkle.verify_consistency(old, roots[0], new, roots[1], path)
    with pytest.raises(VerificationFailed):
        merkle.verify_consistency(old, flip(roots[0], bit), new, roots[1], path)
    with pytest.raises(VerificationFailed):
        merkle.verify_consistency(old, roots[0], new, flip(roots[1], bit), path)
    if path:
        at = step % len(path)
        wrong = [*path[:at], flip(path[at], bit), *path[at + 1 :]]
        with pytest.raises(VerificationFailed):
            merkle.verify_consistency(old, roots[0], new, roots[1], wrong)


@given(st.integers(1, 2**53), st.data())
def test_path_lengths_stay_below_two_logarithms(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    assert len(merkle.path_nodes(index, size)) <= (size - 1).bit_length()
    assert len(merkle.consistency_nodes(index + 1, size)) <= size.bit_length() + 1
