"""A node over HTTP, as a keeper follows it: blocks by grant, co-signatures handed in.

Invariant: nothing that comes from there is believed; the keeper executes it again.
See docs/spec/keeper.md.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from tallystick.client import wire
from tallystick.client.failures import Missing, NotYet
from tallystick.client.sync import Client
from tallystick.client.wire import FRAMES_BYTES_MAX, Call
from tallystick.ledger.feed import FRAME_BYTES_MAX, FeedBlock, read_frame
from tallystick.protocol.checkpoint import NOTE_BYTES_MAX
from tallystick.protocol.errors import Damaged, VerificationFailed

ANSWER_BYTES_MAX = FRAMES_BYTES_MAX + FRAME_BYTES_MAX
"""An answer ends with the block that makes it long enough."""


class RemoteSource:
    """Fulfils `keeper.Source`. Its client signs with the keeper's key."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def genesis(self) -> bytes:
        """The founding file."""
        return self._client.run(wire.genesis())

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint, or None."""
        try:
            return self._client.run(wire.checkpoint())
        except (Missing, NotYet):
            return None

    def blocks(self, after: int, size: int | None) -> Iterator[FeedBlock]:
        """The blocks after block `after`, none beyond `size` of the log."""
        if size is None:
            return
        reached = -1
        while reached < size:
            block: FeedBlock | None = None
            file = io.BytesIO(self._client.run(blocks(after, size)))
            file.name = self._client.server.url  # what is wrong with a frame names where it lies
            while (block := read_frame(file)) is not None:
                if block.block != after + 1 or block.size > size:
                    raise Damaged(f"{file.name}: block {block.block} after {after}")
                after, reached = block.block, block.size
                yield block
            if file.tell() == 0 or file.read(1):
                return  # nothing new; or a torn frame, which is asked for again

    def shown(self) -> bytes | None:
        """What this keeper showed last is in its own folder alone."""
        return None

    def show(self, note: bytes) -> None:
        """Hand over a co-signature; who does not know us as a keeper yet does not take it."""
        try:
            self._client.run(cosignature(note))
        except VerificationFailed:
            return


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


def cosignature(note: bytes) -> Call[bytes]:
    """A note with our line."""
    return Call(
        "POST",
        "/api/v1/cosignatures",
        bytes,
        body=note,
        content_type=wire.NOTE,
        answer_bytes_max=NOTE_BYTES_MAX,
    )
