"""What people read about refusals of findings.

Invariant: the texts are no part of consensus. See docs/spec/contracts/bills-supervision.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.kit.reasons import ReasonText
from tallystick.protocol.errors import Reason

TEXTS: dict[Reason, ReasonText] = {
    BillsReason.FINDING_UNKNOWN: ReasonText(
        "没有这条稽核疑点",
        "there is no such finding",
        "核对疑点编号：提出疑点的交易编号加项号",
        "check its id: that of the transaction that made it, a dot, and the item's number",
    ),
}
