"""The hooks of members, each with its cursor: one SQLite file beside the ledger, not of it.

Every process that answers requests writes into it, and the one that delivers; what the latter
changes it changes only if the hook is still as it was read, so that a deletion or a skip stands.

Invariant: a hook's cursor moves only over what its receiver has taken, what was not for it, or what
its owner skipped. See docs/spec/events.md.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import apsw

from tallystick.durable import Naming
from tallystick.protocol.canonical import decode, encode
from tallystick.protocol.errors import Damaged, Rejected
from tallystick.protocol.event import Filter, delivery_id
from tallystick.web.reasons import WebReason

FILE = "hooks.db"
HOOKS_MAX = 2_000
HOOKS_EACH_MAX = 16
"""Of one member."""
DEAD_MAX = 100
"""Of one hook; the oldest make room."""
ERROR_CHARS_MAX = 200
BUSY_MILLISECONDS = 5_000
_APPLICATION_ID = 0x7A11_0008

LIVE, PAUSED = "live", "paused"

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS hooks (
        id TEXT PRIMARY KEY, org TEXT NOT NULL, key BLOB NOT NULL, url TEXT NOT NULL,
        wanted BLOB NOT NULL, made_at INTEGER NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL,
        cursor INTEGER NOT NULL, through INTEGER, tries INTEGER NOT NULL,
        first_at INTEGER NOT NULL, next_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS dead (
        hook TEXT NOT NULL, after INTEGER NOT NULL, through INTEGER NOT NULL,
        tries INTEGER NOT NULL, first_at INTEGER NOT NULL, died_at INTEGER NOT NULL,
        why TEXT NOT NULL, skipped INTEGER NOT NULL, PRIMARY KEY (hook, after)
    ) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Hook:
    """One subscription."""

    id: str
    org: str
    key: bytes
    """By which it was asked for: it ends with that, see `ledger.events.key_scope`."""
    url: str
    wanted: Filter
    made_at: int
    state: str
    why: str
    """What went wrong last."""
    cursor: int
    through: int | None
    """Of a delivery that was tried and is not taken yet; it stays the same until it is."""
    tries: int
    first_at: int
    """When it was tried first; all times in Unix seconds."""
    next_at: int


@dataclass(frozen=True, slots=True)
class Dead:
    """A delivery that was given up."""

    hook: str
    after: int
    through: int
    tries: int
    first_at: int
    died_at: int
    why: str
    skipped: bool

    @property
    def id(self) -> str:
        """Under which it was sent each time."""
        return delivery_id(self.hook, self.after, self.through)


class HookStore:
    """The file, for any number of threads."""

    def __init__(self, folder: Path) -> None:
        """Makes it where there is none."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / FILE
        self._naming = Naming(self.path)
        self._lock = threading.Lock()
        with self._naming:
            self._db = apsw.Connection(str(self.path))
            self.path.chmod(0o600)
            self._db.set_busy_timeout(BUSY_MILLISECONDS)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            with self._writing():
                found = self._one("PRAGMA application_id")
                if found not in (0, _APPLICATION_ID):
                    raise Damaged(f"{self.path} is no file of hooks")
                self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                self._db.execute(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -------------------------------------------------------------------------- its owners

    def add(self, org: str, key: bytes, url: str, wanted: Filter, *, cursor: int, now: int) -> Hook:
        """A new hook; the one that is there already where it would be the same."""
        with self._writing():
            for each in self._hooks("WHERE org = ?", org):
                if (each.url, each.wanted) == (url, wanted):
                    return each
            mine = self._one("SELECT count(*) FROM hooks WHERE org = ?", org)
            if mine >= HOOKS_EACH_MAX or self._one("SELECT count(*) FROM hooks") >= HOOKS_MAX:
                raise Rejected(
                    WebReason.TOO_MANY, f"{HOOKS_EACH_MAX} hooks of a member, {HOOKS_MAX} in all"
                )
            name = f"h{secrets.token_hex(16)}"
            hook = Hook(name, org, key, url, wanted, now, LIVE, "", cursor, None, 0, 0, 0)
            self._put(hook)
            return hook

    def of_member(self, org: str) -> list[Hook]:
        """A member's hooks."""
        with self._reading():
            return self._hooks("WHERE org = ?", org)

    def get(self, org: str, hook: str) -> Hook:
        """One of a member's hooks; refuses one that is not, as if there were none."""
        with self._reading():
            return self._fetch(org, hook)

    def remove(self, org: str, hook: str) -> None:
        """Forget a hook and what is dead of it."""
        with self._writing():
            self._fetch(org, hook)
            self._db.execute("DELETE FROM hooks WHERE id = ?", (hook,))
            self._db.execute("DELETE FROM dead WHERE hook = ?", (hook,))

    def dead(self, org: str, hook: str) -> list[Dead]:
        """What was given up, the oldest first."""
        with self._reading():
            self._fetch(org, hook)
            rows = self._db.execute("SELECT * FROM dead WHERE hook = ? ORDER BY after", (hook,))
            return [_dead(*row) for row in rows]

    def resume(self, org: str, key: bytes, hook: str, now: int, *, skip: bool) -> Hook:
        """Let a hook go on, by the key of who says so: with the delivery that was not taken, or
        after it; then it stays in the list of what is dead."""
        with self._writing():
            was = self._fetch(org, hook)
            cursor, through = was.cursor, was.through
            if skip and through is not None:
                self._put_dead(was, through, was.why, now, skipped=True)
                cursor, through = through, None
            else:
                self._db.execute("DELETE FROM dead WHERE hook = ? AND after = ?", (hook, cursor))
            resumed = replace(
                was,
                key=key,
                state=LIVE,
                why="",
                cursor=cursor,
                through=through,
                tries=0,
                first_at=0,
                next_at=0,
            )
            self._put(resumed)
            return resumed

    # ---------------------------------------------------------------------- who delivers

    def due(self, now: int) -> list[Hook]:
        """Live hooks that may be tried."""
        with self._reading():
            return self._hooks("WHERE state = ? AND next_at <= ?", LIVE, now)

    def find(self, hook: str) -> Hook | None:
        """A hook as it is now."""
        with self._reading():
            return next(iter(self._hooks("WHERE id = ?", hook)), None)

    def change(self, was: Hook, now: Hook) -> bool:
        """Replace a hook that nobody has changed since: whether it was so."""
        with self._writing():
            if self._hooks("WHERE id = ?", was.id) != [was]:
                return False
            self._put(now)
            return True

    def bury(self, was: Hook, why: str, now: int) -> bool:
        """Give a delivery up and pause its hook, which nobody has changed since."""
        through = was.through
        if through is None:
            raise ValueError(f"nothing of {was.id} is under way")
        with self._writing():
            if self._hooks("WHERE id = ?", was.id) != [was]:
                return False
            self._put(replace(was, state=PAUSED, why=why[:ERROR_CHARS_MAX]))
            self._put_dead(was, through, why[:ERROR_CHARS_MAX], now, skipped=False)
            return True

    # ------------------------------------------------------------------------------- within

    def _fetch(self, org: str, hook: str) -> Hook:
        found = self._hooks("WHERE id = ? AND org = ?", hook, org)
        if not found:
            raise Rejected(WebReason.NOT_FOUND, f"no hook {hook[:40]} of {org}", path="id")
        return found[0]

    def _hooks(self, where: str, *values: Any) -> list[Hook]:
        rows = self._db.execute(f"SELECT * FROM hooks {where} ORDER BY id", values)
        return [_hook(*row) for row in rows]

    def _put(self, hook: Hook) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO hooks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(hook.id, hook.org, hook.key, hook.url, encode(hook.wanted), hook.made_at),
                *(hook.state, hook.why, hook.cursor, hook.through, hook.tries),
                *(hook.first_at, hook.next_at),
            ),
        )

    def _put_dead(self, hook: Hook, through: int, why: str, now: int, *, skipped: bool) -> None:
        values = hook.id, hook.cursor, through, hook.tries, hook.first_at, now, why, skipped
        self._db.execute("INSERT OR REPLACE INTO dead VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        self._db.execute(
            "DELETE FROM dead WHERE hook = ?1 AND after NOT IN "
            "(SELECT after FROM dead WHERE hook = ?1 ORDER BY after DESC LIMIT ?2)",
            (hook.id, DEAD_MAX),
        )

    def _one(self, sql: str, *values: Any) -> Any:
        return next(iter(self._db.execute(sql, values)))[0]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, self._naming:
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, self._naming:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _hook(*columns: Any) -> Hook:
    named = dict(zip(Hook.__slots__, columns, strict=True))
    return Hook(**named | {"wanted": decode(named["wanted"], Filter)})


def _dead(*columns: Any) -> Dead:
    named = dict(zip(Dead.__slots__, columns, strict=True))
    return Dead(**named | {"skipped": bool(named["skipped"])})
