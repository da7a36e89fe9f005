"""The open half of a body equals the record, field by field."""

from __future__ import annotations

import pytest
from bodies import Setting, make_body
from hypothesis import given
from hypothesis import strategies as st

from tallystick.contracts.bills.body import Relates
from tallystick.contracts.bills.content import OPEN_NAMES, check_against_record, open_fields
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected

BLUE = make_body(1)
OTHER = "33060126:0000000099"

seeds = st.integers(min_value=0, max_value=10_000_000)
settings: st.SearchStrategy[Setting] = st.sampled_from(("outpatient", "inpatient"))


@given(seeds, settings)
def test_open_fields_equal_the_record(seed: int, setting: Setting) -> None:
    body = make_body(seed, setting=setting, relates=Relates(replaces=OTHER))
    shown = open_fields(body)
    assert tuple(sorted(shown)) == tuple(sorted(OPEN_NAMES))
    check_against_record(shown, {**shown, "state": "issued", "version": 3})
    check_against_record(shown, {name: value for name, value in shown.items() if value})


def test_open_amounts_are_the_records_caps() -> None:
    shown = open_fields(replace(BLUE, payment=replace(BLUE.payment, liability=None)))
    assert (shown["self_pay"], shown["self_expense"]) == (0, 0)
    assert shown["total"] == BLUE.total and shown["cash"] == BLUE.payment.sources.cash


@pytest.mark.parametrize("name", OPEN_NAMES)
def test_each_open_field_is_compared(name: str) -> None:
    shown = open_fields(BLUE)
    for other in ("something else", True):
        with pytest.raises(Rejected) as caught:
            check_against_record({**shown, name: other}, shown)
        assert (caught.value.reason, caught.value.path) == (BillsReason.BODY_MISMATCH, name)


def test_nothing_else_is_open() -> None:
    with pytest.raises(Rejected) as caught:
        check_against_record({**open_fields(BLUE), "payer": "x"}, open_fields(BLUE))
    assert caught.value.path == "payer"
