"""Insurers reimburse what was imported: once, in order, and to the cent of the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from synthea_sample import Sample, uuid

from tallystick.apps.bills.acts import Reversal
from tallystick.apps.bills.synthea import import_synthea
from tallystick.apps.bills.synthea_archive import MAILBOX
from tallystick.apps.bills.synthea_bills import import_types, insurer_id, organisation_id
from tallystick.apps.bills.synthea_claiming import Claiming
from tallystick.apps.bills.synthea_claims import (
    Ask,
    SourceClaim,
    plan_asks,
    read_kept,
    write_kept,
)
from tallystick.apps.bills.synthea_coverage import read_coverage
from tallystick.apps.bills.synthea_ledger import (
    FINANCE,
    KEYS,
    ImportLedger,
    KeyFolder,
    NotPrepared,
    found_for_import,
)
from tallystick.apps.bills.synthea_plan import find_imported
from tallystick.apps.bills.synthea_read import read_export
from tallystick.apps.bills.synthea_reimburse import (
    claim_synthea,
    has_coverage,
    ledger_for_claims,
    preview_claims,
    report_synthea,
)
from tallystick.apps.bills.synthea_report import ASKS, SOURCE, Account
from tallystick.apps.bills.synthea_table import ExportDamaged
from tallystick.apps.bills.synthea_wallets import SECRET
from tallystick.contracts.bills.items.bills import Release, Withhold
from tallystick.contracts.bills.items.claims import ClawBack
from tallystick.contracts.bills.records.bills import Bill, parse_bill_id
from tallystick.contracts.bills.records.claims import Claim
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.contracts.bills.views.claims import find_claims, find_plan
from tallystick.engines.clock import Clock
from tallystick.node import Node
from tallystick.protocol.canonical import replace
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.values import format_instant
from tallystick.vault.letterbox import WALLETS
from tallystick.vault.mail import collect, unpack

REAL = Path(__file__).parents[4] / "shared" / "data" / "synthea"
NORTH, SOUTH = organisation_id(uuid("North")), organisation_id(uuid("South"))
ALPHA, BETA, GAMMA = (insurer_id(uuid(name)) for name in ("Alpha", "Beta", "Gamma"))


class Reimbursed:
    """A ledger with finance's archive, and an export beside it."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "ledger"
        self.export = Sample().write(tmp_path / "export")
        self.keys = KeyFolder(self.folder / KEYS)
        self.node = found_for_import(self.folder, self.keys, Node.found, at=Clock().now())
        self.ledger = ledger_for_claims(self.node, self.folder, self.keys)

    def run(self, sample: Sample | None = None, **options: Any) -> Account:
        """Import and reimburse."""
        if sample is not None:
            sample.write(self.export)
        report = import_synthea(self.export, self.ledger)
        assert report.succeeded
        refusals = report.reconciliation.refusals
        return claim_synthea(self.export, self.ledger, refusals, **options)

    def bill(self, claim: str) -> Bill:
        bills = find_imported(read_export(self.export), self.ledger)
        with self.node.view() as view:
            found = find_bill(view, bills[uuid(claim)].bill)
        assert found is not None
        return found

    def claims(self, claim: str) -> list[Claim]:
        bill = self.bill(claim)
        with self.node.view() as view:
            return find_claims(view, bill)

    def act(self, org: str, action: str, item: Any) -> None:
        done = self.node.act(self.keys.held(org), org, action, [item])
        assert list(done.outcomes) == [ACCEPTED]

    @property
    def entries(self) -> int:
        return self.node.ledger.head.size


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Reimbursed]:
    made = Reimbursed(tmp_path)
    with made.node:
        yield made


def lines(group: Sequence[Any]) -> dict[str, tuple[int, ...]]:
    """Each with source, settled, transferred, copay, credits and refused."""
    return {
        line.name: (
            *(line.source, line.settled, line.transferred),
            *(line.copay, line.credits, line.refused),
        )
        for line in group
    }


def with_gamma() -> Sample:
    """Gamma insured Ann until ten days before."""
    sample = Sample()
    sample.tables["payers.csv"].insert(2, {"Id": uuid("Gamma"), "NAME": "Gamma", "PHONE": ""})
    spans = sample.tables["payer_transitions.csv"]
    spans.insert(0, spans[0] | {"PAYER": uuid("Gamma"), "SECONDARY_PAYER": ""})
    spans[0]["END_YEAR"] = spans[1]["START_YEAR"] = "1968-01-24T00:00:00Z"
    return sample


def asked(sample: Sample, folder: Path, claim: str) -> list[tuple[object, ...]]:
    export = read_export(sample.write(folder))
    coverage = read_coverage(folder, export)
    (found,) = (each for each in export.claims if each.uuid == uuid(claim))
    asks = plan_asks(export, found, coverage, "33069126:0000000001")
    return [(each.reimburser, each.answer, each.asked, each.amount, each.reason) for each in asks]


def test_who_is_asked_and_what_each_answers(tmp_path: Path) -> None:
    sample = Sample()
    assert asked(sample, tmp_path, "c1") == [(ALPHA, "settle", 10_000, 6_000, "patient_share")]
    assert asked(sample, tmp_path, "c2") == [(ALPHA, "settle", 9, 0, "copay")]
    assert asked(sample, tmp_path, "c3") == [(ALPHA, "reject", 25_700, 0, "not_covered")]
    assert asked(sample, tmp_path, "c4") == [], "nothing was charged"
    assert asked(sample, tmp_path, "c5") == [
        (BETA, "settle", 8_000, 6_000, "patient_share"),
        (ALPHA, "settle", 2_000, 2_000, None),
    ]
    assert asked(sample, tmp_path, "c7") == [(BETA, "settle", 400, 0, "deductible")]


def test_who_is_first_and_second_insurer_at_once_is_asked_once(world: Reimbursed) -> None:
    sample = Sample()
    sample.row("claims.csv", 4)["SECONDARYPATIENTINSURANCEID"] = uuid("Beta")
    account = world.run(sample)
    assert account.reconciled
    (claim,) = world.claims("c5")
    assert (claim.reimburser, claim.amounts) == (BETA, {"settled": 8_000})


def test_a_former_insurer_is_asked_last(tmp_path: Path) -> None:
    sample = with_gamma()
    assert asked(sample, tmp_path, "c1")[1:] == [(GAMMA, "reject", 4_000, 0, "not_covered")]
    assert asked(sample, tmp_path, "c5")[2:] == [(GAMMA, "waive", 0, 0, "nothing_left")]


def test_every_cent_of_the_source_is_settled_or_accounted_for(world: Reimbursed) -> None:
    told: list[tuple[int, int]] = []
    account = world.run(progress=lambda done, total: told.append((done, total)))
    assert account.reconciled
    assert lines(account.insurers) == {
        "patients": (40_487, 0, 32_486, 2_009, 5_992, 0),
        "Alpha": (8_000, 8_000, 0, 0, 0, 0),
        "Beta": (19_160, 19_160, 0, 0, 0, 0),
    }
    assert dict(account.answers) == {
        "rejected:not_covered": 1,
        "settled": 1,
        "settled:copay": 1,
        "settled:deductible": 1,
        "settled:patient_share": 3,
    }
    assert (told[0], told[-1]) == ((0, 7), (7, 7))


def test_the_ledger_has_the_claims_of_each_bill(world: Reimbursed) -> None:
    world.run()
    found = [
        (each.reimburser, each.state, each.amounts.get("settled", 0), each.reason)
        for each in world.claims("c5")
    ]
    assert found == [(BETA, "settled", 6_000, "patient_share"), (ALPHA, "settled", 2_000, None)]
    (rejected,) = world.claims("c3")
    assert (rejected.reimburser, rejected.state) == (ALPHA, "rejected")
    bill = world.bill("c5")
    assert (bill.bound, bill.lock, bill.amounts["settled"]) == (0, None, 8_000)
    with world.node.view() as view:
        plan = find_plan(view, bill.id)
    assert plan is not None
    assert [(each.reimburser, each.rank, each.state) for each in plan.shares] == [
        (BETA, 1, "accepted"),
        (ALPHA, 2, "accepted"),
    ]


def test_reimbursing_again_enters_nothing(world: Reimbursed) -> None:
    first = world.run()
    entries = world.entries
    assert world.run().document() == first.document()
    assert world.entries == entries


def test_a_run_that_was_broken_off_goes_on_with_its_own_locks(
    world: Reimbursed, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Claiming._send

    def stop(self: Claiming, action: str, *arguments: Any) -> None:
        if action == "bills.settle/1":
            raise KeyboardInterrupt
        send(self, action, *arguments)

    monkeypatch.setattr(Claiming, "_send", stop)
    with pytest.raises(KeyboardInterrupt):
        world.run()
    locked = world.bill("c1").lock
    assert locked is not None
    half = report_synthea(world.ledger)
    assert not half.reconciled, "what is not answered is not accounted for"
    assert half.answers["unanswered"] == 7
    monkeypatch.setattr(Claiming, "_send", send)
    assert world.run().reconciled
    assert world.bill("c1").lock is None


def test_a_later_export_is_claimed_beside_the_first(world: Reimbursed) -> None:
    world.run()
    sample = Sample()
    sample.claim("new", "v1", [("charge", 300), ("pay", 300)])
    account = world.run(sample)
    assert account.reconciled
    assert lines(account.insurers)["Alpha"] == (8_300, 8_300, 0, 0, 0, 0)
    assert account.total.claims == 8


def test_former_insurers_reject_or_waive_in_their_turn(world: Reimbursed) -> None:
    account = world.run(with_gamma())
    assert account.reconciled
    assert account.answers["waived:nothing_left"] == 1
    assert [(each.reimburser, each.state) for each in world.claims("c1")] == [
        (ALPHA, "settled"),
        (GAMMA, "rejected"),
    ]
    assert lines(account.insurers)["Gamma"] == (0, 0, 0, 0, 0, 0)
    assert {line.name for line in account.standings} == {"changed", "gap"}


def test_an_insurer_that_did_not_cover_the_patient_pays_nothing(world: Reimbursed) -> None:
    sample = Sample()
    sample.row("payer_transitions.csv", 0)["SECONDARY_PAYER"] = ""
    account = world.run(sample)
    assert account.reconciled
    (alpha,) = (line for line in account.insurers if line.name == "Alpha")
    assert alpha.refusals == {"not_covered": 8_000}
    (named,) = (line for line in account.standings if line.name == "not_covered")
    assert named.refused == 8_000
    assert world.bill("c1").amounts.get("settled", 0) == 0


def test_what_the_ledger_refuses_is_named_and_claimed_when_it_may_be(world: Reimbursed) -> None:
    import_synthea(world.export, world.ledger)
    bill = world.bill("c1")
    withhold = Withhold(nonce=bytes(16), bill=bill.id, version=bill.version, reason="arrears")
    world.act(NORTH, "bills.withhold/1", withhold)
    account = world.run()
    assert account.reconciled, "a refusal is no difference"
    (alpha,) = (line for line in account.insurers if line.name == "Alpha")
    assert alpha.refusals == {"bills.claim_not_circulable": 6_000}
    assert account.answers["refused:bills.claim_not_circulable"] == 1
    bill = world.bill("c1")
    release = Release(nonce=bytes(16), bill=bill.id, version=bill.version, reason="paid")
    world.act(NORTH, "bills.release/1", release)
    assert lines(world.run().insurers)["Alpha"] == (8_000, 8_000, 0, 0, 0, 0)


def test_a_claim_that_is_no_bill_is_refused_for_all_who_bore_it(world: Reimbursed) -> None:
    reference = import_types()["outpatient"]
    item = reference.define(nonce=bytes(16), valid_from=format_instant(Clock().now()))
    stricter = replace(item, rules=replace(item.rules, item_codes=("02", "05", "09")))
    world.node.act(world.keys.held(FINANCE), FINANCE, "bills.define_type/1", [stricter])
    account = world.run()
    assert account.reconciled
    assert account.total.refusals == {"bills.item_unknown": 400}


def test_what_a_reversal_takes_back_is_told_and_changes_no_balance(world: Reimbursed) -> None:
    world.run()
    bill = world.bill("c1")
    with world.ledger.open_office(NORTH) as office:
        code, number = parse_bill_id(bill.id)
        (done,) = office.reverse([Reversal(code=code, number=number, reason="refund")])
        assert done.accepted
    (claim,) = world.claims("c1")
    assert claim.amounts["due"] == 6_000
    claw = ClawBack(
        nonce=bytes(16),
        bill=bill.id,
        ordinal=0,
        amount=6_000,
        how="recovered",
        decision=bytes(32),
    )
    world.act(ALPHA, "bills.claw_back/1", claw)
    account = report_synthea(world.ledger)
    assert account.reconciled
    assert account.total.taken_back == 6_000


def test_bills_that_were_imported_without_an_archive_are_archived_first(world: Reimbursed) -> None:
    plain = ImportLedger(world.node, world.folder, world.keys)
    assert import_synthea(world.export, plain).succeeded
    assert not (world.folder / MAILBOX).exists()
    account = world.run()
    assert account.reconciled
    assert not account.total.refused
    assert world.bill("c1").bound == 1, "its wallet had no address when it was issued"


def test_bills_come_to_wallets_without_an_act_of_theirs(world: Reimbursed) -> None:
    world.run()
    boxes = list((world.folder / MAILBOX / WALLETS).iterdir())
    assert len(boxes) == 3, "Ann's at two hospitals, Bob's at one"
    assert sum(len(unpack(letter.data)) for box in boxes for letter in collect(box)) == 7


def test_who_shares_a_number_has_no_address_and_binds(world: Reimbursed) -> None:
    sample = Sample()
    sample.row("patients.csv", 1)["SSN"] = sample.row("patients.csv", 0)["SSN"]
    assert world.run(sample).reconciled
    assert not (world.folder / MAILBOX / WALLETS).exists()
    assert [world.bill(claim).bound for claim in ("c1", "c3", "c4")] == [1, 1, 0]


def test_a_bill_that_its_wallet_does_not_hold_is_not_claimed(world: Reimbursed) -> None:
    """Its holder's wallet is elsewhere: the import plays another."""
    import_synthea(world.export, world.ledger)
    (world.keys.folder / f"{SECRET}-vault.json").unlink()
    keys = KeyFolder(world.keys.folder)
    other = ledger_for_claims(world.node, world.folder, keys)
    account = claim_synthea(world.export, other, ())
    assert account.reconciled
    assert set(account.total.refusals) == {"bills.holder_key"}
    assert account.total.settled == 0


def test_a_difference_is_seen_wherever_it_is(world: Reimbursed) -> None:
    world.run()
    path = world.ledger.imports / SOURCE
    kept = read_kept(path, SourceClaim)
    for n, part in ((0, 0), (0, 1)):
        parts = list(kept[n].parts)
        parts[part] = replace(parts[part], borne=parts[part].borne + 1)
        write_kept(path, [replace(kept[n], parts=parts), *kept[1:]])
        account = report_synthea(world.ledger)
        assert not account.reconciled
        assert account.differing_patients == 1
        assert account.total.difference == 1
    write_kept(path, kept)
    assert report_synthea(world.ledger).reconciled


def test_an_ask_is_kept_under_one_number(world: Reimbursed) -> None:
    world.run()
    path = world.ledger.imports / ASKS
    before = read_kept(path, Ask)
    world.run()
    assert read_kept(path, Ask) == before
    assert len({each.nonce for each in before}) == len(before) == 7


def test_the_report_names_no_patient(world: Reimbursed) -> None:
    text = str(world.run().document())
    assert "Quill7" not in text
    assert uuid("Ann") not in text


def test_an_insurer_whose_key_is_elsewhere_is_named(world: Reimbursed) -> None:
    report = import_synthea(world.export, world.ledger)
    (world.keys.folder / f"{BETA}.json").unlink()
    elsewhere = ImportLedger(world.node, world.folder, KeyFolder(world.keys.folder))
    with pytest.raises(NotPrepared, match=f"{BETA}.json is not in keys/"):
        claim_synthea(world.export, elsewhere, report.reconciliation.refusals)


def test_a_preview_needs_no_ledger_and_reads_all(tmp_path: Path) -> None:
    export = Sample().write(tmp_path)
    assert has_coverage(export)
    assert preview_claims(export) == {
        "nothing_charged": 1,
        "reject:not_covered": 1,
        "settle": 1,
        "settle:copay": 1,
        "settle:deductible": 1,
        "settle:patient_share": 3,
    }
    path = export / "payer_transitions.csv"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ExportDamaged):
        preview_claims(export)
    path.unlink()
    assert not has_coverage(export)


# ------------------------------------------------------------------------------ the real export


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the Synthea sample is not at {REAL.parts[-3:]}")
def test_the_real_export_is_reimbursed_to_the_cent(world: Reimbursed) -> None:
    world.export = REAL
    account = world.run()
    assert account.reconciled
    assert dict(account.answers) == {
        "rejected:not_covered": 42,
        "settled": 4,
        "settled:copay": 195,
        "settled:deductible": 662,
        "settled:patient_share": 160,
    }
    (total,) = lines([account.total]).values()
    assert total == (110_350_395, 1_547_358, 105_949_036, 1_743_879, 1_110_122, 0)
    assert (len(account.organisations), len(account.insurers), len(account.patients)) == (51, 9, 27)
    assert {line.name: line.claims for line in account.standings} == {
        "insured": 1_004,
        "insured_twice": 19,
        "changed": 28,
        "gap": 17,
        "uninsured": 199,
    }
