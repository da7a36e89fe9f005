"""The reference catalogue: the bill types of a demo province, number 33, and of one imported city.

A catalogue entry is public; the ledger has its digest and the rules. Which digits mean what is a
province's own business: codes and kinds here are this demo's.

Invariant: every type's rules pass `define_type`. See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from tallystick.contracts.bills.body import Text
from tallystick.contracts.bills.items.bills import DefineType
from tallystick.contracts.bills.records.bills import (
    BillTypeId,
    CatalogueCode,
    ClaimRules,
    PaperRules,
    TypeRules,
)
from tallystick.protocol.canonical import Meta, Record, encode, replace
from tallystick.protocol.values import DAY_SECONDS, tagged_hash

REGION = 33
FORMAT: Literal["tallystick/bill-type/v1"] = "tallystick/bill-type/v1"

_DIGEST_CONTEXT = b"tallystick/bill-type/v1\n"

Scene = Literal[
    "outpatient",
    "inpatient",
    "registration",
    "checkup",
    "deposit",
    "paper",
    "metro_ride",
    "tuition",
    "donation",
]

MEDICAL_ITEMS = {
    "01": ("床位费", "bed"),
    "02": ("诊察费", "consultation"),
    "03": ("检查费", "examination"),
    "04": ("化验费", "laboratory"),
    "05": ("治疗费", "treatment"),
    "06": ("手术费", "surgery"),
    "07": ("护理费", "nursing"),
    "08": ("卫生材料费", "materials"),
    "09": ("西药费", "western medicine"),
    "10": ("中药饮片费", "herbal medicine"),
    "11": ("中成药费", "patent Chinese medicine"),
    "12": ("一般诊疗费", "general visit"),
    "13": ("挂号费", "registration"),
    "14": ("其他费", "other"),
}
"""The charge categories on medical bills: code to (zh, en)."""


class Named(Record):
    """A charge category."""

    code: CatalogueCode
    zh: Text
    en: Text


class CatalogueEntry(Record):
    """What the public is told of a type."""

    format: Literal["tallystick/bill-type/v1"]
    type: BillTypeId
    zh: Text
    en: Text
    template: CatalogueCode
    items: Annotated[tuple[Named, ...], Meta(min_length=1)]

    @property
    def digest(self) -> bytes:
        """What `DefineType.catalogue` says."""
        return tagged_hash(_DIGEST_CONTEXT, encode(self))


@dataclass(frozen=True, slots=True)
class ReferenceType:
    """A type of the catalogue: its entry and its rules."""

    scene: Scene
    entry: CatalogueEntry
    rules: TypeRules

    @property
    def type_id(self) -> int:
        """Six digits: a bill code without its year."""
        return self.entry.type

    def code(self, year: int) -> int:
        """The bill code of a year, of two or four digits."""
        return self.type_id * 100 + year % 100

    def define(self, *, nonce: bytes, valid_from: str, type_version: int = 1) -> DefineType:
        """The item that defines it."""
        return DefineType(
            nonce=nonce,
            type=self.type_id,
            type_version=type_version,
            catalogue=self.entry.digest,
            rules=self.rules,
            valid_from=valid_from,
        )


_ISSUE_WINDOW: dict[str, Any] = {
    "issue_past_seconds_max": DAY_SECONDS,
    "issue_future_seconds_max": 120,
}
_CLAIMS = ClaimRules(
    term_days=3 * 365,
    lock_seconds_max=30 * DAY_SECONDS,
    renewals_max=2,
    reversal_wait_seconds=DAY_SECONDS,
    paper_presented=True,
)
_OUTPATIENT = TypeRules(
    currencies=("CNY",),
    max_items=12,
    max_details=5_000,
    item_codes=tuple(MEDICAL_ITEMS),
    extension_keys=("serious_illness", "account_balance"),
    liability="required",
    ack="archived",
    rounding_max=5,
    details_required=True,
    classes_required=True,
    credit_code_required=True,
    claims=_CLAIMS,
    paper=PaperRules(type=330611, loss_wait_seconds=30 * DAY_SECONDS),
    rebind_wait_seconds=3 * DAY_SECONDS,
    retention_days=30 * 365,
    year_grace_days=10,
    archive_within_seconds=DAY_SECONDS,
    **_ISSUE_WINDOW,
)
_INPATIENT = replace(_OUTPATIENT, max_items=18, extension_keys=(), inpatient_sums=True)
_LIGHT = replace(
    _OUTPATIENT,
    max_details=200,
    extension_keys=(),
    liability="optional",
    details_required=False,
    classes_required=False,
)
"""Registration and check-ups: no list behind the face, no split to state."""
_CITY = TypeRules(
    currencies=("CNY",),
    max_items=12,
    max_details=0,
    item_codes=("01",),
    liability="absent",
    ack="record",
    archive_within_seconds=0,
    **_ISSUE_WINDOW,
)
"""Scenes without a medical side: whoever holds the record has all that finance asks for."""


def _type(
    scene: Scene,
    type_id: int,
    names: tuple[str, str],
    rules: TypeRules,
    items: dict[str, tuple[str, str]],
) -> ReferenceType:
    entry = CatalogueEntry(
        format=FORMAT,
        type=type_id,
        zh=names[0],
        en=names[1],
        template=f"{type_id // 10_000}-{type_id % 10_000:04d}-3",
        items=tuple(Named(code=code, zh=zh, en=en) for code, (zh, en) in items.items()),
    )
    return ReferenceType(scene, entry, replace(rules, item_codes=tuple(items)))


TYPES: dict[Scene, ReferenceType] = {
    each.scene: each
    for each in (
        _type(
            *("outpatient", 330601, ("医疗门诊收费票据（电子）", "Medical outpatient bill")),
            *(_OUTPATIENT, MEDICAL_ITEMS),
        ),
        _type(
            *("inpatient", 330614, ("医疗住院收费票据（电子）", "Medical inpatient bill")),
            *(_INPATIENT, MEDICAL_ITEMS),
        ),
        _type(
            *("registration", 330613, ("医疗挂号收费票据（电子）", "Medical registration bill")),
            *(_LIGHT, {code: MEDICAL_ITEMS[code] for code in ("02", "12", "13")}),
        ),
        _type(
            *("checkup", 330603, ("健康体检收费票据（电子）", "Health check-up bill")),
            replace(_LIGHT, partial_reversal=True),
            {code: MEDICAL_ITEMS[code] for code in ("02", "03", "04", "14")},
        ),
        _type(
            *("deposit", 330621, ("医疗预交金票据（电子）", "Medical deposit receipt")),
            replace(
                _LIGHT,
                liability="absent",
                claims=None,
                paper=None,
                deposit=True,
                partial_reversal=True,
            ),
            {"21": ("住院预交金", "inpatient deposit"), "22": ("门诊预交金", "visit deposit")},
        ),
        _type(
            *("paper", 330611, ("医疗收费票据（纸质）", "Medical bill on paper")),
            replace(_CITY, is_paper=True, retention_days=5 * 365),
            {"01": ("票据", "form")},
        ),
        _type(
            *("metro_ride", 331201, ("城市轨道交通票据（电子）", "Metro ride bill")),
            *(_CITY, {"01": ("乘车费", "ride")}),
        ),
        _type(
            *("tuition", 330201, ("教育收费票据（电子）", "Tuition bill")),
            replace(_CITY, partial_reversal=True, reverse_within_seconds=366 * DAY_SECONDS),
            {"01": ("学费", "tuition"), "02": ("住宿费", "boarding"), "03": ("教材费", "books")},
        ),
        _type(
            *("donation", 330801, ("公益事业捐赠票据（电子）", "Donation receipt")),
            *(_CITY, {"01": ("货币捐赠", "money"), "02": ("实物捐赠", "goods")}),
        ),
    )
}


def synthea_types() -> dict[Scene, ReferenceType]:
    """Outpatient and inpatient as an import from Synthea needs them: US dollars and 40 lines.

    A charge has no list behind it, no insurance class and no liability split, and may be zero;
    its organisations have no credit code.
    """
    found: dict[Scene, ReferenceType] = {}
    for scene in ("outpatient", "inpatient"):
        reference = TYPES[scene]
        rules = replace(
            reference.rules,
            currencies=("USD", "CNY"),
            max_items=40,
            liability="optional",
            details_required=False,
            classes_required=False,
            inpatient_sums=False,
            credit_code_required=False,
            zero_total=True,
            zero_lines=True,
        )
        found[scene] = ReferenceType(scene, reference.entry, rules)
    return found
