"""Bodies are closed objects, another shape is no body; bill ids as people read them."""

from __future__ import annotations

import pytest
from bodies import make_body

from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.records.bills import format_bill_id, parse_bill_id
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Malformed

BLUE = make_body(1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"currency":"CNY"', b'"currency":"CNY","discount":1.5'),
        (b'"code":33060126', b'"code":3306012'),
        (b'"kind":"blue"', b'"kind":"green"'),
        (b'"kind":"blue"', b'"kind":"blue","unheard_of":1'),
    ],
)
def test_other_shapes_are_malformed(old: bytes, new: bytes) -> None:
    data = encode(BLUE)
    assert old in data
    with pytest.raises(Malformed):
        decode(data.replace(old, new, 1), Body)


def test_bill_ids() -> None:
    assert format_bill_id(33060126, 100001) == "33060126:0000100001"
    assert parse_bill_id("33060126:0000100001") == (33060126, 100001)
