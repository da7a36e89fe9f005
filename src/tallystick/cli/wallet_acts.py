"""`tally wallet consent`, `mandate`, `revoke`, `bind`, `object`, `helper`: what a holder says.

Each is signed by the wallet, noted in it, and then either written to a file that any member enters
(`tally bills relay`), or entered at once with a member's key.

Invariant: an act is in the wallet's list before it is in anybody's hands.
See docs/spec/wallet.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, act, acting
from tallystick.cli.failures import fail
from tallystick.cli.wallet_folder import (
    ActArgument,
    BillArgument,
    Fields,
    ForPurpose,
    ToReader,
    WalletDir,
    WalletPassphrase,
    at_ledger,
    check_words,
    gift_of,
    on_ledger,
    open_wallet,
    own_bill,
)

if TYPE_CHECKING:
    from tallystick.apps.bills.wallet import Wallet
    from tallystick.apps.bills.wallet_acts import Made
    from tallystick.ledger.view import View

Until = Annotated[str, typer.Option("--until", help="End, UTC, like 2026-12-31T16:00:00Z.")]
ByAppointment = Annotated[
    str | None,
    typer.Option("--as", metavar="ACT", help="As a helper: the act by which you were appointed."),
]


@dataclass(frozen=True, slots=True)
class Saying:
    """The options of all that a holder says."""

    wallet: WalletDir
    dir: options.LedgerDir = Path()
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", "--out", help="New file, for any member to enter: tally bills relay."
        ),
    ] = None
    box: options.Box = None
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            "-k",
            envvar="TALLY_KEY",
            help="Without --output: the key of a member that enters it at once.",
        ),
    ] = None
    passphrase_file: options.Passphrase = None
    log_key: options.LogKey = None
    log_passphrase_file: options.LogPassphrase = None
    wallet_passphrase_file: WalletPassphrase = None
    as_json: options.AsJson = False

    @property
    def how(self) -> How:
        """As whoever enters it acts."""
        return How(
            dir=self.dir,
            box=self.box,
            key=self.key,
            passphrase_file=self.passphrase_file,
            log_key=self.log_key,
            log_passphrase_file=self.log_passphrase_file,
            as_json=self.as_json,
        )


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    for command in (consent, mandate, revoke, bind):
        app.command(command.__name__)(acting(command, Saying))
    app.command("object")(acting(object_, Saying))
    app.command("helper")(acting(helper, Saying))
    app.command()(share)


def consent(
    saying: Saying,
    bill: BillArgument,
    to: ToReader,
    purpose: ForPurpose,
    fields: Fields,
    until: Until,
    as_: ByAppointment = None,
) -> None:
    """Let one reader see fields of one bill for one purpose."""
    check_words(org=to, purpose=purpose, until=until, act=as_)
    _say(
        saying,
        lambda wallet, view, now: wallet.acts.consent(
            on_ledger(view, bill) if as_ else own_bill(wallet, view, bill, now),
            reader=to,
            purpose=purpose,
            fields=fields,
            until=until,
            now=now,
            helper=as_,
        ),
    )


def mandate(
    saying: Saying,
    to: ToReader,
    purpose: ForPurpose,
    fields: Fields,
    until: Until,
    type_: Annotated[
        list[int] | None,
        typer.Option(
            "--type",
            help="Only bills of these types, six digits; sensitive ones must be named.",
            min=100_000,
            max=999_999,
        ),
    ] = None,
    cap: Annotated[
        str | None, typer.Option("--cap", help="Most that may be locked of one bill, like 500.00.")
    ] = None,
) -> None:
    """Let one reader see fields of all your bills. Those to come too."""
    from tallystick.cli.claim_files import money

    check_words(org=to, purpose=purpose, until=until)
    most = money(cap, "cap") if cap else 0
    _say(
        saying,
        lambda wallet, _, now: wallet.acts.mandate(
            reader=to,
            purpose=purpose,
            fields=fields,
            until=until,
            now=now,
            types=type_ or [],
            cap=most,
        ),
    )


def revoke(saying: Saying, which: ActArgument) -> None:
    """End a consent, a mandate, or a helper's appointment."""

    def make(wallet: Wallet, view: View, now: int) -> Made:
        gift = gift_of(wallet, which)
        if gift.what not in ("consent", "mandate", "helper"):
            fail(
                *("cli.nothing_allowed", "此项没有授权，无可撤销"),
                "this act allowed nothing, so there is nothing to revoke",
                todo=("用 tally wallet acts 查看", "tally wallet acts lists what it has said"),
                detail=f"{which}: {gift.what}",
            )
        about = None
        if gift.bill is not None:
            row = on_ledger(view, gift.bill)
            about = row if gift.by else own_bill(wallet, view, gift.bill, now)
        return wallet.acts.revoke(which, now=now, bill=about, helper=gift.by)

    _say(saying, make)


def bind(saying: Saying, bill: BillArgument) -> None:
    """Take a bill to a key that no office knows. What was consented of it before ends."""
    _say(
        saying,
        lambda wallet, view, now: wallet.acts.bind(own_bill(wallet, view, bill, now), now=now),
    )


def object_(saying: Saying, bill: BillArgument) -> None:
    """Object to a new binding of your bill that waits. Then the arbiter decides."""
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.protocol.errors import Rejected

    def make(wallet: Wallet, view: View, now: int) -> Made:
        row = own_bill(wallet, view, bill, now)
        if row.pending is None:
            raise Rejected(BillsReason.NOTHING_PENDING, f"of {row.id}", path="bill")
        return wallet.acts.object_binding(row, now=now)

    _say(saying, make)


def helper(
    saying: Saying,
    helper_key: Annotated[
        str,
        typer.Argument(
            metavar="HELPER", help="Helper key of their wallet, in hex: tally wallet about."
        ),
    ],
    until: Until,
    bill: Annotated[
        str | None,
        typer.Option("--bill", metavar="CODE:NUMBER", help="Only this one.", show_default="all"),
    ] = None,
) -> None:
    """Appoint somebody who may consent and revoke for you. For all bills: `share` them next."""
    from tallystick.cli.inputs import parse_key

    check_words(until=until)
    public = parse_key(helper_key)
    _say(
        saying,
        lambda wallet, view, now: wallet.acts.appoint_helper(
            public,
            until=until,
            now=now,
            bill=None if bill is None else own_bill(wallet, view, bill, now),
        ),
    )


def share(
    which: ActArgument,
    to: Annotated[
        Path, typer.Option("--to", metavar="ADDRESS", help="Address file of the helper's wallet.")
    ],
    mailbox: Annotated[Path, typer.Option("--mailbox", help="Folder that the helper reads.")],
    wallet: WalletDir,
    bill: Annotated[
        list[str] | None,
        typer.Option("--bill", metavar="CODE:NUMBER", help="Only these.", show_default="all"),
    ] = None,
    folder: options.LedgerDir = Path(),
    wallet_passphrase_file: WalletPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Send a helper for all your bills what acting on them takes."""
    from tallystick.apps.bills.address import load_address
    from tallystick.apps.bills.letters import SHARED_MAX
    from tallystick.vault import mail
    from tallystick.vault.letterbox import WALLETS

    address = load_address(to)
    with (
        open_wallet(wallet, wallet_passphrase_file) as opened,
        at_ledger(opened, folder) as (view, now),
    ):
        if gift_of(opened, which).what != "helper":
            fail("cli.no_helper", "此项不是代办授权", "this act appoints no helper", detail=which)
        named = bill or [held.bill for held in opened.bills() if held.kind == "blue"]
        rows = [on_ledger(view, each) for each in named]
        ours = [row for row in rows if opened.key(row, now) is not None]
        letters = [
            opened.acts.share(which, ours[at : at + SHARED_MAX], address, now=now)
            for at in range(0, len(ours), SHARED_MAX)
        ]
    box = mailbox / WALLETS / address.address_id
    box.mkdir(mode=0o700, parents=True, exist_ok=True)
    mail.post_messages(box, letters)
    if as_json:
        out.json({"act": which, "bills": [row.id for row in ours]})
    else:
        out.say(f"{len(ours):,} bills shared with the helper", "bold green")


def _say(saying: Saying, make: Callable[[Wallet, View, int], Made]) -> None:
    """Sign, note, and write it down or enter it."""
    from tallystick.cli.founding import write_new
    from tallystick.protocol.transaction import check_item

    if saying.output is None and saying.key is None:
        fail(
            *("cli.no_relay", "由谁登记？用 --output 或 --key", "who enters it? --output or --key"),
            todo=(
                "--output 写成文件，任一成员均可登记（tally bills relay）；或用 --key 直接登记",
                "--output FILE writes it for any member (tally bills relay); --key enters it "
                "with a member's key",
            ),
        )
    if saying.output is not None and saying.output.exists():
        raise FileExistsError(17, "it is there", str(saying.output))
    with (
        open_wallet(saying.wallet, saying.wallet_passphrase_file) as wallet,
        at_ledger(wallet, saying.box or saying.dir) as (view, now),
    ):
        made = make(wallet, view, now)
    check_item(made.item)
    if saying.output is None:
        act(saying.how, made.action, [made.item], told={"act": made.act})
        return
    write_new(saying.output, made.data, private=True)
    if saying.as_json:
        out.json({"act": made.act, "file": str(saying.output)})
    else:
        out.line(f"act {made.act}")
        run = f"{out.program()} bills relay {saying.output}"
        out.say(f"{saying.output}: signed; any member enters it: {run}")
