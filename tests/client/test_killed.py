"""The server is killed under load, again and again: the client carries on by itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

from province import CODE
from world import NUMBERS, World, genesis_file, signer

from tallystick.client.history import History
from tallystick.client.signing import SignedBy
from tallystick.client.submitting import Submitter
from tallystick.client.sync import Client
from tallystick.contracts.bills.records.bills import Bill
from tallystick.durable import write_new
from tallystick.keyring import KeyFile
from tallystick.ledger.ledger import Ledger
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.values import format_instant

KILLS = 2
BILLS = 160


def now() -> int:
    return int(time.time())  # noqa: TID251  # requests are judged by the clock of real processes


@contextmanager
def running(folder: Path, key: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tallystick.cli", "serve", str(folder)]
    options = ["--log-key", str(key), "--listen", f"127.0.0.1:{port}"]
    with ExitStack() as stack:
        while True:  # as whoever restarts services does: the killed one's workers end in a moment
            server = stack.enter_context(
                subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
            )
            stack.callback(server.terminate)
            assert server.stdout is not None
            if server.stdout.readline().startswith("http://"):
                break
            time.sleep(0.2)
        yield server


def test_a_server_that_is_killed_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    world = World(
        tmp_path / "node", genesis=genesis_file(founded_at=format_instant(now() - 5 * 3600))
    )
    world.prepare()
    world.ledger.close()
    world.at = now() - 60
    policy = replace(world.policy(), threshold=0, required=[])
    key = tmp_path / "log.json"
    seed = sha256(b"log").digest()
    public = signer("log").public_key
    write_new(
        key, encode(KeyFile(format="tallystick/key/v1", name="log", public=public, secret=seed))
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    bills = [
        world.transaction("hospital", "bills.issue", world.issue_item(n + 1)) for n in range(BILLS)
    ]
    with ExitStack() as stack:
        history = stack.enter_context(History(tmp_path / "known", policy))
        auth = SignedBy(signer("hospital/key"), now)
        client = stack.enter_context(Client(f"http://127.0.0.1:{port}", auth=auth))
        submitter = stack.enter_context(Submitter(client, history, outbox=tmp_path / "outbox"))
        answers = [submitter.submit(data) for data in bills]
        for kill in range(KILLS):
            with running(tmp_path / "node", key, port) as server:
                done = sum(each.done() for each in answers)
                while sum(each.done() for each in answers) < done + 20:
                    time.sleep(0.01)
                assert done + 20 < BILLS or kill
                os.kill(server.pid, signal.SIGKILL)
        with running(tmp_path / "node", key, port):
            outcomes = [each.result(60).outcomes for each in answers]
    assert outcomes == [("accepted",)] * BILLS
    ledger = Ledger.open(tmp_path / "node", world.rules)
    with ledger.view() as view:
        assert sum(1 for _ in view.scan_slots(Bill, CODE, 1, NUMBERS)) == BILLS
    ledger.close()
