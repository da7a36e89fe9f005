"""What the entries of the API stand on: the ledger read beside its writer, the link, who may what.

Invariant: whoever asks is judged by the ledger as it is at that moment, before anything is read
for them. See docs/spec/http.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tallystick.contracts.kit.context import Reader
from tallystick.contracts.kit.reasons import ReasonText
from tallystick.ledger.beside import Pinned, ReadLedger
from tallystick.ledger.kept import Kept
from tallystick.ledger.proving import Prover
from tallystick.ledger.view import View
from tallystick.protocol.errors import Reason, Rejected
from tallystick.protocol.row import Row
from tallystick.protocol.transaction import Header
from tallystick.protocol.trust import TrustPolicy
from tallystick.web.link import Known, Link
from tallystick.web.reasons import WebReason

if TYPE_CHECKING:
    from starlette.requests import Request

    from tallystick.web.access import Access
    from tallystick.web.callers import Caller

T = TypeVar("T")

WAIT_SECONDS_MAX = 30
"""How long an answer may be waited for; whoever wants longer asks again."""


class Readers(Protocol):
    """Who may read what; each raises `Rejected`, or says why they may, for the holder's log."""

    def row(self, reader: Reader, caller: Caller, row: Row | None, key: str) -> str:
        """A row of the state, or that there is none."""

    def entry(self, reader: Reader, caller: Caller, header: Header, item: Mapping[str, Any]) -> str:
        """An item of a transaction."""

    def transaction(
        self, reader: Reader, caller: Caller, header: Header, items: Iterable[Mapping[str, Any]]
    ) -> str:
        """A whole transaction."""

    def rehearsed(self, reader: Reader, header: Header, item: Mapping[str, Any]) -> bool:
        """Whether its sender may be told why an item of a dry run would be refused."""

    def spans(
        self, reader: Reader, caller: Caller, code: int, first: int, last: int
    ) -> Iterable[tuple[int, int]]:
        """Where in [first, last] the numbers of a code are that it may read, in order; or more."""

    def all(self, reader: Reader, caller: Caller) -> str:
        """Everything: blocks, whole transactions of others."""


Authenticate = Callable[["Request", bytes], "Caller"]
"""Who signed a request with this body; `Rejected` when nobody did."""


@dataclass(slots=True)
class Service:
    """One worker's world."""

    ledger: ReadLedger
    link: Link
    clock: Callable[[], int]
    """Unix seconds."""
    authenticate: Authenticate
    readers: Readers
    policy: TrustPolicy | None = None
    texts: Mapping[Reason, ReasonText] = field(default_factory=dict)
    read_only: str | None = None
    """Of a keeper: where transactions are taken."""
    reads: Callable[[str], list[Access]] = lambda bill: []
    """Who read a bill here, and by which right."""
    _kept: Kept = field(default_factory=Kept)
    _prover: tuple[Pinned, bytes, Prover] | None = None

    @contextmanager
    def view(self) -> Iterator[View]:
        """What may be asked as of now."""
        with self.ledger.view() as view:
            yield view

    async def best(self, index: int, wait: int) -> tuple[int, Known]:
        """The note over entry `index` that meets the policy, waited for at most `wait` seconds."""
        found = await self.until(lambda: self.link.best(index), wait)
        if found is None:
            raise Rejected(WebReason.NOT_YET, f"entry {index} is not under such a checkpoint yet")
        return found

    async def proven(self, index: int, wait: int) -> tuple[Pinned, Known]:
        """The newest moment over entry `index` whose states can be proven, and its note."""

        def covering() -> tuple[Pinned, Known] | None:
            found = self.link.proven()
            return found if found is not None and found[0].size > index else None

        found = await self.until(covering, wait)
        if found is None:
            raise Rejected(WebReason.NOT_YET, "no moment that can be proven covers it yet")
        return found

    def prover(self, moment: Pinned, known: Known) -> Prover:
        """Proves what stands at a moment; for the loop's thread, under the moment's lock."""
        if self._prover is not None and self._prover[:2] == (moment, known.note):
            return self._prover[2]
        made = Prover(moment.view, known.note, self._kept)
        self._kept, self._prover = made.kept, (moment, known.note, made)
        return made

    async def until(self, look: Callable[[], T | None], wait: int) -> T | None:
        """What `look` finds, looked for again at each new note, for `wait` seconds at most."""
        ends = time.monotonic() + min(wait, WAIT_SECONDS_MAX)
        while (found := look()) is None:
            left = ends - time.monotonic()
            if left <= 0 or not await self.link.change(left):
                return look()
        return found
