"""Where an import goes: a ledger of ours, new or founded, with a key file and an office a member.

Beside the ledger's own files, in its folder: ``keys/<org>.json`` (signs), ``<org>-root.json``
(offline), ``<org>-vault.json`` and ``<org>-delivery.json``, ``offices/<org>/`` (bodies, and what is
under way),
``synthea/`` (what the import has found). All of it is for the owner alone.

Invariant: preparing twice prepares once; nobody gets more authority than issuing needs.
See docs/guides/synthea.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from tallystick import keyring
from tallystick.apps.bills.addresses import Addresses
from tallystick.apps.bills.drafting import Recipient
from tallystick.apps.bills.holders import derive_holder_key
from tallystick.apps.bills.office import Office
from tallystick.apps.bills.sending import new_nonce
from tallystick.apps.bills.synthea_bills import (
    SyntheaOrganisations,
    import_types,
    payer_of,
    synthea_organisations,
)
from tallystick.apps.bills.synthea_records import Export, Patient
from tallystick.apps.bills.synthea_wallets import Wallets
from tallystick.contracts.bills.items.bills import Allot, Block
from tallystick.contracts.bills.records.bills import Allotment, BillType, Series, remaining
from tallystick.contracts.bills.views.bills import find_type, list_allotments, remaining_ranges
from tallystick.contracts.kit.grants import Grant, wider
from tallystick.contracts.kit.keys import find_key
from tallystick.contracts.members.actions.grants import GiveGrant
from tallystick.contracts.members.actions.orgs import Admit
from tallystick.contracts.members.records import NewGrant, NewKey
from tallystick.contracts.members.views import find_member, grants, may
from tallystick.ledger.engine import Committed
from tallystick.ledger.view import View
from tallystick.protocol.canonical import encode
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import TallystickError
from tallystick.protocol.genesis import FoundingGrant, FoundingKey, FoundingOrg, Genesis
from tallystick.protocol.keys import Signer
from tallystick.protocol.row import row_key
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import format_instant, local_day
from tallystick.vault import Vault

FINANCE = "finance"
LOG = "log"
NAME = "example/synthea"
REGION = 33
UTC_OFFSET_SECONDS = 28_800
ADDRESSES = "addresses"
"""In an office's folder: those of its patients' wallets."""
KEYS, OFFICES, IMPORTS = "keys", "offices", "synthea"

ISSUER_ACTIONS = [
    "bills.issue", "bills.reverse", "bills.replace", "bills.withhold", "bills.release",
    "bills.give_back", "bills.void_numbers",
]  # fmt: skip
INSURER_ACTIONS = [
    "bills.lock", "bills.renew", "bills.release_lock", "bills.reject", "bills.settle",
    "bills.supplement", "bills.claw_back", "bills.accept_plan", "bills.waive_share",
]  # fmt: skip
FINANCE_LEVEL, ISSUER_LEVEL = 0, 3
SERIES_BLOCK = 1_000_000
"""What finance takes out of a code's series at once."""
BLOCK = 100
"""Issuers get numbers in multiples of it."""
NUMBER_MAX = 9_999_999_999


class NotPrepared(TallystickError):
    """The ledger is not ready for the import, and could not be made ready."""


class NodeClock(Protocol):
    """A node's clock."""

    def now(self) -> int:
        """Unix seconds."""


class LedgerNode(Protocol):
    """What the import needs of a node; `tallystick.node.Node` fulfils it."""

    @property
    def clock(self) -> NodeClock:
        """What time it is for blocks."""

    @property
    def network(self) -> bytes:
        """The network's id."""

    def submit(self, data: bytes) -> Future[Committed]:
        """Queue a signed transaction."""

    def sign(
        self, signer: Signer, sender: str, action: str, items: Sequence[Item], *, atomic: bool = ...
    ) -> bytes:
        """A transaction of this network."""

    def act(
        self, signer: Signer, sender: str, action: str, items: Sequence[Item], *, atomic: bool = ...
    ) -> Committed:
        """Sign, submit and wait until it is durable."""

    def dry_run(self, data: bytes) -> list[str]:
        """What would become of each item now."""

    def view(self) -> AbstractContextManager[View]:
        """What may be asked, as of one moment."""


N = TypeVar("N", bound=LedgerNode)


class KeyFolder:
    """The key files of every member that this operator acts for; made when first asked for."""

    def __init__(self, folder: Path, passphrase: str | None = None) -> None:
        self.folder = folder
        self._passphrase = passphrase
        self._signers: dict[str, keyring.KeySigner] = {}
        self._vault_keys: dict[str, keyring.VaultKey] = {}
        self._delivery_keys: dict[str, keyring.DeliveryKey] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def held(self, name: str) -> keyring.KeySigner:
        """The signing key of a name, which must be here: an organisation's, its root's
        (``<org>-root``), the log's. Raises `NotPrepared`."""
        if name not in self._signers:
            path = self._path(name)
            if not path.exists():
                raise NotPrepared(f"{path.name} is not in {KEYS}/", path=name)
            self._signers[name] = keyring.load(path, self._passphrase)
        return self._signers[name]

    def signer(self, name: str) -> keyring.KeySigner:
        """The same, made if it is not here."""
        path = self._path(name)
        if name not in self._signers and not path.exists():
            self._signers[name] = keyring.generate(path, name=name, passphrase=self._passphrase)
        return self.held(name)

    def vault_key(self, org: str) -> keyring.VaultKey:
        """The key of an organisation's vault, made if it is not here."""
        if org not in self._vault_keys:
            name = f"{org}-vault"
            path = self._path(name)
            if path.exists():
                self._vault_keys[org] = keyring.load_vault_key(path, self._passphrase)
            else:
                self._vault_keys[org] = keyring.generate_vault_key(
                    path, name=name, passphrase=self._passphrase
                )
        return self._vault_keys[org]

    def delivery_key(self, org: str) -> keyring.DeliveryKey:
        """The key that opens what is delivered to an organisation, made if it is not here."""
        if org not in self._delivery_keys:
            name = f"{org}-delivery"
            path = self._path(name)
            if path.exists():
                self._delivery_keys[org] = keyring.load_delivery_key(path, self._passphrase)
            else:
                self._delivery_keys[org] = keyring.generate_delivery_key(
                    path, name=name, passphrase=self._passphrase
                )
        return self._delivery_keys[org]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def found_for_import(
    folder: Path, keys: KeyFolder, found: Callable[[Path, bytes, Signer], N], *, at: int
) -> N:
    """Found a network in an empty folder: finance, which may do everything, and nobody else."""
    log = keys.signer(LOG)
    genesis = Genesis(
        format="tallystick/genesis/v1",
        name=NAME,
        region=REGION,
        utc_offset_seconds=UTC_OFFSET_SECONDS,
        founded_at=format_instant(at),
        nonce=new_nonce(),
        log_keys=[log.public_key],
        organisations=[
            FoundingOrg(
                org=FINANCE,
                root_key=keys.signer(f"{FINANCE}-root").public_key,
                keys=[FoundingKey(key=keys.signer(FINANCE).public_key, actions=["*"])],
                grants=[FoundingGrant(actions=["*"], depth=8)],
            )
        ],
    )
    return found(folder, encode(genesis), log)


class ImportLedger:
    """A ledger with the offices of those whose claims are imported."""

    def __init__(
        self,
        node: LedgerNode,
        folder: Path,
        keys: KeyFolder,
        *,
        finance: str = FINANCE,
        archive: Recipient | None = None,
        mailbox: Path | None = None,
        wallets: Wallets | None = None,
    ) -> None:
        """`finance` is who admits members, defines types and grants numbers here.

        With `archive`, bodies are owed to finance's archive, and are put into `mailbox`, its letter
        box, if that is named. With `wallets`, patients have addresses that their bills go to.
        """
        self.node = node
        self.folder = folder
        self.keys = keys
        self._finance = finance
        self._archive = archive
        self._mailbox = mailbox
        self._wallets = wallets

    @property
    def imports(self) -> Path:
        """Where the import keeps what it found."""
        return self.folder / IMPORTS

    def code(self, type_id: int) -> int:
        """The bill code of this year."""
        with self.node.view() as view:
            day = local_day(self.node.clock.now(), view.genesis.utc_offset_seconds)
        return type_id * 100 + int(day[2:4])

    def find_type(self, type_id: int) -> BillType | None:
        """The newest version of a type, if it is defined here."""
        with self.node.view() as view:
            return find_type(view, type_id)

    def has_vault(self, org: str) -> bool:
        """Whether the organisation has kept anything yet."""
        return (self.folder / OFFICES / org).exists()

    @contextmanager
    def open_vault(self, org: str) -> Iterator[Vault]:
        """An organisation's bodies."""
        folder = self.folder / OFFICES / org
        for each in (folder.parent, folder):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Vault.open(folder, self.keys.vault_key(org).secret) as vault:
            yield vault

    @contextmanager
    def open_office(self, org: str, patients: Iterable[Patient] = ()) -> Iterator[Office]:
        """An organisation's office; what was under way is not asked for: `Office.resolve`.

        Bills of these patients go to their wallets from now on.
        """
        secret = self.keys.vault_key(org).secret
        with self.open_vault(org) as vault, self._addresses(org, patients) as addresses:
            office = Office(
                self.folder / OFFICES / org,
                vault,
                org=org,
                network=self.node.network,
                signer=self.keys.held(org),
                holder_key=derive_holder_key(secret),
                submit=self.node.submit,
                view=self.node.view,
                clock=self.node.clock.now,
                archive=self._archive,
                addresses=addresses,
            )
            yield office
            if self._mailbox is not None:
                self._mailbox.mkdir(parents=True, exist_ok=True)
                while office.deliver(self._mailbox).delivered:
                    pass

    @contextmanager
    def _addresses(self, org: str, patients: Iterable[Patient]) -> Iterator[Addresses | None]:
        if self._wallets is None:
            yield None
            return
        folder = self.folder / OFFICES / org / ADDRESSES
        with Addresses.open(folder, self.keys.vault_key(org).secret) as addresses:
            for patient in patients:
                payer, address = payer_of(patient), self._wallets.address(patient.uuid, org)
                if addresses.newest(payer) != address:
                    addresses.register(payer, address, at=self.node.clock.now())
            yield addresses

    def rehearse(self, org: str, action: str, items: Sequence[Item]) -> list[str]:
        """What would become of these acts of an organisation now; leaves no trace."""
        signer = self.keys.held(org)
        return self.node.dry_run(self.node.sign(signer, org, action, items))

    # -------------------------------------------------------------------------- preparing

    def prepare(self, export: Export) -> None:
        """Admit who is missing and define the two types, as finance. Raises `NotPrepared`."""
        everyone = synthea_organisations(export)
        with self.node.view() as view:
            missing = [
                org
                for org in (*everyone.issuers, *everyone.insurers)
                if find_member(view, org) is None
            ]
            self._check_keys(view, [org for org in everyone.issuers if org not in missing])
            source = self._source(view, ISSUER_ACTIONS) if missing else ""
            types = [each for each in import_types().values() if not find_type(view, each.type_id)]
        self._act("members.admit/1", [self._admit(org, everyone, source) for org in missing])
        if types:
            valid_from = format_instant(self.node.clock.now())
            self._act(
                "bills.define_type/1",
                [each.define(nonce=new_nonce(), valid_from=valid_from) for each in types],
            )

    def _check_keys(self, view: View, orgs: Iterable[str]) -> None:
        for org in orgs:
            if find_key(view, self.keys.held(org).public_key) is None:
                raise NotPrepared(f"{org} is a member, but the key here is not its", path=org)

    def let_claim(self, insurers: Iterable[str]) -> None:
        """Grant what reimbursing needs to those who have it not, as finance. `NotPrepared`."""
        codes = [each.type_id for each in import_types().values()]
        now, insurers = self.node.clock.now(), list(insurers)
        with self.node.view() as view:
            self._check_keys(view, insurers)
            missing = [
                org
                for org in insurers
                if not all(
                    may(view, org, action, now, self.code(codes[0])) for action in INSURER_ACTIONS
                )
            ]
            source = self._source(view, INSURER_ACTIONS) if missing else ""
        grant = NewGrant(source=source, actions=INSURER_ACTIONS, codes=codes)
        self._act(
            "members.give_grant/1",
            [GiveGrant(nonce=new_nonce(), subject=org, grant=grant) for org in missing],
        )

    def grant_numbers(self, needed: Mapping[tuple[str, int], int]) -> None:
        """Allot what is missing, so that each (organisation, code) has as many as it needs."""
        with self.node.view() as view:
            missing = {
                (org, code): count - left
                for (org, code), count in needed.items()
                if (left := sum(map(remaining, list_allotments(view, code, holder=org)))) < count
            }
        for code in sorted({code for _, code in missing}):
            sizes = {
                org: -(-count // BLOCK) * BLOCK
                for (org, each), count in missing.items()
                if each == code
            }
            parent, first = self._room(code, sum(sizes.values()))
            items = []
            for org, size in sizes.items():
                items.append(
                    Allot(
                        nonce=new_nonce(),
                        code=code,
                        level=ISSUER_LEVEL,
                        first=first,
                        last=first + size - 1,
                        holder=org,
                        parent=Block(level=parent.level, first=parent.first),
                    )
                )
                first += size
            self._act("bills.allot/1", items)

    def _room(self, code: int, size: int) -> tuple[Allotment, int]:
        """A block of finance's own with `size` numbers in a row that are free, and the first."""
        found = self._find_room(code, size)
        if found is None:
            with self.node.view() as view:
                series = view.get(row_key(Series.KIND, str(code)), Series)
            first = max((each.last for each in series.gone), default=0) + 1 if series else 1
            last = min(first + max(size, SERIES_BLOCK) - 1, NUMBER_MAX)
            item = Allot(
                nonce=new_nonce(),
                code=code,
                level=FINANCE_LEVEL,
                first=first,
                last=last,
                holder=self._finance,
            )
            self._act("bills.allot/1", [item])
            found = self._find_room(code, size)
        if found is None:
            raise NotPrepared(f"{self._finance} has not {size} numbers of {code} left")
        return found

    def _find_room(self, code: int, size: int) -> tuple[Allotment, int] | None:
        with self.node.view() as view:
            for row in list_allotments(view, code, holder=self._finance):
                if row.level >= ISSUER_LEVEL or row.state != "open":
                    continue
                for free in remaining_ranges(row, row.gone):
                    first = max(free.first, row.next)
                    if free.last - first + 1 >= size:
                        return row, first
        return None

    def _source(self, view: View, actions: list[str]) -> str:
        """The grant of finance's out of which others get theirs."""
        codes = [each.type_id for each in import_types().values()]
        wanted = Grant(grant_id="founding.0", actions=actions, codes=codes)
        for grant, live in grants(view, self._finance, self.node.clock.now()):
            if live and wider(wanted, grant) is None:
                return grant.grant_id
        raise NotPrepared(f"{self._finance} holds no grant that it could pass on")

    def _admit(self, org: str, everyone: SyntheaOrganisations, source: str) -> Admit:
        codes = [each.type_id for each in import_types().values()]
        grant = NewGrant(source=source, actions=ISSUER_ACTIONS, codes=codes)
        return Admit(
            nonce=new_nonce(),
            org=org,
            root_key=self.keys.signer(f"{org}-root").public_key,
            keys=[NewKey(key=self.keys.signer(org).public_key, actions=["*"])],
            grants=[grant] if org in everyone.issuers else [],
        )

    def _act(self, action: str, items: Sequence[Item]) -> None:
        if not items:
            return
        signer = self.keys.held(self._finance)
        done = self.node.act(signer, self._finance, action, items, atomic=True)
        refused = [outcome for outcome in done.outcomes if outcome != ACCEPTED]
        if refused:
            raise NotPrepared(f"{action} of {self._finance} was refused: {refused[0]}")
