"""A trust policy: whose word makes a checkpoint good. It comes from the reader's own hand.

k of n keepers, some required; which log keys may sign; how old a status may be. The policy walks by
numbered versions (the walk comes with the networks; `previous` and `from_size` are there for it).
See docs/spec/trust.md.

Invariant: nothing out of a receipt, or out of the folder beside it, adds trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tallystick.protocol.canonical import Meta, Record, decode
from tallystick.protocol.checkpoint import (
    Checkpoint,
    Note,
    parse_checkpoint,
    verify_cosignature,
    verify_note_signature,
)
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.genesis import KeyName
from tallystick.protocol.keys import check_point
from tallystick.protocol.values import Count, Digest, OrgId, PublicKey

TRUST_BYTES_MAX = 64 * 1024
"""A policy names tens of keys, never thousands."""


class TrustedKeeper(Record):
    """A keeper's co-signing key and the log sizes for which it counts."""

    name: KeyName
    org: OrgId
    key: PublicKey
    from_size: Count = 0
    until_size: Count | None = None
    """Retired: counts for sizes in [from, until). A revoked key is not in the policy at all."""


class TrustPolicy(Record):
    """Version n of whom a reader trusts for one network."""

    format: Literal["tallystick/trust/v1"]
    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    network: Digest
    origin: KeyName
    log_keys: Annotated[list[PublicKey], Meta(min_length=1, max_length=32)]
    keepers: Annotated[list[TrustedKeeper], Meta(max_length=64)]
    threshold: Annotated[int, Meta(ge=0, le=64)]
    """k: how many keepers must have co-signed; the log key has no weight in it."""
    required: Annotated[list[OrgId], Meta(max_length=16)]
    """Organisations that must be among them; for bills finance, whose word is the seal."""
    status_max_age_seconds: Annotated[int, Meta(ge=1, le=10_000_000)]
    """A status whose as-of is older is stale."""
    names: dict[OrgId, Annotated[str, Meta(min_length=1, max_length=200)]] = {}
    """What the reader calls the organisations."""
    previous: Digest | None = None
    """Hash of version n - 1."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """A checkpoint that satisfies a policy."""

    checkpoint: Checkpoint
    keepers: tuple[str, ...]
    """Names of the keepers that co-signed, of those in the policy."""
    orgs: tuple[str, ...]
    as_of: int | None
    """Unix seconds: these keepers knew nothing newer then. None where no keeper co-signed."""


def read_trust(data: bytes) -> TrustPolicy:
    """Read a trust policy; `Malformed` when it could never be satisfied or names a key twice."""
    if len(data) > TRUST_BYTES_MAX:
        raise Malformed(f"trust policy has {len(data)} bytes, more than {TRUST_BYTES_MAX}")
    policy = decode(data, TrustPolicy)
    keys = policy.log_keys + [keeper.key for keeper in policy.keepers]
    if len(keys) != len(dict.fromkeys(keys)):
        raise Malformed("a key stands twice", path="keepers")
    names = [keeper.name for keeper in policy.keepers]
    if len(names) != len(dict.fromkeys(names)) or policy.origin in names:
        raise Malformed("a key name stands twice", path="keepers")
    orgs = [keeper.org for keeper in policy.keepers]
    if policy.threshold > len(orgs):
        raise Malformed(
            f"{policy.threshold} of {len(orgs)} keepers cannot be reached", path="threshold"
        )
    for keeper in policy.keepers:
        if keeper.until_size is not None and keeper.until_size <= keeper.from_size:
            raise Malformed(f"{keeper.name} counts for no size", path="keepers")
    for org in policy.required:
        if org not in orgs:
            raise Malformed(f"required organisation {org} has no keeper", path="required")
    for key in keys:
        check_point(key, "a trusted key")
    return policy


def verify_checkpoint(policy: TrustPolicy, note: Note) -> Vouched:
    """Raise `VerificationFailed` unless the note is a checkpoint that the policy accepts.

    1. origin    2. a signature by a listed log key    3. k keepers, the required ones among them
    """
    verify_origin(policy, note)  # 1
    verify_log_signature(policy, note)  # 2
    return verify_keepers(policy, note)  # 3


def verify_origin(policy: TrustPolicy, note: Note) -> Checkpoint:
    """The checkpoint that the note states, if of the policy's log; nobody has vouched yet."""
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != policy.origin:
        detail = f"checkpoint of {checkpoint.origin}, not of {policy.origin}"
        raise VerificationFailed(detail, path="checkpoint")
    return checkpoint


def verify_log_signature(policy: TrustPolicy, note: Note) -> None:
    """Any one log key of the policy suffices."""
    for key in policy.log_keys:
        try:
            verify_note_signature(note, policy.origin, key)
        except VerificationFailed:
            continue
        return
    raise VerificationFailed("no valid signature by a log key of the policy", path="checkpoint")


def verify_keepers(policy: TrustPolicy, note: Note) -> Vouched:
    """Who of the policy co-signed, and since when they know nothing newer; needs the other two."""
    checkpoint = parse_checkpoint(note.text)
    times = _cosigned(policy, note, checkpoint.size)
    missing = [org for org in policy.required if org not in [keeper.org for keeper, _ in times]]
    if missing:
        raise VerificationFailed(f"no co-signature of {', '.join(missing)}", path="checkpoint")
    if len(times) < policy.threshold:
        detail = f"{len(times)} co-signatures of {policy.threshold} needed"
        raise VerificationFailed(detail, path="checkpoint")
    return Vouched(
        checkpoint=checkpoint,
        keepers=tuple(keeper.name for keeper, _ in times),
        orgs=tuple(dict.fromkeys(keeper.org for keeper, _ in times)),
        as_of=_as_of(policy, times),
    )


def _cosigned(policy: TrustPolicy, note: Note, size: int) -> list[tuple[TrustedKeeper, int]]:
    found = []
    for keeper in policy.keepers:
        if size < keeper.from_size or (keeper.until_size is not None and size >= keeper.until_size):
            continue
        try:
            found.append((keeper, verify_cosignature(note, keeper.name, keeper.key)))
        except VerificationFailed:
            continue  # absent or false: it does not count
    return found


def _as_of(policy: TrustPolicy, times: list[tuple[TrustedKeeper, int]]) -> int | None:
    """The largest T such that the co-signatures made at T or later satisfy the policy."""
    if not times:
        return None
    newest = sorted((time for _, time in times), reverse=True)
    bounds = [newest[max(policy.threshold, 1) - 1]]
    for org in policy.required:
        bounds.append(max(time for keeper, time in times if keeper.org == org))
    return min(bounds)
