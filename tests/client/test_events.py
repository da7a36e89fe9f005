"""Following: over restarts, cut connections and lies, everything once and in order."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from followed import Followed
from streamed import Running, Worker

from tallystick.client import events
from tallystick.client.events import AsyncFollower, Follower, Messages
from tallystick.client.failures import WrongAnswer
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Rejected
from tallystick.protocol.event import START, About, Event, Filter
from tallystick.web.sse import StreamLimits

ISSUED = Filter(types=["bill.issued"])


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(events, "PAUSE_SECONDS_MAX", 0.05)


@pytest.fixture
def world(tmp_path: Path) -> Followed:
    made = Followed(tmp_path / "ledger")
    made.bills(1, 40, each=20)
    return made


def number(event: Event) -> int:
    return int(event.about[0].ids["bill"][-10:])


def client(port: int) -> httpx2.Client:
    return httpx2.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"x-org": "hospital"}, trust_env=False
    )


def test_restarts_of_server_and_reader_lose_and_double_nothing(
    world: Followed, tmp_path: Path
) -> None:
    """The server stops at any point, twice under way; the reader begins anew at its cursor."""
    worker = Worker(world, tmp_path / "hooks")
    port, cursor, found = worker.running.port, START, list[int]()

    def write() -> None:
        for start in range(41, 841, 10):
            world.bills(start, 10, each=10)

    writing = threading.Thread(target=write)
    writing.start()
    for stops in (130, 371, 840):
        with client(port) as http:
            follower = Follower(http, after=cursor, wanted=ISSUED)
            for event in follower:
                found.append(number(event))
                if len(found) in (60, 200, 500):
                    worker.close()
                    worker = Worker(world, tmp_path / "hooks", port=port)
                if len(found) == stops:
                    break
            cursor = follower.cursor or 0
    writing.join()
    worker.close()
    assert found == list(range(1, 841))


def test_the_same_in_an_event_loop(world: Followed, tmp_path: Path) -> None:
    async def follow(url: str) -> list[int]:
        found = []
        async with httpx2.AsyncClient(
            base_url=url, headers={"x-org": "hospital"}, trust_env=False
        ) as http:
            follower = AsyncFollower(http, wanted=ISSUED)
            async for event in follower:
                found.append(number(event))
                if len(found) == 40:
                    world.bills(41, 3)
                if len(found) == 43:
                    follower.stop()
        return found

    limits = StreamLimits(life_seconds=1)
    with Worker(world, tmp_path / "hooks", limits=limits) as worker:
        assert asyncio.run(follow(worker.url)) == list(range(1, 44))


def test_the_cursor_moves_where_nothing_is_told(world: Followed, tmp_path: Path) -> None:
    limits = StreamLimits(skipped_max=10, heartbeat_seconds=1)
    with (
        Worker(world, tmp_path / "hooks", limits=limits) as worker,
        client(worker.running.port) as http,
    ):
        follower = Follower(http, wanted=Filter(types=["claim.*"]), after=None)
        ended = threading.Thread(target=lambda: list(follower))
        ended.start()
        while follower.cursor is None or follower.cursor < world.published - 1:
            pass
        before = follower.cursor
        world.bills(41, 30)
        while follower.cursor == before:
            pass
        follower.stop()
        ended.join()


def test_what_waiting_does_not_mend_is_raised(world: Followed, tmp_path: Path) -> None:
    with Worker(world, tmp_path / "hooks") as worker:
        with (
            client(worker.running.port) as http,
            pytest.raises(Rejected, match="no key of hospital"),
        ):
            next(iter(Follower(http, auth=_Key(bytes(32)))))
        with httpx2.Client(base_url=worker.url, trust_env=False) as http:
            with pytest.raises(Rejected) as refused:
                next(iter(Follower(http)))
            assert refused.value.reason.value == "web.unsigned"
    with pytest.raises(ValueError, match="claim"):
        Follower(http, wanted=Filter(ids={"claim": "1"}))


class _Key(httpx2.Auth):
    def __init__(self, key: bytes) -> None:
        self._key = key

    def auth_flow(self, request: httpx2.Request) -> Iterator[httpx2.Request]:  # type: ignore[override]  # it is a generator all the same
        request.headers["x-key"] = self._key.hex()
        yield request


# ------------------------------------------------------------------------- servers that lie


def event(index: int) -> Event:
    return Event(
        index=index,
        block=1,
        at="2026-01-05T00:00:00Z",
        tx="0" * 64,
        n=0,
        action="bills.issue/1",
        outcome="accepted",
        about=[About(type="bill.issued", ids={"bill": f"33060126:{index:010d}"})],
    )


def told(index: int, name: int | None = None) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (index if name is None else name, encode(event(index)))


class Liar:
    """Sends each of its answers to one request, in turn, then the last again."""

    def __init__(self, *answers: bytes, status: int = 200) -> None:
        self.answers, self.status = list(answers), status
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["query_string"].decode())
        body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        step = max(7, len(body) // 50)
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        for part in (body[n : n + step] for n in range(0, len(body), step)):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})


def follow(liar: Callable[..., Any], count: int, after: int | None = START) -> list[int]:
    running = Running(liar)
    try:
        with client(running.port) as http:
            found = []
            for each in Follower(http, after=after):
                found.append(each.index)
                if len(found) == count:
                    break
            return found
    finally:
        running.stop()


def test_what_comes_again_is_not_given_again() -> None:
    liar = Liar(told(1) + told(2), told(1) + told(2) + told(3) + told(3) + told(2) + told(4))
    assert follow(liar, 4) == [1, 2, 3, 4]
    assert liar.asked == ["after=-1", "after=2"]


def test_half_a_message_is_none() -> None:
    liar = Liar(told(1) + told(2)[:-1], b": at 9\nid: 1\n\n" + told(2) + told(3))
    assert follow(liar, 3) == [1, 2, 3]
    assert liar.asked == ["after=-1", "after=1"]


@pytest.mark.parametrize(
    "lie",
    [
        told(1, name=2),
        b"data: {}\n\n",
        b"id: 1\ndata: {}\n\n",
        b"id: x\n\n",
        b"id: 1\ndata: " + b"x" * 300_000 + b"\n\n",
        b"x" * 300_000,
        b"id: " + b"9" * 5_000 + b"\n\n",
    ],
)
def test_what_is_no_event_stops_the_reader(lie: bytes) -> None:
    with pytest.raises(WrongAnswer):
        follow(Liar(lie), 1)


def test_the_end_says_why() -> None:
    end = b"event: end\ndata: " + json.dumps({"code": "ledger.key_ended"}).encode() + b"\n\n"
    with pytest.raises(Rejected) as refused:
        follow(Liar(told(1) + end), 9)
    assert refused.value.reason.value == "ledger.key_ended"
    with pytest.raises(Rejected):
        follow(Liar(b"event: end\ndata: nonsense\n\n"), 1)


def test_messages_as_the_standard_has_them() -> None:
    messages, found = Messages(), []
    text = b": comment\r\nid: 1\r\n\r\nevent: a\ndata: x\ndata: y\nretry: 5\nother\n\n\nid: 3"
    for byte in text:
        found += messages.feed(bytes([byte]))
    assert [tuple(each) for each in found] == [("", "", "1"), ("a", "x\ny", None)]
