"""Delivery to hooks: in order, signed, tried again for days, none waiting for another.

Beside a ledger's other processes, or in a thread of one. Each hook that has something to be told is
a task of its own with one delivery under way. What a delivery holds is settled before its first try
and written down: so its id stands for the same stretch of the log at each try, after a restart too.
What its events are is read anew each time: a right that ended in between is not told of any more.
See docs/spec/events.md.

Invariant: what was delivered and answered with 2xx is delivered never or seldom again (a crash
between answer and note), what was not is delivered before anything newer; a dead receiver takes
nothing from others but a socket.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tallystick.client.hooks import sign_hook
from tallystick.durable import Locked, take_lock
from tallystick.keyring import KeySigner, generate, load
from tallystick.ledger.events import PAGE_MAX, EventSource, Page, Viewer
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Rejected, TallystickError
from tallystick.protocol.event import Delivery, Event, delivery_id
from tallystick.protocol.keys import Signer
from tallystick.web.hook_store import PAUSED, Hook, HookStore
from tallystick.web.outward import Outward, OutwardRules, Unreached

KEY_FILE = "hooks.key"
BATCH = 100
"""Events of one delivery."""
POLL_SECONDS = 0.5
"""How often hooks are looked at; they change in other processes."""
SKIPPED_MAX = 2_000
"""Entries that are not for a hook until its cursor is written down: reading is cheap."""
READERS = 2
_FINE = 1 << 20

T = TypeVar("T")
_log = logging.getLogger("tallystick.hooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """How long a receiver may be away."""

    first_seconds: int = 5
    longest_seconds: int = 3_600
    give_up_seconds: int = 3 * 86_400
    """After the first try; then the hook pauses."""


def open_key(folder: Path) -> KeySigner:
    """The server's own key for hooks, made at its first start, for its owner alone to read."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / KEY_FILE
    try:
        return load(path)
    except FileNotFoundError:
        try:
            return generate(path, name="hooks")
        except FileExistsError:  # another process was first
            return load(path)


class Deliverer:
    """Delivers to every hook of a store. One at a time, for one event loop."""

    def __init__(
        self,
        store: HookStore,
        source: EventSource,
        signer: Signer,
        outward: Outward,
        *,
        clock: Callable[[], int],
        rules: RetryRules | None = None,
    ) -> None:
        """`clock`: Unix seconds."""
        self._store = store
        self._source = source
        self._signer = signer
        self._outward = outward
        self._clock = clock
        self._rules = rules or RetryRules()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reached: dict[str, int] = {}
        """How far the log was looked at for a hook, beyond its cursor."""
        self._poke = asyncio.Event()
        self._stopping = False
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="tallystick-hooks")

    def wake(self) -> None:
        """There is a new size, or the end is near. In the loop's thread."""
        self._poke.set()

    def stop(self) -> None:
        """Begin nothing more. In the loop's thread."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Deliver until `stop`; what is under way then is broken off, and tried again later."""
        try:
            while not self._stopping:
                self._poke.clear()
                newest = self._source.newest()
                for hook in await self._call(lambda: self._store.due(self._clock())):
                    if hook.id not in self._tasks and self._has_more(hook, newest):
                        self._begin(hook)
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._poke.wait()
                except TimeoutError:
                    continue
        finally:
            for task in list(self._tasks.values()):
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._threads.shutdown(wait=True)

    def _has_more(self, hook: Hook, newest: int) -> bool:
        reached = max(hook.cursor, self._reached.get(hook.id, hook.cursor))
        return hook.through is not None or reached < newest

    def _begin(self, hook: Hook) -> None:
        task = asyncio.get_running_loop().create_task(self._tell(hook))
        self._tasks[hook.id] = task

        def done(finished: asyncio.Task[None]) -> None:
            self._tasks.pop(hook.id, None)
            if not finished.cancelled() and finished.exception() is not None:
                _log.error("hook %s: %r", hook.id, finished.exception())

        task.add_done_callback(done)

    async def _tell(self, hook: Hook) -> None:
        """Everything that there is for a hook, until it fails or nothing is left."""
        now: Hook | None = hook
        while now is not None and not self._stopping:
            try:
                now = await (self._next(now) if now.through is None else self._try(now))
            except Rejected as error:  # its owner may not ask any more
                await self._pause(hook.id, error.reason.value)
                return

    # ------------------------------------------------------------------------ one delivery

    async def _next(self, hook: Hook) -> Hook | None:
        """Settle what the next delivery holds; None when there is nothing to tell."""
        reached = max(hook.cursor, self._reached.get(hook.id, hook.cursor))
        page = await self._read(hook, reached)
        if page.events:
            through = page.reached if len(page.events) <= BATCH else page.events[BATCH - 1].index
            self._reached.pop(hook.id, None)
            return await self._change(hook, replace(hook, cursor=reached, through=through))
        self._reached[hook.id] = page.reached
        if page.reached - hook.cursor >= SKIPPED_MAX:
            moved = await self._change(hook, replace(hook, cursor=page.reached))
            return moved if page.reached < self._source.newest() else None
        return hook if page.reached < self._source.newest() else None

    async def _try(self, hook: Hook) -> Hook | None:
        """Send what is settled; the hook as it is afterwards, or None where it has to wait."""
        through = hook.through if hook.through is not None else hook.cursor
        events = await self._events(hook, through)
        if events is None:
            return None  # soon: a process that has just started knows of no size yet
        if events:
            error = await self._send(hook, through, events)
            if error:
                await self._failed(hook, error)
                return None
        taken = replace(hook, cursor=through, through=None, tries=0, first_at=0, next_at=0, why="")
        return await self._change(hook, taken)

    async def _events(self, hook: Hook, through: int) -> list[Event] | None:
        """All of them, or None while so much is not published: a part is never told."""
        found, reached = list[Event](), hook.cursor
        while reached < through:
            page = await self._read(hook, reached)
            found += [each for each in page.events if each.index <= through]
            if page.reached == reached:
                return None
            reached = page.reached
        return found

    async def _send(self, hook: Hook, through: int, events: list[Event]) -> str:
        """Why it was not taken, or nothing."""
        name = delivery_id(hook.id, hook.cursor, through)
        delivery = Delivery(
            format="tallystick/hook/v1",
            hook=hook.id,
            id=name,
            after=hook.cursor,
            through=through,
            events=events,
        )
        body = encode(delivery)
        headers = sign_hook(self._signer, name, body, self._clock())
        try:
            status = await self._outward.post(hook.url, body, headers)
        except Unreached as error:
            return str(error)
        return "" if 200 <= status < 300 else f"answered {status}"

    async def _failed(self, hook: Hook, error: str) -> None:
        now, rules = self._clock(), self._rules
        first_at = hook.first_at or now
        tried = replace(hook, tries=hook.tries + 1, first_at=first_at, why=error[:200])
        pause = min(rules.first_seconds << min(hook.tries, 20), rules.longest_seconds)
        pause = pause * 3 // 4 + pause * secrets.randbelow(_FINE) // (2 * _FINE)
        tried = replace(tried, next_at=now + max(pause, 1))
        if await self._change(hook, tried) is None or now - first_at < rules.give_up_seconds:
            return
        _log.warning("hook %s of %s is paused: its receiver is away", hook.id, hook.org)
        await self._call(lambda: self._store.bury(tried, error, now))

    async def _pause(self, name: str, why: str) -> None:
        hook = await self._call(lambda: self._store.find(name))
        if hook is not None:
            _log.warning("hook %s of %s is paused: %s", hook.id, hook.org, why)
            await self._change(hook, replace(hook, state=PAUSED, why=why))

    # ------------------------------------------------------------------------------ within

    async def _read(self, hook: Hook, after: int) -> Page:
        viewer = Viewer(hook.org, hook.key)
        return await self._call(lambda: self._source.seen(after, hook.wanted, viewer, PAGE_MAX))

    async def _change(self, was: Hook, now: Hook) -> Hook | None:
        """The hook as changed; None when somebody else changed it first: then that stands."""
        return now if await self._call(lambda: self._store.change(was, now)) else None

    async def _call(self, run: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)


class DeliveryThread:
    """A deliverer with a loop of its own, for processes that have none."""

    def __init__(
        self,
        folder: Path,
        source: EventSource,
        *,
        clock: Callable[[], int],
        outward: OutwardRules | None = None,
        rules: RetryRules | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """`folder`: where hooks and their key lie."""
        self._folder, self._source, self._clock = folder, source, clock
        self._outward, self._rules, self._ca_file = outward or OutwardRules(), rules, ca_file
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deliverer: Deliverer | None = None
        self._started = threading.Event()
        self._closing = threading.Event()
        self.failure: BaseException | None = None
        """Why it delivers nothing: it has ended, or another process still delivers."""
        self._thread = threading.Thread(target=self._main, name="tallystick-hooks", daemon=True)
        self._thread.start()
        self._started.wait()

    def wake(self) -> None:
        """There is a new size. From any thread."""
        if self._loop is not None and self._deliverer is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._deliverer.wake)

    def close(self) -> None:
        """Break off what is under way; it is tried again at the next start."""
        self._closing.set()
        if self._loop is not None and self._deliverer is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._deliverer.stop)
        self._thread.join()

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except (TallystickError, OSError) as error:
            _log.error("hooks are not delivered any more: %s", error)
            self.failure = error
        finally:
            self._started.set()

    async def _run(self) -> None:
        signer = open_key(self._folder)
        lock = await self._lock()
        if lock is None:
            return
        try:
            await self._deliver(signer)
        finally:
            os.close(lock)

    async def _lock(self) -> int | None:
        """Two would tell everything twice; the one before may be about to end: None when we are
        closed first."""
        while not self._closing.is_set():
            try:
                lock = take_lock(self._folder)
            except Locked as error:
                if self.failure is None:
                    _log.warning("hooks are delivered by another process: %s", error)
                self.failure = error
                self._started.set()
                await asyncio.sleep(POLL_SECONDS)
            else:
                self.failure = None
                return lock
        return None

    async def _deliver(self, signer: Signer) -> None:
        with HookStore(self._folder) as store:
            outward = Outward(self._outward, ca_file=self._ca_file)
            self._loop = asyncio.get_running_loop()
            self._deliverer = Deliverer(
                store, self._source, signer, outward, clock=self._clock, rules=self._rules
            )
            self._started.set()
            if self._closing.is_set():
                self._deliverer.stop()
            try:
                await self._deliverer.run()
            finally:
                await outward.close()
