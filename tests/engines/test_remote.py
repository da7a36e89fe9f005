"""A keeper over HTTP: from nothing, through real processes, to a checkpoint that bears its line."""

from __future__ import annotations

import secrets
import time
import urllib.request
from pathlib import Path

import pytest
from offices import signer
from served import RealCity, client, serving

from tallystick.contracts.members.actions.keepers import AddKeeper
from tallystick.engines.remote import RemoteSource
from tallystick.node import open_keeper
from tallystick.protocol.checkpoint import parse_checkpoint, parse_note, verify_cosignature
from tallystick.protocol.errors import VerificationFailed

NAME = "k/finance"


@pytest.fixture
def city(tmp_path: Path) -> RealCity:
    return RealCity(tmp_path / "city")


def test_a_keeper_catches_up_from_nothing_and_its_line_is_served(
    city: RealCity, tmp_path: Path
) -> None:
    key = signer("remote keeper")
    with city:
        item = AddKeeper(
            nonce=secrets.token_bytes(16), name=NAME, org="finance", key=key.public_key
        )
        city.act("finance", "members.add_keeper", item)
        size = city.node.ledger.head.size
        with (
            serving(city) as served,
            client(served, key) as asking,
            open_keeper(
                tmp_path / "kept", RemoteSource(asking), key, network=city.node.network
            ) as keeper,
        ):
            assert stepped(keeper.step, lambda: keeper.signed[0] == size)
            assert keeper.ledger.head == city.node.ledger.head
            assert stepped(lambda: None, lambda: is_served(served.url, key.public_key, size))


def test_a_founding_file_of_another_network_is_not_begun_with(
    city: RealCity, tmp_path: Path
) -> None:
    with city, serving(city) as served, client(served, signer("anyone")) as asking:
        with pytest.raises(VerificationFailed, match="another network"):
            open_keeper(
                tmp_path / "kept", RemoteSource(asking), signer("anyone"), network=bytes(32)
            )
        assert not (tmp_path / "kept" / "ledger.db").exists()


def stepped(step: object, reached: object) -> bool:
    """Step until that is so, ten seconds at most."""
    assert callable(step) and callable(reached)
    ends = time.monotonic() + 10
    while not reached():
        if time.monotonic() > ends:
            return False
        step()
        time.sleep(0.05)
    return True


def is_served(url: str, key: bytes, size: int) -> bool:
    note = parse_note(urllib.request.urlopen(f"{url}/checkpoint").read())
    if parse_checkpoint(note.text).size != size:
        return False
    try:
        verify_cosignature(note, NAME, key)
    except VerificationFailed:
        return False
    return True
