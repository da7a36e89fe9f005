"""What a Synthea export says, once read: parties, patients, encounters, claims.

Invariant: a value here was checked by `synthea_read`; nothing is kept that no bill needs.
See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tallystick.apps.bills.synthea_charges import Charge

CLAIMS, TRANSACTIONS, ENCOUNTERS = "claims.csv", "claims_transactions.csv", "encounters.csv"
ORGANISATIONS, PATIENTS, PAYERS = "organizations.csv", "patients.csv", "payers.csv"
PROCEDURES, MEDICATIONS = "procedures.csv", "medications.csv"
TRANSITIONS = "payer_transitions.csv"

Category = Literal["consultation", "procedure", "medication", "other"]


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation or an insurer."""

    uuid: str
    name: str


@dataclass(frozen=True, slots=True)
class Patient:
    """Who was treated."""

    uuid: str
    name: str
    gender: Literal["female", "male", "other"]
    number: str
    """Social security number, or nothing."""


@dataclass(frozen=True, slots=True)
class Encounter:
    """A visit or a stay."""

    uuid: str
    line: int
    first_day: str
    last_day: str
    patient: str
    organisation: str
    provider: str
    insurer: str | None
    kind: str
    code: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What becomes one bill."""

    uuid: str
    line: int
    encounter: Encounter
    patient: Patient
    day: str
    """Of the service, in UTC."""
    at: int
    """The same to the second, since 1970."""
    department: str
    charges: tuple[Charge, ...]
    categories: tuple[Category, ...]
    """Of the charges, one each."""
    bearers: Mapping[str, str]
    """Insurer behind ``1`` and ``2``, as far as there is one."""

    def sum(self, name: str, bearer: str) -> int:
        """`borne`, `credits`, `halves` or `left` of one bearer over all charges."""
        return sum(int(getattr(charge, name)[bearer]) for charge in self.charges)

    @property
    def charged(self) -> int:
        """All charges, adjustments not yet taken off."""
        return sum(charge.amount for charge in self.charges)

    @property
    def copaid(self) -> int:
        """What the patient paid as copays, those above the charges not counted."""
        return sum(charge.copaid for charge in self.charges)

    @property
    def adjusted(self) -> int:
        """What the organisation took off."""
        return sum(charge.adjusted for charge in self.charges)


@dataclass(frozen=True, slots=True)
class Export:
    """The export, in the order of its files."""

    organisations: Mapping[str, Party]
    """All; `used` are those that have claims."""
    insurers: Mapping[str, Party]
    """Without the one that stands for none."""
    uninsured: frozenset[str]
    """What stands for no insurer where one would be named."""
    patients: Mapping[str, Patient]
    numbers: Mapping[str, int]
    """How many patients have each identity number."""
    claims: tuple[Claim, ...]

    def has_own_number(self, patient: Patient) -> bool:
        """Whether the identity number leads to nobody else: else it is no use as an address."""
        return self.numbers.get(patient.number) == 1

    @property
    def used(self) -> tuple[Party, ...]:
        """The organisations that have claims."""
        names = dict.fromkeys(claim.encounter.organisation for claim in self.claims)
        return tuple(self.organisations[name] for name in names)
