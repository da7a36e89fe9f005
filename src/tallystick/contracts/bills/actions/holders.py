"""What holders of bills say: signed within by their keys, relayed by any member.

Invariant: whatever a relay does, an act is entered at most once and only as it was signed.
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.context import Action

ACTIONS: dict[str, Action] = {}
