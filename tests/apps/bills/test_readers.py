"""Who may read rows, entries, blocks: no issuer learns who reimburses, holders see who read."""

from __future__ import annotations

from typing import Any

import pytest
from claims_acts import CLAIMED, Claims

from tallystick.apps.bills.readers import OF_THE_BILL, BillReaders
from tallystick.contracts.bills import DOMAIN
from tallystick.contracts.bills.items.bills import Issue
from tallystick.contracts.bills.records.bills import Allotment, Bill, BillType
from tallystick.contracts.bills.records.claims import Claim
from tallystick.contracts.bills.records.holders import Consent
from tallystick.contracts.kit.grants import Authority
from tallystick.contracts.members.records import Member
from tallystick.protocol.canonical import builtins
from tallystick.protocol.errors import Rejected
from tallystick.protocol.row import Row, row_key
from tallystick.protocol.transaction import Header, Item
from tallystick.web.callers import ANONYMOUS, Caller, Limit
from tallystick.web.reasons import WebReason

ALL = Limit(("*",))
KEEPER = Caller("keeper", "finance", b"k" * 32)
NO = WebReason.FORBIDDEN.value


class Reading:
    """A province with a bill that is claimed, and questions about everything in it."""

    def __init__(self) -> None:
        self.claims = Claims()
        self.world = self.claims.world
        self.noted: list[tuple[str, str, str]] = []
        self.readers = BillReaders(
            lambda: self.world.at,
            lambda bill, caller, why: self.noted.append((bill, caller.name, why)),
        )
        self.bill = self.claims.issue()
        self.right = self.claims.consent("insurer", self.bill)
        self.held = self.claims.lock("insurer", self.bill)
        self.claims.settle(self.held, 1_000)
        self.claim = f"{self.bill.id}/0"

    def caller(self, name: str, *limits: Limit) -> Caller:
        if name == "holder":
            return Caller("holder", None, b"h" * 32, bill=self.bill.id)
        return KEEPER if name == "keeper" else Caller("member", name, limits=(ALL, *limits))

    def row(self, who: str | Caller, kind: type[Row], row_id: str) -> str:
        caller = self.caller(who) if isinstance(who, str) else who
        found = (
            self.world.bill(row_id)
            if kind is Bill
            else self.world.rows.get(row_key(kind.KIND, row_id), kind)
        )
        return self.ask("row", caller, found, row_key(kind.KIND, row_id))

    def entry(self, who: str, sender: str, action: str, item: Item) -> str:
        header = self.world._header(sender, f"{action}/1", 1, f"{sender}/key", False)
        assert isinstance(header, Header)
        return self.ask("entry", self.caller(who), header, builtins(item))

    def ask(self, what: str, *arguments: Any) -> str:
        try:
            why: str = getattr(self.readers, what)(self.world.rows, *arguments)
        except Rejected as refused:
            return refused.reason.value
        return why


@pytest.fixture
def reading() -> Reading:
    return Reading()


def whys(reading: Reading, kind: type[Row], row_id: str, *names: str) -> list[str]:
    return [reading.row(name, kind, row_id) for name in names]


def test_what_members_must_know_of_each_other(reading: Reading) -> None:
    for kind, row_id in ((Member, "hospital"), (Authority, "hospital")):
        assert whys(reading, kind, row_id, "clinic", "keeper") == ["member", "member"]
        assert reading.row("holder", kind, row_id) == NO
        narrow = reading.caller("clinic", Limit(("bills.read",), strict=True))
        assert reading.row(narrow, kind, row_id) == NO
    assert whys(reading, BillType, f"{CLAIMED // 100}/1", "clinic", "holder") == ["member"] * 2
    assert reading.ask("row", ANONYMOUS, None, "bills.type/330601/1") == WebReason.UNSIGNED


def test_who_reimburses_is_not_told_to_the_issuer(reading: Reading) -> None:
    names = ("insurer", "holder", "finance", "keeper", "hospital", "mutual")
    whys_of = ["party", "holder", "bills.read", "keeper", NO, NO]
    assert whys(reading, Claim, reading.claim, *names) == whys_of
    assert whys(reading, Consent, reading.right, *names) == whys_of


def test_ranges_are_of_those_who_hold_and_granted_them(reading: Reading) -> None:
    block = f"{CLAIMED}/3/0000000001"
    assert whys(reading, Allotment, block, "hospital", "finance") == ["party", "party"]
    assert whys(reading, Allotment, block, "clinic", "holder") == [NO, NO]
    till = reading.caller("hospital", Limit(("*",), (44,)))
    assert reading.row(till, Allotment, block) == NO
    assert reading.row("hospital", Allotment, f"{CLAIMED}/3/0000000002") == NO
    assert reading.row("finance", Allotment, f"{CLAIMED}/3/0000000002") == "bills.read"


def test_each_bill_that_is_shown_is_noted_and_no_other(reading: Reading) -> None:
    bill = reading.bill.id
    names = ("hospital", "insurer", "holder", "clinic", "finance")
    assert whys(reading, Bill, bill, *names) == ["issuer", "claim", "holder", NO, "bills.read"]
    assert reading.noted == [
        (bill, "hospital", "issuer"), (bill, "insurer", "claim"),
        (bill, "holder", "holder"), (bill, "finance", "bills.read"),
    ]  # fmt: skip
    for bad in ("x", "33060126:17", f"{bill}/0"):
        assert reading.ask("row", KEEPER, None, f"bills.bill/{bad}") == WebReason.NOT_FOUND


def test_an_item_is_its_senders_and_of_those_who_may_read_its_bill(reading: Reading) -> None:
    item: Issue = reading.world.issue_item(1, code=CLAIMED)
    names = ("hospital", "insurer", "holder", "finance", "keeper", "clinic")
    found = [reading.entry(name, "hospital", "bills.issue", item) for name in names]
    assert found == ["sender", "claim", "holder", "bills.read", "keeper", NO]
    assert [who for _, who, _ in reading.noted] == ["insurer", "holder", "finance", "finance"]


def test_an_item_that_names_a_reimburser_is_told_to_few(reading: Reading) -> None:
    lock = reading.claims.lock_item("insurer", reading.bill, 100)
    names = ("insurer", "holder", "finance", "hospital", "mutual")
    found = [reading.entry(name, "insurer", "bills.lock", lock) for name in names]
    assert found == ["sender", "holder", "bills.read", NO, NO]
    who = reading.claims.holder_of(reading.bill)
    consent = reading.claims.acting.consent(reading.bill, who)
    found = [reading.entry(name, "clinic", "bills.consent", consent) for name in names]
    assert found == ["reader", "holder", "bills.read", NO, NO]


def test_the_actions_that_are_told_exist_and_name_no_reimburser() -> None:
    known = {name.partition("/")[0].partition(".")[2] for name in DOMAIN.actions}
    assert known >= OF_THE_BILL
    private = {
        *("lock", "renew", "release_lock", "settle", "settled_before", "supplement", "reject"),
        *("claw_back", "plan", "accept_plan", "waive_share", "ready", "book", "unbook"),
        *("consent", "mandate", "revoke", "appoint_helper", "bind", "object_binding"),
    }
    assert private < known and not private & OF_THE_BILL


def test_everything_is_for_keepers_and_by_a_grant_of_every_code(reading: Reading) -> None:
    names = ("keeper", "finance", "hospital", "holder")
    found = [reading.ask("all", reading.caller(name)) for name in names]
    assert found == ["keeper", "ledger.read", NO, NO]
    for limit in (Limit(("bills.read",), strict=True), Limit(("*",), (33,))):
        assert reading.ask("all", reading.caller("finance", limit)) == NO
    assert reading.ask("all", ANONYMOUS) == WebReason.UNSIGNED


# -------------------------------------------------------------------------- lists, dry runs


def test_where_numbers_may_lie_that_somebody_may_read(reading: Reading) -> None:
    def spans(caller: Caller) -> list[tuple[int, int]]:
        return list(reading.readers.spans(reading.world.rows, caller, CLAIMED, 1, 9_999))

    number = int(reading.bill.id.partition(":")[2])
    assert spans(reading.caller("holder")) == [(number, number)]
    assert spans(reading.caller("hospital")) == [(1, number)]
    assert spans(reading.caller("hospital", Limit(("*",), (44,)))) == []
    assert spans(reading.caller("clinic")) == spans(ANONYMOUS) == []
    for name in ("finance", "keeper", "fund"):
        assert spans(reading.caller(name)) == [(1, 9_999)]


def test_why_an_item_would_be_refused_is_told_of_bills_that_its_sender_may_read(
    reading: Reading,
) -> None:
    claims, other = reading.claims, reading.claims.issue(2)
    terms = claims.terms("insurer", other)

    def told(sender: str, **item: Any) -> bool:
        header = reading.world._header(sender, "bills.lock/1", 1, f"{sender}/key", False)
        assert isinstance(header, Header)
        return reading.readers.rehearsed(reading.world.rows, header, item)

    lock = {"claim": builtins(bytes(16)), "terms": builtins(terms), "amount": 99_999_999}
    assert told("insurer", bill=other.id, **lock)
    assert not told("mutual", bill=other.id, **lock)
    unused = f"{CLAIMED}:0000009999"
    for sender, expected in (("hospital", True), ("clinic", False)):
        assert told(sender, said={"bill": other.id}) is expected
        assert told(sender, settles=[other.id]) is expected
        assert told(sender, finding=f"{other.id}/0") is expected
        assert told(sender, code=CLAIMED, number=1) is expected
    assert not told("hospital", bill=unused)
    assert told("clinic", org="hospital")
