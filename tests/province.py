"""A province in memory that deals in bills: finance, a city, two hospitals, and shorthand acts.

Invariant: it starts at noon of 5 January 2026, local time, with three types defined and one block
of a thousand numbers in the first hospital's hand.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from acts import Acts, founder, nonce
from bodies import OUTPATIENT

from tallystick.contracts.bills import DOMAIN
from tallystick.contracts.bills.items.bills import (
    Allot,
    Block,
    DefineType,
    Issue,
    Replace,
    Reverse,
)
from tallystick.contracts.bills.records.bills import (
    PARTS,
    Allotment,
    Bill,
    Series,
    TypeRules,
    allotment_id,
    format_bill_id,
    remaining,
    standing,
)
from tallystick.contracts.bills.views.bills import account, find_allotment, find_bill
from tallystick.contracts.kit import intervals
from tallystick.contracts.members import DOMAIN as MEMBERS
from tallystick.protocol.canonical import replace
from tallystick.protocol.values import format_instant

CODE = 33060126
PARTIAL = 33060226
DEPOSIT = 33060526
CODES = (CODE, PARTIAL, DEPOSIT)
BLOCK = 1_000

PARTIAL_RULES = replace(OUTPATIENT, partial_reversal=True, zero_total=True, liability="optional")
DEPOSIT_RULES = replace(
    OUTPATIENT, deposit=True, claims=None, liability="absent", partial_reversal=True
)
ISSUER_ACTIONS = (
    *("bills.issue", "bills.reverse", "bills.replace", "bills.withhold", "bills.release"),
    *("bills.allot", "bills.give_back", "bills.void_numbers", "bills.recall", "bills.opening"),
    *("bills.suspend_allotment", "bills.resume_allotment"),
    *("bills.rebind", "bills.reversal_request", "bills.cancel_reversal", "bills.plan"),
    *("bills.exchange", "bills.reprint", "bills.confirm_printed", "bills.cancel_exchange"),
    *("bills.recover", "bills.declare_lost", "bills.issue_offline", "bills.account_block"),
    *("bills.account_period", "bills.accept_account", "bills.return_account"),
    *("bills.order_erasure", "bills.erased", "bills.answer"),
)
REIMBURSER_ACTIONS = (
    *("bills.lock", "bills.renew", "bills.release_lock", "bills.reject", "bills.settle"),
    *("bills.settled_before", "bills.supplement", "bills.claw_back", "bills.accept_plan"),
    *("bills.waive_share", "bills.ready", "bills.book", "bills.unbook", "bills.dispute"),
    "bills.erased",
)
FIELDS: dict[str, Any] = {"root": b"r" * 32, "holder": b"h" * 32}


class Province(Acts):
    """The state, the acts, and an audit of every row."""

    def __init__(self) -> None:
        super().__init__(
            domains=[MEMBERS, DOMAIN],
            organisations=[
                founder("finance", "*"),
                founder("city", *ISSUER_ACTIONS),
                founder("hospital", *ISSUER_ACTIONS),
                founder("clinic", *ISSUER_ACTIONS),
                founder("insurer", *REIMBURSER_ACTIONS),
                founder("mutual", *REIMBURSER_ACTIONS),
                founder("fund", *REIMBURSER_ACTIONS, "bills.statute"),
            ],
        )
        self.at += 4 * 3600
        self.nonces = 0
        for code, rules in ((CODE, OUTPATIENT), (PARTIAL, PARTIAL_RULES), (DEPOSIT, DEPOSIT_RULES)):
            self.define(code // 100, rules=rules)
            self.allot(code=code, level=0, first=1, last=1_000_000, holder="finance")
            self.allot(
                code=code,
                level=3,
                first=1,
                last=BLOCK,
                holder="hospital",
                parent=Block(level=0, first=1),
            )

    # ------------------------------------------------------------------------------- items

    def nonce(self) -> bytes:
        self.nonces += 1
        return nonce(self.nonces)

    def instant(self, seconds: int = 0) -> str:
        """Ledger time and some seconds."""
        return format_instant(self.at + seconds)

    def define(self, type_id: int, version: int = 1, **fields: Any) -> None:
        self.do("finance", "bills.define_type", self.define_item(type_id, version, **fields))

    def define_item(
        self, type_id: int, version: int = 1, rules: TypeRules = OUTPATIENT, **fields: Any
    ) -> DefineType:
        named: dict[str, Any] = {
            "nonce": self.nonce(),
            "catalogue": bytes(32),
            "valid_from": "2025-12-31T16:00:00Z",
        }
        return DefineType(type=type_id, type_version=version, rules=rules, **(named | fields))

    def allot_item(self, **fields: Any) -> Allot:
        named: dict[str, Any] = {"code": CODE, "holder": "hospital"}
        return Allot(nonce=self.nonce(), **(named | fields))

    def allot(self, sender: str = "finance", **fields: Any) -> None:
        self.do(sender, "bills.allot", self.allot_item(**fields))

    def issue_item(self, number: int, total: int = 10_000, **fields: Any) -> Issue:
        """Two tenths out of the account, three in cash, half of that self-pay."""
        return Issue(nonce=self.nonce(), **(self._blue(number, total) | FIELDS | fields))

    def issue(self, number: int, sender: str = "hospital", **fields: Any) -> Bill:
        item = self.issue_item(number, **fields)
        self.do(sender, "bills.issue", item)
        return self.bill(item.code, number)

    def reverse_item(
        self, bill: Bill, number: int, total: int | None = None, **fields: Any
    ) -> Reverse:
        """All that is left, or `total` of it with the other parts in proportion."""
        amounts = parts(total) if total is not None else left(bill)
        named = self._place(number) | amounts | {"root": b"q" * 32, "bill": bill.id}
        named |= {"version": bill.version, "reason": "refund", "code": int(bill.id[:8])}
        return Reverse(nonce=self.nonce(), **(named | fields))

    def reverse(self, bill: Bill, number: int, **fields: Any) -> Bill:
        self.do(bill.issuer, "bills.reverse", self.reverse_item(bill, number, **fields))
        return self.bill(bill.id)

    def replace_item(self, bill: Bill, red_number: int, number: int, **fields: Any) -> Replace:
        named = self._blue(number, fields.pop("total", 8_000)) | FIELDS
        named |= {"red_number": red_number, "red_root": b"q" * 32, "bill": bill.id}
        named |= {"version": bill.version, "reason": "wrong_data", "code": int(bill.id[:8])}
        return Replace(nonce=self.nonce(), **(named | fields))

    def _place(self, number: int) -> dict[str, Any]:
        return {
            "code": CODE,
            "level": 3,
            "first": 1,
            "number": number,
            "type_version": 1,
            "issued_at": self.instant(),
        }

    def _blue(self, number: int, total: int) -> dict[str, Any]:
        return self._place(number) | {"currency": "CNY"} | parts(total)

    # -------------------------------------------------------------------------------- rows

    def bill(self, code: int | str, number: int = 0) -> Bill:
        found = find_bill(
            self.rows, code if isinstance(code, str) else format_bill_id(code, number)
        )
        assert found is not None
        return found

    def block_of(self, code: int = CODE, level: int = 3, first: int = 1) -> Allotment:
        found = find_allotment(self.rows, code, level, first)
        assert found is not None
        return found

    # ------------------------------------------------------------------------------- audit

    def audit(self) -> None:
        """N1, N2, N4, V2, V6 and V7 over every row that there is."""
        for series in self.rows.scan(Series, ""):
            code = int(series.id)
            blocks = list(self.rows.scan(Allotment, f"{code}/"))
            bills = list(self.rows.scan_slots(Bill, code, 1, 9_999_999_999))
            for block in blocks:
                self._audit_block(block, blocks)
            assert sum(block.issued + block.void for block in blocks) == len(bills)
            for bill in bills:
                self._audit_bill(bill)

    def _audit_block(self, block: Allotment, blocks: list[Allotment]) -> None:
        size = block.last - block.first + 1
        gone = intervals.count(block.gone)
        assert block.issued + block.void + gone + remaining(block) == size
        assert remaining(block) >= 0
        book = account(self.rows, block)
        assert (book.issued, book.void) == (block.issued, block.void)
        covered = [(each.first, each.last) for each in book.ranges]
        assert covered[0][0] == block.first
        assert covered[-1][1] == block.last
        assert all(a[1] + 1 == b[0] for a, b in pairwise(covered))
        children = [each for each in blocks if each.parent == block.id]
        granted = sum(each.last - each.first + 1 for each in children)
        assert granted == intervals.count(block.gone, "granted")
        for child in children:
            assert block.first <= child.first <= child.last <= block.last
            assert child.level > block.level
            assert child.id == allotment_id(child.code, child.level, child.first)

    def _audit_bill(self, bill: Bill) -> None:
        if bill.bill_kind == "void":
            assert (bill.state, bill.good, bill.amounts) == ("void", False, {})
            return
        assert bill.root is not None
        if bill.bill_kind == "paper":
            assert bill.paper_of is not None
            return
        if bill.bill_kind == "red":
            assert bill.reversal_of is not None
            assert bill.id in self.bill(bill.reversal_of).reversed_by
            assert (bill.state, bill.good) == ("red", False)
            return
        reds = [self.bill(each) for each in bill.reversed_by]
        for part, taken in PARTS.items():
            off = sum(red.amounts[part] for red in reds)
            assert bill.amounts.get(taken, 0) == off <= bill.amounts[part]
        left_all = left(bill)
        assert (bill.state == "reversed") == (bool(reds) and not any(left_all.values()))
        assert (bill.state, bill.good) == standing(bill)
        assert bill.good == (bill.state == "issued")
        if bill.replaces is not None:
            old = self.bill(bill.replaces)
            assert old.replaced_by == bill.id
            assert (old.entry or 0) < (bill.entry or 0)
        for each in bill.settles if bill.state != "reversed" else ():
            assert self.bill(each).settled_by == bill.id


def parts(total: int) -> dict[str, int]:
    """A split that every type with a liability allows."""
    account_, cash = total // 5, total * 3 // 10
    self_pay = (account_ + cash) // 2
    return {
        "total": total,
        "account": account_,
        "cash": cash,
        "self_pay": self_pay,
        "self_expense": account_ + cash - self_pay,
    }


def left(bill: Bill) -> dict[str, int]:
    """What reversals have left, by part."""
    return {part: bill.amounts[part] - bill.amounts.get(taken, 0) for part, taken in PARTS.items()}
