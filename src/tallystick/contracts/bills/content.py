"""What a bill's body must satisfy: pure, the same for whoever makes, receives or opens one.

`check_body` runs `CHECKS` in their order and the first that fails decides, so that two readers
name the same reason. The issuer runs it before sealing; every vault and reader runs it again. What
needs the ledger (numbers, blocks, years, the bill that is reversed) is not asked here.

Invariant: money is integers, and a body that passes has one total, however one adds it up.
Quantity times unit price is not compared: issuers round it in too many ways.
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tallystick.contracts.bills.amounts import format_amount, format_amount_e4
from tallystick.contracts.bills.body import Body, Detail, Item, Liability, Relates, Source
from tallystick.contracts.bills.identifiers import (
    check_credit_code,
    check_name,
    check_payer_id,
    check_text,
    may_need_a_look,
)
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    BillCode,
    BillId,
    BillNumber,
    BillTypeId,
    TypeRules,
    format_bill_id,
)
from tallystick.protocol.canonical import Record, builtins, encode
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.values import (
    Amount,
    Currency,
    Digest,
    Instant,
    OrgId,
    parse_day,
    parse_instant,
)

RULES_VERSION = 1
"""The version that new bodies name. A released version is never edited; a new one stands beside."""

LINES_NAMED_MAX = 20
"""How many faulty lines a refusal lists."""

Check = Callable[[Body, TypeRules], None]
Side = tuple[str, int]
"""One side of a comparison: what it is, and its minor units."""


def check_body(body: Body, rules: TypeRules) -> None:
    """Raise `Rejected` with the first reason why `body` is no proper bill under `rules`."""
    for check in CHECKS:
        check(body, rules)


def check_rules_version(body: Body, rules: TypeRules) -> None:
    """1. The body was made under rules that this code knows."""
    if body.rules_version != RULES_VERSION:
        raise Rejected(
            BillsReason.RULES_VERSION,
            f"made under version {body.rules_version}, known is {RULES_VERSION}",
            path="rules_version",
        )


def check_type(body: Body, rules: TypeRules) -> None:
    """2. Type and currency are those of the code and of the catalogue."""
    if body.type != body.code // 100:
        raise Rejected(
            BillsReason.CODE_TYPE_MISMATCH,
            f"code {body.code} is of type {body.code // 100}, not {body.type}",
            path="type",
        )
    if body.currency not in rules.currencies:
        raise Rejected(
            BillsReason.CURRENCY_NOT_ALLOWED,
            f"{body.currency}, allowed {', '.join(rules.currencies)}",
            path="currency",
        )


def check_relations(body: Body, rules: TypeRules) -> None:
    """3. A red bill names what it reverses and nothing else; no bill is about itself."""
    relates, reason = body.relates or Relates(), BillsReason.RELATION_INVALID
    if body.kind == "red" and relates.reversal_of is None:
        raise Rejected(reason, "a red bill names what it reverses", path="relates/reversal_of")
    if body.kind == "red" and (relates.replaces or relates.settles):
        raise Rejected(reason, "a red bill only reverses", path="relates")
    if body.kind == "blue" and relates.reversal_of is not None:
        raise Rejected(reason, "only a red bill reverses", path="relates/reversal_of")
    named = (relates.reversal_of, relates.replaces, *relates.settles)
    if format_bill_id(body.code, body.number) in named:
        raise Rejected(reason, "the bill names itself", path="relates")
    if len(set(relates.settles)) != len(relates.settles):
        raise Rejected(reason, "a deposit is named twice", path="relates/settles")


def check_settlement(body: Body, rules: TypeRules) -> None:
    """4. Part k of n has k <= n; a merged bill names each business code once."""
    reason, part = BillsReason.RELATION_INVALID, body.settlement
    if part and part.part > part.of:
        raise Rejected(reason, f"part {part.part} of {part.of}", path="settlement/part")
    if len(set(body.business_codes)) != len(body.business_codes):
        raise Rejected(reason, "a business code is named twice", path="business_codes")


def check_parties(body: Body, rules: TypeRules) -> None:
    """5. Names are readable, identity numbers have the right shape and check character."""
    issuer, payer = body.issuer_block, body.payer
    check_name(issuer.name, "issuer_block/name")
    if issuer.credit_code or rules.credit_code_required:
        check_credit_code(issuer.credit_code, "issuer_block/credit_code")
    check_name(payer.name, "payer/name")
    check_payer_id(payer)


def check_texts(body: Body, rules: TypeRules) -> None:
    """6. No text anywhere hides characters or mixes directions.

    Nearly always the whole encoding shows at once that there is nothing to look for.
    """
    data = encode(body)
    if may_need_a_look(data):
        for path, text in _texts(builtins(body), ""):
            check_text(text, path)


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Every text of the body with its path, so that no later field is forgotten."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _texts(member, f"{path}/{name}" if path else name)
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            yield from _texts(member, f"{path}/{index}")


def check_dates(body: Body, rules: TypeRules) -> None:
    """7. Days and the instant exist; discharge is not before admission."""
    try:
        parse_instant(body.issued_at)
    except Malformed as error:
        raise Rejected(BillsReason.DATE_INVALID, error.detail, path="issued_at") from None
    medical = body.medical
    if medical is None:
        return
    for name in ("visit_on", "admitted_on", "discharged_on"):
        day = getattr(medical, name)
        try:
            parse_day(day or "2000-01-01")
        except Malformed as error:
            path = f"medical/{name}"
            raise Rejected(BillsReason.DATE_INVALID, error.detail, path=path) from None
    admitted_on, discharged_on = medical.admitted_on, medical.discharged_on
    if admitted_on and discharged_on and discharged_on < admitted_on:
        raise Rejected(
            BillsReason.DATE_INVALID,
            f"discharged on {discharged_on}, admitted on {admitted_on}",
            path="medical/discharged_on",
        )


def check_lines(body: Body, rules: TypeRules) -> None:
    """8. As many lines as the type allows, items of the catalogue, list lines with an item."""
    if not 1 <= len(body.items) <= rules.max_items:
        raise Rejected(
            BillsReason.ITEM_LIMIT, f"{len(body.items)} items, 1 to {rules.max_items}", path="items"
        )
    if len(body.details) > rules.max_details:
        raise Rejected(
            BillsReason.ITEM_LIMIT,
            f"{len(body.details)} list lines, limit {rules.max_details}",
            path="details",
        )
    for index, item in enumerate(body.items):
        if item.code not in rules.item_codes:
            raise Rejected(BillsReason.ITEM_UNKNOWN, item.code, path=f"items/{index}/code")
    for index, detail in enumerate(body.details):
        if detail.item >= len(body.items):
            raise Rejected(
                BillsReason.DETAIL_ORPHAN,
                f"item {detail.item} of {len(body.items)}",
                path=f"details/{index}/item",
            )


def check_extensions(body: Body, rules: TypeRules) -> None:
    """9. Extensions are the type's, each once."""
    seen = set()
    for index, extension in enumerate(body.extensions):
        if extension.key not in rules.extension_keys or extension.key in seen:
            raise Rejected(
                BillsReason.EXTENSION_UNKNOWN, extension.key, path=f"extensions/{index}/key"
            )
        seen.add(extension.key)


def check_signs(body: Body, rules: TypeRules) -> None:
    """10. No negative line, blue or red; lines and totals of zero as the type says."""
    amounts = [(f"items/{i}/amount", item.amount) for i, item in enumerate(body.items)]
    amounts += [(f"details/{i}/amount_e4", line.amount_e4) for i, line in enumerate(body.details)]
    if negative := [path for path, amount in amounts if amount < 0]:
        raise Rejected(BillsReason.NEGATIVE_LINE, _listed(negative), path=negative[0])
    if not rules.zero_lines and (zero := [path for path, amount in amounts if amount == 0]):
        raise Rejected(BillsReason.ZERO_LINE, _listed(zero), path=zero[0])
    if not rules.zero_total and body.total == 0:
        raise Rejected(BillsReason.ZERO_TOTAL, path="total")


def check_items_sum(body: Body, rules: TypeRules) -> None:
    """11. I3: items less discount, with a bounded rounding, are the total."""
    if abs(body.total_rounding) > rules.rounding_max:
        raise Rejected(
            BillsReason.ROUNDING_LIMIT,
            f"{format_amount(body.total_rounding)}, limit {format_amount(rules.rounding_max)}",
            path="total_rounding",
        )
    net = _gross(body) - body.discount + body.total_rounding
    _equal(
        BillsReason.SUM_ITEMS, "total", ("items - discount + rounding", net), ("total", body.total)
    )


def check_details_sum(body: Body, rules: TypeRules) -> None:
    """12. I4: an item's list lines, rounded once half up, are the item, within the tolerance."""
    sums: dict[int, int] = {}
    for detail in body.details:
        sums[detail.item] = sums.get(detail.item, 0) + detail.amount_e4
    for index, item in enumerate(body.items):
        if index not in sums and not rules.details_required:
            continue
        exact = sums.get(index, 0)
        difference = _half_up(exact) - item.amount
        if abs(difference) * 100 > rules.detail_tolerance_e4:
            raise Rejected(
                BillsReason.SUM_DETAILS,
                f"list lines {format_amount_e4(exact)}, item {format_amount(item.amount)}, "
                f"difference {format_amount(difference)}",
                path=f"items/{index}/amount",
            )


def check_sources_sum(body: Body, rules: TypeRules) -> None:
    """13. I5: fund + other + account + cash are the total; the funds named are fund + other."""
    reason, sources = BillsReason.SUM_SOURCES, body.payment.sources
    paid = sources.fund + sources.other + sources.account + sources.cash
    _equal(
        reason, "payment/sources", ("fund + other + account + cash", paid), ("total", body.total)
    )
    if body.payment.fund_detail:
        named = sum(part.amount for part in body.payment.fund_detail)
        funds = sources.fund + sources.other
        _equal(reason, "payment/fund_detail", ("funds named", named), ("fund + other", funds))


def check_liability_sum(body: Body, rules: TypeRules) -> None:
    """14. I6: self-pay + self-expense are account + cash, if the type asks for it.

    Where it is optional, both at zero say nothing: some provinces print that while the payer paid.
    """
    reason, path = BillsReason.SUM_LIABILITY, "payment/liability"
    liability = body.payment.liability
    if liability is None:
        if rules.liability == "required":
            raise Rejected(reason, "the type requires it", path=path)
        return
    if rules.liability == "absent":
        raise Rejected(reason, "the type has no such split", path=path)
    borne = liability.self_pay + liability.self_expense
    if borne or rules.liability == "required":
        own = body.payment.sources.account + body.payment.sources.cash
        _equal(reason, path, ("self-pay + self-expense", borne), ("account + cash", own))
    gross = _gross(body)
    for name in ("deductible", "over_limit", "pre_self_pay"):
        part = getattr(liability, name)
        if part > gross:
            detail = f"{format_amount(part)}, more than the items, {format_amount(gross)}"
            raise Rejected(reason, detail, path=f"{path}/{name}")


def check_classes(body: Body, rules: TypeRules) -> None:
    """15. A line names its class if the type asks; its self-paid parts fit line and class."""
    reason = BillsReason.CLASS_INVALID
    for path, line, amount_e4, pre_e4, self_e4 in _charged_lines(body):
        if line.insurance_class is None and rules.classes_required:
            raise Rejected(reason, "no class", path=f"{path}/insurance_class")
        if line.insurance_class == "a" and (pre_e4 or line.self_ratio_bps):
            raise Rejected(reason, "class a has no self-paid part", path=path)
        if pre_e4 + self_e4 > amount_e4:
            own, whole = format_amount_e4(pre_e4 + self_e4), format_amount_e4(amount_e4)
            raise Rejected(reason, f"self-paid {own} of {whole}", path=path)


def check_classes_sum(body: Body, rules: TypeRules) -> None:
    """16. The sums by class are the lines', within the tolerance, where the type requires classes.

    Elsewhere a line may be without a class, and sums over the others would say nothing.
    """
    liability = body.payment.liability
    if liability is None or not rules.classes_required:
        return
    sums: dict[str | None, int] = {"b": 0, "c": 0}
    pre_self_pay = 0
    for _, line, amount_e4, pre_e4, _ in _charged_lines(body):
        sums[line.insurance_class] = sums.get(line.insurance_class, 0) + amount_e4
        pre_self_pay += pre_e4
    for name, stated, exact in (
        ("category_b", liability.category_b, sums["b"]),
        ("category_c", liability.category_c, sums["c"]),
        ("pre_self_pay", liability.pre_self_pay, pre_self_pay),
    ):
        if abs(_half_up(exact) - stated) * 100 > rules.detail_tolerance_e4:
            path = f"payment/liability/{name}"
            _equal(BillsReason.SUM_CLASSES, path, ("lines", _half_up(exact)), (name, stated))


def _charged_lines(body: Body) -> Iterator[tuple[str, Item | Detail, int, int, int]]:
    """Path, line, amount, pre-self-pay and self-expense in 1/10000 of each line that counts."""
    listed = {detail.item for detail in body.details}
    for index, item in enumerate(body.items):
        if index not in listed:
            e4 = (item.amount * 100, item.pre_self_pay * 100, item.self_amount * 100)
            yield (f"items/{index}", item, *e4)
    for index, detail in enumerate(body.details):
        e4 = (detail.amount_e4, detail.pre_self_pay_e4, detail.self_amount_e4)
        yield (f"details/{index}", detail, *e4)


def check_inpatient_sum(body: Body, rules: TypeRules) -> None:
    """17. I7: prepaid + recharged - refunded are the cash part. A red bill need not repeat them."""
    reason, path = BillsReason.SUM_INPATIENT, "payment/inpatient"
    inpatient = body.payment.inpatient
    if inpatient is None:
        if rules.inpatient_sums and body.kind == "blue":
            raise Rejected(reason, "the type requires it", path=path)
        return
    net = inpatient.prepaid + inpatient.recharged - inpatient.refunded
    cash = body.payment.sources.cash
    _equal(reason, path, ("prepaid + recharged - refunded", net), ("cash", cash))


def check_channels_sum(body: Body, rules: TypeRules) -> None:
    """18. I8: the channels that carry a source add up to it; a source may have none."""
    sums: dict[Source, int] = {}
    for channel in body.payment.channels:
        sums[channel.part] = sums.get(channel.part, 0) + channel.amount
    for part, carried in sums.items():
        source = getattr(body.payment.sources, part)
        _equal(
            BillsReason.SUM_CHANNELS,
            "payment/channels",
            (f"{part} channels", carried),
            (part, source),
        )


CHECKS: tuple[Check, ...] = (
    check_rules_version,
    check_type,
    check_relations,
    check_settlement,
    check_parties,
    check_texts,
    check_dates,
    check_lines,
    check_extensions,
    check_signs,
    check_items_sum,
    check_details_sum,
    check_sources_sum,
    check_liability_sum,
    check_classes,
    check_classes_sum,
    check_inpatient_sum,
    check_channels_sum,
)
"""The order is part of the rules: the first that fails names the reason."""


class OpenFields(Record):
    """What is shown of a bill in every presentation and stands on its record, word for word."""

    network: Digest
    code: BillCode
    number: BillNumber
    issuer: OrgId
    type: BillTypeId
    issued_at: Instant
    kind: str
    currency: Currency
    reversal_of: BillId | None
    replaces: BillId | None
    settles: tuple[BillId, ...]
    total: Amount
    account: Amount
    cash: Amount
    self_pay: Amount
    self_expense: Amount


OPEN_NAMES: tuple[str, ...] = OpenFields.__struct_fields__


def open_fields(body: Body) -> dict[str, object]:
    """The open fields under `OPEN_NAMES`, as they stand in JSON; amounts not stated are zero."""
    relates, sources = body.relates or Relates(), body.payment.sources
    liability = body.payment.liability or Liability()
    shown = OpenFields(
        network=body.network,
        code=body.code,
        number=body.number,
        issuer=body.issuer,
        type=body.type,
        issued_at=body.issued_at,
        kind=body.kind,
        currency=body.currency,
        reversal_of=relates.reversal_of,
        replaces=relates.replaces,
        settles=relates.settles,
        total=body.total,
        account=sources.account,
        cash=sources.cash,
        self_pay=liability.self_pay,
        self_expense=liability.self_expense,
    )
    named: dict[str, object] = builtins(shown)
    return named


def check_against_record(open: Mapping[str, object], record: Mapping[str, object]) -> None:
    """Each open field is the record's, both as in JSON; absent, null, 0 and [] are one."""
    for name in OPEN_NAMES:
        if not _same(open.get(name), record.get(name)):
            raise Rejected(BillsReason.BODY_MISMATCH, f"{name} is not the record's", path=name)
    for name in open:
        if name not in OPEN_NAMES:
            raise Rejected(BillsReason.BODY_MISMATCH, f"{name} is no open field", path=name)


def _same(left: object, right: object) -> bool:
    left, right = _plain(left), _plain(right)
    return type(left) is type(right) and left == right


def _plain(value: object) -> object:
    """Absent for what an encoding may leave out; no difference between list and tuple."""
    if isinstance(value, list | tuple):
        return list(value) or None
    return None if value == 0 and not isinstance(value, bool) else value


def _gross(body: Body) -> int:
    return sum(item.amount for item in body.items)


def _half_up(amount_e4: int) -> int:
    """Minor units of a non-negative amount in 1/10000, rounded once."""
    return (amount_e4 + 50) // 100


def _equal(reason: BillsReason, path: str, left: Side, right: Side) -> None:
    """Refuse two sides that differ, naming both and the difference."""
    if left[1] != right[1]:
        raise Rejected(
            reason,
            f"{left[0]} {format_amount(left[1])}, {right[0]} {format_amount(right[1])}, "
            f"difference {format_amount(left[1] - right[1])}",
            path=path,
        )


def _listed(paths: list[str]) -> str:
    more = len(paths) - LINES_NAMED_MAX
    return ", ".join(paths[:LINES_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
