"""Executing a told block again, and comparing everything that was told.

Keepers, imports and the doctor all believe a block only after this. See docs/spec/keeper.md.

Invariant: a block is committed only if outcomes and state root are those that were told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tallystick.ledger.feed import FeedBlock
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.records import Head
from tallystick.ledger.rules import Rules
from tallystick.ledger.sqlite import WAL_BYTES_SOFT_MAX
from tallystick.protocol.entry import ACCEPTED
from tallystick.protocol.errors import Malformed, Rejected, VerificationFailed


class Difference(VerificationFailed):
    """A block is not what was told of it."""

    def __init__(self, what: str, block: int, told: Any, found: Any) -> None:
        super().__init__(
            f"{what} of block {block} is not what the rules give: told {told}, found {found}"
        )
        self.what = what
        self.told = told
        self.found = found


def execute_again(ledger: Ledger, block: FeedBlock) -> Head:
    """1. place   2. authentic   3. admitted   4. outcomes   5. state   6. log

    Raises `Difference`. After one at steps 1 to 5 nothing of the block is in the ledger; after one
    at 6 the ledger has the block as its own rules give it.
    """
    head = ledger.head
    if block.block != head.block + 1 or block.at < head.at:  # 1
        place = [head.block + 1, head.at]
        raise Difference("place", block.block, [block.block, block.at], place)
    try:
        transactions = [ledger.check(data) for data in block.transactions]  # 2
    except (Malformed, VerificationFailed) as error:
        raise Difference("transaction", block.block, None, str(error)) from error
    for admission in ledger.admit(block.at, transactions):  # 3
        if admission is not None:
            why = str(admission) if isinstance(admission, Rejected) else "it was there before"
            raise Difference("admission", block.block, None, why)
    executed = ledger.execute(block.at, transactions)
    for told_of, outcomes in zip(block.refused, executed.outcomes, strict=True):  # 4
        refused = {str(n): each for n, each in enumerate(outcomes) if each != ACCEPTED}
        if told_of != refused:
            raise Difference("outcome", block.block, told_of, refused)
    if executed.leaf.state != block.state:  # 5
        raise Difference("state", block.block, block.state.hex(), executed.leaf.state.hex())
    committed = ledger.commit()
    if (committed.size, committed.root) != (block.size, block.root):  # 6
        log = [committed.size, committed.root.hex()]
        raise Difference("log", block.block, [block.size, block.root.hex()], log)
    return committed


def rebuild(
    folder: Path,
    genesis: bytes,
    rules: Rules,
    blocks: Iterable[FeedBlock],
    progress: Callable[[FeedBlock], None] | None = None,
) -> Head:
    """A ledger in `folder` out of nothing but its blocks; raises `Difference` at the first one.

    Nothing of it is durable before the caller says `make_durable`: until all of it is there,
    nobody relies on it.
    """
    with Ledger.found(folder, genesis, rules) as ledger:
        ledger.store.db.execute("PRAGMA synchronous = OFF")
        for block in blocks:
            execute_again(ledger, block)
            if ledger.store.wal_bytes() > WAL_BYTES_SOFT_MAX:
                ledger.store.checkpoint()
            if progress is not None:
                progress(block)
        ledger.store.db.execute("PRAGMA synchronous = FULL")
        ledger.store.checkpoint()
        return ledger.head
