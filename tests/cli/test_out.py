"""What is shown can be copied out of 80 columns, and what is suggested can be typed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

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
