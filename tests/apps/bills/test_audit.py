"""The offline audit of a block and of a month: out of a block's file, and out of an export."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from audited import FIRST, ID, TYPE, Office
from province import CODE
from world import province_rules

from tallystick.apps.bills import audit_file
from tallystick.apps.bills.audit import AuditVerdict, audit_blocks, audit_month, executed_again
from tallystick.contracts.bills.items.accounts import AccountBlock, AccountPeriod
from tallystick.contracts.bills.items.bills import Allot, Archived, Block
from tallystick.contracts.bills.records.accounts import Tally
from tallystick.contracts.bills.records.bills import allotment_id
from tallystick.contracts.bills.views.accounts import find_collected, tally_block, tally_period
from tallystick.durable import write_file
from tallystick.ledger.feed import FeedReader
from tallystick.ledger.portable import export_ledger
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.values import parse_instant


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
    office.close(4, 4_099, reviewer="finance")
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
    office.close(4, 4_099, reviewer="finance")
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


def test_a_block_that_no_file_could_show_is_audited_out_of_an_export(office: Office) -> None:
    top = replace(office.block_row(), first=1, last=9_999_999_999, gone=[])
    with pytest.raises(Malformed, match="audit an export"):
        audit_file.pages_of(audit_file.shown_ranges(top))


def test_the_file_shows_nothing_of_neighbours_and_children(office: Office) -> None:
    office.close_all()
    data = office.file()
    for number in (4_000, 4_099, 4_100, 4_106):
        assert f"{CODE}:{number:010d}".encode() not in data
    assert b"clinic" not in data


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
