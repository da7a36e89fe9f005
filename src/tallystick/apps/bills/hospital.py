"""A hospital's way to a ledger far away, whole: its office, its vault, its connection, one folder.

    with Hospital.open(folder, url, policy, key) as hospital:
        (bill,) = hospital.issue([draft])

Any thread may call it; what its threads want at about the same moment travels together. The folder
has ``vault.key`` (made when it is not there: keep a copy of it elsewhere), the bodies, ``pending/``
(transactions under way), ``log/`` (what is known of the ledger's log).

Invariant: a bill is called accepted only after its receipt was verified against the trust policy.
See docs/guides/sdk.md.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from tallystick.apps.bills.acts import (
    BillId,
    Issued,
    Replacement,
    Reversal,
    Status,
    UnderWay,
    Word,
)
from tallystick.apps.bills.addresses import FOLDER, Addresses
from tallystick.apps.bills.delivering import Routes
from tallystick.apps.bills.drafting import Recipient
from tallystick.apps.bills.holders import derive_holder_key
from tallystick.apps.bills.numbers import Place
from tallystick.apps.bills.office import Office
from tallystick.apps.bills.remote import Connection, Options, connect
from tallystick.client.batching import Batcher
from tallystick.client.submitting import Waiting
from tallystick.client.transport import Trusted
from tallystick.contracts.bills.body import Body
from tallystick.contracts.kit.keys import find_key
from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.contracts.members.views import find_delivery
from tallystick.durable import read_file, take_lock
from tallystick.keyring import VaultKey, generate_vault_key, load, load_vault_key
from tallystick.protocol.errors import Rejected
from tallystick.protocol.keys import Signer
from tallystick.protocol.trust import TRUST_BYTES_MAX, TrustPolicy, read_trust
from tallystick.vault import Sent as Delivered
from tallystick.vault import Vault
from tallystick.verify import Verified

VAULT_KEY = "vault.key"
LOG = "log"
FINISHERS = 1
"""The office is for one thread at a time: more would only wait for each other."""

CLOSE_SECONDS_MAX = 15.0
"""How long closing waits for a ledger's answers."""

P = ParamSpec("P")
T = TypeVar("T")


class Hospital:
    """One issuer. `open` it; use as a context, or `close` it."""

    def __init__(
        self,
        office: Office,
        connection: Connection,
        *,
        batch_seconds: float = 0.05,
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        """What `open` puts together; `batch_seconds`: how long a bill waits for company."""
        self.connection = connection
        self.org = office.org
        self._office = office
        self._alone = threading.Lock()
        self._closing = closing
        self._unfinished: list[Future[list[Issued]]] = []
        self._finishers = ThreadPoolExecutor(FINISHERS, "tallystick-office")
        self._batcher: Batcher[Body, Issued] = Batcher(self._begin, delay_seconds=batch_seconds)

    @classmethod
    def open(
        cls,
        folder: Path,
        server: Trusted | str,
        policy: TrustPolicy | Path,
        key: Signer | Path,
        *,
        passphrase: str | None = None,
        archive: str | None = "finance",
        places: Sequence[Place] | None = None,
        clock: Callable[[], int] | None = None,
        options: Options | None = None,
        batch_seconds: float = 0.05,
    ) -> Self:
        """The hospital whose operating key this is; what was under way is settled first.

        `passphrase`: of both key files. `archive`: the member whose archive gets the bodies, if it
        has a delivery key. `places`: the only allotments to use. `Locked`: it is open elsewhere.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        signer = load(key, passphrase) if isinstance(key, Path) else key
        trust = (
            read_trust(read_file(policy, TRUST_BYTES_MAX)) if isinstance(policy, Path) else policy
        )
        vault_key = own_vault_key(folder / VAULT_KEY, passphrase)
        with ExitStack() as stack:
            stack.callback(os.close, take_lock(folder))
            connection = stack.enter_context(
                connect(server, trust, signer, folder / LOG, clock=clock, options=options)
            )
            vault = stack.enter_context(Vault.open(folder, vault_key.secret))
            office = Office(
                folder,
                vault,
                org=owner_of(connection, signer.public_key),
                network=connection.network,
                signer=signer,
                holder_key=derive_holder_key(vault_key.secret),
                submit=connection.submit,
                view=connection.view,
                clock=connection.clock,
                archive=recipient_of(connection, archive),
                addresses=stack.enter_context(Addresses.open(folder / FOLDER, vault_key.secret)),
                places=places,
            )
            office.resolve()
            return cls(
                office, connection, batch_seconds=batch_seconds, closing=stack.pop_all().close
            )

    def close(self) -> None:
        """Finish what is under way, then let go of files and connections.

        A ledger that is away is not waited for: the bills lie in ``pending/`` and the vault.
        """
        self._batcher.close()
        wait(self._unfinished, CLOSE_SECONDS_MAX)
        self.connection.close()  # who has waited so long in vain finds out when it opens again
        self._finishers.shutdown()
        self._closing()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------- acts

    def issue(self, drafts: Iterable[Body]) -> list[Issued]:
        """A bill out of each draft, all in as few transactions as hold them; each fails alone."""
        with self._alone:
            under_way = self._office.begin(drafts)
        wait(under_way.answers)
        return self._finish(under_way)

    def issue_one(self, draft: Body) -> Future[Issued]:
        """A bill out of a draft, together with whatever else is issued at this moment."""
        return self._batcher.add(draft)

    def reverse(self, reversals: Iterable[Reversal]) -> list[Issued]:
        """A red bill for each."""
        with self._alone:
            return self._office.reverse(reversals)

    def replace(self, replacements: Iterable[Replacement]) -> list[Issued]:
        """Reverse each bill whole and issue the draft in its place, in one step."""
        with self._alone:
            return self._office.replace(replacements)

    def withhold(self, bills: Iterable[BillId], reason: str) -> list[Issued]:
        """These may not be claimed, as of a patient in arrears."""
        with self._alone:
            return self._office.withhold(bills, reason)

    def release(self, bills: Iterable[BillId], reason: str) -> list[Issued]:
        """These may be claimed after all."""
        with self._alone:
            return self._office.release(bills, reason)

    # ------------------------------------------------------------------------ what stands

    def said(self, answers: Iterable[Issued]) -> list[Word | None]:
        """What people are told of each: `issued`, or still `issuing` as the type's rules say."""
        with self._alone:
            return self._office.said(answers)

    def status(self, code: int, number: int) -> Status:
        """How a bill stands."""
        with self._alone:
            return self._office.status(code, number)

    def receipt(self, code: int, number: int) -> tuple[bytes, Verified]:
        """A bill's receipt with its state now, verified: a file for whoever holds the bill."""
        return self.connection.receipt(code, number)

    def waiting(self) -> Waiting:
        """How many transactions wait for what, and why."""
        return self.connection.waiting()

    def deliver(self, to: Routes | Path) -> Delivered:
        """Hand over the bodies that are owed to the archive and to wallets."""
        with self._alone:
            return self._office.deliver(to)

    def with_office(self, work: Callable[[Office], T]) -> T:
        """Anything else that an office can do, while nobody else works with it."""
        with self._alone:
            return work(self._office)

    # --------------------------------------------------------------------------- internals

    def _begin(self, drafts: Sequence[Body]) -> Future[list[Issued]]:
        with self._alone:
            under_way = self._office.begin(drafts)
        done = self._finishers.submit(self._finish, under_way)
        self._unfinished = [each for each in self._unfinished if not each.done()] + [done]
        return done

    def _finish(self, under_way: UnderWay) -> list[Issued]:
        wait(under_way.answers)
        with self._alone:
            return self._office.finish(under_way)


class AsyncHospital:
    """The same for asyncio. Signing, sealing and the vault's fsync would hold the loop up, so the
    work is done by threads; a future a bill is what the loop waits for."""

    def __init__(self, hospital: Hospital) -> None:
        self.hospital = hospital

    @classmethod
    async def open(
        cls, folder: Path, server: Trusted | str, policy: TrustPolicy | Path, key: Signer | Path
    ) -> Self:
        """As `Hospital.open`; for more than these, open that and wrap it."""
        return cls(await asyncio.to_thread(Hospital.open, folder, server, policy, key))

    async def close(self) -> None:
        """Finish what is under way, then let go of files and connections."""
        await asyncio.to_thread(self.hospital.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def issue_one(self, draft: Body) -> Issued:
        """A bill out of a draft, together with whatever else is issued at this moment."""
        return await asyncio.wrap_future(self.hospital.issue_one(draft))

    async def run(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Any other method, in a thread: ``await h.run(h.hospital.reverse, [reversal])``."""
        return await asyncio.to_thread(act, *args, **kwargs)


def own_vault_key(path: Path, passphrase: str | None) -> VaultKey:
    """The key in a file, made if there is none."""
    if path.exists():
        return load_vault_key(path, passphrase)
    return generate_vault_key(path, name="vault", passphrase=passphrase)


def owner_of(connection: Connection, key: bytes) -> str:
    """Whose operating key this is."""
    with connection.view() as view:
        row = find_key(view, key)
    if row is None or row.org is None or not row.good:
        raise Rejected(LedgerReason.KEY_UNKNOWN, "no member's live operating key", path="key")
    return row.org


def recipient_of(connection: Connection, archive: str | None) -> Recipient | None:
    """The archive of an organisation that has a delivery key on the ledger."""
    if archive is None:
        return None
    with connection.view() as view:
        row = find_delivery(view, archive)
    return None if row is None else Recipient(archive, row.key)
