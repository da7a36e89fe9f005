"""A policy accepts a checkpoint for the stated reasons only. See docs/spec/trust.md."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors.chain import KEEPERS, START, Key, keeper_name, note_of, policy

from tallystick.protocol.canonical import encode, replace
from tallystick.protocol.checkpoint import Checkpoint, cosign, format_checkpoint, parse_note
from tallystick.protocol.errors import Malformed, VerificationFailed
from tallystick.protocol.trust import (
    TRUST_BYTES_MAX,
    TrustedKeeper,
    TrustPolicy,
    Vouched,
    read_trust,
    verify_checkpoint,
)

POLICY = policy()
GOOD = encode(POLICY)
HEAD = Checkpoint(POLICY.origin, 10, bytes(32))
FINANCE, HOSPITAL, INSURER = KEEPERS


def vouch(trusted: TrustPolicy, times: dict[str, int], head: Checkpoint = HEAD) -> Vouched:
    return verify_checkpoint(trusted, parse_note(note_of(head, times).encode()))


def changed(**members: Any) -> bytes:
    return encode(json.loads(GOOD) | members)


def test_a_policy_is_read() -> None:
    assert read_trust(GOOD) == POLICY


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused_or_another_policy(at: int, flip: int) -> None:
    other = bytearray(GOOD)
    other[at] ^= flip
    try:
        assert read_trust(bytes(other)) != POLICY
    except (Malformed, VerificationFailed):
        return


LISTED: list[dict[str, Any]] = json.loads(GOOD)["keepers"]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (changed(format="tallystick/trust/v2"), "Invalid enum"),
        (changed(version=0), ">= 1"),
        (changed(log_keys=[]), "length >= 1"),
        (changed(log_keys=[LISTED[0]["key"]]), "a key stands twice"),
        (changed(keepers=[LISTED[0], LISTED[0] | {"key": "A" * 43 + "="}]), "name stands twice"),
        (changed(keepers=[LISTED[0] | {"name": POLICY.origin}, LISTED[1]]), "name stands twice"),
        (changed(threshold=4), "cannot be reached"),
        (changed(required=["payer-01"]), "has no keeper"),
        (changed(keepers=[LISTED[0] | {"from_size": 5, "until_size": 5}, *LISTED[1:]]), "no size"),
        (GOOD + b" ", "canonical"),
        (bytes(TRUST_BYTES_MAX + 1), "more than"),
    ],
)
def test_policies_that_make_no_sense(data: bytes, match: str) -> None:
    with pytest.raises(Malformed, match=match):
        read_trust(data)


def test_weak_keys_are_not_trusted() -> None:
    with pytest.raises(VerificationFailed, match="small order"):
        read_trust(changed(log_keys=["AQ" + "A" * 41 + "="]))


def test_enough_keepers_and_the_required_ones() -> None:
    vouched = vouch(POLICY, {HOSPITAL: START, FINANCE: START + 5})
    assert vouched.checkpoint == HEAD
    assert vouched.keepers == (keeper_name(FINANCE), keeper_name(HOSPITAL))
    assert vouched.orgs == (FINANCE, HOSPITAL)
    with pytest.raises(VerificationFailed, match="no co-signature of finance-33"):
        vouch(POLICY, {HOSPITAL: START, INSURER: START})
    with pytest.raises(VerificationFailed, match="1 co-signatures of 2"):
        vouch(POLICY, {FINANCE: START})
    with pytest.raises(VerificationFailed, match="checkpoint of elsewhere"):
        vouch(POLICY, dict.fromkeys(KEEPERS, START), replace_origin("elsewhere"))


def replace_origin(origin: str) -> Checkpoint:
    return Checkpoint(origin, HEAD.size, HEAD.root)


def test_the_log_must_have_signed_and_has_no_weight() -> None:
    times = dict.fromkeys(KEEPERS, START)
    note = parse_note(note_of(HEAD, times, log=Key("another")).encode())
    with pytest.raises(VerificationFailed, match="log key"):
        verify_checkpoint(POLICY, note)
    second = replace(POLICY, log_keys=[Key("another").public_key, *POLICY.log_keys])
    assert verify_checkpoint(second, note).keepers
    alone = replace(POLICY, threshold=0, required=[])
    assert vouch(alone, {}).as_of is None
    with pytest.raises(VerificationFailed):
        vouch(replace(alone, threshold=1), {})


def test_another_key_under_a_keepers_name_does_not_count() -> None:
    keys = {INSURER: Key("thief")}
    note = note_of(HEAD, {FINANCE: START, INSURER: START}, keys=keys)
    with pytest.raises(VerificationFailed, match="1 co-signatures"):
        verify_checkpoint(POLICY, parse_note(note.encode()))


@pytest.mark.parametrize(
    ("from_size", "until_size", "counts"),
    [(0, None, True), (10, 11, True), (11, None, False), (0, 10, False)],
)
def test_a_key_counts_for_its_sizes(from_size: int, until_size: int | None, counts: bool) -> None:
    listed = [
        replace(keeper, from_size=from_size, until_size=until_size)
        if keeper.org == FINANCE
        else keeper
        for keeper in POLICY.keepers
    ]
    trusted = read_trust(encode(replace(POLICY, keepers=listed)))
    if counts:
        assert FINANCE in vouch(trusted, dict.fromkeys(KEEPERS, START)).orgs
    else:
        with pytest.raises(VerificationFailed, match="no co-signature of finance-33"):
            vouch(trusted, dict.fromkeys(KEEPERS, START))


@given(
    st.dictionaries(st.sampled_from(KEEPERS), st.integers(0, 50), min_size=1),
    st.integers(0, 3),
    st.lists(st.sampled_from(KEEPERS), unique=True, max_size=3),
)
def test_as_of_is_the_newest_time_for_which_enough_answer(
    ages: dict[str, int], threshold: int, required: list[str]
) -> None:
    trusted = replace(POLICY, threshold=threshold, required=required)
    times = {org: START - age for org, age in ages.items()}

    def enough(since: int) -> bool:
        there = [org for org, time in times.items() if time >= since]
        return len(there) >= max(threshold, 1) and all(org in there for org in required)

    if not enough(0):
        with pytest.raises(VerificationFailed):
            vouch(trusted, times)
        return
    as_of = vouch(trusted, times).as_of
    assert as_of is not None
    assert enough(as_of)
    assert not enough(as_of + 1)


def test_keepers_of_one_organisation_each_count() -> None:
    second = TrustedKeeper(name="finance-33/b", org=FINANCE, key=Key("keeper b").public_key)
    trusted = read_trust(encode(replace(POLICY, keepers=[POLICY.keepers[0], second])))
    vouched = verify_checkpoint(trusted, parse_note(two_of_finance().encode()))
    assert vouched.orgs == (FINANCE,)
    assert len(vouched.keepers) == 2


def two_of_finance() -> str:
    line = cosign(format_checkpoint(HEAD), "finance-33/b", Key("keeper b"), START)
    return note_of(HEAD, {FINANCE: START}) + line
