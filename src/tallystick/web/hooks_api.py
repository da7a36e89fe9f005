"""The API of hooks: a member says where its events go, sees what became of them, and lets go on.

Invariant: a hook is its member's: nobody else learns that it is there. See docs/spec/events.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from starlette.responses import Response

from tallystick.ledger.events import EventSource, Viewer
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.event import (
    IDS_MAX,
    TYPES_MAX,
    Cursor,
    DeliveryId,
    Filter,
    HookId,
    IdPattern,
    TypePattern,
)
from tallystick.protocol.values import Count, Instant, PublicKey, Word, format_instant
from tallystick.web.endpoint import Ask, Endpoint, answer, nothing
from tallystick.web.hook_store import Dead, Hook, HookStore
from tallystick.web.outward import URL_CHARS_MAX, OutwardRules, check_url

PATH = "/api/v1/hooks"


class NewHook(Record):
    """What is asked for."""

    url: Annotated[str, Meta(min_length=1, max_length=URL_CHARS_MAX)]
    types: Annotated[list[TypePattern], Meta(max_length=TYPES_MAX)] = []
    """Any of these; none: all that its member may see."""
    ids: Annotated[dict[Word, IdPattern], Meta(max_length=IDS_MAX)] = {}
    """All of these: ``{"issuer":"city-hospital","code":"3306*"}``."""
    after: Cursor | None = None
    """Index of the last entry that is known; -1: from the first; none: from now on."""


class HookAnswer(Record):
    """A hook as it stands."""

    id: HookId
    url: str
    types: list[str] = []
    ids: dict[str, str] = {}
    key: PublicKey
    """Of the server: verifies what is delivered."""
    state: str
    """``live`` or ``paused``."""
    why: str = ""
    """What went wrong last."""
    cursor: Cursor
    """All up to here was taken, skipped, or not for this hook."""
    waiting: DeliveryId | None = None
    """What was tried and not taken yet."""
    tries: Count = 0
    next_at: Instant | None = None


class Hooks(Record):
    """All hooks of a member."""

    hooks: list[HookAnswer] = []


class DeadLetter(Record):
    """A delivery that was given up; its events are those between its two indices."""

    id: DeliveryId
    after: Cursor
    through: Count
    tries: Count
    first_at: Instant
    died_at: Instant
    why: str
    skipped: bool = False


class DeadLetters(Record):
    """The oldest first."""

    letters: list[DeadLetter] = []


class Resume(Record):
    """How a hook goes on."""

    skip: bool = False
    """After the delivery that was not taken, in place of with it."""


class HooksApi:
    """The entries of the API about hooks."""

    def __init__(
        self,
        store: HookStore,
        source: EventSource,
        viewer: Callable[[Any], Viewer],
        *,
        key: bytes,
        rules: OutwardRules,
        clock: Callable[[], int],
    ) -> None:
        """`viewer`: who an `Ask.caller` is; `Rejected` for who may have no hooks. `key`: the
        server's, that signs deliveries."""
        self._store = store
        self._source = source
        self._viewer = viewer
        self._key = key
        self._rules = rules
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """For the table of the API."""
        one = PATH + "/{id}"
        shown: dict[str, Any] = {"answer": HookAnswer, "tag": "events"}
        made: dict[str, Any] = {"body": NewHook, **shown}
        go_on: dict[str, Any] = {"body": Resume, **shown}
        return [
            Endpoint("POST", PATH, self.add_hook, "Have events sent to an address", **made),
            Endpoint("GET", PATH, self.hooks, "Your hooks", answer=Hooks, tag="events"),
            Endpoint("GET", one, self.hook, "A hook, and how it is doing", **shown),
            Endpoint("DELETE", one, self.remove_hook, "Have no more sent", tag="events"),
            Endpoint(
                "GET",
                one + "/dead",
                self.dead_letters,
                "What was given up",
                answer=DeadLetters,
                tag="events",
            ),
            Endpoint("POST", one + "/retry", self.retry_hook, "Let a hook go on", **go_on),
        ]

    def add_hook(self, ask: Ask) -> Response:
        """Events go to `url` from now on, or from `after` on. The same again is the same hook."""
        new: NewHook = ask.record
        viewer = self._viewer(ask.caller)
        self._source.admit(viewer)
        check_url(new.url, self._rules)
        wanted = Filter(types=new.types, ids=new.ids)
        self._source.check(wanted)
        cursor = self._source.newest() if new.after is None else new.after
        named = viewer.org, viewer.key, new.url, wanted
        hook = self._store.add(*named, cursor=cursor, now=self._clock())
        return answer(self._shown(hook))

    def hooks(self, ask: Ask) -> Response:
        """All of the caller's organisation."""
        found = self._store.of_member(self._viewer(ask.caller).org)
        return answer(Hooks(hooks=[self._shown(each) for each in found]))

    def hook(self, ask: Ask) -> Response:
        """One of the caller's organisation."""
        return answer(self._shown(self._store.get(self._viewer(ask.caller).org, ask.path["id"])))

    def remove_hook(self, ask: Ask) -> Response:
        """What is under way may still come."""
        self._store.remove(self._viewer(ask.caller).org, ask.path["id"])
        return nothing()

    def dead_letters(self, ask: Ask) -> Response:
        """Deliveries that were given up after three days; the events are on the ledger as ever."""
        found = self._store.dead(self._viewer(ask.caller).org, ask.path["id"])
        return answer(DeadLetters(letters=[_letter(each) for each in found]))

    def retry_hook(self, ask: Ask) -> Response:
        """A paused hook goes on, from now by the key that asks for this; a waiting one at once."""
        viewer, skip = self._viewer(ask.caller), ask.record.skip
        self._source.admit(viewer)
        name, now = ask.path["id"], self._clock()
        return answer(self._shown(self._store.resume(viewer.org, viewer.key, name, now, skip=skip)))

    def _shown(self, hook: Hook) -> HookAnswer:
        waiting = None
        if hook.through is not None:
            waiting = f"{hook.id}.{hook.cursor}.{hook.through}"
        return HookAnswer(
            id=hook.id,
            url=hook.url,
            types=list(hook.wanted.types),
            ids=dict(hook.wanted.ids),
            key=self._key,
            state=hook.state,
            why=hook.why,
            cursor=hook.cursor,
            waiting=waiting,
            tries=hook.tries,
            next_at=format_instant(hook.next_at) if hook.next_at else None,
        )


def _letter(dead: Dead) -> DeadLetter:
    return DeadLetter(
        id=dead.id,
        after=dead.after,
        through=dead.through,
        tries=dead.tries,
        first_at=format_instant(dead.first_at),
        died_at=format_instant(dead.died_at),
        why=dead.why,
        skipped=dead.skipped,
    )
