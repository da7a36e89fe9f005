"""Small Synthea exports, made up: consistent until a test damages them.

Invariant: `Sample().write(folder)` gives an export that reads, with every kind of money in it.
"""

from __future__ import annotations

import csv
from hashlib import sha256
from pathlib import Path

Row = dict[str, str]
Step = tuple[str, int | str]
"""``("charge", cents)``, ``("copay", cents)``, ``("pay", cents)``, ``("adjust", cents)``,
``("to", owner)``; ``("stated", cents)`` says what is outstanding after the step before."""

HEADERS = {
    "organizations.csv": "Id,NAME,ADDRESS",
    "payers.csv": "Id,NAME,PHONE",
    "patients.csv": "Id,BIRTHDATE,SSN,FIRST,LAST,GENDER",
    "encounters.csv": "Id,START,STOP,PATIENT,ORGANIZATION,PROVIDER,PAYER,ENCOUNTERCLASS,CODE",
    "procedures.csv": "START,ENCOUNTER,CODE",
    "medications.csv": "START,ENCOUNTER,CODE",
    "claims.csv": (
        "Id,PATIENTID,PROVIDERID,PRIMARYPATIENTINSURANCEID,SECONDARYPATIENTINSURANCEID,"
        "DEPARTMENTID,APPOINTMENTID,SERVICEDATE,OUTSTANDING1,OUTSTANDING2,OUTSTANDINGP"
    ),
    "payer_transitions.csv": "PATIENT,START_YEAR,END_YEAR,PAYER,SECONDARY_PAYER,OWNERNAME",
    "claims_transactions.csv": (
        "ID,CLAIMID,CHARGEID,PATIENTID,TYPE,AMOUNT,METHOD,FROMDATE,TODATE,PLACEOFSERVICE,"
        "PROCEDURECODE,UNITS,NOTES,UNITAMOUNT,TRANSFEROUTID,TRANSFERTYPE,PAYMENTS,ADJUSTMENTS,"
        "TRANSFERS,OUTSTANDING,APPOINTMENTID,PROVIDERID"
    ),
}
SERVICE = "1968-02-03T04:05:06Z"


def uuid(name: str) -> str:
    """An id in Synthea's shape, the same for the same name."""
    text = sha256(name.encode()).hexdigest()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:32]))


def money(cents: int) -> str:
    """As the export spells it."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


class Sample:
    """Two hospitals, two insurers, two patients, seven claims."""

    def __init__(self) -> None:
        self.tables: dict[str, list[Row]] = {file: [] for file in HEADERS}
        for name in ("North", "South", "Unused"):
            self.add("organizations.csv", Id=uuid(name), NAME=f"{name} Hospital")
        for name in ("Alpha", "Beta", "NO_INSURANCE"):
            self.add("payers.csv", Id=uuid(name), NAME=name)
        for name, gender, number in (("Ann", "F", "999-00-1111"), ("Bob", "M", "999-00-2222")):
            self.add(
                "patients.csv",
                **{"Id": uuid(name), "SSN": number, "FIRST": name, "LAST": "Quill7"},
                GENDER=gender,
            )
        self.cover("Ann", "Beta", "1960-01-01T00:00:00Z", "1970-01-01T00:00:00Z", second="Alpha")
        self.cover("Bob", "Alpha", "1960-01-01T00:00:00Z", "1968-01-20T04:05:06Z")
        self.cover("Bob", "NO_INSURANCE", "1968-01-20T04:05:06Z", "1970-01-01T00:00:00Z")
        self.visit("v1", "North", "Ann", "Alpha")
        self.claim(
            "c1", "v1", [("charge", 10000), ("copay", 2000), ("pay", 6000), ("to", "p")], pay=True
        )
        self.claim("c2", "v1", [("charge", 9), ("copay", 6000)], code="m1", done="medications.csv")
        self.visit("v2", "South", "Bob", "NO_INSURANCE", kind="inpatient")
        self.claim(
            "c3",
            "v2",
            [("charge", 25000), ("pay", 25000)],
            [("charge", 700), ("pay", 700)],
        )
        self.claim("c4", "v2", [("charge", 0)], code="m2", done="medications.csv")
        self.visit("v3", "South", "Ann", "Beta")
        self.claim(
            "c5", "v3", [("charge", 8000), ("pay", 6000), ("to", "2")], pay=True, secondary="Alpha"
        )
        self.claim(
            "c6",
            "v3",
            [("charge", 17546), ("pay", 13160), ("stated", 4387), ("to", "p")],
            pay=True,
            code="p1",
            done="procedures.csv",
        )
        self.claim("c7", "v3", [("charge", 500), ("adjust", 100), ("to", "p")], code="s1", left=400)

    def add(self, file: str, **fields: str) -> Row:
        """A row; what is not named is empty."""
        row = dict.fromkeys(HEADERS[file].split(","), "") | fields
        self.tables[file].append(row)
        return row

    def cover(
        self, patient: str, payer: str, start: str, end: str, second: str | None = None
    ) -> None:
        """A span in which somebody, or nobody, stood behind a patient."""
        self.add(
            "payer_transitions.csv",
            PATIENT=uuid(patient),
            START_YEAR=start,
            END_YEAR=end,
            PAYER=uuid(payer),
            SECONDARY_PAYER=uuid(second) if second else "",
            OWNERNAME=f"{patient} Quill7",
        )

    def visit(
        self, name: str, organisation: str, patient: str, payer: str, kind: str = "ambulatory"
    ) -> None:
        self.add(
            "encounters.csv",
            Id=uuid(name),
            START=SERVICE,
            STOP="1968-02-05T04:05:06Z",
            PATIENT=uuid(patient),
            ORGANIZATION=uuid(organisation),
            PROVIDER=uuid(f"provider of {organisation}"),
            PAYER=uuid(payer),
            ENCOUNTERCLASS=kind,
            CODE="185345009",
        )

    def claim(
        self,
        name: str,
        visit: str,
        *charges: list[Step],
        code: str = "185345009",
        done: str | None = None,
        secondary: str | None = None,
        pay: bool = False,
        left: int = 0,
    ) -> None:
        """A claim; with `pay`, whoever has the last transfer pays it."""
        there = next(row for row in self.tables["encounters.csv"] if row["Id"] == uuid(visit))
        insured = there["PAYER"] != uuid("NO_INSURANCE")
        self.add(
            "claims.csv",
            Id=uuid(name),
            PATIENTID=there["PATIENT"],
            PROVIDERID=there["PROVIDER"],
            PRIMARYPATIENTINSURANCEID=there["PAYER"] if insured else "0",
            SECONDARYPATIENTINSURANCEID=uuid(secondary) if secondary else "0",
            DEPARTMENTID="5",
            APPOINTMENTID=there["Id"],
            SERVICEDATE=there["START"],
            OUTSTANDING1="0",
            OUTSTANDINGP=money(left) if left else "0",
        )
        if done:
            self.add(done, START=SERVICE, ENCOUNTER=there["Id"], CODE=code)
        for n, steps in enumerate(charges):
            which = code if not n else "x9"
            due = self._charge(name, there, which, steps)
            if pay:
                last = {"PAYMENTS": money(due), "METHOD": "CC"}
                self._row(name, there, which, "PAYMENT", 0, **last)

    def _charge(self, claim: str, there: Row, code: str, steps: list[Step]) -> int:
        """The rows of a charge; what is outstanding after them."""
        due, insured = 0, there["PAYER"] != uuid("NO_INSURANCE")
        for kind, value in steps:
            if kind == "to":
                out = self._row(claim, there, code, "TRANSFEROUT", due, TRANSFERS=money(due))
                self._row(
                    *(claim, there, code, "TRANSFERIN", due),
                    AMOUNT=money(due),
                    TRANSFERS=money(due),
                    TRANSFERTYPE=str(value),
                    TRANSFEROUTID=out["CHARGEID"],
                )
                continue
            assert isinstance(value, int)
            if kind == "stated":
                due = value
                self.tables["claims_transactions.csv"][-1]["OUTSTANDING"] = money(due)
            elif kind == "charge":
                due = value
                self._row(
                    *(claim, there, code, "CHARGE", None),
                    AMOUNT=money(due),
                    UNITAMOUNT=money(due),
                    TRANSFERTYPE="1" if insured else "p",
                )
            elif kind == "adjust":
                due -= value
                self._row(claim, there, code, "ADJUSTMENT", due, ADJUSTMENTS=money(value))
            else:
                due = max(due - value, 0) if kind == "copay" else due - value
                method = "COPAY" if kind == "copay" else "CASH"
                self._row(claim, there, code, "PAYMENT", due, PAYMENTS=money(value), METHOD=method)
        return due

    def _row(
        self, claim: str, there: Row, code: str, kind: str, due: int | None, **fields: str
    ) -> Row:
        number = len(self.tables["claims_transactions.csv"]) * 2
        named = {
            "ID": uuid(f"transaction {number}"),
            "CLAIMID": uuid(claim),
            "CHARGEID": str(number),
            "PATIENTID": there["PATIENT"],
            "TYPE": kind,
            "FROMDATE": there["START"],
            "TODATE": there["STOP"],
            "PLACEOFSERVICE": there["ORGANIZATION"],
            "PROCEDURECODE": code,
            "UNITS": "1",
            "NOTES": f"Thing {code}, said plainly",
            "OUTSTANDING": "" if due is None else money(due),
            "APPOINTMENTID": there["Id"],
            "PROVIDERID": there["PROVIDER"],
        }
        return self.add("claims_transactions.csv", **(named | fields))

    def row(self, file: str, n: int) -> Row:
        """Row `n` of a file, counted from 0; its line is n + 2."""
        return self.tables[file][n]

    def write(self, folder: Path) -> Path:
        """The export's files."""
        folder.mkdir(parents=True, exist_ok=True)
        for file, rows in self.tables.items():
            with (folder / file).open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(
                    stream, HEADERS[file].split(","), lineterminator="\n", strict=True
                )
                writer.writeheader()
                writer.writerows(rows)
        return folder
