"""The one way in which commands act: sign as whose key it is, hand in, say what became of it.

Invariant: a command exits with 0 only if every item was accepted. See docs/cli.md.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tallystick.cli import options, out
from tallystick.cli.failures import REFUSED, fail
from tallystick.cli.reasons import both, explain

if TYPE_CHECKING:
    from tallystick.cli.desk import Desk
    from tallystick.contracts.kit.context import Reader
    from tallystick.ledger.engine import Committed
    from tallystick.ledger.view import View
    from tallystick.protocol.transaction import Item

Items = Sequence["Item"]
ACCEPTED = "accepted"
ITEMS_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class How:
    """The options that every acting command has."""

    dir: options.LedgerDir = Path()
    box: options.Box = None
    key: options.Key = None
    passphrase_file: options.Passphrase = None
    log_key: options.LogKey = None
    log_passphrase_file: options.LogPassphrase = None
    dry_run: options.DryRun = False
    as_json: options.AsJson = False


def acting(command: Callable[..., None], kind: type[Any] = How) -> Callable[..., None]:
    """A command whose first parameter is a `kind`: the options of that class follow its own."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = inspect.signature(kind, eval_str=True).parameters
    names = [each.name for each in fields(kind)]

    def run(**values: Any) -> None:
        how = kind(**{name: values.pop(name) for name in names})
        command(how, **values)

    listed = [*own, *shared.values()]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # read by typer
        [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in listed]
    )
    run.__annotations__ = {each.name: each.annotation for each in listed}
    return run


def nonce() -> bytes:
    """128 bits that hide an item from those who see only its hash."""
    return secrets.token_bytes(16)


def act(
    how: How,
    action: str,
    items: Items | Callable[[Reader], Items],
    *,
    atomic: bool = False,
    told: Mapping[str, str] | None = None,
) -> None:
    """Sign, submit and print; `items` may be made out of what the ledger says now.

    `told` is printed beside what became of them.
    """
    from tallystick.cli.inputs import load_signer
    from tallystick.protocol.transaction import check_item

    if how.key is None:
        fail(
            *("cli.no_key", "缺少签名密钥", "which key signs this?"),
            todo=("以 --key 或 TALLY_KEY 指明", "name its file with --key or $TALLY_KEY"),
        )
    signer = load_signer(how.key, how.passphrase_file)
    with desk_of(how) as desk:
        with desk.view() as view:
            sender = owner_of(view, signer.public_key)
            made = items(view) if callable(items) else items
        for item in made:
            check_item(item)
        data = desk.sign(signer, sender, action, made, atomic)
        if how.dry_run:
            why = dict[int, str]()
            outcomes = desk.dry_run(data, why)
            shown: dict[str, Any] = {"dry_run": True, "outcomes": outcomes} | _named(why)
        else:
            committed = desk.submit(data).result()
            outcomes, shown = list(committed.outcomes), answer(committed)
    _print(how, action, outcomes, shown, told or {})


def owner_of(view: View, key: bytes) -> str:
    """Whose key it is, by the ledger: who the sender is."""
    from tallystick.contracts.kit.keys import find_key

    row = find_key(view, key)
    if row is None or row.org is None:
        fail(
            *("ledger.key_unknown", "签名密钥未登记", "the signing key is not registered"),
            todo=(
                "用本单位已登记的密钥；新密钥先由根密钥登记",
                "sign with a registered key, or register this one: tally members add-key",
            ),
            detail=key.hex(),
            exit_code=REFUSED,
        )
    return row.org


def answer(committed: Committed) -> dict[str, Any]:
    """What is printed as JSON of a transaction on the ledger."""
    from tallystick.protocol.values import format_instant

    return {
        "tx_id": committed.tx_id,
        "first": committed.first,
        "block": committed.block,
        "at": format_instant(committed.at),
        "outcomes": list(committed.outcomes),
        **_named(committed.why),
    }


def _named(why: Mapping[int, str]) -> dict[str, Any]:
    """The fields at fault, where something was refused and whoever refused it is asked itself."""
    return {"why": {str(n): said for n, said in why.items()}} if why else {}


def _print(
    how: How, action: str, outcomes: list[str], shown: dict[str, Any], told: Mapping[str, str]
) -> None:
    refused = [code for code in outcomes if code != ACCEPTED]
    if how.as_json:
        out.json({**shown, **told})
    else:
        done = len(outcomes) - len(refused)
        would = "would be accepted" if how.dry_run else "accepted"
        where = "" if how.dry_run else f": entry {shown['first']}, block {shown['block']}"
        style = "bold green" if not refused else "bold yellow"
        out.say(f"{action.partition('/')[0]}: {done} of {len(outcomes)} {would}{where}", style)
        for name, value in told.items():
            out.line(f"{name} {value}")
        _print_refused(outcomes, shown.get("first"), shown.get("why", {}))
    if refused:
        raise typer.Exit(REFUSED)


def _print_refused(outcomes: list[str], first: int | None, why: dict[str, str]) -> None:
    rows = [
        (n, None if first is None else first + n, code, both(code))
        for n, code in enumerate(outcomes)
        if code != ACCEPTED
    ]
    if not rows:
        return
    out.table("refused", ("item#", "entry#", "reason", "说明 / why"), rows[:ITEMS_SHOWN_MAX])
    if len(rows) > ITEMS_SHOWN_MAX:
        out.say(f"… and {len(rows) - ITEMS_SHOWN_MAX:,} more; --json has all")
    for n, *_ in rows[:ITEMS_SHOWN_MAX]:
        if said := why.get(str(n)):
            out.say(f"  {n}: {said}")
    for code in dict.fromkeys(row[2] for row in rows):
        out.say(f"  {code}: {explain(code, out.language())}")


def desk_of(how: How) -> AbstractContextManager[Desk]:
    """The desk that `how` names, for commands that hand it on."""
    from tallystick.cli.desk import open_desk

    return open_desk(
        how.box or how.dir,
        box=how.box is not None,
        log_key=how.log_key,
        passphrase_file=how.log_passphrase_file,
    )
