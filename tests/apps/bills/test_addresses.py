"""Addresses at an issuer's: found by the payer's number alone, never forgotten once used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.apps.bills.address import Address
from tallystick.apps.bills.addresses import TRIES_MAX, Addresses, Holders
from tallystick.apps.bills.wallet_keys import WalletKeys
from tallystick.contracts.bills.body import Payer
from tallystick.contracts.bills.reasons import BillsReason
from tallystick.protocol.canonical import replace
from tallystick.protocol.errors import Rejected, VerificationFailed

NETWORK = bytes(range(32))
KEY = b"k" * 32
ANN = Payer(party="person", name="Ann", id_type="passport", id_number="E1234567")
BEA = replace(ANN, id_number="E7654321")


def address(seed: bytes = b"a", generation: int = 0) -> Address:
    return WalletKeys(seed * 32, NETWORK).address("hospital-01", generation)


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[Addresses]:
    with Addresses.open(tmp_path, KEY) as made:
        yield made


def test_the_newest_is_used_and_all_are_known(addresses: Addresses, tmp_path: Path) -> None:
    assert addresses.empty
    assert addresses.newest(ANN) is None
    addresses.register(ANN, address(), at=1)
    addresses.register(ANN, address(generation=1), at=2)
    addresses.register(BEA, address(b"b"), at=3)
    assert addresses.newest(ANN) == address(generation=1)
    assert addresses.newest(replace(ANN, name="Ann B.")) == address(generation=1)
    assert addresses.newest(replace(ANN, id_type="other")) is None
    addresses.register(ANN, address(), at=4)
    assert addresses.newest(ANN) == address()
    assert addresses.all_of(ANN) == [address(), address(generation=1)]
    addresses.end(ANN, at=5)
    assert addresses.newest(ANN) is None
    assert len(addresses.all_of(ANN)) == 2
    assert addresses.newest(BEA) == address(b"b")
    with Addresses.open(tmp_path, KEY) as again:
        assert again.newest(BEA) == address(b"b")


def test_one_wallet_may_serve_two_payers(addresses: Addresses) -> None:
    addresses.register(ANN, address(), at=1)
    addresses.register(BEA, address(), at=1)
    assert addresses.newest(ANN) == addresses.newest(BEA) == address()


def test_a_payer_without_a_number_has_none(addresses: Addresses) -> None:
    nobody = replace(ANN, id_number="")
    with pytest.raises(ValueError, match="number"):
        addresses.register(nobody, address(), at=1)
    addresses.register(ANN, address(), at=1)
    assert addresses.newest(nobody) is None


def test_tries_are_counted_for_each_bill_and_over_a_restart(
    addresses: Addresses, tmp_path: Path
) -> None:
    for used in range(TRIES_MAX):
        assert addresses.tries_left("a") == TRIES_MAX - used
        assert addresses.use_try("a")
    with Addresses.open(tmp_path, KEY) as again:
        assert not again.use_try("a")
        assert again.tries_left("b") == TRIES_MAX
        again.give_back_try("a")
        assert again.use_try("a")
        assert not again.use_try("a")
        again.reopen("a")
        assert again.tries_left("a") == TRIES_MAX
        again.give_back_try("a")
        assert again.tries_left("a") == TRIES_MAX


def test_a_bill_is_held_by_the_address_or_by_the_issuer(addresses: Addresses) -> None:
    addresses.register(ANN, address(), at=1)
    holders = Holders(NETWORK, b"h" * 32, addresses)
    root = b"r" * 32
    anns, beas = holders.new_key(ANN, root), holders.new_key(BEA, root)
    assert anns == address().bill_key(root)
    assert beas == holders.own_key(root) == Holders(NETWORK, b"h" * 32, None).new_key(ANN, root)
    addresses.end(ANN, at=2)
    assert holders.find_key(ANN, root, anns.commitment) == anns
    assert holders.find_key(ANN, root, beas.commitment) == beas
    assert holders.find_key(ANN, root, b"x" * 32) is None


def test_an_office_registers_addresses_of_its_own_network_alone(addresses: Addresses) -> None:
    Holders(NETWORK, b"h" * 32, addresses).register(ANN, address(), at=1)
    assert addresses.newest(ANN) == address()
    with pytest.raises(VerificationFailed, match="network"):
        Holders(bytes(32), b"h" * 32, addresses).register(BEA, address(), at=1)
    with pytest.raises(ValueError, match="no addresses"):
        Holders(NETWORK, b"h" * 32, None).register(BEA, address(), at=1)
    assert addresses.newest(BEA) is None


def test_an_identity_number_that_is_none_is_refused_for_nobody_would_notice(
    addresses: Addresses,
) -> None:
    mistyped = replace(ANN, id_type="resident_id", id_number="110105194912310021")
    with pytest.raises(Rejected) as refused:
        Holders(NETWORK, b"h" * 32, addresses).register(mistyped, address(), at=1)
    assert refused.value.reason is BillsReason.PARTY_ID_INVALID
    assert addresses.empty
