"""A story in memory in which everything happens once: each accepted item is described as it goes.

The invariants of records and rows are the contracts' own tests' business; here it is told whom an
act is about, and who may see that.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from accounts_acts import HOSPITAL_MONTH, Books, moved
from acts import Acts
from claims_acts import CLAIMED, Claims
from holders_acts import holder
from paper_acts import PAPER, Desk
from province import CODE, Province

from tallystick.apps.bills.event_words import DESCRIBERS
from tallystick.apps.bills.events import EVENTS, ROLES, TYPES
from tallystick.apps.members.events import EVENTS as MEMBERS
from tallystick.client.passes import BILLS_READ
from tallystick.contracts import bills
from tallystick.contracts.bills.items.bills import (
    Block,
    GiveBack,
    OfAllotment,
    OfIssuer,
    Opening,
    Recall,
    Release,
    ResumeAllotment,
    ResumeIssuer,
    SuspendAllotment,
    SuspendIssuer,
    Withhold,
)
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.kit.context import Action, Context
from tallystick.ledger.events import Told
from tallystick.protocol.canonical import encode, parse
from tallystick.protocol.event import About, Event
from tallystick.protocol.transaction import Item


class Heard:
    """Everything that was described, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Told, list[About]]] = []

    def since(self, index: int) -> list[tuple[str, dict[str, str]]]:
        return [(each.type, each.ids) for _, about in self.told[index:] for each in about]

    def last(self) -> list[tuple[str, dict[str, str]]]:
        return self.since(-1)

    def event(self) -> Event:
        told, about = self.told[-1]
        return Event(
            index=told.index,
            block=1,
            at="2026-01-05T00:00:00Z",
            tx="0" * 64,
            n=0,
            sender=told.sender,
            action=told.action,
            outcome="accepted",
            about=about,
        )


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    found, run = Heard(), Acts._item

    def listening(self: Acts, ctx: Context, action: Action, n: int, item: Item) -> str:
        outcome = run(self, ctx, action, n, item)
        if outcome == "accepted" and ctx.action.startswith("bills."):
            written: Any = parse(encode(item), dict[str, Any])
            told = Told(self.network, ctx.index, ctx.sender, ctx.action, written)
            about = EVENTS.describe(self.rows, told)
            assert about
            assert {each.type for each in about} <= TYPES
            assert {role for each in about for role in each.ids} <= ROLES
            found.told.append((told, about))
        return outcome

    monkeypatch.setattr(Acts, "_item", listening)
    return found


def seen(world: Province, org: str, event: Event, *codes: str) -> dict[str, dict[str, str]] | None:
    """What an organisation sees of an event, with grants to read these codes."""
    found = look(world, org, event, *codes)
    return None if found is None else {each.type: each.ids for each in found.about}


def look(world: Province, org: str, event: Event, *codes: str) -> Event | None:
    def may_read(word: str, code: int | None) -> bool:
        return word == BILLS_READ and code is not None and str(code).startswith(codes or ("-",))

    return EVENTS.visible(world.rows, org, may_read)(event)


PAGE = Path(__file__).resolve().parents[3] / "docs" / "spec" / "events.md"
NOBODY = "clinic"
"""A hospital that has nothing to do with any of it."""


def test_every_action_is_described() -> None:
    assert DESCRIBERS.keys() == bills.DOMAIN.actions.keys()


def test_every_word_and_role_stands_on_the_page() -> None:
    named = re.findall(r"`([a-z_.]+)`", PAGE.read_text(encoding="utf-8"))
    words = {each for each in named if "." in each}
    assert (TYPES | MEMBERS.types) - words == set()
    assert (ROLES | MEMBERS.roles) - set(named) == set()


# ------------------------------------------------------------------------------------- bills


def test_a_bill_is_issued_reversed_and_replaced(heard: Heard) -> None:
    world = Province()
    first = world.issue(1)
    names = {"bill": first.id, "code": str(CODE), "issuer": "hospital"}
    assert heard.last() == [("bill.issued", names)]
    assert seen(world, NOBODY, heard.event()) is None
    assert seen(world, "hospital", heard.event()) == {"bill.issued": names}
    assert seen(world, "city", heard.event(), "33") == {"bill.issued": names}
    assert seen(world, "city", heard.event(), "44") is None

    world.reverse(first, 2)
    assert heard.last() == [("bill.reversed", names | {"red": f"{CODE}:0000000002"})]

    other = world.issue(3)
    world.do("hospital", "bills.replace", world.replace_item(other, 4, 5))
    new = f"{CODE}:0000000005"
    assert [type_ for type_, _ in heard.last()] == ["bill.replaced", "bill.reversed", "bill.issued"]
    assert dict(heard.last())["bill.replaced"] == names | {"bill": other.id, "new": new}
    assert dict(heard.last())["bill.issued"]["bill"] == new


def test_states_of_a_bill(heard: Heard) -> None:
    desk = Desk()
    bill, start = desk.issue(1), len(heard.told)
    named: dict[str, Any] = {"bill": bill.id, "reason": "arrears"}
    for kind, action in ((Withhold, "withhold"), (Release, "release")):
        version = desk.now(bill).version
        item = kind(nonce=desk.world.nonce(), version=version, **named)
        desk.world.do("hospital", f"bills.{action}", item)
    desk.freeze(bill)
    desk.lift(bill)
    finding = desk.dispute(bill)
    assert seen(desk.world, "hospital", heard.event()) == dict(heard.last())
    desk.world.do("hospital", "bills.answer", desk.answer_item(finding))
    assert heard.last()[0][1]["by"] == "insurer"
    assert seen(desk.world, "insurer", heard.event()) == dict(heard.last())
    desk.request(bill)
    desk.do("hospital", "bills.cancel_reversal", desk.cancel_item(bill))
    words = [type_ for type_, _ in heard.since(start)]
    assert words == [
        *("bill.withheld", "bill.released", "bill.frozen", "bill.unfrozen", "finding.made"),
        *("finding.answered", "bill.reversing", "bill.not_reversing"),
    ]
    assert all(ids["issuer"] == "hospital" for _, ids in heard.since(start))


def test_paper(heard: Heard) -> None:
    desk = Desk()
    bill, start = desk.issue(1), len(heard.told)
    desk.printed(bill, 1)
    desk.reprint(bill, 2)
    desk.confirm(bill)
    desk.recover(bill)
    desk.exchange(bill, 3)
    desk.cancel(bill)
    desk.printed(bill, 4)
    desk.lose(bill)
    words = [type_ for type_, _ in heard.since(start)]
    assert words == [
        *("paper.printing", "paper.live", "paper.reprinted", "paper.live", "paper.recovered"),
        *("paper.printing", "paper.cancelled", "paper.printing", "paper.live", "paper.lost"),
    ]
    assert heard.since(start)[0][1]["paper"] == f"{PAPER}:0000000001"
    assert heard.since(start)[1][1]["paper"] == f"{PAPER}:0000000001"


# ------------------------------------------------------------------------------------ claims


def private(world: Province, heard: Heard, owner: str) -> dict[str, dict[str, str]]:
    """The last event is whole for its reimburser and has no name of it for the issuer."""
    event = heard.event()
    whole = seen(world, owner, event)
    assert whole == dict(heard.last())
    shown = look(world, "hospital", event)
    assert shown is not None
    assert owner not in encode(shown).decode().replace(event.action, "")
    assert shown.sender is None or shown.sender == "hospital"
    assert seen(world, NOBODY, event) is None
    assert seen(world, "city", event, "3306") == whole
    return whole


def test_claims_name_their_reimburser_to_itself_alone(heard: Heard) -> None:
    claims = Claims()
    bill = claims.issue(1)
    held = claims.lock("insurer", bill, 1_000)
    assert heard.told[-2][1][0].type == "consent.given"
    assert private(claims.world, heard, "insurer")["claim.locked"] == {
        "bill": bill.id,
        "code": str(CLAIMED),
        "issuer": "hospital",
        "reimburser": "insurer",
    }
    item = claims.renew_item(held, claims.world.instant(2 * 86_400))
    claims.do("insurer", "bills.renew", item)
    private(claims.world, heard, "insurer")
    claims.settle(held, 600)
    assert private(claims.world, heard, "insurer")["claim.settled"]["claim"] == f"{bill.id}/0"
    claims.do("insurer", "bills.supplement", claims.supplement_item("insurer", bill, 0, 100))
    private(claims.world, heard, "insurer")
    other = claims.lock("mutual", bill, 500)
    claims.do("mutual", "bills.release_lock", claims.release_item(other))
    private(claims.world, heard, "mutual")
    again = claims.lock("mutual", bill, 500)
    claims.do("mutual", "bills.reject", claims.reject_item(again))
    assert private(claims.world, heard, "mutual")["claim.rejected"]["claim"] == f"{bill.id}/1"
    assert seen(claims.world, "insurer", heard.event()) is None


def test_a_reversal_tells_whom_it_makes_owe(heard: Heard) -> None:
    desk = Desk()
    bill = desk.issue(1)
    desk.claim("insurer", bill, 1_000)
    desk.book("insurer", bill, 1_000)
    private(desk.world, heard, "insurer")
    desk.claim("fund", bill, 2_000)
    desk.reverse(bill, 2)
    event = heard.event()
    words = [type_ for type_, _ in heard.last()]
    assert words == ["bill.reversed", "claim.due", "booking.doubtful", "claim.due"]
    mine = look(desk.world, "insurer", event)
    assert mine is not None
    assert [each.type for each in mine.about] == ["claim.due", "booking.doubtful"]
    assert mine.sender == "hospital"
    theirs = look(desk.world, "hospital", event)
    assert theirs is not None
    assert [each.type for each in theirs.about] == words
    assert not any("reimburser" in each.ids for each in theirs.about)

    desk.do("insurer", "bills.claw_back", desk.claw_back_item(bill, 0, 400, "recovered"))
    assert [type_ for type_, _ in heard.last()] == ["claim.recovered"]
    desk.do("insurer", "bills.claw_back", desk.claw_back_item(bill, 0, 600, "waived"))
    assert [type_ for type_, _ in heard.last()] == ["claim.waived"]
    desk.unbook("insurer", bill)
    assert [type_ for type_, _ in heard.last()] == ["booking.undone"]
    told = heard.told[-4][0]
    assert EVENTS.describe(desk.world.rows, told) == [
        each for each in event.about if each.type != "booking.doubtful"
    ]


def test_what_was_paid_before_a_request_is_a_settlement(heard: Heard) -> None:
    claims = Claims()
    bill = claims.issue(1)
    held = claims.lock("fund", bill, 3_000)
    paid_at = claims.world.instant()
    claims.request(bill)
    item = claims.settled_before_item(held, 3_000, paid_at)
    claims.do("fund", "bills.settled_before", item)
    assert private(claims.world, heard, "fund")["claim.settled"]["claim"] == f"{bill.id}/0"


def test_the_last_share_settles_all_and_learns_no_name(heard: Heard) -> None:
    claims = Claims()
    bill = claims.issue(1)
    claims.atomic(bill, "insurer", "mutual")
    assert [type_ for type_, _ in heard.last()] == ["plan.made", "plan.named", "plan.named"]
    assert seen(claims.world, "insurer", heard.event()) == {
        "plan.named": heard.last()[1][1],
    }
    claims.ready("insurer", bill, 1_000)
    claims.ready("mutual", bill, 1_000)
    words = [type_ for type_, _ in heard.last()]
    assert words == ["plan.ready", "claim.settled", "claim.settled"]
    for org, first in (("mutual", "plan.ready"), ("insurer", "claim.settled")):
        found = look(claims.world, org, heard.event())
        assert found is not None
        assert found.about[0].type == first
        assert found.about[-1].type == "claim.settled"
        assert {each.ids["reimburser"] for each in found.about} == {org}
        assert found.sender in (None, org)

    other = claims.issue(2)
    claims.plan(other, "insurer", "mutual")
    claims.accept("insurer", other)
    private(claims.world, heard, "insurer")
    claims.waive("mutual", other)
    private(claims.world, heard, "mutual")


# ----------------------------------------------------------------------------------- holders


def test_what_holders_say(heard: Heard) -> None:
    claims = Claims()
    bill, who = claims.issue(1), claims.holder(1)
    act = claims.consent("insurer", bill)
    found = private(claims.world, heard, "insurer")["consent.given"]
    assert found["act"] == act
    assert seen(claims.world, "mutual", heard.event()) == {"consent.given": found}  # it relayed it
    claims.world.do("mutual", "bills.revoke", claims.acting.revoke_consent(act, who))
    assert private(claims.world, heard, "insurer")["consent.revoked"]["act"] == act

    act = claims.mandate()
    assert seen(claims.world, "insurer", heard.event()) == {
        "mandate.given": {"act": act, "reimburser": "insurer"}
    }
    assert seen(claims.world, "hospital", heard.event()) is None
    assert seen(claims.world, "city", heard.event(), "3306") is None  # it is of no code
    item = claims.acting.revoke("mandate", act, who.wallet)
    claims.world.do("mutual", "bills.revoke", item)
    assert heard.last() == [("mandate.revoked", {"act": act, "reimburser": "insurer"})]

    helper = claims.acting.helper("bob", claims.now(bill), who)
    claims.world.do("mutual", "bills.appoint_helper", helper)
    act = claims.acting.id_of("bills.appoint_helper", helper.said)
    assert heard.last()[0][1]["act"] == act
    shown = seen(claims.world, "hospital", heard.event())
    assert shown is not None
    assert "act" not in shown["helper.appointed"]
    claims.world.do(
        "mutual",
        "bills.revoke",
        claims.acting.revoke("helper", act, who.bill_key, salt=who.salt),
    )
    assert heard.last()[0][0] == "helper.revoked"
    claims.world.do("mutual", "bills.appoint_helper", claims.acting.helper_for_all("bob"))
    assert heard.last()[0][1].keys() == {"act"}

    bind = claims.acting.bind(claims.now(bill), who, holder("new"))
    claims.world.do("insurer", "bills.bind", bind)
    shown_event = look(claims.world, "hospital", heard.event())
    assert shown_event is not None
    assert (shown_event.sender, shown_event.about[0].type) == (None, "bill.bound")


def test_who_relays_an_end_learns_the_act_that_it_named_and_not_whose_it_was(heard: Heard) -> None:
    claims = Claims()
    bill, who = claims.issue(1), claims.holder(1)
    consent, mandate = claims.consent("insurer", bill), claims.mandate()
    item = claims.acting.revoke_consent(consent, who)
    claims.world.do("clinic", "bills.revoke", item)
    assert seen(claims.world, "clinic", heard.event()) == {"consent.revoked": {"act": consent}}
    item = claims.acting.revoke("mandate", mandate, who.wallet)
    claims.world.do("hospital", "bills.revoke", item)
    assert seen(claims.world, "hospital", heard.event()) == {"mandate.revoked": {"act": mandate}}
    told = dict(heard.last())["mandate.revoked"]
    assert seen(claims.world, "insurer", heard.event()) == {"mandate.revoked": told}


def test_bindings_that_are_disputed(heard: Heard) -> None:
    claims = Claims()
    code = claims.define(33060826, rebind_wait_seconds=86_400)
    bill = claims.issue(1, code=code)
    old, new = claims.holder(1), holder("stolen")
    claims.world.do("mutual", "bills.bind", claims.acting.bind(bill, old, holder("own")))
    claims.world.do("hospital", "bills.rebind", claims.acting.rebind_item(claims.now(bill), new))
    item = claims.acting.objection(claims.now(bill), holder("own"))
    claims.world.do("mutual", "bills.object_binding", item)
    assert heard.last()[0][0] == "binding.disputed"
    ruling = claims.acting.arbitrate_item(claims.now(bill), "old")
    claims.world.do("finance", "bills.arbitrate", ruling)
    assert heard.last()[0][0] == "binding.decided"


# --------------------------------------------------------------- numbers, accounts, succession


def test_numbers(heard: Heard) -> None:
    world = Books()
    start = len(heard.told)
    place: dict[str, Any] = {"code": CODE, "level": 3, "first": 1}
    range_ = place | {"reason": "stated"}

    def nonce() -> dict[str, Any]:
        return {"nonce": world.nonce()}

    def do(sender: str, action: str, kind: type[OfAllotment], **fields: Any) -> None:
        world.do(sender, f"bills.{action}", kind(**nonce(), **fields))

    world.void(1, 2)
    do("hospital", "give_back", GiveBack, start=1_000, end=1_000, **range_)
    do("finance", "recall", Recall, start=999, end=999, **range_)
    do("finance", "opening", Opening, start=3, end=4, **range_)
    do("finance", "suspend_allotment", SuspendAllotment, **range_)
    do("finance", "resume_allotment", ResumeAllotment, **range_)
    words = [type_ for type_, _ in heard.since(start)]
    assert words == [
        *("numbers.voided", "numbers.given_back", "numbers.recalled", "numbers.used_before"),
        *("numbers.suspended", "numbers.resumed"),
    ]
    ids = {"allotment": f"{CODE}/3/0000000001", "code": str(CODE)}
    assert all(
        each == ids | {"holder": "hospital", "by": "finance"} for _, each in heard.since(start)
    )
    assert seen(world, "hospital", heard.event()) == dict(heard.last())
    assert seen(world, NOBODY, heard.event()) is None

    for kind, action in ((SuspendIssuer, "suspend_issuer"), (ResumeIssuer, "resume_issuer")):
        item: OfIssuer = kind(**nonce(), issuer="hospital", reason="stated")
        world.do("finance", f"bills.{action}", item)
        assert heard.last()[0][1] == {"issuer": "hospital"}
    world.define(330699)
    assert heard.last() == [("type.defined", {"type": "330699"})]
    assert seen(world, NOBODY, heard.event()) == {"type.defined": {"type": "330699"}}
    block = Block(level=0, first=1)
    world.allot(code=CODE, level=3, first=5_001, last=5_010, holder="clinic", parent=block)
    assert heard.last()[0][0] == "numbers.allotted"
    assert seen(world, "clinic", heard.event()) is not None


def test_accounts_archive_and_erasure(heard: Heard) -> None:
    world = Books()
    bill = world.issue(1)
    world.archive_bodies()
    assert heard.last() == [("issuer.archived", {"issuer": "hospital"})]
    world.end_month()
    month = world.account_period()
    named = {"account": HOSPITAL_MONTH, "code": str(CODE)}
    parties = {"issuer": "hospital", "reviewer": "city"}
    assert heard.last() == [("account.submitted", named | parties)]
    assert seen(world, "city", heard.event()) == {"account.submitted": named | parties}
    month = world.give_account_back(month, bill.id)
    assert heard.last()[0][0] == "account.returned"
    month = world.accept(world.account_period())
    assert heard.last()[0][0] == "account.accepted"
    world.do(
        "finance",
        "bills.archive_period",
        world.archive_item(month, retain_until="2056-02-01T00:00:00Z"),
    )
    assert heard.last()[0][1]["archive"] == "finance"
    world.do("finance", "bills.hold", world.hold_item(bill=bill.id))
    assert heard.last()[0] == (
        "hold.stated",
        {"bill": bill.id, "code": str(CODE), "issuer": "hospital"},
    )
    world.do("finance", "bills.lift_hold", world.lift_item(bill=bill.id))
    world.do("finance", "bills.hold", world.hold_item(account=month.id))
    assert heard.last()[0][1]["account"] == month.id
    world.do("finance", "bills.lift_hold", world.lift_item(account=month.id))
    world.do("finance", "bills.order_erasure", world.erasure_item(bill.id, "legal_order"))
    assert [type_ for type_, _ in heard.last()] == [
        "erasure.ordered",
        "erasure.owed",
        "erasure.owed",
    ]
    assert heard.last()[2][1]["vault"] == "finance"
    world.do("hospital", "bills.erased", world.erased_item(bill.id))
    assert heard.last()[0][1]["vault"] == "hospital"


def test_blocks_are_accounted_for(heard: Heard) -> None:
    world = Books()
    world.use_up(1)
    world.account_block()
    assert heard.last()[0][1]["account"] == f"{CODE}/3/0000000001"
    assert heard.last()[0][1]["reviewer"] == "finance"


def test_a_successor_sees_what_it_took_over(heard: Heard) -> None:
    world = Books()
    bill: Bill = world.issue(1)
    issued = heard.event()
    assert seen(world, "clinic", issued) is None
    item = world.succeed_item(duties=True, allotments=[moved()])
    world.do("finance", "bills.succeed", item)
    ids = {"issuer": "hospital", "successor": "clinic"}
    assert heard.last() == [("issuer.succeeded", ids)]
    found = seen(world, "clinic", issued)
    assert found is not None
    assert found["bill.issued"]["bill"] == bill.id
