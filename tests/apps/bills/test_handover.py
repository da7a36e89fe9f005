"""From paper to wallet: a code and four digits, five tries in all, and then a key of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from offices import HOSPITAL, VAULT_KEY, City

from tallystick.apps.bills.addresses import TRIES_MAX, Addresses
from tallystick.apps.bills.catalogue import TYPES
from tallystick.apps.bills.handover import Contacts, Handover, PaperClaim, identity_number
from tallystick.apps.bills.holders import derive_holder_key
from tallystick.apps.bills.wallet import Wallet
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.records.bills import format_bill_id, holder_now
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import VerificationFailed
from tallystick.vault import Vault
from tallystick.vault.letterbox import WALLETS

CODE = 33060126
BILL = format_bill_id(CODE, 1)


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    with City(tmp_path / "city", scenes={"outpatient": TYPES["outpatient"].rules}) as made:
        with made.office() as office:
            assert all(one.accepted for one in office.issue([made.draft(1), made.draft(2)]))
        yield made


@pytest.fixture
def wallet(tmp_path: Path, city: City) -> Iterator[Wallet]:
    with Wallet.create(tmp_path / "ann", city.node.network) as made:
        yield made


@contextmanager
def desk(city: City, contacts: Contacts = identity_number) -> Iterator[Handover]:
    folder = city.folder / HOSPITAL
    with (
        Vault.open(folder / "vault", VAULT_KEY) as vault,
        Addresses.open(folder / "addresses", VAULT_KEY) as addresses,
    ):
        yield Handover(
            vault,
            addresses,
            network=city.node.network,
            holder_key=derive_holder_key(VAULT_KEY),
            view=city.node.view,
            clock=lambda: city.now,
            contacts=contacts,
        )


def digits(city: City) -> str:
    return city.draft(1).payer.id_number[-4:]


def claim(city: City, wallet: Wallet, code: str, said: str, bill: str = BILL) -> PaperClaim:
    return wallet.claim(bill, code, said, HOSPITAL, at=city.now)


def test_the_code_is_short_and_of_one_bill(city: City) -> None:
    with desk(city) as handover:
        code, other = handover.code(BILL), handover.code(format_bill_id(CODE, 2))
        assert len(code) == 9
        assert code != other
        with pytest.raises(KeyError):
            handover.code(format_bill_id(CODE, 3))


def test_C8_who_knows_both_gets_the_bill_and_takes_it_to_a_key_of_its_own(
    city: City, wallet: Wallet
) -> None:
    with desk(city) as handover:
        answer = handover.claim(claim(city, wallet, handover.code(BILL), digits(city)))
        assert (answer.outcome, answer.tries_left) == ("handed", TRIES_MAX)
    with city.desk() as (office, _):
        office.deliver(city.box)
    with city.node.view() as view:
        assert wallet.receive(city.box / WALLETS, view, at=city.now).bills == [BILL]
    made = wallet.acts.bind(city.bill(CODE, 1), now=city.now)
    assert city.relay(made) == "accepted"
    key = wallet.key(city.bill(CODE, 1), city.now)
    assert key is not None
    assert holder_now(city.bill(CODE, 1), city.now) == (key.commitment, 1)
    assert key.mandate_key == wallet.keys.mandate.public_key
    with city.office() as office, pytest.raises(KeyError):
        office.bill_key(CODE, 1)
    with desk(city) as handover:
        answer = handover.claim(claim(city, wallet, handover.code(BILL), digits(city)))
        assert answer.outcome == "taken"


@pytest.mark.parametrize("typed", ["lower", "gaps", "digits"])
def test_a_code_is_read_as_people_type_it(city: City, wallet: Wallet, typed: str) -> None:
    with desk(city) as handover:
        code = handover.code(BILL)
        code = {
            "lower": code.lower(),
            "gaps": f" {code[:2]} {code[2:]} ",
            "digits": code.replace("O", "0").replace("I", "1").replace("B", "8"),
        }[typed]
        said = digits(city).lower()
        assert handover.claim(claim(city, wallet, code, said)).outcome == "handed"


def test_five_wrong_tries_in_all_close_a_bill_until_its_issuer_opens_it(
    city: City, wallet: Wallet
) -> None:
    with desk(city) as handover:
        right = claim(city, wallet, handover.code(BILL), digits(city))
        wrong = [
            replace(right, code="AAAA-AAAA"),
            replace(right, digits="xxxx"),
            replace(right, digits=digits(city)[-1:]),
            replace(right, code=handover.code(format_bill_id(CODE, 2))),
        ]
        for used, each in enumerate(wrong, 1):
            answer = handover.claim(each)
            assert (answer.outcome, answer.tries_left) == ("no_match", TRIES_MAX - used)
    with desk(city) as handover:
        assert handover.claim(wrong[0]).outcome == "closed"
        assert handover.claim(right).outcome == "closed"
        other = claim(city, wallet, handover.code(format_bill_id(CODE, 2)), "0000", wrong[0].bill)
        assert handover.claim(other).outcome == "closed"
        assert not list(handover_owed(city))
        handover.reopen(BILL)
        assert handover.claim(right).outcome == "handed"
    with city.office() as office:
        tries = [read for read in office.vault.reads(CODE, 1) if read.what == "second_factor"]
        assert [read.why for read in tries] == [
            *["no_match"] * 4,
            *["closed"] * 3,
            "handed",
        ]


def test_a_bill_whose_body_was_erased_is_handed_to_nobody(city: City, wallet: Wallet) -> None:
    with desk(city) as handover:
        right = claim(city, wallet, handover.code(BILL), digits(city))
        strange = claim(city, wallet, "AAAA-AAAA", "0000", format_bill_id(CODE, 77))
        with city.office() as office:
            office.vault.erase(CODE, 1, bytes(32), at=city.now)
        assert handover.claim(right).outcome == "no_match"
        assert handover.claim(strange).outcome == "no_match"
        with city.office() as office:
            assert [read.what for read in office.vault.reads(CODE, 1)] == [
                "erased",
                "second_factor",
            ]
            assert office.vault.reads(CODE, 77) == []


def handover_owed(city: City) -> Iterator[str]:
    with city.office() as office:
        yield from (
            owed.message.receiver
            for owed in office.vault.outbox.owed()
            if owed.message.receiver.startswith("wallet:")
        )


def test_a_telephone_number_that_the_issuer_knows_counts_too(city: City, wallet: Wallet) -> None:
    def contacts(body: Body) -> list[str]:
        return [*identity_number(body), "13800004711"]

    with desk(city, contacts) as handover:
        asked = claim(city, wallet, handover.code(BILL), "4711")
        assert handover.claim(asked).outcome == "handed"
    assert len(list(handover_owed(city))) == 1


def test_tries_at_a_number_that_is_not_issued_close_no_later_bill(
    city: City, wallet: Wallet
) -> None:
    later = format_bill_id(CODE, 3)
    with desk(city) as handover:
        code = handover.code(BILL)
        for _ in range(TRIES_MAX + 1):
            answer = handover.claim(claim(city, wallet, code, digits(city), later))
            assert (answer.outcome, answer.tries_left) == ("no_match", 0)
    with city.office() as office:
        office.issue([city.draft(3)])
    said = city.draft(3).payer.id_number[-4:]
    with desk(city) as handover:
        asked = claim(city, wallet, handover.code(later), said, later)
        assert handover.claim(asked).outcome == "handed"


def test_an_address_of_another_network_is_refused(city: City, wallet: Wallet) -> None:
    with desk(city) as handover:
        asked = claim(city, wallet, handover.code(BILL), digits(city))
        foreign = replace(asked, address=replace(asked.address, network=bytes(32)))
        with pytest.raises(VerificationFailed, match="network"):
            handover.claim(foreign)
    assert digits(city) not in repr(asked)
