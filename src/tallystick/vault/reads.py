"""The log of reads: who was shown what of a body, or was refused, when and what for.

It is written before the answer is given, so nobody has read what it does not name. Names and paths
are hidden like bodies are; it stays when the body is erased, for its holder to see. See
docs/spec/vault.md.

Invariant: an entry is durable when it is noted, and is never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.vault.files import Files

WHO_LENGTH_MAX = 200
PATHS_MAX = 1_000

SCHEMA = """
    CREATE TABLE IF NOT EXISTS reads (
        id INTEGER PRIMARY KEY, code INTEGER NOT NULL, number INTEGER NOT NULL,
        at INTEGER NOT NULL, entry BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS reads_of ON reads (code, number);
"""

What = Literal["read", "disclosed", "exported", "delivered", "refused", "second_factor", "erased"]
"""Read by whoever has the vault; shown to someone by a right; written out for the holder; sent to
another vault; refused; a try of the second factor; gone."""


class Read(Record, kw_only=True):
    """One look at a body, or one that was refused."""

    at: int
    """Unix seconds."""
    who: Annotated[str, Meta(max_length=WHO_LENGTH_MAX)]
    """An organisation, or whoever used the vault's key; empty where it is no more known."""
    what: What
    why: Annotated[str, Meta(max_length=WHO_LENGTH_MAX)] = ""
    """The purpose; of a refusal its reason."""
    paths: Annotated[list[str], Meta(max_length=PATHS_MAX)] = []
    """Which fields; none: the whole body."""


class ReadLog:
    """The log of one vault."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def note(self, entries: Sequence[tuple[int, int, Read]]) -> None:
        """Write these down durably: code, number, and what happened."""
        if entries:
            with self._files.transaction():
                self.note_within(entries)

    def note_within(self, entries: Sequence[tuple[int, int, Read]]) -> None:
        """The same inside the caller's transaction."""
        hide = self._files.ciphers.hide
        self._files.db.executemany(
            "INSERT INTO reads (code, number, at, entry) VALUES (?, ?, ?, ?)",
            [
                (code, number, read.at, hide(encode(read), _label(code, number, read.at)))
                for code, number, read in entries
            ],
        )

    def of(self, code: int, number: int) -> list[Read]:
        """All entries of a bill, the oldest first."""
        rows = self._files.query(
            "SELECT id, at, entry FROM reads WHERE code = ? AND number = ?", (code, number)
        )
        reveal = self._files.ciphers.reveal
        found = [
            decode(reveal(entry, _label(code, number, at), f"read {row}"), Read)
            for row, at, entry in rows
        ]
        return sorted(found, key=lambda read: read.at)


def _label(code: int, number: int, at: int) -> bytes:
    return encode(["read", code, number, at])
