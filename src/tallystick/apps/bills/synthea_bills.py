"""What a Synthea claim is as a bill: its lines, its parties, its money, and whose part is whose.

At issue the patient has paid everything, in cash; what an insurer bore is a claim after issue,
`ClaimToCome`. A negative charge is netted with an earlier charge of the same code; one that cannot
be stays negative, and the bill's own rules refuse it.

Invariant: a bill's total is the sum of the parts that its claim shares out, to the cent.
See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tallystick.apps.bills.catalogue import ReferenceType, Scene, synthea_types
from tallystick.apps.bills.synthea_charges import BEARERS, Charge
from tallystick.apps.bills.synthea_records import Category, Claim, Export, Party, Patient
from tallystick.contracts.bills.body import (
    Body,
    Detail,
    Inpatient,
    Issuer,
    Item,
    Liability,
    Medical,
    Payer,
    Payment,
    Sources,
)
from tallystick.contracts.bills.content import RULES_VERSION, check_body
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import BillId, TypeRules
from tallystick.protocol.canonical import Record, decode, encode, replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import Amount, Currency, OrgId

CURRENCY = "USD"
PURPOSE = "charge"
PATIENT = "patient"
"""Who bears what no insurer does."""
INPATIENT_KINDS = ("inpatient", "snf", "hospice")
ITEM_CODES: Mapping[Category, str] = {
    "consultation": "02",
    "procedure": "05",
    "medication": "09",
    "other": "14",
}
TYPE_IDS: Mapping[Scene, int] = {"outpatient": 330691, "inpatient": 330694}
"""Of their own, so that they can be defined beside a province's types at any time."""

Setting = Literal["outpatient", "inpatient"]


def import_types() -> dict[Setting, ReferenceType]:
    """The two types of imported bills, with the catalogue's rules for them."""
    found: dict[Setting, ReferenceType] = {}
    given = synthea_types()
    for setting in _SETTINGS:
        type_id = TYPE_IDS[setting]
        entry = replace(
            given[setting].entry,
            type=type_id,
            template=f"{type_id // 10_000}-{type_id % 10_000:04d}-3",
            zh=given[setting].entry.zh + "·导入",
            en=given[setting].entry.en + ", imported",
        )
        found[setting] = ReferenceType(setting, entry, given[setting].rules)
    return found


_SETTINGS: tuple[Setting, ...] = ("outpatient", "inpatient")


class Place(NamedTuple):
    """What a bill has from the ledger and not from its claim."""

    network: bytes
    code: int
    number: int
    issued_at: str
    template: str


class ClaimToCome(Record):
    """What an insurer bore of a bill: its claim, once claims can be made. Private."""

    bill: BillId
    claim: str
    issuer: OrgId
    reimburser: OrgId
    rank: Literal[1, 2]
    amount: Amount
    currency: Currency


@dataclass(frozen=True, slots=True)
class Part:
    """What one bearer bore of a claim, and how much of that was above the charges."""

    rank: int
    """0: the patient."""
    bearer: str
    borne: int
    credit: int
    rounding: int
    """The part of `credit` that is no payment too much, but a cent made by rounding."""

    @property
    def net(self) -> int:
        """Their part of the bill."""
        return self.borne - self.credit


def organisation_id(uuid: str) -> str:
    """The organisation's name on the ledger."""
    return "hosp-" + uuid.replace("-", "")[:12]


def insurer_id(uuid: str) -> str:
    """The insurer's name on the ledger."""
    return "ins-" + uuid.replace("-", "")[:12]


def setting_of(claim: Claim) -> Setting:
    """Which of the two types its bill has."""
    return "inpatient" if claim.encounter.kind in INPATIENT_KINDS else "outpatient"


def parts_of(claim: Claim) -> list[Part]:
    """The patient's part, then each insurer's that has one."""
    parts = []
    for rank, bearer in enumerate(BEARERS):
        borne, *credit = (claim.sum(name, bearer) for name in ("borne", "credits", "halves"))
        if bearer == "p":
            parts.append(Part(0, PATIENT, borne, *credit))
        elif borne:
            parts.append(Part(rank, insurer_id(claim.bearers[bearer]), borne, *credit))
    return parts


def claims_to_come(claim: Claim, bill: BillId) -> list[ClaimToCome]:
    """The insurers' parts of a bill that was issued."""
    return [
        ClaimToCome(
            bill=bill,
            claim=claim.uuid,
            issuer=organisation_id(claim.encounter.organisation),
            reimburser=part.bearer,
            rank=1 if part.rank == 1 else 2,
            amount=part.net,
            currency=CURRENCY,
        )
        for part in parts_of(claim)
        if part.rank and part.net
    ]


def total_of(claim: Claim) -> int:
    """The bill's total."""
    return claim.charged - claim.adjusted


class Netted(NamedTuple):
    """A charge as a line of the bill."""

    charge: Charge
    category: Category
    amount: int


def net_lines(claim: Claim) -> list[Netted]:
    """The charges, each negative one taken off the latest of its code that has room for it."""
    lines: list[Netted] = []
    for charge, category in zip(claim.charges, claim.categories, strict=True):
        amount = charge.amount
        for n in reversed(range(len(lines))) if amount < 0 else ():
            line = lines[n]
            if line.charge.code == charge.code and line.amount + amount >= 0:
                lines[n] = line._replace(amount=line.amount + amount)
                break
        else:
            lines.append(Netted(charge, category, amount))
    return lines


def make_body(claim: Claim, issuer: Party, place: Place, rules: TypeRules) -> Body:
    """The bill of a claim. Raises `Rejected` when it may not become one."""
    for part in parts_of(claim):
        if part.net < 0:
            detail = "more was given back to them than they bore"
            raise Rejected(BillsReason.NEGATIVE_LINE, detail, path="payment/sources")
    lines, total = net_lines(claim), total_of(claim)
    plain = Body(
        rules_version=RULES_VERSION,
        network=place.network,
        code=place.code,
        number=place.number,
        issuer=organisation_id(issuer.uuid),
        type=place.code // 100,
        template=place.template,
        kind="blue",
        issued_at=place.issued_at,
        issuer_block=Issuer(name=issuer.name),
        payer=payer_of(claim.patient),
        business_codes=(claim.uuid,),
        purpose=PURPOSE,
        ordinal=1,
        currency=CURRENCY,
        total=max(total, 0),
        discount=claim.adjusted,
        items=tuple(_item(line) for line in lines),
        details=tuple(_detail(n, line) for n, line in enumerate(lines)),
        payment=Payment(
            sources=Sources(cash=max(total, 0)),
            liability=None if rules.liability == "absent" else Liability(self_pay=max(total, 0)),
            inpatient=Inpatient(recharged=max(total, 0)) if rules.inpatient_sums else None,
        ),
        medical=_medical(claim),
        remark=f"provider {claim.encounter.provider}",
    )
    body = decode(encode(plain), Body)  # what it will be read as: shapes and bounds hold
    check_body(body, rules)
    return body


def payer_of(patient: Patient) -> Payer:
    """The patient as the bill names them."""
    if not patient.number:
        return Payer(party="person", name=patient.name)
    return Payer(party="person", name=patient.name, id_type="other", id_number=patient.number)


def _item(line: Netted) -> Item:
    unchanged = line.amount == line.charge.amount
    units = line.charge.units if unchanged else 0
    return Item(
        code=ITEM_CODES[line.category],
        name=line.charge.name,
        amount=line.amount,
        quantity_e4=units * 10_000,
        unit_price=line.amount // units if units and line.amount > 0 else 0,
    )


def _detail(n: int, line: Netted) -> Detail:
    """The list line behind the face line has the code of the procedure or drug."""
    item = _item(line)
    return Detail(
        item=n,
        name=item.name,
        code=line.charge.code,
        amount_e4=item.amount * 100,
        quantity_e4=item.quantity_e4,
        unit_price_e4=item.unit_price * 100,
    )


def _medical(claim: Claim) -> Medical:
    visit, setting = claim.encounter, setting_of(claim)
    stay = setting == "inpatient"
    return Medical(
        setting="checkup" if visit.kind == "wellness" else setting,
        visit_on=claim.day,
        visit_number=visit.uuid,
        case_number=claim.patient.uuid,
        inpatient_number=visit.uuid if stay else None,
        department=claim.department,
        admitted_on=visit.first_day if stay else None,
        discharged_on=visit.last_day if stay else None,
        gender=claim.patient.gender,
    )


class SyntheaOrganisations(NamedTuple):
    """Who must be members before an import: name on the ledger to name for people."""

    issuers: dict[str, str]
    insurers: dict[str, str]


def synthea_organisations(export: Export) -> SyntheaOrganisations:
    """The organisations that have claims, and every insurer of the export."""
    return SyntheaOrganisations(
        issuers={organisation_id(each.uuid): each.name for each in export.used},
        insurers={insurer_id(each.uuid): each.name for each in export.insurers.values()},
    )
