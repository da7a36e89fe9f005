"""Freeze, disputes and patterns by command."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from counter import Answer, Counter, done, tally
from papered import Papered, make_papered


@pytest.fixture(scope="module")
def papered_once(tmp_path_factory: pytest.TempPathFactory, standing: Counter) -> Papered:
    return make_papered(standing, tmp_path_factory.mktemp("papered") / "counter")


@pytest.fixture
def papered(papered_once: Papered, tmp_path: Path) -> Papered:
    return papered_once.copy(tmp_path / "papered")


def finance(papered: Papered, *arguments: object) -> Answer:
    return papered.act("finance", "bills", *arguments)


def ask(papered: Papered, *arguments: object) -> Any:
    return done("bills", *arguments, "--dir", papered.ledger, "--json").json


def evidence(papered: Papered) -> Path:
    path = papered.folder / "scan.png"
    path.write_bytes(b"a scan")
    return path


def test_bills_are_frozen_and_lifted(papered: Papered) -> None:
    both = (papered.bill(1), papered.bill(2))
    why = ("--reason", "forgery", "--evidence", evidence(papered))
    assert finance(papered, "freeze", *both, *why).code == 0
    assert (papered.shown(1)["state"], papered.shown(2)["frozen"]) == ("frozen", "forgery")
    again = finance(papered, "freeze", papered.bill(1), *why)
    assert (again.code, again.json["outcomes"]) == (3, ["bills.unchanged"])
    not_yours = papered.act("hospital-01", "bills", "lift", papered.bill(1), "--reason", "mine")
    assert (not_yours.code, not_yours.json["outcomes"]) == (3, ["kit.no_grant"])
    lift = finance(papered, "lift", *both, "--reason", "genuine", "--cancel-lock")
    assert lift.code == 0
    assert papered.shown(1)["state"] == "issued"


def test_a_dispute_is_listed_until_it_is_answered(papered: Papered) -> None:
    what = ("--what", "altered", "--evidence", evidence(papered))
    assert finance(papered, "dispute", papered.bill(1), *what).code == 0
    assert papered.shown(1)["disputed"] == 1
    (found,) = ask(papered, "disputes")["findings"]
    assert (found["bill"], found["by"], found["what"]) == (papered.bill(1), "finance", "altered")
    assert found["evidence"] == sha256(b"a scan").hexdigest()
    assert ask(papered, "disputes", papered.bill(2))["findings"] == []
    assert ask(papered, "disputes", "--by", "hospital-01")["findings"] == []
    shown = done("bills", "disputes", "--dir", papered.ledger).out
    assert found["evidence"] in "".join(shown.split())
    answer = ("answer", found["id"], "--answer", "cd" * 32, "--reason", "genuine")
    assert papered.act("hospital-01", "bills", *answer).code == 0
    assert ask(papered, "disputes")["findings"] == []
    (closed,) = ask(papered, "disputes", papered.bill(1), "--all")["findings"]
    assert (closed["state"], closed["answer"], closed["answered_by"]) == (
        *("answered", "cd" * 32, "hospital-01"),
    )
    assert "no finding" in done("bills", "disputes", "--dir", papered.ledger).out
    badly = papered.act("hospital-01", "bills", "answer", "17", *answer[2:])
    assert (badly.code, badly.error["path"]) == (2, "finding")


def test_patterns_are_counted_out_of_the_log(papered: Papered) -> None:
    unknown = ("recover", papered.bill(4))
    for _ in range(2):
        assert papered.act("hospital-01", "bills", *unknown).code == 3
    assert (
        papered.act(
            "hospital-01", "bills", "exchange", papered.bill(1), "--form", papered.form(3)
        ).code
        == 0
    )
    finance(papered, "freeze", papered.bill(2), "--reason", "forgery", "--evidence", "ab" * 32)
    finance(papered, "dispute", papered.bill(3), "--what", "altered", "--evidence", "ab" * 32)
    seen = ask(papered, "patterns")
    (refused,) = seen["refused"]
    assert (refused["org"], refused["reason"], refused["count"]) == (
        *("hospital-01", "bills.paper_none", 2),
    )
    (order,) = seen["disordered"]
    assert (order["allotment"], order["skipped"]) == (f"{papered.forms}/3/0000000001", 2)
    assert [each["bill"] for each in seen["frozen"]] == [papered.bill(2)]
    assert [each["bill"] for each in seen["disputed"]] == [papered.bill(3)]
    assert (seen["doubled_bills"], seen["archive"], seen["first"]) == ([], [], 0)
    later = ask(papered, "patterns", "--since", "2099-01-01")
    assert (later["refused"], later["first"]) == ([], later["size"])
    day = tally("bills", "patterns", "--since", "yesterday", "--dir", papered.ledger, "--json")
    assert (day.code, day.error["code"]) == (2, "cli.day")


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", ("frozen bills: none", "refusals")), ("zh", ("已冻结的票据：无", "拒绝次数"))],
)
def test_patterns_are_read_in_both_languages(
    papered: Papered, language: str, words: tuple[str, str]
) -> None:
    papered.act("hospital-01", "bills", "recover", papered.bill(4))
    shown = tally("--lang", language, "bills", "patterns", "--dir", papered.ledger).out
    assert all(word in shown for word in words)
    assert "bills.paper_none" in shown


def test_what_the_archive_found_is_added(papered: Papered) -> None:
    archive = papered.folder / "archive"
    missing = tally("bills", "patterns", "--archive", archive, "-d", papered.ledger, "--json")
    assert (missing.code, missing.error["code"]) == (2, "cli.no_key")
    key = ("--archive-key", papered.key("vault"))
    none = tally("bills", "patterns", "--archive", archive, *key, "-d", papered.ledger, "--json")
    assert none.code == 2
    archive.mkdir()
    assert ask(papered, "patterns", "--archive", archive, *key)["archive"] == []
