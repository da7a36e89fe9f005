"""A city over a real node: finance with its archive, a hospital with its office, folders between.

Invariant: nothing here is a stand-in; the clock alone is ours and stands still until it is moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace as changed
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from acts import FOUNDED_AT, REGION, founder, nonce

from tallystick.apps.bills.accepted import KeptLedger
from tallystick.apps.bills.addresses import Addresses
from tallystick.apps.bills.archive_office import ArchiveOffice
from tallystick.apps.bills.catalogue import TYPES, Scene
from tallystick.apps.bills.checks import RecordHalf, business_keys_of, check_content
from tallystick.apps.bills.drafting import Recipient
from tallystick.apps.bills.generate import make_draft
from tallystick.apps.bills.holders import derive_holder_key
from tallystick.apps.bills.office import Office
from tallystick.apps.bills.wallet_acts import Made, read_relayed
from tallystick.contracts.bills.body import Body
from tallystick.contracts.bills.items.bills import Allot, Block
from tallystick.contracts.bills.records.bills import Bill, Issuer, TypeRules, format_bill_id
from tallystick.contracts.bills.views.bills import find_bill, find_issuer
from tallystick.engines.clock import Clock
from tallystick.keyring import KeySigner, delivery_key_from_seed, signer_from_seed
from tallystick.ledger.engine import Committed
from tallystick.node import Node
from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.genesis import FoundingOrg, Genesis
from tallystick.protocol.keys import Signer
from tallystick.protocol.transaction import Item
from tallystick.protocol.values import parse_instant
from tallystick.vault import Archive, Vault

HOSPITAL = "hospital-01"
BLOCK = 10_000
VAULT_KEY = sha256(b"the hospital's vault").digest()
ARCHIVE_KEY = sha256(b"the archive's vault").digest()
DELIVERY = delivery_key_from_seed(sha256(b"the archive's delivery key").digest())


def signer(name: str) -> KeySigner:
    """The signer whose public key `acts.public_key` gives."""
    return signer_from_seed(sha256(name.encode()).digest(), name="test")


class City:
    """One node; types defined and numbers allotted. Use as a context."""

    def __init__(
        self,
        folder: Path,
        *,
        scenes: dict[Scene, TypeRules] | None = None,
        block: int = BLOCK,
        more: Sequence[FoundingOrg] = (),
        founded_at: str = FOUNDED_AT,
    ) -> None:
        self.folder = folder
        self.box = folder / "mail"
        self.box.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.now = parse_instant(founded_at) + 4 * 3600
        self.year = int(founded_at[:4])
        self._nonces = 0
        genesis = Genesis(
            format="tallystick/genesis/v1",
            name="example/city",
            region=REGION,
            utc_offset_seconds=28_800,
            founded_at=founded_at,
            nonce=nonce(0),
            log_keys=[signer("log").public_key],
            organisations=[founder("finance", "*"), founder(HOSPITAL, "bills.*"), *more],
        )
        self.node = Node.found(folder / "node", encode(genesis), signer("log"), clock=self.clock())
        rules = scenes or {scene: each.rules for scene, each in TYPES.items()}
        for scene, its_rules in rules.items():
            self._open(scene, its_rules, block)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.node.close()

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now, monotonic=lambda: self.now)

    def nonce(self) -> bytes:
        self._nonces += 1
        return nonce(self._nonces)

    def act(self, sender: str, action: str, *items: Item) -> None:
        done = self.node.act(signer(f"{sender}/key"), sender, f"{action}/1", items)
        assert set(done.outcomes) == {"accepted"}, done.outcomes

    def _open(self, scene: Scene, rules: TypeRules, block: int) -> None:
        reference = changed(TYPES[scene], rules=rules)
        self.act(
            "finance",
            "bills.define_type",
            reference.define(nonce=self.nonce(), valid_from="2025-12-31T16:00:00Z"),
        )
        named: dict[str, Any] = {"code": reference.code(self.year), "first": 1}
        top = Allot(nonce=self.nonce(), level=0, last=10 * block, holder="finance", **named)
        own = Allot(
            nonce=self.nonce(),
            level=3,
            last=block,
            holder=HOSPITAL,
            parent=Block(level=0, first=1),
            **named,
        )
        self.act("finance", "bills.allot", top)
        self.act("finance", "bills.allot", own)

    @contextmanager
    def office(
        self,
        submit: Callable[[bytes], Future[Committed]] | None = None,
        key: Signer | None = None,
        addresses: Addresses | None = None,
    ) -> Iterator[Office]:
        """The hospital's office; leaving it without more is what a crash leaves behind."""
        folder = self.folder / HOSPITAL
        with Vault.open(folder / "vault", VAULT_KEY) as vault:
            yield Office(
                folder,
                vault,
                org=HOSPITAL,
                network=self.node.network,
                signer=key or signer(f"{HOSPITAL}/key"),
                holder_key=derive_holder_key(VAULT_KEY),
                submit=submit or self.node.submit,
                view=self.node.view,
                clock=lambda: self.now,
                archive=Recipient("finance", DELIVERY.public_key),
                addresses=addresses,
                answer_seconds_max=60,
                pause=lambda _: None,
            )

    @contextmanager
    def archive(self, ledger: Path | None = None) -> Iterator[ArchiveOffice]:
        """Finance's archive over the operator's ledger or another; acts go straight to the node."""
        kept = KeptLedger(ledger or self.node.folder)
        with Archive[RecordHalf].open(
            self.folder / "archive",
            ARCHIVE_KEY,
            delivery_keys={DELIVERY.public_key: DELIVERY.private_key},
            fetch_record=kept.record,
            check=check_content,
            business=business_keys_of,
        ) as archive:
            yield ArchiveOffice(
                archive,
                kept,
                org="finance",
                signer=signer("finance/key"),
                box=self.box,
                submit=lambda data: self.node.submit(data).result(60),
                clock=lambda: self.now,
            )

    @contextmanager
    def desk(
        self, submit: Callable[[bytes], Future[Committed]] | None = None
    ) -> Iterator[tuple[Office, Addresses]]:
        """The hospital's office with the addresses that its patients have registered."""
        with (
            Addresses.open(self.folder / HOSPITAL / "addresses", VAULT_KEY) as addresses,
            self.office(submit, addresses=addresses) as office,
        ):
            yield office, addresses

    def relay(self, made: Made, sender: str = "finance") -> str:
        """A member enters what a holder has signed; the outcome."""
        action, item = read_relayed(made.data)
        done = self.node.act(signer(f"{sender}/key"), sender, action, [item])
        return str(done.outcomes[0])

    def draft(self, seed: int, scene: Scene = "outpatient", **fields: Any) -> Body:
        return replace(make_draft(seed, scene, issued_at=self.now), **fields)

    def bill(self, code: int, number: int) -> Bill:
        with self.node.view() as view:
            row = find_bill(view, format_bill_id(code, number))
        assert row is not None
        return row

    def issuer(self) -> Issuer | None:
        with self.node.view() as view:
            return find_issuer(view, HOSPITAL)
