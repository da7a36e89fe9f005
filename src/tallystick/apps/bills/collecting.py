"""A wallet's letters, fetched over HTTP into its own folder, where they are judged like any others.

Each address asks for its own box by a key of its own, at the letterbox of the office that it was
given to; who runs several of these letterboxes still sees from where they are asked.

Invariant: a letter leaves the letterbox only when it is durable here. See docs/spec/wallet.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tallystick.apps.bills.wallet import Wallet
from tallystick.client.post import collect_letters, open_box
from tallystick.client.signing import SignedBy
from tallystick.client.sync import Client
from tallystick.client.transport import Trusted
from tallystick.vault.letterbox import WALLETS, keep


def collect(
    wallet: Wallet,
    letterboxes: Mapping[str, Trusted],
    mailbox: Path,
    *,
    clock: Callable[[], int],
) -> int:
    """Fetch what waits for the wallet's addresses with these offices; how many files came.

    Asked once before an address is used, it opens the box: letters would else be refused.
    """
    count = 0
    for via, generation in wallet.store.addresses():
        server = letterboxes.get(via)
        if server is None:
            continue
        delivery_key = wallet.keys.address(via, generation).delivery_key
        owner = wallet.keys.collect(via, generation)
        with Client(server, auth=SignedBy(owner, clock)) as client:
            named = open_box(client, delivery_key)
            count += collect_letters(client, named, partial(keep, mailbox / WALLETS / named))
    return count
