"""A process to be killed: a node under load, or a keeper that follows one.

``victim.py node FOLDER ROUND JOURNAL`` issues bills from several threads until it dies; JOURNAL
gets a line before each submission and one after each answer, each in the file before what follows.
``victim.py keeper FOLDER FEED`` follows FEED until it dies.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from pathlib import Path

from faults.ground import HOSPITALS, KEEPER, Ground, signer

from tallystick.node import Node, open_keeper
from tallystick.protocol.canonical import encode

THREADS = 3
NUMBERS_A_THREAD = 20_000


def submit_for_ever(node: Node, ground: Ground, thread: int, start: int, journal: Path) -> None:
    """Batches and singles, one after the other; numbers that no other thread or round has."""
    hospital = HOSPITALS[thread % len(HOSPITALS)]
    with journal.with_suffix(f".{thread}").open("ab", buffering=0) as file:
        while True:
            count = 1 if ground.chance.random() < 0.6 else ground.chance.randrange(2, 40)
            data = ground.issue(hospital, count, node.clock.now(), number=start)
            start += count
            file.write(b"T" + data + b"\n")
            answer = node.submit(data).result(60)
            told = [answer.tx_id, answer.first, list(answer.outcomes), answer.block, answer.at]
            file.write(b"A" + encode(told) + b"\n")


def run_node(folder: str, turn: str, journal: str) -> None:
    node = Node.open(Path(folder), signer("log"))
    for thread in range(THREADS):
        genesis = (node.folder / "genesis.json").read_bytes()
        ground = Ground(int(turn) * THREADS + thread + 1, genesis=genesis)
        start = (int(turn) * THREADS + thread) * NUMBERS_A_THREAD
        threading.Thread(
            target=submit_for_ever,
            args=(node, ground, thread, start, Path(journal)),
            daemon=True,
        ).start()
    print("ready", flush=True)
    while True:
        time.sleep(0.02)
        if node.engine.figures().blocks % 5 == 0:
            node.ledger.store.checkpoint_beside()


def run_keeper(folder: str, feed: str) -> None:
    keeper = open_keeper(Path(folder), Path(feed), signer(KEEPER))
    print("ready", flush=True)
    while True:
        keeper.step()
        time.sleep(0.005)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    if sys.argv[1] == "node":
        run_node(*sys.argv[2:])
    else:
        run_keeper(*sys.argv[2:])
