"""Requests that a key signs: HTTP Message Signatures (RFC 9421), in one narrow profile.

Covered are the method, the authority, the path and the query, each by itself, because those survive
a proxy that ends TLS (the scheme does not); of a body its SHA-256 (RFC 9530); and what the request
shows of a bill. A signature lives a minute at most and is good for one request: its nonce is taken.

Invariant: nothing that decides the answer is left unsigned. See docs/spec/requests.md.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2
from http_message_signatures import HTTPMessageSigner
from http_message_signatures.algorithms import ED25519

from tallystick.protocol.keys import Signer
from tallystick.protocol.values import NONCE_BYTES

LABEL = "tallystick"
TAG = "tallystick"
COMPONENTS = ("@method", "@authority", "@path", "@query")
"""What every signature covers."""
CONTENT_DIGEST = "content-digest"
OPENING_HEADER = "tally-bill-opening"
"""What a request shows of the one bill that it is about; covered where it stands."""
COVERED_WHERE_PRESENT = (CONTENT_DIGEST, OPENING_HEADER)
"""Of the headers, those that a server goes by."""

LIFE_SECONDS_MAX = 60
"""From `created` to `expires`."""
LIFE_SECONDS = 30
"""What our own clients ask for: the shorter, the fewer nonces a server has to remember."""

_signer = HTTPMessageSigner(signature_algorithm=ED25519)


@dataclass(slots=True)
class _Message:
    """A request as the library asks for it."""

    method: str
    url: str
    headers: dict[str, str]


def sign_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    signer: Signer,
    *,
    created: int,
    expires: int,
    nonce: bytes,
) -> dict[str, str]:
    """The headers to be added to a request, so that it is signed by `signer`.

    `url` is absolute, as it is sent; `headers` are those that the request has so far; `created` and
    `expires` are Unix seconds, `nonce` 16 random bytes.
    """
    shown = [value for name, value in headers.items() if name.lower() == OPENING_HEADER]
    message = _Message(method.upper(), url, {OPENING_HEADER: shown[0]} if shown else {})
    covered = (*COMPONENTS, *message.headers)
    prepared = _signer.prepare(  # which puts the digest of a body into the headers
        message,
        key_id=signer.public_key.hex(),
        created=datetime.fromtimestamp(created, UTC),
        expires=datetime.fromtimestamp(expires, UTC),
        nonce=b64encode(nonce).decode(),
        label=LABEL,
        tag=TAG,
        include_alg=False,
        covered_component_ids=covered,
        body=body or None,
    )
    message.headers.pop(OPENING_HEADER, None)
    added = {name.lower(): value for name, value in message.headers.items()}
    signature = b64encode(signer.sign(prepared.signature_base)).decode()
    added["signature-input"] = f"{LABEL}={prepared.signature_params}"
    added["signature"] = f"{LABEL}=:{signature}:"
    return added


class SignedBy(httpx2.Auth):
    """Signs each request of a client, synchronous or not, anew each time that it is sent."""

    requires_request_body = True

    def __init__(
        self, signer: Signer, clock: Callable[[], int], *, life_seconds: int = LIFE_SECONDS
    ) -> None:
        """`clock` gives Unix seconds; a clock that is wrong by more than seconds is refused."""
        if not 1 <= life_seconds <= LIFE_SECONDS_MAX:
            raise ValueError(f"a signature lives 1 to {LIFE_SECONDS_MAX} seconds")
        self._signer = signer
        self._clock = clock
        self._life_seconds = life_seconds

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """What httpx2 calls."""
        created = self._clock()
        added = sign_request(
            request.method,
            str(request.url),
            request.headers,
            request.content,
            self._signer,
            created=created,
            expires=created + self._life_seconds,
            nonce=secrets.token_bytes(NONCE_BYTES),
        )
        request.headers.update(added)
        yield request
