"""`tally pass`: made in a file of its owner's, shown without itself, ended at a served ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from counter import Counter, done, tally

from tallystick.client.passes import read_pass
from tallystick.protocol.values import parse_instant


def make(counter: Counter, file: Path, *more: object, code: int = 0) -> dict[str, object]:
    answer = tally(
        *("pass", "make", file, "--org", "hospital-01", "--key", counter.key("hospital-01")),
        *("--trust", counter.trust, *more, "--json"),
    )
    assert answer.code == code, answer.err
    found: dict[str, object] = answer.json if code == 0 else answer.error
    return found


def test_a_pass_is_written_for_its_owner_and_never_printed(
    counter: Counter, tmp_path: Path
) -> None:
    file = tmp_path / "till.pass"
    made = make(counter, file, "--may", "bills.read", "--code", counter.code, "--days", 30)
    assert file.stat().st_mode & 0o077 == 0
    token = file.read_text().strip()
    found = read_pass(token)
    assert (found.org, found.may, found.codes) == ("hospital-01", ["bills.read"], [counter.code])
    assert parse_instant(found.until) - parse_instant(found.since) == 30 * 86_400
    shown = done("pass", "show", file, "--json").json
    assert shown == made
    assert shown["id"] == found.id.hex()
    for text in (done("pass", "show", file).out, str(made)):
        assert token not in text and token.partition(".")[2] not in text


def test_a_pass_has_words_codes_and_an_end_of_its_own(counter: Counter, tmp_path: Path) -> None:
    file = tmp_path / "till.pass"
    for more in (("--may", "bills.issue"), ("--may", "*"), ("--may", "bills.read", "--days", 401)):
        assert tally("pass", "make", file, "--org", "hospital-01", *more).code == 2
    wrong = make(counter, file, "--may", "bills.read", "--code", "1", code=2)
    assert (wrong["code"], wrong["path"]) == ("cli.malformed", "codes/0")
    assert not file.exists()
    make(counter, file, "--may", "bills.read")
    assert make(counter, file, "--may", "bills.read", code=2)["code"] == "cli.fileexists"


@pytest.mark.parametrize("change", ["cut", "other", "empty"])
def test_what_is_no_pass_is_not_shown_as_one(counter: Counter, tmp_path: Path, change: str) -> None:
    file = tmp_path / "till.pass"
    make(counter, file, "--may", "ledger.read")
    token = file.read_text().strip()
    bad = {"cut": token[:-1], "other": token[:-2] + "AA", "empty": ""}[change]
    file.write_text(bad)
    answer = tally("pass", "show", file, "--json")
    assert (answer.code, answer.error["code"]) in ((2, "cli.malformed"), (1, "cli.false"))


def test_a_pass_is_ended_only_by_a_signature(counter: Counter) -> None:
    answer = tally("pass", "revoke", "0" * 32, "--server", "http://127.0.0.1:9", "--json")
    assert (answer.code, answer.error["code"]) == (2, "cli.no_key")
    key = ("--key", counter.key("hospital-01"), "--json")
    answer = tally("pass", "revoke", "00", "--server", "http://127.0.0.1:9", *key)
    assert (answer.code, answer.error["code"]) == (2, "cli.hex")
    answer = tally("pass", "revoke", "0" * 32, "--server", "http://ledger.example", *key)
    assert (answer.code, answer.error["code"]) == (2, "cli.server")
