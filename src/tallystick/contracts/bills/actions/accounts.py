"""Accounting 核销 of blocks and of months, level by level: stated, then counted again and accepted.

Invariant: what both sides did not count alike is not accepted (W1); a month whose account is
submitted or accepted takes no more bills (W2); a block with an unexplained number has no account
(N5). See docs/spec/contracts/bills-accounts.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.actions.checks import (
    acts_for,
    check_holder,
    check_org,
    check_region,
    fetch_allotment,
)
from tallystick.contracts.bills.actions.stock import in_stock, put_stock, read_stock, stocked
from tallystick.contracts.bills.items.accounts import (
    AcceptAccount,
    AccountBlock,
    AccountPeriod,
    OfAccount,
    ReturnAccount,
)
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.accounts import (
    CURRENCIES_MAX,
    Account,
    Collected,
    Period,
    Sum,
    Tally,
    collect,
    month_span,
    parse_block_id,
    parse_period,
    period_id,
)
from tallystick.contracts.bills.records.bills import (
    CLOSED_TYPES_MAX,
    Allotment,
    Bill,
    ClosedPeriod,
    Issuer,
    allotment_id,
    remaining,
)
from tallystick.contracts.bills.views import bills as views
from tallystick.contracts.kit import intervals
from tallystick.contracts.kit.context import Action, Context
from tallystick.contracts.kit.keys import (
    authorise,
    check_block_scope,
    check_unbound,
    check_version,
)
from tallystick.protocol.canonical import INTEGER_MAX, replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import AMOUNT_MAX, format_instant

GAP_LOOKS_MAX = 256
"""Slots that a refusal reads to name the first unexplained number."""


def account_block(ctx: Context, item: AccountBlock) -> None:
    """The holder states what became of a block's own numbers."""
    # READ
    authorise(ctx, item.code)
    check_block_scope(ctx, item.code, item.level, item.first)
    allotment = fetch_allotment(ctx, item.code, item.level, item.first)
    former = ctx.find(Account, allotment.id)
    # CHECK
    check_holder(ctx, allotment)
    if allotment.account in ("submitted", "accepted"):
        raise Rejected(BillsReason.ACCOUNT_STATE, f"it is {allotment.account}", path="first")
    _check_explained(ctx, allotment)
    _check_children(allotment)
    _check_tally(item.tally)
    used = item.tally.blue + item.tally.red + item.tally.paper
    if (used, item.tally.void) != (allotment.issued, allotment.void):
        raise Rejected(
            BillsReason.ACCOUNT_SUM,
            f"{used} used and {item.tally.void} void, "
            f"on the ledger {allotment.issued} and {allotment.void}",
            path="tally",
        )
    # WRITE
    _submit(ctx, allotment.id, former, item.tally, reviewer=_reviewer(ctx, allotment))
    ctx.put(allotment, account="submitted")


def _reviewer(ctx: Context, allotment: Allotment) -> str:
    """Whoever granted the numbers out of another hand: what one splits, one does not review.

    At the top of all it is the holder itself, who has nobody above.
    """
    above: Allotment | None = allotment
    while above is not None and acts_for(ctx, above.grantor) and above.parent:
        above = ctx.find(Allotment, above.parent)
    return above.grantor if above else allotment.grantor


def _check_explained(ctx: Context, allotment: Allotment) -> None:
    """N5: every number is issued, void or gone."""
    left = remaining(allotment)
    if left:
        first = _first_gap(ctx, allotment)
        where = f"the first is {first}" if first else f"some of them below {allotment.next}"
        raise Rejected(
            BillsReason.ACCOUNT_GAP, f"{left} unexplained numbers, {where}", path="first"
        )


def _first_gap(ctx: Context, allotment: Allotment) -> int | None:
    """The first unexplained number, or None where finding it would read too many slots."""
    number, looks = allotment.first, 0
    while number <= allotment.last:
        gone = intervals.find(allotment.gone, number)
        if gone is not None:
            number = gone.last + 1
        elif number >= allotment.next or ctx.find_slot(Bill, allotment.code, number) is None:
            return number
        else:
            number, looks = number + 1, looks + 1
        if looks > GAP_LOOKS_MAX:
            return None
    return None


def _check_children(allotment: Allotment) -> None:
    granted = intervals.count(allotment.gone, "granted")
    if allotment.accounted != granted:
        raise Rejected(
            BillsReason.ACCOUNT_CHILDREN,
            f"{granted - allotment.accounted} of {granted} granted numbers are not accounted for",
            path="first",
        )


def _check_tally(tally: Tally) -> None:
    names = [each.currency for each in tally.sums]
    if names != sorted(dict.fromkeys(names)):
        raise Rejected(BillsReason.ACCOUNT_SUM, "currencies ascend", path="tally/sums")


def _submit(
    ctx: Context,
    account_id: str,
    former: Account | None,
    tally: Tally,
    *,
    reviewer: str,
    org: str | None = None,
    includes: int = 0,
) -> None:
    blank = Account(
        kind=Account.KIND,
        id=account_id,
        state="submitted",
        good=False,
        org=org or ctx.sender,
        reviewer=reviewer,
        tally=tally,
    )
    ctx.put(
        former or blank,
        state="submitted",
        org=org or ctx.sender,
        reviewer=reviewer,
        tally=tally,
        includes=includes,
        reason=None,
        numbers=[],
    )


# ---------------------------------------------------------------------------------------- months


def account_period(ctx: Context, item: AccountPeriod) -> None:
    """An issuer states its bills of a month, or a reviewer what it accepted of the level below."""
    # READ
    period = Period(item.issuer or ctx.sender, item.type, item.month)
    account_id = period_id(*period)
    authorise(ctx, period.code)
    check_unbound(ctx)
    former = ctx.find(Account, account_id)
    collected = ctx.find(Collected, account_id)
    # CHECK
    check_region(ctx, period.code)
    if not acts_for(ctx, period.org):
        raise Rejected(BillsReason.OTHER_ISSUER, f"it is {period.org}'s", path="issuer")
    check_org(ctx, item.reviewer, "reviewer")
    if collected is None and acts_for(ctx, item.reviewer):
        raise Rejected(BillsReason.NOT_REVIEWER, "nobody reviews its own bills", path="reviewer")
    _, end = month_span(item.month, ctx.env.utc_offset_seconds)
    if ctx.block_time < end:
        raise Rejected(BillsReason.PERIOD_OPEN, f"it ends at {format_instant(end)}", path="month")
    if former is not None and former.state != "returned":
        raise Rejected(BillsReason.ACCOUNT_STATE, f"it is {former.state}", path="month")
    _check_tally(item.tally)
    _check_collected(item, collected)
    closed = _closed(ctx, period, end)
    # WRITE
    _submit(
        *(ctx, account_id, former, item.tally),
        reviewer=item.reviewer,
        org=period.org,
        includes=item.includes,
    )
    if collected is not None:
        ctx.put(collected, state="closed", good=True)
    ctx.put(closed)


def _check_collected(item: AccountPeriod, collected: Collected | None) -> None:
    """Who accepted accounts of the level below hands on exactly their sums."""
    accounts = collected.accounts if collected else 0
    if item.includes != accounts:
        raise Rejected(
            BillsReason.ACCOUNT_CHILDREN, f"{accounts} accounts are accepted", path="includes"
        )
    if collected is not None and item.tally != _collected_tally(collected):
        raise Rejected(BillsReason.ACCOUNT_SUM, "not what was accepted", path="tally")


def _collected_tally(collected: Collected) -> Tally:
    return Tally(
        blue=collected.blue,
        red=collected.red,
        paper=collected.paper,
        void=collected.void,
        sums=collected.sums,
        root=collected.digest,
    )


def _closed(ctx: Context, period: Period, end: int) -> Issuer:
    """What is said of the issuer, its months of the type closed up to `end` at least."""
    issuer = ctx.find(Issuer, period.org) or Issuer(
        kind=Issuer.KIND, id=period.org, state="active", good=True
    )
    before = format_instant(end)
    others = [each for each in issuer.closed if each.type != period.type]
    if len(others) == CLOSED_TYPES_MAX:
        raise Rejected(
            BillsReason.ACCOUNT_STATE, f"months of {CLOSED_TYPES_MAX} types", path="type"
        )
    for each in issuer.closed:
        if each.type == period.type:
            before = max(before, each.before)  # instants of one spelling sort as they follow
    closed = [*others, ClosedPeriod(type=period.type, before=before)]
    return replace(issuer, closed=sorted(closed, key=lambda each: each.type))


# ---------------------------------------------------------------------------------------- review


def accept_account(ctx: Context, item: AcceptAccount) -> None:
    """The reviewer counted too, and found the same."""
    # READ
    account = _read(ctx, item)
    period = parse_period(account.id)
    # CHECK
    _check_review(ctx, account, item)
    if account.org != account.reviewer and _is_one_house(ctx, account.org):
        raise Rejected(BillsReason.NOT_REVIEWER, f"it is {account.org}'s own", path="account")
    if item.tally != account.tally:
        raise Rejected(
            BillsReason.ACCOUNT_SUM, _difference(account.tally, item.tally), path="tally"
        )
    collected = _collect(ctx, account, period) if period else None
    # WRITE
    ctx.put(account, state="accepted", good=True)
    if collected is not None:
        ctx.put(collected)
    else:
        _accept_block(ctx, account)


def _is_one_house(ctx: Context, org: str) -> bool:
    """Whether one of the two took over the other's duties: so neither reviews the other."""
    return acts_for(ctx, org) or views.acts_for(ctx.state, org, ctx.sender)


def return_account(ctx: Context, item: ReturnAccount) -> None:
    """The reviewer found something else, and says in which numbers.

    Even in its own account, of one whose duties it took over: so that another can review it.
    """
    # READ
    account = _read(ctx, item)
    period = parse_period(account.id)
    # CHECK
    _check_review(ctx, account, item)
    # WRITE
    ctx.put(account, state="returned", reason=item.reason, numbers=item.numbers)
    if period is None:
        ctx.put(_block_of(ctx, account.id), account="returned")
        return
    if account.includes:
        _open_collected(ctx, account.id)
    _open_month(ctx, period)


def _read(ctx: Context, item: OfAccount) -> Account:
    """The account that an item names, whose id says on which code it takes authority."""
    code = account_code(item.account)
    authorise(ctx, code)
    check_unbound(ctx)
    return ctx.fetch(Account, item.account, BillsReason.ACCOUNT_UNKNOWN, "account")


def account_code(account_id: str) -> int:
    """The code of a block's account, or of a month's; refuses what is no account's id."""
    block, period = parse_block_id(account_id), parse_period(account_id)
    if block is not None:
        return block[0]
    if period is None:
        raise Rejected(BillsReason.ACCOUNT_UNKNOWN, "no account has such an id", path="account")
    return period.code


def _check_review(ctx: Context, account: Account, item: OfAccount) -> None:
    if not acts_for(ctx, account.reviewer):
        raise Rejected(BillsReason.NOT_REVIEWER, f"{account.reviewer} reviews it", path="account")
    if account.state != "submitted":
        raise Rejected(BillsReason.ACCOUNT_STATE, f"it is {account.state}", path="account")
    check_version(account, item.version)


def _difference(stated: Tally, counted: Tally) -> str:
    """The first thing in which two counts differ, both sides of it."""
    for name in stated.__struct_fields__:
        one, other = getattr(stated, name), getattr(counted, name)
        if one != other:
            if isinstance(one, bytes):
                return f"{name}: stated {one.hex()}, counted {other.hex()}"
            return f"{name}: stated {one}, counted {other}"
    return "nothing differs"


def _collect(ctx: Context, account: Account, period: Period) -> Collected:
    """The reviewer's sums of the month with this account among them."""
    row_id = period_id(account.reviewer, period.type, period.month)
    row = ctx.find(Collected, row_id) or Collected(
        kind=Collected.KIND, id=row_id, state="open", good=False, digest=bytes(32)
    )
    if row.state != "open":
        raise Rejected(
            BillsReason.ACCOUNT_STATE, f"the account {row_id} was handed on", path="account"
        )
    tally = account.tally
    for name in ("blue", "red", "paper", "void"):
        if getattr(row, name) + getattr(tally, name) > INTEGER_MAX:
            raise Rejected(BillsReason.ACCOUNT_SUM, f"too many {name}", path="tally")
    return replace(
        row,
        blue=row.blue + tally.blue,
        red=row.red + tally.red,
        paper=row.paper + tally.paper,
        void=row.void + tally.void,
        sums=_add(row.sums, tally.sums),
        digest=collect(row.digest, account),
        accounts=row.accounts + 1,
    )


def _add(sums: list[Sum], more: list[Sum]) -> list[Sum]:
    found = {each.currency: each for each in sums}
    for each in more:
        before = found.get(each.currency, Sum(currency=each.currency, issued=0))
        issued, reversed_ = before.issued + each.issued, before.reversed + each.reversed
        if max(issued, reversed_) > AMOUNT_MAX:
            raise Rejected(BillsReason.ACCOUNT_SUM, f"too much {each.currency}", path="tally/sums")
        found[each.currency] = Sum(currency=each.currency, issued=issued, reversed=reversed_)
    if len(found) > CURRENCIES_MAX:
        raise Rejected(
            BillsReason.ACCOUNT_SUM, f"more than {CURRENCIES_MAX} currencies", path="tally/sums"
        )
    return [found[name] for name in sorted(found)]


def _accept_block(ctx: Context, account: Account) -> None:
    """The block leaves its holder's stock, and its numbers are accounted for one level above."""
    allotment = _block_of(ctx, account.id)
    if in_stock(allotment):
        stock = read_stock(ctx, allotment.code, allotment.holder)
        put_stock(ctx, stock, numbers=-stocked(allotment), blocks=-1)
    ctx.put(allotment, account="accepted")
    if allotment.parent is not None:
        parent = ctx.fetch(Allotment, allotment.parent, BillsReason.NUMBER_NOT_ALLOCATED)
        size = allotment.last - allotment.first + 1
        ctx.put(parent, accounted=parent.accounted + size)


def _block_of(ctx: Context, account_id: str) -> Allotment:
    named = parse_block_id(account_id)
    if named is None:
        raise LookupError(account_id)  # an account's id is a block's or a month's
    return ctx.fetch(Allotment, allotment_id(*named), BillsReason.NUMBER_NOT_ALLOCATED)


def _open_collected(ctx: Context, account_id: str) -> None:
    collected = ctx.find(Collected, account_id)
    if collected is not None:
        ctx.put(collected, state="open", good=False)


def _open_month(ctx: Context, period: Period) -> None:
    """A returned month takes bills again, unless a later one of its type is closed."""
    first, end = month_span(period.month, ctx.env.utc_offset_seconds)
    issuer = ctx.find(Issuer, period.org)
    if issuer is None:
        return
    closed = [
        replace(each, before=format_instant(first))
        if each.type == period.type and each.before == format_instant(end)
        else each
        for each in issuer.closed
    ]
    ctx.put(issuer, closed=closed)


ACTIONS: dict[str, Action] = {
    "bills.account_block/1": Action(AccountBlock, account_block),
    "bills.account_period/1": Action(AccountPeriod, account_period),
    "bills.accept_account/1": Action(AcceptAccount, accept_account),
    "bills.return_account/1": Action(ReturnAccount, return_account),
}
