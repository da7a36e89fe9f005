"""What the actions on members ask in common.

Invariant: nothing here writes. See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.grants import Grant, Parent, wider
from tallystick.contracts.kit.keys import find_key, own_grant, read_instant
from tallystick.contracts.members.reasons import MembersReason
from tallystick.contracts.members.records import Member, NewGrant
from tallystick.protocol.errors import Rejected, VerificationFailed
from tallystick.protocol.keys import check_delivery_key, check_point


def fetch_member(ctx: Context, org: str, path: str = "org") -> Member:
    """The organisation, suspended or not."""
    return ctx.fetch(Member, org, MembersReason.ORG_UNKNOWN, path)


def check_root(ctx: Context) -> Member:
    """The sender, whose present root key has signed.

    Admission has asked whether the key was the root when the block began; a rotation earlier in
    the same block is seen here, so that an old root never acts after its successor.
    """
    member = fetch_member(ctx, ctx.sender, "")
    if member.root_key != ctx.key:
        raise Rejected(MembersReason.ROOT_REPLACED, "the root key was rotated in this block")
    return member


def check_new_keys(ctx: Context, keys: Sequence[tuple[bytes, str]]) -> None:
    """Each key, named with its path, is a sound point and was never taken into use by anyone."""
    for n, (key, path) in enumerate(keys):
        try:
            check_point(key, "the key")
        except VerificationFailed as error:
            raise Rejected(MembersReason.KEY_WEAK, error.detail, path=path) from None
        if find_key(ctx.state, key) is not None or any(key == other for other, _ in keys[:n]):
            raise Rejected(MembersReason.KEY_TAKEN, "each key has one use, for ever", path=path)


def check_new_delivery_key(ctx: Context, key: bytes, path: str) -> None:
    """A sound X25519 key that was never taken into use, by anyone, as a key of any kind."""
    try:
        check_delivery_key(key, "the key")
    except VerificationFailed as error:
        raise Rejected(MembersReason.KEY_WEAK, error.detail, path=path) from None
    if find_key(ctx.state, key) is not None:
        raise Rejected(MembersReason.KEY_TAKEN, "each key has one use, for ever", path=path)


def check_until(ctx: Context, until: str | None, path: str) -> None:
    """A term, if there is one, exists and ends after now."""
    if until is not None and read_instant(until, path) <= ctx.block_time:
        raise Rejected(MembersReason.UNTIL_PAST, f"{until} has passed", path=path)


def check_new_grant(ctx: Context, new: NewGrant, grant_id: str, path: str = "") -> Grant:
    """The grant that `new` asks for, no wider than the live grant of the sender's it names."""
    source = own_grant(ctx, new.source)
    if source is None:
        raise Rejected(
            MembersReason.GRANT_NOT_FOUND,
            f"{ctx.sender} holds it not, or not live",
            path=f"{path}source",
        )
    check_until(ctx, new.until, f"{path}until")
    grant = Grant(
        grant_id=grant_id,
        actions=new.actions,
        codes=new.codes,
        depth=new.depth,
        until=new.until,
        parent=Parent(org=ctx.sender, grant_id=source.grant_id),
    )
    beyond = wider(grant, source)
    if beyond is not None:
        raise Rejected(
            MembersReason.GRANT_WIDER,
            f"{beyond} beyond those of {source.grant_id}",
            path=path + beyond,
        )
    return grant
