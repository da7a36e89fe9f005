"""Paper forms and booking: exchange, confirm, recover, reprint, lost; book and unbook.

Invariant: at most one paper form stands for a bill (P1), with the bill's own root (P2).
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.context import Action

ACTIONS: dict[str, Action] = {}
