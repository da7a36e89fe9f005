"""Consistent bodies of bills by seed, about invented people, and the type rules they obey.

Invariant: `check_body(make_body(seed), rules)` passes for every seed and every setting here.
"""

from __future__ import annotations

from random import Random
from typing import Any, Literal

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
    Relates,
    Settlement,
    Sources,
)
from tallystick.contracts.bills.identifiers import credit_code_check, resident_id_check
from tallystick.contracts.bills.records import TypeRules, format_bill_id
from tallystick.protocol.canonical import replace
from tallystick.protocol.values import format_instant

Setting = Literal["outpatient", "inpatient"]

NETWORK = bytes(range(32))
ROUNDING_MAX = 5
ITEM_NAMES = {
    "01": "床位费",
    "02": "诊察费",
    "03": "检查费",
    "04": "化验费",
    "05": "治疗费",
    "06": "手术费",
    "07": "护理费",
    "08": "卫生材料费",
    "09": "西药费",
    "10": "中药饮片费",
    "11": "中成药费",
    "12": "一般诊疗费",
    "13": "挂号费",
    "14": "其他费",
}
_PEOPLE = ("林知夏", "周以安", "阿依古丽·买买提", "Ada Quill", "欧阳青禾")
_FIRST_BILL_AT = 1_768_181_467
"""2026-01-12T01:31:07Z."""

OUTPATIENT = TypeRules(
    currencies=("CNY",),
    max_items=12,
    max_details=5_000,
    item_codes=tuple(ITEM_NAMES),
    extension_keys=("serious_illness", "account_balance"),
    liability="required",
    ack="archived",
    rounding_max=ROUNDING_MAX,
    details_required=True,
    classes_required=True,
    credit_code_required=True,
    claimable=True,
    year_grace_days=10,
    issue_past_seconds_max=86_400,
    issue_future_seconds_max=120,
    archive_within_seconds=86_400,
)
INPATIENT = TypeRules(
    currencies=("CNY",),
    max_items=18,
    max_details=5_000,
    item_codes=tuple(ITEM_NAMES),
    liability="required",
    ack="archived",
    rounding_max=ROUNDING_MAX,
    details_required=True,
    classes_required=True,
    inpatient_sums=True,
    credit_code_required=True,
    claimable=True,
    year_grace_days=10,
    issue_past_seconds_max=86_400,
    issue_future_seconds_max=120,
    archive_within_seconds=86_400,
)
RULES: dict[Setting, TypeRules] = {"outpatient": OUTPATIENT, "inpatient": INPATIENT}


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


def make_body(seed: int, *, setting: Setting = "outpatient", **changes: Any) -> Body:
    """One consistent bill with fields changed; the same arguments give the same bill.

    A change of `code` changes the type with it; whoever changes amounts keeps them consistent.
    """
    random = Random(f"{seed}/{setting}")
    code = changes.pop("code", 33060126 if setting == "outpatient" else 33061426)
    issuer = changes.pop("issuer", "hospital-01")
    items, details = _make_lines(random, setting)
    gross = sum(item.amount for item in items)
    discount = random.choice((0, 0, gross // 10))
    rounding = random.randint(-ROUNDING_MAX, ROUNDING_MAX)
    total = gross - discount + rounding
    body = Body(
        rules_version=1,
        network=NETWORK,
        code=code,
        number=seed + 1,
        issuer=issuer,
        type=code // 100,
        template=f"{code // 1_000_000}-{code // 100 % 10_000:04d}-3",
        kind="blue",
        issued_at=format_instant(_FIRST_BILL_AT + seed),
        issuer_block=Issuer(
            name="示范市第一医院",
            credit_code=make_credit_code(Random(issuer)),
            institution_type="综合医院",
        ),
        payer=_make_payer(random),
        business_codes=(f"HIS-{seed:010d}",),
        purpose="charge",
        ordinal=1,
        settlement=random.choice((None, Settlement(tag=f"S{seed}", part=1, of=2))),
        place_code="W03",
        cashier_shift="20260112-A",
        clerk="窗口三",
        currency="CNY",
        total=total,
        total_rounding=rounding,
        discount=discount,
        items=items,
        details=details,
        payment=_make_payment(random, total, details, setting),
        medical=_make_medical(seed, setting),
    )
    return replace(body, **changes)


def make_red(blue: Body, *, number: int, **changes: Any) -> Body:
    """The full reversal of a blue bill: the same amounts, positive, under a number of its own."""
    relates = Relates(reversal_of=format_bill_id(blue.code, blue.number))
    return replace(blue, kind="red", number=number, relates=relates, **changes)


def changed(body: Body, path: str, value: object) -> Body:
    """A copy of `body` with the member at `path`, like ``items/0/amount``, replaced."""
    copy = _changed(body, path.split("/"), value)
    assert isinstance(copy, Body)
    return copy


def _changed(node: Any, names: list[str], value: object) -> object:
    if not names:
        return value
    name, *rest = names
    if isinstance(node, tuple):
        index = int(name)
        return (*node[:index], _changed(node[index], rest, value), *node[index + 1 :])
    return replace(node, **{name: _changed(getattr(node, name), rest, value)})


def at(body: Body, path: str) -> Any:
    """The member at `path`."""
    node: Any = body
    for name in path.split("/"):
        node = node[int(name)] if isinstance(node, tuple) else getattr(node, name)
    return node


def _make_payer(random: Random) -> Payer:
    name = random.choice(_PEOPLE)
    if random.choice((True, *[False] * 9)):
        return Payer(party="person", name=name)
    return Payer(
        party="person", name=name, id_type="resident_id", id_number=make_resident_id(random)
    )


def _make_lines(random: Random, setting: Setting) -> tuple[tuple[Item, ...], tuple[Detail, ...]]:
    items: list[Item] = []
    details: list[Detail] = []
    codes = random.sample(sorted(ITEM_NAMES), random.randint(1, 6))
    for index, code in enumerate(codes):
        lines = [
            _make_detail(random, index)
            for _ in range(random.randint(1, 20 if setting == "inpatient" else 4))
        ]
        amount = _half_up(sum(line.amount_e4 for line in lines))
        items.append(
            Item(code=code, name=ITEM_NAMES[code], amount=amount, quantity_e4=10_000, unit="项")
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


def _make_payment(
    random: Random, total: int, details: tuple[Detail, ...], setting: Setting
) -> Payment:
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
        if setting == "inpatient"
        else None,
        channels=(
            Channel(channel="alipay", part="cash", amount=cash // 2),
            Channel(channel="card", part="cash", amount=cash - cash // 2),
            Channel(channel="insurance", part="account", amount=account),
        ),
    )


def _make_medical(seed: int, setting: Setting) -> Medical:
    if setting == "outpatient":
        return Medical(
            setting="outpatient",
            visit_on="2026-01-12",
            visit_number=f"MZ{seed:08d}",
            department="全科",
            insurance_type="职工医保",
        )
    return Medical(
        setting="inpatient",
        inpatient_number=f"ZY{seed:08d}",
        case_number=f"BL{seed:08d}",
        department="骨科",
        admitted_on="2026-01-03",
        discharged_on="2026-01-12",
        days=9,
        insurance_type="居民医保",
    )


def _half_up(amount_e4: int) -> int:
    return (amount_e4 + 50) // 100
