"""What a supervisor sees in the log of a real ledger: counts, which anyone can repeat; no links."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acts import founder
from claims_acts import CLAIMED, CLAIMED_RULES
from province import ISSUER_ACTIONS, REIMBURSER_ACTIONS
from world import World, genesis_file

from tallystick.apps.bills.patterns import (
    EXAMPLES_MAX,
    Patterns,
    find_patterns,
    first_entry,
    group_findings,
    steps,
)
from tallystick.contracts.bills.items.bills import Allot, Block, Replace, VoidNumbers
from tallystick.contracts.bills.items.claims import Lock
from tallystick.contracts.bills.items.supervision import Answer, Dispute, Freeze
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.contracts.bills.records.claims import Terms
from tallystick.contracts.kit.grants import find_grant
from tallystick.protocol.canonical import encode
from tallystick.protocol.values import format_instant
from tallystick.vault import Finding

DAY = 86_400
REIMBURSERS = ("insurer", "mutual", "fund")


class Supervised(World):
    """A ledger whose bills are claimed by statute."""

    def __init__(self, folder: Path) -> None:
        founders = [
            founder("finance", "*"),
            founder("hospital", *ISSUER_ACTIONS),
            *(founder(org, *REIMBURSER_ACTIONS, "bills.statute") for org in REIMBURSERS),
        ]
        super().__init__(folder, genesis=genesis_file(founders))
        kind = self.define_item(type=CLAIMED // 100, rules=CLAIMED_RULES)
        self.accept("finance", "bills.define_type", kind)
        named: dict[str, Any] = {"code": CLAIMED, "first": 1}
        top = Allot(nonce=self.nonce(), level=0, last=1_000, holder="finance", **named)
        own = Allot(
            nonce=self.nonce(),
            level=3,
            last=100,
            holder="hospital",
            parent=Block(level=0, first=1),
            **named,
        )
        self.accept("finance", "bills.allot", top)
        self.accept("finance", "bills.allot", own)

    def bill(self, number: int) -> str:
        self.accept("hospital", "bills.issue", self.issue_item(number, code=CLAIMED))
        return format_bill_id(CLAIMED, number)

    def lock(self, org: str, bill: str, amount: int = 1_000, purpose: str = "claim") -> str:
        """What becomes of it."""
        with self.ledger.view() as view:
            grant = find_grant(view, org, "bills.statute", self.at)
        assert grant is not None
        terms = Terms(
            purpose=purpose,
            basis="cash_account",
            benefit="indemnity",
            right="statute",
            right_id=grant.grant_id,
        )
        item = Lock(
            nonce=self.nonce(),
            bill=bill,
            claim=self.nonce(),
            terms=terms,
            amount=amount,
            until=format_instant(self.at + DAY),
        )
        return self.act(org, "bills.lock", item)[0]

    def dispute(self, bill: str) -> str:
        item = Dispute(nonce=self.nonce(), bill=bill, what="altered", evidence=b"e" * 32)
        data = self.transaction("insurer", "bills.dispute", item)
        self.block(data)
        return f"{self.ledger.check(data).tx_id}.0"

    def patterns(self, **options: Any) -> Patterns:
        with self.ledger.view() as view:
            return find_patterns(view, **options)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Supervised]:
    world = Supervised(tmp_path / "ledger")
    yield world
    world.ledger.close()


def test_a_quiet_ledger_has_no_patterns(world: Supervised) -> None:
    bill = world.bill(1)
    assert world.lock("insurer", bill) == "accepted"
    found = world.patterns()
    assert (found.first, found.size) == (0, world.ledger.head.size)
    assert found.at == format_instant(world.at)
    lists = (found.doubled_bills, found.doubled_reimbursers, found.disordered, found.refused)
    assert lists == ([], [], [], [])
    assert (found.disputed, found.frozen, found.archive) == ([], [], [])


def test_repeated_double_claims_are_counted_by_bill_and_by_reimburser(world: Supervised) -> None:
    first, second, third = world.bill(1), world.bill(2), world.bill(3)
    start = world.at
    for bill in (first, second, third):
        assert world.lock("insurer", bill) == "accepted"
    for org in ("mutual", "mutual", "fund"):
        world.at += 60
        assert world.lock(org, first) == "bills.claim_locked"
    assert world.lock("mutual", second) == "bills.claim_locked"
    found = world.patterns()
    (tried,) = found.doubled_bills
    assert (tried.subject, tried.refused, tried.others) == (first, 3, 2)
    assert tried.reasons == {"bills.claim_locked": 3}
    assert (tried.first, tried.last) == (format_instant(start + 60), format_instant(start + 180))
    (trying,) = found.doubled_reimbursers
    assert (trying.subject, trying.refused, trying.others) == ("mutual", 3, 2)
    once = world.patterns(least=1)
    assert [each.subject for each in once.doubled_bills] == [first, second]
    assert [each.subject for each in once.doubled_reimbursers] == ["mutual", "fund"]


def test_no_line_links_a_reimburser_to_the_bill_it_was_refused_on(world: Supervised) -> None:
    bill = world.bill(1)
    world.lock("insurer", bill)
    world.lock("mutual", bill)
    found = world.patterns(least=1)
    lines: list[Any] = [*found.doubled_bills, *found.doubled_reimbursers, *found.refused]
    assert len(lines) == 3
    for line in lines:
        text = encode(line).decode()
        assert not (bill in text and any(org in text for org in REIMBURSERS))


def test_other_refusals_of_a_lock_are_no_double_claims(world: Supervised) -> None:
    bill = world.bill(1)
    for _ in range(3):
        assert world.lock("insurer", format_bill_id(CLAIMED, 99)) == "bills.bill_unknown"
    assert world.lock("insurer", bill, amount=6_000) == "bills.claim_cap"
    found = world.patterns(least=1)
    assert [each.subject for each in found.doubled_bills] == [bill]


def test_numbers_out_of_order_are_named_and_skipped_ones_counted(world: Supervised) -> None:
    for number in (1, 2, 10, 5, 11, 6):
        world.bill(number)
    found = world.patterns().disordered
    assert [(each.allotment, each.holder) for each in found] == [
        (f"{CLAIMED}/3/0000000001", "hospital")
    ]
    assert (found[0].backward, found[0].skipped) == (2, 5)
    assert found[0].examples == [format_bill_id(CLAIMED, number) for number in (5, 6)]
    for start, end in ((3, 4), (7, 9)):
        item = VoidNumbers(
            nonce=world.nonce(),
            code=CLAIMED,
            level=3,
            first=1,
            start=start,
            end=end,
            reason="spoilt",
        )
        world.accept("hospital", "bills.void_numbers", item)
    (after,) = world.patterns().disordered
    assert (after.backward, after.skipped) == (2, 0)


def test_a_refused_number_is_out_of_no_order(world: Supervised) -> None:
    world.bill(1)
    assert world.act("hospital", "bills.issue", world.issue_item(1, code=CLAIMED)) == [
        "bills.number_used"
    ]
    assert world.patterns().disordered == []


def test_both_numbers_of_a_replacement_count_in_the_order_in_which_they_are_taken(
    world: Supervised,
) -> None:
    bill = world.bill(1)
    plain = world.issue_item(2, code=CLAIMED)
    named = {name: getattr(plain, name) for name in plain.__struct_fields__}
    item = Replace(
        **(named | {"number": 2, "red_number": 3, "red_root": b"q" * 32}),
        bill=bill,
        version=1,
        reason="wrong_data",
    )
    world.accept("hospital", "bills.replace", item)
    (found,) = world.patterns().disordered
    assert (found.backward, found.examples) == (1, [format_bill_id(CLAIMED, 2)])


def test_examples_are_few(world: Supervised) -> None:
    numbers = [100, *range(1, 31)]
    items = [world.issue_item(number, code=CLAIMED) for number in numbers]
    world.accept("hospital", "bills.issue", *items)
    (found,) = world.patterns().disordered
    assert (found.backward, len(found.examples)) == (30, EXAMPLES_MAX)


def test_refusals_are_counted_by_day_organisation_and_reason(world: Supervised) -> None:
    unknown = format_bill_id(CLAIMED, 99)
    world.lock("insurer", unknown)
    world.lock("insurer", unknown)
    world.lock("mutual", unknown)
    world.at += DAY
    world.lock("insurer", unknown)
    counted = [(each.day, each.org, each.count) for each in world.patterns().refused]
    assert counted == [
        ("2026-01-05", "insurer", 2),
        ("2026-01-05", "mutual", 1),
        ("2026-01-06", "insurer", 1),
    ]
    assert {each.reason for each in world.patterns().refused} == {"bills.bill_unknown"}


def test_a_stretch_of_the_log_is_read_from_an_instant_on(world: Supervised) -> None:
    unknown = format_bill_id(CLAIMED, 99)
    world.lock("insurer", unknown)
    before = world.ledger.head.size
    world.at += DAY
    world.lock("mutual", unknown)
    with world.ledger.view() as view:
        assert first_entry(view, 0) == 0
        assert first_entry(view, world.at - DAY + 1) == before
        assert first_entry(view, world.at) == before
        assert first_entry(view, world.at + 1) == view.head.size
        assert [step.index for step in steps(view, before)] == [before]
        assert list(steps(view, view.head.size)) == []
    assert [each.org for each in world.patterns(first=before).refused] == ["mutual"]


def test_open_findings_and_frozen_bills_stand_there_until_they_are_dealt_with(
    world: Supervised,
) -> None:
    first, second = world.bill(1), world.bill(2)
    answered, waits = world.dispute(first), world.dispute(second)
    since = format_instant(world.at)
    item = Answer(nonce=world.nonce(), finding=answered, answer=b"a" * 32, reason="genuine")
    world.accept("hospital", "bills.answer", item)
    freeze = Freeze(
        nonce=world.nonce(), bill=first, version=3, reason="forgery", evidence=b"e" * 32
    )
    world.accept("finance", "bills.freeze", freeze)
    world.at += DAY
    found = world.patterns()
    (disputed,), (frozen,) = found.disputed, found.frozen
    assert (disputed.id, disputed.bill, disputed.issuer, disputed.what, disputed.since) == (
        *(waits, second, "hospital", "altered", since),
    )
    assert (frozen.bill, frozen.issuer, frozen.what, frozen.since) == (
        *(first, "hospital", "forgery", None),
    )


def test_what_the_archive_found_is_grouped_and_not_copied(world: Supervised) -> None:
    found = [
        Finding(
            kind="repeated",
            issuer="hospital",
            code=CLAIMED,
            number=number,
            detail="a detail that stays in the archive",
            nonce=bytes(16),
        )
        for number in (2, 1)
    ]
    other = Finding(kind="content", issuer="clinic", code=CLAIMED, number=3, nonce=bytes(16))
    grouped = world.patterns(archive=[*found, other]).archive
    assert grouped == group_findings([other, *found])
    assert [(each.issuer, each.kind, each.count) for each in grouped] == [
        ("clinic", "content", 1),
        ("hospital", "repeated", 2),
    ]
    assert grouped[1].examples == [format_bill_id(CLAIMED, 1), format_bill_id(CLAIMED, 2)]
    assert b"detail" not in encode(grouped)


def test_anyone_with_the_log_finds_the_same(world: Supervised) -> None:
    bill = world.bill(2)
    world.lock("insurer", bill)
    world.lock("mutual", bill)
    world.bill(1)
    found = world.patterns(least=1)
    world.restart()
    assert encode(world.patterns(least=1)) == encode(found)
