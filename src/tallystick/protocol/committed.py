"""What became of a transaction that is on the ledger: the answer of an engine, here or far away.

Invariant: it exists only for what is durable. See docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple


class Committed(NamedTuple):
    """What became of a transaction that is on the ledger."""

    tx_id: str
    first: int
    """Log index of its first entry; item n has entry first + n."""
    outcomes: Sequence[str]
    """Of each item: ``accepted`` or a reason."""
    block: int
    at: int
    """Unix seconds of its block."""
    repeated: bool = False
    """It was on the ledger before; this is the old answer."""
    why: Mapping[int, str] = MappingProxyType({})
    """Of refused items, by n: the field at fault and more, for people. Not in an old answer: the
    log has the reasons alone."""
