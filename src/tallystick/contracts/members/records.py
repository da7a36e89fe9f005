"""What the ledger stores about members, and the words that their acts may use.

What an organisation is (finance, hospital, insurer) stands nowhere: what it may do are its grants,
what it is called is in the reader's trust file. Keys and authorities are rows of the kit.

Invariant: nothing here is free text or personal. See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from tallystick.contracts.kit.grants import DEPTH_MAX, CodePrefix, GrantId
from tallystick.contracts.kit.keys import BlockScope, KeyRow
from tallystick.protocol.canonical import Meta, Record
from tallystick.protocol.genesis import ActionPattern
from tallystick.protocol.row import Row
from tallystick.protocol.values import Count, Instant, OrgId, PublicKey, Word

KEYS_MAX = 8
"""First keys of a new member; more by `members.add_key`."""
GRANTS_MAX = 8
"""First grants of a new member: one digit after the item's id tells them apart."""

KeyReason = Literal["compromised", "lost", "replaced", "unused"]
SuspendReason = Literal["compromised", "overdue", "violation", "on_request", "closed"]
ResumeReason = Literal["remedied", "mistake", "on_request"]
EndReason = Literal["no_longer_needed", "replaced", "violation", "mistake", "on_request"]
RetireReason = Literal["compromised", "lost", "replaced", "on_request"]


class NewKey(Record):
    """An operating key and what it is for."""

    key: PublicKey
    actions: Annotated[list[ActionPattern], Meta(min_length=1, max_length=32)]
    codes: Annotated[list[CodePrefix], Meta(max_length=32)] = []
    """Which bill codes, by leading digits; none: all."""
    block: BlockScope | None = None
    """The one number block of a till's key."""
    until: Instant | None = None


class NewGrant(Record):
    """An authority out of one that the sender holds."""

    source: GrantId
    """The sender's grant that it comes out of."""
    actions: Annotated[list[ActionPattern], Meta(min_length=1, max_length=32)]
    codes: Annotated[list[CodePrefix], Meta(max_length=32)] = []
    depth: Annotated[int, Meta(ge=0, le=DEPTH_MAX)] = 0
    until: Instant | None = None


class Member(Row):
    """An organisation; id = its name. State ``active`` or ``suspended``."""

    KIND = "members.member"

    root_key: PublicKey
    admitted_by: OrgId | None = None
    """None: a founder."""
    reason: Word | None = None
    """Why it is suspended."""


class Keeper(Row):
    """A keeper; id = its key name, never given to another.

    State ``live``, ``retired`` or ``revoked``. Retired, it counts for log sizes in
    [from_size, until_size); revoked, for none.
    """

    KIND = "members.keeper"

    org: OrgId
    key: PublicKey
    from_size: Count = 0
    until_size: Count | None = None
    reason: Word | None = None


class PreviousKey(Record):
    """The delivery key before, to which letters may be under way."""

    key: PublicKey
    until: Instant
    """From then on its private half is destroyed: what is sealed to it opens for nobody."""


class Delivery(Row):
    """To which X25519 key bodies for an organisation are sealed; id = the organisation."""

    KIND = "members.delivery"

    key: PublicKey
    since: Instant
    previous: PreviousKey | None = None


def plain_key(
    org: str | None, role: Literal["root", "keeper", "log", "delivery"], key: bytes
) -> KeyRow:
    """The row of a key that is for one thing only."""
    return KeyRow(kind=KeyRow.KIND, id=key.hex(), state="live", good=True, org=org, role=role)


def operating_key(org: str, new: NewKey) -> KeyRow:
    """The row of an operating key."""
    return KeyRow(
        kind=KeyRow.KIND,
        id=new.key.hex(),
        state="live",
        good=True,
        until=new.until,
        org=org,
        role="operating",
        actions=new.actions,
        codes=new.codes,
        block=new.block,
    )


def new_member(org: str, root_key: bytes, admitted_by: str | None) -> Member:
    """The row of a new member."""
    return Member(
        kind=Member.KIND,
        id=org,
        state="active",
        good=True,
        root_key=root_key,
        admitted_by=admitted_by,
    )


def new_keeper(name: str, org: str, key: bytes, from_size: int) -> Keeper:
    """The row of a new keeper."""
    return Keeper(
        kind=Keeper.KIND, id=name, state="live", good=True, org=org, key=key, from_size=from_size
    )
