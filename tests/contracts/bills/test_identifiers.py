"""Identity numbers against the standards' own examples, and texts that hide nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.contracts.bills.identifiers import (
    check_credit_code,
    check_name,
    check_other_id,
    check_resident_id,
    check_text,
    credit_code_check,
    may_need_a_look,
    resident_id_check,
)
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Rejected


@pytest.mark.parametrize("number", ["11010519491231002X", "440524188001010014"])
def test_resident_ids_of_the_standard(number: str) -> None:
    check_resident_id(number, "")


@pytest.mark.parametrize(
    "number",
    [
        "110105194912310021",
        "11010519491231002x",
        "110105194913310020",
        "11010519490229002X",
        "110105491231002",
        "\uff11\uff11010519491231002X",
        "",
    ],
)
def test_resident_ids_refused(number: str) -> None:
    with pytest.raises(Rejected) as caught:
        check_resident_id(number, "payer/id_number")
    assert caught.value.reason == BillsReason.PARTY_ID_INVALID
    assert number == "" or number not in str(caught.value)


@pytest.mark.parametrize(
    "code", ["91350100M000100Y43 ", "91350100M000100Y44", "91350100M000100O43", ""]
)
def test_credit_codes_refused(code: str) -> None:
    check_credit_code("91350100M000100Y43", "")
    with pytest.raises(Rejected):
        check_credit_code(code, "")


@given(st.from_regex(r"[1-9][0-9]{16}", fullmatch=True), st.integers(0, 16), st.integers(1, 9))
def test_check_characters_catch_each_single_error(digits: str, at_index: int, by: int) -> None:
    wrong = (int(digits[at_index]) + by) % 10
    other = digits[:at_index] + str(wrong) + digits[at_index + 1 :]
    for check_character in (resident_id_check, credit_code_check):
        assert check_character(digits) != check_character(other)


@pytest.mark.parametrize("number", ["", "A" * 41, "G 123", "护照"])
def test_other_ids_refused(number: str) -> None:
    with pytest.raises(Rejected):
        check_other_id(number, "")


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (check_name, "𠮷田·O'Neil-Şen"),
        (check_text, "阿司匹林肠溶片 100mg, 30片"),
        (check_text, "\u05d0\u05d1 12.5"),
        (check_text, ""),
    ],
)
def test_proper_texts(check: Callable[[str, str], None], text: str) -> None:
    check(text, "")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=4))
def test_the_quick_look_overlooks_no_text(texts: list[str]) -> None:
    """What it waves through passes one by one; ordinary texts it waves through."""
    if not may_need_a_look(encode({"texts": texts})):
        for text in texts:
            check_text(text, "")


@pytest.mark.parametrize("blank", ["\u0020", "\u00a0", "\u3000", "\u2009", "\t"])
def test_the_quick_look_sees_blanks_at_the_edges(blank: str) -> None:
    for text in (f"{blank}a", f"a{blank}", blank):
        assert may_need_a_look(encode({"text": text}))
    assert not may_need_a_look(encode({"text": "门诊 收费 fee, O'Neil & Co"}))
