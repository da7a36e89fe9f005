"""Founding by command: the plan, the founding file, the policy apart from it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from counter import PLAN, SIGNING, Counter, done, tally

from tallystick.protocol.trust import read_trust


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    for name in SIGNING:
        done("keygen", tmp_path / "keys" / f"{name}.json", "--name", name)
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    return tmp_path / "plan.toml"


def genesis(plan: Path, *more: object) -> tuple[int, str]:
    out = plan.parent / "out" / "genesis.json"
    answer = tally("genesis", plan, "--output", out, *more, "--json")
    return answer.code, answer.error["code"] if answer.code else ""


def test_the_policy_is_of_the_network_and_names_its_members(standing: Counter) -> None:
    policy = read_trust(standing.trust.read_bytes())
    status = done("status", standing.ledger, "--json").json
    assert policy.network.hex() == status["network"] and policy.origin == status["origin"]
    assert policy.names == {"finance": "财政厅 Finance", "hospital-01": "第一医院"}
    assert (policy.threshold, policy.required) == (1, ["finance"])


def test_the_policy_never_lies_beside_the_founding_file(plan: Path) -> None:
    assert genesis(plan, "--trust", plan.parent / "out" / "trust.json") == (2, "cli.same_folder")
    assert not (plan.parent / "out").exists()


def test_the_example_is_a_plan(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(done("genesis", "--example").out, encoding="utf-8")
    names = (*SIGNING, "keeper-finance")
    hospital = tomllib.loads(plan.read_text(encoding="utf-8"))["organisations"][1]
    (granted,) = (grant["actions"] for grant in hospital["grants"])
    assert {"bills.issue", "bills.order_erasure"} <= set(granted)
    not_an_issuers = {"bills.*", "*", "bills.freeze", "bills.legal_order", "bills.statute"}
    assert not not_an_issuers & set(granted)
    for name in names:
        done("keygen", tmp_path / "keys" / f"{name}.json", "--name", name)
    assert genesis(plan) == (0, "")
    answer = tally("genesis", plan, "--output", tmp_path / "out" / "genesis.json", "--json")
    assert (answer.code, answer.error["code"]) == (2, "cli.fileexists")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('name = "counter.example"', "name = ", "cli.not_toml"),
        ('name = "counter.example"', 'name = "Not A Name"', "cli.malformed"),
        ("region = 33", "region = 3", "cli.malformed"),
        ("region = 33", 'region = "33"', "cli.malformed"),
        ('root_key = "keys/finance-root.json"', "", "cli.malformed"),
        ('root_key = "keys/finance-root.json"', 'root_key = "keys/gone"', "cli.filenotfound"),
        ('root_key = "keys/finance-root.json"', 'root_key = "abcd"', "cli.key"),
        ('root_key = "keys/finance-root.json"', 'root_key = "keys/log.json"', "cli.malformed"),
        ("depth = 8", "depth = 9", "cli.malformed"),
        ("depth = 8", "depht = 8", "cli.malformed"),
        ("threshold = 1", "threshold = 2", "cli.malformed"),
        ('required = ["finance"]', 'required = ["health"]', "cli.malformed"),
        ('name = "k/finance"', 'name = "k finance"', "cli.malformed"),
    ],
)
def test_a_plan_that_is_wrong_founds_nothing(plan: Path, old: str, new: str, code: str) -> None:
    assert PLAN.count(old) == 1
    plan.write_text(PLAN.replace(old, new), encoding="utf-8")
    assert genesis(plan, "--trust", plan.parent / "trust" / "trust.json") == (2, code)
    assert not (plan.parent / "out").exists() and not (plan.parent / "trust").exists()


@pytest.mark.parametrize(
    "text",
    [
        "organisations = 7",
        "organisations = [7]",
        "keepers = [[]]",
        'log_keys = "x"',
        "trust = 1",
        "utc_offset_hours = 'eight'",
        "[[organisations]]\norg = 'a'\nkeys = 5\nroot_key = 'x'",
        "founded_at = 2026-01-01",
    ],
)
def test_a_plan_of_another_shape_is_refused_without_a_traceback(tmp_path: Path, text: str) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(text)
    code, what = genesis(plan)
    assert code == 2 and what != "cli.bug"


def test_a_ledger_is_founded_once_and_by_its_log_key(standing: Counter, tmp_path: Path) -> None:
    file = standing.folder / "genesis" / "genesis.json"
    key = ("--key", standing.key("log"), "--json")
    wrong = tally(
        *("found", tmp_path / "new", "--genesis", file, "--key", standing.key("finance"), "--json")
    )
    assert (wrong.code, wrong.error["code"]) == (2, "cli.not_log_key")
    assert not (tmp_path / "new").exists()
    again = tally("found", standing.ledger, "--genesis", file, *key)
    assert (again.code, again.error["code"]) == (2, "cli.fileexists")
    none = tally("found", tmp_path / "new", "--genesis", tmp_path, *key)
    assert (none.code, none.error["code"]) == (2, "cli.isadirectory")
    odd = tally("found", tmp_path / "new", "--genesis", standing.key("log"), *key)
    assert (odd.code, odd.error["code"]) == (2, "cli.malformed")


def test_a_ledger_is_founded_in_a_folder_of_its_own(standing: Counter, tmp_path: Path) -> None:
    file = standing.folder / "genesis" / "genesis.json"
    found = ("--genesis", file, "--key", standing.key("log"), "--json")
    folder = tmp_path / "home"
    (folder / "keys").mkdir(parents=True)
    for stranger in ("letters.txt", "keys.txt", ".profile"):
        (folder / stranger).write_text("mine")
        refused = tally("found", folder, *found)
        assert (refused.code, refused.error["code"]) == (2, "cli.not_empty")
        assert stranger in refused.error["detail"]
        export = tmp_path / "export"
        export.mkdir(exist_ok=True)
        for dry in ((), ("--dry-run",)):
            imported = tally("bills", "import", "synthea", export, "--dir", folder, "--json", *dry)
            assert (imported.code, imported.error["code"]) == (2, "cli.not_empty")
        (folder / stranger).unlink()
    for left in ("lock", "genesis.json", "ledger.db.new", "ledger.db.new-wal"):
        (folder / left).write_text("of a founding that was cut off")
    done("found", folder, *found)
    assert done("status", folder, "--json").json["size"] == 0


def test_the_status_lists_what_was_refused_in_the_box(counter: Counter) -> None:
    assert done("status", counter.ledger, "--json").json["refused_in_box"]["count"] == 0
    box = counter.ledger / "box"
    for n in range(7):
        reason = "" if n == 6 else ".ledger.expired"
        path = box / f"{n:064x}{reason}.refused"
        path.write_bytes(b"{}")
        os.utime(path, (1_800_000_000 + n, 1_800_000_000 + n))
    found = done("status", counter.ledger, "--json").json["refused_in_box"]
    assert found["count"] == 7 and len(found["newest"]) == 5
    assert [(each["tx_id"][-1], each["reason"]) for each in found["newest"][:2]] == [
        ("6", ""),
        ("5", "ledger.expired"),
    ]
    assert found["newest"][0]["at"] == "2027-01-15T08:00:06Z"
    shown = " ".join(done("status", counter.ledger).out.split())
    assert "7 refused transactions" in shown and "ledger.expired" in shown
    assert len(list(box.iterdir())) == 7
