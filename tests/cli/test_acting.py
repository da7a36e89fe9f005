"""Acts by command: each reaches the ledger, a refusal says why and exits with 3."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from counter import Answer, Counter, done, tally

from tallystick.engines.clock import Clock
from tallystick.protocol.values import format_instant


def show(counter: Counter, number: int) -> Any:
    return done("bills", "show", counter.bill(number), "--dir", counter.ledger, "--json").json


def allotment(counter: Counter) -> Any:
    found = done("bills", "allotments", "--dir", counter.ledger, "--json").json["allotments"]
    return next(each for each in found if each["level"] == 3)


def hospital(counter: Counter, *arguments: object) -> Answer:
    return counter.act("hospital-01", *arguments)


def finance(counter: Counter, *arguments: object) -> Answer:
    return counter.act("finance", *arguments)


def test_bills_are_issued_with_numbers_in_order(counter: Counter) -> None:
    answer = hospital(counter, "bills", "issue", counter.drafts(4, 5), *counter.office())
    assert [bill["bill"] for bill in answer.json["bills"]] == [counter.bill(4), counter.bill(5)]
    assert [bill["said"] for bill in answer.json["bills"]] == ["issuing"] * 2  # no archive has them
    shown = show(counter, 5)
    assert (shown["state"], shown["said"]) == ("issued", "issuing")
    listed = done("bills", "list", counter.code, "--dir", counter.ledger, "--json").json
    assert [row["id"] for row in listed["bills"]] == [counter.bill(n) for n in range(1, 6)]


def test_a_refused_draft_names_reason_and_field_and_exits_with_3(counter: Counter) -> None:
    drafts = counter.drafts(6)
    content = json.loads(drafts.read_text())
    content[0]["total"] += 1
    drafts.write_text(json.dumps(content))
    answer = hospital(counter, "bills", "issue", drafts, *counter.office())
    (refused,) = answer.json["bills"]
    assert (answer.code, refused["outcome"]) == (3, "bills.sum_items")
    assert refused["path"] and refused["bill"] is None


def test_a_dry_run_of_drafts_changes_nothing(counter: Counter) -> None:
    drafts, before = counter.drafts(7), allotment(counter)
    answer = hospital(counter, "bills", "issue", drafts, *counter.office(), "--dry-run")
    assert answer.json["checked"] == 1 and allotment(counter) == before
    content = json.loads(drafts.read_text())
    content[0]["currency"] = "USD"
    drafts.write_text(json.dumps(content))
    answer = hospital(counter, "bills", "issue", drafts, *counter.office(), "--dry-run")
    assert (answer.code, answer.error["code"]) == (3, "bills.currency_not_allowed")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "cli.not_json"),
        ("[]", "cli.drafts"),
        ("7", "cli.drafts"),
        ('[{"code": 1}, {"code": ', "cli.not_json"),
        ("[" * 200_000, "cli.not_json"),
    ],
)
def test_what_is_no_draft_is_refused_before_the_ledger(
    counter: Counter, content: str, code: str
) -> None:
    path = counter.folder / "odd.json"
    path.write_text(content)
    answer = hospital(counter, "bills", "issue", path, *counter.office())
    assert (answer.code, answer.error["code"]) == (2, code)


def test_a_bill_is_reversed_and_another_replaced(counter: Counter) -> None:
    office = counter.office()
    reverse = hospital(counter, "bills", "reverse", counter.bill(1), "--reason", "refund", *office)
    assert reverse.code == 0, reverse.err
    assert show(counter, 1)["state"] == "reversed"
    draft = json.loads(counter.drafts(2).read_text())[0] | {"ordinal": 2}
    path = counter.folder / "again.json"
    path.write_text(json.dumps(draft))
    replaced = hospital(
        counter, "bills", "replace", counter.bill(2), path, "--reason", "wrong_data", *office
    )
    assert replaced.code == 0, replaced.out + replaced.err
    (new,) = replaced.json["bills"]
    assert show(counter, 2)["replaced_by"] == new["bill"]
    again = hospital(counter, "bills", "reverse", counter.bill(1), "--reason", "refund", *office)
    assert again.code == 3 and again.json["bills"][0]["outcome"].startswith("bills.rev_")


def test_numbers_are_given_back_voided_recalled_and_accounted(counter: Counter) -> None:
    block = ("--code", counter.code, "--level", 3, "--first", 1)
    refused = hospital(counter, "bills", "void", *block, "--range", "9", "--reason", "spoilt")
    assert (refused.code, refused.json["outcomes"]) == (3, ["kit.no_grant"])
    for arguments in (
        ("recall", *block, "--range", "9-10", "--reason", "unused"),
        ("suspend-block", *block, "--reason", "audit"),
        ("resume-block", *block, "--reason", "cleared"),
        ("opening", *block, "--range", "7"),
    ):
        answer = finance(counter, "bills", *arguments)
        assert answer.code == 0, answer.out + answer.err
    book = done("bills", "numbers", *block, "--dir", counter.ledger, "--json").json
    assert (book["issued"], book["gone"], book["remaining"], book["size"]) == (3, 3, 4, 10)
    fates = {(each["first"], each["last"]): each["fate"] for each in book["ranges"]}
    assert fates == {
        (1, 3): "issued",
        (4, 6): "remaining",
        (7, 7): "elsewhere",
        (8, 8): "remaining",
        (9, 10): "recalled",
    }


def test_a_bill_is_withheld_and_an_issuer_suspended(counter: Counter) -> None:
    withhold = ("bills", "withhold", counter.bill(1), "--reason", "arrears")
    assert hospital(counter, *withhold).code == 0
    assert show(counter, 1)["circulable"] is False
    again = hospital(counter, *withhold)
    assert (again.code, again.json["outcomes"]) == (3, ["bills.unchanged"])
    suspend = ("bills", "suspend-issuer", "hospital-01", "--reason", "overdue")
    assert finance(counter, *suspend).code == 0
    issue = hospital(counter, "bills", "issue", counter.drafts(8), *counter.office())
    assert (issue.code, issue.json["bills"][0]["outcome"]) == (3, "bills.issuer_suspended")
    resume = ("bills", "resume-issuer", "hospital-01", "--reason", "cleared")
    assert finance(counter, *resume).code == 0


def test_a_refusal_is_explained_in_both_languages(counter: Counter) -> None:
    common: tuple[object, ...] = ("--dir", counter.ledger, "--log-key", counter.key("log"))
    common += ("--key", counter.key("hospital-01"))
    arguments = ("bills", "recall", "--code", counter.code, "--level", 3, "--first", 1)
    answer = tally(*arguments, "--range", "9", "--reason", "unused", *common)
    assert answer.code == 3
    assert "kit.no_grant" in answer.out and "本单位没有此项操作的有效授权" in answer.out
    assert "ask the organisation that grants it" in " ".join(answer.out.split())


def test_a_type_of_ones_own_is_defined_out_of_a_file(counter: Counter) -> None:
    types = done("bills", "types", "--dir", counter.ledger, "--json").json["types"]
    (known,) = types
    rules = {
        "type": 330699,
        "type_version": 1,
        "catalogue": "A" * 43 + "=",
        "rules": known["rules"],
    }
    path = counter.folder / "rules.json"
    path.write_text(json.dumps(rules))
    answer = finance(counter, "bills", "define-type", "--rules", path)
    assert answer.code == 0, answer.err
    assert "330699" in done("bills", "types", "--dir", counter.ledger).out
    assert "max_items" in done("bills", "types", 330699, "--dir", counter.ledger).out
    path.write_text(json.dumps(rules | {"surprise": 1}))
    answer = finance(counter, "bills", "define-type", "--rules", path)
    assert (answer.code, answer.error["code"]) == (2, "cli.malformed")
    both = finance(counter, "bills", "define-type", "outpatient", "--rules", path)
    assert (both.code, both.error["code"]) == (2, "cli.which_type")
    unknown = finance(counter, "bills", "define-type", "lottery")
    assert "outpatient" in unknown.error["detail"]


def test_members_are_admitted_keyed_empowered_suspended_and_ended(counter: Counter) -> None:
    for name in ("new-root", "new", "new-2", "root-2", "k2"):
        done("keygen", counter.key(name), "--name", name)
    until = format_instant(Clock().now() + 86_400)
    root, key = counter.key("new-root"), counter.key("new")
    steps: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("finance", ("admit", "clinic", "--root-key", root, "--operating-key", key,
                     "--action", "bills.issue", "--source", "founding.0")),
        ("new-root", ("add-key", counter.key("new-2"), "--action", "bills.*", "--until", until)),
        ("new-root", ("revoke-key", counter.key("new-2"), "--reason", "unused")),
        ("new-root", ("rotate-root", counter.key("root-2"))),
        ("finance", ("give", "clinic", "--action", "bills.reverse", "--source", "founding.0",
                     "--code", 3306, "--until", until)),
        ("finance", ("suspend", "clinic", "--reason", "overdue")),
        ("finance", ("resume", "clinic", "--reason", "remedied")),
        ("finance", ("add-keeper", "k/two", "finance", counter.key("k2"))),
        ("finance", ("retire-keeper", "k/two", "--reason", "lost")),
    )  # fmt: skip
    for who, arguments in steps:
        answer = counter.act(who, "members", *arguments)
        assert answer.code == 0, (arguments, answer.out, answer.err)
    shown = done("members", "show", "clinic", "--dir", counter.ledger, "--json").json
    assert [grant["actions"] for grant in shown["grants"]] == [["bills.issue"], ["bills.reverse"]]
    end = ("members", "end", "clinic", shown["grants"][1]["grant_id"])
    assert finance(counter, *end).code == 0
    shown = done("members", "show", "clinic", "--dir", counter.ledger, "--json").json
    assert [grant["live"] for grant in shown["grants"]] == [True, False]
    assert len(shown["keys"]) == 4
    listed = done("members", "list", "--dir", counter.ledger, "--json").json
    assert [member["id"] for member in listed["members"]] == ["clinic", "finance", "hospital-01"]
    assert {keeper["id"]: keeper["state"] for keeper in listed["keepers"]}["k/two"] == "retired"
    assert "clinic" in done("members", "show", "clinic", "--dir", counter.ledger).out


def test_a_dry_run_says_what_would_become_of_it(counter: Counter) -> None:
    arguments = ("bills", "withhold", counter.bill(1), "--reason", "arrears", "--dry-run")
    answer = hospital(counter, *arguments)
    assert answer.json == {"dry_run": True, "outcomes": ["accepted"]}
    assert show(counter, 1)["circulable"] is True


def test_what_is_refused_names_the_field_at_fault_dry_or_not(counter: Counter) -> None:
    block = ("--code", counter.code, "--level", 3, "--first", 1, "--range", "1", "--reason", "lost")
    for dry in (("--dry-run",), ()):
        answer = finance(counter, "bills", "recall", *block, *dry)
        assert (answer.code, answer.json["outcomes"]) == (3, ["bills.not_unused_tail"])
        assert answer.json["why"]["0"].startswith("start: used below ")


def test_who_signs_must_be_known(counter: Counter) -> None:
    done("keygen", counter.key("stranger"), "--name", "stranger")
    arguments = ("bills", "withhold", counter.bill(1), "--reason", "arrears")
    answer = counter.act("stranger", *arguments)
    assert (answer.code, answer.error["code"]) == (3, "ledger.key_unknown")
    answer = tally(*arguments, "--dir", counter.ledger, "--json")
    assert (answer.code, answer.error["code"]) == (2, "cli.no_key")
    answer = tally(*arguments, "--dir", counter.ledger, "--key", counter.key("finance"), "--json")
    assert (answer.code, answer.error["code"]) == (2, "cli.no_log_key")
    common = ("--dir", counter.ledger, "--log-key", counter.key("finance"), "--json")
    answer = tally(*arguments, "--key", counter.key("finance"), *common)
    assert (answer.code, answer.error["code"]) == (2, "cli.not_log_key")


@contextmanager
def running_node(counter: Counter) -> Iterator[None]:
    """The operator's node in a process of its own."""
    arguments = ["node", str(counter.ledger), "--log-key", str(counter.key("log"))]
    process = subprocess.Popen(
        [sys.executable, "-m", "tallystick.cli", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert "runs; Ctrl-C stops it" in process.stderr.readline()
        yield
    finally:
        process.terminate()
        process.communicate()
        assert process.returncode == 0


def test_a_running_node_is_reached_by_its_box_and_read_beside(counter: Counter) -> None:
    arguments = ("bills", "withhold", counter.bill(1), "--reason", "arrears", "--json")
    key = ("--key", counter.key("hospital-01"))
    with running_node(counter):
        locked = hospital(counter, *arguments)
        assert (locked.code, locked.error["code"]) == (4, "cli.locked")
        assert "--box" in locked.error["todo_en"]
        answer = tally(*arguments, *key, "--box", counter.ledger)
        assert answer.code == 0, answer.err
        assert answer.json["outcomes"] == ["accepted"]
        assert show(counter, 1)["circulable"] is False
        refused = tally(*arguments, *key, "--box", counter.ledger)
        assert (refused.code, refused.json["outcomes"]) == (3, ["bills.unchanged"])
        office = (*counter.office(), *key, "--box", counter.ledger, "--json")
        issued = tally("bills", "issue", counter.drafts(9), *office)
        assert issued.json["bills"][0]["outcome"] == "accepted"
        dry = tally(*arguments, *key, "--box", counter.ledger, "--dry-run")
        assert (dry.code, dry.error["code"]) == (2, "cli.dry_run_box")
        status = done("status", counter.ledger, "--json").json
        assert status["block"] >= 6
    assert list((counter.ledger / "box").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("bills", "show", "nonsense"), "cli.bill"),
        (("bills", "show", "33061326:0"), "cli.bill"),
        (("bills", "list", "33061326", "--range", "a-b"), "cli.range"),
        (("members", "show", "nobody"), "members.org_unknown"),
        (("bills", "show", "33061326:77"), "bills.bill_unknown"),
        (("bills", "numbers", "--code", "1", "--level", "1", "--first", "1"), None),
        (("receipt", "33061326:77"), "bills.bill_unknown"),
    ],
)
def test_questions_that_cannot_be_answered(
    standing: Counter, arguments: tuple[str, ...], code: str | None
) -> None:
    answer = tally(*arguments, "--dir", standing.ledger)
    assert answer.code in (2, 3)
    assert (code or "bills.number_not_allocated") in answer.err


@pytest.mark.parametrize("command", [("bills", "types"), ("status",), ("members", "list")])
def test_a_folder_without_a_ledger(tmp_path: Path, command: tuple[str, ...]) -> None:
    option = () if command == ("status",) else ("--dir",)
    for folder in (tmp_path, tmp_path / "gone", Path(__file__)):
        answer = tally(*command, *option, folder, "--json")
        assert answer.code == 2 and answer.error["code"] in ("cli.no_ledger", "cli.filenotfound")
