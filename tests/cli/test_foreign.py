"""What other people's log software reads and asks, by command.

That such software takes it is tested in tests/foreign/test_c2sp.py. See docs/guides/witness.md.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from counter import Counter, done, tally

from tallystick.cli.foreign import witnesses_of
from tallystick.protocol.checkpoint import parse_note, parse_vkey, verify_cosignature
from tallystick.protocol.tlog_proof import read_tlog_proof, verify_tlog_proof
from tallystick.protocol.trust import read_trust

SECONDS = 20


def vkeys_of(counter: Counter) -> list[dict[str, str]]:
    found: list[dict[str, str]] = done("vkeys", "--trust", counter.trust, "--json").json["vkeys"]
    return found


def test_a_receipt_is_exported_as_a_proof(standing: Counter, tmp_path: Path) -> None:
    receipt, proof = tmp_path / "receipt.json", tmp_path / "bill.tlog-proof"
    done(
        *("receipt", standing.bill(1), "--dir", standing.ledger, "--output", receipt),
        *("--log-key", standing.key("log")),
    )
    done("export-proof", receipt, "--output", proof)
    found = read_tlog_proof(proof.read_bytes())
    policy = read_trust(standing.trust.read_bytes().removesuffix(b"\n"))
    entry, vouched = verify_tlog_proof(policy, found)
    assert entry.outcome == "accepted" and vouched.keepers
    assert done("export-proof", receipt).out.encode() == proof.read_bytes()
    assert tally("export-proof", receipt, "--output", proof).code == 2  # never over another
    answer = tally("export-proof", standing.trust)
    assert (answer.code, str(standing.trust) in answer.err) == (2, True)


def test_the_keys_of_a_policy_are_told_as_verifier_keys(standing: Counter) -> None:
    policy = read_trust(standing.trust.read_bytes().removesuffix(b"\n"))
    found = vkeys_of(standing)
    assert [each["of"] for each in found] == ["log", *["keeper"] * len(policy.keepers)]
    assert parse_vkey(found[0]["vkey"]).key == policy.log_keys[0]
    assert parse_vkey(found[1]["vkey"]).name == found[1]["name"] == policy.keepers[0].name
    lines = done("vkeys", "--trust", standing.trust).out.splitlines()
    assert lines == [f"{each['of']} {each['vkey']}" for each in found]


@contextmanager
def process(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, ended by SIGTERM: it says that it is done."""
    running = subprocess.Popen(
        [sys.executable, "-m", "tallystick.cli", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "400"},
    )
    try:
        yield running
        assert running.poll() is None
        running.send_signal(signal.SIGTERM)
        assert running.wait(SECONDS) == 0
    finally:
        running.kill()
        running.wait()
        assert running.stderr is not None
        running.stderr.close()


def told(running: subprocess.Popen[str], pattern: str) -> str:
    assert running.stderr is not None
    found = re.search(pattern, running.stderr.readline())
    assert found is not None
    return found[1]


def test_a_witness_cosigns_what_a_node_publishes(counter: Counter, tmp_path: Path) -> None:
    key, folder = tmp_path / "w1.json", tmp_path / "w1"
    done("keygen", key, "--name", "witness.example/w1")
    log = vkeys_of(counter)[0]
    watch = ("witness", "--dir", folder, "--key", key, "--log", log["vkey"])
    with process(*watch, "--listen", "127.0.0.1:0") as witness:
        vkey = told(witness, r"witness (\S+)")
        url = told(witness, r"answers at (\S+);")
        assert httpx2.get(f"{url}/add-checkpoint").status_code == 405
        answer = tally(*watch, "--listen", "127.0.0.1:0")
        assert (answer.code, answer.err.splitlines()[0].split(":")[0]) == (4, "cli.locked")
        named = ("--log-key", counter.key("log"))
        with process("node", counter.ledger, *named, "--witness", f"{url}={vkey}"):
            ends = time.monotonic() + SECONDS
            while not list(folder.glob("*.json")):
                assert time.monotonic() < ends
                time.sleep(0.05)
    assert b"witness-state" in next(iter(folder.glob("*.json"))).read_bytes()


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--listen", "8460", "cli.listen"),
        ("--listen", "localhost:http", "cli.listen"),
        ("--listen", "localhost:70000", "cli.listen"),
        ("--log", "example/log", "cli.malformed"),
    ],
)
def test_a_witness_says_what_it_cannot_read(
    tmp_path: Path, standing: Counter, option: str, value: str, code: str
) -> None:
    key = tmp_path / "w1.json"
    done("keygen", key, "--name", "witness.example/w1")
    log = vkeys_of(standing)[0]["vkey"]
    asked = {"--listen": "127.0.0.1:0", "--log": log} | {option: value}
    given = [part for each in asked.items() for part in each]
    answer = tally("witness", "--dir", tmp_path / "w", "--key", key, *given)
    assert (answer.code, answer.err.split(":")[0]) == (2, code)


def test_witnesses_are_named_by_where_and_who(standing: Counter) -> None:
    keeper = vkeys_of(standing)[1]["vkey"]
    assert len(witnesses_of([f"https://w.example/a?b=c={keeper}", f"http://w={keeper}"])) == 2
    assert witnesses_of(None) == []
    for bad, code in (
        (keeper, "cli.witness"),
        (f"w.example={keeper}", "cli.witness"),
        ("http://w.example", "cli.malformed"),
        (f"http://w={vkeys_of(standing)[0]['vkey']}", "cli.malformed"),
    ):
        named = ("--log-key", standing.key("log"), "--witness", bad)
        answer = tally("node", standing.folder / "none", *named)
        assert (answer.code, answer.err.split(":")[0]) == (2, code)


def test_the_notes_of_a_policy_verify_by_its_verifier_keys(standing: Counter) -> None:
    note = parse_note((standing.ledger / "feed" / "checkpoint").read_bytes())
    log = parse_vkey(vkeys_of(standing)[0]["vkey"])
    assert verify_cosignature(note, log.name, log.key)
