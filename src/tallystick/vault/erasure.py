"""What was erased: the list of it, kept beside the keys, and what makes sure that nothing is left.

An erasure is one transaction over both files that commits `keys.db` first: the wrapped secret goes
and the erasure is on the list in the same instant. `bodies.db` follows, now or at the next start;
so does a `bodies.db` that came out of a backup, which knows nothing of it. After that both files
are searched for what was removed, and rewritten where SQLite has left a copy of it in a page; last
come the copies of the key file.

Invariant: an erasure is `done` only when no file that we write has the key any more.
See docs/spec/vault.md.
"""

from __future__ import annotations

import mmap
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import apsw

from tallystick.durable import Naming, sync_folder
from tallystick.vault.files import Files

APPLIED_MARK = "applied"
"""In `meta` of `bodies.db`: the tag of the newest erasure that was carried out in it."""
PIECE_BYTES = 16
"""No more than 30 bytes can be left where no whole piece is found: of a wrapped secret, which needs
its nonce and all of its 32 bytes, 14 at least are gone."""
STRIDE_BYTES = 512
"""Of what is long every so many bytes are looked for: it lies in pages, whole or not at all."""


class BodyErased(KeyError):
    """There was a body, or might have been, and it was ordered to be erased."""


class Erased(NamedTuple):
    """An order that was carried out here."""

    code: int
    number: int
    order: bytes
    """Digest of the order, as the ledger has it."""
    at: int


@dataclass(slots=True)
class Removed:
    """What was taken out of the two files: to be searched for afterwards."""

    keys: list[bytes] = field(default_factory=list, repr=False)
    bodies: list[bytes] = field(default_factory=list, repr=False)


class Erasures:
    """The list of what was erased in this vault."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def __contains__(self, bill: tuple[int, int]) -> bool:
        rows = self._files.query_keys("SELECT 1 FROM erased WHERE code = ? AND number = ?", bill)
        return bool(rows)

    def check(self, code: int, number: int) -> None:
        """Raise `BodyErased` for a bill on the list."""
        if (code, number) in self:
            raise BodyErased(f"the body of {code}:{number} was erased")

    def all(self, *, unfinished: bool = False) -> list[Erased]:
        """The list, the oldest first; `unfinished`: what may still lie in some file."""
        which = " WHERE NOT done" if unfinished else ""
        rows = self._files.query_keys(
            f"SELECT code, number, legal_order, at FROM erased{which} ORDER BY id"
        )
        return [Erased(*row) for row in rows]

    def note_within(self, one: Erased, cells: Sequence[int]) -> list[bytes]:
        """Put it on the list and delete the keys of its cells; the wrapped secrets that they were.

        Only inside a transaction `with_keys`. What is on the list already stays as it is.
        """
        keys, removed = self._files.keys, list[bytes]()
        for cell in cells:
            rows = self._files.query_keys("SELECT secret FROM wrapped WHERE id = ?", (cell,))
            removed += [row[0] for row in rows]
            keys.execute("DELETE FROM wrapped WHERE id = ?", (cell,))
        keys.execute(
            "INSERT INTO erased (code, number, legal_order, at, tag) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (code, number) DO UPDATE SET done = 0",
            (*one, secrets.token_bytes(16)),
        )
        return removed

    def missing(self) -> list[Erased]:
        """What `bodies.db` has not carried out: of a crash between the commits, or of a backup."""
        applied = self._files.meta(APPLIED_MARK)
        rows = self._files.query_keys(
            "SELECT code, number, legal_order, at FROM erased WHERE id > "
            "ifnull((SELECT id FROM erased WHERE tag = ?), 0) ORDER BY id",
            (applied or b"",),
        )
        return [Erased(*row) for row in rows]

    def mark_applied_within(self) -> None:
        """`bodies.db` has carried out the whole list."""
        rows = self._files.query_keys("SELECT tag FROM erased ORDER BY id DESC LIMIT 1")
        self._files.set_meta(APPLIED_MARK, rows[0][0] if rows else None)

    def finish(self, removed: Removed | None) -> None:
        """Make sure that nothing is left in any file; `removed` is None where that is not known.

        1. every copy of the key file can be reached    2. the logs are empty    3. nothing of it is
        in either file, else that file is written anew    4. the copies are of the key file as it is
        now. `Locked` or `OSError`: not now; it stays unfinished, and is tried at the next start.
        """
        files = self._files
        with files.lock:
            if not self.all(unfinished=True):
                return
            left = files.folder.with_name(f".{files.folder.name}.new")
            shutil.rmtree(left, ignore_errors=True)  # of a restore that was cut off
            places = self.copies()
            for place in places:  # 1
                if not place.parent.is_dir():
                    raise FileNotFoundError(2, "a copy of the keys is out of reach", str(place))
            files.empty_logs()  # 2
            pairs = (
                (files.keys_path, files.keys, removed.keys if removed else None),
                (files.bodies_path, files.db, removed.bodies if removed else None),
            )
            for path, connection, values in pairs:  # 3
                if values is None or is_left(path, values):
                    _rewrite(path, connection)
            files.empty_logs()
            for place in places:  # 4
                self._copy_keys(place)
            with Naming(files.keys_path):
                files.keys.execute("UPDATE erased SET done = 1 WHERE NOT done")

    def copy_keys(self, place: Path) -> None:
        """Keep a copy of the key file at `place`, which erasures reach from now on.

        Over the one before, which is wiped. It is the only file beside `keys.db` that has keys.
        """
        place = place.absolute()
        folders = (self._files.folder.absolute(), place.parent)
        if folders[0] == folders[1]:
            raise ValueError("a copy of the keys belongs on another disk than the vault")
        with self._files.lock, Naming(self._files.keys_path):
            self._files.keys.execute("INSERT OR IGNORE INTO copies VALUES (?)", (str(place),))
            self._copy_keys(place)

    def forget_copy(self, place: Path) -> None:
        """The copy at `place` was destroyed: erasures need not reach it any more."""
        with self._files.lock, Naming(self._files.keys_path):
            named = str(place.absolute())
            self._files.keys.execute("DELETE FROM copies WHERE place = ?", (named,))

    def copies(self) -> list[Path]:
        """Where copies of the key file lie."""
        rows = self._files.query_keys("SELECT place FROM copies ORDER BY place")
        return [Path(place) for (place,) in rows]

    def _copy_keys(self, place: Path) -> None:
        beside = place.with_name(f".{place.name}.new")
        wipe(beside)
        write_copy(self._files.keys, beside)
        old = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            beside.replace(place)
            sync_folder(place.parent)
            _overwrite(old)
        finally:
            os.close(old)


def write_copy(connection: apsw.Connection, path: Path) -> None:
    """One moment of a database as a file of its own, durably, without what was deleted in it."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection.execute("VACUUM INTO ?", (str(path),))
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def wipe(path: Path) -> None:
    """Overwrite a file and remove it; nothing where there is none."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        path.unlink()
        _overwrite(handle)
    finally:
        os.close(handle)


def is_left(path: Path, values: Sequence[bytes]) -> bool:
    """Whether a piece of one of these lies anywhere in a file."""
    pieces = {piece for value in values for piece in pieces_of(value)}
    if not pieces or not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(piece) >= 0 for piece in pieces)


def pieces_of(value: bytes) -> Iterator[bytes]:
    """What a file is searched for."""
    step = PIECE_BYTES if len(value) <= STRIDE_BYTES else STRIDE_BYTES
    for at in range(0, len(value) - PIECE_BYTES + 1, step):
        yield value[at : at + PIECE_BYTES]


def _rewrite(path: Path, connection: apsw.Connection) -> None:
    with Naming(path):
        connection.execute("VACUUM").fetchall()


def _overwrite(handle: int) -> None:
    left = os.fstat(handle).st_size
    os.lseek(handle, 0, os.SEEK_SET)
    while left > 0:
        left -= os.write(handle, bytes(min(left, 1 << 20)))
    os.fsync(handle)
