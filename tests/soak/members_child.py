"""``members_child.py SETTING FOLDER``: hospitals and insurers of a soak, by the SDK over HTTP.

Hospitals issue at an even rate, whatever becomes of it: bills that come together for a moment
travel together, lie in an outbox, and are proven. What befalls a bill later follows in the order
that its plan says, each step after the one before was proven. When the time is up all that was
begun is brought to its end. The server may die meanwhile as often as it likes.

Invariant: what stands in ``acknowledged`` was proven against the trust policy; nothing is refused.
"""

from __future__ import annotations

import heapq
import signal
import sys
import threading
import time
from array import array
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

from soak.planned import COMING, HOSPITALS, INSURERS, Planned, blue_first, signer
from soak.served_plan import Book, Setting, now, read_setting

from tallystick.client.batching import Batcher
from tallystick.client.history import History
from tallystick.client.signing import SignedBy
from tallystick.client.submitting import Submitter
from tallystick.client.sync import Client
from tallystick.client.wire import Call
from tallystick.contracts.bills.items.bills import Issue
from tallystick.protocol.canonical import Record, encode
from tallystick.protocol.committed import Committed
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.transaction import Item

T = TypeVar("T")
TICK_SECONDS = 0.01
GATHER_SECONDS = 0.5
"""How long an insurer gathers what it does with one transaction."""
TOGETHER = 100
CONNECTIONS = 4
"""Of each member, as the SDK has it where nothing is said."""
DRAIN_SECONDS_MAX = 240


class Ended(Record):
    """What a run came to, for whoever started it."""

    issued: int
    issued_sum: int
    reversed: int
    reversed_sum: int
    settled: dict[str, int]
    recovered: dict[str, int]
    booked: int
    transactions: int
    items: int
    late_milliseconds: int
    """How far behind its own pace this process was at most."""
    failure: str = ""


class Answered(NamedTuple):
    """When an attempt at a submit began, and when its answer was here."""

    began: float
    at: float


class TimedClient(Client):
    """Notes when each transaction was answered."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.answered: dict[str, Answered] = {}

    def once(self, call: Call[T], seconds: float) -> T:
        began = time.monotonic()
        answer = super().once(call, seconds)
        if isinstance(answer, Committed) and call.enters:
            self.answered[answer.tx_id] = Answered(began, time.monotonic())
        return answer


class Desk:
    """One member's connection."""

    def __init__(self, stack: ExitStack, setting: Setting, folder: Path, org: str) -> None:
        auth = SignedBy(signer(org), now)
        history = stack.enter_context(History(folder / "known" / org, setting.trust))
        self.org = org
        self.client = stack.enter_context(TimedClient(setting.url, auth=auth))
        self.submitter = stack.enter_context(
            Submitter(self.client, history, outbox=folder / "outbox" / org, connections=CONNECTIONS)
        )


class Members:
    """All of them, and what waits to be done."""

    def __init__(self, stack: ExitStack, setting: Setting, folder: Path) -> None:
        self.setting, self.folder = setting, folder
        self.book = Book(setting.seed, setting.network)
        list(self.book.give(setting.begins, setting.mandates_until))  # their ids
        self.desks = {org: Desk(stack, setting, folder, org) for org in (*HOSPITALS, *INSURERS)}
        self._later: list[tuple[float, int, str, Planned, Sequence[str]]] = []
        self._turns = count()
        self._lock = threading.Lock()
        self.open = 0
        """What is not at its end: bills in hand, and steps that are to come."""
        self._names = count()
        self._chance = Random(f"{setting.seed}/events")
        self.transactions = self.items = 0
        self.failure = ""
        self.late_seconds = 0.0
        self._acknowledged = stack.enter_context((folder / "acknowledged").open("w"))
        self.times = array("d")
        """Of each transaction: when it was answered, seconds of that attempt, from there to its
        proof, from the oldest bill in hand to the proof; items."""
        self.batchers = [
            stack.enter_context(
                Batcher[tuple[Planned, Issue, float], None](partial(self._send, hospital))
            )
            for hospital in range(len(HOSPITALS))
        ]

    def run(self, stopping: threading.Event) -> None:
        """At an even pace, then until nothing is left to be done."""
        setting, began, issued = self.setting, time.monotonic(), 0
        numbers = [blue_first(n) for n in range(len(HOSPITALS))]
        gathered = began
        while not self.failure:
            elapsed = time.monotonic() - began
            over = elapsed >= setting.seconds or stopping.is_set()
            if over and (not self.open or elapsed > setting.seconds + DRAIN_SECONDS_MAX):
                return
            due = issued if over else int(elapsed * setting.rate)
            self.late_seconds = max(self.late_seconds, (due - issued) / setting.rate)
            for n in range(issued, due):
                hospital = n % len(HOSPITALS)
                planned, item = self.book.bill(hospital, numbers[hospital], now())
                numbers[hospital] += 1
                self._count(1)
                self.batchers[hospital].add((planned, item, time.monotonic()))
            issued = due
            if time.monotonic() - gathered > GATHER_SECONDS:
                gathered = time.monotonic()
                self._follow(gathered)
            time.sleep(TICK_SECONDS)

    def _count(self, by: int) -> None:
        with self._lock:
            self.open += by

    # ------------------------------------------------------------------------------- issuing

    def _send(
        self, hospital: int, batch: Sequence[tuple[Planned, Issue, float]]
    ) -> Future[list[None]]:
        answers: Future[list[None]] = Future()
        items = [item for _, item, _ in batch]

        def done(committed: Committed) -> None:
            for each, _, _ in batch:
                if each.fate != "silent" or self.setting.reversal_wait:
                    self._then(each, COMING[each.fate], 1.0)
            answers.set_result([None] * len(batch))
            self._count(-len(batch))

        self._submit(HOSPITALS[hospital], "bills.issue/1", items, batch[0][2], done)
        return answers

    def _submit(
        self, org: str, action: str, items: Sequence[Item], since: float, done: Any
    ) -> None:
        desk = self.desks[org]
        data = self.book.sign(now(), org, action, items, f"{org}/{next(self._names)}")

        def proven(answer: Future[Committed]) -> None:
            try:
                committed = answer.result()
                self._proven(desk, data, committed, since)
                done(committed)
            except Exception as error:  # of whatever kind: it ends the soak
                self.failure = self.failure or f"{action} of {org}: {error!r}"

        desk.submitter.submit(data).add_done_callback(proven)

    def _proven(self, desk: Desk, data: bytes, committed: Committed, since: float) -> None:
        refused = {each for each in committed.outcomes if each != ACCEPTED}
        if refused:
            raise ValueError(f"{committed.tx_id}: {sorted(refused)} {dict(committed.why)}")
        proven = time.monotonic()
        answered = desk.client.answered.pop(committed.tx_id, Answered(proven, proven))
        size = len(committed.outcomes)
        took = answered.at - answered.began, proven - answered.at, proven - since
        with self._lock:
            self._acknowledged.write(f"{committed.tx_id} {committed.first} {size}\n")
            self.transactions += 1
            self.items += size
            self.times.extend((answered.at, *took, size))
        desk.submitter.forget(data)

    # ------------------------------------------------------------------------ what comes after

    def _then(self, each: Planned, names: Sequence[str], seconds: float) -> None:
        """What is left to be done with a bill, from so many seconds on."""
        if names and not names[0]:
            self._then(each, names[1:], self.setting.reversal_wait + 2.0)
        elif names:
            with self._lock:
                entry = time.monotonic() + seconds, next(self._turns), names[0], each, names[1:]
                heapq.heappush(self._later, entry)
                self.open += 1

    def _follow(self, moment: float) -> None:
        groups: dict[tuple[str, str], list[tuple[Item, Planned, Sequence[str]]]]
        groups, at = defaultdict(list), now()
        with self._lock:
            due = []
            while self._later and self._later[0][0] <= moment:
                due.append(heapq.heappop(self._later))
        for _, _, name, each, rest in due:
            sender, action, item = self.book.event(self._chance, name, each, at)
            groups[sender, action].append((item, each, rest))
        for (sender, action), some in groups.items():
            for begin in range(0, len(some), TOGETHER):
                part = some[begin : begin + TOGETHER]

                def done(_: Committed, part: Any = part) -> None:
                    for _item, each, rest in part:
                        self._then(each, rest, 1.5)
                    self._count(-len(part))

                self._submit(sender, action, [item for item, _, _ in part], moment, done)

    # -------------------------------------------------------------------------------- the end

    def ended(self) -> Ended:
        """What the ledger must say."""
        expected = self.book.expected
        return Ended(
            issued=expected.issued,
            issued_sum=expected.issued_sum,
            reversed=expected.reversed,
            reversed_sum=expected.reversed_sum,
            settled=dict(expected.settled),
            recovered=dict(expected.recovered),
            booked=expected.booked,
            transactions=self.transactions,
            items=self.items,
            late_milliseconds=int(self.late_seconds * 1_000),
            failure=self.failure,
        )


def main(setting: Setting, folder: Path) -> None:
    """All of it; the report is there when this process ends."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    with ExitStack() as stack:
        members = Members(stack, setting, folder)
        print("ready", flush=True)
        members.run(stopping)
        if members.open and not members.failure:
            waiting = {org: desk.submitter.figures() for org, desk in members.desks.items()}
            members.failure = f"{members.open} were not brought to their end: {waiting}"
        (folder / "times").write_bytes(members.times.tobytes())
        report = encode(members.ended())
    (folder / "ended.json").write_bytes(report)


if __name__ == "__main__":
    main(read_setting(Path(sys.argv[1])), Path(sys.argv[2]))
