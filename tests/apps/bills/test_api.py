"""What members and holders may ask about bills, over real sockets: answers, proofs, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from offices import HOSPITAL, signer
from served import INSURER, OTHER, now
from town import (
    BILLS,
    CLAIMED,
    CODE,
    REVERSED,
    RIGHTLESS,
    SUSPENDED,
    Town,
    eventually,
    open_town,
)

from tallystick.client.passes import BILLS_READ, LEDGER_READ
from tallystick.verify import Verdict, Verifier

NOBODYS = (OTHER, RIGHTLESS, SUSPENDED)
UNUSED = 9_500
"""A number of the hospital's that nothing befell."""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with open_town(tmp_path_factory.mktemp("town")) as town:
        yield town


def bill_path(number: int, more: str = "", code: int | str = CODE) -> str:
    return f"/api/v1/bills/{code}/{number}{more}"


# ------------------------------------------------------------------------------------ a bill


def test_a_bill_as_of_the_last_block(town: Town) -> None:
    shown = town.get(HOSPITAL, town.path(0)).json()
    row = shown["row"]
    assert (row["id"], row["issuer"], row["state"]) == (town.bill(0).id, HOSPITAL, "issued")
    assert shown["archived"] is shown["acknowledged"] is True and shown["locked"] is False
    assert shown["numbers"]["left"] == shown["numbers"]["original"] > 0
    claimed = town.get(HOSPITAL, town.path(CLAIMED)).json()
    assert claimed["numbers"]["left"] == claimed["numbers"]["original"] - 500
    assert town.get(HOSPITAL, town.path(REVERSED)).json()["row"]["state"] == "reversed"
    red = town.get(HOSPITAL, bill_path(town.red.number)).json()
    assert red["row"]["reversal_of"] == town.bill(REVERSED).id and "numbers" not in red


@pytest.mark.parametrize("more", ["", "/receipt", "/receipt?status=1", "/status", "/claims"])
def test_who_may_not_read_a_bill_learns_not_even_that_it_is_there(town: Town, more: str) -> None:
    there, not_there = town.path(0, more), bill_path(UNUSED, more)
    for path in (there, not_there):
        assert town.code(None, path) == (401, "web.unsigned")
        for who in NOBODYS:
            assert town.code(who, path) == (403, "web.forbidden"), (who, path)
        assert town.code(signer("nobody"), path) == (401, "web.key")
        narrow = town.pass_of(HOSPITAL, BILLS_READ, codes=[44])
        assert town.code(narrow, path) == (403, "web.forbidden")
        assert town.code(town.pass_of(OTHER, BILLS_READ, LEDGER_READ), path)[0] == 403
        key, shown = town.holder(1)
        assert town.code(key, path, **shown) == (403, "web.forbidden")
    assert town.code(town.pass_of(HOSPITAL, BILLS_READ, codes=[33]), there) == (200, "")


def test_a_claimant_reads_the_bill_and_its_own_claim(town: Town) -> None:
    assert town.code(INSURER, town.path(CLAIMED)) == (200, "")
    (claim,) = town.get(INSURER, town.path(CLAIMED, "/claims")).json()["claims"]
    assert (claim["reimburser"], claim["amounts"]) == (INSURER, {"settled": 500})
    assert town.get(HOSPITAL, town.path(0, "/claims")).json() == {}


def test_a_holder_reads_its_bill_its_proofs_and_who_read_it(town: Town) -> None:
    key, shown = town.holder(3)
    for more in ("", "/receipt?wait=10", "/status", "/claims", "/reads"):
        assert town.code(key, town.path(3, more), **shown) == (200, ""), more
    assert town.code("finance", town.path(3)) == (200, "")

    def seen() -> list[tuple[str, str]]:
        reads = town.get(key, town.path(3, "/reads"), **shown).json().get("reads", [])
        return [(each["who"], each["why"]) for each in reads]

    eventually(lambda: ("finance", "bills.read") in seen())
    assert town.code(HOSPITAL, town.path(3, "/reads")) == (403, "web.forbidden")
    assert town.code("finance", town.path(3, "/reads")) == (200, "")
    for path in ("/api/v1/claims", "/api/v1/refusals", "/api/v1/claw-backs"):
        assert town.code(key, path, **shown) == (403, "web.forbidden")


def test_numbers_that_are_none(town: Town) -> None:
    for path in (
        bill_path(0),
        bill_path(10_000_000_000),
        bill_path(2**53 + 1),
        bill_path(int("9" * 300)),
        bill_path(1, code=1),
        bill_path(1, code=999_999_999),
        bill_path(1, code="9" * 200),
    ):
        for more in ("", "/receipt", "/receipt?status=1", "/status", "/claims", "/reads"):
            assert town.code("finance", path + more) == (404, "web.not_found"), path
    for path in ("/api/v1/bills/x/1", "/api/v1/bills/33060126/-1", f"/api/v1/bills/{CODE}/1.5"):
        assert town.code("finance", path) == (404, "web.not_found")


# ---------------------------------------------------------------------------------- proofs


def test_a_bills_receipt_with_its_state_verifies(town: Town) -> None:
    verifier = Verifier(town.policy)
    plain = town.get(HOSPITAL, town.path(0, "/receipt?wait=20"))
    assert verifier.receipt(plain.content).verdict is Verdict.ACCEPTED
    for n, verdict in ((0, Verdict.GOOD), (REVERSED, Verdict.NOT_GOOD)):
        answer = town.get(HOSPITAL, town.path(n, "/receipt?status=1&wait=20"))
        about = {"status": True, "now": now(), "about": town.bill(n).id}
        verified = verifier.receipt(answer.content, **about)  # type: ignore[arg-type]  # by name
        assert verified.verdict is verdict
        assert verified.orgs == ("finance",) and verified.index == town.bill(n).entry


def test_a_status_proves_what_is_there_and_what_is_not(town: Town) -> None:
    verifier = Verifier(town.policy)
    for n, verdict in ((0, Verdict.GOOD), (REVERSED, Verdict.NOT_GOOD)):
        data = town.get("finance", town.path(n, "/status?wait=20")).content
        verified = verifier.status(data, now=now(), about=town.bill(n).id)
        assert (verified.verdict, verified.index) == (verdict, town.bill(n).entry)
        assert len(data) < 8 * 1024
    data = town.get("finance", bill_path(UNUSED, "/status")).content
    absent = verifier.status(data, now=now(), about=f"{CODE}:{UNUSED:010}")
    assert absent.absent and absent.index is None
    other = verifier.status(data, now=now(), about=town.bill(0).id)
    assert other.verdict is Verdict.OTHER


def test_a_status_is_of_a_moment_after_what_was_answered(town: Town) -> None:
    """Who waits for an entry's proof sees its bill in the state beside it."""
    for _ in range(5):
        told = town.submit(town.issue()).json()
        receipt = town.get(HOSPITAL, f"/api/v1/receipts/{told['first']}?wait=20").json()
        number = receipt["item"]["number"]
        answer = town.get(HOSPITAL, bill_path(number, "/receipt?status=1&wait=20"))
        verified = Verifier(town.policy).receipt(answer.content, status=True, now=now())
        assert verified.verdict is Verdict.GOOD and verified.size > told["first"]


def test_how_long_to_wait_is_bounded_and_flags_are_flags(town: Town) -> None:
    for query in ("wait=31", "wait=-1", "status=2", "status=true", "status=", "other=1"):
        assert town.code(HOSPITAL, town.path(0, f"/receipt?{query}")) == (400, "web.malformed")
    assert town.code(HOSPITAL, town.path(0, "/status?wait=30")) == (200, "")
    assert town.code(HOSPITAL, town.path(0, "/claims?wait=1")) == (400, "web.malformed")


# ----------------------------------------------------------------------------------- lists


def numbers_of(answer: Any) -> list[int]:
    return [int(each["id"].partition(":")[2]) for each in answer.json().get("bills", [])]


def test_an_issuers_bills_by_day_and_page(town: Town) -> None:
    path = f"/api/v1/bills?code={CODE}&issuer={HOSPITAL}"
    every = numbers_of(town.get(HOSPITAL, path))
    assert every == sorted(every) and every[: BILLS + 1] == list(range(1, BILLS + 2))
    first = town.get(HOSPITAL, f"{path}&limit=2")
    assert (numbers_of(first), first.json()["after"]) == ([1, 2], 2)
    assert numbers_of(town.get(HOSPITAL, f"{path}&limit=2&after=2")) == [3, 4]
    day = town.bill(0).issued_at[:10]
    days = {n: numbers_of(town.get(HOSPITAL, f"{path}&day={n}")) for n in ("2020-01-01", day)}
    assert days["2020-01-01"] == []
    for query in ("limit=0", "limit=1001", "day=today", "after=-1", "code=1"):
        assert town.code(HOSPITAL, f"{path}&{query}") == (400, "web.malformed")
    assert town.code(HOSPITAL, "/api/v1/bills") == (400, "web.malformed")


def test_how_many_bills_another_has_issued_is_not_told(town: Town) -> None:
    path = f"/api/v1/bills?code={CODE}&issuer={HOSPITAL}"
    for who in NOBODYS:
        for query in ("", "&after=9999", "&day=2020-01-01"):
            assert town.code(who, path + query) == (403, "web.forbidden"), (who, query)
    assert town.code(town.pass_of(HOSPITAL, BILLS_READ, codes=[44]), path)[0] == 403
    assert town.code(town.pass_of(HOSPITAL, LEDGER_READ), path)[0] == 403
    assert numbers_of(town.get("finance", path)) == numbers_of(town.get(HOSPITAL, path))
    assert town.get("finance", f"/api/v1/bills?code={CODE}&issuer={OTHER}").json() == {}


def test_ranges_of_numbers_and_where_each_number_is(town: Town) -> None:
    (own,) = town.get(HOSPITAL, "/api/v1/allotments").json()["allotments"]
    assert (own["holder"], own["level"], own["first"]) == (HOSPITAL, 3, 1)
    by_code = town.get("finance", f"/api/v1/allotments?code={CODE}").json()["allotments"]
    assert {each["holder"] for each in by_code} == {"finance", HOSPITAL}
    assert town.get(OTHER, f"/api/v1/allotments?code={CODE}").json() == {}
    account = town.get(HOSPITAL, f"/api/v1/allotments/{CODE}/3/1").json()
    assert account["size"] == account["issued"] + account["remaining"]
    assert account["issued"] >= BILLS + 1
    for who, path in ((OTHER, f"{CODE}/3/1"), (OTHER, f"{CODE}/3/2"), (RIGHTLESS, f"{CODE}/0/1")):
        assert town.code(who, f"/api/v1/allotments/{path}") == (403, "web.forbidden")
    for path in (f"{CODE}/3/2", f"{CODE}/9/1", "1/3/1", f"{CODE}/3/{'9' * 100}"):
        found = town.code("finance", f"/api/v1/allotments/{path}")
        assert found == (404, "web.not_found"), path
    for query in ("code=1", "holder=X", "holder=", "code=null"):
        assert town.code(HOSPITAL, f"/api/v1/allotments?{query}") == (400, "web.malformed")


def test_claims_and_claw_backs_are_the_reimbursers_own(town: Town) -> None:
    (claim,) = town.get(INSURER, "/api/v1/claims").json()["claims"]
    assert claim["id"] == f"{town.bill(CLAIMED).id}/0"
    assert town.get(INSURER, "/api/v1/claims?due=1").json() == {}
    assert len(town.get(INSURER, f"/api/v1/claims?code={CODE}").json()["claims"]) == 1
    assert town.get(HOSPITAL, "/api/v1/claims").json() == {}
    assert town.get(RIGHTLESS, "/api/v1/claims").json() == {}
    assert town.get(INSURER, "/api/v1/claw-backs").json() == {}
    assert town.code("finance", "/api/v1/claw-backs") == (200, "")
    for path in ("/api/v1/claims", "/api/v1/claw-backs"):
        assert town.code(None, path) == (401, "web.unsigned")
        assert town.code(town.pass_of(RIGHTLESS, LEDGER_READ), path) == (403, "web.forbidden")
    narrow = town.pass_of(INSURER, BILLS_READ, codes=[44])
    assert town.get(narrow, "/api/v1/claims").json() == {}
    assert town.code(narrow, "/api/v1/claw-backs") == (403, "web.forbidden")


def test_what_was_refused_is_its_senders_to_see(town: Town) -> None:
    data = town.sign(OTHER, "bills.issue/1", *[town.issue_item(number=n) for n in (1, 2, 3)])
    told = town.submit(data).json()
    answer = town.get(OTHER, "/api/v1/refusals").json()
    refused = [each for each in answer["refusals"] if each["index"] >= told["first"]]
    assert [each["index"] for each in refused] == [told["first"] + n for n in range(3)]
    assert {each["reason"] for each in refused} == {told["refused"]["0"]}
    assert [each["item"]["number"] for each in refused] == [1, 2, 3]
    later = town.get(OTHER, f"/api/v1/refusals?after={answer['after']}").json()
    assert "refusals" not in later and later["after"] >= answer["after"]
    part = town.get(OTHER, f"/api/v1/refusals?after={told['first'] + 1}").json()
    assert [each["item"]["number"] for each in part["refusals"]] == [2, 3]
    one = town.get(OTHER, f"/api/v1/refusals?after={told['first']}&limit=1").json()
    assert ([each["index"] for each in one["refusals"]], one["after"]) == (
        [told["first"]],
        told["first"] + 1,
    )
    assert all(
        each["index"] >= 0
        for each in town.get(HOSPITAL, "/api/v1/refusals").json().get("refusals", [])
    )
    narrow = town.pass_of(OTHER, BILLS_READ, codes=[44])
    assert "refusals" not in town.get(narrow, "/api/v1/refusals").json()
    assert town.code(town.pass_of(OTHER, LEDGER_READ), "/api/v1/refusals")[0] == 403
    far = town.get(OTHER, f"/api/v1/refusals?after={2**53 - 1}")
    assert far.json() == {"after": 2**53 - 1}
    for query in ("after=-1", "limit=0", "limit=1001", f"after={2**53}"):
        assert town.code(OTHER, f"/api/v1/refusals?{query}") == (400, "web.malformed")
