"""Whatever goes wrong ends in a short message, a stable code and an exit code of the table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from counter import Counter, tally

from tallystick.cli import app, failures
from tallystick.durable import take_lock
from tallystick.engines.clock import ClockDoubt
from tallystick.ledger.engine import Stopped
from tallystick.protocol.errors import Busy, Damaged, Malformed, VerificationFailed


def raising(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("tallystick.cli.reasons.texts", fail)


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (Malformed("odd", path="a/b"), "cli.malformed", 2),
        (VerificationFailed("no"), "cli.false", 1),
        (Damaged("file x"), "cli.damaged", 5),
        (Busy(1), "cli.busy", 4),
        (Stopped("the engine stopped: no room"), "cli.stopped", 5),
        (ClockDoubt("back"), "cli.clock", 5),
        (OSError(28, "No space left on device", "x"), "cli.system", 5),
        (PermissionError(13, "denied", "x"), "cli.permission", 2),
        (ZeroDivisionError("a bug"), "cli.bug", 70),
        (KeyError("a bug"), "cli.bug", 70),
    ],
)
def test_each_kind_of_error_has_its_code(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, exit_code: int
) -> None:
    raising(monkeypatch, error)
    told = tally("errors", "--json")
    assert (told.code, told.error["code"]) == (exit_code, code)
    assert told.error["zh"] and told.error["en"]
    shown = tally("errors")
    assert shown.err.startswith(f"{code}: ") and shown.out == ""
    chinese = tally("--lang", "zh", "errors")
    assert told.error["zh"] in chinese.err


def test_a_bug_shows_its_traceback_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, ZeroDivisionError("a bug"))
    assert "TALLY_DEBUG=1" in tally("errors").err
    monkeypatch.setenv("TALLY_DEBUG", "1")
    assert app.run(["errors"]) == failures.BUG
    assert "ZeroDivisionError: a bug" in capsys.readouterr().err


def test_an_engine_that_stopped_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, Stopped("the engine stopped: no room"))
    told = tally("errors", "--json").error
    assert told["detail"] == "the engine stopped: no room" and "another" not in told["en"]


@pytest.mark.parametrize(
    ("folder", "holder"),
    [("ledger", "tally node"), ("keeper", "tally keep"), ("vault", "an issuer's office")],
)
def test_a_folder_in_use_says_by_whom(counter: Counter, folder: str, holder: str) -> None:
    handle = take_lock(counter.folder / folder)
    try:
        if folder == "keeper":
            answer = tally(
                *("keep", "--from", counter.ledger / "feed", "--dir", counter.folder / "keeper"),
                *("--key", counter.key("keeper"), "--once", "--json"),
            )
        else:
            issue = ("bills", "issue", counter.drafts(4), *counter.office())
            answer = counter.act("hospital-01", *issue)
    finally:
        os.close(handle)
    assert (answer.code, answer.error["code"]) == (4, "cli.locked")
    assert holder in answer.error["en"]
    assert ("--box" in answer.error["todo_en"]) is (folder == "ledger")


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tallystick.cli.reasons.texts", interrupted)
    assert tally("errors").code == failures.INTERRUPTED


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("verify",), ("bills", "allot"), ("receipt", "--wait", "x", "1")]
)
def test_a_command_that_is_written_wrongly(arguments: tuple[str, ...]) -> None:
    answer = tally(*arguments)
    assert answer.code == 2 and "Error: " in answer.err


def test_what_comes_from_outside_cannot_write_on_the_terminal(
    standing: Counter, tmp_path: Path
) -> None:
    path = tmp_path / "\x1b[2Jred[bold].json"
    path.write_text("{}")
    answer = tally("verify", path, tmp_path / "gone[/].json", "--trust", standing.trust)
    assert answer.code == 2 and "\x1b" not in answer.out and "[bold]" in answer.out


def test_a_reader_that_goes_away_is_no_error() -> None:
    ran = subprocess.run(
        f"{sys.executable} -m tallystick.cli errors --json | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "{" and "Traceback" not in ran.stderr and "Exception" not in ran.stderr
