"""What a body must satisfy: one test a reason with its path, properties, and known arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
from bodies import INPATIENT, OUTPATIENT, RULES, Setting, at, changed, make_body, make_red
from hypothesis import given
from hypothesis import strategies as st

from tallystick.contracts.bills.amounts import format_amount
from tallystick.contracts.bills.body import (
    Body,
    Channel,
    Detail,
    Extension,
    FundPart,
    Inpatient,
    Item,
    Liability,
    Medical,
    Payer,
    Payment,
    Relates,
    Settlement,
    Sources,
)
from tallystick.contracts.bills.content import (
    CHECKS,
    LINES_NAMED_MAX,
    check_body,
)
from tallystick.contracts.bills.identifiers import (
    NAME_MAX,
)
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import TypeRules, format_bill_id
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import AMOUNT_MAX

BLUE = make_body(1)
STAY = make_body(1, setting="inpatient")
LOOSE = replace(
    OUTPATIENT,
    liability="optional",
    details_required=False,
    classes_required=False,
    zero_lines=True,
    zero_total=True,
)
"""A type that asks only for what holds on every bill."""

seeds = st.integers(min_value=0, max_value=10_000_000)
settings: st.SearchStrategy[Setting] = st.sampled_from(("outpatient", "inpatient"))


def refusal(body: Body, rules: TypeRules = OUTPATIENT) -> tuple[BillsReason, str]:
    """Reason and path of the refusal."""
    error = refused(body, rules)
    assert isinstance(error.reason, BillsReason)
    return error.reason, error.path


def refused(body: Body, rules: TypeRules = OUTPATIENT) -> Rejected:
    with pytest.raises(Rejected) as caught:
        check_body(body, rules)
    return caught.value


def simple(amounts: list[int], payment: Payment, *, total: int | None = None) -> Body:
    """A bill of items without list lines."""
    items = tuple(Item(code="03", name="检查费", amount=amount) for amount in amounts)
    total = sum(amounts) if total is None else total
    body = replace(BLUE, items=items, details=(), total=total, payment=payment)
    return replace(body, discount=0, total_rounding=0)


# Properties.


@given(seeds, settings)
def test_a_consistent_body_passes_and_has_one_spelling(seed: int, setting: Setting) -> None:
    body = make_body(seed, setting=setting)
    check_body(body, RULES[setting])
    assert decode(encode(body), Body) == body


@given(seeds, settings)
def test_a_red_bill_has_the_same_positive_amounts(seed: int, setting: Setting) -> None:
    blue = make_body(seed, setting=setting)
    red = make_red(blue, number=seed + 7)
    check_body(red, RULES[setting])
    assert red.kind == "red" and red.total == blue.total and red.payment == blue.payment


PERTURBED = {
    "total": BillsReason.SUM_ITEMS,
    "items/0/amount": BillsReason.SUM_ITEMS,
    "discount": BillsReason.SUM_ITEMS,
    "details/0/amount_e4": BillsReason.SUM_DETAILS,
    "payment/sources/fund": BillsReason.SUM_SOURCES,
    "payment/sources/other": BillsReason.SUM_SOURCES,
    "payment/sources/account": BillsReason.SUM_SOURCES,
    "payment/sources/cash": BillsReason.SUM_SOURCES,
    "payment/fund_detail/0/amount": BillsReason.SUM_SOURCES,
    "payment/liability/self_pay": BillsReason.SUM_LIABILITY,
    "payment/liability/self_expense": BillsReason.SUM_LIABILITY,
    "payment/liability/category_b": BillsReason.SUM_CLASSES,
    "payment/liability/category_c": BillsReason.SUM_CLASSES,
    "payment/inpatient/prepaid": BillsReason.SUM_INPATIENT,
    "payment/inpatient/recharged": BillsReason.SUM_INPATIENT,
    "payment/inpatient/refunded": BillsReason.SUM_INPATIENT,
    "payment/channels/0/amount": BillsReason.SUM_CHANNELS,
    "payment/channels/2/amount": BillsReason.SUM_CHANNELS,
}


@given(seeds, st.sampled_from(sorted(PERTURBED)), st.integers(1, 10**9))
def test_each_changed_amount_is_refused_with_its_reason(seed: int, path: str, by: int) -> None:
    body = make_body(seed, setting="inpatient")
    step = by * 100 if path.endswith("_e4") else by
    reason, _ = refusal(changed(body, path, at(body, path) + step), INPATIENT)
    assert reason == PERTURBED[path]


@given(seeds)
def test_a_line_moved_to_another_item_is_refused(seed: int) -> None:
    body = make_body(seed, setting="inpatient")
    target = len(body.items)
    assert refusal(changed(body, "details/0/item", target), INPATIENT) == (
        BillsReason.DETAIL_ORPHAN,
        "details/0/item",
    )


# The arithmetic of three public samples, with invented people and amounts.


def test_sums_as_in_beijing() -> None:
    payment = Payment(
        sources=Sources(fund=19604, account=79750),
        liability=Liability(self_pay=61250, self_expense=18500),
    )
    check_body(simple([71728, 27626], payment), replace(LOOSE, liability="required"))


def test_sums_as_in_jiangsu_where_liability_is_printed_as_zero() -> None:
    payment = Payment(sources=Sources(account=1500, cash=2350), liability=Liability())
    bill = simple([1200, 2650], payment)
    check_body(bill, LOOSE)
    assert refusal(bill, replace(LOOSE, liability="required")) == (
        BillsReason.SUM_LIABILITY,
        "payment/liability",
    )


def test_sums_as_in_heilongjiang_for_a_stay() -> None:
    payment = Payment(
        sources=Sources(fund=412_345, other=10_000, cash=177_655),
        inpatient=Inpatient(prepaid=200_000, refunded=22_345),
    )
    check_body(simple([600_000], payment), replace(LOOSE, inpatient_sums=True))


# One test a reason, in the order of the checks.


def test_unknown_rules_version() -> None:
    assert refusal(replace(BLUE, rules_version=2)) == (BillsReason.RULES_VERSION, "rules_version")


def test_type_is_that_of_the_code() -> None:
    assert refusal(replace(BLUE, type=330602)) == (BillsReason.CODE_TYPE_MISMATCH, "type")


def test_currency_of_the_catalogue() -> None:
    assert refusal(replace(BLUE, currency="USD")) == (BillsReason.CURRENCY_NOT_ALLOWED, "currency")


OTHER = "33060126:0000000099"
ITSELF = format_bill_id(BLUE.code, BLUE.number)


@pytest.mark.parametrize(
    ("kind", "relates", "path"),
    [
        ("red", None, "relates/reversal_of"),
        ("red", Relates(reversal_of=OTHER, replaces=OTHER), "relates"),
        ("red", Relates(reversal_of=OTHER, settles=(OTHER,)), "relates"),
        ("red", Relates(reversal_of=ITSELF), "relates"),
        ("blue", Relates(reversal_of=OTHER), "relates/reversal_of"),
        ("blue", Relates(replaces=ITSELF), "relates"),
        ("blue", Relates(settles=(OTHER, OTHER)), "relates/settles"),
    ],
)
def test_relations(kind: Any, relates: Relates | None, path: str) -> None:
    body = replace(BLUE, kind=kind, relates=relates)
    assert refusal(body) == (BillsReason.RELATION_INVALID, path)


def test_a_blue_bill_may_replace_and_settle() -> None:
    check_body(replace(BLUE, relates=Relates(replaces=OTHER, settles=(OTHER,))), OUTPATIENT)


def test_settlement_part_within_its_number() -> None:
    body = replace(BLUE, settlement=Settlement(tag="S1", part=3, of=2))
    assert refusal(body) == (BillsReason.RELATION_INVALID, "settlement/part")


def test_a_merged_bill_names_each_business_code_once() -> None:
    body = replace(BLUE, business_codes=("HIS-1", "HIS-1"))
    assert refusal(body) == (BillsReason.RELATION_INVALID, "business_codes")
    check_body(replace(BLUE, business_codes=("HIS-1", "HIS-2")), OUTPATIENT)


@pytest.mark.parametrize(
    ("payer", "path"),
    [
        (Payer(party="person", name=""), "payer/name"),
        (Payer(party="person", name="林\n知夏"), "payer/name"),
        (Payer(party="person", name="林" * (NAME_MAX + 1)), "payer/name"),
        (Payer(party="person", name="Ada \u05d0\u05d1"), "payer/name"),
        (Payer(party="person", name="林知夏 "), "payer/name"),
        (Payer(party="person", name="林知夏", id_number="1"), "payer/id_type"),
        (Payer(party="person", name="林知夏", id_type="credit_code"), "payer/id_type"),
        (Payer(party="unit", name="示范公司", id_type="passport"), "payer/id_type"),
        (Payer(party="unit", name="示范公司", id_type="credit_code"), "payer/id_number"),
        (Payer(party="person", name="林知夏", id_type="resident_id"), "payer/id_number"),
        (Payer(party="person", name="林知夏", id_type="passport"), "payer/id_number"),
    ],
)
def test_payer(payer: Payer, path: str) -> None:
    assert refusal(replace(BLUE, payer=payer)) == (BillsReason.PARTY_ID_INVALID, path)


@pytest.mark.parametrize(
    "payer",
    [
        Payer(party="person", name="阿依古丽·买买提"),
        Payer(party="person", name="\u0622\u064a\u06af\u06c7\u0644"),
        Payer(party="person", name="Ada Quill", id_type="passport", id_number="G1234567"),
        Payer(party="unit", name="示范公司"),
        Payer(party="unit", name="示范公司", id_type="credit_code", id_number="91350100M000100Y43"),
    ],
)
def test_payers_that_pass(payer: Payer) -> None:
    check_body(replace(BLUE, payer=payer), OUTPATIENT)


def test_issuer_name_and_credit_code() -> None:
    body = changed(BLUE, "issuer_block/credit_code", "")
    path = "issuer_block/credit_code"
    assert refusal(body) == (BillsReason.PARTY_ID_INVALID, path)
    check_body(body, replace(OUTPATIENT, credit_code_required=False))
    body = changed(BLUE, "issuer_block/credit_code", "123")
    loose = replace(OUTPATIENT, credit_code_required=False)
    assert refusal(body, loose) == (BillsReason.PARTY_ID_INVALID, path)
    body = changed(BLUE, "issuer_block/name", "")
    assert refusal(body) == (BillsReason.PARTY_ID_INVALID, "issuer_block/name")


@pytest.mark.parametrize(
    "path", ["remark", "clerk", "items/0/name", "details/0/unit", "medical/department"]
)
@pytest.mark.parametrize("text", ["a\u202eb", "零\u200b宽", "tab\t", "\x7f", "\u05d0中"])
def test_texts(path: str, text: str) -> None:
    assert refusal(changed(BLUE, path, text)) == (BillsReason.TEXT_INVALID, path)


def test_texts_of_extensions_too() -> None:
    body = replace(BLUE, extensions=(Extension(key="serious_illness", text="\x00"),))
    assert refusal(body) == (BillsReason.TEXT_INVALID, "extensions/0/text")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("issued_at", "2026-02-30T09:00:00Z"),
        ("medical/visit_on", "2026-02-29"),
        ("medical/admitted_on", "2026-13-01"),
        ("medical/discharged_on", "2025-01-02"),
    ],
)
def test_dates(path: str, value: str) -> None:
    assert refusal(changed(STAY, path, value), INPATIENT) == (BillsReason.DATE_INVALID, path)


def test_a_bill_without_medical_block_passes() -> None:
    check_body(replace(BLUE, medical=None), OUTPATIENT)
    check_body(replace(BLUE, medical=Medical(setting="registration")), OUTPATIENT)


def test_line_limits() -> None:
    few = replace(OUTPATIENT, max_items=1)
    two = simple([100, 100], Payment(sources=Sources(cash=200)))
    assert refusal(two, few) == (BillsReason.ITEM_LIMIT, "items")
    assert refusal(replace(BLUE, items=()), few) == (BillsReason.ITEM_LIMIT, "items")
    short = replace(OUTPATIENT, max_details=0)
    assert refusal(BLUE, short) == (BillsReason.ITEM_LIMIT, "details")


def test_item_of_the_catalogue() -> None:
    body = changed(BLUE, "items/0/code", "99")
    assert refusal(body) == (BillsReason.ITEM_UNKNOWN, "items/0/code")


def test_list_line_without_item() -> None:
    body = replace(BLUE, details=(*BLUE.details, Detail(item=199, name="明细", amount_e4=1)))
    path = f"details/{len(BLUE.details)}/item"
    assert refusal(body) == (BillsReason.DETAIL_ORPHAN, path)


def test_extensions() -> None:
    known = Extension(key="serious_illness", amount=100)
    check_body(replace(BLUE, extensions=(known,)), OUTPATIENT)
    reason = BillsReason.EXTENSION_UNKNOWN
    twice = replace(BLUE, extensions=(known, known))
    assert refusal(twice) == (reason, "extensions/1/key")
    unknown = replace(BLUE, extensions=(Extension(key="unheard_of"),))
    assert refusal(unknown) == (reason, "extensions/0/key")


def test_negative_lines_are_named() -> None:
    body = simple([500, -100, -200], Payment(sources=Sources(cash=200)))
    error = refused(body, LOOSE)
    assert (error.reason, error.path) == (BillsReason.NEGATIVE_LINE, "items/1/amount")
    assert error.detail == "items/1/amount, items/2/amount"
    body = changed(BLUE, "details/0/amount_e4", -1)
    assert refusal(body) == (BillsReason.NEGATIVE_LINE, "details/0/amount_e4")


def test_many_negative_lines_are_counted() -> None:
    lines = [Detail(item=0, name="退药", amount_e4=-1) for _ in range(LINES_NAMED_MAX + 3)]
    error = refused(replace(BLUE, details=tuple(lines)))
    assert error.detail.endswith(f"details/{LINES_NAMED_MAX - 1}/amount_e4 and 3 more")


def test_zero_lines_and_zero_totals_by_type() -> None:
    body = simple([500, 0], Payment(sources=Sources(cash=500)))
    check_body(body, LOOSE)
    strict = replace(LOOSE, zero_lines=False)
    assert refusal(body, strict) == (BillsReason.ZERO_LINE, "items/1/amount")
    free = simple([0], Payment(sources=Sources()))
    check_body(free, LOOSE)
    strict = replace(LOOSE, zero_total=False)
    assert refusal(free, strict) == (BillsReason.ZERO_TOTAL, "total")


@pytest.mark.parametrize("rounding", [-6, 6])
def test_rounding_is_limited(rounding: int) -> None:
    body = replace(BLUE, total_rounding=rounding)
    assert refusal(body) == (BillsReason.ROUNDING_LIMIT, "total_rounding")


def test_I3_the_items_add_up_to_the_total() -> None:
    body = simple([71728, 27626], Payment(sources=Sources(cash=99355)), total=99355)
    error = refused(body, LOOSE)
    assert (error.reason, error.path) == (BillsReason.SUM_ITEMS, "total")
    expected = "items - discount + rounding 993.54, total 993.55, difference -0.01"
    assert error.detail == expected
    check_body(replace(body, total_rounding=1), LOOSE)


def test_discount_comes_off_the_items() -> None:
    body = simple([1000], Payment(sources=Sources(cash=900)), total=900)
    check_body(replace(body, discount=100), LOOSE)


def test_I4_list_lines_are_rounded_once_half_up() -> None:
    def listed(*amounts_e4: int) -> Body:
        lines = tuple(Detail(item=0, name="明细", amount_e4=e4) for e4 in amounts_e4)
        return replace(simple([100], Payment(sources=Sources(cash=100))), details=lines)

    check_body(listed(9_950), LOOSE)
    check_body(listed(3_333, 3_333, 3_333), LOOSE)
    check_body(listed(10_049), LOOSE)
    for e4, difference in ((9_949, "-0.01"), (10_050, "0.01")):
        error = refused(listed(e4), LOOSE)
        assert (error.reason, error.path) == (BillsReason.SUM_DETAILS, "items/0/amount")
        shown = f"list lines {e4 // 10_000}.{e4 % 10_000:04d}"
        assert error.detail == f"{shown}, item 1.00, difference {difference}"
        check_body(listed(e4), replace(LOOSE, detail_tolerance_e4=100))


def test_a_list_is_there_if_the_type_requires_it() -> None:
    body = simple([100], Payment(sources=Sources(cash=100)))
    strict = replace(LOOSE, details_required=True)
    assert refusal(body, strict) == (BillsReason.SUM_DETAILS, "items/0/amount")


def test_I5_the_sources_of_money_add_up_to_the_total() -> None:
    error = refused(simple([100], Payment(sources=Sources(fund=30, other=1, cash=68))), LOOSE)
    assert (error.reason, error.path) == (BillsReason.SUM_SOURCES, "payment/sources")
    assert error.detail.endswith("0.99, total 1.00, difference -0.01")


def test_named_funds() -> None:
    parts = (FundPart(fund="pooled", amount=30), FundPart(fund="aid", amount=2))
    payment = Payment(sources=Sources(fund=30, other=1, cash=69), fund_detail=parts)
    assert refusal(simple([100], payment), LOOSE) == (
        BillsReason.SUM_SOURCES,
        "payment/fund_detail",
    )


def test_I6_liability_is_split_as_the_type_says() -> None:
    path = "payment/liability"
    body = simple([100], Payment(sources=Sources(cash=100), liability=Liability(self_pay=99)))
    error = refused(body, LOOSE)
    assert (error.reason, error.path) == (BillsReason.SUM_LIABILITY, path)
    assert error.detail.endswith("0.99, account + cash 1.00, difference -0.01")
    absent = replace(LOOSE, liability="absent")
    assert refusal(body, absent) == (BillsReason.SUM_LIABILITY, path)
    bare = simple([100], Payment(sources=Sources(cash=100)))
    check_body(bare, absent)
    required = replace(LOOSE, liability="required")
    assert refusal(bare, required) == (BillsReason.SUM_LIABILITY, path)


@pytest.mark.parametrize("name", ["deductible", "over_limit", "pre_self_pay"])
def test_a_part_of_the_liability_is_within_the_charges(name: str) -> None:
    liability = Liability(self_pay=100)
    body = simple([100], Payment(sources=Sources(cash=100), liability=liability))
    check_body(changed(body, f"payment/liability/{name}", 100), LOOSE)
    body = changed(body, f"payment/liability/{name}", 101)
    assert refusal(body, LOOSE) == (BillsReason.SUM_LIABILITY, f"payment/liability/{name}")


def test_class_of_each_charged_line() -> None:
    body = changed(BLUE, "details/0/insurance_class", None)
    assert refusal(body) == (BillsReason.CLASS_INVALID, "details/0/insurance_class")
    body = changed(BLUE, "details/0/insurance_class", "a")
    body = changed(body, "details/0/self_ratio_bps", 1)
    assert refusal(body) == (BillsReason.CLASS_INVALID, "details/0")
    body = changed(BLUE, "details/0/insurance_class", "b")
    body = changed(body, "details/0/self_amount_e4", BLUE.details[0].amount_e4 + 1)
    assert refusal(body) == (BillsReason.CLASS_INVALID, "details/0")


def test_an_item_without_list_counts_by_itself() -> None:
    rules = replace(LOOSE, classes_required=True)
    liability = Liability(self_expense=300, pre_self_pay=20, category_b=200, category_c=100)
    body = simple([200, 100], Payment(sources=Sources(cash=300), liability=liability))
    body = changed(body, "items/0/insurance_class", "b")
    body = changed(body, "items/0/pre_self_pay", 20)
    body = changed(body, "items/1/insurance_class", "c")
    check_body(body, rules)
    check_body(replace(body, payment=Payment(sources=Sources(cash=300))), rules)
    for name, stated in (("category_b", 201), ("category_c", 99), ("pre_self_pay", 0)):
        path = f"payment/liability/{name}"
        error = refused(changed(body, path, stated), rules)
        assert (error.reason, error.path) == (BillsReason.SUM_CLASSES, path)
        assert f"{name} {format_amount(stated)}" in error.detail


def test_I7_what_was_prepaid_and_paid_for_a_stay_adds_up() -> None:
    path = "payment/inpatient"
    bare = changed(STAY, path, None)
    assert refusal(bare, INPATIENT) == (BillsReason.SUM_INPATIENT, path)
    check_body(replace(bare, kind="red", relates=Relates(reversal_of=OTHER)), INPATIENT)
    stay = Inpatient(prepaid=50, recharged=60)
    body = simple([100], Payment(sources=Sources(cash=100), inpatient=stay))
    error = refused(body, LOOSE)
    assert (error.reason, error.path) == (BillsReason.SUM_INPATIENT, path)
    expected = "prepaid + recharged - refunded 1.10, cash 1.00, difference 0.10"
    assert error.detail == expected


def test_I8_channels_carry_what_they_say() -> None:
    channels = (Channel(channel="wechat", part="cash", amount=99),)
    body = simple([100], Payment(sources=Sources(cash=100), channels=channels))
    error = refused(body, LOOSE)
    assert (error.reason, error.path) == (BillsReason.SUM_CHANNELS, "payment/channels")
    assert error.detail == "cash channels 0.99, cash 1.00, difference -0.01"


def test_the_first_failing_check_decides() -> None:
    body = changed(replace(BLUE, currency="USD"), "payment/sources/cash", AMOUNT_MAX)
    assert refusal(body)[0] == BillsReason.CURRENCY_NOT_ALLOWED


def test_checks_are_numbered_in_their_order() -> None:
    numbers = [int((check.__doc__ or "").split(".")[0]) for check in CHECKS]
    assert numbers == list(range(1, len(CHECKS) + 1))
