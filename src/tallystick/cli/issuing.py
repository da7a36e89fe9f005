"""`tally bills issue`, `reverse`, `replace` and what else befalls bills and their issuers.

What has a private body goes through the issuer's office and its vault.

Invariant: no record is submitted whose body is not in the vault. See docs/guides/office.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tallystick.cli import options, out
from tallystick.cli.acting import How, act, acting, nonce
from tallystick.cli.failures import INTERRUPTED, REFUSED, fail
from tallystick.cli.letters import CaFile, Insecure, Place, Route, routes_of

if TYPE_CHECKING:
    from tallystick.apps.bills.acts import Issued
    from tallystick.apps.bills.office import Office
    from tallystick.cli.answers import Answers
    from tallystick.cli.offices import Where
    from tallystick.ledger.view import View

CHUNK = 1_000
"""Bills between two steps of the progress bar: a transaction's most."""

Bill = Annotated[str, typer.Argument(help="CODE:NUMBER, like 33060126:0000000001.")]
Bills = Annotated[list[str], typer.Argument(help="CODE:NUMBER, one or several.")]
Draft = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="JSON: one draft or a list of them, up to 64 MiB; or JSON Lines, one draft a line, of "
        "any length (*.jsonl). Without network and number; - for stdin. Amounts are whole minor "
        "units (fen), names in _e4 count 1/10000 yuan.",
    ),
]
DeliverTo = Annotated[
    str | None,
    typer.Option(
        "--deliver-to",
        metavar="ORG[=KEY]",
        help="Whose archive gets the bodies, sealed to its key; the ledger's, if it names one.",
    ),
]
Mailbox = Annotated[
    Path | None, typer.Option("--mailbox", help="Folder into which due deliveries are put.")
]
IssuerOrg = Annotated[str, typer.Argument(help="Organisation that issues bills.")]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command()(draft)
    for command in (issue, reverse, replace, withhold, release):
        app.command(command.__name__)(acting(command))
    app.command("deliver")(acting(deliver))
    app.command("reversal-request")(acting(reversal_request))
    app.command("cancel-reversal")(acting(cancel_reversal))
    app.command("suspend-issuer")(acting(suspend_issuer))
    app.command("resume-issuer")(acting(resume_issuer))


def draft(
    scene: Annotated[str, typer.Argument(help="Of the reference catalogue, such as outpatient.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another number, another bill.")] = 0,
) -> None:
    """Print an invented draft of a bill. To start from: it is what `issue` reads."""
    import json

    from tallystick.apps.bills.catalogue import TYPES
    from tallystick.apps.bills.generate import make_draft
    from tallystick.engines.clock import Clock
    from tallystick.protocol.canonical import builtins

    if scene not in TYPES:
        fail(
            *("cli.which_type", "目录中没有这种票据", "the catalogue has no such type"),
            detail=f"{scene}; it has {', '.join(TYPES)}",
        )
    made = builtins(make_draft(seed, scene, issued_at=Clock().now()))
    known = ("network", "number", "type")
    shown = {name: value for name, value in made.items() if name not in known}
    print(json.dumps(shown, ensure_ascii=False, indent=1))


def issue(
    how: How,
    file: Draft,
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    vault_passphrase_file: options.VaultPassphrase = None,
    deliver_to: DeliverTo = None,
    mailbox: Mailbox = None,
) -> None:
    """Issue bills out of drafts. Numbers are taken in order, bodies kept in the vault."""
    from tallystick.cli.drafts import open_drafts

    where = _where(vault, vault_key, vault_passphrase_file, deliver_to, mailbox)
    with open_drafts(file) as drafts:
        _through_office(
            *(how, where, drafts.each, lambda office, some: office.issue(some), "on the ledger"),
            count=drafts.count,
        )


def reverse(
    how: How,
    bills: Bills,
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    reason: options.Reason,
    vault_passphrase_file: options.VaultPassphrase = None,
    deliver_to: DeliverTo = None,
    mailbox: Mailbox = None,
) -> None:
    """Reverse bills whole (冲红). A red bill for each, out of your own numbers."""
    from tallystick.apps.bills.acts import Reversal
    from tallystick.cli.inputs import parse_bill

    wanted = [Reversal(*parse_bill(bill), reason) for bill in bills]
    where = _where(vault, vault_key, vault_passphrase_file, deliver_to, mailbox)
    _through_office(
        *(how, where, wanted, lambda office, some: office.reverse(some), "reversed"),
        count=len(wanted),
    )


def replace(
    how: How,
    bill: Bill,
    file: Draft,
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    reason: options.Reason,
    vault_passphrase_file: options.VaultPassphrase = None,
    deliver_to: DeliverTo = None,
    mailbox: Mailbox = None,
) -> None:
    """Reverse a bill and issue another in its place (冲红重开). All or nothing."""
    from tallystick.apps.bills.acts import Replacement
    from tallystick.cli.drafts import read_draft
    from tallystick.cli.inputs import parse_bill

    wanted = [Replacement(*parse_bill(bill), reason, read_draft(file))]
    where = _where(vault, vault_key, vault_passphrase_file, deliver_to, mailbox)
    _through_office(
        *(how, where, wanted, lambda office, some: office.replace(some), "replaced"),
        count=len(wanted),
    )


def withhold(how: How, bills: Bills, reason: options.Reason) -> None:
    """Let bills not be claimed, as while there are arrears."""
    from tallystick.contracts.bills.items.bills import Withhold

    act(how, "bills.withhold/1", lambda view: _of_bills(view, Withhold, bills, reason))


def release(how: How, bills: Bills, reason: options.Reason) -> None:
    """Let withheld bills be claimed after all."""
    from tallystick.contracts.bills.items.bills import Release

    act(how, "bills.release/1", lambda view: _of_bills(view, Release, bills, reason))


def reversal_request(how: How, bills: Bills, reason: options.Reason) -> None:
    """Ask to reverse bills that are locked (待冲红). From then on nothing is settled."""
    from tallystick.contracts.bills.items.claims import RequestReversal

    act(
        how,
        "bills.reversal_request/1",
        lambda view: _of_bills(view, RequestReversal, bills, reason),
    )


def cancel_reversal(how: How, bills: Bills, reason: options.Reason) -> None:
    """Let bills not be reversed after all. Their locks stand again."""
    from tallystick.contracts.bills.items.claims import CancelReversal

    act(how, "bills.cancel_reversal/1", lambda view: _of_bills(view, CancelReversal, bills, reason))


def deliver(
    how: How,
    place: Place,
    vault: options.VaultDir,
    vault_key: options.VaultKeyFile,
    vault_passphrase_file: options.VaultPassphrase = None,
    deliver_to: DeliverTo = None,
    again: Annotated[
        bool, typer.Option("--again", help="Owe anew the bodies that the archive says it lacks.")
    ] = False,
    route: Route = None,
    ca_file: CaFile = None,
    insecure: Insecure = False,
) -> None:
    """Deliver the bodies that are due. Into folders, or to letterboxes over HTTP.

    Wallets' letters go to the same PLACE unless --route wallets=PLACE names another. Who does not
    answer is tried again later, and keeps nobody else waiting.
    """
    from tallystick.cli.offices import open_office

    delivered = owed = 0
    where = _where(vault, vault_key, vault_passphrase_file, deliver_to, None)
    with open_office(how, where) as office:
        owed = office.deliver_again() if again else 0
        office.sharing.review()
        routes = routes_of(place, route, ca_file, insecure)
        while some := office.deliver(routes).delivered:
            delivered += some
    if how.as_json:
        out.json({"delivered": delivered, "owed_anew": owed})
    else:
        out.say(f"{delivered:,} bodies delivered, {owed:,} of them owed anew")


def suspend_issuer(how: How, org: IssuerOrg, reason: options.Reason) -> None:
    """Stop an organisation from issuing. What it owes, reversals, it still may do."""
    from tallystick.contracts.bills.items.bills import SuspendIssuer

    item = SuspendIssuer(nonce=nonce(), issuer=org, reason=reason)
    act(how, "bills.suspend_issuer/1", [item])


def resume_issuer(how: How, org: IssuerOrg, reason: options.Reason) -> None:
    """Let a suspended organisation issue again."""
    from tallystick.contracts.bills.items.bills import ResumeIssuer

    item = ResumeIssuer(nonce=nonce(), issuer=org, reason=reason)
    act(how, "bills.resume_issuer/1", [item])


def _of_bills(view: Any, kind: Any, bills: list[str], reason: str) -> list[Any]:
    from tallystick.cli.inputs import parse_bill
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.contracts.bills.views.bills import find_bill

    made = []
    for text in bills:
        bill = format_bill_id(*parse_bill(text))
        row = find_bill(view, bill)
        version = row.version if row else 0
        made.append(kind(nonce=nonce(), bill=bill, version=version, reason=reason))
    return made


def _where(
    vault: Path, key: Path, passphrase: Path | None, deliver_to: str | None, mailbox: Path | None
) -> Where:
    from tallystick.cli.offices import Where

    return Where(vault, key, passphrase, deliver_to, mailbox)


def _through_office(
    how: How,
    where: Where,
    wanted: Iterable[Any],
    do: Callable[[Office, Sequence[Any]], list[Issued]],
    done_word: str,
    *,
    count: int | None,
) -> None:
    """Hand all to the office in batches; prints one line a bill, or sums."""
    from tallystick.cli.answers import Answers
    from tallystick.cli.offices import open_office

    if how.dry_run:
        _check_drafts(how, wanted)
        return
    each = iter(wanted)
    with Answers(done_word, as_json=how.as_json) as answers:
        try:
            with open_office(how, where) as office, out.progress() as bar:
                task = bar.add_task(done_word, total=count)
                while some := list(islice(each, CHUNK)):
                    done = _do(office, some, do)
                    answers.add(done, office.said(done))
                    bar.advance(task, len(some))
        except KeyboardInterrupt:
            _interrupted(answers)
        answers.print()
        refused = answers.refused
    if refused:
        raise typer.Exit(REFUSED)


def _do(
    office: Office, some: Sequence[Any], do: Callable[[Office, Sequence[Any]], list[Issued]]
) -> list[Issued]:
    """One answer for each; what is no draft fails alone and never reaches the office."""
    from tallystick.apps.bills.acts import Issued
    from tallystick.apps.bills.office import MALFORMED
    from tallystick.protocol.errors import Malformed

    done = iter(do(office, [one for one in some if not isinstance(one, Malformed)]))
    return [
        Issued(MALFORMED, path=one.path, detail=one.detail)
        if isinstance(one, Malformed)
        else next(done)
        for one in some
    ]


def _interrupted(answers: Answers) -> NoReturn:
    """Say what is on the ledger, and that the same command may be given again."""
    fail(
        "cli.interrupted",
        f"已中断：{answers.accepted:,} 张已确认入账，另有至多 {CHUNK:,} 张可能在途",
        f"interrupted: {answers.accepted:,} are on the ledger, up to {CHUNK:,} more may be",
        todo=(
            "重新运行同一命令：在途的先接着办完，已入账的会被拒绝为重复；不会丢失，也不会重复",
            "run the same command again: what was under way is settled first, what is on the "
            "ledger is refused as repeated; nothing is lost, nothing is done twice",
        ),
        exit_code=INTERRUPTED,
    )


def _check_drafts(how: How, wanted: Iterable[Any]) -> None:
    """A dry run of what has bodies: their content rules, as the ledger's types are now."""
    from tallystick.cli.reading import reading
    from tallystick.protocol.errors import Malformed, Rejected

    checked = 0
    with reading(how.box or how.dir) as view:
        for checked, one in enumerate(wanted, start=1):
            try:
                _check_one(view, one)
            except (Malformed, Rejected) as error:
                error.path = f"{checked - 1}/{error.path}".rstrip("/")
                raise
        network = view.network
    if how.as_json:
        out.json({"dry_run": True, "network": network, "checked": checked})
    else:
        out.say(f"{checked:,} checked: the content rules pass; nothing was changed", "bold green")


def _check_one(view: View, one: Any) -> None:
    """A draft, a reversal or a replacement; a `Malformed` is raised as it is."""
    from tallystick.apps.bills.acts import Replacement, Reversal
    from tallystick.contracts.bills.content import check_body
    from tallystick.contracts.bills.reasons import BillsReason
    from tallystick.contracts.bills.records.bills import format_bill_id
    from tallystick.contracts.bills.views.bills import find_bill, find_type_at
    from tallystick.protocol.canonical import replace
    from tallystick.protocol.errors import Malformed, Rejected
    from tallystick.protocol.values import parse_instant

    if isinstance(one, Malformed):
        raise one
    draft = getattr(one, "draft", one)
    if isinstance(one, Reversal | Replacement):
        bill = find_bill(view, format_bill_id(one.code, one.number))
        if bill is None or bill.state != "issued":
            reason = BillsReason.BILL_UNKNOWN if bill is None else BillsReason.BILL_STATE
            raise Rejected(reason, path="bill")
    if draft is not None:
        kind = find_type_at(view, draft.code // 100, parse_instant(draft.issued_at))
        if kind is None:
            raise Rejected(BillsReason.TYPE_UNKNOWN, path="code")
        check_body(replace(draft, network=view.network, number=1), kind.rules)
