"""What may be asked about findings and frozen bills.

Invariant: a finding is listed with its digest of the evidence, never with the evidence.
See docs/spec/contracts/bills-supervision.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.bills.records.supervision import Finding
from tallystick.contracts.bills.views.bills import list_bills
from tallystick.contracts.kit.context import Reader
from tallystick.protocol.row import row_key


def find_finding(reader: Reader, finding_id: str) -> Finding | None:
    """A finding, or None."""
    return reader.get(row_key(Finding.KIND, finding_id), Finding)


def list_findings(
    reader: Reader, *, bill: str | None = None, by: str | None = None, state: str | None = None
) -> Iterator[Finding]:
    """Findings about one bill or all, by one member or any, in one state or any, by id."""
    for row in reader.scan(Finding, ""):
        if bill in (None, row.bill) and by in (None, row.by) and state in (None, row.state):
            yield row


def list_frozen(reader: Reader, code: int, *, issuer: str | None = None) -> Iterator[Bill]:
    """Bills of a code that are frozen, of one issuer or of all, by number."""
    for bill in list_bills(reader, code):
        if bill.frozen is not None and issuer in (None, bill.issuer):
            yield bill
