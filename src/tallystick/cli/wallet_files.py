"""`tally wallet present`, `basis`, `opening`, `claim-paper`, `log`: what a holder hands out, asks.

Invariant: nothing leaves the wallet here but the fields that were named, for the reader and the
purpose that the holder has allowed. See docs/spec/presentation.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import fail
from tallystick.cli.presenting import Keepers, NewFile, Wait, proven
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
    key_of,
    not_held,
    on_ledger,
    open_wallet,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tallystick.apps.bills.holder_log import Touched
    from tallystick.apps.bills.presenting import Basis
    from tallystick.apps.bills.wallet import Wallet
    from tallystick.apps.bills.wallet_store import Gift
    from tallystick.contracts.bills.records.bills import Bill
    from tallystick.ledger.view import View

BillOption = Annotated[
    str | None,
    typer.Option("--bill", metavar="CODE:NUMBER", help="With a mandate: which bill it opens."),
]
READS_BYTES_MAX = 16 * 1024 * 1024


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(present)
    app.command()(basis)
    app.command()(opening)
    app.command("claim-paper")(claim_paper)
    app.command()(log)


def present(
    bill: BillArgument,
    to: ToReader,
    purpose: ForPurpose,
    fields: Fields,
    output: NewFile,
    wallet: WalletDir,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="ACT",
            help="By which consent or mandate of yours.",
            show_default="the newest that covers it",
        ),
    ] = None,
    folder: options.LedgerDir = Path(),
    keepers: Keepers = None,
    wait: Wait = 10.0,
    log_key: options.LogKey = None,
    passphrase_file: options.Passphrase = None,
    wallet_passphrase_file: WalletPassphrase = None,
) -> None:
    """Show fields of a bill to one reader for one purpose.

    Out of your own copy. The reader checks the file with
    `tally verify FILE --for ORG --purpose WORD`.
    """
    from tallystick.apps.bills.presenting import present as make
    from tallystick.apps.bills.presenting import prove_right
    from tallystick.cli.founding import write_new

    with open_wallet(wallet, wallet_passphrase_file) as opened:
        with at_ledger(opened, folder) as (view, now):
            row = on_ledger(view, bill)
            if opened.find(row.id) is None:
                not_held(row.id)
            gift = (
                gift_of(opened, by)
                if by
                else _covering(opened, view, row, now, to=to, purpose=purpose, fields=fields)
            )
            right = basis_of(opened, gift, row, now)
        proofs = proven(
            folder,
            lambda view, note: prove_right(view, note, row.id, right, audience=to),
            keepers,
            wait,
            log_key,
            passphrase_file,
        )
        data = make(opened.private(row.id), proofs, fields, audience=to, purpose=purpose)
    write_new(output, data, private=True)
    run = f"tally verify {output} --for {to} --purpose {purpose}"
    out.say(f"{output}: {len(data):,} bytes, readable by you alone; its reader runs: {run}")


def _covering(
    wallet: Wallet, view: View, row: Bill, now: int, *, to: str, purpose: str, fields: list[str]
) -> Gift:
    """The newest act of the wallet's that lets `to` read this, and holds; fails without one."""
    found = None
    for _, gift in wallet.acts.gave():
        for_it = (gift.reader, gift.purpose) == (to, purpose) and gift.bill in (None, row.id)
        if for_it and all(_covers(gift, each) for each in fields):
            found = gift if _holds(wallet, view, gift, row, now) else found
    if found is None:
        fail(
            *("cli.no_consent", "没有覆盖这些内容的有效授权"),
            "nothing that you have allowed, and that holds, covers this",
            todo=(
                "先用 tally wallet consent 授权并登记",
                "allow it first with tally wallet consent, and have it entered",
            ),
            detail=f"{row.id}, {to}, {purpose}: {' '.join(fields)}",
        )
    return found


def _holds(wallet: Wallet, view: View, gift: Gift, row: Bill, now: int) -> bool:
    from tallystick.contracts.bills.views import holders

    if gift.what == "consent":
        given = holders.find_consent(view, gift.act)
        return given is not None and holders.is_consent_live(view, given, now)
    if gift.what != "mandate":
        return False
    standing, key = holders.find_mandate(view, gift.act), wallet.key(row, now)
    opening = key.opening if key else None
    return standing is not None and holders.is_mandate_live(view, standing, row, opening, now)


def _covers(gift: Gift, pattern: str) -> bool:
    from tallystick.apps.bills.fields import ALWAYS_OPEN, covers

    allowed = gift.fields.paths if gift.fields else ()
    return pattern in ALWAYS_OPEN or covers(allowed, pattern)


def basis_of(wallet: Wallet, gift: Gift, row: Bill | None, now: int) -> Basis:
    """By what right a bill is shown, as whoever shows it needs it."""
    from tallystick.apps.bills.presenting import Basis

    if gift.what == "consent":
        if row is not None and gift.bill != row.id:
            fail(
                *("cli.other_bill", "该授权针对另一张票据", "this consent is about another bill"),
                detail=f"{gift.act}: {gift.bill}",
            )
        return Basis(consent=gift.act, fields=gift.fields)
    if gift.what != "mandate":
        fail(
            *("cli.no_right", "此项不是查阅授权", "this act lets nobody read"),
            detail=f"{gift.act}: {gift.what}",
        )
    if row is None:
        fail(
            *("cli.which_bill", "请用 --bill 指明票据", "of which bill? --bill"),
            todo=("长期授权须逐张说明属于本人", "a mandate is opened for one bill at a time"),
        )
    return Basis(mandate=gift.act, fields=gift.fields, opening=key_of(wallet, row, now).opening)


def basis(
    which: ActArgument,
    output: NewFile,
    wallet: WalletDir,
    bill: BillOption = None,
    folder: options.LedgerDir = Path(),
    wallet_passphrase_file: WalletPassphrase = None,
) -> None:
    """Write what whoever shows a bill for you needs.

    That is `tally present --by FILE`. It opens what you allowed, so it is for nobody else.
    """
    from tallystick.apps.bills.presenting import write_basis
    from tallystick.cli.founding import write_new

    with (
        open_wallet(wallet, wallet_passphrase_file) as opened,
        at_ledger(opened, folder) as (view, now),
    ):
        row = None if bill is None else on_ledger(view, bill)
        data = write_basis(basis_of(opened, gift_of(opened, which), row, now))
    write_new(output, data, private=True)
    out.say(f"{output}: for whoever shows the bill for you, with tally present --by")


def opening(
    bill: BillArgument,
    output: NewFile,
    wallet: WalletDir,
    folder: options.LedgerDir = Path(),
    wallet_passphrase_file: WalletPassphrase = None,
) -> None:
    """Write what a reimburser with your mandate needs.

    That is `tally claims lock --opening FILE`. It shows that this bill is one of yours.
    """
    from tallystick.cli.founding import write_new
    from tallystick.protocol.canonical import encode

    with (
        open_wallet(wallet, wallet_passphrase_file) as opened,
        at_ledger(opened, folder) as (view, now),
    ):
        data = encode(key_of(opened, on_ledger(view, bill), now).opening)
    write_new(output, data, private=True)
    out.say(f"{output}: for the reimburser alone, with tally claims lock --opening")


def claim_paper(
    bill: BillArgument,
    code: Annotated[str, typer.Option("--code", help="Claim code on the paper, like ABCD-EFGH.")],
    digits: Annotated[
        str,
        typer.Option(
            "--digits", help="Last four of your identity number, or of a telephone known there."
        ),
    ],
    via: Annotated[
        str, typer.Option("--via", metavar="ORG", help="The issuer, or the city app before it.")
    ],
    output: NewFile,
    wallet: WalletDir,
    wallet_passphrase_file: WalletPassphrase = None,
) -> None:
    """Ask for a bill that you have on paper. The issuer sends it: `tally bills hand-over FILE`.

    Then take it to a key of your own: `tally wallet bind`.
    """
    from tallystick.apps.bills.handover import PaperClaim
    from tallystick.cli.founding import write_new
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.engines.clock import Clock
    from tallystick.protocol.canonical import decode, encode

    check_words(org=via)
    bill_id = format_bill_id(*parse_bill(bill))
    with open_wallet(wallet, wallet_passphrase_file) as opened:
        data = encode(opened.claim(bill_id, code, digits, via, at=Clock().now()))
    decode(data, PaperClaim)
    write_new(output, data, private=True)
    out.say(f"{output}: for {via} alone, over a connection that nobody reads")


def log(
    bill: BillArgument,
    vault: Annotated[
        list[str] | None,
        typer.Option(
            "--vault", metavar="NAME=DIR=KEYFILE", help="A vault that you have the key of; or more."
        ),
    ] = None,
    reads: Annotated[
        list[str] | None,
        typer.Option(
            "--reads",
            metavar="NAME=FILE",
            help="What its keeper printed: tally vault reads BILL --json; or more.",
        ),
    ] = None,
    folder: options.LedgerDir = Path(),
    vault_passphrase_file: options.VaultPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """All that touched a bill. On the ledger, and in the vaults that have its body."""
    from contextlib import ExitStack

    from tallystick.apps.bills.holder_log import holder_log
    from tallystick.cli.reading import reading
    from tallystick.cli.vault_copies import open_kept

    with ExitStack() as stack:
        view = stack.enter_context(reading(folder))
        row = on_ledger(view, bill)
        kept = {
            name: stack.enter_context(open_kept(Path(where), Path(key), vault_passphrase_file))
            for name, where, key in (_parts(each, 3, "--vault") for each in vault or ())
        }
        told = [each for one in reads or () for each in _reads(one, row.id)]
        found = sorted([*holder_log(view, row.id, kept), *told], key=lambda each: each.at)
    if as_json:
        out.json({"bill": row.id, "log": found})
        return
    out.table(
        f"log of {row.id}",
        ("at", "where", "what", "who", "why", "outcome", "told"),
        [
            (*(one.at, one.where, one.what, one.who, one.why, one.outcome), _told(one))
            for one in found
        ],
    )


def _parts(text: str, count: int, option: str) -> list[str]:
    parts = text.split("=", count - 1)
    if len(parts) != count or not all(parts):
        fail(
            *("cli.parts", f"{option} 的写法不对", f"{option} is written with its parts and ="),
            todo=("见 --help", "see --help"),
            detail=text,
        )
    return parts


def _reads(text: str, bill: str) -> Iterator[Touched]:
    """What the keeper of a vault has printed."""
    from tallystick.apps.bills.holder_log import Touched
    from tallystick.cli.inputs import read_json
    from tallystick.protocol.canonical import narrow

    name, file = _parts(text, 2, "--reads")
    stated = read_json(Path(file), READS_BYTES_MAX)
    rows = stated.get("reads") if isinstance(stated, dict) else None
    if not isinstance(rows, list) or stated.get("bill") != bill:
        fail(
            *("cli.reads", "不是该票据的查阅记录", "this is no log of reads of that bill"),
            todo=(
                "用 tally vault reads BILL --json",
                "print it with tally vault reads BILL --json",
            ),
            detail=file,
        )
    for row in rows:
        yield narrow({"where": name} | row if isinstance(row, dict) else row, Touched)


def _told(one: Touched) -> str:
    told = " ".join(f"{name}={value}" for name, value in one.told.items())
    return told or " ".join(one.paths) or ("" if one.where == "ledger" else "all")
