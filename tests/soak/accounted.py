"""The ledger of a soak in the end, against what its plan says: every fen and every number.

Invariant: what is compared is read from the ledger's rows, not from what was answered.
"""

from __future__ import annotations

from collections import Counter

from soak.planned import INSURERS, Expected

from tallystick.contracts.bills.records.bills import Allotment, Bill
from tallystick.contracts.bills.records.claims import Claim
from tallystick.contracts.bills.records.paper import Booking
from tallystick.contracts.bills.views.bills import account
from tallystick.ledger.view import View


def check_every_fen(view: View, expected: Expected) -> Counter[str]:
    """`AssertionError` where a sum or a count is another; what was counted."""
    rows = list(view.scan(Allotment, ""))
    for row in rows:
        account(view, row)
    blue, blue_sum, red, red_sum, held = 0, 0, 0, 0, 0
    for row in rows:
        if not row.level:
            continue
        for bill in view.scan_slots(Bill, row.code, row.first, row.next - 1):
            if bill.bill_kind == "blue":
                blue, blue_sum = blue + 1, blue_sum + bill.amounts["total"]
                held += bill.amounts.get("settled", 0)
            else:
                red, red_sum = red + 1, red_sum + bill.amounts["total"]
    assert (blue, blue_sum) == (expected.issued, expected.issued_sum)
    assert (red, red_sum) == (expected.reversed, expected.reversed_sum)
    claims = list(view.scan(Claim, ""))
    for insurer in INSURERS:
        own = [each.amounts for each in claims if each.reimburser == insurer]
        assert sum(each.get("settled", 0) for each in own) == expected.settled[insurer]
        recovered = sum(each.get("recovered", 0) for each in own)
        assert recovered == expected.recovered[insurer]
        assert not sum(each.get("due", 0) for each in own)
    assert held == sum(expected.settled.values()) - sum(expected.recovered.values())
    assert sum(1 for _ in view.scan(Booking, "")) == expected.booked
    return Counter({"bills": blue, "reversed": red, "claims": len(claims)})
