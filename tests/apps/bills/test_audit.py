"""The offline audit of a block and of a month, and what becomes of doctored files."""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from province import CODE
from world import World, province_rules

from tallystick.apps.bills import audit_file
from tallystick.apps.bills.audit import (
    Audit,
    AuditVerdict,
    audit_blocks,
    audit_month,
    executed_again,
)
from tallystick.apps.bills.audit import audit_file as audit
from tallystick.contracts.bills.items.accounts import AcceptAccount, AccountBlock, AccountPeriod
from tallystick.contracts.bills.items.bills import Allot, Archived, Block, GiveBack, VoidNumbers
from tallystick.contracts.bills.records.accounts import Tally
from tallystick.contracts.bills.records.bills import Allotment, allotment_id
from tallystick.contracts.bills.views.accounts import (
    find_account,
    find_collected,
    tally_block,
    tally_period,
)
from tallystick.contracts.bills.views.bills import find_allotment
from tallystick.durable import write_file
from tallystick.ledger.feed import FeedReader
from tallystick.ledger.portable import export_ledger
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Malformed, TallystickError, VerificationFailed
from tallystick.protocol.values import parse_instant

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
        self.close(4, 4_099, reviewer="hospital")
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


@pytest.fixture
def office(tmp_path: Path) -> Office:
    office = Office(tmp_path / "ledger")
    office.fill()
    return office


# ----------------------------------------------------------------------------------------- honest


def test_every_number_of_an_accounted_block_is_explained(office: Office) -> None:
    office.close_all()
    found = office.audit()
    assert found.verdict is AuditVerdict.EXPLAINED
    assert (found.about, found.org, found.reviewer) == (ID, "hospital", "finance")
    assert [(each.first, each.last, each.fate) for each in found.ranges] == [
        (4_090, 4_097, "issued"),
        (4_098, 4_098, "void"),
        (4_099, 4_100, "granted"),
        (4_101, 4_105, "returned"),
    ]
    assert found.account is not None
    assert found.tally == found.account.tally
    assert (found.tally.blue, found.tally.void) == (8, 1)
    assert found.keepers == ("keeper/finance",)
    assert found.as_of == office.at


def test_what_is_not_accounted_for_is_told_with_its_numbers(office: Office) -> None:
    assert office.audit().verdict is AuditVerdict.CHILDREN
    office.close(4, 4_099, reviewer="hospital")
    assert office.audit().verdict is AuditVerdict.NOT_ACCEPTED
    office.close(3, FIRST, reviewer="finance", accept=False)
    assert office.audit().verdict is AuditVerdict.NOT_ACCEPTED
    office.accept_account(ID, "finance")
    assert office.audit().verdict is AuditVerdict.EXPLAINED
    found = office.audit(office.file(first=1))
    assert found.verdict is AuditVerdict.UNEXPLAINED
    assert [(each.first, each.last) for each in found.unexplained] == [(1, 1_000)]
    assert all(each.verdict.exit_code in (0, 3) for each in [found])


def test_N5_an_account_that_both_sides_bent_is_found(office: Office) -> None:
    """Holder and reviewer may collude: the numbers do not."""
    office.close(4, 4_099, reviewer="hospital")
    with office.ledger.view() as view:
        tally = tally_block(view, office.block_row())
    sums = [replace(each, issued=each.issued - 1) for each in tally.sums]
    bent = replace(tally, sums=sums, root=bytes(32))
    item = AccountBlock(nonce=office.nonce(), code=CODE, level=3, first=FIRST, tally=bent)
    office.accept("hospital", "bills.account_block", item)
    office.accept_account(ID, "finance")
    found = office.audit()
    assert found.verdict is AuditVerdict.DIFFERS
    assert [each.partition(":")[0] for each in found.differs] == ["sums", "root"]
    assert found.differs[0] == "sums: stated CNY 79999 less 0, counted CNY 80000 less 0"


def test_a_block_that_does_not_exist_and_pages_that_nobody_used(office: Office) -> None:
    item = Allot(
        nonce=office.nonce(),
        code=CODE,
        level=3,
        first=100_000,
        last=120_000,
        holder="clinic",
        parent=Block(level=0, first=1),
    )
    office.accept("finance", "bills.allot", item)
    data = office.file(first=100_000)
    assert data.count(b'"absent":true') == 6
    found = office.audit(data)
    assert [(each.first, each.last) for each in found.unexplained] == [(100_000, 120_000)]
    with office.ledger.view() as view:
        ghost = replace(office.block_row(), id=allotment_id(CODE, 3, 7), first=7)
        written = io.BytesIO()
        audit_file.write_block(view, office.note(), ghost, written)
    with pytest.raises(VerificationFailed, match="there is no such block"):
        office.audit(written.getvalue())


def test_the_file_shows_nothing_of_neighbours_and_children(office: Office) -> None:
    office.close_all()
    data = office.file()
    for number in (4_000, 4_099, 4_100, 4_106):
        assert f"{CODE}:{number:010d}".encode() not in data
    assert b"clinic" not in data


# ---------------------------------------------------------------------------------------- hostile


Lines = list[bytes]


def _fields(line: bytes, **changes: Any) -> bytes:
    named = json.loads(line) | changes
    named = {name: value for name, value in named.items() if value is not None}
    return encode(named)


def _leave_out(lines: Lines) -> Lines:
    """The attack that matters: a bill is not shown, its number passes for unused or returned."""
    return [lines[0], _fields(lines[1], rows=5), *lines[2:7], *lines[8:]]


def _leave_out_last(lines: Lines) -> Lines:
    return [*lines[:-1]]


def _change_amount(lines: Lines) -> Lines:
    amounts = json.loads(lines[3])["amounts"] | {"total": 9_999}
    return [*lines[:3], _fields(lines[3], amounts=amounts), *lines[4:]]


def _void_a_bill(lines: Lines) -> Lines:
    return [*lines[:3], _fields(lines[3], bill_kind="void", state="void"), *lines[4:]]


def _show_twice(lines: Lines) -> Lines:
    return [lines[0], _fields(lines[1], rows=7), lines[2], lines[2], *lines[3:]]


def _swap(lines: Lines) -> Lines:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def _renumber(lines: Lines) -> Lines:
    return [*lines[:2], _fields(lines[2], id=f"{CODE}:0000004098"), *lines[3:]]


def _elsewhere(lines: Lines) -> Lines:
    return [*lines[:2], _fields(lines[2], id="33060226:0000004090"), *lines[3:]]


def _absent_page(lines: Lines) -> Lines:
    return [lines[0], _fields(lines[1], rows=None, siblings=None, absent=True), *lines[8:]]


def _absent_with_rows(lines: Lines) -> Lines:
    return [lines[0], _fields(lines[1], absent=True), *lines[2:]]


def _drop_page(lines: Lines) -> Lines:
    return [lines[0], *lines[8:]]


def _other_sibling(lines: Lines) -> Lines:
    siblings = json.loads(lines[1])["siblings"]
    return [lines[0], _fields(lines[1], siblings=[siblings[1], *siblings[1:]]), *lines[2:]]


def _sibling_more(lines: Lines) -> Lines:
    siblings = json.loads(lines[1])["siblings"]
    return [lines[0], _fields(lines[1], siblings=[*siblings, siblings[0]]), *lines[2:]]


def _more(lines: Lines) -> Lines:
    return [*lines, lines[-1]]


def _wider_gone(lines: Lines) -> Lines:
    """The allotment says that a used number was returned."""
    head = json.loads(lines[0])
    row = head["allotment"]["row"]
    row["gone"][-1]["first"] = 4_098
    return [_fields(lines[0], allotment=head["allotment"]), *lines[1:]]


def _account_of_another(lines: Lines) -> Lines:
    head = json.loads(lines[0])
    head["account"]["key"] = "bills.account/33060126/3/0000000001"
    return [_fields(lines[0], account=head["account"]), *lines[1:]]


def _no_account(lines: Lines) -> Lines:
    head = json.loads(lines[0])
    del head["account"]["row"]
    return [_fields(lines[0], account=head["account"]), *lines[1:]]


def _swapped_rows(lines: Lines) -> Lines:
    head = json.loads(lines[0])
    return [
        _fields(lines[0], account=head["allotment"], allotment=head["account"]),
        *lines[1:],
    ]


LOOKED_FOR = "one was left out, put in, or changed"
DOCTORED: list[tuple[Callable[[Lines], Lines], str]] = [
    (_leave_out, LOOKED_FOR),
    (_leave_out_last, "Malformed|not JSON|truncated"),
    (_change_amount, LOOKED_FOR),
    (_void_a_bill, LOOKED_FOR),
    (_show_twice, "out of order"),
    (_swap, "out of order"),
    (_renumber, "lies elsewhere"),
    (_elsewhere, "lies elsewhere"),
    (_absent_page, "proof of presence|lead to the state root"),
    (_absent_with_rows, "a page that is not there has rows"),
    (_drop_page, "page 1 where 0 must come"),
    (_other_sibling, LOOKED_FOR),
    (_sibling_more, "more hashes than the ranges ask for"),
    (_more, "more lines"),
    (_wider_gone, "does not lead to the state root"),
    (_account_of_another, "the row is bills.account/33060126/3/0000004090"),
    (_no_account, "does not lead to the state root|a proof of presence|lies elsewhere"),
    (_swapped_rows, "the row is no bills.allotment"),
]


@pytest.mark.parametrize(
    ("doctor", "why"), DOCTORED, ids=[each.__name__.strip("_") for each, _ in DOCTORED]
)
def test_A1_a_doctored_file_is_refused(
    office: Office, doctor: Callable[[Lines], Lines], why: str
) -> None:
    office.close_all()
    lines = office.file().splitlines()
    assert len(lines) == 1 + 1 + 6 + 1 + 3
    with pytest.raises((VerificationFailed, Malformed), match=why):
        office.audit(b"\n".join([*doctor(lines), b""]))


def test_a_number_that_is_left_out_is_looked_for_where_it_must_be(office: Office) -> None:
    office.close_all()
    with pytest.raises(VerificationFailed) as refused:
        office.audit(b"\n".join([*_leave_out(office.file().splitlines()), b""]))
    assert "of the numbers 4090 to 4095 one was left out, put in, or changed" in str(refused.value)


def test_yesterdays_block_under_todays_checkpoint(office: Office) -> None:
    """Before the reversal, before the account: every proof is true, but of another moment."""
    old = office.file().splitlines()
    office.close_all()
    new = office.file().splitlines()
    head, now = json.loads(old[0]), json.loads(new[0])
    for changes in (
        {"checkpoint": now["checkpoint"]},
        {"checkpoint": now["checkpoint"], "allotment": now["allotment"]},
        {"checkpoint": now["checkpoint"], "account": now["account"]},
    ):
        lines = [_fields(old[0], **changes), *old[1:]]
        with pytest.raises(VerificationFailed):
            office.audit(b"\n".join([*lines, b""]))
    assert head["checkpoint"] != now["checkpoint"]
    mixed = [new[0], *old[1:]]
    with pytest.raises(VerificationFailed):
        office.audit(b"\n".join([*mixed, b""]))


def test_a_checkpoint_that_the_reader_does_not_accept(office: Office) -> None:
    office.close_all()
    lines = office.file().splitlines()
    alone = office.note(keeper=False).decode()
    with pytest.raises(VerificationFailed, match="no co-signature of finance"):
        office.audit(b"\n".join([_fields(lines[0], checkpoint=alone), *lines[1:], b""]))


def test_no_change_of_a_byte_passes(office: Office) -> None:
    office.close_all()
    data, chance = office.file(), random.Random(4)
    for _ in range(250):
        at = chance.randrange(len(data))
        other = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        try:
            found = office.audit(other)
        except TallystickError:
            continue
        note = json.loads(data.splitlines()[0])["checkpoint"]
        other_note = json.loads(other.splitlines()[0])["checkpoint"]
        assert note != other_note  # a signature that the policy does not ask for
        assert found.verdict is AuditVerdict.EXPLAINED


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b"x" * 600_000, b'{"format":"x"}\n'])
def test_what_is_no_such_file(office: Office, data: bytes) -> None:
    with pytest.raises(Malformed):
        office.audit(data)


def test_a_file_that_ends_early(office: Office) -> None:
    office.close_all()
    data = office.file()
    for end in (len(data) - 1, len(data) // 2):
        with pytest.raises((Malformed, VerificationFailed)):
            office.audit(data[:end])


# --------------------------------------------------------------------------------- from an export


def _export(office: Office, target: Path) -> Path:
    export_ledger(office.folder, target, note=office.note())
    return target


def test_an_export_is_audited_block_by_block_and_month_by_month(
    office: Office, tmp_path: Path
) -> None:
    office.close_all()
    below = office.ledger.head.size
    for org in ("hospital", "clinic"):
        item = Archived(nonce=office.nonce(), issuer=org, below=below)
        office.accept("finance", "bills.archived", item)
    office.at = parse_instant("2026-01-31T16:00:00Z")
    for org in ("hospital", "clinic"):
        with office.ledger.view() as view:
            tally = tally_period(view, org, TYPE, "2026-01", 28_800)
        period = AccountPeriod(
            nonce=office.nonce(), type=TYPE, month="2026-01", reviewer="finance", tally=tally
        )
        office.accept(org, "bills.account_period", period)
    office.accept_account(f"hospital/{TYPE}/2026-01", "finance")
    export = _export(office, tmp_path / "export")
    seen: list[int] = []
    with executed_again(export, office.policy(), province_rules(), seen.append) as (view, vouched):
        (block,) = audit_blocks(view, vouched, CODE, (3, FIRST))
        assert block == office.audit()
        assert block.verdict is AuditVerdict.EXPLAINED
        whole = {each.about: each.verdict for each in audit_blocks(view, vouched, CODE)}
        assert len(whole) == 7
        assert whole[allotment_id(CODE, 4, 4_099)] is AuditVerdict.EXPLAINED
        assert whole[allotment_id(CODE, 3, 1)] is AuditVerdict.UNEXPLAINED
        month = audit_month(view, vouched, "hospital", TYPE, "2026-01")
        assert month.verdict is AuditVerdict.EXPLAINED
        assert (month.tally.blue, month.tally.void) == (10, 1)
        waiting = audit_month(view, vouched, "clinic", TYPE, "2026-01")
        assert waiting.verdict is AuditVerdict.NOT_ACCEPTED
        with pytest.raises(VerificationFailed, match="no such block"):
            audit_blocks(view, vouched, CODE, (3, 7))
    assert seen == list(range(1, office.ledger.head.block + 1))


def test_sums_that_were_handed_on_are_added_up_again(office: Office, tmp_path: Path) -> None:
    office.close_all()
    office.at = parse_instant("2026-01-31T16:00:00Z")
    for org in ("hospital", "clinic"):
        with office.ledger.view() as view:
            tally = tally_period(view, org, TYPE, "2026-01", 28_800)
        item = AccountPeriod(
            nonce=office.nonce(), type=TYPE, month="2026-01", reviewer="clinic", tally=tally
        )
        if org == "hospital":
            office.accept(org, "bills.account_period", item)
            office.accept_account(f"hospital/{TYPE}/2026-01", "clinic")
    with office.ledger.view() as view:
        row = find_collected(view, "clinic", TYPE, "2026-01")
    assert row is not None
    upper = AccountPeriod(
        nonce=office.nonce(),
        type=TYPE,
        month="2026-01",
        reviewer="finance",
        tally=Tally(blue=row.blue, void=row.void, sums=row.sums, root=row.digest),
        includes=1,
    )
    office.accept("clinic", "bills.account_period", upper)
    office.accept_account(f"clinic/{TYPE}/2026-01", "finance")
    export = _export(office, tmp_path / "export")
    with executed_again(export, office.policy(), province_rules()) as (view, vouched):
        found = audit_month(view, vouched, "clinic", TYPE, "2026-01")
    assert found.verdict is AuditVerdict.EXPLAINED
    assert found.account is not None
    assert found.account.includes == 1


def test_what_is_no_export_that_anybody_vouches_for(office: Office, tmp_path: Path) -> None:
    export = _export(office, tmp_path / "export")
    rules = province_rules()
    other = replace(office.policy(), network=bytes(32))
    with (
        pytest.raises(VerificationFailed, match="another network"),
        executed_again(export, other, rules),
    ):
        pass
    bent = tmp_path / "bent"
    shutil.copytree(export, bent)
    (path,) = (bent / "blocks").iterdir()
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"total":10000', b'"total":10001', 1))
    with (
        pytest.raises(VerificationFailed, match="of block"),
        executed_again(bent, office.policy(), rules),
    ):
        pass
    short = tmp_path / "short"
    shutil.copytree(export, short)
    lengths = [block.block for block in FeedReader(short).blocks(0)]
    (path,) = (short / "blocks").iterdir()
    path.write_bytes(data[: len(data) * 3 // 4])
    with (
        pytest.raises(VerificationFailed, match="the blocks give a log of size"),
        executed_again(short, office.policy(), rules),
    ):
        pass
    assert len(lengths) == office.ledger.head.block
    (export / "checkpoint").unlink()
    with (
        pytest.raises(VerificationFailed, match="nobody vouches"),
        executed_again(export, office.policy(), rules),
    ):
        pass
    write_file(export / "checkpoint", office.note(keeper=False))
    with (
        pytest.raises(VerificationFailed, match="no co-signature"),
        executed_again(export, office.policy(), rules),
    ):
        pass
