"""The founding file: who founds the network, with which keys. Its hash is the network id for ever.

Invariant: nothing that can change later is read from it again: it becomes rows of the state.
See docs/spec/genesis.md.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Literal

from tallystick.protocol.canonical import Meta, Record, decode
from tallystick.protocol.errors import Malformed
from tallystick.protocol.keys import check_point
from tallystick.protocol.values import Instant, Nonce, OrgId, PublicKey, parse_instant

GENESIS_BYTES_MAX = 256 * 1024
"""Some hundreds of organisations; everyone else is admitted by a transaction."""

KeyName = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9./-]{0,120}\Z")]
"""A C2SP key name: no spaces, no plus sign."""
NetworkName = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9./-]{0,99}\Z")]
"""Short enough that the log's origin, with 17 characters more, is a `KeyName`."""
ActionPattern = Annotated[str, Meta(pattern=r"\A(\*|[a-z]{1,16}\.(\*|[a-z_]{1,32}))\Z")]
"""``bills.issue``, ``bills.*`` or ``*``: what a grant allows, in every version of the action."""


class FoundingKey(Record):
    """An operating key: signs transactions of its organisation, within `actions`."""

    key: PublicKey
    actions: Annotated[list[ActionPattern], Meta(min_length=1, max_length=32)]
    until: Instant | None = None


class FoundingGrant(Record):
    """An authority that the founders give to an organisation."""

    actions: Annotated[list[ActionPattern], Meta(min_length=1, max_length=32)]
    depth: Annotated[int, Meta(ge=0, le=8)] = 0
    """How many times it may be passed on."""
    until: Instant | None = None


class FoundingOrg(Record):
    """An organisation of the first day."""

    org: OrgId
    root_key: PublicKey
    """Offline; rotates, revokes and recovers the operating keys, signs nothing else."""
    keys: Annotated[list[FoundingKey], Meta(max_length=32)] = []
    grants: Annotated[list[FoundingGrant], Meta(max_length=32)] = []


class FoundingKeeper(Record):
    """A keeper of the first day: a member's node that executes every block again and co-signs."""

    name: KeyName
    org: OrgId
    key: PublicKey


class Genesis(Record):
    """The founding file."""

    format: Literal["tallystick/genesis/v1"]
    name: NetworkName
    """For people and as the start of the log's origin; carries no trust."""
    region: Annotated[int, Meta(ge=10, le=99)]
    """Supervising region: the first two digits of every bill code of this network."""
    utc_offset_seconds: Annotated[int, Meta(ge=-50_400, le=50_400)]
    """The fixed offset at which days and years are counted."""
    founded_at: Instant
    nonce: Nonce
    log_keys: Annotated[list[PublicKey], Meta(min_length=1, max_length=32)]
    """Who may sign the log's checkpoints as its origin: the operator, or each keeper."""
    organisations: Annotated[list[FoundingOrg], Meta(min_length=1, max_length=256)]
    keepers: Annotated[list[FoundingKeeper], Meta(max_length=32)] = []


def read_genesis(data: bytes) -> tuple[Genesis, bytes]:
    """Read the founding file: the record and the network id. Raises `Malformed`."""
    if len(data) > GENESIS_BYTES_MAX:
        raise Malformed(f"genesis has {len(data)} bytes, more than {GENESIS_BYTES_MAX}")
    genesis = decode(data, Genesis)
    for instant in _instants(genesis):
        parse_instant(instant)
    names = [member.org for member in genesis.organisations]
    keys = [member.root_key for member in genesis.organisations]
    keys += [key.key for member in genesis.organisations for key in member.keys]
    keys += [keeper.key for keeper in genesis.keepers] + genesis.log_keys
    if len(names) != len(dict.fromkeys(names)):
        raise Malformed("an organisation stands twice", path="organisations")
    if len(keys) != len(dict.fromkeys(keys)):
        raise Malformed("a key stands twice: each key has one use", path="organisations")
    key_names = [keeper.name for keeper in genesis.keepers]
    if len(key_names) != len(dict.fromkeys(key_names)):
        raise Malformed("a key name stands twice", path="keepers")
    for keeper in genesis.keepers:
        if keeper.org not in names:
            raise Malformed(f"keeper {keeper.name} belongs to no founder", path="keepers")
    for key in keys:
        check_point(key, "a founding key")
    return genesis, sha256(data).digest()


def _instants(genesis: Genesis) -> list[str]:
    members = genesis.organisations
    untils = [key.until for member in members for key in member.keys]
    untils += [grant.until for member in members for grant in member.grants]
    return [genesis.founded_at, *(until for until in untils if until is not None)]


def log_origin(name: str, network: bytes) -> str:
    """The origin of a network's log: its name and 16 hex digits of its id."""
    return f"{name}/{network.hex()[:16]}"
