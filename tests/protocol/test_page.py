"""A page gives the root of all its 4,096 slots, and a path that proves one of them and no other.

See docs/spec/state.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.protocol import page
from tallystick.protocol.errors import Damaged, Malformed, VerificationFailed

SLOT = st.integers(0, page.SLOTS - 1)
NEAR = st.integers(0, 40) | st.integers(4060, 4095) | SLOT
"""Slots that share groups, and slots that do not."""
NOTHING: dict[int, bytes] = {}


def held(number: int) -> bytes:
    return page.slot_hash(b'{"number":%d}' % number)


def slow_levels(slots: dict[int, bytes]) -> list[list[bytes]]:
    """The definition: all slots side by side, then level upon level."""
    levels = [[slots.get(slot, page.EMPTY_SLOT) for slot in range(4096)]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = zip(below[::2], below[1::2], strict=True)
        levels.append([sha256(b"\x01" + left + right).digest() for left, right in pairs])
    return levels


def slow_root(slots: dict[int, bytes]) -> bytes:
    return slow_levels(slots)[-1][0]


class Page:
    """A page that keeps its groups."""

    def __init__(self) -> None:
        self.groups: dict[int, bytes] = {}
        self.slots: dict[int, bytes] = {}
        self.root = page.EMPTY_ROOT

    def put(self, changes: dict[int, bytes]) -> Page:
        self.root, writes = page.update(self.groups.get, changes)
        self.groups |= writes
        self.slots |= changes
        return self


FULL = Page().put({slot: held(slot) for slot in range(4096)})
SPARSE = Page().put({slot: held(slot) for slot in (0, 1, 2, 15, 16, 255, 256, 1000, 4095)})
PAGES = [FULL, SPARSE]


def leads(stored: Page, slot: int, digest: bytes, path: Sequence[bytes]) -> bool:
    return page.root_from_path(slot, digest, path) == stored.root


def test_written_out() -> None:
    assert sha256(b"tallystick/empty-slot/v1\n").digest() == page.EMPTY_SLOT
    assert page.slot_hash(b"{}") == sha256(b"tallystick/slot/v1\n{}").digest()
    assert page.page_key(33060126, 24) == "page/33060126/24"
    assert page.page_hash(bytes(32)) == sha256(b"tallystick/page/v1\n" + bytes(32)).digest()
    root = page.EMPTY_SLOT
    for _ in range(12):
        root = sha256(b"\x01" + root + root).digest()
    assert root == page.EMPTY_ROOT
    assert page.update(NOTHING.get, {}) == (root, {})


def test_the_groups_are_where_the_spec_says() -> None:
    levels = slow_levels(FULL.slots)
    assert sorted(FULL.groups) == list(range(273))
    for level, first, count in ((0, 0, 256), (4, 256, 16), (8, 272, 1)):
        stored = b"".join(FULL.groups[first + n] for n in range(count))
        assert stored == b"".join(levels[level])


@settings(max_examples=30)
@given(st.lists(st.dictionaries(NEAR, st.integers(0, 3), max_size=30), max_size=6))
def test_the_root_is_one_of_the_slots_alone(batches: list[dict[int, int]]) -> None:
    """Also when a slot is emptied again, though no ledger does that."""
    stored, once = Page(), Page()
    for batch in batches:
        changes = {slot: held(n) if n else page.EMPTY_SLOT for slot, n in batch.items()}
        stored.put(changes)
    assert stored.root == slow_root(stored.slots)
    backwards = sorted(stored.slots.items(), reverse=True)
    assert once.put(dict(backwards)).root == stored.root
    assert page.update(stored.groups.get, {}) == (stored.root, {})


@given(st.lists(SLOT, min_size=1, max_size=8, unique=True))
def test_only_the_touched_groups_are_written(slots: list[int]) -> None:
    before = dict(SPARSE.groups)
    _, writes = page.update(SPARSE.groups.get, {slot: held(9999) for slot in slots})
    leaves = {slot >> 4 for slot in slots}
    assert set(writes) == leaves | {256 + (group >> 4) for group in leaves} | {272}
    assert before == SPARSE.groups


@pytest.mark.parametrize("stored", PAGES)
def test_every_slot_has_its_path(stored: Page) -> None:
    levels = slow_levels(stored.slots)
    for slot in range(0, page.SLOTS, 1 if stored is SPARSE else 17):
        path = page.path(stored.groups.get, slot)
        assert path == [levels[height][slot >> height ^ 1] for height in range(12)]
        assert leads(stored, slot, stored.slots.get(slot, page.EMPTY_SLOT), path)


@given(st.sampled_from(PAGES), NEAR)
def test_taken_and_empty_exclude_each_other(stored: Page, slot: int) -> None:
    path = page.path(stored.groups.get, slot)
    wrong = [held(slot + 1), bytes(32), page.EMPTY_ROOT]
    wrong.append(page.EMPTY_SLOT if slot in stored.slots else held(slot))
    assert not any(leads(stored, slot, digest, path) for digest in wrong)


@given(st.sampled_from(PAGES), NEAR, NEAR)
def test_a_path_is_of_one_slot(stored: Page, slot: int, other: int) -> None:
    """Between empty slots in like surroundings paths are equal: then both are empty, as proven."""
    path, digest = page.path(stored.groups.get, slot), stored.slots.get(slot, page.EMPTY_SLOT)
    same = stored.slots.get(other, page.EMPTY_SLOT) == digest
    assert not leads(stored, other, digest, path) or same


@given(st.sampled_from(PAGES), NEAR, st.integers(0, 11), st.integers(0, 255))
def test_a_changed_path_leads_elsewhere(stored: Page, slot: int, step: int, bit: int) -> None:
    path, digest = page.path(stored.groups.get, slot), stored.slots.get(slot, page.EMPTY_SLOT)
    changed = bytearray(path[step])
    changed[bit >> 3] ^= 1 << (bit & 7)
    assert not leads(stored, slot, digest, [*path[:step], bytes(changed), *path[step + 1 :]])
    turned = [*path[step:], *path[:step]]
    assert not leads(stored, slot, digest, turned) or turned == path


@given(NEAR, st.integers(0, 11))
def test_a_path_of_another_length_fails(slot: int, step: int) -> None:
    path = page.path(FULL.groups.get, slot)
    pair = path[0] + held(slot) if slot & 1 else held(slot) + path[0]
    inner = sha256(b"\x01" + pair).digest()
    for wrong in (path[:step], path[step + 1 :], [*path, path[step]], [path[step], *path], []):
        for digest in (held(slot), inner, FULL.root):
            with pytest.raises(VerificationFailed, match="hashes, not 12"):
                page.root_from_path(slot, digest, wrong)


@pytest.mark.parametrize("slot", [-1, 4096, 2**60])
def test_a_slot_beyond_the_page_fails(slot: int) -> None:
    with pytest.raises(VerificationFailed, match="no slot"):
        page.root_from_path(slot, held(0), page.path(FULL.groups.get, 0))
    with pytest.raises(ValueError, match="no slot"):
        page.path(FULL.groups.get, slot)
    with pytest.raises(ValueError, match="slot"):
        page.update(FULL.groups.get, {slot: held(0)})


@pytest.mark.parametrize("step", [0, 5, 11])
def test_bytes_do_not_move_between_neighbours(step: int) -> None:
    """A hash a byte longer beside one a byte shorter would be hashed to the same node."""
    path, node = page.path(FULL.groups.get, 0), held(0)
    for length in (0, 31, 33, 64):
        wrong = [*path[:step], bytes(length), *path[step + 1 :]]
        with pytest.raises(Malformed, match="32 bytes"):
            page.root_from_path(0, node, wrong)
    with pytest.raises(Malformed, match="32 bytes"):
        page.root_from_path(0, node[:31], [node[31:] + path[0], *path[1:]])


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_hash_of_another_length_is_a_bug(length: int) -> None:
    with pytest.raises(ValueError, match="hash of"):
        page.update(NOTHING.get, {0: bytes(length), 1: bytes(64 - length)})


@pytest.mark.parametrize("group", [0, 256, 272])
def test_a_cut_group_is_damage(group: int) -> None:
    cut = FULL.groups | {group: FULL.groups[group][:-1]}
    with pytest.raises(Damaged, match="511 bytes"):
        page.path(cut.get, 0)
    with pytest.raises(Damaged, match="511 bytes"):
        page.update(cut.get, {0: held(1)})


# ------------------------------------------------------------------------------- complete ranges


def within(ranges: Sequence[page.Range], slots: dict[int, bytes]) -> dict[int, bytes]:
    return {
        slot: digest
        for slot, digest in slots.items()
        if any(first <= slot <= last for first, last in ranges)
    }


@st.composite
def some_ranges(draw: st.DrawFn) -> list[page.Range]:
    """Disjoint ranges, ascending, some of them neighbours."""
    ends = sorted(draw(st.lists(NEAR, min_size=1, max_size=6, unique=True)))
    if len(ends) % 2:
        ends.append(ends[-1])
    return list(zip(ends[::2], ends[1::2], strict=True))


@given(ranges=some_ranges(), which=st.sampled_from([*PAGES, Page()]))
@settings(max_examples=40, deadline=None)
def test_all_that_some_ranges_hold_gives_the_root(ranges: list[page.Range], which: Page) -> None:
    siblings = page.ranges_path(which.groups.get, ranges)
    slots = within(ranges, which.slots)
    assert page.root_from_ranges(ranges, slots, siblings) == which.root
    assert len(siblings) <= 2 * page.HEIGHT * len(ranges)
    for slot in [*slots][:3]:
        fewer = {each: digest for each, digest in slots.items() if each != slot}
        assert page.root_from_ranges(ranges, fewer, siblings) != which.root
        assert page.root_from_ranges(ranges, slots | {slot: held(-1)}, siblings) != which.root
    empty = next((each for each in range(ranges[0][0], ranges[0][1] + 1) if each not in slots), -1)
    if empty >= 0:
        assert page.root_from_ranges(ranges, slots | {empty: held(empty)}, siblings) != which.root


def test_a_whole_page_needs_no_hash_and_half_a_page_one() -> None:
    assert page.ranges_path(FULL.groups.get, [(0, 4095)]) == []
    assert page.root_from_ranges([(0, 4095)], FULL.slots, []) == FULL.root
    (sibling,) = page.ranges_path(FULL.groups.get, [(0, 2047)])
    assert sibling == slow_levels(FULL.slots)[11][1]


def test_what_is_no_range_proof() -> None:
    ranges = [(3, 9), (20, 20)]
    siblings, slots = page.ranges_path(FULL.groups.get, ranges), within(ranges, FULL.slots)
    for wrong in (siblings[:-1], [*siblings, bytes(32)], [siblings[0][:-1], *siblings[1:]]):
        with pytest.raises(VerificationFailed):
            page.root_from_ranges(ranges, slots, wrong)
    with pytest.raises(VerificationFailed, match="slot 10 lies in no range"):
        page.root_from_ranges(ranges, slots | {10: held(10)}, siblings)
    with pytest.raises(Malformed):
        page.root_from_ranges(ranges, slots | {3: b"short"}, siblings)
    for bad in ([], [(5, 4)], [(0, 4096)], [(1, 3), (3, 4)], [(5, 6), (1, 2)]):
        with pytest.raises(ValueError, match=r"ranges|no slot"):
            page.ranges_path(FULL.groups.get, bad)
