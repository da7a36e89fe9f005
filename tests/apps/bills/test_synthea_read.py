"""A Synthea export is read whole or not at all, and whoever damaged it is told where."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthea_sample import SERVICE, Sample, money, uuid

from tallystick.apps.bills import synthea_table
from tallystick.apps.bills.synthea_read import read_export
from tallystick.apps.bills.synthea_table import ExportDamaged
from tallystick.contracts.bills.amounts import parse_amount

CLAIMS, TRANSACTIONS, ENCOUNTERS = "claims.csv", "claims_transactions.csv", "encounters.csv"
FILES = sorted(set(Sample().tables) - {"payer_transitions.csv"})


def damage(folder: Path) -> ExportDamaged:
    with pytest.raises(ExportDamaged) as caught:
        read_export(folder)
    return caught.value


def test_a_sound_export_is_read_in_the_order_of_its_files(tmp_path: Path) -> None:
    export = read_export(Sample().write(tmp_path))
    assert [claim.uuid for claim in export.claims] == [uuid(f"c{n}") for n in range(1, 8)]
    assert [each.name for each in export.used] == ["North Hospital", "South Hospital"]
    assert [each.name for each in export.insurers.values()] == ["Alpha", "Beta"]
    first = export.claims[0]
    assert (first.day, first.line, first.charged) == ("1968-02-03", 2, 10_000)
    assert {bearer: first.sum("borne", bearer) for bearer in "p12"} == {
        "p": 4_000,
        "1": 6_000,
        "2": 0,
    }
    assert export.claims[2].encounter.insurer is None
    assert [claim.categories[0] for claim in export.claims] == [
        *("consultation", "medication", "consultation", "medication"),
        *("consultation", "procedure", "other"),
    ]


def test_copays_above_the_charge_and_halves_rounded_up_are_credits(tmp_path: Path) -> None:
    export = read_export(Sample().write(tmp_path))
    credits = {
        n + 1: claim.sum("credits", "p")
        for n, claim in enumerate(export.claims)
        if claim.sum("credits", "p")
    }
    assert credits == {2: 5_991, 6: 1}
    assert export.claims[5].sum("halves", "p") == 1


def test_what_is_left_over_stays_with_whom_it_was_transferred_to(tmp_path: Path) -> None:
    claim = read_export(Sample().write(tmp_path)).claims[6]
    assert (claim.charged, claim.adjusted) == (500, 100)
    assert (claim.sum("borne", "p"), claim.sum("left", "p")) == (400, 400)


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_cut_within_its_last_line_is_refused(tmp_path: Path, file: str) -> None:
    path = Sample().write(tmp_path) / file
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines)[:-3])
    error = damage(tmp_path)
    assert (error.file, error.line) == (file, len(lines))
    assert str(error) == f"{file}, line {len(lines)}: the file ends within it"


@pytest.mark.parametrize("file", [TRANSACTIONS, CLAIMS, ENCOUNTERS, "patients.csv", "payers.csv"])
def test_a_file_that_is_cut_between_two_lines_is_missed_by_others(
    tmp_path: Path, file: str
) -> None:
    path = Sample().write(tmp_path) / file
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    assert damage(tmp_path).line > 1


@pytest.mark.parametrize("file", FILES)
def test_a_missing_or_empty_file_is_named(tmp_path: Path, file: str) -> None:
    path = Sample().write(tmp_path) / file
    path.write_bytes(b"")
    assert (damage(tmp_path).file, damage(tmp_path).detail) == (file, "is empty")
    path.unlink()
    assert (damage(tmp_path).file, damage(tmp_path).line) == (file, 0)


@pytest.mark.parametrize(
    ("file", "column"), [(CLAIMS, "PRIMARYPATIENTINSURANCEID"), (TRANSACTIONS, "OUTSTANDING")]
)
def test_a_missing_column_is_named(tmp_path: Path, file: str, column: str) -> None:
    path = Sample().write(tmp_path) / file
    path.write_text(path.read_text().replace(column, "ELSE", 1))
    error = damage(tmp_path)
    assert (error.file, error.line, error.column) == (file, 1, column)


def test_a_column_that_stands_twice_is_named(tmp_path: Path) -> None:
    path = Sample().write(tmp_path) / CLAIMS
    path.write_text(path.read_text().replace("DEPARTMENTID", "Id", 1))
    assert (damage(tmp_path).line, damage(tmp_path).column) == (1, "Id")


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        (b"North Hospital", b"North\xffHospital", "byte"),
        (b"North Hospital", b"North\x00Hospital", "U+0000"),
        (b"North Hospital", b'"North Hospital', "unexpected end of data"),
        (b"North Hospital", b"North,Hospital", "4 fields, the header has 3"),
        (b"North Hospital", b"", "is empty"),
        (b"North Hospital", b"N" * 501, "501 characters, limit 500"),
        (b"North Hospital", b"N" * 3_000, "longer than 2000"),
        (b"North Hospital", b"N" * 70_000, "more than 65536 bytes"),
    ],
)
def test_bytes_that_are_no_row_are_refused(
    tmp_path: Path, old: bytes, new: bytes, detail: str
) -> None:
    path = Sample().write(tmp_path) / "organizations.csv"
    path.write_bytes(path.read_bytes().replace(old, new))
    error = damage(tmp_path)
    assert (error.file, error.line) == ("organizations.csv", 2)
    assert detail in error.detail


def test_windows_line_ends_and_columns_nobody_asked_for_are_fine(tmp_path: Path) -> None:
    for path in Sample().write(tmp_path).iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read_export(tmp_path).claims) == 7


def test_size_and_number_of_rows_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Sample().write(tmp_path)
    monkeypatch.setattr(synthea_table, "ROWS_MAX", 2)
    assert damage(tmp_path).detail == "more than 2 rows"
    monkeypatch.setattr(synthea_table, "FILE_BYTES_MAX", 20)
    assert damage(tmp_path).detail == "more than 20 bytes"


GONE = uuid("nobody")


@pytest.mark.parametrize(
    ("place", "value", "detail"),
    [
        # A reference leads nowhere, or elsewhere than its neighbours'.
        ((CLAIMS, 0, "PRIMARYPATIENTINSURANCEID"), "", "is empty"),
        ((CLAIMS, 0, "PRIMARYPATIENTINSURANCEID"), GONE, "not in payers.csv"),
        ((CLAIMS, 0, "PRIMARYPATIENTINSURANCEID"), "0", "is not the PAYER of encounter"),
        ((CLAIMS, 0, "PRIMARYPATIENTINSURANCEID"), uuid("Beta"), "is not the PAYER of encounter"),
        ((CLAIMS, 4, "SECONDARYPATIENTINSURANCEID"), GONE, "not in payers.csv"),
        ((CLAIMS, 4, "SECONDARYPATIENTINSURANCEID"), "0", "names nobody"),
        ((CLAIMS, 1, "PATIENTID"), uuid("Bob"), "is not the one of encounter"),
        ((CLAIMS, 1, "PROVIDERID"), GONE, "is not the one of encounter"),
        ((CLAIMS, 1, "APPOINTMENTID"), GONE, "not in encounters.csv"),
        ((ENCOUNTERS, 0, "PAYER"), "", "is empty"),
        ((ENCOUNTERS, 0, "PAYER"), GONE, "not in payers.csv"),
        ((ENCOUNTERS, 1, "ORGANIZATION"), GONE, "not in organizations.csv"),
        ((ENCOUNTERS, 1, "PATIENT"), "x", "is not an id like"),
        ((ENCOUNTERS, 1, "ENCOUNTERCLASS"), "party", "is none of"),
        ((ENCOUNTERS, 1, "STOP"), "1967-02-05T04:05:06Z", "is before START"),
        ((ENCOUNTERS, 2, "START"), "2023-02-30T00:00:00Z", "is not an instant"),
        ((TRANSACTIONS, 0, "CLAIMID"), GONE, "not in claims.csv"),
        ((TRANSACTIONS, 1, "PATIENTID"), uuid("Bob"), "is not the one of claim"),
        ((TRANSACTIONS, 1, "PLACEOFSERVICE"), uuid("South"), "is not the one of claim"),
        (("medications.csv", 0, "ENCOUNTER"), GONE, "not in encounters.csv"),
        (("medications.csv", 1, "CODE"), "m9", "stands 1 times, charged 0 times"),
        (("procedures.csv", 0, "CODE"), "p9", "stands 1 times, charged 0 times"),
        # A value is none.
        ((TRANSACTIONS, 0, "AMOUNT"), "100.0", "is not an amount like 993.54"),
        ((TRANSACTIONS, 0, "AMOUNT"), "1e2", "is not an amount like 993.54"),
        ((TRANSACTIONS, 0, "UNITS"), "-1", "is not a count"),
        ((TRANSACTIONS, 1, "TYPE"), "GIFT", "is none of CHARGE"),
        ((TRANSACTIONS, 1, "METHOD"), "GOLD", "is none of CASH"),
        ((TRANSACTIONS, 1, "PAYMENTS"), "-20.00", "is negative"),
        ((TRANSACTIONS, 1, "FROMDATE"), SERVICE[:-1], "is not an instant"),
        (("patients.csv", 0, "GENDER"), "X", "is none of F, M"),
        # A sum no longer agrees.
        ((TRANSACTIONS, 0, "AMOUNT"), "100.01", "is not UNITS times UNITAMOUNT"),
        ((TRANSACTIONS, 2, "OUTSTANDING"), "20.01", "is not what the rows before it leave"),
        ((TRANSACTIONS, 2, "PAYMENTS"), "90.00", "is more than was outstanding"),
        ((TRANSACTIONS, 3, "TRANSFERS"), "19.99", "is not what was outstanding"),
        ((TRANSACTIONS, 4, "AMOUNT"), "19.99", "is not what was transferred out"),
        ((TRANSACTIONS, 4, "TRANSFERTYPE"), "1", "it was theirs before"),
        ((TRANSACTIONS, 4, "TRANSFEROUTID"), "4", "the transfer out stands in line 5"),
        ((TRANSACTIONS, 5, "OUTSTANDING"), "0.01", "is not what the rows before it leave"),
        ((TRANSACTIONS, 5, "PROCEDURECODE"), "z1", "the charge is in line 2"),
        ((CLAIMS, 0, "OUTSTANDINGP"), "0.01", "is not what the rows of claims_transactions.csv"),
        ((CLAIMS, 6, "OUTSTANDINGP"), "0", "is not what the rows of claims_transactions.csv"),
        # Numbers are taken twice or stand in no order.
        ((TRANSACTIONS, 1, "ID"), uuid("transaction 0"), "stands in line 2 too"),
        ((TRANSACTIONS, 1, "CHARGEID"), "0", "stands in line 2 too"),
        ((TRANSACTIONS, 1, "CHARGEID"), "99", "comes after a higher one"),
        ((CLAIMS, 1, "Id"), uuid("c1"), "stands in line 2 too"),
        (("payers.csv", 1, "Id"), uuid("Alpha"), "stands in line 2 too"),
    ],
)
def test_one_changed_field_is_found_and_named(
    tmp_path: Path, place: tuple[str, int, str], value: str, detail: str
) -> None:
    file, n, column = place
    sample = Sample()
    sample.row(file, n)[column] = value
    error = damage(sample.write(tmp_path))
    assert detail in error.detail
    if "higher" in detail:
        assert (error.file, error.line, error.column) == (file, n + 3, column)
    elif "names nobody" in detail or detail.startswith("is not the PAYER"):
        assert (error.file, error.line, error.column) == (CLAIMS, n + 2, column)
    else:
        assert (error.file, error.line, error.column) == (file, n + 2, column)


@pytest.mark.parametrize("n", range(len(Sample().tables[TRANSACTIONS])))
def test_no_transaction_can_go_missing(tmp_path: Path, n: int) -> None:
    sample = Sample()
    del sample.tables[TRANSACTIONS][n]
    damage(sample.write(tmp_path))


def stated_amounts() -> list[tuple[int, str, int]]:
    """Every amount of the transactions, a cent more and a cent less, but for two that only the
    source can know: a copay above its charge, and the payment whose half cent was rounded up."""
    rows = Sample().tables[TRANSACTIONS]
    above, rounded = 7, 19
    assert (rows[above]["METHOD"], rows[above]["PAYMENTS"]) == ("COPAY", "60.00")
    assert rows[rounded]["PAYMENTS"] == "131.60"
    return [
        (n, column, cents)
        for n, row in enumerate(rows)
        for column in ("AMOUNT", "PAYMENTS", "TRANSFERS", "OUTSTANDING")
        for cents in (1, -1)
        if row[column] and (n, column) not in ((above, "PAYMENTS"), (rounded, "PAYMENTS"))
    ]


@pytest.mark.parametrize(("n", "column", "cents"), stated_amounts())
def test_no_cent_can_be_changed_in_one_place(
    tmp_path: Path, n: int, column: str, cents: int
) -> None:
    sample = Sample()
    row = sample.row(TRANSACTIONS, n)
    row[column] = money(parse_amount(row[column]) + cents)
    damage(sample.write(tmp_path))


def test_a_message_repeats_nobodys_name_or_number(tmp_path: Path) -> None:
    sample = Sample()
    sample.row("patients.csv", 0).update({"SSN": "9" * 501})
    assert "999" not in str(damage(sample.write(tmp_path)))
    sample.row("patients.csv", 0).update({"SSN": "", "FIRST": ""})
    assert str(damage(sample.write(tmp_path))) == "patients.csv, line 2, column FIRST: is empty"
