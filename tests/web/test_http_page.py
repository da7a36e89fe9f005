"""The page of the API is whole: each entry and status stands on it, and its examples run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from town import TWO_WORKERS, Town, open_town

from tallystick.web.openapi import STATUSES

PAGE = Path(__file__).parents[2] / "docs" / "spec" / "http.md"
LETTERS = '[bodies]\nbox = "letters"\nreceivers = ["finance"]\nwallets = true\n'
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with open_town(tmp_path_factory.mktemp("town"), toml=TWO_WORKERS + LETTERS) as town:
        yield town


def test_each_entry_stands_on_the_page_with_its_query(town: Town) -> None:
    document: dict[str, Any] = town.get(None, "/api/v1/openapi.json").json()
    entries = {
        f"{method.upper()} {path}": [p["name"] for p in each["parameters"] if p["in"] == "query"]
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    }
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    told = {name: row for row in rows for name in re.findall(r"`((?:GET|POST|DELETE) [^`]+)`", row)}
    assert sorted(told) == sorted(entries)
    for name, query in entries.items():
        cell = told[name].split("|")[3]
        assert sorted(re.findall(r"`(\w+)`", cell)) == sorted(query), name


def test_each_status_stands_on_the_page() -> None:
    cells = re.findall(r"^\| ([0-9, ]+) \|", TEXT, re.MULTILINE)
    told = {int(each) for cell in cells for each in cell.split(",")}
    assert told == {200, 204, 405, *STATUSES}


def test_the_examples_run_as_they_stand(town: Town, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here: the examples of the page are not run")
    (block,) = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    (tmp_path / "signed.json").write_bytes(town.issue(2))
    found = []
    for line in block.strip().splitlines():
        command = line.replace("http://127.0.0.1:8480", town.served.url)
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
        found.append(done.stdout)
    network, checkpoint, rehearsed, first, second, checked, refused = found
    assert json.loads(network)["name"] == "example/city" and checkpoint.count(b"\n\n") == 1
    assert json.loads(rehearsed)["outcomes"] == ["accepted", "accepted"]
    assert json.loads(first)["count"] == 2 and "repeated" not in json.loads(first)
    assert json.loads(second) == json.loads(first) | {"repeated": True}
    assert json.loads(checked)["verdict"] == "differs"
    assert (json.loads(refused)["status"], json.loads(refused)["code"]) == (401, "web.unsigned")
