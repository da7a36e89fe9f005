"""The offline verifier: is a receipt true, and is what it says good now?

It needs a receipt (a status, a state proof, a batch receipt) and a trust policy; no network, no
clock, no ledger. The steps are numbered here and in docs/spec/receipt.md; a failure names its own.

    the item         1 item hash    2 path (n, count) to the items root
    its transaction  3 header: the network    4 tx_id    5 the sender's signature
    its entry        6 leaf: this tx_id, n and item    7 path (index, size) to the log root
    who vouches      8 checkpoint: the origin    9 log signature    10 policy: the keepers
    its state now   11 block leaf at index size - 1    12 the row's key and place    13 path of the
                       row, or of its absence    14 the row is of this entry    15 as-of

Invariant: `verify_*` raises, or all that it returns has been verified. Steps 11 to 15 are made
whenever there is a state proof, 1 to 5 only for receipts, 6, 7 and 14 for receipts and for the
status of what an entry made. Whether a true receipt is good
enough to act on is the `Verdict`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from tallystick.protocol import merkle, trust
from tallystick.protocol.batch import BatchReceipt, Sent, outcomes_of, read_batch, read_sent
from tallystick.protocol.canonical import encode
from tallystick.protocol.checkpoint import Checkpoint, Note, parse_checkpoint, parse_note
from tallystick.protocol.entry import ACCEPTED, Entry, entry_leaf_hashes
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.keys import verify_signature
from tallystick.protocol.multiproof import levels_over
from tallystick.protocol.receipt import (
    Receipt,
    StateProof,
    read_receipt,
    read_state,
    verify_row,
    verify_row_key,
)
from tallystick.protocol.status import read_status
from tallystick.protocol.transaction import (
    Header,
    item_hash,
    items_root,
    signing_bytes,
    transaction_id,
)
from tallystick.protocol.trust import TrustPolicy, Vouched
from tallystick.protocol.values import format_instant, parse_instant
from tallystick.verify.steps import Step, Steps
from tallystick.verify.verdicts import Asked, State, Verdict, judge

SIGNATURES_CACHED_MAX = 4_096
"""Headers whose signature is remembered: a batch of receipts shares them."""
CHECKPOINTS_CACHED_MAX = 256
"""Notes that are remembered as vouched for, at most 16 KiB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """All that was proven. What a receipt has more than a state proof is None for the latter."""

    item: dict[str, Any] | None = None
    header: Header | None = None
    tx_id: str | None = None
    entry: Entry | None = None
    index: int | None = None
    size: int
    """Of the log at the checkpoint; `index` lies below."""
    keepers: tuple[str, ...]
    """Names of the keepers that vouch, and their organisations."""
    orgs: tuple[str, ...]
    as_of: int | None
    """Unix seconds: nobody who vouches knew anything newer then. None: nobody said when."""
    state: State | None
    row: dict[str, Any] | None
    absent: bool
    """Whether it is proven that there is no such row."""
    verdict: Verdict
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBatch:
    """What was proven of a whole transaction."""

    header: Header
    tx_id: str
    first: int
    """Log index of its first entry."""
    block: int
    at: str
    outcomes: tuple[str, ...]
    """Of each item: ``accepted``, or why it was refused."""
    size: int
    keepers: tuple[str, ...]
    orgs: tuple[str, ...]
    as_of: int | None
    verdict: Verdict
    """``ACCEPTED`` if every item was, else ``REFUSED``."""
    steps: tuple[Step, ...]


def verify_receipt(
    data: bytes,
    policy: TrustPolicy,
    *,
    status: bool = False,
    now: int | None = None,
    about: str | None = None,
    checkpoint: bytes | None = None,
) -> Verified:
    """Verify one receipt: `Malformed`, `VerificationFailed`, or what it proves.

    `status` asks for a verdict about the thing's state, `now` (Unix seconds) for one that minds how
    old that state is, `about` (a row's id: ``33060126:0000100001``) whether it is the state of this
    thing. `checkpoint` is a note at hand; see `Verifier`.
    """
    return Verifier(policy, checkpoint).receipt(data, status=status, now=now, about=about)


def verify_state(
    data: bytes,
    policy: TrustPolicy,
    *,
    now: int | None = None,
    about: str | None = None,
    checkpoint: bytes | None = None,
) -> Verified:
    """Verify a state proof by itself: what a row says, or that there is no such row."""
    return Verifier(policy, checkpoint).state(data, now=now, about=about)


def verify_status(
    data: bytes,
    policy: TrustPolicy,
    *,
    now: int | None = None,
    about: str | None = None,
    checkpoint: bytes | None = None,
) -> Verified:
    """Verify a status: the row, and the entry that made it; or that there is no such row."""
    return Verifier(policy, checkpoint).status(data, now=now, about=about)


def verify_batch(
    transaction: bytes, data: bytes, policy: TrustPolicy, *, checkpoint: bytes | None = None
) -> VerifiedBatch:
    """Verify what became of a whole transaction, given its bytes: steps 1 to 10 for all items."""
    return Verifier(policy, checkpoint).batch(transaction, data)


def verdict(outcome: Verified | VerifiedBatch | Malformed | VerificationFailed) -> Verdict:
    """The verdict on one document, whether it was verified or what it failed with."""
    if isinstance(outcome, Verified | VerifiedBatch):
        return outcome.verdict
    return Verdict.FALSE if isinstance(outcome, VerificationFailed) else Verdict.UNREADABLE


class Verifier:
    """Verifies many documents under one policy, and each signature that they share once.

    Only what verified is remembered, under all the bytes that it was verified from. `checkpoint`, a
    note at hand, stands in for a document's own when its text is the same (newer co-signatures); a
    vouched one of equal size and another root refutes the document; any other is left aside.
    """

    def __init__(self, policy: TrustPolicy, checkpoint: bytes | None = None) -> None:
        self._policy = policy
        self._verify_signature = lru_cache(SIGNATURES_CACHED_MAX)(verify_signature)
        self._vouched: dict[Note, Vouched] = {}
        self._at_hand = None if checkpoint is None else _read_note(checkpoint)

    def receipt(
        self,
        data: bytes,
        *,
        status: bool = False,
        now: int | None = None,
        about: str | None = None,
    ) -> Verified:
        """Verify a receipt; see `verify_receipt`."""
        receipt = read_receipt(data)
        note, checkpoint = _read_note(receipt.checkpoint.encode())
        with Steps() as steps:
            tx_id = self._verify_item(receipt, steps)  # 1 to 6
            steps.at(7, "log path")
            leaf, path = merkle.leaf_hash(encode(receipt.entry)), receipt.log_path
            merkle.verify_path(leaf, receipt.index, checkpoint.size, path, checkpoint.root)
            steps.done(f"entry {receipt.index} of {checkpoint.size}")
            vouched = self._verify_note(note, steps)  # 8 to 10
            state = None
            if receipt.state is not None:
                state = self._verify_state(receipt.state, vouched, receipt.index, steps)
        asked = Asked(status, now, about)
        judged = judge(self._policy, receipt.entry.outcome, state, asked)
        return replace(
            _verified(vouched, state, judged, steps),
            item=receipt.item,
            header=receipt.header,
            tx_id=tx_id,
            entry=receipt.entry,
            index=receipt.index,
        )

    def state(self, data: bytes, *, now: int | None = None, about: str | None = None) -> Verified:
        """Verify a state proof by itself; see `verify_state`."""
        document = read_state(data)
        note, _ = _read_note(document.checkpoint.encode())
        with Steps() as steps:
            vouched = self._verify_note(note, steps)  # 8 to 10
            state = self._verify_state(document.state, vouched, None, steps)
        judged = judge(self._policy, ACCEPTED, state, Asked(True, now, about))
        return _verified(vouched, state, judged, steps)

    def status(self, data: bytes, *, now: int | None = None, about: str | None = None) -> Verified:
        """Verify a status; see `verify_status`."""
        document = read_status(data)
        note, checkpoint = _read_note(document.checkpoint.encode())
        made = document.entry
        with Steps() as steps:
            if made is not None:
                steps.at(6, "leaf")
                parse_instant(made.leaf.at)
                steps.done(_fate(made.leaf))
                steps.at(7, "log path")
                leaf = merkle.leaf_hash(encode(made.leaf))
                merkle.verify_path(leaf, made.index, checkpoint.size, made.path, checkpoint.root)
                steps.done(f"entry {made.index} of {checkpoint.size}")
            vouched = self._verify_note(note, steps)  # 8 to 10
            index = None if made is None else made.index
            state = self._verify_state(document.state, vouched, index, steps)
            if made is None and state.envelope is not None and state.envelope.entry is not None:
                steps.at(14, "row's entry")
                raise VerificationFailed("the entry that made the row is not shown")
        outcome = ACCEPTED if made is None else made.leaf.outcome
        found = _verified(
            vouched, state, judge(self._policy, outcome, state, Asked(True, now, about)), steps
        )
        if made is None:
            return found
        return replace(found, tx_id=made.leaf.tx, entry=made.leaf, index=made.index)

    def batch(self, transaction: bytes, data: bytes) -> VerifiedBatch:
        """Verify a batch receipt; see `verify_batch`."""
        sent, batch = read_sent(transaction), read_batch(data)
        note, checkpoint = _read_note(batch.checkpoint.encode())
        count = len(sent.item_hashes)
        with Steps() as steps:
            outcomes, leaves = self._verify_sent(sent, batch, steps)  # 1 to 6
            steps.at(7, "log path")
            levels = levels_over(leaves, batch.first, checkpoint.size, batch.path)
            if levels[-1][1] != [checkpoint.root]:
                raise VerificationFailed("path does not lead to the root", path="path")
            end = batch.first + count - 1
            steps.done(f"entries {batch.first} to {end} of {checkpoint.size}")
            vouched = self._verify_note(note, steps)  # 8 to 10
        return VerifiedBatch(
            header=sent.header,
            tx_id=sent.tx_id,
            first=batch.first,
            block=batch.block,
            at=batch.at,
            outcomes=tuple(outcomes),
            size=checkpoint.size,
            keepers=vouched.keepers,
            orgs=vouched.orgs,
            as_of=vouched.as_of,
            verdict=Verdict.REFUSED if batch.refused else Verdict.ACCEPTED,
            steps=tuple(steps.held),
        )

    def _verify_sent(
        self, sent: Sent, batch: BatchReceipt, steps: Steps
    ) -> tuple[list[str], list[bytes]]:
        count = len(sent.item_hashes)
        steps.at(1, "item hash")
        steps.done(f"of {count} items")
        steps.at(2, "items root")
        if sent.header.count != count or sent.header.root != items_root(sent.item_hashes):
            raise VerificationFailed("the header is not of these items")
        steps.done(f"all {count} items")
        self._verify_header(sent.header, sent.message, sent.tx_id, sent.signature, steps)  # 3 to 5
        steps.at(6, "leaf")
        parse_instant(batch.at)
        outcomes = outcomes_of(batch, count)
        steps.done(f"{count - len(batch.refused)} accepted at {batch.at} in block {batch.block}")
        leaves = entry_leaf_hashes(batch.block, batch.at, sent.tx_id, sent.item_hashes, outcomes)
        return outcomes, leaves

    def _verify_item(self, receipt: Receipt, steps: Steps) -> str:
        header, entry = receipt.header, receipt.entry
        steps.at(1, "item hash")
        digest = item_hash(encode(receipt.item))
        steps.done(digest.hex())
        steps.at(2, "items root")
        leaf = merkle.leaf_hash(digest)  # the leaf's data is the hash: a sibling shows no item
        merkle.verify_path(leaf, entry.n, header.count, receipt.item_path, header.root)
        steps.done(f"item {entry.n} of {header.count}")
        message = signing_bytes(header)
        tx_id = transaction_id(message)
        self._verify_header(header, message, tx_id, receipt.signature, steps)  # 3 to 5
        steps.at(6, "leaf")
        if entry.tx != tx_id or entry.item != digest:
            raise VerificationFailed("the entry is not of this item and transaction")
        parse_instant(entry.at)
        steps.done(_fate(entry))
        return tx_id

    def _verify_header(
        self, header: Header, message: bytes, tx_id: str, signature: bytes, steps: Steps
    ) -> None:
        steps.at(3, "header")
        if header.network != self._policy.network:
            raise VerificationFailed(f"of network {header.network.hex()}, not of the policy's")
        steps.done(f"{header.action} by {header.sender}")
        steps.at(4, "tx_id")
        steps.done(tx_id)
        steps.at(5, "signature")
        self._verify_signature(header.key, message, signature)
        steps.done(f"by key {header.key.hex()}")

    def _verify_note(self, note: Note, steps: Steps) -> Vouched:
        steps.at(8, "checkpoint")
        checkpoint = trust.verify_origin(self._policy, note)
        if self._at_hand is not None:
            at_hand, claimed = self._at_hand
            if claimed == checkpoint:
                note = at_hand
            elif claimed.size == checkpoint.size:
                self._refute(at_hand)
        steps.done(f"{checkpoint.origin}, size {checkpoint.size}, root {checkpoint.root.hex()}")
        steps.at(9, "log signature")
        vouched = self._vouched.get(note)
        if vouched is None:
            trust.verify_log_signature(self._policy, note)
        steps.done("by a log key of the policy")
        steps.at(10, "policy")
        if vouched is None:
            vouched = trust.verify_keepers(self._policy, note)
            if len(self._vouched) == CHECKPOINTS_CACHED_MAX:
                self._vouched.clear()
            self._vouched[note] = vouched
        steps.done(", ".join(vouched.keepers) or "no keeper is asked for")
        return vouched

    def _refute(self, at_hand: Note) -> None:
        """Fail if the note at hand, of equal size and another root, is itself vouched for."""
        try:
            trust.verify_checkpoint(self._policy, at_hand)
        except VerificationFailed:
            return
        raise VerificationFailed("the checkpoint at hand has another root at this size")

    def _verify_state(
        self, proof: StateProof, vouched: Vouched, index: int | None, steps: Steps
    ) -> State:
        checkpoint, block = vouched.checkpoint, proof.block_leaf
        steps.at(11, "block leaf")
        leaf, size = merkle.leaf_hash(encode(block)), checkpoint.size
        merkle.verify_path(leaf, size - 1, size, proof.block_path, checkpoint.root)
        if block.network != self._policy.network:
            raise VerificationFailed(f"of network {block.network.hex()}, not of the policy's")
        sealed_at = parse_instant(block.at)
        steps.done(f"block {block.block}, sealed at {block.at}")
        steps.at(12, "row key")
        envelope = verify_row_key(proof)
        steps.done(proof.key)
        steps.at(13, "row")
        verify_row(proof)
        steps.done("there is no such row" if envelope is None else f"state {envelope.state}")
        if index is not None:
            steps.at(14, "row's entry")
            if envelope is None or envelope.entry != index:
                raise VerificationFailed(f"the row was not made by entry {index}")
            steps.done(f"made by entry {index}")
        steps.at(15, "as-of")
        as_of = sealed_at if vouched.as_of is None else vouched.as_of
        steps.done(format_instant(as_of))
        return State(proof.key, proof.row, envelope, block, as_of)


def _verified(vouched: Vouched, state: State | None, judged: Verdict, steps: Steps) -> Verified:
    return Verified(
        size=vouched.checkpoint.size,
        keepers=vouched.keepers,
        orgs=vouched.orgs,
        as_of=state.as_of if state else vouched.as_of,
        state=state,
        row=state.row if state else None,
        absent=state is not None and state.row is None,
        verdict=judged,
        steps=tuple(steps.held),
    )


def _fate(entry: Entry) -> str:
    return f"{entry.outcome} at {entry.at} in block {entry.block}"


@lru_cache(CHECKPOINTS_CACHED_MAX)
def _read_note(data: bytes) -> tuple[Note, Checkpoint]:
    note = parse_note(data)  # nothing of it is believed before steps 8 to 10
    return note, parse_checkpoint(note.text)
