"""Generated drafts pass the rules of their type, are the same again, and name nobody who exists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.apps.bills.catalogue import TYPES, Scene
from tallystick.apps.bills.generate import make_draft, make_institution, make_refund
from tallystick.contracts.bills.body import Body, Relates
from tallystick.contracts.bills.content import check_body
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.protocol.canonical import decode, encode, replace

AT = 1_768_181_467
"""2026-01-12T01:31:07Z."""
scenes: st.SearchStrategy[Scene] = st.sampled_from(
    sorted(scene for scene, kind in TYPES.items() if not kind.rules.is_paper)
)


def numbered(draft: Body) -> Body:
    return replace(draft, number=7, network=bytes(32))


@given(st.integers(0, 10**9), scenes)
def test_a_draft_passes_and_has_one_spelling(seed: int, scene: Scene) -> None:
    draft = numbered(make_draft(seed, scene, issued_at=AT))
    check_body(draft, TYPES[scene].rules)
    assert decode(encode(draft), Body) == draft
    assert make_draft(seed, scene, issued_at=AT) == make_draft(seed, scene, issued_at=AT)
    if draft.payer.id_type is not None:
        assert draft.payer.id_number.startswith("9900"), "a region that does not exist"


@pytest.mark.parametrize("scene", ["checkup", "deposit"])
def test_a_refund_passes_as_a_red_bill(scene: Scene) -> None:
    blue = numbered(make_draft(3, scene, issued_at=AT))
    red = make_refund(blue, 120, reason_text="退一项")
    assert (red.kind, red.total) == ("red", 120)
    relates = Relates(reversal_of=format_bill_id(blue.code, blue.number))
    check_body(replace(red, number=8, relates=relates), TYPES[scene].rules)


def test_only_cash_is_refunded_by_amount() -> None:
    with pytest.raises(ValueError, match="in cash alone"):
        make_refund(make_draft(1, issued_at=AT), 1)


def test_the_code_is_of_the_local_year() -> None:
    new_year = 1_767_196_800  # 2026-01-01T00:00:00+08:00
    assert [make_draft(1, issued_at=at).code for at in (new_year - 1, new_year)] == [
        33060125,
        33060126,
    ]
    assert make_draft(1, issued_at=new_year - 1, year=26).code == 33060126


def test_an_institution_has_one_credit_code() -> None:
    one, other = make_institution("hospital-07", "甲"), make_institution("hospital-08", "乙")
    assert one == make_institution("hospital-07", "甲")
    assert one.block.credit_code != other.block.credit_code
    draft = make_draft(1, institution=other, issued_at=AT)
    assert (draft.issuer, draft.issuer_block) == ("hospital-08", other.block)
