"""What the ledger orders to be erased is gone from each vault that it names, and each says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

import pytest
from canaries import everything_in, spellings
from offices import HOSPITAL, VAULT_KEY, City, signer

from tallystick.apps.bills.acts import Reversal
from tallystick.apps.bills.archive_office import ArchiveOffice
from tallystick.apps.bills.catalogue import TYPES
from tallystick.apps.bills.checks import business_keys_of
from tallystick.apps.bills.erasing import (
    Eraser,
    Round,
    erased_for,
    erasure_list,
    erasure_status,
    orders_of,
)
from tallystick.apps.bills.office import Office
from tallystick.contracts.bills.items.accounts import Erased as ErasedItem
from tallystick.contracts.bills.items.accounts import HoldBodies, LiftHold, OrderErasure, Succeed
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.contracts.bills.records.bills import format_bill_id
from tallystick.contracts.members.actions.orgs import Suspend
from tallystick.ledger.doctor import examine
from tallystick.ledger.engine import Committed, Stopped
from tallystick.node import rules
from tallystick.protocol import merkle
from tallystick.protocol.body import disclosure_digest
from tallystick.protocol.canonical import replace
from tallystick.vault import BodyErased, Kept, Vault

CODE = 33060126
DAY = 86_400
ORDER = b"o" * 32


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    rules_of = replace(TYPES["outpatient"].rules, retention_days=1)
    with City(tmp_path, scenes={"outpatient": rules_of}) as made:
        yield made


def issue(office: Office, city: City, count: int = 5) -> list[int]:
    issued = office.issue(city.draft(seed) for seed in range(count))
    assert all(one.accepted for one in issued), issued
    return [one.number for one in issued]


def bill(number: int) -> str:
    return format_bill_id(CODE, number)


def order(
    city: City,
    number: int,
    *copies: str,
    by: str = "finance",
    basis: Literal["term", "legal_order"] = "legal_order",
) -> None:
    item = OrderErasure(
        nonce=city.nonce(),
        bill=bill(number),
        basis=basis,
        order=ORDER,
        reason="court_order",
        copies=list(copies or (HOSPITAL, "finance")),
    )
    city.act(by, "bills.order_erasure", item)


def eraser(city: City, kept: Kept, org: str, **more: object) -> Eraser:
    named: dict[str, object] = {"submit": city.node.submit} | more
    return Eraser(
        kept,
        org=org,
        network=city.node.network,
        signer=signer(f"{org}/key"),
        view=city.node.view,
        clock=lambda: city.now,
        answer_seconds_max=60,
        **named,  # type: ignore[arg-type]  # each as the tests name it
    )


def known(city: City, number: int) -> tuple[int, int, str]:
    with city.node.view() as view:
        status = erasure_status(view, bill(number))
    assert status is not None
    return status.done, status.known, status.state


def fill(city: City, office: Office, archive: ArchiveOffice) -> list[int]:
    numbers = issue(office, city)
    office.deliver(city.box)
    assert archive.run_once().archived == len(numbers)
    return numbers


def test_an_order_is_carried_out_and_acknowledged_copy_by_copy(city: City) -> None:
    with city.office() as office, city.archive() as archive:
        numbers = fill(city, office, archive)
        gone = numbers[2]
        body, secret = office.vault.get(CODE, gone)
        mine = json.loads(office.vault.export(CODE, gone))
        hospital = eraser(city, office.vault, HOSPITAL)
        finance = eraser(city, archive.archive, "finance", boxes=[city.box])
        assert hospital.run_once() == Round(), "nothing is ordered"
        order(city, gone)
        assert known(city, gone) == (0, 2, "ordered")
        first = hospital.run_once()
        assert (first.erased, first.acknowledged) == ([bill(gone)], [bill(gone)])
        assert known(city, gone) == (1, 2, "ordered")
        assert everything_in(city.folder / HOSPITAL).count(secret) == 0
        second = finance.run_once()
        assert (second.erased, second.acknowledged) == ([bill(gone)], [bill(gone)])
        assert known(city, gone) == (2, 2, "done")
        assert hospital.run_once() == finance.run_once() == Round()
        for kept in (office.vault, archive.archive):
            with pytest.raises(BodyErased):
                kept.get(CODE, gone)
            for number in numbers:
                if number != gone:
                    assert kept.get(CODE, number)[0]
        stored = everything_in(city.folder)
        assert not any(form in stored for value in (body, secret) for form in spellings(value))
        root = city.bill(CODE, gone).root
    leaves = [merkle.leaf_hash(disclosure_digest(text)) for text in mine["disclosures"]]
    assert merkle.root(leaves) == root, "the holder's own copy proves itself against the record"


def test_the_ledger_is_untouched_by_an_erasure(city: City) -> None:
    with city.office() as office:
        (number,) = issue(office, city, 1)
        before = city.bill(CODE, number)
        order(city, number, HOSPITAL)
        eraser(city, office.vault, HOSPITAL).run_once()
        assert city.bill(CODE, number) == before
    with city.node.view() as view:
        assert [status.bill for status in erasure_list(view)] == [bill(number)]
        assert list(erasure_list(view, unfinished=True)) == []
    city.node.close()
    assert examine(city.node.folder, rules(), now=city.now).findings == []


def test_a_letter_that_waits_in_a_box_keeps_a_copy_unacknowledged(city: City) -> None:
    with city.office() as office, city.archive() as archive:
        (number,) = issue(office, city, 1)
        office.deliver(city.box)
        order(city, number, "finance")
        finance = eraser(city, archive.archive, "finance", boxes=[city.box])
        done = finance.run_once()
        assert (done.erased, done.acknowledged, done.waiting) == (
            [bill(number)],
            [],
            [bill(number)],
        )
        assert archive.run_once().turned_away == 1
        assert finance.run_once().acknowledged == [bill(number)]
        issuer = city.issuer()
        assert archive.run_once().turned_away == 0
        assert issuer is None or issuer.exceptions == [], "nobody owes it"


def test_a_kill_between_the_erasure_and_its_acknowledgement_costs_nothing(city: City) -> None:
    def stop(_: bytes) -> Future[Committed]:
        raise Stopped("gone")

    with city.office() as office:
        (number,) = issue(office, city, 1)
        order(city, number, HOSPITAL)
        with pytest.raises(Stopped):
            eraser(city, office.vault, HOSPITAL, submit=stop).run_once()
    assert known(city, number) == (0, 1, "ordered")
    with city.office() as office:
        done = eraser(city, office.vault, HOSPITAL).run_once()
        assert (done.erased, done.acknowledged) == ([], [bill(number)])


def test_who_acknowledges_twice_at_once_is_not_refused(city: City) -> None:
    def twice(data: bytes) -> Future[Committed]:
        item = ErasedItem(nonce=city.nonce(), bill=bill(number))
        city.act(HOSPITAL, "bills.erased", item)
        return city.node.submit(data)

    with city.office() as office:
        (number,) = issue(office, city, 1)
        order(city, number, HOSPITAL)
        done = eraser(city, office.vault, HOSPITAL, submit=twice).run_once()
        assert (done.acknowledged, done.waiting) == ([bill(number)], [])


def test_what_the_ledger_refuses_is_not_acknowledged(city: City) -> None:
    with city.office() as office:
        (number,) = issue(office, city, 1)
        order(city, number, HOSPITAL)
        item = Suspend(nonce=city.nonce(), org=HOSPITAL, version=1, reason="violation")
        city.act("finance", "members.suspend", item)
        hospital = eraser(city, office.vault, HOSPITAL)
        done = hospital.run_once()
        assert (done.erased, done.acknowledged) == ([bill(number)], [])
        assert done.waiting == [bill(number)] and "suspended" in done.details[0]


def test_a_hold_that_came_after_an_order_of_term_keeps_the_body(city: City) -> None:
    with city.office() as office:
        (number,) = issue(office, city, 1)
        city.now += 2 * DAY
        order(city, number, HOSPITAL, by=HOSPITAL, basis="term")
        named: dict[str, Any] = {"bill": bill(number), "order": ORDER, "reason": "audit"}
        city.act("finance", "bills.hold", HoldBodies(nonce=city.nonce(), **named))
        hospital = eraser(city, office.vault, HOSPITAL)
        assert hospital.run_once() == Round(held=[bill(number)])
        with city.node.view() as view:
            (found,) = orders_of(view, HOSPITAL)
            assert found.held == "finance"
            assert erased_for(view, HOSPITAL, city.now) == []
        assert office.vault.get(CODE, number)
        city.act("finance", "bills.lift_hold", LiftHold(nonce=city.nonce(), **named))
        assert hospital.run_once().acknowledged == [bill(number)]


def test_a_successor_erases_the_vaults_of_those_it_took_over_too(city: City) -> None:
    with city.office() as office, Vault.open(city.folder / "own", VAULT_KEY) as own:
        (number,) = issue(office, city, 1)
        order(city, number, HOSPITAL, "finance")
        item = Succeed(
            nonce=city.nonce(), org=HOSPITAL, successor="finance", duties=True, reason="merged"
        )
        city.act("finance", "bills.succeed", item)
        assert known(city, number) == (0, 2, "ordered")
        alone = eraser(city, own, "finance").run_once()
        assert (alone.erased, alone.waiting) == ([bill(number)], [bill(number)])
        assert "2 copies are to be erased, 1 vaults are at hand" in alone.details[0]
        done = eraser(city, own, "finance", also=[office.vault]).run_once()
        assert (done.erased, done.acknowledged) == ([bill(number)], [bill(number)])
        assert known(city, number) == (2, 2, "done")
        with pytest.raises(BodyErased):
            office.vault.get(CODE, number)


def test_an_order_that_names_others_is_none_of_ours(city: City) -> None:
    with city.office() as office:
        (number,) = issue(office, city, 1)
        order(city, number, "finance")
        assert eraser(city, office.vault, HOSPITAL).run_once() == Round()
        assert office.vault.get(CODE, number)


def test_a_vault_out_of_a_backup_stays_erased_by_the_ledgers_word(city: City) -> None:
    folder = city.folder / HOSPITAL / "vault"
    with city.office() as office:
        numbers = issue(office, city)
        office.vault.backup(city.folder / "backup")
    shutil.copy(folder / "keys.db", city.folder / "hoarded.db")
    with city.office() as office:
        order(city, numbers[0], HOSPITAL)
        eraser(city, office.vault, HOSPITAL).run_once()
    shutil.rmtree(folder)
    with city.node.view() as view:
        erased = erased_for(view, HOSPITAL, city.now)
    Vault.restore(
        folder,
        VAULT_KEY,
        backup=city.folder / "backup",
        keys=city.folder / "hoarded.db",
        business=business_keys_of,
        erased=erased,
    )
    with city.office() as office:
        with pytest.raises(BodyErased):
            office.vault.get(CODE, numbers[0])
        office.resolve()
        assert all(office.vault.get(CODE, number) for number in numbers[1:])


def test_a_whole_old_folder_is_erased_again_at_the_next_round(city: City) -> None:
    folder = city.folder / HOSPITAL / "vault"
    with city.office() as office:
        (number,) = issue(office, city, 1)
    shutil.copytree(folder, city.folder / "old")
    with city.office() as office:
        order(city, number, HOSPITAL)
        eraser(city, office.vault, HOSPITAL).run_once()
    shutil.rmtree(folder)
    (city.folder / "old").rename(folder)
    with city.office() as office:
        done = eraser(city, office.vault, HOSPITAL).run_once()
        assert (done.erased, done.acknowledged) == ([bill(number)], [])
        with pytest.raises(BodyErased):
            office.vault.get(CODE, number)


def test_a_copy_of_the_keys_out_of_reach_is_waited_for(city: City) -> None:
    disk = city.folder / "key-disk"
    disk.mkdir()
    with city.office() as office:
        (number,) = issue(office, city, 1)
        office.vault.copy_keys(disk / "keys.db")
        order(city, number, HOSPITAL)
        disk.rename(city.folder / "away")
        hospital = eraser(city, office.vault, HOSPITAL)
        done = hospital.run_once()
        assert (done.erased, done.waiting) == ([bill(number)], [bill(number)])
        assert any("out of reach" in detail for detail in done.details)
        (city.folder / "away").rename(disk)
        assert hospital.run_once().acknowledged == [bill(number)]


def test_an_office_lives_on_with_what_was_erased(city: City) -> None:
    with city.office() as office, city.archive() as archive:
        numbers = issue(office, city)
        order(city, numbers[0], HOSPITAL)
        eraser(city, office.vault, HOSPITAL).run_once()
        assert office.deliver(city.box).delivered == len(numbers) - 1
        (refused,) = office.reverse([Reversal(CODE, numbers[0], "refund")])
        assert refused.outcome == BillsReason.REV_NOT_FOUND
        assert office.resolve() == []
        archive.run_once()
        city.now += 700
        archive.run_once()
        assert office.deliver_again() == 0
        assert office.issue([city.draft(77)])[0].accepted
