"""Receipts by command: made, verified offline, and each exit code of the verdicts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from counter import Counter, done, tally

from tallystick.cli.verdicts import STEPS_ZH, VERDICTS_ZH
from tallystick.protocol.canonical import decode, encode
from tallystick.verify import Verdict


@pytest.fixture
def receipt(standing: Counter, tmp_path: Path) -> Path:
    path = tmp_path / "receipt.json"
    done(
        *("receipt", standing.bill(1), "--dir", standing.ledger, "--status", "--output", path),
        *("--log-key", standing.key("log")),
    )
    return path


def verify(standing: Counter, *arguments: object) -> tuple[int, str]:
    answer = tally("verify", *arguments, "--trust", standing.trust)
    return answer.code, answer.out.splitlines()[0] if answer.out else answer.err


def test_a_good_bill_verifies_and_says_what_is_not_proven(standing: Counter, receipt: Path) -> None:
    answer = tally("verify", receipt, "--status", "--trust", standing.trust)
    lines = answer.out.splitlines()
    assert answer.code == 0
    assert lines[0] == "GOOD: authentic, accepted and good"
    numbers = [line.split()[0] for line in lines if line.split()[0].isdigit()]
    assert numbers == [str(n) for n in range(1, 16)]
    assert any("第一医院 (hospital-01)" in line for line in lines)
    assert lines[-1].startswith("Not proven:")


def test_the_verdict_is_told_in_chinese(standing: Counter, receipt: Path) -> None:
    asked = ("--status", "--trust", standing.trust, "--lang", "zh")
    answer = tally("verify", receipt, *asked)
    assert answer.out.splitlines()[0] == "GOOD: 真实，已入账，现行有效"
    assert "未证明" in answer.out
    names = [line.split()[1] for line in answer.out.splitlines() if line.split()[0].isdigit()]
    assert names == list(STEPS_ZH.values())
    labels = [line.split()[0] for line in answer.out.splitlines() if line[:1] > "\u4e00"]
    assert {"办理单位", "操作", "时间", "对象", "状态", "见证单位", "截至"} <= set(labels)


def test_every_verdict_and_every_step_has_its_chinese_name(
    standing: Counter, receipt: Path
) -> None:
    asked = ("--status", "--trust", standing.trust, "--json")
    (document,) = tally("verify", receipt, *asked).json["documents"]
    assert [step["what"] for step in document["steps"]] == list(STEPS_ZH)
    assert set(VERDICTS_ZH) == {each.name for each in Verdict}


def test_the_step_that_failed_is_named_in_chinese(standing: Counter, receipt: Path) -> None:
    receipt.write_bytes(receipt.read_bytes().replace(b'"n":0', b'"n":1', 1))
    asked = ("--trust", standing.trust, "--lang")
    assert "step 2, items root: " in tally("verify", receipt, *asked, "en").out
    assert "第 2 步，条目根：" in tally("verify", receipt, *asked, "zh").out


def test_what_cannot_be_read_is_told_without_patterns(standing: Counter, receipt: Path) -> None:
    shown = decode(receipt.read_bytes().rstrip(), dict[str, Any])
    shown["header"]["sender"] = "First Hospital"
    receipt.write_bytes(encode(shown))
    asked = (receipt, "--trust", standing.trust)
    (document,) = tally("verify", *asked, "--json").json["documents"]
    assert document["error"].startswith("header/sender: expected an organisation: ")
    chinese = "".join(tally("verify", *asked, "--lang", "zh").out.split())
    assert "单位代号：以小写字母开头" in chinese


def test_hidden_folders_and_files_are_not_searched(standing: Counter, receipt: Path) -> None:
    for hidden in (".cache/receipt.json", "deeper/.trash/a/receipt.json", ".receipt.json"):
        path = receipt.parent / hidden
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    asked = ("--trust", standing.trust, "--json")
    (document,) = tally("verify", receipt.parent, *asked).json["documents"]
    assert document["file"] == str(receipt)
    (named,) = tally("verify", receipt.parent / ".cache", *asked).json["documents"]
    assert named["verdict"] == "unreadable"


def test_whoever_pays_names_the_bill(standing: Counter, receipt: Path) -> None:
    shown = decode(receipt.read_bytes().rstrip(), dict[str, Any])
    bill = shown["state"]["row"]["id"]
    asked = ("--status", "--trust", standing.trust, "--bill")
    assert tally("verify", receipt, *asked, bill).code == 0
    other = tally("verify", receipt, *asked, bill[:-1] + ("2" if bill[-1] != "2" else "3"))
    assert other.code == 3
    assert other.out.splitlines()[0] == "OTHER: authentic, but not about what was asked for"
    assert tally("verify", receipt, *asked, "12").code == 2


def test_a_state_proof_by_itself_is_told_from_a_receipt(
    standing: Counter, receipt: Path, tmp_path: Path
) -> None:
    shown = decode(receipt.read_bytes().rstrip(), dict[str, Any])
    proof = {"format": "tallystick/state-proof/v1", "checkpoint": shown["checkpoint"]}
    path = tmp_path / "state.json"
    path.write_bytes(encode(proof | {"state": shown["state"]}))
    assert verify(standing, path) == (0, "GOOD: authentic, accepted and good")
    path.write_bytes(path.read_bytes().replace(b'"good":true', b'"good":false'))
    assert verify(standing, path) == (1, "FALSE: not what it claims to be: do not rely on it")


def test_as_json_it_has_all_steps(standing: Counter, receipt: Path) -> None:
    (document,) = tally("verify", receipt, "--status", "--trust", standing.trust, "--json").json[
        "documents"
    ]
    assert (document["verdict"], document["exit_code"]) == ("good", 0)
    assert document["zh"] == "真实，已入账，现行有效"
    assert [step["number"] for step in document["steps"]] == list(range(1, 16))
    assert document["keepers"] == ["k/finance"]


def test_a_policy_that_is_none_is_named(receipt: Path) -> None:
    answer = tally("verify", receipt, "--trust", receipt, "--json")
    assert (answer.code, answer.error["code"]) == (2, "cli.malformed")
    assert f"{receipt} is no trust policy" in answer.error["detail"]


def test_every_changed_digit_is_false(standing: Counter, receipt: Path) -> None:
    data = receipt.read_bytes()
    at = data.index(b'"total":') + len(b'"total":')
    digit = b"8" if data[at : at + 1] == b"9" else b"9"
    receipt.write_bytes(data[:at] + digit + data[at + 1 :])
    code, line = verify(standing, receipt)
    assert (code, line) == (1, "FALSE: not what it claims to be: do not rely on it")


def test_a_reversed_bill_is_authentic_but_not_good(counter: Counter, tmp_path: Path) -> None:
    answer = counter.act(
        "hospital-01",
        *("bills", "reverse", counter.bill(2), "--reason", "refund", *counter.office()),
    )
    assert answer.code == 0, answer.err
    counter.keep()
    path = tmp_path / "reversed.json"
    common = ("--dir", counter.ledger, "--log-key", counter.key("log"))
    done("receipt", counter.bill(2), *common, "--status", "-o", path)
    assert verify(counter, path)[0] == 3
    done("receipt", counter.bill(1), *common, "-o", tmp_path / "plain.json")
    assert verify(counter, tmp_path / "plain.json")[0] == 0
    code, line = verify(counter, tmp_path / "plain.json", "--status")
    assert (code, line.split(":")[0]) == (3, "NO_STATUS")


def test_a_withheld_bill_shows_that_it_may_not_be_claimed(counter: Counter, tmp_path: Path) -> None:
    reason = ("--reason", "arrears")
    answer = counter.act("hospital-01", "bills", "withhold", counter.bill(1), *reason)
    assert answer.code == 0, answer.err
    counter.keep()
    path = tmp_path / "withheld.json"
    common = ("--dir", counter.ledger, "--log-key", counter.key("log"))
    done("receipt", counter.bill(1), *common, "--status", "-o", path)
    shown = tally("verify", path, "--status", "--trust", counter.trust).out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "circulable false" in lines and "reason arrears" in lines


def test_of_many_the_worst_counts_and_folders_are_searched(
    standing: Counter, receipt: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(5):
        (folder / f"{n}.json").write_bytes(receipt.read_bytes())
    assert verify(standing, folder) == (0, "ACCEPTED: authentic and accepted")
    (folder / "5.json").write_text("{}")
    assert verify(standing, folder)[0] == 2
    (folder / "6.json").write_bytes(receipt.read_bytes().replace(b'"cash":', b'"cash":1', 1))
    answer = tally("verify", folder, "--trust", standing.trust)
    assert answer.code == 1 and answer.out.splitlines()[0].startswith("FALSE")
    assert "6.json" in answer.out and "step 2" in answer.out


@pytest.mark.parametrize("content", [b"", b"[", b"\xff\xfe", b"[" * 100_000, b"null", b"{}"])
def test_what_is_no_receipt_is_unreadable(
    standing: Counter, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    assert verify(standing, path)[0] == 2


def test_missing_files_and_huge_ones_are_unreadable(standing: Counter, tmp_path: Path) -> None:
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(3 * 1024**3)
    for path in (huge, tmp_path / "gone.json"):
        assert verify(standing, path)[0] == 2
    os.mkfifo(tmp_path / "pipe.json")
    assert verify(standing, tmp_path / "pipe.json")[0] == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    assert tally("verify", empty, "--trust", standing.trust).code == 2


def test_without_a_policy_nothing_is_judged(
    receipt: Path, standing: Counter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    # A policy that lies beside the receipt is whose who shows it: it must not be taken.
    (receipt.parent / "trust.json").write_bytes(standing.trust.read_bytes())
    answer = tally("verify", receipt, "--json")
    assert (answer.code, answer.error["code"]) == (2, "cli.no_trust")
    (tmp_path / "config" / "tallystick").mkdir(parents=True)
    (tmp_path / "config" / "tallystick" / "trust.json").write_bytes(standing.trust.read_bytes())
    assert tally("verify", receipt).code == 0
    monkeypatch.setenv("TALLY_TRUST", str(tmp_path / "gone.json"))
    assert tally("verify", receipt).code == 2


def test_a_checkpoint_at_hand(standing: Counter, receipt: Path, tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_text(json.loads(receipt.read_bytes())["checkpoint"])
    assert verify(standing, receipt, "--at", note)[0] == 0


def test_equivocation_is_not_proven_of_one_history(standing: Counter, receipt: Path) -> None:
    answer = tally("prove-equivocation", receipt, receipt, "--trust", standing.trust, "--json")
    assert (answer.code, answer.error["code"]) == (1, "proof.none")
    note = standing.ledger / "feed" / "checkpoint"
    answer = tally("prove-equivocation", note, receipt, "--trust", standing.trust, "--json")
    assert (answer.code, answer.error["code"]) == (2, "proof.kinds")


@pytest.mark.parametrize(
    ("what", "code"),
    [("999", "cli.no_entry"), ("33060126", "cli.no_entry"), ("x", "cli.bill")],
)
def test_receipts_of_what_is_not_there(standing: Counter, what: str, code: str) -> None:
    answer = tally("receipt", what, "--dir", standing.ledger)
    assert answer.code == 2 and code in answer.err


def test_a_receipt_waits_for_as_many_keepers_as_asked(standing: Counter) -> None:
    answer = tally(
        *("receipt", 0, "--dir", standing.ledger, "--keepers", 2, "--wait", 0),
        *("--log-key", standing.key("log")),
    )
    assert answer.code == 4 and "1 of 2 keepers" in answer.err
