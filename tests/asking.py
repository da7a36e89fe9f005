"""Signed requests as a test makes them: to be changed in one place, verified, or sent.

Invariant: a request that nobody has changed is accepted once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from tallystick.client.signing import sign_request
from tallystick.keyring import KeySigner, signer_from_seed
from tallystick.web.requests import RequestVerifier, SignedBy

NOW = 1_767_600_000
HOST = "ledger.example"
PATH = "/api/v1/bills/33060126/17"


def signer(name: str) -> KeySigner:
    """A key by name; the same as `acts.public_key` and `holders_acts.signing_key` have it."""
    return signer_from_seed(sha256(name.encode()).digest())


@dataclass(frozen=True)
class Sent:
    """What reaches a server."""

    method: str = "GET"
    path: str = PATH
    query: str = "wait=3"
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def but(self, **changes: Any) -> Sent:
        return replace(self, **changes)

    def without(self, name: str) -> Sent:
        kept = tuple(each for each in self.headers if each[0] != name.encode())
        return replace(self, headers=kept)

    def having(self, name: str, value: str) -> Sent:
        """With one more line of this name."""
        return replace(self, headers=(*self.headers, (name.encode(), value.encode("latin-1"))))

    def header(self, name: str) -> str:
        return next(value for each, value in self.headers if each == name.encode()).decode()

    def with_header(self, name: str, value: str) -> Sent:
        return self.without(name).having(name, value)

    def verify(self, verifier: RequestVerifier) -> SignedBy:
        signed = verifier.verify(self.method, self.path, self.query, self.headers)
        signed.check_body(self.body)
        return signed


def ask(
    key: KeySigner,
    method: str = "GET",
    path: str = PATH,
    query: str = "wait=3",
    body: bytes = b"",
    *,
    host: str = HOST,
    created: int = NOW,
    life: int = 30,
    nonce: bytes = bytes(16),
    **headers: str,
) -> Sent:
    """A request, signed as our client does it."""
    url = f"https://{host}{path}" + (f"?{query}" if query else "")
    own = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body:
        own["content-length"] = str(len(body))
    times: dict[str, Any] = {"created": created, "expires": created + life, "nonce": nonce}
    added = sign_request(method, url, own, body, key, **times)
    lines = tuple((n.encode(), v.encode()) for n, v in (own | added).items())
    return Sent(method, path, query, body, lines)
