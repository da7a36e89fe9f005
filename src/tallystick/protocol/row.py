"""Rows of the state: one envelope for every domain.

The contract sets `good`; a verifier reads the envelope without knowing the domain. Numbered things
lie in pages (page.py), the rest in the map (statemap.py); both commit to the bytes of the row.
See docs/spec/state.md.

Invariant: `good` holds only while as-of < `until`; time alone never makes a row good.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, ClassVar

from tallystick.protocol.canonical import Meta, Record, narrow
from tallystick.protocol.values import AMOUNT_MAX, Count, Instant, Nonce, Word, parse_instant

ROW_BYTES_MAX = 8 * 1024
"""A row is read, hashed and shown whole; what grows without bound is many rows, not a long one."""

RowKind = Annotated[str, Meta(pattern=r"\A[a-z]{1,16}\.[a-z_]{1,24}\Z")]
RowId = Annotated[str, Meta(pattern=r"\A[!-~]{1,140}\Z")]
Amounts = dict[Word, Annotated[int, Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]]

_ROW_CONTEXT = b"tallystick/row/v1\n"
_SALT_CONTEXT = b"tallystick/salt/v1\n"


class Row(Record):
    """The envelope. Domains add fields of their own to it."""

    KIND: ClassVar[str] = ""

    kind: RowKind
    id: RowId
    state: Word
    good: bool
    """Whether the thing may be relied on now: the contract's judgement."""
    until: Instant | None = None
    """`good` ends here by ledger time; absent: no end."""
    amounts: Amounts = {}
    entry: Count | None = None
    """Log index of the entry that made the thing: ties a receipt's item to its row."""
    version: Count = 0
    """How often the row was written."""
    salt: Nonce | None = None
    """Hides the row from those who see only its hash; set when the block is sealed."""


def read_envelope(row: dict[str, Any]) -> Row:
    """The envelope of a row of any domain, or `Malformed`; what the domain added is left out."""
    names = Row.__struct_fields__
    envelope = narrow({name: row[name] for name in names if name in row}, Row)
    if envelope.until is not None:
        parse_instant(envelope.until)
    return envelope


def row_key(kind: str, row_id: str) -> str:
    """The key of a row in the map."""
    return f"{kind}/{row_id}"


def row_hash(data: bytes) -> bytes:
    """Hash of a row's canonical bytes."""
    return sha256(_ROW_CONTEXT + data).digest()


def row_salt(writer_item_hash: bytes, key: str) -> bytes:
    """The salt of a row: unknown to whoever has not seen the last writer's item."""
    return sha256(_SALT_CONTEXT + writer_item_hash + key.encode()).digest()[:16]
