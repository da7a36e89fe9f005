"""What a reimburser asks the ledger itself, when the engine has forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from desks import Desks, order
from offices import signer

from tallystick.apps.bills.sending import VALID_SECONDS
from tallystick.contracts.bills.items.claims import ReleaseLock
from tallystick.contracts.bills.records.claims import Terms
from tallystick.ledger.receipts import SignedParts
from tallystick.protocol.canonical import parse
from tallystick.protocol.transaction import Header, sign_transaction
from tallystick.protocol.values import format_instant


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Desks]:
    with Desks(tmp_path) as made:
        yield made


def release(city: Desks, bill: str) -> bytes:
    """A transaction of one item that is refused, but on the ledger."""
    terms = Terms(
        purpose="claim", basis="cash", benefit="indemnity", right="statute", right_id="founding.0"
    )
    nonce = city.nonce()
    item = ReleaseLock(nonce=nonce, bill=bill, claim=nonce, terms=terms, reason="none")
    return sign_transaction(
        signer("fund/key"),
        network=city.node.network,
        sender="fund",
        action="bills.release_lock/1",
        items=[item],
        idempotency=nonce,
        valid_until=format_instant(city.now + VALID_SECONDS),
    )


def header(data: bytes) -> Header:
    return parse(data, SignedParts).header


def test_a_transaction_is_found_while_its_key_is_remembered_and_after(city: Desks) -> None:
    bills = city.bills(1, 2, 3)
    with city.reimburser() as desk:
        desk.lock([order(bills[0], 1)])
        data, never = release(city, bills[1].id), release(city, bills[2].id)
        committed = city.node.submit(data).result(60)
        for n in range(20):  # blocks after it, some of the same time
            city.now += n % 2
            desk.lock([order(bills[1], n + 1, purpose=f"p{n}")])
        with city.node.view() as view:
            found = view.entered(header(data), VALID_SECONDS)
            assert found is not None and found.first == committed.first
            assert found.outcomes == ["bills.lock_not_owner"] == list(committed.outcomes)
            assert view.entered(header(never), VALID_SECONDS) is None
        city.now += 40 * 86_400
        for purpose in ("late", "later"):  # the tables of that day are gone with these
            desk.lock([order(bills[2], 1, purpose=purpose)])
            city.now += 86_400
        with city.node.view() as view:
            assert view.seen("fund", header(data).idempotency) is None, "it is forgotten"
            assert view.entered(header(data), VALID_SECONDS) == found
            assert view.entered(header(never), VALID_SECONDS) is None
