"""An export becomes bills on a ledger, once, and every cent of it is accounted for."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthea_sample import Sample, uuid

from tallystick.apps.bills import synthea_ledger
from tallystick.apps.bills.drafting import Recipient
from tallystick.apps.bills.synthea import (
    CLAIMS_TO_COME,
    RECONCILIATION,
    ImportReport,
    import_synthea,
    preview_synthea,
    read_claims_to_come,
)
from tallystick.apps.bills.synthea_bills import import_types, insurer_id, organisation_id
from tallystick.apps.bills.synthea_ledger import (
    FINANCE,
    KEYS,
    OFFICES,
    ImportLedger,
    KeyFolder,
    NotPrepared,
    found_for_import,
)
from tallystick.apps.bills.synthea_plan import find_imported
from tallystick.apps.bills.synthea_read import read_export
from tallystick.apps.bills.synthea_reconcile import reconcile
from tallystick.apps.bills.synthea_table import ExportDamaged
from tallystick.contracts.bills.items.bills import SuspendIssuer
from tallystick.contracts.bills.records.bills import Allotment
from tallystick.contracts.bills.views.bills import find_bill, list_allotments
from tallystick.contracts.members.views import find_member, may
from tallystick.engines.clock import Clock
from tallystick.keyring import delivery_key_from_seed
from tallystick.node import Node
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Damaged
from tallystick.protocol.values import format_instant
from tallystick.vault.mail import collect, unpack

REAL = Path(__file__).parents[4] / "shared" / "data" / "synthea"
NORTH, SOUTH = organisation_id(uuid("North")), organisation_id(uuid("South"))


class World:
    """A ledger founded for imports, and a made-up export beside it."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "ledger"
        self.export = Sample().write(tmp_path / "export")
        self.keys = KeyFolder(self.folder / KEYS)
        self.node = found_for_import(self.folder, self.keys, Node.found, at=Clock().now())
        self.ledger = ImportLedger(self.node, self.folder, self.keys)

    def run(self, export: Path | None = None, **options: Any) -> ImportReport:
        return import_synthea(export or self.export, self.ledger, **options)

    @property
    def entries(self) -> int:
        """Of the log."""
        return self.node.ledger.head.size

    def allotments(self, org: str) -> list[Allotment]:
        with self.node.view() as view:
            return list(list_allotments(view, holder=org))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    with made.node:
        yield made


def test_an_export_becomes_bills_that_account_for_it(world: World) -> None:
    told: list[tuple[int, int]] = []
    report = world.run(progress=lambda done, total: told.append((done, total)))
    assert report.succeeded
    assert (report.issued, report.before, report.reconciliation.refusals) == (7, 0, ())
    assert (told[0], told[-1]) == ((0, 7), (7, 7))
    rows = {
        (row.organisation_name, row.bearer_name): (row.source, row.imported, dict(row.credits))
        for row in report.reconciliation.rows
    }
    assert rows == {
        ("North Hospital", "patients"): (10_000, 4_009, {"payment_above_charge": 5_991}),
        ("North Hospital", "Alpha"): (6_000, 6_000, {}),
        ("South Hospital", "patients"): (30_487, 30_486, {"both_halves_rounded_up": 1}),
        ("South Hospital", "Alpha"): (2_000, 2_000, {}),
        ("South Hospital", "Beta"): (19_160, 19_160, {}),
    }
    assert report.reconciliation.total("difference") == 0


def test_the_bills_stand_on_the_ledger_and_the_bodies_in_the_vaults(world: World) -> None:
    world.run()
    bills = find_imported(read_export(world.export), world.ledger)
    assert set(bills) == {uuid(f"c{n}") for n in range(1, 8)}
    with world.node.view() as view:
        rows = [find_bill(view, bill.bill) for bill in bills.values()]
        assert all(row and row.currency == "USD" and row.state == "issued" for row in rows)
        assert find_member(view, insurer_id(uuid("Beta"))) is not None
        now = Clock().now()
        assert may(view, NORTH, "bills.issue", now, world.ledger.code(330_691))
        assert not may(view, NORTH, "bills.issue", now, 33_060_126)
        assert not may(view, insurer_id(uuid("Beta")), "bills.issue", now)


def test_claims_to_come_are_kept_for_their_owner_alone(world: World) -> None:
    world.run()
    path = world.ledger.imports / CLAIMS_TO_COME
    kept = read_claims_to_come(path)
    assert [(each.issuer, each.amount) for each in kept] == [
        (NORTH, 6_000),
        (SOUTH, 6_000),
        (SOUTH, 2_000),
        (SOUTH, 13_160),
    ]
    bills = find_imported(read_export(world.export), world.ledger)
    assert {each.bill for each in kept} < {bill.bill for bill in bills.values()}
    for each in (path, path.with_name(RECONCILIATION)):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
    for folder in (world.ledger.imports, world.folder / OFFICES, world.folder / KEYS):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_report_for_programs_names_no_patient(world: World) -> None:
    report = world.run()
    text = (world.ledger.imports / RECONCILIATION).read_text(encoding="utf-8")
    assert json.loads(text) == report.document()
    assert report.document()["totals"]["source"] == 67_647
    assert "Quill7" not in text
    assert "999-00" not in text


def test_the_table_has_a_row_for_each_and_a_total(world: World) -> None:
    table = world.run().reconciliation.table()
    assert len(table) == 7
    assert {len(line) for line in table} == {8}
    assert table[-1] == ("total", "", "7", "676.47", "616.55", "59.92", "0.00", "0.00")


def test_importing_again_imports_nothing_twice(world: World) -> None:
    world.run()
    entries, kept = world.entries, (world.ledger.imports / CLAIMS_TO_COME).read_bytes()
    report = world.run()
    assert (report.succeeded, report.issued, report.before) == (True, 0, 7)
    assert world.entries == entries
    assert (world.ledger.imports / CLAIMS_TO_COME).read_bytes() == kept


def test_an_import_that_was_broken_off_goes_on_where_it_was(world: World) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.run(progress=stop)
    report = world.run()
    assert (report.succeeded, report.issued, report.before) == (True, 5, 2)
    assert len(read_claims_to_come(world.ledger.imports / CLAIMS_TO_COME)) == 4


def test_a_later_export_adds_what_is_new_and_gets_numbers_for_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthea_ledger, "BLOCK", 1)
    world.run()
    assert [(row.first, row.last) for row in world.allotments(NORTH)] == [(1, 2)]
    sample = Sample()
    sample.claim("new", "v1", [("charge", 300), ("pay", 300)])
    report = world.run(sample.write(tmp_path / "later"))
    assert (report.succeeded, report.issued, report.before) == (True, 1, 7)
    assert [row.last - row.first for row in world.allotments(NORTH)] == [1, 0]


def test_claims_to_come_of_another_export_stay(world: World, tmp_path: Path) -> None:
    world.run()
    other = Sample()
    text = {path.name: path.read_text() for path in other.write(tmp_path / "other").iterdir()}
    for n in range(1, 8):  # the same people and hospitals, other claims
        text = {
            name: each.replace(uuid(f"c{n}"), uuid(f"other {n}")) for name, each in text.items()
        }
    for name, each in text.items():
        (tmp_path / "other" / name).write_text(each)
    report = world.run(tmp_path / "other")
    assert (report.succeeded, report.issued) == (True, 7)
    assert len(read_claims_to_come(world.ledger.imports / CLAIMS_TO_COME)) == 8


def test_a_dry_run_leaves_no_trace_and_says_the_same(world: World) -> None:
    before = sorted(world.folder.rglob("*"))
    report = world.run(dry_run=True)
    assert (report.succeeded, report.issued, report.ledger_asked) == (True, 7, False)
    assert world.entries == 0
    assert not (world.folder / OFFICES).exists()
    assert [path for path in sorted(world.folder.rglob("*")) if path not in before] == []
    preview = preview_synthea(world.export)
    assert preview.document() == report.document()
    done = world.run()
    assert done.reconciliation.rows == report.reconciliation.rows
    after = world.run(dry_run=True)
    assert (after.issued, after.before, after.ledger_asked) == (0, 7, True)


def test_the_ledger_rehearses_when_it_can(world: World, tmp_path: Path) -> None:
    world.run()
    sample = Sample()
    sample.claim("new", "v1", [("charge", 300), ("pay", 300)])
    entries = world.entries
    report = world.run(sample.write(tmp_path / "later"), dry_run=True)
    assert (report.issued, report.ledger_asked, report.succeeded) == (1, True, True)
    assert world.entries == entries


def test_a_damaged_export_imports_nothing(world: World) -> None:
    path = world.export / "claims_transactions.csv"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ExportDamaged, match=r"claims_transactions.csv, line 28"):
        world.run()
    assert world.entries == 0
    assert not (world.folder / OFFICES).exists()


def test_a_refusal_is_named_and_is_no_failure(world: World) -> None:
    """Here finance had defined the type beforehand, without bills of nothing."""
    reference = import_types()["inpatient"]
    item = reference.define(nonce=bytes(16), valid_from=format_instant(Clock().now()))
    stricter = replace(item, rules=replace(item.rules, zero_total=False))
    signer = world.keys.signer(FINANCE)
    world.node.act(signer, FINANCE, "bills.define_type/1", [stricter])
    report = world.run()
    assert (report.succeeded, report.issued) == (True, 6)
    (refusal,) = report.reconciliation.refusals
    assert str(refusal) == (f"claims.csv, line 5, claim {uuid('c4')}: bills.zero_total at total")
    rows = [row for row in report.reconciliation.rows if row.refused]
    assert [(row.organisation, row.refused) for row in rows] == [(SOUTH, {"bills.zero_total": 0})]
    assert world.run().reconciliation.refusals == report.reconciliation.refusals


def test_what_the_ledger_alone_refuses_is_named_too(world: World) -> None:
    world.run()
    export = Sample()
    export.claim("new", "v1", [("charge", 300), ("pay", 300)])
    signer = world.keys.signer(FINANCE)
    suspend = SuspendIssuer(nonce=bytes(16), issuer=NORTH, reason="overdue")
    world.node.act(signer, FINANCE, "bills.suspend_issuer/1", [suspend])
    report = world.run(export.write(world.export))
    assert report.succeeded
    assert [each.reason for each in report.reconciliation.refusals] == ["bills.issuer_suspended"]
    rows = [row for row in report.reconciliation.rows if row.refused]
    assert [(row.bearer_name, row.refused) for row in rows] == [
        ("patients", {"bills.issuer_suspended": 0}),
        ("Alpha", {"bills.issuer_suspended": 300}),
    ]


def test_a_difference_is_a_failure(world: World) -> None:
    world.run()
    export = read_export(world.export)
    totals = {claim: bill.total for claim, bill in find_imported(export, world.ledger).items()}
    kept = read_claims_to_come(world.ledger.imports / CLAIMS_TO_COME)
    assert reconcile(export, totals, kept, ()).reconciled
    assert not reconcile(export, totals | {uuid("c1"): 9_999}, kept, ()).reconciled
    assert not reconcile(export, totals, kept[1:], ()).reconciled
    moved = [replace(kept[0], amount=5_999), *kept[1:]]
    assert not reconcile(export, totals, moved, ()).reconciled
    del totals[uuid("c4")]  # a bill of nothing: no money is missing, and yet a bill
    assert not reconcile(export, totals, kept, ()).reconciled
    stranger = replace(kept[0], reimburser=insurer_id(uuid("Beta")))
    with pytest.raises(Damaged):
        reconcile(export, totals, [stranger], ())


def test_a_member_whose_key_is_elsewhere_is_named(world: World) -> None:
    world.run()
    keys = KeyFolder(world.folder / "other")
    elsewhere = ImportLedger(world.node, world.folder, keys)
    with pytest.raises(NotPrepared, match=f"{NORTH}.json is not in keys/"):
        import_synthea(world.export, elsewhere)
    keys.signer(NORTH)
    with pytest.raises(NotPrepared, match="the key here is not its"):
        import_synthea(world.export, elsewhere)


def test_without_finances_authority_nobody_is_admitted(world: World) -> None:
    world.run()
    ledger = ImportLedger(world.node, world.folder, world.keys, finance=NORTH)
    sample = Sample()
    sample.row("payers.csv", 0)["Id"] = uuid("Gamma")
    for file, column in (
        ("encounters.csv", "PAYER"),
        ("claims.csv", "PRIMARYPATIENTINSURANCEID"),
        ("claims.csv", "SECONDARYPATIENTINSURANCEID"),
    ):
        for row in sample.tables[file]:
            row[column] = row[column].replace(uuid("Alpha"), uuid("Gamma"))
    entries = world.entries
    with pytest.raises(NotPrepared, match="holds no grant"):
        import_synthea(sample.write(world.export), ledger)
    assert world.entries == entries


def test_keys_under_a_passphrase_are_made_and_used(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path, "open sesame")
    made = keys.signer("hosp")
    assert keys.signer("hosp") is made
    again = KeyFolder(tmp_path, "open sesame")
    assert again.signer("hosp").public_key == made.public_key
    assert again.vault_key("hosp").public_key == keys.vault_key("hosp").public_key


def test_bodies_are_delivered_to_finances_archive_where_there_is_one(world: World) -> None:
    key = delivery_key_from_seed(bytes(range(32)))
    mailbox = world.folder / "mailbox"
    world.ledger = ImportLedger(
        *(world.node, world.folder, world.keys),
        archive=Recipient(FINANCE, key.public_key),
        mailbox=mailbox,
    )
    world.run()
    sealed = [one for letter in collect(mailbox) for one in unpack(letter.data)]
    assert len(sealed) == 7
    assert all(b"Quill7" not in one for one in sealed)


# ------------------------------------------------------------------------------ the real export


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the Synthea sample is not at {REAL.parts[-3:]}")
def test_the_real_export_reconciles(world: World) -> None:
    export = read_export(REAL)
    assert (len(export.claims), len(export.used), len(export.organisations)) == (1_267, 51, 63)
    assert sum(claim.charged == 0 for claim in export.claims) == 49
    assert sum(len(claim.charges) > 18 for claim in export.claims) == 2
    assert sum("1" not in claim.bearers for claim in export.claims) == 216
    report = world.run(REAL)
    account = report.reconciliation
    assert report.succeeded
    assert (report.issued, account.refusals) == (1_267, ())
    assert (account.claims_with_credit, account.total("credits")) == (190, 1_110_122)
    assert (account.total("source"), account.total("imported")) == (110_350_395, 109_240_273)
    assert account.charged == account.billed == 109_240_273
    assert len({row.organisation for row in account.rows}) == 51
    kept = read_claims_to_come(world.ledger.imports / CLAIMS_TO_COME)
    assert sum(each.amount for each in kept) == 1_547_358
    again = world.run(REAL)
    assert (again.succeeded, again.issued, again.before) == (True, 0, 1_267)
