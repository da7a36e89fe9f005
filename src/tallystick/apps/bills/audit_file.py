"""The file that proves what became of every number of one block, without the rest of the ledger.

Lines of canonical JSON: first the co-signed checkpoint with the rows of the allotment and of its
account, each with its proof; then, for each page that the block's numbers lie in, a complete range
proof, followed by the rows of the numbers that are taken, one a line. A number without a row is
proven to be empty by the same hashes. See docs/spec/audit.md.

Invariant: which slots a file must show follows from the proven allotment alone; of numbers outside
of the block it has only hashes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, BinaryIO, Literal, NamedTuple

from tallystick.contracts.bills.records.accounts import Account
from tallystick.contracts.bills.records.bills import Allotment, Bill, BillId, parse_bill_id
from tallystick.ledger.view import View
from tallystick.protocol import page, statemap
from tallystick.protocol.canonical import Meta, Record, decode, encode, narrow
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.receipt import StateDocument, StateProof
from tallystick.protocol.row import ROW_BYTES_MAX, row_key
from tallystick.protocol.statemap import MapProof
from tallystick.protocol.trust import TrustPolicy
from tallystick.protocol.values import Count, Digest
from tallystick.verify import Verified, Verifier

FORMAT = "tallystick/block-audit/v1"
LINE_BYTES_MAX = 512 * 1024
"""A page's hashes: 4,096 at the very most, where ranges leave out every second slot."""
PAGES_MAX = 10_000
"""Of one block: 40 million numbers that are not a child's."""


class Head(Record):
    """The first line."""

    format: Literal["tallystick/block-audit/v1"]
    checkpoint: Annotated[str, Meta(max_length=16_384)]
    allotment: StateProof
    account: StateProof
    """Of the account's row, or of its absence."""


class Page(Record):
    """The line before the rows of a page."""

    page: Count
    absent: bool = False
    """Nothing ever befell a number of the page."""
    siblings: Annotated[list[Digest], Meta(max_length=page.SLOTS)] = []
    map: MapProof
    rows: Annotated[int, Meta(ge=0, le=page.SLOTS)] = 0
    """So many lines follow, by ascending number."""


class Proven(NamedTuple):
    """What a file proves: the block, what is said of it, and every number that is taken."""

    allotment: Allotment
    account: Account | None
    bills: Iterator[Bill]
    """By number; only once all of them were taken is the file known to be whole."""
    head: Verified
    """Who vouches, and as of when."""


def shown_ranges(row: Allotment) -> list[tuple[int, int]]:
    """The numbers of a block that a file must show: all but those of its children."""
    found, start = [], row.first
    for gone in row.gone:
        if gone.fate != "granted":
            continue
        if start < gone.first:
            found.append((start, gone.first - 1))
        start = gone.last + 1
    if start <= row.last:
        found.append((start, row.last))
    return found


def pages_of(ranges: Sequence[tuple[int, int]]) -> dict[int, list[page.Range]]:
    """The same by page, as ranges of its slots; refuses what no file could show."""
    count = sum(last // page.SLOTS - first // page.SLOTS + 1 for first, last in ranges)
    if count > PAGES_MAX:
        raise Malformed(f"a block of {count} pages, at most {PAGES_MAX}: audit an export")
    found: dict[int, list[page.Range]] = {}
    for first, last in ranges:
        for at in range(first // page.SLOTS, last // page.SLOTS + 1):
            start = at * page.SLOTS
            slots = max(first - start, 0), min(last - start, page.SLOTS - 1)
            found.setdefault(at, []).append(slots)
    return found


# ---------------------------------------------------------------------------------------- making


def write_block(view: View, note: bytes, row: Allotment, file: BinaryIO) -> int:
    """Write the file of a block under a note of this moment's head; how many bytes it has."""
    block, account = row_key(Allotment.KIND, row.id), row_key(Account.KIND, row.id)
    head = Head(
        format="tallystick/block-audit/v1",
        checkpoint=note.decode(),
        allotment=view.state_proof(block, block),
        account=view.state_proof(account, account),
    )
    size = _write(file, encode(head))
    for at, ranges in pages_of(shown_ranges(row)).items():
        proof = view.page_proof(row.code, at, ranges)
        start = at * page.SLOTS
        rows = [
            encode(bill)
            for first, last in ranges
            for bill in view.scan_slots(Bill, row.code, start + first, start + last)
        ]
        line = Page(
            page=at,
            absent=proof.absent,
            siblings=proof.siblings,
            map=proof.map,
            rows=len(rows),
        )
        size += _write(file, encode(line)) + sum(_write(file, data) for data in rows)
    return size


def _write(file: BinaryIO, line: bytes) -> int:
    return file.write(line) + file.write(b"\n")


# ------------------------------------------------------------------------------------- verifying


def read_block(file: BinaryIO, policy: TrustPolicy) -> Proven:
    """What a file proves under a policy: `Malformed`, `VerificationFailed`, or all of it is true.

    1. the checkpoint, the block leaf, the rows of allotment and account (as for any state proof)
    2. exactly the pages that the allotment's numbers lie in   3. each page's root out of its rows,
    empty slots and hashes   4. that root under the state root   5. nothing after the last page
    """
    lines = _lines(file)
    head = decode(next(lines, b""), Head)
    verifier = Verifier(policy)
    block = verifier.state(_document(head, head.allotment))  # 1
    said = verifier.state(_document(head, head.account))
    allotment = _row(block, Allotment)
    if allotment is None:
        raise VerificationFailed("it is proven that there is no such block", path="allotment")
    account = _row(said, Account)
    if said.state is None or said.state.key != row_key(Account.KIND, allotment.id):
        raise VerificationFailed("the account is another block's", path="account")
    if head.account.block_leaf != head.allotment.block_leaf:
        raise VerificationFailed("two state roots", path="account")
    return Proven(allotment, account, _read_pages(lines, head, allotment), block)


def _read_pages(lines: Iterator[bytes], head: Head, allotment: Allotment) -> Iterator[Bill]:
    for at, ranges in pages_of(shown_ranges(allotment)).items():  # 2
        yield from _read_page(lines, head, allotment.code, at, ranges)
    if next(lines, None) is not None:  # 5
        raise Malformed("more lines than the block has pages and rows")


def _document(head: Head, proof: StateProof) -> bytes:
    return encode(
        StateDocument(format="tallystick/state-proof/v1", checkpoint=head.checkpoint, state=proof)
    )


def _row(verified: Verified, kind: type[Any]) -> Any:
    """The proven row, of the kind that its key must have, or None."""
    state = verified.state
    if state is None or not state.key.startswith(f"{kind.KIND}/"):
        raise VerificationFailed(f"the row is no {kind.KIND}", path="key")
    return None if state.row is None else narrow(state.row, kind)


def _read_page(
    lines: Iterator[bytes], head: Head, code: int, at: int, ranges: Sequence[page.Range]
) -> list[Bill]:
    line = decode(next(lines, b""), Page)
    where = f"page {at} of {code}"
    if line.page != at:
        raise VerificationFailed(f"page {line.page} where {at} must come", path=where)
    slots: dict[int, bytes] = {}
    bills: list[Bill] = []
    for _ in range(line.rows):
        data = next(lines, b"")
        if len(data) > ROW_BYTES_MAX:
            raise Malformed(f"a row of {len(data)} bytes", path=where)
        bill = decode(data, Bill)
        slots[_slot(bill, code, at, slots)] = page.slot_hash(data)
        bills.append(bill)
    root, key = head.allotment.block_leaf.state, statemap.key_hash(page.page_key(code, at))
    if line.absent:
        if line.siblings or slots:
            raise VerificationFailed("a page that is not there has rows", path=where)
        statemap.verify_absent(root, key, line.map)
        return []
    found = page.root_from_ranges(ranges, slots, line.siblings)  # 3
    try:
        statemap.verify_present(root, key, page.page_hash(found), line.map)  # 4
    except VerificationFailed as error:
        first, last = at * page.SLOTS + ranges[0][0], at * page.SLOTS + ranges[-1][1]
        raise VerificationFailed(
            f"of the numbers {first} to {last} one was left out, put in, or changed", path=where
        ) from error
    return bills


def _slot(bill: Bill, code: int, at: int, before: dict[int, bytes]) -> int:
    """The slot in which the row says that it lies; rows come by ascending number."""
    of, number = parse_bill_id(narrow(bill.id, BillId))  # a row may have any visible id
    slot = number - at * page.SLOTS
    if of != code or not 0 <= slot < page.SLOTS:
        raise VerificationFailed(f"{bill.id} lies elsewhere", path=f"page {at} of {code}")
    if before and slot <= next(reversed(before)):
        raise VerificationFailed(f"{bill.id} is out of order", path=f"page {at} of {code}")
    return slot


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LINE_BYTES_MAX + 1):
        if not line.endswith(b"\n"):
            raise Malformed("a line is too long, or the file ends within one")
        yield line[:-1]
