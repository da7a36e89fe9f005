"""`tally bills reconcile`, as finance's clerk in a hospital uses it."""

from __future__ import annotations

from pathlib import Path

from counter import Counter

from tallystick.engines.clock import Clock
from tallystick.protocol.values import local_day


def test_a_list_is_compared_and_what_it_proposes_is_done(counter: Counter, tmp_path: Path) -> None:
    day = local_day(Clock().now(), 8 * 3600)
    table = tmp_path / "list.csv"
    table.write_text(
        f"bill,total,state\n{counter.bill(1)},1,\n{counter.bill(2)},5,reversed\n", encoding="utf-8"
    )
    asked = ("bills", "reconcile", table, "--day", day, *counter.office())
    answer = counter.act("hospital-01", *asked)
    assert answer.code == 0, answer.err
    found = [(d["kind"], d["action"]) for d in answer.json["differences"]]
    assert found == [
        *(("amount", "replace"), ("amount", "replace")),
        *(("state", "reverse"), ("only_here", "reverse")),
    ]
    acts = [d["act"]["outcome"] for d in answer.json["differences"] if "act" in d]
    assert acts == ["accepted"] * 2
    plan = answer.json["file"]
    tried = counter.act(
        "hospital-01", "bills", "reconcile", "--apply", plan, *counter.office(), "--dry-run"
    )
    assert tried.json["plan"] == answer.json["plan"]
    done = counter.act("hospital-01", "bills", "reconcile", "--apply", plan, *counter.office())
    assert done.code == 0 and [each["outcome"] for each in done.json["acts"]] == ["accepted"] * 2
    again = counter.act("hospital-01", "bills", "reconcile", "--apply", plan, *counter.office())
    assert again.code == 3
    assert {each["outcome"] for each in again.json["acts"]} == {"bills.rev_ended"}


def test_what_is_no_list_is_named(counter: Counter, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("bill,total\nx,12.30\n", encoding="utf-8")
    asked = ("bills", "reconcile", table, "--day", "2026-01-01", *counter.office())
    answer = counter.act("hospital-01", *asked)
    assert answer.code == 2 and answer.error["path"].startswith("0/")
    assert counter.act("hospital-01", "bills", "reconcile", *counter.office()).code == 2
