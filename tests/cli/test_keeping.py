"""Node, keeper and clock by command: each runs in a process, and ends when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from counter import Counter, done, tally

from tallystick.ledger.feed import FeedReader, pack_frame

SECONDS = 20


def keep(counter: Counter, *more: object) -> tuple[object, ...]:
    return (
        *("keep", "--from", counter.ledger / "feed", "--dir", counter.folder / "k"),
        *("--key", counter.key("keeper"), "--json", *more),
    )


def test_a_keeper_catches_up_and_co_signs(counter: Counter) -> None:
    refresh(counter)
    said = done(*keep(counter, "--once")).json
    status = done("status", counter.ledger, "--json").json
    assert said["size"] == status["size"] and said["block"] == status["block"]
    (operator, keeper) = done("status", counter.ledger, "--json").json["keepers"]
    assert keeper["name"] == "k/finance" and keeper["size"] == operator["size"] == status["size"]
    assert "k/finance" in done("status", counter.ledger).out


def test_a_keeper_of_another_network_or_key_does_not_begin(counter: Counter) -> None:
    answer = tally(*keep(counter, "--once", "--network", "00" * 32))
    assert (answer.code, answer.error["code"]) == (1, "cli.false")
    answer = tally(*keep(counter, "--once", "--network", "xyz"))
    assert (answer.code, answer.error["code"]) == (2, "cli.hex")
    wrong = ("--from", counter.ledger / "feed", "--dir", counter.folder / "k2")
    answer = tally("keep", *wrong, "--key", counter.key("finance"), "--once", "--json")
    assert (answer.code, answer.error["code"]) == (1, "keeper.not_keeper")
    gone = ("--from", counter.folder / "gone", "--dir", counter.folder / "k3")
    answer = tally("keep", *gone, "--key", counter.key("keeper"), "--once", "--json")
    assert (answer.code, answer.error["code"]) == (2, "cli.filenotfound")


def test_a_keeper_that_is_lied_to_stops_and_names_the_evidence(counter: Counter) -> None:
    feed = counter.ledger / "feed"
    blocks = list(FeedReader(feed).blocks(0))
    (path,) = (feed / "blocks").iterdir()
    told = blocks[-1]
    lie = type(told)(
        **{name: getattr(told, name) for name in told.__slots__} | {"state": bytes(32)}
    )
    path.write_bytes(b"".join(map(pack_frame, [*blocks[:-1], lie])))
    answer = tally(*keep(counter, "--once"))
    assert (answer.code, answer.error["code"]) == (1, "keeper.contradiction")
    (evidence,) = (counter.folder / "k").glob("evidence-*.json")
    assert str(evidence) in answer.error["detail"]


def test_a_following_keeper_ends_when_told_and_when_its_parent_is_gone(counter: Counter) -> None:
    refresh(counter)
    for word in (counter.ledger / "feed" / "cosigned").iterdir():
        word.unlink()
    command = [sys.executable, "-m", "tallystick.cli", *map(str, keep(counter))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: any((counter.ledger / "feed" / "cosigned").iterdir()))
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
    orphan = os.environ | {"TALLY_PARENT": "1"}
    assert (
        subprocess.run(
            command, stdout=subprocess.DEVNULL, env=orphan, timeout=SECONDS, check=False
        ).returncode
        == 0
    )


def test_a_person_says_that_the_clock_is_right(counter: Counter, tmp_path: Path) -> None:
    assert "is right, you say" in done("clock", "confirm", counter.ledger).out
    assert (counter.ledger / "clock-confirmed").exists()
    assert tally("clock", "confirm", tmp_path / "gone").code == 2


def test_a_node_ends_by_itself_after_some_seconds(counter: Counter) -> None:
    answer = tally("node", counter.ledger, "--log-key", counter.key("log"), "--seconds", 0.1)
    assert answer.code == 0 and "Ctrl-C stops it" in answer.err


def refresh(counter: Counter) -> None:
    """The operator says once more that its newest checkpoint is the newest."""
    done("node", counter.ledger, "--log-key", counter.key("log"), "--seconds", 0.3)


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
