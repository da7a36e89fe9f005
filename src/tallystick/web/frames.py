"""What the node's process and those that answer requests say to each other, over a unix socket.

A frame is a head of 13 bytes (length of what follows, kind, number) and its payload. The socket
lies in the ledger's folder and is for its owner alone: who can open it could read the ledger too.
See docs/architecture.md.

Invariant: a frame is at most a transaction and its head; more is a fault of ours, never memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated, NamedTuple

from tallystick.ledger.engine import Committed, Stopped
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import (
    Busy,
    Damaged,
    Malformed,
    Reason,
    Rejected,
    TallystickError,
    VerificationFailed,
)
from tallystick.protocol.transaction import TRANSACTION_BYTES_MAX
from tallystick.protocol.values import Count, TxId

SOCKET = "hub.sock"
_HEAD = struct.Struct(">IBQ")
PAYLOAD_BYTES_MAX = TRANSACTION_BYTES_MAX + 1024


class Kind(IntEnum):
    """What a frame is; the number in its head is explained with each."""

    SUBMIT = 1
    """A verified transaction; the number is the asker's own."""
    COSIGNED = 2
    """A note with a keeper's line; the number is the asker's own."""
    PINNED = 3
    """The moment of this size is held, or (0) none."""
    FIGURES_SENT = 4
    """What a worker has counted, as JSON."""
    READY = 5
    """The worker takes connections."""
    ANSWER = 10
    """A `Told` for SUBMIT, nothing for COSIGNED."""
    FAILED = 11
    """A `Failed`."""
    PIN = 12
    """Hold the moment of now, which has this size."""
    DROP = 13
    """Let go of all moments."""
    NOTE = 14
    """The best note of this size."""
    FIGURES = 15
    """What the node watches, as JSON."""


class Frame(NamedTuple):
    """One message."""

    kind: int
    number: int
    payload: bytes


class Told(Record):
    """What became of a transaction, as the API says it."""

    tx_id: TxId
    first: Count
    """Log index of its first entry; item n has entry first + n."""
    count: Annotated[int, Meta(ge=1)]
    block: Count
    at: Count
    """Unix seconds of its block."""
    repeated: bool = False
    """It was on the ledger before; this is the old answer."""
    refused: dict[str, str] = {}
    """``{n: reason}``; items that are not named were accepted."""
    why: dict[str, str] = {}
    """``{n: field at fault and more}``, for people; not in an old answer."""


class Failed(Record):
    """An expected failure on its way through the socket."""

    name: str
    detail: str = ""
    path: str = ""
    reason: str = ""
    retry_after_milliseconds: Count = 0


def tell(committed: Committed) -> Told:
    """The answer of an engine as a record."""
    return Told(
        tx_id=committed.tx_id,
        first=committed.first,
        count=len(committed.outcomes),
        block=committed.block,
        at=committed.at,
        repeated=committed.repeated,
        refused={str(n): each for n, each in enumerate(committed.outcomes) if each != ACCEPTED},
        why={str(n): why for n, why in committed.why.items()},
    )


_NAMED: dict[str, type[TallystickError]] = {
    kind.__name__: kind for kind in (Malformed, VerificationFailed, Damaged, Stopped)
}


def fail(error: TallystickError) -> Failed:
    """An error as a record."""
    return Failed(
        name=type(error).__name__,
        detail=error.detail,
        path=error.path,
        reason=error.reason.value if isinstance(error, Rejected) else "",
        retry_after_milliseconds=(
            int(error.retry_after_seconds * 1000) if isinstance(error, Busy) else 0
        ),
    )


def failure(failed: Failed, reasons: dict[str, Reason]) -> TallystickError:
    """The error again."""
    if failed.name == Busy.__name__:
        return Busy(failed.retry_after_milliseconds / 1000)
    if failed.reason:
        return Rejected(reasons[failed.reason], failed.detail, path=failed.path)
    kind = _NAMED.get(failed.name, Stopped)
    return kind(failed.detail, path=failed.path)


def pack(kind: Kind, number: int = 0, payload: bytes = b"") -> bytes:
    """A frame's bytes."""
    return _HEAD.pack(len(payload), kind, number) + payload


class Unpacker:
    """Frames out of a stream."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole with `data`; `Malformed` for one that is too long."""
        self._data += data
        at = 0
        while len(self._data) - at >= _HEAD.size:
            length, kind, number = _HEAD.unpack_from(self._data, at)
            if length > PAYLOAD_BYTES_MAX:
                raise Malformed(f"a frame of {length} bytes")
            end = at + _HEAD.size + length
            if len(self._data) < end:
                break
            yield Frame(kind, number, bytes(self._data[at + _HEAD.size : end]))
            at = end
        del self._data[:at]
