"""A hospital over the wire: everything that the office does, proven, against real processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest
from offices import HOSPITAL, signer
from served import RealCity, serving

from tallystick.apps.bills.acts import Issued, Reversal
from tallystick.apps.bills.hospital import AsyncHospital, Hospital
from tallystick.apps.bills.remote import Options
from tallystick.cli.founding import make_policy
from tallystick.client.failures import Missing
from tallystick.contracts.bills.records.bills import Bill
from tallystick.contracts.kit.context import slot_key
from tallystick.durable import Locked
from tallystick.protocol.canonical import replace
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
