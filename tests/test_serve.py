"""A server as its operator sees it: processes that die, stop and start; streams, hooks, the WAL."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
import pytest
from offices import HOSPITAL
from offices import signer as key_of
from served import OTHER, RealCity, now, serving
from serving_processes import Server, alive
from town import CODE, TWO_WORKERS, Town, auth_of, eventually, issue_item, open_town, problem_of

from tallystick.client.events import Follower
from tallystick.client.hooks import Repeated, verify_hook
from tallystick.contracts.bills.records.bills import Bill
from tallystick.engines import embedded
from tallystick.protocol.canonical import encode
from tallystick.protocol.event import Delivery, Filter
from tallystick.verify import Verifier

HOOKS = TWO_WORKERS + "[webhooks]\nprivate_addresses = true\n[metrics]\nport = 0\n"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with open_town(tmp_path_factory.mktemp("town"), toml=HOOKS) as town:
        yield town


def follower(town: Town, who: str, after: int, **wanted: Any) -> Follower:
    http = httpx2.Client(base_url=town.served.url, trust_env=False, timeout=20)
    return Follower(http, after=after, wanted=Filter(**wanted), auth=auth_of(who))


# ------------------------------------------------------------------------- events and hooks


def test_what_happens_is_streamed_and_nothing_is_missed_over_a_break(town: Town) -> None:
    size = int(town.get("finance", "/api/v1/head").json()["size"])
    following = follower(town, HOSPITAL, size - 1, types=["bill.issued"])
    told = town.submit(town.issue(2)).json()
    first = [each.index for each in islice(following, 2)]
    again = follower(town, HOSPITAL, first[0], types=["bill.issued"])
    later = town.submit(town.issue()).json()
    assert [each.index for each in islice(again, 2)] == [told["first"] + 1, later["first"]]
    assert first == [told["first"], told["first"] + 1]


def test_who_may_follow_and_what_is_no_filter(town: Town) -> None:
    path = "/api/v1/events"
    assert town.code(None, path) == (401, "web.unsigned")
    key, shown = town.holder(0)
    assert town.code(key, path, **shown) == (403, "web.forbidden")
    for query in (
        "after=-2",
        "after=x",
        f"type={'x,' * 500}",
        "type=BILL",
        "other=1",
        "after=null",
    ):
        assert town.code(HOSPITAL, f"{path}?{query}") == (400, "web.malformed"), query
    http = httpx2.Client(base_url=town.served.url, trust_env=False, timeout=5)
    with http.stream("GET", path, auth=auth_of(HOSPITAL)) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert next(response.iter_lines()).startswith("retry:")


class Receiver(ThreadingHTTPServer):
    """Takes deliveries, and says no to the first."""

    def __init__(self) -> None:
        self.taken: list[Delivery] = []
        self.tries = 0
        self.named: dict[str, Any] = {"clock": now, "seen": set()}
        super().__init__(("127.0.0.1", 0), _Take)

    def take(self, headers: dict[str, str], body: bytes) -> int:
        self.tries += 1
        if self.tries == 1:
            return 503
        try:
            found = verify_hook(headers, body, **self.named)
        except Repeated:
            return 204
        self.named["seen"].add(found.id)
        self.taken.append(found)
        return 204


class _Take(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.server.take(dict(self.headers), body))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Deliveries are no news."""


def test_a_hook_is_delivered_signed_after_a_failure(town: Town) -> None:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            _hook_round(town, receiver)
        finally:
            receiver.shutdown()
            thread.join()


def _hook_round(town: Town, receiver: Receiver) -> None:
    size = int(town.get("finance", "/api/v1/head").json()["size"])
    url = f"http://127.0.0.1:{receiver.server_port}/in"
    wanted = {"after": size - 1, "types": ["bill.issued"], "url": url}
    assert problem_of(town.ask(None, "POST", "/api/v1/hooks", body=encode(wanted)))[0] == 401
    made = town.ask(HOSPITAL, "POST", "/api/v1/hooks", body=encode(wanted)).json()
    assert town.ask(HOSPITAL, "POST", "/api/v1/hooks", body=encode(wanted)).json() == made
    receiver.named |= {"key": b64decode(made["key"]), "hook": made["id"]}
    one = f"/api/v1/hooks/{made['id']}"
    assert town.code(OTHER, one) == (404, "web.not_found")
    told = town.submit(town.issue(3)).json()
    eventually(lambda: sum(len(each.events) for each in receiver.taken) >= 3)
    indices = [event.index for each in receiver.taken for event in each.events]
    assert indices == [told["first"] + n for n in range(3)] and receiver.tries >= 2
    assert town.get(HOSPITAL, f"{one}/dead").json() == {}
    assert town.ask(OTHER, "DELETE", one).status_code == 404
    assert town.ask(HOSPITAL, "DELETE", one).status_code == 204
    assert town.get(HOSPITAL, "/api/v1/hooks").json() == {}


# ------------------------------------------------------------------------------- processes


def test_a_worker_that_is_killed_is_started_again_and_others_go_on(town: Town) -> None:
    before = list(town.served.workers.pids)
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    answers, ends = list[int](), time.monotonic() + 20
    while time.monotonic() < ends:
        try:
            answers.append(httpx2.get(f"{town.served.url}/checkpoint", trust_env=False).status_code)
        except httpx2.TransportError:
            answers.append(0)  # it was on the killed one's queue
        pids = town.served.workers.pids
        if len(pids) == 2 and before[0] not in pids and town.served._hub.workers == 2:
            break
    assert before[1] in town.served.workers.pids and before[0] not in town.served.workers.pids
    assert answers.count(200) >= len(answers) - 2 and len(answers) > 5
    told = town.submit(town.issue()).json()
    assert town.code(HOSPITAL, f"/api/v1/receipts/{told['first']}?wait=20") == (200, "")
    eventually(lambda: len(town.served.snapshots()) == 2)


def test_the_wal_begins_anew_although_moments_are_held(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers let go of their moments when it must, and prove again a moment later."""
    monkeypatch.setattr(embedded, "WAL_BYTES_SOFT_MAX", 2 * 1024 * 1024)
    sizes, proven = list[int](), Verifier(town.policy)
    ends = time.monotonic() + 12
    with ThreadPoolExecutor(1) as pool:
        while time.monotonic() < ends and not _shrunk(sizes):
            asked = pool.submit(
                lambda: town.get("finance", "/api/v1/rows/members.member/finance?proof=1")
            )
            assert town.submit(town.issue(200)).status_code == 200
            sizes.append(town.city.node.ledger.store.wal_bytes())
            answer = asked.result(20)
            assert answer.status_code in (200, 202), answer.text
    assert _shrunk(sizes), sizes
    answer = town.get("finance", "/api/v1/rows/members.member/finance?proof=1")
    if answer.status_code == 202:
        time.sleep(1.5)
        answer = town.get("finance", "/api/v1/rows/members.member/finance?proof=1")
    proven.state(encode(answer.json()["proof"]))


def _shrunk(sizes: list[int]) -> bool:
    """It grew beyond the bound and later began anew, or was written over from its start."""
    return bool(sizes) and max(sizes) > 2 * 1024 * 1024 and sizes[-1] <= max(sizes) // 2


def test_a_stop_answers_what_is_under_way(tmp_path: Path) -> None:
    """A proof that is waited for, a batch on its way: both are answered, then all ends."""
    with RealCity(tmp_path) as city:
        with serving(city, toml=TWO_WORKERS) as served, ThreadPoolExecutor(4) as pool:
            size = city.node.ledger.head.size
            path = f"{served.url}/api/v1/receipts/{size + 10}?wait=30"
            waiting = pool.submit(
                httpx2.get, path, auth=auth_of("finance"), trust_env=False, timeout=40
            )
            sign = _sign_only(city)
            batches = [sign(9_000 + n) for n in range(40)]
            sent = [
                pool.submit(
                    httpx2.post,
                    f"{served.url}/api/v1/transactions",
                    content=each,
                    headers={"content-type": "application/json"},
                    trust_env=False,
                )
                for each in batches
            ]
            assert sent[0].result(20).status_code == 200
            pids, started = served.workers.pids, time.monotonic()
            served.close()
            assert time.monotonic() - started < 20
            assert not any(alive(pid) for pid in pids)
            assert waiting.result(1).status_code in (202, 404)
            taken = [each for each in sent if not each.exception() and each.result().is_success]
        with city.node.view() as view:
            issued = sum(1 for _ in view.scan_slots(Bill, CODE, 9_000, 9_100))
        assert issued >= len(taken) > 0, "what was answered is there"


def _sign_only(city: RealCity) -> Callable[[int], bytes]:
    def make(number: int) -> bytes:
        item = issue_item(number=number)
        key = key_of(f"{HOSPITAL}/key")
        return city.node.sign(key, HOSPITAL, "bills.issue/1", [item])

    return make


def test_workers_that_start_together_on_a_new_folder_all_come_up(tmp_path: Path) -> None:
    with RealCity(tmp_path) as city, serving(city, toml="[listen]\nworkers = 3\n") as served:
        assert len(served.workers.pids) == 3


def test_when_the_node_is_gone_its_workers_end_and_the_port_is_free(tmp_path: Path) -> None:
    """kill -9 of the node alone: nobody answers for a ledger that nobody writes."""
    with Server.made(tmp_path) as server:
        server.start()
        workers = server.workers()
        assert len(workers) == 2
        assert httpx2.get(f"{server.url}/api/v1/health", trust_env=False).is_success
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not any(alive(pid) for pid in workers), 15)
        with pytest.raises(httpx2.TransportError):
            httpx2.get(f"{server.url}/checkpoint", trust_env=False)
        server.start()
        assert httpx2.get(f"{server.url}/api/v1/network", trust_env=False).status_code == 200
        os.kill(server.pid, signal.SIGTERM)
        assert server.process.wait(20) == 0
        with socket.create_server(("127.0.0.1", server.port)):
            pass  # nobody holds it any more


def test_lines_of_the_log_go_where_the_settings_say(tmp_path: Path) -> None:
    toml = '[logs]\nfile = "requests.jsonl"\n'
    with RealCity(tmp_path / "city") as city:
        with serving(city, toml=toml) as served:
            assert httpx2.get(f"{served.url}/api/v1/network").status_code == 200
        path = city.node.folder / "requests.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert "/api/v1/network" in [each["route"] for each in lines if each["event"] == "request"]
        assert path.stat().st_mode & 0o777 == 0o600
