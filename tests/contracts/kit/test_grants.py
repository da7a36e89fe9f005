"""Grants: what covers what, and who is live."""

from __future__ import annotations

from typing import Any

import pytest
from acts import Rows
from hypothesis import given
from hypothesis import strategies as st

from tallystick.contracts.kit.grants import (
    DEPTH_MAX,
    GRANTS_MAX,
    Authority,
    Grant,
    Parent,
    codes_cover,
    find_grant,
    held_grant,
    is_live,
    issuers,
    pattern_allows,
    pattern_within,
    wider,
    with_grants,
    without_grant,
)
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.row import ROW_BYTES_MAX, row_key

NOW = 1_000
PATTERNS = ("*", "bills.*", "bills.issue", "bills.reverse", "members.*", "members.admit")
NAMES = ("bills.issue", "bills.reverse", "members.admit", "billsx.issue", "bills.issue_all")

grants = st.builds(
    Grant,
    grant_id=st.just("founding.0"),
    actions=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3),
    codes=st.lists(st.sampled_from([33, 3306, 330601, 34]), max_size=2),
    depth=st.integers(0, DEPTH_MAX),
    until=st.sampled_from([None, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"]),
)


def grant(number: int, parent: Parent | None = None, **changes: Any) -> Grant:
    made = Grant(grant_id=f"founding.{number}", actions=["bills.*"], parent=parent)
    return replace(made, **changes)


def put(rows: Rows, org: str, *held: Grant) -> None:
    row = Authority(kind=Authority.KIND, id=org, state="held", good=True, grants=list(held))
    rows.set(row_key(Authority.KIND, org), row, bytes(32))


def chain(length: int) -> tuple[Rows, Grant]:
    """``org-0`` founded, each next one having its grant from the one before; the last grant."""
    rows, parent, made = Rows(), None, grant(0)
    for n in range(length):
        made = grant(n, parent)
        put(rows, f"org-{n}", made)
        parent = Parent(org=f"org-{n}", grant_id=made.grant_id)
    return rows, made


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", NAMES)
def test_a_pattern_covers_a_name_a_domain_or_all(pattern: str, name: str) -> None:
    expected = pattern in ("*", name) or pattern == name.partition(".")[0] + ".*"
    assert pattern_allows(pattern, name) == expected


@pytest.mark.parametrize("inner", PATTERNS)
@pytest.mark.parametrize("outer", PATTERNS)
def test_within_means_that_all_that_is_covered_is_covered(inner: str, outer: str) -> None:
    samples = [*NAMES, "members.other", "bills.other", "third.thing"]
    covered = all(pattern_allows(outer, name) for name in samples if pattern_allows(inner, name))
    assert pattern_within(inner, outer) == covered


def test_codes_are_covered_by_their_leading_digits() -> None:
    assert codes_cover([], 33060126)
    assert codes_cover([3306, 34], 33060126)
    assert not codes_cover([34], 33060126)
    assert not codes_cover([33060126], 330601)


@given(grants, grants)
def test_what_is_not_wider_covers_nothing_more(child: Grant, parent: Grant) -> None:
    if wider(child, parent) is None:
        for name in NAMES:
            for code in (33060126, 33070126, 34060126, 11000000):
                if covers(child, name, code):
                    assert covers(parent, name, code)
        assert parent.until is None or (child.until is not None and child.until <= parent.until)
        assert child.depth < parent.depth


def covers(held: Grant, name: str, code: int) -> bool:
    allowed = any(pattern_allows(each, name) for each in held.actions)
    return allowed and codes_cover(held.codes, code)


def test_wider_names_the_first_field_that_is() -> None:
    parent = grant(0, actions=["bills.*"], codes=[3306], depth=2, until="2026-06-01T00:00:00Z")
    child = replace(parent, depth=1)
    assert wider(child, parent) is None
    assert wider(replace(child, actions=["bills.issue", "members.admit"]), parent) == "actions"
    assert wider(replace(child, actions=["*"]), parent) == "actions"
    assert wider(replace(child, codes=[]), parent) == "codes"
    assert wider(replace(child, codes=[3306, 33]), parent) == "codes"
    assert wider(replace(child, until=None), parent) == "until"
    assert wider(replace(child, until="2026-06-01T00:00:01Z"), parent) == "until"
    assert wider(replace(child, depth=2), parent) == "depth"
    assert wider(replace(child, depth=0), replace(parent, depth=0)) == "depth"


def test_a_grant_is_live_before_its_until_and_dead_from_it_on() -> None:
    rows = Rows()
    term = grant(0, until="1970-01-01T00:16:40Z")  # 1000 s
    assert is_live(rows, term, 999)
    assert not is_live(rows, term, 1_000)


def test_the_longest_chain_is_live_and_a_longer_one_is_not() -> None:
    rows, last = chain(DEPTH_MAX + 1)
    assert is_live(rows, last, NOW)
    rows, last = chain(DEPTH_MAX + 2)
    assert not is_live(rows, last, NOW)


@pytest.mark.parametrize("place", range(DEPTH_MAX + 1))
def test_one_ended_link_ends_all_below_it(place: int) -> None:
    rows, last = chain(DEPTH_MAX + 1)
    held = rows.get(row_key(Authority.KIND, f"org-{place}"), Authority)
    assert held is not None
    put(rows, f"org-{place}", replace(held.grants[0], ended="1970-01-01T00:00:00Z"))
    for n in range(DEPTH_MAX + 1):
        each = held_grant(rows, f"org-{n}", f"founding.{n}")
        assert each is not None
        assert is_live(rows, each, NOW) == (n < place)
    assert last.grant_id == f"founding.{DEPTH_MAX}"


def test_a_link_that_is_not_there_ends_the_chain() -> None:
    rows = Rows()
    assert not is_live(rows, grant(1, Parent(org="nobody", grant_id="founding.0")), NOW)
    put(rows, "finance", grant(0))
    assert not is_live(rows, grant(2, Parent(org="finance", grant_id="founding.7")), NOW)


def test_chains_that_bite_their_tail_end() -> None:
    rows = Rows()
    loop = grant(0, Parent(org="finance", grant_id="founding.0"))
    put(rows, "finance", loop)
    assert not is_live(rows, loop, NOW)
    assert len(issuers(rows, loop)) == DEPTH_MAX + 1


def test_the_first_live_grant_that_covers_action_and_code_is_found() -> None:
    rows = Rows()
    ended = grant(0, ended="1970-01-01T00:00:00Z")
    narrow = grant(1, codes=[3306])
    put(rows, "finance", ended, narrow, grant(2, actions=["members.admit"]))
    assert find_grant(rows, "finance", "bills.issue", NOW) == narrow
    assert find_grant(rows, "finance", "bills.issue", NOW, 33060126) == narrow
    assert find_grant(rows, "finance", "bills.issue", NOW, 33070126) is None
    assert find_grant(rows, "finance", "voting.cast", NOW) is None
    assert find_grant(rows, "nobody", "bills.issue", NOW) is None


def test_issuers_are_named_from_the_giver_up() -> None:
    rows, last = chain(4)
    assert issuers(rows, last) == ["org-2", "org-1", "org-0"]
    broken = grant(9, Parent(org="org-9", grant_id="founding.9"))
    assert issuers(rows, broken) == ["org-9"]


def long_grant(number: int, **changes: Any) -> Grant:
    return grant(number, actions=["bills." + "a" * 32] * 4, **changes)


def test_a_row_of_grants_never_outgrows_a_row() -> None:
    rows = Rows()
    given = 0
    while (row := with_grants(rows, "finance", [long_grant(given)], NOW)) is not None:
        rows.set(row_key(Authority.KIND, "finance"), row, bytes(32))
        given += 1
    assert 10 < given < GRANTS_MAX
    for number in range(given):
        row = rows.get(row_key(Authority.KIND, "finance"), Authority)
        assert row is not None
        row = without_grant(
            rows, row, f"founding.{number}", "1970-01-01T00:00:00Z", "no_longer_needed"
        )
        assert len(encode(row)) < ROW_BYTES_MAX - 512
        rows.set(row_key(Authority.KIND, "finance"), row, bytes(32))
        left = [each for each in row.grants if each.ended is None]
        assert [each.grant_id for each in left] == [
            f"founding.{n}" for n in range(number + 1, given)
        ]


def test_dead_grants_make_room_when_it_is_needed_and_only_then() -> None:
    rows = Rows()
    dead = [grant(n, ended="1970-01-01T00:00:00Z") for n in range(GRANTS_MAX - 1)]
    put(rows, "finance", *dead)
    row = with_grants(rows, "finance", [grant(100)], NOW)
    assert row is not None and len(row.grants) == GRANTS_MAX
    row = with_grants(rows, "finance", [grant(100), grant(101)], NOW)
    assert row is not None and [each.grant_id for each in row.grants] == [
        "founding.100",
        "founding.101",
    ]


def test_whom_the_kit_does_not_know_holds_only_what_it_is_given() -> None:
    row = with_grants(Rows(), "finance", [], NOW)
    assert row == Authority(kind=Authority.KIND, id="finance", state="held", good=True)


def test_a_suspended_organisation_stays_so_when_it_is_given_a_grant() -> None:
    rows = Rows()
    row = Authority(kind=Authority.KIND, id="finance", state="suspended", good=False)
    rows.set(row_key(Authority.KIND, "finance"), row, bytes(32))
    more = with_grants(rows, "finance", [grant(0)], NOW)
    assert more is not None and not more.good and more.state == "suspended"
