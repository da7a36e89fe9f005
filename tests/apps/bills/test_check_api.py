"""The stranger's check over real sockets: what each answer says, and what no answer ever says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import httpx2
import pytest
from town import CODE, REVERSED, Town, open_town, problem_of, with_archive

from tallystick.apps.bills.check_api import PATH
from tallystick.contracts.bills.body import Body
from tallystick.protocol.canonical import decode, encode

LIMITS = "wrong_per_hour = 20\nasked_per_hour = 100000\n"
UNUSED = 7_777


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """With finance's archive beside the server."""
    folder = tmp_path_factory.mktemp("check")
    with open_town(folder, toml=with_archive(folder, LIMITS)) as town:
        yield town


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Without an archive, and with little patience."""
    toml = "[listen]\nworkers = 2\n[check]\nwrong_per_hour = 3\nasked_per_hour = 60\n"
    with open_town(tmp_path_factory.mktemp("alone"), toml=toml) as town:
        yield town


def paper(town: Town, n: int = 0) -> dict[str, Any]:
    """What the paper in somebody's hand says."""
    body = body_of(town, n)
    local = datetime.fromisoformat(town.bill(n).issued_at) + timedelta(hours=8)
    assert body.check_code is not None
    return {
        "code": CODE,
        "number": town.issued[n].number,
        "check_code": body.check_code,
        "total": town.bill(n).amounts["total"],
        "day": local.date().isoformat(),
        "payer": body.payer.name,
    }


def body_of(town: Town, n: int) -> Body:
    with town.city.office() as office:
        data, _ = office.vault.get(town.issued[n].code, town.issued[n].number)
    return decode(data, Body)


def ask(town: Town, held: dict[str, Any]) -> httpx2.Response:
    return town.ask(None, "POST", PATH, body=encode(held))


def check(town: Town, held: dict[str, Any]) -> dict[str, Any]:
    answer = ask(town, held)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def compared(found: dict[str, Any]) -> dict[str, str]:
    return {name: found[name] for name in ("check_code", "total", "day", "payer")}


def only(held: dict[str, Any], *names: str, **changes: Any) -> dict[str, Any]:
    kept = {name: held[name] for name in ("code", "number", *names)}
    return kept | changes


def test_what_matches_is_good_and_says_what_that_does_not_prove(town: Town) -> None:
    found = check(town, paper(town))
    assert found["verdict"] == "good" and set(compared(found).values()) == {"match"}
    assert found["text_zh"] == "票据有效" and found["archived"] is True
    assert "may claim it" in found["caveat"] and "报销" in found["caveat_zh"]


def test_without_a_total_the_amount_is_said_to_be_unchecked(town: Town) -> None:
    found = check(town, only(paper(town), "check_code"))
    assert (found["verdict"], found["text_zh"]) == ("good", "票号有效，票面金额未核对")
    assert compared(found) == {
        "check_code": "match",
        "total": "unchecked",
        "day": "unchecked",
        "payer": "unchecked",
    }
    found = check(town, only(paper(town), "total"))
    assert (found["verdict"], found["check_code"]) == ("good", "unchecked")


def test_names_and_codes_are_compared_as_people_type_them(town: Town) -> None:
    held = paper(town)
    wide = "".join(
        chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in held["check_code"]
    )
    spaced = "　".join(held["payer"]) + "  "
    assert wide != held["check_code"]
    if len(wide) <= 12:
        assert check(town, held | {"check_code": wide})["check_code"] == "match"
    assert check(town, held | {"check_code": held["check_code"].swapcase()})["verdict"] == "good"
    assert check(town, held | {"payer": spaced})["payer"] == "match"
    assert check(town, held | {"payer": held["payer"] + "x"})["payer"] == "differs"


def test_a_bill_that_no_longer_holds_is_not_good(town: Town) -> None:
    found = check(town, paper(town, REVERSED))
    assert (found["verdict"], found["state"]) == ("not_good", "reversed")
    red = only(
        {"code": CODE, "number": town.red.number}, total=town.bill(REVERSED).amounts["total"]
    )
    assert check(town, red)["verdict"] == "differs", "a red bill is nobody's to show"


def test_a_wrong_guess_learns_that_it_was_wrong_and_nothing_more(town: Town) -> None:
    """Whatever is wrong: neither date nor name is compared, and an unused number answers alike."""
    held = paper(town, 3)
    wrong = held | {"check_code": "000000", "total": held["total"] + 1}
    for some in ({"check_code": "000000"}, {"total": held["total"] + 1}, {}):
        changed = {name: wrong[name] for name in some} or only(wrong, "check_code", "total")
        for names in ((), ("day",), ("payer",), ("day", "payer")):
            guess = only(held, *names) | changed
            used, unused = check(town, guess), check(town, guess | {"number": UNUSED})
            assert used["verdict"] == "differs"
            assert used | {"at": ""} == unused | {"at": ""}
            assert used["day"] == used["payer"] == "unchecked"
            assert "state" not in used and "archived" not in used


def test_one_right_answer_opens_nothing_beside_a_wrong_one(town: Town) -> None:
    held = paper(town, 4)
    mixed = check(town, held | {"total": held["total"] + 1})
    assert (mixed["verdict"], mixed["day"], mixed["payer"]) == ("differs", *["unchecked"] * 2)
    late = check(town, held | {"day": "2020-01-01"})
    assert (late["verdict"], late["day"], late["payer"]) == ("differs", "differs", "match")
    assert "state" not in late


def test_a_body_that_is_not_archived_yet_answers_like_none(town: Town) -> None:
    """A bill of which finance has no body: a check code alone does not tell that it exists."""
    told = town.submit(town.issue()).json()
    item = town.get("finance", f"/api/v1/transactions/at/{told['first']}").json()
    assert item["first"] == told["first"]
    with town.city.node.view() as view:
        number = json.loads(view.segment(told["first"]).data)["items"][0]["number"]
    held = {"code": CODE, "number": number, "check_code": "abc123"}
    used, unused = check(town, held), check(town, held | {"number": UNUSED - 1})
    assert used | {"at": ""} == unused | {"at": ""}
    found = check(town, held | {"total": 35_000, "payer": "张三"})
    assert (found["verdict"], found["check_code"], found["payer"]) == ("good", *["unchecked"] * 2)
    assert found.get("archived", False) is False


def test_the_true_value_is_in_no_answer(town: Town) -> None:
    held = paper(town, 5)
    names = ["check_code", "total", "day", "payer"]
    answers = [
        check(town, only(held, *part))
        for part in permutations(names, 2)
        if part[0] < part[1] and {"check_code", "total"} & set(part)
    ]
    answers.append(check(town, held | {"day": "2020-01-01"}))
    answers.append(check(town, held | {"payer": "某人"}))
    said = json.dumps(answers, ensure_ascii=False)
    for name in ("check_code", "payer"):
        assert str(held[name]) not in said
    assert str(held["total"]) not in said


def test_without_an_archive_code_and_name_stay_unchecked(alone: Town) -> None:
    held = paper(alone)
    found = check(alone, held)
    assert found["verdict"] == "good"
    assert (found["check_code"], found["payer"], found["total"]) == (
        *["unchecked"] * 2,
        "match",
    )
    by_code = only(held, "check_code")
    used, unused = check(alone, by_code), check(alone, by_code | {"number": UNUSED})
    assert used | {"at": ""} == unused | {"at": ""} and used["check_code"] == "unchecked"


def test_what_says_too_little_or_is_no_number_is_malformed(alone: Town) -> None:
    held = paper(alone, 1)
    for wrong in (
        only(held),
        only(held, "day", "payer"),
        only(held, "total", code=1),
        only(held, "total", number=0),
        only(held, "total", number=10_000_000_000),
        only(held, total=-1),
        only(held, total=2**53),
        only(held, total="5"),
        only(held, "total", day="today"),
        only(held, "total", payer="x" * 201),
        only(held, "total", other=1),
    ):
        answer = alone.ask(
            None, "POST", PATH, body=json.dumps(wrong, separators=(",", ":")).encode()
        )
        assert problem_of(answer) == (400, "web.malformed"), wrong
    assert problem_of(alone.ask(None, "POST", PATH, body=b"x" * 70_000)) == (413, "web.too_large")
    assert problem_of(alone.get(None, PATH))[0] == 405


def test_attempts_on_a_bill_are_counted_by_all_workers_at_a_moment(alone: Town) -> None:
    """Three wrong ones an hour, though forty come at once; another bill is not held up."""
    held = only(paper(alone, 2), "total")
    for number in (held["number"], UNUSED - 2):
        wrong = held | {"total": held["total"] + 1, "number": number}
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _, w=wrong: problem_of(ask(alone, w)), range(20)))
        assert answers.count((200, "")) == 3
        assert answers.count((429, "web.crowded")) == 17
    refused = ask(alone, held)
    assert problem_of(refused) == (429, "web.crowded"), "also whoever holds the paper"
    assert int(refused.headers["retry-after"]) >= 1
    assert check(alone, only(paper(alone, 3), "total"))["verdict"] == "good"


def test_right_answers_use_nothing_up_and_a_client_has_a_limit(alone: Town) -> None:
    """The last of this module: after it this client is told nothing for an hour."""
    held = only(paper(alone, 4), "total")
    answers = [problem_of(ask(alone, held)) for _ in range(60)]
    assert answers[:10] == [(200, "")] * 10
    assert answers[-1] == (429, "web.crowded")
