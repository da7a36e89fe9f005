"""A receipt's place in the log as C2SP writes it: one text, and every step that must hold.

That readers who are not ours read the same is tested in tests/foreign/test_c2sp.py.
See docs/spec/tlog-proof.md.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.chain import Key, note_of, policy
from vectors.world import build, fresh_times

from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.tlog_proof import (
    HEADER,
    TLOG_PROOF_BYTES_MAX,
    TlogProof,
    read_tlog_proof,
    tlog_proof_of,
    verify_tlog_proof,
    write_tlog_proof,
)

WORLD = build()
POLICY = policy()
FORGED = note_of(WORLD.chain.checkpoint(), fresh_times(), log=Key("nobody"))
RECEIPT = WORLD.chain.receipt(WORLD.at["first"], WORLD.note())
PROOF = tlog_proof_of(RECEIPT)
DATA = write_tlog_proof(PROOF)


def test_a_proof_has_the_lines_of_the_standard() -> None:
    lines = DATA.decode().split("\n")
    assert lines[0] == HEADER == "c2sp.org/tlog-proof@v1"
    assert lines[1] == "extra " + b64encode(encode(RECEIPT.entry)).decode()
    assert lines[2] == f"index {RECEIPT.index}"
    end = 3 + len(RECEIPT.log_path)
    assert lines[3:end] == [b64encode(digest).decode() for digest in RECEIPT.log_path]
    assert lines[end] == ""
    assert "\n".join(lines[end + 1 :]) == RECEIPT.checkpoint


def test_a_proof_comes_back_with_and_without_its_leaf() -> None:
    assert read_tlog_proof(DATA) == PROOF
    bare = replace(PROOF, leaf=None)
    assert read_tlog_proof(write_tlog_proof(bare)) == bare
    assert read_tlog_proof(write_tlog_proof(replace(PROOF, path=()))).path == ()


def test_a_proof_says_who_vouches_and_what_became_of_it() -> None:
    entry, vouched = verify_tlog_proof(POLICY, PROOF)
    assert entry == RECEIPT.entry
    assert vouched.checkpoint.size > RECEIPT.index
    assert vouched.keepers
    bare = replace(PROOF, leaf=None)
    assert verify_tlog_proof(POLICY, bare, encode(RECEIPT.entry)) == (entry, vouched)
    with pytest.raises(VerificationFailed, match="there is no leaf"):
        verify_tlog_proof(POLICY, bare)


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_leaves_what_it_says(at: int, flip: int) -> None:
    changed = bytearray(DATA)
    changed[at] ^= flip
    try:
        proof = read_tlog_proof(bytes(changed))
        said = verify_tlog_proof(POLICY, proof)
    except (Malformed, VerificationFailed):
        return
    assert said[0] == RECEIPT.entry  # a co-signature that the policy can do without
    assert (proof.index, proof.path, proof.leaf) == (PROOF.index, PROOF.path, PROOF.leaf)


def text(**changed: object) -> bytes:
    return write_tlog_proof(replace(PROOF, **changed))  # type: ignore[arg-type]  # any field


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        HEADER.encode(),
        DATA.replace(b"@v1", b"@v2", 1),
        DATA.replace(b"index ", b"index 0", 1),
        DATA.replace(b"index ", b"index +", 1),
        DATA.replace(b"index ", b"at ", 1),
        DATA.replace(b"index ", b"index 99999999999999999", 1),
        DATA.replace(b"index ", b"index 9007199254740992\nindex ", 1),
        DATA.replace(b"\n", b"\r\n", 1),
        DATA.replace(b"extra ", b"extra  ", 1),
        DATA.replace(b"extra ", b"extra =", 1),
        DATA.replace(b"\nindex", b"\nextra AAAA\nindex", 1),
        DATA.replace(b"\n\n", b"\n\n\n", 1),
        DATA.replace(b"\n\n", b"\n" + b64encode(bytes(31)) + b"\n\n", 1),
        DATA.replace(b"\n\n", b"\nno hash\n\n", 1),
        DATA.replace(b"\n\n", b"\n\xff\n\n", 1),
        text(path=[bytes(32)] * 65),
        text(checkpoint=b"no note"),
        text(leaf=bytes(TLOG_PROOF_BYTES_MAX)),
    ],
)
def test_every_other_spelling_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_tlog_proof(data)


@pytest.mark.parametrize(
    "proof",
    [
        replace(PROOF, index=PROOF.index + 1),
        replace(PROOF, index=2**52),
        replace(PROOF, path=PROOF.path[:-1]),
        replace(PROOF, path=(*PROOF.path, bytes(32))),
        replace(PROOF, path=(bytes(32), *PROOF.path[1:])),
        replace(PROOF, leaf=encode(RECEIPT.entry).replace(b'"n":0', b'"n":1')),
        replace(PROOF, checkpoint=FORGED.encode()),
    ],
)
def test_what_does_not_hold_fails(proof: TlogProof) -> None:
    with pytest.raises(VerificationFailed):
        verify_tlog_proof(POLICY, proof)


def test_an_extra_that_is_no_entry_is_not_taken_for_one() -> None:
    with pytest.raises(Malformed):
        verify_tlog_proof(POLICY, replace(PROOF, leaf=b"whatever"))
