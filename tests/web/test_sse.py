"""Streams over real sockets: what is told, who is bounded, and how they end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from acts import public_key
from followed import Followed
from streamed import Worker
from world import until

from tallystick.client.events import Messages
from tallystick.contracts.members.actions.keys import AddKey, RevokeKey
from tallystick.contracts.members.records import NewKey
from tallystick.protocol.canonical import decode
from tallystick.protocol.event import Event
from tallystick.web.sse import StreamLimits

QUICK = StreamLimits(heartbeat_seconds=1, send_seconds=1, skipped_max=20, streams_each=3, streams=5)


@pytest.fixture
def world(tmp_path: Path) -> Followed:
    made = Followed(tmp_path / "ledger")
    made.bills(1, 30, each=10)
    return made


@pytest.fixture
def worker(world: Followed, tmp_path: Path) -> Iterator[Worker]:
    with Worker(world, tmp_path / "hooks", limits=QUICK) as running:
        yield running


class Reading:
    """One stream, read message by message."""

    def __init__(self, worker: Worker, org: str, key: bytes = b"", **query: str | int) -> None:
        headers = {"last-event-id": str(query.pop("last"))} if "last" in query else {}
        self.client = worker.client(org, key)
        self.text = ""
        request = self.client.build_request("GET", "/api/v1/events", params=query, headers=headers)
        self.response = self.client.send(request, stream=True)
        self.parts = self.response.iter_raw()
        self._reading = self._read()

    def _read(self) -> Iterator[tuple[str | None, str]]:
        messages = Messages()
        for part in self.parts:
            self.text += part.decode()
            for each in messages.feed(part):
                yield each.id, each.kind or each.data

    def messages(self) -> Iterator[tuple[str | None, str]]:
        """(id, data) of each that was not asked for before, until the stream ends."""
        return self._reading

    def events(self, count: int) -> list[Event]:
        found: list[Event] = []
        for name, data in self.messages():
            if data.startswith("{"):
                found.append(decode(data.encode(), Event))
                assert name == str(found[-1].index)
            if len(found) == count:
                return found
        raise AssertionError(f"the stream ended after {len(found)} events")

    def ids(self, count: int) -> list[int]:
        return [int(name or "") for name, _ in (next(self.messages()) for _ in range(count))]

    def close(self) -> None:
        self.response.close()
        self.client.close()


def open_streams(worker: Worker) -> int:
    return worker.streams.count


def test_the_past_and_what_comes(world: Followed, worker: Worker) -> None:
    with closing(Reading(worker, "hospital", after=-1, type="bill.issued")) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["cache-control"] == "no-store"
        past = stream.events(30)
        world.bills(31, 20, each=5)
        worker.wake()
        found = past + stream.events(20)
    numbers = [each.about[0].ids["bill"][-4:] for each in found]
    assert numbers == [f"{n:04d}" for n in range(1, 51)]
    until(lambda: open_streams(worker) == 0)


def test_from_now_on_unless_it_is_said_otherwise(world: Followed, worker: Worker) -> None:
    with closing(Reading(worker, "hospital")) as stream:
        assert stream.ids(1) == [world.published - 1]
        world.bills(31, 1)  # nobody wakes it: it looks by itself
        assert stream.events(1)[0].about[0].ids["bill"].endswith("31")


def test_the_last_id_goes_before_the_query(world: Followed, worker: Worker) -> None:
    with closing(Reading(worker, "hospital", after=-1, type="bill.issued")) as stream:
        last = stream.events(12)[-1].index
    named = {"after": "-1", "last": str(last), "type": "bill.issued"}
    with closing(Reading(worker, "hospital", b"", **named)) as stream:
        assert stream.events(1)[0].about[0].ids["bill"].endswith("13")


def test_filters_and_rights(world: Followed, worker: Worker) -> None:
    world.settled(3)
    with closing(Reading(worker, "insurer", after=-1, reimburser="insurer")) as stream:
        assert [each.about[0].type for each in stream.events(2)] == [
            "claim.locked",
            "claim.settled",
        ]
    with closing(Reading(worker, "hospital", after=-1, type="claim.*")) as stream:
        assert [each.sender for each in stream.events(2)] == [None, None]
    with closing(Reading(worker, "hospital", after=-1, reimburser="insurer")) as stream:
        assert not any(data for _, data in (next(stream.messages()) for _ in range(2)))


def test_who_is_told_little_is_told_where_it_is(world: Followed, worker: Worker) -> None:
    with closing(Reading(worker, "clinic", after=-1, type="bill.issued")) as stream:
        start, moved = stream.ids(2)
        assert start == -1
        assert moved >= QUICK.skipped_max
        world.bills(31, 3)
        until(lambda: stream.ids(1)[0] == world.published - 1)
    assert ": at " in stream.text


def test_it_lives_on_when_nothing_happens(world: Followed, worker: Worker) -> None:
    with closing(Reading(worker, "clinic")) as stream:
        stream.ids(1)
        assert b": here" in next(stream.parts)
        assert not stream.response.is_closed


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("after=x", "query/after"),
        ("after=-2", "query/after"),
        ("type=bills.issue", "types/0"),
        ("type=,", "types/0"),
        ("code=3*3", "ids"),
        ("patient=x", "query"),
    ],
)
def test_what_makes_no_sense_is_refused(worker: Worker, query: str, path: str) -> None:
    with worker.client("hospital") as client:
        answer = client.get(f"/api/v1/events?{query}")
    assert answer.status_code == 400
    assert answer.json()["path"].startswith(path)


def test_a_last_id_that_is_none_is_refused(worker: Worker) -> None:
    with worker.client("hospital") as client:
        for text in ("1e3", "-2", "٣", "1" * 17):
            headers = [(b"last-event-id", text.encode())]
            assert client.get("/api/v1/events", headers=headers).status_code == 400
        assert client.head("/api/v1/events").status_code == 200
    with httpx2.Client(base_url=worker.url, trust_env=False) as stranger:
        assert stranger.get("/api/v1/events").status_code == 401


def test_streams_are_bounded_for_one_and_for_all(worker: Worker) -> None:
    held = [Reading(worker, "hospital") for _ in range(3)]
    for org, count in (("hospital", 0), ("clinic", 2), ("insurer", 0)):
        held += [Reading(worker, org) for _ in range(count)]
        with worker.client(org) as client:
            answer = client.get("/api/v1/events")
        assert (answer.status_code, answer.json()["code"]) == (503, "web.busy")
        assert int(answer.headers["retry-after"]) >= 1
    for each in held:
        each.close()
    until(lambda: open_streams(worker) == 0)
    Reading(worker, "insurer").close()


def test_a_key_that_ends_ends_its_streams(world: Followed, worker: Worker) -> None:
    new = NewKey(key=public_key("second"), actions=["*"])
    world.accept(
        "hospital", "members.add_key", AddKey(nonce=world.nonce(), new=new), key="hospital/root"
    )
    world.publish()
    with closing(Reading(worker, "hospital", public_key("second"))) as stream:
        world.bills(31, 1)
        assert stream.events(1)
        revoke = RevokeKey(nonce=world.nonce(), key=new.key, reason="lost")
        world.accept("hospital", "members.revoke_key", revoke, key="hospital/root")
        world.bills(32, 1)
        rest = list(stream.messages())
    assert rest[-1] == (None, "end")
    assert '{"code":"ledger.key_ended"}' in stream.text
    with worker.client("hospital", public_key("second")) as client:
        assert client.get("/api/v1/events").json()["code"] == "ledger.key_ended"


def test_who_follows_by_a_pass_asks_again_soon(world: Followed, tmp_path: Path) -> None:
    """Its key is looked at with each page; that the pass was ended is found at the next request."""
    limits = StreamLimits(life_seconds=30, pass_life_seconds=1)
    with (
        Worker(world, tmp_path / "hooks", limits=limits) as worker,
        worker.client("hospital") as client,
    ):
        began = time.monotonic()
        answer = client.get("/api/v1/events", headers={"x-pass": "01" * 16})
        assert answer.text.endswith(": again\n\n") and time.monotonic() - began < 10


def test_who_reads_nothing_is_dropped_loses_nothing_and_delays_nobody(
    world: Followed, worker: Worker
) -> None:
    for each in worker.running.sockets:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.connect(("127.0.0.1", worker.running.port))
        asked = b"GET /api/v1/events?after=-1 HTTP/1.1\r\nhost: x\r\nx-org: finance\r\n\r\n"
        slow.sendall(asked)
        until(lambda: open_streams(worker) == 1)
        with closing(Reading(worker, "hospital", type="bill.issued")) as quick:
            for start in range(31, 931, 300):
                world.bills(start, 300, each=300)
            assert len(quick.events(900)) == 900
            until(lambda: open_streams(worker) == 1)
        got = b""
        while part := slow.recv(65_536):
            got += part
    lines = [line for line in got.split(b"\n") if line.startswith(b"id: ")]
    last = int(lines[-2].removeprefix(b"id: "))  # of the very last the data may be cut
    due = [index for index, _, _ in world.entries() if index > last]
    assert due
    with closing(Reading(worker, "finance", last=last)) as again:
        assert [each.index for each in again.events(len(due))] == due


def test_a_stop_ends_streams_and_the_next_worker_goes_on(world: Followed, tmp_path: Path) -> None:
    worker = Worker(world, tmp_path / "a")
    with closing(Reading(worker, "hospital", after=-1, type="bill.issued")) as stream:
        last = stream.events(30)[-1].index
        began = time.monotonic()
        worker.close()
        assert time.monotonic() - began < 1.5
        assert list(stream.messages()) == []
        assert stream.text.endswith(": again\n\n")
    with Worker(world, tmp_path / "b") as other:
        world.bills(31, 2)
        with closing(Reading(other, "hospital", last=last)) as stream:
            assert [each.about[0].ids["bill"][-2:] for each in stream.events(2)] == ["31", "32"]
