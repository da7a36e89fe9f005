"""The guides do what they say, line by line."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from counter import Counter, done, tally

from tallystick.cli.desk import open_node
from tallystick.contracts.bills.items.bills import Archived
from tallystick.keyring import load

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
GUIDE = GUIDES / "first-network.md"
REIMBURSER = GUIDES / "reimburser.md"


def test_each_line_of_the_guide_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = str(Counter(tmp_path).code)
    blocks = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    lines = "".join(blocks).replace("CODE", code).splitlines()
    answer = None
    for line in lines:
        command, _, file = line.partition(" > ")
        answer = done(*shlex.split(command)[1:])
        if file:
            Path(file).write_text(answer.out, encoding="utf-8")
    assert len(lines) == 18 and answer is not None and "GOOD" in answer.out


def test_each_line_of_the_reimbursers_guide_works(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(counter.folder)
    with open_node(counter.ledger, log_key=counter.key("log")) as node:
        size = node.ledger.head.size
        archived = Archived(nonce=bytes(16), issuer="hospital-01", below=size)
        node.act(load(counter.key("finance")), "finance", "bills.archived/1", [archived])
    page = REIMBURSER.read_text(encoding="utf-8").replace("CODE", str(counter.code))
    for name, kind in (("locks.csv", "csv"), ("settle.jsonl", "json")):
        (block,) = re.findall(rf"^```{kind}\n(.*?)^```$", page, re.M | re.S)
        Path(name).write_text(block, encoding="utf-8")
    for name in ("decision.pdf", "appeal.pdf"):
        Path(name).write_text(name, encoding="utf-8")
    lines = "".join(re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S)).splitlines()
    said = ""
    for line in lines:
        words = shlex.split(line)
        if words[0] == "export":
            for each in words[1:]:
                monkeypatch.setenv(*each.split("=", 1))
        else:
            said += done(*words[1:]).out
    assert len(lines) == 16 and "1 of 1 settled" in said and "2 of 2 settled" in said


def test_a_draft_is_what_issue_reads(counter: Counter, tmp_path: Path) -> None:
    drafts = [json.loads(done("bills", "draft", "registration", "--seed", n).out) for n in (8, 9)]
    assert drafts[0] != drafts[1] and "number" not in drafts[0]
    file = tmp_path / "drafts.json"
    file.write_text(json.dumps(drafts), encoding="utf-8")
    assert counter.act("hospital-01", "bills", "issue", file, *counter.office()).code == 0
    assert tally("bills", "draft", "nonsense").code == 2
