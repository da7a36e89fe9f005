"""Acts on one bill by the supervisor and by whoever doubts it: freeze, lift, dispute, answer.

Invariant: a finding blocks nothing; a freeze pauses every running time and loses none.
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.context import Action

ACTIONS: dict[str, Action] = {}
