"""Plausible bills by seed, for the demo, benchmarks and tests: invented people, sums that agree.

A bill made here is a *draft*: its number is 0 and its network empty, until an office fills them in.
Identity numbers have right check characters and are of a region that does not exist (9900).

Invariant: the same arguments give the same draft, and each passes the check of its type's rules.
See docs/guides/office.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from tallystick.apps.bills.catalogue import TYPES, Scene
from tallystick.contracts.bills.body import (
    Body,
    Channel,
    Detail,
    FundPart,
    Inpatient,
    Issuer,
    Item,
    Liability,
    Medical,
    Payer,
    Payment,
    Settlement,
    Sources,
)
from tallystick.contracts.bills.content import RULES_VERSION
from tallystick.contracts.bills.identifiers import credit_code_check, resident_id_check
from tallystick.protocol.canonical import replace
from tallystick.protocol.values import DAY_SECONDS, format_instant, local_day

UTC_OFFSET_SECONDS = 28_800
ROUNDING_MAX = 5
"""Of the medical types."""
PEOPLE = ("林知夏", "周以安", "阿依古丽·买买提", "Ada Quill", "欧阳青禾", "沈砚舟", "罗小满")
DEPARTMENTS = ("全科", "心内科", "骨科", "儿科", "眼科", "皮肤科")
INSURANCE = ("职工医保", "居民医保")

_PURPOSES: dict[Scene, str] = {
    "registration": "registration",
    "deposit": "deposit",
    "metro_ride": "ride",
    "tuition": "tuition",
    "donation": "donation",
}
_CHARGES: dict[Scene, tuple[str, int, int]] = {
    "registration": ("13", 500, 5_000),
    "deposit": ("21", 50_000, 2_000_000),
    "metro_ride": ("01", 200, 1_400),
    "tuition": ("01", 100_000, 900_000),
    "donation": ("01", 100, 5_000_000),
}
"""Of the bills with one line: which, and from how much to how much in fen."""


@dataclass(frozen=True, slots=True)
class Institution:
    """Who issues: its name on the ledger, and what its bills print of it."""

    org: str
    block: Issuer


def make_institution(org: str, name: str, kind: str = "综合医院") -> Institution:
    """An invented institution; its credit code follows from `org`."""
    return Institution(org, Issuer(name=name, credit_code=_code_of(org), institution_type=kind))


def make_draft(
    seed: int,
    scene: Scene = "outpatient",
    *,
    institution: Institution | None = None,
    issued_at: int,
    year: int | None = None,
) -> Body:
    """One consistent blue bill, dated `issued_at` in Unix seconds.

    `year` is that of the code; by default the one in which `issued_at` lies at +08:00.
    """
    random = Random(f"{seed}/{scene}")
    reference, who = TYPES[scene], institution or DEMO_HOSPITAL
    at = format_instant(issued_at)
    code = reference.code(int(_day(issued_at)[:4]) if year is None else year)
    make = _medical if scene in _MEDICAL else _plain
    return Body(
        rules_version=RULES_VERSION,
        network=b"",
        code=code,
        number=0,
        issuer=who.org,
        type=code // 100,
        template=reference.entry.template,
        kind="blue",
        issued_at=at,
        issuer_block=who.block,
        payer=_make_payer(random),
        business_codes=(f"HIS-{seed:010d}",),
        purpose=_PURPOSES.get(scene, "charge"),
        ordinal=1,
        place_code="W03",
        cashier_shift=f"{_day(issued_at)}-A",
        clerk="窗口三",
        currency="CNY",
        **make(random, seed, scene, issued_at),
    )


def make_refund(blue: Body, amount: int, *, reason_text: str = "") -> Body:
    """The draft of a red bill that takes `amount` off a bill that was paid in cash alone."""
    sources = blue.payment.sources
    if sources.fund or sources.other or sources.account or blue.payment.liability is not None:
        raise ValueError("only a bill paid in cash alone is refunded by amount")
    first = blue.items[0]
    return replace(
        blue,
        kind="red",
        number=0,
        settlement=None,
        total=amount,
        total_rounding=0,
        discount=0,
        items=(Item(code=first.code, name=first.name, amount=amount),),
        details=(),
        payment=Payment(sources=Sources(cash=amount)),
        remark=reason_text,
    )


def make_resident_id(random: Random) -> str:
    """A number with a right check character, of a region that does not exist."""
    year, month, day = random.randint(1930, 2024), random.randint(1, 12), random.randint(1, 28)
    digits = (
        f"9900{random.randint(0, 99):02d}{year}{month:02d}{day:02d}{random.randint(0, 999):03d}"
    )
    return digits + resident_id_check(digits)


def make_credit_code(random: Random) -> str:
    """A code with a right check character, of a region that does not exist."""
    characters = f"12990000{random.randint(0, 999_999_999):09d}"
    return characters + credit_code_check(characters)


@lru_cache(maxsize=1_024)
def _code_of(org: str) -> str:
    return make_credit_code(Random(org))


DEMO_HOSPITAL = make_institution("hospital-01", "示范市第一医院")

_MEDICAL: tuple[Scene, ...] = ("outpatient", "inpatient")


def _make_payer(random: Random) -> Payer:
    name = random.choice(PEOPLE)
    if random.random() < 0.1:
        return Payer(party="person", name=name)
    return Payer(
        party="person", name=name, id_type="resident_id", id_number=make_resident_id(random)
    )


def _medical(random: Random, seed: int, scene: Scene, issued_at: int) -> dict[str, Any]:
    """Lines with lists behind them, discounts and rounding, and who paid which part."""
    items, details = _make_lines(random, scene)
    gross = sum(item.amount for item in items)
    discount = random.choice((0, 0, gross // 10))
    rounding = random.randint(-ROUNDING_MAX, ROUNDING_MAX)
    total = gross - discount + rounding
    settled = random.random() < 0.5
    return {
        "settlement": Settlement(tag=f"S{seed}", part=1, of=2) if settled else None,
        "total": total,
        "total_rounding": rounding,
        "discount": discount,
        "items": items,
        "details": details,
        "payment": _make_payment(random, total, details, scene),
        "medical": _make_medical(random, seed, scene, issued_at),
    }


def _plain(random: Random, seed: int, scene: Scene, issued_at: int) -> dict[str, Any]:
    """A line or some, paid in cash or through an app."""
    names = {each.code: each.zh for each in TYPES[scene].entry.items}
    if scene == "checkup":
        codes = random.sample(sorted(names), random.randint(2, 4))
        items = tuple(
            Item(code=code, name=names[code], amount=random.randint(2_000, 60_000))
            for code in codes
        )
    else:
        code, least, most = _CHARGES[scene]
        items = (Item(code=code, name=names[code], amount=random.randint(least, most)),)
    total = sum(item.amount for item in items)
    medical = None
    if scene in ("registration", "checkup", "deposit"):
        setting: Any = scene
        medical = Medical(setting=setting, visit_on=_day(issued_at), visit_number=f"MZ{seed:08d}")
    return {
        "total": total,
        "items": items,
        "payment": Payment(
            sources=Sources(cash=total),
            channels=(
                Channel(channel=random.choice(("alipay", "wechat")), part="cash", amount=total),
            ),
        ),
        "medical": medical,
    }


def _make_lines(random: Random, scene: Scene) -> tuple[tuple[Item, ...], tuple[Detail, ...]]:
    items: list[Item] = []
    details: list[Detail] = []
    entry = TYPES[scene].entry
    for index, named in enumerate(random.sample(entry.items, random.randint(1, 6))):
        count = random.randint(1, 20 if scene == "inpatient" else 4)
        lines = [_make_detail(random, index) for _ in range(count)]
        amount = _half_up(sum(line.amount_e4 for line in lines))
        items.append(
            Item(code=named.code, name=named.zh, amount=amount, quantity_e4=10_000, unit="项")
        )
        details.extend(lines)
    return tuple(items), tuple(details)


def _make_detail(random: Random, item: int) -> Detail:
    unit_price_e4 = random.randint(1_000, 5_000_000)
    quantity = random.randint(1, 9)
    amount_e4 = unit_price_e4 * quantity
    kind, ratio_bps = random.choice((("a", 0), ("b", 500), ("b", 2_000), ("c", 0)))
    return Detail(
        item=item,
        name=f"明细{random.randint(1, 999)}",
        code=f"X{random.randint(1, 99_999):05d}",
        amount_e4=amount_e4,
        quantity_e4=quantity * 10_000,
        unit="次",
        unit_price_e4=unit_price_e4,
        insurance_class="a" if kind == "a" else "b" if kind == "b" else "c",
        self_ratio_bps=ratio_bps,
        pre_self_pay_e4=amount_e4 * ratio_bps // 10_000,
        self_amount_e4=amount_e4 if kind == "c" else 0,
    )


def _make_payment(random: Random, total: int, details: tuple[Detail, ...], scene: Scene) -> Payment:
    fund = random.randint(0, total)
    other = random.randint(0, total - fund)
    account = random.randint(0, total - fund - other)
    cash = total - fund - other - account
    own = account + cash
    class_b = _half_up(sum(line.amount_e4 for line in details if line.insurance_class == "b"))
    class_c = _half_up(sum(line.amount_e4 for line in details if line.insurance_class == "c"))
    expense = min(own, class_c)
    prepaid = random.randint(0, 2 * cash)
    return Payment(
        sources=Sources(fund=fund, other=other, account=account, cash=cash),
        fund_detail=(
            FundPart(fund="pooled", amount=fund),
            FundPart(fund="serious_illness", amount=other),
        ),
        liability=Liability(
            self_pay=own - expense,
            self_expense=expense,
            pre_self_pay=_half_up(sum(line.pre_self_pay_e4 for line in details)),
            category_b=class_b,
            category_c=class_c,
        ),
        inpatient=Inpatient(
            prepaid=prepaid, recharged=max(cash - prepaid, 0), refunded=max(prepaid - cash, 0)
        )
        if scene == "inpatient"
        else None,
        channels=(
            Channel(channel="alipay", part="cash", amount=cash // 2),
            Channel(channel="card", part="cash", amount=cash - cash // 2),
            Channel(channel="insurance", part="account", amount=account),
        ),
    )


def _make_medical(random: Random, seed: int, scene: Scene, issued_at: int) -> Medical:
    department, insurance = random.choice(DEPARTMENTS), random.choice(INSURANCE)
    if scene == "outpatient":
        return Medical(
            setting="outpatient",
            visit_on=_day(issued_at),
            visit_number=f"MZ{seed:08d}",
            department=department,
            insurance_type=insurance,
        )
    days = random.randint(1, 30)
    return Medical(
        setting="inpatient",
        inpatient_number=f"ZY{seed:08d}",
        case_number=f"BL{seed:08d}",
        department=department,
        admitted_on=_day(issued_at - days * DAY_SECONDS),
        discharged_on=_day(issued_at),
        days=days,
        insurance_type=insurance,
    )


def _day(at: int) -> str:
    return local_day(at, UTC_OFFSET_SECONDS)


def _half_up(amount_e4: int) -> int:
    return (amount_e4 + 50) // 100
