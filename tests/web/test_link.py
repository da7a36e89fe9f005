"""A worker's side: moments beside a real ledger, notes by a policy, and the end of the node."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from world import World

from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.ledger.beside import ReadLedger
from tallystick.ledger.engine import Committed, Stopped
from tallystick.protocol.errors import Reason, Rejected
from tallystick.protocol.trust import TrustPolicy
from tallystick.web.hub import Hub
from tallystick.web.link import CATCH_SECONDS, MOMENTS_KEPT, NOTES_KEPT, Link

REASONS: dict[str, Reason] = {each.value: each for each in LedgerReason}


class Ground:
    """A world whose hub a test rules by hand."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.world.prepare()
        self.notes: dict[int, bytes] = {}
        self.submitted: list[Future[Committed]] = []
        self.hub = Hub(
            folder,
            submit=self._submit,
            offer=lambda note: None,
            note=lambda size: self.notes[size],
            sizes=lambda: sorted(self.notes),
        )
        self.number = 0

    @property
    def size(self) -> int:
        return self.world.ledger.head.size

    def _submit(self, data: bytes) -> Future[Committed]:
        self.submitted.append(Future())
        return self.submitted[-1]

    def issue(self) -> None:
        self.number += 1
        self.world.put(
            self.world.transaction("hospital", "bills.issue", self.world.issue_item(self.number))
        )

    def pin(self) -> None:
        """As between two blocks."""
        self.hub.pin(self.size)

    def publish(self, size: int | None = None, *, keeper: bool = True) -> None:
        """A note of the head, or the same again with the keeper's line."""
        if size is None:
            self.notes[self.size] = self.world.note(keeper=keeper)
        self.hub.publish(self.size if size is None else size)

    @asynccontextmanager
    async def link(self, policy: TrustPolicy | None = None) -> AsyncIterator[Link]:
        ledger = ReadLedger(self.world.folder, self.world.rules)
        link = Link(ledger, policy, REASONS)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: link, str(self.hub.path))
        link.ready()
        await there(lambda: self.hub.workers == 1)
        try:
            yield link
        finally:
            link.close()
            await there(lambda: self.hub.workers == 0)
            ledger.close()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path)
    yield ground
    ground.hub.close()
    ground.world.ledger.close()


async def there(holds: Callable[[], Any], seconds: float = 5) -> None:
    ends = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < ends, "it did not happen"
        await asyncio.sleep(0.005)


async def off(work: Callable[[], Any]) -> None:
    """In the writer's place: what waits for this loop must not be run by it."""
    await asyncio.to_thread(work)


def test_a_moment_is_held_at_its_size_while_the_writer_goes_on(ground: Ground) -> None:
    async def run() -> None:
        async with ground.link() as link:
            await off(ground.pin)
            held = ground.size
            ground.publish()
            await there(lambda: link.proven() is not None)
            ground.issue()
            found = link.proven()
            assert found is not None
            moment, known = found
            assert (moment.size, moment.view.head.size) == (held, held) and ground.size > held
            assert known.note == ground.notes[held] and link.newest() == known
            assert link.best(held - 1) == (held, known) and link.best(held) is None

    asyncio.run(run())


def test_a_note_proves_only_once_the_policy_is_met(ground: Ground) -> None:
    async def run() -> None:
        async with ground.link(ground.world.policy()) as link:
            await off(ground.pin)
            ground.publish(keeper=False)
            await there(lambda: bool(link.notes))
            assert link.proven() is None and link.best(0) is None
            newest = link.newest()
            assert newest is not None and not newest.met
            waiting = asyncio.create_task(link.change(5))
            await asyncio.sleep(0)
            ground.publish(keeper=True)
            assert await waiting
            assert link.proven() is not None and link.best(0) is not None
            assert not await link.change(0.01)

    asyncio.run(run())


def test_the_newest_moment_that_meets_the_policy_stays_though_newer_ones_wait(
    ground: Ground,
) -> None:
    """A keeper that is slow: what it has signed can be proven; the number of moments is bounded."""

    async def run() -> None:
        async with ground.link(ground.world.policy()) as link:
            await off(ground.pin)
            ground.publish(keeper=True)
            await there(lambda: link.proven() is not None)
            good = ground.size
            later, late = 0, b""
            for _ in range(MOMENTS_KEPT + 4):
                ground.issue()
                later, late = later or ground.size, late or ground.world.note()
                await off(ground.pin)
                ground.publish(keeper=False)
                await there(lambda: ground.size in link.notes)
                found = link.proven()
                assert found is not None and found[0].size == good
                assert len(link.moments) <= MOMENTS_KEPT + 1
            ground.notes[later] = late
            ground.publish(later)
            await there(lambda: link.best(good) is not None)
            found = link.proven()
            assert found is not None and found[0].size == later, "a keeper that is far behind"
            ground.publish(keeper=True)
            await there(lambda: link.best(later) is not None)
            found = link.proven()
            assert found is not None and found[0].size == ground.size
            assert list(link.moments) == [ground.size], "older ones were let go"

    asyncio.run(run())


def test_notes_are_bounded_and_the_newest_that_is_met_is_kept(ground: Ground) -> None:
    async def run() -> None:
        async with ground.link(ground.world.policy()) as link:
            ground.publish(keeper=True)
            met = ground.size
            for _ in range(NOTES_KEPT + 5):
                ground.issue()
                ground.publish(keeper=False)
            await there(lambda: ground.size in link.notes)
            assert len(link.notes) <= NOTES_KEPT and met in link.notes
            assert link.best(0) == (met, link.notes[met])

    asyncio.run(run())


def test_all_is_let_go_when_the_wal_must_begin_anew_and_caught_again(ground: Ground) -> None:
    async def run() -> None:
        async with ground.link() as link:
            await off(ground.pin)
            ground.publish()
            await there(lambda: link.proven() is not None)
            await off(ground.hub.drop)
            assert not link.moments and link.proven() is None
            ground.world.ledger.store.checkpoint()
            assert ground.world.ledger.store.wal_bytes() >= 0
            await asyncio.sleep(CATCH_SECONDS)
            await there(lambda: link.proven() is not None)

    asyncio.run(run())


def test_a_moment_that_was_missed_is_held_if_nothing_has_come_since(ground: Ground) -> None:
    async def run() -> None:
        async with ground.link() as link:
            ground.publish()  # nobody was asked to pin
            await there(lambda: link.proven() is not None)
            ground.issue()
            ground.notes[ground.size] = ground.world.note()
            size = ground.size
            ground.issue()
            ground.publish(size)
            await there(lambda: size in link.notes)
            found = link.proven()
            assert found is not None and found[0].size < size, "the writer has gone on"

    asyncio.run(run())


def test_too_late_for_a_moment_is_none(ground: Ground) -> None:
    async def run() -> None:
        async with ground.link() as link:
            await off(lambda: ground.hub.pin(ground.size + 1))
            assert not link.moments

    asyncio.run(run())


def test_when_the_node_is_gone_everything_that_waits_fails(ground: Ground) -> None:
    async def run() -> None:
        async with ground.link() as link:
            waiting = [asyncio.create_task(link.submit(b"tx %d" % n)) for n in range(5)]
            await there(lambda: len(ground.submitted) == 5)
            ground.submitted[0].set_exception(Rejected(LedgerReason.EXPIRED))
            with pytest.raises(Rejected):
                await waiting[0]
            threading.Thread(target=ground.hub.close).start()
            await asyncio.wait_for(link.gone.wait(), 5)
            for each in waiting[1:]:
                with pytest.raises(Stopped):
                    await each
            with pytest.raises(Stopped):
                await link.submit(b"more")
        ground.hub = Hub(
            ground.world.folder,
            submit=ground._submit,
            offer=lambda note: None,
            note=lambda size: b"",
            sizes=list,
        )

    asyncio.run(run())


def test_who_asked_and_went_away_leaves_nothing_behind(ground: Ground) -> None:
    async def run() -> None:
        async with ground.link() as link:
            asked = asyncio.create_task(link.submit(b"tx"))
            await there(lambda: len(ground.submitted) == 1)
            asked.cancel()
            other = asyncio.create_task(link.submit(b"another"))
            await there(lambda: len(ground.submitted) == 2)
            for n, future in enumerate(ground.submitted):
                future.set_result(Committed("00" * 32, n, ("accepted",), 1, 1))
            assert (await other).first == 1 and not link._waiting

    asyncio.run(run())
