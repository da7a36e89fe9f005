"""Deliveries to hooks: how a server signs them, and how their receiver is sure of one.

A narrow profile of HTTP Message Signatures (RFC 9421): covered are the method, the SHA-256 of the
body (RFC 9530) and the delivery's id, under a tag of its own. The id and the body name the hook, so
that nobody who has hooks of the same server can pass its deliveries on as another's.
See docs/spec/events.md.

Invariant: what `verify_hook` returns was sent by the server for this hook within the last minutes,
and was not taken before.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Container, Mapping
from hashlib import sha256

from tallystick.protocol.canonical import decode
from tallystick.protocol.errors import Malformed, TallystickError, VerificationFailed
from tallystick.protocol.event import Delivery
from tallystick.protocol.keys import Signer, verify_signature

LABEL = "hook"
TAG = "tallystick-hook"
ID_HEADER = "webhook-id"
AGE_SECONDS_MAX = 300
"""Between the clocks of server and receiver, and on the way."""
BODY_BYTES_MAX = 4 * 1024 * 1024

_COVERED = f'("@method" "content-digest" "{ID_HEADER}")'
_INPUT = re.compile(
    rf'{LABEL}=({re.escape(_COVERED)};created=([1-9][0-9]{{0,14}});keyid="([0-9a-f]{{64}})"'
    rf';alg="ed25519";tag="{TAG}")'
)
_SIGNATURE = re.compile(rf"{LABEL}=:([A-Za-z0-9+/]{{85}}[AQgw]==):")
"""64 bytes: of the last letter four bits count."""


class Repeated(TallystickError):
    """This delivery was taken before: answer 200 and do nothing."""


def sign_hook(signer: Signer, delivery_id: str, body: bytes, created: int) -> dict[str, str]:
    """The headers of a delivery; `created` in Unix seconds, anew for each try."""
    digest = _digest(body)
    params = (
        f'{_COVERED};created={created};keyid="{signer.public_key.hex()}";alg="ed25519";tag="{TAG}"'
    )
    signature = b64encode(signer.sign(_base(digest, delivery_id, params))).decode()
    return {
        "content-type": "application/json",
        "content-digest": digest,
        ID_HEADER: delivery_id,
        "signature-input": f"{LABEL}={params}",
        "signature": f"{LABEL}=:{signature}:",
    }


def verify_hook(
    headers: Mapping[str, str],
    body: bytes,
    *,
    key: bytes,
    hook: str,
    clock: Callable[[], int],
    seen: Container[str],
) -> Delivery:
    """A delivery that came by POST; `VerificationFailed`, `Malformed` or `Repeated` otherwise.

    1. form of the headers    2. key    3. age    4. body's digest    5. signature    6. body, and
    that it is for `hook`    7. not among `seen`, the ids that were taken: add it when you have
    stored what the delivery says, in the same step.
    """
    sent = {name.lower(): value.strip() for name, value in headers.items()}
    told = _INPUT.fullmatch(sent.get("signature-input", ""))  # 1
    signature = _SIGNATURE.fullmatch(sent.get("signature", ""))
    name = sent.get(ID_HEADER, "")
    if told is None or signature is None or not name.isascii() or not name.isprintable():
        raise VerificationFailed("it is not signed as a delivery is", path="signature-input")
    if told[3] != key.hex():  # 2
        raise VerificationFailed("signed by another key than the hook's", path="keyid")
    age_seconds = clock() - int(told[2])
    if abs(age_seconds) > AGE_SECONDS_MAX:  # 3
        raise VerificationFailed(f"signed {age_seconds} s ago by our clock", path="created")
    digest = _digest(body)
    if sent.get("content-digest") != digest:  # 4
        raise VerificationFailed("the body is not the one that was signed", path="content-digest")
    verify_signature(key, _base(digest, name, told[1]), b64decode(signature[1]))  # 5
    if len(body) > BODY_BYTES_MAX:  # 6
        raise Malformed(f"{len(body)} bytes, more than {BODY_BYTES_MAX}")
    delivery = decode(body, Delivery)
    if (delivery.id, delivery.hook) != (name, hook):
        raise VerificationFailed(f"it is for {delivery.hook}, not for {hook}", path="hook")
    if name in seen:  # 7
        raise Repeated(f"delivery {name} was taken before", path="id")
    return delivery


def _digest(body: bytes) -> str:
    return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"


def _base(digest: str, delivery_id: str, params: str) -> bytes:
    return (
        f'"@method": POST\n"content-digest": {digest}\n"{ID_HEADER}": {delivery_id}\n'
        f'"@signature-params": {params}'
    ).encode()
