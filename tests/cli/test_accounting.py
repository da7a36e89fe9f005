"""Accounting by command, from the hospital's statement to the auditor's verdict."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from counter import Answer, Counter, done, tally

from tallystick.apps.bills.audit import AuditVerdict
from tallystick.cli.auditing import VERDICTS_ZH
from tallystick.engines.clock import Clock
from tallystick.protocol.values import local_day

GRANTED = (
    *("bills.give_back", "bills.void_numbers", "bills.account_block", "bills.account_period"),
    "bills.order_erasure",
)
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "accounting.md"
ROOM = ("--level", 3, "--first", 1)


def finance(counter: Counter, *arguments: object) -> Answer:
    return counter.act("finance", "bills", *arguments)


def hospital(counter: Counter, *arguments: object) -> Answer:
    return counter.act("hospital-01", "bills", *arguments)


def ok(answer: Answer) -> Answer:
    assert answer.code == 0, answer.out + answer.err
    return answer


def last_month() -> str:
    """The month before this one, at the network's offset."""
    year, month = map(int, local_day(Clock().now(), 8 * 3600)[:7].split("-"))
    return f"{year}-{month - 1:02d}" if month > 1 else f"{year - 1}-12"


@pytest.fixture
def books(counter: Counter) -> Counter:
    """The hospital may account for what it used; the rest of its block is given back."""
    give = ("members", "give", "hospital-01", "--source", "founding.0")
    actions = [part for action in GRANTED for part in ("--action", action)]
    ok(counter.act("finance", *give, *actions))
    return counter


@pytest.fixture
def stated(books: Counter) -> Counter:
    block = ("--code", books.code, *ROOM)
    ok(hospital(books, "give-back", *block, "--range", "4-10"))
    ok(hospital(books, "account", "block", *block))
    return books


def account_id(counter: Counter) -> str:
    return f"{counter.code}/3/0000000001"


def export(counter: Counter, path: Path) -> Path:
    counter.keep()
    done(
        *("bills", "account", "export", "--code", counter.code, *ROOM, "-o", path),
        *("--dir", counter.ledger, "--log-key", counter.key("log")),
    )
    return path


def test_N5_gaps_are_refused_by_name(books: Counter) -> None:
    answer = hospital(books, "account", "block", "--code", books.code, *ROOM)
    assert (answer.code, answer.json["outcomes"]) == (3, ["bills.account_gap"])
    assert "7 unexplained numbers, the first is 4" in answer.json["why"]["0"]
    missing = hospital(books, "account", "block", "--code", books.code, "--level", 3, "--first", 9)
    assert missing.error["code"] == "bills.number_not_allocated"


def test_a_block_is_stated_shown_counted_again_and_accepted(stated: Counter) -> None:
    here = ("--dir", stated.ledger)
    (row,) = done("bills", "account", "list", "--state", "submitted", *here, "--json").json[
        "accounts"
    ]
    assert (row["id"], row["reviewer"], row["tally"]["blue"]) == (
        *(account_id(stated), "finance", 3),
    )
    shown = done("bills", "account", "show", account_id(stated), *here)
    assert "counted again here: the same" in shown.out
    assert done("bills", "account", "show", account_id(stated), *here, "--json").json["same"]
    refused = hospital(stated, "accept-account", account_id(stated))
    assert refused.json["outcomes"] == ["kit.no_grant"]
    reason = ("--reason", "sum_differs")
    ok(finance(stated, "return-account", account_id(stated), *reason, "--number", stated.bill(2)))
    told = done("bills", "account", "show", account_id(stated), *here).out
    assert "sum_differs" in told
    assert stated.bill(2) in told
    ok(hospital(stated, "account", "block", "--code", stated.code, *ROOM))
    ok(finance(stated, "accept-account", account_id(stated)))
    told = done("bills", "account", "list", *here).out
    assert "accepted" in told
    unknown = finance(stated, "accept-account", "33060126/3/0000000077")
    assert unknown.error["code"] == "bills.account_unknown"


def test_a_file_of_a_block_is_audited_without_its_ledger(stated: Counter, tmp_path: Path) -> None:
    before = export(stated, tmp_path / "before.audit")
    asked = ("--trust", stated.trust)
    answer = tally("bills", "audit", before, *asked)
    assert answer.code == 3
    assert answer.out.startswith("NOT_ACCEPTED: authentic, but no account of it is accepted")
    ok(finance(stated, "accept-account", account_id(stated)))
    path = export(stated, tmp_path / "block.audit")
    stated.ledger.rename(tmp_path / "gone")
    answer = tally("bills", "audit", path, *asked)
    lines = answer.out.splitlines()
    assert answer.code == 0, answer.out + answer.err
    assert lines[0].startswith("EXPLAINED: authentic: every number is explained")
    assert lines[-1].startswith("Not proven:")
    assert "4 10 7 returned" in " ".join(answer.out.replace("│", " ").split())
    shown = tally("bills", "audit", path, *asked, "--json").json["audits"]
    assert [each["verdict"] for each in shown] == ["explained"]
    assert shown[0]["ranges"][0] == {"first": 1, "last": 3, "fate": "issued"}
    chinese = tally("bills", "audit", path, *asked, "--lang", "zh").out
    assert chinese.startswith("EXPLAINED: 真实：每个票号均有去向")
    other = tally("bills", "audit", path, *asked, "--block", f"{stated.code}/3/7")
    assert other.code == 1
    mine = tally("bills", "audit", path, *asked, "--block", f"{stated.code}/3/1")
    assert mine.code == 0


def test_what_was_doctored_is_refused_and_what_is_no_file_unreadable(
    stated: Counter, tmp_path: Path
) -> None:
    ok(finance(stated, "accept-account", account_id(stated)))
    path = export(stated, tmp_path / "block.audit")
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 2 + 3
    asked = ("--trust", stated.trust)
    path.write_bytes(b"".join([lines[0], lines[1].replace(b'"rows":3', b'"rows":2'), *lines[2:4]]))
    answer = tally("bills", "audit", path, *asked)
    assert answer.code == 1
    assert answer.out.startswith("FALSE: not what it claims to be: do not rely on it")
    assert "one was left out, put in, or changed" in answer.out
    path.write_bytes(lines[0][:-9])
    answer = tally("bills", "audit", path, *asked, "--json")
    assert (answer.code, answer.json["verdict"]) == (2, "unreadable")
    assert tally("bills", "audit", path, "--trust", tmp_path / "none").code == 2
    assert tally("bills", "audit", path, *asked, "--code", stated.code).code == 2
    assert tally("bills", "audit", tmp_path / "none", *asked).code != 0


def test_every_verdict_has_its_chinese_name() -> None:
    assert set(VERDICTS_ZH) == {each.name for each in AuditVerdict} | {"FALSE", "UNREADABLE"}


def test_a_month_is_stated_accepted_archived_and_held(books: Counter) -> None:
    month, type_ = last_month(), books.code // 100
    period = f"hospital-01/{type_}/{month}"
    about = ("--type", type_, "--org", "hospital-01", "--reviewer", "finance", "--month")
    now = local_day(Clock().now(), 8 * 3600)[:7]
    early = hospital(books, "account", "period", *about, now)
    assert (early.code, early.json["outcomes"]) == (3, ["bills.period_open"])
    assert hospital(books, "account", "period", *about, "May").code == 2
    ok(hospital(books, "account", "period", *about, month))
    ok(finance(books, "accept-account", period))
    ok(finance(books, "archive-period", period, "--until", "2099-01-01T00:00:00Z"))
    order = books.folder / "order.pdf"
    order.write_bytes(b"an order")
    why = ("--order", order, "--reason", "audit")
    for what in (period, books.bill(1)):
        ok(finance(books, "hold", what, *why))
        ok(finance(books, "lift-hold", what, *why))
    erase = ("order-erasure", books.bill(1), *why, "--copy", "hospital-01", "--copy", "finance")
    early = hospital(books, *erase)
    assert (early.code, early.json["outcomes"]) == (3, ["bills.retention"])
    ok(finance(books, *erase, "--legal-order"))
    upper = ("--type", type_, "--org", "finance", "--reviewer", "finance", "--month", month)
    ok(finance(books, "account", "period", *upper))
    shown = done(
        *("bills", "account", "show", f"finance/{type_}/{month}", "--dir", books.ledger, "--json")
    ).json
    assert (shown["account"]["includes"], shown["same"]) == (1, True)


def test_an_export_is_audited_by_block_by_code_and_by_month(
    stated: Counter, tmp_path: Path
) -> None:
    ok(finance(stated, "accept-account", account_id(stated)))
    stated.keep()
    done("export", stated.ledger, tmp_path / "export")
    asked = ("bills", "audit", tmp_path / "export", "--trust", stated.trust)
    answer = tally(*asked, "--block", account_id(stated), "--json")
    assert answer.code == 0, answer.out + answer.err
    assert answer.json["audits"][0]["verdict"] == "explained"
    whole = tally(*asked, "--code", stated.code)
    assert whole.code == 3
    assert "EXPLAINED" in whole.out
    month = tally(*asked, "--month", f"hospital-01/{stated.code // 100}/{last_month()}")
    assert month.out.startswith("NOT_ACCEPTED")
    assert tally(*asked).code == 2
    assert tally(*asked, "--block", "5").code == 2
    assert tally(*asked, "--month", "x").code == 2
    (path,) = (tmp_path / "export" / "blocks").iterdir()
    path.write_bytes(path.read_bytes().replace(b'"reason":"unused"', b'"reason":"unusef"'))
    answer = tally(*asked, "--code", stated.code)
    assert answer.code == 1
    assert "FALSE" in answer.out


def test_organisations_merge(books: Counter) -> None:
    block = account_id(books)
    ok(
        finance(
            books,
            "succeed",
            "hospital-01",
            "--to",
            "finance",
            "--reason",
            "merged",
            "--duties",
            "--block",
            block,
        )
    )
    issue = hospital(books, "issue", books.drafts(8), *books.office())
    assert issue.code == 3
    shown = done("bills", "numbers", "--code", books.code, *ROOM, "--dir", books.ledger, "--json")
    assert shown.json["allotment"]["holder"] == "finance"
    assert json.loads(shown.out)["allotment"]["former"] == ["hospital-01"]
    assert finance(
        books, "succeed", "finance", "--to", "hospital-01", "--reason", "merged", "--duties"
    ).json["outcomes"] == ["bills.succession_invalid"]


def test_each_line_of_the_guide_works(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(counter.folder)
    page = GUIDE.read_text(encoding="utf-8")
    for name, value in (("CODE", counter.code), ("TYPE", counter.code // 100)):
        page = page.replace(f" {name}", f" {value}").replace(f"/{name}/", f"/{value}/")
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S)
    lines = "".join(blocks).replace("MONTH", last_month()).splitlines()
    said = ""
    for line in lines:
        words = shlex.split(line)
        if words[0] == "export":
            for each in words[1:]:
                monkeypatch.setenv(*each.split("=", 1))
        else:
            said += done(*words[1:]).out
    assert len(lines) == 22
    assert said.count("EXPLAINED: ") == 2
