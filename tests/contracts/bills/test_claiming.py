"""By which right a reimburser claims: consent, mandate, statute (C8)."""

from __future__ import annotations

from typing import Any

from claims_acts import CLAIM_RULES, DAY, Claims, started
from holders_acts import holder

from tallystick.contracts.kit.grants import find_grant
from tallystick.protocol.canonical import replace

NOBODY = "0" * 64


def test_C8_a_consent_is_for_one_reader_purpose_bill_and_time() -> None:
    claims, bill = started()
    other = claims.issue(2)
    given = claims.consent("insurer", bill)
    refusal = ("bills.claim_consent", "terms/right_id")
    by_consent: dict[str, Any] = {"right": "consent", "right_id": given}
    assert claims.refused_lock("mutual", bill, **by_consent) == refusal
    assert claims.refused_lock("insurer", bill, purpose="audit", **by_consent) == refusal
    assert claims.refused_lock("insurer", other, **by_consent) == refusal
    by_consent["right_id"] = NOBODY
    assert claims.refused_lock("insurer", bill, **by_consent) == refusal
    claims.lock("insurer", bill)
    claims.world.at += 31 * DAY
    assert claims.refused_lock("insurer", bill) == refusal


def test_C8_what_is_revoked_before_the_lock_is_no_right_and_a_lock_stands() -> None:
    claims, bill = started()
    given = claims.consent("insurer", bill)
    held = claims.lock("insurer", bill)
    revoke = claims.acting.revoke_consent(given, claims.holder_of(bill))
    claims.world.do("mutual", "bills.revoke", revoke)
    renew = claims.renew_item(held, claims.world.instant(2 * DAY))
    refusal = ("bills.claim_consent", "terms/right_id")
    assert claims.refused("insurer", "bills.renew", renew) == refusal
    bill = claims.settle(held, 600)
    supplement = claims.supplement_item("insurer", bill, 0, 100)
    assert claims.refused("insurer", "bills.supplement", supplement) == refusal
    terms = replace(held.terms, purpose="other")
    assert claims.refused_lock("insurer", bill, terms=terms) == refusal


def test_C8_a_new_binding_ends_consents_and_locks_stand() -> None:
    claims, bill = started()
    held = claims.lock("insurer", bill)
    new = holder("another key")
    claims.do("mutual", "bills.bind", claims.acting.bind(bill, claims.holder_of(bill), new))
    claims.settle(held, 10)
    old: dict[str, Any] = {"right": "consent", "right_id": held.terms.right_id, "purpose": "claim"}
    assert claims.refused_lock("insurer", claims.now(bill), **old)[0] == "bills.claim_consent"


def test_C8_while_a_new_binding_waits_the_old_wallet_allows_nothing_new() -> None:
    """Else who stole it would hurry to use what it is about to lose."""
    claims, bill = started()
    owner, new = claims.holder_of(bill), holder("new phone", wallet="new")
    taken = holder("taken to a key of her own")
    claims.do("mutual", "bills.bind", claims.acting.bind(bill, owner, taken))
    before = claims.mandate()
    rebind = claims.acting.rebind_item(claims.now(bill), new)
    bill = claims.do("hospital", "bills.rebind", rebind)
    hurried = claims.mandate()
    opening: dict[str, Any] = {"opening": taken.opening, "right": "mandate"}
    refusal = ("bills.claim_consent", "terms/right_id")
    assert claims.refused_lock("insurer", bill, right_id=hurried, **opening) == refusal
    held = claims.lock("insurer", bill, right_id=before, **opening)
    claims.do("insurer", "bills.release_lock", claims.release_item(held))
    objection = claims.acting.objection(claims.now(bill), taken)
    bill = claims.do("mutual", "bills.object_binding", objection)
    assert claims.refused_lock("insurer", bill, right_id=hurried, **opening) == refusal
    claims.world.do("finance", "bills.arbitrate", claims.acting.arbitrate_item(bill, "old"))
    claims.lock("insurer", bill, right_id=hurried, **opening)


def test_C8_a_mandate_covers_each_bill_that_opens_to_it() -> None:
    claims = Claims()
    first, second = claims.issue(1), claims.issue(2)
    stranger = claims.issue(3, holder=holder("bill 3", "bob").commitment)
    given: dict[str, Any] = {"right": "mandate", "right_id": claims.mandate(cap=700)}
    for bill in (first, second):
        opening = claims.holder_of(bill).opening
        held = claims.lock("insurer", bill, 700, opening=opening, **given)
        claims.settle(held, 600)
    opening = claims.holder(3).opening
    refusal = ("bills.claim_consent", "terms/right_id")
    assert claims.refused_lock("insurer", stranger, opening=opening, **given) == refusal
    fourth = claims.issue(4)
    assert claims.refused_lock("insurer", fourth, **given) == refusal
    opening = claims.holder(4).opening
    assert claims.refused_lock("mutual", fourth, opening=opening, **given) == refusal
    wrong = given | {"purpose": "audit", "opening": opening}
    assert claims.refused_lock("insurer", fourth, **wrong) == refusal
    too_much = claims.refused_lock("insurer", fourth, 701, opening=opening, **given)
    assert too_much == ("bills.claim_cap", "amount")


def test_C8_the_cap_of_a_mandate_holds_for_supplements_too() -> None:
    claims, bill = started()
    given: dict[str, Any] = {"right": "mandate", "right_id": claims.mandate(cap=700)}
    opening = claims.holder_of(bill).opening
    held = claims.lock("insurer", bill, 700, opening=opening, **given)
    bill = claims.settle(held, 600)
    more = claims.supplement_item("insurer", bill, 0, 101, opening=opening)
    assert claims.refused("insurer", "bills.supplement", more) == ("bills.claim_cap", "amount")
    more = claims.supplement_item("insurer", bill, 0, 100, opening=opening)
    bill = claims.do("insurer", "bills.supplement", more)
    more = claims.supplement_item("insurer", bill, 0, 1, opening=opening)
    assert claims.refused("insurer", "bills.supplement", more) == ("bills.claim_cap", "amount")


def test_C8_sensitive_types_only_where_the_mandate_names_them() -> None:
    claims = Claims()
    code = claims.define(33060926, sensitive=True)
    bill = claims.issue(code=code)
    opening = claims.holder_of(bill).opening
    given: dict[str, Any] = {"right": "mandate", "right_id": claims.mandate(), "opening": opening}
    assert claims.refused_lock("insurer", bill, **given)[0] == "bills.claim_consent"
    named = given | {"right_id": claims.mandate(types=[code // 100])}
    claims.lock("insurer", bill, **named)
    plain = claims.issue(1)
    named["opening"] = claims.holder_of(plain).opening
    assert claims.refused_lock("insurer", plain, **named)[0] == "bills.claim_consent"


def test_C8_a_statute_is_a_live_grant_of_the_senders() -> None:
    claims, bill = started()
    grant = claims.statute()
    refusal = ("bills.claim_consent", "terms/right_id")
    assert claims.refused_lock("insurer", bill, right="statute", right_id=grant) == refusal
    assert claims.refused_lock("fund", bill, right="statute", right_id=NOBODY) == refusal
    held = find_grant(claims.world.rows, "insurer", "bills.lock", claims.world.at)
    assert held is not None
    own = held.grant_id
    assert claims.refused_lock("insurer", bill, right="statute", right_id=own) == refusal
    claims.lock("fund", bill)


def test_C8_where_the_type_says_so_the_holder_binds_first() -> None:
    claims = Claims()
    code = claims.define(33061026, claims=replace(CLAIM_RULES, bind_required=True))
    bill = claims.issue(code=code)
    assert claims.refused_lock("insurer", bill) == ("bills.claim_consent", "bill")
    claims.lock("fund", bill, until=claims.world.instant(10))
    claims.world.at += 10
    who = claims.holder_of(bill)
    claims.do("mutual", "bills.bind", claims.acting.bind(bill, who, who))
    claims.lock("insurer", bill)
