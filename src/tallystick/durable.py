"""Files that survive a power cut: written whole, read within bounds, and SQLite's errors in our
words.

Who writes into a folder may not be its only user: what stands beside a file under the name of one
that is being written is never followed, and what is read may be a link, a pipe or without end.
Why this is one room: docs/adr/0013-one-room-for-durable-files.md. See docs/spec/storage.md.

Invariant: a file is there whole or not at all, and what returned is on the disk.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from pathlib import Path

import apsw

from tallystick.protocol.errors import Damaged, TallystickError

LOCK = "lock"

_DAMAGE = (
    *(apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.SQLError, apsw.ConstraintError),
    *(apsw.MismatchError, apsw.SchemaChangeError, apsw.TooBigError),
)
"""What SQLite says when the file is not what we wrote; our statements are the same every time."""
_TROUBLE = (
    *(apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.ProtocolError),
    apsw.PermissionsError,
)


class Locked(TallystickError):
    """Another process has the files of `folder` open for writing."""

    def __init__(self, detail: str, folder: Path) -> None:
        super().__init__(detail)
        self.folder = folder


class DiskFull(TallystickError):
    """There was no room for a write: nothing is damaged; make room and start again."""


class Naming:
    """What SQLite says of a broken file, as our error that names it; entered at every read."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        path = self._path
        if isinstance(error, apsw.FullError):
            detail = f"there is no room to write {path}: make room and start again"
            raise DiskFull(detail) from error
        if isinstance(error, _DAMAGE):
            raise Damaged(f"{path}: {error}") from error
        if isinstance(error, UnicodeDecodeError):
            raise Damaged(f"{path}: a text that is none: {error}") from error
        if isinstance(error, _TROUBLE):
            raise Damaged(f"{path} cannot be read or written: {error}") from error
        if isinstance(error, apsw.BusyError | apsw.LockedError):
            raise Locked(f"{path} is held by another process", path.parent) from error


def take_lock(folder: Path) -> int:
    """Be the one process that writes, until the descriptor is closed; else `Locked`."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        detail = f"{folder} is open in another process; stop that one first"
        raise Locked(detail, folder) from None
    return handle


def write_file(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Put a whole file in place of another; `mode` as for `os.open`, less the umask."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)  # of a crash, or put there by whoever may write here too
    _write(beside, data, mode)
    beside.replace(path)
    sync_folder(path.parent)


def write_new(path: Path, data: bytes) -> None:
    """Put a whole file at `path`, for its owner alone, or none; never over another."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(beside, data, 0o600)
        os.link(beside, path)  # unlike a rename it fails when there is a file already
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_file(path: Path, bytes_max: int) -> bytes:
    """A plain file out of a folder where others write, cut off one byte beyond `bytes_max`.

    `OSError` for a link, a folder, or a pipe, which would keep us waiting for ever.
    """
    with open(path, "rb", opener=_no_link) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "this is no plain file", str(path))
        return file.read(bytes_max + 1)


def without_waiting(path: str, flags: int) -> int:
    """Opens a file for `open`; a pipe that nobody writes to would else keep us for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: what was made, renamed or removed in it."""
    _sync(folder, os.O_DIRECTORY)


def make_durable(folder: Path) -> None:
    """Every file and folder below is on the disk when this returns, or `OSError` says why not."""
    os.sync()  # all at once is fast; the calls that follow are cheap then, and tell of errors
    for path in [*folder.rglob("*"), folder, folder.parent]:
        _sync(path)


def _write(path: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _no_link(path: str, flags: int) -> int:
    return without_waiting(path, flags | os.O_NOFOLLOW)


def _sync(path: Path, flags: int = 0) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
