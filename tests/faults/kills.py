"""kill -9 at random instants under load, and what must be true afterwards.

Invariant: what was acknowledged is there exactly once with the answer that was given; what was
submitted and not answered is there once or not at all. See docs/spec/storage.md.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from faults.ground import KEEPER, Ground, contents, found, log_root, replayed, signer
from faults.processes import kill, start

from tallystick.ledger.doctor import examine
from tallystick.ledger.ledger import Ledger
from tallystick.node import Node, open_keeper, rules
from tallystick.protocol.canonical import decode
from tallystick.protocol.transaction import read_transaction

VICTIM = Path(__file__).with_name("victim.py")
FOUNDED_AGO_SECONDS = 1_000
ALIVE_SECONDS_MAX = 0.6


@dataclass
class Killed:
    """What the rounds saw."""

    kills: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    unanswered_kept: int = 0


class Victims:
    """One network, its keeper's folder, and rounds of starting, killing and checking."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.chance = Random(seed)
        now = int(time.clock_gettime(time.CLOCK_REALTIME))
        self.ground = Ground(seed, founded_at=now - FOUNDED_AGO_SECONDS)
        self.node_folder = found(self.ground, folder / "node")
        self.keeper_folder = folder / "keeper"
        Node.open(self.node_folder, signer("log")).close()
        self.seen = Killed()

    def round(self, *, audit: bool) -> None:
        """Kill a node and a keeper that follows it, then check both."""
        journal = self.folder / f"journal-{self.seen.kills}"
        turn = str(self.seen.kills)
        keeper = start(VICTIM, "keeper", str(self.keeper_folder), str(self.node_folder / "feed"))
        node = start(VICTIM, "node", str(self.node_folder), turn, str(journal))
        time.sleep(self.chance.random() * ALIVE_SECONDS_MAX)
        for each in self.chance.sample([node, keeper], 2):
            kill(each)
        self.seen.kills += 1
        answers, unanswered = self._read(journal)
        self._check_node(answers, unanswered)
        self._check_keeper()
        if audit:
            self.audit()

    def _read(self, journal: Path) -> tuple[dict[bytes, list[Any]], list[bytes]]:
        """What was answered, and what was submitted without an answer; a torn last line is none."""
        answers: dict[bytes, list[Any]] = {}
        unanswered = []
        for path in sorted(journal.parent.glob(f"{journal.name}.*")):
            submitted = b""
            for line in path.read_bytes().split(b"\n")[:-1]:
                if line.startswith(b"T"):
                    submitted = line[1:]
                else:
                    answers[submitted] = decode(line[1:], list[Any])
            if submitted and submitted not in answers:
                unanswered.append(submitted)
        return answers, unanswered

    def _check_node(self, answers: dict[bytes, list[Any]], unanswered: list[bytes]) -> None:
        self.seen.acknowledged += len(answers)
        self.seen.unanswered += len(unanswered)
        with Node.open(self.node_folder, signer("log")) as node:
            with node.view() as view:
                for data, (tx_id, first, *_) in answers.items():
                    header = read_transaction(data, node.network, rules().schemas).header
                    assert view.seen(header.sender, header.idempotency) == (tx_id, first)
                    segment = view.segment(first)
                    assert (segment.first, segment.data) == (first, data)
            for data, told in answers.items():
                again = node.submit(data).result(60)
                assert again.repeated
                given = [again.tx_id, again.first, list(again.outcomes), again.block, again.at]
                assert given == told
            for data in unanswered:
                answer = node.submit(data).result(60)
                self.seen.unanswered_kept += answer.repeated
                assert set(answer.outcomes) == {"accepted"}, "there once, or now for the first time"

    def _check_keeper(self) -> None:
        """The keeper goes on where it was: executes all again and signs no smaller log."""
        with (
            open_keeper(self.keeper_folder, self.node_folder / "feed", signer(KEEPER)) as keeper,
            Ledger.open(self.node_folder, rules()) as ledger,
        ):
            size = keeper.signed[0]
            keeper.step()
            assert keeper.ledger.head == ledger.head
            assert keeper.signed[0] >= size

    def audit(self) -> None:
        """Everything again: the log from its leaves, the ledger from its blocks, the doctor."""
        with Ledger.open(self.node_folder, rules()) as ledger:
            assert log_root(ledger) == ledger.head.root
            kept = [segment.data for segment in _segments(ledger)]
            head = ledger.head
        assert len(set(kept)) == len(kept), "a transaction is there twice"
        again = self.folder / f"again-{self.seen.kills}"
        assert replayed(self.node_folder, again, self.ground.genesis) == head
        assert contents(again) == contents(self.node_folder)
        shutil.rmtree(again)
        for folder in (self.node_folder, self.keeper_folder):
            report = examine(folder, rules())
            assert report.sound, report.findings


def _segments(ledger: Ledger) -> list[Any]:
    with ledger.view() as view:
        return list(view.segments(0, view.head.size))
