"""Signed transactions on their way: each lies in a folder, durably, until its answer is noted.

Sending the same bytes again gives the old answer, so after a crash all that lies there is sent
again. There is nothing private in a transaction.

Invariant: what was put lies there until it is removed. See docs/spec/client.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tallystick.durable import read_file, sync_folder, write_file
from tallystick.protocol.errors import Damaged, Malformed
from tallystick.protocol.transaction import (
    TRANSACTION_BYTES_MAX,
    signing_bytes,
    split_transaction,
    transaction_id,
)

SUFFIX = ".tx"


class Kept(NamedTuple):
    """A transaction and its file."""

    path: Path
    tx_id: str
    data: bytes


class PendingDamaged(Damaged):
    """A file of what is under way is not what we signed: whether it was taken, the ledger says."""


class Outbox:
    """One folder; for one process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder

    def put(self, data: bytes) -> Kept:
        """Keep these bytes; durable when this returns."""
        tx_id = id_of(data)
        path = self.folder / (tx_id + SUFFIX)
        if not path.exists():
            write_file(path, data, mode=0o600)
        return Kept(path, tx_id, data)

    def kept(self) -> Iterator[Kept]:
        """All that lie there; `PendingDamaged` names a file that is none of ours."""
        for path in sorted(self.folder.glob(f"[!.]*{SUFFIX}")):
            try:  # our own folder: what cannot be read must not be taken for never sent
                data = read_file(path, TRANSACTION_BYTES_MAX)
                kept = Kept(path, id_of(data), data)
            except (OSError, Malformed) as error:
                raise PendingDamaged(f"{path}: {error}") from error
            if path.name != kept.tx_id + SUFFIX:
                raise PendingDamaged(f"{path} holds another transaction, {kept.tx_id}")
            yield kept

    def remove(self, kept: Kept) -> None:
        """Its answer is noted elsewhere, durably."""
        kept.path.unlink(missing_ok=True)
        sync_folder(self.folder)


def id_of(data: bytes) -> str:
    """The `tx_id` of a transaction's bytes; `Malformed` when they are none."""
    return transaction_id(signing_bytes(split_transaction(data)[0]))
