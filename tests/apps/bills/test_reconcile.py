"""Every difference between two lists is found, once, in its class, to the cent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.apps.bills.reconcile import Bill, Compared, Line, Scope, compare
from tallystick.apps.bills.reconcile_advice import ADVICE

DAY, OTHER = "2026-03-01", "2026-02-28"
SCOPE = Scope(day=DAY, place="W03", shift="A")


def bill(n: int, total: int = 100, **more: Any) -> Bill:
    fields: dict[str, Any] = {
        "refs": [f"H-{n}"],
        "state": "issued",
        "place": "W03",
        "shift": "A",
        "day": DAY,
    }
    return Bill(bill=f"33061326:{n:010d}", total=total, **(fields | more))


def line(n: int, total: int = 100, **more: Any) -> Line:
    fields: dict[str, Any] = {"ref": f"H-{n}", "total": total}
    return Line(**(fields | more))


def kinds(found: Compared) -> list[tuple[str, str]]:
    return [(each.kind, each.action) for each in found.differences]


def balanced(found: Compared) -> bool:
    """The equation of the module, and that equal lines are equal."""
    sums = found.classes
    left = found.there.there - found.here.here
    right = sum(sums[kind].there for kind in ("only_there", "duplicate"))
    right -= sums["only_here"].here
    right += sum(sums[kind].there - sums[kind].here for kind in ("amount", "place"))
    return left == right and found.equal.there == found.equal.here


def test_what_agrees_is_no_difference() -> None:
    found = compare(SCOPE, [line(1), line(2, ref="", bill=bill(2).bill)], [bill(1), bill(2)])
    assert found.differences == [] and balanced(found)
    assert (found.equal.count, found.equal.there, found.here.here) == (2, 200, 200)


@pytest.mark.parametrize(
    ("lines", "bills", "expected"),
    [
        ([line(1)], [], [("only_there", "issue")]),
        ([], [bill(1)], [("only_here", "reverse")]),
        ([], [bill(1, state="waiting")], [("only_here", "wait")]),
        ([], [bill(1, state="refused")], []),
        ([line(1, 101)], [bill(1)], [("amount", "replace")]),
        ([line(1, state="reversed")], [bill(1)], [("state", "reverse")]),
        ([line(1)], [bill(1, state="reversed")], [("state", "mend_list")]),
        ([line(1)], [bill(1, state="partly_reversed")], [("state", "look")]),
        ([line(1)], [bill(1, state="waiting")], [("state", "wait")]),
        ([line(1)], [bill(1, state="refused")], [("state", "issue")]),
        ([line(1, paper="33061126:0000000001")], [bill(1)], [("paper", "exchange")]),
        ([line(1)], [bill(1, paper="33061126:0000000001")], [("paper", "mend_list")]),
        (
            [line(1, paper="33061126:0000000002")],
            [bill(1, paper="33061126:0000000001")],
            [("paper", "look_paper")],
        ),
        ([line(1)], [bill(1, place="W04")], [("place", "mend_list")]),
        ([line(1)], [bill(1, day=OTHER)], [("place", "mend_list")]),
        ([line(1, place="W04")], [bill(1)], [("place", "mend_list")]),
        ([line(1, place="W04")], [bill(1, place="W04")], []),
        ([line(1), line(1)], [bill(1)], [("duplicate", "strike")]),
        ([line(1), line(1, ref="", bill=bill(1).bill)], [bill(1)], [("duplicate", "strike")]),
        (
            [line(1, 101, state="reversed")],
            [bill(1)],
            [("amount", "replace"), ("state", "reverse")],
        ),
        ([line(1)], [bill(1, place=None, shift=None)], [("place", "mend_list")]),
    ],
)
def test_each_difference_has_its_class_and_what_to_do(
    lines: list[Line], bills: list[Bill], expected: list[tuple[str, str]]
) -> None:
    found = compare(SCOPE, lines, bills)
    assert kinds(found) == expected and balanced(found)
    assert all(each.todo_zh and each.todo_en for each in found.differences)


def test_a_business_code_that_was_issued_anew_is_matched_by_what_the_line_says() -> None:
    both = [bill(1, refs=["H-1"], state="reversed"), bill(2, refs=["H-1"])]
    assert compare(SCOPE, [line(1), line(1, state="reversed")], both).differences == []
    found = compare(SCOPE, [line(1)], both)
    assert (found.differences, found.netted) == ([], 1)  # reversed, and its refund, unnamed


def test_refunds_count_against_the_rest_where_the_list_has_them() -> None:
    red = bill(2, 40, red=True, reverses=bill(1).bill, refs=["H-1"])
    without = compare(SCOPE, [line(1)], [bill(1, state="partly_reversed"), red])
    assert kinds(without) == [("state", "look")] and without.here.here == 100
    lines = [line(1, state="partly_reversed"), line(1, 40, red=True)]
    found = compare(SCOPE, lines, [bill(1, state="partly_reversed"), red])
    assert found.differences == [] and (found.there.there, found.here.here) == (60, 60)
    assert kinds(compare(SCOPE, [lines[0], line(1, 41, red=True)], [red])) == [
        ("only_there", "issue"),
        ("amount", "replace"),
    ]


def test_acts_are_proposed_where_something_can_be_done_here() -> None:
    draft = {"code": 33061326}
    found = compare(SCOPE, [line(1, draft=draft), line(2, 5, draft=draft)], [bill(2), bill(3)])
    acts = [(each.act.verb, each.act.bill) if each.act else None for each in found.differences]
    assert acts == [("issue", None), ("replace", bill(2).bill), ("reverse", bill(3).bill)]
    assert compare(SCOPE, [line(1)], []).differences[0].act is None  # what to issue nobody said


def test_every_advice_is_in_both_languages_and_is_given() -> None:
    assert all(each.zh and each.en and each.action for each in ADVICE.values())


NUMBERS = st.integers(1, 6)
STATES = st.sampled_from(["issued", "partly_reversed", "reversed"])
PLACES = st.sampled_from(["W03", "W04", None])
LINES = st.builds(
    lambda n, total, state, place, named, red: line(
        n, total, state=state, place=place, red=red, **({"bill": bill(n).bill} if named else {})
    ),
    NUMBERS,
    st.integers(0, 10**12),
    STATES,
    PLACES,
    st.booleans(),
    st.booleans(),
)
BILLS = st.lists(
    st.builds(
        lambda n, total, state, place, day, red: bill(
            n, total, state=state, place=place, day=day, red=red
        ),
        NUMBERS,
        st.integers(0, 10**12),
        st.sampled_from(["issued", "partly_reversed", "reversed", "waiting", "refused"]),
        PLACES,
        st.sampled_from([DAY, OTHER]),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda each: each.bill,
)


@given(st.lists(LINES, max_size=10), BILLS)
def test_the_sums_of_the_classes_explain_the_difference_to_the_cent(
    lines: list[Line], bills: list[Bill]
) -> None:
    found = compare(SCOPE, lines, bills)
    assert balanced(found)
    assert [each.n for each in found.differences] == list(range(len(found.differences)))
