"""What a reimburser's desk finds out after a crash, an expiry, or a restored backup of its book."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from desks import Desks, decision, order

from tallystick.apps.bills.claim_book import FILE
from tallystick.apps.bills.claim_orders import Addition, Settlement
from tallystick.ledger.engine import Committed, Stopped


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Desks]:
    with Desks(tmp_path) as made:
        yield made


def lost(data: bytes) -> Future[Committed]:
    raise Stopped("killed before it was sent")


def test_a_kill_between_prepare_and_send_loses_no_nonce_and_doubles_nothing(city: Desks) -> None:
    (bill,) = city.bills(1)
    with city.reimburser(submit=lost) as desk, pytest.raises(Stopped):
        desk.lock([order(bill, 1_000, ref="A-1")])
    with city.reimburser() as desk:
        (kept,) = desk.book.of_ref("A-1")
        assert kept.state == "prepared" and kept.claim is not None
        assert city.again(bill).lock is None
        (done,) = desk.resolve()
        assert (done.outcome, done.claim, done.state) == ("accepted", kept.id, "locked")
        again = desk.lock([order(bill, 1_000, ref="A-1")])[0]
        assert again.repeated and again.claim == kept.id
        assert desk.book.of_bill(bill.id) == desk.book.of_ref("A-1")
        assert desk.resolve() == []


def test_what_was_kept_and_never_signed_is_asked_for_under_its_own_nonce(city: Desks) -> None:
    (bill,) = city.bills(1)
    with city.reimburser(submit=lost) as desk, pytest.raises(Stopped):
        desk.lock([order(bill, 1_000)])
    (pending,) = (city.folder / "fund" / "pending").iterdir()
    pending.unlink()  # as if it had been killed one step before
    with city.reimburser() as desk:
        assert desk.resolve() == []
        (kept,) = desk.book.of_bill(bill.id)
        assert kept.state == "prepared"
        (done,) = desk.lock([order(bill, 900)])
        assert done.accepted and done.claim == kept.id
        (now,) = desk.book.of_bill(bill.id)
        assert (now.claim, now.amount, now.state) == (kept.claim, 900, "locked")


def test_a_kill_after_the_ledger_took_it_finds_the_answer(city: Desks) -> None:
    (bill,) = city.bills(1)

    def forget(data: bytes) -> Future[Committed]:
        city.node.submit(data).result(60)
        raise Stopped("killed before the answer was noted")

    with city.reimburser(submit=forget) as desk, pytest.raises(Stopped):
        desk.lock([order(bill, 1_000)])
    with city.reimburser() as desk:
        (done,) = desk.resolve()
        claim = done.claim or 0
        assert (done.state, done.outcome) == ("locked", "accepted")
    with city.reimburser(submit=forget) as desk, pytest.raises(Stopped):
        desk.settle([Settlement(claim, 800, decision("a"))])
    city.now += 7_200  # the engine takes it no more, so the ledger itself is asked
    with city.reimburser() as desk:
        kept = desk.book.get(claim)
        assert kept is not None and kept.state == "locked", "never settled before it is known"
        (done,) = desk.resolve()
        assert (done.state, done.outcome) == ("settled", "accepted") and done.entry is not None
        kept = desk.book.get(claim)
        assert kept is not None and (kept.settled, kept.ordinal) == (800, 0)
        assert desk.settle([Settlement(claim, 800, decision("a"))])[0].repeated
    assert city.again(bill).amounts["settled"] == 800


def test_what_expired_unsent_is_refused_and_can_be_asked_for_again(city: Desks) -> None:
    a, b = city.bills(1, 2)
    with city.reimburser(submit=lost) as desk, pytest.raises(Stopped):
        desk.lock([order(a, 1_000)])
    city.now += 7_200
    with city.reimburser("mutual") as other:  # time goes on
        other.lock([order(b, 1, **city.mandate(b, "mutual"))])
    with city.reimburser() as desk:
        (done,) = desk.resolve()
        assert (done.outcome, done.state) == ("ledger.expired", "refused")
        assert desk.lock([order(a, 1_000)])[0].accepted


def test_a_restored_book_learns_from_the_ledger(city: Desks) -> None:
    a, b = city.bills(1, 2)
    with city.reimburser() as desk:
        locked = desk.lock([order(a, 1_000), order(b, 1_000)])
        saved = (city.folder / "fund" / FILE).read_bytes()
        wal = (city.folder / "fund" / f"{FILE}-wal").read_bytes()
        assert desk.settle([Settlement(locked[0].claim or 0, 700, decision("a"))])[0].accepted
    (city.folder / "fund" / FILE).write_bytes(saved)
    (city.folder / "fund" / f"{FILE}-wal").write_bytes(wal)
    with city.reimburser() as desk:
        first = desk.book.get(locked[0].claim or 0)
        assert first is not None and first.state == "locked"
        assert [(each.id, each.state, each.settled) for each in desk.refresh()] == [
            (first.id, "settled", 700)
        ]
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
        (city.folder / "fund" / name).unlink(missing_ok=True)
    with city.reimburser() as desk:
        (found,) = desk.recover()
        assert (found.bill, found.state, found.settled) == (a.id, "settled", 700)
        assert desk.recover() == []
        assert desk.supplement([Addition(found.id, 100, decision("more"))])[0].accepted


def test_a_book_that_is_older_than_what_is_pending_learns_its_nonce(city: Desks) -> None:
    a, b = city.bills(1, 2)
    folder = city.folder / "fund"
    with city.reimburser(submit=lost) as desk, pytest.raises(Stopped):
        desk.lock([order(a, 1_000), order(b, 1_000)])
    (folder / FILE).unlink()
    (pending,) = (folder / "pending").iterdir()
    sent = pending.read_bytes()
    pending.unlink()
    with city.reimburser(submit=lost) as desk, pytest.raises(Stopped):
        desk.lock([order(b, 700)])  # under a nonce of its own, in a new book
    for each in (folder / "pending").iterdir():
        each.unlink()
    pending.write_bytes(sent)
    with city.reimburser() as desk:
        assert [each.state for each in desk.resolve()] == ["locked", "locked"]
        answers = [
            Settlement(each.id, 1_000, decision("x")) for each in desk.book.each_in(("locked",))
        ]
        assert [each.state for each in desk.settle(answers)] == ["settled", "settled"]
