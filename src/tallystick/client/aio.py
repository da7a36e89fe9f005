"""The client for asyncio: the same as `sync.Client`, call for call.

    async with AsyncClient("https://ledger.example") as client:
        note = await client.run(wire.checkpoint())

Invariant: nothing that it returns is verified yet, but for what `follow` was told to verify.
See docs/spec/client.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import httpx2

from tallystick.client.failures import Away
from tallystick.client.patience import Attempts, Patience
from tallystick.client.transport import Body, Trusted, request_keywords, timeout
from tallystick.client.wire import Call, Steps
from tallystick.protocol.errors import TallystickError

T = TypeVar("T")


class AsyncClient:
    """One server, from any number of tasks of one loop. Use as a context."""

    def __init__(
        self,
        server: Trusted | str,
        *,
        auth: httpx2.Auth | None = None,
        patience: Patience | None = None,
        guard: Callable[[], None] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`auth` signs what must be signed; `guard` raises when nothing may be asked any more."""
        self.server = Trusted(server) if isinstance(server, str) else server
        self.patience = patience or Patience()
        self._auth = auth
        self._guard = guard
        self._pause = pause
        self._elapsed = elapsed
        self._http = httpx2.AsyncClient(**self.server.keywords(self.patience))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, call: Call[T], *, deadline_seconds: float | None = None) -> T:
        """The answer to a call, or the failure that it tells of.

        Busy servers, lost connections and proofs that are not ready are asked again, with pauses
        that grow, until the deadline; then `Unanswered` (or `Busy`, `NotYet`) says what to do.
        """
        seconds = self.patience.deadline_seconds if deadline_seconds is None else deadline_seconds
        until = self._elapsed() + seconds
        attempts = Attempts(call, self.server.url, until, seconds)
        while True:
            if self._guard is not None:
                self._guard()
            try:
                return await self.once(call, attempts.left(self._elapsed()))
            except TallystickError as error:
                pause = attempts.pause_after(error, self._elapsed())
            await self._pause(pause)

    async def once(self, call: Call[T], seconds: float) -> T:
        """One attempt, within so many seconds."""
        until = self._elapsed() + seconds
        try:
            request = self._http.build_request(
                call.method,
                call.path,
                timeout=timeout(self.patience, call.wait_seconds, seconds),
                **request_keywords(call, self._auth),
            )
            auth = self._auth if call.signed else None
            response = await self._http.send(request, auth=auth, stream=True)
            try:
                headers = {name.lower(): value for name, value in response.headers.items()}
                data = await self._read(call, response, headers, until)
            finally:
                await response.aclose()
        except httpx2.TransportError as error:
            raise Away(f"{type(error).__name__}: {error}") from error
        return call.read(response.status_code, headers, data)

    async def follow(self, steps: Steps[T]) -> T:
        """Run a procedure of several calls."""
        try:
            call = next(steps)
            while True:
                call = steps.send(await self.run(call))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _read(
        self, call: Call[Any], response: httpx2.Response, headers: dict[str, str], until: float
    ) -> bytes:
        body = Body(call, headers)
        async for part in response.aiter_raw():
            body.add(part)
            if self._elapsed() > until:
                raise Away("the answer came too slowly")
        return body.data
