"""Inner signatures: over network, action and every word, by the key that is named."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from acts import Rows
from nacl.signing import SigningKey

from tallystick.contracts.kit.acts import (
    ACT_WORK,
    Said,
    act_id,
    act_message,
    check_act,
    signature_id,
)
from tallystick.contracts.kit.context import Context, Environment
from tallystick.contracts.kit.reasons import KitReason
from tallystick.protocol.canonical import encode
from tallystick.protocol.errors import Rejected
from tallystick.protocol.keys import Signed

NETWORK = bytes(range(32))
KEY = SigningKey(bytes(32))
PUBLIC = bytes(KEY.verify_key)


class SaidWord(Said):
    """For the tests."""

    word: str


SAID = SaidWord(nonce=bytes(16), word="yes")


def context(action: str = "test.say/1", network: bytes = NETWORK) -> Context:
    env = Environment(
        network=network, region=33, utc_offset_seconds=28_800, block=1, block_time=1_000_000
    )
    return Context(
        state=Rows(), env=env, sender="finance", key=bytes(32), action=action, tx_id="0" * 64
    )


def sign(said: Said, action: str = "test.say/1") -> bytes:
    return KEY.sign(act_message(NETWORK, action, said)).signature


def test_what_is_signed_is_as_the_page_says() -> None:
    message = act_message(NETWORK, "test.say/1", SAID)
    assert message == b"tallystick/act/v1\n" + NETWORK + b"test.say/1\n" + encode(SAID)
    assert act_id(message) == sha256(message).hexdigest()
    assert ACT_WORK == 8


def test_a_signature_that_was_verified_ahead_is_not_verified_again_and_no_other_passes() -> None:
    false = bytes(64)
    ahead = Signed(PUBLIC, act_message(NETWORK, "test.say/1", SAID), false)
    ctx = context()
    ctx.env = replace(ctx.env, cleared=frozenset({signature_id(ahead)}))
    assert check_act(ctx, SAID, PUBLIC, false) == act_id(ahead.message)
    other = SaidWord(nonce=b"2" * 16, word="yes")
    with pytest.raises(Rejected) as refused:
        check_act(ctx, other, PUBLIC, false)
    assert refused.value.reason is KitReason.ACT_SIGNATURE


def test_an_act_has_the_same_id_however_it_is_handed_in() -> None:
    first = check_act(context(), SAID, PUBLIC, sign(SAID))
    assert first == act_id(act_message(NETWORK, "test.say/1", SAID))
    again = SaidWord(nonce=b"1" * 16, word="yes")
    assert check_act(context(), again, PUBLIC, sign(again)) != first


@pytest.mark.parametrize(
    ("ctx", "said", "key"),
    [
        (context("test.say/2"), SAID, PUBLIC),
        (context("test.sing/1"), SAID, PUBLIC),
        (context(network=bytes(32)), SAID, PUBLIC),
        (context(), SaidWord(nonce=bytes(16), word="no"), PUBLIC),
        (context(), SaidWord(nonce=b"1" * 16, word="yes"), PUBLIC),
        (context(), SAID, bytes(SigningKey(b"1" * 32).verify_key)),
        (context(), SAID, b"\x01" + bytes(31)),
    ],
    ids=["version", "action", "network", "word", "nonce", "key", "small order"],
)
def test_it_holds_for_nothing_else(ctx: Context, said: Said, key: bytes) -> None:
    with pytest.raises(Rejected) as refusal:
        check_act(ctx, said, key, sign(SAID))
    assert (refusal.value.reason, refusal.value.path) == (
        KitReason.ACT_SIGNATURE,
        "act/signature",
    )
