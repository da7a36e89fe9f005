"""The log as events: decoded once for all who follow it, each shown what they may see of it.

The newest events lie in memory, in a bounded ring; who is behind reads the log. Nothing is stored:
a cursor is the index of the last entry that was looked at, and any process can go on from it. What
an entry is about is said by its domain's describer, who may see it by its domain's sight.
See docs/spec/events.md.

Invariant: between two cursors every entry is looked at once, in order, and only under a checkpoint
that is published; what a reader may not see can neither be read nor be found by a filter.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from tallystick.contracts.kit.context import Reader
from tallystick.contracts.kit.grants import Authority, codes_cover, is_live, pattern_allows
from tallystick.contracts.kit.keys import KeyRow, find_key
from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.ledger.receipts import read_segment
from tallystick.ledger.records import Segment
from tallystick.ledger.view import View
from tallystick.protocol.canonical import parse, replace
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Malformed, Rejected
from tallystick.protocol.event import About, Event, Filter, matches
from tallystick.protocol.row import row_key
from tallystick.protocol.transaction import signing_bytes, transaction_id
from tallystick.protocol.values import format_instant, parse_instant

RING_MAX = 8_192
"""Events in memory, a kilobyte each: the newest half minute of a province's worst."""
READ_MAX = 1_000
"""Entries that one reading of the log decodes, and what its last transaction has beyond."""
READINGS_KEPT = 4
"""Readings of the log that are kept for whoever is behind and comes back for their rest."""
PAGE_MAX = 500

REFUSED = "item.refused"
"""The type of what a rule said no to: an event for its sender alone."""


class Viewer(NamedTuple):
    """Who looks: a member, and the key by which it asked."""

    org: str
    key: bytes = b""
    """Empty: the member itself, within its own walls."""
    codes: tuple[int, ...] = ()
    """Leading digits of the bill codes that it may ask about, besides what the key says."""
    words: tuple[str, ...] = ()
    """By which grants to read it may ask; none: by those that the key is for."""


@dataclass(frozen=True, slots=True)
class Told:
    """An item that was accepted, as its sender wrote it."""

    network: bytes
    index: int
    sender: str
    action: str
    item: Mapping[str, Any]


Describe = Callable[[Reader, Told], list[About]]
"""What an accepted item did to whom; the reader's moment may be later than the entry."""
Sight = Callable[[Event], Event | None]
"""An accepted event as one viewer may see it, or None."""
MayRead = Callable[[str, int | None], bool]
"""Whether a viewer has a live grant for a word such as ``bills.read``, on a code or on all."""
Visible = Callable[[Reader, str, MayRead], Sight]
"""What an organisation may see of what it and others did: asked anew for each page."""


@dataclass(frozen=True, slots=True)
class DomainEvents:
    """What a domain knows of its events."""

    describe: Describe
    visible: Visible
    types: frozenset[str]
    """Every word that `describe` uses."""
    roles: frozenset[str]
    """Every role that its ids have."""


def combine(domains: Mapping[str, DomainEvents]) -> DomainEvents:
    """The events of several domains, by the first word of their actions."""

    def describe(reader: Reader, told: Told) -> list[About]:
        return domains[told.action.partition(".")[0]].describe(reader, told)

    def visible(reader: Reader, org: str, may_read: MayRead) -> Sight:
        sights: dict[str, Sight] = {}

        def see(event: Event) -> Event | None:
            name = event.action.partition(".")[0]
            if name not in sights:
                sights[name] = domains[name].visible(reader, org, may_read)
            return sights[name](event)

        return see

    every = list(domains.values())
    return DomainEvents(
        describe=describe,
        visible=visible,
        types=frozenset().union(*(each.types for each in every)),
        roles=frozenset().union(*(each.roles for each in every)),
    )


class Page(NamedTuple):
    """Events in order, and up to where the log was looked at."""

    events: list[Event]
    reached: int
    """The cursor to go on from."""


@dataclass(slots=True)
class _Run:
    """All events of a stretch [start, end) of the log."""

    start: int
    end: int
    events: list[Event]

    def has(self, first: int) -> bool:
        return self.start <= first < self.end

    def page(self, first: int, limit: int) -> Page:
        at = bisect_left(self.events, first, key=lambda each: each.index)
        found = self.events[at : at + limit]
        if at + limit < len(self.events):
            return Page(found, found[-1].index)
        return Page(found, self.end - 1)


class EventSource:
    """The events of one ledger, for any number of threads."""

    def __init__(
        self,
        open_view: Callable[[], AbstractContextManager[View]],
        domains: DomainEvents,
        *,
        published: Callable[[], int],
        clock: Callable[[], int],
        ring_max: int = RING_MAX,
    ) -> None:
        """`published`: the size of the newest checkpoint that others may know of; `clock`: Unix
        seconds, by which grants and keys end."""
        self.domains = domains
        self.published = published
        self._open_view = open_view
        self._clock = clock
        self._ring_max = ring_max
        self._ring = _Run(0, 0, [])
        self._behind: deque[_Run] = deque(maxlen=READINGS_KEPT)
        self._lock = threading.Lock()

    def check(self, wanted: Filter) -> None:
        """Refuse a filter that could match nothing: it was mistyped."""
        known = self.domains.types | {REFUSED}
        for n, pattern in enumerate(wanted.types):
            if not any(matches(pattern, each) for each in known):
                raise Malformed(f"there are no events {pattern}", path=f"types/{n}")
        for role in wanted.ids:
            if role not in self.domains.roles:
                raise Malformed(f"no event names a {role}", path=f"ids/{role}")

    def admit(self, viewer: Viewer) -> None:
        """`Rejected` unless its key may ask: see `find_live_key`."""
        with self._open_view() as view:
            find_live_key(view, max(self._clock(), view.head.at), viewer)

    def newest(self) -> int:
        """The cursor of now: nothing that is published lies beyond it."""
        return self.published() - 1

    def after(self, index: int, limit: int = PAGE_MAX) -> Page:
        """The events beyond cursor `index`, at most `limit` of them, none left out."""
        first, size = index + 1, self.published()
        if first >= size:
            return Page([], index)
        with self._lock:
            if first > self._ring.end:
                self._ring = _Run(first, first, [])  # nobody followed for a while
            if self._ring.start <= first:
                if first < self._ring.end:
                    return self._ring.page(first, limit)
                whole = self._extended(size)
                self._ring = self._trimmed(whole)
                return whole.page(first, limit)
            kept = next((run for run in self._behind if run.has(first)), None)
        if kept is None:
            kept = self._read(first, size)
            with self._lock:
                self._behind.append(kept)
        return kept.page(first, limit)

    def seen(self, index: int, wanted: Filter, viewer: Viewer, limit: int = PAGE_MAX) -> Page:
        """The same, of that what `viewer` may see now and wants.

        `Rejected` once its key may ask no more. The filter looks at what is left to see, never at
        what is hidden: else its answers would tell that.
        """
        page = self.after(index, limit)
        hoped = [each for each in page.events if wanted.narrow(each) is not None]
        if not hoped:
            return Page([], page.reached)
        with self._open_view() as view:
            see = self._sight(view, viewer)
            events = []
            for each in hoped:
                seen = see(each)
                narrowed = wanted.narrow(seen) if seen is not None else None
                if narrowed is not None:
                    events.append(narrowed)
        return Page(events, page.reached)

    def _sight(self, view: View, viewer: Viewer) -> Sight:
        now = max(self._clock(), view.head.at)
        key = find_live_key(view, now, viewer)
        sight = self.domains.visible(view, viewer.org, grants_of(view, now, viewer, key))
        scopes = scopes_of(viewer, key)

        def see(event: Event) -> Event | None:
            seen: Event | None = event
            if event.outcome != ACCEPTED:
                seen = event if event.sender == viewer.org else None
            else:
                seen = sight(event)
            if seen is None or not scopes:
                return seen
            return only(seen, [each for each in seen.about if _covered(scopes, each)])

        return see

    def _extended(self, size: int) -> _Run:
        """The ring, and what the log has after it."""
        more = self._read(self._ring.end, size)
        return _Run(self._ring.start, more.end, self._ring.events + more.events)

    def _trimmed(self, whole: _Run) -> _Run:
        """What is oldest makes room, if it is much: it copies."""
        excess = len(whole.events) - self._ring_max
        if excess <= self._ring_max // 4:
            return whole
        events = whole.events[excess:]
        return _Run(events[0].index, whole.end, events)

    def _read(self, first: int, size: int) -> _Run:
        """Decode the log from `first` on, in whole transactions."""
        events: list[Event] = []
        with self._open_view() as view:
            start = _transaction_start(view, first)
            end = min(start + READ_MAX, size)
            block, at = 0, ""
            for segment in view.segments(start, end):
                if segment.block != block:
                    block, at = segment.block, format_instant(view.time_of(segment))
                events += self._decode(view, segment, at)
                end = max(end, events[-1].index + 1)
        return _Run(start, end, events)

    def _decode(self, view: View, segment: Segment, at: str) -> list[Event]:
        parts, _, outcomes = read_segment(segment)
        header = parts.header
        tx_id, found = transaction_id(signing_bytes(header)), []
        for n, (data, outcome) in enumerate(zip(parts.items, outcomes, strict=True)):
            about = [About(type=REFUSED)]
            if outcome == ACCEPTED:
                item: Mapping[str, Any] = parse(bytes(data), dict[str, Any])
                told = Told(view.network, segment.first + n, header.sender, header.action, item)
                about = self.domains.describe(view, told)
            found.append(
                Event(
                    index=segment.first + n,
                    block=segment.block,
                    at=at,
                    tx=tx_id,
                    n=n,
                    sender=header.sender,
                    action=header.action,
                    outcome=outcome,
                    about=about,
                )
            )
        return found


def _transaction_start(view: View, first: int) -> int:
    """Where the transaction begins that has entry `first`; of a block's leaf, there."""
    segment = view.segment(first)
    count = len(read_segment(segment)[0].items)
    return segment.first if first < segment.first + count else first


# ------------------------------------------------------------------------------- who looks


def find_live_key(reader: Reader, now: int, viewer: Viewer) -> KeyRow | None:
    """The key by which a viewer asks; `Rejected` when it may ask nothing, or no more."""
    if not viewer.key:
        return None
    row = find_key(reader, viewer.key)
    if row is None or row.org != viewer.org or row.role not in ("operating", "keeper"):
        raise Rejected(LedgerReason.KEY_UNKNOWN, f"no key of {viewer.org}'s", path="key")
    if not row.good or (row.until is not None and now >= parse_instant(row.until)):
        raise Rejected(LedgerReason.KEY_ENDED, path="key")
    return row


def scopes_of(viewer: Viewer, key: KeyRow | None) -> list[list[int]]:
    """The codes that a viewer is bound to, by its key and by itself: an event's must be in each.

    Who is bound to codes is told of nothing that has none.
    """
    bound = [key.codes, [key.block.code] if key.block is not None else []] if key else []
    return [each for each in [*bound, list(viewer.codes)] if each]


def grants_of(reader: Reader, now: int, viewer: Viewer, key: KeyRow | None) -> MayRead:
    """What a viewer may read that does not concern it. A keeper executes all, and may read it."""
    if key is not None and key.role == "keeper":
        return lambda word, code: True
    held = reader.get(row_key(Authority.KIND, viewer.org), Authority)
    live = [
        grant
        for grant in (held.grants if held is not None and held.good else ())
        if is_live(reader, grant, now)
    ]

    @cache
    def may_read(word: str, code: int | None) -> bool:
        allowed = not viewer.words or word in viewer.words
        if not allowed or (key is not None and not _names(key.actions, word)):
            return False
        return any(
            _names(grant.actions, word)
            and (not grant.codes or (code is not None and codes_cover(grant.codes, code)))
            for grant in live
        )

    return may_read


def _names(patterns: Sequence[str], word: str) -> bool:
    return any(pattern_allows(each, word) for each in patterns)


def _covered(scopes: Sequence[list[int]], about: About) -> bool:
    code = about.ids.get("code", "")
    return code.isdigit() and all(codes_cover(codes, int(code)) for codes in scopes)


def only(event: Event, about: list[About]) -> Event | None:
    """The event with these of its parts, or None when there are none."""
    if about == event.about:
        return event
    return replace(event, about=about) if about else None
