"""What people read about a refusal: what is wrong and what to do, in Chinese and in English.

Invariant: every `BillsReason` has its row (a test says so). The texts are no part of consensus and
may be improved at any time. See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.texts import (
    accounts,
    bills,
    claims,
    holders,
    paper,
    supervision,
)
from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.errors import Reason

TEXTS: dict[Reason, ReasonText] = {
    **bills.TEXTS,
    **holders.TEXTS,
    **claims.TEXTS,
    **paper.TEXTS,
    **accounts.TEXTS,
    **supervision.TEXTS,
}
