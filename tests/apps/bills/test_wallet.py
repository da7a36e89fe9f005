"""A wallet over a real node: bills come by themselves, only the right ones, and survive."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from offices import HOSPITAL, VAULT_KEY, City

from tallystick.apps.bills.acts import Replacement, Reversal
from tallystick.apps.bills.address import load_address, read_address
from tallystick.apps.bills.addresses import Addresses
from tallystick.apps.bills.catalogue import TYPES
from tallystick.apps.bills.holders import bill_key, derive_holder_key
from tallystick.apps.bills.letters import WALLET
from tallystick.apps.bills.wallet import Wallet
from tallystick.apps.bills.wallet_letters import Received
from tallystick.contracts.bills.body import Body, Payer
from tallystick.contracts.bills.records.bills import format_bill_id, holder_now, parse_bill_id
from tallystick.ledger.engine import Committed, Stopped
from tallystick.protocol.canonical import decode, encode, replace
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.vault import Head, Letter, mail, seal_delivery
from tallystick.vault.letterbox import WALLETS

CODE = 33060126


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    with City(tmp_path / "city", scenes={"outpatient": TYPES["outpatient"].rules}) as made:
        yield made


@pytest.fixture
def wallet(tmp_path: Path, city: City) -> Iterator[Wallet]:
    with Wallet.create(tmp_path / "ann", city.node.network) as made:
        yield made


def payer_of(city: City) -> Payer:
    return city.draft(1).payer


def drafts(city: City, *seeds: int) -> Iterator[Body]:
    """Visits of one patient."""
    return (city.draft(seed, payer=payer_of(city)) for seed in seeds)


def register(city: City, wallet: Wallet) -> None:
    with city.desk() as (office, _):
        office.register(payer_of(city), wallet.address(HOSPITAL, at=city.now))


def receive(city: City, wallet: Wallet) -> Received:
    with city.node.view() as view:
        return wallet.receive(city.box / WALLETS, view, at=city.now)


def test_bills_come_without_an_act_of_the_patient(city: City, wallet: Wallet) -> None:
    register(city, wallet)
    with city.desk() as (office, _):
        issued = office.issue(drafts(city, 1, 2, 3))
        office.issue([city.draft(9)])
        assert office.deliver(city.box).delivered == 4 + 3
    told = receive(city, wallet)
    assert told.bills == [format_bill_id(CODE, n) for n in (1, 2, 3)]
    assert not told.refused
    assert [held.bill for held in wallet.bills()] == told.bills
    for one in issued:
        row = city.bill(one.code, one.number)
        held = wallet.find(row.id)
        assert held is not None
        assert (held.tx_id, held.n, held.issuer) == (one.tx_id, one.n, HOSPITAL)
        key = wallet.key(row, city.now)
        assert key is not None
        assert key.mandate_key == wallet.keys.mandate.public_key
        assert decode(wallet.private(row.id).body, Body).payer == payer_of(city)
        with city.desk() as (office, _):
            assert office.bill_key(one.code, one.number) == key
    with city.archive() as archive:
        done = archive.run_once()
        assert (done.archived, done.turned_away) == (4, 0)
    other = city.bill(CODE, 4)
    assert other.root is not None
    assert other.holder == bill_key(derive_holder_key(VAULT_KEY), other.root).commitment


def test_a_letter_is_taken_once_and_its_file_is_gone(city: City, wallet: Wallet) -> None:
    register(city, wallet)
    with city.desk() as (office, _):
        office.issue(drafts(city, 1))
        office.deliver(city.box)
    box = city.box / WALLETS / wallet.address(HOSPITAL, at=0).address_id
    (letter,) = mail.collect(box)
    assert len(receive(city, wallet).bills) == 1
    assert not list(box.iterdir())
    mail.post(box, letter.data, letter.path.name)
    assert receive(city, wallet) == Received()
    assert len(wallet.bills()) == 1


def test_the_outbox_keeps_what_a_wallet_is_owed_over_a_crash(city: City, wallet: Wallet) -> None:
    register(city, wallet)

    def take_and_vanish(data: bytes) -> Future[Committed]:
        city.node.submit(data).result(60)
        raise Stopped("gone after the commit")

    with city.desk(take_and_vanish) as (office, _), pytest.raises(Stopped):
        office.issue(drafts(city, 1))
    with (
        Addresses.open(city.folder / HOSPITAL / "addresses", VAULT_KEY) as addresses,
        Wallet.create(city.folder / "new phone", city.node.network) as later,
    ):
        addresses.register(payer_of(city), later.address(HOSPITAL, at=1), at=city.now)
    with city.desk() as (office, _):
        assert [one.accepted for one in office.resolve()] == [True]
        office.deliver(city.box)
    assert receive(city, wallet).bills == [format_bill_id(CODE, 1)]


def test_red_bills_and_successors_come_too(city: City, wallet: Wallet) -> None:
    register(city, wallet)
    with city.desk() as (office, _):
        office.issue(drafts(city, 1, 2))
        office.reverse([Reversal(CODE, 1, "refund")])
        office.replace([Replacement(CODE, 2, "wrong_data", next(drafts(city, 2)))])
        office.deliver(city.box)
    told = receive(city, wallet)
    assert (told.waiting, told.refused) == (0, [])
    kinds = {held.bill: held.kind for held in wallet.bills()}
    assert sorted(kinds.values()) == ["blue", "blue", "blue", "red", "red"]
    red = next(bill for bill, kind in kinds.items() if kind == "red")
    assert wallet.key(city.bill(*parse_bill_id(red)), city.now) is None


def test_a_new_address_takes_over_and_the_old_one_is_still_read(city: City, wallet: Wallet) -> None:
    register(city, wallet)
    with city.desk() as (office, _):
        office.issue(drafts(city, 1))
        office.deliver(city.box)
    old = wallet.address(HOSPITAL, at=0)
    new = wallet.new_address(HOSPITAL, at=1)
    assert wallet.address(HOSPITAL, at=2) == new
    assert old.derivation != new.derivation
    assert old.mandate_key == new.mandate_key
    register(city, wallet)
    with city.desk() as (office, addresses):
        office.issue(drafts(city, 2))
        addresses.end(payer_of(city), at=city.now)
        office.issue(drafts(city, 3))
        office.deliver(city.box)
    assert receive(city, wallet).bills == [format_bill_id(CODE, n) for n in (1, 2)]


def test_the_seed_file_alone_is_the_wallet(city: City, wallet: Wallet, tmp_path: Path) -> None:
    register(city, wallet)
    with city.desk() as (office, _):
        office.issue(drafts(city, 1))
        office.deliver(city.box)
    restored = tmp_path / "new phone"
    restored.mkdir()
    (restored / "seed.key").write_bytes((tmp_path / "ann" / "seed.key").read_bytes())
    (restored / "seed.key").chmod(0o600)
    with Wallet.open(restored, city.node.network) as again:
        assert again.address(HOSPITAL, at=0) == wallet.address(HOSPITAL, at=0)
        assert len(receive(city, again).bills) == 1
        assert again.key(city.bill(CODE, 1), city.now) is not None


def test_a_wallet_is_of_one_network_and_under_its_passphrase(tmp_path: Path) -> None:
    with Wallet.create(tmp_path, bytes(32), "correct horse") as made:
        address = made.address(HOSPITAL, at=0)
    assert (tmp_path / "seed.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(VerificationFailed, match="passphrase"):
        Wallet.open(tmp_path, bytes(32), "wrong")
    with pytest.raises(VerificationFailed):
        Wallet.open(tmp_path, b"1" * 32, "correct horse")
    with Wallet.open(tmp_path, bytes(32), "correct horse") as again:
        assert again.address(HOSPITAL, at=0) == address
    with pytest.raises(FileExistsError):
        Wallet.create(tmp_path, bytes(32))


def post_letter(city: City, wallet: Wallet, purpose: str = WALLET, **changes: object) -> None:
    """The hospital's own first bill, sent to the wallet by whoever likes."""
    address = wallet.address("stranger", at=0)
    with city.office() as office:
        body, secret = office.vault.get(CODE, 1)
    told: dict[str, object] = {"code": CODE, "number": 1, "body": body, "secret": secret}
    letter = Letter(**(told | changes))  # type: ignore[arg-type]
    head = Head(
        network=city.node.network, tx="0" * 64, n=0, to=address.delivery_key, purpose=purpose
    )
    box = city.box / WALLETS / address.address_id
    box.mkdir(parents=True, exist_ok=True)
    mail.post_messages(box, [seal_delivery(head, letter)])


def test_what_is_not_the_wallets_is_thrown_away(city: City, wallet: Wallet) -> None:
    with city.office() as office:
        office.issue(drafts(city, 1))
    post_letter(city, wallet)
    assert receive(city, wallet).refused == [f"holder: {CODE}:0000000001 is bound to another key"]
    post_letter(city, wallet, secret=bytes(32))
    assert receive(city, wallet).refused == [f"root: {CODE}:0000000001 has another body"]
    post_letter(city, wallet, purpose="archive")
    assert receive(city, wallet).refused == ["purpose: sent for archive"]
    post_letter(city, wallet, number=77)
    assert receive(city, wallet).waiting == 1
    assert receive(city, wallet).waiting == 1
    assert not wallet.bills()


def test_letters_of_others_and_rubbish_are_thrown_away(city: City, wallet: Wallet) -> None:
    box = city.box / WALLETS / wallet.address(HOSPITAL, at=0).address_id
    box.mkdir(parents=True)
    mail.post_messages(box, [b"rubbish"])
    assert len(receive(city, wallet).refused) == 1
    assert not list(box.iterdir())


def test_a_letter_about_a_bill_that_is_not_there_yet_waits(city: City, wallet: Wallet) -> None:
    register(city, wallet)
    with city.node.view() as before, city.desk() as (office, _):
        office.issue(drafts(city, 1))
        office.deliver(city.box)
        told = wallet.receive(city.box / WALLETS, before, at=city.now)
        assert (told.waiting, told.bills) == (1, [])
    assert len(receive(city, wallet).bills) == 1


def test_no_file_shows_a_private_value_or_key(city: City, wallet: Wallet, tmp_path: Path) -> None:
    register(city, wallet)
    with city.desk() as (office, _):
        office.issue(drafts(city, 1))
        office.deliver(city.box)
    receive(city, wallet)
    address = wallet.address(HOSPITAL, at=0)
    key = wallet.key(city.bill(CODE, 1), city.now)
    assert key is not None
    payer = payer_of(city)
    assert address.derivation.hex() not in repr(address) + repr(wallet.bills()) + repr(key)
    hidden = [
        *(payer.name.encode(), payer.id_number.encode(), payer.id_number[-6:].encode()),
        *(address.derivation, address.derivation.hex().encode(), address.mandate_key, key.seed),
        encode(address)[30:90],
    ]
    folders = [tmp_path / "ann" / "bills", city.folder / HOSPITAL, city.box]
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        assert not [value for value in hidden if value in data], path


def test_an_address_is_read_out_of_a_file(wallet: Wallet, tmp_path: Path) -> None:
    address = wallet.address("city-app", at=0)
    path = tmp_path / "address.json"
    path.write_bytes(encode(address) + b"\n")
    assert load_address(path) == address
    with pytest.raises(Malformed):
        read_address(encode(address) + b" ")
    with pytest.raises(Malformed):
        read_address(b" " * 5_000)
    other = replace(address, via="other")
    assert read_address(encode(other) + b"\n") == other


def test_C8_a_bill_taken_to_a_key_of_its_own_is_the_issuers_no_more(
    city: City, wallet: Wallet
) -> None:
    register(city, wallet)
    with city.desk() as (office, _):
        office.issue(drafts(city, 1))
        office.deliver(city.box)
    receive(city, wallet)
    made = wallet.acts.bind(city.bill(CODE, 1), now=city.now)
    assert city.relay(made, HOSPITAL) == "accepted"
    assert city.relay(made) == "bills.bound_stale"
    row = city.bill(CODE, 1)
    key = wallet.key(row, city.now)
    assert key is not None
    assert holder_now(row, city.now) == (key.commitment, 1)
    with city.desk() as (office, _), pytest.raises(KeyError, match="own"):
        office.bill_key(CODE, 1)
    assert city.relay(wallet.acts.bind(row, now=city.now)) == "accepted"
    again = wallet.key(city.bill(CODE, 1), city.now)
    assert again is not None
    assert again.seed != key.seed
