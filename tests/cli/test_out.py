"""What is shown can be copied out of 80 columns, and what is suggested can be typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from counter import Counter, done, tally

from tallystick.cli import out


def test_digests_and_names_of_bills_are_not_folded_in_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    digest, bill = "0123456789abcdef" * 4, "33060126:0000000001"
    out.pairs("ledger", {"log's origin": "x", "public": digest})
    assert digest in capsys.readouterr().out
    out.table(
        "bills",
        ("bill", "issuer", "state", "total#", "issued at", "entry#"),
        [(bill, "hospital-01", "reversed", "18578.11", "2026-11-24T23:15:19Z", 14)],
    )
    assert bill in capsys.readouterr().out


def test_a_table_too_wide_for_whole_names_loses_no_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    columns = ("organisation", "borne by", "source#", "imported#", "credits#", "refused#")
    out.table("sums", columns, [("HOUGHTON PHYSICAL", "UnitedHealthcare", *["1103503.95"] * 4)])
    shown = capsys.readouterr().out
    assert shown.count("1103503.95") == 4 and "refused" in shown


@pytest.mark.parametrize("columns", ["30", "40", "200"])
def test_any_width_shows_all_of_it(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    out.table("bills", ("bill", "total#"), [("33060126:0000000001", 14)])
    shown = "".join(each for each in capsys.readouterr().out if each.isalnum() or each == ":")
    assert "33060126:0000000001" in shown.replace("14", "")


def test_a_suggestion_names_the_program_as_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["with space/tally", "demo"])
    assert out.program() == "'with space/tally'"
    monkeypatch.setattr(sys, "argv", ["/usr/lib/python3/pytest"])
    assert out.program() == "tally"
    (tmp_path / "tally").touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", ["with space/tally", "demo"])
    assert out.program() == "tally"


def test_a_terminal_without_chinese_is_told_all_the_same() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tallystick.cli", "--lang", "zh", "errors", "ledger.fault"],
        env={"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert b"ledger.fault" in said.stdout and rb"\u" in said.stdout
    assert said.stderr == b""


def test_a_language_that_there_is_not_is_an_error(standing: Counter) -> None:
    assert tally("--lang", "fr", "status", standing.ledger).code == 2


def test_a_list_of_refusals_has_a_line_for_each_language() -> None:
    shown = done("errors", "ledger.").out
    assert "\\u000a" not in shown and "ledger.expired" in shown
