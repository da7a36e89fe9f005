"""Who insured whom when, and what an export may not say of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthea_sample import Sample, uuid

from tallystick.apps.bills.synthea_coverage import Coverage, Span, read_coverage
from tallystick.apps.bills.synthea_read import read_export
from tallystick.apps.bills.synthea_table import ExportDamaged

DAY = 86_400


def read(sample: Sample, folder: Path) -> Coverage:
    export = sample.write(folder)
    return read_coverage(export, read_export(export))


def test_spans_are_half_open_and_of_any_year() -> None:
    coverage = Coverage({"p": (Span(-10, 0, "a", "b"), Span(0, 10, None, None))})
    assert coverage.on("p", -11) == ()
    assert coverage.on("p", -10) == coverage.on("p", -1) == ("a", "b")
    assert coverage.on("p", 0) == coverage.on("q", -5) == ()


def test_near_is_thirty_days_either_way_by_time_without_who_covers() -> None:
    coverage = Coverage(
        {
            "p": (
                Span(-100 * DAY, -30 * DAY + 1, "early", None),
                Span(-30 * DAY + 1, 5 * DAY, "now", None),
                Span(5 * DAY, 5 * DAY, "never", None),
                Span(5 * DAY, 30 * DAY, "soon", "now"),
                Span(30 * DAY, 40 * DAY, "late", None),
                Span(40 * DAY, 50 * DAY, "far", None),
            )
        }
    )
    assert coverage.near("p", 0) == ("early", "soon", "late")
    assert coverage.near("p", 1) == ("soon", "late")
    assert coverage.near("p", -1) == ("early", "soon")


def test_patients_stand_in_one_of_six_ways(tmp_path: Path) -> None:
    sample = Sample()
    coverage = read(sample, tmp_path)
    claims = {claim.uuid: claim for claim in read_export(tmp_path).claims}
    standing = {n: coverage.standing(claims[uuid(f"c{n}")]) for n in (1, 3, 5)}
    assert standing == {1: "insured", 3: "gap", 5: "insured_twice"}
    bob = sample.tables["payer_transitions.csv"][1:]
    bob[0]["END_YEAR"] = bob[1]["START_YEAR"] = "1967-12-01T00:00:00Z"
    assert read(sample, tmp_path).standing(claims[uuid("c3")]) == "uninsured"
    ann = sample.row("payer_transitions.csv", 0)
    ann["START_YEAR"] = "1968-02-01T00:00:00Z"
    sample.tables["payer_transitions.csv"].insert(
        0, ann | {"PAYER": uuid("Alpha"), "START_YEAR": "1960-01-01T00:00:00Z"}
    )
    sample.row("payer_transitions.csv", 0)["END_YEAR"] = ann["START_YEAR"]
    ann["SECONDARY_PAYER"] = ""
    coverage = read(sample, tmp_path)
    assert coverage.standing(claims[uuid("c6")]) == "changed"
    assert coverage.standing(claims[uuid("c1")]) == "not_covered"


@pytest.mark.parametrize(
    ("row", "column", "value", "says"),
    [
        (0, "PATIENT", uuid("Cid"), r"line 2, column PATIENT: .* is not in patients.csv"),
        (0, "PAYER", uuid("Gamma"), r"line 2, column PAYER: .* is not in payers.csv"),
        (1, "PAYER", "", "line 3, column PAYER: is empty"),
        (0, "SECONDARY_PAYER", uuid("Gamma"), r"column SECONDARY_PAYER: .* is not in payers.csv"),
        (0, "START_YEAR", "1960", "line 2, column START_YEAR: is not an instant"),
        (0, "END_YEAR", "1959-01-01T00:00:00Z", "line 2, column END_YEAR: is before START_YEAR"),
        (2, "START_YEAR", "1968-01-20T04:05:05Z", "line 4, column START_YEAR: lies within"),
    ],
)
def test_damaged_spans_are_named(
    tmp_path: Path, row: int, column: str, value: str, says: str
) -> None:
    sample = Sample()
    sample.row("payer_transitions.csv", row)[column] = value
    with pytest.raises(
        ExportDamaged, match=r"payer_transitions.csv, " + says if says.startswith("line") else says
    ):
        read(sample, tmp_path)


def test_a_file_without_the_columns_is_named(tmp_path: Path) -> None:
    Sample().write(tmp_path)
    path = tmp_path / "payer_transitions.csv"
    path.write_text(path.read_text().replace("START_YEAR", "START_DATE"))
    with pytest.raises(ExportDamaged, match="column START_YEAR: is missing"):
        read_coverage(tmp_path, read_export(tmp_path))
