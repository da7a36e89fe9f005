"""One request and its answer, as logs and metrics know it: no content, no name, no whole address.

Invariant: nothing here tells one patient, bill or till from another.
See docs/guides/operations.md.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

GONE = 499
"""Status of what was never answered, since its client went away: as nginx counts it."""


@dataclass(slots=True)
class Exchange:
    """Filled by the server, except what only the application knows: `route`, `caller`, `reason`."""

    request_id: str
    method: str
    client: str = ""
    """The address of whoever asks, behind trusted proxies; whole only until it is logged."""
    route: str = ""
    """The template, such as /api/v1/bills/{code}/{number}; empty: no route."""
    caller: str = ""
    """The organisation that asks, or the kind of its key."""
    reason: str = ""
    """The code of the refusal; empty: none."""
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    started: float = 0.0
    seconds: float = 0.0


def exchange_of(scope: MutableMapping[str, Any]) -> Exchange:
    """What a request carries; one of its own where no server of ours stands before it."""
    found = scope.get("exchange")
    if isinstance(found, Exchange):
        return found
    made = Exchange("", str(scope.get("method", "")))
    scope["exchange"] = made
    return made
