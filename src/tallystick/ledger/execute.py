"""The state transition: what a block's transactions do, in the order in which it happens.

Read this first. Transactions were authenticated before (`protocol.transaction`) and admitted
(`contracts.kit.keys.admit`); here each item befalls its fate, and each fate becomes a leaf of the
log. See docs/spec/block.md.

Invariant: for the same state, block time and transactions, every node gets the same leaves and
rows. A refused item changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.contracts.kit.context import Context, Environment
from tallystick.contracts.kit.reasons import LedgerReason
from tallystick.ledger.rules import Rules
from tallystick.ledger.staged import StagedState
from tallystick.protocol import merkle
from tallystick.protocol.canonical import encode
from tallystick.protocol.entry import ACCEPTED, BlockLeaf, entry_leaf_hashes
from tallystick.protocol.errors import Malformed, Rejected, VerificationFailed
from tallystick.protocol.transaction import Transaction
from tallystick.protocol.values import format_instant

_FAULTS = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError),
    *(ValueError, Malformed, VerificationFailed),
)
"""Bugs of a contract: the item is refused on every node alike. Whatever else comes out of it (no
memory, too deep a recursion, a damaged file) is this node's own trouble and stops it."""

_log = logging.getLogger("tallystick.ledger")


Why = dict[int, str]
"""Of refused items, by their place: the field at fault and more, for people; no part of a leaf."""


@dataclass(frozen=True, slots=True)
class Executed:
    """A block that was executed and is not durable yet."""

    block: int
    at: int
    first: int
    """Log index of its first entry."""
    transactions: Sequence[Transaction]
    outcomes: Sequence[list[str]]
    """Of each transaction's items: ``accepted`` or a reason."""
    why: Sequence[Why]
    leaf: BlockLeaf
    leaf_hashes: Sequence[bytes]
    """Of all entries and, last, of the block's leaf."""


def execute_block(
    state: StagedState, rules: Rules, env: Environment, first: int, block: Sequence[Transaction]
) -> Executed:
    """Execute the transactions of one block, of which there is at least one."""
    at, leaves, outcomes, index = format_instant(env.block_time), list[bytes](), [], first
    why: list[Why] = []
    for transaction in block:
        why.append({})
        fates = execute_transaction(state, rules, env, index, transaction, why=why[-1])
        outcomes.append(fates)
        leaves += entry_leaf_hashes(
            env.block, at, transaction.tx_id, transaction.item_hashes, fates
        )
        state.see(transaction, index)
        index += len(fates)
    leaf = BlockLeaf(
        kind="block",
        network=env.network,
        block=env.block,
        at=at,
        first=first,
        state=state.seal(),
    )
    leaves.append(merkle.leaf_hash(encode(leaf)))
    return Executed(env.block, env.block_time, first, block, outcomes, why, leaf, leaves)


def execute_transaction(
    state: StagedState,
    rules: Rules,
    env: Environment,
    first: int,
    transaction: Transaction,
    *,
    why: Why,
) -> list[str]:
    """What becomes of each item; of an atomic transaction all or none is accepted.

    `why` is filled in.
    """
    header, run = transaction.header, rules.actions[transaction.header.action].run
    ctx = Context(
        state=state,
        env=env,
        sender=header.sender,
        key=header.key,
        action=header.action,
        tx_id=transaction.tx_id,
    )
    start = state.mark()
    outcomes: list[str] = []
    items = zip(transaction.items, transaction.item_hashes, strict=True)
    for n, (item, item_hash) in enumerate(items):
        ctx.n, ctx.index, ctx.item_hash = n, first + n, item_hash
        mark = state.mark()
        try:
            run(ctx, item)
        except Rejected as refusal:
            outcome, why[n] = refusal.reason.value, str(refusal)
        except _FAULTS:
            _log.exception("ALARM: a fault in %s, item %s", header.action, ctx.item_id)
            outcome = LedgerReason.FAULT.value
        else:
            outcomes.append(ACCEPTED)
            continue
        if header.atomic:
            state.rollback(start)
            outcomes = [LedgerReason.ATOMIC.value] * header.count
            outcomes[n] = outcome
            break
        state.rollback(mark)
        outcomes.append(outcome)
    return outcomes
