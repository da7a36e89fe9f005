"""Signed transactions on their way: each lies in a folder, durably, until its answer is noted.

Submitting the same bytes again gives the old answer, so after a crash all that lies there is
submitted again. There is nothing private in a transaction.

Invariant: what was submitted lies in the folder until `done`. See docs/guides/office.md.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from tallystick.client.outbox import Kept, Outbox, PendingDamaged
from tallystick.ledger.engine import Committed
from tallystick.protocol.errors import Busy, Malformed, VerificationFailed
from tallystick.protocol.keys import Signer
from tallystick.protocol.transaction import Item, read_transaction, sign_transaction
from tallystick.protocol.values import NONCE_BYTES, format_instant

VALID_SECONDS = 3_600
"""How long a transaction may be submitted again after a crash."""

Submit = Callable[[bytes], "Future[Committed]"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that was submitted."""

    letter: Kept
    tx_id: str
    items: Sequence[Item]
    answer: Future[Committed]


def new_nonce() -> bytes:
    """128 bits of chance: they hide an item behind its hash, or name a transaction once."""
    return secrets.token_bytes(NONCE_BYTES)


def drop(folder: Path, data: bytes) -> tuple[Path, str]:
    """Leave a signed transaction in a folder, as in a node's box: its file and its id."""
    kept = Outbox(folder).put(data)
    return kept.path, kept.tx_id


class Sending:
    """What one member signs and submits."""

    def __init__(
        self,
        folder: Path,
        *,
        org: str,
        network: bytes,
        signer: Signer,
        submit: Submit,
        clock: Callable[[], int],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`clock` gives Unix seconds; `pause` waits as many seconds as a busy engine asks for."""
        self._org = org
        self._network = network
        self._signer = signer
        self._submit = submit
        self._clock = clock
        self._pause = pause
        self._outbox = Outbox(folder)

    def send(self, action: str, items: Sequence[Item], *, atomic: bool = False) -> Sent:
        """Sign one transaction, keep it, submit it; `atomic`: all of its items or none."""
        data = sign_transaction(
            self._signer,
            network=self._network,
            sender=self._org,
            action=action,
            items=items,
            idempotency=new_nonce(),
            valid_until=format_instant(self._clock() + VALID_SECONDS),
            atomic=atomic,
        )
        kept = self._outbox.put(data)
        return Sent(kept, kept.tx_id, items, self._submit_patiently(data))

    def send_again(self, schemas: Mapping[str, type[Item]]) -> Iterator[Sent]:
        """Submit again, one by one, what has had no answer yet; `PendingDamaged` names a file."""
        for kept in self._outbox.kept():
            try:  # our own folder: what cannot be read must not be taken for never sent
                transaction = read_transaction(kept.data, self._network, schemas)
            except (Malformed, VerificationFailed) as error:
                raise PendingDamaged(f"{kept.path}: {error}") from error
            answer = self._submit_patiently(kept.data)
            yield Sent(kept, kept.tx_id, transaction.items, answer)

    def done(self, sent: Sent) -> None:
        """Its answer is noted elsewhere, durably."""
        self._outbox.remove(sent.letter)

    def _submit_patiently(self, data: bytes) -> Future[Committed]:
        while True:
            try:
                return self._submit(data)
            except Busy as busy:
                self._pause(busy.retry_after_seconds)
