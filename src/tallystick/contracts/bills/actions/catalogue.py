"""``bills.define_type``: finance says what bills of a type must satisfy, version after version.

Invariant: the rules of a version never change, and a bill keeps the version that it was made under:
a new version takes effect after every bill that can already exist (G6).
See docs/spec/contracts/bills.md.
"""

from __future__ import annotations

from tallystick.contracts.bills.items.bills import DefineType
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import (
    TYPE_RULES_BYTES_MAX,
    BillType,
    TypePointer,
    TypeRules,
    type_row_id,
)
from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.keys import authorise, read_instant
from tallystick.contracts.kit.reasons import KitReason
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Rejected
from tallystick.protocol.values import DAY_SECONDS, parse_instant

SECONDS_MAX = 10 * 366 * DAY_SECONDS
"""Ten years: no time that a rule names is longer, so that every instant stays writable."""
GRACE_DAYS_MAX = 366
RETENTION_DAYS_MAX = 36_600
FUTURE_SECONDS_MIN = 60
"""A block's time may lag behind the clocks of those who issue: see docs/spec/block.md."""
ARCHIVE_SECONDS_MIN = 16
"""A sixteenth of it is at least a second."""


def define_type(ctx: Context, item: DefineType) -> None:
    """The next version of a type; the former one ends where it begins."""
    # READ
    authorise(ctx, item.type)
    pointer = ctx.find(TypePointer, str(item.type))
    newest = pointer.newest if pointer else 0
    former = ctx.find(BillType, type_row_id(item.type, newest)) if newest else None
    # CHECK
    if item.type // 10_000 != ctx.env.region:
        raise Rejected(
            BillsReason.CODE_TYPE_MISMATCH, f"region of this network: {ctx.env.region}", path="type"
        )
    if item.type_version != newest + 1:
        raise Rejected(KitReason.VERSION_CONFLICT, f"the next is {newest + 1}", path="type_version")
    check_rules(item.rules)
    _check_valid_from(ctx, item, former)
    # WRITE
    ctx.put(
        BillType(
            kind=BillType.KIND,
            id=type_row_id(item.type, item.type_version),
            state="defined",
            good=True,
            type=item.type,
            type_version=item.type_version,
            catalogue=item.catalogue,
            rules=item.rules,
            valid_from=item.valid_from,
        )
    )
    if former is not None:
        ctx.put(former, until=item.valid_from)
    if pointer is None:
        pointer = TypePointer(
            kind=TypePointer.KIND, id=str(item.type), state="defined", good=True, newest=1
        )
    ctx.put(pointer, newest=item.type_version)


def check_rules(rules: TypeRules) -> None:
    """Rules that contradict themselves, or that no ledger could keep, are refused."""
    bounds = (
        ("issue_past_seconds_max", 0, SECONDS_MAX),
        ("issue_future_seconds_max", FUTURE_SECONDS_MIN, SECONDS_MAX),
        ("archive_within_seconds", 0, SECONDS_MAX),
        ("reverse_within_seconds", 0, SECONDS_MAX),
        ("year_grace_days", 0, GRACE_DAYS_MAX),
        ("rebind_wait_seconds", 0, SECONDS_MAX),
        ("retention_days", 0, RETENTION_DAYS_MAX),
    )
    for name, least, most in bounds:
        if not least <= getattr(rules, name) <= most:
            raise Rejected(BillsReason.TYPE_RULES, f"from {least} to {most}", path=f"rules/{name}")
    if rules.archive_within_seconds < ARCHIVE_SECONDS_MIN and (
        rules.archive_within_seconds or rules.ack == "archived"
    ):
        raise Rejected(
            BillsReason.TYPE_RULES,
            f"at least {ARCHIVE_SECONDS_MIN}; none only where the record is the acknowledgement",
            path="rules/archive_within_seconds",
        )
    if (rules.deposit or rules.is_paper) and rules.claims is not None:
        raise Rejected(
            BillsReason.TYPE_RULES, "prepaid money and paper are not claimed", path="rules/claims"
        )
    if rules.is_paper and rules.paper is not None:
        raise Rejected(BillsReason.TYPE_RULES, "paper has no paper of its own", path="rules/paper")
    for name in ("currencies", "item_codes", "extension_keys"):
        members = getattr(rules, name)
        if len(dict.fromkeys(members)) != len(members):
            raise Rejected(BillsReason.TYPE_RULES, "a word stands twice", path=f"rules/{name}")
    if len(encode(rules)) > TYPE_RULES_BYTES_MAX:
        raise Rejected(
            BillsReason.TYPE_RULES, f"more than {TYPE_RULES_BYTES_MAX} bytes", path="rules"
        )


def _check_valid_from(ctx: Context, item: DefineType, former: BillType | None) -> None:
    """G6: no bill that the former version may already have is dated where the new one begins."""
    valid_from = read_instant(item.valid_from, "valid_from")
    if former is None:
        return
    after = ctx.block_time + former.rules.issue_future_seconds_max
    if valid_from <= max(after, parse_instant(former.valid_from)):
        raise Rejected(
            BillsReason.VALID_FROM,
            f"the former version is valid from {former.valid_from}, and dates bills ahead",
            path="valid_from",
        )
