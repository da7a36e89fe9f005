"""Witnesses are asked for their lines, each on a thread of its own, off everybody's way.

What a witness says is that the log grew; it is no keeper and counts for none. A witness that is
away, slow or hostile costs its own line. See docs/spec/witness.md.

Invariant: nobody waits for a witness, and after `close` no thread of ours reads the ledger.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from tallystick.ledger.ledger import Ledger
from tallystick.protocol import tiles
from tallystick.protocol.errors import TallystickError, VerificationFailed

SIZES_KEPT = 64
PAUSE_SECONDS = 1.0
"""Between two requests to one witness."""
PAUSE_SECONDS_MAX = 60.0
"""After failures the pause doubles up to this."""
CLOSE_SECONDS = 1.0

Prove = Callable[[int], Sequence[bytes]]
AskWitness = Callable[[Prove, bytes], list[str]]
"""Asks one witness: (consistency path from an older size, the note) → its verified lines."""

_log = logging.getLogger("tallystick.witnesses")


class Witnessing:
    """Asks all witnesses of one ledger about the newest checkpoint."""

    def __init__(
        self, ledger: Ledger, asks: Sequence[AskWitness], on_lines: Callable[[int], None]
    ) -> None:
        """`on_lines` is told of each size of which a witness has said something new."""
        self._on_lines = on_lines
        self._ledger = ledger
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._reading = threading.Lock()
        self._closing = threading.Event()
        self._newest: tuple[int, bytes] = (0, b"")
        self._rounds = 0
        self._lines: OrderedDict[int, dict[int, list[str]]] = OrderedDict()
        """By size of the log and number of the witness."""
        self._threads = [
            threading.Thread(
                target=self._run, args=(n, ask), name=f"tallystick-witness-{n}", daemon=True
            )
            for n, ask in enumerate(asks)
        ]

    def start(self) -> None:
        """Ask from now on."""
        for thread in self._threads:
            thread.start()

    def offer(self, size: int, note: bytes) -> None:
        """This is the newest checkpoint now."""
        with self._changed:
            self._newest = (size, note)
            self._rounds += 1
            self._changed.notify_all()

    def lines(self, size: int) -> list[str]:
        """What witnesses said of this size so far."""
        with self._lock:
            return [line for lines in self._lines.get(size, {}).values() for line in lines]

    def close(self) -> None:
        """Ask no more. A request that is under way ends by itself, and its answer is left."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(CLOSE_SECONDS)
        with self._reading:
            pass  # whoever reads the ledger has finished; nobody begins

    def _run(self, number: int, ask: AskWitness) -> None:
        done, pause = 0, PAUSE_SECONDS
        while True:
            with self._changed:
                while self._rounds == done and not self._closing.is_set():
                    self._changed.wait()
                done, (size, note) = self._rounds, self._newest
            if self._closing.is_set():
                return
            try:
                lines = ask(partial(self._prove, size), note)
            except TallystickError as error:
                _log.warning("a witness did not co-sign size %d: %s", size, error)
                pause = min(2 * pause, PAUSE_SECONDS_MAX)
            else:
                pause = PAUSE_SECONDS
                self._take(number, size, lines)
            self._closing.wait(pause)

    def _take(self, number: int, size: int, lines: list[str]) -> None:
        with self._lock:
            self._lines.setdefault(size, {})[number] = lines
            while len(self._lines) > SIZES_KEPT:
                self._lines.popitem(last=False)
        self._on_lines(size)

    def _prove(self, size: int, old_size: int) -> list[bytes]:
        if old_size > size:
            raise VerificationFailed(f"there is no growth from {old_size} to {size} leaves")
        with self._reading:
            if self._closing.is_set():
                raise VerificationFailed("the ledger is being closed")
            with self._ledger.store.snapshot() as snapshot:
                return tiles.consistency_path(snapshot, old_size, size)
