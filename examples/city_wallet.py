"""A city's app keeps a patient's wallet: an address to give away, bills that come, and their state.

    python examples/city_wallet.py URL TRUST KEY FOLDER HOSPITAL

KEY is an operating key of the city, a member that may read bills (``bills.read``): it finds the
records that letters are held against. The state of each bill is then asked by the bill's own key,
as its holder alone can. The hospital's letters arrive in FOLDER/mailbox.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tallystick.apps.bills.access import Shown, show
from tallystick.apps.bills.holders import BillKey
from tallystick.apps.bills.remote import connect
from tallystick.apps.bills.wallet import SEED_FILE, Wallet
from tallystick.client import wire
from tallystick.client.signing import OPENING_HEADER, SignedBy
from tallystick.client.sync import Client
from tallystick.contracts.bills.records.bills import parse_bill_id
from tallystick.contracts.bills.views.bills import find_bill
from tallystick.keyring import load, signer_from_seed
from tallystick.protocol.canonical import encode
from tallystick.protocol.trust import TrustPolicy, read_trust
from tallystick.verify import Verified, verify_receipt


def main(url: str, trust: Path, key: Path, folder: Path, hospital: str) -> None:
    """Take what came, then ask how each bill stands."""
    policy = read_trust(trust.read_bytes())
    with (
        connect(url, policy, load(key), folder / "log") as city,
        open_wallet(folder, city.network) as wallet,
        city.view() as view,
    ):
        now, address = city.clock(), folder / "address.json"
        address.write_bytes(encode(wallet.address(hospital, at=now)))
        print(f"give {address} to {hospital}")
        received = wallet.receive(folder / "mailbox" / "wallets", view, at=now)
        print(f"{len(received.bills)} new bills, {received.waiting} letters wait")
        for held in wallet.bills():
            bill = find_bill(view, held.bill)
            bill_key = wallet.key(bill, now) if bill is not None else None
            if bill_key is None:
                print(f"{held.bill} is not held by this wallet any more")
                continue
            verified = state_of(url, policy, held.bill, bill_key, city.clock)
            print(f"{held.bill} of {held.issuer}: {verified.verdict.text}")


def state_of(
    url: str, policy: TrustPolicy, bill: str, key: BillKey, clock: Callable[[], int]
) -> Verified:
    """The bill's receipt and state, asked by its holder and verified here."""
    call = wire.bill_receipt(*parse_bill_id(bill), status=True, wait_seconds=10)
    call = wire.showing(call, OPENING_HEADER, show(Shown(bill=bill, salt=key.salt)))
    with Client(url, auth=SignedBy(signer_from_seed(key.seed), clock)) as client:
        return verify_receipt(client.run(call), policy, status=True, now=clock(), about=bill)


def open_wallet(folder: Path, network: bytes) -> Wallet:
    """The wallet in a folder; the first time a new one, whose seed is worth all its bills."""
    if (folder / SEED_FILE).exists():
        return Wallet.open(folder, network)
    return Wallet.create(folder, network)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        raise SystemExit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
