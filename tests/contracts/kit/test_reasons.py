"""Every shared refusal can be read in both languages."""

from __future__ import annotations

from tallystick.contracts.kit.reasons import TEXTS, KitReason, LedgerReason


def test_every_reason_has_its_texts() -> None:
    assert list(TEXTS) == [*LedgerReason, *KitReason]
    for reason, text in TEXTS.items():
        assert all(part and part == part.strip() for part in text)
        domain = "kit" if isinstance(reason, KitReason) else "ledger"
        assert reason.value == f"{domain}.{reason.name.lower()}"
