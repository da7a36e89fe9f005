"""A disk between SQLite and the files: sees every write, can fail it, slow it, or lose power.

The product's own connection writes through it (``Ledger.open(..., vfs=disk.name)``). What was
written and not synced lies apart, sector by sector; an `image` is what a machine may find after the
power failed at this instant: of each file what was synced, and of the rest any part in any order.
The folder's names are not shadowed: who renames syncs the folder, and may.

Invariant: an image holds every byte that a sync returned for. See docs/spec/storage.md.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import apsw

SECTOR = 512
_names = itertools.count()


class Instant(NamedTuple):
    """Something is about to change on the disk."""

    what: str
    """``write``, ``sync``, ``truncate``, ``delete`` or, where asked for, ``read``."""
    file: str
    offset: int
    size: int


class _Write(NamedTuple):
    """One sector or less of it on its way; without data: a truncation to `offset`."""

    offset: int
    data: bytes | None


class _Shadow:
    """One file: what is surely on the disk, and what is on its way."""

    def __init__(self, durable: bytes | None) -> None:
        self.durable = durable
        self.pending: list[_Write] = []
        self.deleted = False

    def write(self, offset: int, data: bytes) -> None:
        at = 0
        while at < len(data):
            end = min(len(data), at + SECTOR - (offset + at) % SECTOR)
            self.pending.append(_Write(offset + at, data[at:end]))
            at = end

    def sync(self) -> None:
        self.durable, self.pending = self._with(self.pending), []

    def survivor(self, chance: Random) -> bytes | None:
        """What is left of it: a coin for each sector, or all, none, the oldest; out of order."""
        if self.deleted and chance.random() < 0.5:
            return None
        pending = list(self.pending)
        match chance.randrange(5):
            case 0:
                pending = []
            case 1:
                pending = pending[: chance.randrange(len(pending) + 1)]
            case 2:
                pending = [one for one in pending if chance.random() < 0.5]
            case 3:
                pending = [one for one in pending if chance.random() < 0.9]
                chance.shuffle(pending)
        if self.durable is None and not pending:
            return None if chance.random() < 0.5 else b""
        return self._with(pending)

    def _with(self, writes: list[_Write]) -> bytes:
        data = bytearray(self.durable or b"")
        for offset, part in writes:
            if part is None:
                del data[offset:]
                continue
            if len(data) < offset:
                data.extend(bytes(offset - len(data)))
            data[offset : offset + len(part)] = part
        return bytes(data)


class Disk(apsw.VFS):
    """The files of one folder. `before` is called at each instant; what it raises fails it."""

    def __init__(
        self,
        before: Callable[[Instant], None] = lambda _: None,
        *,
        lies: bool = False,
        reads: bool = False,
    ) -> None:
        """`lies`: it says that it has synced and has not. `reads`: reading is an instant too."""
        self.name = f"disk-{next(_names)}"
        self.before = before
        self.lies = lies
        self.reads = reads
        self.instants = 0
        self.lock = threading.RLock()
        self._shadows: dict[str, _Shadow] = {}
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        with self.lock:
            shadow = self._shadows.get(path)
            if shadow is None or shadow.deleted:
                file = Path(path)
                durable = file.read_bytes() if file.exists() else None
                shadow = self._shadows[path] = _Shadow(durable)
        return _File(self, shadow, path, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.instant("delete", filename)
        super().xDelete(filename, syncdir)
        with self.lock:
            if filename in self._shadows:
                self._shadows[filename].deleted = True
                if syncdir:
                    del self._shadows[filename]

    def excepthook(self, *_: object) -> bool:
        """SQLite hears of a failure by its result; nothing is printed."""
        return True

    def instant(self, what: str, file: str, offset: int = 0, size: int = 0) -> None:
        with self.lock:
            self.instants += 1
        self.before(Instant(what, Path(file).name, offset, size))

    def image(self, folder: Path, chance: Random) -> None:
        """Write what may be found after a power cut now; each call may find another."""
        folder.mkdir()
        with self.lock:
            for path, shadow in self._shadows.items():
                gone = not shadow.deleted and not Path(path).exists()
                left = None if gone else shadow.survivor(chance)
                if left is not None:
                    (folder / Path(path).name).write_bytes(left)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, shadow: _Shadow, path: str, name: Any, flags: list[int]) -> None:
        self._disk, self._shadow, self._path = disk, shadow, path
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        if self._disk.reads:
            self._disk.instant("read", self._path, offset, amount)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.instant("write", self._path, offset, len(data))
        super().xWrite(data, offset)
        with self._disk.lock:
            self._shadow.write(offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        self._disk.instant("truncate", self._path, newsize)
        super().xTruncate(newsize)
        with self._disk.lock:
            self._shadow.pending.append(_Write(newsize, None))

    def xSync(self, flags: int) -> None:
        self._disk.instant("sync", self._path)
        with self._disk.lock:
            if not self._disk.lies:
                self._shadow.sync()
