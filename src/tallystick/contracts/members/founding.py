"""The founding file becomes rows: organisations, their keys and grants, keepers, log keys.

Invariant: each grant of the founding file begins a chain, ``founding.<n>``, counted over the whole
file; the file is never read for it again. See docs/spec/contracts/members.md.
"""

from __future__ import annotations

from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.grants import Grant, with_grants
from tallystick.contracts.members.records import (
    NewKey,
    new_keeper,
    new_member,
    operating_key,
    plain_key,
)
from tallystick.protocol.errors import Malformed
from tallystick.protocol.genesis import FoundingOrg, Genesis


def found(ctx: Context, genesis: Genesis) -> None:
    """Write the first rows. Raises `Malformed` when an organisation's grants are too many."""
    given = 0
    for n, founder in enumerate(genesis.organisations):
        _found_member(ctx, founder, given, f"organisations/{n}/grants")
        given += len(founder.grants)
    for keeper in genesis.keepers:
        ctx.put(new_keeper(keeper.name, keeper.org, keeper.key, 0))
        ctx.put(plain_key(keeper.org, "keeper", keeper.key))
    for key in genesis.log_keys:
        ctx.put(plain_key(None, "log", key))


def _found_member(ctx: Context, founder: FoundingOrg, given: int, path: str) -> None:
    grants = [
        Grant(
            grant_id=f"founding.{given + n}",
            actions=grant.actions,
            depth=grant.depth,
            until=grant.until,
        )
        for n, grant in enumerate(founder.grants)
    ]
    authority = with_grants(ctx.state, founder.org, grants, ctx.block_time)
    if authority is None:
        raise Malformed("more grants than fit in one row", path=path)
    ctx.put(new_member(founder.org, founder.root_key, None))
    ctx.put(plain_key(founder.org, "root", founder.root_key))
    for key in founder.keys:
        new = NewKey(key=key.key, actions=key.actions, until=key.until)
        ctx.put(operating_key(founder.org, new))
    ctx.put(authority)
