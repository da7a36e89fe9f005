"""The guide to a network of one's own does what it says, line by line."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from counter import Counter, done, tally

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "first-network.md"


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


def test_a_draft_is_what_issue_reads(counter: Counter, tmp_path: Path) -> None:
    drafts = [json.loads(done("bills", "draft", "registration", "--seed", n).out) for n in (8, 9)]
    assert drafts[0] != drafts[1] and "number" not in drafts[0]
    file = tmp_path / "drafts.json"
    file.write_text(json.dumps(drafts), encoding="utf-8")
    assert counter.act("hospital-01", "bills", "issue", file, *counter.office()).code == 0
    assert tally("bills", "draft", "nonsense").code == 2
