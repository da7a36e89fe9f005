"""Accounting 核销, archive manifests, legal holds, erasure, succession.

Invariant: what both sides did not count alike is not accepted (W1); what is accepted is closed (W2).
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.context import Action

ACTIONS: dict[str, Action] = {}
