"""A whole Synthea export: claims with their charges, and all that they refer to, checked.

Read are claims, claims_transactions, encounters, organizations, patients, payers, procedures and
medications; anything else in the folder is left alone.

Invariant: either every reference leads somewhere and every stated sum is right, or nothing comes
out of here and one `ExportDamaged` names the place. See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tallystick.apps.bills.synthea_charges import (
    TRANSACTION_COLUMNS,
    TYPES,
    Charge,
    read_charge,
)
from tallystick.apps.bills.synthea_records import (
    CLAIMS,
    ENCOUNTERS,
    MEDICATIONS,
    ORGANISATIONS,
    PATIENTS,
    PAYERS,
    PROCEDURES,
    TRANSACTIONS,
    Category,
    Claim,
    Encounter,
    Export,
    Party,
    Patient,
)
from tallystick.apps.bills.synthea_table import ExportDamaged, Line, read_by_id, read_table

NO_INSURANCE = "NO_INSURANCE"
"""What Synthea calls the payer of those who have none."""
ENCOUNTER_CLASSES = (
    "ambulatory", "emergency", "home", "hospice", "inpatient", "outpatient", "snf", "urgentcare",
    "virtual", "wellness",
)  # fmt: skip
CHARGES_MAX = 200
"""Of one claim; what a type allows is for its rules."""


def read_export(folder: Path) -> Export:
    """Read and check everything. Raises `ExportDamaged`."""
    organisations = {
        uuid: Party(uuid, line.text("NAME"))
        for uuid, line in read_by_id(folder, ORGANISATIONS, ("Id", "NAME"), "Id").items()
    }
    payers = {
        uuid: Party(uuid, line.text("NAME"))
        for uuid, line in read_by_id(folder, PAYERS, ("Id", "NAME"), "Id").items()
    }
    columns = ("Id", "SSN", "FIRST", "LAST", "GENDER")
    patients = {
        uuid: _patient(uuid, line)
        for uuid, line in read_by_id(folder, PATIENTS, columns, "Id").items()
    }
    encounters = _encounters(folder, organisations, payers, patients)
    done = {name: _done(folder, name, encounters) for name in (PROCEDURES, MEDICATIONS)}
    reader = _Claims(payers, patients, encounters, done)
    claims = reader.read(folder)
    return Export(
        organisations=organisations,
        insurers={uuid: each for uuid, each in payers.items() if each.name != NO_INSURANCE},
        uninsured=frozenset(uuid for uuid, each in payers.items() if each.name == NO_INSURANCE),
        patients=patients,
        numbers=Counter(each.number for each in patients.values() if each.number),
        claims=claims,
    )


def _patient(uuid: str, line: Line) -> Patient:
    gender = line.choice("GENDER", ("F", "M", "O", "U", ""))
    return Patient(
        uuid=uuid,
        name=f"{line.text('FIRST')} {line.text('LAST')}",
        gender="female" if gender == "F" else "male" if gender == "M" else "other",
        number=line.text("SSN", optional=True),
    )


def _encounters(
    folder: Path,
    organisations: Mapping[str, Party],
    payers: Mapping[str, Party],
    patients: Mapping[str, Patient],
) -> dict[str, Encounter]:
    columns = (
        "Id", "START", "STOP", "PATIENT", "ORGANIZATION", "PROVIDER", "PAYER", "ENCOUNTERCLASS",
        "CODE",
    )  # fmt: skip
    found = {}
    for uuid, line in read_by_id(folder, ENCOUNTERS, columns, "Id").items():
        first_day, last_day = line.day("START"), line.day("STOP")
        if last_day < first_day:
            raise line.wrong("STOP", "is before START")
        payer = payers[_known(line, "PAYER", payers, PAYERS)]
        found[uuid] = Encounter(
            uuid=uuid,
            line=line.number,
            first_day=first_day,
            last_day=last_day,
            patient=_known(line, "PATIENT", patients, PATIENTS),
            organisation=_known(line, "ORGANIZATION", organisations, ORGANISATIONS),
            provider=line.reference("PROVIDER"),
            insurer=None if payer.name == NO_INSURANCE else payer.uuid,
            kind=line.choice("ENCOUNTERCLASS", ENCOUNTER_CLASSES),
            code=line.code("CODE"),
        )
    return found


Done = dict[tuple[str, str], list[Line]]
"""What was done or given, by encounter and code."""


def _done(folder: Path, file: str, encounters: Mapping[str, Encounter]) -> Done:
    found: Done = {}
    for line in read_table(folder, file, ("ENCOUNTER", "CODE")):
        encounter = _known(line, "ENCOUNTER", encounters, ENCOUNTERS)
        found.setdefault((encounter, line.code("CODE")), []).append(line)
    return found


def _known(line: Line, column: str, table: Mapping[str, object], file: str) -> str:
    """A reference that leads somewhere."""
    name = line.reference(column)
    if name not in table:
        raise line.wrong(column, f"{name} is not in {file}")
    return name


class _Claims:
    """Reads claims and their transactions against everything else."""

    def __init__(
        self,
        payers: Mapping[str, Party],
        patients: Mapping[str, Patient],
        encounters: Mapping[str, Encounter],
        done: Mapping[str, Done],
    ) -> None:
        self._payers = payers
        self._patients = patients
        self._encounters = encounters
        self._done = done
        self._charged: dict[tuple[str, str], int] = {}

    def read(self, folder: Path) -> tuple[Claim, ...]:
        columns = (
            "Id", "PATIENTID", "PROVIDERID", "PRIMARYPATIENTINSURANCEID",
            "SECONDARYPATIENTINSURANCEID", "DEPARTMENTID", "APPOINTMENTID", "SERVICEDATE",
            "OUTSTANDING1", "OUTSTANDING2", "OUTSTANDINGP",
        )  # fmt: skip
        lines = read_by_id(folder, CLAIMS, columns, "Id")
        rows = self._rows(folder, lines)
        claims = tuple(self._claim(uuid, line, rows[uuid]) for uuid, line in lines.items())
        self._check_charged()
        return claims

    def _rows(self, folder: Path, claims: Mapping[str, Line]) -> dict[str, list[Line]]:
        """The transactions of each claim, each in its place."""
        rows: dict[str, list[Line]] = {uuid: [] for uuid in claims}
        numbers: dict[int, int] = {}
        for line in read_by_id(folder, TRANSACTIONS, TRANSACTION_COLUMNS, "ID").values():
            claim, number = _known(line, "CLAIMID", claims, CLAIMS), line.count("CHARGEID")
            if number in numbers:
                raise line.wrong("CHARGEID", f"stands in line {numbers[number]} too")
            numbers[number] = line.number
            before = rows[claim]
            if before and before[-1].count("CHARGEID") > number:
                raise line.wrong("CHARGEID", "comes after a higher one of its claim")
            line.day("FROMDATE")
            line.day("TODATE")
            before.append(line)
        return rows

    def _claim(self, uuid: str, line: Line, rows: list[Line]) -> Claim:
        encounter = self._encounters[_known(line, "APPOINTMENTID", self._encounters, ENCOUNTERS)]
        patient = self._patients[_known(line, "PATIENTID", self._patients, PATIENTS)]
        for column, there in (("PATIENTID", encounter.patient), ("PROVIDERID", encounter.provider)):
            if line.reference(column) != there:
                raise line.wrong(column, f"is not the one of encounter {encounter.uuid}")
        charges = self._charges(uuid, line, rows, encounter)
        claim = Claim(
            uuid=uuid,
            line=line.number,
            encounter=encounter,
            patient=patient,
            day=line.day("SERVICEDATE"),
            at=line.instant("SERVICEDATE"),
            department=line.text("DEPARTMENTID", optional=True),
            charges=charges,
            categories=tuple(self._category(encounter, charge) for charge in charges),
            bearers=self._bearers(line, encounter),
        )
        for bearer, column, named in (
            ("p", "OUTSTANDINGP", "PATIENTID"),
            ("1", "OUTSTANDING1", "PRIMARYPATIENTINSURANCEID"),
            ("2", "OUTSTANDING2", "SECONDARYPATIENTINSURANCEID"),
        ):
            if line.cents(column, optional=True, signed=True) != claim.sum("left", bearer):
                raise line.wrong(column, f"is not what the rows of {TRANSACTIONS} leave")
            if bearer != "p" and bearer not in claim.bearers and claim.sum("borne", bearer):
                raise line.wrong(named, "names nobody, and yet a part is theirs")
        return claim

    def _bearers(self, line: Line, encounter: Encounter) -> dict[str, str]:
        """The insurers that a claim names; the first is the encounter's."""
        found = {}
        for bearer, column in (
            ("1", "PRIMARYPATIENTINSURANCEID"),
            ("2", "SECONDARYPATIENTINSURANCEID"),
        ):
            if line.blank(column) or line.text(column) != "0":
                found[bearer] = _known(line, column, self._payers, PAYERS)
        if found.get("1") != encounter.insurer:
            detail = f"is not the PAYER of encounter {encounter.uuid}"
            raise line.wrong("PRIMARYPATIENTINSURANCEID", detail)
        return found

    def _charges(
        self, uuid: str, claim: Line, rows: list[Line], encounter: Encounter
    ) -> tuple[Charge, ...]:
        groups: list[list[Line]] = []
        for row in rows:
            for column, there in (
                ("PATIENTID", claim.reference("PATIENTID")),
                ("APPOINTMENTID", encounter.uuid),
                ("PROVIDERID", encounter.provider),
                ("PLACEOFSERVICE", encounter.organisation),
            ):
                if row.reference(column) != there:
                    raise row.wrong(column, f"is not the one of claim {uuid}")
            if row.choice("TYPE", TYPES) == "CHARGE":
                groups.append([row])
            elif groups:
                groups[-1].append(row)
            else:
                raise row.wrong("TYPE", "no charge of its claim stands before it")
        if not 1 <= len(groups) <= CHARGES_MAX:
            raise claim.wrong("Id", f"{len(groups)} charges in {TRANSACTIONS}, 1 to {CHARGES_MAX}")
        return tuple(read_charge(group) for group in groups)

    def _category(self, encounter: Encounter, charge: Charge) -> Category:
        """Where else in the export the charged thing stands; vaccines and supplies: nowhere."""
        thing = (encounter.uuid, charge.code)
        self._charged[thing] = self._charged.get(thing, 0) + 1
        if charge.code == encounter.code:
            return "consultation"
        if thing in self._done[PROCEDURES]:
            return "procedure"
        return "medication" if thing in self._done[MEDICATIONS] else "other"

    def _check_charged(self) -> None:
        """Every encounter, procedure and medication is charged: else transactions are missing."""
        for uuid, encounter in self._encounters.items():
            if (uuid, encounter.code) not in self._charged:
                raise ExportDamaged(ENCOUNTERS, encounter.line, "CODE", "is charged nowhere")
        for done in self._done.values():
            for thing, lines in done.items():
                charged = self._charged.get(thing, 0)
                if charged < len(lines):
                    detail = f"stands {len(lines)} times, charged {charged} times"
                    raise lines[charged].wrong("CODE", f"{detail} in {TRANSACTIONS}")
