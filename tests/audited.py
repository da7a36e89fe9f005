"""A hospital that uses up a block in two pages, and what an auditor is given of it."""

from __future__ import annotations

import io
from typing import Any

from province import CODE
from world import World

from tallystick.apps.bills import audit_file
from tallystick.apps.bills.audit import Audit
from tallystick.apps.bills.audit import audit_file as audit
from tallystick.contracts.bills.items.accounts import AcceptAccount, AccountBlock
from tallystick.contracts.bills.items.bills import Allot, Block, GiveBack, VoidNumbers
from tallystick.contracts.bills.records.bills import Allotment, allotment_id
from tallystick.contracts.bills.views.accounts import find_account, tally_block
from tallystick.contracts.bills.views.bills import find_allotment

FIRST, LAST = 4_090, 4_105
"""A block that lies in two pages."""
ID = allotment_id(CODE, 3, FIRST)
TYPE = CODE // 100


class Office(World):
    """A hospital that uses up a block over the border of two pages."""

    def block_row(self) -> Allotment:
        with self.ledger.view() as view:
            row = find_allotment(view, CODE, 3, FIRST)
        assert row is not None
        return row

    def fill(self) -> None:
        """Issued 4090 to 4097, one void, a child of two, the rest given back; neighbours used."""
        self.prepare()
        block: dict[str, Any] = {"code": CODE, "level": 3, "parent": Block(level=0, first=1)}
        for first, last, holder in (
            (FIRST, LAST, "hospital"),
            (4_000, FIRST - 1, "clinic"),
            (LAST + 1, 4_200, "clinic"),
        ):
            item = Allot(nonce=self.nonce(), first=first, last=last, holder=holder, **block)
            self.accept("finance", "bills.allot", item)
        for first, sender in ((4_000, "clinic"), (LAST + 1, "clinic")):
            self.accept(sender, "bills.issue", self.issue_item(first, first=first))
        items = [self.issue_item(number, first=FIRST) for number in range(FIRST, 4_098)]
        self.accept("hospital", "bills.issue", *items)
        place: dict[str, Any] = {"code": CODE, "level": 3, "first": FIRST}
        void = VoidNumbers(nonce=self.nonce(), start=4_098, end=4_098, reason="spoilt", **place)
        self.accept("hospital", "bills.void_numbers", void)
        child = Allot(
            nonce=self.nonce(),
            code=CODE,
            level=4,
            first=4_099,
            last=4_100,
            holder="hospital",
            parent=Block(level=3, first=FIRST),
        )
        self.accept("hospital", "bills.allot", child)
        for number in (4_099, 4_100):
            bill = self.issue_item(number, level=4, first=4_099)
            self.accept("hospital", "bills.issue", bill)
        back = GiveBack(nonce=self.nonce(), start=4_101, end=LAST, reason="unused", **place)
        self.accept("hospital", "bills.give_back", back)

    def close(self, level: int, first: int, *, reviewer: str, accept: bool = True) -> None:
        """A block's account."""
        with self.ledger.view() as view:
            row = find_allotment(view, CODE, level, first)
            assert row is not None
            tally = tally_block(view, row)
        item = AccountBlock(nonce=self.nonce(), code=CODE, level=level, first=first, tally=tally)
        self.accept("hospital", "bills.account_block", item)
        if accept:
            self.accept_account(row.id, reviewer)

    def accept_account(self, account_id: str, reviewer: str) -> None:
        with self.ledger.view() as view:
            account = find_account(view, account_id)
        assert account is not None
        item = AcceptAccount(
            nonce=self.nonce(),
            account=account_id,
            version=account.version,
            tally=account.tally,
        )
        self.accept(reviewer, "bills.accept_account", item)

    def close_all(self) -> None:
        self.close(4, 4_099, reviewer="finance")
        self.close(3, FIRST, reviewer="finance")

    def file(self, first: int = FIRST) -> bytes:
        """What `tally bills account export` writes."""
        written = io.BytesIO()
        with self.ledger.view() as view:
            row = find_allotment(view, CODE, 3, first)
            assert row is not None
            size = audit_file.write_block(view, self.note(), row, written)
        assert size == len(written.getvalue())
        return written.getvalue()

    def audit(self, data: bytes | None = None) -> Audit:
        return audit(io.BytesIO(self.file() if data is None else data), self.policy())
