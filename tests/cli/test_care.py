"""Doctor, export, import, backup, errors by command."""

from __future__ import annotations

import apsw
import pytest
from counter import Counter, done, tally

from tallystick.contracts.bills.reasons import BillsReason


def test_doctor_finds_a_sound_ledger_sound(standing: Counter) -> None:
    report = done("doctor", standing.ledger, "--json").json
    assert report["sound"] is True and report["findings"] == []
    assert done("doctor", standing.ledger, "--quick").out.strip().endswith("sound")


def test_doctor_names_what_is_damaged_and_exits_with_5(counter: Counter) -> None:
    db = apsw.Connection(str(counter.ledger / "ledger.db"))
    db.execute(
        "UPDATE slots SET data = replace(data, '\"good\":true', '\"good\":false')"
    ).fetchall()
    db.close()
    answer = tally("doctor", counter.ledger)
    assert answer.code == 5
    assert "damage:" in answer.out and "ledger.db" in answer.out and "DAMAGED" in answer.out


def test_an_export_is_executed_again_to_the_same_roots(counter: Counter) -> None:
    exported, made = counter.folder / "export", counter.folder / "again"
    first = done("export", counter.ledger, exported, "--json").json
    second = done("import", exported, made, "--network", first["network"], "--json").json
    assert first == second
    answer = tally("import", exported, counter.folder / "no", "--network", "00" * 32, "--json")
    assert (answer.code, answer.error["code"]) == (1, "cli.false")
    assert tally("import", exported, made, "--json").error["code"] == "cli.fileexists"
    assert tally("import", counter.folder / "gone", counter.folder / "no2").code == 2


def test_a_backup_is_a_ledger(counter: Counter) -> None:
    copy = counter.folder / "copy"
    head = done("backup", counter.ledger, copy, "--json").json
    assert done("doctor", copy, "--json").json["sound"] is True
    assert head["size"] == done("status", copy, "--json").json["size"]
    assert tally("backup", counter.ledger, copy).code == 2


@pytest.mark.parametrize("code", ["bills.number_used", "kit.no_grant", "members.org_taken"])
def test_a_refusal_is_explained_with_what_to_do(code: str) -> None:
    text = done("errors", code, "--json").json[code]
    shown = done("errors", code).out
    assert all(text[name] for name in ("zh", "en", "todo_zh", "todo_en"))
    assert text["zh"] in shown


def test_all_refusals_are_listed_and_unknown_ones_named() -> None:
    listed = done("errors", "--json").json
    assert {reason.value for reason in BillsReason} <= set(listed)
    assert set(done("errors", "bills.sum", "--json").json) < set(listed)
    answer = tally("errors", "bills.nonsense", "--json")
    assert (answer.code, answer.error["code"]) == (2, "cli.no_code")
