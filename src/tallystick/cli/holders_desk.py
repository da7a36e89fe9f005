"""`tally bills relay`, `register-address`, `hand-over` and more: what others do for holders.

Any member enters what a holder has signed; an issuer sends bills to wallets.

Invariant: a bill's key leaves an office only for whoever knew the two things that were asked.
See docs/spec/wallet.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, act, acting, nonce
from tallystick.cli.failures import REFUSED, fail
from tallystick.cli.issuing import Mailbox

if TYPE_CHECKING:
    from tallystick.apps.bills.addresses import Addresses, Holders
    from tallystick.apps.bills.handover import Handover
    from tallystick.contracts.bills.body import Body, Payer
    from tallystick.contracts.bills.records.bills import Bill
    from tallystick.contracts.kit.context import Reader
    from tallystick.ledger.view import View
    from tallystick.protocol.transaction import Item
    from tallystick.vault import Message, Vault

FILE_BYTES_MAX = 64 * 1024

OneBill = Annotated[str, typer.Argument(metavar="BILL", help="CODE:NUMBER.")]
PayerId = Annotated[
    str | None,
    typer.Option("--payer-id", help="The payer's identity number; - asks on the terminal."),
]
PayerIdType = Annotated[
    str,
    typer.Option("--payer-id-type", help="Its kind, as drafts name it, like passport."),
]
OfDraft = Annotated[
    Path | None, typer.Option("--draft", help="Or a draft of one of the payer's bills.")
]

_OUTCOMES = {
    "handed": ("已送往钱包", "the bill is on its way to the wallet"),
    "no_match": ("领取码或号码尾数不符", "code or digits are wrong, or no such bill is here"),
    "closed": (
        "错误次数已用完，核实来人后用 tally bills reopen 重新开放",
        "no try is left; once you have seen who asks, tally bills reopen",
    ),
    "taken": (
        "该票据已绑定其他密钥；核实证件后由开票单位改绑（tally bills rebind）",
        "both were right, but the bill is bound to another key: the issuer, who sees papers, "
        "may rebind it: tally bills rebind",
    ),
}


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command("relay")(acting(relay))
    app.command("register-address")(register_address)
    app.command("end-address")(end_address)
    app.command("paper-code")(paper_code)
    app.command("hand-over")(hand_over)
    app.command("reopen")(reopen)
    app.command("send-again")(send_again)
    app.command("rebind")(acting(rebind))
    app.command("arbitrate")(acting(arbitrate))


def relay(
    how: How,
    file: Annotated[Path, typer.Argument(help="What a wallet wrote; - for stdin.")],
) -> None:
    """Enter what a holder has signed. Any member may: the authority is the holder's signature."""
    from tallystick.apps.bills.wallet_acts import read_relayed
    from tallystick.cli.inputs import in_file, read_file

    with in_file(file):
        action, item = read_relayed(read_file(file, FILE_BYTES_MAX).removesuffix(b"\n"))
    act(how, action, [item])


def register_address(
    file: Annotated[Path, typer.Argument(metavar="ADDRESS", help="What the patient gave you.")],
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    payer_id: PayerId = None,
    payer_id_type: PayerIdType = "resident_id",
    draft: OfDraft = None,
    folder: options.LedgerDir = Path(),
    vault_passphrase_file: options.VaultPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Send a payer's bills to their wallet from now on. Registered once, beside the vault."""
    from tallystick.apps.bills.address import load_address
    from tallystick.cli.inputs import in_file
    from tallystick.cli.reading import reading
    from tallystick.engines.clock import Clock
    from tallystick.protocol.errors import VerificationFailed

    with in_file(file):
        address = load_address(file)
    payer = _payer(payer_id, payer_id_type, draft)
    with reading(folder) as view:
        if address.network != view.network:
            raise VerificationFailed("the address is of another network", path="network")
    with _desk(vault, vault_key, vault_passphrase_file) as (_, addresses, _):
        addresses.register(payer, address, at=Clock().now())
    if as_json:
        out.json({"address": address.address_id, "via": address.via})
    else:
        out.say(f"registered: bills of this payer go to {address.address_id}", "bold green")


def end_address(
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    payer_id: PayerId = None,
    payer_id_type: PayerIdType = "resident_id",
    draft: OfDraft = None,
    vault_passphrase_file: options.VaultPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Send no new bill of a payer to any wallet. What was made for one still goes there."""
    from tallystick.engines.clock import Clock

    payer = _payer(payer_id, payer_id_type, draft)
    with _desk(vault, vault_key, vault_passphrase_file) as (_, addresses, _):
        known = addresses.newest(payer) is not None
        addresses.end(payer, at=Clock().now())
    if as_json:
        out.json({"ended": known})
    else:
        out.say("ended" if known else "this payer had no address")


def paper_code(
    bill: OneBill,
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    folder: options.LedgerDir = Path(),
    vault_passphrase_file: options.VaultPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Print the claim code of a bill. It stands on the paper of a payer without a wallet."""
    bill_id = _bill(bill)
    with _handover(folder, vault, vault_key, vault_passphrase_file, alone=False) as (desk, _):
        try:
            code = desk.code(bill_id)
        except KeyError:
            _not_ours(bill_id)
    if as_json:
        out.json({"bill": bill_id, "code": code})
    else:
        out.line(code)


def hand_over(
    request: Annotated[
        Path, typer.Argument(metavar="REQUEST", help="What a wallet wrote: claim-paper.")
    ],
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    mailbox: Mailbox = None,
    phone: Annotated[
        list[str] | None,
        typer.Option("--phone", help="A number of the payer's that you know; its end counts too."),
    ] = None,
    folder: options.LedgerDir = Path(),
    vault_passphrase_file: options.VaultPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Answer who has a bill on paper.

    Right code and digits send it to their wallet. Five wrong tries close a bill.
    Exit code 3 unless it was handed over.
    """
    from tallystick.apps.bills.delivering import deliver_owed
    from tallystick.apps.bills.handover import PaperClaim
    from tallystick.cli.inputs import read_file
    from tallystick.engines.clock import Clock
    from tallystick.protocol.canonical import decode

    asked = decode(read_file(request, FILE_BYTES_MAX).removesuffix(b"\n"), PaperClaim)
    with _handover(folder, vault, vault_key, vault_passphrase_file, phones=phone or ()) as (
        desk,
        opened,
    ):
        answer = desk.claim(asked)
        if mailbox is not None:
            mailbox.mkdir(parents=True, exist_ok=True)
            while deliver_owed(opened, mailbox, at=Clock().now()).delivered:
                pass
    handed = answer.outcome == "handed"
    if as_json:
        shown = {"outcome": answer.outcome, "tries_left": answer.tries_left}
        out.json({"bill": asked.bill} | shown)
    else:
        said = _OUTCOMES[answer.outcome][out.language() == "en"]
        style = "bold green" if handed else "bold yellow"
        out.say(f"{answer.outcome}: {said}", style)
        if answer.outcome == "no_match":
            out.say(f"{answer.tries_left} tries left")
    if not handed:
        raise typer.Exit(REFUSED)


def reopen(
    bill: OneBill,
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    vault_passphrase_file: options.VaultPassphrase = None,
) -> None:
    """Give a bill all its tries again. Once you have seen who asks for it."""
    bill_id = _bill(bill)
    with _desk(vault, vault_key, vault_passphrase_file) as (_, addresses, _):
        addresses.reopen(bill_id)
        left = addresses.tries_left(bill_id)
    out.say(f"{bill_id}: {left} tries")


def send_again(
    bills: Annotated[list[str], typer.Argument(help="CODE:NUMBER, one or several.")],
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    mailbox: Mailbox = None,
    folder: options.LedgerDir = Path(),
    vault_passphrase_file: options.VaultPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Send bills to wallets once more. After a loss, or a rebinding."""
    from tallystick.apps.bills.addresses import Holders
    from tallystick.apps.bills.delivering import deliver_owed
    from tallystick.cli.reading import reading
    from tallystick.engines.clock import Clock

    with (
        reading(folder) as view,
        _desk(vault, vault_key, vault_passphrase_file) as (opened, addresses, holder_key),
    ):
        now = max(view.head.at, Clock().now())
        holders = Holders(view.network, holder_key, addresses)
        messages = [_letter(view, opened, holders, _bill(bill), now) for bill in bills]
        opened.outbox.put(messages, at=now)
        if mailbox is not None:
            mailbox.mkdir(parents=True, exist_ok=True)
            while deliver_owed(opened, mailbox, at=now).delivered:
                pass
    if as_json:
        out.json({"sent": len(messages)})
    else:
        out.say(f"{len(messages):,} bills are owed to their wallets again")


def _letter(view: View, vault: Vault, holders: Holders, bill: str, now: int) -> Message:
    """A bill for the wallet whose address its key comes out of now."""
    from tallystick.contracts.bills.records.bills import holder_now, parse_bill_id
    from tallystick.contracts.bills.views.bills import find_bill

    row, where = find_bill(view, bill), vault.find(*parse_bill_id(bill))
    if row is None or where is None or where.tx_id is None or where.n is None:
        _not_ours(bill)
    if where.state == "erased":
        fail(
            "cli.body_erased",
            "该票据的内容已被删除",
            "the body of that bill was erased",
            detail=bill,
        )
    body, secret = vault.get(*parse_bill_id(bill))
    letter = holders.letter(where.tx_id, where.n, body, secret, holder_now(row, now)[0])
    if letter is None:
        fail(
            *("cli.no_address", "没有登记的地址持有该票据的密钥"),
            "no address that is registered here has the key of this bill",
            todo=(
                "无地址的用领取码（tally bills hand-over）；已绑定的由持有人保管",
                "without an address there is the claim code (tally bills hand-over); what its "
                "holder has bound is with the holder",
            ),
            detail=bill,
            exit_code=REFUSED,
        )
    return letter


def rebind(
    how: How,
    bill: OneBill,
    to: Annotated[
        Path, typer.Option("--to", metavar="ADDRESS", help="Address file of the holder's wallet.")
    ],
    reason: options.Reason,
) -> None:
    """Bind a bill anew. You have seen its holder's papers.

    At once if nobody but you chose its key; else after a time in which its old key may object.
    """
    from tallystick.apps.bills.address import load_address
    from tallystick.contracts.bills.items.holders import Rebind

    address, bill_id = load_address(to), _bill(bill)

    def items(reader: Reader) -> list[Item]:
        row = _blue(reader, bill_id)
        holder = address.bill_key(row.root or b"").commitment
        return [
            Rebind(nonce=nonce(), bill=bill_id, version=row.version, reason=reason, holder=holder)
        ]

    act(how, "bills.rebind/1", items)


def arbitrate(
    how: How,
    bill: OneBill,
    uphold: Annotated[str, typer.Option("--uphold", help="Which binding holds: new or old.")],
    reason: options.Reason,
) -> None:
    """Decide about a disputed binding. Its old holder objected to it."""
    from tallystick.contracts.bills.items.holders import Arbitrate

    if uphold not in ("new", "old"):
        raise typer.BadParameter(f"{uphold}: new or old", param_hint="--uphold")
    held: Literal["new", "old"] = "new" if uphold == "new" else "old"
    bill_id = _bill(bill)

    def items(reader: Reader) -> list[Item]:
        version = _blue(reader, bill_id).version
        return [Arbitrate(nonce=nonce(), bill=bill_id, version=version, reason=reason, uphold=held)]

    act(how, "bills.arbitrate/1", items)


def _blue(reader: Reader, bill: str) -> Bill:
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.contracts.bills.views.bills import find_bill
    from tallystick.protocol.errors import Rejected

    row = find_bill(reader, bill)
    if row is None or row.bill_kind != "blue":
        raise Rejected(BillsReason.BILL_UNKNOWN, f"{bill} is no blue bill", path="bill")
    return row


@contextmanager
def _desk(
    folder: Path, key: Path, passphrase_file: Path | None, *, alone: bool = True
) -> Iterator[tuple[Vault, Addresses, bytes]]:
    """An issuer's vault with its addresses, and its holder key."""
    from tallystick.apps.bills.addresses import FOLDER, Addresses
    from tallystick.apps.bills.holders import derive_holder_key
    from tallystick.cli import offices
    from tallystick.cli.inputs import load_vault
    from tallystick.vault import Vault

    secret = load_vault(key, passphrase_file).secret
    if not folder.is_dir():
        raise FileNotFoundError(2, "no such folder", str(folder))
    lock: AbstractContextManager[None] = offices.alone(folder) if alone else nullcontext()
    with (
        lock,
        Vault.open(folder, secret) as vault,
        Addresses.open(folder / FOLDER, secret) as addresses,
    ):
        yield vault, addresses, derive_holder_key(secret)


@contextmanager
def _handover(
    ledger: Path,
    folder: Path,
    key: Path,
    passphrase_file: Path | None,
    *,
    alone: bool = True,
    phones: Iterable[str] = (),
) -> Iterator[tuple[Handover, Vault]]:
    from tallystick.apps.bills.handover import Handover, identity_number
    from tallystick.cli.reading import reading
    from tallystick.engines.clock import Clock

    def contacts(body: Body) -> list[str]:
        return [*identity_number(body), *phones]

    with reading(ledger) as view:
        network = view.network
    with _desk(folder, key, passphrase_file, alone=alone) as (vault, addresses, holder_key):
        desk = Handover(
            *(vault, addresses),
            network=network,
            holder_key=holder_key,
            view=lambda: reading(ledger),
            clock=Clock().now,
            contacts=contacts,
        )
        yield desk, vault


def _payer(number: str | None, kind: str, draft: Path | None) -> Payer:
    """Whose address it is: by number, or as a draft of theirs says."""
    from tallystick.cli.drafts import read_draft
    from tallystick.contracts.bills.body import Payer
    from tallystick.protocol.canonical import narrow

    if (number is None) == (draft is None):
        fail(
            *("cli.which_payer", "请用 --payer-id 或 --draft 指明交款人"),
            "whose is it? --payer-id or --draft",
            todo=("二者取其一", "name one of the two"),
        )
    if draft is not None:
        payer = read_draft(draft).payer
    else:
        if number == "-":
            number = typer.prompt("Identity number", hide_input=True, err=True)
        stated = {"party": "person", "name": "-", "id_type": kind, "id_number": number}
        payer = narrow(stated, Payer)
    if not payer.id_number:
        fail(
            *("cli.no_payer_id", "没有证件号码的交款人不能登记地址"),
            "a payer without an identity number has no address",
        )
    return payer


def _bill(text: str) -> str:
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id

    return format_bill_id(*parse_bill(text))


def _not_ours(bill: str) -> NoReturn:
    fail(
        *("cli.no_body", "此库中没有该票据的内容", "this vault has no body of that bill"),
        todo=("核对票据号码与库目录", "check the number, and whether it is the issuer's vault"),
        detail=bill,
    )
