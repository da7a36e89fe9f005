"""Reimbursement: lock, renew, release, reject, settle, supplement, claw back, plans.

Invariant: in every state settled + locked stays within what is left of the bill, by basis and overall (C2).
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.context import Action

ACTIONS: dict[str, Action] = {}
