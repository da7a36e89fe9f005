"""A hospital issues its first bill: a network, one type, ten numbers, one bill, its receipt.

Run it with a folder that is not there yet: ``python examples/first_bill.py province``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tallystick.apps.bills.catalogue import TYPES
from tallystick.apps.bills.generate import make_draft
from tallystick.apps.bills.holders import derive_holder_key
from tallystick.apps.bills.office import Office
from tallystick.contracts.bills.items.bills import Allot, Block
from tallystick.contracts.kit.context import slot_key
from tallystick.engines.clock import Clock
from tallystick.keyring import generate, generate_vault_key
from tallystick.node import Node
from tallystick.protocol.canonical import encode
from tallystick.protocol.genesis import FoundingGrant, FoundingKey, FoundingOrg, Genesis
from tallystick.protocol.values import format_instant
from tallystick.vault import Vault


def main(folder: Path) -> Path:
    """Found, allot, issue, prove: the receipt's file."""
    folder.mkdir(parents=True)
    now = Clock().now()

    # Keys: each organisation has an offline root key and an operating key.
    names = ("log", "finance", "finance-root", "hospital-01", "hospital-01-root")
    keys = {name: generate(folder / f"{name}.json", name=name) for name in names}
    vault_key = generate_vault_key(folder / "vault-key.json", name="hospital-01-vault")

    genesis = Genesis(
        format="tallystick/genesis/v1",
        name="first.example/bills",
        region=33,
        utc_offset_seconds=8 * 3600,
        founded_at=format_instant(now),
        nonce=bytes(16),  # a real network takes secrets.token_bytes(16)
        log_keys=[keys["log"].public_key],
        organisations=[
            FoundingOrg(
                org=org,
                root_key=keys[f"{org}-root"].public_key,
                keys=[FoundingKey(key=keys[org].public_key, actions=["*"])],
                grants=[FoundingGrant(actions=actions, depth=depth)],
            )
            for org, actions, depth in (("finance", ["*"], 8), ("hospital-01", ["bills.*"], 0))
        ],
    )

    with Node.found(folder / "ledger", encode(genesis), keys["log"]) as node:
        # Finance defines a type and hands ten numbers to the hospital.
        kind = TYPES["registration"]
        draft = make_draft(1, "registration", issued_at=now)
        define = kind.define(nonce=b"d" * 16, valid_from=format_instant(now))
        ours = Allot(nonce=b"a" * 16, code=draft.code, level=0, first=1, last=10, holder="finance")
        theirs = Allot(
            nonce=b"b" * 16,
            code=draft.code,
            level=3,
            first=1,
            last=10,
            holder="hospital-01",
            parent=Block(level=0, first=1),
        )
        for action, item in (
            ("bills.define_type/1", define),
            ("bills.allot/1", ours),
            ("bills.allot/1", theirs),
        ):
            assert node.act(keys["finance"], "finance", action, [item]).outcomes == ["accepted"]

        # The hospital's office checks, seals, keeps and issues.
        with Vault.open(folder / "vault", vault_key.secret) as vault:
            office = Office(
                folder / "office",
                vault,
                org="hospital-01",
                network=node.network,
                signer=keys["hospital-01"],
                holder_key=derive_holder_key(vault_key.secret),
                submit=node.submit,
                view=node.view,
                clock=node.clock.now,
            )
            (bill,) = office.issue([draft])
        print(f"bill {bill.code}:{bill.number:010d} is {bill.outcome}, entry {bill.entry}")

        # A receipt, with the proof that the bill is good now.
        receipt = folder / "receipt.json"
        row = slot_key(bill.code, bill.number)
        while not receipt.exists():
            try:
                receipt.write_bytes(node.receipt(bill.entry or 0, row=row))
            except LookupError:  # its checkpoint is published within a fifth of a second
                time.sleep(0.05)
    print(f"its receipt: {receipt}, {receipt.stat().st_size:,} bytes")
    return receipt


if __name__ == "__main__":
    if len(sys.argv) != 2 or Path(sys.argv[1]).exists():
        raise SystemExit("python examples/first_bill.py FOLDER: one that is not there yet")
    main(Path(sys.argv[1]))
