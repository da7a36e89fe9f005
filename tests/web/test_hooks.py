"""Hooks over real sockets: at least once, in order, signed; the dead delay nobody."""

from __future__ import annotations

import asyncio
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
from acts import public_key
from followed import Followed
from streamed import HERE, Running, Worker
from world import until

from tallystick.client.hooks import Repeated, verify_hook
from tallystick.contracts.members.actions.keys import AddKey, RevokeKey
from tallystick.contracts.members.records import NewKey
from tallystick.durable import Locked
from tallystick.protocol.canonical import encode
from tallystick.protocol.event import Delivery, Filter
from tallystick.web import hook_store
from tallystick.web.hook_store import HookStore
from tallystick.web.hooks import DeliveryThread, RetryRules, open_key
from tallystick.web.outward import OutwardRules

RULES = RetryRules(first_seconds=1, longest_seconds=8, give_up_seconds=100)


def said(body: dict[str, Any]) -> dict[str, Any]:
    """A body as the API reads them: canonical JSON."""
    return {"content": encode(body), "headers": {"content-type": "application/json"}}


class Receiver:
    """Takes deliveries, as a receiver does who has read the guide; `mood` says how it answers."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.key = b""
        self.hook_id = ""
        self.status: list[int] = []
        """What the next requests are answered, taken or not."""
        self.silent = 0.0
        self.taken: list[Delivery] = []
        self.tries: list[str] = []
        self.seen: set[str] = set()
        self.running = Running(self)

    @property
    def url(self) -> str:
        return f"{self.running.url}/in"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.tries.append(headers["webhook-id"])
        if self.silent:
            await asyncio.sleep(self.silent)
        status = self.status.pop(0) if self.status else 204
        if status < 300:
            named: dict[str, Any] = {"key": self.key, "hook": self.hook_id, "clock": self.clock}
            try:
                self.taken.append(verify_hook(headers, body, seen=self.seen, **named))
                self.seen.add(self.taken[-1].id)
            except Repeated:
                pass
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})

    @property
    def indices(self) -> list[int]:
        return [event.index for each in self.taken for event in each.events]

    def close(self) -> None:
        self.running.stop()


class Site:
    """A worker for the API, a thread that delivers, and receivers."""

    def __init__(self, world: Followed, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.stack = ExitStack()
        self.worker = self.stack.enter_context(Worker(world, folder))
        self.delivering = self.deliver()

    def deliver(self) -> DeliveryThread:
        return DeliveryThread(
            self.folder,
            self.world.source(),
            clock=lambda: self.world.at,
            outward=HERE,
            rules=RULES,
        )

    def restart(self) -> None:
        self.delivering.close()
        self.delivering = self.deliver()

    def receiver(self) -> Receiver:
        made = Receiver(lambda: self.world.at)
        made.key = self.worker.key.public_key
        self.stack.callback(made.close)
        return made

    def hook(self, receiver: Receiver, org: str = "hospital", **fields: Any) -> str:
        with self.worker.client(org) as client:
            body = {"url": receiver.url, "types": ["bill.issued"], **fields}
            answer = client.post("/api/v1/hooks", **said(body))
        assert answer.status_code == 200, answer.text
        receiver.hook_id = answer.json()["id"]
        return receiver.hook_id

    def ask(self, method: str, path: str, org: str = "hospital", **options: Any) -> Any:
        with self.worker.client(org) as client:
            answer = client.request(method, f"/api/v1/hooks{path}", **options)
        return answer.json() if answer.content else answer.status_code

    def close(self) -> None:
        self.delivering.close()
        self.stack.close()

    def due(self, after: int = -1) -> list[int]:
        """Indices of the hospital's issued bills."""
        source, found = self.world.source(), list[int]()
        while after < source.newest():
            page = source.after(after)
            found += [
                each.index
                for each in page.events
                if each.action == "bills.issue/1" and each.sender == "hospital"
            ]
            after = page.reached
        return found


def has_tried(receiver: Receiver, times: int) -> bool:
    return len(receiver.tries) >= times


def has_noted(site: Site, hook: str, tries: int) -> bool:
    return bool(site.ask("GET", f"/{hook}")["tries"] >= tries)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.web.hooks.POLL_SECONDS", 0.02)


@pytest.fixture
def world(tmp_path: Path) -> Followed:
    made = Followed(tmp_path / "ledger")
    made.bills(1, 40, each=20)
    return made


@pytest.fixture
def site(world: Followed, tmp_path: Path) -> Iterator[Site]:
    made = Site(world, tmp_path / "hooks")
    yield made
    made.close()


def test_the_past_and_what_comes_in_order_and_in_small_batches(site: Site) -> None:
    receiver = site.receiver()
    site.hook(receiver, after=-1)
    site.world.bills(41, 350, each=350)
    until(lambda: receiver.indices == site.due())
    assert max(len(each.events) for each in receiver.taken) == 100
    assert all(a.through == b.after for a, b in pairwise(receiver.taken) if b.after >= a.through)
    assert len(receiver.tries) == len(set(receiver.tries))
    shown = site.ask("GET", f"/{receiver.hook_id}")
    assert shown["cursor"] >= receiver.indices[-1]
    assert "waiting" not in shown


def test_from_now_on_unless_it_is_said_otherwise(site: Site) -> None:
    receiver = site.receiver()
    site.hook(receiver)
    site.world.bills(41, 3)
    until(lambda: len(receiver.indices) == 3)
    assert receiver.indices == site.due()[-3:]


def test_what_is_not_taken_comes_again_under_its_id_before_anything_newer(site: Site) -> None:
    receiver = site.receiver()
    receiver.status = [500, 503, 302]
    site.hook(receiver, after=-1)
    until(lambda: len(receiver.tries) == 1)
    site.world.bills(41, 5)
    for tries in (2, 3, 4):
        site.world.at += 10
        until(partial(has_tried, receiver, tries))
    until(lambda: receiver.indices == site.due())
    assert len(set(receiver.tries[:4])) == 1
    assert receiver.taken[0].id == receiver.tries[0]


def test_a_receiver_that_is_away_or_silent_delays_nobody(site: Site) -> None:
    dead, slow, quick = site.receiver(), site.receiver(), site.receiver()
    site.hook(dead, after=-1)
    dead.close()
    slow.silent = 3.0
    site.hook(slow, after=-1)
    site.hook(quick, after=-1)
    until(lambda: len(slow.tries) == 1)
    for number in range(41, 46):
        began = time.monotonic()
        site.world.bills(number, 1)
        site.delivering.wake()
        until(lambda: quick.indices == site.due())
        assert time.monotonic() - began < 2
    assert slow.taken == []
    until(lambda: site.ask("GET", f"/{dead.hook_id}")["tries"] >= 1)
    assert "Connect" in site.ask("GET", f"/{dead.hook_id}")["why"]


def test_restarts_lose_nothing_and_ids_are_stable(site: Site) -> None:
    receiver = site.receiver()
    site.hook(receiver, after=-1)
    receiver.status = [500]
    until(lambda: len(receiver.tries) == 1)
    for start in range(41, 641, 100):  # a stop at any point: before, within, after a request
        site.world.bills(start, 100, each=25)
        site.restart()
        site.world.at += 5
    until(lambda: receiver.indices == site.due())
    ids = dict.fromkeys(receiver.tries)
    assert receiver.tries[0] == receiver.taken[0].id
    assert [each.id for each in receiver.taken] == list(ids)


def test_a_process_that_knows_no_size_yet_tells_nothing_and_forgets_nothing(site: Site) -> None:
    receiver = site.receiver()
    receiver.status = [503]
    site.hook(receiver, after=-1)
    until(partial(has_noted, site, receiver.hook_id, 1))
    size = site.world.published
    site.world.published = 0
    site.restart()
    site.world.at += 10  # what was not taken is due
    time.sleep(0.2)
    site.world.published = size - 3  # a part of it is known again
    time.sleep(0.2)
    assert receiver.taken == []
    site.world.publish()
    until(lambda: receiver.indices == site.due())
    assert receiver.taken[0].id == receiver.tries[0]


def test_a_crash_between_answer_and_note_repeats_the_same_delivery(site: Site) -> None:
    """The file is put back to what it was before the answer came, as after a power cut."""
    receiver = site.receiver()
    receiver.status = [500]
    name = site.hook(receiver, after=-1)
    until(lambda: site.ask("GET", f"/{name}")["tries"] == 1)
    with HookStore(site.folder) as store:
        before = store.get("hospital", name)
    site.world.at += 10
    until(lambda: receiver.indices == site.due())
    site.delivering.close()
    with HookStore(site.folder) as store:
        now = store.get("hospital", name)
        assert store.change(now, replace(before, next_at=0))
    site.delivering = site.deliver()
    until(lambda: len(receiver.tries) == 3)
    assert len(set(receiver.tries)) == 1
    assert receiver.indices == site.due()  # known by its id, so it was not taken twice


def test_after_days_it_is_given_up_and_goes_on_when_its_owner_says_so(site: Site) -> None:
    receiver = site.receiver()
    receiver.status = [500] * 99
    name = site.hook(receiver, after=-1)
    until(lambda: len(receiver.tries) == 1)
    while site.ask("GET", f"/{name}")["state"] == "live":
        tries = len(receiver.tries)
        site.world.at += 10
        until(partial(has_tried, receiver, tries + 1))
        until(partial(has_noted, site, name, tries + 1))
    tries = len(receiver.tries)
    assert tries >= 5
    (letter,) = site.ask("GET", f"/{name}/dead")["letters"]
    assert letter["id"] == receiver.tries[0]
    assert letter["why"] == "answered 500"
    site.world.bills(41, 5)
    site.world.at += 1_000
    time.sleep(0.2)
    assert len(receiver.tries) == tries
    receiver.status = []
    shown = site.ask("POST", f"/{name}/retry", **said({}))
    assert shown["state"] == "live"
    until(lambda: receiver.indices == site.due())
    assert receiver.taken[0].id == receiver.tries[0]
    assert site.ask("GET", f"/{name}/dead") == {}


def test_what_a_receiver_cannot_take_can_be_skipped(site: Site) -> None:
    receiver = site.receiver()
    receiver.status = [400] * 99
    name = site.hook(receiver, after=-1)
    until(lambda: len(receiver.tries) == 1)
    shown = site.ask("GET", f"/{name}")
    receiver.status = []
    site.world.bills(41, 5)
    assert "waiting" not in site.ask("POST", f"/{name}/retry", **said({"skip": True}))
    until(lambda: receiver.indices == site.due()[-5:])
    (letter,) = site.ask("GET", f"/{name}/dead")["letters"]
    assert (letter["id"], letter["skipped"]) == (shown["waiting"], True)


def test_a_right_that_ends_ends_the_events(site: Site) -> None:
    world = site.world
    new = NewKey(key=public_key("second"), actions=["bills.*"])
    world.accept(
        "hospital", "members.add_key", AddKey(nonce=world.nonce(), new=new), key="hospital/root"
    )
    world.publish()
    receiver = site.receiver()
    with site.worker.client("hospital", new.key) as client:
        body = {"url": receiver.url, "types": ["bill.issued"]}
        receiver.hook_id = client.post("/api/v1/hooks", **said(body)).json()["id"]
    world.bills(41, 2)
    until(lambda: len(receiver.indices) == 2)
    revoke = RevokeKey(nonce=world.nonce(), key=new.key, reason="replaced")
    world.accept("hospital", "members.revoke_key", revoke, key="hospital/root")
    world.bills(43, 2)
    until(lambda: site.ask("GET", f"/{receiver.hook_id}")["state"] == "paused")
    assert site.ask("GET", f"/{receiver.hook_id}")["why"] == "ledger.key_ended"
    assert len(receiver.indices) == 2
    with site.worker.client("hospital", public_key("hospital/key")) as client:
        assert client.post(f"/api/v1/hooks/{receiver.hook_id}/retry", **said({})).status_code == 200
    until(lambda: len(receiver.indices) == 4)


def test_each_is_told_what_it_may_see(site: Site) -> None:
    owner, issuer = site.receiver(), site.receiver()
    site.hook(owner, "insurer", types=["claim.*"], ids={"reimburser": "insurer"})
    site.hook(issuer, "hospital", types=["claim.*"])
    site.world.settled(5)
    until(lambda: len(owner.indices) == len(issuer.indices) == 2)
    assert [each.sender for each in owner.taken[0].events] == ["insurer", "insurer"]
    assert "insurer" not in str([each.events for each in issuer.taken])


def test_a_hook_that_is_told_little_keeps_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.web.hooks.SKIPPED_MAX", 50)
    receiver = site.receiver()
    name = site.hook(receiver, "insurer", types=["claim.*"], after=-1)
    site.world.bills(41, 100, each=50)
    until(lambda: site.ask("GET", f"/{name}", "insurer")["cursor"] >= site.world.published - 60)
    assert receiver.tries == []


# ------------------------------------------------------------------------------------ the API


def test_a_hook_is_its_members(site: Site) -> None:
    receiver = site.receiver()
    name = site.hook(receiver)
    assert site.hook(receiver) == name  # the same again is the same
    other = site.hook(receiver, types=["claim.*"])
    assert {each["id"] for each in site.ask("GET", "")["hooks"]} == {name, other}
    assert site.ask("GET", "", "clinic") == {}
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/dead"), ("POST", "/retry")):
        body = said({}) if method == "POST" else {}
        refused = site.ask(method, f"/{name}{path}", "clinic", **body)
        assert refused["code"] == "web.not_found"
    assert site.ask("DELETE", f"/{name}") == 204
    assert site.ask("GET", f"/{name}")["code"] == "web.not_found"
    site.world.bills(41, 2)
    time.sleep(0.2)
    assert receiver.tries == []


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"url": "https://user:word@example.org/"}, "url"),
        ({"url": "gopher://example.org/"}, "url"),
        ({"url": ""}, "url"),
        ({"types": ["bills.issue"]}, "types/0"),
        ({"types": ["*.issued"]}, "types/0"),
        ({"ids": {"patient": "x"}}, "ids/patient"),
        ({"ids": {"code": "3 3"}}, "ids"),
        ({"after": -2}, "after"),
        ({"secret": "x"}, ""),
    ],
)
def test_what_makes_no_sense_is_refused(site: Site, fields: dict[str, Any], path: str) -> None:
    body = {"url": "https://example.org/", **fields}
    refused = site.ask("POST", "", **said(body))
    assert refused["status"] == 400
    assert refused.get("path", "").startswith(path)
    assert site.ask("GET", "") == {}


def test_addresses_within_are_refused_where_the_operator_has_not_allowed_them(
    world: Followed, tmp_path: Path
) -> None:
    with Worker(world, tmp_path / "strict", rules=OutwardRules()) as worker:
        with worker.client("hospital") as client:
            for url in ("http://example.org/", "https://127.0.0.1/", "https://[::1]/"):
                answer = client.post("/api/v1/hooks", **said({"url": url}))
                assert (answer.status_code, answer.json()["path"]) == (400, "url")
            name = client.post("/api/v1/hooks", **said({"url": "https://localhost/", "after": -1}))
        strict = DeliveryThread(tmp_path / "strict", world.source(), clock=lambda: world.at)
        try:
            with HookStore(tmp_path / "strict") as store:
                until(lambda: "not public" in store.get("hospital", name.json()["id"]).why)
        finally:
            strict.close()


def test_hooks_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_store, "HOOKS_EACH_MAX", 2)
    for n in range(2):
        assert "id" in site.ask("POST", "", **said({"url": f"https://example.org/{n}"}))
    refused = site.ask("POST", "", **said({"url": "https://example.org/3"}))
    assert (refused["status"], refused["code"]) == (409, "web.too_many")
    assert "id" in site.ask("POST", "", "clinic", **said({"url": "https://example.org/"}))
    monkeypatch.setattr(hook_store, "HOOKS_MAX", 3)
    assert site.ask("POST", "", "insurer", **said({"url": "https://x.example/"}))["status"] == 409


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    keys: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: keys.append(open_key(tmp_path / "x").public_key))
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(keys) == 4
    assert len(set(keys)) == 1
    for name in ("hooks.key",):
        assert stat.S_IMODE((tmp_path / "x" / name).stat().st_mode) == 0o600


def test_only_one_delivers_and_the_next_when_it_ends(site: Site) -> None:
    second, third = site.deliver(), site.deliver()
    assert isinstance(second.failure, Locked)
    assert site.delivering.failure is None
    third.close()
    site.delivering.close()
    receiver = site.receiver()
    site.hook(receiver, after=-1)
    until(lambda: receiver.indices == site.due())
    assert second.failure is None
    second.close()


def test_letters_that_are_dead_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_store, "DEAD_MAX", 3)
    with HookStore(tmp_path) as store:
        hook = store.add("hospital", b"", "https://x.example/", Filter(), cursor=-1, now=1)
        for through in range(5):
            assert store.change(hook, replace(hook, through=through, why="x" * 500))
            hook = store.resume("hospital", b"", hook.id, 2, skip=True)
        letters = store.dead("hospital", hook.id)
        assert [each.through for each in letters] == [2, 3, 4]
        stale = replace(hook, cursor=0)
        assert not store.change(stale, hook)
        with pytest.raises(ValueError, match="under way"):
            store.bury(hook, "", 1)
        assert not store.bury(replace(hook, through=9), "", 1)
        assert httpx2.URL(store.of_member("hospital")[0].url).host == "x.example"
