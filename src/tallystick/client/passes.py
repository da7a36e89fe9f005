"""Passes: what an organisation hands to a system of its own that cannot sign, to read with.

A pass is a small document that one of the organisation's live operating keys has signed; it is sent
as ``Authorization: Bearer <document>.<signature>``, both base64url without padding. It says what
may be read, of which bill codes, and how long; and whatever it says, at each use it allows no more
than that key and the organisation's own grants do then. Whoever has it can use it: it is a secret,
sent over TLS alone. See docs/spec/requests.md.

Invariant: a pass can read and nothing else; it has an end; it is never logged but by its id.
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Generator, Sequence
from typing import Annotated, Literal

import httpx2

from tallystick.client.wire import Call
from tallystick.contracts.kit.grants import CodePrefix
from tallystick.protocol.canonical import Meta, Record, decode, encode
from tallystick.protocol.errors import Malformed
from tallystick.protocol.keys import Signer, verify_signature
from tallystick.protocol.values import (
    DAY_SECONDS,
    NONCE_BYTES,
    Digest,
    Instant,
    Nonce,
    OrgId,
    PublicKey,
    format_instant,
    parse_instant,
)

DAYS_MAX = 400
"""A year and what it takes to renew."""
TOKEN_LENGTH_MAX = 2_048
BILLS_READ = "bills.read"
"""Bills and what belongs to them: the organisation's own, or by a grant of this name."""
LEDGER_READ = "ledger.read"
"""Rows, blocks and transactions, whosever they are: by a grant of this name."""

ReadWord = Literal["bills.read", "ledger.read"]

_CONTEXT = b"tallystick/pass/v1\n"
_TOKEN = re.compile(r"([A-Za-z0-9_-]{1,1900})\.([A-Za-z0-9_-]{86})")


class Pass(Record):
    """What is signed."""

    format: Literal["tallystick/pass/v1"]
    network: Digest
    org: OrgId
    key: PublicKey
    """Whose signature makes it good; when that key ends, so does the pass."""
    id: Nonce
    """What it is called in logs, and by which it is revoked."""
    may: Annotated[list[ReadWord], Meta(min_length=1, max_length=2)]
    codes: Annotated[list[CodePrefix], Meta(max_length=16)] = []
    """Leading digits of bill codes; none: all that the key and the grants allow."""
    since: Instant
    until: Instant
    """At most `DAYS_MAX` days after `since`."""


class Revocation(Record):
    """Body of ``POST /api/v1/passes/revoked``: a pass of the organisation that signs it."""

    id: Nonce


def make_pass(
    signer: Signer,
    *,
    network: bytes,
    org: str,
    may: Sequence[ReadWord],
    codes: Sequence[int] = (),
    now: int,
    days: int,
) -> str:
    """A new pass, as it is sent; `now` is in Unix seconds. `Malformed`: it could not be used."""
    made = Pass(
        format="tallystick/pass/v1",
        network=network,
        org=org,
        key=signer.public_key,
        id=secrets.token_bytes(NONCE_BYTES),
        may=sorted(set(may)),
        codes=sorted(set(codes)),
        since=format_instant(now),
        until=format_instant(now + days * DAY_SECONDS),
    )
    data = encode(made)
    token = f"{_text(data)}.{_text(signer.sign(_CONTEXT + data))}"
    read_pass(token)
    return token


def read_pass(token: str) -> Pass:
    """The pass in a token, whose signature holds; whether the key is anybody's is not asked here.

    `Malformed` for what is none, `VerificationFailed` for a false signature.
    """
    found = _TOKEN.fullmatch(token) if len(token) <= TOKEN_LENGTH_MAX else None
    if found is None:
        raise Malformed("a pass is <document>.<signature>, both base64url")
    data, signature = _bytes(found[1]), _bytes(found[2])
    read = decode(data, Pass)
    since, until = parse_instant(read.since), parse_instant(read.until)
    if not since < until <= since + DAYS_MAX * DAY_SECONDS:
        raise Malformed(f"a pass lasts 1 to {DAYS_MAX} days", path="until")
    verify_signature(read.key, _CONTEXT + data, signature)
    return read


def revoke(pass_id: bytes) -> Call[Revocation]:
    """End a pass at a server, at once; asked by a request that its organisation signs."""
    body = encode(Revocation(id=pass_id))
    return Call("POST", "/api/v1/passes/revoked", _read_revocation, body=body, signed=True)


def _read_revocation(data: bytes) -> Revocation:
    return decode(data, Revocation)


class WithPass(httpx2.Auth):
    """Sends a pass with each request of a client; shows nothing of it."""

    def __init__(self, token: str) -> None:
        read_pass(token)
        self._token = token

    def __repr__(self) -> str:
        return f"WithPass({read_pass(self._token).id.hex()})"

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """What httpx2 calls."""
        request.headers["authorization"] = f"Bearer {self._token}"
        yield request


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """The bytes of base64url without padding; one spelling, so that one pass is one token."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        data = b""
    if _text(data) != text:
        raise Malformed("this is not base64url")
    return data
