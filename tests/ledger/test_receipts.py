"""Receipts of every kind: they verify, they are short, and a changed file gives none."""

from __future__ import annotations

from pathlib import Path

import pytest
from province import CODE
from world import World

from tallystick.contracts.kit.context import slot_key
from tallystick.ledger.receipts import state_document
from tallystick.protocol.batch import Receipts
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Damaged
from tallystick.protocol.receipt import Receipt
from tallystick.verify import Verdict, Verified, verify_batch, verify_receipt, verify_state

RECEIPT_BYTES_MAX = 4 * 1024
WITH_STATE_BYTES_MAX = 8 * 1024


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Bills in blocks of many items, so that paths are long."""
    world = World(tmp_path)
    world.prepare()
    for start in range(10, 410, 100):
        items = [world.issue_item(number) for number in range(start, start + 100)]
        world.put(world.transaction("hospital", "bills.issue", *items))
    assert world.issue(1, 2, 10) == ["accepted", "accepted", "bills.number_used"]
    return world


def make(world: World, index: int, row: int | str | None = None) -> bytes:
    with world.ledger.view() as view:
        return encode(view.receipt(index, world.note(), row=row))


def verify(world: World, data: bytes, *, status: bool = False) -> Verified:
    return verify_receipt(data, world.policy(), status=status, now=world.at)


def test_an_accepted_item(world: World) -> None:
    index = world.ledger.head.size - 4
    data = make(world, index)
    verified = verify(world, data)
    assert verified.verdict is Verdict.ACCEPTED
    assert (verified.index, verified.item and verified.item["number"]) == (index, 1)
    assert len(data) <= RECEIPT_BYTES_MAX


def test_an_accepted_item_with_its_state(world: World) -> None:
    data = make(world, world.ledger.head.size - 3, slot_key(CODE, 2))
    verified = verify(world, data, status=True)
    assert verified.verdict is Verdict.GOOD
    assert verified.row is not None
    assert verified.row["id"] == f"{CODE}:0000000002"
    assert len(data) <= WITH_STATE_BYTES_MAX


def test_a_refused_item_and_why(world: World) -> None:
    verified = verify(world, make(world, world.ledger.head.size - 2))
    assert verified.verdict is Verdict.REFUSED
    assert verified.entry is not None
    assert verified.entry.outcome == "bills.number_used"


def test_items_of_an_atomic_transaction(world: World) -> None:
    items = [world.issue_item(3), world.issue_item(10), world.issue_item(4)]
    outcomes = world.act("hospital", "bills.issue", *items, atomic=True)
    first = world.ledger.head.size - 4
    for n, outcome in enumerate(outcomes):
        verified = verify(world, make(world, first + n))
        assert verified.verdict is Verdict.REFUSED
        assert verified.entry is not None
        assert verified.entry.outcome == outcome


def test_a_row_of_the_map_and_the_absence_of_rows(world: World) -> None:
    with world.ledger.view() as view:
        keys: list[tuple[int | str, str, Verdict]] = [
            (f"bills.allotment/{CODE}/3/0000000001",) * 2 + (Verdict.GOOD,),
            (f"bills.allotment/{CODE}/3/0000000002",) * 2 + (Verdict.ABSENT,),
            (slot_key(CODE, 2), f"bills.bill/{CODE}:0000000002", Verdict.GOOD),
            (slot_key(CODE, 9), f"bills.bill/{CODE}:0000000009", Verdict.ABSENT),
            (slot_key(CODE, 9_999_999_999), f"bills.bill/{CODE}:9999999999", Verdict.ABSENT),
        ]
        for key, text, verdict in keys:
            data = encode(state_document(view.state_proof(key, text), world.note()))
            verified = verify_state(data, world.policy(), now=world.at)
            assert verified.verdict is verdict, text
            assert len(data) <= RECEIPT_BYTES_MAX


def test_every_entry_has_a_receipt_under_every_later_checkpoint(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.prepare()
    notes = []
    for number in range(1, 6):
        world.issue(number)
        notes.append((world.ledger.head.size, world.note()))
    for size, note in notes:
        with world.ledger.view() as view:
            for index in range(size):
                if view.segment(index).first != index:
                    continue
                data = encode(view.receipt(index, note))
                assert verify(world, data).size == size


def test_what_has_no_receipt(world: World) -> None:
    with world.ledger.view() as view:
        note, size = world.note(), world.ledger.head.size
        for index in (-1, size, size + 5):
            with pytest.raises(LookupError, match="not under a checkpoint"):
                view.receipt(index, note)
        with pytest.raises(LookupError, match="block's leaf"):
            view.receipt(size - 1, note)
        with pytest.raises(LookupError, match="has no row"):
            view.receipt(size - 2, note, row=slot_key(CODE, 9))
    world.issue(5)
    with world.ledger.view() as view, pytest.raises(LookupError, match="newer than"):
        view.receipt(size - 2, note, row=slot_key(CODE, 2))


def test_no_state_proof_before_the_first_block(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.ledger.view() as view, pytest.raises(LookupError, match="no block yet"):
        view.state_proof("members.member/finance", "members.member/finance")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE segments SET refused = x'7b7d'",
        "UPDATE segments SET refused = x'7b2239223a22612e62227d'",
        "UPDATE segments SET data = replace(data, '10000', '10001')",
        "UPDATE segments SET data = x'00'",
        "DELETE FROM segments",
        "DELETE FROM blocks",
        "UPDATE tiles SET data = zeroblob(length(data))",
    ],
)
def test_a_changed_file_gives_no_receipt(world: World, sql: str) -> None:
    index = world.ledger.head.size - 2
    note = world.note()
    world.ledger.store.db.execute(sql)
    with world.ledger.view() as view, pytest.raises(Damaged):
        made: Receipt = view.receipt(index, note)
        raise AssertionError(made)


def test_a_whole_transaction_at_once(world: World) -> None:
    """A thousand receipts' worth in one, whichever entry of it is named."""
    note = world.note()
    for index in (world.ledger.head.size - 2, world.ledger.head.size - 150, 0):
        with world.ledger.view() as view:
            segment = view.segment(index)
            data = encode(view.batch_receipt(index, note))
            assert encode(view.batch_receipt(segment.first, note)) == data
            receipts = Receipts(segment.data, data)
            verified = verify_batch(segment.data, data, world.policy())
            for n in range(len(receipts)):
                made = encode(receipts.receipt(n))
                assert made == encode(view.receipt(segment.first + n, note))
        refused = [each for each in verified.outcomes if each != "accepted"]
        assert verified.verdict is (Verdict.REFUSED if refused else Verdict.ACCEPTED)
        assert verified.first == segment.first


def test_no_batch_receipt_of_what_is_not_there(world: World) -> None:
    note, size = world.note(), world.ledger.head.size
    with world.ledger.view() as view:
        for index in (-1, size - 1, size):
            with pytest.raises(LookupError):
                view.batch_receipt(index, note)
