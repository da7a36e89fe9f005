"""Proofs that one signer vouched for two histories: small, final, and good for everyone.

    TwoRoots     one size, two roots
    OtherPrefix  the tree of the larger size does not begin with the one signed before
    TwoLeaves    two leaves at one index
    Hidden       co-signed a size at T, "nothing newer", and later a block beyond it of before T

From two checkpoints of different size alone nothing follows: tiles give the path for
`OtherPrefix`, receipts the leaves for `TwoLeaves`. See docs/spec/equivocation.md.

Invariant: no honest signer, whatever its clock within the slack, can ever be named by a proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from tallystick.protocol import merkle
from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.protocol.checkpoint import (
    COSIGNATURE_KEY,
    NOTE_KEY,
    Checkpoint,
    VerifierKey,
    format_vkey,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    verify_cosignature,
    verify_note_signature,
)
from tallystick.protocol.entry import BlockLeaf
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.receipt import LogPath, Receipt
from tallystick.protocol.trust import TrustPolicy
from tallystick.protocol.values import Count, Digest, format_instant, parse_instant

PROOF_BYTES_MAX = 64 * 1024
"""Two notes of at most 16 KiB and two paths."""
CLOCK_SLACK_SECONDS = 60
"""A keeper accepts a block that lies this much before its own last co-signature: see block.md."""

NoteText = Annotated[str, Meta(max_length=16_384)]
Format: TypeAlias = Literal["tallystick/equivocation/v1"]


class _Proof(Record, tag_field="proof"):
    format: Format
    signer: Annotated[str, Meta(max_length=400)]
    """Verifier key, as C2SP writes it: name, key id, type and key."""
    first: NoteText
    second: NoteText


class TwoRoots(_Proof, tag="two_roots"):
    """`first` and `second` have one size and two roots."""


class OtherPrefix(_Proof, tag="other_prefix"):
    """`first` is the smaller; at its size `second` has another root, `prefix_root`."""

    prefix_root: Digest
    path: LogPath
    """Consistency path from `prefix_root` to the root of `second`."""


class TwoLeaves(_Proof, tag="two_leaves"):
    """At `index` the one has another leaf than the other."""

    index: Count
    first_leaf: Digest
    first_path: LogPath
    second_leaf: Digest
    second_path: LogPath


class Hidden(_Proof, tag="hidden"):
    """`first` was co-signed after the time of a block that lies beyond it in `second`."""

    index: Count
    block_leaf: BlockLeaf
    path: LogPath


Proof: TypeAlias = TwoRoots | OtherPrefix | TwoLeaves | Hidden


class NotDecidable(VerificationFailed):
    """Nothing follows from what was given; more may prove it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Who vouched for two histories, and how that shows."""

    kind: str
    """``two_roots``, ``other_prefix``, ``two_leaves`` or ``hidden``."""
    signer: VerifierKey
    proof: Proof
    finding: str


def policy_keys(policy: TrustPolicy) -> list[VerifierKey]:
    """The keys of a trust policy, as those whom a proof may name."""
    logs = [VerifierKey(policy.origin, NOTE_KEY, key) for key in policy.log_keys]
    keepers = [VerifierKey(keeper.name, COSIGNATURE_KEY, keeper.key) for keeper in policy.keepers]
    return logs + keepers


def verify_equivocation(data: bytes, keys: Iterable[VerifierKey]) -> Finding:
    """What a proof proves about one of `keys`; `VerificationFailed` when it proves nothing.

    1. a known key    2. it signed both checkpoints, of one log    3. they contradict each other
    """
    if len(data) > PROOF_BYTES_MAX:
        raise Malformed(f"proof has {len(data)} bytes, more than {PROOF_BYTES_MAX}")
    proof: Proof = decode(data, Proof)  # type: ignore[arg-type]  # a union is no type[T]
    signer = parse_vkey(proof.signer)
    if signer not in list(keys):  # 1
        raise VerificationFailed(f"{signer.name} is none of the keys asked about", path="signer")
    first, first_at = _signed(proof.first, signer, "first")  # 2
    second, _ = _signed(proof.second, signer, "second")
    if first.origin != second.origin:
        raise VerificationFailed("checkpoints of two logs", path="second")
    if isinstance(proof, TwoRoots):  # 3
        finding = _two_roots(first, second)
    elif isinstance(proof, OtherPrefix):
        finding = _other_prefix(proof, first, second)
    elif isinstance(proof, TwoLeaves):
        finding = _two_leaves(proof, first, second)
    else:
        finding = _hidden(proof, first, first_at, second)
    return Finding(str(proof.__struct_config__.tag), signer, proof, finding)


def prove_equivocation(
    first: bytes,
    second: bytes,
    keys: Iterable[VerifierKey],
    *,
    prefix: tuple[bytes, Sequence[bytes]] | None = None,
    block: tuple[int, BlockLeaf, Sequence[bytes]] | None = None,
) -> bytes:
    """A proof from two notes, whichever of `keys` it convicts.

    `prefix` is the root which the larger log has at the smaller size, with its consistency path;
    `block` is (index, leaf, path) of a block in the log of `second`, beyond `first`. Raises
    `NotDecidable` where sizes differ and neither was given, `VerificationFailed` if all is well.
    """
    one, two = (parse_checkpoint(parse_note(note).text) for note in (first, second))
    if block is not None:
        index, leaf, path = block
        return _prove(Hidden, first, second, keys, index=index, block_leaf=leaf, path=list(path))
    if one.size == two.size:
        return _prove(TwoRoots, first, second, keys)
    if prefix is None:
        raise NotDecidable("not decidable, needs tiles or receipts")
    if one.size > two.size:
        first, second = second, first
    root, path = prefix
    return _prove(OtherPrefix, first, second, keys, prefix_root=root, path=list(path))


def prove_two_leaves(first: Receipt, second: Receipt, keys: Iterable[VerifierKey]) -> bytes:
    """A proof from two receipts of one index; it contains neither item."""
    return _prove(
        TwoLeaves,
        first.checkpoint.encode(),
        second.checkpoint.encode(),
        keys,
        index=first.index,
        first_leaf=merkle.leaf_hash(encode(first.entry)),
        first_path=first.log_path,
        second_leaf=merkle.leaf_hash(encode(second.entry)),
        second_path=second.log_path,
    )


def _prove(
    kind: type[Proof], first: bytes, second: bytes, keys: Iterable[VerifierKey], **more: object
) -> bytes:
    """The first proof of this kind that holds for any of `keys`."""
    failure = VerificationFailed("no key to ask about")
    for key in keys:
        data = encode(
            kind(
                format="tallystick/equivocation/v1",
                signer=format_vkey(key),
                first=first.decode(),
                second=second.decode(),
                **more,  # type: ignore[arg-type]  # decoding checks what the caller gave
            )
        )
        try:
            verify_equivocation(data, [key])
        except VerificationFailed as error:
            failure = error
        else:
            return data
    raise failure


def _signed(text: str, signer: VerifierKey, path: str) -> tuple[Checkpoint, int | None]:
    """The checkpoint that `signer` signed, and when, where its kind of key says so."""
    note = parse_note(text.encode())
    checkpoint = parse_checkpoint(note.text)
    if signer.key_type == COSIGNATURE_KEY:
        return checkpoint, verify_cosignature(note, signer.name, signer.key)
    if signer.name != checkpoint.origin:
        raise VerificationFailed("a log key signs as its origin", path=path)
    verify_note_signature(note, signer.name, signer.key)
    return checkpoint, None


def _two_roots(first: Checkpoint, second: Checkpoint) -> str:
    if first.size != second.size:
        raise NotDecidable("not decidable, needs tiles or receipts")
    if first.root == second.root:
        raise VerificationFailed("one size and one root: no contradiction", path="second")
    return f"two roots of size {first.size}"


def _other_prefix(proof: OtherPrefix, first: Checkpoint, second: Checkpoint) -> str:
    merkle.verify_consistency(first.size, proof.prefix_root, second.size, second.root, proof.path)
    if proof.prefix_root == first.root:
        raise VerificationFailed("the larger log begins with the smaller", path="prefix_root")
    return f"size {second.size} does not begin with what was signed as size {first.size}"


def _two_leaves(proof: TwoLeaves, first: Checkpoint, second: Checkpoint) -> str:
    if proof.first_leaf == proof.second_leaf:
        raise VerificationFailed("one index and one leaf: no contradiction", path="second_leaf")
    index = proof.index
    merkle.verify_path(proof.first_leaf, index, first.size, proof.first_path, first.root)
    merkle.verify_path(proof.second_leaf, index, second.size, proof.second_path, second.root)
    return f"two leaves at index {index}"


def _hidden(proof: Hidden, first: Checkpoint, first_at: int | None, second: Checkpoint) -> str:
    if first_at is None:
        raise VerificationFailed("a log key does not say when it signed", path="signer")
    if proof.index < first.size:
        raise VerificationFailed("the block lies within the first checkpoint", path="index")
    leaf = merkle.leaf_hash(encode(proof.block_leaf))
    merkle.verify_path(leaf, proof.index, second.size, proof.path, second.root)
    if parse_instant(proof.block_leaf.at) + CLOCK_SLACK_SECONDS >= first_at:
        raise VerificationFailed("the block is not older than the co-signature", path="block_leaf")
    known = format_instant(first_at)
    return f"knew nothing beyond size {first.size} at {known}, but a block of {proof.block_leaf.at}"
