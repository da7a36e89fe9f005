"""Acts of people who are no members: signed by a key of theirs, handed in by any member.

What is signed is a record with a nonce of its own; the act's id is the hash of the signed bytes, so
that a relay who has seen an act cannot enter it twice. See docs/spec/contracts/kit.md.

Invariant: an act binds network, action and every word of what it says; its id names it for ever.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any

from tallystick.contracts.kit.context import Context
from tallystick.contracts.kit.reasons import KitReason
from tallystick.protocol.canonical import Meta, Record, encode
from tallystick.protocol.errors import Rejected, VerificationFailed
from tallystick.protocol.keys import Signed, verify_signature
from tallystick.protocol.values import Nonce

ACT_WORK = 8
"""An item with one signature within: as long as eight bills (docs/benchmarks.md)."""

ActId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""SHA-256 of an act's signed bytes, in hex."""

_CONTEXT = b"tallystick/act/v1\n"


class Said(Record):
    """Base of what somebody signs."""

    nonce: Nonce
    """Two acts that say the same are two acts."""


def act_message(network: bytes, action: str, said: Said) -> bytes:
    """The bytes that are signed; `action` with its version, as ``bills.consent/1``."""
    return b"%b%b%b\n%b" % (_CONTEXT, network, action.encode(), encode(said))


def act_id(message: bytes) -> str:
    """The id of the act whose signed bytes these are."""
    return sha256(message).hexdigest()


def signature_id(signed: Signed) -> bytes:
    """What names a signature that was verified: key, signature and message."""
    return sha256(b"%b%b%b" % signed).digest()


def signed_within(network: bytes, action: str, item: Any) -> Signed | None:
    """The signature within an item that has what was `said` and who `act`ed; `Action.signed`."""
    act = item.act
    if act is None:
        return None
    return Signed(act.key, act_message(network, action, item.said), act.signature)


def check_act(ctx: Context, said: Said, key: bytes, signature: bytes) -> str:
    """The id of the act that this item relays; refuses one that `key` has not signed."""
    message = act_message(ctx.env.network, ctx.action, said)
    signed = Signed(key, message, signature)
    if ctx.env.cleared and signature_id(signed) in ctx.env.cleared:
        return act_id(message)
    try:
        verify_signature(key, message, signature)
    except VerificationFailed as error:
        raise Rejected(KitReason.ACT_SIGNATURE, error.detail, path="act/signature") from None
    return act_id(message)
