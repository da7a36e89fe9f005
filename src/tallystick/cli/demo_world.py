"""The demo's province on paper: who there is, with which keys, and the founding file.

Invariant: every name, number and person of the demo is invented. See docs/cli.md.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.apps.bills.catalogue import REGION
from tallystick.apps.bills.generate import Institution, make_institution
from tallystick.apps.bills.sending import new_nonce
from tallystick.cli.failures import fail
from tallystick.cli.founding import make_policy
from tallystick.keyring import (
    DeliveryKey,
    KeySigner,
    VaultKey,
    generate,
    generate_delivery_key,
    generate_vault_key,
)
from tallystick.protocol.canonical import encode
from tallystick.protocol.genesis import (
    FoundingGrant,
    FoundingKeeper,
    FoundingKey,
    FoundingOrg,
    Genesis,
    read_genesis,
)
from tallystick.protocol.trust import TrustPolicy
from tallystick.protocol.values import format_instant

MARKER = "tally-demo.json"
KEEPERS = ("finance", "health", "insurance")
HOSPITALS = 11
AUTHORITIES = {
    "finance": "示范省财政厅 Provincial Finance",
    "health": "示范省卫生健康委 Health Commission",
    "insurance": "示范省医疗保障局 Medical Insurance",
    "city": "示范市财政局 City Finance",
    "county": "示范县财政局 County Finance",
}
INSURERS = {
    "insurer-01": "长宁健康保险 Changning Health",
    "insurer-02": "和顺人寿 Heshun Life",
    "insurer-03": "惠民保共保体 Huimin Pool",
}
_ALLOTS = ["bills.allot", "bills.recall", "bills.suspend_allotment", "bills.resume_allotment"]
_ISSUES = [
    *("bills.issue", "bills.reverse", "bills.replace", "bills.withhold", "bills.release"),
    *("bills.give_back", "bills.void_numbers", "bills.reversal_request", "bills.cancel_reversal"),
    *("bills.exchange", "bills.confirm_printed", "bills.cancel_exchange", "bills.recover"),
    *("bills.reprint", "bills.declare_lost", "bills.rebind", "bills.plan", "bills.answer"),
    *("bills.account_block", "bills.account_period", "bills.order_erasure", "bills.erased"),
]
_CLAIMS = [
    *("bills.lock", "bills.renew", "bills.release_lock", "bills.reject", "bills.settle"),
    *("bills.settled_before", "bills.supplement", "bills.claw_back", "bills.accept_plan"),
    *("bills.waive_share", "bills.ready", "bills.book", "bills.unbook", "bills.erased"),
]


@dataclass(slots=True)
class Hospital:
    """One issuer: its name on bills, its keys, the folder of its vault."""

    org: str
    institution: Institution
    signer: KeySigner
    vault_key: VaultKey
    folder: Path


@dataclass(slots=True)
class World:
    """Everything that was set up before the ledger is founded."""

    folder: Path
    genesis: bytes
    network: bytes
    policy: TrustPolicy
    log: KeySigner
    archive_key: VaultKey
    delivery: DeliveryKey
    signers: dict[str, KeySigner]
    hospitals: list[Hospital]
    titles: dict[str, str] = field(default_factory=dict)

    @property
    def ledger(self) -> Path:
        """The operator's folder."""
        return self.folder / "ledger"

    @property
    def trust(self) -> Path:
        """The trust policy: apart from everything that receipts are found beside."""
        return self.folder / "trust" / "trust.json"

    def key(self, name: str) -> Path:
        """The key file of a name."""
        return self.folder / "keys" / f"{name}.json"


def clear(folder: Path) -> None:
    """Make room: an earlier demo's folder is emptied, anything else is refused."""
    if (folder / MARKER).exists():
        shutil.rmtree(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(
            *("cli.not_empty", "目录非空，且不是先前的演示", "this folder is not empty"),
            todo=("用 --dir 指定新目录", "name a new folder with --dir"),
            detail=str(folder),
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(json.dumps({"format": "tallystick/demo/v1"}) + "\n")


def make_world(folder: Path, now: int) -> World:
    """Make every key and the founding file, and write the trust policy in a folder of its own."""
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    (folder / "ledger" / "keys").mkdir(parents=True, mode=0o700)
    log = generate(folder / "ledger" / "keys" / "log.json", name="log")
    names = [f"hospital-{n:02d}" for n in range(1, HOSPITALS + 1)]
    titles = {name: f"示范市第{n}医院 Hospital {n}" for n, name in enumerate(names, 1)}
    titles = AUTHORITIES | INSURERS | titles
    signers = {org: generate(keys / f"{org}.json", name=org) for org in titles}
    roots = {org: generate(keys / f"{org}-root.json", name=f"{org}-root") for org in titles}
    keepers = {org: generate(keys / f"keeper-{org}.json", name=f"k/{org}") for org in KEEPERS}
    record = Genesis(
        format="tallystick/genesis/v1",
        name="demo.tallystick.example/bills",
        region=REGION,
        utc_offset_seconds=8 * 3600,
        founded_at=format_instant(now),
        nonce=new_nonce(),
        log_keys=[log.public_key],
        organisations=[
            _founder(org, roots[org].public_key, signers[org].public_key) for org in titles
        ],
        keepers=[
            FoundingKeeper(name=f"k/{org}", org=org, key=keepers[org].public_key) for org in KEEPERS
        ],
    )
    genesis = encode(record)
    _, network = read_genesis(genesis)
    policy: TrustPolicy = make_policy(
        record,
        network,
        threshold=2,
        required=["finance"],
        status_max_age_seconds=7 * 86_400,
        names=titles,
    )
    (folder / "trust").mkdir()
    (folder / "trust" / "trust.json").write_bytes(encode(policy))
    return World(
        folder=folder,
        genesis=genesis,
        network=network,
        policy=policy,
        log=log,
        archive_key=generate_vault_key(keys / "archive.json", name="archive"),
        delivery=generate_delivery_key(keys / "delivery.json", name="delivery"),
        signers=signers,
        hospitals=[
            Hospital(
                org,
                make_institution(org, titles[org].partition(" ")[0]),
                signers[org],
                generate_vault_key(keys / f"{org}-vault.json", name=f"{org}-vault"),
                folder / "vaults" / org,
            )
            for org in names
        ],
        titles=titles,
    )


def _founder(org: str, root: bytes, key: bytes) -> FoundingOrg:
    if org == "finance":
        actions = ["*"]
    elif org in ("city", "county"):
        actions = _ALLOTS
    elif org.startswith("hospital"):
        actions = _ISSUES
    elif org.startswith("insurer"):
        actions = _CLAIMS
    else:
        actions = []
    grants = [FoundingGrant(actions=actions, depth=8 if org == "finance" else 0)] if actions else []
    return FoundingOrg(
        org=org, root_key=root, keys=[FoundingKey(key=key, actions=["*"])], grants=grants
    )
