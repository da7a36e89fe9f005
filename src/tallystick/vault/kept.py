"""What every vault does with the bodies that it keeps, a member's or the archive's: log who reads
them, erase them, copy them.

Each has tables of its own; what belongs to a body in them it says in `_erase_within` and in
`_index_again`. See docs/spec/vault.md.

Invariant: a body that was erased here is not opened again, from whatever files this folder is made.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import apsw

from tallystick.durable import DiskFull, Locked, Naming, make_durable
from tallystick.protocol.errors import Damaged
from tallystick.vault.erasure import Erased, Erasures, Removed, write_copy
from tallystick.vault.files import (
    BACKUP_MARK,
    BODIES_FILE,
    BUSY_MILLISECONDS,
    FORMAT,
    KEYS_FILE,
    Files,
)
from tallystick.vault.reads import Read, ReadLog, What

_COMMON_STRIP = """
    DELETE FROM business;
    DELETE FROM outbox WHERE delivered_at IS NULL;
    UPDATE inbox SET data = NULL;
"""
"""A backup has nothing that opens, or can be guessed, without the key of the body itself."""


ERASED_AT_ONCE = 100


class BusinessKey(NamedTuple):
    """What one bill is for: the ordinal grows when the bill before was reversed."""

    code: str
    purpose: str
    part: int
    ordinal: int


Business = Callable[[bytes], Sequence[BusinessKey]]
"""Reads the business keys out of a body."""


class Kept(ABC):
    """Base of `Vault` and `Archive`."""

    KIND: ClassVar[str]
    SCHEMA: ClassVar[str]
    STRIP: ClassVar[str] = ""
    """What of its own tables a backup leaves out."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._log = ReadLog(files)
        self.erasures = Erasures(files)
        self._catch_up()

    def close(self) -> None:
        """Close the files; what was written is safe without it."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -------------------------------------------------------------------------------- reads

    def note_read(
        self,
        code: int,
        number: int,
        *,
        at: int,
        who: str,
        what: What = "read",
        why: str = "",
        paths: Sequence[str] = (),
    ) -> None:
        """Write down, durably and before the answer is given, who sees what of a body."""
        read = Read(at=at, who=who, what=what, why=why, paths=list(paths))
        self._log.note([(code, number, read)])

    def note_reads(self, entries: Sequence[tuple[int, int, Read]]) -> None:
        """The same of many at once."""
        self._log.note(entries)

    def reads(self, code: int, number: int) -> list[Read]:
        """Who was shown what of a bill's body, or was refused, the oldest first."""
        found = self._log.of(code, number)
        found += [Read(at=at, who="", what="delivered") for at in self._delivered(code, number)]
        return sorted(found, key=lambda read: read.at)

    # ------------------------------------------------------------------------------ erasure

    def erase(self, code: int, number: int, order: bytes, *, at: int) -> None:
        """Destroy a body and its key in every file that we write; see `erase_many`."""
        self.erase_many([Erased(code, number, order, at)])

    def erase_many(self, orders: Sequence[Erased]) -> None:
        """Destroy these bodies, keys and indices, whether they are here or may still come.

        After a crash it has happened to all of them or to none. `Locked` or `OSError`: they open
        no more, but a file that is being read, or a copy of the keys that is out of reach, may
        still have something: said again, or at the next start, it is finished. Each bill is at
        most once in `orders`.
        """
        removed = Removed()
        with self._files.transaction(with_keys=True):
            for one in orders:
                if (one.code, one.number) not in self.erasures:
                    gone = Read(at=one.at, who="", what="erased", why=one.order.hex())
                    self._log.note_within([(one.code, one.number, gone)])
                self._erase_one(one, removed)
            self.erasures.mark_applied_within()
        self.erasures.finish(removed)

    def _erase_one(self, one: Erased, removed: Removed) -> None:
        cells, values = self._erase_within(one.code, one.number)
        for cell in cells:
            self._files.db.execute("DELETE FROM cells WHERE id = ?", (cell,))
        removed.keys += self.erasures.note_within(one, cells)
        removed.bodies += values

    def _catch_up(self) -> None:
        """Carry out in `bodies.db` what the list has and it has not; finish what was begun."""
        missing = self.erasures.missing()
        if missing:
            with self._files.transaction(with_keys=True):
                for one in missing:
                    self._erase_one(one, Removed())
                self.erasures.mark_applied_within()
        try:
            self.erasures.finish(None)
        except (Locked, DiskFull, OSError):
            return  # it opens no more, and stays unfinished

    @abstractmethod
    def _erase_within(self, code: int, number: int) -> tuple[list[int], list[bytes]]:
        """Take a body out of the tables: its cells, and the bytes that were removed with it."""

    @abstractmethod
    def _delivered(self, code: int, number: int) -> list[int]:
        """When it was taken by others."""

    # -------------------------------------------------------------------- backup and restore

    def backup(self, target: Path) -> None:
        """Copy what has no keys into the new folder `target`: whole and durable, or not there.

        Neither letters on their way are in it nor the index of business codes, which is made anew
        out of the bodies when it is restored. `FileExistsError`: there is something.
        """
        beside = _beside(target)
        beside.mkdir(mode=0o700, parents=True)
        try:
            copy = beside / BODIES_FILE
            with self._files.lock, Naming(self._files.bodies_path):
                write_copy(self._files.db, copy)
            with Naming(copy):
                _strip(copy, _COMMON_STRIP + self.STRIP)
            make_durable(beside)
            beside.replace(target)
            make_durable(target)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise

    def copy_keys(self, place: Path) -> None:
        """Keep a short-lived copy of the keys; see `Erasures.copy_keys`. After `backup`, always."""
        self.erasures.copy_keys(place)

    def restored(self, orders: Sequence[Erased], business: Business) -> None:
        """Make a backup a vault again, before it answers anyone.

        What the list beside its keys names went when it was opened. 1. what `orders`, the ledger's,
        name is erased    2. the index is made anew; `business` reads it out of a body    3. it is
        no backup any more
        """
        for start in range(0, len(orders), ERASED_AT_ONCE):
            self.erase_many(orders[start : start + ERASED_AT_ONCE])  # 1
        with self._files.transaction():
            self._index_again(business)  # 2
            self._files.set_meta(BACKUP_MARK, None)  # 3

    @abstractmethod
    def _index_again(self, business: Business) -> None:
        """Find the business keys of all bodies again, inside a transaction."""


@contextmanager
def restoring(backup: Path, keys: Path, folder: Path) -> Iterator[Path]:
    """A backup and a copy of the keys together in a folder beside `folder`, which it becomes.

    `keys` may be the key file of a vault whose other half was lost, or a copy of it.
    """
    beside = _beside(folder)
    beside.mkdir(mode=0o700, parents=True)
    try:
        _copy(backup / BODIES_FILE, beside / BODIES_FILE)
        _copy(keys, beside / KEYS_FILE)
        yield beside
        make_durable(beside)
        beside.replace(folder)
        make_durable(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def kind_of(folder: Path) -> str:
    """What kind of vault lies in a folder; `FileNotFoundError`: none, `Damaged`: none of ours."""
    path = folder / BODIES_FILE
    if not path.exists():
        raise FileNotFoundError(2, "no vault is here", str(path))
    with Naming(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            rows: list[Any] = list(connection.execute("SELECT value FROM meta WHERE name = 'kind'"))
        finally:
            connection.close()
    prefix = FORMAT + b" "
    if not rows or not rows[0][0].startswith(prefix):
        raise Damaged(f"{path} does not say what it is")
    kind: bytes = rows[0][0].removeprefix(prefix)
    return kind.decode()


def _beside(target: Path) -> Path:
    if target.exists():
        raise FileExistsError(17, "there is something already", str(target))
    beside = target.with_name(f".{target.name}.new")
    shutil.rmtree(beside, ignore_errors=True)  # of a crash
    return beside


def copy_pair(source: Path, target: Path) -> None:
    """Copy both files of a folder that has no bodies, so no keys that an erasure must reach."""
    target.mkdir(mode=0o700)
    for name in (KEYS_FILE, BODIES_FILE):
        _copy(source / name, target / name)
    make_durable(target)


def _copy(source: Path, target: Path) -> None:
    with Naming(source):
        connection = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(BUSY_MILLISECONDS)
            write_copy(connection, target)
        finally:
            connection.close()


def _strip(copy: Path, script: str) -> None:
    connection = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.execute("PRAGMA secure_delete = ON").fetchall()
        connection.execute(f"BEGIN; {script} COMMIT;")
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, x'01')", (BACKUP_MARK,))
        connection.execute("VACUUM").fetchall()
    finally:
        connection.close()
