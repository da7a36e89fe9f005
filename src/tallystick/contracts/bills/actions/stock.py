"""How many numbers of a type a holder has that are not accounted for: one row a holder and type.

Counted are allotments from another's hand: their numbers but for those returned or recalled, until
their account is accepted. What a holder splits among its own tills is counted once.

Invariant: the row is the sum over those allotments, whatever limit the type has or had.
See docs/spec/contracts/bills-accounts.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.records.accounts import Stock
from tallystick.contracts.bills.records.bills import Allotment
from tallystick.contracts.kit import intervals
from tallystick.contracts.kit.context import Context


def in_stock(allotment: Allotment) -> bool:
    """Whether an allotment counts in its holder's stock."""
    return allotment.holder != allotment.grantor and allotment.account != "accepted"


def stocked(allotment: Allotment) -> int:
    """How many numbers of an allotment count there."""
    given = intervals.count(allotment.gone, "returned") + intervals.count(
        allotment.gone, "recalled"
    )
    return allotment.last - allotment.first + 1 - given


def read_stock(ctx: Context, code: int, holder: str) -> Stock:
    """The stock of a holder in the type of a code."""
    row_id = f"{holder}/{code // 100}"
    return ctx.find(Stock, row_id) or Stock(kind=Stock.KIND, id=row_id, state="kept", good=True)


def put_stock(ctx: Context, stock: Stock, *, numbers: int, blocks: int = 0) -> None:
    """Change it by so much. What was granted before there were such rows counts from zero."""
    ctx.put(stock, numbers=max(stock.numbers + numbers, 0), blocks=max(stock.blocks + blocks, 0))
