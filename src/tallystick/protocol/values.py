"""The small values of the protocol: digests, ids, amounts, instants, each with its limit.

Invariant: every text field of a record has a closed pattern, so that nothing personal fits in.
Instants are whole seconds in UTC, written ``2026-01-31T09:00:00Z``. See docs/spec/encoding.md.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from hashlib import sha256
from typing import Annotated

from tallystick.protocol.canonical import INTEGER_MAX, Meta
from tallystick.protocol.errors import Malformed

AMOUNT_MAX = 999_999_999_999_999
"""Largest amount in minor units: 15 digits, below 2^53 with room for a thousandfold sum of none."""
DAY_SECONDS = 86_400
NONCE_BYTES = 16

Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""A SHA-256 value; base64 in JSON."""
Nonce = Annotated[bytes, Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
"""128 random bits; base64 in JSON."""
PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]
"""A raw Ed25519 public key; base64 in JSON."""
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
"""A raw Ed25519 signature; base64 in JSON."""

Count = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Amount = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]
"""Money in minor units (fen, cents)."""
SignedAmount = Annotated[int, Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
Currency = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
"""An ISO 4217 code."""

OrgId = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9-]{0,39}\Z")]
"""An organisation, as the founding file or `members.admit` names it."""
ActionName = Annotated[str, Meta(pattern=r"\A[a-z]{1,16}\.[a-z_]{1,32}/[1-9][0-9]{0,2}\Z")]
"""``bills.issue/1``: domain, action, version of its rules."""
Word = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,39}\Z")]
"""A word of a closed vocabulary: a state, a kind, a role."""
TxId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""SHA-256 of a transaction's signing bytes, in hex."""
Instant = Annotated[
    str, Meta(pattern=r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z\Z")
]
"""A whole second, UTC."""
Day = Annotated[str, Meta(pattern=r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]\Z")]

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_INSTANT_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@lru_cache(maxsize=65_536)
def parse_instant(text: str) -> int:
    """Seconds since 1970-01-01T00:00:00Z of an `Instant`; `Malformed` unless it is one spelling."""
    try:
        moment = datetime.strptime(text, _INSTANT_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise Malformed(f"{text[:40]!r} is not an instant like 2026-01-31T09:00:00Z") from None
    if moment.year < 1970 or moment.strftime(_INSTANT_FORMAT) != text:
        raise Malformed(f"{text[:40]!r} is not an instant like 2026-01-31T09:00:00Z")
    return int(moment.timestamp())


@lru_cache(maxsize=65_536)
def format_instant(seconds: int) -> str:
    """The `Instant` of a count of seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_INSTANT_FORMAT)


@lru_cache(maxsize=65_536)
def parse_day(text: str) -> int:
    """Days since 1970-01-01 of a `Day`, negative before; `Malformed` where there is none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Malformed(f"{text[:40]!r} is not a day like 2026-01-31") from None
    if day.isoformat() != text:
        raise Malformed(f"{text[:40]!r} is not a day like 2026-01-31")
    return day.toordinal() - _EPOCH_ORDINAL


@lru_cache(maxsize=65_536)
def local_day(seconds: int, offset_seconds: int) -> str:
    """The calendar day at a fixed offset from UTC (genesis says which)."""
    zone = timezone(timedelta(seconds=offset_seconds))
    return datetime.fromtimestamp(seconds, zone).strftime("%Y-%m-%d")


def tagged_hash(context: bytes, *parts: bytes) -> bytes:
    """SHA-256 over a context line and fixed-length or final parts: one use, one context."""
    return sha256(context + b"".join(parts)).digest()
