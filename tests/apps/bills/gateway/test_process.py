"""`tally gateway` as a process: killed under load, and nothing is twice; the guide's lines and the
example, as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from counter import done, tally
from gateways import CODE, RESERVE, Till, Town, order, until
from offices import VAULT_KEY
from served import now

from tallystick.apps.bills.gateway.config import EXAMPLE, read
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.views.bills import list_bills
from tallystick.keyring import load_vault_key
from tallystick.protocol.canonical import decode
from tallystick.protocol.values import local_day
from tallystick.vault import Vault

ROOT = Path(__file__).parents[4]
GUIDE = ROOT / "docs" / "guides" / "gateway.md"
KILLS = 3
TILLS = 6
EACH = 12


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")) as town:
        town.up()
        yield town


class Process:
    """A gateway as its operator starts it."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        command = [sys.executable, "-m", "tallystick.cli", "gateway", "run", str(folder)]
        self._process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONFAULTHANDLER": "1"},
        )
        stdout = self._process.stdout
        assert stdout is not None
        self.url = stdout.readline().strip()
        assert self.url, "it did not start"

    def end(self, number: int) -> int:
        if self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(60)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code


@contextmanager
def run(folder: Path) -> Iterator[Process]:
    process = Process(folder)
    try:
        yield process
    finally:
        assert process.end(signal.SIGTERM) == 0


def codes_in(town: Town, folder: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    key = load_vault_key(folder / "vault.key", None).secret
    with town.node.view() as view, Vault.open(folder, key) as vault:
        for row in list_bills(view, CODE):
            standing = vault.find(CODE, int(row.id[9:]))
            if standing is not None and standing.state == "recorded":
                (code,) = decode(vault.get(CODE, int(row.id[9:]))[0], Body).business_codes
                found[code] = found.get(code, 0) + 1
    return found


def test_killed_under_load_nothing_is_lost_and_nothing_is_twice(town: Town, tmp_path: Path) -> None:
    folder = town.furnish(tmp_path / "gateway")
    token = done("gateway", "token", "add", folder, "till", "--may", "issue,read").out.strip()
    process = Process(folder)
    port = int(process.url.rpartition(":")[2])
    bills: dict[str, set[str]] = {}
    ended = threading.Event()

    def work(till: int) -> None:
        """Asks again, as it asked, until it has been told 200."""
        client = Till(process.url, token)
        for n in range(EACH):
            ref = f"K-{till}-{n}"
            while True:
                try:
                    said = client.post("/v1/bills", order(ref))
                except (urllib.error.URLError, ConnectionError, TimeoutError, OSError):
                    if ended.wait(0.05):
                        return
                    continue
                if "bill" in said.json:
                    bills.setdefault(ref, set()).add(said.json["bill"])
                if said.status == 200:
                    break
                assert said.status in (202, 503), said.json

    threads = [threading.Thread(target=work, args=(n,)) for n in range(TILLS)]
    for each in threads:
        each.start()
    for n in range(KILLS):
        until(lambda n=n: len(bills) > TILLS * (2 * n + 1))  # type: ignore[misc]
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
        process = Process(folder, port)
    for each in threads:
        each.join(60)
    ended.set()
    assert process.end(signal.SIGTERM) == 0
    refs = {f"K-{till}-{n}" for till in range(TILLS) for n in range(EACH)}
    assert bills.keys() == refs and {len(each) for each in bills.values()} == {1}
    assert codes_in(town, folder) == dict.fromkeys(refs, 1)


def test_the_guides_lines_work(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = town.furnish(tmp_path / "gateway", RESERVE)
    every = "issue,reverse,read,reconcile"
    token = done("gateway", "token", "add", folder, "till-1", "--may", every).out.strip()
    page = GUIDE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name, block in re.findall(r"^```json (\S+)\n(.*?)^```$", page, re.M | re.S):
        Path(name).write_text(block.replace("33061326", str(CODE)), encoding="utf-8")
    day = local_day(now(), 28_800)
    lines = [{"ref": "HIS-20260301-17", "total": 1200, "state": "reversed"}]
    Path("list.json").write_text(json.dumps({"day": day, "lines": lines}), encoding="utf-8")
    (sh,) = re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S)
    answers: list[Any] = []
    with run(folder) as process:
        for line in sh.splitlines():
            text = line.replace("$TOKEN", token).replace("$GATEWAY", process.url)
            if answers:
                text = text.replace("BILL", answers[0]["bill"])
            said = subprocess.run(
                shlex.split(text), capture_output=True, text=True, check=True, timeout=60
            )
            answers.append(json.loads(said.stdout))
    assert [each.get("state") for each in answers[:4]] == ["issued"] * 4, answers
    assert answers[3]["ledger_state"] == "reversed" and answers[3]["receipt"]
    assert answers[4]["ledger"] == "ok" and answers[5]["differences"] == []


def test_the_example_of_an_old_system_runs(town: Town, tmp_path: Path) -> None:
    folder = town.furnish(tmp_path / "gateway")
    every = "issue,reverse,read,reconcile"
    token = done("gateway", "token", "add", folder, "his", "--may", every).out.strip()
    with run(folder) as process:
        example = [sys.executable, str(ROOT / "examples" / "old_his_client.py")]
        said = subprocess.run(
            [*example, process.url, token, str(CODE), local_day(now(), 28_800)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["OLD-0", "OLD-1", "OLD-2", "again"]
    assert "the same" in lines[3] and lines[4].endswith("200") and lines[5] == "state reversed"
    assert lines[6] == "agree 3" and [line.split()[0] for line in lines[7:]] == ["only_there"]


def test_the_folder_is_made_and_tokens_are_kept_as_hashes(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    done("gateway", "init", folder, "--url", "http://127.0.0.1:1")
    assert tally("gateway", "init", folder, "--url", "http://127.0.0.1:1").code == 2
    assert read((folder / "gateway.toml").read_text()).listen.port == 8490
    secret = done("gateway", "token", "add", folder, "a", "--may", "issue", "--place", "W03").out
    kept = (folder / "tokens.json").read_bytes()
    assert secret.strip().encode() not in kept and len(secret.strip()) > 40
    assert oct((folder / "tokens.json").stat().st_mode)[-3:] == "600"
    done("gateway", "token", "add", folder, "b", "--may", "read")
    done("gateway", "token", "revoke", folder, "b")
    listed = done("gateway", "token", "list", folder, "--json").json["tokens"]
    assert [(t["name"], t["may"], t["place"], bool(t["ended"])) for t in listed] == [
        ("a", ["issue"], "W03", False),
        ("b", ["read"], None, True),
    ]
    assert tally("gateway", "token", "revoke", folder, "b").code == 2
    assert tally("gateway", "token", "add", folder, "c", "--may", "all").code == 2
    assert tally("gateway", "token", "list", tmp_path / "none").code == 2


def test_every_setting_of_the_example_file_is_one(tmp_path: Path) -> None:
    text = EXAMPLE.replace("{url}", "http://127.0.0.1:1")
    plain = re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.M)
    config = read(plain)
    assert (config.listen.port, config.reserve[0].level, config.types[0].purpose) == (
        *(8490, 3),
        "charge",
    )
    assert read(text).answers == config.answers and VAULT_KEY
