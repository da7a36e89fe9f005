"""Proofs of one moment as bytes: those of the records' encoding, or `Damaged`.

See docs/spec/status.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from province import CODE
from world import World

from tallystick.contracts.kit.context import slot_key
from tallystick.ledger.kept import Kept
from tallystick.ledger.proving import Prover
from tallystick.ledger.receipts import state_document
from tallystick.ledger.view import View
from tallystick.protocol import tiles
from tallystick.protocol.canonical import encode
from tallystick.protocol.entry import Entry
from tallystick.protocol.errors import Damaged
from tallystick.protocol.receipt import bill_number
from tallystick.protocol.status import EntryProof, StatusDocument
from tallystick.verify import Verdict, verify_receipt, verify_state, verify_status

KIND = "bills.bill"
ISSUED = range(10, 710)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Whole tiles, transactions of many items and of one, a refusal, a bill reversed."""
    world = World(tmp_path_factory.mktemp("proving"))
    world.prepare()
    for start in range(ISSUED.start, ISSUED.stop, 100):
        items = [world.issue_item(number) for number in range(start, start + 100)]
        world.put(world.transaction("hospital", "bills.issue", *items))
    world.issue(1, 2, 10)
    world.issue(1001, sender="clinic")
    world.put(world.transaction("hospital", "bills.issue", world.issue_item(3)))
    return world


def numbers() -> list[int]:
    return [1, 2, 3, 4, 9, 10, 11, 255, 256, 300, 500, 709, 710, 1_001, 4_095, 4_096, 9_999_999_999]


def plain_status(view: View, note: bytes, number: int) -> bytes:
    """The status as its parts are made one by one."""
    text = f"{KIND}/{bill_number(CODE, number)}"
    state = view.state_proof(slot_key(CODE, number), text)
    made = None
    if state.row is not None:
        index = state.row["entry"]
        leaf: Entry = view.receipt(index, note).entry
        path = tiles.inclusion_path(view.store, index, view.head.size)
        made = EntryProof(leaf=leaf, index=index, path=path)
    return encode(
        StatusDocument(
            format="tallystick/status/v1", entry=made, state=state, checkpoint=note.decode()
        )
    )


def test_statuses_are_the_encoding_of_their_record_and_verify(world: World) -> None:
    note = world.note()
    with world.ledger.view() as view:
        prover = Prover(view, note)
        for number in numbers():
            data = prover.status(CODE, number, KIND)
            assert data == plain_status(view, note, number)
            there = number in (1, 2, 3, 1_001) or number in ISSUED
            found = verify_status(data, world.policy(), now=world.at)
            assert found.verdict is (Verdict.GOOD if there else Verdict.ABSENT)
        other = prover.status(CODE + 1, 1, KIND)
    assert verify_status(other, world.policy(), now=world.at).verdict is Verdict.ABSENT


def test_whoever_may_not_see_a_row_gets_nothing(world: World) -> None:
    seen: list[bytes | None] = []

    def refuse(row: bytes | None) -> None:
        seen.append(row)
        raise PermissionError

    with world.ledger.view() as view:
        prover = Prover(view, world.note())
        for number in (1, 4):
            with pytest.raises(PermissionError):
                prover.status(CODE, number, KIND, refuse)
        assert seen == [view.rows.row(slot_key(CODE, 1)), None]


@given(st.data())
def test_of_any_number_and_entry(world: World, data: st.DataObject) -> None:
    note = world.note()
    number = data.draw(st.integers(0, 5_000))
    index = data.draw(st.integers(-1, world.ledger.head.size))
    with world.ledger.view() as view:
        prover = Prover(view, note)
        assert prover.status(CODE, number, KIND) == plain_status(view, note, number)
        try:
            plain = encode(view.receipt(index, note))
        except LookupError:
            with pytest.raises(LookupError):
                prover.receipt(index)
        else:
            assert prover.receipt(index) == plain


def test_receipts_state_proofs_and_batches_are_those_of_the_view(world: World) -> None:
    note = world.note()
    keys = [f"bills.allotment/{CODE}/3/0000000001", f"bills.allotment/{CODE}/3/0000000002"]
    with world.ledger.view() as view:
        prover = Prover(view, note)
        for number in (1, 10, 500, 709, 1_001):
            key, text = slot_key(CODE, number), f"{KIND}/{bill_number(CODE, number)}"
            row = view.state_proof(key, text).row
            assert row is not None
            index = row["entry"]
            receipt = prover.receipt(index, key)
            assert receipt == encode(view.receipt(index, note, row=key))
            found = verify_receipt(receipt, world.policy(), status=True, now=world.at)
            assert found.verdict is Verdict.GOOD
            assert prover.batch_receipt(index) == encode(view.batch_receipt(index, note))
            document = encode(state_document(view.state_proof(key, text), note))
            assert prover.state(key, text) == document
        for name in keys:
            document = encode(state_document(view.state_proof(name, name), note))
            assert prover.state(name, name) == document
            verify_state(document, world.policy(), now=world.at)
        refused = world.ledger.head.size - 5
        assert b'"bills.number_used"' in prover.receipt(refused - 1)


def test_what_is_not_there_has_no_receipt(world: World) -> None:
    with world.ledger.view() as view:
        prover, size = Prover(view, world.note()), view.head.size
        for index in (-1, size - 1, size):
            with pytest.raises(LookupError):
                prover.receipt(index)
            with pytest.raises(LookupError):
                prover.batch_receipt(index)
        with pytest.raises(LookupError, match="has no row"):
            prover.receipt(0, slot_key(CODE, 4))


def test_what_is_kept_serves_the_next_moment_and_bounds_do_not_change_a_byte(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.prepare()
    kept, little = Kept(), Kept(4_000)
    for start in range(100, 900, 200):
        items = [world.issue_item(number) for number in range(start, start + 200)]
        world.put(world.transaction("hospital", "bills.issue", *items))
        note = world.note()
        with world.ledger.view() as view:
            for number in (100, start, start + 199, start + 200, 4_096):
                plain = plain_status(view, note, number)
                for some in (kept, little, None):
                    prover = Prover(view, note, some)
                    assert prover.kept is (some or prover.kept)
                    assert prover.status(CODE, number, KIND) == plain
                    assert prover.status(CODE, number, KIND) == plain
                    index = view.head.size - 3
                    assert prover.receipt(index) == encode(view.receipt(index, note))


def test_only_a_note_of_this_very_moment_will_do(world: World, tmp_path: Path) -> None:
    old = World(tmp_path / "old")
    old.prepare()
    before = old.note()
    old.issue(1)
    with old.ledger.view() as view, pytest.raises(LookupError, match="a note of size"):
        Prover(view, before)
    forked = World(tmp_path / "forked")
    with (
        forked.ledger.view() as view,
        pytest.raises(LookupError),
    ):
        Prover(view, before)  # before its first block
    forked.prepare()
    forked.issue(2)
    with old.ledger.view() as view, pytest.raises(Damaged, match="the log that the note is of"):
        Prover(view, forked.note())


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE slots SET data = CAST(replace(data, 'issued', 'reissu') AS BLOB)",
        "UPDATE slots SET data = 'text'",
        "DELETE FROM slots",
        "UPDATE page_groups SET data = zeroblob(512)",
        "UPDATE page_groups SET data = zeroblob(512) WHERE key % 512 = 256",
        "UPDATE page_groups SET data = zeroblob(512) WHERE key % 512 = 272",
        "UPDATE page_groups SET data = x'00'",
        "DELETE FROM page_groups",
        "UPDATE map_groups SET data = zeroblob(length(data))",
        "UPDATE segments SET tx = zeroblob(32)",
        "UPDATE segments SET block = 3",
        "UPDATE segments SET block = 999",
        "UPDATE segments SET count = 1",
        "UPDATE segments SET refused = x'7b2230223a22612e62227d'",
        "UPDATE segments SET refused = x'00'",
        "DELETE FROM segments",
        "UPDATE blocks SET data = CAST(replace(data, '\"at\":1', '\"at\":2') AS BLOB)",
        "UPDATE leaves SET data = zeroblob(length(data))",
        "UPDATE branches SET data = zeroblob(512)",
        "UPDATE tiles SET data = zeroblob(length(data))",
    ],
)
def test_what_was_changed_gives_no_proof(tmp_path: Path, sql: str) -> None:
    world = World(tmp_path)
    world.prepare()
    for start in (10, 210):
        items = [world.issue_item(number) for number in range(start, start + 200)]
        world.put(world.transaction("hospital", "bills.issue", *items))
    note = world.note()
    world.ledger.store.db.execute(sql)
    with pytest.raises(Damaged, match=r"ledger\.db"), world.ledger.view() as view:
        prover = Prover(view, note)
        for number in (10, 20):
            prover.status(CODE, number, KIND)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE segments SET data = CAST(replace(data, '10000', '10001') AS BLOB)",
        "UPDATE segments SET data = x'00'",
        "UPDATE segments SET tx = zeroblob(32)",
        "UPDATE segments SET count = count + 1",
        "DELETE FROM segments",
    ],
)
def test_nor_a_receipt(tmp_path: Path, sql: str) -> None:
    world = World(tmp_path)
    world.prepare()
    world.issue(1, 2, 3)
    note, index = world.note(), world.ledger.head.size - 3
    world.ledger.store.db.execute(sql)
    with world.ledger.view() as view:
        prover = Prover(view, note)
        with pytest.raises(Damaged, match=r"ledger\.db"):
            prover.receipt(index)
        with pytest.raises(Damaged, match=r"ledger\.db"):
            prover.batch_receipt(index)
