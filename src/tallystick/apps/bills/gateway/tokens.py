"""Tokens of tills: what each may do, and at which place.

A token is 256 bits of chance, so its plain hash is as good as the token is secret. The file has
hashes alone, and is read anew when it has changed, so that a token ends at once.

Invariant: a token that is not in the file, or has ended, does nothing; which one it was is compared
in constant time. See docs/guides/gateway.md.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, get_args

from tallystick.apps.bills.gateway.reasons import GatewayReason
from tallystick.contracts.bills.records.bills import CatalogueCode
from tallystick.durable import read_file, write_file
from tallystick.protocol.canonical import Meta, Record, decode, encode, replace
from tallystick.protocol.errors import Damaged, Malformed, Rejected
from tallystick.protocol.values import Digest, Instant, format_instant

FILE = "tokens.json"
PREFIX = "tgw-"
TOKEN_BYTES = 32
TOKENS_MAX = 1_000
FILE_BYTES_MAX = 1024 * 1024

Right = Literal["issue", "reverse", "paper", "read", "reconcile", "claim", "settle"]
RIGHTS: tuple[Right, ...] = get_args(Right)
TokenName = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,39}\Z")]


class Token(Record):
    """What is known of one."""

    name: TokenName
    may: Annotated[list[Right], Meta(min_length=1, max_length=len(RIGHTS))]
    place: CatalogueCode | None = None
    """Only bills of this place."""
    hash: Digest
    made_at: Instant
    ended_at: Instant | None = None


class TokenFile(Record):
    """What lies in the folder."""

    format: Literal["tallystick/gateway-tokens/v1"]
    tokens: Annotated[list[Token], Meta(max_length=TOKENS_MAX)]


@dataclass(frozen=True, slots=True)
class Till:
    """Who asks."""

    name: str
    may: tuple[str, ...] = ()
    place: str | None = None

    def check(self, right: Right) -> None:
        """`Rejected` unless it may."""
        if right not in self.may:
            raise Rejected(GatewayReason.MAY_NOT, f"{self.name} has no right to {right}")

    def check_place(self, place: str | None) -> None:
        """`Rejected` for another place than its own."""
        if self.place is not None and place != self.place:
            detail = f"{self.name} is for {self.place}"
            raise Rejected(GatewayReason.OTHER_PLACE, detail, path="place_code")


class Tokens:
    """The file in a folder; from any thread."""

    def __init__(self, folder: Path, clock: Callable[[], int]) -> None:
        self.path = folder / FILE
        self._clock = clock
        self._seen: tuple[int, int, int] | None = None
        self._tokens: list[Token] = []

    def all(self) -> list[Token]:
        """As the file has them now."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._tokens = None, []
            return []
        seen = found.st_ino, found.st_mtime_ns, found.st_size
        if seen != self._seen:
            try:
                self._tokens = decode(read_file(self.path, FILE_BYTES_MAX), TokenFile).tokens
            except Malformed as error:
                raise Damaged(f"{self.path}: {error}") from error
            self._seen = seen
        return self._tokens

    def add(self, name: str, may: Sequence[Right], place: str | None = None) -> str:
        """Make a token: it is shown this once. One of the same name ends."""
        secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        token = Token(
            name=name,
            may=sorted(set(may)),
            place=place,
            hash=_hash(secret),
            made_at=format_instant(self._clock()),
        )
        self._write([*self._ended(name), token])
        return secret

    def revoke(self, name: str) -> bool:
        """End the token of this name; False: there is none that lives."""
        live = any(each.name == name and each.ended_at is None for each in self.all())
        if live:
            self._write(self._ended(name))
        return live

    def find(self, authorization: str) -> Till:
        """Who sends this header; `Rejected` when nobody is known by it."""
        kind, _, secret = authorization.partition(" ")
        presented = _hash(secret.strip()) if kind.lower() == "bearer" else b""
        found: Token | None = None
        for each in self.all():
            if hmac.compare_digest(each.hash, presented) and each.ended_at is None:
                found = each
        if found is None:
            raise Rejected(GatewayReason.TOKEN)
        return Till(found.name, tuple(found.may), found.place)

    def _ended(self, name: str) -> list[Token]:
        now = format_instant(self._clock())
        return [
            replace(each, ended_at=now) if each.name == name and each.ended_at is None else each
            for each in self.all()
        ]

    def _write(self, tokens: list[Token]) -> None:
        kept = TokenFile(format="tallystick/gateway-tokens/v1", tokens=tokens)
        data = encode(kept)
        decode(data, TokenFile)  # a name of somebody's own making has bounds, too
        write_file(self.path, data, mode=0o600)


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()
