"""What is told of the log as it grows: one event an entry, by streams and by hooks alike.

An event says what befell whom by ids alone; whoever may see more asks for more. Which words there
are is a domain's business, which of them a reader sees is decided before anything is sent.
See docs/spec/events.md.

Invariant: the id of an event is its entry's log index, for ever; no event holds more than ids.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.protocol.canonical import Meta, Record, replace
from tallystick.protocol.entry import Outcome
from tallystick.protocol.values import ActionName, Count, Instant, OrgId, TxId, Word

ABOUT_MAX = 128
"""Of one event: an item touches a bounded number of things."""
TYPES_MAX = 64
IDS_MAX = 16
EVENTS_MAX = 500
"""Of one delivery to a hook; one that is not repeated has 100 at most."""
START = -1
"""The cursor before the first entry."""

EventType = Annotated[str, Meta(pattern=r"\A[a-z]{1,20}\.[a-z_]{1,40}\Z")]
"""What befell what: ``bill.issued``."""
Id = Annotated[str, Meta(pattern=r"\A[!-~]{1,200}\Z")]
"""A name or number out of the ledger; no blank, nothing but ASCII."""
TypePattern = Annotated[str, Meta(pattern=r"\A(\*|[a-z]{1,20}\.(\*|[a-z_]{1,40}))\Z")]
"""``bill.issued``, ``bill.*`` or ``*``."""
IdPattern = Annotated[str, Meta(pattern=r"\A[!-)+-~]{0,200}\*?\Z", min_length=1)]
"""An id, or how one begins: ``3306*``."""
HookId = Annotated[str, Meta(pattern=r"\Ah[0-9a-f]{32}\Z")]
DeliveryId = Annotated[
    str, Meta(pattern=r"\Ah[0-9a-f]{32}\.(-1|0|[1-9][0-9]{0,15})\.(0|[1-9][0-9]{0,15})\Z")
]
"""Hook, index after which it begins, index through which it goes; the same at each try."""
Cursor = Annotated[int, Meta(ge=START, le=2**53 - 1)]
"""The index of the last entry that was looked at; what comes next is beyond it."""


class About(Record):
    """One thing that an entry did to something."""

    type: EventType
    ids: dict[Word, Id] = {}
    """By role: ``bill``, ``issuer``, ``code`` and so on."""


class Event(Record):
    """One entry of the log, as one reader may see it."""

    index: Count
    block: Count
    at: Instant
    tx: TxId
    n: Count
    sender: OrgId | None = None
    """None: not for this reader to know."""
    action: ActionName
    outcome: Outcome
    about: Annotated[list[About], Meta(min_length=1, max_length=ABOUT_MAX)]


class Filter(Record):
    """Which events somebody wants; nothing given: all that they may see."""

    types: Annotated[list[TypePattern], Meta(max_length=TYPES_MAX)] = []
    """Any of them."""
    ids: Annotated[dict[Word, IdPattern], Meta(max_length=IDS_MAX)] = {}
    """All of them."""

    def narrow(self, event: Event) -> Event | None:
        """The event with what of it is wanted, or None."""
        if not self.types and not self.ids:
            return event
        about = [each for each in event.about if self._wants(each)]
        if len(about) == len(event.about):
            return event
        return replace(event, about=about) if about else None

    def _wants(self, about: About) -> bool:
        if self.types and not any(matches(each, about.type) for each in self.types):
            return False
        return all(
            name in about.ids and matches(pattern, about.ids[name])
            for name, pattern in self.ids.items()
        )


class Delivery(Record):
    """What is sent to a hook in one request: its events after one index, through another."""

    format: Literal["tallystick/hook/v1"]
    hook: HookId
    id: DeliveryId
    after: Cursor
    through: Count
    """All that the hook is told up to here is in this delivery, or in one before."""
    events: Annotated[list[Event], Meta(min_length=1, max_length=EVENTS_MAX)]


def matches(pattern: str, text: str) -> bool:
    """Whether a text is what a pattern says, or begins so where it ends with a star."""
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern


def delivery_id(hook: str, after: int, through: int) -> str:
    """The `DeliveryId` of a stretch of the log for one hook."""
    return f"{hook}.{after}.{through}"
