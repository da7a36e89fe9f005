"""An insurer's old system: locks, settles, lets go; the same twice is done once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acts import nonce
from gateways import INSURER, Running, Town, medical, running, until

from tallystick.contracts.bills.items.bills import Archived

CLAIMS = "\n[claims]\nenabled = true\n"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")) as town:
        town.up()
        yield town


@pytest.fixture(scope="module")
def bills(town: Town, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Issued by the hospital, and checked by finance."""
    with running(town, tmp_path_factory.mktemp("hospital"), town.config()) as gateway:
        till = gateway.till()
        asked = [medical(town, f"B-{n}", 70 + n) for n in range(4)]
        found = [each["bill"]["bill"] for each in till.post("/v1/bills", asked).json["bills"]]
    below = town.node.ledger.head.size
    town.act(
        "finance", "bills.archived", Archived(nonce=nonce(77), issuer="hospital-01", below=below)
    )
    return found


@pytest.fixture(scope="module")
def insurer(
    town: Town, bills: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    config = town.config(CLAIMS)
    with running(town, tmp_path_factory.mktemp("insurer"), config, INSURER) as gateway:
        yield gateway


def lock(bill: str, ref: str, amount: int = 1, right: str = "statute") -> dict[str, object]:
    asked = {"ref": ref, "bill": bill, "purpose": "fund", "amount": amount, "right": right}
    return asked | {"basis": "cash_account"}


def test_a_claim_from_lock_to_settlement(insurer: Running, bills: list[str]) -> None:
    till = insurer.till()
    locked = till.post("/v1/claims", lock(bills[0], "C-1"))
    assert (locked.status, locked.json.get("state")) == (200, "locked"), locked.json
    again = till.post("/v1/claims", lock(bills[0], "C-1"))
    assert again.json["repeated"] and again.json["claim"] == locked.json["claim"]
    other = till.post("/v1/claims", lock(bills[0], "C-1", 2))
    assert (other.status, other.json["code"]) == (422, "desk.claim_open")
    assert till.post("/v1/claims/C-1/renew", {}).status in (200, 422)
    settle = {"amount": 1, "decision": "ab" * 32}
    done = till.post("/v1/claims/C-1/settle", settle)
    assert (done.status, done.json["state"], done.json["settled"]) == (200, "settled", 1)
    assert till.post("/v1/claims/C-1/settle", settle).json["repeated"]
    changed = till.post("/v1/claims/C-1/settle", {**settle, "amount": 0})
    assert (changed.status, changed.json["code"]) == (422, "desk.claim_state")
    assert till.get("/v1/claims/C-1").json["entry"] == done.json["entry"]
    assert [each["ref"] for each in till.get("/v1/claims?state=settled").json["claims"]] == ["C-1"]


def test_a_lock_is_let_go_and_a_claim_rejected(insurer: Running, bills: list[str]) -> None:
    till = insurer.till()
    reject = {"reason": "not_covered", "decision": "cd" * 32}
    for n, act, body, state in (
        (1, "release", {"reason": "withdrawn"}, "released"),
        (2, "reject", reject, "rejected"),
    ):
        assert till.post("/v1/claims", lock(bills[n], f"L-{n}")).status == 200
        done = till.post(f"/v1/claims/L-{n}/{act}", body)
        assert (done.status, done.json["state"]) == (200, state)


def test_who_may_not_is_told(
    insurer: Running, bills: list[str], town: Town, tmp_path: Path
) -> None:
    till = insurer.till("claim", "read", name="front")
    assert till.post("/v1/claims", lock("33060126:0000009999", "N-1")).status in (403, 404, 422)
    said = till.post("/v1/claims/N-9/settle", {"amount": 1, "decision": "ab" * 32})
    assert said.json["code"] == "gateway.may_not"
    assert till.get("/v1/claims/N-9").json["code"] == "gateway.no_bill"
    wrong = till.post("/v1/claims", {**lock(bills[3], "N-2"), "amount": 1.5})
    assert (wrong.status, wrong.json["code"]) == (400, "gateway.fraction")
    with running(town, tmp_path / "other", town.config()) as hospital:
        assert hospital.till().get("/v1/claims").json["code"] == "gateway.no_claims"


def test_nothing_is_claimed_while_the_ledger_is_away(
    insurer: Running, bills: list[str], town: Town
) -> None:
    till = insurer.till()
    town.down()
    until(lambda: insurer.house.link.away)
    said = till.post("/v1/claims", lock(bills[3], "A-1"))
    assert (said.status, said.json["code"]) == (503, "gateway.away")
    assert till.get("/v1/claims?state=settled").status == 200
    town.up()
    until(lambda: not insurer.house.link.away)
    assert till.post("/v1/claims", lock(bills[3], "A-1")).status == 200
