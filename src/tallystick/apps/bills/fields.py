"""Which fields of a body a holder allows to be shown, and the commitment to them on the ledger.

A pattern is a path of a body, ``items/3``, or all that lies below a name, ``items/*``. A consent or
a mandate has their digest alone, so that the ledger does not tell what was of interest:

    digest = SHA-256("tallystick/fields/v1\\n" || salt || canonical JSON of the sorted patterns)

Invariant: equal sets of patterns under one salt have one digest, and different ones never.
See docs/spec/presentation.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated

from tallystick.protocol.canonical import Meta, Record, encode, narrow
from tallystick.protocol.errors import Malformed
from tallystick.protocol.values import Nonce, tagged_hash

PATTERNS_MAX = 256
ALWAYS_OPEN = frozenset(
    {
        *("network", "code", "number", "issuer", "type", "issued_at", "kind", "currency", "total"),
        *("relates", "relates/reversal_of", "relates/replaces", "relates/settles"),
    }
)
"""They stand on the record too, so whoever sees it knows them."""

Pattern = Annotated[
    str,
    Meta(pattern=r"\A[a-z][a-z0-9_]{0,39}(/(\*|0|[1-9][0-9]{0,5}|[a-z][a-z0-9_]{0,39}))?\Z"),
]

_CONTEXT = b"tallystick/fields/v1\n"


class Fields(Record):
    """Opens the `fields` of a consent or a mandate."""

    salt: Nonce
    paths: Annotated[list[Pattern], Meta(max_length=PATTERNS_MAX)] = []
    """Ascending, each once."""

    @property
    def digest(self) -> bytes:
        """What the consent says of them."""
        return commit_fields(self.salt, self.paths)


def make_fields(salt: bytes, patterns: Iterable[str]) -> Fields:
    """The opening of these patterns; `Malformed` where one is none, or they are too many."""
    return narrow({"salt": salt, "paths": sorted(dict.fromkeys(patterns))}, Fields)


def commit_fields(salt: bytes, patterns: Iterable[str]) -> bytes:
    """The digest that a consent or a mandate has of what may be shown."""
    fields = make_fields(salt, patterns)
    return tagged_hash(_CONTEXT, fields.salt, encode(fields.paths))


def check_fields(fields: Fields) -> None:
    """Refuse patterns that are not in their one order."""
    if fields.paths != sorted(dict.fromkeys(fields.paths)):
        raise Malformed("the patterns do not ascend, or one stands twice", path="fields/paths")


def covers(patterns: Collection[str], path: str) -> bool:
    """Whether one of the patterns is this path, or has it below its star."""
    name, slash, _ = path.partition("/")
    return path in patterns or (bool(slash) and f"{name}/*" in patterns)
