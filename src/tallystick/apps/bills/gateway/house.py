"""A gateway put together: everything that one house needs, in one folder.

The folder has ``gateway.toml``, ``trust.json``, ``key.json``; beside them lie ``vault.key`` and the
bodies, ``pending/``, ``log/`` (what is known of the ledger's log), ``refs.db``, ``tokens.json``,
``kits/``, ``claims/``, ``reconciled/``. It is a folder as `Hospital.open` has it, and more.

Invariant: a house is open in one process at a time. See docs/guides/gateway.md.
"""

from __future__ import annotations

import hmac
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from tallystick.apps.bills.addresses import FOLDER as ADDRESSES
from tallystick.apps.bills.addresses import Addresses
from tallystick.apps.bills.claim_book import FILE as BOOK
from tallystick.apps.bills.claim_book import ClaimBook
from tallystick.apps.bills.delivering import Routes, parse_route
from tallystick.apps.bills.gateway.claims import ClaimsDesk
from tallystick.apps.bills.gateway.config import Config
from tallystick.apps.bills.gateway.desk import GatewayOffice
from tallystick.apps.bills.gateway.link import Link
from tallystick.apps.bills.gateway.mending import Mending
from tallystick.apps.bills.gateway.orders import Filling
from tallystick.apps.bills.gateway.reasons import ALL_TEXTS, STATUSES, GatewayReason
from tallystick.apps.bills.gateway.refs import Refs
from tallystick.apps.bills.gateway.reserves import Reserves
from tallystick.apps.bills.gateway.standing import Standings
from tallystick.apps.bills.gateway.tokens import Till, Tokens
from tallystick.apps.bills.gateway.writer import Writer
from tallystick.apps.bills.holders import derive_holder_key
from tallystick.apps.bills.hospital import LOG, VAULT_KEY, own_vault_key, owner_of, recipient_of
from tallystick.apps.bills.reimburser import Reimburser
from tallystick.apps.bills.remote import Connection, Options
from tallystick.client.patience import Patience
from tallystick.client.transport import Trusted
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.records.bills import BillId, parse_bill_id
from tallystick.durable import read_file, take_lock
from tallystick.keyring import load
from tallystick.protocol.canonical import decode, narrow
from tallystick.protocol.errors import Malformed, Rejected, TallystickError
from tallystick.protocol.keys import Signer
from tallystick.protocol.trust import TRUST_BYTES_MAX, TrustPolicy, read_trust
from tallystick.vault import Vault
from tallystick.web.endpoint import Ask
from tallystick.web.problems import Problems

_log = logging.getLogger("tallystick.gateway")

CLAIMS = "claims"
CLOSE_SECONDS = 10.0
START_SECONDS_MAX = 15.0
"""How long the start waits for a first answer of the ledger."""
RENEW_SECONDS = 600.0
"""Kits are taken along anew."""
TYPES_SECONDS = 20.0
DELIVER_SECONDS = 2.0
ANSWER_SECONDS_MAX = 20.0
"""A reimburser's transaction that has no answer by then is asked about later."""
_DIGEST_CONTEXT = b"tallystick/gateway-refs/v1\n"


@dataclass(frozen=True, slots=True)
class Keys:
    """What a house signs and seals with."""

    signer: Signer
    vault: bytes
    policy: TrustPolicy
    reserves: Mapping[int, Signer]

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        """Out of the files that the configuration names."""
        passphrase = None
        if config.keys.passphrase_file:
            text = (folder / config.keys.passphrase_file).read_text(encoding="utf-8")
            passphrase = text.split("\n", 1)[0]
        signer = load(folder / (config.keys.file or "key.json"), passphrase)
        named = folder / (config.ledger.policy or "trust.json")
        return cls(
            signer=signer,
            vault=own_vault_key(folder / VAULT_KEY, passphrase).secret,
            policy=read_trust(read_file(named, TRUST_BYTES_MAX)),
            reserves={
                each.code: load(folder / each.key, passphrase) if each.key else signer
                for each in config.reserve
            },
        )


class House:
    """From any thread. `open` it, `start` it; use as a context."""

    def __init__(self, folder: Path, config: Config, keys: Keys, clock: Callable[[], int]) -> None:
        """What `open` does; `Locked` when another process has it."""
        self.folder = folder
        self.config = config
        self.clock = clock
        self._keys = keys
        self._org = ""
        self._due: dict[str, float] = {}
        self._was_away = True
        self._stopping = threading.Event()
        self.digest_key = hmac.digest(keys.vault, _DIGEST_CONTEXT, "sha256")
        self._patience = Patience(
            connect_seconds=min(2.0, config.answers.away_seconds),
            answer_seconds=config.answers.away_seconds,
            deadline_seconds=config.answers.away_seconds,
        )
        with ExitStack() as stack:
            stack.callback(os.close, take_lock(folder))
            self.vault = stack.enter_context(Vault.open(folder, keys.vault))
            self.refs = Refs.open(folder)
            stack.callback(self.refs.close)
            addresses = stack.enter_context(Addresses.open(folder / ADDRESSES, keys.vault))
            self._addresses = addresses
            self._stack = stack.pop_all()
        self.problems = Problems(ALL_TEXTS, STATUSES)
        self.tokens = Tokens(folder, clock)
        self.filling = Filling(config, clock)
        self.link = Link(self._connect, away_seconds=config.answers.away_seconds)
        self.writer = self._writer()
        self.standing = Standings(self.refs, self.vault, self.link, self.writer, clock)
        self.claims = self._claims() if config.claims.enabled else None
        self._tending = threading.Thread(target=self._tend, name="tallystick-tend", daemon=True)

    @classmethod
    def open(cls, folder: Path, config: Config, clock: Callable[[], int]) -> Self:
        """The house in a folder."""
        return cls(folder, config, Keys.load(folder, config), clock)

    def start(self) -> None:
        """Settle what can be settled, ask for the ledger, take orders."""
        self.writer.start()
        if self.claims is not None:
            self.claims.start()
        self._tending.start()
        self.writer.looked.wait(START_SECONDS_MAX)

    def close(self) -> None:
        """Finish what has an answer soon; the rest lies in ``pending/``."""
        self._stopping.set()
        self._tending.join()
        if self.claims is not None:
            self.claims.close()
        self.writer.close(CLOSE_SECONDS)
        self.link.close()
        self._stack.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---------------------------------------------------------------------------- questions

    def there(self) -> Connection:
        """The way to the ledger; `Rejected` while nobody is at its other end."""
        connection = self.link.connection
        if connection is None or self.link.away:
            raise Rejected(GatewayReason.AWAY, self.link.why)
        return connection

    def org(self) -> str:
        """Whose key signs; the ledger is asked once."""
        if not self._org:
            self._org = owner_of(self.there(), self._keys.signer.public_key)
        return self._org

    def bill_in(self, ask: Ask) -> str:
        """The bill that an address names."""
        try:
            found: str = narrow(ask.path["bill"], BillId)
        except Malformed as error:
            raise Malformed(error.detail, path="bill") from None
        return found

    def check_place(self, till: Till, bill: str) -> None:
        """`Rejected` for a bill of another place than the token's."""
        if till.place is None:
            return
        try:
            body, _ = self.vault.get(*parse_bill_id(bill))
        except KeyError:
            raise Rejected(GatewayReason.NO_BILL, bill, path="bill") from None
        till.check_place(decode(body, Body).place_code)

    # ------------------------------------------------------------------------------ parts

    def _connect(self) -> Connection:
        ledger = self.config.ledger
        trusted = Trusted(
            ledger.url,
            ca_file=self.folder / ledger.ca_file if ledger.ca_file else None,
            proxy=ledger.proxy or None,
            insecure=ledger.insecure,
        )
        return Connection(
            *(trusted, self._keys.policy, self._keys.signer, self.folder / LOG),
            clock=self.clock,
            options=Options(patience=self._patience),
        )

    def _writer(self) -> Writer:
        answers = self.config.answers
        reserves = Reserves(
            self.folder,
            self.vault,
            {each.code: (each, self._keys.reserves[each.code]) for each in self.config.reserve},
            holder_key=derive_holder_key(self._keys.vault),
            clock=self.clock,
            note=lambda numbered: self.refs.number(numbered, offline=True),
            addresses=self._addresses,
        )
        network = self._keys.policy.network
        mending = Mending(self.folder, self.refs, self.vault, network, reserves.has)
        return Writer(
            *(self.refs, reserves, self.link, mending, self._open_office),
            clock=self.clock,
            batch_seconds=answers.batch_seconds,
            queue_max=answers.queue,
        )

    def _open_office(self) -> GatewayOffice:
        connection = self.there()
        known = self.link.known
        return GatewayOffice(
            self.folder,
            self.vault,
            org=self.org(),
            network=connection.network,
            signer=self._keys.signer,
            holder_key=derive_holder_key(self._keys.vault),
            submit=connection.submit,
            view=connection.view if known is None else known.view,
            clock=self.clock,
            archive=recipient_of(connection, self.config.archive.org),
            addresses=self._addresses,
        )

    def _claims(self) -> ClaimsDesk:
        answers = self.config.answers
        return ClaimsDesk(
            *(self.link, self._open_desk),
            batch_seconds=answers.batch_seconds,
            queue_max=answers.queue,
        )

    def _open_desk(self) -> Reimburser:
        connection, folder = self.there(), self.folder / CLAIMS
        org = self.org()
        if not (folder / BOOK).exists():
            ClaimBook.make(folder, org=org, network=connection.network).close()
        book = ClaimBook.open(folder)
        self._stack.callback(book.close)
        return Reimburser(
            *(folder, book),
            signer=self._keys.signer,
            submit=connection.submit,
            view=connection.view,
            clock=self.clock,
            answer_seconds_max=ANSWER_SECONDS_MAX,
        )

    # ----------------------------------------------------------------------------- tending

    def _tend(self) -> None:
        while True:
            self.link.probe()
            self.writer.wake()
            if not self.link.away and self.link.connection is not None:
                self._look_after(self.link.connection)
            self._was_away = self.link.away
            if self._stopping.wait(self.config.answers.probe_seconds):
                return

    def _look_after(self, connection: Connection) -> None:
        reserves = self.writer.reserves
        for code in reserves.codes:
            if self._is_due(f"kit {code}", RENEW_SECONDS) or self._was_away:
                self._try(f"kit {code}", partial(self._renew, connection, code), reserves.failed)
        if self.link.known is not None and self._is_due("types", TYPES_SECONDS):
            self._try("types", self.link.known.renew)
        if self.config.archive.deliver_to and self._is_due("deliver", DELIVER_SECONDS):
            self._try("deliver", self._deliver)

    def _renew(self, connection: Connection, code: int) -> None:
        with connection.view() as view:
            self.writer.reserves.renew(view, connection.network, code)
        self.writer.reserves.failed.pop(code, None)

    def _deliver(self) -> None:
        office = self.writer.office
        if office is None:
            return
        place = self.config.archive.deliver_to
        where = parse_route(place, lambda url: Trusted(url, insecure=self.config.ledger.insecure))
        if isinstance(where, Path):
            where = self.folder / where
            where.mkdir(parents=True, exist_ok=True)
        office.deliver(Routes(where))

    def _is_due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._due.get(what, -seconds) < seconds:
            return False
        self._due[what] = now
        return True

    def _try(
        self, what: str, work: Callable[[], None], failed: dict[int, str] | None = None
    ) -> None:
        """Nobody waits for it: what fails is tried again, and shows."""
        try:
            work()
        except (TallystickError, OSError) as error:
            self._due.pop(what, None)
            _log.warning("%s: %s", what, error)
            if failed is not None:
                failed[int(what.rpartition(" ")[2])] = str(error)
