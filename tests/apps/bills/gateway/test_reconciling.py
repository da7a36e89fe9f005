"""A day's list against a gateway: found, tried, done, kept; and nothing that was not asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateways import CODE, Running, Till, Town, order, running
from served import now

from tallystick.apps.bills.reconciling import Reconciled, read_lines, read_result
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.values import local_day

DAY = local_day(now(), 28_800)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")) as town:
        town.up()
        yield town


@pytest.fixture
def gateway(town: Town, tmp_path: Path) -> Iterator[Running]:
    with running(town, tmp_path / "gateway", town.config()) as gateway:
        yield gateway


def issued(till: Till, ref: str, amount: int = 1_200, shift: str = "A", place: str = "W03") -> str:
    said = till.post("/v1/bills", order(ref, amount, cashier_shift=shift, place_code=place))
    assert said.status == 200, said.json
    bill: str = said.json["bill"]
    return bill


def kept(gateway: Running, said: Any) -> Reconciled:
    return read_result((gateway.house.folder / said["file"]).read_bytes())


def test_all_differences_of_a_shift_are_found_tried_and_done(
    gateway: Running, town: Town, tmp_path: Path
) -> None:
    till, tag = gateway.till(), tmp_path.name[-6:]
    same, dear, gone, extra = (issued(till, f"{tag}-{n}") for n in range(4))
    issued(till, f"{tag}-5", shift="B")
    draft = {name: value for name, value in order("-", 900).items() if name != "ref"}
    lines = [
        {"ref": f"{tag}-0", "total": 1_200},
        {"bill": dear, "total": 1_500, "draft": {**draft, "sources": {"cash": 900}}},
        {"ref": f"{tag}-2", "total": 1_200, "state": "reversed"},
        {"ref": f"{tag}-new", "total": 900, "draft": draft},
        {"ref": f"{tag}-lost", "total": 700},
        {"ref": f"{tag}-0", "total": 1_200},
        {"ref": f"{tag}-5", "total": 1_200},
    ]
    asked = {"day": DAY, "place": "W03", "shift": "A", "lines": lines}
    said = till.post("/v1/reconcile", asked)
    assert said.status == 200, said.json
    found = [
        (d["kind"], d["action"], d.get("act", {}).get("outcome")) for d in said.json["differences"]
    ]
    assert found == [
        ("amount", "replace", "accepted"),
        ("state", "reverse", "accepted"),
        ("only_there", "issue", "accepted"),
        ("only_there", "issue", None),
        ("duplicate", "strike", None),
        ("place", "mend_list", None),
        ("only_here", "reverse", "accepted"),
    ]
    result = said.json["result"]
    assert result["proven"] and result["equal"] == {"count": 1, "there": 1_200, "here": 1_200}
    assert result["here"]["here"] == 4_800
    assert till.get(f"/v1/bills/{gone}").json["ledger_state"] == "issued"  # nothing was done yet
    assert "differences" in till.get("/?lang=en").json and DAY in till.get("/?lang=en").json

    done = till.post("/v1/reconcile/apply", {"plan": said.json["plan"]})
    assert done.status == 200, done.json
    assert [each["outcome"] for each in done.json["acts"]] == ["accepted"] * 4
    twice = till.post("/v1/reconcile/apply", {"plan": said.json["plan"]})
    bills = [each["bill"] for each in done.json["acts"]]
    assert [each["bill"] for each in twice.json["acts"]] == bills
    assert till.get(f"/v1/bills/{gone}").json["ledger_state"] == "reversed"
    assert till.get(f"/v1/bills/{extra}").json["ledger_state"] == "reversed"
    assert till.get(f"/v1/bills/{dear}").json["replaced_by"] == bills[0]
    after = till.post("/v1/reconcile", {**asked, "lines": lines[:1] + lines[3:4]})
    left = [d["kind"] for d in after.json["differences"]]
    assert left == ["only_here"] and after.json["differences"][0]["bill"] == bills[0]
    assert same and kept(gateway, said.json).result.digest.hex() == said.json["plan"]


def test_a_kept_result_is_signed_and_whole(gateway: Running, tmp_path: Path) -> None:
    till, tag = gateway.till(), tmp_path.name[-6:]
    issued(till, f"{tag}-s", place="W08")
    said = till.post("/v1/reconcile", {"day": DAY, "place": "W08"})
    data = (gateway.house.folder / said.json["file"]).read_bytes()
    assert [each.kind for each in kept(gateway, said.json).differences] == ["only_here"]
    for old, new in ((b'"only_here"', b'"duplicate"'), (b'"W08"', b'"W09"')):
        with pytest.raises((VerificationFailed, Malformed)):
            read_result(data.replace(old, new))
    head, _, rest = data.partition(b"\n")
    with pytest.raises(VerificationFailed):
        read_result(head + b"\n" + rest + rest)
    assert oct((gateway.house.folder / said.json["file"]).stat().st_mode)[-3:] == "600"


def test_only_a_kept_plan_is_done_and_only_by_whoever_may(gateway: Running) -> None:
    unknown = gateway.till().post("/v1/reconcile/apply", {"plan": "0" * 64})
    assert (unknown.status, unknown.json["code"]) == (409, "gateway.plan")
    reader = gateway.till("reconcile", "read", name="books")
    assert reader.post("/v1/reconcile", {"day": "2026-01-01"}).json["differences"] == []
    said = reader.post("/v1/reconcile/apply", {"plan": "0" * 64})
    assert said.json["code"] == "gateway.may_not"
    here = gateway.till("reconcile", name="w03", place="W03")
    assert here.post("/v1/reconcile", {"day": DAY}).json["code"] == "gateway.other_place"


def test_a_trial_says_why_not(gateway: Running, tmp_path: Path) -> None:
    till, tag = gateway.till(), tmp_path.name[-6:]
    draft = {"code": CODE, "payer": {"party": "person", "name": "林知夏"}}
    bad = {
        **draft,
        "items": [{"code": "13", "name": "挂号费", "amount": 5}],
        "sources": {"cash": 6},
    }
    lines = [
        {"ref": f"{tag}-x", "total": 5, "draft": bad},
        {"ref": f"{tag}-y", "total": 5, "draft": draft},
    ]
    said = till.post("/v1/reconcile", {"day": DAY, "place": "W99", "lines": lines})
    outcomes = [each["act"]["outcome"] for each in said.json["differences"]]
    assert outcomes[0].startswith("bills.") and outcomes[1] == "office.malformed"
    done = till.post("/v1/reconcile/apply", {"plan": said.json["plan"]})
    assert done.json["acts"] == []


def test_lists_are_read_as_tables_and_as_json() -> None:
    table = "ref,total,state,red\nA-1,1230,,\nA-2,40,,1\n"
    first, second = read_lines(table, "list.csv")
    assert (first.ref, first.total, first.state, second.red) == ("A-1", 1230, None, True)
    assert read_lines('{"ref":"A-1","total":1230}\n\n', "list.jsonl") == [first]
    assert read_lines('[{"ref":"A-1","total":1230}]', "list.json") == [first]
    for wrong, path in (
        ("ref,total\nA-1,12.30\n", "0/total"),
        ("ref,total\nA-1,1,2\n", "0"),
        ("ref,total\nA-1\n", "0"),
        ("ref,totals\nA-1,1\n", "0"),
    ):
        with pytest.raises(Malformed) as stopped:
            read_lines(wrong, "list.csv")
        assert stopped.value.path.startswith(path)
    for wrong in ('{"ref":"A-1","total":1.5}', "{", '{"total":1,"sum":2}', "[1]"):
        with pytest.raises(Malformed):
            read_lines(wrong, "list.jsonl")
