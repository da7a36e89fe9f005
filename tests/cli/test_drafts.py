"""Drafts by file: documents and lines, each draft failing alone, and what Ctrl-C leaves behind."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from counter import Answer, Counter, done, tally

from tallystick.apps.bills.acts import Issued
from tallystick.apps.bills.office import Office
from tallystick.cli import issuing
from tallystick.cli.answers import Answers
from tallystick.cli.drafts import open_drafts
from tallystick.contracts.bills.body import Body
from tallystick.protocol.errors import Malformed


def stated(counter: Counter, *seeds: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(counter.drafts(*seeds).read_text(encoding="utf-8"))
    return made


def lines(path: Path, drafts: Iterable[object]) -> Path:
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in drafts)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def issue(counter: Counter, file: Path, *more: object) -> Answer:
    return counter.act("hospital-01", "bills", "issue", file, *counter.office(), *more)


def outcomes(answer: Answer) -> list[tuple[int, str, str]]:
    return [(each["n"], each["outcome"], each["path"]) for each in answer.json["bills"]]


def test_a_malformed_draft_of_a_document_fails_alone(counter: Counter) -> None:
    first, second = stated(counter, 4, 5)
    path = counter.folder / "some.json"
    path.write_text(json.dumps([first, {"code": "x"}, 7, first | {"total": 1.5}, second]))
    answer = issue(counter, path)
    assert answer.code == 3 and answer.json["refused"] == 3
    good, code, number, fraction, last = answer.json["bills"]
    assert [good["bill"], last["bill"]] == [counter.bill(4), counter.bill(5)]
    for n, refused in enumerate((code, number, fraction), start=1):
        assert (refused["n"], refused["outcome"]) == (n, "office.malformed")
    assert (fraction["path"], fraction["detail"]) == (
        "total",
        "expected a whole number, got a fraction",
    )


def test_lines_are_read_by_name_or_by_sight_and_each_fails_alone(counter: Counter) -> None:
    drafts = stated(counter, 4, 5, 6, 7)
    named = lines(counter.folder / "a.jsonl", ["{", drafts[0], "", {"code": "x"}, drafts[1]])
    assert outcomes(issue(counter, named)) == [
        (0, "office.malformed", ""),
        (1, "accepted", ""),
        (2, "office.malformed", "code"),
        (3, "accepted", ""),
    ]
    seen = lines(counter.folder / "b.txt", drafts[2:])
    assert [each[1] for each in outcomes(issue(counter, seen))] == ["accepted"] * 2
    assert done("status", counter.ledger, "--json").json["size"] >= 4


def test_a_dry_run_names_the_draft_at_fault(counter: Counter) -> None:
    first, second = stated(counter, 4, 5)
    for wrong, code, path in (
        ({"code": "x"}, "cli.malformed", "1/code"),
        (second | {"currency": "USD"}, "bills.currency_not_allowed", "1/currency"),
    ):
        answer = issue(counter, lines(counter.folder / "a.jsonl", [first, wrong]), "--dry-run")
        assert (answer.error["code"], answer.error["path"]) == (code, path)


def test_a_million_lines_take_the_memory_of_a_few(counter: Counter) -> None:
    (draft,) = stated(counter, 4)
    path = counter.folder / "many.jsonl"
    line = json.dumps(draft) + "\n"
    count = 70 * 1024 * 1024 // len(line) + 1  # more than a document may have
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            file.write(line)
    tracemalloc.start()
    with open_drafts(path) as drafts:
        assert drafts.count is None
        assert all(isinstance(each, Body) for each in islice(drafts.each, 2_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
    path = path.rename(counter.folder / "many.json")
    path.write_bytes(b"[\n" + path.read_bytes())
    too_large = issue(counter, path)
    assert (too_large.code, too_large.error["code"]) == (2, "cli.too_large")
    assert "JSON Lines" in too_large.error["todo_en"]


def test_a_line_without_end_fails_alone(counter: Counter) -> None:
    (draft,) = stated(counter, 4)
    path = lines(counter.folder / "a.jsonl", ['"' + "x" * 9_000_000, draft])
    with open_drafts(path) as drafts:
        first, second, *more = drafts.each
    assert isinstance(first, Malformed) and isinstance(second, Body) and not more


def test_many_answers_are_summed_and_all_of_them_are_in_the_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    some = [Issued("accepted" if n % 2 else "bills.sum_items", 33061326, n) for n in range(60)]
    for as_json in (True, False):
        with Answers("on the ledger", as_json=as_json) as answers:
            answers.add(some[:30], [None] * 30)
            answers.add(some[30:], [None] * 30)
            answers.print()
        shown = capsys.readouterr().out
        if as_json:
            document = json.loads(shown)
            assert [each["n"] for each in document["bills"]] == list(range(60))
            assert document["refused"] == 30
        else:
            assert "30 of 60 on the ledger" in shown and "… and 10 more" in shown


def test_ctrl_c_says_what_is_on_the_ledger_and_nothing_is_done_twice(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lines(counter.folder / "a.jsonl", stated(counter, 4, 5, 6))
    issue_some, calls = Office.issue, []

    def interrupted(self: Office, drafts: Iterable[Body]) -> list[Issued]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return issue_some(self, drafts)

    monkeypatch.setattr(issuing, "CHUNK", 1)
    monkeypatch.setattr(Office, "issue", interrupted)
    answer = issue(counter, path)
    assert (answer.code, answer.error["code"], answer.out) == (130, "cli.interrupted", "")
    assert "2 are on the ledger" in answer.error["en"]
    monkeypatch.setattr(Office, "issue", issue_some)
    again = issue(counter, path)
    assert [each[1] for each in outcomes(again)] == ["bills.bizcode_conflict"] * 2 + ["accepted"]


def test_replace_takes_one_draft(counter: Counter) -> None:
    drafts = stated(counter, 4, 5)
    for wrong, code in ((drafts, "cli.one_draft"), ([{"code": "x"}], "cli.malformed")):
        path = lines(counter.folder / "a.jsonl", wrong)
        arguments = ("bills", "replace", counter.bill(1), path, "--reason", "wrong_data")
        answer = counter.act("hospital-01", *arguments, *counter.office())
        assert (answer.code, answer.error["code"]) == (2, code)


def test_what_is_refused_is_told_in_the_readers_words(counter: Counter) -> None:
    path = lines(counter.folder / "a.jsonl", [stated(counter, 4)[0] | {"currency": "yuan"}])
    common: tuple[object, ...] = ("--dir", counter.ledger, "--log-key", counter.key("log"))
    common += ("--key", counter.key("hospital-01"))
    answer = tally("--lang", "zh", "bills", "issue", path, *counter.office(), *common)
    assert answer.code == 3 and "三个大写字母" in "".join(answer.out.split())
