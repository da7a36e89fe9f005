"""`tally wallet list`, `show`, `acts`: bills as they stand, and who may read what of them.

Invariant: whether something holds is what the ledger says now, never what the wallet remembers.
See docs/spec/wallet.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.wallet_folder import (
    BillArgument,
    WalletDir,
    WalletPassphrase,
    at_ledger,
    not_held,
    on_ledger,
    open_wallet,
)

if TYPE_CHECKING:
    from tallystick.apps.bills.wallet import Wallet
    from tallystick.apps.bills.wallet_store import Gift
    from tallystick.contracts.bills.records.bills import Bill
    from tallystick.contracts.bills.records.holders import Consent, Helper, Mandate
    from tallystick.ledger.view import View

Standing = dict[str, Any]


def add_to(app: typer.Typer) -> None:
    """Put the commands of this file into the tree."""
    app.command("list")(list_)
    app.command()(show)
    app.command()(acts)


def list_(
    wallet: WalletDir,
    folder: options.LedgerDir = Path(),
    wallet_passphrase_file: WalletPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """Your bills, and how they stand on the ledger now."""
    from tallystick.contracts.bills.views.bills import find_bill
    from tallystick.protocol.values import format_instant

    with (
        open_wallet(wallet, wallet_passphrase_file) as opened,
        at_ledger(opened, folder) as (view, now),
    ):
        rows = [
            {
                "bill": held.bill,
                "kind": held.kind,
                "issuer": held.issuer,
                "came": format_instant(held.at),
                **_now(opened, find_bill(view, held.bill), now),
            }
            for held in opened.bills()
        ]
    if as_json:
        out.json({"bills": rows})
        return
    out.table(
        "bills",
        ("bill", "issuer", "kind", "state", "total#", "left#", "key"),
        [
            (
                *(row["bill"], row["issuer"], row["kind"], row["state"]),
                *(_money(row["total"]), _money(row["left"]), row["key"]),
            )
            for row in rows
        ],
    )


def _now(wallet: Wallet, row: Bill | None, now: int) -> Standing:
    """State, sums and key of a bill; `left` is what may still be claimed with the account."""
    from tallystick.contracts.bills.records.bills import room

    if row is None:
        return {"state": "not_known", "total": None, "left": None, "key": ""}
    left = room(row, now)["cash_account"] if row.bill_kind == "blue" else None
    total = row.amounts.get("total")
    return {"state": row.state, "total": total, "left": left, "key": _key(wallet, row, now)}


def _key(wallet: Wallet, row: Bill, now: int) -> str:
    """``bound`` to a key that the wallet alone has, ``unbound``: an office knows it, ``other``."""
    from tallystick.contracts.bills.records.bills import holder_now

    if row.holder is None or row.root is None:
        return ""
    key = wallet.key(row, now)
    if key is None:
        return "other"
    own = wallet.keys.own_key(row.root, holder_now(row, now)[1])
    return "bound" if key == own else "unbound"


def _money(minor: int | None) -> str | None:
    from tallystick.contracts.bills.amounts import format_amount

    return None if minor is None else format_amount(minor)


_KEY_WORDS = {
    "bound": "bound: a key that you alone have",
    "unbound": "unbound: whoever sent it knows the key too; tally wallet bind takes it over",
    "other": "not yours: it is bound to another key",
    "": "",
}


def show(
    bill: BillArgument,
    wallet: WalletDir,
    folder: options.LedgerDir = Path(),
    wallet_passphrase_file: WalletPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """One bill: what it says, how it stands, who may read it."""
    with (
        open_wallet(wallet, wallet_passphrase_file) as opened,
        at_ledger(opened, folder) as (view, now),
    ):
        row = on_ledger(view, bill)
        if opened.find(row.id) is None:
            not_held(row.id)
        body = json.loads(opened.private(row.id).body)
        standing = {"issuer": row.issuer} | _now(opened, row, now) | _waits(row, now)
        readers = _readers(opened, view, row, now)
    if as_json:
        out.json({"bill": row.id, "body": body, "readers": readers} | standing)
        return
    _print_bill(row.id, body, standing, readers)


def _print_bill(
    bill: str, body: Standing, standing: Standing, readers: list[dict[str, Any]]
) -> None:
    from tallystick.cli.vaults import print_body

    print_body(body, standing["state"])
    money = {name: _money(standing[name]) for name in ("total", "left")}
    key = {"key": _KEY_WORDS[standing["key"]]}
    out.pairs(f"{bill} on the ledger", standing | money | key)
    out.table(
        "who may read it",
        ("reader", "purpose", "until", "by", "fields", "holds", "act"),
        [
            (
                *(each["reader"], each["purpose"], each["until"], each["by"]),
                " ".join(each["fields"]) if each["fields"] is not None else "(a helper knows)",
                "yes" if each["live"] else "no",
                each["act"],
            )
            for each in readers
        ],
    )


def _waits(row: Bill, now: int) -> Standing:
    """What else stands about a bill, where there is anything."""
    from tallystick.contracts.bills.records.bills import live_lock

    lock, pending = live_lock(row, now), row.pending
    found: Standing = {
        "locked": None if lock is None else _money(lock.amount),
        "locked_until": None if lock is None else lock.until,
        "new_binding_from": None if pending is None else pending.due,
        "new_binding_disputed": None if pending is None else pending.disputed,
        "reversing": row.reversing,
        "frozen": row.frozen,
        "paper": None if row.paper is None else row.paper.id,
    }
    return {name: value for name, value in found.items() if value is not None}


def _readers(wallet: Wallet, view: View, row: Bill, now: int) -> list[dict[str, Any]]:
    """Every consent to a bill, a helper's too, and every mandate of the wallet's."""
    from tallystick.contracts.bills.views.holders import (
        find_mandate,
        is_consent_live,
        is_mandate_live,
        list_consents,
    )

    gifts = {gift.act: gift for _, gift in wallet.acts.gave()}
    found: list[tuple[Consent | Mandate, bool]] = [
        (each, is_consent_live(view, each, now)) for each in list_consents(view, row.id)
    ]
    key = wallet.key(row, now)
    mandates = (find_mandate(view, act) for act, gift in gifts.items() if gift.what == "mandate")
    found += [
        (each, is_mandate_live(view, each, row, key.opening if key else None, now))
        for each in mandates
        if each is not None
    ]
    return [
        {
            "act": each.id,
            "by": each.KIND.partition(".")[2],
            "reader": each.reader,
            "purpose": each.purpose,
            "until": each.until,
            "live": live,
            "fields": _fields(gifts.get(each.id)),
        }
        for each, live in found
    ]


def _fields(gift: Gift | None) -> list[str] | None:
    return None if gift is None or gift.fields is None else list(gift.fields.paths)


def acts(
    wallet: WalletDir,
    folder: options.LedgerDir = Path(),
    wallet_passphrase_file: WalletPassphrase = None,
    as_json: options.AsJson = False,
) -> None:
    """All that this wallet ever said, and whether it holds."""
    from tallystick.protocol.values import format_instant

    with (
        open_wallet(wallet, wallet_passphrase_file) as opened,
        at_ledger(opened, folder) as (view, now),
    ):
        rows: list[dict[str, Any]] = [
            {
                "at": format_instant(at),
                "what": gift.what,
                "act": gift.act,
                "bill": gift.bill,
                "to": gift.helper.hex() if gift.helper else gift.reader,
                "purpose": gift.purpose,
                "until": gift.until,
                "fields": _fields(gift),
                "of": gift.of,
                "by": gift.by,
                "standing": _standing(view, gift, now),
            }
            for at, gift in opened.acts.gave()
        ]
    if as_json:
        out.json({"acts": rows})
        return
    out.table(
        "said",
        ("what", "bill", "to", "purpose", "until", "standing", "act"),
        [
            (
                *(row["what"], row["bill"], row["to"], row["purpose"], row["until"]),
                *(row["standing"], row["act"]),
            )
            for row in rows
        ],
    )


def _standing(view: View, gift: Gift, now: int) -> str:
    """``holds``, ``over``, or ``not entered`` on the ledger; nothing of what allows nothing."""
    from tallystick.contracts.bills.records.holders import Consent, Helper, helper_holds
    from tallystick.contracts.bills.views import holders
    from tallystick.contracts.bills.views.bills import find_bill
    from tallystick.protocol.values import parse_instant

    find = {
        "consent": holders.find_consent,
        "mandate": holders.find_mandate,
        "helper": holders.find_helper,
    }.get(gift.what)
    if find is None:
        return ""
    row: Consent | Mandate | Helper | None = find(view, gift.act)
    match row:
        case None:
            return "not entered"
        case Consent():
            live = holders.is_consent_live(view, row, now)
        case Helper(bill=str(bill)):
            about = find_bill(view, bill)
            live = about is not None and helper_holds(row, about, now)
        case _:
            live = row.good and (row.until is None or now < parse_instant(row.until))
    return "holds" if live else "over"
