"""A folder as a letter box: whole files, put there durably, taken once their reader is done.

Machines share the folder, or post into it over HTTP (`letterbox`). A file of deliveries holds many,
so that one fsync is for all: each is its length in decimal, a newline, and its bytes. The same
folders serve for signed transactions, one a file.

Invariant: a file is there whole or not at all, and posting it again changes nothing.
See docs/spec/delivery.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from tallystick.durable import read_file, sync_folder, write_file
from tallystick.vault.delivery import DELIVERY_BYTES_MAX

SEALED = ".sealed"
MESSAGES_MAX = 1_000
"""Deliveries in one file."""
FILE_BYTES_MAX = 2 * DELIVERY_BYTES_MAX
"""A file that has come to half of it is closed, so that the largest delivery still fits."""
_LENGTH_DIGITS_MAX = 8


class Letter(NamedTuple):
    """A file that was posted."""

    path: Path
    data: bytes


def post(folder: Path, data: bytes, name: str) -> Path:
    """Put `data` into the folder under `name`; durable when this returns."""
    path = folder / name
    if not path.exists():
        write_file(path, data, mode=0o600)
    return path


def post_messages(folder: Path, messages: Sequence[bytes]) -> None:
    """Put deliveries into the folder, many to a file, under the hashes of the files."""
    for data in packed(messages):
        post(folder, data, name_of(data))


def name_of(data: bytes) -> str:
    """The name of a file of deliveries: the same file has it, whoever posts it and how often."""
    return sha256(data).hexdigest() + SEALED


def unpack(data: bytes) -> list[bytes]:
    """The deliveries of a file; from where it is none on, the rest as it is, for a judge to see."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        newline = data.find(b"\n", at, at + _LENGTH_DIGITS_MAX + 1)
        digits = data[at:newline]
        end = newline + 1 + (int(digits) if newline > at and digits.isdigit() else 0)
        if not newline + 1 < end <= len(data) or len(found) == MESSAGES_MAX:
            return [*found, data[at:]]
        found.append(data[newline + 1 : end])
        at = end
    return found


def collect(folder: Path) -> Iterator[Letter]:
    """What lies there, by name. Who posts may be hostile: plain files only, nothing over-long."""
    for path in sorted(folder.glob(f"[!.]*{SEALED}")):
        try:
            data = read_file(path, FILE_BYTES_MAX)
        except OSError:  # a link, or taken by another reader meanwhile
            continue
        yield Letter(path, data)


def remove(folder: Path, letters: Sequence[Letter]) -> None:
    """Their reader is done with them."""
    for letter in letters:
        letter.path.unlink(missing_ok=True)
    if letters:
        sync_folder(folder)


def packed(messages: Sequence[bytes]) -> Iterator[bytes]:
    """Files of deliveries that have all of these."""
    parts: list[bytes] = []
    size = 0
    for message in messages:
        parts += [b"%d\n" % len(message), message]
        size += len(message)
        if size > FILE_BYTES_MAX // 2 - MESSAGES_MAX * _LENGTH_DIGITS_MAX or (
            len(parts) == 2 * MESSAGES_MAX
        ):
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)
