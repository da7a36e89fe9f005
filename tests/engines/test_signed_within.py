"""Signatures within items: many are verified by the child, and the outcome is the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from world import World, signer

from tallystick.contracts.bills.items.holders import Act, GiveMandate, SaidMandate
from tallystick.contracts.kit.acts import act_message
from tallystick.engines.embedded import STARTED_MIN, EmbeddedEngine
from tallystick.protocol.values import format_instant

SECONDS = 60


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.ledger.close()


def give(world: World, n: int, *, signed_by: int | None = None) -> GiveMandate:
    """The mandate of wallet `n`, signed by it or by another."""
    wallet = signer(f"wallet {n}")
    said = SaidMandate(
        nonce=world.nonce(),
        reader="hospital",
        purpose="claim",
        fields=bytes(32),
        until=format_instant(world.at + 3_600),
    )
    message = act_message(world.ledger.network, "bills.mandate/1", said)
    signature = signer(f"wallet {n if signed_by is None else signed_by}").sign(message)
    return GiveMandate(
        nonce=world.nonce(), said=said, act=Act(key=wallet.public_key, signature=signature)
    )


@pytest.mark.parametrize("count", [3, STARTED_MIN + 10])
def test_few_and_many_true_and_false_come_out_alike(world: World, count: int) -> None:
    items = [give(world, n, signed_by=n + 1 if n % 5 == 2 else None) for n in range(count)]
    data = world.transaction("hospital", "bills.mandate", *items)
    with EmbeddedEngine(world.ledger, clock=world.clock()) as engine:
        outcomes = engine.submit(data).result(SECONDS).outcomes
        started = engine.verifies_apart
    assert started == (count > STARTED_MIN)
    assert list(outcomes) == [
        "kit.act_signature" if n % 5 == 2 else "accepted" for n in range(count)
    ]
