"""The ledger goes away, the house is killed, both come back: nothing is lost, nothing is twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateways import (
    CODE,
    MEDICAL,
    RESERVE,
    RESERVE_FIRST,
    RESERVE_LAST,
    Running,
    Town,
    medical,
    order,
    running,
    until,
)
from offices import VAULT_KEY

from tallystick.apps.bills.gateway.house import House
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.views.bills import list_bills
from tallystick.protocol.canonical import decode
from tallystick.vault import Vault


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with Town(tmp_path / "town") as town:
        town.up()
        yield town


def away(gateway: Running) -> bool:
    return gateway.house.link.away


def on_ledger(town: Town, code: int = CODE) -> set[int]:
    with town.node.view() as view:
        return {int(row.id[9:]) for row in list_bills(view, code) if row.root is not None}


def codes_on_ledger(town: Town, folder: Path) -> Counter[str]:
    """How many bills of the ledger each business code has."""
    found: Counter[str] = Counter()
    with Vault.open(folder, VAULT_KEY) as vault:
        for number in on_ledger(town):
            found.update(decode(vault.get(CODE, number)[0], Body).business_codes)
    return found


def test_bills_come_out_of_the_reserve_and_are_handed_in_by_themselves(
    town: Town, tmp_path: Path
) -> None:
    folder = tmp_path / "gateway"
    with running(town, folder, town.config(RESERVE)) as gateway:
        till = gateway.till()
        before = till.post("/v1/bills", order("A-1"))
        assert before.status == 200
        until(lambda: gateway.house.writer.reserves.left.get(CODE) == 200)
        town.down()
        until(lambda: away(gateway))
        made = [till.post("/v1/bills", order(f"A-{n}")) for n in range(2, 5)]
        assert [each.status for each in made] == [202] * 3
        said = made[0].json
        assert (said["state"], said["said_zh"]) == ("signed", "已签名，尚未入账")
        assert said["hand_over"] and said["offline"]
        assert said["bill"] == f"{CODE}:{RESERVE_FIRST:010d}"
        again = till.post("/v1/bills", order("A-2"))
        assert again.json["bill"] == said["bill"] and again.json["repeated"]
        assert till.post("/v1/bills", order("A-2", 77)).json["code"] == "gateway.ref_taken"
        waits = till.get("/v1/waiting").json
        assert [(each["ref"], each["why"]) for each in waits["waits"]] == [
            (f"A-{n}", "offline") for n in range(2, 5)
        ]
        assert waits["ledger"] == "away" and waits["reserves"] == {str(CODE): 197}
        seen = till.get(f"/v1/bills/{said['bill']}").json
        assert (seen["state"], seen["hand_over"]) == ("signed", True)
        old = till.get(f"/v1/bills/{before.json['bill']}").json
        assert (old["state"], "fresh" in old and old["fresh"]) == ("issued", False)
        page = till.get("/?lang=en").json
        assert "out of the reserve" in page and "made offline" in page
        refused = till.post(f"/v1/bills/{before.json['bill']}/reverse", {"ref": "x", "reason": "y"})
        assert (refused.status, refused.json["code"]) == (503, "gateway.away")
        town.up()
        until(lambda: not till.get("/v1/waiting").json.get("waits"))
        seen = till.get(f"/v1/bills/{said['bill']}").json
        assert (seen["state"], seen["ledger_state"], seen["offline"]) == ("issued", "issued", True)
        assert till.post("/v1/bills", order("A-2")).json["state"] == "issued"
        assert till.post("/v1/bills", order("A-9")).status == 200
    assert set(codes_on_ledger(town, folder).values()) == {1}


def test_without_a_reserve_nothing_is_taken_and_the_ref_stays_free(
    town: Town, tmp_path: Path
) -> None:
    with running(town, tmp_path / "gateway", town.config(RESERVE)) as gateway:
        till = gateway.till()
        town.down()
        until(lambda: away(gateway))
        said = till.post("/v1/bills", medical(town, "B-1", 1))
        assert (said.status, said.json["code"]) == (503, "gateway.away")
        assert said.headers["retry-after"]
        town.up()
        until(lambda: not away(gateway))
        assert till.post("/v1/bills", medical(town, "B-1", 1)).status == 200


def test_what_was_sent_as_the_ledger_went_is_answered_as_signed(town: Town, tmp_path: Path) -> None:
    with running(town, tmp_path / "gateway", town.config(seconds=0.3)) as gateway:
        till = gateway.till()
        until(lambda: till.post("/v1/bills", order("C-0")).status in (200, 202))
        town.down()
        said = till.post("/v1/bills", order("C-1"))
        assert said.status == 202 and not said.json["hand_over"], said.json
        assert said.json["bill"] == till.post("/v1/bills", order("C-1")).json["bill"]
        assert till.get("/v1/waiting").json["waits"][-1]["why"] == "flying"
        town.up()
        until(lambda: till.get("/v1/bills?ref=C-1").json["state"] == "issued")


def test_a_house_opens_while_the_ledger_is_away(town: Town, tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    with running(town, folder, town.config(RESERVE)) as gateway:
        gateway.till().post("/v1/bills", order("D-1"))
        until(lambda: gateway.house.writer.reserves.left.get(CODE))
    town.down()
    with running(town, folder, town.config(RESERVE)) as gateway:
        till = gateway.till()
        assert till.get("/v1/health").json["state"] == "away"
        assert till.post("/v1/bills", order("D-1")).json["state"] == "issued"
        said = till.post("/v1/bills", order("D-2"))
        assert said.status == 202 and said.json["offline"]
    with running(town, folder, town.config(RESERVE)) as gateway:  # once more, and still away
        till = gateway.till()
        assert till.post("/v1/bills", order("D-2")).json["bill"] == said.json["bill"]
        other = till.post("/v1/bills", order("D-3"))
        assert other.json["bill"] == f"{CODE}:{RESERVE_FIRST + 1:010d}"
        town.up()
        until(lambda: till.get("/v1/bills?ref=D-3").json.get("ledger_state") == "issued")
    assert set(codes_on_ledger(town, folder).values()) == {1}


class Killed(BaseException):
    """As kill -9 would: nothing after it happens."""


def killing(house: House, owner: object, name: str, *, before: bool) -> None:
    """Let the house die at a call."""
    found: Callable[..., Any] = getattr(owner, name)

    def die(*arguments: Any, **named: Any) -> Any:
        if not before:
            found(*arguments, **named)
        raise Killed(name)

    setattr(owner, name, die)


POINTS = [
    ("refs.take", True), ("refs.take", False), ("vault.put_many", True),
    ("vault.put_many", False), ("refs.number", True), ("refs.number", False),
    ("outbox.put", True), ("outbox.put", False), ("vault.mark_recorded", True),
    ("vault.mark_recorded", False), ("outbox.remove", True), ("outbox.remove", False),
    ("refs.finish", True), ("refs.finish", False),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_killed_at_any_step_a_ref_has_one_bill(town: Town, tmp_path: Path) -> None:
    for n, (point, before) in enumerate(POINTS):
        folder = tmp_path / f"gateway-{n}"
        ref = f"K-{n}"
        with running(town, folder, town.config(seconds=3.0)) as gateway:
            house, till = gateway.house, gateway.till()
            office = house.writer.office
            assert office is not None
            owners = {"refs": house.refs, "vault": house.vault, "outbox": office._sending._outbox}
            part, _, name = point.partition(".")
            killing(house, owners[part], name, before=before)
            said = till.post("/v1/bills", order(ref))
            assert said.status in (202, 503), (point, said.json)
            house.writer._thread.join(20)
            assert till.get("/v1/health").status == 503
            told = said.json.get("bill")
        with running(town, folder, town.config()) as gateway:
            said = gateway.till().post("/v1/bills", order(ref))
            settled(gateway, ref)
            assert said.status in (200, 202), (point, said.json)
            assert told in (None, said.json["bill"]), point
            assert gateway.till().post("/v1/bills", order(f"{ref}-next")).status == 200
        found = codes_in(town, folder)
        assert found == {ref: 1, f"{ref}-next": 1}, point


def settled(gateway: Running, ref: str) -> None:
    """Wait until the bill of a ref is on the ledger."""
    till = gateway.till()
    until(lambda: till.get(f"/v1/bills?ref={ref}").json["state"] == "issued")


def codes_in(town: Town, folder: Path) -> dict[str, int]:
    """Of the ledger's bills those whose bodies are in this folder, by business code."""
    found: Counter[str] = Counter()
    with Vault.open(folder, VAULT_KEY) as vault:
        for number in on_ledger(town):
            standing = vault.find(CODE, number)
            if standing is not None and standing.state == "recorded":
                found.update(decode(vault.get(CODE, number)[0], Body).business_codes)
    return dict(found)


OFFLINE = [
    ("vault.put_many", True), ("vault.put_many", False), ("refs.number", True),
    ("refs.number", False), ("refs.take", False),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_killed_while_the_ledger_is_away_a_ref_has_one_bill(town: Town, tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    with running(town, folder, town.config(RESERVE)) as gateway:
        until(lambda: gateway.house.writer.reserves.left.get(CODE))
    town.down()
    refs = []
    for n, (point, before) in enumerate(OFFLINE):
        ref = f"O-{n}"
        with running(town, folder, town.config(RESERVE, seconds=1.0)) as gateway:
            house = gateway.house
            owners = {"refs": house.refs, "vault": house.vault}
            part, _, name = point.partition(".")
            killing(house, owners[part], name, before=before)
            assert gateway.till().post("/v1/bills", order(ref)).status in (202, 503), point
            house.writer._thread.join(20)
        with running(town, folder, town.config(RESERVE)) as gateway:
            said = gateway.till().post("/v1/bills", order(ref))
            assert said.status == 202 and said.json.get("offline"), (point, before, said.json)
        refs.append(ref)
    town.up()
    with running(town, folder, town.config(RESERVE)) as gateway:
        till = gateway.till()
        until(lambda: not till.get("/v1/waiting").json.get("waits"))
    assert codes_in(town, folder) == dict.fromkeys(refs, 1)
    assert max(on_ledger(town)) <= RESERVE_LAST and MEDICAL
