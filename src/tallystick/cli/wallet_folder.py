"""Opening a patient's wallet, and looking at its bills on a ledger.

A wallet's folder says of which network it is, in the file `network`: keys come out of seed and
network, so nothing else in it can be read before that is known.

Invariant: a wallet is held against no ledger but its own network's. See docs/spec/wallet.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tallystick.cli.failures import REFUSED, fail

if TYPE_CHECKING:
    from tallystick.apps.bills.holders import BillKey
    from tallystick.apps.bills.wallet import Wallet
    from tallystick.apps.bills.wallet_store import Gift
    from tallystick.contracts.bills.records.bills import Bill
    from tallystick.ledger.view import View

NETWORK_FILE = "network"
NETWORK_BYTES_MAX = 100

WalletDir = Annotated[
    Path, typer.Option("--wallet", "-w", envvar="TALLY_WALLET", help="Folder of the wallet.")
]
WalletPassphrase = Annotated[
    Path | None,
    typer.Option("--wallet-passphrase-file", help="File whose first line unlocks the wallet."),
]
BillArgument = Annotated[
    str, typer.Argument(metavar="BILL", help="CODE:NUMBER, like 33060126:0000000001.")
]
ActArgument = Annotated[str, typer.Argument(metavar="ACT", help="Its id: see `tally wallet acts`.")]
ToReader = Annotated[str, typer.Option("--to", metavar="ORG", help="Who may read it.")]
ForPurpose = Annotated[str, typer.Option("--purpose", help="For what: one word.")]
Fields = Annotated[
    list[str], typer.Option("--fields", help="items/0, items/*, payer/name; may stand many times.")
]


@contextmanager
def open_wallet(folder: Path, passphrase_file: Path | None) -> Iterator[Wallet]:
    """The wallet in a folder."""
    from tallystick.apps.bills.wallet import SEED_FILE, Wallet
    from tallystick.cli.inputs import load_vault, parse_hex, read_file

    if not (folder / NETWORK_FILE).exists():
        fail(
            *("cli.no_wallet", "该目录中没有钱包", "there is no wallet in this folder"),
            todo=(
                "核对 --wallet，或先运行 tally wallet init",
                "check --wallet, or make one with tally wallet init",
            ),
            detail=str(folder),
        )
    text = read_file(folder / NETWORK_FILE, NETWORK_BYTES_MAX).decode(errors="replace").strip()
    network = parse_hex(text, f"{folder / NETWORK_FILE} names the network")
    seed = load_vault(folder / SEED_FILE, passphrase_file)
    with Wallet(folder, seed.secret, network) as wallet:
        yield wallet


@contextmanager
def at_ledger(wallet: Wallet, folder: Path) -> Iterator[tuple[View, int]]:
    """The ledger of the wallet's network, and the time: Unix seconds."""
    from tallystick.cli.reading import reading
    from tallystick.engines.clock import Clock

    with reading(folder) as view:
        if view.network != wallet.network:
            fail(
                *("cli.other_network", "钱包不属于该账本的网络"),
                "the wallet is of another network than this ledger",
                todo=("核对 --dir 与 --wallet", "check --dir and --wallet"),
                detail=f"{wallet.network.hex()}, {view.network.hex()}",
            )
        yield view, max(view.head.at, Clock().now())


def on_ledger(view: View, bill: str) -> Bill:
    """What the ledger has of a bill."""
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.contracts.bills.views.bills import find_bill
    from tallystick.protocol.errors import Rejected

    bill_id = format_bill_id(*parse_bill(bill))
    row = find_bill(view, bill_id)
    if row is None:
        raise Rejected(BillsReason.BILL_UNKNOWN, f"nothing befell {bill_id}", path="bill")
    return row


def not_held(bill: str) -> NoReturn:
    """Give up: no letter brought this bill."""
    fail(
        *("cli.not_in_wallet", "钱包中没有该票据", "the wallet does not have this bill"),
        todo=(
            "先运行 tally wallet receive；只有纸质票据时用 tally wallet claim-paper",
            "run tally wallet receive first; with a paper alone, tally wallet claim-paper",
        ),
        detail=bill,
    )


def key_of(wallet: Wallet, row: Bill, now: int) -> BillKey:
    """The wallet's key of a bill; fails where it has none."""
    if wallet.find(row.id) is None:
        not_held(row.id)
    key = wallet.key(row, now)
    if key is None:
        fail(
            *("cli.not_yours", "该票据未绑定到本钱包", "the bill is not bound to this wallet"),
            todo=(
                "红票随蓝票；若有人改绑，见 tally wallet show",
                "a red bill goes with its blue one; if somebody bound it anew, tally wallet show "
                "says so",
            ),
            detail=row.id,
            exit_code=REFUSED,
        )
    return key


def own_bill(wallet: Wallet, view: View, bill: str, now: int) -> Bill:
    """What the ledger has of a bill whose key the wallet has."""
    row = on_ledger(view, bill)
    key_of(wallet, row, now)
    return row


def gift_of(wallet: Wallet, act: str) -> Gift:
    """An act of the wallet, by its id."""
    gift = next((gift for _, gift in wallet.acts.gave() if gift.act == act), None)
    if gift is None:
        fail(
            *("cli.no_act", "钱包没有作过此项授权", "the wallet has said no such thing"),
            todo=("用 tally wallet acts 查看", "tally wallet acts lists what it has said"),
            detail=act,
        )
    return gift


def check_words(**stated: str | None) -> None:
    """Refuse what no record could hold, before anything is signed or noted."""
    from tallystick.contracts.kit.acts import ActId
    from tallystick.protocol.canonical import narrow
    from tallystick.protocol.errors import Malformed
    from tallystick.protocol.values import Instant, OrgId, Word, parse_instant

    kinds: dict[str, Any] = {"org": OrgId, "purpose": Word, "until": Instant, "act": ActId}
    for name, value in stated.items():
        if value is None:
            continue
        try:
            narrow(value, kinds[name])
            if name == "until":
                parse_instant(value)
        except Malformed as error:
            raise Malformed(error.detail, path=name) from None
