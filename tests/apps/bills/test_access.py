"""Who may read a bill: whom it concerns, its holder, who has a grant; nobody learns more."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from typing import Any

import pytest
from claims_acts import CLAIMED, DAY, Claims
from holders_acts import Holder, signing_key

from tallystick.apps.bills.access import (
    Shown,
    find_readable,
    holder_of,
    may_read_bill,
    read_shown,
    reads_of,
    show,
)
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.members.actions.grants import GiveGrant
from tallystick.contracts.members.actions.orgs import Suspend
from tallystick.contracts.members.records import NewGrant
from tallystick.contracts.members.views import find_member
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.web.access import Access
from tallystick.web.callers import ANONYMOUS, Caller, Limit
from tallystick.web.reasons import WebReason

ALL = Limit(("*",))
NARROW = Limit(("bills.read",), strict=True)


@dataclass
class Asked:
    """A province with claims, and questions about its bills."""

    claims: Claims

    @property
    def world(self) -> Any:
        return self.claims.world

    def caller(self, org: str, *limits: Limit, **shown: Any) -> Caller:
        opening = show(Shown(**shown)) if shown else ""
        return Caller("member", org, b"k" * 32, limits=(ALL, *limits), opening=opening)

    def why(self, caller: Caller, bill: Bill) -> str:
        return may_read_bill(self.world.rows, caller, self.claims.now(bill), self.world.at)

    def refusal(self, caller: Caller, bill: Bill) -> str:
        with pytest.raises(Rejected) as caught:
            self.why(caller, bill)
        return caught.value.reason.value

    def find(self, caller: Caller, bill_id: str) -> str:
        try:
            return find_readable(self.world.rows, caller, bill_id, self.world.at)[1]
        except Rejected as refused:
            return refused.reason.value

    def stranger(self, who_asks: bytes, /, **shown: Any) -> tuple[str, str]:
        return holder_of(self.world.rows, who_asks, show(Shown(**shown)), self.world.at)

    def suspend(self, org: str) -> None:
        member = find_member(self.world.rows, org)
        assert member is not None
        item = Suspend(
            nonce=self.world.nonce(), org=org, version=member.version, reason="violation"
        )
        self.world.do("finance", "members.suspend", item)

    def grant(self, org: str, *actions: str, codes: list[int]) -> None:
        new = NewGrant(source="founding.0", actions=list(actions), codes=codes)
        item = GiveGrant(nonce=self.world.nonce(), subject=org, grant=new)
        self.world.do("finance", "members.give_grant", item)


@pytest.fixture
def asked() -> Asked:
    return Asked(Claims())


@pytest.fixture
def bill(asked: Asked) -> Bill:
    return asked.claims.issue()


def public(who: Holder) -> bytes:
    return bytes(who.bill_key.verify_key)


# --------------------------------------------------------------------------- organisations


def test_its_issuer_and_whoever_has_a_grant_on_its_code(asked: Asked, bill: Bill) -> None:
    assert asked.why(asked.caller("hospital"), bill) == "issuer"
    assert asked.why(asked.caller("finance"), bill) == "bills.read"
    for org in ("clinic", "insurer", "city"):
        assert asked.refusal(asked.caller(org), bill) == WebReason.FORBIDDEN
    asked.grant("clinic", "bills.read", codes=[3306])
    assert asked.why(asked.caller("clinic"), bill) == "bills.read"
    asked.grant("city", "ledger.read", codes=[44])
    assert asked.refusal(asked.caller("city"), bill) == WebReason.FORBIDDEN
    assert asked.refusal(ANONYMOUS, bill) == WebReason.UNSIGNED


def test_who_reimburses_it(asked: Asked, bill: Bill) -> None:
    asked.claims.claim("insurer", bill, 1_000)
    assert asked.why(asked.caller("insurer"), bill) == "claim"
    assert asked.refusal(asked.caller("mutual"), bill) == WebReason.FORBIDDEN
    red = asked.claims.reverse(bill, 2, total=2_000)
    assert asked.why(asked.caller("insurer"), red) == "claim"


def test_who_shows_that_the_lock_is_its_own(asked: Asked, bill: Bill) -> None:
    held = asked.claims.lock("insurer", bill)
    own = asked.caller("insurer", bill=bill.id, claim=held.claim, terms=held.terms)
    assert asked.why(own, bill) == "lock"
    assert asked.refusal(replace(own, org="mutual"), bill) == WebReason.FORBIDDEN
    other = asked.caller("insurer", bill=bill.id, claim=bytes(16), terms=held.terms)
    assert asked.refusal(other, bill) == WebReason.FORBIDDEN


def test_a_law_and_a_plan(asked: Asked, bill: Bill) -> None:
    assert asked.why(asked.caller("fund"), bill) == "statute"
    assert asked.why(asked.caller("fund", NARROW), bill) == "statute"
    accounts = asked.caller("fund", Limit(("bills.account_block",)))
    assert asked.refusal(accounts, bill) == WebReason.FORBIDDEN
    asked.claims.plan(bill, "insurer", "mutual")
    assert asked.why(asked.caller("mutual"), bill) == "plan"


def test_a_consent_that_is_named_while_it_stands(asked: Asked, bill: Bill) -> None:
    right = asked.claims.consent("insurer", bill)
    reader = asked.caller("insurer", bill=bill.id, right=right)
    assert asked.refusal(asked.caller("insurer"), bill) == WebReason.FORBIDDEN
    assert asked.why(reader, bill) == "consent/claim"
    assert asked.refusal(replace(reader, org="mutual"), bill) == WebReason.FORBIDDEN
    other = asked.claims.issue(2)
    elsewhere = asked.caller("insurer", bill=other.id, right=right)
    assert asked.refusal(elsewhere, other) == WebReason.FORBIDDEN
    assert asked.refusal(reader, other) == WebReason.FORBIDDEN
    who = asked.claims.holder_of(bill)
    revoke = asked.claims.acting.revoke_consent(right, who)
    asked.world.do("clinic", "bills.revoke", revoke)
    assert asked.refusal(reader, bill) == WebReason.FORBIDDEN


def test_a_consent_ends_with_its_time(asked: Asked, bill: Bill) -> None:
    right = asked.claims.consent("insurer", bill)
    reader = asked.caller("insurer", bill=bill.id, right=right)
    asked.world.at += 31 * DAY
    assert asked.refusal(reader, bill) == WebReason.FORBIDDEN


def test_a_mandate_and_the_opening_of_the_bill(asked: Asked, bill: Bill) -> None:
    right = asked.claims.mandate("insurer")
    who = asked.claims.holder_of(bill)
    named = {"bill": bill.id, "right": right}
    reader = asked.caller("insurer", **named, key=public(who), nonce=who.nonce)
    assert asked.why(reader, bill) == "mandate/claim"
    for shown in ({}, {"key": public(who), "nonce": bytes(16)}):
        assert asked.refusal(asked.caller("insurer", **named, **shown), bill) == WebReason.FORBIDDEN


def test_the_suspended_read_what_is_their_own_alone(asked: Asked, bill: Bill) -> None:
    right = asked.claims.consent("insurer", bill)
    asked.grant("clinic", "bills.read", codes=[33])
    for org in ("hospital", "insurer", "clinic", "fund"):
        asked.suspend(org)
    assert asked.why(asked.caller("hospital"), bill) == "issuer"
    reader = asked.caller("insurer", bill=bill.id, right=right)
    for caller in (reader, asked.caller("clinic"), asked.caller("fund")):
        assert asked.refusal(caller, bill) == WebReason.FORBIDDEN


def test_a_pass_or_a_key_for_other_codes_reads_nothing_of_this_one(
    asked: Asked, bill: Bill
) -> None:
    other, same = Limit(("*",), (44,)), Limit(("bills.read",), (3306,), strict=True)
    assert asked.why(asked.caller("hospital", same), bill) == "issuer"
    assert asked.why(asked.caller("hospital", NARROW), bill) == "issuer"
    ledger = Limit(("ledger.read",), strict=True)
    for limit in (other, ledger, same._replace(codes=(33060126,))):
        assert asked.refusal(asked.caller("hospital", limit), bill) == WebReason.FORBIDDEN
    assert asked.why(asked.caller("finance", ledger), bill) == "ledger.read"


# ------------------------------------------------------------------------ holders and helpers


def test_a_holder_reads_the_bill_that_its_key_opens(asked: Asked, bill: Bill) -> None:
    who, other = asked.claims.holder_of(bill), asked.claims.issue(2)
    assert asked.stranger(public(who), bill=bill.id, salt=who.salt) == ("holder", bill.id)
    holder = Caller("holder", None, public(who), bill=bill.id)
    assert asked.why(holder, bill) == "holder"
    assert asked.refusal(holder, other) == WebReason.FORBIDDEN
    red = asked.claims.reverse(bill, 3)
    assert asked.stranger(public(who), bill=red.id, salt=who.salt) == ("holder", red.id)


def test_no_other_key_opens_it_and_a_bill_that_is_none_is_no_other_answer(
    asked: Asked, bill: Bill
) -> None:
    who, nobody = asked.claims.holder_of(bill), asked.claims.holder(7)
    wrong: list[tuple[Holder, dict[str, Any]]] = [
        (nobody, {"bill": bill.id, "salt": nobody.salt}),
        (nobody, {"bill": bill.id, "salt": who.salt}),
        (who, {"bill": bill.id, "salt": bytes(32)}),
        (who, {"bill": bill.id}),
        (who, {"bill": bill.id, "key": public(who), "nonce": who.nonce}),
        (who, {"bill": bill.id, "right": "0" * 64}),
        (who, {"bill": f"{CLAIMED}:0000000999", "salt": who.salt}),
    ]
    for key, shown in wrong:
        with pytest.raises(Rejected) as caught:
            asked.stranger(public(key), **shown)
        assert (caught.value.reason, caught.value.detail) == (
            WebReason.OPENING, WebReason.OPENING.value,
        )  # fmt: skip


def test_a_holder_whose_bill_was_bound_anew_reads_no_more(asked: Asked, bill: Bill) -> None:
    old, new = asked.claims.holder_of(bill), asked.claims.holder(9)
    asked.world.do("clinic", "bills.bind", asked.claims.acting.bind(bill, old, new))
    assert asked.stranger(public(new), bill=bill.id, salt=new.salt)[0] == "holder"
    with pytest.raises(Rejected):
        asked.stranger(public(old), bill=bill.id, salt=old.salt)


def test_a_helper_of_one_bill_or_of_a_wallet(asked: Asked, bill: Bill) -> None:
    acting, who = asked.claims.acting, asked.claims.holder_of(bill)
    one, every = acting.helper("friend", bill, who), acting.helper_for_all("nurse")
    rights = []
    for item in (one, every):
        asked.world.do("clinic", "bills.appoint_helper", item)
        rights.append(acting.id_of("bills.appoint_helper", item.said))
    friend, nurse = (bytes(signing_key(name).verify_key) for name in ("friend", "nurse"))
    assert asked.stranger(friend, bill=bill.id, right=rights[0]) == ("helper", bill.id)
    opened = {"bill": bill.id, "right": rights[1], "key": public(who), "nonce": who.nonce}
    assert asked.stranger(nurse, **opened) == ("helper", bill.id)
    other = asked.claims.issue(2)
    for key, shown in (
        (nurse, {"bill": bill.id, "right": rights[1]}),
        (nurse, {"bill": bill.id, "right": rights[0]}),
        (friend, {"bill": other.id, "right": rights[0]}),
        (friend, opened),
    ):
        with pytest.raises(Rejected):
            asked.stranger(key, **shown)
    asked.world.at += 31 * DAY
    with pytest.raises(Rejected):
        asked.stranger(friend, bill=bill.id, right=rights[0])


# ------------------------------------------------------------------------------ what is said


def test_who_may_not_read_is_not_told_whether_it_exists(asked: Asked, bill: Bill) -> None:
    missing = f"{CLAIMED}:0000000999"
    clinic, finance, hospital = (asked.caller(org) for org in ("clinic", "finance", "hospital"))
    assert asked.find(clinic, bill.id) == asked.find(clinic, missing) == WebReason.FORBIDDEN
    assert asked.find(finance, missing) == WebReason.NOT_FOUND
    assert asked.find(hospital, missing) == WebReason.NOT_FOUND  # a number out of its own block
    assert asked.find(hospital, f"{CLAIMED}:0000009999") == WebReason.FORBIDDEN
    narrow = asked.caller("hospital", Limit(("*",), (44,)))
    assert asked.find(narrow, missing) == WebReason.FORBIDDEN
    with pytest.raises(Rejected) as there:
        find_readable(asked.world.rows, clinic, bill.id, asked.world.at)
    with pytest.raises(Rejected) as gone:
        find_readable(asked.world.rows, clinic, missing, asked.world.at)
    assert there.value.detail.replace(bill.id, "") == gone.value.detail.replace(missing, "")


@pytest.mark.parametrize("text", ["=", "a b", "AAAA", "x" * 5_000, "\xe4", "A", "e30"])
def test_what_a_header_shows_has_one_form(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_shown(text)
    assert caught.value.path.startswith("tally-bill-opening")
    with pytest.raises(Malformed):
        read_shown(urlsafe_b64encode(b'{"bill":"33060126:0000000001","more":1}').decode())


def test_a_key_of_nobody_that_shows_nothing(asked: Asked) -> None:
    with pytest.raises(Rejected) as caught:
        holder_of(asked.world.rows, bytes(32), "", asked.world.at)
    assert caught.value.reason is WebReason.KEY


def test_the_holder_sees_reads_of_the_web_beside_the_others(bill: Bill) -> None:
    row = Access(bill.id, 1_767_600_000, "insurer", "key:00", "consent/claim")
    (seen,) = reads_of([row])
    assert (seen.where, seen.who, seen.why) == ("web", "insurer", "consent/claim")
    assert (seen.at, seen.outcome) == ("2026-01-05T08:00:00Z", "accepted")
