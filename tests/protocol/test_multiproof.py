"""Several leaves of one tree: the proof is what RFC 9162's paths have, without what is known."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.protocol import merkle
from tallystick.protocol.errors import VerificationFailed
from tallystick.protocol.multiproof import (
    around,
    levels_over,
    path_over,
    prove_some,
    root_from_some,
)

LEAVES = [merkle.leaf_hash(sha256(b"leaf %d" % n).digest()) for n in range(200)]


@st.composite
def some_of_a_tree(draw: st.DrawFn) -> tuple[int, list[int]]:
    size = draw(st.integers(1, len(LEAVES)))
    return size, sorted(draw(st.sets(st.integers(0, size - 1), min_size=1)))


@given(some_of_a_tree())
def test_a_proof_leads_to_the_root_and_has_no_hash_too_many(case: tuple[int, list[int]]) -> None:
    size, indices = case
    tree = LEAVES[:size]
    proof = prove_some(tree, indices)
    shown = [tree[index] for index in indices]
    assert root_from_some(shown, indices, size, proof) == merkle.root(tree)
    paths = [digest for index in indices for digest in merkle.path(tree, index)]
    assert set(proof) <= set(paths)
    assert len(proof) == len(set(proof))
    for n in range(len(proof)):
        with pytest.raises(VerificationFailed, match="fewer"):
            root_from_some(shown, indices, size, proof[:n])
    with pytest.raises(VerificationFailed, match="more"):
        root_from_some(shown, indices, size, [*proof, bytes(32)])


@given(st.integers(1, len(LEAVES)), st.data())
def test_of_one_leaf_it_is_the_path(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    assert prove_some(LEAVES[:size], [index]) == merkle.path(LEAVES[:size], index)


def test_all_leaves_need_no_hash() -> None:
    assert prove_some(LEAVES, range(len(LEAVES))) == []
    assert root_from_some(LEAVES, range(len(LEAVES)), len(LEAVES), []) == merkle.root(LEAVES)


@pytest.mark.parametrize("indices", [[], [1, 0], [0, 0], [-1, 0], [0, 3], [0]])
def test_each_leaf_has_one_index_in_order(indices: list[int]) -> None:
    with pytest.raises(VerificationFailed, match="indices"):
        root_from_some(LEAVES[:2], indices, 3, [])
    if indices != [0]:
        if indices:
            with pytest.raises(ValueError, match="ascend"):
                prove_some(LEAVES[:3], indices)
        else:
            assert prove_some(LEAVES[:1], indices) == []


def test_a_hash_has_32_bytes() -> None:
    with pytest.raises(VerificationFailed, match="32"):
        root_from_some([LEAVES[0]], [0], 2, [b"short"])
    with pytest.raises(VerificationFailed, match="32"):
        root_from_some([b"short"], [0], 1, [])


@given(st.integers(1, len(LEAVES)), st.data())
def test_neighbours_have_the_same_proof_and_give_each_path(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(first + 1, size))
    tree, shown = LEAVES[:size], LEAVES[first:end]
    proof = prove_some(tree, range(first, end))
    nodes = around(first, end, size)
    assert [merkle.root(tree[at << level : (at + 1) << level]) for level, at in nodes] == proof
    levels = levels_over(shown, first, size, proof)
    assert levels[-1] == (0, [merkle.root(tree)])
    for index in range(first, end):
        assert path_over(levels, index, size) == merkle.path(tree, index)
    for n in range(len(proof)):
        with pytest.raises(VerificationFailed, match="fewer"):
            levels_over(shown, first, size, proof[:n])
        spoilt = [*proof[:n], bytes(32), *proof[n + 1 :]]
        assert levels_over(shown, first, size, spoilt)[-1][1] != [merkle.root(tree)]
    with pytest.raises(VerificationFailed, match="more"):
        levels_over(shown, first, size, [*proof, bytes(32)])


@pytest.mark.parametrize(("count", "first", "size"), [(0, 0, 3), (1, -1, 3), (2, 2, 3), (1, 3, 3)])
def test_neighbours_lie_in_the_tree(count: int, first: int, size: int) -> None:
    with pytest.raises(VerificationFailed, match="leaves from"):
        levels_over(LEAVES[:count], first, size, [])
    with pytest.raises(ValueError, match="no leaves"):
        around(first, first + count, size)


def test_a_short_hash_beside_neighbours_is_refused() -> None:
    with pytest.raises(VerificationFailed, match="has not 32"):
        levels_over(LEAVES[:1], 0, 2, [b"short"])
