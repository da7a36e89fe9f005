"""Outbox and inbox of a vault: what is owed to others, and what came and waits.

The outbox is written in the very transaction that learns that a bill is recorded, so a delivery is
owed from then on, whatever happens, and sent at least once; the inbox takes a message once. To whom
a message goes is hidden like its content: a wallet's address would join a person's bills.

Invariant: a message leaves the outbox only once `deliver` returned. See docs/spec/delivery.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tallystick.protocol.errors import Busy, Malformed, TallystickError
from tallystick.vault.delivery import message_id, read_head
from tallystick.vault.erasure import Erasures
from tallystick.vault.files import Files

RETRY_SECONDS_MAX = 3_600
"""The longest pause before a receiver that does not answer is tried again."""
RETRY_SECONDS_MIN = 5
WAITING_MAX = 100_000
"""Messages about records not known yet; whoever sends more is asked to try again later."""
WAITING_RETRY_SECONDS = 60

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


class Outbox:
    """What this vault owes to others."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._erasures = Erasures(files)

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

    def owed(self, *, limit: int = 1_000) -> list[Owed]:
        """The oldest messages that are not delivered, due or not."""
        return [owed for _, owed in self._owed("1 ORDER BY id", (), limit)]

    def send_together(
        self, deliver: Callable[[Sequence[Message]], None], *, at: int, limit: int = 1_000
    ) -> Sent:
        """Hand what is due to `deliver`, the oldest first: all of it was taken, or none.

        `deliver` returns once the receiver has the messages durably. `TallystickError` and
        `OSError` mean not now: tried again after a pause that doubles. After a crash messages may
        be handed over once more. The network is never used inside a transaction.
        """
        due = self._owed("not_before <= ? ORDER BY not_before, id", (at,), limit)
        if not due:
            return Sent(0, 0)
        try:
            deliver([owed.message for _, owed in due])
        except (TallystickError, OSError) as error:
            with self._files.transaction():
                for row, owed in due:
                    self._postpone(row, owed.attempts + 1, at, error)
            return Sent(0, len(due))
        with self._files.transaction():
            for row, _ in due:
                self._tick_off(row, at)
        return Sent(len(due), 0)

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

    def _owed(self, which: str, values: tuple[int, ...], limit: int) -> list[tuple[int, Owed]]:
        rows = self._files.query(
            "SELECT id, message, code, number, receiver, data, queued_at, attempts FROM outbox "
            f"WHERE delivered_at IS NULL AND {which} LIMIT ?",
            (*values, limit),
        )
        reveal = self._files.ciphers.reveal
        found = []
        for row, name, code, number, receiver, data, queued_at, attempts in rows:
            what = f"message {row} of the outbox"
            message = Message(
                code, number, reveal(receiver, name, what).decode(), reveal(data, name, what)
            )
            found.append((row, Owed(message, queued_at, attempts)))
        return found

    def _postpone(self, row: int, attempts: int, at: int, error: Exception) -> None:
        pause = min(RETRY_SECONDS_MIN << min(attempts - 1, 20), RETRY_SECONDS_MAX)
        if isinstance(error, Busy):
            pause = max(pause, int(error.retry_after_seconds))
        self._files.db.execute(
            "UPDATE outbox SET attempts = ?, not_before = ? WHERE id = ?",
            (attempts, at + pause, row),
        )

    def _tick_off(self, row: int, at: int) -> None:
        """Keeps that it was delivered, not what: a copy would outlive an erasure."""
        self._files.db.execute(
            "UPDATE outbox SET attempts = attempts + 1, delivered_at = ?, data = NULL, "
            "receiver = x'' WHERE id = ?",
            (at, row),
        )


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
