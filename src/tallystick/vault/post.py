"""Outbox and inbox of a vault: what is owed to others, and what came and waits.

The outbox is written in the very transaction that learns that a bill is recorded, so a delivery is
owed from then on, whatever happens, and sent at least once; the inbox takes a message once. To whom
a message goes is hidden like its content: a wallet's address would join a person's bills.

Invariant: a message leaves the outbox only once `deliver` returned, and waits for no receiver but
its own. See docs/spec/delivery.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from tallystick.protocol.errors import (
    Busy,
    Malformed,
    Rejected,
    TallystickError,
    VerificationFailed,
)
from tallystick.vault.delivery import message_id, read_head
from tallystick.vault.erasure import Erasures
from tallystick.vault.files import Files, Row

RETRY_SECONDS_MAX = 3_600
"""The longest pause before a receiver that does not answer is tried again."""
RETRY_SECONDS_MIN = 5
BATCH_MESSAGES_MAX = 1_000
BATCH_BYTES_MAX = 4 * 1024 * 1024
"""Handed over at once; a message alone may be longer."""
OVERDUE_SECONDS = 3_600
WAITING_MAX = 100_000
"""Messages about records not known yet; whoever sends more is asked to try again later."""
WAITING_RETRY_SECONDS = 60

_DELIVERED = "delivered"
"""In `meta`: how many messages were ever taken."""

SCHEMA = """
    CREATE TABLE IF NOT EXISTS outbox (
        id INTEGER PRIMARY KEY, message BLOB NOT NULL UNIQUE, code INTEGER NOT NULL,
        number INTEGER NOT NULL, receiver BLOB NOT NULL, data BLOB, queued_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, not_before INTEGER NOT NULL, delivered_at INTEGER
    );
    CREATE INDEX IF NOT EXISTS outbox_of ON outbox (code, number);
    CREATE INDEX IF NOT EXISTS owed ON outbox (not_before, id) WHERE delivered_at IS NULL;
    CREATE TABLE IF NOT EXISTS inbox (
        id INTEGER PRIMARY KEY, message BLOB NOT NULL UNIQUE, data BLOB, arrived_at INTEGER NOT NULL
    );
    CREATE INDEX IF NOT EXISTS waiting ON inbox (id) WHERE data IS NOT NULL;
"""


@dataclass(frozen=True, slots=True)
class Message:
    """A sealed delivery of one bill's body, and where it goes."""

    code: int
    number: int
    receiver: str = field(repr=False)
    """As `deliver` understands it: an organisation, a wallet's address."""
    data: bytes = field(repr=False)

    @property
    def message_id(self) -> bytes:
        """Names it to the receiver too, who takes it once."""
        return message_id(self.data)


@dataclass(frozen=True, slots=True)
class Owed:
    """A message that its receiver does not have yet."""

    message: Message
    queued_at: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Sent:
    """What one round of sending did."""

    delivered: int
    failed: int


@dataclass(frozen=True, slots=True)
class OwedTo:
    """What one receiver, or one group of them, does not have yet."""

    receiver: str
    owed: int
    overdue: int
    """Of these, longer than a receiver should take."""
    oldest_at: int
    attempts: int
    """The most that one of them was tried."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How deliveries stand."""

    delivered: int
    """Ever."""
    owed: list[OwedTo]


class Outbox:
    """What this vault owes to others."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._erasures = Erasures(files)
        self._rests: dict[str, _Rest] = {}

    def put(self, messages: Sequence[Message], *, at: int) -> None:
        """Owe these from now on; a message that is here already, sent or not, changes nothing."""
        with self._files.transaction():
            self.put_within(messages, at=at)

    def put_within(self, messages: Sequence[Message], *, at: int) -> None:
        """The same inside the caller's transaction; nothing of a body that was erased."""
        hide = self._files.ciphers.hide
        for message in messages:
            if (message.code, message.number) in self._erasures:
                continue
            name = message.message_id
            self._files.db.execute(
                "INSERT OR IGNORE INTO outbox "
                "(message, code, number, receiver, data, queued_at, not_before) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(name, message.code, message.number),
                    *(hide(message.receiver.encode(), name), hide(message.data, name)),
                    *(at, at),
                ),
            )

    def owed(
        self, *, limit: int = 1_000, to: Callable[[str], bool] = lambda receiver: True
    ) -> list[Owed]:
        """The oldest messages that are not delivered, due or not, of the receivers asked for."""
        reveal = self._files.ciphers.reveal
        rows = self._files.query(
            "SELECT id, message, receiver FROM outbox WHERE delivered_at IS NULL ORDER BY id"
        )
        named = (row for row in rows if to(reveal(row[2], row[1], _what(row[0])).decode()))
        return [owed for row in islice(named, limit) for owed in self._load(row)]

    def send_together(
        self,
        deliver: Callable[[Sequence[Message]], None],
        *,
        at: int,
        limit: int = 1_000,
        route: Callable[[str], str] = str,
        write: Callable[[Message], Message] = lambda message: message,
        bytes_max: int = BATCH_BYTES_MAX,
    ) -> Sent:
        """Hand what is due to `deliver`, the oldest first: what goes the same way together.

        `route` says which way a receiver's messages go; by default each has its own. `write` gives
        a message the form in which it is to be sent now, or fails for that one alone. A batch is
        taken whole or not at all; `deliver` returns once the receiver has it durably.
        `TallystickError` and `OSError` mean not now: that way rests, for a pause that doubles, and
        no other waits for it. What was refused for one of several receivers is tried once for each
        alone. After a crash messages may be handed over once more. The network is never used
        inside a transaction.
        """
        delivered = failed = 0
        for way, rows in self._due(route, at, limit).items():
            for batch in self._batches(rows, bytes_max):
                written = self._written(batch, write, at)
                done = self._hand_over(deliver, way, written, at) if written else Sent(0, 0)
                delivered += done.delivered
                failed += done.failed + len(batch) - len(written)
        return Sent(delivered, failed)

    def figures(
        self, *, now: int, overdue_seconds: int = OVERDUE_SECONDS, group: Callable[[str], str] = str
    ) -> Figures:
        """What is owed, since when, and to whom; `group` names receivers that count together."""
        found: dict[str, list[tuple[int, int]]] = {}
        reveal = self._files.ciphers.reveal
        for row, name, receiver, queued_at, attempts in self._files.query(
            "SELECT id, message, receiver, queued_at, attempts FROM outbox "
            "WHERE delivered_at IS NULL"
        ):
            whom = reveal(receiver, name, _what(row)).decode()
            found.setdefault(group(whom), []).append((queued_at, attempts))
        return Figures(
            delivered=self._delivered_count(),
            owed=[
                OwedTo(
                    receiver=whom,
                    owed=len(each),
                    overdue=sum(queued_at + overdue_seconds < now for queued_at, _ in each),
                    oldest_at=min(queued_at for queued_at, _ in each),
                    attempts=max(attempts for _, attempts in each),
                )
                for whom, each in sorted(found.items())
            ],
        )

    def withdraw(self, messages: Sequence[Message]) -> None:
        """These are not owed any more; what was delivered stays delivered."""
        with self._files.transaction() as db:
            db.executemany(
                "DELETE FROM outbox WHERE message = ? AND delivered_at IS NULL",
                [(each.message_id,) for each in messages],
            )

    def delivered(self, code: int, number: int) -> list[int]:
        """When messages of this body were taken by their receivers, the oldest first."""
        rows = self._files.query(
            "SELECT delivered_at FROM outbox "
            "WHERE code = ? AND number = ? AND delivered_at IS NOT NULL ORDER BY delivered_at",
            (code, number),
        )
        return [at for (at,) in rows]

    def erase_within(self, code: int, number: int) -> list[bytes]:
        """Take back what is owed of a body; the hidden bytes that were removed."""
        values = "FROM outbox WHERE code = ? AND number = ? AND delivered_at IS NULL"
        rows = self._files.query(f"SELECT receiver, data {values}", (code, number))
        self._files.db.execute(f"DELETE {values}", (code, number))
        return [value for row in rows for value in row]

    def _due(self, route: Callable[[str], str], at: int, limit: int) -> dict[str, list[Row]]:
        """Due messages by the way they go; those whose way rests are put off until it does not."""
        ways: dict[str, list[Row]] = {}
        resting: list[tuple[int, int]] = []
        count, reveal = 0, self._files.ciphers.reveal
        for row in self._files.query(
            "SELECT id, message, receiver, length(data), attempts FROM outbox "
            "WHERE delivered_at IS NULL AND not_before <= ? ORDER BY not_before, id",
            (at,),
        ):
            way = route(reveal(row[2], row[1], _what(row[0])).decode())
            rest = self._rests.get(way)
            if rest is not None and rest.until > at:
                resting.append((rest.until, row[0]))
            elif count < limit:
                ways.setdefault(way, []).append(row)
                count += 1
        if resting:
            with self._files.transaction():
                self._files.db.executemany("UPDATE outbox SET not_before = ? WHERE id = ?", resting)
        # Who failed before comes last: a server that hangs keeps nobody waiting who is well.
        return dict(sorted(ways.items(), key=lambda way: max(row[4] for row in way[1])))

    def _batches(self, rows: Sequence[Row], bytes_max: int) -> Iterator[list[_Loaded]]:
        """As much at once as memory and a receiver take."""
        batch: list[_Loaded] = []
        size = 0
        for row in rows:
            if batch and (size + row[3] > bytes_max or len(batch) == BATCH_MESSAGES_MAX):
                yield batch
                batch, size = [], 0
            batch += [_Loaded(row[0], owed) for owed in self._load(row)]
            size += row[3]
        if batch:
            yield batch

    def _written(
        self, batch: Sequence[_Loaded], write: Callable[[Message], Message], at: int
    ) -> list[_Loaded]:
        """The messages as they are to be sent; what cannot be, for now, is put off by itself."""
        found = []
        for each in batch:
            try:
                message = write(each.owed.message)
            except (TallystickError, OSError) as error:
                until = at + _pause(each.owed.attempts + 1, error)
                self._put_off([each], until, failed=True)
            else:
                found.append(_Loaded(each.row, replace(each.owed, message=message)))
        return found

    def _hand_over(
        self,
        deliver: Callable[[Sequence[Message]], None],
        way: str,
        batch: Sequence[_Loaded],
        at: int,
    ) -> Sent:
        rest = self._rests.get(way)
        if rest is not None and rest.until > at:  # an earlier batch of this round failed
            return self._put_off(batch, rest.until, failed=False)
        try:
            deliver([each.owed.message for each in batch])
        except (TallystickError, OSError) as error:
            receivers: dict[str, list[_Loaded]] = {}
            for each in batch:
                receivers.setdefault(each.owed.message.receiver, []).append(each)
            if _is_refusal(error) and len(receivers) > 1:
                return self._each_alone(deliver, list(receivers.values()), at)
            return self._rest(way, batch, at, error)
        self._rests.pop(way, None)
        self._tick_off(batch, at)
        return Sent(len(batch), 0)

    def _each_alone(
        self,
        deliver: Callable[[Sequence[Message]], None],
        parts: Sequence[Sequence[_Loaded]],
        at: int,
    ) -> Sent:
        """One receiver's letters were refused, and who shares the way must not wait for that."""
        delivered = failed = 0
        for part in parts:
            try:
                deliver([each.owed.message for each in part])
            except (TallystickError, OSError) as error:
                until = at + _pause(max(each.owed.attempts for each in part) + 1, error)
                failed += self._put_off(part, until, failed=True).failed
            else:
                self._tick_off(part, at)
                delivered += len(part)
        return Sent(delivered, failed)

    def _rest(self, way: str, batch: Sequence[_Loaded], at: int, error: Exception) -> Sent:
        before = self._rests.get(way, _Rest(0, 0))
        failures = max(before.failures, *(each.owed.attempts for each in batch)) + 1
        self._rests[way] = _Rest(failures, at + _pause(failures, error))
        return self._put_off(batch, self._rests[way].until, failed=True)

    def _put_off(self, batch: Sequence[_Loaded], until: int, *, failed: bool) -> Sent:
        with self._files.transaction():
            self._files.db.executemany(
                "UPDATE outbox SET attempts = attempts + ?, not_before = ? WHERE id = ?",
                [(int(failed), until, each.row) for each in batch],
            )
        return Sent(0, len(batch) if failed else 0)

    def _tick_off(self, batch: Sequence[_Loaded], at: int) -> None:
        """Keeps that it was delivered, not what: a copy would outlive an erasure."""
        with self._files.transaction() as db:
            count = self._delivered_count() + len(batch)
            db.executemany(
                "UPDATE outbox SET attempts = attempts + 1, delivered_at = ?, data = NULL, "
                "receiver = x'' WHERE id = ?",
                [(at, each.row) for each in batch],
            )
            self._files.set_meta(_DELIVERED, b"%d" % count)

    def _delivered_count(self) -> int:
        said = self._files.meta(_DELIVERED)
        if said is not None:
            return int(said)
        sql = "SELECT count(*) FROM outbox WHERE delivered_at IS NOT NULL"
        return int(self._files.query(sql)[0][0])

    def _load(self, row: Row) -> list[Owed]:
        """One message; none where it was erased meanwhile."""
        reveal, what = self._files.ciphers.reveal, _what(row[0])
        return [
            Owed(
                Message(
                    code, number, reveal(receiver, name, what).decode(), reveal(data, name, what)
                ),
                queued_at,
                attempts,
            )
            for name, code, number, receiver, data, queued_at, attempts in self._files.query(
                "SELECT message, code, number, receiver, data, queued_at, attempts FROM outbox "
                "WHERE id = ? AND delivered_at IS NULL",
                (row[0],),
            )
        ]


class _Loaded(NamedTuple):
    row: int
    owed: Owed


class _Rest(NamedTuple):
    """A way that failed, and until when it is left alone."""

    failures: int
    until: int


def _what(row: int) -> str:
    return f"message {row} of the outbox"


def _is_refusal(error: Exception) -> bool:
    """What is wrong is wrong with some of it: another receiver's may pass."""
    if isinstance(error, OSError):
        return not isinstance(error, ConnectionError | TimeoutError)
    return isinstance(error, Malformed | VerificationFailed | Rejected)


def _pause(failures: int, error: Exception) -> int:
    pause = min(RETRY_SECONDS_MIN << min(failures - 1, 20), RETRY_SECONDS_MAX)
    return max(pause, int(error.retry_after_seconds)) if isinstance(error, Busy) else pause


class Inbox:
    """What came and cannot be judged yet; and that it came, for ever."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def put(self, data: bytes, *, at: int) -> bool:
        """Keep a sealed message; whether it is new. `Busy` when too many wait."""
        with self._files.transaction():
            return self.put_within(data, at=at)

    def put_within(self, data: bytes, *, at: int) -> bool:
        """The same inside the caller's transaction."""
        db, name = self._files.db, message_id(data)
        if self._files.query("SELECT 1 FROM inbox WHERE message = ?", (name,)):
            return False
        waiting = self._files.query("SELECT count(*) FROM inbox WHERE data IS NOT NULL")[0][0]
        if waiting >= WAITING_MAX:
            raise Busy(WAITING_RETRY_SECONDS)
        db.execute(
            "INSERT INTO inbox (message, data, arrived_at) VALUES (?, ?, ?)",
            (name, self._files.ciphers.hide(data, name), at),
        )
        return True

    def waiting(self, *, limit: int = 1_000, after: int = 0) -> list[tuple[int, bytes]]:
        """(position, sealed message) of those that wait, the oldest first."""
        rows = self._files.query(
            "SELECT id, message, data FROM inbox WHERE data IS NOT NULL AND id > ? "
            "ORDER BY id LIMIT ?",
            (after, limit),
        )
        reveal = self._files.ciphers.reveal
        return [
            (row, reveal(data, name, f"message {row} of the inbox")) for row, name, data in rows
        ]

    def done(self, positions: Sequence[int]) -> None:
        """These were judged: keep that they came, not what they held."""
        with self._files.transaction():
            self.done_within(positions)

    def erase_within(self, tx_id: str, n: int) -> list[bytes]:
        """Drop what waits for this record, as its heads say; the hidden bytes that were removed."""
        found, after = list[int](), 0
        while some := self.waiting(after=after, limit=100):
            after = some[-1][0]
            found += [row for row, data in some if _is_about(data, tx_id, n)]
        removed = [
            hidden
            for row in found
            for (hidden,) in self._files.query("SELECT data FROM inbox WHERE id = ?", (row,))
        ]
        self.done_within(found)
        return removed

    def done_within(self, positions: Sequence[int]) -> None:
        """The same inside the caller's transaction."""
        self._files.db.executemany(
            "UPDATE inbox SET data = NULL WHERE id = ?", [(row,) for row in positions]
        )


def _is_about(data: bytes, tx_id: str, n: int) -> bool:
    try:
        head = read_head(data)
    except Malformed:
        return False
    return (head.tx, head.n) == (tx_id, n)
