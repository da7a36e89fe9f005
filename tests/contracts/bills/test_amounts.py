"""Amounts in text have one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.contracts.bills.amounts import format_amount, format_amount_e4, parse_amount
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import AMOUNT_MAX


@given(st.integers(-AMOUNT_MAX, AMOUNT_MAX))
def test_amounts_are_written_one_way(amount: int) -> None:
    assert parse_amount(format_amount(amount)) == amount


@pytest.mark.parametrize(
    "text",
    ["1,000.00", "1e3", "NaN", "1.000", "+1.00", "-0.00", "01.00", "1", ".50", "1.5", "\uff11.00",
     "1.00\n", " 1.00", "10000000000000.00", ""],
)  # fmt: skip
def test_other_amounts_are_refused(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_amount(text, path="total")
    assert (caught.value.reason, caught.value.path) == (BillsReason.AMOUNT_FORMAT, "total")


def test_list_lines_have_four_decimals() -> None:
    assert format_amount_e4(7_172_800) == "717.2800"
    assert format_amount_e4(-1) == "-0.0001"
