"""A proof convicts whoever signed two histories, and nobody else. See docs/spec/equivocation.md."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.chain import KEEPERS, START, policy
from vectors.proofs import Forked
from vectors.world import build

from tallystick.protocol.checkpoint import COSIGNATURE_KEY, NOTE_KEY
from tallystick.protocol.entry import BlockLeaf
from tallystick.protocol.equivocation import (
    CLOCK_SLACK_SECONDS,
    PROOF_BYTES_MAX,
    NotDecidable,
    policy_keys,
    prove_equivocation,
    prove_two_leaves,
    verify_equivocation,
)
from tallystick.protocol.errors import Malformed, VerificationFailed

FORKED = Forked(build())
KEYS = FORKED.keys
ONE, TWO, LONGER = (FORKED.note(c) for c in (FORKED.one, FORKED.two, FORKED.longer))
SHARED = FORKED.note(FORKED.shared)
PROOF = prove_equivocation(ONE, TWO, KEYS)


def test_the_keys_of_a_policy() -> None:
    kinds = [key.key_type for key in policy_keys(policy())]
    assert kinds == [NOTE_KEY] + [COSIGNATURE_KEY] * len(KEEPERS)


def test_two_roots_of_one_size() -> None:
    finding = verify_equivocation(PROOF, KEYS)
    assert (finding.kind, finding.signer) == ("two_roots", KEYS[0])
    assert finding.finding == f"two roots of size {FORKED.one.size}"
    for key in KEYS:
        assert verify_equivocation(prove_equivocation(ONE, TWO, [key]), [key]).signer == key
    with pytest.raises(VerificationFailed, match="one root"):
        prove_equivocation(ONE, ONE, KEYS)


def test_from_sizes_alone_nothing_follows() -> None:
    for first, second in ((ONE, LONGER), (LONGER, ONE), (SHARED, LONGER)):
        with pytest.raises(NotDecidable, match="needs tiles or receipts"):
            prove_equivocation(first, second, KEYS)


def test_another_prefix() -> None:
    prefix = FORKED.prefix(FORKED.one, FORKED.longer)
    for first, second in ((ONE, LONGER), (LONGER, ONE)):
        proof = prove_equivocation(first, second, KEYS, prefix=prefix)
        assert verify_equivocation(proof, KEYS).kind == "other_prefix"
    honest = FORKED.prefix(FORKED.two, FORKED.longer)
    with pytest.raises(VerificationFailed, match="begins with the smaller"):
        prove_equivocation(TWO, LONGER, KEYS, prefix=honest)
    with pytest.raises(VerificationFailed, match="does not lead"):
        prove_equivocation(ONE, LONGER, KEYS, prefix=(FORKED.one.checkpoint().root, prefix[1]))


def test_two_leaves_at_one_index() -> None:
    at = FORKED.index
    one, longer = (c.receipt(at, FORKED.note(c).decode()) for c in (FORKED.one, FORKED.longer))
    proof = prove_two_leaves(one, longer, KEYS)
    assert verify_equivocation(proof, KEYS).finding == f"two leaves at index {at}"
    for item in (one.item, longer.item):
        assert str(item["nonce"]).encode() not in proof
    with pytest.raises(VerificationFailed, match="one leaf"):
        prove_two_leaves(longer, longer, KEYS)


@given(st.integers(-2, CLOCK_SLACK_SECONDS + 2))
def test_who_hides_a_block_is_convicted_beyond_the_slack_only(late: int) -> None:
    block_at = START + 200
    chain, block = FORKED.block(block_at)
    first, second = FORKED.note(FORKED.shared, block_at + late), FORKED.note(chain)
    if late <= CLOCK_SLACK_SECONDS:
        with pytest.raises(VerificationFailed, match="not older"):
            prove_equivocation(first, second, FORKED.keepers, block=block)
        return
    proof = prove_equivocation(first, second, FORKED.keepers, block=block)
    assert verify_equivocation(proof, KEYS).kind == "hidden"


def test_nothing_else_is_hidden() -> None:
    chain, block = FORKED.block(START + 200)
    late, second = FORKED.note(FORKED.shared, START + 9_000), FORKED.note(chain)
    with pytest.raises(VerificationFailed, match="does not say when"):
        prove_equivocation(late, second, KEYS[:1], block=block)
    with pytest.raises(VerificationFailed, match="within the first"):
        prove_equivocation(FORKED.note(chain, START + 9_000), second, FORKED.keepers, block=block)
    last = chain.leaves[-1]
    assert isinstance(last, BlockLeaf)
    with pytest.raises(VerificationFailed):
        prove_equivocation(late, second, FORKED.keepers, block=(block[0] - 1, last, block[2]))


def test_only_keys_that_were_asked_about() -> None:
    with pytest.raises(VerificationFailed, match="none of the keys"):
        verify_equivocation(PROOF, KEYS[1:])
    with pytest.raises(VerificationFailed, match="no key"):
        prove_equivocation(ONE, TWO, [])
    renamed = replace(KEYS[0], name="elsewhere")
    with pytest.raises(VerificationFailed, match="as its origin"):
        prove_equivocation(ONE, TWO, [renamed])


@given(st.integers(0, len(PROOF) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused_or_still_convicts(at: int, flip: int) -> None:
    """Lines of other signers do not matter; whatever is left convicts the same key."""
    changed = bytearray(PROOF)
    changed[at] ^= flip
    try:
        finding = verify_equivocation(bytes(changed), KEYS)
    except (Malformed, VerificationFailed):
        return
    assert finding.signer == KEYS[0]


@given(st.binary(max_size=100))
def test_noise(noise: bytes) -> None:
    with pytest.raises(Malformed):
        verify_equivocation(noise, KEYS)


def test_limits() -> None:
    with pytest.raises(Malformed, match="more than"):
        verify_equivocation(bytes(PROOF_BYTES_MAX + 1), KEYS)
