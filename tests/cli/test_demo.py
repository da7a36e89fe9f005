"""The demo, whole and small: it ends, leaves proofs of every kind, and no process behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from counter import done, tally

SECONDS_MAX = 120


def command(folder: Path, *more: str) -> list[str]:
    arguments = ["demo", "--bills", "300", "--dir", str(folder), *more]
    return [sys.executable, "-m", "tallystick.cli", *arguments]


def children_of(folder: Path) -> list[str]:
    """Processes that have something to do with this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in line:
            found.append(line.decode(errors="replace"))
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a demo has ended that somebody watched: a terminal, its lines tried, then Ctrl-C."""
    folder = tmp_path_factory.mktemp("demo") / "province"
    environment = os.environ | {"TALLY_LANG": "en", "COLUMNS": "80"}
    said, tried = folder.parent / "said", folder.parent / "tried"
    screen, keyboard = os.openpty()
    with (
        said.open("w") as out,
        subprocess.Popen(
            command(folder), stdin=keyboard, stdout=out, stderr=subprocess.STDOUT, env=environment
        ) as process,
    ):
        wait_for(lambda: "Ctrl-C ends it" in said.read_text() or process.poll() is not None, 120)
        assert process.poll() is None, said.read_text()
        lines = [line.strip() for line in said.read_text().splitlines()]
        with tried.open("w") as answers:
            for line in (each for each in lines if each.startswith("curl ")):
                answers.write(subprocess.check_output(["sh", "-c", line], text=True) + "\n")
            for line in (each for each in lines if each.startswith("http://")):
                answers.write(urllib.request.urlopen(line).read().decode())
        root = next(each for each in lines if each.startswith("http://")).partition("/#")[0]
        wait_for(lambda: kept(root))
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS_MAX) == 0, said.read_text()
    os.close(screen)
    os.close(keyboard)
    for each in (said, tried):
        each.rename(folder / each.name)
    return folder


def kept(root: str) -> bool:
    """Whether every keeper has signed all there is."""
    health, network = (
        json.load(urllib.request.urlopen(f"{root}/api/v1/{each}")) for each in ("health", "network")
    )
    return [each["size"] for each in health["keepers"].values()] == [network["size"]] * 3


def test_what_it_suggests_against_its_server_is_refused_as_it_says(demo: Path) -> None:
    tried = (demo / "tried").read_text()
    answers = [json.loads(line) for line in tried.splitlines()[:4]]
    reasons = [each["refused"]["0"] for each in answers[:3]]
    assert reasons == ["bills.number_not_allocated", "bills.number_used", "bills.time_too_old"]
    assert answers[3]["verdict"] == "differs" and answers[3]["total"] == "differs"
    assert "/portal.mjs" in tried


def test_it_leaves_a_hundred_proofs_of_every_kind_that_anyone_can_verify(demo: Path) -> None:
    assert children_of(demo) == []
    trust = demo / "trust" / "trust.json"
    for kind, verdict, code in (
        ("issued", "good", 0),
        ("reversed", "not_good", 3),
        ("refused", "refused", 3),
    ):
        left = sorted((demo / "receipts").glob(f"{kind}-*.json"))
        assert len(left) >= 100
        status = ("--status",) if kind == "issued" else ()
        answer = tally("verify", *left, "--trust", trust, *status, "--json")
        assert answer.code == code
        assert {each["verdict"] for each in answer.json["documents"]} == {verdict}
    assert list((demo / "receipts").rglob("trust*")) == []


def test_it_shows_four_frauds_refused_in_both_languages(demo: Path) -> None:
    said = (demo / "said").read_text()
    squeezed = re.sub(r"[\s│]+", "", said)
    for reason, zh in (
        ("bills.number_not_allocated", "该号码未发放给本单位"),
        ("bills.number_used", "该号码已开具票据"),
        ("bills.body_mismatch", "票据内容与账本记录不一致"),
        ("bills.time_too_old", "开票时间早于允许范围"),
    ):
        code = reason.partition(".")[2].replace("_", "_")
        assert zh in squeezed and code[:12] in squeezed
    assert "GOOD: authentic, accepted and good" in said
    assert "FALSE, step 2" in said


def test_it_tells_the_life_of_a_bill_and_leaves_what_a_stranger_can_check(demo: Path) -> None:
    said = re.sub(r"[\s│]+", "", (demo / "said").read_text())
    for told in (
        *("票据自动送达钱包", "长期授权", "bills.claim_cap", "分割单", "bills.rev_locked"),
        *("追回归零", "bills.claim_paper", "仅对一家一用途有效", "16+1red+1void+2returned"),
        "2of2",
    ):
        assert told in said
    trust, life = ("--trust", demo / "trust" / "trust.json"), demo / "life"
    shown = ("verify", life / "presentation.json", *trust, "--purpose", "claim")
    assert tally(*shown, "--for", "insurer-02").code == 0
    assert tally(*shown, "--for", "insurer-01").code == 3
    assert tally("verify", life / "slip-1.json", *trust).code in (0, 3)
    assert done("bills", "audit", life / "block.audit", *trust).code == 0


def test_what_it_leaves_is_a_sound_ledger_that_commands_read(demo: Path) -> None:
    ledger = demo / "ledger"
    assert done("doctor", ledger, "--json").json["sound"] is True
    status = done("status", ledger, "--json").json
    assert [keeper["size"] for keeper in status["keepers"]][1:] == [status["size"]] * 3
    first = min((demo / "receipts").glob("issued-*")).stem.removeprefix("issued-")
    first = first.replace("-", ":")
    assert done("bills", "show", first, "--dir", ledger, "--json").json["state"] == "issued"


class Page(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "action")]


def test_the_page_runs_no_script_and_loads_nothing(demo: Path) -> None:
    text = (demo / "index.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.loaded == [] and not {"script", "iframe", "link", "img"} & set(page.tags)
    assert "url(" not in text and "@import" not in text
    assert 'lang="zh-CN"' in text and "block leaf" in text and "bills.body_mismatch" in text
    assert page.tags.count("h1") == 1 and "main" in page.tags
    regions = re.findall("aria-label='([^']+)'", text)
    assert len(set(regions)) == len(regions) == 4, "regions of one name cannot be told apart"
    assert "A page proves nothing" in text


def test_it_takes_only_an_empty_folder_or_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    answer = tally("demo", "--bills", 300, "--dir", tmp_path, "--no-serve")
    assert answer.code == 2 and "cli.not_empty" in answer.err
    assert (tmp_path / "precious").read_text() == "mine"
    assert tally("demo", "--bills", 10).code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_however_it_ends_no_process_stays(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "stopped"
    with subprocess.Popen(
        command(folder, "--no-serve"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_for((folder / "keepers" / "health" / "ledger.db").exists)
        process.send_signal(number)
        process.wait(SECONDS_MAX)
    wait_for(lambda: children_of(folder) == [])


def wait_for(happened: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
