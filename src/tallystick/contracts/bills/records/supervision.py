"""Findings 稽核疑点: the evidence stays in a vault, the ledger has its digest.

Invariant: a finding blocks nothing by itself; only the supervisor's freeze does.
See docs/spec/contracts/bills-supervision.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.records.bills import BillId
from tallystick.protocol.row import Row
from tallystick.protocol.values import Digest, OrgId, Word


class Finding(Row, kw_only=True):
    """Somebody's doubt about a bill; id: of the item that made it. State ``open``, ``answered``."""

    KIND = "bills.finding"

    bill: BillId
    by: OrgId
    what: Word
    evidence: Digest
    answer: Digest | None = None
    answered_by: OrgId | None = None
    reason: Word | None = None
    """The answer's."""
