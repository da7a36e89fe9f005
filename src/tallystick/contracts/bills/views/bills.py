"""What may be asked about bills, over any moment of the state that a `Reader` stands for.

Refused items are no rows: the ledger's log answers for them.

Invariant: the accounting of an allotment adds up to its size, number by number (N4).
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tallystick.contracts.bills.content import OpenFields
from tallystick.contracts.bills.records.bills import (
    SUCCESSIONS_MAX,
    Allotment,
    Bill,
    BillType,
    Issuer,
    TypePointer,
    allotment_id,
    parse_bill_id,
    remaining,
    type_row_id,
)
from tallystick.contracts.kit import intervals
from tallystick.contracts.kit.context import NUMBERS_PER_CODE, Reader, State, slot_key
from tallystick.contracts.kit.intervals import Interval
from tallystick.protocol.canonical import Record, builtins
from tallystick.protocol.errors import Damaged
from tallystick.protocol.row import row_key
from tallystick.protocol.values import Count, parse_instant


class Accounting(Record):
    """Where the numbers of one allotment are."""

    allotment: Allotment
    size: Count
    issued: Count
    void: Count
    gone: Count
    remaining: Count
    ranges: list[Interval]
    """All numbers of it in order; fates ``issued``, ``void``, ``remaining`` and those of `Fate`."""


def find_bill(reader: Reader, bill_id: str) -> Bill | None:
    """What befell a number, or None: never issued, never void."""
    return reader.get(slot_key(*parse_bill_id(bill_id)), Bill)


def find_bills(
    reader: Reader, code: int, first: int, last: int, issuer: str | None = None
) -> Iterator[Bill]:
    """What befell the numbers in [first, last], of one issuer or of all, by number."""
    for bill in reader.scan_slots(Bill, code, first, last):
        if issuer is None or bill.issuer == issuer:
            yield bill


def list_bills(reader: Reader, code: int) -> Iterator[Bill]:
    """What befell any number of a code, by number."""
    return reader.scan_slots(Bill, code, 1, NUMBERS_PER_CODE - 1)


def find_issuer(reader: Reader | State, org: str) -> Issuer | None:
    """What the supervisor said of an issuer, or None: nothing yet."""
    return reader.get(row_key(Issuer.KIND, org), Issuer)


def acts_for(reader: Reader | State, org: str, former: str) -> bool:
    """Whether `org` is `former`, or took over its duties, itself or by steps."""
    for _ in range(SUCCESSIONS_MAX + 1):
        if former == org:
            return True
        row = find_issuer(reader, former)
        if row is None or row.successor is None:
            return False
        former = row.successor
    return False


def is_archived(reader: Reader, bill: Bill) -> bool:
    """Whether finance has said that the body of this bill is checked and stored."""
    return is_said_archived(find_issuer(reader, bill.issuer), bill)


def is_said_archived(issuer: Issuer | None, bill: Bill) -> bool:
    """The same, out of the row of the bill's issuer."""
    if issuer is None or bill.entry is None or bill.entry >= issuer.below:
        return False
    code, number = parse_bill_id(bill.id)
    return not any(each.code == code and number in each.numbers for each in issuer.exceptions)


def is_acknowledged(reader: Reader, bill: Bill) -> bool:
    """Whether it may be called issued: as `ack` of the rules that it was made under says."""
    kind = find_type(reader, parse_bill_id(bill.id)[0] // 100, bill.type_version)
    return (kind is not None and kind.rules.ack == "record") or is_archived(reader, bill)


def find_type(reader: Reader, type_id: int, version: int | None = None) -> BillType | None:
    """A version of a type, by default the newest."""
    if version is None:
        pointer = reader.get(row_key(TypePointer.KIND, str(type_id)), TypePointer)
        if pointer is None:
            return None
        version = pointer.newest
    return reader.get(row_key(BillType.KIND, type_row_id(type_id, version)), BillType)


def find_type_at(reader: Reader, type_id: int, at: int) -> BillType | None:
    """The version in force at an instant (unix seconds): what a bill dated then must name."""
    kind = find_type(reader, type_id)
    while kind is not None and at < parse_instant(kind.valid_from):
        kind = find_type(reader, type_id, kind.type_version - 1)
    return kind


def list_types(reader: Reader) -> Iterator[BillType]:
    """The newest version of each type."""
    for pointer in reader.scan(TypePointer, ""):
        kind = find_type(reader, int(pointer.id), pointer.newest)
        if kind is not None:
            yield kind


def find_allotment(reader: Reader, code: int, level: int, first: int) -> Allotment | None:
    """An allotment, or None."""
    return reader.get(row_key(Allotment.KIND, allotment_id(code, level, first)), Allotment)


def list_allotments(
    reader: Reader,
    code: int | None = None,
    *,
    holder: str | None = None,
    parent: str | None = None,
) -> Iterator[Allotment]:
    """Allotments of a code or of all, in one hand or in any, out of one parent (its id) or any."""
    for row in reader.scan(Allotment, "" if code is None else f"{code}/"):
        if holder in (None, row.holder) and parent in (None, row.parent):
            yield row


def remaining_ranges(row: Allotment, taken: list[Interval]) -> list[Interval]:
    """What an allotment still has, given all that is taken of it, in order."""
    free, start = [], row.first
    for each in taken:
        if start < each.first:
            free.append(Interval(first=start, last=each.first - 1, fate="remaining"))
        start = each.last + 1
    if start <= row.last:
        free.append(Interval(first=start, last=row.last, fate="remaining"))
    return free


def account(reader: Reader, row: Allotment) -> Accounting:
    """Where each number of an allotment is; its own slots are read, its children's are not."""
    taken = list(row.gone)
    for first, last in own_ranges(row):
        run: Interval | None = None
        for bill in reader.scan_slots(Bill, row.code, first, last):
            _, number = parse_bill_id(bill.id)
            fate = "void" if bill.state == "void" else "issued"
            if run is not None and run.last + 1 == number and run.fate == fate:
                run = Interval(first=run.first, last=number, fate=fate)
                continue
            if run is not None:
                taken.append(run)
            run = Interval(first=number, last=number, fate=fate)
        if run is not None:
            taken.append(run)
    taken.sort(key=lambda each: each.first)
    ranges = [*taken, *remaining_ranges(row, taken)]
    ranges.sort(key=lambda each: each.first)
    issued, void = intervals.count(ranges, "issued"), intervals.count(ranges, "void")
    if (issued, void) != (row.issued, row.void):  # a scan cannot show that it left nothing out
        raise Damaged(
            f"of allotment {row.id} {row.issued} numbers are issued and {row.void} void, "
            f"but {issued} and {void} are there"
        )
    return Accounting(
        allotment=row,
        size=row.last - row.first + 1,
        issued=issued,
        void=void,
        gone=intervals.count(row.gone),
        remaining=remaining(row),
        ranges=ranges,
    )


def own_ranges(row: Allotment) -> Iterator[tuple[int, int]]:
    """Where the holder's own slots can be: below `next`, and not gone."""
    start, end = row.first, row.next - 1
    for each in row.gone:
        if start < each.first and start <= end:
            yield start, min(each.first - 1, end)
        start = each.last + 1
    if start <= end:
        yield start, end


def count_skipped(row: Allotment) -> int:
    """Numbers below `next` that are not gone, and to which nothing has happened."""
    return sum(last - first + 1 for first, last in own_ranges(row)) - row.issued - row.void


def record_view(bill: Bill, network: bytes) -> Mapping[str, object]:
    """The record's side of `content.check_against_record`, as it stands in JSON."""
    code, number = parse_bill_id(bill.id)
    if bill.currency is None:
        raise ValueError(f"{bill.id} is void and has no body")
    shown = OpenFields(
        network=network,
        code=code,
        number=number,
        issuer=bill.issuer,
        type=code // 100,
        issued_at=bill.issued_at,
        kind=bill.bill_kind,
        currency=bill.currency,
        reversal_of=bill.reversal_of,
        replaces=bill.replaces,
        settles=tuple(bill.settles),
        total=bill.amounts["total"],
        account=bill.amounts["account"],
        cash=bill.amounts["cash"],
        self_pay=bill.amounts["self_pay"],
        self_expense=bill.amounts["self_expense"],
    )
    named: dict[str, object] = builtins(shown)
    return named
