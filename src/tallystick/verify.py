"""The offline verifier: is a receipt true, and is what it says good now?

It needs a receipt (or a state proof) and a trust policy; no network, no clock, no ledger. The steps
are numbered here, in the code and in docs/spec/receipt.md; a failure names its step.

    the item         1 item hash    2 path (n, count) to the items root
    its transaction  3 header: the network    4 tx_id    5 the sender's signature
    its entry        6 leaf: this tx_id, n and item    7 path (index, size) to the log root
    who vouches      8 checkpoint: the origin    9 log signature    10 policy: the keepers
    its state now   11 block leaf at index size - 1    12 the row's key and place    13 path of the
                       row, or of its absence    14 the row is of this entry    15 as-of

Invariant: `verify_*` raises, or all that it returns has been verified. Steps 11 to 15 are made
whenever there is a state proof, 1 to 7 and 14 only for receipts. Whether a true receipt is good
enough to act on is the `Verdict`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from tallystick.protocol import merkle, trust
from tallystick.protocol.canonical import encode
from tallystick.protocol.checkpoint import Checkpoint, Note, parse_checkpoint, parse_note
from tallystick.protocol.entry import ACCEPTED, BlockLeaf, Entry
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.keys import verify_signature
from tallystick.protocol.receipt import (
    Receipt,
    StateProof,
    read_receipt,
    read_state,
    verify_row,
    verify_row_key,
)
from tallystick.protocol.row import Row
from tallystick.protocol.transaction import Header, item_hash, signing_bytes, transaction_id
from tallystick.protocol.trust import TrustPolicy, Vouched
from tallystick.protocol.values import format_instant, parse_instant

SIGNATURES_CACHED_MAX = 4_096
"""Headers whose signature is remembered: a batch of receipts shares them."""
CHECKPOINTS_CACHED_MAX = 256
"""Notes that are remembered as vouched for, at most 16 KiB each."""
CLOCK_AHEAD_SECONDS_MAX = 60
"""How far the keepers' clocks may be ahead of the reader's before their as-of means nothing."""


class Verdict(Enum):
    """What to do with a receipt; `exit_code` is that of ``tally verify``."""

    GOOD = (0, "authentic, accepted and good")
    ACCEPTED = (0, "authentic and accepted")
    REFUSED = (3, "authentic, but the ledger refused it")
    NOT_GOOD = (3, "authentic, but its state is no longer good")
    EXPIRED = (3, "authentic, but it has run out")
    ABSENT = (3, "authentic: there is no such thing")
    STALE = (3, "authentic, but its status is too old")
    OTHER = (3, "authentic, but not about what was asked for")
    NOT_FOR_YOU = (3, "authentic, but shown to another reader or for another purpose")
    NO_STATUS = (3, "authentic and accepted, but it does not show its status")
    FALSE = (1, "not what it claims to be: do not rely on it")
    UNREADABLE = (2, "no receipt that can be read")

    def __init__(self, exit_code: int, text: str) -> None:
        self.exit_code = exit_code
        self.text = text


class FailedStep(VerificationFailed):
    """A step did not hold; `step` is its number."""

    def __init__(self, step: int, what: str, detail: str) -> None:
        super().__init__(detail, path=f"step {step}, {what}")
        self.step = step


class Step(NamedTuple):
    """A step that held, and what it found, for people."""

    number: int
    what: str
    finding: str


@dataclass(frozen=True, slots=True)
class State:
    """A row as it stood at the checkpoint; None: it was not there (a number: not issued)."""

    key: str
    row: dict[str, Any] | None
    envelope: Row | None
    block: BlockLeaf
    as_of: int


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


def verdict(outcome: Verified | Malformed | VerificationFailed) -> Verdict:
    """The verdict on one document, whether it was verified or what it failed with."""
    if isinstance(outcome, Verified):
        return outcome.verdict
    return Verdict.FALSE if isinstance(outcome, VerificationFailed) else Verdict.UNREADABLE


def worst(verdicts: Iterable[Verdict]) -> int:
    """The exit code of many documents: false, then unreadable, then not to be acted on."""
    return max((found.exit_code for found in verdicts), key=(0, 3, 2, 1).index, default=2)


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
        with _Steps() as steps:
            tx_id = self._verify_item(receipt, steps)  # 1 to 6
            steps.at(7, "log path")
            leaf, path = merkle.leaf_hash(encode(receipt.entry)), receipt.log_path
            merkle.verify_path(leaf, receipt.index, checkpoint.size, path, checkpoint.root)
            steps.done(f"entry {receipt.index} of {checkpoint.size}")
            vouched = self._verify_note(note, steps)  # 8 to 10
            state = None
            if receipt.state is not None:
                state = self._verify_state(receipt.state, vouched, receipt.index, steps)
        asked = _Asked(status, now, about)
        judged = _judge(self._policy, receipt.entry.outcome, state, asked)
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
        with _Steps() as steps:
            vouched = self._verify_note(note, steps)  # 8 to 10
            state = self._verify_state(document.state, vouched, None, steps)
        judged = _judge(self._policy, ACCEPTED, state, _Asked(True, now, about))
        return _verified(vouched, state, judged, steps)

    def _verify_item(self, receipt: Receipt, steps: _Steps) -> str:
        header, entry = receipt.header, receipt.entry
        steps.at(1, "item hash")
        digest = item_hash(encode(receipt.item))
        steps.done(digest.hex())
        steps.at(2, "items root")
        leaf = merkle.leaf_hash(digest)  # the leaf's data is the hash: a sibling shows no item
        merkle.verify_path(leaf, entry.n, header.count, receipt.item_path, header.root)
        steps.done(f"item {entry.n} of {header.count}")
        steps.at(3, "header")
        if header.network != self._policy.network:
            raise VerificationFailed(f"of network {header.network.hex()}, not of the policy's")
        steps.done(f"{header.action} by {header.sender}")
        steps.at(4, "tx_id")
        message = signing_bytes(header)
        tx_id = transaction_id(message)
        steps.done(tx_id)
        steps.at(5, "signature")
        self._verify_signature(header.key, message, receipt.signature)
        steps.done(f"by key {header.key.hex()}")
        steps.at(6, "leaf")
        if entry.tx != tx_id or entry.item != digest:
            raise VerificationFailed("the entry is not of this item and transaction")
        parse_instant(entry.at)
        steps.done(f"{entry.outcome} at {entry.at} in block {entry.block}")
        return tx_id

    def _verify_note(self, note: Note, steps: _Steps) -> Vouched:
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
        self, proof: StateProof, vouched: Vouched, index: int | None, steps: _Steps
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


class _Asked(NamedTuple):
    """What the reader wants to know besides whether it is true."""

    status: bool
    now: int | None
    about: str | None


def _judge(policy: TrustPolicy, outcome: str, state: State | None, asked: _Asked) -> Verdict:
    """Whether to act on what was proven. An unasked status can only speak against it."""
    if outcome != ACCEPTED:
        return Verdict.REFUSED
    if state is None:
        return Verdict.NO_STATUS if asked.status or asked.about else Verdict.ACCEPTED
    if asked.about is not None and state.key.partition("/")[2] != asked.about:
        return Verdict.OTHER
    row, against = state.envelope, _speaks_against(policy, state, asked)
    if against is not None:
        return against
    if row is None:
        return Verdict.ABSENT
    return Verdict.GOOD if asked.status else Verdict.ACCEPTED  # nobody asked how old its state is


def _speaks_against(policy: TrustPolicy, state: State, asked: _Asked) -> Verdict | None:
    row, now = state.envelope, asked.now
    if row is not None and not row.good:
        return Verdict.NOT_GOOD
    until = row.until if row else None
    if until is not None and max(state.as_of, now or 0) >= parse_instant(until):
        return Verdict.EXPIRED
    age_seconds = now - state.as_of if asked.status and now is not None else 0
    if not -CLOCK_AHEAD_SECONDS_MAX <= age_seconds <= policy.status_max_age_seconds:
        return Verdict.STALE
    return None


def _verified(vouched: Vouched, state: State | None, judged: Verdict, steps: _Steps) -> Verified:
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


class _Steps:
    """Ticks the steps off, and tells a failure at which one it happened."""

    def __init__(self) -> None:
        self.held: list[Step] = []
        self._now = (0, "")

    def at(self, number: int, what: str) -> None:
        self._now = (number, what)

    def done(self, finding: str) -> None:
        self.held.append(Step(*self._now, finding))

    def __enter__(self) -> _Steps:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, VerificationFailed):
            raise FailedStep(*self._now, error.detail) from error


@lru_cache(CHECKPOINTS_CACHED_MAX)
def _read_note(data: bytes) -> tuple[Note, Checkpoint]:
    note = parse_note(data)  # nothing of it is believed before steps 8 to 10
    return note, parse_checkpoint(note.text)
