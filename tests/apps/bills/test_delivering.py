"""From an office to the archive over a real socket: killed, doubled, late, dead, with a new key."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from letterboxes import Served
from offices import ARCHIVE_KEY, DELIVERY, HOSPITAL, City, signer

from tallystick.apps.bills.accepted import KeptLedger
from tallystick.apps.bills.archive_office import ArchiveOffice
from tallystick.apps.bills.checks import RecordHalf, business_keys_of, check_content
from tallystick.apps.bills.delivering import Routes, deliver_owed, owed_figures, parse_route
from tallystick.client.transport import Trusted
from tallystick.contracts.members.actions.delivery import SetDeliveryKey
from tallystick.contracts.members.views import find_delivery
from tallystick.keyring import DeliveryKey, delivery_key_from_seed
from tallystick.protocol.canonical import encode
from tallystick.vault import Archive, Head, Message, Sent, mail
from tallystick.vault.letterbox import LetterBox
from tallystick.vault.post import OwedTo

NEW = delivery_key_from_seed(sha256(b"the archive's next delivery key").digest())


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    with City(tmp_path) as founded:
        yield founded


def letterbox(city: City, *keys: DeliveryKey) -> LetterBox:
    known = {key.public_key for key in keys or (DELIVERY,)}
    return LetterBox(city.box, city.node.network, lambda: known)


def to(served: Served) -> Routes:
    return Routes(Trusted(served.url))


def letter_to(receiver: str, n: int) -> Message:
    head = Head(network=bytes(32), tx="0" * 64, n=n, to=bytes(32), purpose="share")
    return Message(99060126, n, receiver, encode(head) + b"\nsealed")


def archive(city: City, *keys: DeliveryKey) -> ArchiveOffice:
    kept = KeptLedger(city.node.folder)
    opened = Archive[RecordHalf].open(
        city.folder / "archive",
        ARCHIVE_KEY,
        delivery_keys={key.public_key: key.private_key for key in keys or (DELIVERY,)},
        fetch_record=kept.record,
        check=check_content,
        business=business_keys_of,
    )
    return ArchiveOffice(
        opened,
        kept,
        org="finance",
        signer=signer("finance/key"),
        box=city.box,
        submit=lambda data: city.node.submit(data).result(60),
        clock=lambda: city.now,
    )


def rotate(city: City, key: DeliveryKey, version: int, overlap_seconds: int = 86_400) -> None:
    item = SetDeliveryKey(
        nonce=city.nonce(), key=key.public_key, version=version, overlap_seconds=overlap_seconds
    )
    city.act("finance", "members.set_delivery_key", item)


def test_bodies_come_over_the_wire_into_the_archive(city: City) -> None:
    with Served(letterbox(city), city.now) as served, city.office() as office:
        office.issue([city.draft(n) for n in range(1, 6)])
        assert office.deliver(to(served)) == Sent(5, 0)
        assert office.deliver(to(served)) == Sent(0, 0)
        at_work = archive(city)
        assert at_work.run_once().archived == 5
        at_work.archive.close()


def test_a_dead_letterbox_keeps_nobody_waiting_and_gets_all_when_it_is_back(city: City) -> None:
    elsewhere = city.folder / "elsewhere"
    with Served(letterbox(city), city.now) as served, city.office() as office:
        served.stop()
        office.issue([city.draft(1)])
        office.vault.outbox.put([letter_to("other", n) for n in range(2)], at=city.now)
        routes = Routes(Trusted(served.url), {"other": elsewhere})
        assert office.deliver(routes) == Sent(2, 1)
        assert len(list(mail.collect(elsewhere))) == 1
        city.now += 4_000
        figures = owed_figures(office.vault, now=city.now)
        assert figures.delivered == 2
        assert figures.owed == [OwedTo("finance", 1, 1, city.now - 4_000, 1)]
        served.start()
        assert office.deliver(routes) == Sent(1, 0)
        assert owed_figures(office.vault, now=city.now).owed == []


def test_an_answer_that_was_lost_makes_no_second_body(city: City) -> None:
    with Served(letterbox(city), city.now) as served, city.office() as office:
        office.issue([city.draft(1)])
        owed = office.vault.outbox.owed()
        deliver_owed(office.vault, to(served), at=city.now)
        at_work = archive(city)
        assert at_work.run_once().archived == 1
        # As if the process had been killed between the answer and its note: all is sent again.
        mail.post_messages(city.box, [each.message.data for each in owed])
        done = at_work.run_once()
        assert (done.archived, done.turned_away, done.wrong) == (0, 0, 0)
        at_work.archive.close()


def test_a_letter_that_is_earlier_than_its_record_waits_for_it(city: City) -> None:
    with Served(letterbox(city), city.now) as served, city.office() as office:
        before = archive(city)
        before.run_once()
        office.issue([city.draft(1)])
        office.deliver(to(served))
        assert before.run_once().archived == 1
        before.archive.close()


def test_letters_are_sealed_to_the_key_that_the_ledger_names(city: City) -> None:
    rotate(city, NEW, 0)
    with Served(letterbox(city, NEW), city.now) as served, city.office() as office:
        office.issue([city.draft(1)])
        assert office.deliver(to(served)) == Sent(1, 0)
        at_work = archive(city, NEW)
        assert at_work.run_once().archived == 1
        at_work.archive.close()


def test_what_was_sealed_to_a_key_that_is_gone_is_sealed_anew(city: City) -> None:
    rotate(city, DELIVERY, 0)
    with Served(letterbox(city, NEW), city.now) as served, city.office() as office:
        office.issue([city.draft(1)])
        rotate(city, NEW, 1)
        with city.node.view() as view:
            row = find_delivery(view, "finance")
        assert row is not None and row.key == NEW.public_key
        assert office.deliver(to(served)) == Sent(1, 0)
        at_work = archive(city, NEW)
        assert at_work.run_once().archived == 1, "the old private key is nowhere any more"
        at_work.archive.close()


def test_who_has_no_route_is_told_and_the_others_are_served(city: City) -> None:
    with city.office() as office:
        office.issue([city.draft(1)])
        office.vault.outbox.put([letter_to("other", 1)], at=city.now)
        routes = Routes(None, {"other": city.folder / "elsewhere"})
        assert office.deliver(routes) == Sent(1, 1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://letters.example"])
def test_a_route_is_a_folder_or_an_address(url: str) -> None:
    assert parse_route(url) == Trusted(url)
    assert parse_route("mail/box") == Path("mail/box")
    with pytest.raises(ValueError):
        parse_route("http://letters.example")


def test_the_hospital_has_no_key_until_it_sets_one(city: City) -> None:
    with city.node.view() as view:
        assert find_delivery(view, HOSPITAL) is None
