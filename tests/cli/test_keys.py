"""Key files by command: made once, shown without their secret, locked by a passphrase."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from counter import Counter, done, tally


@pytest.mark.parametrize("kind", ["signing", "vault", "delivery"])
def test_a_key_is_made_and_shown_without_its_secret(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "deep" / "key.json"
    made = done("keygen", file, "--name", "k/one", "--kind", kind, "--json").json
    shown = done("key", "show", file, "--json").json
    assert made == shown
    assert (shown["kind"], shown["name"], shown["locked"]) == (kind, "k/one", False)
    secret = json.loads(file.read_text())["secret"]
    assert secret not in done("key", "show", file).out
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    done("keygen", file, "--name", "one")
    before = file.read_bytes()
    answer = tally("keygen", file, "--name", "two", "--json")
    assert (answer.code, answer.error["code"]) == (2, "cli.fileexists")
    assert file.read_bytes() == before


def test_a_locked_key_needs_its_passphrase(counter: Counter, tmp_path: Path) -> None:
    right, wrong, empty = (tmp_path / name for name in ("right", "wrong", "empty"))
    right.write_text("correct horse\n")
    wrong.write_text("battery staple\n")
    empty.write_text("\n")
    file = tmp_path / "locked.json"
    done("keygen", file, "--name", "locked", "--passphrase-file", right)
    assert done("key", "show", file, "--json").json["locked"] is True
    said = done("key", "show", file).out
    assert "passphrase" in said and "needed" in said

    def add(*more: object) -> tuple[int, str]:
        answer = tally(
            *("members", "add-key", counter.key("vault"), "--action", "*"),
            *("--dir", counter.ledger, "--key", file, *more, "--json"),
        )
        return answer.code, answer.error["code"]

    assert add() == (1, "cli.false")
    assert add("--passphrase-file", wrong) == (1, "cli.false")
    assert add("--passphrase-file", empty) == (2, "cli.passphrase_empty")
    assert add("--passphrase-file", tmp_path / "gone") == (2, "cli.filenotfound")


def test_a_key_that_others_can_read_is_refused(counter: Counter) -> None:
    counter.key("hospital-01").chmod(0o644)
    answer = counter.act("hospital-01", "bills", "withhold", counter.bill(1), "--reason", "arrears")
    assert answer.code == 1 and "chmod 600" in answer.error["detail"]
