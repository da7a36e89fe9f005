"""A member's receiver of hooks in a soak: verifies what comes, and is dead now and then.

Dead in one of three ways, in turn: it says 503, it says nothing for long, it does not listen.

Invariant: each delivery is verified as the SDK says; what it tells is noted once, in its order.
"""

from __future__ import annotations

import asyncio
from array import array
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from soak.served_plan import HOOKS, Feed, Setting, now

from tallystick.client.aio import AsyncClient
from tallystick.client.hooks import Repeated, verify_hook
from tallystick.client.wire import Call
from tallystick.protocol.canonical import encode, parse

DEAD_SHARE = 0.3
"""Of the time."""
WAYS = ("503", "silent", "gone")
SILENT_SECONDS = 3.0
_HEAD_MAX = 64 * 1024


class Receiver:
    """Asks for the hooks, takes their deliveries."""

    def __init__(
        self,
        setting: Setting,
        clients: Mapping[str, AsyncClient],
        seen: Mapping[str, array[int]],
        fail: Callable[[str], None],
    ) -> None:
        """`seen`: where events' indices are noted, by the name of the hook."""
        self.deliveries = self.repeated = self.turned_away = 0
        self._setting, self._clients, self._seen, self._fail = setting, clients, seen, fail
        self._hooks: dict[str, tuple[Feed, str, bytes, set[str]]] = {}
        """By path: for whom, the hook's id, the server's key, ids that were taken."""
        self._server: asyncio.Server | None = None
        self._way = ""
        self._port = 0
        self._dying: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Listen, ask for the hooks, begin to die now and then."""
        await self._listen()
        for each in HOOKS:
            path = f"/{each.name}"
            body = encode(
                {
                    "url": f"http://127.0.0.1:{self._port}{path}",
                    "types": each.wanted.types,
                    "after": self._setting.begins - 1,
                }
            )
            call = Call(
                "POST", "/api/v1/hooks", lambda d: parse(d, dict[str, Any]), body=body, signed=True
            )
            said = await self._clients[each.org].run(call)
            key = urlsafe_b64decode(said["key"] + "=")
            self._hooks[path] = each, said["id"], key, set()
        self._dying = asyncio.create_task(self._die())

    async def close(self) -> None:
        """For good."""
        await self.live()
        if self._server is not None:
            self._server.close()

    async def live(self) -> None:
        """Die no more."""
        if self._dying is not None:
            self._dying.cancel()
            with suppress(asyncio.CancelledError):
                await self._dying
            self._dying = None
        self._way = ""
        await self._listen()

    async def hurry(self) -> None:
        """Ask that what waits be tried at once, as its owner may."""
        for feed, hook, _, _ in self._hooks.values():
            path = f"/api/v1/hooks/{hook}/retry"
            await self._clients[feed.org].run(Call("POST", path, bytes, body=b"{}", signed=True))

    async def _die(self) -> None:
        every = self._setting.dead_every
        for n in range(1_000_000):
            await asyncio.sleep(every * (1 - DEAD_SHARE))
            self._way = WAYS[n % len(WAYS)]
            if self._way == "gone" and self._server is not None:
                self._server.close()
                self._server = None
            await asyncio.sleep(every * DEAD_SHARE)
            self._way = ""
            await self._listen()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self._port, limit=_HEAD_MAX
            )
            self._port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            path = head[0].split(" ")[1]
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:])
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            status = await self._take(path, headers, body)
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the server was killed in the middle
        finally:
            writer.close()

    async def _take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        if self._way:
            self.turned_away += 1
            if self._way == "silent":
                await asyncio.sleep(SILENT_SECONDS)
            return 503
        feed, hook, key, taken = self._hooks[path]
        try:
            told = verify_hook(headers, body, key=key, hook=hook, clock=now, seen=taken)
        except Repeated:
            self.repeated += 1
            return 200
        except Exception as error:  # of whatever kind: it ends the soak
            self._fail(f"a delivery: {error!r}")
            return 400
        self._seen[feed.name].extend(each.index for each in told.events)
        self.deliveries += 1
        taken.add(told.id)
        return 204
