"""A ledger file with one byte changed or its end cut off: right answers, or `Damaged`; no third.

Invariant: each question is asked of the undamaged ledger first, and its answer is the only right
one. See docs/spec/storage.md.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from faults.ground import CODE, Ground, found, make_block, signer

from tallystick.contracts.bills.records.bills import Allotment, Bill
from tallystick.contracts.bills.views.bills import find_allotment
from tallystick.contracts.kit.context import slot_key
from tallystick.ledger.feed import FeedReader, FeedWriter
from tallystick.ledger.ledger import GENESIS_FILE, Ledger
from tallystick.ledger.sqlite import FILE
from tallystick.ledger.start import check_recent
from tallystick.ledger.view import View
from tallystick.node import rules
from tallystick.protocol.canonical import encode
from tallystick.protocol.checkpoint import format_checkpoint, format_note, sign_note
from tallystick.protocol.errors import Damaged
from tallystick.protocol.row import row_key

BLOCKS = 12
Question = Callable[[], Any]


class Wrong(AssertionError):
    """An answer that is not the right one, or an exception that is no diagnosis."""


class Patient:
    """A ledger, its right answers, and what damage makes of them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.ground = Ground(seed)
        self.folder = found(self.ground, folder)
        self.blocks = self.ground.blocks(BLOCKS + 1)
        with Ledger.open(folder, rules()) as ledger:
            for block in self.blocks[:-1]:
                make_block(ledger, block)
            with ledger.store.snapshot() as snapshot:
                writer = FeedWriter(folder / "feed", self.ground.genesis)
                writer.append(snapshot)
                writer.close()
            self.head = ledger.head
        self.files = {
            path: path.read_bytes() for path in (self.folder / FILE, self.folder / GENESIS_FILE)
        }
        self.right = dict(self._answers())
        self._mend()

    def hurt(self, path: Path, data: bytes) -> int:
        """Ask everything of the ledger with this for a file: how many diagnoses there were."""
        path.write_bytes(data)
        diagnoses = 0
        try:
            for name, answer in self._answers():
                if isinstance(answer, Damaged):
                    diagnoses += 1
                    if not any(each.name in str(answer) for each in self.files):
                        raise Wrong(f"{name}: names no file: {answer}")
                elif not self._is_right(name, answer):
                    raise Wrong(f"{name}: {answer!r:.300}, not {self.right[name]!r:.300}")
        finally:
            self._mend()
        return diagnoses

    def _mend(self) -> None:
        for beside in self.folder.glob(f"{FILE}-*"):
            beside.unlink()
        for path, data in self.files.items():
            path.write_bytes(data)

    def _is_right(self, name: str, answer: Any) -> bool:
        """Lists by prefix and keys seen are proven for what they give, not for what they lack."""
        right = self.right[name]
        if name.startswith("scan"):
            return set(answer) <= set(right)
        return bool(answer == right) or (name.startswith("seen") and answer is None)

    def _answers(self) -> Iterator[tuple[str, Any]]:
        with ExitStack() as stack:
            try:
                ledger = stack.enter_context(Ledger.open(self.folder, rules()))
                view = stack.enter_context(ledger.view())
            except Damaged as error:
                yield "open", error
                return
            for name, question in {
                **self._about_rows(view),
                **self._about_log(ledger, view),
                **self._last(ledger),
            }.items():
                try:
                    answer = question()
                except Damaged as error:
                    answer = error
                except Exception as error:
                    raise Wrong(f"{name}: {type(error).__name__}: {error}") from error
                yield name, answer

    def _about_rows(self, view: View) -> dict[str, Question]:
        asked: dict[str, Question] = {}
        for number in (*range(1, 60, 3), 1_000_000_001, 4_000):
            asked[f"slot {number}"] = partial(view.get, slot_key(CODE, number), Bill)
            asked[f"proof {number}"] = partial(_proof, view, number)
        asked["allotment"] = partial(find_allotment, view, CODE, 3, 1)
        asked["nothing"] = partial(find_allotment, view, CODE, 3, 2)
        asked["scan allotments"] = lambda: [encode(one) for one in view.scan(Allotment, f"{CODE}/")]
        asked["scan slots"] = lambda: [encode(one) for one in view.scan_slots(Bill, CODE, 1, 100)]
        return asked

    def _about_log(self, ledger: Ledger, view: View) -> dict[str, Question]:
        asked: dict[str, Question] = {
            "head": lambda: ledger.head,
            "recent": partial(check_recent, ledger),
            "segments": lambda: list(view.segments(0, self.head.size)),
        }
        text = format_checkpoint(ledger.checkpoint)
        note = format_note(text, [sign_note(text, ledger.origin, signer("log"))]).encode()
        for index in range(0, self.head.size, 3):
            asked[f"segment {index}"] = partial(view.segment, index)
            asked[f"receipt {index}"] = partial(_receipt, view, index, note)
        for number in range(1, self.head.block + 1, 2):
            asked[f"block {number}"] = partial(view.block, number)
        for number, (_, transactions) in enumerate(self.blocks):
            header = ledger.check(transactions[0]).header
            asked[f"seen {number}"] = partial(view.seen, header.sender, header.idempotency)
        return asked

    def _last(self, ledger: Ledger) -> dict[str, Question]:
        at, transactions = self.blocks[-1]
        return {
            "dry run": lambda: ledger.dry_run(transactions[0], at),
            "next block": lambda: make_block(ledger, self.blocks[-1]),
        }


def _proof(view: View, number: int) -> bytes:
    key = row_key("bills.bill", f"{CODE}:{number:010d}")
    return encode(view.state_proof(slot_key(CODE, number), key))


def _receipt(view: View, index: int, note: bytes) -> bytes | str:
    try:
        return encode(view.receipt(index, note))
    except LookupError as error:
        return str(error)


def flips(data: bytes, chance: Random, count: int) -> Iterator[tuple[str, bytes]]:
    """The same bytes with one bit or byte changed, mostly where there is something."""
    for _ in range(count):
        at = chance.randrange(len(data))
        for _ in range(8):
            if data[at]:
                break
            at = chance.randrange(len(data))
        other = data[at] ^ (1 << chance.randrange(8)) if chance.random() < 0.7 else None
        value = chance.randrange(256) if other is None else other
        yield f"byte {at}: {data[at]} to {value}", data[:at] + bytes([value]) + data[at + 1 :]


def cuts(data: bytes, chance: Random, count: int) -> Iterator[tuple[str, bytes]]:
    """The same bytes without their end."""
    for _ in range(count):
        end = chance.randrange(len(data))
        yield f"cut at {end}", data[:end]


def read_feed(folder: Path) -> list[Any]:
    """Everything that a feed says."""
    return list(FeedReader(folder).blocks(0))


def read_frames(data: bytes) -> io.BytesIO:
    """A file in memory, with a name as real ones have."""
    file = io.BytesIO(data)
    file.name = "0000000001"
    return file
