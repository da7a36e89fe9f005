"""A hospital over the wire: everything that the office does, proven, against real processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import wait
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from offices import HOSPITAL, signer
from served import RealCity, now, serving
from web_server import WebServer

from tallystick.apps.bills.acts import Issued, Reversal
from tallystick.apps.bills.hospital import AsyncHospital, Hospital
from tallystick.apps.bills.remote import Options
from tallystick.cli.founding import make_policy
from tallystick.client import wire
from tallystick.client.failures import Missing, WrongAnswer
from tallystick.client.signing import SignedBy
from tallystick.client.sync import Client
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.kit.context import slot_key
from tallystick.durable import Locked
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.errors import Rejected, VerificationFailed
from tallystick.protocol.trust import TrustPolicy
from tallystick.verify import Verdict


class Town(RealCity):
    url = ""

    def policy(self) -> TrustPolicy:
        policy: TrustPolicy = make_policy(
            self.node.ledger.genesis,
            self.node.network,
            threshold=0,
            required=[],
            status_max_age_seconds=3600,
            names={},
        )
        return policy

    def open(self, folder: Path, **more: object) -> Hospital:
        return Hospital.open(
            folder,
            self.url,
            self.policy(),
            signer(f"{HOSPITAL}/key"),
            **more,  # type: ignore[arg-type]
        )


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")) as town, serving(town) as served:
        town.url = served.url
        yield town


def test_a_hospital_issues_its_first_bill_and_holds_its_receipt(town: Town, tmp_path: Path) -> None:
    with town.open(tmp_path / "hospital") as hospital:
        (bill,) = hospital.issue([town.draft(1)])
        assert bill.accepted and hospital.said([bill]) == ["issuing"]  # finance has not archived it
        _, verified = hospital.receipt(bill.code, bill.number)
        assert verified.verdict is Verdict.GOOD and verified.index == bill.entry
        assert hospital.status(bill.code, bill.number).state == "issued"
    assert town.bill(bill.code, bill.number).entry == bill.entry


def test_what_many_tills_issue_at_a_moment_travels_together(town: Town, tmp_path: Path) -> None:
    with town.open(tmp_path / "hospital", batch_seconds=0.2) as hospital:
        futures = [hospital.issue_one(town.draft(100 + n)) for n in range(60)]
        assert not wait(futures, 60).not_done
        bills = [each.result() for each in futures]
    assert all(each.accepted for each in bills)
    assert len({(each.code, each.number) for each in bills}) == 60
    assert len({each.tx_id for each in bills}) < 20


def test_a_bill_is_reversed_and_another_reads_nothing_of_it(town: Town, tmp_path: Path) -> None:
    with town.open(tmp_path / "hospital") as hospital:
        (blue,) = hospital.issue([town.draft(300)])
        (red,) = hospital.reverse([Reversal(blue.code, blue.number, "wrong_payer")])
        assert red.accepted and hospital.status(blue.code, blue.number).state == "reversed"
        refused = hospital.reverse([Reversal(blue.code, blue.number, "wrong_payer")])[0]
        assert refused.outcome == "bills.rev_ended"
    with (
        Hospital.open(tmp_path / "o", town.url, town.policy(), signer("hospital-02/key")) as other,
        other.connection.view() as view,
        pytest.raises(Rejected) as stopped,
    ):
        view.get(slot_key(blue.code, blue.number), Bill)
    assert stopped.value.reason == "web.forbidden"


def test_what_was_under_way_when_it_was_killed_is_found_again(town: Town, tmp_path: Path) -> None:
    """Killed between payment and answer: nothing is lost, and nothing is there twice."""
    folder = tmp_path / "hospital"
    hospital = town.open(folder)
    under_way = hospital.with_office(lambda office: office.begin([town.draft(400)]))
    wait(under_way.answers)
    pending = sorted((folder / "pending").iterdir())
    assert len(pending) == 1
    hospital.close()  # as a kill would have it: nothing of the answer was noted
    with town.open(folder) as again:
        number = under_way.sent[0][1][0].bodies[0].bill
        status = again.status(number.code, number.number)
        assert (status.state, sorted((folder / "pending").iterdir())) == ("issued", [])
        (other,) = again.issue([town.draft(401)])
        assert other.accepted and other.number != number.number


def test_it_is_open_once_and_only_to_its_own_key(town: Town, tmp_path: Path) -> None:
    with town.open(tmp_path / "hospital"), pytest.raises(Locked):
        town.open(tmp_path / "hospital")
    with pytest.raises(Rejected):
        Hospital.open(tmp_path / "stranger", town.url, town.policy(), signer("stranger"))
    foreign = replace(town.policy(), network=bytes(32))
    with pytest.raises(VerificationFailed, match="of network"):
        Hospital.open(tmp_path / "f", town.url, foreign, signer(f"{HOSPITAL}/key"))


def test_rows_far_away_are_those_at_hand(town: Town, tmp_path: Path) -> None:
    with town.open(tmp_path / "hospital") as hospital:
        bills = hospital.issue([town.draft(500 + n) for n in range(5)])
        keys = [slot_key(each.code, each.number) for each in bills]
        code, numbers = bills[0].code, sorted(each.number for each in bills)
        with hospital.connection.view() as far, town.node.view() as near:
            far.prefetch(keys, Bill)
            assert [far.get(key, Bill) for key in keys] == [near.get(key, Bill) for key in keys]
            scanned = [row.id for row in far.scan_slots(Bill, code, numbers[0], numbers[-1])]
            assert scanned == [
                row.id for row in near.scan_slots(Bill, code, *numbers[:: len(numbers) - 1])
            ]
            assert far.head.network == near.network and far.genesis == near.genesis
            assert far.segment(bills[2].entry or 0) == near.segment(bills[2].entry or 0)
            with pytest.raises(Missing):
                far.segment(10**9)
            assert far.get(slot_key(code, 9_999), Bill) is None


def late(seconds: int) -> int:
    return now() + seconds


class Liar:
    """Answers every question with the same bytes."""

    def __init__(self, status: int, media: str, body: bytes) -> None:
        self.status, self.media, self.body = status, media.encode(), body

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": (await receive())["type"] + ".complete"})
            return
        headers = [(b"content-type", self.media), (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def test_nothing_is_believed_to_be_missing_or_to_be_as_it_was(town: Town, tmp_path: Path) -> None:
    """Else an office would take a bill for never sent, and issue it once more."""
    key = signer(f"{HOSPITAL}/key")
    with town.open(tmp_path / "hospital") as hospital:
        (bill,) = hospital.issue([town.draft(650)])
        slot, connection = slot_key(bill.code, bill.number), hospital.connection
        call = wire.row(Bill.KIND, f"{bill.code}:{bill.number:010}", proof=True)
        old = httpx2.get(
            town.url + call.path, params=call.query, auth=SignedBy(key, now), trust_env=False
        )
        missing = encode({"code": "web.not_found", "status": 404})
        hour = 3_600
        for liar, later, why in (
            (Liar(404, "application/problem+json", missing), 0, "not proven"),
            (Liar(200, "application/json", old.content), hour + 60, "older than the trust policy"),
        ):
            with WebServer(liar) as server:
                url = f"http://127.0.0.1:{server.port}"
                with Client(url, auth=SignedBy(key, now)) as told:
                    real, connection.client = connection.client, told
                    connection.clock = partial(late, later)
                    with (
                        connection.view() as view,
                        pytest.raises(WrongAnswer, match=why),
                    ):
                        view.get(slot, Bill)
                    connection.client, connection.clock = real, now


def test_without_proofs_the_servers_word_is_taken(town: Town, tmp_path: Path) -> None:
    with town.open(tmp_path / "hospital", options=Options(prove=False)) as hospital:
        (bill,) = hospital.issue([town.draft(600)])
        assert hospital.status(bill.code, bill.number).state == "issued"


def test_the_same_for_asyncio(town: Town, tmp_path: Path) -> None:
    async def issue() -> list[Issued]:
        key = signer(f"{HOSPITAL}/key")
        async with await AsyncHospital.open(tmp_path / "h", town.url, town.policy(), key) as h:
            bills = await asyncio.gather(*(h.issue_one(town.draft(700 + n)) for n in range(10)))
            await h.run(h.hospital.reverse, [Reversal(bills[0].code, bills[0].number, "other")])
            return bills

    assert all(each.accepted for each in asyncio.run(issue()))
