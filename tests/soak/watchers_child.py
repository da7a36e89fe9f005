"""``watchers_child.py SETTING FOLDER``: who reads and follows a soak's ledger over HTTP.

Streams by the SDK's follower, each event's index written down in order; hooks at a receiver that is
dead for a while now and then (`hook_receiver`); questions of all kinds at an even rate, each answer
compared with the plan or verified against the trust policy, and a stranger's checks, right and
wrong. A line ``finish SIZE`` on standard input lets it end once all have seen the log that far.

Invariant: an answer that is wrong ends it with a failure; one that is late is only counted.
"""

from __future__ import annotations

import asyncio
import sys
import time
from array import array
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

import httpx2
import uvloop
from soak.hook_receiver import Receiver
from soak.planned import BLUE_LEVEL, HOSPITALS, INSURERS, blue_first, signer
from soak.served_plan import HOOKS, STREAMS, Book, Feed, Setting, hospital_of, now, read_setting

from tallystick.client import wire
from tallystick.client.aio import AsyncClient
from tallystick.client.events import AsyncFollower
from tallystick.client.signing import SignedBy
from tallystick.client.wire import Call
from tallystick.contracts.bills.records.bills import Allotment, allotment_id, format_bill_id
from tallystick.protocol.canonical import Record, encode, parse
from tallystick.protocol.event import About, Event
from tallystick.verify import Verifier

T = TypeVar("T")
SAMPLE = 2_000
"""Bills that are asked for, of all times."""
FINISH_SECONDS_MAX = 90
RETRY_SECONDS = 1.0
ASK_SECONDS_MAX = 120


class Watched(Record):
    """What a run came to."""

    reads: dict[str, int]
    deliveries: int
    repeated: int
    turned_away: int
    earlier: int
    """Statuses of a moment before the bill."""
    failure: str = ""


class Known(NamedTuple):
    """A bill that was told of, and the index of its entry."""

    code: int
    number: int
    entry: int

    @property
    def path(self) -> str:
        """Of the API."""
        return f"/api/v1/bills/{self.code}/{self.number}"


class Watchers:
    """All of them, for one event loop."""

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting, self.folder = setting, folder
        self.book = Book(setting.seed, setting.network)
        self.verifier = Verifier(setting.trust)
        self.chance = Random(f"{setting.seed}/reads")
        self.seen = {each.name: array("Q") for each in (*STREAMS, *HOOKS)}
        self.last = {each.name: -1 for each in (*STREAMS, *HOOKS)}
        """Of each, the newest event that is for it, as the stream of all says."""
        self.followers: dict[str, AsyncFollower] = {}
        self.bills: list[Known] = []
        self.count = self.earlier = 0
        self.times = {name: array("d") for name in self._questions()}
        """When a question was answered, and after how many seconds."""
        self.failure = ""
        self.over = asyncio.Event()

    async def run(self) -> None:
        """Until it is told to finish, or something is wrong."""
        async with AsyncExitStack() as stack:
            self.clients = {
                org: await stack.enter_async_context(
                    AsyncClient(self.setting.url, auth=SignedBy(signer(org), now))
                )
                for org in ("finance", *HOSPITALS, *INSURERS)
            }
            http = await stack.enter_async_context(
                httpx2.AsyncClient(base_url=self.setting.url, trust_env=False, verify=False)
            )
            self.receiver = Receiver(self.setting, self.clients, self.seen, self.fail)
            await self.receiver.open()
            works = [*(self._follow(http, each) for each in STREAMS), self._ask_evenly()]
            tasks = [asyncio.create_task(self._guarded(work)) for work in works]
            tasks.append(asyncio.create_task(self._guarded(self._finish())))
            print("ready", flush=True)
            await self.over.wait()
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.receiver.close()

    def fail(self, why: str) -> None:
        """The first one ends the soak."""
        self.failure = self.failure or why[:1_000]
        self.over.set()

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:  # of whatever kind
            self.fail(f"{type(error).__name__}: {error}")

    # ------------------------------------------------------------------------------- following

    async def _follow(self, http: httpx2.AsyncClient, feed: Feed) -> None:
        follower = self.followers[feed.name] = AsyncFollower(
            http,
            after=self.setting.begins - 1,
            wanted=feed.wanted,
            auth=SignedBy(signer(feed.org), now),
        )
        seen = self.seen[feed.name]
        async for event in follower:
            seen.append(event.index)
            if feed.name == "all":
                self._note(event)

    def _note(self, event: Event) -> None:
        for each in (*STREAMS, *HOOKS):
            if any(is_for(each, about) for about in event.about):
                self.last[each.name] = event.index
        for about in event.about:
            if about.type == "bill.issued":
                code, _, number = about.ids["bill"].partition(":")
                self._keep(Known(int(code), int(number), event.index))

    def _keep(self, bill: Known) -> None:
        """A fair sample of all."""
        self.count += 1
        if len(self.bills) < SAMPLE:
            self.bills.append(bill)
        elif (at := self.chance.randrange(self.count)) < SAMPLE:
            self.bills[at] = bill

    # --------------------------------------------------------------------------------- asking

    def _questions(self) -> dict[str, Callable[[Known], Awaitable[None]]]:
        return {
            "bill": self._bill,
            "status": self._status,
            "receipt": self._receipt,
            "row": self._row,
            "slots": self._slots,
            "head": self._head,
            "check, right": self._check_right,
            "check, wrong": self._check_wrong,
        }

    async def _ask_evenly(self) -> None:
        """Whether or not the one before was answered."""
        began, asked, tasks = time.monotonic(), 0, set[asyncio.Task[None]]()
        questions = list(self._questions().items())
        while True:
            await asyncio.sleep(0.01)
            due = int((time.monotonic() - began) * self.setting.reads)
            for _ in range(asked, due):
                if self.bills:
                    name, work = questions[self.chance.randrange(len(questions))]
                    bill = self.bills[self.chance.randrange(len(self.bills))]
                    task = asyncio.create_task(self._guarded(self._timed(name, work(bill))))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            asked = due

    async def _timed(self, name: str, work: Awaitable[None]) -> None:
        began = time.monotonic()
        await work
        ended = time.monotonic()
        self.times[name].extend((ended, ended - began))

    async def _ask(self, org: str, call: Call[T]) -> T:
        return await self.clients[org].run(call, deadline_seconds=ASK_SECONDS_MAX)

    def _issuer(self, bill: Known) -> str:
        return HOSPITALS[hospital_of(bill.number)]

    async def _bill(self, bill: Known) -> None:
        call = Call("GET", bill.path, lambda data: parse(data, dict[str, Any]), signed=True)
        said = await self._ask(self._issuer(bill), call)
        self._same(said["row"]["amounts"]["total"], bill.number)

    async def _status(self, bill: Known) -> None:
        """Of a moment that may be older than what another process told of, and then says so."""
        call = Call(
            *("GET", f"{bill.path}/status", bytes, (("wait", "10"),)), signed=True, wait_seconds=10
        )
        about = format_bill_id(bill.code, bill.number)
        found = self.verifier.status(await self._ask("finance", call), now=now(), about=about)
        if found.row is None:
            assert found.absent and found.size <= bill.entry, f"{about} is not there"
            self.earlier += 1
        else:
            self._same(found.row["amounts"]["total"], bill.number)

    async def _receipt(self, bill: Known) -> None:
        call = wire.bill_receipt(bill.code, bill.number, status=True, wait_seconds=10)
        data = await self._ask(self._issuer(bill), call)
        about = format_bill_id(bill.code, bill.number)
        found = self.verifier.receipt(data, status=True, now=now(), about=about)
        assert found.item is not None, "a receipt without its item"
        self._same(found.item["total"], bill.number)

    async def _row(self, bill: Known) -> None:
        row_id = allotment_id(bill.code, BLUE_LEVEL, blue_first(hospital_of(bill.number)))
        said = await self._ask("finance", wire.row(Allotment.KIND, row_id, proof=True))
        assert said.proof is not None, "a row without its proof"
        found = self.verifier.state(encode(said.proof), now=now())
        assert found.row is not None, "an allotment that is not there"
        assert found.row["holder"] == self._issuer(bill)

    async def _slots(self, bill: Known) -> None:
        call = wire.slots(bill.code, bill.number, bill.number + 20)
        said = await self._ask(self._issuer(bill), call)
        rows = [parse(bytes(each), dict[str, Any]) for each in said.rows]
        assert rows, "no slots"
        for row in rows:
            self._same(row["amounts"]["total"], int(row["id"].partition(":")[2]))

    async def _head(self, bill: Known) -> None:
        said = await self._ask("finance", wire.head())
        assert said.size > bill.entry
        assert (await self._ask("finance", wire.checkpoint())).startswith(b"example/soak")

    async def _check_right(self, bill: Known) -> None:
        await self._check(bill, self.book.total(bill.number), {"good", "not_good"})

    async def _check_wrong(self, bill: Known) -> None:
        await self._check(bill, self.book.total(bill.number) + 1, {"differs"})

    async def _check(self, bill: Known, total: int, good: set[str]) -> None:
        held = encode({"code": bill.code, "number": bill.number, "total": total})
        call = Call("POST", "/api/v1/bills/check", lambda d: parse(d, dict[str, Any]), body=held)
        said = await self._ask("finance", call)
        assert said["verdict"] in good, said

    def _same(self, total: object, number: int) -> None:
        assert total == self.book.total(number), f"number {number} is over {total}"

    # ---------------------------------------------------------------------------------- the end

    async def _finish(self) -> None:
        told = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), told.set)
        await told.wait()  # no thread that would wait for ever
        word, _, size = sys.stdin.readline().partition(" ")
        if word != "finish":
            raise ValueError("whoever started this is gone")
        await self.receiver.live()
        until = time.monotonic() + FINISH_SECONDS_MAX
        while (late := self._late(int(size))) and time.monotonic() < until:
            await self.receiver.hurry()
            await asyncio.sleep(RETRY_SECONDS)
        if late:
            raise ValueError(f"{late} have not seen the log up to {size}")
        self.over.set()

    def _late(self, size: int) -> list[str]:
        everything = self.followers["all"].cursor
        if everything is None or everything < size - 1:
            return ["all"]
        newest = {name: seen[-1] if seen else -1 for name, seen in self.seen.items()}
        return [name for name, last in self.last.items() if newest[name] < last]

    def write(self) -> None:
        """Files for whoever started this."""
        for name, seen in self.seen.items():
            (self.folder / f"seen-{name}").write_bytes(seen.tobytes())
        for name, times in self.times.items():
            (self.folder / f"times-{name}").write_bytes(times.tobytes())
        watched = Watched(
            reads={name: len(times) // 2 for name, times in self.times.items()},
            deliveries=self.receiver.deliveries,
            repeated=self.receiver.repeated,
            turned_away=self.receiver.turned_away,
            earlier=self.earlier,
            failure=self.failure,
        )
        (self.folder / "watched.json").write_bytes(encode(watched))


def is_for(feed: Feed, about: About) -> bool:
    """Whether who asks is a party, and wants it; finance may see everything."""
    own = feed.org == "finance" or feed.org in about.ids.values()
    ids = feed.wanted.ids.items()
    wanted = not feed.wanted.types or about.type in feed.wanted.types
    return own and wanted and all(about.ids.get(role) == each for role, each in ids)


async def main(setting: Setting, folder: Path) -> int:
    """The report is there when this process ends."""
    watchers = Watchers(setting, folder)
    await watchers.run()
    watchers.write()
    return 1 if watchers.failure else 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main(read_setting(Path(sys.argv[1])), Path(sys.argv[2]))))
