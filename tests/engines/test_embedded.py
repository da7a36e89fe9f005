"""The embedded engine: many submitters, one writer, and each answer exactly once.

Invariant tested: an answer is given after the commit of its block, or `Stopped`; nothing is lost,
nothing is taken twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from probe import Set, probe_founders, probe_rules
from world import World, genesis_file

from tallystick.engines import embedded
from tallystick.engines.clock import ClockDoubt
from tallystick.engines.embedded import QUEUED_BYTES_MAX, EmbeddedEngine
from tallystick.ledger.engine import Committed, Stopped
from tallystick.protocol.errors import Busy, Damaged, Malformed, Rejected, VerificationFailed

SECONDS = 60


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, probe_rules(), genesis_file(probe_founders("a", "b", "c")))


def put(world: World, sender: str, count: int = 1, then: str = "", action: str = "set") -> bytes:
    items = [Set(nonce=world.nonce(), cell=sender, value=n, then=then) for n in range(count)]
    return world.transaction(sender, f"probe.{action}", *items)


class Gate:
    """Holds the writer between blocks, so that a test says what waits together."""

    def __init__(self) -> None:
        self.there, self.open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.there.set()
        assert self.open.wait(SECONDS)


@contextmanager
def held(
    world: World, *, queued_bytes_max: int = QUEUED_BYTES_MAX
) -> Iterator[tuple[EmbeddedEngine, Gate]]:
    """An engine whose writer has made one block and waits."""
    gate = Gate()
    engine = EmbeddedEngine(
        world.ledger, clock=world.clock(), on_commit=gate, queued_bytes_max=queued_bytes_max
    )
    engine.submit(put(world, "a"))
    assert gate.there.wait(SECONDS)
    try:
        yield engine, gate
    finally:
        gate.open.set()
        engine.close()


def test_what_is_answered_is_on_the_ledger(world: World) -> None:
    with EmbeddedEngine(world.ledger, clock=world.clock()) as engine:
        committed = engine.submit(put(world, "a", 3)).result(SECONDS)
        assert committed.outcomes == ["accepted"] * 3
        assert (committed.first, committed.block, committed.at) == (0, 1, world.at)
        assert not committed.repeated
        with world.ledger.view() as view:
            assert view.head.size == 4
            assert world.ledger.check(view.segment(0).data).tx_id == committed.tx_id
        assert engine.figures().blocks == 1
        assert engine.figures().queued == 0
        assert engine.failure is None
    world.check()


def test_the_same_bytes_give_the_old_answer_and_other_content_a_conflict(world: World) -> None:
    with EmbeddedEngine(world.ledger, clock=world.clock()) as engine:
        data = put(world, "a", 2, then="refuse")
        first = engine.submit(data).result(SECONDS)
        engine.submit(put(world, "b")).result(SECONDS)
        again = engine.submit(data).result(SECONDS)
        assert again.repeated
        assert (again.tx_id, again.first, list(again.outcomes), again.block, again.at) == (
            *(first.tx_id, first.first, ["probe.told"] * 2, first.block, first.at),
        )
        key = world.ledger.check(data).header.idempotency
        item = Set(nonce=world.nonce(), cell="x")
        other = world.transaction("a", "probe.set", item, idempotency=key)
        with pytest.raises(Rejected, match="conflict"):
            engine.submit(other).result(SECONDS)
    world.check()


def test_the_same_bytes_within_one_block_get_the_same_answer(world: World) -> None:
    data, late = put(world, "b", 2), put(world, "c", action="later")
    with held(world) as (engine, gate):
        futures = [engine.submit(each) for each in (data, late, data, data, late)]
        gate.open.set()
        answers = [futures[n].result(SECONDS) for n in (0, 2, 3)]
        for n in (1, 4):
            with pytest.raises(Rejected, match=r"probe\.later"):
                futures[n].result(SECONDS)
    assert [answer.repeated for answer in answers] == [False, True, True]
    assert len({(answer.first, answer.block) for answer in answers}) == 1
    assert world.ledger.head.size == 5
    world.check()


def test_what_may_not_be_ordered_is_refused_and_its_neighbours_are_not(world: World) -> None:
    with held(world) as (engine, gate):
        futures = [engine.submit(put(world, "b", action=name)) for name in ("set", "later", "set")]
        gate.open.set()
        assert futures[0].result(SECONDS).block == futures[2].result(SECONDS).block == 2
        with pytest.raises(Rejected) as refusal:
            futures[1].result(SECONDS)
        assert refusal.value.reason.value == "ledger.action_inactive"
        for _ in range(2):  # a take of which nothing may be ordered makes no block
            with pytest.raises(Rejected):
                engine.submit(put(world, "b", action="before")).result(SECONDS)
                engine.submit(put(world, "b", action="before")).result(SECONDS)
    world.check()


def test_what_is_no_transaction_is_refused_at_once(world: World) -> None:
    with EmbeddedEngine(world.ledger, clock=world.clock()) as engine, pytest.raises(Malformed):
        engine.submit(b"{}")


def test_nobody_calls_back_what_is_queued(world: World) -> None:
    """A cancelled future would have no place for its answer, and stop the writer for everyone."""
    with held(world) as (engine, gate):
        future = engine.submit(put(world, "b"))
        assert not future.cancel()
        gate.open.set()
        assert future.result(SECONDS).outcomes == ["accepted"]


def test_a_full_queue_says_busy_and_loses_nothing(world: World) -> None:
    data = [put(world, "b", 5) for _ in range(40)]
    with held(world, queued_bytes_max=10 * len(data[0])) as (engine, gate):
        futures: list[Future[Committed]] = []
        with pytest.raises(Busy) as busy:
            for each in data:
                futures.append(engine.submit(each))
        assert busy.value.retry_after_seconds > 0
        assert len(futures) == engine.figures().queued == 10
        gate.open.set()
        assert {future.result(SECONDS).block for future in futures} == {2}
        while len(futures) < len(data):  # what was not taken comes again
            try:
                futures.append(engine.submit(data[len(futures)]))
            except Busy:
                wait(futures)
        assert all(not future.result(SECONDS).repeated for future in futures)
    assert world.ledger.head.size == 1 + 40 * 5 + world.ledger.head.block
    world.check()


def test_who_only_claims_to_be_a_member_keeps_nobody_out(world: World) -> None:
    data = put(world, "b")
    false = data[:-90] + (b"A" if data[-90:-89] == b"B" else b"B") + data[-89:]
    strangers = world.transaction("b", "probe.set", Set(nonce=world.nonce(), cell="x"), key="x")
    with held(world, queued_bytes_max=20 * len(data)) as (engine, gate):
        waiting = [engine.submit(false) for _ in range(11)]
        for claimed, refusal in ((false, VerificationFailed), (strangers, Rejected)):
            for _ in range(20):
                assert isinstance(engine.submit(claimed).exception(SECONDS), refusal)
        theirs = [engine.submit(put(world, org)) for org in "bc"]
        assert engine.figures().queued == 13
        gate.open.set()
        assert [each.result(SECONDS).outcomes for each in theirs] == [["accepted"]] * 2
        assert all(isinstance(each.exception(SECONDS), VerificationFailed) for each in waiting)
    world.check()


def test_many_threads_are_each_answered_once(world: World) -> None:
    data = [put(world, "abc"[n % 3], 1 + n % 4) for n in range(500)]
    Random(7).shuffle(data)
    answers: dict[str, Committed] = {}
    lock = threading.Lock()

    def submit(part: list[bytes]) -> None:
        for each in part:
            committed = engine.submit(each).result(SECONDS)
            with lock:
                assert committed.tx_id not in answers
                answers[committed.tx_id] = committed

    with EmbeddedEngine(world.ledger, clock=world.clock()) as engine:
        threads = [threading.Thread(target=submit, args=(data[n::10],)) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 500
    assert not any(answer.repeated for answer in answers.values())
    entries = sum(len(answer.outcomes) for answer in answers.values())
    assert world.ledger.head.size == entries + world.ledger.head.block
    with world.ledger.view() as view:
        for answer in answers.values():
            segment = view.segment(answer.first)
            assert (segment.first, segment.block) == (answer.first, answer.block)
    world.check()


# ----------------------------------------------------------------------------------- fairness


def order(world: World) -> list[tuple[int, str, int]]:
    """(block, sender, items) of every transaction, in the order of the log."""
    with world.ledger.view() as view:
        found = []
        for segment in view.segments(0, view.head.size):
            header = world.ledger.check(segment.data).header
            found.append((segment.block, header.sender, header.count))
        return found


def test_organisations_take_turns(world: World) -> None:
    with held(world) as (engine, gate):
        many = [engine.submit(put(world, "a")) for _ in range(5)]
        few = [engine.submit(put(world, "b")) for _ in range(2)]
        gate.open.set()
        wait([*many, *few], SECONDS)
    assert [sender for _, sender, _ in order(world)[1:]] == ["a", "b", "a", "b", "a", "a", "a"]


def test_one_organisation_gets_at_most_half_a_block_while_others_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "WORK_MAX", 100)
    with held(world) as (engine, gate):
        futures = [engine.submit(put(world, "a", 30)) for _ in range(4)]
        futures += [engine.submit(put(world, "b", 10)) for _ in range(2)]
        gate.open.set()
        wait(futures, SECONDS)
    assert order(world)[1:] == [
        *((2, "a", 30), (2, "b", 10), (2, "b", 10), (2, "a", 30)),
        *((3, "a", 30), (3, "a", 30)),
    ]


def test_a_block_is_bounded_by_its_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WORK_MAX", 100)
    with held(world) as (engine, gate):
        futures = [engine.submit(put(world, "a", 40)) for _ in range(3)]
        futures += [engine.submit(put(world, "b", 3, action="heavy"))]  # 60 units
        futures += [engine.submit(put(world, "c", 8, action="heavy"))]  # more than a block has
        gate.open.set()
        done, _ = wait(futures, SECONDS)
    assert len(done) == 5
    blocks: dict[int, int] = {}
    for block, sender, count in order(world)[1:]:
        blocks[block] = blocks.get(block, 0) + count * (20 if sender in "bc" else 1)
    assert all(work <= 100 for work in blocks.values() if work != 160)
    world.check()


def test_who_has_more_than_a_share_in_one_transaction_still_gets_a_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them at once, each more than half a block: the writer must not go round for ever."""
    monkeypatch.setattr(embedded, "WORK_MAX", 100)
    with held(world) as (engine, gate):
        futures = [engine.submit(put(world, "a", 30)) for _ in range(4)]
        futures += [engine.submit(put(world, "b", 60)), engine.submit(put(world, "c", 60))]
        gate.open.set()
        done, _ = wait(futures, SECONDS)
    assert len(done) == 6
    world.check()


# ------------------------------------------------------------------------------------ the end


def test_closing_finishes_what_is_queued_and_takes_no_more(world: World) -> None:
    with held(world) as (engine, gate):
        futures = [engine.submit(put(world, "b")) for _ in range(5)]
        closing = threading.Thread(target=engine.close)
        closing.start()
        gate.open.set()
        closing.join(SECONDS)
        assert [future.result(0).outcomes for future in futures] == [["accepted"]] * 5
        with pytest.raises(Stopped):
            engine.submit(put(world, "b"))
    world.check()


@pytest.mark.parametrize("trouble", ["recursion", "memory", "damaged", "os", "interrupt"])
def test_trouble_answers_everyone_with_stopped(world: World, trouble: str) -> None:
    with held(world) as (engine, gate):
        before = [engine.submit(put(world, "a")), engine.submit(put(world, "b", then=trouble))]
        gate.open.set()
        for future in before:
            with pytest.raises(Stopped):
                future.result(SECONDS)
        assert engine.failure is not None
        with pytest.raises(Stopped):
            engine.submit(put(world, "c"))
    head = world.ledger.head
    world.restart()
    assert world.ledger.head == head
    assert head.block == 1
    world.check()


def test_a_damaged_file_stops_the_engine_with_its_name(world: World) -> None:
    with held(world) as (engine, gate):
        world.ledger.store.db.execute(
            "PRAGMA foreign_keys"
        )  # the writer waits: nobody else is here
        future = engine.submit(put(world, "b", then="damaged"))
        gate.open.set()
        with pytest.raises(Stopped, match=r"ledger\.db"):
            future.result(SECONDS)
        assert isinstance(engine.failure, Damaged)


def test_a_clock_that_jumps_stops_the_engine_and_a_doubted_one_never_starts(world: World) -> None:
    clock = world.clock()
    jumped = [0.0]
    clock._monotonic = lambda: float(world.at) - jumped[0]
    with EmbeddedEngine(world.ledger, clock=clock) as engine:
        engine.submit(put(world, "a")).result(SECONDS)
        jumped[0] = 1000.0
        with pytest.raises(Stopped, match="jumped"):
            engine.submit(put(world, "a")).result(SECONDS)
        assert isinstance(engine.failure, ClockDoubt)
    world.at -= 3600
    with pytest.raises(ClockDoubt, match="behind"):
        EmbeddedEngine(world.ledger, clock=world.clock())
    world.check()


def test_a_large_wal_is_moved_while_blocks_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "WAL_BYTES_SOFT_MAX", 100_000)
    with EmbeddedEngine(world.ledger, clock=world.clock()) as engine:
        sizes = []
        for _ in range(60):
            engine.submit(put(world, "a", 20)).result(SECONDS)
            sizes.append(engine.figures().wal_bytes)
    assert world.ledger.store.path.stat().st_size > 100_000
    assert max(sizes[30:]) < 60 * 20_000
    world.check()
