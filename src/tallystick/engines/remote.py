"""A node over HTTP, as a keeper follows it: blocks by grant, co-signatures handed in.

Each question is asked once: who follows decides when to ask again, and says that it waits.

Invariant: nothing that comes from there is believed; the keeper executes it again.
See docs/spec/keeper.md.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence

from tallystick.client import wire
from tallystick.client.failures import Missing, NotYet, WrongAnswer
from tallystick.client.sync import Client
from tallystick.client.wire import FRAMES_BYTES_MAX, Call
from tallystick.ledger.feed import FRAME_BYTES_MAX, FeedBlock, read_frame
from tallystick.protocol.checkpoint import parse_checkpoint, parse_note
from tallystick.protocol.errors import (
    Damaged,
    Malformed,
    Rejected,
    TallystickError,
    VerificationFailed,
)

ANSWER_BYTES_MAX = FRAMES_BYTES_MAX + FRAME_BYTES_MAX
"""An answer ends with the block that makes it long enough."""
ANSWER_SECONDS = 20.0
CLOCK_SECONDS = 3.0
BLOCKS_SECONDS = 600.0
"""For one answer of blocks, over a slow line."""

_log = logging.getLogger("tallystick.keeper")


class RemoteSource:
    """Fulfils `keeper.Source`. Its client signs with the keeper's key."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._refused = ""
        self._genesis: bytes | None = None

    @property
    def url(self) -> str:
        """Whom it asks."""
        return self._client.server.url

    def genesis(self) -> bytes:
        """The founding file."""
        if self._genesis is None:
            self._genesis = self._client.once(wire.genesis(), ANSWER_SECONDS)
        return self._genesis

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint, or None."""
        try:
            data = self._client.once(wire.checkpoint(), ANSWER_SECONDS)
        except (Missing, NotYet):
            return None
        try:
            parse_checkpoint(parse_note(data).text)
        except Malformed as error:
            raise WrongAnswer(f"{self.url} shows no checkpoint: {error}") from error
        return data

    def blocks(self, after: int, size: int | None) -> Iterator[FeedBlock]:
        """The blocks after block `after`, none beyond `size` of the log, of one answer.

        Whoever wants more asks again: it may look about it between two answers.
        """
        if size is None:
            return
        file = io.BytesIO(self._client.once(blocks(after, size), BLOCKS_SECONDS))
        file.name = self.url  # what is wrong with a frame names where it lies
        while (block := _frame(file)) is not None:
            if block.block != after + 1 or block.size > size:
                raise WrongAnswer(f"{self.url}: block {block.block} after {after}")
            after = block.block
            yield block

    def shown(self) -> bytes | None:
        """What this keeper showed last is in its own folder alone."""
        return None

    def show(self, note: bytes) -> None:
        """Hand over a co-signature; who does not know us as a keeper yet does not take it."""
        try:
            self._client.once(wire.cosignature(note), ANSWER_SECONDS)
        except (Rejected, VerificationFailed) as error:
            if str(error) != self._refused:
                _log.warning("%s does not take our co-signature: %s", self.url, error)
            self._refused = str(error)


def clock_of(clients: Sequence[Client]) -> int | None:
    """What keepers' clocks say now, in Unix seconds: of those that answer the middle one."""
    said = list[int]()
    for client in clients:
        try:
            at = client.once(wire.health(), CLOCK_SECONDS).get("clock")
        except TallystickError as error:
            _log.warning("%s does not say what time it is: %s", client.server.url, error)
            continue
        if isinstance(at, int):
            said.append(at)
    return sorted(said)[len(said) // 2] if said else None


def blocks(after: int, size: int) -> Call[bytes]:
    """Whole blocks up to a size of the log, as frames."""
    return Call(
        "GET",
        "/api/v1/feed/blocks",
        bytes,
        (("after", str(after)), ("size", str(size))),
        signed=True,
        answer_bytes_max=ANSWER_BYTES_MAX,
    )


def _frame(file: io.BytesIO) -> FeedBlock | None:
    try:
        return read_frame(file)
    except Damaged as error:
        raise WrongAnswer(str(error)) from error
