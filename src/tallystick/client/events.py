"""Following what happens on a ledger: reconnects by itself, misses nothing, gives nothing twice.

The cursor is the caller's to keep: store `cursor` with what was made of an event, in one durable
step, and hand it in as `after` at the next start. See docs/spec/events.md.

Invariant: an event is given only with an index beyond that of all before it, whatever a server
sends; after any end of a connection the next begins at the cursor.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple

import httpx2

from tallystick.client.failures import (
    PROBLEM_BYTES_MAX,
    Away,
    ClientReason,
    ServerFailed,
    WrongAnswer,
    failure,
)
from tallystick.protocol.canonical import decode, parse
from tallystick.protocol.errors import Busy, Malformed, Rejected, TallystickError
from tallystick.protocol.event import START, Event, Filter

PATH = "/api/v1/events"
ROLES = frozenset({"issuer", "reimburser", "code", "bill"})
"""What a stream may be narrowed to, beside types."""
MESSAGE_BYTES_MAX = 256 * 1024
INDEX_CHARS_MAX = 16
SILENCE_SECONDS = 45.0
"""Three heartbeats that did not come: the connection is dead."""
CONNECT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.5
PAUSE_SECONDS_MAX = 30.0
_AGAIN = (Busy, Away, ServerFailed)
_FINE = 1 << 30


class Message(NamedTuple):
    """One message of a stream; without data it only moves the cursor."""

    kind: str
    data: str
    id: str | None


class Messages:
    """Reads server-sent events out of bytes as they come."""

    def __init__(self) -> None:
        self._rest = b""
        self._kind, self._data, self._id = "", list[str](), ""
        self._size, self._has_id = 0, False

    def feed(self, part: bytes) -> list[Message]:
        """The messages that `part` completes."""
        found = list[Message]()
        *lines, self._rest = (self._rest + part).split(b"\n")
        self._bound(len(self._rest))
        for line in lines:
            text = line.removesuffix(b"\r").decode("utf-8", "replace")
            if text:
                self._size += len(line)
                self._bound(self._size)
                self._field(*text.partition(": ")[::2])
                continue
            if self._data or self._has_id:
                index = self._id if self._has_id else None
                found.append(Message(self._kind, "\n".join(self._data), index))
            self._kind, self._data, self._size, self._has_id = "", [], 0, False
        return found

    def _field(self, name: str, value: str) -> None:
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id":
            self._id, self._has_id = value, True

    def _bound(self, size: int) -> None:
        if size > MESSAGE_BYTES_MAX:
            raise WrongAnswer(f"a message of more than {MESSAGE_BYTES_MAX} bytes")


class _Following:
    """What both kinds of followers do, but for reading and waiting."""

    def __init__(self, after: int | None, wanted: Filter, auth: httpx2.Auth | None) -> None:
        unknown = sorted(wanted.ids.keys() - ROLES)
        if unknown:
            raise ValueError(f"a stream is not narrowed to one {unknown[0]}; filter what it gives")
        self.cursor = after
        """Up to where all is known; None until the server has said where now is."""
        self._wanted = wanted
        self._auth = auth
        self._pause = FIRST_PAUSE_SECONDS
        self._stopped = False
        self._messages = Messages()

    def stop(self) -> None:
        """Give no more; a follower that waits ends with the next heartbeat, from any thread."""
        self._stopped = True

    def _request(self) -> dict[str, Any]:
        self._messages = Messages()
        query = dict(self._wanted.ids)
        if self._wanted.types:
            query["type"] = ",".join(self._wanted.types)
        headers = {"accept": "text/event-stream", "accept-encoding": "identity"}
        if self.cursor is not None:
            query["after"] = str(self.cursor)
            headers["last-event-id"] = str(self.cursor)
        return {
            "params": query,
            "headers": headers,
            "auth": self._auth,
            "timeout": httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
        }

    def _take(self, part: bytes) -> Iterator[Event]:
        """The new events in some bytes; the cursor is at each when it is given."""
        for message in self._messages.feed(part):
            self._pause = FIRST_PAUSE_SECONDS
            if message.kind == "end":
                raise _ended(message.data)
            index = _index(message.id)
            if message.data:
                event = _event(message.data, index)
                if self.cursor is None or event.index > self.cursor:
                    self.cursor = event.index
                    yield event
            elif self.cursor is None or index > self.cursor:
                self.cursor = index

    def _after(self, error: TallystickError | None) -> float:
        """How long to wait before the next connection; raises what waiting does not mend."""
        if error is not None and not isinstance(error, _AGAIN):
            raise error
        pause = self._pause * (0.5 + secrets.randbelow(_FINE) / _FINE)
        self._pause = min(self._pause * 2, PAUSE_SECONDS_MAX)
        return pause + (error.retry_after_seconds if isinstance(error, Busy) else 0.0)


class Follower(_Following):
    """Iterates over events for ever, or until `stop`. For one thread."""

    def __init__(
        self,
        client: httpx2.Client,
        *,
        after: int | None = START,
        wanted: Filter | None = None,
        auth: httpx2.Auth | None = None,
    ) -> None:
        """`client` knows the server's address. `after`: the stored cursor; -1 the first entry;
        None: from now on."""
        super().__init__(after, wanted or Filter(), auth)
        self._client = client

    def __iter__(self) -> Iterator[Event]:
        while not self._stopped:
            error: TallystickError | None = None
            try:
                yield from self._connection()
            except httpx2.TransportError as trouble:
                error = Away(f"the stream broke: {type(trouble).__name__}")
            except TallystickError as trouble:
                error = trouble
            pause = self._after(error)
            if not self._stopped:
                time.sleep(pause)

    def _connection(self) -> Iterator[Event]:
        with self._client.stream("GET", PATH, **self._request()) as response:
            if response.status_code != 200:
                body = b""
                for part in response.iter_raw():
                    body += part
                    if len(body) > PROBLEM_BYTES_MAX:
                        break
                raise failure(response.status_code, _lower(response.headers), body)
            for part in response.iter_raw():
                if self._stopped:
                    return
                for event in self._take(part):
                    yield event
                    if self._stopped:
                        return


class AsyncFollower(_Following):
    """The same for an event loop."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        *,
        after: int | None = START,
        wanted: Filter | None = None,
        auth: httpx2.Auth | None = None,
    ) -> None:
        """As of `Follower`."""
        super().__init__(after, wanted or Filter(), auth)
        self._client = client

    async def __aiter__(self) -> AsyncIterator[Event]:
        while not self._stopped:
            error: TallystickError | None = None
            try:
                async for event in self._connection():
                    yield event
            except httpx2.TransportError as trouble:
                error = Away(f"the stream broke: {type(trouble).__name__}")
            except TallystickError as trouble:
                error = trouble
            pause = self._after(error)
            if not self._stopped:
                await asyncio.sleep(pause)

    async def _connection(self) -> AsyncIterator[Event]:
        async with self._client.stream("GET", PATH, **self._request()) as response:
            if response.status_code != 200:
                body = b""
                async for part in response.aiter_raw():
                    body += part
                    if len(body) > PROBLEM_BYTES_MAX:
                        break
                raise failure(response.status_code, _lower(response.headers), body)
            async for part in response.aiter_raw():
                if self._stopped:
                    return
                for event in self._take(part):
                    yield event
                    if self._stopped:
                        return


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _index(text: str | None) -> int:
    whole = text is not None and text.isascii() and text.isdigit() and len(text) <= INDEX_CHARS_MAX
    if text is None or not (text == "-1" or whole):
        raise WrongAnswer("a message whose id is no index")
    return int(text)


def _event(data: str, index: int) -> Event:
    try:
        event = decode(data.encode(), Event)
    except Malformed as error:
        raise WrongAnswer(f"what was sent is no event: {error}") from error
    if event.index != index:
        raise WrongAnswer(f"event {event.index} under the id {index}")
    return event


def _ended(data: str) -> Rejected:
    """Why the server gives no more, as it says; asking again would not help."""
    try:
        code = parse(data.encode(), dict[str, str]).get("code", "")
    except Malformed:
        code = ""
    return Rejected(ClientReason(code or ClientReason.UNNAMED.value), "the stream was ended")
