"""What was promised by name has a test by name: each invariant, and each reason to refuse.

Invariant: a rule that nobody tests cannot be added unseen.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.kit.reasons import KitReason, LedgerReason
from tallystick.contracts.members.reasons import MembersReason
from tallystick.protocol.errors import Reason

TESTS = Path(__file__).parent
TEXTS = {path: path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("test_*.py"))}
INVARIANTS = [
    *("N1", "N2", "N3", "N4", "N5", "N6"),
    *("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12"),
    *("V1", "V2", "V3", "V4", "V5", "V6", "V7"),
    *("P1", "P2", "P3", "P4"),
    *("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10", "C11"),
    *("B1", "W1", "W2", "A1", "A2"),
    *("G1", "G2", "G3", "G4", "G5", "G6"),
]
"""Those of members and bills, all of them."""
LISTS = ("test_texts.py", "test_reasons.py", "test_promises.py")
"""Tests that go through all reasons and provoke none."""


@pytest.mark.parametrize("name", INVARIANTS)
def test_each_invariant_has_a_test_of_its_name(name: str) -> None:
    assert any(f"def test_{name}_" in text for text in TEXTS.values())


@pytest.mark.parametrize(
    "reason", [*LedgerReason, *KitReason, *MembersReason, *BillsReason], ids=lambda one: one.value
)
def test_each_reason_is_given_in_some_test(reason: Reason) -> None:
    named = re.compile(rf"\b(\w*Reason|R)\.{reason.name}\b|[\"']{re.escape(reason.value)}[\"']")
    assert any(named.search(text) for path, text in TEXTS.items() if path.name not in LISTS)
