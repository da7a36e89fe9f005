"""What people read about refusals of accounting, archive, erasure, offline issue and succession.

Invariant: the texts are no part of consensus. See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.errors import Reason

TEXTS: dict[Reason, ReasonText] = {}
