"""A claim becomes a bill that its type's rules accept, and its money is shared out to the cent."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthea_sample import Sample, Step, uuid

from tallystick.apps.bills.synthea_bills import (
    Place,
    claims_to_come,
    import_types,
    insurer_id,
    make_body,
    organisation_id,
    parts_of,
    setting_of,
    synthea_organisations,
    total_of,
)
from tallystick.apps.bills.synthea_read import read_export
from tallystick.apps.bills.synthea_records import Claim, Export
from tallystick.contracts.bills.actions.catalogue import check_rules
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import TypeRules
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected


@pytest.fixture
def sample() -> Sample:
    return Sample()


def read(sample: Sample, folder: Path) -> Export:
    return read_export(sample.write(folder))


def body_of(export: Export, claim: Claim, rules: TypeRules | None = None) -> Body:
    kind = import_types()[setting_of(claim)]
    place = Place(bytes(32), kind.code(2026), 7, "2026-02-01T10:00:00Z", kind.entry.template)
    issuer = export.organisations[claim.encounter.organisation]
    return make_body(claim, issuer, place, rules or kind.rules)


def last_claim(sample: Sample, folder: Path, *charges: list[Step]) -> tuple[Export, Claim]:
    """One more claim of the uninsured, all of the same code as its visit."""
    sample.claim("extra", "v2", *charges)
    for row in sample.tables["claims_transactions.csv"]:
        if row["CLAIMID"] == uuid("extra"):
            row["PROCEDURECODE"] = "185345009"
    export = read(sample, folder)
    return export, export.claims[-1]


def test_the_types_are_sound_and_stand_beside_a_provinces() -> None:
    types = import_types()
    for each in types.values():
        check_rules(each.rules)
        assert "USD" in each.rules.currencies
        assert each.rules.max_items >= 40
    assert len({each.type_id for each in types.values()}) == 2


def test_every_claim_becomes_a_bill_paid_by_the_patient(sample: Sample, tmp_path: Path) -> None:
    export = read(sample, tmp_path)
    for claim in export.claims:
        body = body_of(export, claim)
        assert body.total == total_of(claim) == body.payment.sources.cash
        assert body.business_codes == (claim.uuid,)
        assert body.issuer == organisation_id(claim.encounter.organisation)
        assert (body.currency, body.issued_at) == ("USD", "2026-02-01T10:00:00Z")
        assert body.medical is not None
        assert body.medical.visit_on == "1968-02-03"


def test_a_stay_names_its_days_and_its_lines(sample: Sample, tmp_path: Path) -> None:
    export = read(sample, tmp_path)
    body = body_of(export, export.claims[2])
    assert body.medical is not None
    assert body.medical.setting == "inpatient"
    assert (body.medical.admitted_on, body.medical.discharged_on) == ("1968-02-03", "1968-02-05")
    assert body.medical.gender == "male"
    assert [(line.code, line.amount) for line in body.items] == [("02", 25_000), ("14", 700)]
    assert [line.code for line in body.details] == ["185345009", "x9"]
    assert (body.payer.name, body.payer.id_type) == ("Bob Quill7", "other")


def test_a_patient_without_a_number_has_none_on_the_bill(sample: Sample, tmp_path: Path) -> None:
    sample.row("patients.csv", 0)["SSN"] = ""
    export = read(sample, tmp_path)
    payer = body_of(export, export.claims[0]).payer
    assert (payer.id_type, payer.id_number) == (None, "")


def test_an_adjustment_is_a_discount_on_the_whole_bill(sample: Sample, tmp_path: Path) -> None:
    export = read(sample, tmp_path)
    body = body_of(export, export.claims[6])
    assert (body.discount, body.total) == (100, 400)


def test_insurers_parts_are_claims_to_come(sample: Sample, tmp_path: Path) -> None:
    export = read(sample, tmp_path)
    kept = [
        each for claim in export.claims for each in claims_to_come(claim, "33069126:0000000001")
    ]
    assert [(each.claim, each.reimburser, each.rank, each.amount) for each in kept] == [
        (uuid("c1"), insurer_id(uuid("Alpha")), 1, 6_000),
        (uuid("c5"), insurer_id(uuid("Beta")), 1, 6_000),
        (uuid("c5"), insurer_id(uuid("Alpha")), 2, 2_000),
        (uuid("c6"), insurer_id(uuid("Beta")), 1, 13_160),
    ]


def test_the_parts_of_a_claim_add_up_to_its_bill(sample: Sample, tmp_path: Path) -> None:
    for claim in read(sample, tmp_path).claims:
        assert sum(part.net for part in parts_of(claim)) == total_of(claim)


def test_a_negative_charge_is_netted_with_the_latest_of_its_code(
    sample: Sample, tmp_path: Path
) -> None:
    charges: list[list[Step]] = [[("charge", 900)], [("charge", 1_000)], [("charge", -300)]]
    for charge in charges:
        charge.append(("pay", charge[0][1]))
    export, claim = last_claim(sample, tmp_path, *charges)
    body = body_of(export, claim)
    assert [line.amount for line in body.items] == [900, 700]
    assert (body.total, body.items[1].quantity_e4) == (1_600, 0)


def test_a_negative_charge_that_nothing_can_carry_is_refused(
    sample: Sample, tmp_path: Path
) -> None:
    export, claim = last_claim(
        sample, tmp_path, [("charge", 100), ("pay", 100)], [("charge", -30), ("pay", -30)]
    )
    lines = replace_code(claim)
    with pytest.raises(Rejected) as caught:
        body_of(export, lines)
    assert caught.value.reason == BillsReason.NEGATIVE_LINE
    assert caught.value.path == "items/1/amount"


def replace_code(claim: Claim) -> Claim:
    """The second charge of another code than the first."""
    claim.charges[1].code = "other"
    return claim


def test_who_got_back_more_than_they_bore_has_no_bill(sample: Sample, tmp_path: Path) -> None:
    export, claim = last_claim(
        sample, tmp_path, [("charge", 100), ("pay", 100)], [("charge", -300), ("pay", -300)]
    )
    with pytest.raises(Rejected) as caught:
        body_of(export, claim)
    assert caught.value.reason == BillsReason.NEGATIVE_LINE
    assert caught.value.path == "payment/sources"


def test_a_bill_of_nothing_follows_its_types_rule(sample: Sample, tmp_path: Path) -> None:
    export = read(sample, tmp_path)
    nothing = export.claims[3]
    rules = import_types()["inpatient"].rules
    assert body_of(export, nothing).total == 0
    with pytest.raises(Rejected) as caught:
        body_of(export, nothing, replace(rules, zero_total=False))
    assert caught.value.reason == BillsReason.ZERO_TOTAL


def test_a_type_may_ask_for_inpatient_sums_and_against_a_split(
    sample: Sample, tmp_path: Path
) -> None:
    export = read(sample, tmp_path)
    rules = replace(import_types()["inpatient"].rules, inpatient_sums=True, liability="absent")
    payment = body_of(export, export.claims[2], rules).payment
    assert payment.liability is None
    assert payment.inpatient is not None
    assert payment.inpatient.recharged == 25_700


def test_who_must_be_a_member_is_said_beforehand(sample: Sample, tmp_path: Path) -> None:
    everyone = synthea_organisations(read(sample, tmp_path))
    assert everyone.issuers == {
        organisation_id(uuid("North")): "North Hospital",
        organisation_id(uuid("South")): "South Hospital",
    }
    assert list(everyone.insurers.values()) == ["Alpha", "Beta"]
