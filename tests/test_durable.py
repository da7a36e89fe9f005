"""Files are there whole or not at all, and what others put beside them misleads nobody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import apsw
import pytest

from tallystick.durable import DiskFull, Locked, Naming, read_file, write_file, write_new
from tallystick.protocol.errors import Damaged


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_file(tmp_path / "checkpoint", b"one")
    write_file(tmp_path / "checkpoint", b"two", mode=0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    assert (tmp_path / "checkpoint").read_bytes() == b"two"
    assert stat.S_IMODE((tmp_path / "checkpoint").stat().st_mode) == 0o600


def test_a_new_file_is_for_its_owner_and_never_over_another(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"one")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "key", b"two")
    with pytest.raises(FileNotFoundError):
        write_new(tmp_path / "absent" / "key", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").read_bytes() == b"one"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_what_others_put_into_a_folder_misleads_no_writer_and_stops_no_reader(
    tmp_path: Path,
) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / ".note.new").symlink_to(tmp_path / "precious")
    write_file(tmp_path / "note", b"the note")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert read_file(tmp_path / "note", 8) == b"the note"
    assert read_file(tmp_path / "note", 4) == b"the n"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "note")
    for name in ("pipe", "link", "absent", "."):
        with pytest.raises(OSError):
            read_file(tmp_path / name, 8)


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (apsw.FullError("full"), DiskFull),
        (apsw.BusyError("busy"), Locked),
        (apsw.CorruptError("torn"), Damaged),
        (apsw.IOError("broken"), Damaged),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no text"), Damaged),
    ],
)
def test_what_sqlite_says_names_the_file(error: Exception, ours: type[Exception]) -> None:
    with pytest.raises(ours, match=r"ledger\.db"), Naming(Path("ledger.db")):
        raise error


def test_a_bug_stays_one() -> None:
    with pytest.raises(ZeroDivisionError), Naming(Path("ledger.db")):
        raise ZeroDivisionError
