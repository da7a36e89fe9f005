"""Key files by command: made once, shown without their secret, locked by a passphrase."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from counter import PLAN, SIGNING, Counter, done, tally


@pytest.mark.parametrize("kind", ["signing", "vault", "delivery"])
def test_a_key_is_made_and_shown_without_its_secret(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "deep" / "key.json"
    made = done("keygen", file, "--name", "k/one", "--kind", kind, "--json").json
    shown = done("key", "show", file, "--json").json
    assert made == shown
    assert (shown["kind"], shown["name"], shown["locked"]) == (kind, "k/one", False)
    secret = json.loads(file.read_text())["secret"]
    for_people = done("key", "show", file).out
    assert secret not in for_people
    assert ("can sign" in for_people) == (kind == "signing")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    done("keygen", file, "--name", "one")
    before = file.read_bytes()
    answer = tally("keygen", file, "--name", "two", "--json")
    assert (answer.code, answer.error["code"]) == (2, "cli.fileexists")
    assert answer.error["detail"] == str(file)
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

    assert add() == (1, "cli.passphrase")
    assert add("--passphrase-file", wrong) == (1, "cli.passphrase")
    assert add("--passphrase-file", empty) == (2, "cli.passphrase_empty")
    assert add("--passphrase-file", tmp_path / "gone") == (2, "cli.filenotfound")


def test_the_log_key_has_a_passphrase_of_its_own(tmp_path: Path) -> None:
    said = tmp_path / "said"
    said.write_text("correct horse\n")
    for name in SIGNING:
        more = ("--passphrase-file", said) if name == "log" else ()
        done("keygen", tmp_path / "keys" / f"{name}.json", "--name", name, *more)
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    counter, genesis = Counter(tmp_path), tmp_path / "genesis" / "genesis.json"
    done("genesis", tmp_path / "plan.toml", "--output", genesis, "--trust", counter.trust)
    found = ("found", counter.ledger, "--genesis", genesis, "--key", counter.key("log"))
    next_ = done(*found, "--passphrase-file", said).out.splitlines()[-1]
    assert next_.split(maxsplit=2)[0] == "Next:"
    done(*shlex.split(next_)[2:], "--seconds", "0.1")
    suspend = ("members", "suspend", "hospital-01", "--reason", "overdue")
    assert counter.act("finance", *suspend).error["code"] == "cli.passphrase"
    assert counter.act("finance", *suspend, "--log-passphrase-file", said).code == 0


def test_a_key_that_others_can_read_is_refused(counter: Counter) -> None:
    counter.key("hospital-01").chmod(0o644)
    answer = counter.act("hospital-01", "bills", "withhold", counter.bill(1), "--reason", "arrears")
    assert answer.code == 1 and "chmod 600" in answer.error["detail"]
