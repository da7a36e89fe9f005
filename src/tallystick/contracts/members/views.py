"""What may be asked about members.

Invariant: a view reads and decides nothing. See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.contracts.kit.context import Reader
from tallystick.contracts.kit.grants import Authority, Grant, find_grant, is_live
from tallystick.contracts.kit.keys import KeyRow
from tallystick.contracts.members.records import Delivery, Keeper, Member
from tallystick.protocol.row import row_key


def find_member(reader: Reader, org: str) -> Member | None:
    """The organisation, or None."""
    return reader.get(row_key(Member.KIND, org), Member)


def members(reader: Reader) -> Iterator[Member]:
    """All organisations, by name."""
    return reader.scan(Member, "")


def keys(reader: Reader, org: str | None = None) -> Iterator[KeyRow]:
    """All keys, or those of one organisation, by key; ended ones too."""
    return (row for row in reader.scan(KeyRow, "") if org is None or row.org == org)


def find_delivery(reader: Reader, org: str) -> Delivery | None:
    """To which key bodies for an organisation are sealed, or None: it receives none."""
    return reader.get(row_key(Delivery.KIND, org), Delivery)


def keepers(reader: Reader) -> Iterator[Keeper]:
    """All keepers, by name; ended ones too."""
    return reader.scan(Keeper, "")


def grants(reader: Reader, org: str, now: int) -> list[tuple[Grant, bool]]:
    """What an organisation holds, each with whether it is live at `now` (unix seconds)."""
    held = reader.get(row_key(Authority.KIND, org), Authority)
    return [(each, is_live(reader, each, now)) for each in (held.grants if held else ())]


def may(reader: Reader, org: str, action: str, now: int, code: int | None = None) -> bool:
    """Whether an organisation may do `action` (name without version) now, on `code` if given."""
    held = reader.get(row_key(Authority.KIND, org), Authority)
    if held is None or not held.good:
        return False
    return find_grant(reader, org, action, now, code) is not None
