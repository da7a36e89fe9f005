"""Every refusal can be read in both languages."""

from __future__ import annotations

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.texts import TEXTS


def test_every_reason_has_its_texts() -> None:
    assert list(TEXTS) == list(BillsReason)
    for reason, text in TEXTS.items():
        assert all(part and part == part.strip() for part in text)
        assert reason.value == f"bills.{reason.name.lower()}"
