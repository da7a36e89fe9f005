"""`tally members`: organisations, keys, grants, keepers.

Invariant: one command is one action of the contract, told in its words.
See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tallystick.cli import delivery_keys, options, out
from tallystick.cli.acting import How, act, acting, nonce

app = typer.Typer(no_args_is_help=True, help="Organisations, their keys, grants and keepers.")
app.add_typer(delivery_keys.app, name="delivery")

Org = Annotated[str, typer.Argument(help="Organisation's id: a-z, 0-9 and -.")]
KeyText = Annotated[str, typer.Argument(metavar="KEY", help="Key file, or 64 hex digits.")]
Actions = Annotated[
    list[str],
    typer.Option("--action", help="What it may do: bills.issue, bills.* or *; may be repeated."),
]
Codes = Annotated[
    list[int] | None,
    typer.Option("--code", help="Leading digits (2 to 8) of bill codes; may be repeated."),
]
Until = Annotated[
    str | None, typer.Option("--until", help="Ends then, in UTC: 2026-12-31T16:00:00Z.")
]
Depth = Annotated[int, typer.Option("--depth", help="How many times it may be passed on.")]
Source = Annotated[
    str, typer.Option("--source", help="Your own grant that it comes out of (members show).")
]


class KeyReason(StrEnum):
    """Why a key ends."""

    COMPROMISED = "compromised"
    LOST = "lost"
    REPLACED = "replaced"
    UNUSED = "unused"


class SuspendReason(StrEnum):
    """Why an organisation is stopped."""

    COMPROMISED = "compromised"
    OVERDUE = "overdue"
    VIOLATION = "violation"
    ON_REQUEST = "on_request"
    CLOSED = "closed"


class ResumeReason(StrEnum):
    """Why it may act again."""

    REMEDIED = "remedied"
    MISTAKE = "mistake"
    ON_REQUEST = "on_request"


class EndReason(StrEnum):
    """Why a grant ends."""

    NO_LONGER_NEEDED = "no_longer_needed"
    REPLACED = "replaced"
    VIOLATION = "violation"
    MISTAKE = "mistake"
    ON_REQUEST = "on_request"


class RetireReason(StrEnum):
    """Why a keeper ends."""

    COMPROMISED = "compromised"
    LOST = "lost"
    REPLACED = "replaced"
    ON_REQUEST = "on_request"


@app.command()
@acting
def admit(
    how: How,
    org: Org,
    root_key: Annotated[str, typer.Option("--root-key", help="Its offline key: file or hex.")],
    operating_key: Annotated[
        str | None, typer.Option("--operating-key", help="Its first operating key: file or hex.")
    ] = None,
    action: Actions = [],  # noqa: B006  # typer copies it
    code: Codes = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Your grant out of which it gets --action.")
    ] = None,
    depth: Depth = 0,
    until: Until = None,
) -> None:
    """Make an organisation a member, with keys and a grant."""
    from tallystick.cli.inputs import parse_key
    from tallystick.contracts.members.actions.orgs import Admit
    from tallystick.contracts.members.records import NewGrant, NewKey

    keys, grants = [], []
    if operating_key is not None:
        keys.append(NewKey(key=parse_key(operating_key), actions=list(action) or ["*"]))
    if source is not None:
        grants.append(
            NewGrant(
                source=source, actions=list(action), codes=code or [], depth=depth, until=until
            )
        )
    item = Admit(nonce=nonce(), org=org, root_key=parse_key(root_key), keys=keys, grants=grants)
    act(how, "members.admit/1", [item])


@app.command("add-key")
@acting
def add_key(
    how: How, public_key: KeyText, action: Actions, code: Codes = None, until: Until = None
) -> None:
    """Take an operating key into use. Signed by your root key (--key)."""
    from tallystick.cli.inputs import parse_key
    from tallystick.contracts.members.actions.keys import AddKey
    from tallystick.contracts.members.records import NewKey

    new = NewKey(key=parse_key(public_key), actions=list(action), codes=code or [], until=until)
    act(how, "members.add_key/1", [AddKey(nonce=nonce(), new=new)])


@app.command("revoke-key")
@acting
def revoke_key(
    how: How,
    public_key: KeyText,
    reason: Annotated[KeyReason, typer.Option(help="Why.")] = KeyReason.REPLACED,
) -> None:
    """End an operating key for ever; signed by your root key. Old signatures stay valid."""
    from tallystick.cli.inputs import parse_key
    from tallystick.contracts.members.actions.keys import RevokeKey

    item = RevokeKey(nonce=nonce(), key=parse_key(public_key), reason=reason.value)
    act(how, "members.revoke_key/1", [item])


@app.command("rotate-root")
@acting
def rotate_root(
    how: How,
    public_key: KeyText,
    reason: Annotated[KeyReason, typer.Option(help="Why.")] = KeyReason.REPLACED,
) -> None:
    """Put a new root key in the place of the one that signs. It signs by --key."""
    from tallystick.cli.inputs import parse_key
    from tallystick.contracts.members.actions.keys import RotateRoot

    item = RotateRoot(nonce=nonce(), root_key=parse_key(public_key), reason=reason.value)
    act(how, "members.rotate_root/1", [item])


@app.command()
@acting
def give(
    how: How,
    org: Org,
    action: Actions,
    source: Source,
    code: Codes = None,
    depth: Depth = 0,
    until: Until = None,
) -> None:
    """Give an organisation a grant. No wider than your own that it comes out of."""
    from tallystick.contracts.members.actions.grants import GiveGrant
    from tallystick.contracts.members.records import NewGrant

    grant = NewGrant(
        source=source, actions=list(action), codes=code or [], depth=depth, until=until
    )
    act(how, "members.give_grant/1", [GiveGrant(nonce=nonce(), subject=org, grant=grant)])


@app.command()
@acting
def end(
    how: How,
    org: Org,
    grant: Annotated[str, typer.Argument(help="The grant's id, as members show prints it.")],
    reason: Annotated[EndReason, typer.Option(help="Why.")] = EndReason.NO_LONGER_NEEDED,
) -> None:
    """End a grant, and with it all that came out of it."""
    from tallystick.contracts.members.actions.grants import EndGrant

    item = EndGrant(nonce=nonce(), org=org, grant_id=grant, reason=reason.value)
    act(how, "members.end_grant/1", [item])


@app.command()
@acting
def suspend(
    how: How, org: Org, reason: Annotated[SuspendReason, typer.Option(help="Why.")]
) -> None:
    """Stop what an organisation does."""
    from tallystick.contracts.members.actions.orgs import Suspend

    def items(reader: Any) -> list[Suspend]:
        return [Suspend(nonce=nonce(), org=org, version=_version(reader, org), reason=reason.value)]

    act(how, "members.suspend/1", items)


@app.command()
@acting
def resume(how: How, org: Org, reason: Annotated[ResumeReason, typer.Option(help="Why.")]) -> None:
    """Let a suspended organisation act again."""
    from tallystick.contracts.members.actions.orgs import Resume

    def items(reader: Any) -> list[Resume]:
        return [Resume(nonce=nonce(), org=org, version=_version(reader, org), reason=reason.value)]

    act(how, "members.resume/1", items)


@app.command("add-keeper")
@acting
def add_keeper(
    how: How,
    name: Annotated[str, typer.Argument(help="The keeper's key name, like k/audit.")],
    org: Org,
    public_key: KeyText,
) -> None:
    """Take a keeper into service. It is a member's node that executes all blocks and co-signs."""
    from tallystick.cli.inputs import parse_key
    from tallystick.contracts.members.actions.keepers import AddKeeper

    item = AddKeeper(nonce=nonce(), name=name, org=org, key=parse_key(public_key))
    act(how, "members.add_keeper/1", [item])


@app.command("retire-keeper")
@acting
def retire_keeper(
    how: How,
    name: Annotated[str, typer.Argument(help="The keeper's key name.")],
    reason: Annotated[RetireReason, typer.Option(help="Why.")] = RetireReason.REPLACED,
) -> None:
    """End a keeper's service. Compromised: its word never counted."""
    from tallystick.contracts.members.actions.keepers import RetireKeeper

    item = RetireKeeper(nonce=nonce(), name=name, reason=reason.value)
    act(how, "members.retire_keeper/1", [item])


@app.command("list")
def list_(folder: options.LedgerDir = Path(), as_json: options.AsJson = False) -> None:
    """All organisations and keepers."""
    from tallystick.cli.reading import reading
    from tallystick.contracts.members import views

    with reading(folder) as view:
        members = list(views.members(view))
        keepers = list(views.keepers(view))
    if as_json:
        out.json({"members": members, "keepers": keepers})
        return
    rows = [(m.id, m.state, m.admitted_by or "(founder)", m.reason) for m in members]
    out.table("organisations", ("org", "state", "admitted by", "reason"), rows)
    out.table(
        "keepers",
        ("name", "org", "state", "from size#", "until size#"),
        [(k.id, k.org, k.state, k.from_size, k.until_size) for k in keepers],
    )


@app.command()
def show(org: Org, folder: options.LedgerDir = Path(), as_json: options.AsJson = False) -> None:
    """One organisation: state, keys, and what it may do now."""
    from tallystick.cli.reading import reading
    from tallystick.contracts.members import views

    with reading(folder) as view:
        member = views.find_member(view, org) or _unknown(org)
        keys = list(views.keys(view, org))
        grants = views.grants(view, org, view.head.at)
    if as_json:
        held = [out.hex_bytes(grant) | {"live": live} for grant, live in grants]
        out.json({"member": member, "keys": keys, "grants": held})
        return
    admitted = {"state": member.state, "reason": member.reason, "admitted by": member.admitted_by}
    out.pairs(org, admitted | {"row version": member.version, "root key": member.root_key.hex()})
    out.table(
        "keys",
        ("key", "role", "state", "actions", "until"),
        [(k.id, k.role, k.state, " ".join(k.actions), k.until) for k in keys],
    )
    out.table(
        "grants",
        ("id", "live", "actions", "codes", "depth#", "until"),
        [
            (
                *(g.grant_id, "yes" if live else "no", " ".join(g.actions)),
                *(" ".join(map(str, g.codes)), g.depth, g.until),
            )
            for g, live in grants
        ],
    )


def _version(reader: Any, org: str) -> int:
    from tallystick.contracts.members.views import find_member

    member = find_member(reader, org)
    return (member or _unknown(org)).version


def _unknown(org: str) -> Any:
    from tallystick.contracts.members.reasons import MembersReason
    from tallystick.protocol.errors import Rejected

    raise Rejected(MembersReason.ORG_UNKNOWN, org, path="org")
