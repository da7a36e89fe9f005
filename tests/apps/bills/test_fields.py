"""What a holder allows to be shown, and its digest on the ledger."""

from __future__ import annotations

import pytest
from acts import nonce

from tallystick.apps.bills.fields import (
    PATTERNS_MAX,
    Fields,
    check_fields,
    commit_fields,
    covers,
    make_fields,
)
from tallystick.protocol.errors import Malformed

SALT = nonce(1)


def test_the_digest_is_of_the_set_under_a_salt() -> None:
    one = commit_fields(SALT, ["items/*", "total"])
    assert one == commit_fields(SALT, ["total", "items/*", "total"])
    assert one == make_fields(SALT, ("total", "items/*")).digest
    assert one != commit_fields(nonce(2), ["items/*", "total"])
    assert one != commit_fields(SALT, ["items/*"])
    assert commit_fields(SALT, []) != commit_fields(nonce(2), [])


@pytest.mark.parametrize("pattern", ["items/3", "items/0", "total", "payment/sources", "items/*"])
def test_a_pattern_is_a_path_or_all_below_a_name(pattern: str) -> None:
    assert make_fields(SALT, [pattern]).paths == [pattern]


@pytest.mark.parametrize(
    "pattern",
    ["*", "", "items/", "/items", "items/03", "items/**", "items/0/amount", "Total", "a b", "x\n"],
)
def test_nothing_else_is_a_pattern(pattern: str) -> None:
    with pytest.raises(Malformed):
        make_fields(SALT, [pattern])
    with pytest.raises(Malformed):
        commit_fields(SALT, [pattern])


def test_patterns_are_bounded_and_a_salt_has_16_bytes() -> None:
    with pytest.raises(Malformed):
        make_fields(SALT, [f"items/{n}" for n in range(PATTERNS_MAX + 1)])
    with pytest.raises(Malformed):
        make_fields(b"short", [])


def test_a_star_covers_what_lies_below_and_nothing_beside_it() -> None:
    assert covers(("items/*",), "items/3")
    assert covers(("items/3",), "items/3")
    assert not covers(("items/3",), "items/30")
    assert not covers(("items/*",), "items")
    assert not covers(("item/*",), "items/3")
    assert not covers((), "total")


def test_patterns_have_one_order() -> None:
    check_fields(Fields(salt=SALT, paths=["items/*", "total"]))
    for paths in (["total", "items/*"], ["total", "total"]):
        with pytest.raises(Malformed, match="ascend"):
            check_fields(Fields(salt=SALT, paths=paths))
