"""Outcomes as a segment keeps them."""

from __future__ import annotations

import pytest

from tallystick.ledger.records import pack_outcomes, unpack_outcomes
from tallystick.protocol.errors import Malformed


def test_outcomes_come_back_as_they_were() -> None:
    outcomes = ["accepted", "bills.number_used", "accepted", "ledger.fault"]
    packed = pack_outcomes(outcomes)
    assert packed == b'{"1":"bills.number_used","3":"ledger.fault"}'
    assert unpack_outcomes(packed, 4) == outcomes
    assert pack_outcomes(["accepted"] * 1000) == b"{}"


@pytest.mark.parametrize(
    "stored",
    [
        *(
            b'{"' + b"9" * 5000 + b'":"a.b"}',
            b"",
            b"[]",
            b'{"4":"a.b"}',
            b'{"-1":"a.b"}',
            b'{"01":"a.b"}',
            b'{"x":"a.b"}',
        ),
        *(b'{"1":"no reason"}', b'{"1":1}', b'{"1": "a.b"}', '{"١":"a.b"}'.encode()),
    ],
)
def test_anything_else_is_refused(stored: bytes) -> None:
    with pytest.raises(Malformed):
        unpack_outcomes(stored, 4)
