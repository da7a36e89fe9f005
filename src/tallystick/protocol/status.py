"""The status of a thing in one short document: which entry made it, and its row as it stands.

A receipt without the item: for whoever has the number and asks whether the bill is on the ledger
and good, not what was signed. See docs/spec/status.md.

Invariant: a row that an entry made is never shown without that entry, nor an entry without its row.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.protocol.canonical import Meta, Record, check_plain, decode
from tallystick.protocol.entry import Entry
from tallystick.protocol.errors import Malformed
from tallystick.protocol.receipt import LogPath, StateProof
from tallystick.protocol.values import Count

STATUS_BYTES_MAX = 32 * 1024
"""As of a receipt; a bill's status has some 4 kB."""


class EntryProof(Record):
    """An entry and its place in the log."""

    leaf: Entry
    index: Count
    path: LogPath


class StatusDocument(Record):
    """A state proof, and the inclusion of the entry that made the row."""

    format: Literal["tallystick/status/v1"]
    entry: EntryProof | None = None
    """Absent where there is no row, or one that no entry made."""
    state: StateProof
    checkpoint: Annotated[str, Meta(max_length=16_384)]


def read_status(data: bytes) -> StatusDocument:
    """Read a status document's one encoding; `Malformed` otherwise. Nothing is verified yet."""
    if len(data) > STATUS_BYTES_MAX:
        raise Malformed(f"status has {len(data)} bytes, more than {STATUS_BYTES_MAX}")
    document = decode(data, StatusDocument)
    check_plain(document.state.row)
    return document
