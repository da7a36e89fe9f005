"""What may be asked about accounts: counting a block or a month, who must review what, erasures.

Invariant: a tally covers exactly the bills of its block, or of its issuer's month: none of it is
left out, none of another's is in it. See docs/spec/contracts/bills-accounts.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.contracts.bills.manifest import Counter, tally_of
from tallystick.contracts.bills.records.accounts import (
    Account,
    Collected,
    Erasure,
    Hold,
    Manifest,
    Period,
    Stock,
    Tally,
    erasure_id,
    hold_id,
    month_span,
    parse_block_id,
    parse_period,
    period_id,
)
from tallystick.contracts.bills.records.bills import Allotment, Bill
from tallystick.contracts.bills.views.bills import (
    account,
    find_allotment,
    list_allotments,
    own_ranges,
)
from tallystick.contracts.kit.context import Reader
from tallystick.contracts.kit.intervals import Interval
from tallystick.protocol.errors import Damaged
from tallystick.protocol.row import row_key
from tallystick.protocol.values import parse_instant


def own_bills(reader: Reader, row: Allotment) -> Iterator[Bill]:
    """What befell the numbers that a block's holder used itself, by number."""
    for first, last in own_ranges(row):
        yield from reader.scan_slots(Bill, row.code, first, last)


def tally_block(reader: Reader, row: Allotment) -> Tally:
    """Counts a block's own numbers; those of its children stand in their own accounts."""
    tally = tally_of(own_bills(reader, row))
    used = tally.blue + tally.red + tally.paper
    if (used, tally.void) != (row.issued, row.void):  # a scan cannot show that it left nothing out
        raise Damaged(
            f"of allotment {row.id} {row.issued} numbers are issued and {row.void} void, "
            f"but {used} and {tally.void} are there"
        )
    return tally


def gaps(reader: Reader, row: Allotment) -> list[Interval]:
    """The unexplained numbers of a block: while there are any it is not accounted for (N5)."""
    return [each for each in account(reader, row).ranges if each.fate == "remaining"]


def tally_period(
    reader: Reader, issuer: str, type_id: int, month: str, utc_offset_seconds: int
) -> Tally:
    """Counts the bills of one issuer and type that are dated in a month."""
    return tally_of(period_bills(reader, issuer, type_id, month, utc_offset_seconds))


def period_bills(
    reader: Reader, issuer: str, type_id: int, month: str, utc_offset_seconds: int
) -> Iterator[Bill]:
    """The bills of an issuer's month, by id; numbers that it declared void in it among them.

    A bill is dated in its code's year; void is declared before and after it too.
    """
    first, end = month_span(month, utc_offset_seconds)
    code = Period(issuer, type_id, month).code
    for each in (code - 1, code, code + 1):
        ranges = [
            each_range
            for row in list_allotments(reader, each)
            if (row.holder == issuer or issuer in row.former) and (each == code or row.void)
            for each_range in own_ranges(row)
        ]
        for start, last in sorted(ranges):  # one allotment can lie in the middle of another
            for bill in reader.scan_slots(Bill, each, start, last):
                if bill.issuer == issuer and first <= parse_instant(bill.issued_at) < end:
                    yield bill


def tally_collected(reader: Reader, account: Account) -> tuple[Tally, int]:
    """Adds up the accounts that the stater of a month's sum accepted, and says how many they are.

    The root is theirs as the ledger has it: it depends on the order in which they were accepted.
    """
    period = parse_period(account.id)
    if period is None:
        raise LookupError(f"{account.id} is no month's account")
    counter, count = Counter(), 0
    for each in list_accounts(reader, reviewer=account.org, state="accepted"):
        found = parse_period(each.id)
        if found is not None and (found.type, found.month) == (period.type, period.month):
            counter.include(each.tally)
            count += 1
    row = find_collected(reader, *period)
    return counter.tally(root=row.digest if row else bytes(32)), count


def recount(reader: Reader, account: Account, utc_offset_seconds: int) -> Tally:
    """What an account should say: its numbers counted again, or its sum added up again."""
    period, place = parse_period(account.id), parse_block_id(account.id)
    if period is not None and account.includes:
        return tally_collected(reader, account)[0]
    if period is not None:
        return tally_period(reader, *period, utc_offset_seconds)
    row = find_allotment(reader, *place) if place else None
    if row is None:
        raise LookupError(f"there is no block {account.id}")
    return tally_block(reader, row)


def list_accounts(
    reader: Reader, *, reviewer: str | None = None, state: str | None = None
) -> Iterator[Account]:
    """Accounts of one reviewer or of all, in one state or in any, by id."""
    for row in reader.scan(Account, ""):
        if reviewer in (None, row.reviewer) and state in (None, row.state):
            yield row


def find_account(reader: Reader, account_id: str) -> Account | None:
    """An account of a block or of a month, or None."""
    return reader.get(row_key(Account.KIND, account_id), Account)


def find_collected(reader: Reader, reviewer: str, type_id: int, month: str) -> Collected | None:
    """What a reviewer has accepted of a month, or None."""
    return reader.get(row_key(Collected.KIND, period_id(reviewer, type_id, month)), Collected)


def find_stock(reader: Reader, holder: str, type_id: int) -> Stock | None:
    """The numbers that a holder has not accounted for, or None: it never had any."""
    return reader.get(row_key(Stock.KIND, f"{holder}/{type_id}"), Stock)


def find_hold(reader: Reader, what: str) -> Hold | None:
    """The legal holds on a bill (its id) or on a month (its account's id), or None."""
    return reader.get(row_key(Hold.KIND, hold_id(what)), Hold)


def find_erasure(reader: Reader, bill_id: str) -> Erasure | None:
    """The order to erase a bill's body, or None."""
    return reader.get(row_key(Erasure.KIND, erasure_id(bill_id)), Erasure)


def list_erasures(reader: Reader, *, org: str | None = None) -> Iterator[Erasure]:
    """Orders to erase; with `org` only those that its vault has not answered."""
    for row in reader.scan(Erasure, ""):
        if org is None or any(each.org == org and each.done is None for each in row.copies):
            yield row


def erased_copies(row: Erasure) -> tuple[int, int]:
    """k of m: how many copies are gone, of how many that are known."""
    return sum(each.done is not None for each in row.copies), len(row.copies)


def overdue_manifests(reader: Reader, now: int) -> Iterator[Manifest]:
    """Months whose retention is over at `now` (unix seconds) and which nobody holds."""
    for row in reader.scan(Manifest, ""):
        if now < parse_instant(row.retain_until) or parse_period(row.account) is None:
            continue
        hold = find_hold(reader, row.account)
        if hold is None or not hold.orders:
            yield row
