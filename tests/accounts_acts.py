"""Shorthand items of accounting, archive, erasure and succession, for tests."""

from __future__ import annotations

from typing import Any, Literal

from province import CODE, Province

from tallystick.contracts.bills.items.accounts import (
    AcceptAccount,
    AccountBlock,
    AccountPeriod,
    ArchivePeriod,
    Erased,
    HoldBodies,
    LiftHold,
    Moved,
    OrderErasure,
    ReturnAccount,
    Succeed,
)
from tallystick.contracts.bills.items.bills import Archived, Block, GiveBack, VoidNumbers
from tallystick.contracts.bills.records.accounts import Account, Tally
from tallystick.contracts.bills.records.bills import Allotment
from tallystick.contracts.bills.views.accounts import (
    find_account,
    find_collected,
    tally_block,
    tally_period,
)
from tallystick.contracts.members.actions.grants import GiveGrant
from tallystick.contracts.members.records import NewGrant
from tallystick.protocol.canonical import replace

OFFSET = 28_800
DAY = 86_400
TYPE = CODE // 100
MONTH = "2026-01"
HOSPITAL_MONTH = f"hospital/{TYPE}/{MONTH}"
ORDER = b"o" * 32


class Books(Province):
    """A province that accounts for what it used."""

    def give(self, org: str, *actions: str) -> None:
        """A grant out of finance's."""
        grant = NewGrant(source="founding.0", actions=list(actions))
        item = GiveGrant(nonce=self.nonce(), subject=org, grant=grant)
        self.do("finance", "members.give_grant", item)

    # ------------------------------------------------------------------------------- blocks

    def block_item(self, block: Allotment | None = None, **fields: Any) -> AccountBlock:
        row = block or self.block_of()
        named: dict[str, Any] = {"tally": tally_block(self.rows, row)} | fields
        return AccountBlock(
            nonce=self.nonce(), code=row.code, level=row.level, first=row.first, **named
        )

    def account_block(self, block: Allotment | None = None) -> Account:
        row = block or self.block_of()
        self.do(row.holder, "bills.account_block", self.block_item(row))
        return self.account(row.id)

    def close(self, block: Allotment | None = None) -> Account:
        """A block's account, stated and accepted."""
        return self.accept(self.account_block(block))

    def use_up(self, start: int = 0) -> None:
        """Gives back what the hospital's block still has, from `next` or from `start` on."""
        row = self.block_of()
        item = GiveBack(
            nonce=self.nonce(),
            code=CODE,
            level=3,
            first=1,
            start=start or row.next,
            end=row.last,
            reason="year_end",
        )
        self.do(row.holder, "bills.give_back", item)

    def void(self, start: int, end: int, **fields: Any) -> None:
        named: dict[str, Any] = {"code": CODE, "level": 3, "first": 1, "reason": "spoilt"} | fields
        item = VoidNumbers(nonce=self.nonce(), start=start, end=end, **named)
        self.do("hospital", "bills.void_numbers", item)

    # ------------------------------------------------------------------------------- months

    def tally(self, issuer: str = "hospital", month: str = MONTH, type_id: int = TYPE) -> Tally:
        return tally_period(self.rows, issuer, type_id, month, OFFSET)

    def period_item(self, org: str = "hospital", **fields: Any) -> AccountPeriod:
        month = fields.get("month", MONTH)
        named: dict[str, Any] = {"type": TYPE, "month": month, "reviewer": "city"}
        if "tally" not in fields:
            named["tally"] = self.tally(fields.get("issuer", org), month)
        return AccountPeriod(nonce=self.nonce(), **(named | fields))

    def account_period(self, org: str = "hospital", **fields: Any) -> Account:
        item = self.period_item(org, **fields)
        self.do(org, "bills.account_period", item)
        return self.account(f"{item.issuer or org}/{item.type}/{item.month}")

    def upper_item(self, org: str, reviewer: str, **fields: Any) -> AccountPeriod:
        """What a reviewer hands on of the level below."""
        row = find_collected(self.rows, org, TYPE, MONTH)
        assert row is not None
        stated = Tally(
            blue=row.blue,
            red=row.red,
            paper=row.paper,
            void=row.void,
            sums=row.sums,
            root=row.digest,
        )
        named = {"reviewer": reviewer, "tally": stated, "includes": row.accounts} | fields
        return self.period_item(org, **named)

    def end_month(self) -> None:
        """To the first second of February, local time."""
        self.at = 1_769_875_200
        assert self.instant() == "2026-01-31T16:00:00Z"

    def archive_bodies(self, issuer: str = "hospital") -> None:
        """Finance has checked all bodies so far."""
        item = Archived(nonce=self.nonce(), issuer=issuer, below=self.index)
        self.do("finance", "bills.archived", item)

    # ------------------------------------------------------------------------------- review

    def account(self, account_id: str) -> Account:
        found = find_account(self.rows, account_id)
        assert found is not None
        return found

    def accept_item(self, account: Account, **fields: Any) -> AcceptAccount:
        named: dict[str, Any] = {"version": account.version, "tally": account.tally} | fields
        return AcceptAccount(nonce=self.nonce(), account=account.id, **named)

    def accept(self, account: Account) -> Account:
        self.do(account.reviewer, "bills.accept_account", self.accept_item(account))
        return self.account(account.id)

    def return_item(self, account: Account, **fields: Any) -> ReturnAccount:
        named: dict[str, Any] = {"version": account.version, "reason": "sum_differs"} | fields
        return ReturnAccount(nonce=self.nonce(), account=account.id, **named)

    def give_account_back(self, account: Account, *numbers: str) -> Account:
        item = self.return_item(account, numbers=list(numbers))
        self.do(account.reviewer, "bills.return_account", item)
        return self.account(account.id)

    # ------------------------------------------------------------------- archive and erasure

    def archive_item(self, of: Account, **fields: Any) -> ArchivePeriod:
        tally = of.tally
        named: dict[str, Any] = {"root": tally.root, "bills": tally.blue + tally.red}
        named |= {"account": of.id, "retain_until": "2036-01-31T16:00:00Z"}
        return ArchivePeriod(nonce=self.nonce(), **(named | fields))

    def hold_item(self, **fields: Any) -> HoldBodies:
        named: dict[str, Any] = {"order": ORDER, "reason": "audit"} | fields
        return HoldBodies(nonce=self.nonce(), **named)

    def lift_item(self, **fields: Any) -> LiftHold:
        named: dict[str, Any] = {"order": ORDER, "reason": "audit_over"} | fields
        return LiftHold(nonce=self.nonce(), **named)

    def erasure_item(
        self, bill: str, basis: Literal["term", "legal_order"] = "term", **fields: Any
    ) -> OrderErasure:
        named: dict[str, Any] = {"order": ORDER, "reason": "term_over"}
        named |= {"copies": ["hospital", "finance"]}
        return OrderErasure(nonce=self.nonce(), bill=bill, basis=basis, **(named | fields))

    def erased_item(self, bill: str) -> Erased:
        return Erased(nonce=self.nonce(), bill=bill)

    # ------------------------------------------------------------------------------ succession

    def succeed_item(
        self, org: str = "hospital", successor: str = "clinic", **fields: Any
    ) -> Succeed:
        named: dict[str, Any] = {"reason": "merged"} | fields
        return Succeed(nonce=self.nonce(), org=org, successor=successor, **named)


def moved(code: int = CODE, level: int = 3, first: int = 1) -> Moved:
    return Moved(code=code, block=Block(level=level, first=first))


def other(tally: Tally, **changes: Any) -> Tally:
    """A tally that differs."""
    return replace(tally, **changes)
